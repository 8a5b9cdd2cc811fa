"""The contract between the page and any method: Card, Request in, Turnaround out, Report for progress.

Everything here is frozen, picklable and on the CPU, so that the same objects travel to another process unchanged.
"""

import dataclasses
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import FOV_DEG, MAX_VIEWS, View, checked_number, turn_between
from pipelines.core.errors import TurnaroundError
from pipelines.core.mesh import Mesh, checked_mesh
from pipelines.core.subject import Subject
from pipelines.runtime import devices, pace, weights
from pipelines.runtime.devices import Machine
from pipelines.runtime.report import Report, Sink
from pipelines.runtime.weights import Weights

__all__ = ["Report", "Sink"]  # and everything below

Capability = Literal["any view", "orbit", "fixed views", "mesh"]
SIZE_RANGE_PX = (64, 1024)
MAX_LETTERS = 300  # of an option that is text
MAX_SEED = 2**31 - 1  # what NumPy, torch and JavaScript all carry without change
# Of one request, all views together: each part legal alone is not yet legal in sum. A rendered pixel with its depth and
# normal takes 20 bytes, so this is 0.7 GB.
MAX_PIXELS = 100 * 576 * 576
EXACT_DEG = 0.01  # views nearer than this are the same view


# --- What a method says of itself -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Card:
    key: str
    """Also the name of the module or folder the method lives in."""
    title: str
    summary: str
    """One sentence for someone who has read no paper."""
    renders: frozenset[Capability]
    licence: str
    needs: str
    """One sentence: what it takes to run."""
    paper: str | None = None
    code: str | None = None
    citation: str | None = None
    """BibTeX."""
    weights: tuple[Weights, ...] = ()
    fov_deg: float = FOV_DEG
    seeded: bool = True
    """Whether another seed makes other pictures."""


@dataclass(frozen=True, slots=True)
class Estimate:
    seconds: float
    memory_bytes: int
    download_bytes: int = 0
    finish_s: float = 0.0
    """Of the seconds, those that need no device: see `Method._finish`."""
    quota_s: int = 0
    """Of a lent GPU, counted against the visitor; what lends it knows, not the method: see `Engine.borrowed_s`."""


# --- What goes in -----------------------------------------------------------------------------------------------------


def option(
    default: Any,
    label: str,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    was: str = "",
) -> Any:
    """A field of a method's options: the page, the command line and the API draw their controls from it.

    `was`: how it was called before, and is in results of then.
    """
    bounds = {"label": label, "help": help, "minimum": minimum, "maximum": maximum, "choices": choices, "was": was}
    return field(default=default, metadata=bounds)


@dataclass(frozen=True, slots=True)
class NoOptions:
    """For a method with nothing to choose."""


def options_from(options_type: type[Any], given: Mapping[str, object]) -> Any:
    """A method's options from what a person or an API caller said; each bad value is refused with a sentence.

    Values may be strings (the command line's) or already typed (JSON's).
    """
    fields = {f.name: f for f in dataclasses.fields(options_type)}
    renamed = {f.metadata["was"]: name for name, f in fields.items() if f.metadata.get("was")}
    given = {renamed.get(name, name): value for name, value in given.items()}
    unknown = [name for name in given if name not in fields]
    if unknown:
        known = ", ".join(fields) or "none"
        raise TurnaroundError(f"There is no option {str(unknown[0])[:40]!r}. This method's options: {known}.")
    return options_type(**{name: _option_value(fields[name], value) for name, value in given.items()})


