"""What a run has finished can be had before its end, and through it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.archive import NOT_FOUND, RUNNING, Archive
from pipelines.runtime.engine import InProcessEngine
from pipelines.runtime.jobs import Jobs
from pipelines.runtime.settings import Settings
from tests.runtime.archive_helpers import assert_whole, said
from tests.runtime.job_helpers import end_of, start
from tests.toy_methods import Ball, Held, Raises


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    settings = Settings(data=tmp_path / "data")
    jobs = Jobs(InProcessEngine(), Archive(settings), settings)
    yield jobs
    jobs.drain(0)


def test_finished_methods_can_be_had_while_the_run_goes_on(jobs: Jobs):
    held = Held()
    held.seconds = 9.0
    job = start(jobs, Ball(), held)
    assert held.begun.wait(20)
    so_far = jobs.stored(job.id)
    assert so_far and not so_far.whole and so_far.id == job.id
    (made,) = so_far.turnarounds
    assert made.key == "ball" and sum(name.endswith(".webp") for name in made.manifest.files) >= 4
    early = {path.relative_to(so_far.folder): path.read_bytes() for path in so_far.paths}
    assert so_far.subject.relative_to(so_far.folder) in early
    assert said(lambda: jobs.archive.open(job.id)) == RUNNING and jobs.open(job.id).turnarounds == so_far.turnarounds
    held.released.set()
    end_of(job)
    assert jobs.stored(job.id) is None
    final = jobs.archive.open(job.id)
    assert_whole(final)
    assert [made.key for made in final.turnarounds] == ["ball", "held"]
    assert {name: (final.folder / name).read_bytes() for name in early} == early
    assert final.manifest.created_utc == so_far.manifest.created_utc


def test_nothing_is_stored_of_a_run_that_is_unknown_or_made_nothing(jobs: Jobs):
    job = start(jobs, Raises(TurnaroundError("Too dark.")))
    end_of(job)
    for id in (job.id, "0" * 44, "../etc"):
        assert jobs.stored(id) is None
        assert said(lambda id=id: jobs.open(id)) == NOT_FOUND


def test_whoever_reads_while_the_run_ends_gets_the_file_or_may_ask_again(jobs: Jobs):
    """The folder gets its name at the end: readers all the time, through the end of many runs."""
    for _ in range(8):
        held = Held()
        held.seconds = 9.0
        job = start(jobs, Ball(), held)
        assert held.begun.wait(20)
        picture = jobs.open(job.id).turnarounds[0].folder.joinpath("view_001.webp").read_bytes()
        problems: list[object] = []

        def read(id: str = job.id, picture: bytes = picture, problems: list[object] = problems) -> None:
            again = 0
            while again < 3:  # a few times more after the end
                again += jobs.find(id).working is False  # type: ignore[union-attr]
                for _ in range(2):
                    try:
                        data = jobs.open(id).turnarounds[0].folder.joinpath("view_001.webp").read_bytes()
                        break
                    except FileNotFoundError as moved:
                        data = moved
                if data != picture:
                    problems.append(data)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        held.released.set()
        for reader in readers:
            reader.join(30)
        assert problems == [] and job.state == "saved"
