"""What leaving the app costs: 21 frames of 576 px as video, pictures, contact sheet, stored result; 10,000 of those."""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipelines.core.cameras import orbit
from pipelines.core.card import Strip, drawn
from pipelines.core.paper import Page, as_pdf, as_png
from pipelines.core.sheet import Cell, Row, Sheet, cell_px, fitted, laid_out
from pipelines.core.subject import Making, Subject
from pipelines.core.video import write_gif, write_mp4, write_webp
from pipelines.runtime.archive import Archive
from pipelines.runtime.method import Card, Frame, Provenance, Request, Turnaround
from pipelines.runtime.results import png_bytes
from pipelines.runtime.settings import Settings
from pipelines.runtime.stored import pack, packing

COUNT, SIZE_PX, STORED = 21, 576, 10_000


def a_turning_shape() -> list[np.ndarray]:
    """A shaded, textured ellipsoid, narrower from the side: about as hard to compress as a photographed object."""
    y, x = (np.mgrid[:SIZE_PX, :SIZE_PX] + 0.5) / SIZE_PX * 2 - 1
    grain = np.random.default_rng(0).normal(0, 6, (SIZE_PX, SIZE_PX, 1))
    frames = []
    for i in range(COUNT):
        turn = 2 * np.pi * i / COUNT
        u, v = x / (0.5 + 0.3 * abs(np.cos(turn))), y / 0.8
        z = np.sqrt(np.clip(1 - u**2 - v**2, 0, 1))
        stripes = np.sin(12 * (np.arctan2(u, z) + turn)) * np.cos(9 * v)
        rgb = (z * 120 + 60)[..., None] * np.array((1.0, 0.75, 0.5)) + 35 * stripes[..., None] + grain
        alpha = np.clip((1 - np.hypot(u, v)) * 150, 0, 1)[..., None] * 255
        frames.append(np.concatenate([np.clip(rgb, 0, 255), alpha], axis=2).astype(np.uint8))
    return frames


def a_sheet(frames: list[np.ndarray]) -> Page:
    asked = orbit(8)
    side = cell_px(len(asked))
    cells = tuple(Cell(view, fitted(frame, side)) for view, frame in zip(asked, frames, strict=False))
    rows = tuple(Row(f"Method {i}", "", 0, cells) for i in range(6))
    return laid_out(Sheet(asked, (fitted(frames[0], side),), rows, ("Licences: none.",)))


def timed(name: str, action: Callable[[], object], repeat: int = 5, detail: Callable[[], str] = str) -> None:
    """The best of several, after one to warm up."""
    action()
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    print(f"{name:34} {min(seconds) * 1000:7.0f} ms   {detail()}", flush=True)


def main() -> None:
    frames = a_turning_shape()
    with tempfile.TemporaryDirectory() as folder:
        for name, writer in (("orbit.mp4", write_mp4), ("orbit.webp", write_webp), ("orbit.gif", write_gif)):
            path = Path(folder) / name
            timed(name, lambda: writer(frames, path, 8), detail=lambda: f"{path.stat().st_size / 1e6:.2f} MB")  # noqa: B023
        timed("PNGs, one thread", lambda: [png_bytes(frame) for frame in frames])
        size = sum(len(png_bytes(frame)) for frame in frames)
        print(f"{'':34} {'':10}   {size / 1e6:.2f} MB")
        page = a_sheet(frames)
        timed("a contact sheet, six methods", lambda: a_sheet(frames), repeat=2)
        timed("  as PNG", lambda: as_png(page), detail=lambda: f"{len(as_png(page)) / 1e6:.2f} MB")
        timed("  as PDF", lambda: as_pdf(page, ""), detail=lambda: f"{len(as_pdf(page, '')) / 1e6:.2f} MB")
        timed("a link's card", lambda: drawn(frames[0], [Strip("Bench", frames[3:18:3])], "Turnaround", ["Bench"]))

        archive = Archive(Settings(data=Path(folder), free_disk_mb=0.0))
        subject = Subject(frames[0], Making("0" * 64, (SIZE_PX, SIZE_PX), "alpha", (0, 0, SIZE_PX, SIZE_PX)))
        request = Request(subject, orbit(COUNT), size_px=SIZE_PX)
        card = Card("bench", "Bench", "For measuring.", frozenset({"any view"}), "Apache-2.0", "Nothing.")
        made = Turnaround(
            tuple(Frame(view, frame, view) for view, frame in zip(request.views, frames, strict=True)),
            provenance=Provenance("bench", 0, {}, {}, {}, "cpu"),
        )

        def save() -> str:
            with archive.begin(subject) as draft:
                draft.add(made, request, card)
                return draft.finish().id

        timed("a stored result, safe on disk", save)
        id = save()
        timed("reopening it", lambda: archive.open(id), repeat=20)
        timed("its subject", lambda: archive.subject(id))

        def pack_it() -> None:
            with packing(Path(folder) / "all.zip") as packed:
                pack(packed, archive.open(id), "turnaround")

        timed("its zip", pack_it)

        for i in range(STORED):  # bare folders would do for the list; a file each makes sweeping honest
            other = archive.root / f"{i:044x}"
            other.mkdir()
            shutil.copy(archive.root / id / "manifest.json", other)
        timed(f"the newest 20 of {STORED}", lambda: archive.list(20))
        start = time.perf_counter()
        Archive(Settings(data=Path(folder), keep_days=0)).sweep()
        print(f"{f'a first sweep over {STORED}':34} {(time.perf_counter() - start) * 1000:7.0f} ms")


if __name__ == "__main__":
    main()
