"""Where a method runs. One interface, `Engine`; here, this process, one heavy run at a time."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.runtime.method import Method, Report, Request, Turnaround

WAIT_STEP_S = 0.25  # how often a waiting run looks whether it was cancelled
TELL_STEP_S = 5.0  # the expected wait is told again this often, and whenever a run ahead ends


@dataclass(frozen=True)
class Turn:
    """What the engine is told of a run beside the run itself, for the sake of those who wait."""

    estimated_s: float = 0.0
    """How long it will take; 0 when nobody knows."""
    waiting: Callable[[str], None] = lambda message: None
    """Told what it waits for, in words, until its turn has come."""


class Engine(Protocol):
    def run(self, method: Method, request: Request, report: Report, turn: Turn = Turn()) -> Turnaround:
        """Wait for a turn, then run. Raises `Cancelled` while waiting as well as while running."""
        ...

    def silent_s(self) -> float:
        """Seconds since the running method last reported; 0 when nothing runs. For the health endpoint."""
        ...


class InProcessEngine:
    """Runs in the caller's thread, strictly one after another, first come first served.

    The turn is ours, not the page's queue: that one frees its slot when a visitor leaves while the work goes on, and
    two runs would then share the machine. Here the next run starts when the last one has really ended.
    """

    def __init__(self) -> None:
        self._line: list[_Place] = []
        self._moved = threading.Condition()
        self._last_report: float | None = None

    def run(self, method: Method, request: Request, report: Report, turn: Turn = Turn()) -> Turnaround:
        with self._turn(report, turn) as mine:
            heard = Report(self._listen(report, mine), report.cancelled)
            try:
                return method(request, heard)
            finally:
                self._last_report = None

    def silent_s(self) -> float:
        last = self._last_report
        return 0.0 if last is None else time.monotonic() - last

    def _listen(self, report: Report, mine: "_Place"):
        def sink(fraction: float, message: str, preview: NDArray[np.uint8] | None) -> None:
            self._last_report = time.monotonic()
            mine.fraction = fraction
            report(fraction, message, preview)

        return sink

    @contextmanager
    def _turn(self, report: Report, turn: Turn) -> Iterator["_Place"]:
        mine = _Place(turn.estimated_s)
        with self._moved:
            self._line.append(mine)
        try:
            told, told_at = 0, 0.0
            while ahead := self._ahead_of(mine):
                report.check()
                if len(ahead) != told or time.monotonic() - told_at > TELL_STEP_S:
                    turn.waiting(waiting_sentence(ahead))
                    told, told_at = len(ahead), time.monotonic()
                with self._moved:
                    self._moved.wait(WAIT_STEP_S)
            mine.began = time.monotonic()
            yield mine
        finally:
            with self._moved:
                self._line.remove(mine)
                self._moved.notify_all()

    def _ahead_of(self, mine: "_Place") -> list[float]:
        """The seconds each run ahead is expected to take still."""
        with self._moved:
            return [place.remaining_s() for place in self._line[: self._line.index(mine)]]


@dataclass(eq=False)
class _Place:
    """In the line; the first one runs."""

    estimated_s: float
    began: float | None = field(default=None, init=False)
    fraction: float = field(default=0.0, init=False)

    def remaining_s(self) -> float:
        """What is left by the estimate, which may be passed, or by what was measured, whichever is longer."""
        if self.began is None:
            return self.estimated_s
        elapsed = time.monotonic() - self.began
        measured = elapsed * (1 - self.fraction) / self.fraction if self.fraction > 0 else 0.0
        return max(self.estimated_s - elapsed, measured)


def waiting_sentence(ahead: list[float]) -> str:
    """`ahead`: the seconds that each run ahead still takes, 0 where nobody knows."""
    runs = "1 other run" if len(ahead) == 1 else f"{len(ahead)} other runs"
    wait_s = sum(ahead)
    known = 0 < wait_s < 1e7  # not NaN, not a year
    return f"Waiting for {runs}" + (f", {in_words(wait_s)}" if known else "")


def in_words(seconds: float) -> str:
    """A time nobody knows exactly: "about 40 seconds"."""
    if seconds < 7.5:
        return "a few seconds"
    if seconds < 55:
        return f"about {5 * round(seconds / 5)} seconds"
    if seconds < 90:
        return "about a minute"
    if seconds < 55 * 60:
        return f"about {round(seconds / 60)} minutes"
    hours = max(1, round(seconds / 3600))
    return "about an hour" if hours == 1 else f"about {hours} hours"
