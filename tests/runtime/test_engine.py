"""Whose turn it is, how long the others wait, and what they are told meanwhile."""

import pickle
import threading

import pytest

from pipelines.core.cameras import orbit
from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.runtime.engine import InProcessEngine, Turn, in_words, open_engine, waiting_sentence
from pipelines.runtime.method import Report, Request
from pipelines.runtime.relay import Step, WorkerBug, received, relayed
from pipelines.runtime.settings import read_settings
from tests.runtime.job_helpers import wait_until
from tests.toy_methods import Flat, Held, Raises, a_card, a_subject, some_weights

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


class Heavy(Held):
    card = a_card("heavy", weights=(some_weights(),))

    def fetch(self, request: Request, report: Report) -> None:
        """Nothing is missing."""


def begin(engine: InProcessEngine, method: Held, visitor: str, told: list[str]) -> threading.Thread:
    turn = Turn(60.0, told.append, visitor)
    thread = threading.Thread(target=engine.run, args=(method, REQUEST, Report(), turn))
    thread.start()
    return thread


def test_one_visitors_many_runs_do_not_push_anothers_first_one_back():
    engine = InProcessEngine()
    annas = [Held() for _ in range(10)]
    bert, clara = Held(), Held()
    threads, told = [], [list[str]() for _ in range(12)]
    for number, (method, visitor) in enumerate([*((each, "anna") for each in annas), (bert, "bert"), (clara, "clara")]):
        threads.append(begin(engine, method, visitor, told[number]))
        wait_until(lambda number=number: told[number] or annas[0].begun.is_set())
    assert told[9][0].startswith("Waiting for 9 other runs")
    assert told[10][0].startswith("Waiting for 1 other run,"), "only the one that runs is ahead of Bert's"
    assert told[11][0].startswith("Waiting for 2 other runs")
    order = [annas[0], bert, clara, *annas[1:]]
    for number, method in enumerate(order):
        assert method.begun.wait(20) and not any(later.begun.is_set() for later in order[number + 1 :])
        method.released.set()
    for thread in threads:
        thread.join(20)


def test_runs_of_nobody_in_particular_are_taken_as_they_come():
    engine = InProcessEngine()
    runs, told, threads = [Held() for _ in range(4)], [list[str]() for _ in range(4)], []
    for number, method in enumerate(runs):
        threads.append(begin(engine, method, "", told[number]))
        wait_until(lambda number=number: told[number] or runs[0].begun.is_set())
    for number, method in enumerate(runs):
        assert method.begun.wait(20) and not any(later.begun.is_set() for later in runs[number + 1 :])
        method.released.set()
    for thread in threads:
        thread.join(20)


def test_a_light_run_waits_for_no_heavy_one_but_heavy_ones_for_one_another():
    engine, first, second, told = InProcessEngine(), Heavy(), Heavy(), list[str]()
    threads = [begin(engine, first, "anna", [])]
    assert first.begun.wait(20)
    threads.append(begin(engine, second, "bert", told))
    wait_until(lambda: told)
    assert engine.run(Flat(), REQUEST, Report()).frames and not second.begun.is_set()
    for method in (first, second):
        method.released.set()
    for thread in threads:
        thread.join(20)
    assert second.begun.is_set()


def test_a_relayed_run_tells_its_newest_step_and_its_end_and_stops_when_closed():
    held, cancelled = Held(), threading.Event()
    pieces = relayed(held, REQUEST, cancelled)
    told = list[tuple[float, str]]()
    report = Report(lambda fraction, message, preview: told.append((fraction, message)))
    while not told:
        assert received(next(pieces), report) is None
    held.released.set()
    ends = [piece for piece in pieces if not isinstance(piece, Step)]
    assert len(ends) == 1 and received(ends[0], report) is ends[0]

    held = Held()
    pieces = relayed(held, REQUEST, cancelled)
    next(pieces)
    assert held.begun.wait(20)
    pieces.close()
    assert cancelled.is_set()


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (TurnaroundError("No. Try another."), TurnaroundError),
        (MemoryError(), MemoryError),
        (ValueError("a bug"), WorkerBug),
        (SystemExit(1), WorkerBug),
    ],
)
def test_what_goes_wrong_in_a_worker_is_raised_where_it_is_waited_for(problem: BaseException, expected: type):
    *_, end = relayed(Raises(problem), REQUEST, threading.Event())
    with pytest.raises(expected):
        received(pickle.loads(pickle.dumps(end)), Report())


def test_the_engine_is_chosen_by_a_setting_and_a_bad_one_is_refused():
    assert isinstance(open_engine(read_settings({"TURNAROUND_ENGINE": "here"}), ()), InProcessEngine)
    for name, value in (
        ("ENGINE", "slurm"), ("RAY_ADDRESS", "http://head"), ("RAY_ADDRESS", "head"), ("ZERO_GPU_SIZE", "huge"),
    ):  # fmt: skip
        with pytest.raises(TurnaroundError, match=f"TURNAROUND_{name}={value!r}: it must be "):
            read_settings({f"TURNAROUND_{name}": value})
    assert read_settings({"TURNAROUND_RAY_ADDRESS": "10.0.0.1:6379"}).ray_address == "10.0.0.1:6379"
