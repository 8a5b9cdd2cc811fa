"""Ways of one's own: what is drawn or written down, as the views that are asked for."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.core.cameras import DISTANCE_RANGE, MAX_VIEWS, View, orbit, wrap_azimuth
from pipelines.core.errors import TurnaroundError
from pipelines.core.ways import along, comes_back, read_way

cameras = st.builds(View, st.floats(-180, 180), st.floats(-90, 90), st.floats(*DISTANCE_RANGE))
ways = st.lists(cameras, min_size=1, max_size=12)


@given(ways, st.integers(2, 60))
@example([View(0, 0), View(0, 2.225073858507e-311)], 3)  # so near to it that its square is 0
def test_views_go_from_the_first_camera_to_the_last(way: list[View], count: int) -> None:
    made = along(way, count)
    assert len(made) == count and made[0] == way[0]
    if not comes_back(way):
        end = made[-1]
        assert (end.elevation_deg, end.distance) == pytest.approx((way[-1].elevation_deg, way[-1].distance), abs=1e-9)
        assert abs(wrap_azimuth(end.azimuth_deg - way[-1].azimuth_deg)) < 1e-9


@given(ways)
def test_a_way_of_just_so_many_cameras_is_those(way: list[View]) -> None:
    assert comes_back(way) or along(way, len(way)) == tuple(way)


def test_views_are_even_however_uneven_the_stops() -> None:
    slow_then_fast = [View(azimuth, 10) for azimuth in (0, 1, 2, 3, 30, 60)]
    assert [view.azimuth_deg for view in along(slow_then_fast, 7)] == pytest.approx([0, 10, 20, 30, 40, 50, 60])
    steps = np.diff([[v.azimuth_deg, v.elevation_deg] for v in along([View(-40, -30), View(20, 50)], 9)], axis=0)
    assert np.linalg.norm(steps, axis=1) == pytest.approx(12.5)  # 100 degrees in 8 steps


def test_a_way_goes_on_over_the_back_and_more_than_once_round() -> None:
    twice = [View(azimuth) for azimuth in (0, 120, -120) * 2 + (0,)]
    turned = [view.azimuth_deg for view in along(twice, 12)]
    assert turned == pytest.approx([wrap_azimuth(60 * i) for i in range(12)])


def test_of_a_way_that_comes_back_the_end_is_left_out() -> None:
    there_and_round = [View(0, 10), View(120, 10), View(-120, 10), View(0, 10)]
    made = along(there_and_round, 21)
    assert np.allclose([(v.azimuth_deg, v.elevation_deg) for v in made], [(v.azimuth_deg, 10) for v in orbit(21)])
    assert len({view.azimuth_deg for view in along(there_and_round, 4)}) == 4  # as many as it has
    nearer = along([*there_and_round[:-1], View(0, 10, 0.5)], 21)  # it does not come back
    assert (nearer[-1].azimuth_deg, nearer[-1].distance) == (0, 0.5)


def test_coming_nearer_takes_its_part_of_the_way() -> None:
    distances = [view.distance for view in along([View(0, 0, 2), View(0, 0, 1)], 5)]
    assert distances == pytest.approx([2, 1.75, 1.5, 1.25, 1])
    made = along([View(0), View(60), View(60, 0, math.e)], 5)  # as long as 60 degrees
    assert [round(view.azimuth_deg) for view in made] == [0, 30, 60, 60, 60]


def test_one_camera_stays_where_it_is() -> None:
    assert along([View(20, 5, 2)], 3) == (View(20, 5, 2),) * 3 and along([View(1), View(2)], 1) == (View(1),)


@pytest.mark.parametrize("count", [0, -1, MAX_VIEWS + 1, 2.5, True, None])
def test_a_way_of_no_sensible_length_is_refused(count: Any) -> None:
    with pytest.raises(TurnaroundError, match=f"A way has between 1 and {MAX_VIEWS} views"):
        along([View(0), View(10)], count)


def test_a_way_is_read_as_it_is_written() -> None:
    assert read_way([[30, 10], [-20, 5, 1.5]]) == (View(30, 10), View(-20, 5, 1.5))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (7, "list of cameras"),
        ("30,10", "list of cameras"),
        ({"a": 1}, "list of cameras"),
        ([30, 10], "list of cameras"),
        (["30"], "list of cameras"),
        ([[1, 2, 3, 4]], "list of cameras"),
        ([], "between 1 and"),
        ([[0, 0]] * (MAX_VIEWS + 1), "between 1 and"),
        ([[0, 91]], "The elevation must lie"),
        ([["x", 0]], "The azimuth must be a number"),
        ([[0, float("nan")]], "finite"),
        ([[0, 0, 99]], "The distance must lie"),
    ],
)
def test_what_is_no_way_is_refused_in_a_sentence(given: Any, why: str) -> None:
    with pytest.raises(TurnaroundError, match=why):
        read_way(given)
