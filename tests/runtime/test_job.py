"""A run's followers: what they hear, and what becomes of a run that has none. No method runs here."""

import random
import threading
import time

import pytest

from pipelines.core.cameras import orbit
from pipelines.runtime.compare import Failed, Progressed
from pipelines.runtime.job import ABANDONED, METHOD_STOPPED, STOPPED, Job, Saved
from pipelines.runtime.method import Request
from tests.runtime.job_helpers import wait_until
from tests.toy_methods import Ball, Flat, a_subject

REQUEST = Request(a_subject(64), orbit(1))
NOBODY_WAITS_S = 0.01  # a grace that ends within the test
FOR_EVER_S = 3600.0


def a_job(grace_s: float = 0.0) -> Job:
    return Job("0" * 44, "anna", [(Flat(), REQUEST), (Ball(), REQUEST)], grace_s)


def others_of_its_age_have_been_abandoned() -> None:
    """A wait that is long enough for any run with the grace `NOBODY_WAITS_S`, however slow the machine is."""
    for _ in range(2):
        witness = a_job(NOBODY_WAITS_S)
        witness._begin()
        wait_until(witness.cancelled.is_set)


def working(key: str, fraction: float = 0.5) -> Progressed:
    return Progressed(key, fraction, "At work", 1.0)


# --- News -------------------------------------------------------------------------------------------------------------


def test_news_tell_what_runs_and_what_came_of_it():
    job = a_job()
    assert [method.card.key for method in job.methods] == ["flat", "ball"]
    first = job.news()
    assert (first.state, first.problem, first.progress, first.outcomes) == ("working", None, {}, ())
    job._emit(working("flat"))
    job._emit(Progressed("ball", 0.0, "Runs after Flat", None, waiting=True))
    middle = job.news()
    assert middle.version > first.version and set(middle.progress) == {"flat", "ball"}
    assert middle.progress["ball"].waiting and not middle.progress["flat"].waiting
    job._emit(Saved("flat"))
    assert set(job.news().progress) == {"ball"}, "what has an outcome has no progress"
    job._emit(Failed("ball", "Too dark."))
    job._end("saved")
    last = job.news()
    assert (last.state, last.progress, len(last.outcomes)) == ("saved", {}, 2)
    assert middle.outcomes == () and set(middle.progress) == {"flat", "ball"}, "a snapshot stays as it was"


def test_listeners_hear_every_change_until_they_stop():
    job, versions = a_job(), list[int]()
    stop = job.listen(lambda: versions.append(job.news().version))
    for i in range(3):
        job._emit(working("flat", i / 3))
    job.cancel("ball")
    assert versions == [1, 2, 3, 4]
    stop()
    stop()
    job._end("ended")
    assert versions == [1, 2, 3, 4]


def test_a_listener_that_raises_has_left_and_the_others_hear_on():
    job, heard = a_job(), list[int]()

    def broken() -> None:
        raise RuntimeError("the loop is closed")

    job.listen(broken)
    stop = job.listen(lambda: heard.append(1))
    job._emit(working("flat"))
    job._emit(working("flat"))
    assert len(heard) == 2
    stop()
    job = a_job(NOBODY_WAITS_S)
    job.listen(broken)
    job._emit(working("flat"))
    wait_until(job.cancelled.is_set)


def test_a_listener_may_wait_for_another_thread_that_asks_for_the_news():
    """`heard` is called outside every lock."""
    job, asked = a_job(), list[int]()

    def heard() -> None:
        other = threading.Thread(target=lambda: asked.append(job.news().version))
        other.start()
        other.join(10)

    job.listen(heard)
    job._emit(working("flat"))
    job.cancel("ball")
    job._end("ended")
    assert asked == [1, 2, 3]


# --- Cancelling -------------------------------------------------------------------------------------------------------


def test_a_method_that_waits_is_cancelled_at_once_and_what_it_says_later_is_not_told():
    job = a_job()
    job._emit(Progressed("ball", 0.0, "Runs after Flat", None, waiting=True))
    job.cancel("ball")
    (failed,) = job.news().outcomes
    assert isinstance(failed, Failed) and failed.cancelled and failed.sentence == METHOD_STOPPED
    assert job.stops["ball"].is_set() and not job.stops["flat"].is_set() and not job.cancelled.is_set()
    for late in (working("ball"), Failed("ball", STOPPED, cancelled=True)):
        job._emit(late)
    assert job.news().outcomes == (failed,) and "ball" not in job.news().progress


def test_a_method_that_runs_is_told_to_stop_and_says_itself_when_it_has():
    job = a_job()
    job._emit(working("flat"))
    job.cancel("flat")
    assert job.stops["flat"].is_set() and not job.news().outcomes
    assert job.why("flat") == METHOD_STOPPED


