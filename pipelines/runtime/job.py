"""One run of a server, as everything that follows it sees it: its news, its followers, and how it is stopped."""

import logging
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Literal

from pipelines.runtime.compare import Failed, Progressed, Task
from pipelines.runtime.method import Method

log = logging.getLogger(__name__)
State = Literal["working", "saved", "ended"]

STOPPED = "Cancelled. Nothing was saved; press Generate to start again."
REST_STOPPED = "Cancelled. What had finished before was saved."
METHOD_STOPPED = "Cancelled. The other methods of this run are not affected."
ABANDONED = "The page was closed, so this run was stopped."
REPLACED = "A newer run has taken the place of this one, so it was stopped."
RESTARTING = "The server was restarted, so this run was stopped. Start it again."
STOPS = frozenset((STOPPED, REST_STOPPED, METHOD_STOPPED, ABANDONED, REPLACED, RESTARTING))
"""What a method that was cancelled says, in the manifest too: somebody wanted it so, it did not fail."""


@dataclass(frozen=True, eq=False)
class Saved:
    """A method has finished, and what it made lies in the archive."""

    method: str


@dataclass(frozen=True, eq=False)
class News:
    """How a run stands at one moment."""

    version: int
    """Grows with every change."""
    state: State
    problem: str | None
    progress: dict[str, Progressed]
    """By method, the newest; none of a method that has not been heard of yet or has an outcome already."""
    outcomes: tuple[Saved | Failed, ...]
    """In the order in which they came; one a method at most, and one each at the end."""


