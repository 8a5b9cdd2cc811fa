"""Simple photos and masks whose truth is known."""

import numpy as np

from pipelines.core.images import Photo


def disc(width: int, height: int, x: float, y: float, radius: float) -> np.ndarray:
    """An anti-aliased disc [H, W] in 0..1; pixel (0, 0) has its centre at (0.5, 0.5)."""
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    return np.clip(radius - np.hypot(columns - x, rows - y) + 0.5, 0, 1).astype(np.float32)


def photo_of(rgb: np.ndarray, alpha: np.ndarray | None = None, original: tuple[int, int] | None = None) -> Photo:
    height, width = rgb.shape[:2]
    share = np.ones((height, width)) if alpha is None else alpha
    rgba = np.dstack([rgb, np.rint(share * 255)]).astype(np.uint8)
    return Photo.of(rgba, original or (width, height))


def plain(width: int, height: int, colour: tuple[int, int, int]) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (height, width, 3))
