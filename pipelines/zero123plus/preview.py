"""What the views look like so far, without the VAE: each latent pixel's colour as a linear function of its 4 channels.

The function is fitted to the photo itself, whose latent and whose pixels are both known; so it needs no figures of
anyone's, and is at its best for the photo's own colours.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

STEADINESS = 1e-2  # ridge, against a photo of one colour, which says little


@dataclass(frozen=True, eq=False)
class LatentColours:
    weights: NDArray[np.floating]
    """[5, 3]: four channels and a constant, to RGB in 0..1."""

    def of(self, latents: "Tensor") -> NDArray[np.uint8]:
        """[1, 4, h, w] to RGBA [h, w, 4]."""
        rgb = _with_constant(latents) @ self.weights  # [h, w, 3]
        rgba = np.full((*rgb.shape[:2], 4), 255, np.uint8)
        rgba[..., :3] = np.rint(np.nan_to_num(rgb).clip(0, 1) * 255)
        return rgba


def fitted(latents: "Tensor", rgb: NDArray[np.uint8]) -> LatentColours:
    """By least squares from a picture [S, S, 3] and its latents [1, 4, s, s]."""
    import cv2

    known = _with_constant(latents)
    height, width = known.shape[:2]
    colours = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA).reshape(-1, 3) / 255
    known = known.reshape(-1, known.shape[-1])
    ridge = STEADINESS * len(known) * np.diag([1.0, 1, 1, 1, 0])
    return LatentColours(np.linalg.lstsq(known.T @ known + ridge, known.T @ colours, rcond=None)[0])


def _with_constant(latents: "Tensor") -> NDArray[np.floating]:
    planes = latents[0].float().cpu().permute(1, 2, 0).numpy().astype(np.float64)
    return np.dstack([planes, np.ones(planes.shape[:2])])  # [h, w, 5]
