"""A way of one's own for the camera: drawn on the page, or written down camera by camera."""

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np

from pipelines.core.cameras import DISTANCE_RANGE, MAX_VIEWS, View, check_count, turn_between, wrap_azimuth
from pipelines.core.errors import TurnaroundError

DRAWN = "drawn"  # beside the `KINDS` of paths that a formula makes
SAME_DEG = 1e-6
NEARER_DEG = 60.0  # so many degrees of turning last as long as coming e times nearer

UNREADABLE = "A way is a list of cameras: azimuth and elevation in degrees, and the distance where it is not 1."
NO_WAY = f"A way has between 1 and {MAX_VIEWS} cameras."


def along(way: Sequence[View], count: int) -> tuple[View, ...]:
    """`count` views evenly along the way, straight from each of its cameras to the next.

    From the first to the last; of one that `comes_back`, the last is the first again, and left out. Any other of just
    so many cameras is those. `assets/ui/camera.js` has the same formulas.
    """
    check_count("A way", count)
    if len(way) == count and not comes_back(way):
        return tuple(way)
    azimuths, elevations, distances = (np.array(part) for part in zip(*map(astuple, way), strict=True))
    azimuths = azimuths[0] + np.cumsum([0, *map(wrap_azimuth, np.diff(azimuths))])  # beyond a whole turn
    steps = np.diff([azimuths, elevations, NEARER_DEG * np.log(distances)])  # [3, cameras - 1]
    passed = np.cumsum([0, *np.hypot.reduce(steps)])  # a norm would take the smallest for none
    at = np.linspace(0, passed[-1], count, endpoint=not comes_back(way))
    turned = map(wrap_azimuth, np.interp(at, passed, azimuths))
    risen = np.clip(np.interp(at, passed, elevations), -90, 90)  # rounding passes a pole
    away = np.clip(np.interp(at, passed, distances), *DISTANCE_RANGE)
    return tuple(map(View, turned, risen, away))


def comes_back(way: Sequence[View]) -> bool:
    first, last = way[0], way[-1]
    return len(way) > 2 and turn_between(first, last) < SAME_DEG and first.distance == last.distance


def read_way(given: object) -> tuple[View, ...]:
    """From a list of [azimuth, elevation] or [azimuth, elevation, distance], whoever sent it."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise TurnaroundError(UNREADABLE)
    if not 1 <= len(given) <= MAX_VIEWS:
        raise TurnaroundError(NO_WAY)
    for camera in given:
        if not isinstance(camera, Sequence) or isinstance(camera, str) or len(camera) not in (2, 3):
            raise TurnaroundError(UNREADABLE)
    return tuple(View(*camera) for camera in given)
