"""One job, N methods: order, isolation, cancelling, and one heavy run at a time."""

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.cameras import View, orbit
from pipelines.core.errors import TurnaroundError
from pipelines.runtime.compare import Event, Failed, Finished, Progressed, compare
from pipelines.runtime.devices import this_machine
from pipelines.runtime.engine import InProcessEngine
from pipelines.runtime.method import Frame, Method, Request, Turnaround
from tests.runtime.job_helpers import wait_until
from tests.toy_methods import Blocked, Flat, Held, Raises, Returns, Slow, SlowOptions, a_card, a_nan_mesh, a_subject

REQUEST = Request(a_subject(), orbit(3), seed=1)


def run(*tasks: tuple[Method, Request], cancelled: threading.Event | None = None) -> list[Event]:
    events: list[Event] = []
    compare(tasks, InProcessEngine(), this_machine(Path()), events.append, cancelled or threading.Event())
    return events


def outcomes(events: list[Event]) -> dict[str, Finished | Failed]:
    return {e.method: e for e in events if not isinstance(e, Progressed)}


def test_cheap_methods_finish_first():
    quick = dataclasses.replace(REQUEST, options=SlowOptions(steps=1))
    assert list(outcomes(run((Slow(), quick), (Flat(), REQUEST)))) == ["flat", "slow"]


def test_progress_comes_with_a_preview_and_the_time_left():
    events = run((Slow(), dataclasses.replace(REQUEST, options=SlowOptions(steps=8))))
    middle = next(e for e in events if isinstance(e, Progressed) and e.fraction > 0.5)
    assert middle.preview is not None and middle.preview.shape == (128, 128, 4)
    assert middle.remaining_s is not None and 0 < middle.remaining_s < 60


def test_a_result_says_what_made_it_and_what_it_cost():
    done = outcomes(run((Flat(), REQUEST)))["flat"]
    assert isinstance(done, Finished)
    made = done.turnaround
    assert made.seconds > 0 and made.peak_memory_bytes > 10**6
    assert made.provenance and made.provenance.seed == 1 and "numpy" in made.provenance.versions


@pytest.mark.parametrize(
    "problem",
    [ValueError("inner detail /etc/x"), SystemExit(3), KeyboardInterrupt(), MemoryError(), GeneratorExit()],
    ids=lambda problem: type(problem).__name__,
)
def test_f5_whatever_a_method_raises_the_others_run(problem: BaseException):
    ends: list[dict[str, Finished | Failed]] = []
    worker = threading.Thread(target=lambda: ends.append(outcomes(run((Raises(problem), REQUEST), (Flat(), REQUEST)))))
    worker.start()
    worker.join(20)
    (end,) = ends
    assert isinstance(end["flat"], Finished)
    failed = end["raises"]
    assert isinstance(failed, Failed) and not failed.cancelled
    assert "inner detail" not in failed.sentence and "Traceback" not in failed.sentence
    assert "memory" in failed.sentence if isinstance(problem, MemoryError) else "reference" in failed.sentence


def test_ctrl_c_at_the_command_line_is_not_swallowed():
    with pytest.raises(KeyboardInterrupt):
        run((Raises(KeyboardInterrupt()), REQUEST))


def test_a_sentence_for_people_arrives_as_it_stands():
    failed = outcomes(run((Raises(TurnaroundError("Too dark. Use a lamp.")), REQUEST)))["raises"]
    assert isinstance(failed, Failed) and failed.sentence == "Too dark. Use a lamp."


def test_a_blocked_method_says_why_and_never_runs():
    failed = outcomes(run((Blocked(), REQUEST)))["blocked"]
    assert isinstance(failed, Failed) and "not this one" in failed.sentence


def frame(view: View) -> Frame:
    return Frame(view, np.zeros((8, 8, 4), np.uint8), view)


def test_straight_above_a_frame_is_exact_only_if_it_is_turned_as_asked():
    made = frame(View(30, 90))
    assert made.exact and not dataclasses.replace(made, asked=View(120, 90)).exact
    assert not dataclasses.replace(made, asked=View(30, 89)).exact


@pytest.mark.parametrize(
    "made",
    [
        Turnaround(()),
        Turnaround((frame(View()),), mesh=a_nan_mesh()),
        Turnaround((Frame(View(), np.zeros((8, 8, 3), np.uint8), View()),)),
        Turnaround((Frame(View(), np.full((8, 8, 4), np.nan, np.float32), View()),)),  # type: ignore[arg-type]
        Turnaround((frame(View()), Frame(View(), np.zeros((9, 8, 4), np.uint8), View()))),
        Turnaround((dataclasses.replace(frame(View()), depth=np.ones((4, 8), np.float32)),)),
        Turnaround((dataclasses.replace(frame(View()), depth=np.full((8, 8), np.inf, np.float32)),)),
        Turnaround((dataclasses.replace(frame(View()), normals=np.full((8, 8, 3), np.nan, np.float32)),)),
    ],
    ids=["nothing", "nan mesh", "no alpha", "float image", "two sizes", "small depth", "infinite depth", "nan normals"],
)
def test_f36_a_broken_result_is_a_failure_with_words(made: Turnaround):
    failed = outcomes(run((Returns(made), REQUEST)))["returns"]
    assert isinstance(failed, Failed) and "unusable" in failed.sentence


class Uncertain(Flat):
    """Does not even know how long it takes, or whether it can run."""

    card = a_card("uncertain")

    def __init__(self, when: str) -> None:
        self.when = when

    def estimate(self, request: Request, machine):
        if self.when == "estimating":
            raise ZeroDivisionError
        return super().estimate(request, machine)

    def blockers(self, machine):
        raise ZeroDivisionError


