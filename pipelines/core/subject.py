"""From photo to `Subject`: the square cut-out that every method sees, exactly.

The alpha (the photo's own, or a remover's) -> specks leave -> the old background's colour leaves the soft edges -> the
object is centred and scaled in one resampling -> its colours are bled outwards under the transparency.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import DEFAULT_FILL, checked_number
from pipelines.core.errors import TurnaroundError
from pipelines.core.images import Photo

Plane = NDArray[Any]  # float32; OpenCV's type stubs promise less

SUBJECT_SIZE_PX = 1024  # the largest frame a method may be asked for
FILL_RANGE = (0.2, 0.98)  # smaller wastes the frame; larger leaves soft edges no room
EDGE_LEVEL = 0.5  # the contour of a soft mask
FAINT_LEVEL = 0.1  # glass, veils and smoke still count; a remover's haze does not
FAINT_GROWTH = 1.05  # an object that its faint parts make so much longer, by more than an edge's softness, is framed
SOFT_EDGE_PX = 4.0  # with them
HAZE_LEVEL = 0.05  # what a remover finds less likely than this is background
SPECK_SHARE = 0.02  # a removed background's leftovers: parts below this share of the largest
OWN_SPECK_SHARE = 0.0005  # someone made this alpha: only dust leaves
SMALLEST_OBJECT_PX = 12  # below this there is nothing to show from the side
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


@dataclass(frozen=True, eq=False)
class Subject:
    rgba: NDArray[np.uint8]
    """[S, S, 4], straight alpha; the subject's bounding box is centred, its longest side takes `fill` of the frame."""
    made: Making
    elevation_deg: float = 0.0
    """From how high the photo was taken; 0 is level."""
    fill: float = DEFAULT_FILL

    def __post_init__(self) -> None:
        rgba = self.rgba.view()
        rgba.flags.writeable = False  # every method sees exactly the same subject, whatever the one before it did
        object.__setattr__(self, "rgba", rgba)


# Stands in where there is no subject yet: to check or estimate a request by its views and size.
ANY_SUBJECT = Subject(np.full((64, 64, 4), 255, np.uint8), Making("", (64, 64), "none", (0, 0, 64, 64)))


def make_subject(
    photo: Photo, alpha: Plane, remover: str, *, elevation_deg: float = 0.0, fill: float = DEFAULT_FILL
) -> Subject:
    """The subject that `alpha` [H, W] in 0..1 marks on the photo; `remover` names where that alpha came from.

    Colours at soft edges are estimated anew, unless the alpha is the photo's own: its colours are the object's already.
    """
    elevation_deg, fill = check_elevation(elevation_deg), check_fill(fill)
    notes = list(photo.notes)
    if remover != NONE:
        alpha = keep_objects(alpha, OWN_SPECK_SHARE, 0) if remover == ALPHA else keep_objects(alpha)
        notes += _cut_off_note(alpha, trimmed_is_fine=remover == ALPHA)
    rgb = photo.rgba[..., :3].astype(np.float32) / 255
    if remover not in (ALPHA, NONE):
        rgb = pure_colours(rgb, alpha)
    rgba, crop = place(rgb, alpha, fill)
    scale = SUBJECT_SIZE_PX / (crop[2] - crop[0])
    if scale > SOFT_SCALE:
        longest = round(fill * (crop[2] - crop[0]))
        notes.append(f"The object is only {longest} px large in this photo, so views of it will look soft.")
    per_photo_px = photo.original_size_px[0] / photo.rgba.shape[1]
    crop = (crop[0] * per_photo_px, crop[1] * per_photo_px, crop[2] * per_photo_px, crop[3] * per_photo_px)
    made = Making(photo.sha256, photo.original_size_px, remover, crop, tuple(notes))
    return Subject(rgba, made, elevation_deg, fill)


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


# --- The mask ---------------------------------------------------------------------------------------------------------


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


