"""iNVS: the photo's own pixels are moved to where another camera sees them, and the rest is painted in.

Kant, Siarohin, Vasilkovsky, Guler, Ren, Tulyakov and Gilitschenski, "iNVS: Repurposing Diffusion Inpainters for Novel
View Synthesis", SIGGRAPH Asia 2023. Its authors released neither code nor weights: this is the method by its paper's
abstract and talk, with a stock inpainter unless a fine-tuned one is given, which the notes say.

1. `depth.py`, `relief.py`: how far away each pixel of the photo is.
2. `partial.py`: where the target camera sees those pixels, and where there may be more of the object.
3. `painting.py`, `inpainting.py`: what is missing.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import View, angle_between, photo_distance
from pipelines.invs.relief import USUAL_PIVOT
from pipelines.invs.sources import DEPTH_ANYTHING, INPAINTER, ZOEDEPTH
from pipelines.runtime import weights
from pipelines.runtime.memory import give_back
from pipelines.runtime.method import Card, Estimate, Frame, Machine, Method, Report, Request, Turnaround, option
from pipelines.runtime.pace import load_s, memory_bytes, pace_s
from pipelines.runtime.residency import Thrift, chosen_place, loaded_bytes, resident, thriftily, torch_blockers
from pipelines.runtime.telling import Telling, listening
from pipelines.runtime.weights import Weights

if TYPE_CHECKING:
    from pipelines.core.raster import Renderer
    from pipelines.core.warp import Sheet
    from pipelines.invs.loading import DepthNetwork, Inpainter
    from pipelines.invs.painting import Measure
    from pipelines.invs.partial import Partial

ZOE, ANYTHING, INFLATED = "ZoeDepth", "Depth Anything", "inflated outline"
OWN, OWN_NEAR = "your own depth", "your own disparity"
PAINTED, WARPED = "inpainter", "warp only"
NETWORKS = {ZOE: ZOEDEPTH, ANYTHING: DEPTH_ANYTHING}

LICENCES = {
    INPAINTER: "CreativeML OpenRAIL-M (inpainter)",
    ZOEDEPTH: "MIT (ZoeDepth)",
    DEPTH_ANYTHING: "Apache-2.0 (Depth Anything)",
}

STOCK_REACH_DEG = 30.0  # specs/invs.md, section 8
PARAMETERS, VAE_BYTES = 860_000_000 + 123_000_000, 335_000_000  # of Stable Diffusion 1.5: UNet and text encoder
DEPTH_PARAMETERS = {ZOE: 345_000_000, ANYTHING: 25_000_000}
# Of a view in the UNet, guided, and in the decoder; of warping a view; of torch itself: reckoned, not measured
VIEW_BYTES, DECODING_BYTES, WARP_BYTES, OVERHEAD_BYTES = 700_000_000, 1_300_000_000, 500_000_000, 900_000_000
PIXEL_BYTES = 12  # of each view until all are done: what the photo shows of it, and the finished one
GPU_AT_ONCE, CPU_AT_ONCE = 4, 1
FLIPS = 2  # of the photo, that a depth network sees together
GIVE_BACK_EVERY = 8  # views: it takes as long as half a view
# Until runs here have told: a pass of one view through the UNet, warping a view, and measuring the depth of one
GPU_PASS_S, CPU_CORE_PASS_S, WARP_S, DEPTH_S = 0.03, 8.0, 0.5, 3.0
GPU_LOAD_S, CPU_LOAD_S = 8.0, 12.0
MEASURED, WARPED_SHARE = 0.05, 0.15  # of the progress


@dataclass(frozen=True, slots=True)
class Options:
    fill: str = option(
        PAINTED,
        "What is hidden",
        "inpainter: a diffusion model paints it in; warp only: the colours around it are spread there, as far as the "
        "blown-up outline reaches. That needs no GPU and, with the inflated outline, no download",
        choices=(PAINTED, WARPED),
    )
    depth: str = option(
        ZOE,
        "Depth",
        "Where each pixel lies: ZoeDepth, as its authors do; Depth Anything V2, smaller; the outline blown up, as "
        "Inflate does, without a network; or what you brought along with the photo, in which larger is farther (depth) "
        "or nearer (disparity), in proportion, and 0 is unknown",
        choices=(ZOE, ANYTHING, INFLATED, OWN, OWN_NEAR),
    )
    relief: float = option(
        1.0, "Relief", "How strong the relief is: 0 is flat, 1 as it is told", minimum=0.0, maximum=2.0
    )
    pivot: float = option(
        USUAL_PIVOT,
        "Turning axis",
        "How deep inside it runs, but for the inflated outline: 0 turns it about its front, 0.35 suits most, 0.5 a box",
        minimum=0.0,
        maximum=1.0,
    )
    neighbours: bool = option(
        True,
        "Neighbours agree",
        "Views are painted outwards from the photo, and each is shown what was painted for those before it on its "
        "side and, behind the object, on the other",
    )
    hold: bool = option(
        False,
        "Hold on to what is known",
        "The inpainter is handed the known parts anew after each of its steps, so what it paints fits them more "
        "tightly; seams may show more",
    )
    prompt: str = option(
        "",
        "Prompt",
        'What the object is, in a few English words, as "a red mug": a stock inpainter is then asked for "photo of a '
        'red mug on white background", and without them for "photo of an object"; a fine-tuned one for just the words',
    )
    steps: int = option(50, "Steps", "Denoising steps", minimum=10, maximum=100)
    guidance: float = option(
        5.0,
        "Guidance",
        "How closely it follows the prompt or, fine-tuned, what is there; 1 is quickest",
        minimum=1.0,
        maximum=10.0,
    )


def _licence(used: tuple[Weights, ...]) -> str:
    if not used:
        return "Apache-2.0"
    return f"Apache-2.0. Weights: {', '.join(LICENCES[each] for each in used)}."


class INVS(Method):
    card: ClassVar[Card] = Card(
        key="invs",
        title="iNVS",
        summary="Moves the photo's own pixels to the new camera, so text stays sharp, and paints only what is missing.",
        renders=frozenset({"any view", "orbit"}),
        licence=_licence(tuple(LICENCES)),
        needs="A GPU with 6 GB, or patience; as warp only, any machine.",
        paper="https://arxiv.org/abs/2310.16167",
        citation="""@inproceedings{kant2023invs,
  title={iNVS: Repurposing Diffusion Inpainters for Novel View Synthesis},
  author={Yash Kant and Aliaksandr Siarohin and Michael Vasilkovsky and Riza Alp Guler and Jian Ren and
    Sergey Tulyakov and Igor Gilitschenski},
  booktitle={SIGGRAPH Asia Conference Papers},
  year={2023}
}""",
        weights=(INPAINTER, ZOEDEPTH, DEPTH_ANYTHING),
    )
    Options: ClassVar[type[Any]] = Options

    def weights_for(self, options: Any) -> tuple[Weights, ...]:
        painter = (INPAINTER,) if options.fill == PAINTED else ()
        return (*painter, *(NETWORKS[name] for name in NETWORKS if name == options.depth))

    def card_for(self, options: Any) -> Card:
        options = options or self.Options()
        card = super().card_for(options)
        return replace(card, licence=_licence(card.weights), seeded=options.fill == PAINTED)

    def blockers(self, machine: Machine) -> tuple[str, ...]:
        return torch_blockers(machine, OVERHEAD_BYTES + WARP_BYTES)  # whatever else it is asked for needs more

    def estimate(self, request: Request, machine: Machine) -> Estimate:
        options, key, count = request.options or self.Options(), self.card.key, len(request.views)
        missing = sum(weights.missing_bytes(each) for each in self.weights_for(options))
        measured = count if options.fill == PAINTED and options.neighbours and count > 1 else 0  # and the photo
        fixed_s = WARP_S * count + (DEPTH_S * (1 + measured) if options.depth in NETWORKS else 0)
        depth_bytes = 4 * DEPTH_PARAMETERS.get(options.depth, 0)
        # Views are kept where the processor has its memory, which is a graphics card's only where they share it
        kept_bytes = 0 if machine.device == "cuda" else PIXEL_BYTES * count * request.size_px**2
        if options.fill == WARPED:
            return Estimate(fixed_s, OVERHEAD_BYTES + WARP_BYTES + depth_bytes + kept_bytes, missing)
        slow = machine.device == "cpu"
        pass_s = machine.takes_s(CPU_CORE_PASS_S, GPU_PASS_S)
        loading_s = load_s(machine, key, CPU_LOAD_S if slow else GPU_LOAD_S, self.weights_for(options))
        passes = 2 if options.guidance > 1 else 1
        seconds = fixed_s + loading_s + pace_s(machine, key, passes * count * options.steps, pass_s)
        own_bytes = _memory_bytes(machine, count) + depth_bytes + kept_bytes
        return Estimate(seconds, memory_bytes(machine, key, own_bytes), missing)

    def warm(self, report: Report) -> None:
        with self._network(self.Options().depth, report):
            pass
        with self._inpainter(report.check, report):
            pass

    def _run(self, request: Request, report: Report) -> Turnaround:
        from pipelines.invs.partial import photo_sheet

        options, tell = request.options, Telling(report, "Looking at the photo")
        tell(0.0, "Looking at the photo")
        with listening(tell.still):
            # 1. How far away everything is
            depth = self._depth(request, tell, report)
            tell(MEASURED, "Its depth is known", _depth_picture(depth))
            # 2. What the photo shows of each view
            report.place = chosen_place(or_processor=options.fill == WARPED)  # also where no network works
            sheet = photo_sheet(request.subject, depth, request.size_px, report.place.device)
            seen = self._seen(request, sheet, depth, tell, report)
            # 3. What it does not show
            if options.fill == PAINTED:
                frames, notes = self._painted(request, depth, seen, tell, report)
            else:
                frames, notes = self._filled(request, depth, seen, tell, report)
        elevation_deg = request.subject.elevation_deg
        told = f"It was told that the photo was taken from {elevation_deg:g} degrees above level."
        return Turnaround(frames, notes=(*notes, told, *_depth_notes(request, depth)))

    def _seen(
        self, request: Request, sheet: "Sheet", depth: NDArray[np.float32], tell: Telling, report: Report
    ) -> "list[Partial]":
        """What the photo shows of each view, as it comes."""
        from pipelines.invs.partial import partials, tinted

        device, total, seen = sheet.points.device, len(request.views), list["Partial"]()
        at_once, paints = GPU_AT_ONCE if device.type == "cuda" else CPU_AT_ONCE, request.options.fill == PAINTED
        while some := request.views[len(seen) : len(seen) + at_once]:
            with report.stage("warp"):
                made = partials([sheet], request.subject, depth, some, request.size_px, device)
            for partial in made:
                seen.append(replace(partial, depth=None))  # all views are kept, so little of each
                number, share = len(seen), MEASURED + (WARPED_SHARE - MEASURED) * len(seen) / total
                if paints:
                    said = f"View {number} of {total}: what the photo shows; what is orange is to be painted"
                    tell(share, said, tinted(partial))
                else:
                    tell(share, f"View {number} of {total}: what the photo shows", partial.rgba)
            if len(seen) % GIVE_BACK_EVERY == 0:
                give_back()  # the work's memory, freed in pieces between what is kept: 8 MB a view would pile up
        return seen

    def _depth(self, request: Request, tell: Telling, report: Report) -> NDArray[np.float32]:
        """[D, D] along the photo camera's z, in world units."""
        from pipelines.core.backdrop import reframed
        from pipelines.invs.depth import PX, inflated_depth, own_depth, told_by
        from pipelines.invs.relief import relief

        options, subject = request.options, request.subject
        with report.stage("depth"):
            if options.depth == INFLATED:
                return inflated_depth(subject, options.relief)
            if options.depth in (OWN, OWN_NEAR):
                alpha, distance = reframed(subject.rgba, 1.0, PX)[..., 3], photo_distance(subject.fill)
                own = own_depth(subject, nearer_is_larger=options.depth == OWN_NEAR)
                return relief(own, alpha, distance, options.relief, options.pivot, guessed=False)
            tell(0.0, f"Measuring its depth with {options.depth}")
            with self._network(options.depth, report) as network:

                def look(thrift: Thrift) -> NDArray[np.float32]:
                    return told_by(network, subject, options.relief, options.pivot, at_once=thrift.at_once)

                depth, _ = thriftily(look, FLIPS, report, tiling=False)
                return depth

    def _measure(self, request: Request, depth: NDArray[np.float32], report: Report) -> "Measure":
        """The depth of a painted view: by the photo's network, else that of the solid."""
        from pipelines.core.backdrop import opaque, reframed
        from pipelines.invs.depth import PX, metres
        from pipelines.invs.partial import resized

        name, subject = request.options.depth, request.subject
        if name not in NETWORKS:
            solid, distance = _solid(request, depth), photo_distance(subject.fill)
            return lambda view, rgb: solid.render(view, distance, PX, supersample=1).depth

        def measured(view: View, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
            with self._network(name, report) as network:
                picture = reframed(opaque(rgb), 1.0, PX)[..., :3]
                there, _ = thriftily(
                    lambda thrift: metres(network, picture, thrift.at_once), FLIPS, report, tiling=False
                )
                return resized(there, len(rgb))

        return measured

    def _inpainter(self, check: Callable[[], None], report: Report) -> AbstractContextManager["Inpainter"]:
        from pipelines.invs.loading import load_inpainter

        found = weights.needed(INPAINTER)
        size_bytes, key = loaded_bytes(found, PARAMETERS, VAE_BYTES), f"invs {found.folder}"
        return resident(key, lambda place: load_inpainter(found, place, check), size_bytes, report)

    def _network(self, name: str, report: Report) -> AbstractContextManager["DepthNetwork"]:
        from pipelines.invs.loading import load_depth

        found = weights.needed(NETWORKS[name])
        size_bytes = loaded_bytes(found, 0, 4 * DEPTH_PARAMETERS[name])
        return resident(
            f"invs {found.folder}",
            lambda place: load_depth(found, name == ZOE, place, report.check),
            size_bytes,
            report,
        )

    def _filled(
        self, request: Request, depth: NDArray[np.float32], seen: "list[Partial]", tell: Telling, report: Report
    ) -> tuple[tuple[Frame, ...], tuple[str, ...]]:
        from pipelines.invs.partial import filled, mean_colour

        solid, distance, frames = _solid(request, depth), photo_distance(request.subject.fill), list[Frame]()
        colour = mean_colour(request.subject)
        for view, partial in zip(request.views, seen, strict=True):
            with report.stage("fill"):
                outline = solid.render(view, distance, request.size_px).rgba[..., 3] / np.float32(255)
                rgba = filled(partial, outline, colour)
            frames.append(Frame(view, rgba, view, confidence=255 * partial.seen.astype(np.uint8)))
            share = WARPED_SHARE + (1 - WARPED_SHARE) * len(frames) / len(seen)
            tell(share, f"View {len(frames)} of {len(seen)} is done", rgba)
        note = (
            "No inpainter was used: where the photo does not show the object, the colours around were spread, as far "
            "as the outline reaches when it is blown up."
        )
        return tuple(frames), (note,)

    def _painted(
        self,
        request: Request,
        depth: NDArray[np.float32],
        seen: "list[Partial]",
        tell: Telling,
        report: Report,
    ) -> tuple[tuple[Frame, ...], tuple[str, ...]]:
        from pipelines.invs.painting import Painting, shown_whole

        done = shown_whole(request.views, seen)
        if len(done) == len(seen):
            return tuple(done.values()), ("All that is seen of it is the photo's own.",)
        tell(WARPED_SHARE, "Loading the inpainter")
        with self._inpainter(tell.still, report) as parts:
            several = request.options.neighbours and len(seen) > 1
            measure = self._measure(request, depth, report) if several else None
            painting = Painting(parts, request, depth, seen, measure, tell, report, done)
            at_once = GPU_AT_ONCE if parts.place.device.type == "cuda" else CPU_AT_ONCE
            _, thrifty = thriftily(painting.go_on, min(at_once, len(seen)), report, tiling=False)
            fine_tuned, prompt = parts.fine_tuned, painting.sampling.prompt
        photo = View(0, request.subject.elevation_deg)
        farthest = max(angle_between(view, photo) for view in request.views)
        if fine_tuned:
            said = "What the photo does not show was painted by an inpainter that was fine-tuned for this."
        elif farthest > STOCK_REACH_DEG:
            said = (
                "No weights of its authors' were published: a stock inpainter painted what the photo does not show, "
                f"and further round than about {STOCK_REACH_DEG:g} degrees it is guessing."
            )
        else:
            said = "No weights of its authors' were published: a stock inpainter painted what the photo does not show."
        asked = (f'The inpainter was asked for "{prompt}".',) if prompt else ()
        matte = (
            "The inpainter draws on white: where a white part that it made up reaches the outline, it may have been "
            "cut off, and a gap inside, as of a handle, stays white."
        )
        return painting.frames, (said, *asked, matte, *thrifty)


def _solid(request: Request, depth: NDArray[np.float32]) -> "Renderer":
    """What the object is taken for where the photo does not show it."""
    from pipelines.invs.depth import backed, inflated

    options, subject = request.options, request.subject
    return inflated(subject, options.relief) if options.depth == INFLATED else backed(subject, depth)


def _depth_picture(depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Near is bright, [D, D, 4]."""
    inside = depth > 0
    if not inside.any():
        return np.zeros((*depth.shape, 4), np.uint8)
    near, far = float(depth[inside].min()), float(depth[inside].max())
    grey = np.where(inside, 255 - 200 * (depth - near) / max(far - near, 1e-6), 0)
    return np.dstack([grey, grey, grey, 255 * inside]).astype(np.uint8)


def _depth_notes(request: Request, depth: NDArray[np.float32]) -> list[str]:
    from pipelines.invs.relief import is_cut_off

    options, notes = request.options, list[str]()
    if options.depth == INFLATED:
        notes.append("Its depth is a guess from the outline, as Inflate makes it: no network has looked at the photo.")
    elif options.depth in NETWORKS:
        notes.append(f"{options.depth} told its depth; where that is wrong, what is moved is out of place.")
    else:
        larger = "farther" if options.depth == OWN else "nearer"
        notes.append(f"Its depth came with the photo; larger was read as {larger}.")
        if is_cut_off(depth):
            notes.append(
                "Much of that depth reaches further than an object does, and was held back: perhaps it was stretched, "
                "or the other way round. Try less relief."
            )
        if options.fill == PAINTED and options.neighbours and len(request.views) > 1:
            notes.append("What was painted got its depth from the outline, as Inflate makes it.")
    if request.subject.depth is not None and options.depth not in (OWN, OWN_NEAR):
        notes.append("The depth that came with the photo was not used; it is one of the choices of Depth.")
    return notes


def _memory_bytes(machine: Machine, views: int) -> int:
    on_cpu = machine.device == "cpu"
    together = min(views, CPU_AT_ONCE if on_cpu else GPU_AT_ONCE)
    working = max(together * VIEW_BYTES * machine.number_bytes // 2, DECODING_BYTES)
    return PARAMETERS * machine.number_bytes + VAE_BYTES + OVERHEAD_BYTES + working