def _option_value(spec: dataclasses.Field[Any], value: object) -> object:
    label = str(spec.metadata.get("label", spec.name))
    choices = spec.metadata.get("choices", ())
    if choices:
        if not isinstance(value, str) or value not in choices:
            raise TurnaroundError(f"{label} must be one of: {', '.join(choices)}.")
        return value
    if isinstance(spec.default, bool):
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if not isinstance(value, bool):
            raise TurnaroundError(f"{label} must be true or false.")
        return value
    if isinstance(spec.default, (int, float)):
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise TurnaroundError(f"{label} must be a number.") from None
        number = checked_number(label, value)
        low, high = spec.metadata.get("minimum"), spec.metadata.get("maximum")
        if (low is not None and number < low) or (high is not None and number > high):
            raise TurnaroundError(f"{label} must lie between {low:g} and {high:g}, not {number:g}.")
        if isinstance(spec.default, int):
            if number != int(number):
                raise TurnaroundError(f"{label} must be a whole number, not {number:g}.")
            return int(number)
        return number
    if not isinstance(value, str):
        raise TurnaroundError(f"{label} must be text.")
    if len(value) > MAX_LETTERS:
        raise TurnaroundError(f"{label} may have at most {MAX_LETTERS} letters, not {len(value)}.")
    return value


@dataclass(frozen=True, eq=False)
class Request:
    subject: Subject
    views: tuple[View, ...]
    seed: int = 0
    options: Any = None
    """The method's own frozen options; `None` means its defaults."""
    size_px: int = 576
    """Side of the square frames wanted; a method trained at another size says so in its notes."""

    def __post_init__(self) -> None:
        if not isinstance(self.views, tuple) or not all(isinstance(view, View) for view in self.views):
            raise TurnaroundError("The views must be a list of cameras.")
        if not 1 <= len(self.views) <= MAX_VIEWS:
            raise TurnaroundError(f"Ask for between 1 and {MAX_VIEWS} views; {len(self.views)} were asked.")
        for name, value, (low, high) in (
            ("The seed", self.seed, (0, MAX_SEED)),
            ("The size", self.size_px, SIZE_RANGE_PX),
        ):
            number = checked_number(name, value)
            if number != int(number) or not low <= number <= high:
                raise TurnaroundError(f"{name} must be a whole number between {low} and {high}, not {number:.12g}.")
        object.__setattr__(self, "seed", int(self.seed))
        object.__setattr__(self, "size_px", int(self.size_px))
        if len(self.views) * self.size_px**2 > MAX_PIXELS:
            most = MAX_PIXELS // self.size_px**2
            raise TurnaroundError(
                f"{len(self.views)} views of {self.size_px} px are more than one run may make. "
                f"Ask for at most {most} views at this size, or for smaller ones."
            )


# --- What comes out ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Frame:
    view: View
    """The camera really used."""
    rgba: NDArray[np.uint8]
    """[H, W, 4], straight alpha."""
    asked: View
    """The camera asked for; another than `view` where a method has only fixed views."""
    depth: NDArray[np.float32] | None = None
    """[H, W], along the camera's z in world units; 0 where nothing is."""
    normals: NDArray[np.float32] | None = None
    """[H, W, 3], world axes."""
    confidence: NDArray[np.uint8] | None = None
    """[H, W]: 255 where the photo's own pixels are, 0 where all is invented; of methods that know."""

    @property
    def exact(self) -> bool:
        return turn_between(self.view, self.asked) < EXACT_DEG and math.isclose(
            self.view.distance, self.asked.distance, rel_tol=1e-6
        )


@dataclass(frozen=True)
class Provenance:
    """What made a turnaround, enough to make it again."""

    method: str
    seed: int
    options: dict[str, Any]
    weights: dict[str, str]
    """Repository to revision."""
    versions: dict[str, str]
    device: str


@dataclass(frozen=True, eq=False)
class Turnaround:
    frames: tuple[Frame, ...]
    mesh: Mesh | None = None
    fov_deg: float | None = None
    """The lens of the frames, where it is not the card's."""
    notes: tuple[str, ...] = ()
    """Said beside the result: "the back is a guess"."""
    seconds: float = 0.0
    stage_seconds: dict[str, float] = field(default_factory=dict)
    peak_memory_bytes: int = 0
    provenance: Provenance | None = None
    """Always there once `Method.__call__` has returned it."""


