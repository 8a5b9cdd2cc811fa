"""SV3D: a video diffusion model that was taught to fly once round an object.

Voleti, Yao, Boss, Letts, Pankratz, Tochilkin, Laforte, Rombach and Jampani, "SV3D: Novel Multi-view Synthesis and 3D
Generation from a Single Image using Latent Video Diffusion", ECCV 2024. Two of its models were released: sv3d_p, which
is told each frame's camera, and sv3d_u, which keeps to the photo's elevation. The recipe is in `sampling.py`.
"""

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, ClassVar

from pipelines.core.cameras import FOV_DEG, View, turn_between
from pipelines.core.errors import TurnaroundError
from pipelines.core.subject import ANY_SUBJECT
from pipelines.runtime import weights
from pipelines.runtime.devices import on_zero_gpu
from pipelines.runtime.method import (
    EXACT_DEG,
    Card,
    Estimate,
    Frame,
    Machine,
    Method,
    Report,
    Request,
    Turnaround,
    option,
)
from pipelines.runtime.pace import load_s, memory_bytes, pace_s
from pipelines.runtime.residency import Thrift, loaded_bytes, resident, thriftily, torch_blockers
from pipelines.runtime.settings import read_settings
from pipelines.runtime.telling import Telling, listening
from pipelines.runtime.weights import Weights
from pipelines.sv3d.cameras import PATHS, Path, dynamic, level, nearest, sine, through
from pipelines.sv3d.sources import COMMUNITY, WEIGHTS, P, U

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from pipelines.core.latent_preview import LatentColours
    from pipelines.sv3d.loading import Parts
    from pipelines.sv3d.sampling import Sampling

WHITE = 255  # of the backdrop
PHOTO_FILL = 0.9  # of the frame; the authors' script leaves it to the photo, that of its successor has 0.917 and 0.9
PARAMETERS = 1_525_000_000 + 632_000_000  # UNet and image encoder (specs/sv3d.md)
VAE_BYTES = 335_000_000  # in single precision anywhere
# Of one video of 21 frames in the UNet in half precision, of a frame in the decoder, and of torch itself: the first two
# as a pretended GPU counts them. At full size with random numbers a processor took 2.05 and 1.6 GB
VIDEO_BYTES, DECODING_BYTES, OVERHEAD_BYTES = 2_000_000_000, 1_300_000_000, 900_000_000
# One video through the UNet once, until runs here have told: about 30e12 operations. At full size 162 to 174 core
# seconds were measured in bfloat16 (EPYC with AVX-512); a GPU's figure is a guess
GPU_PASS_S, CPU_CORE_PASS_S = 0.4, 340.0
GPU_LOAD_S, CPU_LOAD_S = 20.0, 30.0
PHOTO_S = 1.0  # the photo itself
KEEPING_S = 60.0  # 9.4 GB read, 4.5 GB written, once
GUIDED, UNGUIDED = 2, 1  # videos
GPU_DECODED_AT_ONCE = 4  # on a CPU one video, and one frame: more together gain nothing there
SEEN, DRAWN, DECODED = 0.03, 0.92, 0.99  # of the progress


@dataclass(frozen=True, slots=True)
class OptionsU:
    steps: int = option(
        50,
        "Steps",
        "Denoising steps: 50 as its authors do",
        minimum=10,
        maximum=100,
    )
    quick: bool = option(
        False,
        "Quick",
        "Half of the steps, each of which learns from the one before it: half the time, and other pictures. How other "
        "was measured with random weights alone, in a small network: 38 dB (PSNR) to those of 50 steps, where 25 "
        "steps without it come to 40. Where the right answer is known it comes as near to it as all of the steps do "
        "without; with the real weights nobody has seen it yet",
    )
    low_memory: bool = option(
        False,
        "Low memory",
        "One video and one frame at a time from the start: the same pictures, slower on a GPU. Without it this happens "
        "by itself when memory runs out",
    )
    guidance: float = option(
        2.5,
        "Guidance",
        "How closely the far side follows the photo: the peak, opposite it; beside the photo it is always 1",
        minimum=1.0,
        maximum=6.0,
    )


@dataclass(frozen=True, slots=True)
class OptionsP(OptionsU):
    # Not "path": whatever Gradio finds under that name it takes for a file
    camera_path: str = option(
        "as asked",
        "Path",
        "as asked: through the cameras above, always once all the way round: a path drawn from the photo round and "
        "back in 21 views is flown as it is; of others it takes the elevations, so a swing to and fro becomes a whole "
        "flight round, too; level orbit: at the photo's elevation; sine: 30 degrees up and down once, as for 3D "
        "reconstruction; dynamic: uneven, drawn from the seed, as it was trained",
        choices=PATHS,
        was="path",
    )


