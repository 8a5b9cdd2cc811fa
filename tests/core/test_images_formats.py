"""Honest photos of every format and mode come out upright, in sRGB, with straight alpha, and with nothing else."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from pipelines.core.images import Limits, Photo, Pixels, decode_photo
from tests.bad_files import FORMATS, LOSSLESS, animation, encoded, png, png_chunk, scene, scene_rgba


def off_by(photo: Photo, expected: Pixels) -> float:
    """Mean difference of the colours, in levels of 255."""
    assert photo.rgba.shape[:2] == expected.shape[:2]
    return float(np.abs(photo.rgba[..., :3].astype(int) - expected[..., :3]).mean())


# --- Formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_every_accepted_format_is_read(name: str) -> None:
    photo = decode_photo(FORMATS[name]())
    width, height = photo.original_size_px
    assert off_by(photo, scene(width, height)) <= (0 if name in LOSSLESS else 3)
    assert (photo.rgba[..., 3] == 255).all()
    assert photo.notes == ()


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_alpha_is_kept_in_every_format_that_has_it(format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    photo = decode_photo(encoded(scene_rgba(), format, **options))
    assert np.abs(photo.rgba[..., 3].astype(int) - scene_rgba()[..., 3]).mean() < 1.5
    solid = scene_rgba()[..., 3] == 255
    assert np.abs(photo.rgba[solid].astype(int) - scene_rgba()[solid]).mean() < 2.5


@pytest.mark.parametrize(
    ("format", "count", "options"),
    [
        ("GIF", 2, {}),
        ("GIF", 200, {}),
        ("PNG", 2, {}),
        ("PNG", 200, {}),
        ("WEBP", 2, {"lossless": True}),
        ("WEBP", 200, {"lossless": True}),
        ("AVIF", 5, {}),
    ],
)
def test_17_of_an_animation_the_first_frame_is_used_and_said(format: str, count: int, options: dict[str, bool]) -> None:
    photo = decode_photo(animation(format, count, **options))
    assert photo.notes == (f"The first of {count} frames was used.",)
    assert off_by(photo, scene()) < 4


def test_23_of_a_tiff_the_first_page_is_used_and_said() -> None:
    assert decode_photo(animation("TIFF", 12)).notes == ("The first of 12 pages was used.",)


def test_a_phones_second_picture_inside_a_jpeg_is_no_animation() -> None:
    photo = decode_photo(animation("MPO", 2, quality=95))
    assert off_by(photo, scene()) < 2
    assert photo.notes == ()


# --- Modes ------------------------------------------------------------------------------------------------------------


def grey() -> Pixels:
    return np.asarray(Image.fromarray(scene()).convert("L"))


def on_all_channels(levels: Pixels) -> Pixels:
    return np.repeat(levels[..., None], 3, axis=2)


def test_black_and_white() -> None:
    bits = Image.fromarray(scene()).convert("1")
    assert off_by(decode_photo(encoded(bits, "PNG")), np.asarray(bits.convert("RGB"))) == 0


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "JPEG", "AVIF"])
def test_33_grey(format: str) -> None:
    assert off_by(decode_photo(encoded(grey(), format)), on_all_channels(grey())) < 2


def test_31_grey_with_alpha() -> None:
    la = Image.merge("LA", [Image.fromarray(grey()), Image.fromarray(scene_rgba()[..., 3])])
    photo = decode_photo(encoded(la, "PNG"))
    assert np.array_equal(photo.rgba[..., 3], scene_rgba()[..., 3])
    seen = photo.rgba[..., 3] > 0
    assert np.array_equal(photo.rgba[seen][:, 1], grey()[seen])


def test_32_palette_with_one_transparent_colour_and_with_an_alpha_table() -> None:
    palette = Image.fromarray(scene()).quantize(16)
    plain = np.asarray(palette.convert("RGB"))
    for transparency in (3, bytes([255, 255, 255, 0, 128])):
        rgba = decode_photo(encoded(palette, "PNG", transparency=transparency)).rgba
        index = np.asarray(palette)
        assert (rgba[index == 3] == 0).all()
        assert np.array_equal(rgba[index == 5][:, :3], plain[index == 5])
        assert (rgba[index == 5][:, 3] == 255).all()
        if isinstance(transparency, bytes):
            assert (rgba[index == 4][:, 3] == 128).all()


def test_a_transparent_colour_key() -> None:
    pixels = scene().copy()
    pixels[:20, :20] = (7, 8, 9)
    alpha = decode_photo(encoded(pixels, "PNG", transparency=(7, 8, 9))).rgba[..., 3]
    assert (alpha[:20, :20] == 0).all()
    assert (alpha[20:] == 255).all()


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_29_cmyk_has_its_colours_the_right_way_round(format: str) -> None:
    """Pillow writes JPEG as Adobe does: inverted."""
    cmyk = Image.fromarray(scene()).convert("CMYK")
    assert off_by(decode_photo(encoded(cmyk, format)), scene()) < 3


def test_ycck_jpeg_as_adobe_writes_it() -> None:
    """With Adobe's transform flag 2, the same four channels are luma, two of chroma, and black."""
    stored = np.full((80, 80, 4), (0, 128, 128, 255), np.uint8)  # inverted: luma 0 and black 255 are no ink at all
    stored[:, 40:, 0] = 255
    data = encoded(Image.fromarray(255 - stored, "CMYK"), "JPEG", quality=100, subsampling=0)  # Pillow inverts, too
    flag = data.index(b"Adobe\0\x64") + 11
    assert data[flag] == 0
    rgb = decode_photo(data[:flag] + b"\2" + data[flag + 1 :]).rgba[..., :3]
    assert rgb[:, :32].min() > 250
    assert rgb[:, 48:].max() < 5


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_30_16_bit_grey_takes_the_whole_range(format: str) -> None:
    levels = grey().astype(np.uint16) * 257
    assert off_by(decode_photo(encoded(Image.fromarray(levels), format)), on_all_channels(grey())) == 0