# --- The method itself ------------------------------------------------------------------------------------------------


class Method(ABC):
    """A published method. A subclass states its card and options, and writes `_run`, `blockers` and `estimate`."""

    card: ClassVar[Card]
    Options: ClassVar[type[Any]] = NoOptions

    def blockers(self, machine: Machine) -> tuple[str, ...]:
        """Every reason why it cannot run here, in words; empty when it can. Cheap: loads nothing, opens nothing."""
        return ()

    @abstractmethod
    def estimate(self, request: Request, machine: Machine) -> Estimate: ...

    def weights_for(self, options: Any) -> tuple[Weights, ...]:
        """The weights that a run with these options needs."""
        return self.card.weights

    def card_for(self, options: Any) -> Card:
        """The card of a run with these options: what that did not use is not to be credited, nor its licence feared."""
        return dataclasses.replace(self.card, weights=self.weights_for(self.Options() if options is None else options))

    def fetch(self, request: Request, report: Report) -> None:
        """Everything from elsewhere that a run needs, here and verified; quick when it is here already."""
        needed = self.weights_for(self._options(request))
        weights.check_room_for(needed)
        weights.check_gates(needed, report)
        for each in needed:
            weights.fetch(each, report)

    def warm(self, report: Report) -> None:  # noqa: B027  # most methods load nothing
        """The model of a run with default options into memory, where it stays as any other; its weights are here. For
        whoever prepares a server; nothing happens where a method does not say how.
        """

    compiles: ClassVar[bool] = False

    def compile_ahead(self, report: Report) -> tuple[str, ...]:
        """Its networks compiled for this machine, where that pays: what came of it, in words. Most have nothing to."""
        return ()

    @abstractmethod
    def _run(self, request: Request, report: Report) -> Turnaround:
        """The recipe. `request.options` is always an instance of `Options`, and the weights are here: `located`."""

    def _finish(self, made: Turnaround, request: Request, report: Report) -> Turnaround:
        """What is left to do of what `_run` made, and needs no device, as drawing a mesh does not: a lent GPU is given
        back before. Most methods have nothing left.
        """
        return made

    @final
    def __call__(self, request: Request, report: Report) -> Turnaround:
        return self.finish(self.begin(request, report), request, report)

    @final
    def begin(self, request: Request, report: Report) -> Turnaround:
        """The part of a run that needs the device. What comes of it is for `finish`, here or in another process."""
        request = dataclasses.replace(request, options=self._options(request))
        report(0.0, f"Looking for what {self.card.title} needs")
        with report.stage("fetch"):
            self.fetch(request, report)
        report(0.0, f"{self.card.title} starts")  # a download had a bar of its own
        start, memory = time.perf_counter(), devices.PeakMemory()
        made = self._run(request, report)
        on_gpu = report.place is not None and report.place.device.type != "cpu"
        return dataclasses.replace(
            made,
            seconds=time.perf_counter() - start,
            stage_seconds=dict(report.stage_seconds),
            peak_memory_bytes=made.peak_memory_bytes or memory.bytes(on_gpu),
            provenance=made.provenance or self._provenance(request, report.place.name if report.place else "cpu"),
        )

    @final
    def finish(self, made: Turnaround, request: Request, report: Report) -> Turnaround:
        request = dataclasses.replace(request, options=self._options(request))
        start = time.perf_counter()
        # Where the model worked in this process's own memory, this part counts, too
        same_memory = report.place is not None and report.place.device.type == "cpu"
        memory = devices.PeakMemory() if same_memory else None
        made = self._finish(made, request, report)
        _check_turnaround(made, request, self.card)
        return dataclasses.replace(
            made,
            peak_memory_bytes=max(made.peak_memory_bytes, memory.bytes() if memory else 0),
            notes=(*made.notes, *self._notices(request)),
            seconds=made.seconds + time.perf_counter() - start,
            stage_seconds={**made.stage_seconds, **report.stage_seconds},
        )

    def cut_short(self, request: Request, told: Report, why: str, seconds: float) -> Turnaround | None:
        """What was done of a run that something else has ended; None if that is nothing to be shown."""
        if not told.finished:
            return None
        request = dataclasses.replace(request, options=self._options(request))
        note = f"Only {len(told.finished)} of {len(request.views)} views were done when {why}. Run it again for all."
        return Turnaround(
            tuple(told.finished),
            fov_deg=told.fov_deg,
            notes=(note, *self._notices(request)),
            seconds=seconds,
            provenance=self._provenance(request, pace.ELSEWHERE),
        )

    def _options(self, request: Request) -> Any:
        options = self.Options() if request.options is None else request.options
        if not isinstance(options, self.Options):
            raise TurnaroundError(f"These options are not {self.card.title}'s.")
        return options

    def _notices(self, request: Request) -> list[str]:
        """Where the weights are from, if it is not where the card says first."""
        used = [(needed, weights.located(needed)) for needed in self.weights_for(request.options)]
        return [said for needed, found in used if found and (said := weights.notice(needed, found))]

    def _provenance(self, request: Request, device: str) -> Provenance:
        used = [weights.located(needed) for needed in self.weights_for(request.options)]
        return Provenance(
            method=self.card.key,
            seed=request.seed,
            options=dataclasses.asdict(request.options),
            weights={each.source.repository: each.revision for each in used if each},
            versions=devices.versions(),
            device=device,
        )


