"""A printed page of pictures, words and lines, laid out once and drawn twice: as pixels, and as a PDF.

Everything is placed in dots, of which 300 are an inch. In the PDF the words stay words (outlines of an embedded font,
which can be searched and copied) and the pictures stay exactly the pixels they are.
"""

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.core.lettering import MISSING, Face, face, letters_mask, width_of

DPI = 300
DOTS_PER_MM = DPI / 25.4
DOTS_PER_POINT = DPI / 72
FONT_NAME = "Aileron-Regular"
INK = 26  # grey of 0 to 255


@dataclass(frozen=True, eq=False)
class Picture:
    """RGB [H, W, 3], its top left corner at (x, y), a dot a pixel."""

    x: int
    y: int
    rgb: NDArray[np.uint8]


@dataclass(frozen=True)
class Words:
    """Clean text (`lettering.clean`); `x` is its left end, its middle or its right end, `y` its base line."""

    x: float
    y: float
    text: str
    points: float
    grey: int = INK
    anchor: str = "left"

    @property
    def left(self) -> float:
        share = {"left": 0.0, "middle": 0.5, "right": 1.0}[self.anchor]
        return self.x - share * width_of(self.text, self.points * DOTS_PER_POINT)


@dataclass(frozen=True)
class Rule:
    """A level line from `x` to `x + width`, in the middle of its thickness."""

    x: float
    y: float
    width: float
    points: float = 0.4
    grey: int = 120


@dataclass(frozen=True)
class Page:
    width: int
    height: int
    items: tuple[Picture | Words | Rule, ...]


def as_png(page: Page) -> bytes:
    """On white, and it says its dots per inch."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (page.width, page.height), "white")
    draw = ImageDraw.Draw(image)
    for item in page.items:
        match item:
            case Picture():
                image.paste(Image.fromarray(item.rgb), (item.x, item.y))
            case Words():
                place, coverage = letters_mask(item.text, item.left, item.y, item.points * DOTS_PER_POINT)
                image.paste((item.grey,) * 3, place, coverage)
            case Rule():
                thick = max(1, round(item.points * DOTS_PER_POINT))
                top = round(item.y) - thick // 2
                draw.rectangle((round(item.x), top, round(item.x + item.width) - 1, top + thick - 1), (item.grey,) * 3)
    file = io.BytesIO()
    image.save(file, "PNG", dpi=(DPI, DPI))
    return file.getvalue()


def as_pdf(page: Page, title: str) -> bytes:
    """One page, PDF 1.5. The same page makes the same bytes: no times, no names of machines."""
    pdf = _Pdf()
    pictures: dict[int, str] = {}  # by identity: a picture shown twice is stored once
    stored: list[str] = []
    drawn: list[str] = []
    for item in page.items:
        match item:
            case Picture():
                if id(item.rgb) not in pictures:
                    name = pictures[id(item.rgb)] = f"/P{len(pictures)}"
                    stored.append(f"{name} {_add_picture(pdf, item.rgb)} 0 R")
                height, width = item.rgb.shape[:2]
                x, y = _points(item.x), _points(page.height - item.y - height)
                drawn.append(f"q {_points(width)} 0 0 {_points(height)} {x} {y} cm {pictures[id(item.rgb)]} Do Q")
            case Words():
                known = face()
                glyphs = "".join(f"{known.glyphs.get(letter, 0):04X}" for letter in item.text)
                x, y = _points(item.left), _points(page.height - item.y)
                drawn.append(f"BT {item.grey / 255:.3f} g /F0 {item.points:g} Tf {x} {y} Td <{glyphs}> Tj ET")
            case Rule():
                y = _points(page.height - item.y)
                line = f"{_points(item.x)} {y} m {_points(item.x + item.width)} {y} l S"
                drawn.append(f"{item.grey / 255:.3f} G {item.points:g} w {line}")
    letters = sorted({letter for item in page.items if isinstance(item, Words) for letter in item.text})
    font_number = _add_font(pdf, face(), letters)
    content = pdf.add({}, "\n".join(drawn).encode("ascii"))
    tree = pdf.reserve()
    leaf = pdf.add(
        {
            "Type": "/Page",
            "Parent": f"{tree} 0 R",
            "MediaBox": f"[0 0 {_points(page.width)} {_points(page.height)}]",
            "Resources": f"<< /Font << /F0 {font_number} 0 R >> /XObject << {' '.join(stored)} >> >>",
            "Contents": f"{content} 0 R",
        }
    )
    pdf.put(tree, {"Type": "/Pages", "Kids": f"[{leaf} 0 R]", "Count": "1"})
    root = pdf.add({"Type": "/Catalog", "Pages": f"{tree} 0 R"})
    info = pdf.add({"Title": _text_string(title), "Producer": _text_string("Turnaround")})
    return pdf.finished(root, info)


class _Pdf:
    """The objects of a file, numbered from 1, and where each of them starts."""

    def __init__(self) -> None:
        self._objects: list[bytes] = []

    def reserve(self) -> int:
        self._objects.append(b"null")
        return len(self._objects)

    def put(self, number: int, entries: dict[str, str], stream: bytes | None = None, *, packed: bool = False) -> None:
        if stream is not None:
            stream = stream if packed else zlib.compress(stream, 6)
            entries = entries | {"Filter": "/FlateDecode", "Length": str(len(stream))}
        body = f"<< {' '.join(f'/{name} {value}' for name, value in entries.items())} >>".encode("ascii")
        if stream is not None:
            body += b"\nstream\n" + stream + b"\nendstream"
        self._objects[number - 1] = body

    def add(self, entries: dict[str, str], stream: bytes | None = None, *, packed: bool = False) -> int:
        number = self.reserve()
        self.put(number, entries, stream, packed=packed)
        return number

    def finished(self, root: int, info: int) -> bytes:
        file = io.BytesIO()
        file.write(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n")  # four bytes above 127 tell mailers that this is no text
        starts = []
        for number, body in enumerate(self._objects, 1):
            starts.append(file.tell())
            file.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
        table = file.tell()
        file.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(starts) + 1))
        file.write(b"".join(b"%010d 00000 n \n" % start for start in starts))
        file.write(
            b"trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n"
            % (len(starts) + 1, root, info, table)
        )
        return file.getvalue()


def _add_picture(pdf: _Pdf, rgb: NDArray[np.uint8]) -> int:
    """Lossless: each row as its difference from the one above, which is PNG's filter 2, then deflated."""
    height, width = rgb.shape[:2]
    rows = np.zeros((height, 1 + 3 * width), np.uint8)
    rows[:, 0] = 2
    flat = rgb.reshape(height, 3 * width)
    rows[0, 1:] = flat[0]
    rows[1:, 1:] = flat[1:] - flat[:-1]  # wraps, as it should
    entries = {
        "Type": "/XObject",
        "Subtype": "/Image",
        "Width": str(width),
        "Height": str(height),
        "ColorSpace": "/DeviceRGB",
        "BitsPerComponent": "8",
        "DecodeParms": f"<< /Predictor 15 /Colors 3 /BitsPerComponent 8 /Columns {width} >>",
    }
    return pdf.add(entries, zlib.compress(rows.tobytes(), 6), packed=True)


