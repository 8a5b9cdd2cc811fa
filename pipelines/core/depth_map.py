"""A depth of the photo that a visitor brings along: hostile bytes in, clean numbers out; and its place in the frame.

Like `images.py` for photos: nothing but `runtime/intake.py`'s child may hand `decode_depth` bytes from a stranger.
Whether larger numbers lie farther away (a depth) or nearer (a disparity), and their unit, is for a method to be told.
"""

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.core.errors import TurnaroundError
from pipelines.core.images import Limits, check_bytes, strict_pillow
from pipelines.core.sniff import stated_size

Plane = NDArray[np.float32]

SAVE_AS = "Save it as a 16-bit grey PNG, or with NumPy as an array (.npy)"
MEDIAN_LEVEL = 16384  # of 65535: an object four times as deep as its median is far keeps its shape
SAME_SHAPE = 0.02  # networks' depths come in multiples of 14 or 32 pixels: sides may be off by so much
LARGEST = 2**31  # of a side
LONGEST_HEADER = 10_000  # characters that describe an NPY's array; NumPy's own limit
_NPY, _PNG = b"\x93NUMPY", b"\x89PNG\r\n\x1a\n"
_PNG_BITS_AT = 24  # PNG, section 11.2.1: signature, length and name of the header, width, height, then the bit depth

USE_SMALLER = "Save the depth as a 16-bit PNG, or make it smaller, and use that."
DAMAGED = f"The depth could not be read: its file is damaged, cut off, or too complex to read safely. {SAVE_AS}."


@dataclass(frozen=True, eq=False)
class DepthMap:
    values: Plane
    """[H, W] of the whole photo, upright, in no particular unit; 0 where nothing is known. Read-only."""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        values = self.values.view()
        values.flags.writeable = False
        object.__setattr__(self, "values", values)


# --- From bytes -------------------------------------------------------------------------------------------------------


def decode_depth(data: bytes, limits: Limits) -> DepthMap:
    """Of a PNG or NPY; zero, negative and infinite numbers are taken for unknown. Large ones are reduced."""
    check_bytes(len(data), limits, USE_SMALLER)
    notes: list[str] = []
    try:
        if data.startswith(_NPY):
            values = _npy(data, limits)
        elif data.startswith(_PNG):
            values = _png(data, limits, notes)
        else:
            raise TurnaroundError(f"This file is neither a PNG nor an NPY, so it cannot be read as a depth. {SAVE_AS}.")
        values = _reduced(_known(values), limits.working_side_px)
    except TurnaroundError:
        raise
    except Exception as problem:  # NumPy and Pillow raise ValueError, SyntaxError, OSError, RecursionError, ...
        raise TurnaroundError(DAMAGED) from problem
    if not values.any():
        raise TurnaroundError(
            "This depth tells no distance anywhere: each of its values is zero, negative, no number or too "
            "large. Check how it was saved."
        )
    return DepthMap(values, tuple(notes))


def _npy(data: bytes, limits: Limits) -> NDArray[Any]:
    file = BytesIO(data)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    read = readers[np.lib.format.read_magic(file)]
    shape, by_column, kind = read(file, max_header_size=LONGEST_HEADER)
    if kind.hasobject or kind.kind not in "fiu" or kind.shape:
        raise TurnaroundError(f"This NPY does not hold plain numbers, so it cannot be read as a depth. {SAVE_AS}.")
    if not all(0 < side < LARGEST for side in shape):
        raise TurnaroundError(DAMAGED)
    sides = tuple(side for side in shape if side != 1)
    if len(sides) != 2:
        raise TurnaroundError(f"This NPY's array has the shape {shape[:6]}; a depth has a height and a width.")
    _check_size(sides[1], sides[0], limits)
    values = np.frombuffer(data, kind, sides[0] * sides[1], file.tell())
    return values.reshape(sides, order="F" if by_column else "C")