class Family(Method):
    """What both have in common."""

    kind: ClassVar[str]

    @abstractmethod
    def path(self, request: Request, frames: int) -> Path:
        """Where its frames are seen from."""

    def weights_for(self, options: Any) -> tuple[Weights, ...]:
        return (WEIGHTS[self.kind],)

    def blockers(self, machine: Machine) -> tuple[str, ...]:
        return torch_blockers(machine, _memory_bytes(machine, sparing=True))

    def estimate(self, request: Request, machine: Machine) -> Estimate:
        options, key, slow = request.options or self.Options(), self.card.key, machine.device == "cpu"
        if _asks_for_the_photo(request):
            return Estimate(PHOTO_S, OVERHEAD_BYTES)
        passes = _sampling(options).passes * (GUIDED if options.guidance > 1 else UNGUIDED)
        pass_s = machine.takes_s(CPU_CORE_PASS_S, GPU_PASS_S)
        loading_s = load_s(machine, key, CPU_LOAD_S if slow else GPU_LOAD_S, self.weights_for(options))
        seconds = loading_s + pace_s(machine, key, passes, pass_s)
        if not any(_kept().glob(f"sv3d_{self.kind}-*/unet.safetensors")):
            seconds += KEEPING_S
        missing = sum(weights.missing_bytes(each) for each in self.weights_for(options))
        needed_bytes = _memory_bytes(machine, sparing=options.low_memory)
        return Estimate(seconds, memory_bytes(machine, key, needed_bytes), missing)

    def fetch(self, request: Request, report: Report) -> None:
        if _asks_for_the_photo(request):
            return
        super().fetch(request, report)
        if on_zero_gpu():  # there each second with the model is the visitor's, and torch is here anyway
            from pipelines.sv3d.loading import keep

            report(0.0, f"Keeping {self.card.title} in half precision for later")
            keep(weights.needed(WEIGHTS[self.kind]), _kept(), report.check)

    def warm(self, report: Report) -> None:
        with self._model(report.check, report):
            pass

    compiles: ClassVar[bool] = True

    def compile_ahead(self, report: Report) -> tuple[str, ...]:
        from pipelines.runtime.residency import chosen_place
        from pipelines.sv3d import ahead

        if chosen_place().device.type == "cpu":  # before gigabytes are fetched
            raise TurnaroundError(ahead.NOT_ON_A_CPU)
        self.fetch(Request(ANY_SUBJECT, (View(180),)), report)
        with self._model(report.check, report) as parts:
            if ahead.takes_turns(parts):
                raise TurnaroundError(ahead.NO_ROOM)
            return ahead.compile_each(parts, (GUIDED, UNGUIDED), report)

    def _model(self, check: Callable[[], None], report: Report) -> AbstractContextManager["Parts"]:
        """The networks, in memory."""
        from pipelines.sv3d.loading import as_the_authors_run_it, load

        found, kept = weights.needed(WEIGHTS[self.kind]), _kept()
        size_bytes = loaded_bytes(found, PARAMETERS, VAE_BYTES)
        key = f"sv3d {found.folder} {self.kind}"
        return resident(key, lambda place: load(found, place, kept, check), size_bytes, report, as_the_authors_run_it)

    def _run(self, request: Request, report: Report) -> Turnaround:
        from pipelines.core.backdrop import opaque, zoomed_fov_deg

        if _asks_for_the_photo(request):
            own = tuple(Frame(_photos_view(request), request.subject.rgba, view) for view in request.views)
            return Turnaround(own, notes=("This is the photo itself: nothing had to be drawn.",))

        tell = Telling(report, "Loading the model")
        tell(0.0, "Loading the model; the first time, it is kept in half precision for later")
        with listening(tell.still), self._model(tell.still, report) as parts:
            report.place = parts.place
            path = self.path(request, parts.sizes.frames)
            views = path.views(read_settings().sv3d_clockwise)
            pictures, thrifty = self._pictures(parts, request, path, tell, report)

        frames = [
            Frame(view, opaque(rgb), nearest(view, request.views)) for view, rgb in zip(views, pictures, strict=True)
        ]
        if len(request.views) == 1 and _flies_as_asked(request):
            frames = [min(frames, key=lambda frame: turn_between(frame.view, request.views[0]))]
        fov_deg = zoomed_fov_deg(FOV_DEG, request.subject.fill / PHOTO_FILL)
        notes = (*self._notes(request, frames, parts.sizes.side_px), *thrifty)
        return Turnaround(tuple(frames), fov_deg=fov_deg, notes=notes)

    def _finish(self, made: Turnaround, request: Request, report: Report) -> Turnaround:
        from pipelines.core.backdrop import off_backdrop, reframed
        from pipelines.core.side_by_side import side_by_side

        # 4. Off the white, and at the photo's scale. The last frame is the photo itself, as the authors have it
        photo, zoom = _photos_view(request), request.subject.fill / PHOTO_FILL

        def cut_out(frame: Frame) -> Frame:
            if turn_between(frame.view, photo) < EXACT_DEG:
                return replace(frame, rgba=reframed(request.subject.rgba, 1.0, request.size_px))
            drawn = off_backdrop(frame.rgba[..., :3], WHITE)
            return replace(frame, rgba=reframed(drawn, zoom, request.size_px))

        frames = list[Frame]()
        with report.stage("cut out"):
            for frame in side_by_side(cut_out, made.frames):
                frames.append(frame)
                share = len(frames) / len(made.frames)
                report(DECODED + (1 - DECODED) * share, f"Cutting out view {len(frames)}", frame.rgba)
        return replace(made, frames=tuple(frames))

    def _pictures(
        self, parts: "Parts", request: Request, path: Path, tell: Telling, report: Report
    ) -> tuple["list[NDArray[np.uint8]]", tuple[str, ...]]:
        """The frames on white, [S, S, 3] each, and what was done where memory was short."""
        import torch

        from pipelines.core.backdrop import on_backdrop, opaque
        from pipelines.core.latent_preview import fitted
        from pipelines.sv3d.ahead import Quick
        from pipelines.sv3d.sampling import as_input, camera_numbers, decoded, draw, see

        options, sizes, device = request.options, parts.sizes, parts.place.device
        videos, frames = _at_once(device.type == "cpu" or options.low_memory, guided=options.guidance > 1)

        # 1. The photo, seen by both encoders. All chance comes from one generator, in the authors' order
        chance = torch.Generator().manual_seed(request.seed)
        photo = on_backdrop(request.subject, sizes.side_px, PHOTO_FILL, WHITE)
        picture = as_input(photo, device)
        on_photo = torch.randn(picture.shape, generator=chance).to(device)
        noise = torch.randn(sizes.frames, 4, sizes.latent_px, sizes.latent_px, generator=chance)
        numbers = camera_numbers(path if parts.takes_angles else None, sizes.frames)
        chosen = _sampling(options)

        # 2. 21 latents together
        def drawn_with(thrift: Thrift) -> "tuple[Tensor, Thrift]":
            tell(0.0, "Looking at the photo")
            with report.stage("encode"):
                seen = see(parts, picture, on_photo)
            colours = fitted(seen.latent.float().cpu().numpy(), photo)

            def each_step(step: int, clean: "Tensor") -> None:
                # Once round the object while it becomes clear
                shown = clean[step * sizes.frames // (chosen.passes + 1)]
                share = SEEN + (DRAWN - SEEN) * step / chosen.passes
                said = f"Drawing the orbit: step {step} of {chosen.passes}"
                tell(share, said, _glimpse(colours, shown, sizes.side_px))

            tell(SEEN, "Drawing the orbit")
            with report.stage("denoise"):
                quick = Quick(parts)
                latents = draw(parts, seen, numbers, noise, chosen, thrift.at_once, each_step, quick)
                report.place = quick.place()
                return latents, thrift

        (latents, drawing), offloaded = thriftily(drawn_with, videos, report, tiling=False)
        if not torch.isfinite(latents).all():
            raise TurnaroundError(f"{self.card.title} came to no picture. Try another seed, or a lower guidance.")

        # 3. Pictures, some at a time: each is decoded by itself, and what is done stays when memory runs out
        pictures = list["NDArray[np.uint8]"]()

        def decode_with(thrift: Thrift) -> Thrift:
            while len(pictures) < sizes.frames:
                with report.stage("decode"):
                    pictures.extend(decoded(parts, latents[len(pictures) : len(pictures) + thrift.at_once]))
                share = DRAWN + (DECODED - DRAWN) * len(pictures) / sizes.frames
                tell(share, f"View {len(pictures)} of {sizes.frames} is done", opaque(pictures[-1]))
            return thrift

        decoding, also_offloaded = thriftily(decode_with, frames, report, tiling=False)
        said = list[str]()
        if drawing.at_once < videos or decoding.at_once < frames:
            said.append("Memory was short, so it worked in smaller pieces: slower, but the same.")
        if drawing.offload or decoding.offload:
            said.append((*offloaded, *also_offloaded)[-1])
        return pictures, tuple(said)

    def _notes(self, request: Request, frames: list[Frame], side_px: int) -> tuple[str, ...]:
        elevation_deg = request.subject.elevation_deg
        notes = [
            f"{self.card.title} draws one orbit of views together, which agree; the last of them is the photo itself.",
            "What the photo does not show is a guess.",
            f"It was told that the photo was taken from {elevation_deg:g} degrees above level."
            if self.kind == P
            else "It infers the photo's elevation; the views are labelled with the one that was set.",
            f"Which way round it flies, {read_settings().sv3d_sense}, is taken from its authors' code or the setting, "
            "not yet seen with its real weights.",
            "The network draws the object on white: where a white part reaches the outline, it may have been cut off.",
        ]
        if not _flies_as_asked(request):
            notes.append("It flew the path that was chosen in its options, not the cameras above.")
        elif not all(frame.exact for frame in frames):
            notes.append("It comes as near to the cameras asked for as one smooth flight round the object does.")
        if request.size_px != side_px:
            notes.append(
                f"It draws {side_px} x {side_px} px; these views of {request.size_px} px are scaled from that."
            )
        if any(view.distance != 1 for view in request.views):
            notes.append("It knows one distance only, the photo's.")
        return tuple(notes)


def _glimpse(colours: "LatentColours", latent: "Tensor", side_px: int) -> "NDArray[np.uint8]":
    from pipelines.sv3d.sampling import LATENT_SCALE

    return colours.of((latent / LATENT_SCALE).cpu().numpy(), side_px)


def _photos_view(request: Request) -> View:
    return View(0, request.subject.elevation_deg)


def _flies_as_asked(request: Request) -> bool:
    return getattr(request.options, "camera_path", PATHS[0]) == PATHS[0]


def _asks_for_the_photo(request: Request) -> bool:
    photo = _photos_view(request)
    return _flies_as_asked(request) and all(
        turn_between(view, photo) < EXACT_DEG and view.distance == 1 for view in request.views
    )


def _kept() -> FilePath:
    return read_settings().data / "models" / "sv3d"


def _sampling(options: OptionsU) -> "Sampling":
    from pipelines.sv3d.sampling import Sampling

    return Sampling(options.steps, options.guidance, options.quick)


def _at_once(sparing: bool, guided: bool) -> tuple[int, int]:
    """How many videos go through the UNet together, and frames through the decoder."""
    return (UNGUIDED, 1) if sparing else (GUIDED if guided else UNGUIDED, GPU_DECODED_AT_ONCE)


def _memory_bytes(machine: Machine, sparing: bool = False) -> int:
    videos, frames = _at_once(sparing or machine.device == "cpu", guided=True)
    working = max(videos * VIDEO_BYTES * machine.number_bytes // 2, frames * DECODING_BYTES)
    return PARAMETERS * machine.number_bytes + VAE_BYTES + OVERHEAD_BYTES + working


CITATION = """@inproceedings{voleti2024sv3d,
  title={SV3D: Novel Multi-view Synthesis and 3D Generation from a Single Image using Latent Video Diffusion},
  author={Vikram Voleti and Chun-Han Yao and Mark Boss and Adam Letts and David Pankratz and Dmitry Tochilkin and
    Christian Laforte and Robin Rombach and Varun Jampani},
  booktitle={European Conference on Computer Vision (ECCV)},
  year={2024}
}"""
NEEDS = "A GPU with 16 GB, or 8 GB when it works in smaller steps; a CPU takes hours."


class SV3DP(Family):
    kind = P
    card: ClassVar[Card] = Card(
        key="sv3d_p",
        title="SV3D",
        summary="A video model that flies once round the object: 21 views that agree, at any elevation.",
        renders=frozenset({"orbit"}),
        licence=f"Weights: {COMMUNITY}. The authors' code: MIT.",
        needs=NEEDS,
        paper="https://arxiv.org/abs/2403.12008",
        code="https://github.com/Stability-AI/generative-models",
        citation=CITATION,
        weights=(WEIGHTS[P],),
    )
    Options: ClassVar[type[Any]] = OptionsP

    def path(self, request: Request, frames: int) -> Path:
        elevation_deg, clockwise = request.subject.elevation_deg, read_settings().sv3d_clockwise
        match request.options.camera_path:
            case "level orbit":
                return level(elevation_deg, frames)
            case "sine":
                return sine(elevation_deg, frames)
            case "dynamic":
                return dynamic(elevation_deg, request.seed, frames)
        return through(request.views, elevation_deg, clockwise, frames)


class SV3DU(Family):
    kind = U
    card: ClassVar[Card] = replace(
        SV3DP.card,
        key="sv3d_u",
        title="SV3D, level",
        summary="The same, untold of cameras: one level orbit at the photo's own elevation, which it infers.",
        weights=(WEIGHTS[U],),
    )
    Options: ClassVar[type[Any]] = OptionsU

    def path(self, request: Request, frames: int) -> Path:
        return level(request.subject.elevation_deg, frames)
