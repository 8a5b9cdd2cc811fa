"""The flat triangulation: exactly the mask's shape, whatever the mask."""

import numpy as np
import pytest

from pipelines.core.errors import TurnaroundError
from pipelines.core.silhouette import MAX_POINTS, Silhouette, trace
from tests.inflate import shapes


def areas(silhouette: Silhouette) -> np.ndarray:
    a, b, c = (silhouette.points[silhouette.triangles[:, k]] for k in range(3))
    return ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2


def rim_edges(silhouette: Silhouette) -> np.ndarray:
    sides = silhouette.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    found, count = np.unique(np.sort(sides, axis=1), axis=0, return_counts=True)
    assert count.max() == 2
    return found[count == 1]


MASKS = {
    "disc": shapes.disc(),
    "bar": shapes.bar(),
    "ring": shapes.ring(),
    "letter": shapes.letter_b(),
    "animal": shapes.animal(),
    "whole frame": np.full((128, 128), 255, np.uint8),
    "hard small disc": (shapes.disc(24, size=64) > 127).astype(np.uint8) * 255,
    "one pixel": np.pad(np.full((1, 1), 255, np.uint8), 31),
    "line of one pixel": np.pad(np.full((1, 400), 255, np.uint8), ((255, 256), (56, 56))),
    "diagonal of one pixel": np.eye(300, dtype=np.uint8) * 255,
    "noise": np.random.default_rng(1).integers(0, 256, (256, 256)).astype(np.uint8),
    "chequers": (np.indices((256, 256)) // 8).sum(0).astype(np.uint8) % 2 * 255,
    "glass": (shapes.disc() / 5).astype(np.uint8),
    "barely there": (shapes.disc() > 0).astype(np.uint8),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
def test_the_outline_is_closed_simple_loops_and_no_triangle_is_flipped(mask: np.ndarray):
    silhouette = trace(mask)
    edges = rim_edges(silhouette)
    assert edges.min() >= silhouette.inner  # the rim's points come last, and are all on the outline
    assert (np.bincount(edges.ravel())[silhouette.inner :] == 2).all()  # each once
    assert areas(silhouette).min() > 0
    assert (silhouette.triangles < silhouette.inner).any(axis=1).all()
    assert np.unique(silhouette.triangles).size == len(silhouette.points) < 2 * MAX_POINTS


@pytest.mark.parametrize("size", [64, 333, 512, 1024])
def test_a_disc_has_its_area_and_a_round_outline_at_any_resolution(size: int):
    radius = 0.4 * size
    silhouette = trace(shapes.disc(radius, size=size))
    distance = np.hypot(*(silhouette.points[silhouette.inner :] - size / 2).T)
    assert areas(silhouette).sum() == pytest.approx(np.pi * radius**2, rel=2e-3)
    assert abs(distance - radius).max() < 0.2


def test_the_outline_of_a_hard_mask_has_no_stair_steps():
    size, slope = 256, 0.2
    x, y = shapes.grid(size)
    inside = (y > slope * x - 60) & (y < slope * x + 60) & (abs(x) < 100)
    silhouette = trace(inside.astype(np.uint8) * 255)
    x, y = silhouette.points[silhouette.inner :].T - size / 2
    off = (y - slope * x + 60)[(abs(x) < 80) & (y < slope * x)]
    assert len(off) > 100 and np.std(off) < 0.24  # steps of a pixel have 0.29
    assert np.ptp(off) < 0.85


@pytest.mark.parametrize(("width", "shift"), [(1, 0.5), (2, 0.0), (2, 0.3), (2, 0.5), (3, 0.0), (3, 0.5)])
def test_a_leg_of_few_pixels_survives_whole(width: int, shift: float):
    body = np.maximum(shapes.disc(90, (0, -100)), shapes.upright(100, width / 2, (10 + shift, 80)))
    silhouette = trace(body)
    assert silhouette.points[:, 1].max() > 256 + 178
    assert areas(silhouette).sum() == pytest.approx(body.sum() / 255, rel=0.01)


def test_holes_stay_holes():
    for mask, holes in ((shapes.disc(), 0), (shapes.ring(), 1), (shapes.letter_b(), 2)):
        silhouette = trace(mask)
        sides = np.sort(silhouette.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        euler = len(silhouette.points) - len(np.unique(sides, axis=0)) + len(silhouette.triangles)
        assert euler == 1 - holes


def test_an_empty_cut_out_is_refused_in_words():
    with pytest.raises(TurnaroundError, match="empty"):
        trace(np.zeros((64, 64), np.uint8))
