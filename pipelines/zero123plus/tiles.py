"""From the one picture to six frames: cut apart, off the grey, at the photo's scale and the size asked for."""

import numpy as np
from numpy.typing import NDArray

from pipelines.core.mask import EDGE_LEVEL, contour_box, longest_side
from pipelines.zero123plus.grid import COLUMNS, PHOTO_FILL, ROWS, TILE_PX

# v1.2 draws every object so that the smallest ball around it takes the whole frame (its authors, issue 73). Even a cube
# then takes 0.58 of it from the front, so what seems smaller is a stray and not to be enlarged any further.
LEAST_SPAN = 0.5

Picture = NDArray[np.uint8]


def cut_apart(grid: Picture) -> list[Picture]:
    """[960, 640, 3] to six tiles [320, 320, 3], row by row."""
    rows = grid.reshape(ROWS, TILE_PX, COLUMNS, TILE_PX, 3)
    return [np.ascontiguousarray(rows[row, :, column]) for row in range(ROWS) for column in range(COLUMNS)]


def zoom_to_fill(version: str, cutouts: list[Picture], fill: float) -> float:
    """By how much all six frames are scaled, so that the object is as large in them as `fill` says it is in the photo.

    v1.1 keeps the scale of the photo it is shown. v1.2 has a scale of its own, so the longest side seen in any view is
    taken for the object's; one figure for all six, which keeps their sizes true to one another.
    """
    if version == "v1.1":
        return fill / PHOTO_FILL
    spans = [longest_side(contour_box(rgba[..., 3] / 255, EDGE_LEVEL)) / rgba.shape[0] for rgba in cutouts]
    return fill / max(LEAST_SPAN, *spans)