def _check_turnaround(made: Turnaround, request: Request, card: Card) -> None:
    """A method that breaks its promise is a failure with words, never a broken result with a link."""
    again = f"{card.title} returned an unusable result. Try another seed or photo; the others are not affected."
    if not made.frames and made.mesh is None:
        raise TurnaroundError(again)
    for frame in made.frames:
        size = made.frames[0].rgba.shape[:2]
        shapes = (
            (frame.rgba, (*size, 4)),
            (frame.depth, size),
            (frame.normals, (*size, 3)),
            (frame.confidence, size),
        )
        if frame.rgba.dtype != np.uint8 or any(
            values is not None and values.shape != shape for values, shape in shapes
        ):
            raise TurnaroundError(again)
        if not all(np.isfinite(values).all() for values in (frame.depth, frame.normals) if values is not None):
            raise TurnaroundError(again)
        if "any view" in card.renders and not frame.exact:
            raise TurnaroundError(again)
    asked = [frame.asked for frame in made.frames]
    if "any view" in card.renders and asked != list(request.views):
        raise TurnaroundError(again)
    # One orbit may have cameras of its own
    if "orbit" in card.renders and not (asked and set(asked) <= set(request.views)):
        raise TurnaroundError(again)
    if made.mesh is not None:
        try:
            checked_mesh(made.mesh)
        except TurnaroundError as problem:
            raise TurnaroundError(again) from problem


def describe(method: Method, machine: Machine) -> dict[str, Any]:
    """A method as plain JSON: the card, its options, and what stands in its way here."""
    card = dataclasses.asdict(method.card) | {"weights": [_described(needed) for needed in method.card.weights]}
    options = {f.name: {"default": f.default, **f.metadata} for f in dataclasses.fields(method.Options)}
    return {**card, "renders": sorted(method.card.renders), "options": options, "blockers": method.blockers(machine)}


def _described(needed: Weights) -> dict[str, Any]:
    return {
        "name": needed.name,
        "missing_bytes": weights.missing_bytes(needed),
        "sources": [
            {
                "repository": source.repository,
                "revision": source.revision,
                "pinned": source.pinned,
                "licence": source.licence,
                "gated": source.gated,
                "size_bytes": source.size_bytes,
            }
            for source in needed.sources
        ],
    }
