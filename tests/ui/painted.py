"""Methods whose pictures tell where each came from, behind the wall's HTTP rooms; and how an answer is looked at."""

import io
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import httpx
import numpy as np
from PIL import Image

from pipelines.core.cameras import View
from pipelines.inflate.method import Inflate
from pipelines.runtime.method import Card, Frame, Report, Request, Turnaround
from pipelines.runtime.settings import Settings
from tests.toy_methods import Flat, Slow, a_card
from tests.ui.house import MARKUP
from tests.ui.rooms import Rooms, serving_rooms
from ui.studio import open_studio
from ui.temp import claim_folder

KEPT = "private, max-age=31536000, immutable"
COUNT = 10


def colour_of(azimuth_deg: float, blue: int = 40) -> tuple[int, int, int]:
    """Every direction has one of its own."""
    turn = np.radians(azimuth_deg)
    return round(130 + 110 * np.sin(turn)), round(130 + 110 * np.cos(turn)), blue


class Painted(Flat):
    """A large disc in the colour of its direction."""

    card: ClassVar[Card] = replace(a_card("painted"), citation="@misc{painted}")
    blue: ClassVar[int] = 40

    def cameras(self, request: Request) -> tuple[View, ...]:
        return request.views

    def _run(self, request: Request, report: Report) -> Turnaround:
        side = request.size_px
        y, x = np.mgrid[:side, :side] + 0.5
        inside = np.hypot(x - side / 2, y - side / 2) < 0.4 * side
        frames = []
        for asked, view in zip(request.views, self.cameras(request), strict=False):
            rgba = np.zeros((side, side, 4), np.uint8)
            rgba[inside] = (*colour_of(view.azimuth_deg, self.blue), 255)
            frames.append(Frame(view, rgba, asked))
        return Turnaround(tuple(frames))


class Fixed(Painted):
    """Has three cameras of its own, whatever is asked, and says rude things."""

    card: ClassVar[Card] = replace(a_card("fixed"), title=MARKUP, licence="MIT", renders=frozenset({"fixed views"}))
    blue: ClassVar[int] = 200

    def cameras(self, request: Request) -> tuple[View, ...]:
        return (View(20, 30), View(140, 30), View(-100, 30))


@contextmanager
def painted_rooms(data: Path) -> Iterator[Rooms]:
    settings = Settings(data=data, grace_s=0)
    before = os.environ.get("GRADIO_TEMP_DIR")
    folder = claim_folder(settings)
    try:
        with serving_rooms(open_studio(settings, (Painted(), Fixed(), Inflate(), Slow()))) as running:
            yield running
            running.studio.jobs.drain(0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop("GRADIO_TEMP_DIR")
        if before is not None:
            os.environ["GRADIO_TEMP_DIR"] = before


def got(rooms: Rooms, path: str, kind: str) -> httpx.Response:
    answer = rooms.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == kind and answer.headers["cache-control"] == KEPT
    return answer


def picture(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def refused(rooms: Rooms, path: str, status: int) -> str:
    answer = rooms.get(path)
    assert answer.status_code == status, (answer.status_code, answer.text[:200])
    assert answer.headers["content-type"].startswith("text/plain") and answer.headers["cache-control"] == "no-store"
    assert re.fullmatch(r"[A-Z][^\n]*\.", answer.text) and "Traceback" not in answer.text
    return answer.text
