"""The one camera convention, in closed form.

- World: right-handed, y up, the subject's centre at the origin, its longest side 1. The front of the subject
  (what the photo shows, seen level) faces +z. These are glTF's axes, so a GLB needs no turning.
- `View.azimuth_deg` is relative to the photo (the photo is azimuth 0) and positive when the camera moves to its
  **own right**: counter-clockwise seen from above, from +z towards +x. Range (-180, 180].
- `View.elevation_deg` is absolute: 0 is level, positive looks down from above. Range [-90, 90].
- `View.distance` is relative to the photo's own distance, 1.0.
- Camera axes are OpenCV's: x right, y down, z forward. Matrices are named for what they map.
- Pixel (0, 0) has its centre at (0.5, 0.5).

Neighbours: nerfstudio and Blender use OpenGL camera axes (x right, y up, z backward); multiply the camera's second and
third columns by -1 to get there. COLMAP uses ours, but stores `camera_from_world`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import TurnaroundError

Matrix = NDArray[np.float64]

FOV_DEG = 33.8  # vertical field of view: what SV3D was trained with (SV3D, section 3.1; specs/sv3d.md)
DEFAULT_FILL = 0.8  # share of the frame the cut-out's longest side takes, unless the visitor says otherwise
DISTANCE_RANGE = (0.3, 5.0)  # nearer than 0.3 the camera would enter the subject
MAX_VIEWS = 360  # one orbit at a degree a frame
KINDS = ("one view", "orbit", "spiral", "swing")  # of paths, in the order in which they are offered
SPIRAL_RISE_DEG = 25.0  # of a spiral, above and below the chosen elevation
SPIRAL_RANGE_DEG = (-85.0, 85.0)  # a spiral stays off the poles, where a turn would only spin the picture
SWING_DEG = 30.0  # of a swing, to either side: what most methods show well
SWING_RANGE_DEG = (1.0, 180.0)


@dataclass(frozen=True, slots=True)
class View:
    """A camera looking at the subject's centre. See the module's docstring for signs and ranges."""

    azimuth_deg: float = 0.0
    elevation_deg: float = 0.0
    distance: float = 1.0

    def __post_init__(self) -> None:
        azimuth = checked_number("The azimuth", self.azimuth_deg, "degrees")
        elevation = checked_number("The elevation", self.elevation_deg, "degrees")
        distance = checked_number("The distance", self.distance, "times the photo's distance")
        if not -360 <= azimuth <= 360:
            raise TurnaroundError(f"The azimuth must lie between -360 and 360 degrees, not {azimuth:g}.")
        if not -90 <= elevation <= 90:
            raise TurnaroundError(f"The elevation must lie between -90 and 90 degrees, not {elevation:g}.")
        low, high = DISTANCE_RANGE
        if not low <= distance <= high:
            raise TurnaroundError(
                f"The distance must lie between {low:g} and {high:g} times the photo's distance, not {distance:g}."
            )
        object.__setattr__(self, "azimuth_deg", wrap_azimuth(azimuth))
        object.__setattr__(self, "elevation_deg", elevation)
        object.__setattr__(self, "distance", distance)


def checked_number(name: str, value: object, unit: str = "") -> float:
    """`value` as a finite float, or a sentence. Booleans and strings are not numbers."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TurnaroundError(f"{name} must be a number{f' of {unit}' if unit else ''}.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise TurnaroundError(f"{name} must be a finite number{f' of {unit}' if unit else ''}, not {number}.")
    return number


def wrap_azimuth(azimuth_deg: float) -> float:
    """The same direction in (-180, 180]."""
    wrapped = math.fmod(azimuth_deg, 360.0)
    if wrapped > 180.0:
        wrapped -= 360.0
    elif wrapped <= -180.0:
        wrapped += 360.0
    return wrapped + 0.0  # -0.0 becomes 0.0


def orbit(count: int, elevation_deg: float = 0.0, *, start_deg: float = 0.0, distance: float = 1.0) -> tuple[View, ...]:
    """`count` views evenly round the subject, starting at `start_deg` and moving to the camera's right."""
    check_count("An orbit", count)
    start = wrap_azimuth(checked_number("The orbit's start", start_deg, "degrees"))
    return tuple(View(wrap_azimuth(start + 360.0 * i / count), elevation_deg, distance) for i in range(count))


def path(kind: str, count: int, view: View, swing_deg: float = SWING_DEG) -> tuple[View, ...]:
    """The cameras of one of `KINDS`: `count` of them, all at the view's distance, and ready to be played in a loop.

    - one view: the view itself, whatever the count.
    - orbit: evenly round from azimuth 0, at the view's elevation.
    - spiral: the same turn, rising from 25 degrees below the view's elevation to 25 above it by half way round, and
      sinking back, both smoothly.
    - swing: from the view to `swing_deg` on the camera's right, back, as far to its left, and back again, smoothly.

    `assets/ui/camera.js` has the same formulas.
    """
    if not isinstance(kind, str) or kind not in KINDS:
        raise TurnaroundError(f"There is no camera path {str(kind)[:40]!r}. Choose one of: {', '.join(KINDS)}.")
    if kind == "one view":
        return (view,)
    if kind == "orbit":
        return orbit(count, view.elevation_deg, distance=view.distance)
    check_count(f"A {kind}", count)
    round_deg = [360.0 * i / count for i in range(count)]
    if kind == "spiral":
        low, high = SPIRAL_RANGE_DEG
        rises = [view.elevation_deg - SPIRAL_RISE_DEG * math.cos(math.radians(turn)) for turn in round_deg]
        heights = [min(high, max(low, rise)) for rise in rises]
        return tuple(View(wrap_azimuth(t), h, view.distance) for t, h in zip(round_deg, heights, strict=True))
    swing = check_swing(swing_deg)
    azimuths = [view.azimuth_deg + swing * math.sin(math.radians(turn)) for turn in round_deg]
    return tuple(View(wrap_azimuth(azimuth), view.elevation_deg, view.distance) for azimuth in azimuths)


