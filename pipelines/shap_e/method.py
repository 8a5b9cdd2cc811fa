"""Shap-E: one photo to a whole object, in one go.

Jun and Nichol, "Shap-E: Generating Conditional 3D Implicit Functions", 2023. A transformer draws, by diffusion, the
weights of a small network that knows of every point whether it lies inside, and of which colour it is.

1. The photo's cut-out on white, seen by CLIP (`sampling.py`).
2. From noise to a latent.
3. From the latent to a mesh (`field.py`, `surface.py`).
4. The mesh turned to where the photo was taken (`facing.py`), for Shap-E decides by itself which way it faces.
5. Any view of it, by our own renderer.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import View, photo_distance
from pipelines.core.errors import TurnaroundError
from pipelines.core.mesh import Mesh
from pipelines.runtime import weights
from pipelines.runtime.method import Card, Estimate, Frame, Machine, Method, Report, Request, Turnaround, option
from pipelines.runtime.pace import load_s, memory_bytes, pace_s
from pipelines.runtime.residency import Thrift, loaded_bytes, resident, thriftily, torch_blockers
from pipelines.runtime.telling import Telling, listening
from pipelines.shap_e.sources import SHAP_E

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.shap_e.loading import Parts

WHITE, PHOTO_FILL = 255, 0.8  # of the photo as the network sees it; the authors' example leaves about as much room
HALVES = 2  # of guidance, through the transformer together
PIECES = 8  # of a piece of the grid, that go through the small network together; fewer when memory is short

# Shares of the progress, each up to here
SEEN, SAMPLED, MESHED, FACED = 0.02, 0.75, 0.85, 0.9
GLIMPSES, GLIMPSE_GRID, GLIMPSE_PX = 8, 32, 160  # a glimpse costs a sixtieth of the mesh
GLIMPSE_POINTS = 4096  # at once: 25 MB, so that no run fails for want of memory for a glimpse

PARAMETERS = 316_000_000 + 303_000_000  # transformer and CLIP, from their files' sizes
RENDERER_BYTES = 905_000_000  # float32 anywhere
GPU_WORKING_BYTES, CPU_WORKING_BYTES = 600_000_000, 1_200_000_000
BYTES_A_PIXEL = 20  # colour with alpha, depth and normals of a frame, which is kept

# One pass of one latent through the transformer is 0.9 * 10^12 operations; until runs on this machine have told. A
# public run on a CPU of an unknown number of cores took 100 to 136 s for 16 steps, 2 s a pass.
GPU_PASS_S, CPU_CORE_PASS_S = 0.02, 16.0
GPU_LOAD_S, CPU_LOAD_S = 6.0, 8.0
MESH_PASSES = 3  # what a grid of 128 costs, in passes
FACING_S, RENDER_S_A_VIEW, RENDER_S_A_MEGAPIXEL, RENDERING_CORES = 1.5, 0.05, 0.25, 4

OWN = "Shap-E makes a new object after the photo: shape, colours and above all writing differ from it."


@dataclass(frozen=True, slots=True)
class Options:
    steps: int = option(
        64, "Steps", "Denoising steps: 64 as its authors do, 16 for a quick look", minimum=4, maximum=128
    )
    guidance: float = option(
        3.0,
        "Guidance",
        "How closely the object follows the photo; high values make it odd, 1 is quickest",
        minimum=1.0,
        maximum=10.0,
    )
    grid: int = option(
        128, "Grid", "Points along each side when the mesh is made: more show finer detail", minimum=32, maximum=192
    )


class ShapE(Method):
    card: ClassVar[Card] = Card(
        key="shap_e",
        title="Shap-E",
        summary="Makes a new 3D object after the photo: its views agree with one another, but less with the photo.",
        renders=frozenset({"any view", "orbit", "mesh"}),
        licence="MIT (weights and the authors' code)",
        needs="A GPU with 4 GB; a CPU with 6 GB of memory takes minutes.",
        paper="https://arxiv.org/abs/2305.02463",
        code="https://github.com/openai/shap-e",
        citation="""@article{jun2023shape,
  title={Shap-E: Generating Conditional 3D Implicit Functions},
  author={Heewoo Jun and Alex Nichol},
  journal={arXiv preprint arXiv:2305.02463},
  year={2023}
}""",
        weights=(SHAP_E,),
    )
    Options: ClassVar[type[Any]] = Options

    def blockers(self, machine: Machine) -> tuple[str, ...]:
        return torch_blockers(machine, _memory_bytes(machine))

    def estimate(self, request: Request, machine: Machine) -> Estimate:
        options = request.options or self.Options()
        slow = machine.device == "cpu"
        passes = (2 * options.steps - 1) * (2 if options.guidance > 1 else 1) + MESH_PASSES * (options.grid / 128) ** 3
        pass_s = machine.takes_s(CPU_CORE_PASS_S, GPU_PASS_S)
        pixels = len(request.views) * request.size_px**2
        cores = max(1, min(machine.cores, RENDERING_CORES))
        rendering_s = (RENDER_S_A_VIEW * len(request.views) + RENDER_S_A_MEGAPIXEL * pixels / 1e6) / cores
        finish_s = FACING_S + rendering_s
        return Estimate(
            load_s(machine, self.card.key, CPU_LOAD_S if slow else GPU_LOAD_S, self.weights_for(options))
            + pace_s(machine, self.card.key, passes, pass_s)
            + finish_s,
            memory_bytes(machine, self.card.key, _memory_bytes(machine) + (BYTES_A_PIXEL * pixels if slow else 0)),
            weights.missing_bytes(SHAP_E),
            finish_s,
        )

    def warm(self, report: Report) -> None:
        with self._model(report.check, report):
            pass

    def _model(self, check: Callable[[], None], report: Report) -> AbstractContextManager["Parts"]:
        """The networks, in memory."""
        from pipelines.shap_e.loading import load

        found = weights.needed(SHAP_E)
        size_bytes = loaded_bytes(found, PARAMETERS, RENDERER_BYTES)
        return resident(f"{found.folder}", lambda place: load(found.folder, place, check), size_bytes, report)

    def _run(self, request: Request, report: Report) -> Turnaround:
        tell = Telling(report, "Loading the model")
        with listening(tell.still):
            mesh, thrifty = self._object(request, tell, report)
        return Turnaround((), mesh, notes=thrifty)

    def _finish(self, made: Turnaround, request: Request, report: Report) -> Turnaround:
        from pipelines.core.raster import Renderer
        from pipelines.shap_e.facing import faced, notes

        assert made.mesh is not None
        tell = Telling(report, "Turning it to match the photo")
        with report.stage("face"):
            mesh, found = faced(
                made.mesh,
                request.subject,
                lambda share: tell(MESHED + (FACED - MESHED) * share, "Turning it to match the photo"),
            )

        tell(FACED, "Rendering the views")
        with report.stage("render"):
            rendered = Renderer(mesh, cull_backfaces=True).render_many(
                request.views,
                photo_distance(request.subject.fill),
                request.size_px,
                report=lambda share, message, preview: tell(FACED + (1 - FACED) * share, message, preview),
            )
        frames = tuple(
            Frame(view, image.rgba, view, image.depth, image.normals)
            for view, image in zip(request.views, rendered, strict=True)
        )
        return replace(made, frames=frames, mesh=mesh, notes=(*notes(found), OWN, *_cut_off(frames), *made.notes))

    def _object(self, request: Request, tell: Telling, report: Report) -> tuple[Mesh, tuple[str, ...]]:
        """The object as Shap-E faces it, and what to say of how it was made."""
        from pipelines.core.backdrop import on_backdrop
        from pipelines.shap_e.field import POINTS_AT_ONCE, Field
        from pipelines.shap_e.sampling import Sampling, sample, see
        from pipelines.shap_e.surface import meshed

        options = request.options
        tell(0.0, "Loading the model")
        with self._model(tell.still, report) as parts:
            # 1. The photo
            tell(0.0, "Looking at the photo", request.subject.rgba)
            with report.stage("encode"):
                shown = on_backdrop(request.subject, parts.picture_px, PHOTO_FILL, WHITE)
                tokens, _ = thriftily(lambda _: see(parts, shown), 1, report, tiling=False)

            # 2. A latent
            chosen = Sampling(options.steps, options.guidance, request.seed)

            def each_answer(number: int, clean: "Tensor") -> None:
                due = number * GLIMPSES // chosen.answers > (number - 1) * GLIMPSES // chosen.answers
                glimpse = _glimpse(parts, clean, request) if due else None
                share = SEEN + (SAMPLED - SEEN) * number / chosen.answers
                tell(share, f"Thinking of an object: step {number // 2 + 1} of {chosen.steps}", glimpse)

            def latent_with(thrift: Thrift) -> "tuple[Tensor, Thrift]":
                return sample(parts, tokens, chosen, thrift.at_once, each_answer), thrift

            tell(SEEN, "Thinking of an object")
            with report.stage("denoise"):
                (latent, halves), halved = thriftily(latent_with, HALVES, report, tiling=False)

            # 3. A mesh
            def mesh_with(thrift: Thrift) -> tuple[Mesh, Thrift]:
                field = Field(parts, latent, POINTS_AT_ONCE * thrift.at_once // PIECES)
                return meshed(
                    field,
                    options.grid,
                    lambda share: tell(SAMPLED + (MESHED - SAMPLED) * share, "Making its surface"),
                ), thrift

            with report.stage("mesh"):
                (mesh, pieces), pieced = thriftily(mesh_with, PIECES, report, tiling=False)
        return mesh, _thrift_notes(halves, halved, pieces, pieced)


def _cut_off(frames: tuple[Frame, ...]) -> tuple[str, ...]:
    """Whether the object reaches a frame's border: from the side, it may be longer than the photo showed it."""
    cut = 0
    for frame in frames:
        alpha = frame.rgba[..., 3]
        cut += any(edge.any() for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))
    if not cut:
        return ()
    which = "One view" if cut == 1 else f"{cut} views"
    return (
        f"{which} of {len(frames)} cannot hold the whole object, which is cut off there: move the cameras further away "
        "to see all of it; the 3D model has it.",
    )


