"""The page's buttons, pressed as Gradio presses them, and what became of it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr

from pipelines.runtime.job import Job
from pipelines.runtime.settings import Settings
from tests.toy_methods import Flat, Slow
from ui.photos import FIRST_EXAMPLE, Photos
from ui.runs import LastPress, Runs
from ui.studio import Studio, open_studio

VISITOR: Any = SimpleNamespace(session_hash="one", headers={}, client=None)
KEY = "a" * 32
NEVER = "f" * 44


@contextmanager
def a_studio(data: Path) -> Iterator[Studio]:
    """One for all of a file: its intake is a process of its own, and no test fills its queue."""
    studio = open_studio(Settings(data=data, max_queue=100, max_queue_per_visitor=100), (Flat(), Slow()))
    yield studio
    studio.jobs.drain(0)
    studio.intake.close()


_SHARED: dict[int, Photos] = {}


def shared(studio: Studio) -> Photos:
    """One for all who need no fresh one: it has the example cut out."""
    return _SHARED.setdefault(id(studio), Photos(studio))


def generate(runs: Runs, *chosen: Any, **changes: Any) -> tuple[Any, str]:
    given = {
        "pressed_ms": 0,
        "last": LastPress(),
        "prepared_id": FIRST_EXAMPLE,
        "photo_elevation_deg": 0,
        "kind": "one view",
        "azimuth_deg": 0,
        "elevation_deg": 0,
        "distance": 1,
        "count": 4,
        "pad": {},
        "seed": 0,
        "size_px": 64,
        "visitor": KEY,
        "spec": "",
        "beside": False,
        "price": "",
        "request": VISITOR,
    } | changes
    return runs.generate(*given.values(), *(chosen or (True, False, 50)))


def event(**said: Any) -> gr.EventData:
    return gr.EventData(None, said)


def end_of(studio: Studio, spec: str) -> Job:
    job = studio.jobs.find(spec.split(",")[-1])
    assert job
    list(job.follow())
    return job


def job_of(studio: Studio, spec: str) -> Job:
    job = studio.jobs.find(spec.split(",")[-1])
    assert job
    return job


def sentences(shown: str) -> str:
    return " ".join(re.findall(r'class="problem[^"]*"[^>]*>([^<]*)<', shown))
