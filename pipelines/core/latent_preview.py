"""What a latent looks like, without its decoder: each pixel's colour as a linear function of its channels.

The function is fitted to the photo itself, whose latent and whose pixels are both known; so it needs no figures of
anyone's, and is at its best for the photo's own colours.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

STEADINESS = 1e-2  # ridge, against a photo of one colour, which says little

Latent = NDArray[Any]
"""[C, h, w], float32: a torch tensor's `.float().cpu().numpy()`"""


@dataclass(frozen=True, eq=False)
class LatentColours:
    weights: NDArray[Any]
    """[C + 1, 3]: the channels and a constant, to RGB in 0..1."""

    def of(self, latent: Latent, size_px: int | None = None) -> NDArray[np.uint8]:
        """RGBA [h, w, 4], or enlarged to [size, size, 4]; whatever is in the latent."""
        rgb = np.nan_to_num(_with_constant(latent) @ self.weights).clip(0, 1)  # [h, w, 3]
        if size_px:
            rgb = np.clip(cv2.resize(rgb, (size_px, size_px), interpolation=cv2.INTER_CUBIC), 0, 1)
        return np.dstack([np.rint(255 * rgb), np.full(rgb.shape[:2], 255)]).astype(np.uint8)


def fitted(latent: Latent, rgb: NDArray[np.uint8]) -> LatentColours:
    """By least squares from a picture [S, S, 3] and its latent."""
    known = _with_constant(latent)
    height, width, channels = known.shape
    colours = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA).reshape(-1, 3) / 255
    known = known.reshape(-1, channels)
    ridge = STEADINESS * len(known) * np.diag([1.0] * (channels - 1) + [0.0])
    return LatentColours(np.linalg.lstsq(known.T @ known + ridge, known.T @ colours, rcond=None)[0])


def _with_constant(latent: Latent) -> NDArray[np.float64]:
    planes = np.nan_to_num(latent.astype(np.float64)).transpose(1, 2, 0)
    return np.dstack([planes, np.ones(planes.shape[:2])])  # [h, w, C + 1]
