"""Cameras for the neighbours' tools: nerfstudio's `transforms.json`, COLMAP's text model, and our own `cameras.json`.

Pure functions from cameras to what the files hold; `results.py` writes them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.core.cameras import Matrix, View, world_from_camera

SCHEMA = 1

CONVENTION = {
    "world": "Right-handed, y up, no metric scale: the subject's centre is the origin, its longest side is 1, and its "
    "front, which the photo shows, faces +z. These are glTF's axes: model.glb fits as it is.",
    "azimuth_deg": "Relative to the photo, which is 0; positive when the camera moves to its own right, which is "
    "counter-clockwise seen from above, from +z towards +x. Range (-180, 180].",
    "elevation_deg": "Absolute: 0 is level, positive looks down from above. Range [-90, 90].",
    "distance": "Times the photo's own distance; 1.0 is `unit_distance` in world units.",
    "camera": "OpenCV's axes: x right, y down, z forward. `world_from_camera` maps points of the camera to the world.",
    "pixels": "The centre of the top left pixel is (0.5, 0.5). u = fx * x / z + cx, v = fy * y / z + cy.",
}

# Our y-up world turned upright for tools whose up is z. Blender's glTF import does the same, so model.glb and these
# cameras meet there.
Z_UP_FROM_WORLD: Matrix = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
_OPENCV_FROM_OPENGL: Matrix = np.diag([1.0, -1, -1, 1])


@dataclass(frozen=True, slots=True)
class Lens:
    """What all frames of a turnaround share."""

    width_px: int
    height_px: int
    fov_deg: float
    """Vertical."""
    unit_distance: float
    """`cameras.photo_distance(...)`: how far the camera of distance 1 stands, in world units."""

    @property
    def focal_px(self) -> float:
        return self.height_px / 2 / math.tan(math.radians(self.fov_deg) / 2)

    @property
    def intrinsics(self) -> Matrix:
        return np.array([[self.focal_px, 0, self.width_px / 2], [0, self.focal_px, self.height_px / 2], [0, 0, 1.0]])


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame's file and camera."""

    file: str
    view: View
    asked: View
    exact: bool = True
    depth_file: str | None = None
    normals_file: str | None = None


def cameras_json(shots: Sequence[Shot], lens: Lens, photo: View, depth_unit: float | None = None) -> dict[str, Any]:
    """Our own file: everything, in our convention, which it states in words.

    `depth_unit` turns the 16-bit values of the depth files into world units along the camera's z.
    """
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "convention": CONVENTION,
        "image": {"width_px": lens.width_px, "height_px": lens.height_px},
        "fov_y_deg": lens.fov_deg,
        "intrinsics": lens.intrinsics.tolist(),
        "unit_distance": lens.unit_distance,
        "photo": _angles(photo),
    }
    if depth_unit is not None:
        document["depth"] = {"unit": depth_unit, "meaning": "value * unit is z in the camera; 0 where nothing is"}
    if any(shot.normals_file for shot in shots):
        document["normals"] = {"meaning": "value / 65535 * 2 - 1 is x, y, z in the world; 0, 0, 0 where nothing is"}
    document["frames"] = [
        {
            "file": shot.file,
            **({"depth": shot.depth_file} if shot.depth_file else {}),
            **({"normals": shot.normals_file} if shot.normals_file else {}),
            **_angles(shot.view),
            "asked": _angles(shot.asked),
            "exact": shot.exact,
            "world_from_camera": world_from_camera(shot.view, lens.unit_distance).tolist(),
        }
        for shot in shots
    ]
    return document


def transforms_json(shots: Sequence[Shot], lens: Lens) -> dict[str, Any]:
    """For nerfstudio, instant-ngp and Blender: OpenGL cameras in a z-up world.

    Nerfstudio's `applied_transform` maps the original world, ours, to the one the poses are saved in.
    """
    return {
        "camera_model": "OPENCV",
        "w": lens.width_px,
        "h": lens.height_px,
        "fl_x": lens.focal_px,
        "fl_y": lens.focal_px,
        "cx": lens.width_px / 2,
        "cy": lens.height_px / 2,
        "camera_angle_x": 2 * math.atan(lens.width_px / 2 / lens.focal_px),
        "camera_angle_y": math.radians(lens.fov_deg),
        "k1": 0.0,
        "k2": 0.0,
        "p1": 0.0,
        "p2": 0.0,
        "world": "z up, right-handed; OpenGL cameras. applied_transform leads here from the y-up world of model.glb "
        "and cameras.json: (x, y, z) becomes (x, -z, y).",
        "applied_transform": Z_UP_FROM_WORLD[:3].tolist(),
        "frames": [
            {
                "file_path": shot.file,
                **({"depth_file_path": shot.depth_file} if shot.depth_file else {}),
                "transform_matrix": (
                    Z_UP_FROM_WORLD @ world_from_camera(shot.view, lens.unit_distance) @ _OPENCV_FROM_OPENGL
                ).tolist(),
            }
            for shot in shots
        ],
    }


def colmap_text(shots: Sequence[Shot], lens: Lens) -> dict[str, str]:
    """COLMAP's text model, in our y-up world, by file name; the images lie beside the model's folder. No points."""
    focal, width, height = lens.focal_px, lens.width_px, lens.height_px
    images = ["# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ (camera from world), CAMERA_ID, NAME; then a line of POINTS2D"]
    for number, shot in enumerate(shots, 1):
        pose = [*camera_from_world_quaternion(shot.view), 0.0, 0.0, shot.view.distance * lens.unit_distance]
        images += [" ".join([str(number), *map(repr, pose), "1", shot.file]), ""]
    return {
        "cameras.txt": "# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS: fx, fy, cx, cy\n"
        f"1 PINHOLE {width} {height} {focal!r} {focal!r} {width / 2!r} {height / 2!r}\n",
        "images.txt": "\n".join(images) + "\n",
        "points3D.txt": "# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[]\n",
    }


def camera_from_world_quaternion(view: View) -> tuple[float, float, float, float]:
    """w, x, y, z. The camera's pose is a turn by the azimuth about y after one by (180 degrees - elevation) about x."""
    turn, tilt = math.radians(view.azimuth_deg) / 2, math.radians(180 - view.elevation_deg) / 2
    cos_a, sin_a, cos_t, sin_t = math.cos(turn), math.sin(turn), math.cos(tilt), math.sin(tilt)
    return cos_a * cos_t, -cos_a * sin_t, -sin_a * cos_t, sin_a * sin_t


def _angles(view: View) -> dict[str, float]:
    return {"azimuth_deg": view.azimuth_deg, "elevation_deg": view.elevation_deg, "distance": view.distance}