def _add_font(pdf: _Pdf, known: Face, letters: Sequence[str]) -> int:
    """The whole font, addressed by glyph, with the way back from glyphs to letters for whoever copies text."""
    scale = 1000 / known.units_per_em
    data = pdf.add({"Length1": str(len(known.data))}, known.data)
    box = " ".join(f"{value * scale:.0f}" for value in known.box)
    descriptor = pdf.add(
        {
            "Type": "/FontDescriptor",
            "FontName": f"/{FONT_NAME}",
            "Flags": "4",
            "FontBBox": f"[{box}]",
            "ItalicAngle": "0",
            "Ascent": f"{known.ascent * scale:.0f}",
            "Descent": f"{known.descent * scale:.0f}",
            "CapHeight": f"{known.ascent * scale:.0f}",
            "StemV": "80",
            "FontFile2": f"{data} 0 R",
        }
    )
    widths = " ".join(f"{advance * scale:.0f}" for advance in known.advances)
    descendant = pdf.add(
        {
            "Type": "/Font",
            "Subtype": "/CIDFontType2",
            "BaseFont": f"/{FONT_NAME}",
            "CIDSystemInfo": "<< /Registry (Adobe) /Ordering (Identity) /Supplement 0 >>",
            "FontDescriptor": f"{descriptor} 0 R",
            "W": f"[0 [{widths}]]",
            "CIDToGIDMap": "/Identity",
        }
    )
    return pdf.add(
        {
            "Type": "/Font",
            "Subtype": "/Type0",
            "BaseFont": f"/{FONT_NAME}",
            "Encoding": "/Identity-H",
            "DescendantFonts": f"[{descendant} 0 R]",
            "ToUnicode": f"{pdf.add({}, _letters_of_glyphs(known, letters))} 0 R",
        }
    )


def _letters_of_glyphs(known: Face, letters: Sequence[str]) -> bytes:
    pairs = {known.glyphs.get(letter, 0): letter if letter in known.glyphs else MISSING for letter in letters}
    lines = [f"<{glyph:04X}> <{ord(letter):04X}>" for glyph, letter in sorted(pairs.items())]
    blocks = [lines[i : i + 100] for i in range(0, len(lines), 100)]  # a block holds 100 at most
    listed = "\n".join(f"{len(block)} beginbfchar\n{chr(10).join(block)}\nendbfchar" for block in blocks)
    return (
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
        "/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n"
        "1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n"
        f"{listed}\nendcmap\nCMapName currentdict /CMap defineresource pop\nend\nend"
    ).encode("ascii")


def _points(dots: float) -> str:
    return f"{dots / DOTS_PER_POINT:.3f}".rstrip("0").rstrip(".")


def _text_string(text: str) -> str:
    return f"<FEFF{text.encode('utf-16-be', 'replace').hex().upper()}>"
