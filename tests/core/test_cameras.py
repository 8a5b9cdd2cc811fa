"""Laws of the one camera convention, and one plain test for each of its sentences."""

import math
from dataclasses import FrozenInstanceError
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core import cameras
from pipelines.core.cameras import (
    DEFAULT_FILL,
    DISTANCE_RANGE,
    FOV_DEG,
    MAX_VIEWS,
    PRESETS,
    View,
    angle_between,
    camera_from_world,
    intrinsics,
    orbit,
    photo_distance,
    project,
    turn_between,
    world_from_camera,
    wrap_azimuth,
)
from pipelines.core.errors import TurnaroundError
from pipelines.core.subject import Making, Subject
from pipelines.runtime.method import MAX_PIXELS, MAX_SEED, SIZE_RANGE_PX, Request

SIZE_PX = 576
UNIT = photo_distance(DEFAULT_FILL)
NEAR, FAR = DISTANCE_RANGE

azimuths = st.floats(-360, 360) | st.sampled_from([-180.0, -90.0, 0.0, 90.0, 180.0])
elevations = st.floats(-90, 90) | st.sampled_from([-90.0, 0.0, 90.0])
views = st.builds(View, azimuths, elevations, st.floats(NEAR, FAR))
# Within the ball that the unit subject can fill; nearer than 0.3 of the photo's distance a camera would stand in it.
points = st.tuples(*[st.floats(-0.3, 0.3)] * 3).map(np.array)


def pixel_of(point: tuple[float, float, float], view: View) -> tuple[float, float]:
    pixels, _ = project(np.array([point]), view, UNIT, SIZE_PX)
    return float(pixels[0, 0]), float(pixels[0, 1])


def shown_area(view: View, normal: tuple[float, float, float]) -> float:
    """How much a small flat patch at the centre, facing `normal`, turns to the camera; negative: its back."""
    return float(np.dot(normal, -world_from_camera(view, UNIT)[:3, 2]))


# --- Laws -------------------------------------------------------------------------------------------------------------


@given(views)
def test_poses_are_rigid(view: View) -> None:
    pose = world_from_camera(view, UNIT)
    rotation = pose[:3, :3]
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_array_equal(pose[3], [0, 0, 0, 1])


@given(views)
def test_every_camera_looks_at_the_centre_from_its_distance(view: View) -> None:
    pixels, depth = project(np.zeros((1, 3)), view, UNIT, SIZE_PX)
    np.testing.assert_allclose(pixels, [[SIZE_PX / 2, SIZE_PX / 2]], atol=1e-6)
    assert depth[0] == pytest.approx(view.distance * UNIT, rel=1e-12)


@given(views)
def test_camera_from_world_undoes_world_from_camera(view: View) -> None:
    np.testing.assert_allclose(camera_from_world(view, UNIT) @ world_from_camera(view, UNIT), np.eye(4), atol=1e-12)


@given(views, points)
def test_a_projected_point_is_found_again_from_pixel_and_depth(view: View, point: np.ndarray) -> None:
    pixels, depth = project(point[None], view, UNIT, SIZE_PX)
    ray = np.linalg.inv(intrinsics(SIZE_PX)) @ [pixels[0, 0], pixels[0, 1], 1.0]
    found = world_from_camera(view, UNIT) @ [*(ray * depth[0]), 1.0]
    np.testing.assert_allclose(found[:3], point, atol=1e-9)


@given(views)
def test_up_is_never_down_and_the_horizon_is_level(view: View) -> None:
    pose = world_from_camera(view, UNIT)
    assert pose[1, 1] <= 1e-12  # the camera's y, which points down, has no part that points up
    assert pose[1, 0] == 0  # the camera's x stays level, so nothing ever rolls