def _thrift_notes(halves: Thrift, halved: tuple[str, ...], pieces: Thrift, pieced: tuple[str, ...]) -> tuple[str, ...]:
    """What was done when memory was short: `thriftily` speaks of views, which there are none of here."""
    said = []
    if halves.at_once < HALVES or pieces.at_once < PIECES:
        said.append("Memory was short, so the object was made in smaller pieces: slower, but the same.")
    if halves.offload or pieces.offload:
        said.append((*halved, *pieced)[-1])
    return tuple(said)


def _glimpse(parts: "Parts", clean: "Tensor", request: Request) -> NDArray[np.uint8] | None:
    """The object as it is thought of now, roughly, and facing as it will; None while it is nothing yet."""
    from pipelines.core.raster import Renderer
    from pipelines.shap_e.field import Field
    from pipelines.shap_e.surface import meshed

    subject = request.subject
    try:
        mesh = meshed(Field(parts, clean.clamp(-1, 1), GLIMPSE_POINTS), GLIMPSE_GRID)
    except TurnaroundError:
        return None
    view = View(0, subject.elevation_deg)
    return Renderer(mesh, cull_backfaces=True).render(view, photo_distance(subject.fill), GLIMPSE_PX).rgba


def _memory_bytes(machine: Machine) -> int:
    working = CPU_WORKING_BYTES if machine.device == "cpu" else GPU_WORKING_BYTES
    return PARAMETERS * machine.number_bytes + RENDERER_BYTES + working
