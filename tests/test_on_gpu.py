"""Each kind of network on a GPU: a pretended one, with a GPU's rules and memory, but the numbers of this machine."""

import dataclasses
import gc
import importlib
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.gpu_memory import sv3d
from pipelines.core.cameras import orbit
from pipelines.core.errors import TurnaroundError
from pipelines.registry import find_method
from pipelines.runtime.devices import this_machine
from pipelines.runtime.method import Report, Request, Turnaround, options_from
from pipelines.runtime.residency import forget_idle
from tests.pretended_gpu import GB, Gpu, pretended_gpu
from tests.toy_methods import a_subject

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="torch for Windows does not tell where it switches devices"
)

KINDS = ("sv3d_p", "invs", "zero123_xl", "zero123plus", "shap_e")


@pytest.fixture(scope="module", autouse=True)
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("weights")
    for room in ("sv3d", "invs", "zero123", "zero123plus", "shap_e"):
        importlib.import_module(f"tests.{room}.tiny").write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TURNAROUND_WEIGHTS", str(folder))
        patch.setenv("TURNAROUND_DATA", str(folder / "data"))
        yield


@pytest.fixture(autouse=True)
def nothing_is_loaded() -> Iterator[None]:
    forget_idle()
    yield
    forget_idle()


def run(key: str, **chosen: Any) -> Turnaround:
    method = find_method(key)
    fields = {spec.name: spec.metadata for spec in dataclasses.fields(method.Options)}
    fewest = {name: fields[name]["minimum"] for name in ("steps", "grid") if name in fields}
    options = options_from(method.Options, fewest | {name: True for name in ("quick",) if name in fields} | chosen)
    views = orbit(5 if key == "invs" else 3, 10)  # of iNVS, several on each side, so that neighbours are to agree
    return method(Request(a_subject(96), views, seed=7, size_px=64, options=options), Report())


@cache
def on_the_processor(key: str) -> Turnaround:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TURNAROUND_DEVICE", "cpu")
        return run(key)


@cache
def on_a_large_gpu(key: str) -> tuple[Turnaround, list[int]]:
    """What came of it, and the bytes on the GPU at most, after it, and once nothing was loaded any more."""
    with pretended_gpu() as gpu:
        made = run(key)
        return made, [gpu.peak_bytes, gpu.used_bytes, emptied(gpu)]


def difference(made: Turnaround, other: Turnaround) -> float:
    pairs = zip(made.frames, other.frames, strict=True)
    return float(np.mean([np.abs(one.rgba.astype(int) - two.rgba).mean() for one, two in pairs]))


def emptied(gpu: Gpu) -> int:
    """What is left on it when nothing is loaded any more."""
    forget_idle()
    gc.collect()
    return gpu.used_bytes


# --- The pretence -----------------------------------------------------------------------------------------------------


def test_it_has_a_gpus_rules():
    with pretended_gpu() as gpu, torch.inference_mode():
        there = torch.arange(6.0, device="cuda").view(2, 3)
        assert there.device == gpu.device and torch.equal((there @ there.T).cpu(), torch.tensor([[5.0, 14], [14, 50]]))
        assert torch.equal((there + torch.tensor(1.0))[torch.tensor([1])].cpu(), torch.tensor([[4.0, 5, 6]]))
        with pytest.raises(RuntimeError, match="two devices"):
            _ = there + torch.ones(3)
        with pytest.raises(RuntimeError, match="two devices"):
            torch.nn.Linear(3, 3)(there)
        with pytest.raises((RuntimeError, TypeError)):
            there.numpy()


@pytest.mark.parametrize("numbers", [True, False])
def test_its_memory_is_counted_given_back_and_runs_out(numbers: bool):
    with pretended_gpu(10_000_000, numbers=numbers) as gpu, torch.inference_mode():
        megabyte = torch.zeros(250_000, device="cuda")
        assert gpu.used_bytes == 1_000_448, "in whole blocks"
        view = megabyte.view(500, 500)[:10].add_(1)
        assert gpu.used_bytes == 1_000_448 and torch.cuda.mem_get_info()[0] == 10_000_000 - 1_000_448
        sums = [view + number for number in range(3)]
        del megabyte, view, sums
        assert gpu.used_bytes == 0 and gpu.peak_bytes == 1_000_448 + 3 * 20_480
        with pytest.raises(torch.OutOfMemoryError, match=r"Tried to allocate 0\.01 GiB"):
            torch.zeros(3_000_000, device="cuda")


# --- Methods on it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", KINDS)
def test_a_gpu_makes_the_same_as_the_processor_and_nothing_stays_there(key: str):
    made, (peak_bytes, kept_bytes, left_bytes) = on_a_large_gpu(key)
    assert made.provenance and made.provenance.device == "A pretended GPU, float32"
    assert difference(made, on_the_processor(key)) < 0.1
    assert made.peak_memory_bytes == peak_bytes > kept_bytes > left_bytes == 0


