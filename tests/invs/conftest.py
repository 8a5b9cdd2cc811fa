from pathlib import Path

import pytest
import torch

from pipelines.invs.loading import Inpainter, load_inpainter
from pipelines.invs.sources import INPAINTER
from pipelines.runtime.residency import Place
from pipelines.runtime.weights import Fetched
from tests.invs import tiny


@pytest.fixture(scope="package")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Inpainter:
    """A stock inpainter, tiny."""
    folder: Path = tmp_path_factory.mktemp("inpainter")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(21)
        tiny.inpainter(folder)
    cpu = Place(torch.device("cpu"), torch.float32, "CPU, float32")
    return load_inpainter(Fetched(folder, INPAINTER.first, "local"), cpu)