@given(views)
def test_the_pose_agrees_with_a_look_at_construction(view: View) -> None:
    """The textbook way, cross products of the viewing direction and up; undefined only at the poles."""
    if abs(view.elevation_deg) > 89.9:
        return
    pose = world_from_camera(view, UNIT)
    forward = -pose[:3, 3] / np.linalg.norm(pose[:3, 3])
    right = np.cross(forward, [0, 1, 0])
    right /= np.linalg.norm(right)
    np.testing.assert_allclose(pose[:3, :3], np.stack([right, np.cross(forward, right), forward], 1), atol=1e-8)


@pytest.mark.parametrize("pole", [-90.0, 90.0])
def test_straight_above_and_below_are_the_limits_of_their_neighbours(pole: float) -> None:
    for azimuth in range(-180, 181, 15):
        at = world_from_camera(View(azimuth, pole), UNIT)
        near = world_from_camera(View(azimuth, pole * (1 - 1e-9)), UNIT)
        np.testing.assert_allclose(at, near, atol=1e-6)


@given(views, views)
def test_angles_between_views_are_symmetric_and_within_a_half_turn(a: View, b: View) -> None:
    assert 0 <= angle_between(a, b) <= 180
    assert angle_between(a, b) == pytest.approx(angle_between(b, a), abs=1e-9)
    assert angle_between(a, a) == 0


@pytest.mark.parametrize("degrees", [0.0, 1e-4, 0.01, 0.5, 60.0, 179.99, 180.0])
def test_angles_between_views_are_exact_even_when_tiny(degrees: float) -> None:
    assert angle_between(View(10), View(10 + degrees)) == pytest.approx(degrees, abs=1e-7)
    assert angle_between(View(10, 0), View(190, 0)) == pytest.approx(180, abs=1e-7)


@given(views, views)
def test_turns_between_cameras_are_no_less_than_the_angles_and_as_wide_in_either_direction(a: View, b: View) -> None:
    assert angle_between(a, b) - 1e-5 <= turn_between(a, b) <= 180
    assert turn_between(a, b) == pytest.approx(turn_between(b, a), abs=1e-9)
    assert turn_between(a, a) == 0


@pytest.mark.parametrize("elevation_deg", [-90, -30, 0, 60, 90])
def test_a_camera_that_moves_round_is_turned_as_far_as_it_moves_straight_above_too(elevation_deg: float) -> None:
    for degrees in (1e-4, 20.0, 100.0, 180.0):
        assert turn_between(View(10, elevation_deg), View(10 + degrees, elevation_deg)) == pytest.approx(
            degrees, abs=1e-6
        )
    assert turn_between(View(0, 20), View(0, 50)) == pytest.approx(30)


# --- The convention, sentence by sentence -----------------------------------------------------------------------------


def test_the_photo_is_seen_from_plus_z() -> None:
    np.testing.assert_allclose(world_from_camera(View(), 1.0)[:3, 3], [0, 0, 1], atol=1e-15)


def test_positive_azimuth_moves_the_camera_to_its_own_right_from_plus_z_towards_plus_x() -> None:
    photo, moved = world_from_camera(View(0), UNIT), world_from_camera(View(20), UNIT)
    step = moved[:3, 3] - photo[:3, 3]
    assert step @ photo[:3, 0] > 0
    np.testing.assert_allclose(world_from_camera(View(90), 1.0)[:3, 3], [1, 0, 0], atol=1e-15)


def test_positive_azimuth_shows_more_of_the_side_that_was_at_the_images_right_edge() -> None:
    right_side, left_side = (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)
    assert pixel_of((0.4, 0, 0), View(0))[0] > SIZE_PX / 2  # the side that faces +x is at the right edge
    assert shown_area(View(30), right_side) > shown_area(View(0), right_side) > -1e-12
    assert shown_area(View(30), left_side) < 0


def test_positive_azimuth_moves_the_nearest_point_to_the_left_of_the_image() -> None:
    assert pixel_of((0, 0, 0.4), View(25))[0] < SIZE_PX / 2


def test_positive_elevation_looks_down_on_the_top() -> None:
    top = (0.0, 1.0, 0.0)
    assert world_from_camera(View(0, 30), UNIT)[1, 3] > 0
    assert shown_area(View(0, 30), top) > 0 > shown_area(View(0, -30), top)
    assert shown_area(View(0, 90), top) == pytest.approx(1.0)


