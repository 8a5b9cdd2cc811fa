"""From photo to `Subject`: the square cut-out that every method sees, exactly.

The alpha (the photo's own, or a remover's) -> what the visitor painted over it -> specks leave -> the object is centred
and scaled in one resampling, and the old background's colour leaves its soft edges -> its colours are bled outwards
under the transparency -> its edge is feathered.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import DEFAULT_FILL, checked_number
from pipelines.core.depth_map import DepthMap, framed_depth
from pipelines.core.errors import TurnaroundError
from pipelines.core.images import Photo
from pipelines.core.mask import (
    EDGE_LEVEL,
    FAINT_LEVEL,
    OWN_SPECK_SHARE,
    Plane,
    Repair,
    check_feather,
    check_repair,
    contour_box,
    feathered,
    keep_objects,
    longest_side,
    repaired,
    window_of,
)

SUBJECT_SIZE_PX = 1024  # the largest frame a method may be asked for
FILL_RANGE = (0.2, 0.98)  # smaller wastes the frame; larger leaves soft edges no room
FAINT_GROWTH = 1.05  # an object that its faint parts make so much longer, by more than an edge's softness, is framed
SOFT_EDGE_PX = 4.0  # with them
REMOVER_PX = 512  # what removers work at, roughly: their contour may be off by one of these pixels
CONTOUR_TRUST = 0.2  # against a smoothness of up to 1; with less, a three-pixel stalk takes on the body's colour
SURE_COLOUR = 0.2  # below this alpha a pixel takes on its neighbours' colour the more the clearer it is
SOFT_SCALE = 4.0  # magnified more than this, a picture looks blurred at 576 px
CONTACT_SHARE = 0.02  # of the object's longest side, before "cut off at the edge" is said
ALPHA = "alpha"
NONE = "none"


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
    feather: float = 0.0
    """Over which share of the object's longest side its edge was made to fade."""
    added_px: int = 0
    """How much of the mask a visitor painted in, of `photo_size_px`."""
    removed_px: int = 0
    """How much they painted away."""


@dataclass(frozen=True, eq=False)
class Subject:
    rgba: NDArray[np.uint8]
    """[S, S, 4], straight alpha; the subject's bounding box is centred, its longest side takes `fill` of the frame.

    A feather fades the edge inwards from there, and moves nothing.
    """
    made: Making
    elevation_deg: float = 0.0
    """From how high the photo was taken; 0 is level."""
    fill: float = DEFAULT_FILL
    depth: NDArray[np.uint16] | None = None
    """[S, S], as `framed_depth` makes it of a depth that the visitor brought along; 0 where it is unknown."""

    def __post_init__(self) -> None:
        for name in ("rgba", "depth"):
            if (plane := getattr(self, name)) is not None:
                plane = plane.view()
                plane.flags.writeable = False  # every method sees exactly the same, whatever the one before it did
                object.__setattr__(self, name, plane)


# Stands in where there is no subject yet: to check or estimate a request by its views and size.
ANY_SUBJECT = Subject(np.full((64, 64, 4), 255, np.uint8), Making("", (64, 64), "none", (0, 0, 64, 64)))


