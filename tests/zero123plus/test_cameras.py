"""The six cameras: a table, and the law behind it."""

import math

import numpy as np
import pytest

from pipelines.core.cameras import View, orbit, world_from_camera
from pipelines.zero123plus.cameras import AZIMUTHS_DEG, ELEVATIONS_DEG, fixed_views, nearest

TABLE = {
    "v1.2": [(30, 20), (90, -10), (150, 20), (-150, -10), (-90, 20), (-30, -10)],
    "v1.1": [(30, 30), (90, -20), (150, 30), (-150, -20), (-90, 30), (-30, -20)],
}


@pytest.mark.parametrize("version", TABLE)
def test_the_views_are_those_of_the_table_row_by_row(version: str) -> None:
    assert [(view.azimuth_deg, view.elevation_deg) for view in fixed_views(version)] == TABLE[version]
    assert all(view.distance == 1 for view in fixed_views(version))


@pytest.mark.parametrize("version", TABLE)
def test_they_stand_where_blender_puts_them(version: str) -> None:
    """There z is up and the photo's camera on x; here y is up and it is on z: the axes only change their names."""
    for i, view in enumerate(fixed_views(version)):
        azimuth, elevation = math.radians(AZIMUTHS_DEG[i]), math.radians(ELEVATIONS_DEG[version][i % 2])
        x, y = math.cos(azimuth) * math.cos(elevation), math.sin(azimuth) * math.cos(elevation)
        ours = np.array([y, math.sin(elevation), x])
        np.testing.assert_allclose(world_from_camera(view, 1.0)[:3, 3], ours, atol=1e-12)


def test_the_first_view_is_from_the_photos_right() -> None:
    """Counter-clockwise seen from above: the camera has moved to its own right, so it sees more of the right side."""
    first = world_from_camera(fixed_views("v1.2")[0], 1.0)[:3, 3]
    assert first[0] > 0 and first[2] > 0


def test_each_answers_the_nearest_that_was_asked() -> None:
    asked = (View(0, 0), View(170, 10), View(-85, 15))
    assert [nearest(view, asked) for view in fixed_views("v1.2")] == [asked[i] for i in (0, 1, 1, 1, 2, 0)]
    assert nearest(View(30, 20), (View(35, 20, 2.0),)) == View(35, 20, 2.0)
    assert [nearest(view, orbit(6, start_deg=30)).azimuth_deg for view in fixed_views("v1.1")] == [
        azimuth for azimuth, _ in TABLE["v1.1"]
    ]


def test_of_views_straight_above_the_one_that_is_turned_least_is_answered() -> None:
    asked = orbit(4, 90)
    assert [nearest(view, asked).azimuth_deg for view in fixed_views("v1.2")] == [0, 90, 180, 180, -90, 0]