def test_up_in_the_world_is_up_in_the_image() -> None:
    for azimuth in range(-180, 180, 30):
        for elevation in (-60, 0, 60):
            assert pixel_of((0, 0.3, 0), View(azimuth, elevation))[1] < SIZE_PX / 2


def test_straight_above_keeps_the_photos_right_at_the_right_and_its_front_at_the_bottom() -> None:
    assert pixel_of((0.3, 0, 0), View(0, 90))[0] > SIZE_PX / 2
    assert pixel_of((0, 0, 0.3), View(0, 90))[1] > SIZE_PX / 2
    assert pixel_of((0, 0, 0.3), View(0, -90))[1] < SIZE_PX / 2


def test_camera_axes_are_x_right_y_down_z_forward() -> None:
    np.testing.assert_allclose(world_from_camera(View(), UNIT)[:3, :3], np.diag([1, -1, -1]), atol=1e-15)


@given(st.floats(NEAR, FAR), st.floats(NEAR, FAR))
def test_a_farther_camera_shows_a_smaller_subject(a: float, b: float) -> None:
    near, far = sorted((a, b))
    if far - near < 1e-3:
        return
    spans = [pixel_of((0.5, 0, 0), View(0, 0, d))[0] - pixel_of((-0.5, 0, 0), View(0, 0, d))[0] for d in (near, far)]
    assert spans[0] > spans[1] > 0
    assert spans[0] / spans[1] == pytest.approx(far / near)


@given(st.floats(0.2, 1.0), azimuths, st.floats(20, 70))
def test_at_distance_one_the_flat_unit_subject_fills_the_stated_share(fill: float, azimuth: float, fov: float) -> None:
    unit = photo_distance(fill, fov)
    across = world_from_camera(View(azimuth), unit)[:3, 0] / 2
    for ends in (np.array([-across, across]), np.array([[0, -0.5, 0], [0, 0.5, 0]])):
        pixels, _ = project(ends, View(azimuth), unit, SIZE_PX, fov)
        assert np.linalg.norm(pixels[1] - pixels[0]) == pytest.approx(fill * SIZE_PX, rel=1e-9)


def test_the_lens_sees_its_field_of_view_from_edge_to_edge() -> None:
    rays = np.linalg.inv(intrinsics(SIZE_PX)) @ np.array([[288.0, 288.0], [0.0, SIZE_PX], [1.0, 1.0]])
    top, bottom = rays.T / np.linalg.norm(rays.T, axis=1, keepdims=True)
    assert math.degrees(math.acos(top @ bottom)) == pytest.approx(FOV_DEG)


def test_the_first_pixels_centre_is_at_one_half() -> None:
    """A frame of even size has no middle pixel: the centre falls on the corner that four pixels share."""
    for size in (1, 2, 576):
        assert intrinsics(size)[0, 2] == intrinsics(size)[1, 2] == (0.5 + (size - 0.5)) / 2


@given(st.integers(2, 2048), views, points)
def test_pixels_scale_with_the_frame(size: int, view: View, point: np.ndarray) -> None:
    small, _ = project(point[None], view, UNIT, 1)
    large, _ = project(point[None], view, UNIT, size)
    np.testing.assert_allclose(large, small * size, rtol=1e-9, atol=1e-6)


# --- Azimuths, orbits, presets ----------------------------------------------------------------------------------------


@given(st.floats(-1e6, 1e6))
def test_wrapping_keeps_the_direction_and_stays_in_range(azimuth: float) -> None:
    wrapped = wrap_azimuth(azimuth)
    assert -180 < wrapped <= 180
    assert (Fraction(azimuth) - Fraction(wrapped)) % 360 in (0, 360) or abs(
        math.remainder(azimuth - wrapped, 360)
    ) < 1e-9
    assert wrap_azimuth(wrapped) == wrapped


