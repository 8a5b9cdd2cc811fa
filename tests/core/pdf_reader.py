"""Reads back the PDFs that `paper.py` writes: by the cross-reference table, as a viewer does, and strictly."""

import re
import zlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ReadPdf:
    objects: dict[int, bytes]

    def of_type(self, name: str) -> list[bytes]:
        return [body for body in self.objects.values() if re.search(rb"/(Type|Subtype) /%s\b" % name.encode(), body)]

    @property
    def media_box(self) -> tuple[float, ...]:
        (page,) = [body for body in self.of_type("Page") if b"/MediaBox" in body]
        found = re.search(rb"/MediaBox \[([^\]]*)\]", page)
        assert found
        return tuple(float(number) for number in found[1].split())

    @property
    def content(self) -> str:
        (page,) = [body for body in self.of_type("Page") if b"/Contents" in body]
        number = re.search(rb"/Contents (\d+) 0 R", page)
        assert number
        return stream_of(self.objects[int(number[1])]).decode("ascii")

    @property
    def pictures(self) -> list[np.ndarray]:
        return [_picture(body) for body in self.of_type("Image")]

    @property
    def texts(self) -> list[str]:
        """Each piece of text, by the font's own way back from glyphs to letters."""
        (table,) = [t for t in (stream_of(b) for b in self.objects.values() if b"stream" in b) if b"beginbfchar" in t]
        pairs = re.findall(rb"<([0-9A-F]{4})> <([0-9A-F]{4})>", table.split(b"endcodespacerange")[1])
        letters = {int(glyph, 16): chr(int(code, 16)) for glyph, code in pairs}
        shown = re.findall(r"<([0-9A-F]*)> Tj", self.content)
        return ["".join(letters[int(text[i : i + 4], 16)] for i in range(0, len(text), 4)) for text in shown]


def read_pdf(data: bytes) -> ReadPdf:
    assert data.startswith(b"%PDF-1.") and data.endswith(b"%%EOF\n")
    start = int(re.findall(rb"startxref\n(\d+)\n", data)[-1])
    head = re.match(rb"xref\n0 (\d+)\n", data[start:])
    assert head
    count, first = int(head[1]), start + head.end()
    objects = {}
    for number in range(1, count):
        entry = data[first + 20 * number : first + 20 * (number + 1)]
        assert re.fullmatch(rb"\d{10} 00000 n \n", entry)
        at = int(entry[:10])
        opened = b"%d 0 obj\n" % number
        assert data[at:].startswith(opened)
        objects[number] = data[at + len(opened) : data.index(b"\nendobj\n", at)]
    assert re.search(rb"/Size %d\b" % count, data[start:]) and re.search(rb"/Root \d+ 0 R", data[start:])
    return ReadPdf(objects)


def stream_of(body: bytes) -> bytes:
    length = re.search(rb"/Length (\d+)", body)
    assert length
    at = body.index(b"\nstream\n") + 8
    packed = body[at : at + int(length[1])]
    assert body[at + int(length[1]) :] == b"\nendstream"
    return zlib.decompress(packed)


def _picture(body: bytes) -> np.ndarray:
    width, height = (
        int(found[1]) for name in (b"Width", b"Height") if (found := re.search(rb"/%s (\d+)" % name, body))
    )
    rows = np.frombuffer(stream_of(body), np.uint8).reshape(height, 1 + 3 * width)
    assert (rows[:, 0] == 2).all()  # PNG's filter "up" in every row
    return np.cumsum(rows[:, 1:].astype(np.uint64), axis=0).astype(np.uint8).reshape(height, width, 3)