class Job:
    """A run does not depend on the page that started it, but on somebody: see `listen` and `keep`."""

    def __init__(
        self, id: str, visitor: str, tasks: Sequence[Task] = (), grace_s: float = 0.0, address: str = ""
    ) -> None:
        self.id = id
        self.visitor = visitor
        self.address = address
        self.tasks = tuple(tasks)
        self.state: State = "working"
        """"saved": the archive has a result of this id. "ended": it has not, nothing finished."""
        self.problem: str | None = None
        """Why nothing was saved although a method finished, or why the job as a whole failed or was stopped."""
        self.cancelled = threading.Event()
        """Set once the job as a whole has been cancelled."""
        self.stops = {method.card.key: threading.Event() for method in self.methods}
        """By method: set once it has been cancelled, alone or with all."""
        self.taken = False
        """Somebody has its link, or started it by program: it is to end, whatever becomes of the page."""
        self._whys: dict[str, str] = {}
        self._why_all: str | None = None
        self._began: set[str] = set()
        self._outcomes: list[Saved | Failed] = []
        self._progress: dict[str, Progressed] = {}
        self._version = 0
        self._changed = threading.Condition()  # guards everything here
        self._listeners: dict[object, Callable[[], None]] = {}
        self._kept = grace_s <= 0
        self._grace_s = grace_s
        self._absence: threading.Timer | None = None

    @property
    def methods(self) -> tuple[Method, ...]:
        """As asked."""
        return tuple(method for method, _ in self.tasks)

    @property
    def working(self) -> bool:
        return self.state == "working"

    # --- Stopping -----------------------------------------------------------------------------------------------------

    def cancel(self, key: str | None = None, why: str | None = None) -> None:
        """Stop one method, or all: what runs stops at its next report, what waits fails at once.

        What has finished stays as it is; cancelling it, or a job that has ended, does nothing.
        """
        with self._changed:
            self._cancel(key, why)
        self._tell()

    def why(self, key: str) -> str:
        """The sentence for a method that was cancelled."""
        return self._whys.get(key, STOPPED)

    def _cancel(self, key: str | None, why: str | None) -> None:
        if not self.working:
            return
        if key is None:
            self._why_all = self._why_all or why
            self.cancelled.set()
        ended = {outcome.method for outcome in self._outcomes}
        rest = REST_STOPPED if any(isinstance(outcome, Saved) for outcome in self._outcomes) else STOPPED
        for each in (key,) if key is not None else tuple(self.stops):
            if each not in self.stops or each in ended:
                continue
            alone = key is None or len(self.stops) == 1
            self._whys.setdefault(each, why or (rest if alone else METHOD_STOPPED))
            self.stops[each].set()
            if each not in self._began:
                # Its tile says so at once. Should it begin at this very moment, it stops at its next report, and what
                # it says after this is not told.
                self._put(Failed(each, self.why(each), cancelled=True))

    # --- Following ----------------------------------------------------------------------------------------------------

    def news(self) -> News:
        """A snapshot; never waits for the work."""
        with self._changed:
            return News(self._version, self.state, self.problem, dict(self._progress), tuple(self._outcomes))

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """`heard()` after every change, in whatever thread it happened; the answer stops that.

        What happened before is in `news()`, so look there once after this call. While somebody listens the run is
        attended. Once all have left it is given `grace_s`, counted from its start if nobody ever came, and is then
        cancelled, unless someone listens again in time or it is to be kept. A `heard` that raises has left.
        """
        ticket = object()
        with self._changed:
            self._listeners[ticket] = heard
            self._watch()

        def stop() -> None:
            with self._changed:
                if self._listeners.pop(ticket, None):
                    self._watch()

        return stop

    def keep(self) -> None:
        """Its link was taken, or a program started it: it goes on without followers."""
        with self._changed:
            self._kept = self.taken = True
            self._watch()

    def follow(self, tick_s: float = 0.5) -> Generator[Progressed | Saved | Failed | None, None, None]:
        """Every outcome from the start, and the newest progress; `None` after each `tick_s` without news.

        A page that falls behind skips progress, never an outcome. Ends once the result, if any, is in the archive.
        Following is listening: the run is attended meanwhile.
        """
        told, version = 0, -1
        stop = self.listen(lambda: None)
        try:
            while True:
                with self._changed:
                    if version == self._version and self.working:
                        self._changed.wait(tick_s)
                    news, version = version != self._version, self._version
                    outcomes, working = self._outcomes[told:], self.working
                    progress = next(reversed(self._progress.values()), None)
                told += len(outcomes)
                yield from outcomes
                if not working:
                    return
                if not news:
                    yield None
                elif progress:
                    yield progress
        finally:
            stop()

    # --- Inside; `Jobs` calls the first three -------------------------------------------------------------------------

    def _begin(self) -> None:
        with self._changed:
            self._watch()

    def _emit(self, event: Progressed | Saved | Failed) -> None:
        with self._changed:
            self._put(event)
        self._tell()

    def _end(self, state: State, problem: str | None = None) -> None:
        with self._changed:
            if state == "ended":
                problem = problem or self._why_all
            self.state, self.problem, self._progress = state, problem, {}
            self._moved()
            self._watch()
        self._tell()

    def _put(self, event: Progressed | Saved | Failed) -> None:
        if any(outcome.method == event.method for outcome in self._outcomes):
            return  # it was cancelled while it waited, and has been told so
        self._progress.pop(event.method, None)  # so that the newest comes last
        if isinstance(event, Progressed):
            self._progress[event.method] = event
            if not event.waiting:
                self._began.add(event.method)
        else:
            self._outcomes.append(event)
        self._moved()

    def _moved(self) -> None:
        self._version += 1
        self._changed.notify_all()

    def _tell(self) -> None:
        """Outside the lock: whoever hears of it may ask for the news, or wait for whom it likes."""
        with self._changed:
            listeners = list(self._listeners.items())
        for ticket, heard in listeners:
            try:
                heard()
            except Exception:
                log.warning("Someone who followed run %s is gone", self.id[:12], exc_info=True)
                with self._changed:
                    if self._listeners.pop(ticket, None):
                        self._watch()

    def _watch(self) -> None:
        """Start to count the absence of followers, or stop counting."""
        present = self._kept or self._listeners or not self.working
        if present and self._absence:
            self._absence.cancel()
            self._absence = None
        elif not present and not self._absence:
            absence = threading.Timer(self._grace_s, lambda: self._abandon(absence))
            absence.daemon = True
            try:
                absence.start()
            except RuntimeError:  # no thread to be had: rather a run too many than one lost
                log.warning("Run %s cannot be watched, so it goes on without followers", self.id[:12])
                return
            self._absence = absence

    def _abandon(self, absence: threading.Timer) -> None:
        with self._changed:
            if self._absence is not absence:  # someone came back while this thread waited for the lock
                return
            self._absence = None
            self._kept = True  # it is told once
            self._cancel(None, ABANDONED)
        self._tell()
