"""Words in pictures, in Pillow's own scalable font: the same on every machine, and no font file of ours.

The font is Aileron Regular (CC0), of which Pillow carries ASCII and a few signs. Whatever else a text holds is shown
as a crossed box, which says that something is there.
"""

import math
import struct
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pipelines.core.errors import TurnaroundError

if TYPE_CHECKING:
    from PIL import Image, ImageFont

MISSING = "\ufffd"  # whatever the font has no glyph for; drawn as its glyph 0
MAX_LETTERS = 2000  # of one text; far more than fits on any picture
ELLIPSIS = "…"
_FINER = 4


@dataclass(frozen=True)
class Face:
    """The font's outlines and measures, in units of `units_per_em`, as a TrueType file states them."""

    data: bytes
    units_per_em: int
    glyphs: dict[str, int]
    """Letter to glyph; what is not in it has glyph 0."""
    advances: tuple[int, ...]
    """By glyph."""
    box: tuple[int, int, int, int]
    ascent: int
    descent: int
    """Negative."""


@cache
def face() -> Face:
    data = _pillows(10).font_bytes
    tables = _tables(data)
    units_per_em = struct.unpack_from(">H", data, tables["head"] + 18)[0]
    ascent, descent = struct.unpack_from(">hh", data, tables["hhea"] + 4)
    measured = struct.unpack_from(">H", data, tables["hhea"] + 34)[0]
    advances = [struct.unpack_from(">H", data, tables["hmtx"] + 4 * glyph)[0] for glyph in range(measured)]
    count = struct.unpack_from(">H", data, tables["maxp"] + 4)[0]
    advances += [advances[-1]] * (count - measured)
    box = struct.unpack_from(">hhhh", data, tables["head"] + 36)
    return Face(data, units_per_em, _character_map(data, tables["cmap"]), tuple(advances), box, ascent, descent)


def clean(text: object) -> str:
    """One line of letters that the font has: blanks are single, accents are left out, and the rest is boxes."""
    letters: list[str] = []
    for letter in unicodedata.normalize("NFC", str(text)[:MAX_LETTERS]):
        if letter.isspace():
            letters.append(" ")
        elif letter in face().glyphs:
            letters.append(letter)
        else:
            bare = [part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part)]
            letters.extend(bare if bare and all(part in face().glyphs for part in bare) else [MISSING])
    return " ".join("".join(letters).split())


def width_of(text: str, size_px: float) -> float:
    """Of clean text, in pixels."""
    known = face()
    return sum(known.advances[known.glyphs.get(letter, 0)] for letter in text) * size_px / known.units_per_em


def shortened(text: str, width_px: float, size_px: float) -> str:
    """Clean text in at most this width, its end cut off where it has to be."""
    if _fitting(text, width_px, size_px) == len(text):
        return text
    return text[: _fitting(text, width_px - width_of(ELLIPSIS, size_px), size_px)].rstrip() + ELLIPSIS


def wrapped(text: str, width_px: float, size_px: float, most_lines: int) -> list[str]:
    """Clean text in lines, broken between words where that is possible; the last one is cut off if it must be."""
    lines: list[str] = []
    while text and len(lines) < most_lines - 1:
        end = max(1, _fitting(text, width_px, size_px))
        if end < len(text) and text[end] != " ":
            end = text.rfind(" ", 0, end) if " " in text[:end] else end  # one word wider than the line is cut
        lines.append(text[:end])
        text = text[end:].lstrip()
    return [*lines, shortened(text, width_px, size_px)] if text else lines


def _fitting(text: str, width_px: float, size_px: float) -> int:
    """How many of its first letters are together no wider than this."""
    known = face()
    left = width_px * known.units_per_em / size_px
    for count, letter in enumerate(text):
        left -= known.advances[known.glyphs.get(letter, 0)]
        if left < 0:
            return count
    return len(text)


def letters_mask(text: str, left: float, base: float, size_px: float) -> tuple[tuple[int, int], "Image.Image"]:
    """Clean text from `left` on the line `base`: the coverage of its pixels, and where their top left corner goes.

    Drawn larger and made smaller, because at its own size every letter is moved to a whole pixel, and the text grows.
    """
    from PIL import Image, ImageDraw

    x, y = math.floor(left - size_px), math.floor(base - 1.2 * size_px)
    width, height = math.ceil(width_of(text, size_px) + 2 * size_px) + 1, math.ceil(1.6 * size_px) + 1
    large = Image.new("L", (width * _FINER, height * _FINER))
    place = ((left - x) * _FINER, (base - y) * _FINER)
    ImageDraw.Draw(large).text(place, text, 255, _font(size_px * _FINER), anchor="ls")
    return (x, y), large.reduce(_FINER)


@cache
def _font(size_px: float) -> "ImageFont.FreeTypeFont":
    return _pillows(size_px)


def _pillows(size_px: float) -> "ImageFont.FreeTypeFont":
    from PIL import ImageFont

    found = ImageFont.load_default(size_px)
    if not isinstance(found, ImageFont.FreeTypeFont):
        raise TurnaroundError(
            "Pictures with words cannot be made here, because this Pillow was built without FreeType. Install Pillow's "
            "own wheel. The views themselves are not affected."
        )
    return found


def _tables(data: bytes) -> dict[str, int]:
    """Where each table of a TrueType file begins."""
    count = struct.unpack_from(">H", data, 4)[0]
    records = (struct.unpack_from(">4sLLL", data, 12 + 16 * i) for i in range(count))
    return {name.decode("latin-1"): offset for name, _, offset, _ in records}


def _character_map(data: bytes, at: int) -> dict[str, int]:
    """The Unicode map in format 4: segments of letters, each with a shift or a list of glyphs (OpenType, "cmap")."""
    count = struct.unpack_from(">H", data, at + 2)[0]
    records = [struct.unpack_from(">HHL", data, at + 4 + 8 * i) for i in range(count)]
    start = at + next(offset for platform, kind, offset in records if (platform, kind) == (3, 1))
    segments = struct.unpack_from(">H", data, start + 6)[0] // 2
    ends, starts, shifts, ranges = (start + 14 + 2 * segments * i + (2 if i else 0) for i in range(4))
    glyphs: dict[str, int] = {}
    for i in range(segments):
        first, last = (struct.unpack_from(">H", data, table + 2 * i)[0] for table in (starts, ends))
        shift, listed = (struct.unpack_from(">H", data, table + 2 * i)[0] for table in (shifts, ranges))
        for code in range(first, min(last, 0xFFFE) + 1):
            glyph = code
            if listed:
                glyph = struct.unpack_from(">H", data, ranges + 2 * i + listed + 2 * (code - first))[0]
            if not listed or glyph:
                glyph = (glyph + shift) % 65536
            if glyph:
                glyphs[chr(code)] = glyph
    return glyphs
