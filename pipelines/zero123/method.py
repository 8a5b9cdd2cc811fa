"""Zero-1-to-3 and its two heirs: a Stable Diffusion that was taught to look at an object from another camera.

Liu, Wu, Van Hoorick, Tokmakov, Zakharov and Vondrick, "Zero-1-to-3: Zero-shot One Image to 3D Object", ICCV 2023.
Zero123-XL is the same network trained on Objaverse-XL (Deitke et al., 2023); Stable Zero123 the same again, trained by
Stability AI on better renderings and told the photo's own elevation.

The recipe is in `diffusion.py`, the cameras in `cameras.py`.
"""

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pipelines.core.cameras import View
from pipelines.runtime import weights
from pipelines.runtime.method import Card, Estimate, Frame, Machine, Method, Report, Request, Turnaround, option
from pipelines.runtime.pace import load_s, memory_bytes, pace_s
from pipelines.runtime.residency import Thrift, loaded_bytes, resident, thriftily, torch_blockers
from pipelines.runtime.telling import Telling, listening
from pipelines.runtime.weights import Weights
from pipelines.zero123.cameras import (
    MOST_RADIUS_CHANGE,
    PHOTO_FILL,
    PHOTO_RADIUS,
    STABLE_FOV_DEG,
    ZERO123_FOV_DEG,
    Camera,
    stable_zero123_camera,
    zero123_camera,
)
from pipelines.zero123.sources import CHECKPOINTS, MIT, NON_COMMERCIAL, STABLE_ZERO123, ZERO123, ZERO123_XL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from pipelines.zero123.diffusion import Photo, Sampling
    from pipelines.zero123.loading import Parts

WHITE = 255  # of the backdrop: Objaverse was rendered on nothing, and nothing was painted white
# Together through the UNet. On a GPU more than this gain nothing; on a CPU each step should end soon.
GPU_AT_ONCE, CPU_AT_ONCE = 24, 4
GPU_DECODED_AT_ONCE, CPU_DECODED_AT_ONCE = 4, 1
# UNet and image encoder; and the VAE, whose numbers take 4 bytes anywhere.
PARAMETERS, VAE_BYTES = 860_000_000 + 304_000_000, 335_000_000
# Of one view in work, with guidance, and of one that is decoded: measured on a CPU at full size, 85 and 270 MB.
VIEW_BYTES, DECODING_BYTES = 100_000_000, 350_000_000
OVERHEAD_BYTES = 900_000_000  # torch, diffusers and transformers themselves, a GPU's context, pages of files
# One pass of one latent through the UNet, until runs here have told. On a CPU at full size it took 1.4 to 1.8
# core seconds; on a GPU, a guess for those of 2018 and later.
GPU_PASS_S, CPU_CORE_PASS_S = 0.006, 2.0
GPU_LOAD_S, CPU_LOAD_S = 8.0, 12.0
DRAWN = 0.98  # of a batch's work; the rest is decoding


@dataclass(frozen=True, slots=True)
class Options:
    steps: int = option(
        50,
        "Steps",
        "Denoising steps: more take longer and show finer detail; a number that does not divide 1000 becomes some more",
        minimum=10,
        maximum=200,
    )
    guidance: float = option(
        3.0,
        "Guidance",
        "How closely the views follow the photo; high values exaggerate its colours, 1 is quickest",
        minimum=1.0,
        maximum=10.0,
    )
    eta: float = option(
        1.0,
        "Fresh noise",
        "How much noise each step adds again: 1 as its authors do, 0 for smoother views",
        minimum=0.0,
        maximum=1.0,
    )


@dataclass(frozen=True, slots=True)
class Zero123Options(Options):
    checkpoint: str = option(
        "threestudio",
        "Checkpoint",
        "threestudio: the smallest download, of which nobody says how long it was trained; 105000: the steps of the "
        "authors' own demo; 165000: longer",
        choices=CHECKPOINTS,
    )


