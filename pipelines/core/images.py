"""The intake of photos, as pure functions: hostile bytes in, clean pixels out; and their resizing.

`decode_photo` judges and decodes. What it cannot bound by itself (a decoder that crashes, hangs or eats memory) is
bounded by `runtime/intake.py`, which runs it in a child process; nothing else may hand it bytes from a stranger.
"""

import hashlib
import importlib
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from pipelines.core.errors import TurnaroundError
from pipelines.core.modes import in_eight_bits, in_srgb, looks_premultiplied
from pipelines.core.sniff import USE_INSTEAD, is_cut_off, picture_kind, stated_size

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Limits:
    """What is accepted, checked before a pixel is decoded."""

    max_bytes: int = 25_000_000
    max_pixels: int = 50_000_000
    min_side_px: int = 64
    max_aspect: float = 8.0
    max_frames: int = 1000
    """Only the first is decoded, but all have to be counted."""
    max_metadata_bytes: int = 4_000_000
    """EXIF and colour profile, each. The largest press profiles take about 3 MB."""
    working_side_px: int = 2048
    """Photos with a longer side are reduced to it: twice the largest frame a method renders."""


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, eq=False)
class Photo:
    rgba: Pixels
    """[H, W, 4], straight alpha, upright, sRGB, C-contiguous, read-only; black where alpha is 0."""
    sha256: str
    """Of size and pixels: the same picture in another lossless format has the same hash."""
    original_size_px: tuple[int, int]
    """Width, height, upright, before any reduction."""
    notes: tuple[str, ...] = ()
    """Said to the visitor: "The first of 12 frames was used." """

    @classmethod
    def of(cls, rgba: Pixels, original_size_px: tuple[int, int], notes: tuple[str, ...] = ()) -> "Photo":
        rgba = np.ascontiguousarray(rgba).view()
        rgba.flags.writeable = False
        height, width = rgba.shape[:2]
        digest = hashlib.sha256(f"{width}x{height} rgba\n".encode())
        digest.update(rgba.data)
        return cls(rgba, digest.hexdigest(), original_size_px, notes)


# --- From bytes to a photo --------------------------------------------------------------------------------------------

# Pillow's own classes instead of `Image.open`: no other decoder is ever loaded, whatever the bytes look like, and the
# true exception comes through. Pillow registers nothing, and HEIC needs no global registration.
_DECODERS = {
    "png": ("PIL.PngImagePlugin", "PngImageFile"),
    "jpeg": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "webp": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "avif": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "heic": ("pillow_heif", "HeifImageFile"),
    "gif": ("PIL.GifImagePlugin", "GifImageFile"),
    "bmp": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "tiff": ("PIL.TiffImagePlugin", "TiffImageFile"),
}
_NAMES = {kind: "WebP" if kind == "webp" else kind.upper() for kind in _DECODERS}
_UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {  # EXIF 2.32, tag 274: how the stored rows lie, undone
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: np.rot90(a, 1),
}
_RAW_TAGS = {50706, 33421}  # DNGVersion, CFARepeatPatternDim: a TIFF with these is a camera's raw file
_VISIBLE = 8  # of 255: alpha below this shows on no background
_EVEN = 3  # of 255: differences no eye sees
_pillow_state = threading.RLock()


