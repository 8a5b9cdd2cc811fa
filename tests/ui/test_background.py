"""Work that reports from a thread of its own."""

import threading
import time

import pytest

from pipelines.core.errors import Cancelled
from pipelines.runtime.method import Report
from ui.background import Background


def test_it_reports_and_hands_on_what_it_made():
    heard = threading.Event()

    def work(report: Report) -> str:
        report(0.5, "half")
        heard.wait(5)
        return "made"

    with Background(work) as running:
        steps = iter(running)
        assert next(steps).message == "half"
        heard.set()
        assert list(steps) == [] and running.result() == "made"


def test_it_stops_when_told_without_being_waited_for():
    def endless(report: Report) -> None:
        while True:
            report(0.1, "on and on")
            time.sleep(0.01)

    with Background(endless) as running:
        running.cancelled.set()
        assert list(running) in ([], [running._step])
        with pytest.raises(Cancelled):
            running.result()


def test_it_hands_on_what_was_raised():
    def fails(report: Report) -> None:
        raise SystemExit("no")

    with Background(fails) as running:
        assert list(running) == []
        with pytest.raises(SystemExit):
            running.result()