@pytest.mark.parametrize(
    ("given_deg", "wrapped"),
    [(0, 0), (180, 180), (-180, 180), (540, 180), (181, -179), (-181, 179), (360, 0), (-360, 0)],
)
def test_wrapping_at_the_seams(given_deg: float, wrapped: float) -> None:
    assert wrap_azimuth(given_deg) == wrapped
    assert math.copysign(1, wrap_azimuth(-360.0)) == 1  # never minus zero, which prints as "-0"


@given(st.floats(-180, 180, exclude_min=True))
def test_a_view_keeps_an_azimuth_that_is_in_range(azimuth: float) -> None:
    assert View(azimuth).azimuth_deg == azimuth


@given(st.integers(1, MAX_VIEWS), st.floats(-90, 90), st.floats(-720, 720))
def test_an_orbit_is_even_distinct_and_starts_where_asked(count: int, elevation: float, start: float) -> None:
    made = orbit(count, elevation, start_deg=start)
    assert len(made) == count
    assert made[0].azimuth_deg == pytest.approx(wrap_azimuth(start), abs=1e-9)
    for here, there in zip(made, [*made[1:], made[0]], strict=True):
        step = (there.azimuth_deg - here.azimuth_deg) % 360
        assert step % 360 == pytest.approx(360 / count % 360, abs=1e-9) or count == 1
    assert {v.elevation_deg for v in made} == {elevation}
    assert len(set(made)) == count


def test_an_orbit_moves_to_the_cameras_right() -> None:
    assert [v.azimuth_deg for v in orbit(4)] == [0, 90, 180, -90]
    assert [v.distance for v in orbit(2, distance=1.5)] == [1.5, 1.5]


@pytest.mark.parametrize("count", [0, -1, MAX_VIEWS + 1, 10_000, 2.0, 2.5, True, "8", None, [8], math.nan])
def test_an_orbit_of_no_sensible_length_is_refused(count: Any) -> None:
    with pytest.raises(TurnaroundError, match=f"between 1 and {MAX_VIEWS} views"):
        orbit(count)


@pytest.mark.parametrize("start", [math.nan, math.inf, "0", True, None])
def test_an_orbit_starts_at_a_number(start: Any) -> None:
    with pytest.raises(TurnaroundError, match="orbit's start"):
        orbit(3, start_deg=start)


def test_presets_are_where_their_names_say() -> None:
    def position(name: str) -> np.ndarray:
        return world_from_camera(PRESETS[name], 1.0)[:3, 3]

    assert position("front")[2] > 0.9
    assert position("right")[0] > 0.9
    assert position("back")[2] < -0.9
    assert position("left")[0] < -0.9
    assert position("above")[1] > 0.5
    assert position("below")[1] < -0.5
    assert (position("three-quarter") > 0.1).all()
    assert len(set(PRESETS.values())) == len(PRESETS)


# --- What is refused, and in which words ------------------------------------------------------------------------------

NOT_FINITE = [math.nan, math.inf, -math.inf, float("1e999"), 10**400, np.float64("nan"), np.float32("inf")]
NOT_NUMBERS = ["nan", "12", "", True, False, None, [1], (1.0,), {}, 1j, b"1", np.bool_(True), np.array([1.0])]
FIELDS = [("azimuth_deg", "The azimuth"), ("elevation_deg", "The elevation"), ("distance", "The distance")]


@pytest.mark.parametrize(("name", "words"), FIELDS)
@pytest.mark.parametrize("value", NOT_FINITE, ids=lambda v: str(v)[:12])
def test_a_view_that_is_not_finite_is_refused(name: str, words: str, value: Any) -> None:
    with pytest.raises(TurnaroundError, match=f"^{words} must be a finite number"):
        View(**{name: value})


@pytest.mark.parametrize(("name", "words"), FIELDS)
@pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
def test_a_view_that_is_not_a_number_is_refused(name: str, words: str, value: Any) -> None:
    with pytest.raises(TurnaroundError, match=f"^{words} must be a number"):
        View(**{name: value})


