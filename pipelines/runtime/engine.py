"""Where a method runs. One interface, `Engine`; here, this process, one heavy run at a time."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.runtime.method import Method, Report, Request, Turnaround

WAIT_STEP_S = 0.25  # how often a waiting run looks whether it was cancelled


class Engine(Protocol):
    def run(self, method: Method, request: Request, report: Report) -> Turnaround:
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
        self._line: deque[object] = deque()
        self._moved = threading.Condition()
        self._last_report: float | None = None

    def run(self, method: Method, request: Request, report: Report) -> Turnaround:
        with self._turn(report):
            heard = Report(self._listen(report), report.cancelled)
            try:
                return method(request, heard)
            finally:
                self._last_report = None

    def silent_s(self) -> float:
        last = self._last_report
        return 0.0 if last is None else time.monotonic() - last

    def _listen(self, report: Report):
        def sink(fraction: float, message: str, preview: NDArray[np.uint8] | None) -> None:
            self._last_report = time.monotonic()
            report(fraction, message, preview)

        return sink

    @contextmanager
    def _turn(self, report: Report) -> Iterator[None]:
        mine = object()
        with self._moved:
            self._line.append(mine)
        try:
            told = 0
            while ahead := self._ahead_of(mine):
                if ahead != told:
                    report(0.0, f"Waiting for {ahead} other run{'s' if ahead > 1 else ''} to finish")
                    told = ahead
                report.check()
                with self._moved:
                    self._moved.wait(WAIT_STEP_S)
            yield
        finally:
            with self._moved:
                self._line.remove(mine)
                self._moved.notify_all()

    def _ahead_of(self, mine: object) -> int:
        with self._moved:
            return self._line.index(mine)
