"""The paths of cameras: what each looks like, and that it can be played in a loop."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.cameras import (
    DISTANCE_RANGE,
    KINDS,
    MAX_VIEWS,
    SPIRAL_RANGE_DEG,
    SPIRAL_RISE_DEG,
    SWING_RANGE_DEG,
    View,
    angle_between,
    orbit,
    path,
    wrap_azimuth,
)
from pipelines.core.errors import TurnaroundError

MOVING = ("orbit", "spiral", "swing")
views = st.builds(View, st.floats(-180, 180), st.floats(-90, 90), st.floats(*DISTANCE_RANGE))
counts = st.integers(1, MAX_VIEWS)
swings = st.floats(*SWING_RANGE_DEG)


def turned_deg(made: tuple[View, ...]) -> list[float]:
    """From each view to the next, the last to the first; positive to the camera's right."""
    return [wrap_azimuth(b.azimuth_deg - a.azimuth_deg) for a, b in zip(made, [*made[1:], made[0]], strict=True)]


@given(st.sampled_from(KINDS), counts, views, swings)
def test_every_path_has_its_count_of_views_at_the_chosen_distance(kind, count, view, swing) -> None:
    made = path(kind, count, view, swing)
    assert len(made) == (1 if kind == "one view" else count)
    assert {v.distance for v in made} == {view.distance}
    assert all(-180 < v.azimuth_deg <= 180 and -90 <= v.elevation_deg <= 90 for v in made)


@given(counts, views)
def test_one_view_is_the_view_whatever_the_count(count, view) -> None:
    assert path("one view", count, view) == (view,)
    assert path("one view", 0, view) == (view,)


@given(counts, views)
def test_an_orbit_is_the_orbit_at_the_views_height(count, view) -> None:
    assert path("orbit", count, view) == orbit(count, view.elevation_deg, distance=view.distance)


@given(st.sampled_from(MOVING), st.integers(8, MAX_VIEWS), views, swings)
def test_a_path_closes_on_itself_without_a_leap(kind, count, view, swing) -> None:
    """The step from the last view to the first is no longer than a step may be anywhere on the path."""
    made = path(kind, count, view, swing)
    farthest = 2 * math.pi / count * {"orbit": 180 / math.pi, "swing": swing, "spiral": 180 / math.pi + 25}[kind]
    steps = [angle_between(a, b) for a, b in zip(made, [*made[1:], made[0]], strict=True)]
    assert max(steps) <= farthest + 1e-6


@given(st.sampled_from(("orbit", "spiral")), st.integers(3, MAX_VIEWS), views)
def test_orbits_and_spirals_go_round_once_evenly_to_the_right_from_the_front(kind, count, view) -> None:
    made = path(kind, count, view)
    assert made[0].azimuth_deg == 0
    assert turned_deg(made) == pytest.approx([360 / count] * count, abs=1e-9)


@given(counts, views)
def test_a_spiral_stays_within_its_rise_and_off_the_poles(count, view) -> None:
    low, high = SPIRAL_RANGE_DEG
    for made in path("spiral", count, view):
        assert low <= made.elevation_deg <= high
        assert abs(made.elevation_deg - view.elevation_deg) <= SPIRAL_RISE_DEG + 1e-9 or made.elevation_deg in (
            low,
            high,
        )


@given(st.integers(1, MAX_VIEWS // 2), st.floats(-60, 60))
def test_a_spiral_rises_to_the_back_and_sinks_again_the_same_way(half, elevation) -> None:
    heights = [v.elevation_deg for v in path("spiral", 2 * half, View(0, elevation))]
    assert heights[0] == pytest.approx(elevation - 25) and heights[half] == pytest.approx(elevation + 25)
    assert (np.diff(heights[: half + 1]) > 0).all() and (np.diff(heights[half:]) < 0).all()
    assert heights[1:] == pytest.approx(heights[:0:-1], abs=1e-9)


@pytest.mark.parametrize(("elevation", "pole"), [(90, 85), (80, 85), (-90, -85), (-70, -85)])
def test_a_spiral_that_would_pass_a_pole_waits_beside_it(elevation, pole) -> None:
    heights = [v.elevation_deg for v in path("spiral", 36, View(0, elevation))]
    assert pole in heights and max(np.abs(heights)) == 85


@given(st.integers(1, MAX_VIEWS // 4), views, swings)
def test_a_swing_goes_as_far_to_the_left_as_to_the_right_and_passes_its_view_twice(quarter, view, swing) -> None:
    made = path("swing", 4 * quarter, view, swing)
    aside = [wrap_azimuth(v.azimuth_deg - view.azimuth_deg) for v in made]
    assert {v.elevation_deg for v in made} == {view.elevation_deg}
    assert aside[0] == pytest.approx(0, abs=1e-9) and aside[2 * quarter] == pytest.approx(0, abs=1e-9)
    assert abs(aside[quarter]) == pytest.approx(swing) and abs(aside[3 * quarter]) == pytest.approx(swing)
    if swing < 180:
        assert aside[quarter] > 0 > aside[3 * quarter]
        assert aside[1:] == pytest.approx([-a for a in aside[:0:-1]], abs=1e-9)
        assert (np.diff(aside[: quarter + 1]) > 0).all() and (np.diff(aside[quarter : 3 * quarter + 1]) < 0).all()


def test_each_path_in_numbers() -> None:
    view = View(20, 10, 1.5)
    half = 25 * math.sqrt(0.5)
    spiral = [(v.azimuth_deg, v.elevation_deg) for v in path("spiral", 8, view)]
    rises = [-15, 10 - half, 10, 10 + half, 35, 10 + half, 10, 10 - half]
    assert np.allclose(spiral, list(zip([0, 45, 90, 135, 180, -135, -90, -45], rises, strict=True)))
    assert [v.azimuth_deg for v in path("swing", 4, view)] == pytest.approx([20, 50, 20, -10])
    assert [v.azimuth_deg for v in path("swing", 4, view, 90)] == pytest.approx([20, 110, 20, -70])
    assert [v.azimuth_deg for v in path("orbit", 4, view)] == [0, 90, 180, -90]


@pytest.mark.parametrize("kind", ["", "Orbit", "circle", "<b>", "x" * 999, None, 3, ["orbit"]])
def test_a_path_of_no_known_kind_is_refused_with_those_there_are(kind: Any) -> None:
    with pytest.raises(TurnaroundError, match="no camera path") as refusal:
        path(kind, 8, View())
    assert all(known in str(refusal.value) for known in KINDS) and len(str(refusal.value)) < 200


@pytest.mark.parametrize("kind", MOVING)
@pytest.mark.parametrize(
    "count", [0, -1, MAX_VIEWS + 1, 10**9, 10**400, 2.0, 2.5, True, "8", None, [8], math.nan, math.inf]
)
def test_a_path_of_no_sensible_length_is_refused(kind: str, count: Any) -> None:
    with pytest.raises(TurnaroundError, match=f"An? {kind} has between 1 and {MAX_VIEWS} views") as refusal:
        path(kind, count, View())
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("swing", [0, 0.9, -30, 180.1, math.nan, math.inf, "30", True, None])
def test_a_swing_that_is_none_is_refused(swing: Any) -> None:
    with pytest.raises(TurnaroundError, match=r"^The swing must"):
        path("swing", 8, View(), swing)
