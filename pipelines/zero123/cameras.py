"""Our cameras in the numbers that these networks were trained with: one function a convention.

Both were trained on Objaverse as Zero-1-to-3 rendered it. There the camera stands at radius r, polar angle p from +z
(0 above, 90 degrees level, 180 below) and azimuth a = atan2(y, x), in Blender's right-handed world with z up.

**Azimuth** keeps its sign. Growing a goes from x towards y: counter-clockwise seen from above. A camera at (1, 0, 0)
that looks at the origin has its right at forward x up = (-1, 0, 0) x (0, 0, 1) = (0, 1, 0), which is where growing a
takes it: to its own right, as our positive azimuth does. The authors' demo agrees: its button "View from the Right"
asks for +90. And the photo is azimuth 0 with both, since theirs is the target's less the photo's.

**Elevation** changes its sign: theirs is polar, so p = 90 - elevation, and looking from further above is a smaller p.

**Distance**: Zero-1-to-3's fourth number is how much further away the camera is than the photo's, in units of the
object's longest side. Stable Zero123 was trained at one radius; its fourth number is the photo's own polar angle.
"""

import math
from dataclasses import dataclass

from pipelines.core.cameras import View, photo_distance

ZERO123_FOV_DEG = 49.134  # 2 atan(32 / 2 / 35): Blender's lens 35 on a sensor of 32 (zero123, blender_script.py)
STABLE_FOV_DEG = 20.0  # threestudio, stable-zero123.yaml
PHOTO_FILL = 200 / 256  # of the frame, by the object as both networks see it (zero123, load_and_preprocess)
PHOTO_RADIUS = photo_distance(PHOTO_FILL, ZERO123_FOV_DEG)  # 1.4, from where an object of side 1 fills as much
MOST_RADIUS_CHANGE = 0.5  # either way: as far as the authors' demo goes; trained radii differ by up to 0.7

Pose = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Camera:
    pose: Pose
    """What the network is told."""
    zoom: float
    """What is left of the distance: by how much its picture is scaled."""


def zero123_camera(view: View, photo_elevation_deg: float) -> Camera:
    """Pose: change of polar angle in radians, sine and cosine of the change of azimuth, change of radius."""
    wanted = (view.distance - 1) * PHOTO_RADIUS
    change = min(MOST_RADIUS_CHANGE, max(-MOST_RADIUS_CHANGE, wanted))
    reached = 1 + change / PHOTO_RADIUS  # of the photo's distance
    return Camera((*_turn(view, photo_elevation_deg), change), reached / view.distance)


def stable_zero123_camera(view: View, photo_elevation_deg: float) -> Camera:
    """Pose: the same three, and the photo's own polar angle in radians."""
    return Camera((*_turn(view, photo_elevation_deg), math.radians(90 - photo_elevation_deg)), 1 / view.distance)


def _turn(view: View, photo_elevation_deg: float) -> tuple[float, float, float]:
    azimuth = math.radians(view.azimuth_deg)
    polar_change = math.radians((90 - view.elevation_deg) - (90 - photo_elevation_deg))
    return polar_change, math.sin(azimuth), math.cos(azimuth)
