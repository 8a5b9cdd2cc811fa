"""A visitor's own depth: what is read, what is refused in words, and where it comes to lie in the subject's frame."""

import io
import pickle
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipelines.core.depth_map import MEDIAN_LEVEL, DepthMap, decode_depth
from pipelines.core.errors import TurnaroundError
from pipelines.core.images import DEFAULT_LIMITS
from pipelines.core.subject import ALPHA, make_subject
from tests.core.photos import disc, photo_of, plain

RAMP = np.tile(np.linspace(1, 3, 96), (80, 1))


def npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def png(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def read(data: bytes) -> DepthMap:
    return decode_depth(data, DEFAULT_LIMITS)


def refusal(data: bytes) -> str:
    with pytest.raises(TurnaroundError) as refused:
        read(data)
    return str(refused.value)


def is_the_ramp(depth: DepthMap, within: float = 1e-3) -> bool:
    return depth.values.shape == RAMP.shape and bool(np.abs(depth.values * 3 - RAMP).max() < within)


# --- What is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f4", "<f8", "<u2", ">u2", "<i4", "<u8"])
def test_any_plain_numbers_of_an_npy_are_read(kind: str):
    scaled = RAMP if np.dtype(kind).kind == "f" else np.rint(RAMP * 10_000)
    assert is_the_ramp(read(npy(scaled.astype(kind))))


@pytest.mark.parametrize("shaped", [RAMP[None], RAMP[..., None], RAMP[None, None], np.asfortranarray(RAMP)])
def test_sides_of_one_are_dropped_and_columns_may_come_first(shaped: np.ndarray):
    assert is_the_ramp(read(npy(shaped)))


def test_a_png_of_sixteen_bits_is_read_exactly_and_one_of_eight_says_so():
    assert is_the_ramp(fine := read(png(np.rint(RAMP * 20_000).astype(np.uint16))), 1e-4) and not fine.notes
    grey = np.rint(RAMP * 80).astype(np.uint8)
    for coarse in (read(png(grey)), read(png(np.dstack([grey] * 3)))):
        assert is_the_ramp(coarse, 0.02) and "at most 256 steps" in coarse.notes[0]


def test_what_is_no_distance_is_unknown():
    odd = RAMP.copy()
    odd[0, :5] = np.nan, np.inf, -np.inf, 0, -2
    values = read(npy(odd)).values
    assert not values[0, :5].any() and values[0, 5:].all() and values[1:].all()
    holed = np.dstack([np.full((80, 96, 3), 90, np.uint8), np.where(RAMP < 2, 0, 255).astype(np.uint8)])
    assert (read(png(holed)).values > 0).tolist() == (RAMP >= 2).tolist()


def test_a_large_one_is_reduced_by_what_is_known_in_it():
    large = np.full((3000, 4000), 2.0, np.float16)
    large[:, :2001] = np.nan
    values = read(npy(large)).values
    assert values.shape == (1536, 2048)
    assert not values[:, :1024].any() and (values[:, 1025:] == 1).all()


def test_numbers_too_large_for_a_float_of_half_the_size_still_tell_the_rest():
    odd = RAMP * 1e30
    odd[0, 0] = 1e300
    assert np.ptp(read(npy(odd)).values[1:]) > 0.5


# --- What is refused --------------------------------------------------------------------------------------------------


def pickled() -> bytes:
    class Bomb:
        def __reduce__(self):
            return (exec, ("raise SystemExit('the pickle was opened')",))

    file = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": (80, 96)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + pickle.dumps([Bomb()] * 4)


def npy_that_says(header: str) -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + b"\0" * 4096


def lying_png() -> bytes:
    """60,000 pixels a side, in a few bytes."""
    data = bytearray(png(np.ones((80, 96), np.uint16)))
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"solid depth", "neither a PNG nor an NPY"),
        (png(np.ones((80, 96), np.uint16))[:-40], "damaged, cut off"),
        (npy(RAMP)[:-8], "damaged, cut off"),
        (npy(RAMP)[:9], "damaged, cut off"),
        (b"\x93NUMPY\7\7" + npy(RAMP)[8:], "damaged, cut off"),
        (pickled(), "does not hold plain numbers"),
        (npy(np.ones((80, 96), complex)), "does not hold plain numbers"),
        (npy(np.ones((80, 96), bool)), "does not hold plain numbers"),
        (npy(np.ones((80, 96), [("x", "<f4")])), "does not hold plain numbers"),
        (npy(np.ones((80, 96, 3))), "(80, 96, 3); a depth has a height and a width"),
        (npy(np.ones(9000)), "a depth has a height and a width"),
        (npy(np.array(1.0)), "a depth has a height and a width"),
        (npy(np.ones((20, 96))), "The depth is 96 x 20 pixels: too small"),
        (npy_that_says("{'descr': '<f4', 'fortran_order': False, 'shape': (60000, 60000)}"), "too large"),
        (npy_that_says("{'descr': '<f4', 'fortran_order': False, 'shape': (900, 900)}"), "damaged, cut off"),
        (npy_that_says("{'descr': '<f4', 'fortran_order': False, 'shape': (-90, 900)}"), "damaged"),
        (npy_that_says(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**150}, {10**150})}}"), "damaged"),
        (npy_that_says("__import__('os').abort()"), "damaged, cut off"),
        (npy_that_says("(" * 9000), "damaged, cut off"),
        (lying_png(), "too large"),
        (npy(np.zeros((80, 96))), "no distance anywhere"),
        (npy(np.full((80, 96), np.nan)), "no distance anywhere"),
        (png(np.dstack([np.rint(RAMP * 80)] * 2 + [np.rint(RAMP * 20)]).astype(np.uint8)), "coloured"),
    ],
)
def test_what_is_no_depth_gets_its_sentence(data: bytes, said: str):
    assert said in refusal(data)


