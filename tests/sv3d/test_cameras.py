"""SV3D's cameras, and what of those asked for it can meet."""

import math

import numpy as np
import pytest

from pipelines.core.cameras import View, orbit, path, turn_between
from pipelines.core.ways import along
from pipelines.sv3d.cameras import (
    FRAMES,
    SINE_DEG,
    STEEPEST_DEG,
    Path,
    dynamic,
    evenly,
    level,
    nearest,
    sine,
    through,
)

STEP_DEG = 360 / FRAMES


def exact(there: Path, asked: View, clockwise: bool = False) -> bool:
    return min(turn_between(view, asked) for view in there.views(clockwise)) < 1e-6


@pytest.mark.parametrize(
    ("frame", "azimuth_deg", "polar_rad", "azimuth_rad"),
    [  # of an orbit 10 degrees above level; each azimuth as ours, then as the network is told it
        (0, 17.142857, math.radians(80), 0.299199),
        (4, 85.714286, math.radians(80), 1.495997),
        (9, 171.428571, math.radians(80), 2.991993),
        (10, -171.428571, math.radians(80), 3.291192),
        (19, -17.142857, math.radians(80), 5.983986),
        (20, 0.0, math.radians(80), 0.0),
    ],
)
def test_the_table_of_cameras(frame: int, azimuth_deg: float, polar_rad: float, azimuth_rad: float):
    there = level(10)
    view, (polars, azimuths) = there.views()[frame], there.conditions_rad()
    assert view.azimuth_deg == pytest.approx(azimuth_deg, abs=1e-5) and view.elevation_deg == 10
    assert polars[frame] == pytest.approx(polar_rad) and azimuths[frame] == pytest.approx(azimuth_rad, abs=1e-5)


def test_one_setting_turns_the_sense_round():
    there = level(0)
    assert [view.azimuth_deg for view in there.views(clockwise=True)[:-1]] == [
        -view.azimuth_deg for view in there.views()[:-1]
    ]
    for clockwise in (False, True):
        assert exact(through([View(50, 20)], 0, clockwise), View(50, 20), clockwise)


@pytest.mark.parametrize("clockwise", [False, True])
def test_a_path_drawn_from_the_photo_round_and_back_is_flown_as_it_is(clockwise: bool):
    drawn = [View(0, 10), View(90, 30), View(170, -5), View(-100, 12), View(0, 10)]
    asked = along(drawn[::-1] if clockwise else drawn, FRAMES)
    there = through(asked, 10, clockwise)
    assert all(exact(there, view, clockwise) for view in asked)
    assert there.azimuths_deg[-1] == 0 and all(np.diff([0, *there.azimuths_deg[:-1], 360]) > 0)


@pytest.mark.parametrize(
    "asked",
    [
        along([View(0, 10), View(60, 80), View(180, 80), View(-60, 80), View(0, 10)], FRAMES),  # too steep
        path("swing", FRAMES, View(0, 10)),  # over the back in one step
        along([View(0, 12), View(120, 12), View(-120, 12), View(0, 12)], FRAMES),  # not from the photo
        along([View(0, 10), View(120, 30), View(-120, 30), View(0, 10)], 30),  # not as many
        along([View(a, e) for e in (10, 19) for a in (0, 120, -120)] + [View(0, 10)], FRAMES),  # twice round
        (View(0, 10), *along([View(60, 10), View(180, 10), View(-17, 10)], FRAMES - 1)),  # one step too wide
        (View(170, 80), View(-170, -80)),
    ],
)
def test_what_cannot_be_flown_as_it_is_drawn_is_come_near_to(asked: tuple[View, ...]):
    there = through(asked, 10)
    assert there.azimuths_deg == evenly() and there.elevations_deg[-1] == 10
    assert np.abs(np.diff([10, *there.elevations_deg])).max() <= STEEPEST_DEG + 1e-9


PATHS = {
    "level": level(15),
    "sine": sine(15),
    "dynamic": dynamic(15, 3),
    "an orbit": through(orbit(21, 40), 15),
    "a spiral": through(path("spiral", 30, View(0, 10)), 15),
    "a swing": through(path("swing", 9, View(0, 10)), 15),
    "one view": through([View(200 - 360, 70)], 15),
}
ABOVE_THE_PHOTO = through([View(0, 60)], 0)


