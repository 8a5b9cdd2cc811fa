"""Files that strangers may send: hostile and broken ones with the sentence each must yield, and odd but honest ones.

Everything is made here, in memory. `BAD_FILES["bomb: 30000 x 30000"].make()` gives bytes; bombs are real (their pixels
would unpack), and cost nothing to make.
"""

import gzip
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image, ImageCms

from pipelines.core.images import Pixels


@dataclass(frozen=True)
class BadFile:
    make: Callable[[], bytes]
    says: str
    """A part of the sentence that the visitor must get."""
    suffix: str = ".png"
    """What a visitor's file of this kind may be called; never believed."""


# --- Honest pictures --------------------------------------------------------------------------------------------------


@cache
def scene(width: int = 96, height: int = 72) -> Pixels:
    """[H, W, 3]: smooth, so that lossy formats keep it; different in every corner, so that a turned one is noticed."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return (np.stack([40 + 200 * x, 220 - 180 * y, 30 + 200 * (1 - x) * y], axis=-1) + 0.5).astype(np.uint8)


@cache
def scene_rgba(width: int = 96, height: int = 72) -> Pixels:
    """[H, W, 4]: the scene inside a soft ellipse off the centre."""
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    radius = np.hypot((x + 0.1) / 0.8, (y - 0.1) / 0.8)
    alpha = np.clip((1.05 - radius) * 5, 0, 1) * 255
    return np.dstack([scene(width, height), (alpha + 0.5).astype(np.uint8)])


def encoded(picture: Pixels | Image.Image, format: str, **options: Any) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = BytesIO()
    if format == "HEIF":  # without registering it for the whole process
        heif = pillow_heif.HeifFile()
        added = heif.add_frombytes(image.mode, image.size, image.tobytes())
        if exif := options.pop("exif", None):  # from here the turn goes into the file's own property, as phones have it
            added.info["exif"] = exif
        heif.save(file, **{"quality": 90, **options})
    else:
        image.save(file, format, **options)
    return file.getvalue()


LOSSLESS = {
    "png": lambda: encoded(scene(), "PNG"),
    "webp, lossless": lambda: encoded(scene(), "WEBP", lossless=True),
    "bmp": lambda: encoded(scene(), "BMP"),
    "tiff": lambda: encoded(scene(), "TIFF"),
    "tiff, compressed": lambda: encoded(scene(), "TIFF", compression="tiff_adobe_deflate"),
}
LOSSY = {
    "jpeg": lambda: encoded(scene(), "JPEG", quality=95),
    "jpeg, progressive": lambda: encoded(scene(), "JPEG", quality=95, progressive=True),
    "webp": lambda: encoded(scene(), "WEBP", quality=95),
    "avif": lambda: encoded(scene(), "AVIF", quality=95),
    "heic": lambda: encoded(scene(), "HEIF"),
    "heic, tiles as an iPhone's": lambda: encoded(scene(192, 144), "HEIF", tile_size=64),
    "gif": lambda: encoded(Image.fromarray(scene()).quantize(256), "GIF"),
}
FORMATS: dict[str, Callable[[], bytes]] = {**LOSSLESS, **LOSSY}


def animation(format: str, count: int, **options: Any) -> bytes:
    """The scene first, then darker and darker."""
    frames = [Image.fromarray((scene() * (1 - i / count)).astype(np.uint8)) for i in range(count)]
    if format == "GIF":
        palette = frames[0].quantize(255)  # one for all, made once
        frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
        frames[1:] = [frame.rotate(90 * i) for i, frame in enumerate(frames[1:], 1)]
    return encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)


# --- Parts of files ---------------------------------------------------------------------------------------------------


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, bits: int, colour_type: int, pixels: bytes, extra: bytes = b"") -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")


def deflated(block: bytes, count: int) -> bytes:
    """What zlib makes of so many repeats of a block, at the price of one: each is flushed, so its code repeats too."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    code = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    check_sum = 1
    for _ in range(count):
        check_sum = zlib.adler32(block, check_sum)
    return b"\x78\x9c" + code * count + b"\3\0" + struct.pack(">I", check_sum)


