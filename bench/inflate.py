"""What Inflate costs and how true it is: `python -m bench.inflate [photo.png ...]`.

Each photo is prepared as the page prepares it; without one, a drawn subject is used. Times are warm: the best of
several rounds, because other processes only ever add to them. "Own view" is how like the photo its own camera sees it.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image

from pipelines.core.cameras import View, orbit
from pipelines.core.images import Photo
from pipelines.core.mesh import glb_bytes
from pipelines.core.subject import Making, Subject
from pipelines.core.video import write_mp4
from pipelines.inflate import Inflate
from pipelines.runtime.method import Report, Request, Turnaround
from pipelines.runtime.prepare import prepare
from pipelines.runtime.settings import read_settings

SIZE_PX = 576
FPS = 10
ROUNDS = 3
AIM_VIEW_S, AIM_ORBIT_S, AIM_MEMORY_MB = 0.4, 2.5, 1000


def drawn_subject(size: int = 1024) -> Subject:
    """A wavy body on thin legs, with a hole, in stripes."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    body = 0.16 + 0.015 * np.sin(14 * np.arctan2(y, x)) - np.hypot(x / 2, y + 0.12)
    body = np.minimum(body, np.hypot(x - 0.15, y + 0.15) - 0.05)
    legs = [np.minimum(0.01 - abs(x - at), 0.2 - abs(y - 0.2)) for at in (-0.2, -0.12, 0.12, 0.2)]
    alpha = np.clip(np.max([body, *legs], axis=0) * size + 0.5, 0, 1)
    colours = 128 + 100 * np.stack([np.sin(60 * x), np.sin(45 * y), np.sin(50 * (x + y))], -1)
    rgba = np.dstack([colours, 255 * alpha]).round().astype(np.uint8)
    rgba[alpha == 0] = 0
    return Subject(rgba, Making("0" * 64, (size, size), "alpha", (0, 0, size, size)))


def read_subject(path: Path) -> Subject:
    rgba = np.array(Image.open(path).convert("RGBA"))
    rgba[rgba[..., 3] == 0] = 0
    return prepare(Photo.of(rgba, (rgba.shape[1], rgba.shape[0])), settings=read_settings({}))


def best_of(rounds: int, action: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what the quickest round gave."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = action()
        times.append((time.perf_counter() - start, result))
    return min(times, key=lambda pair: pair[0])


def likeness(photo: NDArray[np.uint8], view: NDArray[np.uint8]) -> tuple[float, float]:
    """Overlap of the silhouettes, and PSNR in dB inside both, against the photo reduced with a Lanczos filter."""
    alpha = photo[..., 3:].astype(np.float32) / 255
    planes = [Image.fromarray(plane) for plane in np.dstack([photo[..., :3] * alpha, alpha]).transpose(2, 0, 1)]
    side = view.shape[0]
    small = np.dstack([np.asarray(plane.resize((side, side), Image.Resampling.LANCZOS)) for plane in planes])
    mask, seen = small[..., 3] > 0.5, view[..., 3] > 127
    both = (small[..., 3] > 0.99) & (view[..., 3] > 252)
    colours = np.clip(small[..., :3] / np.maximum(small[..., 3:], 1e-6), 0, 255)
    error = ((colours - view[..., :3])[both] / 255) ** 2
    return (mask & seen).sum() / (mask | seen).sum(), -10 * np.log10(max(1e-10, float(error.mean())))


def measure(name: str, subject: Subject, folder: Path) -> tuple[float, float]:
    method = Inflate()

    def run(*views: View) -> Turnaround:
        return method(Request(subject, views, size_px=SIZE_PX), Report())

    one_s, one = best_of(ROUNDS, lambda: run(View(0, subject.elevation_deg)))
    orbit_s, turned = best_of(ROUNDS, lambda: run(*orbit(21, 10)))
    video_s, _ = best_of(ROUNDS, lambda: write_mp4([frame.rgba for frame in turned.frames], folder / "orbit.mp4", FPS))
    glb_s, glb = best_of(ROUNDS, lambda: glb_bytes(turned.mesh))
    overlap, psnr = likeness(subject.rgba, one.frames[0].rgba)
    parts = ", ".join(f"{part} {1000 * seconds:.0f}" for part, seconds in one.stage_seconds.items())
    total_s = orbit_s + video_s + glb_s
    print(
        f"{name:14}{len(turned.mesh.faces):7,} triangles | 1 view {1000 * one_s:4.0f} ms ({parts}) | 21 views "
        f"{1000 * orbit_s:5.0f} + mp4 {1000 * video_s:4.0f} + GLB {1000 * glb_s:4.0f} = {1000 * total_s:5.0f} ms "
        f"| GLB {len(glb) / 1e6:.1f} MB | own view: IoU {overlap:.4f}, {psnr:.1f} dB",
        flush=True,
    )
    return one_s, total_s


def main() -> None:
    paths = [Path(argument) for argument in sys.argv[1:]]
    subjects = [(path.stem, read_subject(path)) for path in paths] or [("drawn", drawn_subject())]
    process = psutil.Process()
    idle = process.memory_info().rss
    with tempfile.TemporaryDirectory() as folder:
        results = [measure(name, subject, Path(folder)) for name, subject in subjects]
    peak = getattr(process.memory_info(), "peak_wset", 0) or _peak_bytes()
    worst_view, worst_orbit = np.max(results, axis=0)
    print(
        f"slowest view {worst_view:.2f} s (aim {AIM_VIEW_S}), slowest orbit with mp4 and GLB {worst_orbit:.2f} s "
        f"(aim {AIM_ORBIT_S}), peak memory {(peak - idle) / 1e6:.0f} MB above idle (aim {AIM_MEMORY_MB})"
    )


def _peak_bytes() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB


if __name__ == "__main__":
    main()