def keep_objects(alpha: Plane, speck_share: float = SPECK_SHARE, haze: float = HAZE_LEVEL) -> Plane:
    """The alpha without haze and specks: a part stays with at least `speck_share` of the largest part's area.

    Parts are connected where alpha is above `haze`, so that a soft rim goes or stays with its object.
    """
    import cv2

    solid_level = EDGE_LEVEL * min(1.0, float(alpha.max(initial=0.0)) + 1e-6)
    if solid_level < HAZE_LEVEL:
        raise TurnaroundError(NO_OBJECT)
    count, labels = cv2.connectedComponents((alpha > haze).astype(np.uint8), connectivity=8)
    areas = np.bincount(labels[alpha >= solid_level], minlength=count)
    areas[0] = 0
    keep = areas >= max(1.0, speck_share * areas.max())
    kept = np.where(keep[np.asarray(labels, np.intp)], alpha, np.float32(0))
    left, top, right, bottom = _box(kept, solid_level) if areas.any() else (0.0, 0.0, 0.0, 0.0)
    longest = max(right - left, bottom - top)
    if longest < 1 or areas.max() < 4:
        raise TurnaroundError(NO_OBJECT)
    if longest < SMALLEST_OBJECT_PX:
        raise TurnaroundError(
            f"The object found in this photo is only {longest:.0f} px large. "
            "Use a photo in which it is larger, or crop the photo closer."
        )
    return kept


NO_OBJECT = (
    "No object was found in this photo. Use a photo in which one object stands out from its background, "
    "try another background remover, or upload a PNG that is already cut out."
)


def _cut_off_note(alpha: Plane, *, trimmed_is_fine: bool) -> list[str]:
    left, top, right, bottom = _box(alpha, EDGE_LEVEL * float(alpha.max()))
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


def pure_colours(rgb: Plane, alpha: Plane) -> Plane:
    """The object's own colours [H, W, 3] where `rgb` mixes them with the background's, and bled outwards beyond.

    Solves rgb = alpha F + (1 - alpha) B for F and B, both smooth where alpha changes, from coarse to fine
    (Germer et al., "Fast Multi-Level Foreground Estimation", 2020: equations 5 to 10). Two things differ, since a
    remover's alpha is off by a pixel here and there: only pixels well inside count as pure, and near the contour the
    equation counts less beside smoothness. Above 64 px only those are iterated.
    """
    import cv2

    height, width = alpha.shape
    reach = int(np.ceil(max(height, width) / REMOVER_PX))
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
        for _ in range(10 if coarse else 8):
            _relax(front, back, mixed, share, trust, chosen)
    return front


def _relax(front: Plane, back: Plane, mixed: Plane, share: Plane, trust: Plane, chosen: NDArray[np.intp]) -> None:
    """One Jacobi step on the chosen pixels, in place: a 2 x 2 system a pixel, the same for the three channels."""
    height, width = share.shape
    rows, columns = np.divmod(chosen, width)
    neighbours = (
        np.maximum(rows - 1, 0) * width + columns,
        np.minimum(rows + 1, height - 1) * width + columns,
        rows * width + np.maximum(columns - 1, 0),
        rows * width + np.minimum(columns + 1, width - 1),
    )
    flat_front, flat_back, flat_share = front.reshape(-1, 3), back.reshape(-1, 3), share.reshape(-1)
    a, t = flat_share[chosen], trust.reshape(-1)[chosen]
    weight_sum = np.zeros_like(a)
    front_sum, back_sum = np.zeros((2, len(chosen), 3), np.float32)
    for neighbour in neighbours:
        weight = 1e-5 + np.abs(a - flat_share[neighbour])  # the paper's regularisation and gradient weight
        weight_sum += weight
        front_sum += weight[:, None] * flat_front[neighbour]
        back_sum += weight[:, None] * flat_back[neighbour]
    colour = mixed.reshape(-1, 3)[chosen]
    a_front, a_cross, a_back = t * a * a + weight_sum, t * a * (1 - a), t * (1 - a) ** 2 + weight_sum
    right_front, right_back = (t * a)[:, None] * colour + front_sum, (t * (1 - a))[:, None] * colour + back_sum
    determinant = (a_front * a_back - a_cross * a_cross)[:, None]
    solved_front = (a_back[:, None] * right_front - a_cross[:, None] * right_back) / determinant
    solved_back = (a_front[:, None] * right_back - a_cross[:, None] * right_front) / determinant
    flat_front[chosen] = solved_front.clip(0, 1)
    flat_back[chosen] = solved_back.clip(0, 1)


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
        filled = (colour + 1e-4 * filled) / (share + 1e-4)[
            ..., None
        ]  # where nearly nothing is known, the coarse speaks
    return filled


