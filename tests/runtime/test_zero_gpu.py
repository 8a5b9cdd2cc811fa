"""ZeroGPU, as far as it goes off a Space: the real package `spaces` in `zero_gpu_space.py`."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.cameras import orbit
from pipelines.runtime.engine import InProcessEngine, open_engine
from pipelines.runtime.method import Report, Request
from pipelines.runtime.settings import Settings
from pipelines.runtime.zero_gpu import Effort, ZeroGpuEngine, refusal
from tests.toy_methods import Flat, a_subject

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of every scenario."""
    folder = tmp_path_factory.mktemp("space")
    ends, log = folder / "ends.json", folder / "log.txt"
    environment = os.environ | {"TURNAROUND_DATA": str(folder), "HOME": str(folder)}
    with log.open("w") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.runtime.zero_gpu_space", str(ends)],
            cwd=ROOT, env=environment, stdout=written, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(180)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and the workers that it forked
    assert ends.exists(), log.read_text()[-4000:]
    return json.loads(ends.read_text())


def test_launching_the_page_tells_the_space_that_there_is_something_to_run(space: dict[str, Any]):
    assert space["launching"] == ["/startup-report"]


def test_a_learned_method_borrows_a_gpu_for_the_visitor_and_the_time_it_needs(space: dict[str, Any]):
    run = space["a_run"]
    (_, schedule), (_, allow), (_, release) = run["asked"]
    assert [path for path, _ in run["asked"]] == ["/schedule", "/allow", "/release"]
    assert schedule["token"] == "visitor's token" and schedule["gpuSize"] == "large"
    assert schedule["durationSeconds"] == "10", "3 seconds by the estimate, and a worker's start"
    assert allow["allowToken"] == release["allowToken"] and release["fail"] == "false"
    assert run["elsewhere"] and run["frames"] == 3


def test_weights_are_fetched_before_the_gpu_is_borrowed(space: dict[str, Any]):
    assert space["a_run"]["fetched_here"] and "fetch" in space["a_run"]["stages"]
    assert space["a_run"]["told"][0] == "Learned starts" and space["a_run"]["waits"] == ["Waiting for a GPU"]


def test_a_worker_that_lives_is_used_again(space: dict[str, Any]):
    assert space["two_runs_share_a_worker"] is True


def test_a_method_without_weights_borrows_nothing(space: dict[str, Any]):
    assert space["a_light_run"] == []


def test_what_goes_wrong_in_the_worker_is_what_goes_wrong_here(space: dict[str, Any]):
    sentence, bug, memory, exit = space["problems"]
    assert sentence == ["TurnaroundError", "No subject. Try another photo."]
    assert bug[0] == "WorkerBug" and "ValueError: a bug" in bug[1]
    assert memory[0] == "MemoryError" and exit[0] == "WorkerBug"


def test_cancelling_stops_the_worker_and_the_next_run_can_have_it(space: dict[str, Any]):
    ends = space["cancelled_while_running"]
    assert [end[0] for end in ends["ends"]] == ["Cancelled", "Cancelled"]
    assert ends["released_well"] and ends["same"]


def test_cancelling_does_not_wait_for_a_gpu_and_one_that_comes_too_late_is_given_back(space: dict[str, Any]):
    ends = space["cancelled_while_queueing"]
    assert ends["end"][0] == "Cancelled" and ends["before"] == ["/schedule"] and ends["frames"] == 3


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("quota", "up to 10 seconds of GPU time, and of your quota 46 seconds are left.* in about 3 hours"),
        ("runs", "as many GPU runs as you may"),
        ("pending", "Your other runs"),
        ("illegal", "more than one run may have"),
        ("none free", "No GPU is free"),
        ("expired", "Reload the page"),
        ("nonsense", "did not answer as it should"),
    ],
)
def test_a_refusal_is_said_in_our_words_and_nothing_is_tried_again(space: dict[str, Any], reply: str, words: str):
    kind, sentence, requests = space["refusals"][reply]
    assert kind == "TurnaroundError" and re.search(words, sentence) and sentence.endswith(".")
    assert requests == "1"


def test_a_visitor_who_is_not_logged_in_is_told_that_this_would_help(space: dict[str, Any]):
    kind, sentence = space["without_a_token"]
    assert kind == "TurnaroundError" and "Log in to Hugging Face" in sentence


def test_a_worker_that_dies_is_told_with_how_far_it_was_and_not_tried_again(space: dict[str, Any]):
    kind, sentence, requests = space["killed_in_the_middle"]
    assert kind == "TurnaroundError" and "50% done" in sentence and requests == "1"


def test_a_run_that_overran_its_time_is_told_so_and_the_next_asks_for_more(space: dict[str, Any]):
    kind, sentence = space["out_of_time"]["end"]
    assert kind == "TurnaroundError" and "its GPU time was over" in sentence
    first, second = space["out_of_time"]["asked"]
    assert second > first


def test_a_job_is_charged_to_the_visitor_who_started_it(space: dict[str, Any]):
    assert space["a_job"] == {"end": "Saved", "token": "visitor's token"}


def test_the_packages_own_words_for_a_busy_queue_are_not_shown():
    from spaces.zero.gradio import error

    cause = error("ZeroGPU queue timeout", "No GPU was available after 60s. Retry later", html=True)
    assert refusal(cause, Effort("SV3D", 60, 0.0, 0.0)).startswith("No GPU became free within a minute")


def test_off_a_space_the_engine_still_runs_and_is_not_chosen_by_itself(tmp_path: Path):
    assert isinstance(open_engine(Settings(data=tmp_path), ()), InProcessEngine)
    engine = open_engine(Settings(data=tmp_path, engine="zerogpu"), (Flat(),))
    assert isinstance(engine, ZeroGpuEngine)
    assert engine.run(Flat(), Request(a_subject(64), orbit(1)), Report()).frames
    assert engine.silent_s() == 0
