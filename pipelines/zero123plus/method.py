"""Zero123++: six fixed views of the object, drawn together in one picture and therefore consistent with one another.

Shi, Chen, Zhang, Liu, Xu, Wei, Chen, Zeng and Su, "Zero123++: a Single Image to Consistent Multi-view Diffusion Base
Model", 2023. A Stable Diffusion 2 that sees the photo through reference attention (`attention.py`) and through its CLIP
embedding; the recipe is in `grid.py`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pipelines.runtime import weights
from pipelines.runtime.method import Card, Estimate, Frame, Machine, Method, Report, Request, Turnaround, option
from pipelines.runtime.pace import load_s, memory_bytes, pace_s
from pipelines.runtime.residency import Thrift, loaded_bytes, resident, thriftily, torch_blockers
from pipelines.runtime.telling import Telling, listening
from pipelines.runtime.weights import Weights
from pipelines.zero123plus.cameras import FOV_DEG, VERSIONS, fixed_views, nearest
from pipelines.zero123plus.sources import NON_COMMERCIAL, PARAMETERS, WEIGHTS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from pipelines.zero123plus.model import Parts

# One text encoder leaves again once it has seen the empty prompt.
KEPT_PARAMETERS = PARAMETERS["unet"] + PARAMETERS["vision_encoder"]
VAE_BYTES = 4 * PARAMETERS["vae"]  # in single precision anywhere
# While the VAE decodes 640 x 960: 1.9 GB by counting its tensors at full size; and torch's own.
WORKING_BYTES = 2_500_000_000
# Counted at full size: 1.6e12 operations a step for the photo, 5.2e12 for the views; encoding and decoding take 8.6e12.
STEP_OPERATIONS, OTHER_STEPS = 6.8e12, 1.3
# Until runs on this machine have told: what a middling GPU, and one core of a CPU, does of them in a second.
GPU_SPEED, CORE_SPEED = 3.5e13, 4e10
GPU_LOAD_S, CPU_LOAD_S = 15.0, 30.0
VIEWS = 6
CUT_OUT = 0.95  # of the progress, when the views begin to be cut out


@dataclass(frozen=True, slots=True)
class Options:
    version: str = option(
        "v1.2",
        "Version",
        "v1.2 looks from 20 degrees above and 10 below, and is the better one for most objects; v1.1 from 30 above and "
        "20 below, through a wider lens",
        choices=VERSIONS,
    )
    steps: int = option(
        36,
        "Steps",
        "Denoising steps: 28 are enough for most objects, faces and other fine detail take up to 75",
        minimum=28,
        maximum=75,
    )
    guidance: float = option(
        4.0,
        "Guidance",
        "How closely the views follow the photo; high values exaggerate its colours",
        minimum=1.0,
        maximum=10.0,
    )


class Zero123Plus(Method):
    card: ClassVar[Card] = Card(
        key="zero123plus",
        title="Zero123++",
        summary="Draws six views all round the object in one go, so that they agree with one another.",
        renders=frozenset({"fixed views"}),
        licence=f"Weights: {NON_COMMERCIAL} (v1.1's repository is tagged openrail, v1.2's states no licence). "
        "The authors' code: Apache-2.0.",
        needs="A GPU with 8 GB; a CPU with 16 GB of memory takes long.",
        paper="https://arxiv.org/abs/2310.15110",
        code="https://github.com/SUDO-AI-3D/zero123plus",
        citation="""@misc{shi2023zero123plus,
  title={Zero123++: a Single Image to Consistent Multi-view Diffusion Base Model},
  author={Ruoxi Shi and Hansheng Chen and Zhuoyang Zhang and Minghua Liu and Chao Xu and Xinyue Wei and Linghao Chen
    and Chong Zeng and Hao Su},
  year={2023},
  eprint={2310.15110},
  archivePrefix={arXiv},
  primaryClass={cs.CV}
}""",
        weights=tuple(WEIGHTS[version] for version in VERSIONS),
        fov_deg=FOV_DEG["v1.2"],
    )
    Options: ClassVar[type[Any]] = Options

    def weights_for(self, options: Any) -> tuple[Weights, ...]:
        return (WEIGHTS[options.version],)

    def blockers(self, machine: Machine) -> tuple[str, ...]:
        return torch_blockers(machine, _memory_bytes(machine))

    def estimate(self, request: Request, machine: Machine) -> Estimate:
        options = request.options or Options()
        on_cpu, key = machine.device == "cpu", self.card.key
        step_s = machine.takes_s(STEP_OPERATIONS / CORE_SPEED, STEP_OPERATIONS / GPU_SPEED)
        seconds = load_s(machine, key, CPU_LOAD_S if on_cpu else GPU_LOAD_S, self.weights_for(options))
        seconds += pace_s(machine, key, options.steps + OTHER_STEPS, step_s)
        missing = sum(weights.missing_bytes(needed) for needed in self.weights_for(options))
        return Estimate(seconds, memory_bytes(machine, key, _memory_bytes(machine)), missing)

    def warm(self, report: Report) -> None:
        with self._model(Options(), report.check, report):
            pass

    def _model(self, options: Any, check: Callable[[], None], report: Report) -> AbstractContextManager["Parts"]:
        """The networks, in memory."""
        from pipelines.zero123plus.model import load

        (chosen,) = self.weights_for(options)
        found = weights.needed(chosen)
        size_bytes = loaded_bytes(found, KEPT_PARAMETERS, VAE_BYTES)
        key = f"zero123plus {found.folder}"
        return resident(key, lambda place: load(found.folder, place, check), size_bytes, report)

    def _run(self, request: Request, report: Report) -> Turnaround:
        from pipelines.core.backdrop import opaque
        from pipelines.zero123plus.grid import Settings, develop, draw
        from pipelines.zero123plus.tiles import cut_apart

        options: Options = request.options
        chosen = Settings(options.steps, options.guidance, request.seed)

        # 1. One picture of all six views. Once drawn, it stays so when there is not enough memory to decode it.
        drawn: list[Tensor] = []

        def picture_with(thrift: Thrift) -> "NDArray[np.uint8]":
            if not drawn:
                drawn.append(draw(parts, request.subject, chosen, tell, report))
            return develop(parts, drawn[0], thrift, tell, report)

        tell = Telling(report, "Waiting for the model")
        tell(0.0, "Waiting for the model")
        with listening(tell.still), self._model(options, tell.still, report) as parts:
            grid, thrifty = thriftily(picture_with, 1, report)

        # 2. Cut apart
        frames = tuple(
            Frame(view, opaque(tile), nearest(view, request.views))
            for view, tile in zip(fixed_views(options.version), cut_apart(grid), strict=True)
        )
        return Turnaround(frames, notes=thrifty)

    def _finish(self, made: Turnaround, request: Request, report: Report) -> Turnaround:
        from pipelines.core.backdrop import off_backdrop, reframed, zoomed_fov_deg
        from pipelines.core.side_by_side import side_by_side
        from pipelines.zero123plus.grid import GREY
        from pipelines.zero123plus.tiles import zoom_to_fill

        # 3. Off the grey, and at the photo's scale
        version, cutouts = request.options.version, list["NDArray[np.uint8]"]()
        with report.stage("cut out"):
            for rgba in side_by_side(lambda frame: off_backdrop(frame.rgba[..., :3], GREY), made.frames):
                cutouts.append(rgba)
                share = CUT_OUT + (1 - CUT_OUT) * len(cutouts) / VIEWS
                report(share, f"Cutting out view {len(cutouts)} of {VIEWS}", rgba)
            zoom = zoom_to_fill(version, cutouts, request.subject.fill)
            frames = tuple(
                replace(frame, rgba=reframed(rgba, zoom, request.size_px))
                for frame, rgba in zip(made.frames, cutouts, strict=True)
            )
        notes = (*_notes(version, request, zoom), *made.notes)
        return replace(made, frames=frames, fov_deg=zoomed_fov_deg(FOV_DEG[version], zoom), notes=notes)


def _memory_bytes(machine: Machine) -> int:
    """On a CPU more is in work: attention to 14000 tokens at once."""
    return KEPT_PARAMETERS * machine.number_bytes + VAE_BYTES + WORKING_BYTES * (2 if machine.device == "cpu" else 1)


def _notes(version: str, request: Request, zoom: float) -> tuple[str, ...]:
    from pipelines.zero123plus.grid import TILE_PX

    views = fixed_views(version)
    azimuths = ", ".join(f"{view.azimuth_deg:g}" for view in views)
    heights = f"{views[0].elevation_deg:g} and {views[1].elevation_deg:g}"
    notes = [
        f"Zero123++ has six cameras of its own and shows those, whatever was asked: azimuths {azimuths} degrees, "
        f"elevations {heights} degrees in turn.",
        "What the photo does not show is a guess.",
        "The network draws the object on grey: grey parts at its outline may have been cut off, and a flat "
        "grey part inside it may have been taken for a gap.",
    ]
    if version == "v1.2":
        notes.append(
            "It draws every object at one size, so the longest side seen in the six views was taken for the photo's: "
            f"all six are scaled by {zoom:.2f}."
        )
    else:
        notes.append(
            f"It draws with a lens wider than others': {FOV_DEG[version]:.0f} degrees, or 47, its authors say both."
        )
    if request.size_px != TILE_PX:
        notes.append(f"Drawn at {TILE_PX} px and resampled to {request.size_px}.")
    return tuple(notes)