class Family(Method):
    """What the three have in common."""

    Options: ClassVar[type[Any]] = Options

    @abstractmethod
    def camera(self, view: View, photo_elevation_deg: float) -> Camera:
        """The view in the network's own numbers."""

    def blockers(self, machine: Machine) -> tuple[str, ...]:
        return torch_blockers(machine, _memory_bytes(machine, views=1))

    def estimate(self, request: Request, machine: Machine) -> Estimate:
        options = request.options or self.Options()
        slow = machine.device == "cpu"
        passes = len(request.views) * len(_sampling(options).times) * (2 if options.guidance > 1 else 1)
        pass_s = machine.takes_s(CPU_CORE_PASS_S, GPU_PASS_S)
        loading_s = load_s(machine, self.card.key, CPU_LOAD_S if slow else GPU_LOAD_S, self.weights_for(options))
        missing = sum(weights.missing_bytes(needed) for needed in self.weights_for(options))
        return Estimate(
            loading_s + pace_s(machine, self.card.key, passes, pass_s),
            memory_bytes(machine, self.card.key, _memory_bytes(machine, len(request.views))),
            missing,
        )

    def warm(self, report: Report) -> None:
        with self._model(self.Options(), report.check, report):
            pass

    def _model(self, options: Any, check: Callable[[], None], report: Report) -> AbstractContextManager["Parts"]:
        """The networks, in memory."""
        from pipelines.zero123.loading import load

        (chosen,) = self.weights_for(options)
        found = weights.needed(chosen)
        size_bytes = loaded_bytes(found, PARAMETERS, VAE_BYTES)
        return resident(f"{found.folder}", lambda place: load(found, place, check), size_bytes, report)

    def _run(self, request: Request, report: Report) -> Turnaround:
        from pipelines.core.backdrop import on_backdrop
        from pipelines.zero123.diffusion import see

        tell = Telling(report, "Loading the model")
        tell(0.0, "Loading the model")
        with listening(tell.still), self._model(request.options, tell.still, report) as parts:
            # 1. The photo, seen once
            tell(0.0, "Looking at the photo")
            with report.stage("encode"):
                shown = on_backdrop(request.subject, parts.side_px, PHOTO_FILL, WHITE)
                photo, _ = thriftily(lambda _: see(parts, shown), 1, report, tiling=False)

            # 2. Its views, as many together as there is memory for. What is done stays when memory runs out.
            at_once, decode_at_once = _at_once(len(request.views), parts.place.device.type == "cuda")
            drawing = Drawing(self, parts, photo, request, tell, report)
            _, thrifty = thriftily(
                drawing.go_on,
                at_once,
                report,
                decode_at_once=decode_at_once,
                tiling=False,  # one view is smaller than a tile
            )
            side_px = parts.side_px
        notes = (*self._notes(request, side_px, drawing.fov_deg), *thrifty)
        return Turnaround(tuple(drawing.frames), fov_deg=drawing.fov_deg, notes=notes)

    def _notes(self, request: Request, side_px: int, fov_deg: float) -> tuple[str, ...]:
        title, elevation_deg = self.card.title, request.subject.elevation_deg
        notes = [
            "What the photo does not show, the back above all, is invented anew for each view, so neighbouring views "
            "may disagree.",
            f"{title} draws {side_px} x {side_px} px; these views of {request.size_px} px are scaled from that.",
            f"It was told that the photo was taken from {elevation_deg:g} degrees above level.",
            f"It has a lens of its own, {fov_deg:.0f} degrees wide here; methods with geometry are shown with another.",
            "The network draws the object on white: where a white part reaches the outline, it may have been cut off, "
            "and a gap inside, as of a handle, stays white.",
        ]
        return (*notes, *self._distance_note(request))

    def _distance_note(self, request: Request) -> tuple[str, ...]:
        return ()


