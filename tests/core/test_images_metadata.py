"""What a file says beside its pixels: its orientation is obeyed, and nothing else of it comes out."""

from io import BytesIO

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from pipelines.core.images import Limits, Photo, Pixels, decode_photo
from pipelines.runtime.results import png_bytes
from tests.bad_files import encoded, scene

ORIENTATION, GPS = 0x0112, 0x8825


def off_by(photo: Photo, expected: Pixels) -> float:
    """Mean difference of the colours, in levels of 255."""
    assert photo.rgba.shape[:2] == expected.shape[:2]
    return float(np.abs(photo.rgba[..., :3].astype(int) - expected[..., :3]).mean())


# --- Orientation ------------------------------------------------------------------------------------------------------

STORED = {  # how the upright picture lies in the file, by EXIF's words: "row 0 is the visual ..., column 0 the ..."
    1: lambda up: up,
    2: lambda up: up[:, ::-1],  # top, right
    3: lambda up: up[::-1, ::-1],  # bottom, right
    4: lambda up: up[::-1],  # bottom, left
    5: lambda up: up.swapaxes(0, 1),  # left, top
    6: lambda up: up[:, ::-1].swapaxes(0, 1),  # right, top
    7: lambda up: up[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: lambda up: up[::-1].swapaxes(0, 1),  # left, bottom
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_36_every_orientation_comes_out_upright(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = np.ascontiguousarray(STORED[orientation](scene()))
    photo = decode_photo(encoded(stored, format, exif=exif))
    assert photo.original_size_px == (96, 72)
    assert off_by(photo, scene()) < 3


@pytest.mark.parametrize("orientation", STORED)
def test_27_36_heic_is_turned_once_not_twice(orientation: int) -> None:
    """Phones write the turn both as a property of the picture and in EXIF."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encoded(np.ascontiguousarray(STORED[orientation](scene())), "HEIF", exif=exif.tobytes())
    assert (b"irot" in data or b"imir" in data) == (orientation > 1)
    photo = decode_photo(data)
    assert photo.original_size_px == (96, 72)
    assert off_by(photo, scene()) < 4


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_means_nothing_turns_nothing(value: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    photo = decode_photo(encoded(scene(), "PNG", exif=exif))
    assert photo.original_size_px == (96, 72)
    assert off_by(photo, scene()) == 0


JUNK_EXIF = {
    "nothing": b"",
    "two letters": b"MM",
    "a directory nowhere": b"II*\0\xff\xff\xff\xff",
    "65535 entries": b"MM\0*\0\0\0\x08\xff\xff" + b"\1\x12" * 30,
    "an orientation of text": b"MM\0*\0\0\0\x08\0\1\1\x12\0\2\0\0\0\4six\0\0\0\0\0",
    "noise": b"\xff" * 90,
}


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("junk", JUNK_EXIF.values(), ids=JUNK_EXIF)
def test_38_corrupt_exif_does_not_spoil_a_photo(format: str, junk: bytes) -> None:
    photo = decode_photo(encoded(scene(), format, exif=b"Exif\0\0" + junk))
    assert off_by(photo, scene()) < 3


@pytest.mark.parametrize("format", ["AVIF", "HEIF"])
@pytest.mark.parametrize("junk", [junk for name, junk in JUNK_EXIF.items() if name != "noise"])
def test_38_corrupt_exif_does_not_spoil_an_avif_or_heic(format: str, junk: bytes) -> None:
    """Their encoders refuse to write such a thing, so it is put in afterwards. AVIF's decoder refuses plain noise."""
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "a" * 200
    data = encoded(scene(), format, exif=exif.tobytes())
    text = data.index(b"a" * 200)
    start = data.rindex(b"MM\0*", 0, text) if b"MM\0*" in data[:text] else data.rindex(b"II*\0", 0, text)
    assert off_by(decode_photo(data[:start] + junk + data[start + len(junk) :]), scene()) < 3


def test_a_large_turned_photo_keeps_both_sizes_upright() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = encoded(np.ascontiguousarray(STORED[6](scene(400, 200))), "JPEG", exif=exif, quality=95)
    photo = decode_photo(data, Limits(working_side_px=100))
    assert photo.original_size_px == (400, 200)
    assert off_by(photo, scene(100, 50)) < 2


# --- Metadata ---------------------------------------------------------------------------------------------------------

SECRETS = (b"Secret Lane 7", b"Serial-4711", b"holiday.jpg")


def telling_files() -> dict[str, bytes]:
    """Photos that say where, by whom and with what they were taken, in every way their format has."""
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = SECRETS[0].decode()
    exif[ExifTags.Base.BodySerialNumber] = SECRETS[1].decode()
    exif.get_ifd(GPS).update({1: "N", 2: (48.0, 8.0, 15.0), 3: "E", 4: (11.0, 34.0, 30.0)})
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><photo>" + b" ".join(SECRETS) + b"</photo></x:xmpmeta>"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", SECRETS[0].decode())
    text.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=False)
    files = {
        "jpeg": encoded(scene(), "JPEG", exif=exif, xmp=xmp, comment=SECRETS[2]),
        "png": encoded(scene(), "PNG", exif=exif, pnginfo=text),
        "webp": encoded(scene(), "WEBP", exif=exif, xmp=xmp),
        "avif": encoded(scene(), "AVIF", exif=exif, xmp=xmp),
        "heic": encoded(scene(), "HEIF", exif=exif.tobytes(), xmp=xmp),
        "tiff": encoded(scene(), "TIFF", tiffinfo={270: SECRETS[0].decode(), 700: xmp}),
        "gif": encoded(Image.fromarray(scene()).quantize(64), "GIF", comment=SECRETS[2]),
    }
    for name, data in files.items():
        assert any(secret in data for secret in SECRETS), f"{name} tells nothing, so nothing would be proved"
    return files


@pytest.mark.parametrize(("name", "data"), telling_files().items(), ids=telling_files())
def test_28_37_nothing_a_photo_tells_beside_its_pixels_comes_out(name: str, data: bytes) -> None:
    photo = decode_photo(data)
    picture = png_bytes(photo.rgba)  # as every picture leaves
    for written in (picture, repr(vars(photo)).encode()):
        assert not any(secret in written for secret in SECRETS)
        assert not any(
            mark in written for mark in (b"Exif", b"EXIF", b"GPS", b"xmp", b"XMP", b"tEXt", b"iTXt", b"ICCP", b"iCCP")
        )
    reopened = Image.open(BytesIO(picture))
    reopened.load()
    assert not reopened.info
    assert not reopened.getexif()
