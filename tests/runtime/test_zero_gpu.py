"""ZeroGPU, as far as it goes off a Space: the real package `spaces` in `zero_gpu_space.py`."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

import tests.invs.tiny
import tests.shap_e.tiny
import tests.sv3d.tiny
import tests.zero123.tiny
import tests.zero123plus.tiny
from pipelines.core.cameras import orbit
from pipelines.core.errors import TurnaroundError
from pipelines.registry import METHODS, find_method
from pipelines.runtime.engine import InProcessEngine, open_engine
from pipelines.runtime.method import Report, Request, options_from
from pipelines.runtime.places import Place
from pipelines.runtime.register import REGISTER, Register
from pipelines.runtime.residency import forget_idle, resident
from pipelines.runtime.settings import Settings
from pipelines.runtime.zero_gpu import Effort, ZeroGpuEngine, refusal
from tests.toy_methods import Flat, a_card, a_subject, some_weights

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
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(180)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and the workers that it forked
    assert process.returncode == 0, f"{ends.read_text() if ends.exists() else ''}\n{log.read_text()[-4000:]}"
    return json.loads(ends.read_text())


def test_launching_the_page_tells_the_space_that_there_is_something_to_run(space: dict[str, Any]):
    assert space["launching"] == ["/startup-report"]


def test_a_learned_method_borrows_a_gpu_for_the_visitor_and_the_time_it_needs(space: dict[str, Any]):
    run = space["a_run"]
    (_, schedule), (_, allow), (_, release) = run["asked"]
    assert [path for path, _ in run["asked"]] == ["/schedule", "/allow", "/release"]
    assert schedule["token"] == "visitor's token" and schedule["gpuSize"] == "large"
    assert schedule["durationSeconds"] == "10", "3 seconds by the estimate, and a worker's start"
    assert run["quota"] == [10, 0], "which the card says before, and of a method without weights nothing"
    assert allow["allowToken"] == release["allowToken"] and release["fail"] == "false"
    assert run["elsewhere"] and run["frames"] == 3


def test_what_needs_no_gpu_is_done_here_and_not_asked_for(space: dict[str, Any]):
    run = space["a_run"]
    assert run["finished_here"] and run["told"][-1] == "Finishing"
    assert run["quota"][0] == 10, "of 103 seconds by the estimate, 3 need the GPU"


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


def test_f37_views_that_were_done_when_the_gpu_went_are_kept_and_the_cause_is_told(space: dict[str, Any]):
    kept = space["killed_with_views_done"]
    assert (kept["frames"], kept["lens"], kept["requests"]) == (2, 48.0, 1)
    assert kept["notes"][0] == "Only 2 of 3 views were done when the GPU was taken away. Run it again for all."


def test_a_run_that_overran_its_time_is_told_so_and_the_next_asks_for_more(space: dict[str, Any]):
    kind, sentence = space["out_of_time"]["end"]
    assert kind == "TurnaroundError" and "its GPU time was over" in sentence and "Nothing of it was kept." in sentence
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


# --- Preloading -------------------------------------------------------------------------------------------------------


def test_what_is_to_be_preloaded_is_in_memory_before_the_page_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, folder in (("WEIGHTS", tmp_path / "weights"), ("DATA", tmp_path / "data")):
        monkeypatch.setenv(f"TURNAROUND_{name}", str(folder))
    monkeypatch.setenv("TURNAROUND_DEVICE", "cpu")
    for tiny in (tests.shap_e.tiny, tests.zero123.tiny, tests.zero123plus.tiny):
        tiny.write(tmp_path / "weights")
    forget_idle()
    keys = ("zero123_xl", "zero123plus", "shap_e")
    try:
        engine = open_engine(Settings(data=tmp_path, engine="zerogpu", preload=" ".join(keys)), METHODS)
        assert len(REGISTER.models()) == len(keys) and all(model.idle for model in REGISTER.models())
        method, machine = find_method("zero123_xl"), engine.machine(tmp_path)
        options = options_from(method.Options, {"steps": 10})
        request = Request(a_subject(64), orbit(1), options=options, size_px=64)
        unloaded = method.estimate(request, replace(machine, loaded=()))
        assert method.estimate(request, machine).seconds < unloaded.seconds
        plus = find_method("zero123plus")
        newer, older = (replace(request, options=plus.Options(version=version)) for version in ("v1.2", "v1.1"))
        assert plus.estimate(newer, machine).seconds < plus.estimate(older, machine).seconds, "that one is not loaded"
        made = engine.run(method, request, Report())
        assert made.frames and "load" not in made.stage_seconds, "nobody waits for a model that is there"
    finally:
        forget_idle()


def test_as_the_package_pretends_every_method_is_preloaded_and_packed_and_no_file_of_it_is_deleted(tmp_path: Path):
    """In its main process there is no GPU, and what it packs from the Hub's cache it would delete there."""
    weights, home = tmp_path / "weights", tmp_path / "home"
    blobs = home / ".cache/huggingface/hub/models--a--b/blobs"
    keys = ("zero123_xl", "zero123plus", "shap_e", "sv3d_p", "invs")
    for tiny in (tests.shap_e.tiny, tests.zero123.tiny, tests.zero123plus.tiny, tests.sv3d.tiny, tests.invs.tiny):
        tiny.write(weights)
    blobs.mkdir(parents=True)
    for number, file in enumerate(sorted(weights.rglob("*.safetensors"))):  # as the Hub's cache keeps them
        file.rename(blobs / str(number))
        file.symlink_to(blobs / str(number))
    command = [sys.executable, "-m", "tests.runtime.zero_gpu_preloading", str(weights), *keys]
    environment = os.environ | {"HOME": str(home), "ZEROGPU_OFFLOAD_DIR": str(tmp_path / "offload")}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    told = json.loads(ended.stdout.splitlines()[-1])
    assert "could not be preloaded" not in ended.stderr
    assert told["devices"] == ["cuda:0"] and told["packed_bytes"] > 100_000
    names = {each.name for key in keys for each in find_method(key).weights_for(find_method(key).Options())}
    assert set(told["preloaded"]) == names
    assert all(file.is_file() for file in weights.rglob("*.safetensors"))


