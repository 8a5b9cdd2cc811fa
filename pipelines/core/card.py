"""The picture that a chat or a site shows for a link: the photo's cut-out, and beside it the object turning.

1200 x 630 px, the size that Open Graph's readers crop least. Pure: it takes pictures and words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.core.images import resize_rgba
from pipelines.core.lettering import clean, letters_mask, shortened, width_of

if TYPE_CHECKING:
    from PIL import Image

WIDTH_PX, HEIGHT_PX = 1200, 630
VIEWS = 5
MAX_STRIPS = 2  # more methods are named only: their pictures would be too small to tell apart

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]

_ABOVE: Colour = (250, 250, 249)  # the page's own stones, light above and a little darker below
_BELOW: Colour = (228, 225, 221)
_WHITE: Colour = (255, 255, 255)
_INK: Colour = (41, 37, 36)
_SOFT: Colour = (99, 92, 87)
_TEAL: Colour = (15, 118, 110)
_PHOTO: Box = (64, 64, 404, 404)  # left, top, right, bottom
_TURNING: Box = (452, 64, 1144, 404)
_NAME_PX, _TITLES_PX, _CAPTION_PX = 58, 27, 21
_STRIP_PX = 192  # of several, with its caption
_FILLS = 0.86  # of the photo's frame, by the cut-out


@dataclass(frozen=True, eq=False)
class Strip:
    title: str
    views: Sequence[NDArray[np.uint8]]
    """RGBA of one size, in the order in which a camera passes them."""


def drawn(photo: NDArray[np.uint8], strips: Sequence[Strip], name: str, titles: Sequence[str]) -> "Image.Image":
    """`name` in large letters, the methods' titles beside it, and at most `MAX_STRIPS` of the strips."""
    image = _background()
    _paper(image, _PHOTO)
    left, top, right, bottom = _PHOTO
    _place(image, _cropped(photo), (left + right) // 2, (top + bottom) // 2, round((right - left) * _FILLS))
    shown = strips[:MAX_STRIPS]
    left, top, right, bottom = _TURNING
    if len(shown) == 1:
        _turning(image, shown[0].views, _TURNING)
    else:
        for number, strip in enumerate(shown):
            start = top - 8 + number * _STRIP_PX
            _turning(image, strip.views, (left, start, right, start + _STRIP_PX - 44))
            _words(image, strip.title, left, start + _STRIP_PX - 22, _CAPTION_PX, _SOFT, right - left)
    base = 530
    _words(image, name, _PHOTO[0], base, _NAME_PX, _INK, WIDTH_PX)
    image.paste(_TEAL, (_PHOTO[0], base + 24, _PHOTO[0] + 56, base + 28))
    beside = _TURNING[0]
    _words(image, " · ".join(map(clean, titles)), beside, base, _TITLES_PX, _SOFT, _TURNING[2] - beside)
    return image


def _background() -> "Image.Image":
    from PIL import Image

    share = np.linspace(0, 1, HEIGHT_PX)[:, None] ** 1.5
    column = np.array(_ABOVE) * (1 - share) + np.array(_BELOW) * share
    noise = np.random.default_rng(0).random((HEIGHT_PX, WIDTH_PX, 1))  # else the few greys would show as bands
    return Image.fromarray((column[:, None] + noise).astype(np.uint8))


def _paper(image: "Image.Image", box: Box) -> None:
    """White, with round corners and the softest of shadows."""
    from PIL import Image, ImageDraw, ImageFilter

    shadow = Image.new("L", image.size)
    left, top, right, bottom = box
    ImageDraw.Draw(shadow).rounded_rectangle((left, top + 8, right - 1, bottom + 7), 20, 46)
    image.paste((60, 50, 45), (0, 0), shadow.filter(ImageFilter.GaussianBlur(16)))
    size = (right - left, bottom - top)
    corners = Image.new("L", (size[0] * 4, size[1] * 4))
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, size[0] * 4 - 1, size[1] * 4 - 1), 80, 255)
    image.paste(_WHITE, (left, top), corners.reduce(4))


def _turning(image: "Image.Image", views: Sequence[NDArray[np.uint8]], box: Box) -> None:
    """Side by side at one scale, each at its own height in its frame, with even gaps between what can be seen."""
    parts = [(view, _seen(view[..., 3])) for view in views]
    parts = [(view, seen) for view, seen in parts if seen is not None]
    if not parts:
        return
    left, top, right, bottom = box
    highest, lowest = min(seen[1] for _, seen in parts), max(seen[3] for _, seen in parts)
    gap = 26
    room = right - left - gap * (len(parts) - 1)
    scale = min((bottom - top) * 0.94 / (lowest - highest), room / sum(seen[2] - seen[0] for _, seen in parts))
    widths = [max(1, round((seen[2] - seen[0]) * scale)) for _, seen in parts]
    spare = (right - left - sum(widths)) / max(1, len(parts) - 1) if len(parts) > 1 else 0
    spare = min(spare, 4.0 * gap)
    x = (left + right - sum(widths) - spare * (len(parts) - 1)) / 2
    middle = (top + bottom) / 2 - (highest + lowest) / 2 * scale
    for (view, seen), width in zip(parts, widths, strict=True):
        height = max(1, round((seen[3] - seen[1]) * scale))
        picture = resize_rgba(np.ascontiguousarray(view[seen[1] : seen[3], seen[0] : seen[2]]), (width, height))
        _paste(image, picture, round(x), round(middle + seen[1] * scale))
        x += width + spare


def _place(image: "Image.Image", rgba: NDArray[np.uint8], x: int, y: int, side: int) -> None:
    """Centred at (x, y), its longer side as given."""
    share = side / max(rgba.shape[:2])
    height, width = (max(1, round(length * share)) for length in rgba.shape[:2])
    _paste(image, resize_rgba(rgba, (width, height)), x - width // 2, y - height // 2)


def _paste(image: "Image.Image", rgba: NDArray[np.uint8], x: int, y: int) -> None:
    from PIL import Image

    picture = Image.fromarray(rgba)
    image.paste(picture, (x, y), picture)


def _words(image: "Image.Image", text: str, x: int, base: int, size_px: int, colour: Colour, room_px: int) -> None:
    line = shortened(clean(text), room_px, size_px)
    if width_of(line, size_px):
        place, coverage = letters_mask(line, x, base, size_px)
        image.paste(colour, place, coverage)


def _cropped(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    seen = _seen(rgba[..., 3])
    return rgba if seen is None else np.ascontiguousarray(rgba[seen[1] : seen[3], seen[0] : seen[2]])


def _seen(alpha: NDArray[np.uint8]) -> Box | None:
    """What is not empty: left, top, right, bottom."""
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    return (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1) if len(rows) else None
