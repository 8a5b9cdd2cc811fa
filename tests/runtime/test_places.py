"""Where models work, how much memory they may keep there, and what stands in the way, in words."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipelines.core.errors import TurnaroundError
from pipelines.runtime import devices, places
from pipelines.runtime.devices import Machine, this_machine
from pipelines.runtime.places import Place, chosen_place, gpu_budget_bytes, model_budget_bytes, torch_blockers
from pipelines.runtime.report import Report
from pipelines.runtime.residency import forget_idle, resident
from pipelines.runtime.settings import read_settings
from tests.pretended_gpu import pretended_gpu

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("wanted", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_refused_with_words(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNAROUND_DEVICE", wanted)
    with pytest.raises(TurnaroundError, match=f"TURNAROUND_DEVICE asks for {wanted}, but torch finds no "):
        chosen_place()
    assert this_machine(Path()).device == wanted.split(":")[0]
    (reason,) = torch_blockers(this_machine(Path()), 10)
    assert "TURNAROUND_DEVICE" in reason and reason.endswith(".")


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three NVIDIA GPUs, the last of which has the processor's memory."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        "#!/bin/sh\n"
        'for asked; do case "$asked" in --id=*) id="${asked#--id=}";; esac; done\n'
        "all='NVIDIA A10G, 23028, 535.104\nNVIDIA T4, 15360, 535.104\nNVIDIA GB10, [N/A], 535.104'\n"
        'case "$id" in "") echo "$all";; [012]) echo "$all" | sed -n "$((id + 1))p";; *) exit 6;; esac\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    devices.nvidia.cache_clear()


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize(
    ("device", "visible", "name"),
    [
        ("auto", None, "NVIDIA A10G"),
        ("cuda:1", None, "NVIDIA T4"),
        ("auto", "2,0", "NVIDIA GB10"),
        ("cuda:1", "2, 0", "NVIDIA A10G"),
        ("cuda:2", "2,0", "NVIDIA A10G"),
        ("auto", "MIG-0123", "NVIDIA A10G"),
        ("auto", "GPU-8932f937", "NVIDIA A10G"),  # CUDA knows one by the beginning of its name, the tool does not
    ],
)
def test_the_gpu_that_is_told_of_is_the_one_that_is_used(
    device: str, visible: str | None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNAROUND_DEVICE", device)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    machine = this_machine(Path())
    assert machine.gpu == name
    shared_bytes = int(0.75 * machine.memory_bytes)
    assert machine.gpu_memory_bytes == {"NVIDIA A10G": 23028, "NVIDIA T4": 15360}.get(name, 0) * 2**20 or shared_bytes


@pytest.mark.usefixtures("driver")
def test_a_gpu_that_torch_cannot_use_is_not_silently_replaced_by_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    built = re.match("(cuda)(13.0)", "cuda13.0")
    monkeypatch.setattr(devices, "_torch_built", lambda: built)
    assert this_machine(Path()).device == "cuda"
    with pytest.raises(TurnaroundError, match=r"built for CUDA 13\.0, and the driver 535\.104 may .*DEVICE=cpu"):
        chosen_place()
    assert chosen_place(or_processor=True).device.type == "cpu"  # where a GPU was of no use anyway
    monkeypatch.setenv("TURNAROUND_DEVICE", "cpu")
    assert chosen_place().device.type == "cpu"


@pytest.mark.parametrize(("release", "most"), [("6.6.87-microsoft-standard-WSL2", 0.75), ("6.8.0-generic", None)])
def test_under_windows_torch_takes_no_more_than_is_free_on_the_gpu(
    release: str, most: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    monkeypatch.setattr("platform.release", lambda: release)
    with pretended_gpu(8 * GB):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (5 * GB, 8 * GB))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda *_: 1 * GB)
        monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, *_: told.append(share))
        with resident("a layer", lambda place: torch.nn.Linear(4, 4).to(place.device), 80, Report()):
            pass
        forget_idle()
    assert told == ([most] if most else [])


def test_a_gpu_older_than_torch_was_built_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_gpu(24 * GB):
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80", "compute_80"])
        assert chosen_place().device == torch.device("cuda:0")
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["gfx906", "gfx1100"])  # AMD's
        assert chosen_place().device == torch.device("cuda:0")
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80", "compute_80"])
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (7, 0))
        with pytest.raises(TurnaroundError, match="older than those that the installed torch was built for"):
            chosen_place()


@pytest.mark.parametrize(
    ("device", "precision", "able", "expected"),
    [
        ("auto", "auto", False, "float32"),
        ("cpu", "auto", False, "float32"),
        ("cpu", "auto", True, "bfloat16"),
        ("cpu", "float32", True, "float32"),
        ("cpu", "bfloat16", False, "bfloat16"),
    ],
)
def test_a_processor_works_in_16_bits_where_it_multiplies_them_or_is_told_to(
    device: str, precision: str, able: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNAROUND_DEVICE", device)
    monkeypatch.setenv("TURNAROUND_PRECISION", precision)
    for module in (devices, places):
        monkeypatch.setattr(module, "cpu_multiplies_bfloat16", lambda: able)
    place = chosen_place()
    assert (place.device.type, place.dtype, place.name) == ("cpu", getattr(torch, expected), f"CPU, {expected}")
    assert this_machine(Path()).number_bytes == place.dtype.itemsize


def test_a_precision_that_makes_no_sense_is_refused_with_those_that_do() -> None:
    with pytest.raises(TurnaroundError, match=r"it must be one of: auto, float32, bfloat16\."):
        read_settings({"TURNAROUND_PRECISION": "half"})


def test_the_budget_is_a_share_of_the_machines_memory_or_what_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert model_budget_bytes(chosen_place()) == this_machine(Path()).memory_bytes // 2
    monkeypatch.setenv("TURNAROUND_MODEL_GB", "1.5")
    assert model_budget_bytes(chosen_place()) == 1_500_000_000


GB = 10**9


@pytest.mark.parametrize(
    ("total", "zero_gpu", "expected"),
    [
        (80 * GB, False, 68 * GB),
        (24 * GB, False, 18 * GB),
        (4 * GB, False, 2 * GB),
        (1 * GB, False, 0),
        (48 * GB, True, 36 * GB),
        (96 * GB, True, 45_097_156_607),  # one byte more, and each call costs a visitor twice
    ],
)
def test_a_gpu_keeps_room_to_work_in_and_a_borrowed_one_stays_below_its_threshold(
    total: int, zero_gpu: bool, expected: int
) -> None:
    assert gpu_budget_bytes(total, zero_gpu) == expected


def test_a_share_of_a_gpu_is_as_a_smaller_one() -> None:
    assert gpu_budget_bytes(80 * GB, False, share=0.25) == 15 * GB
    assert gpu_budget_bytes(80 * GB, False, share=0.05) == 2 * GB


def test_what_is_set_for_a_device_is_shared_by_those_that_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNAROUND_MODEL_GB", "40")
    assert model_budget_bytes(chosen_place(), share=0.25) == 10 * GB


def test_what_is_set_on_a_borrowed_gpu_stays_below_its_threshold_too(monkeypatch: pytest.MonkeyPatch) -> None:
    lent = Place(torch.device("cuda:0"), torch.bfloat16, "ZeroGPU, bfloat16")
    monkeypatch.setenv("TURNAROUND_MODEL_GB", "60")
    assert model_budget_bytes(lent) == 60 * GB
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert model_budget_bytes(lent) == 45_097_156_607
    monkeypatch.setenv("TURNAROUND_MODEL_GB", "20")
    assert model_budget_bytes(lent) == 20 * GB


@pytest.mark.parametrize("text", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "CUDA", "cuda:0 cuda:1", "auto,cpu"])
def test_a_device_that_makes_no_sense_is_refused_with_those_that_do(text: str) -> None:
    with pytest.raises(TurnaroundError, match=r"TURNAROUND_DEVICE.*it must be auto, cpu, mps, cuda, or cuda:1 .*\."):
        read_settings({"TURNAROUND_DEVICE": text})


@pytest.mark.parametrize(
    ("machine", "needed", "words"),
    [
        (Machine(2, 8 * GB, 0), 6 * GB, None),
        (Machine(2, 0, 0), 6 * GB, None),  # Windows does not tell
        (Machine(2, 4 * GB, 0), 6 * GB, "needs 6.0 GB of memory, and this machine has 4.0 GB and no GPU"),
        (Machine(2, 4 * GB, 0, "A100", 80 * GB), 6 * GB, None),
        (Machine(2, 16 * GB, 0, "GTX 1650", 4 * GB), 6 * GB, None),  # in turns
        (
            Machine(2, 16 * GB, 0, "GT 1030", 2 * GB),
            6 * GB,
            "this machine has 2.0 GB and 16.0 GB. Set TURNAROUND_DEVICE",
        ),
        (Machine(2, 4 * GB, 0, "GTX 1650", 4 * GB), 6 * GB, "has 4.0 GB and 4.0 GB. Run it on a larger machine."),
        (Machine(2, 4 * GB, 0, "A100", 80 * GB, "cpu"), 6 * GB, "its GPU is not used, because"),
        (Machine(2, 4 * GB, 0, "Apple GPU", 3 * GB, "mps"), 6 * GB, "has 3.0 GB"),
    ],
)
def test_too_little_memory_is_told_before_anything_is_loaded(machine: Machine, needed: int, words: str | None) -> None:
    reasons = torch_blockers(machine, needed)
    assert len(reasons) == (words is not None)
    assert words is None or (words in reasons[0] and reasons[0].endswith("."))


def in_fresh_interpreter(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_not_installed_is_named_and_asking_imports_nothing() -> None:
    said = in_fresh_interpreter(
        "import sys\n"
        "before = set(sys.modules)\n"
        "from pathlib import Path\n"
        "from pipelines.runtime.residency import torch_blockers\n"
        "from pipelines.runtime.devices import this_machine\n"
        "sys.modules['diffusers'] = sys.modules['torch'] = None\n"
        "print(torch_blockers(this_machine(Path()), 10))\n"
        "print(sorted({'transformers', 'safetensors', 'torch._C', 'huggingface_hub'} & set(sys.modules)))\n"
    )
    assert "It needs torch and diffusers, not installed here: run `pip install" in said
    assert said.splitlines()[-1] == "[]"
