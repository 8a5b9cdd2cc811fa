from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipelines.core.mesh import glb_bytes
from pipelines.invs.loading import Inpainter, load_inpainter
from pipelines.invs.sources import INPAINTER
from pipelines.invs.train import Plan, train
from pipelines.runtime.residency import Place
from pipelines.runtime.weights import Fetched
from tests.core.shapes import ball, painted, together
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


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("training")
    (folder / "models").mkdir()
    for i, colour in enumerate([(200, 60, 40), (40, 90, 200)]):
        body, head = painted(ball(0.35, rings=24), colour), painted(ball(0.15, (0.1, 0.3, 0.2), 16), (230, 200, 60))
        (folder / "models" / f"{i}.glb").write_bytes(glb_bytes(together(body, head)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        tiny.inpainter(folder / "base")
    return Plan(
        folder / "models", folder / "out", folder / "base", 12, 2, 6e-3, drop=0.5, every=100, judged=0, workers=0
    )


@pytest.fixture(scope="module")
def whole(plan: Plan) -> tuple[Plan, list[float]]:
    """A training from its beginning to its end, and each step's loss."""
    torch.save(tiny.lpips_state(), plan.models.parent / "lpips.pt")
    one = replace(plan, out=plan.out / "whole", judged=1, lpips=plan.models.parent / "lpips.pt")
    return one, train(one)
