"""A photo's alpha, [H, W] in 0..1: what of it counts as object, what a visitor painted over it, how soft its edge is.

Pure functions; the order in which they apply is `make_subject`'s.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import checked_number
from pipelines.core.errors import TurnaroundError

Plane = NDArray[Any]  # float32; OpenCV's type stubs promise less
Box = tuple[float, float, float, float]  # left, top, right, bottom

EDGE_LEVEL = 0.5  # the contour of a soft mask
FAINT_LEVEL = 0.1  # glass, veils and smoke still count; a remover's haze does not
HAZE_LEVEL = 0.05  # what a remover finds less likely than this is background
SPECK_SHARE = 0.02  # a removed background's leftovers: parts below this share of the largest
OWN_SPECK_SHARE = 0.0005  # someone made this alpha: only dust leaves
SMALLEST_OBJECT_PX = 12  # below this there is nothing to show from the side
FEATHER_RANGE = (0.0, 0.05)  # shares of the object's longest side; more would eat it up

ADD, REMOVE = (22, 163, 74), (220, 38, 38)  # what a brush paints in; other colours count as the nearer of the two
PAINTED_ALPHA = 128  # of 255: fainter is a brush's own soft rim
ASPECT_TOLERANCE = 0.02  # two pictures of one shape, each rounded to whole pixels
MAX_LAYER_SIDE_PX = 4096  # far beyond what an editor sends for a photo of 2048 px
STROKE_SOFT_PX = 1.0  # sigma: a stroke's border is blurred, then steepened to about a pixel and a half
STROKE_STEEPNESS = 2.0
LAYER_SOFT_PX = 0.7  # sigma, before a layer is enlarged: rounds its steps off, and just keeps lines of one pixel

NO_OBJECT = (
    "No object was found in this photo. Use a photo in which one object stands out from its background, "
    "try another background remover, or upload a PNG that is already cut out."
)
NOTHING_LEFT = "Everything in this photo is erased. Undo the last stroke, or paint the object in."


# --- What is object ---------------------------------------------------------------------------------------------------


def has_useful_alpha(alpha: NDArray[np.uint8]) -> bool:
    """Whether a photo's own alpha [H, W] cuts something out.

    Not useful: opaque, evenly translucent, all transparent, a transparent frame of a few pixels, a screenshot's rounded
    corners. Useful: at least 2% of the picture is clear in areas wider than such a frame, and something is there.
    """
    import cv2

    height, width = alpha.shape
    clear = (alpha < 255 * FAINT_LEVEL).astype(np.uint8)
    wide = 2 * max(2, round(0.01 * min(height, width))) + 1  # a frame of 1% of the short side vanishes
    padded = cv2.copyMakeBorder(clear, wide, wide, wide, wide, cv2.BORDER_CONSTANT, value=0)
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, np.ones((wide, wide), np.uint8))
    there = np.count_nonzero(alpha >= 255 * EDGE_LEVEL)
    return bool(opened.sum() >= 0.02 * alpha.size and there >= SMALLEST_OBJECT_PX)


def keep_objects(
    alpha: Plane,
    speck_share: float = SPECK_SHARE,
    haze: float = HAZE_LEVEL,
    repair: "Repair | None" = None,
) -> Plane:
    """The alpha without haze and specks: a part stays with at least `speck_share` of the largest part's area.

    Parts are connected where alpha is above `haze`, so that a soft rim goes or stays with its object. What `repair`
    added, which is in `alpha` already, stays however small, and with it whatever it touches.
    """
    import cv2

    found = alpha if repair is None else np.where(repair.added, np.float32(0), alpha)
    strongest = float(found.max(initial=0.0))  # found, not painted: beside a stroke, glass still is as solid as it gets
    solid_level = EDGE_LEVEL * min(1.0, strongest + 1e-6)
    if solid_level < HAZE_LEVEL:
        if repair is None:
            raise TurnaroundError(NO_OBJECT)
        solid_level = EDGE_LEVEL
    count, labels = cv2.connectedComponents((alpha > haze).astype(np.uint8), connectivity=8)
    labels = np.asarray(labels, np.intp)
    areas = np.bincount(labels[alpha >= solid_level], minlength=count)
    areas[0] = 0
    keep = areas >= max(1.0, speck_share * areas.max())
    if repair is not None:
        keep[labels[repair.added]] = True
        keep[0] = False
    kept = np.where(keep[labels], alpha, np.float32(0))
    longest = longest_side(contour_box(kept, solid_level)) if areas.any() else 0.0
    if longest < 1 or areas.max() < 4:
        raise TurnaroundError(NO_OBJECT if repair is None else NOTHING_LEFT)
    if longest < SMALLEST_OBJECT_PX:
        if repair is not None:
            raise TurnaroundError(f"Only {longest:.0f} px of the object are left. Undo a stroke, or paint more in.")
        raise TurnaroundError(
            f"The object found in this photo is only {longest:.0f} px large. "
            "Use a photo in which it is larger, or crop the photo closer."
        )
    return kept


def longest_side(box: Box) -> float:
    return max(box[2] - box[0], box[3] - box[1])


def contour_box(alpha: Plane, level: float) -> Box:
    """Left, top, right, bottom of where alpha reaches `level`, to a fraction of a pixel; zeros where it never does."""
    spans = []
    for axis in (0, 1):
        profile = np.pad(alpha.max(axis=axis), 1)
        reached = np.flatnonzero(profile >= level)
        if not len(reached):
            return 0.0, 0.0, 0.0, 0.0
        first, last = int(reached[0]), int(reached[-1])
        rise = (profile[first] - level) / max(1e-6, profile[first] - profile[first - 1])
        fall = (profile[last] - level) / max(1e-6, profile[last] - profile[last + 1])
        # The padding shifts centres to integers - 0.5
        spans.append((first - 0.5 - float(rise), last - 0.5 + float(fall)))
    (left, right), (top, bottom) = spans
    return left, top, right, bottom


# --- What a visitor painted -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Repair:
    """Where a visitor painted over the mask of a photo; bool [H, W] each, of the photo's own pixels."""

    added: NDArray[np.bool_]
    removed: NDArray[np.bool_]

    def __post_init__(self) -> None:
        for name in ("added", "removed"):
            plane = np.asarray(getattr(self, name), np.bool_).view()
            plane.flags.writeable = False
            object.__setattr__(self, name, plane)
        if self.added.ndim != 2 or self.added.shape != self.removed.shape or (self.added & self.removed).any():
            raise ValueError("a repair is two planes of one size, and no pixel is in both")

    @property
    def size_bytes(self) -> int:
        return self.added.nbytes + self.removed.nbytes