def _png(data: bytes, limits: Limits, notes: list[str]) -> NDArray[Any]:
    from PIL.PngImagePlugin import PngImageFile

    _check_size(*(stated_size("png", data) or (0, 0)), limits)
    with strict_pillow(limits):
        PngImageFile(BytesIO(data)).verify()
        image = PngImageFile(BytesIO(data))
        _check_size(*image.size, limits)
        image.load()
    if image.mode in ("I;16", "I"):
        return np.asarray(image)
    colours = np.asarray(image.convert("RGBA"))
    grey, alpha = colours[..., 0], colours[..., 3]
    if any((colours[..., channel] != grey)[alpha > 0].any() for channel in (1, 2)):
        raise TurnaroundError(
            "This picture of the depth is coloured, and colours do not tell how far away something is. "
            f"{SAVE_AS}, before it is coloured."
        )
    bits = "in a form of which only 8 bits can be read" if data[_PNG_BITS_AT] == 16 else "in 8 bits or fewer"
    notes.append(f"The depth came {bits}: at most 256 steps, which may show. 16-bit grey is smoother.")
    return np.where(alpha > 0, grey, 0)


def _check_size(width: int, height: int, limits: Limits) -> None:
    here = f"The depth is {width} x {height} pixels"
    if min(width, height) < limits.min_side_px:
        raise TurnaroundError(f"{here}: too small. Use one with at least {limits.min_side_px} on each side.")
    if width * height > limits.max_pixels:
        raise TurnaroundError(
            f"{here}: too large; the limit is {limits.max_pixels / 1e6:g} megapixels. Make it smaller."
        )


def _known(values: NDArray[Any]) -> Plane:
    """As shares of the largest, so that no later sum is too large for a float; 0 where it is no distance."""
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    single[~(np.isfinite(single) & (single > 0))] = 0
    return single / max(float(single.max(initial=0)), np.finfo(np.float32).tiny)


def _reduced(values: Plane, most_px: int) -> Plane:
    """What is known, averaged, with no side above `most_px`."""
    height, width = values.shape
    shrink = most_px / max(height, width)
    if shrink >= 1:
        return values
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    total, share = (
        np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BOX))
        for plane in (values, (values > 0).astype(np.float32))
    )
    return mean_of_known(total, share)


def mean_of_known(total: NDArray[Any], share: NDArray[Any]) -> Plane:
    """Of a plane with zeros where it is unknown, resampled, and of where it is known, resampled likewise."""
    return np.where(share > 0.5, total / np.maximum(share, 0.5), 0).astype(np.float32)


# --- In the subject's frame -------------------------------------------------------------------------------------------


def check_fits(depth: DepthMap, photo_size_px: tuple[int, int]) -> None:
    """`photo_size_px`: width and height of the upright photo, reduced or not."""
    height, width = depth.values.shape
    ratio, photo_ratio = width / height, photo_size_px[0] / photo_size_px[1]
    if abs(ratio / photo_ratio - 1) > SAME_SHAPE:
        raise TurnaroundError(
            f"The depth has another shape than the photo: {ratio:.3g} times as wide as high instead of "
            f"{photo_ratio:.3g}. It has to show all of the photo, upright; its size may differ."
        )


def framed_depth(
    depth: DepthMap,
    photo_size_px: tuple[int, int],
    frame_px: tuple[float, float, float, float],
    alpha: NDArray[np.uint8],
) -> NDArray[np.uint16]:
    """[S, S] where the object is, `alpha` [S, S] of the subject; the object's median is `MEDIAN_LEVEL`, 0 unknown.

    All of it may be unknown: a depth of other things in the photo. `frame_px`: left, top, right and bottom of the frame
    on a photo of that size.
    """
    import cv2

    check_fits(depth, photo_size_px)
    side, known = len(alpha), (depth.values > 0).astype(np.float32)
    # Depth pixels as an affine function of the frame's; pixel centres lie at halves
    affine = np.zeros((2, 3))
    for axis in (0, 1):
        scale = depth.values.shape[1 - axis] / photo_size_px[axis]
        step = scale * (frame_px[axis + 2] - frame_px[axis]) / side
        affine[axis, axis], affine[axis, 2] = step, scale * frame_px[axis] + step / 2 - 0.5
    total, share = (
        np.asarray(cv2.warpAffine(plane, affine, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))
        for plane in (depth.values, known)
    )
    values = mean_of_known(total, share)
    there = (values > 0) & (alpha > 0)
    levels = values * (MEDIAN_LEVEL / float(np.median(values[there]) if there.any() else 1))
    return np.where(there, np.clip(np.rint(levels), 1, 65535), 0).astype(np.uint16)