# --- The frame --------------------------------------------------------------------------------------------------------


def place(
    rgb: Plane, alpha: Plane, fill: float, size_px: int = SUBJECT_SIZE_PX
) -> tuple[NDArray[np.uint8], tuple[float, float, float, float]]:
    """The object centred in a square, its longest side `fill` of it, and the square's corners on the picture.

    One premultiplied resampling. The box is measured again in the result and the frame corrected, since a thin tip may
    fade when it is shrunk.
    """
    strongest = float(alpha.max())
    level = EDGE_LEVEL * strongest
    box, faint_box = _box(alpha, level), _box(alpha, FAINT_LEVEL * strongest)
    if _longest(faint_box) > FAINT_GROWTH * _longest(box) + SOFT_EDGE_PX:
        level, box = FAINT_LEVEL * strongest, faint_box
    side = _longest(box) / fill
    centre_x, centre_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    for _ in range(4):
        got = _box(_sample(alpha, centre_x - side / 2, centre_y - side / 2, side, size_px), level)
        if _longest(got) <= 0:
            break
        centre_x += ((got[0] + got[2]) / 2 - size_px / 2) * side / size_px
        centre_y += ((got[1] + got[3]) / 2 - size_px / 2) * side / size_px
        ratio = _longest(got) / (fill * size_px)
        side *= ratio
        if abs(ratio - 1) * fill * size_px < 0.05:
            break
    left, top = centre_x - side / 2, centre_y - side / 2
    planes = [_sample(rgb[..., channel] * alpha, left, top, side, size_px) for channel in range(3)]
    placed = _sample(alpha, left, top, side, size_px).clip(0, 1)
    straight = np.stack(planes, axis=-1) / np.maximum(placed, 1e-6)[..., None]
    sure = np.clip(placed / SURE_COLOUR, 0, 1)  # a nearly clear pixel's colour is mostly rounding, or an old background
    colours = sure[..., None] * straight + (1 - sure[..., None]) * bleed(straight, sure * placed)
    rgba = np.concatenate([colours, placed[..., None]], axis=-1)
    return np.rint(rgba.clip(0, 1) * 255).astype(np.uint8), (left, top, left + side, top + side)


def _sample(plane: Plane, left: float, top: float, side: float, size_px: int) -> Plane:
    """The square window of `plane` [H, W] at `size_px`, zero outside the picture.

    Area-correct when shrinking (Hamming window), linear when enlarging: neither overshoots at an edge.
    """
    from PIL import Image

    height, width = plane.shape
    step = side / size_px  # picture pixels an output pixel
    # Only the output pixels that the picture reaches are computed: a small fill would else need a huge padded picture.
    first_x, last_x = max(0, int(-left / step) - 2), min(size_px, int((width - left) / step) + 3)
    first_y, last_y = max(0, int(-top / step) - 2), min(size_px, int((height - top) / step) + 3)
    out = np.zeros((size_px, size_px), np.float32)
    if first_x >= last_x or first_y >= last_y:
        return out
    pad = int(4 * step) + 4
    padded = np.pad(plane, pad)
    window = (left + first_x * step, top + first_y * step, left + last_x * step, top + last_y * step)
    kernel = Image.Resampling.HAMMING if step > 1 else Image.Resampling.BILINEAR
    low_x, low_y = max(0.0, window[0] + pad), max(0.0, window[1] + pad)
    high_x, high_y = min(float(padded.shape[1]), window[2] + pad), min(float(padded.shape[0]), window[3] + pad)
    resized = Image.fromarray(padded).resize(
        (last_x - first_x, last_y - first_y), kernel, box=(low_x, low_y, high_x, high_y)
    )
    out[first_y:last_y, first_x:last_x] = np.asarray(resized)
    return out


def _longest(box: tuple[float, float, float, float]) -> float:
    return max(box[2] - box[0], box[3] - box[1])


def _box(alpha: Plane, level: float) -> tuple[float, float, float, float]:
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
        spans.append(
            (first - 0.5 - float(rise), last - 0.5 + float(fall))
        )  # the padding shifts centres to integers - 0.5
    (left, right), (top, bottom) = spans
    return left, top, right, bottom
