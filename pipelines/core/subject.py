"""From photo to `Subject`: the square cut-out that every method sees, exactly."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import DEFAULT_FILL


@dataclass(frozen=True, slots=True)
class Making:
    """How a subject was made; kept in the manifest. Holds no file name and no metadata of the photo."""

    photo_sha256: str
    """Of the decoded, upright, sRGB pixels: the same picture in another file format has the same hash."""
    photo_size_px: tuple[int, int]
    """Width, height, upright."""
    remover: str
    """"alpha" (the photo's own), "none", or the key of a remover."""
    crop_px: tuple[float, float, float, float]
    """Left, top, right, bottom of the square frame on the upright photo; may reach past its edges."""
    notes: tuple[str, ...] = ()
    """Said to the visitor: "the first of 12 frames was used"."""


@dataclass(frozen=True, eq=False)
class Subject:
    rgba: NDArray[np.uint8]
    """[S, S, 4], straight alpha; the subject's bounding box is centred, its longest side takes `fill` of the frame."""
    made: Making
    elevation_deg: float = 0.0
    """From how high the photo was taken; 0 is level."""
    fill: float = field(default=DEFAULT_FILL)
