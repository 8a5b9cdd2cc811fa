"""Sections are circular: the cases with a known answer, and what must hold in all."""

import numpy as np
import pytest

from pipelines.core.inflation import Inflation, inflate
from pipelines.core.silhouette import Silhouette, trace
from tests.inflate import shapes

HALF = shapes.SIZE / 2


def inflated(mask: np.ndarray) -> tuple[Silhouette, Inflation]:
    silhouette = trace(mask)
    return silhouette, inflate(silhouette)


def test_a_disc_becomes_a_ball():
    silhouette, inflation = inflated(shapes.disc(200))
    distance = np.hypot(*(silhouette.points - HALF).T)
    inside = distance < 190
    ball = np.sqrt(200**2 - distance[inside] ** 2)
    assert abs(inflation.half_thickness[inside] - ball).max() < 1
    assert abs(inflation.axis - HALF).max() < 4  # every point is round the one centre


@pytest.mark.parametrize("radius", [1.5, 4, 20, 60])
def test_a_long_bar_becomes_a_cylinder(radius: float):
    silhouette, inflation = inflated(shapes.bar(200, radius))
    x, y = silhouette.points.T - HALF
    middle = abs(x) < 200 - 3 * radius
    cylinder = np.sqrt(np.maximum(radius**2 - y**2, 0))
    tolerance = 0.12 * radius if radius < 10 else 0.05 * radius
    core = middle & (abs(y) < 0.9 * radius)
    assert abs(inflation.half_thickness - cylinder)[core].max() < tolerance
    assert abs(inflation.axis[middle, 1] - HALF).max() < 0.05 * radius + 0.2
    assert abs(inflation.axis[middle, 0] - silhouette.points[middle, 0]).max() < 0.1 * radius + 0.5


@pytest.mark.parametrize("ratio", [1.3, 2, 3])
def test_an_ellipse_is_as_thick_as_it_is_wide(ratio: float):
    x, y = shapes.grid()
    mask = shapes.soft((1 - np.hypot(x / 200, y * ratio / 200)) * 200 / ratio)
    silhouette, inflation = inflated(mask)
    x, y = silhouette.points.T - HALF
    share = 1 - (x / 200) ** 2 - (y * ratio / 200) ** 2
    inside = share > 0.1
    assert abs(inflation.half_thickness[inside] - 200 / ratio * np.sqrt(share[inside])).max() < 2


def test_a_ring_becomes_a_torus():
    silhouette, inflation = inflated(shapes.ring(160, 40))
    off = np.hypot(*(silhouette.points - HALF).T) - 160
    inside = abs(off) < 36
    assert abs(inflation.half_thickness[inside] - np.sqrt(40**2 - off[inside] ** 2)).max() < 3


def test_thickness_is_zero_on_the_rim_positive_inside_and_smooth_on_the_middle_line():
    silhouette, inflation = inflated(shapes.animal())
    assert (inflation.half_thickness[silhouette.inner :] == 0).all()
    assert (inflation.half_thickness[: silhouette.inner] > 0).all()
    assert np.isfinite(inflation.axis).all()
    assert inflation.half_thickness.max() < 1.15 * 60  # the body's half width; a quadruped is no pancake and no ball
    assert inflation.half_thickness.max() > 0.85 * 60
    # A crease along the middle of the bar would be a jump of the slope there.
    silhouette, inflation = inflated(shapes.bar(200, 40))
    x, y = silhouette.points.T - HALF
    core = (abs(x) < 60) & (abs(y) < 12)
    parabola = np.polyfit(y[core], inflation.half_thickness[core], 2)
    assert abs(np.polyval(parabola, y[core]) - inflation.half_thickness[core]).max() < 0.2


def test_shapes_do_not_feel_each_other_nor_their_place():
    alone = inflate(trace(shapes.disc(50, (-140, -140)))).half_thickness.max()
    both = np.maximum(shapes.disc(50, (-140, -140)), shapes.bar(80, 15, (100, 150)))
    silhouette, inflation = inflated(both)
    left = silhouette.points[:, 0] < HALF - 20
    assert inflation.half_thickness[left].max() == pytest.approx(alone, rel=0.01)
