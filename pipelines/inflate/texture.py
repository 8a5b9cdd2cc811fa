"""The colours of front and back, in one texture.

Only pixels that are surely the subject's are used; they are bled outwards past the rim, so that neither the old
background nor emptiness shows at the seam.
"""

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.silhouette import Floats

Back = Literal["mirror", "smooth"]
Colours = NDArray[Any]  # float32; OpenCV is typed more widely

BORDER_PX = 8  # bled colour kept round the subject: smaller versions of the texture must not blend the halves
BAND = 0.05  # of the subject's longest side: how far inside the rim the smooth back still mirrors the front
# Overlap of an outline with its mirror image below which it is a profile: of 13 photos looked at, 0.43 to 0.49 for
# animals from the side, 0.70 to 1 for faces, bottles, furniture and cars from the front or obliquely.
PROFILE = 0.6
SYMMETRY_PX = 128  # side of the outline that is compared
SURE, DOUBTFUL = 0.97, 0.75  # alpha above and below which a pixel's colour is the subject's, or not to be trusted


@dataclass(frozen=True, eq=False)
class Atlas:
    texture: NDArray[np.uint8]
    """[H, W, 3]"""
    front_uvs: NDArray[np.float32]
    """[V, 2]"""
    back_uvs: NDArray[np.float32]
    """[V, 2]"""


def atlas(rgba: NDArray[np.uint8], points: Floats, back: Back) -> Atlas:
    """The texture, and where on it each of `points` [V, 2], in pixels of `rgba`, has its front and its back."""
    left, top = np.floor(points.min(0)).astype(int) - BORDER_PX
    right, bottom = np.ceil(points.max(0)).astype(int) + BORDER_PX
    cut = _window(rgba, left, top, right, bottom).astype(np.float32)
    alpha = cut[..., 3] / cut[..., 3].max()  # of glass or smoke, the highest is less than 255
    front = bled(cut[..., :3], np.maximum(_step(alpha, DOUBTFUL, SURE), 1e-4 * alpha**2))
    height, width = alpha.shape
    at = (points - (left, top)) / (width, height)
    if back == "mirror":
        uvs = at.astype(np.float32)
        return Atlas(_bytes(front), uvs, uvs)
    half_width, half_height = (width + 1) // 2, (height + 1) // 2
    half = cv2.resize(np.dstack([front, alpha]), (half_width, half_height), interpolation=cv2.INTER_AREA)
    behind = _faceless(half[..., :3], half[..., 3])
    texture = np.zeros((height + half_height, width, 3), np.float32)
    texture[:height] = front
    texture[height:, :half_width] = behind
    texture[height:, half_width:] = behind[:, -1:]
    share = height / (height + half_height)
    front_uvs = at * (1, share)
    back_uvs = at * (half_width / width, 1 - share) + (0, share)
    return Atlas(_bytes(texture), front_uvs.astype(np.float32), back_uvs.astype(np.float32))


def is_profile(alpha: NDArray[np.uint8]) -> bool:
    """Whether the outline is far from symmetric, left to right.

    Most things have one plane of symmetry. What looks symmetric is seen along that plane, and its far side is unknown;
    what does not, such as a horse from the side, is likely seen across it: then far and near side mirror each other.
    """
    small = cv2.resize(alpha, (SYMMETRY_PX, SYMMETRY_PX), interpolation=cv2.INTER_AREA)
    shape = np.pad(small > small.max() / 2, ((0, 0), (0, SYMMETRY_PX)))
    spectrum = np.fft.rfft(shape, axis=1)
    # Of a shape with its own mirror image, for each place of the mirror at once: one correlation of the rows.
    overlap = np.fft.irfft((spectrum * spectrum).sum(0), 2 * SYMMETRY_PX).max()
    return float(overlap / (2 * shape.sum() - overlap)) < PROFILE


def bled(colours: Colours, weights: Colours) -> Colours:
    """Colours [H, W, 3] everywhere, from where `weights` [H, W] are: averages over ever wider surroundings."""
    height, width = weights.shape
    half = (max(1, width // 2), max(1, height // 2))
    weight = cv2.resize(weights, half, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(colours * weights[..., None], half, interpolation=cv2.INTER_AREA)
    mean /= np.maximum(weight, 1e-12)[..., None]
    if max(half) > 1:
        mean = bled(mean, np.minimum(1, 4 * weight))
    wide = cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR)
    wide += (colours - wide) * weights[..., None]
    return wide


def _rim_distance(alpha: Colours) -> Colours:
    """Pixels to the outside; 0 there."""
    return cv2.distanceTransform(np.pad(alpha > 0.5, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]


def _faceless(front: Colours, alpha: Colours) -> Colours:
    """The front near the rim; further in, what the rim's colours become when they spread."""
    depth = _rim_distance(alpha)
    band = max(2.0, BAND * max(alpha.shape))
    near = _step(alpha, DOUBTFUL, SURE) * (1 - _step(depth, 0.6 * band, band))
    spread = bled(front, near)
    spread = cv2.GaussianBlur(spread, (0, 0), band / 2)
    share = _step(depth, 0.2 * band, band)[..., None]
    return front * (1 - share) + spread * share


def _window(rgba: NDArray[np.uint8], left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
    """A crop that may reach past the edges, where it is empty."""
    height, width = rgba.shape[:2]
    out = np.zeros((bottom - top, right - left, 4), np.uint8)
    y0, y1, x0, x1 = max(0, top), min(height, bottom), max(0, left), min(width, right)
    out[y0 - top : y1 - top, x0 - left : x1 - left] = rgba[y0:y1, x0:x1]
    return out


def _step(x: Colours, low: float, high: float) -> Colours:
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _bytes(colours: Colours) -> NDArray[np.uint8]:
    return (np.clip(colours, 0, 255) + 0.5).astype(np.uint8)
