from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.runtime.residency import Place
from pipelines.shap_e.loading import Parts, load
from tests.shap_e import tiny


@pytest.fixture(scope="session")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    tiny.write(folder)
    return folder


@pytest.fixture(scope="session")
def repository(repositories: Path) -> Path:
    return repositories / "openai" / "shap-e-img2img"


@pytest.fixture(scope="session")
def on_cpu() -> Place:
    import torch

    return Place(torch.device("cpu"), torch.float32, "CPU, float32")


@pytest.fixture(scope="session")
def parts(repository: Path, on_cpu: Place) -> Parts:
    return load(repository, on_cpu)


@pytest.fixture(autouse=True, scope="module")
def here(repositories: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The methods find the tiny networks, and run on the processor."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TURNAROUND_WEIGHTS", str(repositories))
        environment.setenv("TURNAROUND_DATA", str(tmp_path_factory.mktemp("data")))
        environment.setenv("TURNAROUND_DEVICE", "cpu")
        yield