@pytest.mark.parametrize("when", ["estimating", "asked whether it can run"])
def test_a_method_that_breaks_before_it_runs_leaves_the_others(when: str):
    end = outcomes(run((Uncertain(when), REQUEST), (Flat(), REQUEST)))
    assert isinstance(end["flat"], Finished)
    failed = end["uncertain"]
    assert isinstance(failed, Failed) and "reference" in failed.sentence


class Elsewhere(Flat):
    """Renders another camera than the one asked for."""

    card = a_card("elsewhere")

    def _run(self, request: Request, report) -> Turnaround:
        made = super()._run(request, report)
        return dataclasses.replace(made, frames=tuple(dataclasses.replace(f, view=View(90, 0)) for f in made.frames))


def test_a_method_for_any_view_that_renders_another_one_is_found_out():
    assert isinstance(outcomes(run((Elsewhere(), REQUEST)))["elsewhere"], Failed)


def test_no_method_can_change_the_subject_the_next_one_sees():
    with pytest.raises(ValueError, match="read-only"):
        REQUEST.subject.rgba[0, 0] = 1


class Lazy(Flat):
    """Claims any view, renders only the first."""

    card = a_card("lazy")

    def _run(self, request: Request, report) -> Turnaround:
        return Turnaround((frame(request.views[0]),))


def test_a_method_that_leaves_views_out_is_found_out():
    assert isinstance(outcomes(run((Lazy(), REQUEST)))["lazy"], Failed)


def test_options_of_another_method_are_refused():
    failed = outcomes(run((Flat(), dataclasses.replace(REQUEST, options=SlowOptions()))))["flat"]
    assert isinstance(failed, Failed) and "options" in failed.sentence


def test_f9_cancelling_stops_the_work_itself():
    slow, cancelled = Slow(), threading.Event()
    ends: list[dict[str, Finished | Failed]] = []
    worker = threading.Thread(target=lambda: ends.append(outcomes(run((slow, REQUEST), cancelled=cancelled))))
    worker.start()
    wait_until(lambda: slow.steps_made >= 2)
    cancelled.set()
    worker.join(20)
    failed = ends[0]["slow"]
    assert isinstance(failed, Failed) and failed.cancelled
    assert slow.steps_made < 50 and slow.running == 0


def test_f9_each_method_has_its_own_cancel():
    held, flat, slow = Held(), Flat(), Slow()
    cancelled = {key: threading.Event() for key in ("held", "flat", "slow")}
    events: list[Event] = []
    tasks = [(held, REQUEST), (flat, REQUEST), (slow, dataclasses.replace(REQUEST, options=SlowOptions(steps=2)))]
    worker = threading.Thread(
        target=compare, args=(tasks, InProcessEngine(), this_machine(Path()), events.append, cancelled)
    )
    worker.start()
    assert held.begun.wait(20)
    cancelled["flat"].set()  # while it waits
    cancelled["held"].set()  # while it runs
    worker.join(20)
    ends = outcomes(events)
    assert [type(ends[key]) for key in ("held", "flat", "slow")] == [Failed, Failed, Finished]
    assert all(end.cancelled for end in ends.values() if isinstance(end, Failed))
    assert not any(isinstance(e, Progressed) and e.method == "flat" and not e.waiting for e in events), "it never began"


def test_a_method_whose_turn_has_not_come_says_what_it_waits_for():
    events = run((Slow(), dataclasses.replace(REQUEST, options=SlowOptions(steps=1))), (Flat(), REQUEST))
    first = events[0]
    assert isinstance(first, Progressed) and first.waiting
    assert (first.method, first.message) == ("slow", "Runs after Flat")
    assert not any(isinstance(event, Progressed) and event.waiting for event in events[1:])


def test_f9_cancelling_reaches_a_run_that_still_waits():
    engine, slow, waiting = InProcessEngine(), Slow(), Slow()
    first, second = threading.Event(), threading.Event()
    threads = []
    events: list[Event] = []
    for method, flag in ((slow, first), (waiting, second)):
        threads.append(
            threading.Thread(
                target=compare, args=([(method, REQUEST)], engine, this_machine(Path()), events.append, flag)
            )
        )
        threads[-1].start()
        wait_until(lambda: slow.running == 1)
    wait_until(lambda: any(isinstance(e, Progressed) and e.waiting for e in events))
    second.set()
    threads[1].join(20)
    assert not threads[1].is_alive() and waiting.steps_made == 0
    assert any(isinstance(e, Progressed) and "Waiting for 1 other run" in e.message for e in events)
    assert slow.running == 1
    first.set()
    threads[0].join(20)
    assert not threads[0].is_alive()


def test_f10_never_two_heavy_runs_at_once():
    engine, slow, held = InProcessEngine(), Slow(), Held()
    slow.step_s = 0.01
    request = dataclasses.replace(REQUEST, options=SlowOptions(steps=5))
    flags = [threading.Event() for _ in range(12)]
    ends: list[Event] = []

    def begin(method: Method, asked: Request, heard: Callable[[Event], None], flag: threading.Event):
        task = [(method, asked)], engine, this_machine(Path()), heard, flag
        thread = threading.Thread(target=compare, args=task)
        thread.start()
        return thread

    threads = [begin(held, REQUEST, lambda event: None, threading.Event())]
    assert held.begun.wait(20)
    threads += [begin(slow, request, ends.append, flag) for flag in flags]
    for flag in flags[::3]:
        flag.set()  # before its turn has come
    held.released.set()
    for thread in threads:
        thread.join(20)
    assert slow.most_at_once == 1 and slow.running == 0
    assert sum(isinstance(e, Finished) for e in ends) == 8
    assert sum(isinstance(e, Failed) for e in ends) == 4
