"""A run in another process, told piece by piece: what the worker sends, and what whoever waits for it makes of that.

`relayed` runs there and yields plain picklable pieces; `followed` waits for them here, and `received` turns each back
into a report, a result or an error.
"""

import logging
import math
import threading
import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.runtime.engine import TELL_STEP_S, Silence, Turn
from pipelines.runtime.method import Frame, Report, Request, Turnaround
from pipelines.runtime.thrift import has_lost_its_gpu, is_out_of_memory

log = logging.getLogger(__name__)

TICK_S = 0.25  # a worker says something at least this often, so that whoever waits can stop it soon


@dataclass(frozen=True, eq=False)
class Step:
    """What the method reported last. One that says nothing new only shows that the worker lives."""

    fraction: float = 0.0
    message: str = ""
    preview: NDArray[np.uint8] | None = None
    finished: tuple[Frame, ...] = ()
    """Views that were finished since the last step, and their lens."""
    fov_deg: float | None = None

    @property
    def told(self) -> bool:
        return bool(self.message)


@dataclass(frozen=True)
class Problem:
    """Why there is no result. Exceptions themselves do not all survive the way from one process to another."""

    sentence: str | None = None
    """For the visitor, as it stands."""
    trace: str = ""
    """Of a bug, for the log."""
    out_of_memory: bool = False
    lost_device: bool = False
    """Nothing works on that GPU any more, from this process."""


Piece = Step | Problem | Turnaround
Work = Callable[[Request, Report], Turnaround]
"""A method, or the part of one that needs a device."""
ALIVE = Step()


LOST = (
    "The GPU failed in the middle of this, as after a standby or by a fault of its driver. Try again: the next run "
    "starts it anew. If it happens again, tell whoever runs this page."
)


class GpuLost(TurnaroundError):
    """To the process that worked on it; another may have it."""


class WorkerBug(RuntimeError):
    """A bug in a worker; its text is the trace from there."""


def relayed(work: Work, request: Request, cancelled: threading.Event) -> Generator[Piece, None, None]:
    """Run here and yield how it goes: any number of steps, then the result or the problem; nothing once cancelled.

    The work has a thread of its own. A step that nobody has taken yet gives way to a newer one, so a slow line never
    holds the work up. Closing this generator, as `cancelled`, stops it at its next report, and waits for that.
    """
    relay = _Relay(work, request, cancelled)
    thread = threading.Thread(target=relay.run, daemon=True)
    thread.start()
    try:
        while not relay.done.is_set():
            yield relay.newest(TICK_S)
    finally:
        if not relay.done.is_set():
            cancelled.set()
        thread.join()
    if relay.end:
        yield relay.end


class _Relay:
    def __init__(self, work: Work, request: Request, cancelled: threading.Event) -> None:
        self._work, self._request = work, request
        self._report, self._sent = Report(self._tell, cancelled), 0
        self._step: Step | None = None
        self._news = threading.Condition()
        self.done = threading.Event()
        self.end: Problem | Turnaround | None = None

    def run(self) -> None:
        try:
            self.end = self._work(self._request, self._report)
        except Cancelled:
            pass
        except TurnaroundError as error:
            self.end = Problem(str(error))
        except BaseException as error:  # whatever a method does, the worker tells of it and lives on
            out_of_memory = is_out_of_memory(error)
            lost_device = not out_of_memory and has_lost_its_gpu(error)
            self.end = Problem(None, traceback.format_exc(), out_of_memory, lost_device)
        finally:
            with self._news:
                self.done.set()
                self._news.notify_all()

    def newest(self, wait_s: float) -> Step:
        with self._news:
            self._news.wait_for(lambda: self._step or self.done.is_set(), wait_s)
            step, self._step = self._step or ALIVE, None
            finished = tuple(self._report.finished[self._sent :])
            self._sent += len(finished)
            return replace(step, finished=finished, fov_deg=self._report.fov_deg) if finished else step

    def _tell(self, fraction: float, message: str, preview: NDArray[np.uint8] | None) -> None:
        with self._news:
            self._step = Step(fraction, message, preview)
            self._news.notify_all()


def received(piece: Piece, report: Report) -> Turnaround | None:
    """The result, if this piece is it. A step goes to `report`, a problem is raised."""
    if isinstance(piece, Turnaround):
        return piece
    if isinstance(piece, Step):
        for frame in piece.finished:
            report.keep(frame, piece.fov_deg)
        if piece.told:
            report(piece.fraction, piece.message, piece.preview)
        return None
    if piece.out_of_memory:
        raise MemoryError(piece.trace)
    if piece.lost_device:
        log.error("The GPU is lost to a worker:\n%s", piece.trace)
        raise GpuLost(LOST)
    raise TurnaroundError(piece.sentence) if piece.sentence else WorkerBug(f"In a worker:\n{piece.trace}")


@dataclass
class Progress:
    """How far a run elsewhere has come."""

    began: float | None = None
    """When its first piece came, by the monotonic clock."""
    fraction: float = 0.0
    report: Report = field(default_factory=Report)
    """As it was told; holds what views were finished."""


def followed(
    next_piece: Callable[[float], Piece | None],
    report: Report,
    turn: Turn,
    silence: Silence,
    waiting_for: str,
    progress: Progress,
) -> Turnaround:
    """The result, once it has come: `next_piece` waits for so many seconds at most. Cancelling never waits longer."""
    told_at = -math.inf

    def listen(fraction: float, message: str, preview: NDArray[np.uint8] | None) -> None:
        progress.fraction = fraction
        report(fraction, message, preview)

    here = progress.report = Report(listen, report.cancelled)
    with silence.watch() as heard:
        while True:
            report.check()
            if progress.began is None and time.monotonic() - told_at > TELL_STEP_S:
                turn.waiting(f"Waiting for {waiting_for}")
                told_at = time.monotonic()
            piece = next_piece(TICK_S)
            if progress.began is None or (isinstance(piece, Step) and piece.told):
                heard()
            if piece is None:
                continue
            progress.began = progress.began or time.monotonic()
            if made := received(piece, here):
                return made