def make_subject(
    photo: Photo,
    alpha: Plane,
    remover: str,
    *,
    elevation_deg: float = 0.0,
    fill: float = DEFAULT_FILL,
    feather: float = 0.0,
    repair: Repair | None = None,
    depth: DepthMap | None = None,
) -> Subject:
    """The subject that `alpha` [H, W] in 0..1, repaired, marks on the photo; `remover` names where it came from.

    Colours at soft edges are estimated anew, unless the alpha is the photo's own: its colours are the object's already.
    """
    elevation_deg, fill, feather = check_elevation(elevation_deg), check_fill(fill), check_feather(feather)
    height, width = photo.rgba.shape[:2]
    notes = list(photo.notes)

    # 1. The mask
    if repair is not None:
        check_repair(repair, (width, height))
        alpha = repaired(alpha, repair)
    if remover != NONE or repair is not None:
        own = remover in (ALPHA, NONE)
        alpha = keep_objects(alpha, OWN_SPECK_SHARE, 0, repair) if own else keep_objects(alpha, repair=repair)
        notes += _cut_off_note(alpha, trimmed_is_fine=own)

    # 2. The frame; what lies far from the object is left out of everything that follows
    reach_px = max(height, width) / REMOVER_PX
    near = window_of(alpha > 0, margin=32 + round(8 * reach_px)) or np.s_[0:height, 0:width]
    alpha, rgb = alpha[near], _known_colours(photo.rgba[near], alpha[near])
    square = find_square(alpha, fill)
    if SUBJECT_SIZE_PX / square.side > SOFT_SCALE:
        longest = round(fill * square.side)
        notes.append(f"The object is only {longest} px large in this photo, so views of it will look soft.")

    # 3. Colours and alpha in it
    mixed = remover not in (ALPHA, NONE)
    colours, placed = place(rgb, alpha, square, mixed_reach_px=reach_px if mixed else None)
    rgba = np.concatenate([_under_transparency(colours, placed), feathered(placed, feather)[..., None]], axis=-1)
    rgba = np.rint(rgba.clip(0, 1) * 255).astype(np.uint8)

    per_photo_px = photo.original_size_px[0] / width
    left, top = square.left + near[1].start, square.top + near[0].start
    crop = (left, top, left + square.side, top + square.side)
    levels = None
    if depth is not None:
        levels = framed_depth(depth, (width, height), crop, rgba[..., 3])
        notes += depth.notes if levels.any() else ["The depth that came with the photo is unknown all over the object."]
    made = Making(
        photo_sha256=photo.sha256,
        photo_size_px=photo.original_size_px,
        remover=remover,
        crop_px=(crop[0] * per_photo_px, crop[1] * per_photo_px, crop[2] * per_photo_px, crop[3] * per_photo_px),
        notes=tuple(notes),
        feather=feather,
        added_px=round(np.count_nonzero(repair.added) * per_photo_px**2) if repair else 0,
        removed_px=round(np.count_nonzero(repair.removed) * per_photo_px**2) if repair else 0,
    )
    return Subject(rgba, made, elevation_deg, fill, levels)


def check_fill(fill: object) -> float:
    number = checked_number("The share of the frame", fill)
    low, high = FILL_RANGE
    if not low <= number <= high:
        raise TurnaroundError(f"The share of the frame must lie between {low:g} and {high:g}, not {number:g}.")
    return number


def check_elevation(elevation_deg: object) -> float:
    number = checked_number("The photo's elevation", elevation_deg, "degrees")
    if not -90 <= number <= 90:
        raise TurnaroundError(f"The photo's elevation must lie between -90 and 90 degrees, not {number:g}.")
    return number


def _cut_off_note(alpha: Plane, *, trimmed_is_fine: bool) -> list[str]:
    left, top, right, bottom = contour_box(alpha, EDGE_LEVEL * float(alpha.max()))
    least = max(3.0, CONTACT_SHARE * max(right - left, bottom - top))
    rims = {"top": alpha[0], "right": alpha[:, -1], "bottom": alpha[-1], "left": alpha[:, 0]}
    touched = [name for name, rim in rims.items() if np.count_nonzero(rim >= EDGE_LEVEL) >= least]
    reached = [left < 1, top < 1, right > alpha.shape[1] - 1, bottom > alpha.shape[0] - 1]
    if not touched or (trimmed_is_fine and all(reached)):  # a cut-out cropped to its box touches every edge
        return []
    where = " and ".join(touched) if len(touched) < 3 else f"{', '.join(touched[:-1])} and {touched[-1]}"
    edges = "edge" if len(touched) == 1 else "edges"
    return [f"The object is cut off at the photo's {where} {edges}; a photo that shows all of it gives better views."]


# --- Colours ----------------------------------------------------------------------------------------------------------


def _known_colours(rgba: NDArray[np.uint8], alpha: Plane) -> Plane:
    """The photo's colours [H, W, 3] in 0..1; the object's, where a visitor painted in what a cut-out photo lacks."""
    rgb = rgba[..., :3].astype(np.float32) / 255
    own = rgba[..., 3] / np.float32(255)
    sure = np.clip(own / max(EDGE_LEVEL * float(own.max()), 1e-6), 0, 1)  # a faint pixel's colour is mostly rounding
    lacking = (alpha > own) & (sure < 1)
    if lacking.any():
        share = sure[lacking][:, None]
        rgb[lacking] = share * rgb[lacking] + (1 - share) * bleed(rgb, sure * own * alpha)[lacking]
    return rgb