def strokes_of(layer: NDArray[np.uint8], size_px: tuple[int, int]) -> Repair | None:
    """What was painted on the layer [h, w, 4] over a photo of `size_px` (width, height); None if nothing was.

    Colours nearer to `ADD` add, those nearer to `REMOVE` remove. The layer may be smaller or larger than the photo,
    but has to show the same shape.
    """
    _check_layer(layer, size_px)
    painted = layer[..., 3] >= PAINTED_ALPHA
    towards_add = np.array(ADD, np.int32) - REMOVE
    halfway = (np.array(ADD, np.int32) + REMOVE) @ towards_add / 2
    adds = np.zeros_like(painted)
    adds[painted] = layer[painted][:, :3].astype(np.int32) @ towards_add > halfway
    removed = _at_size(painted & ~adds, size_px)
    added = _at_size(adds, size_px) & ~removed
    return Repair(added, removed) if added.any() or removed.any() else None


def check_repair(repair: Repair, size_px: tuple[int, int]) -> None:
    if repair.added.shape != size_px[::-1]:
        raise TurnaroundError(_other_shape(repair.added.shape[::-1], size_px))


def repaired(alpha: Plane, repair: Repair) -> Plane:
    """1 where the visitor added, 0 where they removed; their strokes' borders are softened by about a pixel."""
    alpha = alpha.copy()
    for painted, adds in ((repair.added, True), (repair.removed, False)):
        if (window := window_of(painted, margin=round(6 * STROKE_SOFT_PX))) is None:
            continue
        share, before = _softened(painted[window]), alpha[window]
        alpha[window] = np.where(share < 1, before + (adds - before) * share, np.float32(adds))
    return alpha


def _softened(painted: NDArray[np.bool_]) -> Plane:
    """How much of each pixel was painted over. Blurring straightens the steps of a slanted border."""
    import cv2

    # A stroke that reaches the photo's edge goes on beyond it
    blurred = cv2.GaussianBlur(painted.astype(np.float32), (0, 0), STROKE_SOFT_PX, borderType=cv2.BORDER_REPLICATE)
    return np.clip((blurred - 0.5) * STROKE_STEEPNESS + 0.5, 0, 1)


def window_of(painted: NDArray[np.bool_], margin: int) -> tuple[slice, slice] | None:
    """The rows and columns that hold all of it, and a margin; None where nothing is painted."""
    slices = []
    for axis in (1, 0):
        reached = np.flatnonzero(painted.any(axis=axis))
        if not len(reached):
            return None
        slices.append(slice(max(0, int(reached[0]) - margin), int(reached[-1]) + 1 + margin))
    return slices[0], slices[1]