@cache
def bomb(width: int, height: int, bits: int = 8, channels: int = 1) -> bytes:
    """A whole PNG whose pixels, all 0, would really unpack."""
    row = bytes(1 + (width * bits * channels + 7) // 8)
    return png(width, height, bits, {1: 0, 3: 2, 4: 6}[channels], deflated(row, height))


@cache
def slow_photo() -> bytes:
    """An honest picture of 25 megapixels, with 16-bit colours and transparency: slow to read, in a small file."""
    row = np.full((5000, 4), 0xFFFF, ">u2")
    row[2000:4000, :3] = 0x2040
    return png(5000, 5000, 16, 6, deflated(b"\0" + row.tobytes(), 5000))


def patched(data: bytes, at: int, new: bytes) -> bytes:
    assert 0 <= at <= len(data) - len(new)
    return data[:at] + new + data[at + len(new) :]


def lying_headers() -> dict[str, bytes]:
    """Each format, claiming to be far larger than it is."""
    jpeg, tiff = FORMATS["jpeg"](), FORMATS["tiff"]()
    webp = encoded(scene_rgba(), "WEBP")
    assert webp[12:16] == b"VP8X"
    plain_webp, lossless_webp = FORMATS["webp"](), FORMATS["webp, lossless"]()
    assert (plain_webp[12:16], lossless_webp[12:16]) == (b"VP8 ", b"VP8L")
    tiff_width, tiff_height = (tiff.index(struct.pack("<HHI", tag, 4, 1)) + 8 for tag in (256, 257))
    lies = {
        "png": png(60000, 60000, 8, 2, zlib.compress(b"")),
        "jpeg": patched(jpeg, jpeg.index(b"\xff\xc0") + 5, struct.pack(">HH", 65000, 65000)),
        "gif": patched(FORMATS["gif"](), 6, struct.pack("<HH", 65535, 65535)),
        "webp": patched(webp, 24, b"\xff\x3f\x00\xff\x3f\x00"),
        "webp, plain": patched(plain_webp, 26, struct.pack("<HH", 0x3FFF, 0x3FFF)),
        "webp, lossless": patched(lossless_webp, 21, struct.pack("<I", 0x0FFFFFFF)),
        "bmp": patched(FORMATS["bmp"](), 18, struct.pack("<ii", 100_000, 100_000)),
        "tiff": patched(patched(tiff, tiff_width, b"\xff\xff"), tiff_height, b"\xff\xff"),
    }
    for name in ("avif", "heic"):
        data = FORMATS[name]()
        lies[name] = patched(data, data.index(b"ispe") + 8, struct.pack(">II", 15_000, 15_000))
    return lies


def _wide(width: int, height: int) -> bytes:
    return encoded(np.full((height, width, 3), 90, np.uint8), "PNG")


def _bad_check_sum() -> bytes:
    data = FORMATS["png"]()
    return patched(
        data, len(data) - 16, bytes([data[-16] ^ 0x55])
    )  # the check sum of IDAT, before the 12 bytes of IEND


def _noise_in(name: str) -> bytes:
    """The middle third overwritten."""
    data = FORMATS[name]()
    noise = np.random.default_rng(3).integers(0, 256, len(data) // 3, np.uint8).tobytes()
    return patched(data, len(data) // 3, noise)


def _heic_without_index() -> bytes:
    data = FORMATS["heic"]()
    return patched(data, data.index(b"meta") + 8, np.random.default_rng(4).bytes(60))


def _text_bomb() -> bytes:
    text = png_chunk(b"zTXt", b"Comment\0\0" + deflated(bytes(1 << 20), 100))
    return png(96, 72, 8, 2, zlib.compress(b"".join(b"\0" + row.tobytes() for row in scene())), text)


def _many_text_bombs() -> bytes:
    text = png_chunk(b"zTXt", b"Comment\0\0" + deflated(bytes((1 << 20) - 1), 1)) * 100
    return png(96, 72, 8, 2, zlib.compress(b"".join(b"\0" + row.tobytes() for row in scene())), text)


def _huge_exif() -> bytes:
    return encoded(scene(), "PNG", exif=b"Exif\0\0" + bytes(5_000_000))


def _huge_profile() -> bytes:
    return encoded(scene(), "JPEG", icc_profile=srgb_profile() + bytes(4_500_000))


@cache
def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _jpeg_2000() -> bytes:
    return encoded(scene(), "JPEG2000")


def _fits() -> bytes:
    cards = [
        f"{k:<8}= {v:>20}" for k, v in (("SIMPLE", "T"), ("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", 96), ("NAXIS2", 72))
    ]
    return "".join(card.ljust(80) for card in [*cards, "END"]).encode().ljust(2880) + bytes(96 * 72)


def _raw_photo() -> bytes:
    """A DNG's first page: a thumbnail, marked as such."""
    return encoded(scene(), "TIFF", tiffinfo={254: 1, 50706: b"\1\4\0\0"})


def _text_picture(colour: tuple[int, ...]) -> bytes:
    return encoded(np.full((80, 100, len(colour)), colour, np.uint8), "PNG")


SVG = b"""<?xml version="1.0"?>\n<!-- drawn --><svg xmlns="http://www.w3.org/2000/svg" width="200" height="200">
<circle cx="100" cy="100" r="80"/></svg>"""
HTML = b"<!doctype html>\n<html><head><title>Photo</title></head><body onload='alert(1)'><img src=x></body></html>"
PSD = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 72, 96, 8, 3) + bytes(12)

# Their numbers in brackets are those of the list they were drawn up from.
BAD_FILES: dict[str, BadFile] = {
    "empty": BadFile(lambda: b"", "is empty", ".jpg"),
    "five letters": BadFile(lambda: b"hello", "holds text", ".jpg"),
    "a poem": BadFile(lambda: b"Roses are red,\nviolets are blue,\n" * 40, "holds text", ".jpg"),
    "UTF-16 text": BadFile(lambda: "Ein Brief\n".encode("utf-16") * 9, "not a picture", ".jpg"),
    "a page": BadFile(lambda: HTML, "web page"),
    "random bytes": BadFile(lambda: np.random.default_rng(1).bytes(5000), "not a picture", ".webp"),
    "zeros": BadFile(lambda: bytes(5000), "not a picture", ".jpg"),
    "a PNG's first 8 bytes": BadFile(lambda: b"\x89PNG\r\n\x1a\n", "cut off"),
    "a JPEG's first 3 bytes": BadFile(lambda: b"\xff\xd8\xff", "cut off", ".jpg"),
    "half a JPEG": BadFile(lambda: FORMATS["jpeg"]()[: len(FORMATS["jpeg"]()) // 2], "cut off", ".jpg"),
    "half a PNG": BadFile(lambda: FORMATS["png"]()[: len(FORMATS["png"]()) // 2], "cut off"),
    "wrong check sum": BadFile(_bad_check_sum, "damaged"),
    "PNG with noise in it": BadFile(lambda: _noise_in("png"), "damaged"),
    "WebP with noise in it": BadFile(lambda: _noise_in("webp, lossless"), "damaged", ".webp"),
    "AVIF with noise in it": BadFile(lambda: _noise_in("avif"), "damaged", ".avif"),
    "HEIC with noise in its index": BadFile(_heic_without_index, "damaged", ".heic"),
    "bomb: 30000 x 30000": BadFile(lambda: bomb(30000, 30000, bits=1), "30000 x 30000 pixels (900 megapixels)"),
    "bomb: 169 megapixels, grey": BadFile(lambda: bomb(13000, 13000), "13000 x 13000 pixels (169 megapixels)"),
    "bomb: 144 megapixels, colour": BadFile(lambda: bomb(12000, 12000, channels=3), "the limit is 50 megapixels"),
    "lie: 60000 x 60000": BadFile(lambda: lying_headers()["png"], "60000 x 60000"),
    "no pixels": BadFile(lambda: png(0, 0, 8, 2, zlib.compress(b"")), "0 x 0 pixels"),
    "1 x 1": BadFile(lambda: _wide(1, 1), "at least 64 pixels"),
    "3 x 1": BadFile(lambda: _wide(3, 1), "at least 64 pixels"),
    "20000 x 1": BadFile(lambda: _wide(20000, 1), "at least 64 pixels"),
    "1 x 20000": BadFile(lambda: _wide(1, 20000), "at least 64 pixels"),
    "640 x 64, and 1 more": BadFile(lambda: _wide(640, 79), "at most 8 times"),
    "text bomb": BadFile(_text_bomb, "more than a picture should"),
    "100 text bombs": BadFile(_many_text_bombs, "more than a picture should"),
    "5 MB of EXIF": BadFile(_huge_exif, "(EXIF) takes 5.0 MB"),
    "4.5 MB of colour profile": BadFile(_huge_profile, "colour profile takes 4.5 MB", ".jpg"),
    "26 MB": BadFile(lambda: FORMATS["jpeg"]() + bytes(26_000_000), "at most 25.0 MB", ".jpg"),
    "2000 frames": BadFile(lambda: _many_frames(2000), "2000 frames", ".gif"),
    "SVG": BadFile(lambda: SVG, "SVG drawing", ".svg"),
    "SVG called PNG": BadFile(lambda: SVG, "SVG drawing", ".png"),
    "compressed SVG": BadFile(lambda: gzip.compress(SVG), "compressed file", ".svgz"),
    "EPS": BadFile(lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n", "EPS", ".eps"),
    "PDF": BadFile(lambda: b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n", "PDF document", ".pdf"),
    "ICO": BadFile(lambda: encoded(scene_rgba(64, 64), "ICO"), "icon", ".ico"),
    "FITS": BadFile(_fits, "FITS", ".fits"),
    "JPEG 2000": BadFile(_jpeg_2000, "JPEG 2000", ".jp2"),
    "PSD": BadFile(lambda: PSD, "Photoshop", ".psd"),
    "camera raw": BadFile(_raw_photo, "camera raw", ".dng"),
    "video": BadFile(lambda: b"\0\0\0\x18ftypisom\0\0\2\0isommp41" + bytes(99), "video", ".mp4"),
    "archive": BadFile(lambda: b"PK\3\4" + bytes(99), "archive", ".zip"),
    "3D model": BadFile(lambda: b"glTF\2\0\0\0" + bytes(99), "3D model", ".glb"),
    "fully transparent": BadFile(lambda: _text_picture((200, 30, 30, 0)), "fully transparent"),
    "all but transparent": BadFile(lambda: _text_picture((200, 30, 30, 3)), "fully transparent"),
    "all white": BadFile(lambda: _text_picture((255, 255, 255)), "one even colour"),
    "all grey, half seen": BadFile(lambda: _text_picture((90, 90, 90, 128)), "one even colour"),
}


def _many_frames(count: int) -> bytes:
    """A GIF of 64 x 64 pixels whose further frames are one pixel each."""
    first = encoded(Image.fromarray(scene(64, 64)).quantize(16), "GIF")
    dot = b",\0\0\0\0\1\0\1\0\0\2\2D\1\0"
    return first[:-1] + dot * (count - 1) + b";"
