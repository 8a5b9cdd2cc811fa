"""The runs of a server: started by visitors, living on their own threads, ending in the archive.

A job does not depend on the page that started it: the page follows it, may be reloaded, and finds it again by its id,
which is also the id of the result.
"""

import contextvars
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Sequence

from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.core.subject import Subject
from pipelines.runtime import pace
from pipelines.runtime.archive import Archive, Draft
from pipelines.runtime.compare import Event, Failed, Finished, Progressed, Task, compare, sentence_of
from pipelines.runtime.engine import Engine
from pipelines.runtime.job import ABANDONED, REPLACED, RESTARTING, Job, News, Saved, State
from pipelines.runtime.memory import give_back
from pipelines.runtime.method import Report
from pipelines.runtime.settings import Settings
from pipelines.runtime.stored import StoredResult

__all__ = ["ABANDONED", "Job", "Jobs", "News", "Saved", "State"]

log = logging.getLogger(__name__)
KEEP_ENDED = 50  # jobs that have ended and can still be followed, so that a slow page misses nothing


class Jobs:
    def __init__(self, engine: Engine, archive: Archive, settings: Settings) -> None:
        self.engine, self.archive, self.settings = engine, archive, settings
        self._jobs: dict[str, Job] = {}
        self._drafts: dict[str, Draft] = {}  # of the jobs that work
        self._beginning: list[tuple[str, str]] = []  # visitor and address, of jobs that will be in `_jobs` in a moment
        self._lock = threading.Lock()
        self.draining = False

    def start(
        self,
        subject: Subject,
        tasks: Sequence[Task],
        visitor: str,
        owner: str = "",
        address: str = "",
        replaces: Callable[[Job], bool] = lambda job: False,
    ) -> Job:
        """Begin a job, or say why it cannot begin.

        `visitor` is any key that tells visitors apart, which they may choose themselves; `address` is where they are,
        if that is known; `owner` the secret that may delete the result later. A job that nobody follows is cancelled
        after a while: see `Job.listen` and `Job.keep`. Once this one has begun, those of the visitor's that it
        `replaces` are cancelled; none whose link was taken.
        """
        with self._lock:
            replaced = [
                job for job in self._jobs.values() if job.visitor == visitor and not job.taken and replaces(job)
            ]
            self._check_room(visitor, address, replaced)
            self._beginning.append((visitor, address))
        try:
            draft = self.archive.begin(subject, owner)  # writes to the disk, so not under the lock
            job = Job(draft.id, visitor, tasks, self.settings.grace_s, address)
            # In the context of whoever asks: on ZeroGPU it says whose quota the run is charged to.
            work, asked = contextvars.copy_context().run, (self._work, job, draft, tasks)
            worker = threading.Thread(target=work, args=asked, name=f"job-{job.id[:6]}", daemon=True)
        except BaseException:
            with self._lock:
                self._beginning.remove((visitor, address))
            raise
        with self._lock:  # at one stroke, or it would count twice
            self._beginning.remove((visitor, address))
            self._jobs[job.id], self._drafts[job.id] = job, draft
        try:
            worker.start()
        except BaseException:  # no thread to be had
            with self._lock:
                del self._jobs[job.id], self._drafts[job.id]
            _discard(draft)
            raise
        job._begin()
        with self._lock:
            self._forget_old()
        for other in replaced:
            other.cancel(why=REPLACED)
        return job

    def check_room(self, visitor: str, address: str = "") -> None:
        """Say why a job of this visitor could not begin now, before anything costly is done for it."""
        with self._lock:
            self._check_room(visitor, address)

    def find(self, job_id: str) -> Job | None:
        with self._lock:
            return self._jobs.get(job_id)

    def stored(self, job_id: str) -> StoredResult | None:
        """What has been finished of a run that still goes on: its files can be had before the last method is done.

        None once the run has ended (`archive.open` knows more then), and of a run unknown here. When a run ends, its
        folder gets another name: a path given out before may be gone when it is opened. Whoever meets a
        `FileNotFoundError` asks once more, best by `open`; a file once opened stays readable.
        """
        with self._lock:
            draft = self._drafts.get(job_id)
        return draft.so_far() if draft else None

    def open(self, job_id: str) -> StoredResult:
        """The result behind a link, whole or what there is of it so far; otherwise why there is none."""
        return self.stored(job_id) or self.archive.open(job_id)

    def drain(self, seconds: float) -> None:
        """Take no new jobs; let the working ones finish; cancel and wait briefly for those that do not."""
        with self._lock:
            self.draining = True
        deadline = time.monotonic() + seconds
        while self._busy() and time.monotonic() < deadline:
            time.sleep(0.05)
        for job in self._all():
            job.cancel(why=RESTARTING)
        while self._busy() and time.monotonic() < deadline + 1.0:
            time.sleep(0.05)

    def _work(self, job: Job, draft: Draft, tasks: Sequence[Task]) -> None:
        methods = {method.card.key: method for method, _ in tasks}
        saved, problem = False, None

        def keep(event: Event) -> None:
            """Into the archive first, then to the page: what a visitor sees has a link."""
            nonlocal saved
            told: Progressed | Saved | Failed
            if isinstance(event, Finished):
                job._emit(Progressed(event.method, 1.0, "Saving the result", 1.0))
                machine = self.engine.machine(self.settings.data)
                pace.record(self.settings.data, machine, methods[event.method], event.request, event.turnaround)
                told = save(event)
                saved = saved or isinstance(told, Saved)
            else:
                told = event
            if isinstance(told, Failed):
                if told.cancelled:
                    told = dataclasses.replace(told, sentence=job.why(told.method))
                draft.fail(told.method, told.sentence)
            job._emit(told)

        def save(event: Finished) -> Saved | Failed:
            try:
                check = Report(cancelled=job.stops[event.method]).check
                card = methods[event.method].card_for(event.request.options)
                draft.add(event.turnaround, event.request, card, check=check)
                check()
            except BaseException as error:
                return Failed(event.method, sentence_of(error), cancelled=isinstance(error, Cancelled))
            return Saved(event.method)

        try:
            compare(tasks, self.engine, self.engine.machine(self.settings.data), keep, job.stops, job.visitor)
            if saved:
                draft.finish()
        except BaseException as error:  # nothing a job does may take the server along
            saved, problem = False, sentence_of(error)
        finally:
            if not saved:
                _discard(draft)
            with self._lock:
                self._drafts.pop(job.id, None)
            job._end("saved" if saved else "ended", problem)
            give_back()

    def _check_room(self, visitor: str, address: str, replaced: Sequence[Job] = ()) -> None:
        """What was cancelled is over for its visitor, though it takes a moment to stop; the machine still has it."""
        working = [job for job in self._jobs.values() if job.working]
        own = [job for job in working if job.visitor == visitor and not job.cancelled.is_set() and job not in replaced]
        waiting = [(job.visitor, job.address) for job in working] + self._beginning
        beginning = sum(name == visitor for name, _ in self._beginning)
        from_there = sum(there == address for _, there in waiting) if address else 0
        if self.draining:
            raise TurnaroundError("The server is about to restart. Try again in a minute; nothing of yours is lost.")
        if len(own) + beginning >= self.settings.max_queue_per_visitor:
            raise TurnaroundError(
                f"You have {self.settings.max_queue_per_visitor} runs going already. "
                "Wait for one to finish, or cancel one."
            )
        if from_there >= max(self.settings.max_queue_per_visitor, self.settings.max_queue // 2):
            raise TurnaroundError(
                f"{from_there} runs are going for your network address already, and others are to have a turn, too. "
                "Try again once one has finished."
            )
        if len(waiting) >= self.settings.max_queue:
            raise TurnaroundError(f"{len(waiting)} runs are waiting already. Try again in a few minutes.")

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
