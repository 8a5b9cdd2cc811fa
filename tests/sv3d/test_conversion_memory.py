"""Keeping a checkpoint in half precision takes little more memory than the largest part of it in half precision, and
loading it little more than its networks."""

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from weakref import ReferenceType, ref

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipelines.runtime.residency import Place
from pipelines.sv3d import loading
from pipelines.sv3d.keys import targets
from tests.sv3d import tiny
from tests.sv3d.conftest import fetched

VAE_LEVELS = 3
NEEDED = sum(len(targets(key, VAE_LEVELS) or []) for key in tiny.TINY)


def alive(tensors: list[ReferenceType[Tensor]]) -> int:
    return sum(tensor() is not None for tensor in tensors)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """In float32, as it was published."""
    file = tmp_path / "models" / "sv3d_p.safetensors"
    file.parent.mkdir()
    numbers = {name: torch.zeros(shape) for name, shape in tiny.TINY.items()}
    save_file(numbers, file, metadata={"format": "pt", loading.ABOUT: json.dumps(tiny.TELLS)})
    return file


@pytest.fixture
def read_ones(monkeypatch: pytest.MonkeyPatch) -> list[ReferenceType[Tensor]]:
    """Every tensor that is read of a file: each once the one before it is gone."""
    read_ones, stored_in = list[ReferenceType[Tensor]](), loading.stored_in

    def watched(file: Path) -> Iterator[tuple[str, Callable[[], Tensor]]]:
        def noted(read: Callable[[], Tensor]) -> Tensor:
            assert not alive(read_ones[-1:]), "the one before it is gone"
            tensor = read()
            read_ones.append(ref(tensor))
            return tensor

        for name, read in stored_in(file):
            yield name, partial(noted, read)

    monkeypatch.setattr(loading, "stored_in", watched)
    return read_ones


def test_one_tensor_of_the_original_is_in_memory_at_a_time_and_one_part_of_what_is_kept(
    original: Path, read_ones: list[ReferenceType[Tensor]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    halves, save = list[ReferenceType[Tensor]](), loading.save_tensors

    def saved(tensors: dict[str, Tensor], file: Path) -> None:
        assert not alive(halves), "the part before it is gone"
        assert {tensor.dtype for tensor in tensors.values()} == {torch.float16} and not alive(read_ones)
        halves.extend(ref(tensor) for tensor in tensors.values())
        save(tensors, file)

    monkeypatch.setattr(loading, "save_tensors", saved)
    assert loading.keep(fetched(original), tmp_path / "kept")
    assert len(read_ones) == len(halves) == NEEDED


def test_one_tensor_of_what_is_kept_is_in_memory_beside_the_networks(
    original: Path, read_ones: list[ReferenceType[Tensor]], tmp_path: Path
):
    loading.keep(fetched(original), tmp_path / "kept")
    read_ones.clear()
    place = Place(torch.device("cpu"), torch.bfloat16, "CPU, bfloat16")  # a precision that no file has
    assert loading.load(fetched(original), place, tmp_path / "kept")
    assert len(read_ones) == NEEDED and not alive(read_ones)


def test_where_the_disk_has_no_room_nothing_is_written_first(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    needed_bytes = original.stat().st_size // 2
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed_bytes - 1))
    assert loading.keep(fetched(original), tmp_path / "kept") is None
    assert "has no room" in caplog.text and not (tmp_path / "kept").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed_bytes))
    assert loading.keep(fetched(original), tmp_path / "kept")
