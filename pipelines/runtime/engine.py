"""Where a method runs: one interface, `Engine`, and three places behind it. `open_engine` picks one.

This machine (here), a borrowed GPU of a ZeroGPU Space (`zero_gpu.py`), or a Ray cluster (`ray_engine.py`).
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.devices import Machine, on_zero_gpu, this_machine
from pipelines.runtime.method import Estimate, Method, Report, Request, Turnaround
from pipelines.runtime.settings import Settings

if TYPE_CHECKING:
    from pipelines.runtime.worker import Worker

WAIT_STEP_S = 0.25  # how often a waiting run looks whether it was cancelled
TELL_STEP_S = 5.0  # the expected wait is told again this often, and whenever a run ahead ends


@dataclass(frozen=True)
class Turn:
    """What the engine is told of a run beside the run itself, for the sake of those who wait."""

    estimated_s: float = 0.0
    """How long it will take; 0 when nobody knows."""
    waiting: Callable[[str], None] = lambda message: None
    """Told what it waits for, in words, until its turn has come."""
    visitor: str = ""
    """Whose run it is: visitors take turns. Runs of nobody in particular count as a visitor each."""


NOBODYS = Turn()


class Engine(Protocol):
    @property
    def at_once(self) -> int:
        """How many runs it can work on at the same time, for whoever has many."""
        ...

    def run(self, method: Method, request: Request, report: Report, turn: Turn = NOBODYS) -> Turnaround:
        """Wait for a turn, then run. Raises `Cancelled` while waiting as well as while running."""
        ...

    def machine(self, data: Path) -> Machine:
        """The machine that methods run on, for their blockers and estimates; `data` is the data folder here."""
        ...

    def borrowed_s(self, method: Method, estimate: Estimate) -> int:
        """Seconds of a GPU that would be asked for on the visitor's quota, for a run of this estimate; 0 where nobody
        keeps one."""
        ...

    def silent_s(self) -> float:
        """Seconds since a running method last reported, the longest of all; 0 when nothing runs. For the health
        endpoint."""
        ...

    def close(self) -> None:
        """Nothing is run any more."""
        ...


def open_engine(settings: Settings, methods: Sequence[Method]) -> Engine:
    """The engine of the settings. Nothing is waited for that has to be reached: the first run does that. Only what
    TURNAROUND_PRELOAD names is loaded here, on a ZeroGPU Space.
    """
    check_sources(methods, settings)
    place = settings.engine if settings.engine != "auto" else "zerogpu" if on_zero_gpu() else "here"
    if place == "zerogpu":
        from pipelines.runtime.zero_gpu import ZeroGpuEngine

        return ZeroGpuEngine(methods, settings)
    if place == "ray":
        from pipelines.runtime.ray_engine import RayEngine

        return RayEngine(methods, settings.ray_address)
    from pipelines.runtime.worker import Worker

    return InProcessEngine(Worker())


def check_sources(methods: Sequence[Method], settings: Settings) -> None:
    """That TURNAROUND_SOURCES replaces what there is: a slip of the pen would be passed over without a word."""
    known = sorted({source.repository for m in methods for weights in m.card.weights for source in weights.sources})
    for named in (*settings.moves, *settings.folders):
        if known and named not in known:
            near = get_close_matches(named, known, 1)
            instead = f"Did you mean {near[0]}?" if near else f"Name some of: {', '.join(known)}."
            raise TurnaroundError(f"TURNAROUND_SOURCES replaces {named!r}, which no method here goes by. {instead}")


class InProcessEngine:
    """Runs in the caller's thread, or heavy ones by a worker: one heavy run at a time, and beside it one light one.

    Heavy is what works with learned weights. Light is the rest, which takes seconds on a processor: a first look
    should not wait for somebody's minutes on the GPU.

    The turn is ours, not the page's queue: that one frees its slot when a visitor leaves while the work goes on, and
    two runs would then share the machine. Here the next run starts when the last one has really ended.
    """

    at_once = 1

    def __init__(self, worker: "Worker | None" = None) -> None:
        self._worker = worker
        self._lines = {heavy: _Line() for heavy in (True, False)}
        self._silence = Silence()

    def run(self, method: Method, request: Request, report: Report, turn: Turn = NOBODYS) -> Turnaround:
        fetch_s = fetch_first(method, request, report, self._silence)
        with self._lines[is_heavy(method)].turn(report, turn) as mine, self._silence.watch() as heard:

            def listen(fraction: float, message: str, preview: NDArray[np.uint8] | None) -> None:
                heard()
                mine.fraction = fraction
                report(fraction, message, preview)

            told = Report(listen, report.cancelled)
            apart = self._worker if is_heavy(method) else None
            made = apart.run(method, request, told) if apart else method(request, told)
            return replace(made, stage_seconds={**made.stage_seconds, "fetch": fetch_s})

    def machine(self, data: Path) -> Machine:
        return this_machine(data)

    def borrowed_s(self, method: Method, estimate: Estimate) -> int:
        return 0

    def silent_s(self) -> float:
        return self._silence.longest_s()

    def close(self) -> None:
        if self._worker:
            self._worker.close()


def is_heavy(method: Method) -> bool:
    """Whether it wants a device to itself."""
    return bool(method.card.weights)


def fetch_first(method: Method, request: Request, report: Report, silence: "Silence") -> float:
    """Everything from elsewhere, before the run takes anybody's turn: whoever has all of it need not wait for a
    stranger's download. The seconds it took.
    """
    start = time.perf_counter()
    with silence.watch() as heard:

        def listen(fraction: float, message: str, preview: NDArray[np.uint8] | None) -> None:
            heard()
            report(fraction, message, preview)

        method.fetch(request, Report(listen, report.cancelled))
    return time.perf_counter() - start


class Silence:
    """How long the runs have not been heard of."""

    def __init__(self) -> None:
        self._last: dict[object, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def watch(self) -> Iterator[Callable[[], None]]:
        """Around a run, which calls what it is given at each report."""
        run = object()

        def heard() -> None:
            with self._lock:
                self._last[run] = time.monotonic()

        heard()
        try:
            yield heard
        finally:
            with self._lock:
                del self._last[run]

    def longest_s(self) -> float:
        with self._lock:
            return max((time.monotonic() - last for last in self._last.values()), default=0.0)


# --- Whose turn it is -------------------------------------------------------------------------------------------------


class _Line:
    """Visitors take turns: in each round everyone who waits has one run, first come first served.

    So somebody's ten runs never push another's first one back by more than the one that is running.
    """

    def __init__(self) -> None:
        self._places: list[_Place] = []
        self._moved = threading.Condition()
        self._round = 0

    @contextmanager
    def turn(self, report: Report, turn: Turn) -> Iterator["_Place"]:
        mine = self._join(turn)
        try:
            told, told_at = 0, 0.0
            while ahead := self._ahead_of(mine):
                report.check()
                if len(ahead) != told or time.monotonic() - told_at > TELL_STEP_S:
                    turn.waiting(waiting_sentence(ahead))
                    told, told_at = len(ahead), time.monotonic()
                with self._moved:
                    self._moved.wait(WAIT_STEP_S)
            yield mine
        finally:
            with self._moved:
                self._places.remove(mine)
                self._moved.notify_all()

    def _join(self, turn: Turn) -> "_Place":
        with self._moved:
            theirs = [place.round for place in self._places if turn.visitor and place.visitor == turn.visitor]
            mine = _Place(turn.estimated_s, turn.visitor, max([self._round, *(round + 1 for round in theirs)]))
            self._places.append(mine)
            return mine

    def _ahead_of(self, mine: "_Place") -> list[float]:
        """The seconds each run ahead is expected to take still; when there is none, `mine` has begun."""
        with self._moved:
            order = sorted(self._places, key=lambda place: (place.began is None, place.round))
            ahead = [place.remaining_s() for place in order[: order.index(mine)]]
            if not ahead and mine.began is None:
                mine.began = time.monotonic()
                self._round = mine.round
            return ahead


@dataclass(eq=False)
class _Place:
    """In the line."""

    estimated_s: float
    visitor: str
    round: int
    began: float | None = field(default=None, init=False)
    fraction: float = field(default=0.0, init=False)

    def remaining_s(self) -> float:
        """What is left by the estimate, which may be passed, or by what was measured, whichever is longer."""
        if self.began is None:
            return self.estimated_s
        elapsed = time.monotonic() - self.began
        measured = elapsed * (1 - self.fraction) / self.fraction if self.fraction > 0 else 0.0
        return max(self.estimated_s - elapsed, measured)


# --- In words ---------------------------------------------------------------------------------------------------------


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
