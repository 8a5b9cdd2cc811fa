"""F9: a cancel at each point of a run, twenty times: the work stops, nothing is left, and the next run works."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.runtime.archive import Archive
from pipelines.runtime.compare import Failed
from pipelines.runtime.engine import InProcessEngine
from pipelines.runtime.jobs import Job, Jobs, Saved
from pipelines.runtime.method import Report, Request, Turnaround
from pipelines.runtime.settings import Settings
from tests.runtime.job_helpers import end_of, start, wait_until
from tests.toy_methods import Flat, Held, a_card

ROUNDS = 20


class Loads(Held):
    """As a learned method: it loads what it needs, telling of it, before it makes anything."""

    card = a_card("loads")

    def _run(self, request: Request, report: Report) -> Turnaround:
        while not self.released.wait(0.005):
            report(0.0, "Loading the weights")
            self.begun.set()
        return super()._run(request, report)


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    settings = Settings(data=tmp_path / "data")
    jobs = Jobs(InProcessEngine(), Archive(settings), settings)
    yield jobs
    jobs.drain(0)


def cancelled(job: Job) -> bool:
    """Whether the cancel came before the end. Either way the run ends, and has told one outcome."""
    job.cancel()
    (outcome,) = end_of(job)
    wait_until(lambda: not job.working)
    return isinstance(outcome, Failed) and outcome.cancelled


def files(jobs: Jobs) -> list[Path]:
    return [path for path in jobs.settings.results.rglob("*") if path.is_file() and not path.name.startswith(".")]


def frees_the_engine(jobs: Jobs) -> bool:
    """The next run works, and its result can be taken away again."""
    job = start(jobs, Flat(), views=1)
    saved = isinstance(end_of(job)[0], Saved)
    wait_until(lambda: not job.working)
    jobs.archive.delete(job.id)
    return saved


def test_f9_while_it_waits_for_another(jobs: Jobs):
    for _ in range(ROUNDS):
        first, second = Held(), Held()
        working = start(jobs, first, visitor="ben")
        assert first.begun.wait(20)
        waiting = start(jobs, second, visitor="anna")
        assert cancelled(waiting) and not second.begun.is_set()
        assert working.working and cancelled(working)
        assert not files(jobs) and frees_the_engine(jobs)


@pytest.mark.parametrize("point", [Loads, Held], ids=["while_it_loads", "between_two_steps"])
def test_f9_while_it_works(jobs: Jobs, point: Callable[[], Held]):
    for _ in range(ROUNDS):
        method = point()
        job = start(jobs, method)
        assert method.begun.wait(20)
        assert cancelled(job)
        assert not files(jobs) and frees_the_engine(jobs)


@pytest.mark.parametrize("file", ["view_*.png", "*.mp4"], ids=["while_pictures_are_written", "while_the_video_is"])
def test_f9_while_it_is_written(jobs: Jobs, file: str):
    """Too late a cancel is possible here; then the result is whole and in the archive."""
    stopped, drafts = 0, jobs.settings.results / ".drafts"
    for _ in range(ROUNDS):
        job = start(jobs, Flat(), views=40)
        wait_until(lambda job=job: list(drafts.glob(f"*/result/flat/{file}")) or not job.working)
        if cancelled(job):
            stopped += 1
            assert not files(jobs)
        else:
            assert len(jobs.archive.open(job.id).turnarounds[0].frames) == 40
            jobs.archive.delete(job.id)
        assert frees_the_engine(jobs)
    assert stopped
