"""Onto a plain backdrop and off it again: networks that know no alpha see the subject on white or grey, and answer so.

Pure functions. A picture that is put on a backdrop, taken off, and put on again is the same picture.
"""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.subject import Square, Subject, bleed, place

Plane = NDArray[Any]  # float32; OpenCV's type stubs promise less

RIM_SHARE = 0.01  # of the side: how wide a frame is taken for backdrop, where it has about the right colour
OFF_COLOUR = 24.0  # grey levels by which a network may miss the backdrop's colour as a whole
LEAST_RIM = 0.05  # of the frame; with less of it the backdrop's colour, nothing is backdrop
LEAST_REACH, MOST_REACH = 3.0, 14.0  # grey levels that noise may add to the backdrop: twice what it does in the rim
STRONG = 2.0  # times the reach: a part that nowhere differs more than this from the backdrop is noise
SPECK_SHARE = 0.001  # of the largest part's area
EDGE_SHARE = 0.03  # of the side: how soft edges may be
RISE, RISE_LEVELS = 1.1, 2.0  # going inwards, an edge gets so much less like the backdrop with each pixel
WHITE = 255
HOLE_SHARE, HOLE_MARGIN = 0.0003, 0.004  # of the frame, a hole's least area; of the side, what its edges may blur
HOLE_LEVELS = 1.0  # more than the rim's noise: near an object, decoders are less steady
NEIGHBOURS = np.ones((3, 3), np.uint8)
MISFIT, MISFIT_LEVELS = 0.06, 6.0  # a colour further than this from the mixture is not one


def on_backdrop(subject: Subject, size_px: int, fill: float, grey: int) -> NDArray[np.uint8]:
    """The cut-out on plain grey (255 is white) [S, S, 3], centred, its longest side `fill` of the frame."""
    side = subject.rgba.shape[0] * subject.fill / fill  # of the window of the subject's picture that is seen
    rgba = _window(subject.rgba, side, size_px)
    alpha = rgba[..., 3:]
    return np.rint(255 * rgba[..., :3] * alpha + grey * (1 - alpha)).astype(np.uint8)


def reframed(rgba: NDArray[np.uint8], zoom: float, size_px: int) -> NDArray[np.uint8]:
    """The picture [S, S, 4] scaled about its centre by `zoom` and resampled to `size_px`, clear beyond its edges."""
    if zoom == 1 and rgba.shape[0] == size_px:
        return rgba
    return np.rint(255 * _window(rgba, rgba.shape[0] / zoom, size_px)).astype(np.uint8)


def zoomed_fov_deg(fov_deg: float, zoom: float) -> float:
    """The lens that a picture of this one has once it is `reframed`: cropped to its middle, a picture has a longer."""
    return math.degrees(2 * math.atan(math.tan(math.radians(fov_deg) / 2) / zoom))


def off_backdrop(rgb: NDArray[np.uint8], grey: int) -> NDArray[np.uint8]:
    """The object on a plain backdrop [S, S, 3] cut out again [S, S, 4], its soft edges without the backdrop's colour.

    Backdrop is what reaches the frame's border. So is, on grey, a hole as flat as that, for no object is so flat there.
    On white it is the object's: flat white parts are common.
    """
    picture = rgb.astype(np.float32)
    found = _backdrop(picture, grey)
    if found is None:
        return opaque(rgb)
    backdrop, noise = found
    away = np.abs(picture - backdrop).max(axis=-1)  # [S, S], in grey levels
    inside = _object(away, noise, holes=grey != WHITE)
    alpha, pure = _parted(picture - backdrop, away, inside)
    colours = pure + backdrop
    clear = alpha == 0
    if clear.any() and not clear.all():
        colours[clear] = bleed(colours / 255, alpha)[clear] * 255
    return np.rint(np.dstack([colours, 255 * alpha]).clip(0, 255)).astype(np.uint8)


