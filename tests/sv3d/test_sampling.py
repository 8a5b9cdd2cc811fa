"""The way down from noise, where the right end is known."""

import math

import torch
from torch import Tensor

from pipelines.sv3d.sampling import Sampling, descended, noise_levels

SPREAD = 0.1  # of each cluster
CENTRES = torch.randn(8, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
NOISE = torch.randn(200, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def taken_for(x: Tensor, level: float) -> Tensor:
    """The mean of what may be behind it, of a mixture of clusters: what a perfect network would say."""
    variance = SPREAD**2 + level**2
    nearness = -(x[:, None] - CENTRES).square().sum(-1) / (2 * variance)
    return (SPREAD**2 * x + level**2 * (nearness.softmax(1) @ CENTRES)) / variance


def error(chosen: Sampling) -> float:
    """How far its ends are from where infinitely small steps lead, as a root of the mean square."""
    right = descended(NOISE, Sampling(2000), taken_for)
    # The same noise: the first level is the same for any number of steps
    return float((descended(NOISE, chosen, taken_for) - right).square().mean().sqrt())


def test_quick_takes_half_of_the_steps_and_ends_as_near_to_the_truth():
    usual, quick, fewer = error(Sampling(50)), error(Sampling(50, quick=True)), error(Sampling(25))
    assert Sampling(50, quick=True).passes == 25 and Sampling(11, quick=True).passes == 6
    assert quick < usual < fewer


def test_each_way_down_ends_at_what_it_was_last_taken_for():
    for chosen in (Sampling(10), Sampling(10, quick=True)):
        told: list[Tensor] = []
        end = descended(NOISE, chosen, taken_for, lambda step, clean, told=told: told.append(clean))
        assert len(told) == chosen.passes and torch.allclose(end, told[-1], atol=1e-9)


def test_levels_fall_from_the_largest_to_none():
    levels = noise_levels(50)
    assert len(levels) == 51 and levels[-1] == 0 and (levels[1:] < levels[:-1]).all()
    assert math.isclose(levels[0], 700) and math.isclose(levels[-2], 0.002)
