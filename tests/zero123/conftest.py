"""Tiny real weights in the folder that the setting names, as a lab keeps its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.runtime.residency import Place
from pipelines.runtime.weights import Weights, located
from pipelines.zero123.loading import Parts, load
from pipelines.zero123.sources import STABLE_ZERO123, ZERO123, ZERO123_XL
from tests.zero123 import tiny

ALL = (*ZERO123.values(), ZERO123_XL, STABLE_ZERO123)


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    tiny.write(folder)
    return folder


@pytest.fixture(autouse=True)
def weights_are_here(weights_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TURNAROUND_WEIGHTS", str(weights_folder))
    monkeypatch.setenv("TURNAROUND_DEVICE", "cpu")
    yield


def on_cpu() -> Place:
    import torch

    return Place(torch.device("cpu"), torch.float32, "CPU, float32")


def loaded(weights: Weights) -> Parts:
    found = located(weights)
    assert found is not None
    return load(found, on_cpu())


@pytest.fixture
def parts() -> Parts:
    return loaded(ZERO123_XL)
