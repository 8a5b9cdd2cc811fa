"""Work that reports, on a thread of its own, for a handler that tells the page how far it is."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeVar

from pipelines.core.errors import Cancelled
from pipelines.runtime.method import Report

T = TypeVar("T")
QUIET_S = 0.25  # what ends sooner needs no progress; also the pause between two looks


@dataclass(frozen=True)
class Step:
    fraction: float
    message: str


class Background(Generic[T]):
    """`with Background(work) as running: for step in running: ...; made = running.result()`.

    Leaving the block early, because the visitor left for instance, stops the work at its next report.
    """

    def __init__(self, work: Callable[[Report], T]) -> None:
        self.cancelled = threading.Event()
        self._step: Step | None = None
        self._made: T | None = None
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)

    def __enter__(self) -> "Background[T]":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.cancelled.set()

    def __iter__(self) -> Iterator[Step]:
        """The newest step, whenever it is another one. Ends with the work, or once it is to stop."""
        told = None
        deadline = time.monotonic() + QUIET_S
        while self._thread.is_alive() and not self.cancelled.is_set():
            self._thread.join(max(0.0, deadline - time.monotonic()))
            deadline = time.monotonic() + QUIET_S
            if self.cancelled.is_set():  # meanwhile: whoever did it may have told something newer
                return
            if self._thread.is_alive() and self._step not in (None, told):
                told = self._step
                yield told  # type: ignore[misc] - not None here

    def result(self) -> T:
        """What the work made, or what it raised. Does not wait for work that was told to stop."""
        if self._thread.is_alive():
            raise Cancelled
        if self._problem:
            raise self._problem
        return self._made  # type: ignore[return-value] - without a problem there is a result

    def _run(self, work: Callable[[Report], T]) -> None:
        try:
            self._made = work(Report(self._hear, self.cancelled))
        except BaseException as problem:  # handed on by `result`
            self._problem = problem

    def _hear(self, fraction: float, message: str, _preview: object) -> None:
        self._step = Step(fraction, message)
