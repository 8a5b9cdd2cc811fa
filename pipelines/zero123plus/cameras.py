"""The six cameras that Zero123++ has, in our convention.

**Azimuth.** Theirs is 30, 90, ... 330 degrees relative to the photo's, in the world in which Zero-1-to-3 rendered
Objaverse: Blender's, right-handed with z up, and a camera stands at azimuth a = atan2(y, x). Growing a goes from x
towards y, which is counter-clockwise seen from above: a camera that looks at the origin moves to its own right. That is
our positive azimuth (from z towards x about our y), so the sign stays and only the range is wrapped.
Those who reconstruct from these pictures confirm it: InstantMesh and others put the cameras at (cos a, sin a) with z up
and a = 30, 90, ...; with the other sign every mesh of theirs would be a mirror image.

**Elevation.** Absolute, whatever the photo's: 30 and -20 degrees in turn (v1.1), 20 and -10 (v1.2; the README, "Camera
parameters"). Positive looks down from above, as ours does.
"""

from collections.abc import Sequence

from pipelines.core.cameras import View, angle_between, turn_between

VERSIONS = ("v1.2", "v1.1")
AZIMUTHS_DEG = (30, 90, 150, 210, 270, 330)  # theirs, row by row in the picture
ELEVATIONS_DEG = {"v1.2": (20, -10), "v1.1": (30, -20)}  # of every other view
FOV_DEG = {"v1.2": 30.0, "v1.1": 49.13}  # v1.1: 2 atan(16/35) as in Zero-1-to-3; its authors also speak of 47.1


def fixed_views(version: str) -> tuple[View, ...]:
    """The six cameras in the order of the picture's tiles, row by row."""
    even, odd = ELEVATIONS_DEG[version]
    return tuple(View(azimuth, odd if i % 2 else even) for i, azimuth in enumerate(AZIMUTHS_DEG))


def nearest(view: View, asked: Sequence[View]) -> View:
    """Which of the views asked for this one answers best."""
    return min(asked, key=lambda other: (round(angle_between(view, other), 6), turn_between(view, other)))
