"""What machine this is, told without torch."""

import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipelines.core.cameras import orbit
from pipelines.runtime import devices
from pipelines.runtime.devices import (
    Machine,
    PeakMemory,
    _torch_built,
    cpu_multiplies_bfloat16,
    free_memory_bytes,
    memory_bytes,
    this_machine,
    torch_build,
    torch_cuda,
)
from pipelines.runtime.method import Report, Request, Turnaround
from pipelines.runtime.places import Place
from tests.toy_methods import Flat, a_subject


def test_this_machine_is_known(tmp_path: Path) -> None:
    machine = this_machine(tmp_path / "not" / "yet")
    assert machine.cores >= 1 and machine.free_disk_bytes > 0
    assert 0 < machine.memory_bytes <= psutil.virtual_memory().total
    assert machine.device in ("cuda", "mps", "cpu") and machine.pace == {}
    assert asdict(machine)["device"] == machine.device


def test_a_machine_described_by_its_gpu_alone_works_there() -> None:
    assert Machine(1, 1, 1).device == "cpu"
    assert Machine(1, 1, 1, "NVIDIA A100", 40 * 10**9).device == "cuda"
    assert Machine(1, 1, 1, "Apple GPU", 10**10, device="mps").device == "mps"


def test_what_is_done_in_16_bits_takes_less_time_than_in_32() -> None:
    cpu, gpu = Machine(4, 1, 1), Machine(4, 1, 1, "NVIDIA A100", 40 * 10**9)
    assert (cpu.number_bytes, gpu.number_bytes) == (4, 2)
    assert cpu.takes_s(8.0, 0.1) == 2.0 and gpu.takes_s(8.0, 0.1) == 0.1
    assert replace(cpu, number_bytes=2).takes_s(8.0, 0.1) < 2.0 and replace(gpu, number_bytes=4).takes_s(8.0, 0.1) > 0.1


@pytest.mark.parametrize(
    ("told", "able"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 gfni\n", True),
        ("vendor_id\t: GenuineIntel\nflags\t\t: amx_bf16 avx512f\n", True),
        ("flags\t\t: fpu avx2 avx512f avx512_vnni\nbugs\t\t: avx512_bf16\n", False),
        ("Features\t: fp asimd bf16\n", False),
        (None, False),
    ],
)
def test_a_processor_multiplies_bfloat16_where_linux_says_so(
    told: str | None, able: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if told:
        (tmp_path / "cpuinfo").write_text(told)
    monkeypatch.setattr(devices, "_CPU", tmp_path / "cpuinfo")
    cpu_multiplies_bfloat16.cache_clear()
    try:
        assert cpu_multiplies_bfloat16() == able
    finally:
        cpu_multiplies_bfloat16.cache_clear()


def test_free_memory_is_part_of_all_memory() -> None:
    assert 0 < free_memory_bytes() < memory_bytes()


def test_a_container_has_what_its_limit_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("500000000\n")
    (tmp_path / "memory.current").write_text("300000000\n")
    (tmp_path / "memory.stat").write_text("anon 100\ninactive_file 50000000\nactive_file 7\n")
    monkeypatch.setattr(devices, "_CONTAINERS", ((tmp_path, "memory.max", "memory.current", "inactive_file"),))
    memory_bytes.cache_clear()
    try:
        assert memory_bytes() == 500_000_000 and free_memory_bytes() == 250_000_000
        (tmp_path / "memory.max").write_text("max\n")
        memory_bytes.cache_clear()
        assert memory_bytes() > 500_000_000 and free_memory_bytes() > 0
    finally:
        memory_bytes.cache_clear()


def test_what_torch_was_built_for_is_read_and_not_asked() -> None:
    import torch

    expected = "cuda" if torch.version.cuda else "hip" if torch.version.hip else "cpu"
    assert torch_build() == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [("cuda: Optional[str] = '12.8'\n", "cuda"), ("cuda = None\nhip: Optional[str] = '6.3'\n", "hip"), ("", "cpu")],
)
def test_each_build_of_torch_is_told_apart(
    said: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "torch"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "version.py").write_text(said)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    _torch_built.cache_clear()
    try:
        assert torch_build() == expected
        assert torch_cuda() == ("12.8" if expected == "cuda" else "")
    finally:
        _torch_built.cache_clear()


def test_a_space_that_borrows_its_gpu_counts_as_having_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    machine = this_machine(tmp_path)
    assert (machine.gpu, machine.gpu_memory_bytes) == ("ZeroGPU", 48 * 10**9)


def test_the_peak_is_counted_from_its_start() -> None:
    large = np.ones(20_000_000)  # 160 MB
    before = PeakMemory()
    with_it = before.bytes()
    del large
    peak = PeakMemory()
    assert 0 < peak.bytes(gpu=True) <= with_it
    assert len(np.ones(20_000_000)) and peak.bytes() >= 160_000_000


def test_a_run_that_begins_beside_another_does_not_take_its_peak_away() -> None:
    heavy = PeakMemory()
    large = np.ones(40_000_000)  # 320 MB
    with_it = heavy.bytes()
    del large
    light = PeakMemory()
    assert light.bytes() < with_it - 200_000_000
    assert heavy.bytes() > with_it - 10_000_000  # the kernel counts in strides


def test_of_a_run_on_apples_gpu_what_its_driver_gave_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    class OnApple(Flat):
        def _run(self, request: Request, report: Report) -> Turnaround:
            report.place = Place(torch.device("mps"), torch.float16, "Apple GPU, float16")
            return super()._run(request, report)

    request = Request(a_subject(64), orbit(2), size_px=64)
    assert OnApple()(request, Report()).peak_memory_bytes == pytest.approx(PeakMemory().bytes(), rel=0.5)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 7 * 10**12)
    assert OnApple()(request, Report()).peak_memory_bytes == 7 * 10**12
    assert Flat()(request, Report()).peak_memory_bytes < 7 * 10**12
