"""What is refused, and with which words; what the shared helpers do to pixels."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.core.errors import TurnaroundError
from pipelines.core.images import (
    Limits,
    Photo,
    decode_photo,
    resize_rgba,
)
from tests.bad_files import BAD_FILES, FORMATS, bomb, encoded, lying_headers, scene, scene_rgba

ROOT = Path(__file__).resolve().parents[2]


def refusal(data: bytes, limits: Limits = Limits()) -> str:  # noqa: B008 - frozen
    with pytest.raises(TurnaroundError) as refused:
        decode_photo(data, limits)
    return str(refused.value)


def is_for_people(sentence: str) -> bool:
    """One to three sentences, with something to do, and nothing from inside the machine."""
    remedies = ("Use ", "Choose ", "Save ", "Export ", "Make it ", "Crop ", "Upload ", "Develop ")
    inside = ("Error", "Traceback", "PIL", "libheif", "0x", "/", "<", ">", "None", "_")
    return sentence.endswith(".") and any(r in sentence for r in remedies) and not any(i in sentence for i in inside)


# --- Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BAD_FILES)
def test_1_to_39_each_bad_file_is_refused_with_its_own_sentence(name: str) -> None:
    sentence = refusal(BAD_FILES[name].make())
    assert BAD_FILES[name].says in sentence
    assert is_for_people(sentence)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_cut_off_anywhere_is_refused_as_cut_off(name: str) -> None:
    data = FORMATS[name]()
    for share in (0.1, 0.25, 0.5, 0.75, 0.9, 0.97):
        assert "cut off" in refusal(data[: int(len(data) * share)]), share


@pytest.mark.parametrize("name", FORMATS)
def test_the_first_bytes_alone_are_refused(name: str) -> None:
    data = FORMATS[name]()
    for count in range(1, 40):
        assert is_for_people(refusal(data[:count])), count


@pytest.mark.parametrize(("name", "data"), lying_headers().items(), ids=lying_headers())
def test_a_header_that_lies_about_the_size_is_refused_by_its_size(name: str, data: bytes) -> None:
    assert "too large; the limit is 50 megapixels" in refusal(data)


def test_limits_are_the_callers() -> None:
    data = encoded(scene(400, 300), "PNG")
    assert decode_photo(data, Limits(max_pixels=120_000)).original_size_px == (400, 300)
    assert "0.119999 megapixels" in refusal(data, Limits(max_pixels=119_999))
    assert "at most 0.0 MB" in refusal(data, Limits(max_bytes=len(data) - 1))
    assert "at least 301 pixels" in refusal(data, Limits(min_side_px=301))
    assert "at most 1.3 times" in refusal(data, Limits(max_aspect=1.3))
    # Pillow's own guard stands at 89 megapixels; a larger limit of ours still holds
    large = Limits(max_pixels=200_000_000)
    assert "one even colour" in refusal(bomb(10_000, 10_000, bits=1), large)


def test_the_smallest_and_the_longest_photos_allowed_pass() -> None:
    assert decode_photo(encoded(scene(64, 64), "PNG")).rgba.shape == (64, 64, 4)
    assert decode_photo(encoded(scene(640, 80), "PNG")).rgba.shape == (80, 640, 4)


def test_a_name_says_nothing_so_content_alone_decides() -> None:
    """A JPEG with a web page and an archive behind it is a JPEG, and only its pixels come out."""
    photo = decode_photo(FORMATS["jpeg"]() + BAD_FILES["a page"].make() + BAD_FILES["archive"].make())
    assert photo.sha256 == decode_photo(FORMATS["jpeg"]()).sha256


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    broken = bytearray(data)
    for _ in range(random.integers(1, 6)):
        at = int(random.integers(len(broken)))
        match random.integers(4):
            case 0:
                broken[at] ^= 1 << int(random.integers(8))
            case 1:
                broken[at : at + 8] = random.bytes(8)
            case 2:
                del broken[at : at + int(random.integers(1, 30))]
            case _:
                broken[at:at] = bytes(int(random.integers(1, 30)))
    return bytes(broken)


@pytest.mark.parametrize("name", [*FORMATS, "rgba png"])
def test_a_mutated_file_is_refused_in_words_or_is_a_photo(name: str) -> None:
    data = encoded(scene_rgba(), "PNG") if name == "rgba png" else FORMATS[name]()
    random = np.random.default_rng(list(name.encode()))
    limits = Limits(max_pixels=2_000_000)  # a changed size costs memory, not truth
    for turn in range(60):
        try:
            photo = decode_photo(mutated(data, random), limits)
        except TurnaroundError as refused:
            assert is_for_people(str(refused)), (turn, refused)
        else:
            assert photo.rgba.dtype == np.uint8
            assert photo.rgba.shape[2] == 4


def test_nothing_of_pillow_is_changed_for_others() -> None:
    before = (Image.MAX_IMAGE_PIXELS, dict(Image.OPEN), list(Image.ID), list(warnings.filters))
    decode_photo(FORMATS["heic"]())
    refusal(BAD_FILES["bomb: 30000 x 30000"].make())
    assert (Image.MAX_IMAGE_PIXELS, dict(Image.OPEN), list(Image.ID), list(warnings.filters)) == before


def test_importing_loads_no_decoder_of_heic() -> None:
    code = "import sys, json, pipelines.core.images; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, env=os.environ))
    assert not {"pillow_heif", "_pillow_heif", "PIL.EpsImagePlugin", "PIL.PsdImagePlugin", "cv2"} & set(loaded)


# --- The photo as a value ---------------------------------------------------------------------------------------------


def test_a_photos_pixels_cannot_be_changed() -> None:
    photo = decode_photo(FORMATS["png"]())
    assert photo.rgba.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        photo.rgba[0, 0] = 0


def test_the_hash_is_of_size_and_pixels() -> None:
    hashes = {decode_photo(FORMATS[name]()).sha256 for name in ("png", "bmp", "tiff", "webp, lossless")}
    assert len(hashes) == 1
    pixels = scene_rgba()
    assert Photo.of(pixels, (96, 72)).sha256 != Photo.of(pixels.reshape(96, 72, 4), (72, 96)).sha256
    changed = pixels.copy()
    changed[5, 5, 0] += 1
    assert Photo.of(pixels, (96, 72)).sha256 != Photo.of(changed, (96, 72)).sha256


def test_making_a_photo_leaves_the_callers_array_writable() -> None:
    pixels = scene_rgba().copy()
    Photo.of(pixels, (96, 72))
    pixels[0, 0] = 1


# --- Resizing ---------------------------------------------------------------------------------------------------------


def test_resizing_takes_no_colour_from_what_is_transparent() -> None:
    """A red disc on transparent green keeps a red edge."""
    y, x = np.mgrid[:200, :200] + 0.5
    rgba = np.zeros((200, 200, 4), np.uint8)
    inside = np.hypot(x - 100, y - 100) < 80
    rgba[...] = (0, 255, 0, 0)
    rgba[inside] = (255, 0, 0, 255)
    small = resize_rgba(rgba, (50, 50))
    soft = small[(small[..., 3] > 8)]
    assert (soft[:, 3] < 250).any()
    assert soft[:, 0].min() >= 250
    assert soft[:, 1].max() <= 5
    assert (small[small[..., 3] == 0] == 0).all()


@pytest.mark.parametrize("size", [(40, 30), (160, 120), (333, 77), (1600, 1200)])
@pytest.mark.parametrize("opaque", [True, False])
def test_resizing_keeps_pixel_centres_at_halves(size: tuple[int, int], opaque: bool) -> None:
    """A ramp across the picture is the same ramp at any size: no shift by half a pixel."""
    width, height = size
    ramp = np.zeros((240, 320, 4), np.uint8)
    ramp[..., 0] = ((np.arange(320) + 0.5) / 320 * 255)[None]
    ramp[..., 1] = ((np.arange(240) + 0.5) / 240 * 255)[:, None]
    ramp[..., 3] = 255 if opaque else 128
    resized = resize_rgba(ramp, size).astype(float)
    inner = np.s_[height // 8 : -(height // 8), width // 8 : -(width // 8)]
    expected_x = np.broadcast_to(((np.arange(width) + 0.5) / width * 255)[None], (height, width))
    expected_y = np.broadcast_to(((np.arange(height) + 0.5) / height * 255)[:, None], (height, width))
    assert abs((resized[..., 0] - expected_x)[inner].mean() + 0.5) < 0.15  # bytes were rounded down
    assert abs((resized[..., 1] - expected_y)[inner].mean() + 0.5) < 0.15
    assert np.abs(resized[..., 0] - expected_x)[inner].max() < 2.5
    assert set(np.unique(resized[..., 3])) == {255.0 if opaque else 128.0}


def test_resizing_to_the_same_size_changes_nothing() -> None:
    assert np.array_equal(resize_rgba(scene_rgba(), (96, 72)), scene_rgba())