def test_30_16_bit_grey_of_the_other_byte_order() -> None:
    levels = Image.frombytes("I;16B", (96, 72), (grey().astype(">u2") * 257).tobytes())
    assert off_by(decode_photo(encoded(levels, "TIFF")), on_all_channels(grey())) == 0


def test_colour_of_16_bits() -> None:
    rows = b"".join(b"\0" + row.tobytes() for row in scene().astype(">u2") * 257)
    assert off_by(decode_photo(png(96, 72, 16, 2, zlib.compress(rows))), scene()) == 0
    key = png_chunk(b"tRNS", struct.pack(">HHH", *(int(v) * 257 for v in scene()[0, 0])))
    assert decode_photo(png(96, 72, 16, 2, zlib.compress(rows), key)).rgba[0, 0, 3] == 0


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_floating_point_ranges_in_use_are_known(top: float) -> None:
    values = grey().astype(np.float32) / grey().max() * np.float32(top)
    expected = on_all_channels((grey() / grey().max() * 255 + 0.5).astype(np.uint8))
    photo = decode_photo(encoded(Image.fromarray(values), "TIFF"))
    assert off_by(photo, expected) < 1
    assert photo.notes == ()


def test_23_numbers_that_are_none_are_black_and_it_is_said() -> None:
    values = grey().astype(np.float32) / 255
    values[:10, :10], values[-10:, -10:] = np.nan, np.inf
    photo = decode_photo(encoded(Image.fromarray(values), "TIFF"))
    assert photo.notes == ("Pixels that held no number were taken as black.",)
    assert photo.rgba[30:40, 30:40, 0].std() > 0
    assert photo.rgba[0, 0, 0] == photo.rgba[-1, -1, 0] == photo.rgba[..., 0].min()


def test_numbers_of_any_other_range_are_stretched_and_it_is_said() -> None:
    values = grey().astype(np.int32) * 9000 - 100_000
    photo = decode_photo(encoded(Image.fromarray(values), "TIFF"))
    assert "no fixed range" in photo.notes[0]
    assert (photo.rgba[..., 0].min(), photo.rgba[..., 0].max()) == (0, 255)


def test_lab_is_turned_into_srgb() -> None:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(Image.fromarray(scene()), srgb, lab, outputMode="LAB")
    assert image is not None
    assert off_by(decode_photo(encoded(image, "TIFF")), scene()) < 3


# --- Alpha ------------------------------------------------------------------------------------------------------------


def premultiplied(rgba: Pixels) -> Pixels:
    multiplied = rgba.copy()
    multiplied[..., :3] = (rgba[..., :3] * (rgba[..., 3:] / 255) + 0.5).astype(np.uint8)
    return multiplied


def test_colours_stored_premultiplied_are_recognised_and_undone() -> None:
    bright = scene_rgba(200, 150)
    photo = decode_photo(encoded(premultiplied(bright), "PNG"))
    assert "multiplied" in photo.notes[0]
    soft = (bright[..., 3] > 60) & (bright[..., 3] < 255)
    assert np.abs(photo.rgba[soft].astype(int) - bright[soft]).mean() < 2


def test_a_dark_subject_with_straight_alpha_is_left_as_it_is() -> None:
    """No channel exceeds alpha here either, but the soft edge has the colour of the inside."""
    dark = scene_rgba(200, 150).copy()
    dark[..., :3] //= 12
    photo = decode_photo(encoded(dark, "PNG"))
    assert photo.notes == ()
    seen = dark[..., 3] > 0
    assert np.array_equal(photo.rgba[seen], dark[seen])


