"""The golden tensors, and the network that they were made with."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pipelines.runtime.residency import Place
from pipelines.runtime.weights import Fetched, Source, WeightFile
from pipelines.sv3d.loading import Parts, load
from tests.sv3d import tiny

CPU = Place(torch.device("cpu"), torch.float32, "CPU, float32")


def fetched(file: Path) -> Fetched:
    source = Source("some/sv3d", "0" * 40, (WeightFile(file.name, file.stat().st_size),), "MIT")
    return Fetched(file.parent, source, "0" * 40)


def loaded(folder: Path, kind: str) -> Parts:
    file = folder / f"sv3d_{kind}.safetensors"
    tiny.write_checkpoint(file, kind)
    return load(fetched(file), CPU, folder / "kept")


@pytest.fixture(scope="session")
def golden() -> dict[str, Tensor]:
    return load_file(tiny.GOLDEN / "golden.safetensors")


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return loaded(tmp_path_factory.mktemp("sv3d"), "p")


@pytest.fixture(scope="session")
def parts_u(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return loaded(tmp_path_factory.mktemp("sv3d"), "u")