def test_too_many_bytes_are_refused_unread():
    small = replace(DEFAULT_LIMITS, max_bytes=1000)
    with pytest.raises(TurnaroundError, match=r"at most 0\.0 MB .* 16-bit PNG"):
        decode_depth(npy(RAMP), small)


# --- In the frame -----------------------------------------------------------------------------------------------------

HEIGHT, WIDTH = 300, 400
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5


def framed(depth: np.ndarray, fill: float = 0.8) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    alpha = disc(WIDTH, HEIGHT, 150, 130, 60)
    subject = make_subject(
        photo_of(plain(WIDTH, HEIGHT, (90, 90, 90)), alpha), alpha, ALPHA, fill=fill, depth=DepthMap(depth)
    )
    assert subject.depth is not None and not subject.depth.flags.writeable
    return subject.depth, subject.rgba[..., 3], subject.made.crop_px


@pytest.mark.parametrize("times", [1, 2, 0.5])
@pytest.mark.parametrize("fill", [0.5, 0.9])
def test_it_lies_where_the_photo_does_whatever_its_size(times: float, fill: float):
    y, x = np.mgrid[0 : HEIGHT * times, 0 : WIDTH * times] + 0.5
    depth, alpha, (left, top, right, bottom) = framed((1000 + x / times + 2 * y / times).astype(np.float32), fill)
    side = len(depth)
    centres = (np.arange(side) + 0.5) / side
    expected = 1000 + (left + centres * (right - left)) + 2 * (top + centres * (bottom - top))[:, None]
    inside = alpha == 255
    found = depth[inside] * np.median(expected[alpha > 0]) / MEDIAN_LEVEL
    assert np.abs(found - expected[inside]).max() < 0.15  # of a photo's pixel


def test_beyond_the_object_and_where_it_is_unknown_there_is_nothing():
    values = np.full((HEIGHT, WIDTH), 5, np.float32)
    values[:, :150] = 0
    depth, alpha, _ = framed(values)
    assert not depth[alpha == 0].any() and not depth[:, :510].any()
    assert (depth[:, 514:][alpha[:, 514:] > 0] == MEDIAN_LEVEL).all()


def test_a_far_background_costs_the_object_no_steps():
    values = np.where(disc(WIDTH, HEIGHT, 150, 130, 70) > 0, 2 + X / 1000, 1e6).astype(np.float32)
    depth, alpha, _ = framed(values)
    assert len(np.unique(depth[alpha > 0])) > 500


def test_one_of_another_shape_is_refused_and_one_of_other_things_is_unknown():
    with pytest.raises(TurnaroundError, match=r"1 times as wide as high instead of 1\.33"):
        framed(np.ones((400, 400), np.float32))
    assert not framed(np.where(X > 250, 1, 0).astype(np.float32))[0].any()