def test_what_cannot_be_preloaded_keeps_no_page_from_opening(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    class Absent(Flat):
        card = a_card("absent", weights=(some_weights(),))

        def fetch(self, request: Request, report: Report) -> None:
            raise TurnaroundError("The Hub does not answer.")

    class Broken(Absent):
        card = a_card("broken", weights=(some_weights(),))

        def fetch(self, request: Request, report: Report) -> None:
            raise RuntimeError("a bug")

    engine = open_engine(Settings(data=tmp_path, engine="zerogpu", preload="absent broken"), (Absent(), Broken()))
    assert engine.machine(tmp_path).loaded == ()
    assert "absent could not be preloaded: The Hub does not answer." in caplog.text and "a bug" in caplog.text


def test_every_learned_method_is_fetched_to_be_preloaded_or_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Also SV3D, which for the photo's own view needs nothing."""
    monkeypatch.setenv("TURNAROUND_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TURNAROUND_DATA", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    keys = [method.card.key for method in METHODS if method.card.weights]
    for setting in ("preload", "compile"):
        caplog.clear()
        settings = replace(Settings(data=tmp_path, engine="zerogpu"), **{setting: " ".join(keys)})
        open_engine(settings, METHODS)
        for key in keys:
            if setting == "preload" or find_method(key).compiles:
                (said,) = (line for line in caplog.text.splitlines() if f" {key} could not be" in line)
                assert "is not on this machine" in said, "as whoever fetches says offline"


def test_what_is_preloaded_is_fetched_first_and_what_finds_no_room_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    class Preloaded(Flat):
        def __init__(self, key: str) -> None:
            self.card = a_card(key, weights=(some_weights(),))  # type: ignore[misc] - of this one alone
            self.done: list[str] = []

        def fetch(self, request: Request, report: Report) -> None:
            self.done.append("fetched")

        def warm(self, report: Report) -> None:
            self.done.append("warmed")
            with resident(self.card.key, lambda place: torch.nn.Linear(100, 100), 0, report):
                pass

    monkeypatch.setenv("TURNAROUND_MODEL_GB", "0.00006")  # one layer takes 40 kB
    methods = Preloaded("first"), Preloaded("second"), Preloaded("third")
    forget_idle()
    try:
        open_engine(Settings(data=tmp_path, engine="zerogpu", preload="first,second"), methods)
        assert [method.done for method in methods] == [["fetched", "warmed"]] * 2 + [[]]
        assert [model.key for model in REGISTER.models()] == ["second"]
        assert "first was preloaded and left again" in caplog.text and "second was" not in caplog.text
    finally:
        forget_idle()


def test_what_is_to_be_compiled_is_so_before_the_page_opens_and_what_cannot_be_keeps_none_from_opening(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    class Compiles(Flat):
        card = a_card("compiles", weights=(some_weights(),))
        compiles: ClassVar[bool] = True
        done: ClassVar[list[str]] = []

        def fetch(self, request: Request, report: Report) -> None:
            self.done.append("fetched")

        def compile_ahead(self, report: Report) -> tuple[str, ...]:
            self.done.append("compiled")
            return ("Twice as fast.",)

    class Refuses(Compiles):
        card = a_card("refuses", weights=(some_weights(),))

        def compile_ahead(self, report: Report) -> tuple[str, ...]:
            raise TurnaroundError("There is no compiler.")

    with caplog.at_level("INFO"):
        open_engine(Settings(data=tmp_path, engine="zerogpu", compile="refuses compiles"), (Compiles(), Refuses()))
    assert Compiles.done == ["fetched", "fetched", "compiled"] and "compiles: Twice as fast." in caplog.text
    assert "refuses could not be compiled: There is no compiler." in caplog.text
    with pytest.raises(TurnaroundError, match="TURNAROUND_COMPILE names 'flat'"):
        open_engine(Settings(data=tmp_path, engine="zerogpu", compile="flat"), (Compiles(), Flat()))


def test_an_unknown_method_to_preload_is_refused_with_those_there_are(tmp_path: Path):
    for wrong in ("zero124", "inflate"):
        with pytest.raises(TurnaroundError, match=f"TURNAROUND_PRELOAD names '{wrong}', .*: .*zero123_xl, .*shap_e"):
            open_engine(Settings(data=tmp_path, engine="zerogpu", preload=wrong), METHODS)


def test_a_model_in_memory_is_known_again_by_a_worker_whose_gpu_has_another_name():
    register = Register()
    here, there = (Place(torch.device("cpu"), torch.float32, name) for name in ("As the package says", "As CUDA says"))
    first = register.borrow("a", here, lambda place: torch.nn.Linear(2, 2), 0, (report := Report()))
    register.give_back(first, report)
    assert register.borrow("a", there, lambda place: torch.nn.Linear(2, 2), 0, Report()) is first
