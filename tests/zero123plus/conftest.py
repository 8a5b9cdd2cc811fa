"""Tiny weights in the real layouts, made once, and found as a lab's own folder is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.runtime.residency import Place
from pipelines.zero123plus.model import Parts, load
from tests.zero123plus.tiny import write


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write(folder)
    return folder


@pytest.fixture(autouse=True)
def found(weights_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNAROUND_WEIGHTS", str(weights_folder))
    monkeypatch.setenv("TURNAROUND_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TURNAROUND_DEVICE", "cpu")


@pytest.fixture(scope="session")
def place() -> Place:
    import torch

    return Place(torch.device("cpu"), torch.float32, "CPU, float32")


@pytest.fixture
def parts(weights_folder: Path, place: Place) -> Iterator[Parts]:
    yield load(weights_folder / "sudo-ai" / "zero123plus-v1.2", place)