@pytest.mark.parametrize("there", PATHS.values(), ids=PATHS)
def test_every_path_goes_once_round_and_ends_with_the_photo(there: Path):
    assert len(there.azimuths_deg) == len(there.elevations_deg) == FRAMES
    assert (there.azimuths_deg[-1], there.elevations_deg[-1]) == (0, pytest.approx(15))
    assert all(np.diff([0, *there.azimuths_deg[:-1], 360]) > 0)
    assert all(abs(elevation) <= 90 for elevation in there.elevations_deg)


def test_straight_above_the_photos_place_it_climbs_first_and_turns_then():
    azimuths = ABOVE_THE_PHOTO.azimuths_deg
    climb = azimuths.count(0) - 1  # and the photo itself
    assert azimuths[:climb] == (0,) * climb and ABOVE_THE_PHOTO.elevations_deg[climb - 1] == pytest.approx(60)
    assert all(np.diff(azimuths[climb:-1]) > 0)


@pytest.mark.parametrize("azimuth_deg", [0, 1, 17, 45, 90, 179, 180, -135, -90, -30, -1])
@pytest.mark.parametrize("elevation_deg", [-90, -60, -10, 0, 20, 89, 90])
def test_a_single_camera_is_met_exactly_on_a_way_that_is_not_too_steep(azimuth_deg: float, elevation_deg: float):
    there = through([View(azimuth_deg, elevation_deg)], 10)
    assert exact(there, View(azimuth_deg, elevation_deg))
    steps = np.abs(np.diff([10, *there.elevations_deg]))
    assert steps.max() <= STEEPEST_DEG * math.pi / 2 + 1e-9  # where it is steepest, in the middle of the way


def test_an_orbit_at_the_photos_elevation_is_met_camera_by_camera():
    asked = orbit(FRAMES, 12)
    assert all(exact(through(asked, 12), view) for view in asked)


def test_an_orbit_at_another_elevation_is_met_but_on_the_way_there_and_back():
    there = through(orbit(FRAMES, 40), 10)
    met = [elevation == pytest.approx(40) for elevation in there.elevations_deg]
    assert met == [False, False, *[True] * 16, False, False, False]
    assert max(np.abs(np.diff([10, *there.elevations_deg]))) <= STEEPEST_DEG + 1e-9


def test_the_sine_is_highest_a_quarter_round_and_the_dynamic_path_is_of_its_seed():
    assert max(sine(0).elevations_deg) == pytest.approx(SINE_DEG, rel=0.01)
    assert sine(0).elevations_deg.index(max(sine(0).elevations_deg)) in (4, 5)
    assert dynamic(0, 1) == dynamic(0, 1) != dynamic(0, 2)
    assert max(map(abs, dynamic(0, 1).elevations_deg)) > 5
    assert len(set(np.round(np.diff(dynamic(0, 1).azimuths_deg[:-1]), 3))) > 10


def test_dynamic_paths_swing_as_far_and_as_often_as_those_of_the_training():
    """specs/sv3d.md, 1.5: 84 waves of up to 10 degrees, 1 to 4 of them a turn."""
    heights = np.array([dynamic(0, seed).elevations_deg for seed in range(60)])  # [60, 21]
    strength = np.abs(np.fft.rfft(heights, axis=1)).mean(axis=0)
    assert strength[1:5].min() > 20 * strength[5:].max()
    assert 15 < heights.std() < 45


@pytest.mark.parametrize("elevation_deg", [-90, -85, 60, 89, 90])
def test_from_high_up_every_path_stays_below_the_pole_and_ends_where_it_began(elevation_deg: float):
    for there in (sine(elevation_deg), dynamic(elevation_deg, 1), through([View(0, 0)], elevation_deg)):
        assert there.elevations_deg[-1] == pytest.approx(elevation_deg)
        assert all(abs(elevation) <= 90 for elevation in there.elevations_deg)


def test_no_photo_is_so_high_that_rounding_leads_a_path_over_a_pole():
    for tenths in range(-900, 901):
        for pole in (-90, 90):
            assert exact(through([View(90, pole)], tenths / 10), View(90, pole))


def test_straight_above_the_nearest_is_the_one_that_is_turned_least():
    assert [nearest(View(100, 90), orbit(4, 90)).azimuth_deg, nearest(View(-170, 90), orbit(4, 90)).azimuth_deg] == [
        90, 180,
    ]  # fmt: skip


def test_the_nearest_is_by_direction_then_by_distance():
    asked = [View(0, 0), View(90, 0, 2.0), View(90, 0, 1.0)]
    assert nearest(View(80, 5), asked) == View(90, 0, 1.0)
    assert evenly(4) == (90, 180, 270, 0)