def pure_colours(rgb: Plane, alpha: Plane, reach_px: float | None = None) -> Plane:
    """The object's own colours [H, W, 3] where `rgb` mixes them with the background's, and bled outwards beyond.

    Solves rgb = alpha F + (1 - alpha) B for F and B, both smooth where alpha changes, from coarse to fine
    (Germer et al., "Fast Multi-Level Foreground Estimation", 2020: equations 5 to 10). Two things differ, since a
    remover's alpha is off by a pixel here and there: only pixels well inside count as pure, and near the contour the
    equation counts less beside smoothness. Above 64 px only those are iterated. `reach_px` is how far off the contour
    may be.
    """
    import cv2

    height, width = alpha.shape
    reach = int(np.ceil(max(height, width) / REMOVER_PX if reach_px is None else reach_px))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    inside = cv2.erode((alpha > 0.999).astype(np.float32), disc)
    outside = cv2.erode((alpha < 0.001).astype(np.float32), disc)
    front = back = np.full((1, 1, 3), rgb.mean(axis=(0, 1)), np.float32)
    for step in reversed(range(int(np.ceil(np.log2(max(height, width, 2)))))):
        size = (max(1, round(width / 2**step)), max(1, round(height / 2**step)))
        mixed, share, sure, clear = (
            cv2.resize(plane, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1) if step else plane
            for plane in (rgb, alpha, inside, outside)
        )
        share, sure, clear = (np.reshape(plane, size[::-1]) for plane in (share, sure, clear))
        front = cv2.resize(front, size, interpolation=cv2.INTER_LINEAR).reshape(mixed.shape)
        back = cv2.resize(back, size, interpolation=cv2.INTER_LINEAR).reshape(mixed.shape)
        sure, clear = sure > 0.999, clear > 0.999
        front[sure], back[clear] = mixed[sure], mixed[clear]
        coarse = max(size) <= 64
        trust = np.where(sure | clear, np.float32(1), np.float32(CONTOUR_TRUST))
        chosen = np.flatnonzero(np.ones_like(sure) if coarse else ~(sure | clear))
        _relax(front, back, mixed, share, trust, chosen, times=10 if coarse else 8)
    return front


def _relax(
    front: Plane, back: Plane, mixed: Plane, share: Plane, trust: Plane, chosen: NDArray[np.intp], times: int
) -> None:
    """Jacobi steps on the chosen pixels, in place: a 2 x 2 system a pixel, the same for the three channels."""
    height, width = share.shape
    rows, columns = np.divmod(chosen, width)
    flat_share = share.reshape(-1)
    a, t = flat_share[chosen], trust.reshape(-1)[chosen]
    neighbours = np.stack(
        [
            np.maximum(rows - 1, 0) * width + columns,
            np.minimum(rows + 1, height - 1) * width + columns,
            rows * width + np.maximum(columns - 1, 0),
            rows * width + np.minimum(columns + 1, width - 1),
        ]
    )
    weights = 1e-5 + np.abs(a - flat_share[neighbours])  # the paper's regularisation and gradient weight
    weight_sum = weights.sum(axis=0)
    a_front, a_cross, a_back = t * a * a + weight_sum, t * a * (1 - a), t * (1 - a) ** 2 + weight_sum
    determinant = a_front * a_back - a_cross * a_cross
    to_front, to_back, across = ((part / determinant)[:, None] for part in (a_back, a_front, a_cross))
    colour = mixed.reshape(-1, 3)[chosen]
    own_front, own_back = (t * a)[:, None] * colour, (t * (1 - a))[:, None] * colour
    flat_front, flat_back = front.reshape(-1, 3), back.reshape(-1, 3)
    for _ in range(times):
        right_front, right_back = own_front.copy(), own_back.copy()
        for neighbour, weight in zip(neighbours, weights[..., None], strict=True):
            right_front += weight * flat_front.take(neighbour, axis=0)
            right_back += weight * flat_back.take(neighbour, axis=0)
        flat_front[chosen] = (to_front * right_front - across * right_back).clip(0, 1)
        flat_back[chosen] = (to_back * right_back - across * right_front).clip(0, 1)