@pytest.mark.parametrize("beyond", [1e-9, 1e9, 1e300])
@pytest.mark.parametrize(
    ("name", "low", "high"), [("azimuth_deg", -360, 360), ("elevation_deg", -90, 90), ("distance", NEAR, FAR)]
)
def test_a_view_out_of_range_is_refused_by_however_little(name: str, low: float, high: float, beyond: float) -> None:
    for value in (low, high):
        View(**{name: value})
    for value in (low - beyond, high + beyond):
        with pytest.raises(TurnaroundError, match="must lie between") as refusal:
            View(**{name: value})
        assert f"{low:g}" in str(refusal.value)
        assert f"{high:g}" in str(refusal.value)


def test_numbers_of_numpy_and_whole_numbers_become_plain_floats() -> None:
    view = View(np.int64(30), np.float32(10), 1)  # pyright: ignore[reportArgumentType]
    assert [type(v) for v in (view.azimuth_deg, view.elevation_deg, view.distance)] == [float] * 3
    assert view == View(30.0, 10.0, 1.0)
    assert hash(view) == hash(View(30.0, 10.0, 1.0))


def test_a_view_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        View().azimuth_deg = 3  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("fill", [0, -0.5, 1.01, 1e-320, math.nan, math.inf, "0.8", True, None])
def test_a_share_of_the_frame_that_is_none_is_refused(fill: Any) -> None:
    with pytest.raises(TurnaroundError, match="share of the frame must"):
        photo_distance(fill)


def test_points_behind_the_camera_have_negative_depth_and_nothing_divides_by_zero() -> None:
    with np.errstate(all="raise"):
        pixels, depth = project(np.array([[0, 0, 100.0], [0, 0, UNIT]]), View(), UNIT, SIZE_PX)
    assert depth[0] < 0
    assert depth[1] == 0
    assert np.isnan(pixels[1]).all()


def a_subject() -> Subject:
    rgba = np.full((64, 64, 4), 255, np.uint8)
    return Subject(rgba, Making("0" * 64, (64, 64), "none", (0, 0, 64, 64)))


def a_request(**changes: Any) -> Request:
    return Request(**{"subject": a_subject(), "views": (View(),)} | changes)


@pytest.mark.parametrize(
    "seed", [-1, 1.7, 2**31, 2**53 + 1, 2**64, 10**400, math.nan, math.inf, "", "7", True, None, [7]]
)
def test_a_seed_that_some_language_would_change_is_refused(seed: Any) -> None:
    with pytest.raises(TurnaroundError, match=r"^The seed must be"):
        a_request(seed=seed)


def test_whole_seeds_are_taken_even_as_floats() -> None:
    assert a_request(seed=7.0).seed == 7
    assert type(a_request(seed=np.int64(7)).seed) is int
    assert a_request(seed=MAX_SEED).seed == MAX_SEED


@pytest.mark.parametrize("size", [0, -576, 63, 1025, 576.5, 1e9, math.nan, "576", True, None])
def test_a_size_outside_the_range_is_refused(size: Any) -> None:
    with pytest.raises(TurnaroundError, match=r"^The size must be"):
        a_request(size_px=size)


@pytest.mark.parametrize("count", [0, MAX_VIEWS + 1, 10_000])
def test_no_views_or_too_many_are_refused(count: int) -> None:
    with pytest.raises(TurnaroundError, match=f"between 1 and {MAX_VIEWS} views"):
        a_request(views=(View(),) * count)


def test_views_and_size_that_are_legal_apart_are_refused_when_their_product_is_not() -> None:
    size = SIZE_RANGE_PX[1]
    most = MAX_PIXELS // size**2
    assert len(a_request(views=orbit(most), size_px=size).views) == most
    with pytest.raises(TurnaroundError, match=f"at most {most} views"):
        a_request(views=orbit(most + 1), size_px=size)


def test_the_convention_is_written_where_people_look() -> None:
    assert cameras.__doc__
    for word in ("y up", "right", "looks down", "OpenCV", "(0.5, 0.5)"):
        assert word in cameras.__doc__
