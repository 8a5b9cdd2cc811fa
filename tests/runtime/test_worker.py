"""Learned methods beside the page: whatever becomes of their process, the page and the next run go on."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipelines.core.cameras import orbit
from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.runtime import worker as worker_module
from pipelines.runtime.compare import Failed, compare
from pipelines.runtime.devices import this_machine
from pipelines.runtime.engine import InProcessEngine, open_engine
from pipelines.runtime.method import Method, Report, Request, Turnaround
from pipelines.runtime.relay import WorkerBug
from pipelines.runtime.settings import Settings
from pipelines.runtime.worker import Worker
from tests.runtime.job_helpers import wait_until
from tests.runtime.worker_methods import (
    Crashed,
    Deaf,
    Holding,
    Hungry,
    Killed,
    KilledLater,
    Learned,
    LeavesSomeone,
    LosesItsGpu,
    Seized,
    Unreadable,
    Unsendable,
    Working,
)
from tests.toy_methods import Flat, Raises, a_card, a_subject, some_weights

ROOT = Path(__file__).resolve().parents[2]
REQUEST = Request(a_subject(64), orbit(3), size_px=64)


class Bug(Raises):
    card = a_card("bug", weights=(some_weights(),))

    def fetch(self, request: Request, report: Report) -> None:
        pass


@pytest.fixture(scope="module")
def engine() -> Iterator[InProcessEngine]:
    engine = InProcessEngine(Worker())
    yield engine
    engine.close()


def made_in(made: Turnaround) -> int:
    return int(re.findall(r"Made in (\d+)", made.notes[0])[0])


class Running:
    """A run on a thread of its own."""

    def __init__(self, engine: InProcessEngine, method: Method) -> None:
        self.told: list[str] = []
        self.previews = 0
        self.cancelled = threading.Event()
        self.end: Future[Turnaround] = ThreadPoolExecutor(1).submit(
            engine.run, method, REQUEST, Report(self._hear, self.cancelled)
        )

    def _hear(self, fraction: float, message: str, preview: object) -> None:
        self.told.append(message)
        self.previews += preview is not None

    @property
    def pid(self) -> int:
        wait_until(lambda: "Working in" in str(self.told))
        return int(re.findall(r"Working in (\d+)", str(self.told))[0])


def test_a_learned_method_makes_the_same_frames_there_and_a_light_one_stays_here(engine: InProcessEngine):
    there, here = engine.run(Learned(), REQUEST, Report()), Learned()(REQUEST, Report())
    assert made_in(there) != os.getpid() == made_in(here)
    assert all(np.array_equal(a.rgba, b.rgba) for a, b in zip(there.frames, here.frames, strict=True))
    assert there.provenance == here.provenance and "fetch" in there.stage_seconds
    assert made_in(engine.run(Learned(), REQUEST, Report())) == made_in(there), "the same process, with its models"
    assert engine.run(Flat(), REQUEST, Report()).frames


def test_progress_and_previews_come_through(engine: InProcessEngine):
    running = Running(engine, Working())
    wait_until(lambda: running.previews > 3)
    assert engine.silent_s() < 5
    running.cancelled.set()
    with pytest.raises(Cancelled):
        running.end.result(20)
    assert engine.silent_s() == 0


def test_f7_a_worker_killed_for_memory_is_told_and_the_next_run_has_a_new_one(engine: InProcessEngine):
    before = made_in(engine.run(Learned(), REQUEST, Report()))
    for _ in range(2):
        with pytest.raises(TurnaroundError, match=r"Killed was ended by the system.*memory runs out\. Ask for"):
            engine.run(Killed(), REQUEST, Report())
    assert made_in(engine.run(Learned(), REQUEST, Report())) != before


def test_f7_views_that_were_done_are_kept(engine: InProcessEngine):
    made = engine.run(KilledLater(), REQUEST, Report())
    assert [frame.view for frame in made.frames] == list(REQUEST.views[:2]) and made.fov_deg == 48
    assert made.notes[0].startswith("Only 2 of 3 views were done when the system ended it, as when memory runs out.")
    assert made.provenance and made.provenance.method == "killed_later"


def test_a_gpu_that_fails_is_told_and_the_next_run_has_a_process_with_a_fresh_one(engine: InProcessEngine):
    before = made_in(engine.run(Learned(), REQUEST, Report()))
    with pytest.raises(TurnaroundError, match=r"The GPU failed in the middle of this.*starts it anew"):
        engine.run(LosesItsGpu(), REQUEST, Report())
    assert made_in(engine.run(Learned(), REQUEST, Report())) != before
    kept = engine.run(LosesItsGpu(), replace(REQUEST, seed=2), Report())
    assert len(kept.frames) == 2 and kept.notes[0].startswith("Only 2 of 3 views were done when the GPU failed.")
    assert engine.run(Learned(), REQUEST, Report()).frames


def test_f7_a_crash_is_told_as_one(engine: InProcessEngine):
    with pytest.raises(TurnaroundError, match=r"crashed \(exit code -11\) in the middle of its work\. Try"):
        engine.run(Crashed(), REQUEST, Report())
    assert engine.run(Learned(), REQUEST, Report()).frames


def test_f7_a_worker_killed_at_rest_is_replaced_without_anyone_noticing(engine: InProcessEngine):
    resting = made_in(engine.run(Learned(), REQUEST, Report()))
    os.kill(resting, signal.SIGKILL)
    child = engine._worker and engine._worker._child
    wait_until(lambda: child and not child.lives)
    assert made_in(engine.run(Learned(), REQUEST, Report())) != resting


def test_f7_memory_that_is_refused_is_told_and_the_worker_lives_on(engine: InProcessEngine):
    before = made_in(engine.run(Learned(), REQUEST, Report()))
    events: list[object] = []
    compare([(Hungry(), REQUEST)], engine, this_machine(Path()), events.append, threading.Event())
    failed = events[-1]
    assert isinstance(failed, Failed) and "ran out of memory. Ask for fewer" in failed.sentence
    assert made_in(engine.run(Learned(), REQUEST, Report())) == before


def test_f9_cancelling_stops_the_work_there_and_keeps_the_worker(engine: InProcessEngine):
    for _ in range(5):
        running = Running(engine, Working())
        pid = running.pid
        running.cancelled.set()
        with pytest.raises(Cancelled):
            running.end.result(20)
        assert made_in(engine.run(Learned(), REQUEST, Report())) == pid


def test_f9_what_hears_of_no_cancel_is_ended(engine: InProcessEngine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(worker_module, "STOP_S", 0.5)
    running = Running(engine, Holding(deaf_s=1e6))
    pid = running.pid
    running.cancelled.set()
    with pytest.raises(Cancelled):
        running.end.result(20)
    assert not psutil.pid_exists(pid)
    assert engine.run(Learned(), REQUEST, Report()).frames


@pytest.mark.parametrize("method", [Deaf(), Seized()], ids=["deaf", "seized"])
def test_f9_a_worker_without_models_is_not_waited_for(method: Method):
    """As while torch is imported and a first model is read: it hears of nothing, and there is little to lose."""
    engine = InProcessEngine(Worker())
    running = Running(engine, method)
    pid = running.pid
    time.sleep(1.5)  # until it hears nothing any more
    running.cancelled.set()
    with pytest.raises(Cancelled):
        running.end.result(worker_module.STOP_S / 2)
    assert not psutil.pid_exists(pid)
    assert engine.run(Learned(), REQUEST, Report()).frames
    engine.close()


def test_f9_a_worker_with_models_is_given_time_to_hear_and_keeps_them(engine: InProcessEngine):
    running = Running(engine, Holding(deaf_s=4))
    pid = running.pid
    running.cancelled.set()
    with pytest.raises(Cancelled):
        running.end.result(20)
    assert made_in(engine.run(Learned(), REQUEST, Report())) == pid


def test_a_bug_there_is_a_bug_here_with_its_trace(engine: InProcessEngine):
    with pytest.raises(WorkerBug, match="somebody's mistake"):
        engine.run(Bug(ValueError("somebody's mistake")), REQUEST, Report())
    with pytest.raises(WorkerBug, match="no such module there"):
        engine.run(Unreadable(), REQUEST, Report())
    with pytest.raises(TurnaroundError, match=r"Too dark\."):
        engine.run(Bug(TurnaroundError("Too dark.")), REQUEST, Report())
    worker = made_in(engine.run(Learned(), REQUEST, Report()))
    with pytest.raises(WorkerBug, match="this cannot be sent"):
        engine.run(Unsendable(), REQUEST, Report())
    assert made_in(engine.run(Learned(), REQUEST, Report())) == worker


def test_f7_a_death_is_seen_although_something_that_it_started_lives_on(engine: InProcessEngine):
    running = Running(engine, LeavesSomeone())
    with pytest.raises(TurnaroundError, match="ended by the system"):
        running.end.result(50)
    left = next(int(message.split()[-1]) for message in running.told if "beside" in message)
    assert psutil.pid_exists(left), "it still holds what it was given"
    os.kill(left, signal.SIGKILL)


def test_f9_a_worker_that_does_not_even_start_can_be_cancelled():
    engine, report = InProcessEngine(Worker()), Report()
    worker = engine._worker
    assert worker
    child = worker._living()
    os.kill(child._process.pid, signal.SIGSTOP)
    large = replace(REQUEST, subject=a_subject(1024))  # more than a pipe holds
    running = ThreadPoolExecutor(1).submit(engine.run, Learned(), large, report)
    wait_until(child._tells.empty)
    report.cancelled.set()
    with pytest.raises(Cancelled):
        running.result(20)
    assert child._process.poll() is not None
    assert engine.run(Learned(), REQUEST, Report()).frames
    engine.close()


def test_modules_of_the_folder_that_the_page_was_started_in_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "queue.py").write_text("raise SystemExit('not the queue that was meant')")
    monkeypatch.chdir(tmp_path)
    engine = InProcessEngine(Worker())
    assert engine.run(Learned(), REQUEST, Report()).frames
    engine.close()


def test_closing_ends_the_worker_and_the_run_in_it():
    engine = open_engine(Settings(engine="here"), ())
    assert isinstance(engine, InProcessEngine)
    running = Running(engine, Working())
    pid = running.pid
    engine.close()
    with pytest.raises(Cancelled):
        running.end.result(20)
    with pytest.raises(Cancelled):
        engine.run(Learned(), REQUEST, Report())
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("busy", [False, True], ids=["at rest", "at work"])
def test_no_worker_outlives_its_page(busy: bool):
    program = f"""
import sys, time
from pipelines.runtime.worker import Worker
from pipelines.runtime.method import Report
from tests.runtime.test_worker import REQUEST
from tests.runtime.worker_methods import Deaf, Learned, Working
def told(fraction, message, preview):
    if "Working" in message: print(message.split()[-1], flush=True)
worker = Worker()
if {busy}: worker.run(Deaf(), REQUEST, Report(told))
print(worker.run(Learned(), REQUEST, Report()).notes[0].rstrip(".").split()[-1], flush=True)
time.sleep(1000)
"""
    page = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert page.stdout is not None
    worker = psutil.Process(int(page.stdout.readline()))
    page.kill()
    page.wait()
    psutil.wait_procs([worker], timeout=20)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
    page.stdout.close()
