"""Downloads hold nobody up: they come before a run's turn, once for all who wait for the same."""

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.cameras import orbit
from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.runtime.engine import InProcessEngine, Turn
from pipelines.runtime.method import Card, Estimate, Method, Report, Request, Turnaround
from pipelines.runtime.weights import Weights, fetch, located
from tests.hub.client import FILES, LARGE, QUICK, a_hub, a_source, weights_of
from tests.hub.server import Fault, Hub
from tests.runtime.job_helpers import wait_until
from tests.toy_methods import Flat, a_card, a_subject

REQUEST = Request(a_subject(64), orbit(1))
OTHER = {LARGE: FILES[LARGE][::-1]}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with a_hub(tmp_path, monkeypatch) as hub:
        hub.add("lab/other", OTHER)
        yield hub


class Learned(Flat):
    def __init__(self, key: str, weights: Weights) -> None:
        self.card: Card = a_card(key, weights=(weights,))  # type: ignore[misc] - of this one alone

    def estimate(self, request: Request, machine: Any) -> Estimate:
        return Estimate(60.0, 10**6)


def test_f28_room_for_everything_is_asked_for_before_the_first_byte(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    both = Learned("both", weights_of())
    both.card = a_card("both", weights=(weights_of(), Weights("The Other", (a_source("lab/other", files=OTHER),))))  # type: ignore[misc]
    usage = shutil.disk_usage("/")._replace(free=500_000)  # for either of the two
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setenv("TURNAROUND_FREE_DISK_MB", "0")
    with pytest.raises(TurnaroundError, match=r"The Thing \+ The Other: 768 kB are to come, and 500 kB are free"):
        both.fetch(REQUEST, Report())
    assert hub.asked == []
    fetch(both.card.weights[0], Report(), QUICK)
    both.fetch(REQUEST, Report())
    assert all(located(weights) for weights in both.card.weights)


class Visitor:
    """Runs a method on a thread of its own."""

    def __init__(self, engine: InProcessEngine, method: Method, pool: ThreadPoolExecutor, name: str) -> None:
        self.told: list[str] = []
        self.waits: list[str] = []
        self.cancelled = threading.Event()
        report = Report(lambda fraction, message, preview: self.told.append(message), self.cancelled)
        turn = Turn(60.0, self.waits.append, name)
        self.end: Future[Turnaround] = pool.submit(engine.run, method, REQUEST, report, turn)


def test_a_download_of_one_visitor_does_not_hold_another_who_has_everything(hub: Hub):
    slow, quick = Learned("slow", weights_of()), Learned("quick", weights_of(a_source("lab/other", files=OTHER)))
    fetch(quick.card.weights[0], Report(), QUICK)
    hub.faults.append(Fault("stall", path=LARGE, after_bytes=100_000))
    engine = InProcessEngine()
    with ThreadPoolExecutor(2) as pool:
        anna = Visitor(engine, slow, pool, "anna")
        wait_until(lambda: any("The Thing" in message for message in anna.told))
        bert = Visitor(engine, quick, pool, "bert")
        made = bert.end.result(20)
        assert made.frames and bert.waits == [], "nobody was ahead"
        assert not anna.end.done()
        anna.cancelled.set()
        with pytest.raises(Cancelled):
            anna.end.result(20)
    assert located(slow.card.weights[0]) is None


def test_two_who_want_the_same_weights_make_one_download_and_both_see_its_bar(hub: Hub):
    engine, method = InProcessEngine(), Learned("both", weights_of())
    with ThreadPoolExecutor(2) as pool:
        visitors = [Visitor(engine, method, pool, name) for name in ("anna", "bert")]
        made = [visitor.end.result(30) for visitor in visitors]
    assert all(each.frames and each.stage_seconds["fetch"] > 0 for each in made)
    assert len(hub.gets(LARGE)) == 1
    assert all(any("The Thing" in message for message in visitor.told) for visitor in visitors)


def test_whoever_waits_is_told_of_the_run_ahead_without_its_download(hub: Hub):
    begun, held, engine, in_line = threading.Event(), threading.Event(), InProcessEngine(), list[int]()

    class Long(Learned):
        def fetch(self, request: Request, report: Report) -> None:
            in_line.append(len(engine._lines[True]._places))
            report(0.01, "Fetching", None)

        def _run(self, request: Request, report: Report) -> Turnaround:
            begun.set()
            assert held.wait(20)
            return super()._run(request, report)

    class Ready(Learned):
        def fetch(self, request: Request, report: Report) -> None:
            """All is here."""

    with ThreadPoolExecutor(2) as pool:
        first = Visitor(engine, Long("long", weights_of()), pool, "anna")
        assert begun.wait(20)
        second = Visitor(engine, Ready("ready", weights_of()), pool, "bert")
        wait_until(lambda: second.waits)
        held.set()
        assert first.end.result(20).frames and second.end.result(20).frames
    assert in_line[0] == 0, "it fetches before it stands in line, so the bar of its download tells nothing of its run"
    assert second.waits[0] == "Waiting for 1 other run, about a minute"