@pytest.mark.parametrize("key", ["sv3d_p", "zero123_xl"])
def test_of_a_run_only_the_model_stays_on_the_gpu(key: str):
    with pretended_gpu() as gpu:
        after = [gpu.used_bytes for _ in range(2) if run(key)]
        assert after[0] == after[1] > 0


@pytest.mark.parametrize("key", ["sv3d_p", "zero123_xl"])
def test_a_gpu_works_in_half_precision_by_itself(key: str, monkeypatch: pytest.MonkeyPatch):
    expected, _ = on_a_large_gpu(key)
    monkeypatch.setenv("TURNAROUND_PRECISION", "auto")
    with pretended_gpu():
        made = run(key)
    assert made.provenance and made.provenance.device.split()[-1] in ("float16", "bfloat16")
    assert 0 < difference(made, expected) < 4


@pytest.mark.parametrize(("key", "share"), [("sv3d_p", 0.93), ("zero123_xl", 0.6), ("shap_e", 0.6)])
def test_a_gpu_with_less_memory_makes_the_same_in_smaller_steps_and_says_so(key: str, share: float):
    expected, (peak_bytes, *_) = on_a_large_gpu(key)
    with pretended_gpu(int(share * peak_bytes)):
        made = run(key)
    assert difference(made, expected) < 0.1
    assert any(note.startswith("Memory was short") for note in made.notes)


def test_in_low_memory_one_video_and_one_frame_go_at_a_time_from_the_start(monkeypatch: pytest.MonkeyPatch):
    from pipelines.sv3d import sampling

    expected, (peak_bytes, *_) = on_a_large_gpu("sv3d_p")
    videos, frames, draw, decoded = set[int](), set[int](), sampling.draw, sampling.decoded
    monkeypatch.setattr(sampling, "draw", lambda *given: videos.add(given[5]) or draw(*given))
    monkeypatch.setattr(sampling, "decoded", lambda parts, some: frames.add(len(some)) or decoded(parts, some))
    with pretended_gpu() as gpu:
        made = run("sv3d_p", low_memory=True)
        assert videos == frames == {1} and gpu.peak_bytes < peak_bytes
    assert difference(made, expected) < 0.1 and not any("Memory was short" in note for note in made.notes)


def test_where_there_is_no_room_for_both_a_depth_network_sees_the_photo_and_its_mirror_image_in_turn():
    expected, (peak_bytes, *_) = on_a_large_gpu("invs")
    with pretended_gpu(int(0.7 * peak_bytes)):
        assert difference(run("invs"), expected) < 0.1


@pytest.mark.parametrize("key", KINDS)
def test_a_gpu_with_far_too_little_memory_is_told_in_words_and_stays_empty(key: str):
    with pretended_gpu(on_a_large_gpu(key)[1][0] // 8) as small:
        with pytest.raises(TurnaroundError, match=r"There is not enough memory .* the GPU has"):
            run(key)
        assert emptied(small) == 0


def test_sv3d_at_full_size_keeps_to_the_memory_that_it_is_to_have():
    """As tensors are counted; of what CUDA's libraries take beside nothing is known here."""
    peaks = sv3d()
    for name, most in (("ours", 12), ("in little memory", 8)):
        parts = {part: peak for part, peak in peaks.items() if part.startswith(f"sv3d {name}, ")}
        assert len(parts) == 2 and all(peak < most * GB for peak in parts.values()), parts
    machine = dataclasses.replace(this_machine(Path()), device="cuda", number_bytes=2, pace={})
    for low_memory, name in ((False, "ours"), (True, "in little memory")):
        options = options_from(find_method("sv3d_p").Options, {"low_memory": low_memory})
        told = find_method("sv3d_p").estimate(Request(a_subject(96), orbit(21, 10), options=options), machine)
        assert told.memory_bytes > max(peak for part, peak in peaks.items() if f"sv3d {name}, " in part)


def whole_bytes(key: str) -> int:
    """What its networks take on a GPU."""
    with pretended_gpu() as gpu:
        find_method(key).warm(Report())
        return gpu.used_bytes - emptied(gpu)


def test_where_the_parts_take_turns_from_the_start_the_precision_is_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TURNAROUND_PRECISION", "auto")
    with pretended_gpu() as large:
        expected = run("sv3d_p")
        emptied(large)
    with pretended_gpu(int(0.9 * whole_bytes("sv3d_p"))):
        made = run("sv3d_p")
    assert any("took turns" in note for note in made.notes)
    assert difference(made, expected) < 0.3, "in bfloat16 it is 1"
    assert made.provenance and expected.provenance
    assert made.provenance.device == expected.provenance.device == "A pretended GPU, float16"


def test_nothing_is_compiled_for_a_gpu_on_which_the_parts_take_turns():
    with pretended_gpu(whole_bytes("sv3d_p") // 2) as small:
        with pytest.raises(TurnaroundError, match="room for all of the model"):
            find_method("sv3d_p").compile_ahead(Report())
        assert emptied(small) == 0