def opaque(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture [S, S, 3] with its backdrop, [S, S, 4]."""
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])


def _window(rgba: NDArray[np.uint8], side: float, size_px: int) -> Plane:
    """The centred square of so many pixels, resampled, [size, size, 4] in 0..1; colours go on under transparency."""
    corner = (rgba.shape[0] - side) / 2
    share = rgba.astype(np.float32) / 255
    colours, alpha = place(share[..., :3], share[..., 3], Square(corner, corner, side), size_px)
    clear = alpha <= 0
    if clear.any() and not clear.all():
        colours[clear] = bleed(colours, alpha)[clear]
    return np.dstack([colours, alpha]).clip(0, 1)


def _backdrop(picture: Plane, grey: int) -> tuple[Plane, float] | None:
    """The colour [3] that the backdrop has in this picture, and how far its noise reaches; None if it has none."""
    width = max(1, round(RIM_SHARE * picture.shape[0]))
    rim = np.ones(picture.shape[:2], bool)
    rim[width:-width, width:-width] = False
    frame = picture[rim]
    alike = frame[np.abs(frame - grey).max(axis=-1) <= OFF_COLOUR]
    if len(alike) < LEAST_RIM * len(frame):
        return None
    colour: Plane = np.median(alike, axis=0)
    return np.asarray(colour), float(np.quantile(np.abs(alike - colour).max(axis=-1), 0.95))


def _object(away: Plane, noise: float, holes: bool) -> NDArray[np.bool_]:
    """What is no backdrop: two thresholds, so that noise leaves no specks and an object keeps its faint parts.

    `holes`: whether backdrop may show through it.
    """
    reach = float(np.clip(2 * noise, LEAST_REACH, MOST_REACH))
    _, labels = cv2.connectedComponents((away <= reach).astype(np.uint8), connectivity=4)
    labels = np.asarray(labels, np.intp)
    at_border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    inside = ~np.isin(labels, at_border[at_border > 0])

    count, parts = cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)
    parts = np.asarray(parts, np.intp)
    strong = np.bincount(parts[away > STRONG * reach], minlength=count) > 0
    areas = np.bincount(parts.ravel(), minlength=count)
    kept = strong & (areas >= max(2.0, SPECK_SHARE * areas[1:].max(initial=0)))
    kept[0] = False
    enclosed = (labels > 0) & inside
    return kept[parts] & ~_holes(enclosed, labels, away, noise) if holes else kept[parts]


def _holes(enclosed: NDArray[np.bool_], labels: NDArray[np.intp], away: Plane, noise: float) -> NDArray[np.bool_]:
    """Of the enclosed parts of the backdrop's colour those that are as flat as the backdrop itself."""
    margin = max(1, round(HOLE_MARGIN * len(away)))
    middle = cv2.erode(enclosed.astype(np.uint8), NEIGHBOURS, iterations=margin) > 0
    found = np.zeros(labels.max(initial=0) + 1, bool)
    for label in np.unique(labels[middle]):
        levels = away[middle & (labels == label)]
        large = (labels == label).sum() >= HOLE_SHARE * away.size
        found[label] = large and np.quantile(levels, 0.95) <= noise + HOLE_LEVELS
    return found[labels]


def _parted(offset: Plane, away: Plane, inside: NDArray[np.bool_]) -> tuple[Plane, Plane]:
    """Alpha [S, S], and the object's own colours [S, S, 3], less the backdrop's as `offset` is.

    On an edge the way inwards leads to the neighbour least like the backdrop, while that makes a difference; at its end
    the colour is pure. How many pixels an edge takes is one figure for the whole picture, or else shading would pass
    for an edge. Alpha is the share of the pure colour, on the rim and inwards from there through pixels that are mixed.
    """
    ahead = _ahead(away)
    rim = np.asarray(cv2.dilate((~inside).astype(np.uint8), NEIGHBOURS) > 0) & inside
    width = _edge_width(ahead, rim)
    end = np.arange(away.size)
    for _ in range(width):
        end = ahead[end]
    pure = offset.reshape(-1, 3)[end].reshape(offset.shape)
    share = (offset * pure).sum(axis=-1) / np.maximum((pure * pure).sum(axis=-1), 1e-6)
    misfit = np.abs(offset - share[..., None] * pure).max(axis=-1)
    fits = misfit <= MISFIT * np.abs(pure).max(axis=-1) + MISFIT_LEVELS
    share = np.where(fits, share, 1).clip(1 / 255, 1)

    alpha, mixed = inside.astype(np.float32), ~inside
    for _ in range(width):
        front = rim & (share < 1)
        alpha[front] = share[front]
        mixed |= front
        rim = np.asarray(cv2.dilate(front.astype(np.uint8), NEIGHBOURS) > 0) & ~mixed
    # What the mixture leaves over, noise mostly, is the object's: on its backdrop it is the same picture again.
    left_over = (offset - alpha[..., None] * pure) / np.maximum(alpha, 0.5)[..., None]
    return alpha, np.where((alpha < 1)[..., None], pure + left_over, offset)


def _ahead(away: Plane) -> NDArray[np.intp]:
    """For each pixel [S * S] the index of its neighbour least like the backdrop; its own where none is clearly so."""
    height, width = away.shape
    here = np.arange(height * width).reshape(height, width)
    best, ahead = away * RISE + RISE_LEVELS, here.copy()
    for down, right in ((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x):
        own = np.s_[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
        other = np.s_[max(0, down) : height - max(0, -down), max(0, right) : width - max(0, -right)]
        higher = away[other] > best[own]
        best[own] = np.where(higher, away[other], best[own])
        ahead[own] = np.where(higher, here[other], ahead[own])
    return ahead.ravel()


def _edge_width(ahead: NDArray[np.intp], rim: NDArray[np.bool_]) -> int:
    """Pixels from the rim to pure colour, as usual in this picture: 1 where edges are merely anti-aliased."""
    at, steps = np.flatnonzero(rim), []
    for _ in range(max(1, round(EDGE_SHARE * len(rim)))):
        steps.append(ahead[at] != at)
        at = ahead[at]
    return max(1, int(np.median(np.sum(steps, axis=0)))) if len(at) else 1
