"""A page with nothing but the wall on it, behind the real rooms and the real Gradio, in the test's own process."""

import colorsys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr
import numpy as np
import uvicorn
from fastapi import FastAPI
from numpy.typing import NDArray

from pipelines.core.cameras import View, angle_between, orbit
from pipelines.core.subject import Subject
from pipelines.inflate import Inflate
from pipelines.runtime.archive import Archive
from pipelines.runtime.engine import InProcessEngine
from pipelines.runtime.intake import Intake
from pipelines.runtime.job import Job
from pipelines.runtime.jobs import Jobs
from pipelines.runtime.method import Card, Frame, Method, Report, Request, Turnaround
from pipelines.runtime.settings import Settings
from tests.toy_methods import Flat, a_card, a_subject
from tests.ui.hostile.server import free_port
from tests.ui.house import MARKUP
from ui.files import result_routes
from ui.look import ASSETS
from ui.studio import Studio
from ui.wall import Wall
from ui.words import i18n

WAIT_S = 60.0
FIXED = tuple(View(azimuth, elevation) for azimuth, elevation in zip(range(30, 360, 60), (20, -10) * 3, strict=True))
EVENTS = ("again", "stop", "taken", "forget", "adopt", "view", "busy", "idle")


class Dial(Flat):
    """A disc whose colour tells the azimuth, and how bright it is the elevation."""

    card: ClassVar[Card] = a_card("dial", citation="@misc{dial}", licence="CC-BY-4.0")

    def _run(self, request: Request, report: Report) -> Turnaround:
        return Turnaround(tuple(Frame(view, dial(view, request.size_px), view) for view in request.views))


class Sixfold(Flat):
    """Six fixed views, of which the nearest answers when one is asked for."""

    card: ClassVar[Card] = a_card("sixfold", renders=frozenset({"fixed views"}))

    def _run(self, request: Request, report: Report) -> Turnaround:
        views = FIXED if len(request.views) > 1 else [min(FIXED, key=lambda v: angle_between(v, request.views[0]))]
        asked = request.views[0] if len(request.views) == 1 else None
        return Turnaround(tuple(Frame(view, dial(view, request.size_px), asked or view) for view in views))


class Gate(Flat):
    """Goes on when it is told to, a step at a time."""

    card: ClassVar[Card] = a_card("gate")

    def __init__(self) -> None:
        self.open = threading.Event()
        self.fails = False

    def _run(self, request: Request, report: Report) -> Turnaround:
        step = 0
        while not self.open.wait(0.1):
            step = min(step + 1, 5)
            report(step / 10, f"Step {step} {MARKUP}", request.subject.rgba)
        if self.fails:
            raise ValueError("its author forgot something")
        return super()._run(request, report)


class Rude(Flat):
    """Says things that a page must show and never run."""

    card: ClassVar[Card] = a_card("rude", title=MARKUP, licence=MARKUP, citation=MARKUP, paper="javascript:alert(1)")

    def _run(self, request: Request, report: Report) -> Turnaround:
        return replace(super()._run(request, report), notes=(MARKUP,))


def hue(view: View) -> tuple[int, int, int]:
    value = 0.55 + 0.45 * (view.elevation_deg + 90) / 180
    red, green, blue = colorsys.hsv_to_rgb(view.azimuth_deg % 360 / 360, 0.9, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def dial(view: View, size_px: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:size_px, :size_px] + 0.5
    rgba = np.zeros((size_px, size_px, 4), np.uint8)
    rgba[..., :3] = hue(view)
    rgba[..., 3] = 255 * (np.hypot(x - size_px / 2, y - size_px / 2) < 0.4 * size_px)
    return rgba


@dataclass
class WallHouse:
    studio: Studio
    port: int
    gate: Gate
    dial: Method
    sixfold: Method
    inflate: Method
    rude: Method
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self) -> None:
        app = FastAPI(routes=result_routes(self.studio))
        gr.mount_gradio_app(app, _page(), path="/", i18n=i18n(), **_look())
        config = uvicorn.Config(app, "127.0.0.1", self.port, log_level="error", timeout_graceful_shutdown=1)
        server = self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=server.run, name="wall house", daemon=True)
        self._thread.start()
        until(lambda: server.started)

    def stop(self) -> None:
        assert self._server and self._thread
        self._server.should_exit = True
        self._thread.join(WAIT_S)

    def forget_runs(self) -> None:
        """As a server does that is started again: what was being made is gone."""
        for job in self.studio.jobs._all():
            job.cancel()
        until(lambda: not self.studio.jobs._busy())
        jobs = Jobs(InProcessEngine(), self.studio.archive, self.studio.settings)
        self.studio = replace(self.studio, jobs=jobs)

    def begin(
        self,
        *methods: Method,
        views: tuple[View, ...] = orbit(21, 10.0),
        seed: int = 0,
        size_px: int = 96,
        options: Any = None,
        subject: Subject | None = None,
    ) -> Job:
        shown = subject or replace(a_subject(128), elevation_deg=10.0)
        tasks = [(method, Request(shown, views, seed, options, size_px)) for method in methods]
        return self.studio.jobs.start(shown, tasks, "anna", owner="a key of hers, long enough")

    def make(self, *methods: Method, **asked: Any) -> str:
        job = self.begin(*methods, **asked)
        job.keep()
        until(lambda: not job.working)
        return job.id


@contextmanager
def wall_house(data: Path, port: int = 0) -> Iterator[WallHouse]:
    settings = Settings(data=data)
    gate, toys = Gate(), (Dial(), Sixfold(), Inflate(), Rude())
    archive = Archive(settings)
    intake = Intake(settings.limits, workers=1)
    studio = Studio(settings, (gate, *toys), intake, archive, Jobs(InProcessEngine(), archive, settings))
    house = WallHouse(studio, port or free_port(), gate, *toys)
    house.serve()
    try:
        yield house
    finally:
        gate.open.set()
        house.stop()


def _page() -> gr.Blocks:
    """The wall, a box through which Python sets it, and one that lists what it told Python."""
    with gr.Blocks(title="The wall") as page:
        gr.HTML("<h1>The wall</h1>")
        wall = Wall(elem_id="wall")
        spec = gr.Textbox(label="Spec", elem_id="spec")
        told = gr.Textbox(label="Told", elem_id="told", lines=4)
        spec.submit(lambda text: text, spec, wall)
        for name in EVENTS:
            getattr(wall, name)(_hear(name), [wall, told], told)
    return page


def _hear(name: str) -> Callable[[str, str, gr.EventData], str]:
    def hear(spec: str, before: str, event: gr.EventData) -> str:
        return f"{before}{name} {event._data} on {spec}\n"

    hear.__annotations__["event"] = gr.EventData
    return hear


def _look() -> dict[str, Any]:
    from ui.look import page_look

    look = page_look()
    return {"theme": look["theme"], "css_paths": [ASSETS / "style.css", ASSETS / "wall.css"], "footer_links": []}


def until(true: Callable[[], object], seconds: float = WAIT_S) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
