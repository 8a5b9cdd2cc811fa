"""Our cameras in the networks' numbers, and back: against the spec's table and against Objaverse's own geometry."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.cameras import View, angle_between, photo_distance, world_from_camera
from pipelines.zero123.cameras import (
    MOST_RADIUS_CHANGE,
    PHOTO_FILL,
    PHOTO_RADIUS,
    STABLE_FOV_DEG,
    ZERO123_FOV_DEG,
    stable_zero123_camera,
    zero123_camera,
)

HALF = math.sqrt(0.5)


@pytest.mark.parametrize(
    ("view", "photo_elevation", "pose"),
    [
        # specs/baselines.md: (polar, azimuth, radius) of (0, 90, 0) and (-30, -45, 0.1)
        (View(90, 0), 0, (0, 1, 0, 0)),
        (View(-45, 30, 1 + 0.1 / PHOTO_RADIUS), 0, (-0.523599, -0.707107, 0.707107, 0.1)),
        # the demo's buttons: left, above, right, below, behind
        (View(-90, 0), 0, (0, -1, 0, 0)),
        (View(0, 90), 0, (-math.pi / 2, 0, 1, 0)),
        (View(0, -90), 0, (math.pi / 2, 0, 1, 0)),
        (View(180, 0), 0, (0, 0, -1, 0)),
        # the photo itself is no change, from however high it was taken
        (View(0, 20), 20, (0, 0, 1, 0)),
        (View(0, 0), 20, (math.radians(20), 0, 1, 0)),
        (View(45, 10, 0.75), 40, (math.radians(30), HALF, HALF, -0.25 * PHOTO_RADIUS)),
    ],
)
def test_the_table_of_zero123(view: View, photo_elevation: float, pose: tuple[float, ...]):
    camera = zero123_camera(view, photo_elevation)
    assert camera.pose == pytest.approx(pose, abs=1e-6)
    assert camera.zoom == pytest.approx(1)


@pytest.mark.parametrize(
    ("view", "photo_elevation", "pose"),
    [
        (View(45, 30), 5, (-0.436332, 0.707107, 0.707107, 1.48353)),  # specs/baselines.md
        (View(0, 5), 5, (0, 0, 1, 1.48353)),
        (View(0, 0), 0, (0, 0, 1, math.pi / 2)),
        (View(-90, 0), -10, (math.radians(-10), -1, 0, math.radians(100))),
        (View(180, 90), 90, (0, 0, -1, 0)),
    ],
)
def test_the_table_of_stable_zero123(view: View, photo_elevation: float, pose: tuple[float, ...]):
    camera = stable_zero123_camera(view, photo_elevation)
    assert camera.pose == pytest.approx(pose, abs=1e-6)
    assert camera.zoom == 1


# --- Objaverse's geometry ---------------------------------------------------------------------------------------------


def in_blender(view: View, unit_distance: float) -> np.ndarray:
    """Where our camera stands in Blender's world: z up, and the subject's front, our +z, towards -y."""
    x, y, z = world_from_camera(view, unit_distance)[:3, 3]
    return np.array([x, -z, y])


def spherical(position: np.ndarray) -> tuple[float, float, float]:
    """Polar angle from +z, azimuth and radius, as the training data have them."""
    x, y, z = position
    return math.atan2(math.hypot(x, y), z), math.atan2(y, x), float(np.linalg.norm(position))


@given(
    azimuth=st.floats(-179, 180),
    elevation=st.floats(-80, 80),
    photo_elevation=st.floats(-80, 80),
    distance=st.floats(0.7, 1.3),
)
def test_poses_are_those_of_the_training_data(azimuth, elevation, photo_elevation, distance):
    view = View(azimuth, elevation, distance)
    p, a, r = spherical(in_blender(view, PHOTO_RADIUS))
    photo_p, photo_a, photo_r = spherical(in_blender(View(0, photo_elevation), PHOTO_RADIUS))
    expected = (p - photo_p, math.sin(a - photo_a), math.cos(a - photo_a), r - photo_r)
    assert zero123_camera(view, photo_elevation).pose == pytest.approx(expected, abs=1e-6)
    assert stable_zero123_camera(view, photo_elevation).pose[:3] == pytest.approx(expected[:3], abs=1e-6)
    assert stable_zero123_camera(view, photo_elevation).pose[3] == pytest.approx(photo_p, abs=1e-6)


def test_the_cameras_right_in_blender_is_a_growing_azimuth():
    here, further = in_blender(View(0), 1), in_blender(View(1), 1)
    right = np.cross(-here, (0, 0, 1))  # forward x up
    assert (further - here) @ right > 0
    assert spherical(further)[1] > spherical(here)[1]
    assert zero123_camera(View(1), 0).pose[1] > 0


@given(azimuth=st.floats(-179, 180), elevation=st.floats(-89, 89), photo_elevation=st.floats(-89, 89))
def test_and_back(azimuth, elevation, photo_elevation):
    view = View(azimuth, elevation)
    polar_change, sine, cosine, _ = zero123_camera(view, photo_elevation).pose
    back = View(math.degrees(math.atan2(sine, cosine)), photo_elevation - math.degrees(polar_change))
    assert angle_between(view, back) < 1e-4


# --- Distance ---------------------------------------------------------------------------------------------------------


def test_the_photos_camera_sees_it_as_large_as_it_is_placed():
    assert photo_distance(PHOTO_FILL, ZERO123_FOV_DEG) == PHOTO_RADIUS == pytest.approx(1.4, abs=0.01)
    assert math.degrees(2 * math.atan(32 / 2 / 35)) == pytest.approx(ZERO123_FOV_DEG, abs=1e-3)
    assert STABLE_FOV_DEG == 20


@pytest.mark.parametrize("distance", [0.3, 0.6, 1, 1.4, 5])
def test_what_the_network_does_not_know_of_distance_is_left_to_the_zoom(distance: float):
    camera = zero123_camera(View(0, 0, distance), 0)
    assert abs(camera.pose[3]) <= MOST_RADIUS_CHANGE
    reached = (PHOTO_RADIUS + camera.pose[3]) / PHOTO_RADIUS
    assert camera.zoom == pytest.approx(reached / distance)
    assert stable_zero123_camera(View(0, 0, distance), 0).zoom == pytest.approx(1 / distance)