def test_what_lies_under_full_transparency_does_not_come_out() -> None:
    rgba = decode_photo(encoded(scene_rgba(), "PNG")).rgba
    hidden = scene_rgba()[..., 3] == 0
    assert hidden.any()
    assert scene_rgba()[hidden][:, :3].any()
    assert not rgba[hidden].any()


# --- Colour -----------------------------------------------------------------------------------------------------------


def wide_profile() -> bytes:
    """An RGB profile whose red, green and blue are sRGB's blue, red and green: no conversion, and all is wrong."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", data, 128)[0]
    entries = {bytes(data[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    places = [bytes(data[entries[tag] + 4 : entries[tag] + 12]) for tag in (b"rXYZ", b"gXYZ", b"bXYZ")]
    for tag, place in zip((b"rXYZ", b"gXYZ", b"bXYZ"), (places[2], places[0], places[1]), strict=True):
        data[entries[tag] + 4 : entries[tag] + 12] = place
    return bytes(data)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_the_colour_profile_is_applied_in_every_format(format: str) -> None:
    rolled = np.ascontiguousarray(np.roll(scene(), 1, axis=2))  # what such a profile's device would have stored
    photo = decode_photo(encoded(rolled, format, icc_profile=wide_profile()))
    assert off_by(photo, scene()) < 5


def test_39_a_wide_gamut_photo_has_its_saturation_in_srgb() -> None:
    """Display P3's red at 200 is a redder sRGB red; profile built from its primaries (SMPTE EG 432-1, D65)."""
    photo = decode_photo(
        encoded(
            np.tile(np.array([[[200, 60, 60], [60, 60, 200]]], np.uint8), (70, 40, 1)), "PNG", icc_profile=display_p3()
        )
    )
    red, blue = photo.rgba[0, 0], photo.rgba[0, 1]
    assert red[0] > 210
    assert red[1] < 50
    assert blue[2] > 203


def display_p3() -> bytes:
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", data, 128)[0]
    # D50-adapted columns of Display P3, as Apple's profile holds them
    columns = {
        b"rXYZ": (0.51512, 0.2412, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.1571, 0.06657, 0.78407),
    }
    for at in range(132, 132 + 12 * count, 12):
        tag, offset, _ = struct.unpack_from(">4sII", data, at)
        if tag in columns:
            struct.pack_into(">iii", data, offset + 8, *(round(v * 65536) for v in columns[tag]))
    return bytes(data)


def test_grey_photos_with_an_rgb_profile_and_with_alpha() -> None:
    la = Image.merge("LA", [Image.fromarray(grey()), Image.fromarray(scene_rgba()[..., 3])])
    photo = decode_photo(encoded(la, "PNG", icc_profile=display_p3()))
    seen = photo.rgba[..., 3] > 0
    assert np.abs(photo.rgba[seen][:, 1].astype(int) - grey()[seen]).max() <= 2


@pytest.mark.parametrize(
    "junk", [b"no profile", b"\0" * 128, wide_profile()[:200], wide_profile()[:-40] + b"\xff" * 40]
)
def test_39_a_corrupt_colour_profile_does_not_spoil_a_photo(junk: bytes) -> None:
    photo = decode_photo(encoded(scene(), "JPEG", icc_profile=junk, quality=95))
    assert photo.rgba.shape == (72, 96, 4)
    if photo.notes:
        assert "profile could not be read" in photo.notes[0]
        assert off_by(photo, scene()) < 2


def test_a_profile_of_another_kind_of_colour_is_not_applied() -> None:
    cmyk = Image.fromarray(scene()).convert("CMYK")
    assert off_by(decode_photo(encoded(cmyk, "JPEG", icc_profile=wide_profile())), scene()) < 3


# --- Size -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_photo_about_twice_the_working_size_is_halved_exactly(format: str) -> None:
    """As a phone's 4032 pixels are for the 2048 of the default."""
    photo = decode_photo(encoded(scene(1344, 1008), format), Limits(working_side_px=683))
    assert photo.original_size_px == (1344, 1008)
    assert photo.rgba.shape == (504, 672, 4)
    assert off_by(photo, scene(672, 504)) < 1.5


@pytest.mark.parametrize("size", [(300, 200), (257, 101), (700, 690), (1030, 515)])
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_no_photo_is_larger_than_the_working_size_nor_much_smaller(format: str, size: tuple[int, int]) -> None:
    photo = decode_photo(encoded(scene(*size), format), Limits(working_side_px=256))
    height, width = photo.rgba.shape[:2]
    assert 0.9 * 256 - 1 <= width <= 256
    assert abs(width / height - size[0] / size[1]) < 0.03
    assert off_by(photo, scene(width, height)) < 2
