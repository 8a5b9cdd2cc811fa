"""What warping costs and keeps: `python -m bench.warp [MODEL.glb ...]`.

Speed: a view of 512 px with its mask, from a source of twice that side, against the same splat written down pixel by
pixel in NumPy; and 21 views; the same on a GPU where there is one. Medians, in one process.

Quality, of each model given (and of a drawn one): it is rendered with its true depth, moved by 15 to 60 degrees, and
held against the true view. "covered" is the share of the pixels seen by both cameras that the splat reaches, with their
PSNR; "mask" is the share of the object's truly hidden pixels that the mask holds, and how much else of the frame it
holds; "oracle" is the PSNR of the object once an inpainter that knows the truth has painted what is missing, which
should come within 1 dB of what is covered; "whole" is that of all of it on white, once what is hidden is filled without
an inpainter, and (before). Of a model of one colour, PSNR tells of its shading alone, and where it has none, nothing.
Then the same with the true relief, put where a method thinks that the object's middle is (a network's or a visitor's
depth does not say), and with the depth that Inflate guesses. `make bench` names no models, so it judges the drawn one
only: to judge others run this with their paths, `.venv/bin/python -m bench.warp models/*.glb`.

Neighbours: views from 60 degrees on the right round the back to 60 on the left, painted by an inpainter that keeps what
it is shown and gives all else a colour of its own for each view: how far the colours that two neighbours invent for one
place of the solid are apart, when each is shown what was painted before it, and when not; and the two neighbours that
agree least. What a real inpainter keeps, it alone can tell.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.inflate import drawn_subject
from bench.sv3d import psnr_db
from pipelines.core.cameras import View, photo_distance, wrap_azimuth
from pipelines.core.subject import Making, Subject

SIZE, ROUNDS = 512, 5
FILL = 0.6  # of the frame, by what is flat; a cube's near face is larger, and no photo may cut it off
AIM_VIEW_S, AIM_ORBIT_S, AIM_GPU_VIEW_S = 0.25, 3.5, 0.01
AIM_COVERED, AIM_DB, AIM_MASK = 0.97, 28.0, 0.995
TRUE = "true depth"


def seconds(action: Callable[[], Any], rounds: int = ROUNDS) -> float:
    action()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def by_the_pixel(points: NDArray[np.float64], values: NDArray[np.float64], camera: Any, sharpness: float) -> Any:
    """Softmax splatting as its formula reads: points [N, 3], values [N, C]."""
    pose = np.linalg.inv(camera.world_from_camera)
    there = points @ pose[:3, :3].T + pose[:3, 3]
    at = there @ camera.intrinsics.T
    x, y = at[:, 0] / at[:, 2] - 0.5, at[:, 1] / at[:, 2] - 0.5
    size = camera.size_px
    total, colour = np.zeros((size, size)), np.zeros((size, size, values.shape[1]))
    nearest = np.full((size, size), np.inf)
    touched = []
    for i in range(len(points)):
        for row in (math.floor(y[i]), math.floor(y[i]) + 1):
            for column in (math.floor(x[i]), math.floor(x[i]) + 1):
                if 0 <= row < size and 0 <= column < size:
                    weight = (1 - abs(x[i] - column)) * (1 - abs(y[i] - row))
                    touched.append((i, row, column, weight))
                    nearest[row, column] = min(nearest[row, column], there[i, 2])
    for i, row, column, weight in touched:
        share = weight * math.exp(-sharpness * (there[i, 2] - nearest[row, column]))
        total[row, column] += share
        colour[row, column] += share * values[i]
    return colour / np.maximum(total, 1e-30)[..., None]


def speed() -> None:
    import torch

    from pipelines.core.warp import SHARPNESS, hidden, pinhole, splat
    from pipelines.invs.depth import inflated_depth
    from pipelines.invs.partial import BALL_RADIUS, MASK_PX, THICKER, photo_sheet

    subject = drawn_subject()
    depth, distance = inflated_depth(subject), photo_distance(subject.fill)
    source = pinhole(View(0, subject.elevation_deg), distance, len(depth))
    cameras = [pinhole(View(360 * i / 21, 10), distance, SIZE) for i in range(21)]

    def costs(sheet: Any) -> tuple[float, float]:
        """Of a view and of 21, with their masks, where the sheet is."""
        on_gpu, plane = sheet.points.is_cuda, torch.from_numpy(depth).to(sheet.points.device)

        def both(some: Any) -> None:
            splat([sheet], some)
            hidden(plane, source, [each.resized(MASK_PX) for each in some], BALL_RADIUS, thicker=THICKER)
            if on_gpu:
                torch.cuda.synchronize()

        return seconds(lambda: both(cameras[1:2])), seconds(lambda: both(cameras), 3)

    if torch.cuda.is_available():
        one, orbit = costs(photo_sheet(subject, depth, SIZE, torch.device("cuda")))
        peak_gb = torch.cuda.max_memory_allocated() / 1e9
        print(
            f"{torch.cuda.get_device_name()}: a view of {SIZE} px with its mask {one * 1e3:.1f} ms, of 21 views each "
            f"{orbit / 21 * 1e3:.1f} ms (aim {AIM_GPU_VIEW_S * 1e3:.0f}), peak {peak_gb:.2f} GB"
        )
    sheet = photo_sheet(subject, depth, SIZE, torch.device("cpu"))
    one, orbit = costs(sheet)
    few = sheet.known.nonzero()[:: max(1, int(sheet.known.sum()) // 20_000)]
    points = sheet.points[few[:, 0], few[:, 1]].double().numpy()
    values = sheet.values[few[:, 0], few[:, 1]].double().numpy()
    slow = seconds(lambda: by_the_pixel(points, values, cameras[1], SHARPNESS), 1) * int(sheet.known.sum()) / len(few)
    fast = seconds(lambda: splat([sheet], cameras[1:2], finer=1))
    print(
        f"{torch.get_num_threads()} threads; {int(sheet.known.sum()):,} points: a view of {SIZE} px with its mask "
        f"{one * 1e3:.0f} ms (aim {AIM_VIEW_S * 1e3:.0f}), 21 views {orbit:.2f} s (aim {AIM_ORBIT_S}); splatting alone "
        f"{fast * 1e3:.0f} ms, by the pixel in NumPy {slow:.1f} s (reckoned from {len(few):,} points): "
        f"{slow / fast:.0f} x"
    )


def quality(name: str, mesh: Any) -> None:
    import torch

    from pipelines.core.raster import Renderer
    from pipelines.invs.depth import inflated, inflated_depth
    from pipelines.invs.inpainting import composed, on_white
    from pipelines.invs.partial import filled, mean_colour, partials, photo_sheet
    from pipelines.invs.relief import USUAL_PIVOT, relief

    renderer, distance, photo = Renderer(mesh), photo_distance(FILL), View(0, 10)
    shown = renderer.render(photo, distance, 1024)
    colours = shown.rgba[shown.rgba[..., 3] == 255][:, :3]
    if np.ptp(colours, axis=0).max() == 0:
        name += " (of one colour, so its PSNR tells nothing)"
    subject = Subject(
        shown.rgba, Making("0" * 64, (1024, 1024), "alpha", (0, 0, 1024, 1024)), photo.elevation_deg, FILL
    )
    cpu, solid, colour = torch.device("cpu"), inflated(subject), mean_colour(subject)
    placed = relief(shown.depth, shown.rgba[..., 3], distance, 1.0, USUAL_PIVOT, guessed=False)
    depths = {TRUE: shown.depth, "true relief": placed, "Inflate's": inflated_depth(subject)}
    for source, depth in depths.items():
        sheet, row = photo_sheet(subject, depth, SIZE, cpu), list[str]()
        for azimuth in (15, 30, 45, 60):
            view = View(azimuth, photo.elevation_deg)
            (there,) = partials([sheet], subject, depth, [view], SIZE, cpu)
            true = renderer.render(view, distance, SIZE)
            both = seen_by_photo(true.depth, view, shown.depth, photo, distance)
            inside = true.rgba[..., 3] == 255
            covered = there.seen & both & inside
            share = covered.sum() / max(1, (both & inside).sum())
            db = psnr_db(there.rgba[covered][:, :3], true.rgba[covered][:, :3])
            knows = psnr_db(composed(there, true.rgba)[0][inside][:, :3], true.rgba[inside][:, :3])
            outline = solid.render(view, distance, SIZE).rgba[..., 3] / np.float32(255)
            whole, before = (
                psnr_db(on_white(rgba), on_white(true.rgba)) for rgba in (filled(there, outline, colour), there.rgba)
            )
            away = inside & ~both
            held = (there.hidden > 0)[away].mean() if away.any() else 1.0
            else_ = ((there.hidden > 0) & ~inside).mean()
            row.append(
                f"{azimuth}: covered {share:.1%}, {db:.1f} dB, mask {held:.1%}, beside the object {else_:.1%}, oracle "
                f"{knows:.1f} dB, whole {whole:.1f} dB ({before:.1f})"
            )
        aims = f" (aims at 30: {AIM_COVERED:.0%}, {AIM_DB:.0f} dB, mask {AIM_MASK:.1%})" if source == TRUE else ""
        print(f"{name}, {source}: " + "; ".join(row) + aims, flush=True)


def seen_by_photo(
    depth: NDArray[np.float32], view: View, photo_depth: NDArray[np.float32], photo: View, distance: float
) -> NDArray[np.bool_]:
    """[S, S]: which of a true view's pixels the photo shows too, by its own true depth."""
    import torch

    from pipelines.core.cameras import project
    from pipelines.core.warp import lifted, pinhole

    plane = torch.from_numpy(depth).double()
    points = lifted(plane[..., None], plane, pinhole(view, distance, len(depth))).points
    size = len(photo_depth)
    pixels, z = project(points.reshape(-1, 3).numpy(), photo, distance, size)
    column, row = np.floor(pixels).astype(int).T
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    there = photo_depth[row.clip(0, size - 1), column.clip(0, size - 1)]
    return (inside & (there > 0) & (np.abs(z - there) < 0.01)).reshape(depth.shape) & (depth > 0)


