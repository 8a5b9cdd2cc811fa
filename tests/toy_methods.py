"""Real methods, registered in tests only: quick, slow, or failing in every way a method can."""

import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from pipelines.core.mesh import Mesh
from pipelines.core.subject import Making, Subject
from pipelines.runtime.devices import Machine
from pipelines.runtime.method import Card, Estimate, Frame, Method, Report, Request, Turnaround, option


def a_subject(size_px: int = 128, color: tuple[int, int, int] = (200, 60, 40)) -> Subject:
    """A disc that fills 0.8 of the frame, a little darker on its left half."""
    y, x = np.mgrid[:size_px, :size_px] + 0.5
    rgba = np.zeros((size_px, size_px, 4), np.uint8)
    rgba[..., :3] = color
    rgba[:, : size_px // 2, :3] //= 2
    rgba[..., 3] = 255 * (np.hypot(x - size_px / 2, y - size_px / 2) < 0.4 * size_px)
    made = Making("0" * 64, (size_px, size_px), "alpha", (0, 0, size_px, size_px))
    return Subject(rgba=rgba, made=made, fill=0.8)


def a_card(key: str, **changes: Any) -> Card:
    card = Card(
        key=key,
        title=key.capitalize(),
        summary="A method for tests.",
        renders=frozenset({"any view", "orbit"}),
        licence="Apache-2.0",
        needs="Nothing.",
    )
    return replace(card, **changes)


class Flat(Method):
    """Every view is the subject itself."""

    card: ClassVar[Card] = a_card("flat")
    seconds: float = 0.1

    def estimate(self, request: Request, machine: Machine) -> Estimate:
        return Estimate(self.seconds, 10**6)

    def _run(self, request: Request, report: Report) -> Turnaround:
        frames: list[Frame] = []
        for i, view in enumerate(request.views):
            report(i / len(request.views), f"View {i + 1} of {len(request.views)}", request.subject.rgba)
            frames.append(Frame(view, request.subject.rgba, view))
        return Turnaround(tuple(frames), notes=("Flat as a photo.",))


@dataclass(frozen=True, slots=True)
class SlowOptions:
    steps: int = option(50, "Steps", "How long it takes, in tenths of a second.", minimum=1, maximum=1000)


class Slow(Flat):
    """Works in steps of a tenth of a second, and knows how many of its kind run at once."""

    card: ClassVar[Card] = a_card("slow")
    Options: ClassVar[type[Any]] = SlowOptions
    seconds: float = 5.0
    step_s: float = 0.1

    def __init__(self) -> None:
        self.running = 0
        self.most_at_once = 0
        self.steps_made = 0

    def _run(self, request: Request, report: Report) -> Turnaround:
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            for step in range(request.options.steps):
                report((step + 1) / (request.options.steps + 1), f"Step {step + 1}", request.subject.rgba)
                time.sleep(self.step_s)
                self.steps_made += 1
            return super()._run(request, report)
        finally:
            self.running -= 1


class Raises(Flat):
    """Raises whatever it was made with, in the middle of its work."""

    card: ClassVar[Card] = a_card("raises")

    def __init__(self, problem: BaseException) -> None:
        self.problem = problem

    def _run(self, request: Request, report: Report) -> Turnaround:
        report(0.5, "About to fail")
        raise self.problem


class Blocked(Flat):
    card: ClassVar[Card] = a_card("blocked")

    def blockers(self, machine: Machine) -> tuple[str, ...]:
        return ("It needs a machine that is not this one.",)


class Returns(Flat):
    """Returns whatever it was made with, however broken."""

    card: ClassVar[Card] = a_card("returns", renders=frozenset({"mesh"}))

    def __init__(self, made: Turnaround) -> None:
        self.made = made

    def _run(self, request: Request, report: Report) -> Turnaround:
        return self.made


def a_nan_mesh() -> Mesh:
    vertices = np.zeros((3, 3), np.float32)
    vertices[1, 0] = np.nan
    return Mesh(vertices, np.array([[0, 1, 2]], np.int32))
