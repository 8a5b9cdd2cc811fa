"""One job: one subject, N methods. Cheap ones first, streamed as they finish, each failure kept to itself."""

import itertools
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.runtime.devices import Machine
from pipelines.runtime.engine import Engine, Turn
from pipelines.runtime.method import Method, Report, Request, Turnaround
from pipelines.runtime.thrift import is_out_of_memory

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Progressed:
    method: str
    fraction: float
    message: str
    remaining_s: float | None
    preview: NDArray[np.uint8] | None = None
    waiting: bool = False
    """It has not begun yet: the message says what it waits for."""


@dataclass(frozen=True, eq=False)
class Finished:
    method: str
    request: Request
    turnaround: Turnaround


@dataclass(frozen=True)
class Failed:
    method: str
    sentence: str
    cancelled: bool = False


Event = Progressed | Finished | Failed
Task = tuple[Method, Request]


def compare(
    tasks: Sequence[Task],
    engine: Engine,
    machine: Machine,
    emit: Callable[[Event], None],
    cancelled: threading.Event | Mapping[str, threading.Event],
    visitor: str = "",
) -> None:
    """Run every task, telling `emit` as it goes: any number of `Progressed`, then one `Finished` or `Failed` each.

    `cancelled` stops all, or, by the methods' keys, each by itself.
    """
    ordered = _cheap_first(tasks, machine, emit)
    for (before, _, _), (after, _, _) in itertools.pairwise(ordered):
        emit(Progressed(after.card.key, 0.0, f"Runs after {before.card.title}", None, waiting=True))
    for method, request, estimated_s in ordered:
        key = method.card.key
        clock = _Clock(key, estimated_s, emit)
        report = Report(clock, cancelled if isinstance(cancelled, threading.Event) else cancelled[key])
        try:
            report.check()
            if blockers := method.blockers(machine):
                raise TurnaroundError(f"{method.card.title} cannot run here. {' '.join(blockers)}")
            turnaround = engine.run(method, request, report, Turn(estimated_s, clock.wait, visitor))
            report.check()  # a cancel in the very last moment still means: nothing is kept
        except BaseException as error:
            emit(_failure(method, error))
        else:
            emit(Finished(key, request, turnaround))


def _cheap_first(
    tasks: Sequence[Task], machine: Machine, emit: Callable[[Event], None]
) -> list[tuple[Method, Request, float]]:
    estimated = []
    for method, request in tasks:
        try:
            estimated.append((method, request, method.estimate(request, machine).seconds))
        except BaseException as error:
            emit(_failure(method, error))
    return sorted(estimated, key=lambda task: task[2])


def _failure(method: Method, error: BaseException) -> Failed:
    """One failure stays one failure: whatever a method raises becomes its own sentence."""
    key = method.card.key
    if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
        raise error  # Ctrl-C at the command line; in a worker a method that exits must not take the server along
    if is_out_of_memory(error):
        log.error("%s ran out of memory", key, exc_info=error)
        return Failed(key, f"{method.card.title} ran out of memory. Ask for fewer or smaller views.")
    return Failed(key, sentence_of(error), cancelled=isinstance(error, Cancelled))


def sentence_of(error: BaseException) -> str:
    """What a person is told of any exception."""
    return str(error) if isinstance(error, TurnaroundError) else apology(error)


def apology(bug: BaseException) -> str:
    """Log a bug with its trace under a short id, and say that id."""
    reference = secrets.token_hex(4)
    log.error("Bug %s", reference, exc_info=bug)
    return f"Something went wrong on our side (reference {reference}). Try again; if it stays, report the reference."


class _Clock:
    """Turns a method's fractions into events with the time that remains."""

    def __init__(self, key: str, estimated_s: float, emit: Callable[[Event], None]) -> None:
        self._key, self._estimated_s, self._emit = key, estimated_s, emit
        self._start: float | None = None

    def wait(self, message: str) -> None:
        self._emit(Progressed(self._key, 0.0, message, None, waiting=True))

    def __call__(self, fraction: float, message: str, preview: NDArray[np.uint8] | None) -> None:
        if fraction <= 0.0:  # just begun
            self._start = time.monotonic()
            self._emit(Progressed(self._key, 0.0, message, None, preview))
            return
        elapsed = time.monotonic() - (self._start or time.monotonic())
        # What was measured counts for more the further the run is; at the start only the estimate is known, and once it
        # has been passed it is known to be wrong.
        measured, estimated = elapsed * (1 - fraction) / fraction, self._estimated_s - elapsed
        remaining = fraction * measured + (1 - fraction) * estimated if estimated > 0 else measured
        self._emit(Progressed(self._key, fraction, message, remaining, preview))
