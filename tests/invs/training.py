"""What came of a training, for the tests of it."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from pipelines.invs.loading import Inpainter, load_inpainter
from pipelines.invs.sources import INPAINTER
from pipelines.invs.train import Plan
from pipelines.runtime import weights
from pipelines.runtime.residency import Place

CPU = Place(torch.device("cpu"), torch.float32, "CPU, float32")


def unet(out: Path) -> dict[str, torch.Tensor]:
    return torch.load(out / "state.pt", weights_only=True)["unet"]


def begun(plan: Plan) -> dict[str, torch.Tensor]:
    """The UNet that it began with."""
    assert plan.base
    return load_file(plan.base / "unet" / "diffusion_pytorch_model.fp16.safetensors")


def loaded(folder: Path) -> Inpainter:
    return load_inpainter(weights.in_folder(INPAINTER.first, folder), CPU)
