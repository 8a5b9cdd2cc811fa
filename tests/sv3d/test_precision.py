"""In half precision the network is told the very noise level and cameras that it is told in full."""

import math
from pathlib import Path

import torch
from torch import Tensor

from pipelines.runtime.residency import Place
from pipelines.sv3d.cameras import sine
from pipelines.sv3d.loading import load
from pipelines.sv3d.sampling import Sampling, camera_numbers, draw, noise_levels, see
from tests.sv3d import tiny
from tests.sv3d.conftest import fetched

STEPS = 3


def test_noise_levels_become_waves_before_they_are_rounded(tmp_path: Path):
    """As bfloat16 a level has two or three digits, and its fastest waves are then anywhere (specs/sv3d.md, 2.4)."""
    file = tmp_path / "sv3d_p.safetensors"
    tiny.write_checkpoint(file, "p")
    parts = load(fetched(file), Place(torch.device("cpu"), torch.bfloat16, "CPU, bfloat16"), tmp_path / "kept")
    told = list[Tensor]()
    parts.unet.time_embedding.register_forward_pre_hook(lambda module, given: told.append(given[0].clone()))

    side_px, latent_px, frames = parts.sizes.side_px, parts.sizes.latent_px, parts.sizes.frames
    chance = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, side_px, side_px, generator=chance)
    noise = torch.randn(frames, 4, latent_px, latent_px, generator=chance)
    seen = see(parts, picture, torch.zeros_like(picture))
    made = draw(parts, seen, camera_numbers(sine(10, frames), frames), noise, Sampling(STEPS, 2.5), 2)

    assert made.dtype == torch.float32 and made.isfinite().all() and len(told) == STEPS
    half = parts.unet.time_proj.num_channels // 2
    frequencies = torch.tensor([math.exp(-math.log(10_000) * i / half) for i in range(half)], dtype=torch.float64)
    for given, sigma in zip(told, noise_levels(STEPS), strict=False):
        turned = math.log(sigma) / 4 * frequencies
        waves = torch.cat([turned.cos(), turned.sin()])
        assert given.dtype == torch.bfloat16
        assert (given[0].double() - waves).abs().max() <= 2**-9 + 1e-6, "rounded once"
