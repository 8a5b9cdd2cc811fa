"""From each exported file alone, known points must land on the pixels that `cameras.project` gives."""

import json
import math

import numpy as np
import pytest

from pipelines.core.cameras import View, camera_from_world, photo_distance, project, world_from_camera
from pipelines.core.export import (
    Lens,
    Shot,
    camera_from_world_quaternion,
    cameras_json,
    colmap_text,
    transforms_json,
)

SIZE_PX, FOV_DEG, UNIT = 400, 41.5, photo_distance(0.7, 41.5)
LENS = Lens(SIZE_PX, SIZE_PX, FOV_DEG, UNIT)
VIEWS = (
    View(0, 0),
    View(35, 20, 1.3),
    View(-90, -45),
    View(180, 10),
    View(-179.5, 33.25, 0.6),
    View(20, 90),
    View(-70, -90, 2),
)
SHOTS = tuple(Shot(f"view_{i:03d}.png", view, view) for i, view in enumerate(VIEWS))
POINTS = np.array([[0, 0, 0], [0.3, 0.1, -0.2], [-0.25, 0.4, 0.3], [0.1, -0.45, 0.05], [0.5, 0.5, 0.5]])


def expected(view: View) -> np.ndarray:
    return project(POINTS, view, UNIT, SIZE_PX, FOV_DEG)[0]


def through(document: object) -> dict:
    """What a reader of the file gets: through strict JSON and back."""
    return json.loads(json.dumps(document, allow_nan=False))


def pinhole(in_camera: np.ndarray, fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    x, y, z = in_camera.T
    return np.stack([fx * x / z + cx, fy * y / z + cy], axis=1)


def test_cameras_json_projects_like_the_app():
    document = through(cameras_json(SHOTS, LENS, View(0, 15)))
    (fx, _, cx), (_, fy, cy), _ = document["intrinsics"]
    for frame, shot in zip(document["frames"], SHOTS, strict=True):
        camera_from_world = np.linalg.inv(np.array(frame["world_from_camera"]))
        in_camera = POINTS @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
        np.testing.assert_allclose(pinhole(in_camera, fx, fy, cx, cy), expected(shot.view), atol=1e-9)
        assert frame["file"] == shot.file
        assert View(frame["azimuth_deg"], frame["elevation_deg"], frame["distance"]) == shot.view


def test_cameras_json_tells_the_camera_asked_for_from_the_one_used():
    shot = Shot("view_000.png", View(30, 20), View(25, 0), exact=False)
    frame = through(cameras_json([shot], LENS, View()))["frames"][0]
    assert (frame["azimuth_deg"], frame["elevation_deg"]) == (30, 20)
    assert (frame["asked"]["azimuth_deg"], frame["asked"]["elevation_deg"]) == (25, 0)
    assert frame["exact"] is False


def test_transforms_json_projects_like_the_app_with_opengl_cameras_and_its_own_world():
    document = through(transforms_json(SHOTS, LENS))
    applied = np.array(document["applied_transform"])  # [3, 4]
    points = POINTS @ applied[:, :3].T + applied[:, 3]
    for frame, shot in zip(document["frames"], SHOTS, strict=True):
        opengl_from_saved = np.linalg.inv(np.array(frame["transform_matrix"]))
        in_opengl = points @ opengl_from_saved[:3, :3].T + opengl_from_saved[:3, 3]
        in_camera = in_opengl * (1, -1, -1)  # x right, y up, z backward
        pixels = pinhole(in_camera, document["fl_x"], document["fl_y"], document["cx"], document["cy"])
        np.testing.assert_allclose(pixels, expected(shot.view), atol=1e-9)
        assert frame["file_path"] == shot.file


def test_transforms_json_has_z_up_so_that_nothing_lies_on_its_side():
    document = through(transforms_json(SHOTS, LENS))
    high = np.array(document["frames"][1]["transform_matrix"])  # elevation 20
    assert high[2, 3] > 0 and high[2, 1] > 0.9  # the camera is above the ground, and its own up points up
    applied = np.array(document["applied_transform"])
    np.testing.assert_array_equal(applied[:, :3] @ [0, 1, 0], [0, 0, 1])
    assert np.linalg.det(applied[:, :3]) == pytest.approx(1)


def test_transforms_json_gives_the_lens_twice_alike():
    wide = Lens(640, 480, 33.8, UNIT)
    document = transforms_json(SHOTS, wide)
    assert document["camera_angle_x"] == pytest.approx(2 * math.atan(320 / document["fl_x"]))
    assert document["camera_angle_y"] == pytest.approx(math.radians(33.8))
    assert (document["w"], document["h"], document["cx"], document["cy"]) == (640, 480, 320, 240)


def rotation(w: float, x: float, y: float, z: float) -> np.ndarray:
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def test_colmap_text_projects_like_the_app():
    files = colmap_text(SHOTS, LENS)
    (camera,) = [line.split() for line in files["cameras.txt"].splitlines() if not line.startswith("#")]
    assert camera[:4] == ["1", "PINHOLE", str(SIZE_PX), str(SIZE_PX)]
    lines = [line for line in files["images.txt"].splitlines() if not line.startswith("#")]
    assert len(lines) == 2 * len(SHOTS) and not any(lines[1::2])  # every second line lists points, and there are none
    for number, (line, shot) in enumerate(zip(lines[::2], SHOTS, strict=True), 1):
        image_id, *pose, camera_id, name = line.split()
        assert (image_id, camera_id, name) == (str(number), "1", shot.file)
        turn, shift = rotation(*map(float, pose[:4])), np.array(pose[4:], float)
        pixels = pinhole(POINTS @ turn.T + shift, *map(float, camera[4:]))
        np.testing.assert_allclose(pixels, expected(shot.view), atol=1e-9)
    assert all(line.startswith("#") for line in files["points3D.txt"].splitlines())


@pytest.mark.parametrize("azimuth", [-179, -90, -30, 0, 45, 90, 180])
@pytest.mark.parametrize("elevation", [-90, -45, 0, 30, 90])
def test_the_closed_form_quaternion_is_the_pose(azimuth: float, elevation: float):
    view = View(azimuth, elevation)
    quaternion = camera_from_world_quaternion(view)
    assert math.hypot(*quaternion) == pytest.approx(1)
    np.testing.assert_allclose(rotation(*quaternion), camera_from_world(view, UNIT)[:3, :3], atol=1e-12)


def test_depth_values_turn_back_into_points_of_the_world():
    """A pixel, its depth and cameras.json alone: the point comes back."""
    document = through(cameras_json([Shot("v.png", VIEWS[1], VIEWS[1], depth_file="d.png")], LENS, View(), 1e-4))
    pixels, depths = project(POINTS, VIEWS[1], UNIT, SIZE_PX, FOV_DEG)
    stored = np.round(depths / document["depth"]["unit"]).astype(np.uint16)
    z = stored * document["depth"]["unit"]
    rays = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(np.array(document["intrinsics"])).T
    pose = np.array(document["frames"][0]["world_from_camera"])
    points = (rays * z[:, None]) @ pose[:3, :3].T + pose[:3, 3]
    np.testing.assert_allclose(points, POINTS, atol=1e-4)
    np.testing.assert_allclose(pose, world_from_camera(VIEWS[1], UNIT))
