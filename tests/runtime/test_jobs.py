"""Runs of a server: started by visitors, independent of their pages, ending in the archive."""

import dataclasses
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.core.cameras import View, orbit
from pipelines.core.errors import TurnaroundError
from pipelines.runtime.archive import Archive
from pipelines.runtime.compare import Failed, Progressed
from pipelines.runtime.engine import InProcessEngine
from pipelines.runtime.job import METHOD_STOPPED, REST_STOPPED, RESTARTING
from pipelines.runtime.jobs import ABANDONED, Jobs, Saved
from pipelines.runtime.method import Request
from pipelines.runtime.settings import Settings
from tests.runtime.archive_helpers import assert_whole
from tests.runtime.job_helpers import SUBJECT, end_of, start, wait_until
from tests.toy_methods import Ball, Flat, Held, Raises, Slow, a_card, a_subject


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    settings = Settings(data=tmp_path / "data", max_queue=4, max_queue_per_visitor=2)
    jobs = Jobs(InProcessEngine(), Archive(settings), settings)
    yield jobs
    jobs.drain(0)


def test_a_job_ends_in_the_archive_under_its_own_id(jobs: Jobs):
    job = start(jobs, Flat())
    (finished,) = end_of(job)
    assert isinstance(finished, Saved) and job.state == "saved"
    stored = jobs.archive.open(job.id)
    assert [turnaround.key for turnaround in stored.turnarounds] == ["flat"]
    assert len(stored.turnarounds[0].frames) == 2


def test_one_failing_method_leaves_the_others_and_its_sentence_is_kept(jobs: Jobs):
    job = start(jobs, Raises(TurnaroundError("Too dark.")), Flat())
    assert {type(event) for event in end_of(job)} == {Saved, Failed}
    assert jobs.archive.open(job.id).manifest.failures == {"raises": "Too dark."}


def test_when_nothing_finishes_nothing_is_stored(jobs: Jobs):
    job = start(jobs, Raises(SystemExit(1)))
    (failed,) = end_of(job)
    assert isinstance(failed, Failed) and job.state == "ended"
    with pytest.raises(TurnaroundError):
        jobs.archive.open(job.id)
    assert isinstance(end_of(start(jobs, Flat()))[0], Saved)


# --- One method of several --------------------------------------------------------------------------------------------


class Next(Flat):
    """Runs after `Held`, and knows whether it did."""

    card = a_card("next")
    seconds = 9.0

    def __init__(self) -> None:
        self.runs = 0

    def _run(self, request: Request, report):
        self.runs += 1
        return super()._run(request, report)


def test_f9_a_method_that_waits_can_be_cancelled_and_says_so_while_the_others_run(jobs: Jobs):
    held, waiting = Held(), Next()
    job = start(jobs, held, waiting)
    assert held.begun.wait(20)
    job.cancel("next")
    (failed,) = job.news().outcomes
    assert isinstance(failed, Failed) and (failed.method, failed.cancelled) == ("next", True)
    assert job.working and not held.released.is_set()
    held.released.set()
    assert {event.method: type(event) for event in end_of(job)} == {"held": Saved, "next": Failed}
    assert waiting.runs == 0 and not job.cancelled.is_set()
    assert jobs.archive.open(job.id).manifest.failures == {"next": METHOD_STOPPED}


def test_f9_a_method_that_runs_can_be_cancelled_and_the_others_go_on(jobs: Jobs):
    held, waiting = Held(), Next()
    job = start(jobs, held, waiting)
    assert held.begun.wait(20)
    job.cancel("held")
    failed, saved = end_of(job)
    assert isinstance(failed, Failed) and failed.cancelled and failed.sentence == METHOD_STOPPED
    assert isinstance(saved, Saved) and saved.method == "next" and waiting.runs == 1
    assert jobs.archive.open(job.id).manifest.failures == {"held": METHOD_STOPPED}


def test_f11_a_method_that_has_finished_is_not_touched_by_a_cancel(jobs: Jobs):
    quick, held = Flat(), Held()
    held.seconds = 9.0  # it comes second
    job = start(jobs, quick, held)
    assert held.begun.wait(20)
    job.cancel("flat")
    job.cancel()
    assert {event.method: type(event) for event in end_of(job)} == {"flat": Saved, "held": Failed}
    result = jobs.archive.open(job.id)
    assert [made.key for made in result.turnarounds] == ["flat"] and result.manifest.failures == {"held": REST_STOPPED}


def test_f9_cancelling_one_method_at_any_moment_leaves_one_outcome_each(jobs: Jobs):
    """Whatever is told last is also what lies in the archive."""
    for round in range(12):
        job = start(jobs, Flat(), Next(), Ball(), views=1)
        time.sleep(0.006 * round)
        job.cancel("next")
        told = {event.method: type(event) for event in end_of(job)}
        assert set(told) == {"flat", "next", "ball"} and len(job.news().outcomes) == 3
        kept = {made.key for made in jobs.archive.open(job.id).turnarounds}
        assert kept == {key for key, kind in told.items() if kind is Saved} >= {"flat", "ball"}
        assert_whole(jobs.archive.open(job.id))


