"""What a file is, judged by its first bytes alone: never by its name, never by what the sender says of it."""

import struct

from pipelines.core.errors import TurnaroundError

USE_INSTEAD = "PNG, JPEG, WebP, AVIF or HEIC"

# Brands of the ISO base media files that hold pictures (ISO/IEC 23008-12 for HEIF, AVIF 1.1 section 6).
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_BOXES = {b"ftyp", b"meta", b"mdat", b"moov", b"free"}

# Offset, bytes there, what it is. Known only to be refused by name.
_OTHER_PICTURES = (
    (0, b"%!PS", "an EPS or PostScript drawing"),
    (0, b"\xc5\xd0\xd3\xc6", "an EPS or PostScript drawing"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"gimp xcf", "a GIMP project"),
    (0, b"\0\0\1\0", "an icon (ICO)"),
    (0, b"\0\0\2\0", "a mouse pointer (CUR)"),
    (0, b"icns", "an icon (ICNS)"),
    (0, b"SIMPLE  =", "a FITS file"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"II\xbc", "a JPEG XR picture"),
    (0, b"v/1\x01", "an OpenEXR picture"),
    (0, b"#?RADIANCE", "a Radiance HDR picture"),
    (0, b"DDS ", "a DDS texture"),
    (0, b"qoif", "a QOI picture"),
    (8, b"CR\x02\0", "a camera raw file"),
    (4, b"ftypcrx", "a camera raw file"),
    (0, b"FUJIFILMCCD-RAW", "a camera raw file"),
    (0, b"IIRO", "a camera raw file"),
    (0, b"IIU\0", "a camera raw file"),
)
_NO_PICTURES = (
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\3\4", "an archive or an office document"),
    (0, b"\x1f\x8b", "a compressed file"),
    (0, b"7z\xbc\xaf", "an archive"),
    (0, b"Rar!", "an archive"),
    (0, b"glTF", "a 3D model"),
    (0, b"\x1a\x45\xdf\xa3", "a video"),
    (8, b"AVI ", "a video"),
    (4, b"ftyp", "a video"),
    (4, b"moov", "a video"),
    (0, b"OggS", "a sound or video"),
    (0, b"ID3", "a sound"),
    (8, b"WAVE", "a sound"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
)


def picture_kind(data: bytes) -> str:
    """One of png, jpeg, webp, avif, heic, gif, bmp, tiff; a sentence for everything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data[4:8] == b"ftyp":
        if brands := _brands(data):
            if brands & _AVIF_BRANDS:
                return "avif"
            if brands & _HEIC_BRANDS:
                return "heic"
    elif data[8:12] != b"CR\x02\0" and data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    # Two letters are also how a text may begin: the rest of a bitmap's file header has to fit as well.
    if data.startswith(b"BM") and data[6:10] == b"\0\0\0\0":
        return "bmp"
    raise TurnaroundError(_refusal(data))


def stated_size(kind: str, data: bytes) -> tuple[int, int] | None:
    """Width and height as the header claims, where they lie at a known place; `None` where only a parser can tell.

    WebP's decoder allocates its canvas as soon as it is opened, so its size has to be read before.
    """
    try:
        if kind == "png":
            return struct.unpack_from(">II", data, 16)
        if kind == "gif":
            return struct.unpack_from("<HH", data, 6)
        if kind == "webp" and data[12:16] == b"VP8X":
            width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
            return width, height
        if kind == "webp" and data[12:16] == b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
        if kind == "webp" and data[12:16] == b"VP8L":
            bits = struct.unpack_from("<I", data, 21)[0]
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    except struct.error:
        pass  # too short to hold its own header: the decoder will say so
    return None


def is_cut_off(kind: str, data: bytes) -> bool:
    """Whether the file ends before its own structure does."""
    if kind == "png":
        return b"IEND" not in data[-(1 << 16) :]
    if kind == "jpeg":
        return b"\xff\xd9" not in data[-(1 << 10) :]
    if kind == "gif":
        return not data.rstrip(b"\0").endswith(b";")
    if kind in ("webp", "bmp"):
        at, more = (4, 8) if kind == "webp" else (2, 0)
        return len(data) < at + 4 or len(data) < struct.unpack_from("<I", data, at)[0] + more
    if kind in ("avif", "heic"):
        return _boxes_reach_past_end(data)
    if kind == "tiff" and data[2:4] in (b"*\0", b"\0*"):  # where its directory lies: often behind the pixels
        return len(data) < 10 or len(data) < struct.unpack_from("<I" if data[:1] == b"I" else ">I", data, 4)[0] + 2
    return False


def _brands(data: bytes) -> set[bytes]:
    size = int.from_bytes(data[:4], "big")
    head = data[8 : min(size, 256)]
    return {head[0:4]} | {head[at : at + 4] for at in range(8, len(head), 4)}


def _boxes_reach_past_end(data: bytes) -> bool:
    """Walk the top-level boxes of an ISO base media file; each states its own length."""
    at = 0
    while at + 8 <= len(data) and data[at + 4 : at + 8] in _BOXES:  # what else follows is none of the picture
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:  # 0 means "to the end of the file", the rest is nonsense, which is damage of another sort
            return False
        at += size
    return at > len(data)


def _refusal(data: bytes) -> str:
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<"):
        if b"<svg" in head:
            return f"This file is an SVG drawing, which cannot be read here. Export it as a PNG, or use a {_photo()}."
        return f"This file is a web page or other text, not a picture. Choose a {_photo()}."
    for offset, magic, what in _OTHER_PICTURES:
        if data[offset:].startswith(magic):
            return f"This file is {what}, which cannot be read here. Export it as {USE_INSTEAD}, and use that."
    for offset, magic, what in _NO_PICTURES:
        if data[offset:].startswith(magic):
            return f"This file is {what}, not a photo. Choose the photo itself: a {_photo()}."
    if data and all(byte >= 32 or byte in b"\t\r\n\f" for byte in data[:512]):
        return f"This file holds text, not a picture. Choose a {_photo()}."
    return f"This file is not a picture of a kind that can be read here. Choose a {_photo()}."


def _photo() -> str:
    return f"photo saved as {USE_INSTEAD}"
