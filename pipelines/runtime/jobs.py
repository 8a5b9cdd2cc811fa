"""The runs of a server: started by visitors, living on their own threads, ending in the archive.

A job does not depend on the page that started it: the page follows it, may be reloaded, and finds it again by its id,
which is also the id of the result.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.core.subject import Subject
from pipelines.runtime.archive import Archive, Draft
from pipelines.runtime.compare import Event, Failed, Finished, Progressed, Task, compare, sentence_of
from pipelines.runtime.devices import this_machine
from pipelines.runtime.engine import Engine
from pipelines.runtime.method import Report
from pipelines.runtime.settings import Settings

log = logging.getLogger(__name__)
State = Literal["working", "saved", "ended"]
KEEP_ENDED = 50  # jobs that have ended and can still be followed, so that a slow page misses nothing


@dataclass(frozen=True, eq=False)
class Saved:
    """A method has finished, and what it made lies in the archive. All that is kept in memory is its first view."""

    method: str
    first_view: NDArray[np.uint8] | None


class Job:
    def __init__(self, id: str, visitor: str) -> None:
        self.id = id
        self.visitor = visitor
        self.cancelled = threading.Event()
        self.state: State = "working"
        """"saved": the archive has a result of this id. "ended": it has not, nothing finished."""
        self.problem: str | None = None
        """Why nothing was saved although a method finished, or why the job as a whole failed."""
        self._outcomes: list[Saved | Failed] = []
        self._progress: Progressed | None = None
        self._version = 0
        self._changed = threading.Condition()

    def cancel(self) -> None:
        """Stop at the next report. Cancelling a job that has ended does nothing."""
        self.cancelled.set()

    @property
    def working(self) -> bool:
        return self.state == "working"

    def follow(self, tick_s: float = 0.5) -> Iterator[Progressed | Saved | Failed | None]:
        """Every outcome from the start, and the newest progress; `None` after each `tick_s` without news.

        A page that falls behind skips progress, never an outcome. Ends once the result, if any, is in the archive.
        """
        told, version = 0, -1
        while True:
            with self._changed:
                if version == self._version and self.working:
                    self._changed.wait(tick_s)
                news, version = version != self._version, self._version
                outcomes, progress, working = self._outcomes[told:], self._progress, self.working
            told += len(outcomes)
            yield from outcomes
            if not working:
                return
            if not news:
                yield None
            elif progress and all(progress.method != outcome.method for outcome in self._outcomes):
                yield progress

    def _emit(self, event: Progressed | Saved | Failed) -> None:
        with self._changed:
            if isinstance(event, Progressed):
                self._progress = event
            else:
                self._outcomes.append(event)
            self._version += 1
            self._changed.notify_all()

    def _end(self, state: State, problem: str | None = None) -> None:
        with self._changed:
            self.state, self.problem, self._progress = state, problem, None
            self._version += 1
            self._changed.notify_all()


class Jobs:
    def __init__(self, engine: Engine, archive: Archive, settings: Settings) -> None:
        self.engine, self.archive, self.settings = engine, archive, settings
        self._jobs: dict[str, Job] = {}
        self._beginning: list[str] = []  # visitors whose jobs will be among `_jobs` in a moment
        self._lock = threading.Lock()
        self.draining = False

    def start(self, subject: Subject, tasks: Sequence[Task], visitor: str) -> Job:
        """Begin a job, or say why it cannot begin. `visitor` is any key that tells visitors apart."""
        with self._lock:
            self._check_room(visitor)
            self._beginning.append(visitor)
        try:
            draft = self.archive.begin(subject)  # writes to the disk, so not under the lock
            job = Job(draft.id, visitor)
            worker = threading.Thread(
                target=self._work, args=(job, draft, tasks), name=f"job-{job.id[:6]}", daemon=True
            )
            try:
                worker.start()
            except BaseException:  # no thread to be had
                _discard(draft)
                raise
            with self._lock:
                self._jobs[job.id] = job
                self._forget_old()
            return job
        finally:
            with self._lock:
                self._beginning.remove(visitor)

    def check_room(self, visitor: str) -> None:
        """Say why a job of this visitor could not begin now, before anything costly is done for it."""
        with self._lock:
            self._check_room(visitor)

    def find(self, job_id: str) -> Job | None:
        with self._lock:
            return self._jobs.get(job_id)

    def drain(self, seconds: float) -> None:
        """Take no new jobs; let the working ones finish; cancel and wait briefly for those that do not."""
        with self._lock:
            self.draining = True
        deadline = time.monotonic() + seconds
        while self._busy() and time.monotonic() < deadline:
            time.sleep(0.05)
        for job in self._all():
            job.cancel()
        while self._busy() and time.monotonic() < deadline + 1.0:
            time.sleep(0.05)

    def _work(self, job: Job, draft: Draft, tasks: Sequence[Task]) -> None:
        cards = {method.card.key: method.card for method, _ in tasks}
        saved, problem = False, None

        def keep(event: Event) -> None:
            """Into the archive first, then to the page: what a visitor sees has a link."""
            nonlocal saved
            told: Progressed | Saved | Failed
            if isinstance(event, Finished):
                job._emit(Progressed(event.method, 1.0, "Saving the result", 1.0))
                told = save(event)
                saved = saved or isinstance(told, Saved)
            else:
                told = event
            if isinstance(told, Failed):
                draft.fail(told.method, told.sentence)
            job._emit(told)

        def save(event: Finished) -> Saved | Failed:
            try:
                check = Report(cancelled=job.cancelled).check
                draft.add(event.turnaround, event.request, cards[event.method], check=check)
                check()
            except BaseException as error:
                return Failed(event.method, sentence_of(error), cancelled=isinstance(error, Cancelled))
            frames = event.turnaround.frames
            return Saved(event.method, frames[0].rgba if frames else None)

        try:
            compare(tasks, self.engine, this_machine(self.settings.data), keep, job.cancelled)
            if saved:
                draft.finish()
        except BaseException as error:  # nothing a job does may take the server along
            saved, problem = False, sentence_of(error)
        finally:
            if not saved:
                _discard(draft)
            job._end("saved" if saved else "ended", problem)

    def _check_room(self, visitor: str) -> None:
        visitors = [job.visitor for job in self._jobs.values() if job.working] + self._beginning
        if self.draining:
            raise TurnaroundError("The server is about to restart. Try again in a minute; nothing of yours is lost.")
        if visitors.count(visitor) >= self.settings.max_queue_per_visitor:
            raise TurnaroundError(
                f"You have {self.settings.max_queue_per_visitor} runs going already. "
                "Wait for one to finish, or cancel one."
            )
        if len(visitors) >= self.settings.max_queue:
            raise TurnaroundError(f"{len(visitors)} runs are waiting already. Try again in a few minutes.")

    def _busy(self) -> bool:
        with self._lock:
            return bool(self._beginning) or any(job.working for job in self._jobs.values())

    def _all(self) -> list[Job]:
        with self._lock:
            return list(self._jobs.values())

    def _forget_old(self) -> None:
        ended = [job for job in self._jobs.values() if not job.working]
        for job in ended[: max(0, len(ended) - KEEP_ENDED)]:
            del self._jobs[job.id]


def _discard(draft: Draft) -> None:
    try:
        draft.discard()
    except OSError:
        log.exception("A draft could not be removed; the next sweep will")