@dataclass
class Drawing:
    """Views in the making: what of them is done, however often memory runs out in between."""

    method: Family
    parts: "Parts"
    photo: "Photo"
    request: Request
    tell: Telling
    report: Report
    latents: "list[Tensor]" = field(default_factory=list)
    """Of views drawn, each [4, 32, 32]; there may be more of them than frames."""
    frames: list[Frame] = field(default_factory=list)

    @property
    def fov_deg(self) -> float:
        from pipelines.core.backdrop import zoomed_fov_deg

        return zoomed_fov_deg(self.method.card.fov_deg, self.request.subject.fill / PHOTO_FILL)

    def go_on(self, thrift: Thrift) -> None:
        while len(self.frames) < len(self.request.views):
            if len(self.latents) == len(self.frames):
                self._draw(thrift.at_once)
            self._develop(thrift.decode_at_once)

    def _draw(self, at_once: int) -> None:
        from pipelines.zero123.diffusion import draw, preview

        views, chosen, first = self.request.views, _sampling(self.request.options, self.request.seed), len(self.latents)
        cameras = self._cameras(first, first + at_once)
        count, steps, which = len(cameras), len(chosen.times), _counted(first, len(cameras), len(views))

        def each_step(done: int, clean: Any) -> None:
            seen = preview(self.photo, clean[done * count // (steps + 1)], self.parts.side_px)
            share = self._share(drawn=first + count * done / steps)
            self.tell(share, f"Drawing {which}: step {done} of {steps}", seen)

        with self.report.stage("denoise"):
            self.latents += draw(self.parts, self.photo, [camera.pose for camera in cameras], chosen, each_step)

    def _develop(self, at_once: int) -> None:
        import torch

        from pipelines.core.backdrop import off_backdrop, reframed
        from pipelines.core.side_by_side import side_by_side
        from pipelines.zero123.diffusion import develop

        request, first = self.request, len(self.frames)
        with self.report.stage("decode"):
            pictures = develop(self.parts, torch.stack(self.latents[first : first + at_once]))

        def cut_out(drawn: "tuple[NDArray[np.uint8], Camera]") -> "NDArray[np.uint8]":
            rgb, camera = drawn
            return reframed(off_backdrop(rgb, WHITE), camera.zoom * request.subject.fill / PHOTO_FILL, request.size_px)

        with self.report.stage("cut out"):
            drawn = zip(pictures, self._cameras(first, first + len(pictures)), strict=True)
            for rgba in side_by_side(cut_out, list(drawn)):
                view = request.views[len(self.frames)]
                self.frames.append(Frame(view, rgba, view))
                self.report.keep(self.frames[-1], self.fov_deg)
                share = self._share(drawn=len(self.latents))
                self.tell(share, f"View {len(self.frames)} of {len(request.views)} is done", rgba)

    def _cameras(self, start: int, stop: int) -> list[Camera]:
        elevation_deg = self.request.subject.elevation_deg
        return [self.method.camera(view, elevation_deg) for view in self.request.views[start:stop]]

    def _share(self, drawn: float) -> float:
        return (DRAWN * drawn + (1 - DRAWN) * len(self.frames)) / len(self.request.views)


class Zero123(Family):
    card: ClassVar[Card] = Card(
        key="zero123",
        title="Zero-1-to-3",
        summary="The first network that draws any object from any camera, given one photo: each view by itself.",
        renders=frozenset({"any view", "orbit"}),
        licence=f"Weights: {MIT}. The authors' code: MIT.",
        needs="A GPU with 6 GB; a CPU with 8 GB of memory takes a minute or more a view.",
        paper="https://arxiv.org/abs/2303.11328",
        code="https://github.com/cvlab-columbia/zero123",
        citation="""@inproceedings{liu2023zero1to3,
  title={Zero-1-to-3: Zero-shot One Image to 3D Object},
  author={Ruoshi Liu and Rundi Wu and Basile Van Hoorick and Pavel Tokmakov and Sergey Zakharov and Carl Vondrick},
  booktitle={IEEE/CVF International Conference on Computer Vision (ICCV)},
  year={2023}
}""",
        weights=tuple(ZERO123[checkpoint] for checkpoint in CHECKPOINTS),
        fov_deg=ZERO123_FOV_DEG,
    )
    Options: ClassVar[type[Any]] = Zero123Options

    def weights_for(self, options: Any) -> tuple[Weights, ...]:
        return (ZERO123[options.checkpoint],)

    def camera(self, view: View, photo_elevation_deg: float) -> Camera:
        return zero123_camera(view, photo_elevation_deg)

    def _distance_note(self, request: Request) -> tuple[str, ...]:
        reach = MOST_RADIUS_CHANGE / PHOTO_RADIUS
        if all(abs(view.distance - 1) <= reach for view in request.views):
            return ()
        return (
            f"It knows distances from {1 - reach:.2g} to {1 + reach:.2g} of the photo's; "
            "beyond, its pictures are scaled.",
        )


class Zero123XL(Zero123):
    card: ClassVar[Card] = Card(
        key="zero123_xl",
        title="Zero123-XL",
        summary="Zero-1-to-3 trained on ten times as many objects: better with unusual things and drawings.",
        renders=frozenset({"any view", "orbit"}),
        licence=f"Weights: {MIT}. The authors' code: MIT.",
        needs="A GPU with 6 GB; a CPU with 8 GB of memory takes a minute or more a view.",
        paper="https://arxiv.org/abs/2307.05663",
        code="https://github.com/cvlab-columbia/zero123",
        citation="""@inproceedings{deitke2023objaversexl,
  title={Objaverse-XL: A Universe of 10M+ 3D Objects},
  author={Matt Deitke and Ruoshi Liu and Matthew Wallingford and Huong Ngo and Oscar Michel and Aditya Kusupati and
    Alan Fan and Christian Laforte and Vikram Voleti and Samir Yitzhak Gadre and Eli VanderBilt and
    Aniruddha Kembhavi and Carl Vondrick and Georgia Gkioxari and Kiana Ehsani and Ludwig Schmidt and Ali Farhadi},
  booktitle={Advances in Neural Information Processing Systems (NeurIPS), Datasets and Benchmarks},
  year={2023}
}""",
        weights=(ZERO123_XL,),
        fov_deg=ZERO123_FOV_DEG,
    )
    Options: ClassVar[type[Any]] = Options

    def weights_for(self, options: Any) -> tuple[Weights, ...]:
        return self.card.weights


class StableZero123(Family):
    card: ClassVar[Card] = Card(
        key="stable_zero123",
        title="Stable Zero123",
        summary="Zero-1-to-3 trained again on better renderings, and told from how high the photo was taken.",
        renders=frozenset({"any view", "orbit"}),
        licence=f"Weights: {NON_COMMERCIAL}.",
        needs="A GPU with 6 GB; a CPU with 8 GB of memory takes a minute or more a view.",
        paper="https://arxiv.org/abs/2303.11328",
        code="https://huggingface.co/stabilityai/stable-zero123",
        citation="""@misc{stability2023stablezero123,
  title={Stable Zero123: Quality 3D Object Generation from Single Images},
  author={{Stability AI}},
  year={2023},
  howpublished={https://huggingface.co/stabilityai/stable-zero123}
}""",
        weights=(STABLE_ZERO123,),
        fov_deg=STABLE_FOV_DEG,
    )

    def camera(self, view: View, photo_elevation_deg: float) -> Camera:
        return stable_zero123_camera(view, photo_elevation_deg)

    def _distance_note(self, request: Request) -> tuple[str, ...]:
        if all(view.distance == 1 for view in request.views):
            return ()
        return ("It knows one distance only: for others, its pictures are scaled.",)


def _sampling(options: Any, seed: int = 0) -> "Sampling":
    from pipelines.zero123.diffusion import Sampling

    return Sampling(options.steps, options.guidance, options.eta, seed)


def _at_once(views: int, on_nvidia: bool) -> tuple[int, int]:
    """How many go through the UNet together, and through the decoder."""
    most = (GPU_AT_ONCE, GPU_DECODED_AT_ONCE) if on_nvidia else (CPU_AT_ONCE, CPU_DECODED_AT_ONCE)
    return min(most[0], views), min(most[1], views)


def _memory_bytes(machine: Machine, views: int) -> int:
    drawn, decoded = _at_once(views, machine.device == "cuda")
    working = max(drawn * VIEW_BYTES, decoded * DECODING_BYTES)
    return PARAMETERS * machine.number_bytes + VAE_BYTES + OVERHEAD_BYTES + working


def _counted(first: int, count: int, total: int) -> str:
    if count == 1:
        return f"view {first + 1} of {total}"
    return f"views {first + 1} to {first + count} of {total}"
