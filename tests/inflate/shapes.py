"""Subjects whose every measure is known."""

import numpy as np
from numpy.typing import NDArray

from pipelines.core.subject import Making, Subject

SIZE = 512
Field = NDArray[np.floating]
# The part of a 512 px frame that a subject's longest side takes: 0.8 of it, from 51.2 to 460.8.
HALF = 0.4 * SIZE


def grid(size: int = SIZE) -> tuple[Field, Field]:
    """Pixel centres from the frame's centre: x to the right, y down."""
    y, x = np.mgrid[:size, :size] + 0.5
    return x - size / 2, y - size / 2


def soft(distance: Field) -> NDArray[np.uint8]:
    """Alpha of a shape, from the signed distance to its outline in pixels, positive inside."""
    return (np.clip(distance + 0.5, 0, 1) * 255).round().astype(np.uint8)


def disc(radius: float = HALF, at: tuple[float, float] = (0, 0), size: int = SIZE) -> NDArray[np.uint8]:
    x, y = grid(size)
    return soft(radius - np.hypot(x - at[0], y - at[1]))


def bar(half_length: float = HALF, radius: float = 20, at: tuple[float, float] = (0, 0)) -> NDArray[np.uint8]:
    """Lying, with square ends."""
    x, y = grid()
    return soft(np.minimum(half_length - abs(x - at[0]), radius - abs(y - at[1])))


def upright(half_length: float, radius: float, at: tuple[float, float]) -> NDArray[np.uint8]:
    x, y = grid()
    return soft(np.minimum(half_length - abs(y - at[1]), radius - abs(x - at[0])))


def ring(radius: float = HALF - 40, thickness: float = 40) -> NDArray[np.uint8]:
    x, y = grid()
    return soft(thickness - abs(radius - np.hypot(x, y)))


def animal() -> NDArray[np.uint8]:
    """A drawn quadruped looking left: a body, a neck, a head, a tail, and legs 3 px wide."""
    x, y = grid()
    body = 60 - np.hypot(x / 2.2, y + 40)
    head = 42 - np.hypot((x + 160) * 0.8, (y + 160) * 1.4)
    neck = np.minimum(30 - abs((x + 130) * 0.85 - (y + 105) * 0.54), 55 - abs(y + 105))
    shape = np.maximum(np.maximum(soft(body), soft(head)), soft(neck))
    for at in (-95, -70, 75, 100):
        shape = np.maximum(shape, upright(110, 1.5, (at, 90)))
    return np.maximum(shape, upright(90, 9, (126, 40)))


def letter_b() -> NDArray[np.uint8]:
    """Two holes."""
    x, y = grid()
    half = HALF - 1
    stem = np.minimum(20 - abs(x + 100), half - abs(y))
    bows = [14 - abs(half / 2 - np.hypot((x + 80) * 0.75, y - at)) for at in (-half / 2 + 14, half / 2 - 14)]
    bows = [np.where(x > -90, bow, -1e3) for bow in bows]
    return soft(np.maximum(stem, np.maximum(*bows)))


def painted(alpha: NDArray[np.uint8], seed: int = 0) -> NDArray[np.uint8]:
    """Smooth colours that differ everywhere; behind the soft edge, a screaming green that must never be seen."""
    size = alpha.shape[0]
    x, y = grid(size)
    rgba = np.zeros((size, size, 4), np.uint8)
    rgba[..., 0] = 128 + 100 * np.sin(x / 31 + seed)
    rgba[..., 1] = 60 + 40 * np.cos(y / 23)
    rgba[..., 2] = 128 + 100 * np.sin((x + y) / 37)
    mixed = np.array([0, 255, 0]) * (1 - alpha[..., None] / 255.0) + rgba[..., :3] * (alpha[..., None] / 255.0)
    rgba[..., :3] = np.where(alpha[..., None] > 0, mixed, 0)
    rgba[..., 3] = alpha
    return rgba


def plain(alpha: NDArray[np.uint8], colour: tuple[int, int, int] = (200, 120, 60)) -> NDArray[np.uint8]:
    return np.dstack([np.broadcast_to(np.array(colour, np.uint8), (*alpha.shape, 3)), alpha])


def subject(rgba: NDArray[np.uint8], elevation_deg: float = 0.0, fill: float = 0.8) -> Subject:
    made = Making("0" * 64, rgba.shape[1::-1], "alpha", (0, 0, *rgba.shape[1::-1]))
    return Subject(rgba, made, elevation_deg, fill)
