"""Inflate: the silhouette, blown up like a balloon, with the photo on it.

That an outline can be inflated into a plausible solid is an old idea (Igarashi, Matsuoka and Tanaka, "Teddy", SIGGRAPH
1999); the way it is done here is our own, and told in `core/` (`silhouette.py`, `inflation.py`, `solid.py`), where
other methods find it too, and in `texture.py`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from pipelines.core.cameras import photo_distance
from pipelines.runtime.method import Card, Estimate, Frame, Machine, Method, Report, Request, Turnaround, option

# Measured with 13 photos of 1024 px on one core of an AMD EPYC (Zen 4), 16,000 to 35,000 triangles; a little more,
# because the same cores also serve the page.
MODEL_SECONDS = 0.2
SECONDS_A_MEGAPIXEL = 0.25
RENDERING_CORES = 4  # as many as the renderer uses
MODEL_BYTES = 200_000_000
BYTES_A_PIXEL = 20  # colour with alpha, depth and normals of a frame, which is kept

NOTES = {
    "mirror": "The back is a guess: it is the front's mirror image.",
    "smooth": "The back is a guess: the colours near the outline are spread over it.",
}


@dataclass(frozen=True, slots=True)
class Options:
    depth: float = option(
        1.0,
        "Thickness",
        "1 makes every part as thick as it is wide; less makes it flatter",
        minimum=0.2,
        maximum=1.5,
    )
    back: str = option(
        "auto",
        "Back",
        "The far side: the front's mirror image (right for a horse from the side), or smooth colours without a second "
        "face; auto takes the mirror where the outline is far from symmetric",
        choices=("auto", "mirror", "smooth"),
    )


class Inflate(Method):
    card: ClassVar[Card] = Card(
        key="inflate",
        title="Inflate",
        summary=(
            "Blows the photo's outline up like a balloon: instant and true to the photo from the front, "
            "a rounded guess from everywhere else."
        ),
        renders=frozenset({"any view", "orbit", "mesh"}),
        seeded=False,
        licence="Apache-2.0",
        needs="Nothing: runs anywhere.",
    )
    Options: ClassVar[type[Any]] = Options

    def estimate(self, request: Request, machine: Machine) -> Estimate:
        pixels = len(request.views) * request.size_px**2
        cores = max(1, min(machine.cores, RENDERING_CORES))
        seconds = MODEL_SECONDS + SECONDS_A_MEGAPIXEL * pixels / 1e6 / cores
        return Estimate(seconds, MODEL_BYTES + BYTES_A_PIXEL * pixels)

    def _run(self, request: Request, report: Report) -> Turnaround:
        from pipelines.core.raster import Renderer
        from pipelines.inflate.model import chosen_back, inflated

        subject, options = request.subject, request.options
        back = chosen_back(subject, options.back)
        mesh = inflated(subject, options.depth, back, report)
        report(0.4, "Rendering the views")
        with report.stage("render"):
            rendered = Renderer(mesh, cull_backfaces=True).render_many(
                request.views,
                photo_distance(subject.fill),
                request.size_px,
                report=lambda share, message, preview: report(0.4 + 0.6 * share, message, preview),
            )
        frames = tuple(
            Frame(view, image.rgba, view, image.depth, image.normals)
            for view, image in zip(request.views, rendered, strict=True)
        )
        return Turnaround(frames, mesh, notes=(NOTES[back],))
