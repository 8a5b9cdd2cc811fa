"""Work that reports from a thread of its own."""

import threading
import time

import pytest

from pipelines.core.errors import Cancelled
from pipelines.runtime.method import Report
from ui.background import QUIET_S, Background


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
        assert list(running) == []
        with pytest.raises(Cancelled):
            running.result()


def test_nothing_is_told_of_what_was_stopped_while_it_was_waited_for():
    held, reported = threading.Event(), threading.Event()

    def work(report: Report) -> None:
        report(0.9, "nearly")
        reported.set()
        held.wait(20)

    with Background(work) as running:
        assert reported.wait(20)
        threading.Timer(QUIET_S / 2, running.cancelled.set).start()
        assert list(running) == []
        held.set()


def test_it_hands_on_what_was_raised():
    def fails(report: Report) -> None:
        raise SystemExit("no")

    with Background(fails) as running:
        assert list(running) == []
        with pytest.raises(SystemExit):
            running.result()