def test_f11_cancelling_what_has_finished_is_unknown_or_has_ended_changes_nothing():
    job = a_job()
    job._emit(working("flat"))
    job._emit(Saved("flat"))
    before = job.news()
    job.cancel("flat")
    job.cancel("no_such_method")
    assert job.news() == before or job.news().version == before.version
    assert not job.stops["flat"].is_set()
    job._end("saved")
    job.cancel()
    job.cancel("ball")
    assert job.news().state == "saved" and len(job.news().outcomes) == 1 and not job.cancelled.is_set()


def test_cancelling_all_tells_each_that_waits():
    job = a_job()
    job._emit(working("flat"))
    job.cancel()
    assert [outcome.method for outcome in job.news().outcomes] == ["ball"]
    assert job.cancelled.is_set() and all(stop.is_set() for stop in job.stops.values())


# --- Presence ---------------------------------------------------------------------------------------------------------


def test_f12_a_run_that_nobody_ever_followed_is_stopped_after_the_grace():
    job = a_job(NOBODY_WAITS_S)
    job._begin()
    wait_until(job.cancelled.is_set)
    assert {outcome.sentence for outcome in job.news().outcomes if isinstance(outcome, Failed)} == {ABANDONED}
    job._end("ended")
    assert job.problem == ABANDONED


def test_f12_a_run_whose_last_follower_has_left_is_stopped_after_the_grace():
    job = a_job(NOBODY_WAITS_S)
    stops = [job.listen(lambda: None) for _ in range(2)]
    job._begin()
    others_of_its_age_have_been_abandoned()
    stops[0]()
    stops[0]()  # a page that says goodbye twice was one page
    others_of_its_age_have_been_abandoned()
    assert not job.cancelled.is_set()
    stops[1]()
    wait_until(job.cancelled.is_set)


def test_following_as_an_iterator_is_being_present():
    job = a_job(NOBODY_WAITS_S)
    following = job.follow(tick_s=0.01)
    next(following)
    job._begin()
    others_of_its_age_have_been_abandoned()
    assert not job.cancelled.is_set()
    following.close()
    wait_until(job.cancelled.is_set)


def test_f12_a_run_whose_link_was_taken_goes_on_alone():
    job = a_job(NOBODY_WAITS_S)
    stop = job.listen(lambda: None)
    job._begin()
    job.keep()
    stop()
    others_of_its_age_have_been_abandoned()
    assert not job.cancelled.is_set() and job.working


def test_without_a_grace_runs_go_on_alone():
    job = a_job(0.0)
    job._begin()
    job.listen(lambda: None)()
    others_of_its_age_have_been_abandoned()
    assert not job.cancelled.is_set()


def test_f12_whoever_comes_back_before_the_end_of_the_grace_saves_the_run_200_rounds():
    """The follower returns about when the grace ends. Once it is back the matter is decided: stopped, or not to be."""
    chance, decided = random.Random(6), list[tuple[Job, bool]]()
    for _ in range(200):
        job = a_job(0.001)
        stop = job.listen(lambda: None)
        job._begin()
        stop()
        time.sleep(chance.uniform(0, 0.002))
        job.listen(lambda: None)
        decided.append((job, job.cancelled.is_set()))
    others_of_its_age_have_been_abandoned()
    assert all(job.cancelled.is_set() == stopped for job, stopped in decided)
    assert all(bool(job.news().outcomes) == stopped for job, stopped in decided)


def test_f12_a_run_that_ends_during_the_grace_ends_as_it_is_200_rounds():
    chance = random.Random(7)
    for _ in range(200):
        job = a_job(0.001)
        job._begin()
        time.sleep(chance.uniform(0, 0.002))
        job._emit(Saved("flat"))
        job._end("saved")
        last = job.news()
        assert (last.state, last.problem) == ("saved", None)
        assert sum(outcome.method == "flat" for outcome in last.outcomes) == 1
    others_of_its_age_have_been_abandoned()
    assert job.news().version == last.version, "after its end nothing changes any more"


def test_a_run_that_ended_is_watched_no_longer():
    job = a_job(FOR_EVER_S)
    job._begin()
    watching = job._absence
    assert watching and watching.is_alive()
    job._end("saved")
    watching.join(20)
    assert not watching.is_alive()


def test_when_nobody_can_be_watched_the_run_goes_on(monkeypatch: pytest.MonkeyPatch):
    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    job = a_job(NOBODY_WAITS_S)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        job._begin()
    assert job.working and not job.cancelled.is_set()