def neighbours() -> None:
    from types import SimpleNamespace
    from unittest import mock

    import torch

    from pipelines.core.warp import lifted, pinhole, splat
    from pipelines.invs import inpainting
    from pipelines.invs.depth import PX, inflated, inflated_depth
    from pipelines.invs.method import Options
    from pipelines.invs.painting import Painting
    from pipelines.invs.partial import Partial, partials, photo_sheet
    from pipelines.runtime.method import Frame, Report, Request
    from pipelines.runtime.residency import Place
    from pipelines.runtime.telling import Telling
    from pipelines.runtime.thrift import Thrift

    subject, cpu = drawn_subject(), torch.device("cpu")
    depth, solid, distance = inflated_depth(subject), inflated(subject), photo_distance(subject.fill)
    views = tuple(View(wrap_azimuth(azimuth), subject.elevation_deg) for azimuth in range(60, 301, 15))
    request = Request(subject, views, 0, Options(), SIZE)
    seen = partials([photo_sheet(subject, depth, SIZE, cpu)], subject, depth, views, SIZE, cpu)
    parts: Any = SimpleNamespace(side_px=SIZE, place=Place(cpu, torch.float32, "CPU"), fine_tuned=True)

    def rendered(view: View) -> Any:
        return solid.render(view, distance, SIZE, supersample=1)

    def kept(_: Any, given: list[Partial], soft: bool) -> list[Partial]:
        return given

    def painted(_: Any, given: list[Partial], chosen: Any, seeds: list[int], each_step: Any) -> NDArray[np.uint8]:
        pictures = []
        for one, seed in zip(given, seeds, strict=True):
            own = np.random.default_rng(seed).integers(0, 200, 3)
            shown = np.where(one.seen[..., None], inpainting.on_white(one.rgba), own)
            there = solid.render(of_seed[seed], distance, SIZE, supersample=1).rgba[..., 3:] > 127
            pictures.append(np.where(there, shown, 255).astype(np.uint8))
        return np.stack(pictures)

    def all_of(agree: bool) -> tuple[Frame, ...]:
        report = Report()
        measure = (lambda view, rgb: solid.render(view, distance, PX, supersample=1).depth) if agree else None
        painting = Painting(parts, request, depth, seen, measure, Telling(report, ""), report)
        with mock.patch.multiple(inpainting, shown=kept, draw=painted, developed=lambda _, pictures: pictures):
            painting.go_on(Thrift(1, 1))
        return painting.frames

    def apart(frames: tuple[Frame, ...]) -> str:
        """Mean, of 255, over what the second of two neighbours invents and the first shows too."""
        away = dict[str, NDArray[np.float32]]()
        for one, other in pairwise(frames):
            there, here = (torch.from_numpy(rendered(each.view).depth) for each in (one, other))
            sheet = lifted(torch.from_numpy(one.rgba.astype(np.float32)), there, pinhole(one.view, distance, SIZE))
            moved = splat([sheet], [pinhole(other.view, distance, SIZE)])
            colours = moved.values[0].numpy()
            assert other.confidence is not None
            same = (moved.seen[0] & ((moved.depth[0] - here).abs() < 0.02)).numpy() & (colours[..., 3] > 250)
            same &= (other.rgba[..., 3] > 250) & (other.confidence < 128)
            between = f"{one.view.azimuth_deg:g} and {other.view.azimuth_deg:g}"
            away[between] = np.abs(colours[same][:, :3] - other.rgba[same][:, :3]).ravel()
        worst = max(away, key=lambda pair: away[pair].mean())
        return f"{np.concatenate([*away.values()]).mean():.1f} of 255 ({away[worst].mean():.1f} between {worst})"

    from pipelines.invs.painting import _seed

    of_seed = {_seed(request.seed, view): view for view in views}
    shown, alone = apart(all_of(True)), apart(all_of(False))
    print(f"neighbours of 15 degrees, invented colours apart: {shown} where each is shown what is painted, {alone} not")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path, help="GLB files, or folders of them")
    asked = parser.parse_args().models
    models = [model for each in asked for model in (sorted(each.glob("*.glb")) if each.is_dir() else [each])]
    from bench.raster import bumpy_ball, split
    from pipelines.core.mesh import load_mesh

    speed()
    neighbours()
    quality("bumpy ball", bumpy_ball(24_000))
    for path in models:
        quality(path.stem, split(load_mesh(path), 1))


if __name__ == "__main__":
    main()