def check_swing(swing_deg: object) -> float:
    number = checked_number("The swing", swing_deg, "degrees")
    low, high = SWING_RANGE_DEG
    if not low <= number <= high:
        raise TurnaroundError(f"The swing must lie between {low:g} and {high:g} degrees to a side, not {number:g}.")
    return number


def check_count(what: str, count: object) -> None:
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or not 1 <= count <= MAX_VIEWS:
        asked = repr(count)[:40]
        raise TurnaroundError(f"{what} has between 1 and {MAX_VIEWS} views, as a whole number; {asked} was asked.")


PRESETS: dict[str, View] = {
    "front": View(0, 0),
    "three-quarter": View(35, 20),
    "right": View(90, 0),
    "back": View(180, 0),
    "left": View(-90, 0),
    "above": View(0, 75),
    "below": View(0, -45),
}


def angle_between(a: View, b: View) -> float:
    """Degrees between two viewing directions, whatever their distances."""
    here, there = _direction(a), _direction(b)
    # Not the arc cosine: near 0 and 180 degrees it loses half of the digits.
    return math.degrees(math.atan2(float(np.linalg.norm(np.cross(here, there))), float(here @ there)))


def turn_between(a: View, b: View) -> float:
    """Degrees by which one camera is turned from the other. Straight above and below, where all azimuths look the same
    way, that is what tells their pictures apart."""
    difference = world_from_camera(a, 1.0)[:3, :3] - world_from_camera(b, 1.0)[:3, :3]
    return math.degrees(2 * math.asin(min(1.0, float(np.linalg.norm(difference)) / math.sqrt(8))))


def photo_distance(fill: float, fov_deg: float = FOV_DEG) -> float:
    """How far the camera of `distance` 1 stands, in world units.

    There the unit subject, flat through the origin, takes the share `fill` of the frame as the photo's cut-out does.
    """
    if not 0.01 <= checked_number("The subject's share of the frame", fill) <= 1:
        raise TurnaroundError(f"The subject's share of the frame must lie between 0.01 and 1, not {fill:g}.")
    return 0.5 / (math.tan(math.radians(fov_deg) / 2) * fill)


def world_from_camera(view: View, unit_distance: float) -> Matrix:
    """The camera's pose; `unit_distance` is `photo_distance(...)`. Straight above and below are ordinary views."""
    azimuth, elevation = math.radians(view.azimuth_deg), math.radians(view.elevation_deg)
    sin_a, cos_a, sin_e, cos_e = math.sin(azimuth), math.cos(azimuth), math.sin(elevation), math.cos(elevation)
    outward = np.array([sin_a * cos_e, sin_e, cos_a * cos_e])
    pose = np.eye(4)
    pose[:3, 0] = cos_a, 0.0, -sin_a  # x: right
    pose[:3, 1] = sin_a * sin_e, -cos_e, cos_a * sin_e  # y: down
    pose[:3, 2] = -outward  # z: forward
    pose[:3, 3] = outward * (view.distance * unit_distance)
    return pose  # [4, 4]


def camera_from_world(view: View, unit_distance: float) -> Matrix:
    pose = world_from_camera(view, unit_distance)
    inverse = np.eye(4)
    inverse[:3, :3] = pose[:3, :3].T
    inverse[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return inverse  # [4, 4]


def intrinsics(size_px: int, fov_deg: float = FOV_DEG) -> Matrix:
    """The pinhole matrix of a square frame; its centre is at size / 2 because pixel centres lie at halves."""
    focal_px = size_px / 2 / math.tan(math.radians(fov_deg) / 2)
    return np.array([[focal_px, 0, size_px / 2], [0, focal_px, size_px / 2], [0, 0, 1.0]])


def project(
    points: NDArray[np.floating], view: View, unit_distance: float, size_px: int, fov_deg: float = FOV_DEG
) -> tuple[Matrix, Matrix]:
    """World points [N, 3] to pixels [N, 2] and depths along the camera's z [N].

    A point in the camera's own plane is nowhere on the image (NaN); one behind it has a negative depth.
    """
    pose = camera_from_world(view, unit_distance)
    in_camera = points @ pose[:3, :3].T + pose[:3, 3]
    depth = in_camera[:, 2]
    pixels = in_camera @ intrinsics(size_px, fov_deg).T
    seen_from = np.where(depth == 0, np.nan, depth)
    return pixels[:, :2] / seen_from[:, None], depth


def _direction(view: View) -> Matrix:
    return world_from_camera(view, 1.0)[:3, 2]
