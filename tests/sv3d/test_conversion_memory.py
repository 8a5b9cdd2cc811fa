"""Keeping a checkpoint in half precision takes little more memory than the largest part of it in half precision."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from weakref import ReferenceType, ref

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipelines.sv3d import loading
from pipelines.sv3d.keys import targets
from tests.sv3d import tiny
from tests.sv3d.conftest import fetched

VAE_LEVELS = 3


def alive(tensors: list[ReferenceType[Tensor]]) -> int:
    return sum(tensor() is not None for tensor in tensors)


def test_one_tensor_of_the_original_is_in_memory_at_a_time_and_one_part_of_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "models" / "sv3d_p.safetensors"
    file.parent.mkdir()
    numbers = {name: torch.zeros(shape) for name, shape in tiny.TINY.items()}  # in float32, as it was published
    save_file(numbers, file, metadata={"format": "pt", loading.ABOUT: json.dumps(tiny.TELLS)})
    read_ones, halves = list[ReferenceType[Tensor]](), list[ReferenceType[Tensor]]()
    stored_in, save = loading.stored_in, loading.save_tensors

    def watched(file: Path) -> Iterator[tuple[str, Callable[[], Tensor]]]:
        def noted(read: Callable[[], Tensor]) -> Tensor:
            assert not alive(read_ones[-1:]), "the one before it is gone"
            tensor = read()
            read_ones.append(ref(tensor))
            return tensor

        for name, read in stored_in(file):
            yield name, partial(noted, read)

    def saved(tensors: dict[str, Tensor], file: Path) -> None:
        assert not alive(halves), "the part before it is gone"
        assert {tensor.dtype for tensor in tensors.values()} == {torch.float16} and not alive(read_ones)
        halves.extend(ref(tensor) for tensor in tensors.values())
        save(tensors, file)

    monkeypatch.setattr(loading, "stored_in", watched)
    monkeypatch.setattr(loading, "save_tensors", saved)
    assert loading.keep(fetched(file), tmp_path / "kept")
    needed = [target for key in tiny.TINY for target in targets(key, VAE_LEVELS) or []]
    assert len(read_ones) == len(halves) == len(needed)