def decode_photo(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Photo:
    """The picture in `data`, or a `TurnaroundError` that says what is wrong with it and what to do."""
    return Photo.of(*decode_pixels(data, limits))


def decode_pixels(data: bytes, limits: Limits) -> tuple[Pixels, tuple[int, int], tuple[str, ...]]:
    """What `Photo.of` takes."""
    check_bytes(len(data), limits)
    kind = picture_kind(data)
    # The decoder of HEIC fills in tiles that are missing; a photo with holes must not pass for one.
    if kind == "heic" and is_cut_off(kind, data):
        raise TurnaroundError(_cut_off_sentence(kind))
    try:
        with strict_pillow(limits):
            return _decode(kind, data, limits)
    except TurnaroundError:
        raise
    except MemoryError:
        raise TurnaroundError(TOO_COMPLEX) from None
    except Exception as problem:  # decoders raise OSError, SyntaxError, ValueError, RuntimeError, struct.error, ...
        raise TurnaroundError(_what_broke(kind, data, problem)) from problem


TOO_COMPLEX = (
    "The photo could not be read: it is damaged, or too complex to read safely. "
    "Open it in a picture program, save it as a PNG or JPEG, and use that."
)


USE_SMALLER = "Save the photo as a JPEG, or make it smaller, and use that."


def check_bytes(count: int, limits: Limits, remedy: str = USE_SMALLER) -> None:
    if count == 0:
        raise TurnaroundError("The file is empty, so its upload or copy probably failed. Choose it again.")
    if count > limits.max_bytes:
        raise TurnaroundError(
            f"The file has {_megabytes(count)}; at most {_megabytes(limits.max_bytes)} are accepted. {remedy}"
        )


def _decode(kind: str, data: bytes, limits: Limits) -> tuple[Pixels, tuple[int, int], tuple[str, ...]]:
    if size := stated_size(kind, data):
        _check_size(size, limits)
    module, name = _DECODERS[kind]
    opener = getattr(importlib.import_module(module), name)
    if kind == "png":
        opener(BytesIO(data)).verify()  # the check sums of all chunks, which decoding alone does not look at
    image: Any = opener(BytesIO(data))
    size = image.size
    _check_size(size, limits)
    if kind == "tiff":
        _check_not_raw(image.tag_v2)
    notes = _count_frames(kind, image, limits)
    _check_metadata(image.info, limits)

    working = limits.working_side_px
    # Whole factors are cheap and average exactly. A little below the working side is welcome: 4032, the long side of
    # most phones' photos, then becomes 2016 at once.
    enough = 0.9 * working
    if kind == "jpeg":  # reduces by 2, 4 or 8 while it decodes
        image.draft(None, (int(size[0] * enough / max(size)), int(size[1] * enough / max(size))))
    image.load()
    orientation = _orientation(image)
    profile = image.info.get("icc_profile")

    image = in_eight_bits(image, notes)
    if image.mode == "RGBA" and looks_premultiplied(image):
        image = Image.merge("RGBa", image.split()).convert("RGBA")
        notes.append("The colours were stored multiplied by the transparency; this was undone.")
    if (factor := int(max(image.size) / enough)) > 1:
        image = image.reduce(factor)
    rgba = in_srgb(image, profile, notes)
    shrink = min(1.0, working / max(image.size))
    rgba = resize_rgba(rgba, (max(1, round(image.width * shrink)), max(1, round(image.height * shrink))))
    if orientation in _UPRIGHT:
        rgba = np.ascontiguousarray(_UPRIGHT[orientation](rgba))
    rgba[rgba[..., 3] == 0] = 0  # what a crop hid under transparency stays hidden
    _check_shows_something(rgba)
    return rgba, size[::-1] if orientation in (5, 6, 7, 8) else size, tuple(notes)


# --- Checks before decoding -------------------------------------------------------------------------------------------


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    here = f"The picture is {width} x {height} pixels"
    if min(size) < 1:
        raise TurnaroundError(f"{here}, so there is nothing in it; the file is damaged. Use another photo.")
    if min(size) < limits.min_side_px:
        raise TurnaroundError(f"{here}: too small. Use one with at least {limits.min_side_px} pixels on each side.")
    if width * height > limits.max_pixels:
        raise TurnaroundError(
            f"{here} ({width * height / 1e6:.0f} megapixels): too large; the limit is {limits.max_pixels / 1e6:g} "
            "megapixels. Make it smaller in a picture program, and use that."
        )
    if max(size) > limits.max_aspect * min(size):
        raise TurnaroundError(
            f"{here}: too long and thin. "
            f"Crop it until its longer side is at most {limits.max_aspect:g} times the shorter."
        )


def _check_not_raw(tags: Any) -> None:
    """A raw file's first page is a thumbnail; taking it for the photo would deceive."""
    reduced_page = int(tags.get(254, 0) or 0) & 1
    if reduced_page or any(tag in tags for tag in _RAW_TAGS):
        raise TurnaroundError(
            f"This file is a camera raw file, which cannot be read here. Develop it to {USE_INSTEAD}, and use that."
        )


def _count_frames(kind: str, image: Any, limits: Limits) -> list[str]:
    frames = getattr(image, "n_frames", 1)
    thing = {"tiff": "page", "heic": "picture"}.get(kind, "frame")
    if frames > limits.max_frames:
        raise TurnaroundError(
            f"The file holds {frames} {thing}s; the limit is {limits.max_frames}. "
            f"Save the {thing} you want as a PNG, and use that."
        )
    which = "main" if kind == "heic" else "first"
    return [f"The {which} of {frames} {thing}s was used."] if frames > 1 else []


def _check_metadata(info: dict[Any, Any], limits: Limits) -> None:
    for name, key in (("information about the photo (EXIF)", "exif"), ("colour profile", "icc_profile")):
        value = info.get(key)
        if value and len(value) > limits.max_metadata_bytes:
            raise TurnaroundError(_metadata_sentence(f"{name} takes {_megabytes(len(value))}"))


def _metadata_sentence(what: str) -> str:
    return (
        f"The file carries more than a picture should: its {what}. "
        "Save the photo without metadata (as a JPEG, for instance), and use that."
    )


@contextmanager
def strict_pillow(limits: Limits) -> Iterator[None]:
    """Pillow's own bomb guard at our limit, and as an error; other warnings fire on healthy photos with odd EXIF."""
    with _pillow_state, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = limits.max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _what_broke(kind: str, data: bytes, problem: Exception) -> str:
    said = str(problem)
    if "MAX_TEXT" in said:  # how Pillow names its limits for compressed text and profiles inside a PNG
        return _metadata_sentence("texts or colour profile unpack to many megabytes")
    if "truncated" in said.lower() or is_cut_off(kind, data):
        return _cut_off_sentence(kind)
    return (
        f"The photo is damaged: it begins like other {_NAMES[kind]} files, but what follows cannot be read. "
        "Use another copy, or open it in a picture program and save it as a PNG or JPEG."
    )


def _cut_off_sentence(kind: str) -> str:
    return (
        f"The photo is cut off: the {_NAMES[kind]} file ends before the picture does, so its upload or copy was "
        "probably interrupted. Upload it again, or use another copy."
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


# --- Checks after decoding --------------------------------------------------------------------------------------------


def _orientation(image: Any) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # EXIF is full of surprises, and a photo without a right side up is still a photo
        return 1


def _check_shows_something(rgba: Pixels) -> None:
    if rgba[..., 3].max() < _VISIBLE:
        raise TurnaroundError(
            "The photo is fully transparent, so nothing in it can be shown. Use one with a visible subject."
        )
    for part in (rgba[::16, ::16], rgba):  # most photos are let go by the first, quick look
        pixels = part.reshape(-1, 4)
        if int((pixels.max(axis=0) - pixels.min(axis=0)).max()) > _EVEN:
            return
    raise TurnaroundError(
        "The photo is one even colour, so there is nothing in it to turn. Use one with a subject in it."
    )


# --- Resizing ---------------------------------------------------------------------------------------------------------


def resize_rgba(rgba: Pixels, size_px: tuple[int, int]) -> Pixels:
    """[H, W, 4] at another width and height; the pixel rule of cameras.py, no colour from where alpha is 0.

    Lanczos, widened when shrinking so that every pixel counts; premultiplied, in floating point.
    """
    if (rgba.shape[1], rgba.shape[0]) == tuple(size_px):
        return rgba
    alpha = rgba[..., 3]
    resized = np.empty((size_px[1], size_px[0], 4), np.uint8)
    if alpha.min() == 255:
        opaque = Image.fromarray(np.ascontiguousarray(rgba[..., :3])).resize(size_px, Image.Resampling.LANCZOS)
        resized[..., :3], resized[..., 3] = np.asarray(opaque), 255
        return resized
    new_alpha = np.clip(_resize_plane(alpha.astype(np.float32), size_px), 0, 255)
    resized[..., 3] = new_alpha + 0.5
    for channel in range(3):  # one at a time: a large photo's four planes as floats would take a gigabyte
        multiplied = _resize_plane(np.multiply(rgba[..., channel], alpha, dtype=np.float32), size_px)
        straight = multiplied / np.maximum(new_alpha, 0.5)
        resized[..., channel] = np.clip(straight, 0, 255) + 0.5
    resized[resized[..., 3] == 0] = 0
    return resized


def _resize_plane(plane: NDArray[np.float32], size_px: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(plane).resize(size_px, Image.Resampling.LANCZOS))