# --- Presence, and whose it is ----------------------------------------------------------------------------------------


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Jobs]:
    settings = Settings(data=tmp_path / "data", grace_s=0.05)
    jobs = Jobs(InProcessEngine(), Archive(settings), settings)
    yield jobs
    jobs.drain(0)


def test_f12_a_run_that_nobody_follows_stops_working_and_leaves_nothing(impatient: Jobs):
    held = Held()
    job = start(impatient, held, Next())
    wait_until(lambda: not job.working)
    assert (job.state, job.problem) == ("ended", ABANDONED)
    assert all(isinstance(event, Failed) and event.sentence == ABANDONED for event in job.news().outcomes)
    assert not impatient.archive.list() and not list(impatient.settings.results.rglob("view_*"))


def test_f12_what_had_finished_before_the_page_was_closed_is_kept(impatient: Jobs):
    held = Held()
    held.seconds = 9.0
    job = start(impatient, Flat(), held)
    stop = job.listen(lambda: None)
    if not job.cancelled.is_set():  # unless the machine was so slow that nobody had come in time
        assert held.begun.wait(20)
        stop()
        wait_until(lambda: not job.working)
        result = impatient.archive.open(job.id)
        assert [made.key for made in result.turnarounds] == ["flat"]
        assert result.manifest.failures == {"held": ABANDONED} and job.problem is None


def test_the_owner_of_a_run_owns_its_result(jobs: Jobs):
    job = jobs.start(SUBJECT, [(Flat(), Request(SUBJECT, orbit(1)))], "anna", owner="a key of hers")
    end_of(job)
    assert jobs.archive.owned_by(job.id, "a key of hers") and not jobs.archive.owned_by(job.id, "anna")
    assert b"a key of hers" not in (jobs.archive.open(job.id).folder / "manifest.json").read_bytes()
    nobodys = start(jobs, Flat())
    end_of(nobodys)
    assert not jobs.archive.owned_by(nobodys.id, "a key of hers")


# --- Stopping, ending, and the limits ---------------------------------------------------------------------------------


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.1, 0.3, 0.6])
def test_f9_a_cancelled_job_stops_and_leaves_nothing(jobs: Jobs, after_s: float):
    slow = Slow()
    job = start(jobs, slow, steps=600)
    time.sleep(after_s)
    job.cancel()
    (failed,) = end_of(job)
    assert isinstance(failed, Failed) and failed.cancelled and slow.running == 0
    assert not list(jobs.archive.list()) and not list(jobs.settings.results.glob("*/slow"))


def test_f9_a_cancel_while_the_result_is_being_saved_leaves_nothing(jobs: Jobs):
    views = orbit(60)
    job = jobs.start(SUBJECT, [(Flat(), Request(SUBJECT, views))], "anna")
    drafts = jobs.settings.results / ".drafts"
    wait_until(lambda: list(drafts.glob("*/result/flat/view_*.png")))
    job.cancel()
    (failed,) = end_of(job)
    assert isinstance(failed, Failed) and failed.cancelled
    assert not jobs.archive.list() and not list(jobs.settings.results.rglob("view_*"))


def test_when_no_thread_can_be_had_the_place_in_the_queue_is_given_back(jobs: Jobs, monkeypatch: pytest.MonkeyPatch):
    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    for _ in range(3):
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", no_thread)
            with pytest.raises(RuntimeError):
                start(jobs, Flat())
    assert isinstance(end_of(start(jobs, Flat()))[0], Saved)
    assert len(jobs.archive.list()) == 1


def test_f10_cancel_then_start_at_once_never_runs_two(jobs: Jobs):
    slow = Slow()
    slow.step_s = 0.02
    for _ in range(6):
        job = start(jobs, slow)
        time.sleep(0.05)
        job.cancel()
        wait_until(lambda job=job: not job.working)
    assert isinstance(end_of(start(jobs, slow, steps=1))[0], Saved)
    assert slow.most_at_once == 1


def test_f11_cancelling_a_job_that_has_ended_changes_nothing(jobs: Jobs):
    job = start(jobs, Flat())
    end_of(job)
    job.cancel()
    assert job.state == "saved" and jobs.archive.open(job.id)


def test_f12_a_job_nobody_follows_still_ends_in_the_archive(jobs: Jobs):
    job = start(jobs, Slow(), steps=3)
    next(job.follow())  # the page looks once, and its visitor leaves
    wait_until(lambda: not job.working)
    assert jobs.archive.open(job.id)


def test_f13_a_reloaded_page_finds_its_job_and_misses_no_outcome(jobs: Jobs):
    job = start(jobs, Flat(), Slow(), steps=5)
    for event in job.follow():
        if isinstance(event, Saved):
            break  # the page is closed when the first of two has finished
    found = jobs.find(job.id)
    assert found is not None and found is job
    assert [event.method for event in end_of(found)] == ["flat", "slow"]
    assert [event.method for event in end_of(found)] == ["flat", "slow"], "also after its end"


