"""Depths by networks: here by one that takes a picture's red for it, so that where it comes out can be told."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.core.backdrop import reframed
from pipelines.core.cameras import View, photo_distance
from pipelines.core.depth_map import MEDIAN_LEVEL
from pipelines.invs import INVS, depth
from pipelines.invs.depth import PX, metres, own_depth
from pipelines.invs.loading import DepthNetwork
from pipelines.invs.method import ANYTHING, ZOE, Options
from pipelines.invs.relief import relief
from pipelines.runtime.method import Report, Request
from pipelines.runtime.residency import Place
from pipelines.runtime.telling import Telling
from tests.toy_methods import a_subject

CPU = Place(torch.device("cpu"), torch.float32, "CPU, float32")


class TakesRed(torch.nn.Module):
    """Two and a half metres where there is none, three and a half where there is most."""

    dtype = torch.float32

    def __init__(self, is_zoe: bool):
        super().__init__()
        self.mean, self.std = (0.5, 0.5) if is_zoe else (depth.IMAGENET_MEAN[0], depth.IMAGENET_STD[0])

    def forward(self, pictures: torch.Tensor) -> Any:
        return SimpleNamespace(predicted_depth=2.5 + pictures[:, 0] * self.std + self.mean, domain_logits=None)


class HasTwoHeads(TakesRed):
    """As ZoeDepth: what is red on the right is taken for a street, eight times as deep, what is not for a room. All
    pictures that come together are taken for the same.
    """

    def forward(self, pictures: torch.Tensor) -> Any:
        side = pictures.shape[-1] // 2
        right = pictures[:, 0, :, side:].mean((1, 2)) - pictures[:, 0, :, :side].mean((1, 2))  # [N]
        logits = torch.stack([0.1 + 0 * right, right], dim=1)
        scale = 8 if int(logits.sum(0).argmax()) else 1
        return SimpleNamespace(predicted_depth=scale * super().forward(pictures).predicted_depth, domain_logits=logits)


def a_network(is_zoe: bool) -> DepthNetwork:
    return DepthNetwork(TakesRed(is_zoe), is_zoe, CPU)


def across_and_down(side: int) -> np.ndarray:
    """[S, S] in 0..1, alike neither mirrored nor turned."""
    y, x = np.mgrid[:side, :side] / side
    return (0.7 * x + 0.3 * y * y).astype(np.float32)


@pytest.mark.parametrize("is_zoe", [True, False])
def test_a_depth_is_of_the_very_pixels_that_were_shown(is_zoe: bool):
    """However they are padded, scaled and mirrored on the way."""
    red = across_and_down(256)
    rgb = np.dstack([np.rint(255 * red), 0 * red, 0 * red]).astype(np.uint8)
    found = metres(a_network(is_zoe), rgb)
    assert found.shape == red.shape
    assert np.abs(found - (2.5 + red))[8:-8, 8:-8].max() < 0.005


def test_zoedepth_is_shown_what_its_own_processor_makes_of_a_picture():
    """But for the processor's default multiple of 1/32, which its repositories' files put right (specs/hub.md)."""
    from transformers.models.zoedepth.image_processing_pil_zoedepth import ZoeDepthImageProcessorPil

    rgb = np.random.default_rng(2).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    shown, network = list[torch.Tensor](), a_network(True)
    network.module.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
    metres(network, rgb)
    processor = ZoeDepthImageProcessorPil(ensure_multiple_of=32)
    expected = processor(rgb, return_tensors="pt").pixel_values
    assert shown[0].shape[1:] == expected.shape[1:]
    assert (shown[0][0] - expected[0]).abs().max() < 1e-4
    assert shown[0][1].equal(shown[0][0].flip(-1)) or (shown[0][1] - shown[0][0].flip(-1)).abs().max() < 1e-4


def test_pictures_that_two_heads_were_chosen_for_are_not_averaged():
    red = across_and_down(256)
    rgb = np.dstack([np.rint(255 * red), 0 * red, 0 * red]).astype(np.uint8)
    network = DepthNetwork(HasTwoHeads(True), True, CPU)
    together, apart = metres(network, rgb, 2), metres(network, rgb, 1)
    assert np.abs(together - (2.5 + red))[8:-8, 8:-8].max() < 0.005, "they outvote each other: a room"
    assert np.abs(apart / 8 - (2.5 + red))[8:-8, 8:-8].max() < 0.005, "the photo's own, a street, and no mixture"


@pytest.mark.parametrize("name", [ZOE, ANYTHING])
@pytest.mark.parametrize("fill", [0.55, 0.9])
def test_however_much_of_the_frame_the_object_fills_its_depth_lies_on_it(
    name: str, fill: float, monkeypatch: pytest.MonkeyPatch
):
    """Networks see it larger or smaller than it is in its own picture."""

    @contextmanager
    def network(*_: object) -> Iterator[DepthNetwork]:
        yield a_network(name == ZOE)

    monkeypatch.setattr(INVS, "_network", network)
    disc = reframed(a_subject(256).rgba, fill / 0.8, 256)
    rgba = np.dstack([np.rint(255 * across_and_down(256)).astype(np.uint8), disc[..., 1:]])
    subject = replace(a_subject(256), rgba=rgba, fill=fill)
    request, report = Request(subject, (View(30),), options=Options(depth=name, relief=0.8, pivot=0.3)), Report()
    found = INVS()._depth(request, Telling(report, ""), report)
    alone = reframed(rgba, 1.0, PX)
    seen = 2.5 + alone[..., 0] / np.float32(255)
    expected = relief(seen, alone[..., 3], photo_distance(fill), 0.8, 0.3)
    deep = expected > 0
    assert ((found > 0) == deep).all() and np.abs(found - expected)[deep].max() < 0.01
    assert np.ptp(expected[deep]) > 0.2


@pytest.mark.parametrize("nearer_is_larger", [False, True])
def test_what_is_unknown_of_ones_own_depth_does_not_run_into_what_is_known(nearer_is_larger: bool):
    """Zeros would, when it is scaled: what lies beside them would come out nearer, or infinitely far."""
    known = np.zeros((300, 300), np.uint16)
    known[60:240, 60:240] = MEDIAN_LEVEL
    known[150:153] = 0
    told = own_depth(replace(a_subject(300), depth=known), nearer_is_larger=nearer_is_larger)
    assert told.shape == (PX, PX) and 0.3 < (told > 0).mean() < 0.4
    assert np.unique(told[told > 0]) == pytest.approx(1, abs=1e-5)