def bleed(rgb: Plane, weight: Plane) -> Plane:
    """Colours [H, W, 3] where `weight` is 0, spread smoothly from where it is not (push and pull over a pyramid)."""
    import cv2

    levels = [(rgb * weight[..., None], weight)]
    while max(levels[-1][1].shape) > 1:
        colour, share = levels[-1]
        size = ((share.shape[1] + 1) // 2, (share.shape[0] + 1) // 2)
        down = (
            cv2.resize(colour, size, interpolation=cv2.INTER_AREA),
            cv2.resize(share, size, interpolation=cv2.INTER_AREA),
        )
        levels.append((down[0].reshape(size[1], size[0], 3), down[1].reshape(size[1], size[0])))
    colour, share = levels.pop()
    filled = colour / max(float(share.max()), 1e-12)
    while levels:
        colour, share = levels.pop()
        filled = cv2.resize(filled, share.shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(colour.shape)
        # Where nearly nothing is known, the coarse speaks
        filled = (colour + 1e-4 * filled) / (share + 1e-4)[..., None]
    return filled


def _under_transparency(straight: Plane, alpha: Plane) -> Plane:
    """A nearly clear pixel's colour is mostly rounding, or an old background: it takes on its neighbours'."""
    sure = np.clip(alpha / SURE_COLOUR, 0, 1)
    return sure[..., None] * straight + (1 - sure[..., None]) * bleed(straight, sure * alpha)


# --- The frame --------------------------------------------------------------------------------------------------------


class Square(NamedTuple):
    """A square window of a picture, in its pixels; may reach past its edges."""

    left: float
    top: float
    side: float


def find_square(alpha: Plane, fill: float, size_px: int = SUBJECT_SIZE_PX) -> Square:
    """The window that shows the object centred, its longest side `fill` of it.

    The box is measured again in the result and the window corrected, since a thin tip may fade when it is shrunk.
    """
    strongest = float(alpha.max())
    level = EDGE_LEVEL * strongest
    box, faint_box = contour_box(alpha, level), contour_box(alpha, FAINT_LEVEL * strongest)
    if longest_side(faint_box) > FAINT_GROWTH * longest_side(box) + SOFT_EDGE_PX:
        level, box = FAINT_LEVEL * strongest, faint_box
    side = longest_side(box) / fill
    centre_x, centre_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    for _ in range(4):
        square = Square(centre_x - side / 2, centre_y - side / 2, side)
        got = contour_box(_sample(alpha, square, size_px), level)
        if longest_side(got) <= 0:
            break
        centre_x += ((got[0] + got[2]) / 2 - size_px / 2) * side / size_px
        centre_y += ((got[1] + got[3]) / 2 - size_px / 2) * side / size_px
        ratio = longest_side(got) / (fill * size_px)
        side *= ratio
        if abs(ratio - 1) * fill * size_px < 0.05:
            break
    return Square(centre_x - side / 2, centre_y - side / 2, side)


def place(
    rgb: Plane, alpha: Plane, square: Square, size_px: int = SUBJECT_SIZE_PX, mixed_reach_px: float | None = None
) -> tuple[Plane, Plane]:
    """Colours [S, S, 3] and alpha [S, S] of what the window shows, resampled once.

    With `mixed_reach_px` the colours are taken for mixed with a background's, and the contour for off by so much. They
    are parted at the lower of the two resolutions: all that follows costs the same for a photo of any size.
    """
    placed = _sample(alpha, square, size_px).clip(0, 1)
    step = square.side / size_px
    if mixed_reach_px is not None and step > 1:
        mixed = np.stack([_sample(rgb[..., i], square, size_px, goes_on=True) for i in range(3)], axis=-1)
        return pure_colours(mixed, placed, mixed_reach_px / step), placed
    if mixed_reach_px is not None:
        rgb = pure_colours(rgb, alpha, mixed_reach_px)
    planes = [_sample(rgb[..., i] * alpha, square, size_px) for i in range(3)]
    return np.stack(planes, axis=-1) / np.maximum(placed, 1e-6)[..., None], placed


def _sample(plane: Plane, square: Square, size_px: int, goes_on: bool = False) -> Plane:
    """The square window of `plane` [H, W] at `size_px`; beyond the picture 0, or its last pixels if it `goes_on`.

    Area-correct when shrinking (Hamming window), linear when enlarging: neither overshoots at an edge.
    """
    from PIL import Image

    height, width = plane.shape
    left, top, side = square
    step = side / size_px  # picture pixels an output pixel
    # Only the output pixels that the picture reaches are computed: a small fill would else need a huge padded picture.
    first_x, last_x = max(0, int(-left / step) - 2), min(size_px, int((width - left) / step) + 3)
    first_y, last_y = max(0, int(-top / step) - 2), min(size_px, int((height - top) / step) + 3)
    if first_x >= last_x or first_y >= last_y:
        return np.zeros((size_px, size_px), np.float32)
    pad = int(4 * step) + 4
    padded = np.pad(plane, pad, mode="edge" if goes_on else "constant")
    window = (left + first_x * step, top + first_y * step, left + last_x * step, top + last_y * step)
    kernel = Image.Resampling.HAMMING if step > 1 else Image.Resampling.BILINEAR
    low_x, low_y = max(0.0, window[0] + pad), max(0.0, window[1] + pad)
    high_x, high_y = min(float(padded.shape[1]), window[2] + pad), min(float(padded.shape[0]), window[3] + pad)
    resized = Image.fromarray(padded).resize(
        (last_x - first_x, last_y - first_y), kernel, box=(low_x, low_y, high_x, high_y)
    )
    around = ((first_y, size_px - last_y), (first_x, size_px - last_x))
    return np.pad(np.asarray(resized), around, mode="edge" if goes_on else "constant")