def _at_size(mask: NDArray[np.bool_], size_px: tuple[int, int]) -> NDArray[np.bool_]:
    import cv2

    if mask.shape == size_px[::-1] or not mask.any():
        return mask if mask.any() else np.zeros(size_px[::-1], np.bool_)
    share = mask.astype(np.float32)
    if size_px[0] < mask.shape[1]:
        return cv2.resize(share, size_px, interpolation=cv2.INTER_AREA) >= 0.5
    share = cv2.GaussianBlur(share, (0, 0), LAYER_SOFT_PX, borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(share, size_px, interpolation=cv2.INTER_CUBIC) >= 0.5


def _check_layer(layer: object, size_px: tuple[int, int]) -> None:
    if not isinstance(layer, np.ndarray) or layer.ndim != 3 or layer.shape[2] != 4 or layer.dtype != np.uint8:
        raise TurnaroundError("The painted strokes are no RGBA picture. Open the mask again and repaint it.")
    height, width = layer.shape[:2]
    if not (0 < height <= MAX_LAYER_SIDE_PX and 0 < width <= MAX_LAYER_SIDE_PX):
        raise TurnaroundError(
            f"The painted strokes are {width} x {height} px large; at most {MAX_LAYER_SIDE_PX} px a side are read. "
            "Open the mask again and repaint it."
        )
    if abs(width * size_px[1] / (height * size_px[0]) - 1) > ASPECT_TOLERANCE:
        raise TurnaroundError(_other_shape((width, height), size_px))


def _other_shape(painted_px: tuple[int, ...], size_px: tuple[int, int]) -> str:
    return (
        f"The painted strokes belong to another picture: theirs has {painted_px[0]} x {painted_px[1]} px, "
        f"and this photo {size_px[0]} x {size_px[1]}. Open the mask of this photo and repaint it."
    )


# --- How soft its edge is ---------------------------------------------------------------------------------------------


def check_feather(feather: object) -> float:
    number = checked_number("The feather", feather)
    low, high = FEATHER_RANGE
    if not low <= number <= high:
        raise TurnaroundError(
            f"The feather must lie between {low:g} and {high:g} of the object's longest side, not {number:g}."
        )
    return number


def feathered(alpha: Plane, share: float) -> Plane:
    """The edge fades inwards over `share` of the object's longest side; nothing beyond it comes to light.

    Where the object is thinner than that, the fade is as narrow as the object asks for: legs and spokes stay.
    """
    import cv2

    share = check_feather(share)
    strongest = float(alpha.max(initial=0.0))
    if share == 0 or strongest <= 0:
        return alpha
    width_px = share * longest_side(contour_box(alpha, EDGE_LEVEL * strongest))
    there = np.pad(alpha >= FAINT_LEVEL * strongest, 1).astype(np.uint8)  # beyond the picture is outside too
    _close_pinholes(there, width_px)
    depth = cv2.distanceTransform(there, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)  # from pixel centre to pixel centre
    fade_px = np.float32(width_px)
    core = _thin_cores(depth, width_px)
    if core.any():
        to_core = cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        fade_px = np.minimum(fade_px, depth - 0.5 + to_core)
        fade_px = cv2.blur(fade_px, (2 * round(width_px / 4) + 1,) * 2)
    ramp = np.clip((depth - 0.5) / np.maximum(fade_px, 0.5), 0, 1)
    smooth = ramp * ramp * (3 - 2 * ramp)
    return alpha * smooth[1:-1, 1:-1].astype(np.float32)


def _thin_cores(depth: Plane, width_px: float) -> NDArray[np.bool_]:
    """The middle lines of parts thinner than the fade: there the depth grows in no direction by more than half a pixel.

    Into a right-angled corner it grows by 0.7 a pixel, so corners have none.
    """
    import cv2

    highest_beside = cv2.dilate(depth, np.ones((3, 3), np.uint8))
    return (depth > 0) & (depth < width_px) & (highest_beside - depth < 0.5)


def _close_pinholes(there: NDArray[np.uint8], width_px: float) -> None:
    """In place: a hole much smaller than the fade is a flaw of the mask, and must not become a large soft one."""
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - there, connectivity=4)
    labels = np.asarray(labels, np.intp)
    small = np.asarray(stats)[:, cv2.CC_STAT_AREA] < (width_px / 2) ** 2
    small[0] = small[labels[0, 0]] = False  # the object itself, and what surrounds it
    if count > 2 and small.any():
        there[small[labels]] = 1
