"""Whose turn it is, how long the others wait, and what they are told meanwhile."""

import threading

import pytest

from pipelines.core.cameras import orbit
from pipelines.core.errors import Cancelled
from pipelines.runtime.engine import InProcessEngine, Turn, in_words, waiting_sentence
from pipelines.runtime.method import Report, Request
from tests.runtime.job_helpers import wait_until
from tests.toy_methods import Held, a_subject

REQUEST = Request(a_subject(64), orbit(1))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "a few seconds"),
        (7.4, "a few seconds"),
        (8, "about 10 seconds"),
        (38, "about 40 seconds"),
        (54.9, "about 55 seconds"),
        (55, "about a minute"),
        (89, "about a minute"),
        (91, "about 2 minutes"),
        (1490, "about 25 minutes"),
        (3299, "about 55 minutes"),
        (3300, "about an hour"),
        (5000, "about an hour"),
        (9000, "about 2 hours"),
    ],
)
def test_a_wait_is_said_as_a_person_would(seconds: float, words: str):
    assert in_words(seconds) == words


def test_a_waiting_run_says_how_many_are_ahead_and_how_long_they_take():
    assert waiting_sentence([38.0]) == "Waiting for 1 other run, about 40 seconds"
    assert waiting_sentence([10.0, 170.0]) == "Waiting for 2 other runs, about 3 minutes"
    for nobody_knows in (0.0, float("nan"), float("inf")):
        assert waiting_sentence([nobody_knows] * 3) == "Waiting for 3 other runs"


def test_the_line_moves_and_tells_whoever_waits():
    """Three runs of 10, 20 and 30 minutes by their estimates."""
    engine, told = InProcessEngine(), {"second": list[str](), "third": list[str]()}
    runs = {name: Held() for name in ("first", "second", "third")}
    threads = {}
    for minutes, (name, method) in zip((10, 20, 30), runs.items(), strict=True):
        turn = Turn(60.0 * minutes, told[name].append if name in told else lambda message: None)
        threads[name] = threading.Thread(target=engine.run, args=(method, REQUEST, Report(), turn))
        threads[name].start()
        wait_until(lambda name=name: told[name] if name in told else runs["first"].begun.is_set())
    assert told["second"][0].startswith("Waiting for 1 other run, about ")
    assert told["third"][0].startswith("Waiting for 2 other runs, about ")
    minutes = [int(told[name][0].split("about ")[1].split(" ")[0]) for name in ("second", "third")]
    assert minutes[1] - minutes[0] >= 19, "the second run's 20 minutes are waited for too"
    runs["first"].released.set()
    wait_until(lambda: "Waiting for 1 other run, " in told["third"][-1])
    assert runs["second"].begun.wait(20) and not runs["third"].begun.is_set()
    for name in ("second", "third"):
        runs[name].released.set()
    for thread in threads.values():
        thread.join(20)
    assert runs["third"].begun.is_set()


def test_a_run_that_is_cancelled_while_it_waits_leaves_the_line():
    engine, first, second, third = InProcessEngine(), Held(), Held(), Held()
    running = threading.Thread(target=engine.run, args=(first, REQUEST, Report()))
    running.start()
    assert first.begun.wait(20)
    cancelled, told, problems = threading.Event(), list[str](), list[BaseException]()

    def wait_in_vain() -> None:
        try:
            engine.run(second, REQUEST, Report(cancelled=cancelled), Turn(5.0, told.append))
        except Cancelled as problem:
            problems.append(problem)

    waiting = threading.Thread(target=wait_in_vain)
    waiting.start()
    wait_until(lambda: told)
    cancelled.set()
    waiting.join(20)
    assert len(problems) == 1 and not second.begun.is_set()
    first.released.set()
    third.released.set()
    engine.run(third, REQUEST, Report())
    assert third.begun.is_set()


def test_the_engine_tells_how_long_the_running_method_has_been_silent():
    engine, held = InProcessEngine(), Held()
    assert engine.silent_s() == 0
    worker = threading.Thread(target=engine.run, args=(held, REQUEST, Report()))
    worker.start()
    wait_until(lambda: engine.silent_s() > 0)
    held.released.set()
    worker.join(20)
    assert engine.silent_s() == 0