def test_f14_the_same_photo_in_the_same_second_makes_two_results(jobs: Jobs):
    """Fifty times."""
    together, subject = threading.Barrier(2), a_subject(64)

    def visit(visitor: str, seeds: range) -> dict[str, int]:
        made = {}
        for seed in seeds:
            together.wait(60)
            job = jobs.start(subject, [(Flat(), Request(subject, (View(0, 0),), seed, size_px=64))], visitor)
            assert isinstance(end_of(job)[0], Saved)
            made[job.id] = seed
        return made

    with ThreadPoolExecutor(2) as pool:
        anna, ben = pool.map(visit, ("anna", "ben"), (range(50), range(50, 100)))
    for id, seed in (anna | ben).items():
        (made,) = jobs.archive.open(id).turnarounds
        assert made.manifest.seed == seed
    assert len(anna | ben) == len(jobs.archive.list(limit=1000)) == 100


def test_following_ticks_while_nothing_happens(jobs: Jobs):
    slow = Slow()
    slow.step_s = 0.3
    job = start(jobs, slow, steps=2)
    seen = list(job.follow(tick_s=0.05))
    assert None in seen and any(isinstance(event, Progressed) for event in seen)


def test_one_visitor_cannot_fill_the_queue(jobs: Jobs):
    mine = [start(jobs, Slow()) for _ in range(2)]
    with pytest.raises(TurnaroundError, match="2 runs"):
        start(jobs, Flat())
    theirs = start(jobs, Slow(), visitor="ben")
    for job in (*mine, theirs):
        job.cancel()
    end_of(theirs)
    wait_until(lambda: not any(job.working for job in mine))
    assert isinstance(end_of(start(jobs, Flat()))[0], Saved)


def test_a_run_counts_once_from_its_first_moment(jobs: Jobs):
    old, had_room = start(jobs, Slow()), threading.Event()

    def heard() -> None:
        if old.cancelled.is_set():
            jobs.check_room("anna")  # of two runs she has one: the new one, which has just begun
            had_room.set()

    old.listen(heard)
    new = jobs.start(SUBJECT, [(Flat(), Request(SUBJECT, orbit(2)))], "anna", replaces=lambda job: job is old)
    assert had_room.is_set()
    end_of(new)


def test_a_full_queue_says_so(jobs: Jobs):
    started = [start(jobs, Slow(), visitor=f"visitor {i}") for i in range(4)]
    with pytest.raises(TurnaroundError, match="waiting"):
        start(jobs, Flat(), visitor="late")
    for job in started:
        job.cancel()


def test_f3_draining_lets_a_run_finish_and_takes_no_new_one(jobs: Jobs):
    running = start(jobs, Slow(), steps=3)
    drained = threading.Thread(target=jobs.drain, args=(60,))
    drained.start()
    wait_until(lambda: jobs.draining)
    with pytest.raises(TurnaroundError, match="restart"):
        start(jobs, Flat(), visitor="late")
    drained.join(60)
    assert not drained.is_alive() and running.state == "saved"


def test_f3_draining_stops_a_run_that_takes_too_long(jobs: Jobs):
    slow = Slow()
    running = start(jobs, slow, steps=900)
    wait_until(lambda: slow.running)
    jobs.drain(0.1)
    assert [type(event) for event in end_of(running)] == [Failed] and running.state == "ended"
    assert running.problem == RESTARTING


def test_f28_when_the_result_cannot_be_written_the_job_says_so_and_the_next_one_works(jobs: Jobs):
    slow = Slow()
    job = start(jobs, slow, steps=5)
    wait_until(lambda: slow.running)
    results = jobs.settings.results
    results.rename(results.with_name("moved"))  # the disk goes away in the middle of a run
    results.write_text("not a folder")
    outcomes = end_of(job)
    assert job.state == "ended" and (job.problem or isinstance(outcomes[0], Failed))
    sentence = job.problem or outcomes[0].sentence  # type: ignore[union-attr]
    assert "could not" in sentence or "cannot" in sentence
    assert "Traceback" not in sentence and str(results) not in sentence
    results.unlink()
    assert isinstance(end_of(start(jobs, Flat()))[0], Saved)


def test_a_subject_of_another_run_is_never_mixed_in(jobs: Jobs):
    blue = a_subject(color=(20, 40, 220))
    job = jobs.start(blue, [(Flat(), Request(blue, orbit(2)))], "ben")
    other = start(jobs, Flat())
    for each in (job, other):
        end_of(each)
    assert (jobs.archive.subject(job.id).rgba == blue.rgba).all()
    assert (jobs.archive.subject(other.id).rgba == SUBJECT.rgba).all()
    assert dataclasses.asdict(jobs.archive.subject(job.id).made) == dataclasses.asdict(blue.made)
