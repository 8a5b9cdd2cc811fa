"""Real methods, registered in tests only: quick, slow, with geometry, or failing in every way a method can."""

import threading
import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import cv2
import numpy as np

from pipelines.core.cameras import View, angle_between, photo_distance, world_from_camera
from pipelines.core.mesh import Mesh
from pipelines.core.subject import Making, Subject
from pipelines.runtime.devices import Machine
from pipelines.runtime.method import Card, Estimate, Frame, Method, Report, Request, Turnaround, option
from pipelines.runtime.weights import Source, WeightFile, Weights


def a_subject(size_px: int = 128, color: tuple[int, int, int] = (200, 60, 40)) -> Subject:
    """A disc that fills 0.8 of the frame, a little darker on its left half."""
    y, x = np.mgrid[:size_px, :size_px] + 0.5
    rgba = np.zeros((size_px, size_px, 4), np.uint8)
    rgba[..., :3] = color
    rgba[:, : size_px // 2, :3] //= 2
    rgba[..., 3] = 255 * (np.hypot(x - size_px / 2, y - size_px / 2) < 0.4 * size_px)
    made = Making("0" * 64, (size_px, size_px), "alpha", (0, 0, size_px, size_px))
    return Subject(rgba=rgba, made=made, fill=0.8)


def some_weights(repository: str = "some/weights", revision: str = "0" * 40, licence: str = "MIT") -> Weights:
    return Weights(repository.title(), (Source(repository, revision, (WeightFile("a.safetensors", 10),), licence),))


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
    """Every view is the subject itself, no larger than was asked for: to write what nobody asked for takes long."""

    card: ClassVar[Card] = a_card("flat")
    seconds: float = 0.1

    def estimate(self, request: Request, machine: Machine) -> Estimate:
        return Estimate(self.seconds, 10**6)

    def _run(self, request: Request, report: Report) -> Turnaround:
        frames: list[Frame] = []
        picture = request.subject.rgba
        if len(picture) > request.size_px:
            picture = np.asarray(cv2.resize(picture, (request.size_px,) * 2, interpolation=cv2.INTER_AREA), np.uint8)
        for i, view in enumerate(request.views):
            report(i / len(request.views), f"View {i + 1} of {len(request.views)}", request.subject.rgba)
            frames.append(Frame(view, picture, view))
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


class Held(Flat):
    """Works until it is let go, reporting all the time; for tests of what happens meanwhile."""

    card: ClassVar[Card] = a_card("held")
    seconds: float = 0.01  # cheap: it comes before the others

    def __init__(self) -> None:
        self.begun, self.released = threading.Event(), threading.Event()

    def _run(self, request: Request, report: Report) -> Turnaround:
        self.begun.set()
        while not self.released.wait(0.01):
            report(0.5, "Held")
        return super()._run(request, report)


class Ball(Flat):
    """A ball with every longitude in its own colour, with depth and normals: each view tells where it was taken."""

    card: ClassVar[Card] = a_card("ball")

    def _run(self, request: Request, report: Report) -> Turnaround:
        frames: list[Frame] = []
        for i, (view, asked) in enumerate(self.cameras(request.views)):
            report(i / len(request.views), f"View {i + 1}")
            frames.append(a_ball(view, asked, request.size_px, request.subject.fill))
        return Turnaround(tuple(frames), notes=("A ball, whatever the photo shows.",))

    def cameras(self, views: tuple[View, ...]) -> list[tuple[View, View]]:
        """Each camera used, and the one asked for."""
        return [(view, view) for view in views]


class Fixed(Ball):
    """Has six cameras of its own, as some published methods do."""

    card: ClassVar[Card] = a_card("fixed", renders=frozenset({"fixed views"}))
    views: ClassVar[tuple[View, ...]] = tuple(View(30 + 60 * i, -10 if i % 2 else 20) for i in range(6))

    def cameras(self, views: tuple[View, ...]) -> list[tuple[View, View]]:
        return [(view, min(views, key=lambda asked: angle_between(view, asked))) for view in self.views]


def a_ball(view: View, asked: View, size_px: int, fill: float) -> Frame:
    y, x = ((np.mgrid[:size_px, :size_px] + 0.5) / size_px - 0.5) * 2 / fill
    inside = x * x + y * y < 1
    forward = -np.sqrt(np.maximum(0, 1 - x * x - y * y))
    pose = world_from_camera(view, photo_distance(fill))
    normals = np.stack([x, y, forward], axis=-1) @ pose[:3, :3].T
    longitude = np.arctan2(normals[..., 0], normals[..., 2])
    rgba = np.zeros((size_px, size_px, 4), np.uint8)
    for channel in range(3):
        rgba[..., channel] = 140 + 110 * np.cos(longitude - channel * 2 * np.pi / 3)
    rgba[..., 3] = 255 * inside
    depth = np.linalg.norm(pose[:3, 3]) + 0.5 * forward
    return Frame(
        view,
        rgba,
        asked,
        np.where(inside, depth, 0).astype(np.float32),
        np.where(inside[..., None], normals, 0).astype(np.float32),
    )


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
