"""From a network's metres to a relief where the object stands."""

import math

import cv2
import numpy as np
import pytest

from pipelines.core.cameras import intrinsics, photo_distance
from pipelines.core.errors import TurnaroundError
from pipelines.invs.relief import MOST_RELIEF, USUAL_PIVOT, is_cut_off, relief

SIDE, DISTANCE = 64, 2.0
Y, X = np.mgrid[0:SIDE, 0:SIDE] + 0.5 - SIDE / 2
ALPHA = np.where((np.abs(X) < 24) & (np.abs(Y) < 12), 255, 0).astype(np.uint8)  # twice as wide as it is high
RAMP = (3 + 0.2 * X / 24).astype(np.float32)


def raised(metres: np.ndarray = RAMP, gain: float = 1.0, pivot: float = 0.5) -> np.ndarray:
    return relief(metres.astype(np.float32), ALPHA, DISTANCE, gain, pivot)


@pytest.mark.parametrize("scale", [0.1, 1.0, 37.0])
def test_whatever_the_networks_unit_the_relief_is_the_same(scale: float):
    assert np.abs(raised(RAMP * scale) - raised()).max() < 1e-5


def test_the_front_stands_before_the_middle_by_half_of_the_narrower_side():
    assert np.median(raised()[ALPHA > 0]) == pytest.approx(DISTANCE - 0.25, abs=0.01)
    assert np.median(raised(pivot=0.0)[ALPHA > 0]) == pytest.approx(DISTANCE, abs=0.01)


def test_gain_makes_it_stronger_and_none_makes_it_flat():
    spans = [np.ptp(raised(gain=gain)[32, 20:44]) for gain in (0, 1, 2)]
    assert spans[0] == 0 and spans[2] == pytest.approx(2 * spans[1], rel=1e-4)
    assert raised()[32, 20] < raised()[32, 44]  # as the network says


def test_a_wild_depth_is_drawn_in_and_nothing_leaves_the_object_by_much():
    wild = RAMP.copy()
    wild[30:33, 30:33] = 1000
    assert np.abs(raised(wild) - raised()).max() < 0.3
    assert np.abs(raised(gain=2.0, metres=3 + 40 * X)[ALPHA > 0] - (DISTANCE - 0.25)).max() <= MOST_RELIEF + 1e-6


def test_what_was_measured_keeps_all_of_its_relief_and_a_network_s_is_drawn_in():
    """A panel with something on it: most of it is as far away as the median."""
    panel = np.full((SIDE, SIDE), 3.0, np.float32)
    panel[28:36, 28:36] = 2.7
    measured, guessed = (relief(panel, ALPHA, DISTANCE, 1.0, 0.5, guessed=guess) for guess in (False, True))
    assert np.ptp(measured[ALPHA > 0]) == pytest.approx(0.1 * (DISTANCE - 0.25), rel=1e-3)
    assert np.ptp(guessed[ALPHA > 0]) == 0


def test_a_relief_that_was_stretched_is_known_by_what_was_held_back():
    stretched = (0.01 + (X + SIDE / 2) / SIDE).astype(np.float32)  # from nearly nothing to one
    assert is_cut_off(relief(stretched, ALPHA, DISTANCE, 1.0, 0.5, guessed=False))
    assert not is_cut_off(raised(gain=2.0))


def test_at_512_px_three_of_them_along_the_rim_are_not_believed():
    """specs/invs.md, 3: there a network's depth is half the object's and half the backdrop's."""
    alpha = np.zeros((512, 512), np.uint8)
    alpha[100:400, 150:350] = 255
    true = np.broadcast_to(3 + np.arange(512) / 5120, (512, 512)).astype(np.float32)
    mixed = true.copy()
    for far in range(3):
        ring = np.zeros((512, 512), bool)
        ring[100 + far : 400 - far, 150 + far : 350 - far] = True
        ring[101 + far : 399 - far, 151 + far : 349 - far] = False
        mixed[ring] = 3.4
    right, made = (relief(metres, alpha, DISTANCE, 1.0, 0.5) for metres in (true, mixed))
    assert np.abs(made - right).max() < 0.01


def test_an_unknown_depth_is_that_of_the_nearest_known_or_refused():
    holed = RAMP.copy()
    holed[30:34, 30:34] = 0
    assert np.abs(raised(holed) - raised()).max() < 0.02
    with pytest.raises(TurnaroundError, match="Nothing is known of how deep"):
        raised(0 * RAMP)


def test_the_rim_takes_its_depth_from_within_and_around_it_is_nothing():
    mixed = RAMP.copy()
    mixed[ALPHA == 0] = 9
    mixed[20] = 6  # the uppermost row of the object
    assert np.abs(raised(mixed) - raised()).max() < 0.02
    assert (raised()[ALPHA == 0] == 0).all() and (raised()[ALPHA > 0] > 0).all()


@pytest.mark.parametrize("scale", [0.2, 1.0, 30.0])
def test_a_ball_is_as_large_as_it_is_and_turns_about_its_middle(scale: float):
    """specs/invs.md, 11.11: whatever the network's unit, and nearly: that it is a ball, nobody tells."""
    side, radius, fill = 256, 0.5, 0.8
    distance = photo_distance(fill)
    focal = intrinsics(side)[0, 0]
    x, y = (np.stack(np.meshgrid(*[np.arange(side) + 0.5 - side / 2] * 2)) / focal).astype(np.float64)
    along = distance / (1 + x**2 + y**2)
    inside = radius**2 - (distance**2 - along * distance)
    depth = np.where(inside > 0, along - np.sqrt(np.maximum(inside, 0) / (1 + x**2 + y**2)), 0)
    alpha = np.where(depth > 0, 255, 0).astype(np.uint8)
    made = relief((scale * depth).astype(np.float32), alpha, distance, 1.0, USUAL_PIVOT)
    sure = cv2.erode(alpha, np.ones((7, 7), np.uint8)) > 0
    points = np.stack([x * made, y * made, made], -1)[sure]  # of the camera
    # The ball through them: |p|^2 = 2 p c + (r^2 - |c|^2)
    solved, *_ = np.linalg.lstsq(np.column_stack([2 * points, np.ones(len(points))]), (points**2).sum(1), rcond=None)
    centre = solved[:3]
    assert math.sqrt(solved[3] + centre @ centre) == pytest.approx(radius, rel=0.05)
    assert centre == pytest.approx((0, 0, distance), abs=0.08)


def test_a_box_turns_nearly_about_its_middle_too():
    wall = np.full((SIDE, SIDE), 3.0, np.float32)
    front = np.median(relief(wall, ALPHA, DISTANCE, 1.0, USUAL_PIVOT)[ALPHA > 0])
    assert front == pytest.approx(DISTANCE - 0.25, abs=0.1), "as deep as its narrower side, half of the longer"
