"""More visitors than there is room for, and one who asks for all of it: each gets their own, or a sentence."""

import io
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.ui.hostile.server import ANSWER_S, Running, a_picture, as_json, file_object, serving

ROOM, OWN = 45, 3  # runs there may be at once, of all and of one visitor: more than Gradio has threads by itself
HERE = "8.8.4.4"
HOLDING = {"methods": ["slow"], "options": {"slow": {"steps": 1000}}}  # until its visitor leaves
COLOURS = [(200, 60, 40), (40, 160, 60), (60, 40, 200), (180, 160, 20), (30, 150, 170)]


class Visit:
    """A visitor with a connection of their own, and the stream of the run they ask for."""

    def __init__(self, app: Running, asked: dict[str, Any], address: str = "") -> None:
        self._client = httpx.Client(base_url=app.url, timeout=ANSWER_S, trust_env=False, verify=False)
        self._headers = {"X-Forwarded-For": address} if address else {}
        self._body = as_json({"azimuth_deg": 0, "elevation_deg": 0, "size_px": 64, **asked})
        self._lines: Iterator[str] = iter(())
        self.asked = asked

    def start(self) -> None:
        self._body["headers"] |= self._headers
        event = self._client.post("/gradio_api/call/v2/render", **self._body).json()["event_id"]
        stream = self._client.send(self._client.build_request("GET", f"/gradio_api/call/render/{event}"), stream=True)
        self._lines = stream.iter_lines()

    def ask(self) -> str:
        """What they are told first while somebody's run goes on: a place in the line, that run's step, or a refusal."""
        self.start()
        return self.told("event: error|Waiting for|Step")

    def told(self, what: str) -> str:
        """The next line that says it; of an error, the line with its sentence."""
        deadline = time.monotonic() + 4 * ANSWER_S
        for line in self._lines:
            assert time.monotonic() < deadline, f"never told {what}"
            if re.search(what, line):
                return next(self._lines) if line == "event: error" else line
        raise AssertionError(f"the stream ended without {what}")

    def result(self) -> dict[str, Any]:
        return json.loads(self.told('"state": "done"').removeprefix("data:"))[0]

    def leave(self) -> None:
        self._client.close()


def at_once(visits: list[Visit]) -> list[str]:
    with ThreadPoolExecutor(len(visits)) as pool:
        return list(pool.map(Visit.ask, visits))


def places(told: list[str]) -> list[int]:
    """How many are ahead of each, where that is what was said."""
    return sorted(int(found[1]) for line in told if (found := re.search(r"Waiting for (\d+) other run", line)))


def prepared(app: Running, colour: tuple[int, int, int]) -> str:
    answer = app.call("prepare", file_object(app.upload(a_picture(colour, spot=True))), "none", 0, 0.8, None)
    return json.loads(answer.text)[0]["subject"]


def results_of(visits: list[Visit]) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(len(visits)) as pool:
        return list(pool.map(Visit.result, visits))


def colour_of(app: Running, result: dict[str, Any]) -> NDArray[np.int_]:
    """Of the object that its methods saw."""
    picture = app.client.get(f"/{result['files']['subject.png']}")
    return np.asarray(Image.open(io.BytesIO(picture.content)))[200, 120, :3].astype(int)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("crowd") / "data"
    with serving(folder, "tests.ui.house", TURNAROUND_MAX_QUEUE=ROOM, TURNAROUND_MAX_QUEUE_PER_VISITOR=OWN) as app:
        yield app


@pytest.fixture(scope="module")
def subjects(app: Running) -> list[str]:
    return [prepared(app, colour) for colour in COLOURS]


def test_f16_of_fifty_at_once_each_gets_their_own_or_a_sentence_with_how_many_are_ahead(
    app: Running, subjects: list[str]
) -> None:
    first = Visit(app, {"subject": subjects[0], **HOLDING})
    assert "Step" in first.ask()
    visits = [Visit(app, {"subject": subjects[i % 5], "methods": ["inflate"], "seed": i}) for i in range(50)]
    told = at_once(visits)
    assert places(told) == list(range(1, ROOM))  # each has a place in the line of their own, and nobody else is in it
    full = f"{ROOM} runs are waiting already. Try again"
    assert sum(full in line for line in told) == len(visits) - (ROOM - 1)
    assert app.call("methods").ok  # whatever else is asked is answered meanwhile

    waiting = [visit for visit, line in zip(visits, told, strict=True) if "Waiting for" in line]
    for impatient in [first, *waiting[10:]]:
        impatient.leave()
    waiting = waiting[:10]
    results = results_of(waiting)
    assert len({result["id"] for result in results}) == len(waiting)
    for visit, result in zip(waiting, results, strict=True):
        seed = result["turnarounds"]["inflate"]["seed"]
        assert seed == visit.asked["seed"]
        assert np.abs(colour_of(app, result) - COLOURS[seed % 5]).max() < 10, "somebody got another's object"
    again = visits[next(i for i, line in enumerate(told) if full in line)]
    again.start()
    assert again.result()["state"] == "done"
    assert app.is_well()


def test_f17_who_asks_for_a_hundred_has_three_and_pushes_nobody_back_by_more_than_one(
    app: Running, subjects: list[str]
) -> None:
    first = Visit(app, {"subject": subjects[0], **HOLDING}, HERE)
    assert "Step" in first.ask()
    flood = [Visit(app, {"subject": subjects[0], **HOLDING}, HERE) for _ in range(99)]
    others = [Visit(app, {"subject": subject, "methods": ["rude"]}, f"9.9.9.{i}") for i, subject in enumerate(subjects)]
    told = at_once([*flood[:50], *others, *flood[50:]])
    theirs = told[50:55]
    flooded = [*told[:50], *told[55:]]
    assert sum(f"You have {OWN} runs going already" in line for line in flooded) == 100 - OWN
    assert places(theirs) == [1, 2, 3, 4, 5]  # behind the one that works, and before the two that wait

    first.leave()
    results = results_of(others)
    assert len({result["id"] for result in results}) == len(others)
    left = [visit for visit, line in zip(flood, flooded, strict=True) if "Waiting for" in line]
    assert len(left) == OWN - 1
    for visit in left:
        visit.leave()
    assert app.is_well()
