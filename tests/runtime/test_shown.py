"""The small pictures of the wall: the right size, the right colours, and nothing where nothing is."""

import dataclasses
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipelines.core.cameras import View, orbit
from pipelines.core.errors import Cancelled
from pipelines.runtime.method import Report, Request, Turnaround
from pipelines.runtime.results import write_turnaround
from pipelines.runtime.shown import (
    INVENTED,
    OWN,
    confidence_picture,
    depth_picture,
    depth_range,
    normals_picture,
    webp_bytes,
)
from pipelines.runtime.stored import StoredTurnaround
from tests.toy_methods import Ball, Fixed, Flat, a_ball, a_subject

SIZES = pytest.mark.parametrize("size_px", [96, 384, 385, 576])


def rendered(views: tuple[View, ...], size_px: int = 96) -> tuple[Turnaround, Request]:
    request = Request(a_subject(), views, size_px=size_px)
    return Ball()(request, Report()), request


def read(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        assert picture.format == "WEBP"
        return np.asarray(picture.convert("RGBA"))


def pictures(stored: StoredTurnaround, kind: str = "view") -> tuple[Path, ...]:
    return tuple(
        stored.folder / name for name in stored.manifest.files if name.startswith(kind) and name.endswith(".webp")
    )


def centre(picture: NDArray[np.uint8]) -> NDArray[np.int_]:
    height, width = picture.shape[:2]
    middle = picture[int(height * 0.48) : int(height * 0.52) + 1, int(width * 0.48) : int(width * 0.52) + 1]
    return np.rint(middle.reshape(-1, picture.shape[2]).mean(axis=0)).astype(int)


def test_every_frame_has_its_pictures_and_the_manifest_vouches_for_them(tmp_path: Path):
    made, request = rendered(orbit(3, 15), 400)
    written = write_turnaround(tmp_path, made, request, Ball.card, wall=True)
    stored = StoredTurnaround(tmp_path, written.manifest)
    assert [path.name for path in pictures(stored)] == ["view_000.webp", "view_001.webp", "view_002.webp"]
    for kind, size_px in (
        (pictures(stored), 400),
        (pictures(stored, "depth"), 384),
        (pictures(stored, "normals"), 384),
    ):
        assert len(kind) == 3
        for path in kind:
            assert read(path).shape == (size_px, size_px, 4)
            record = written.manifest.files[path.name]
            data = path.read_bytes()
            assert (record.bytes, record.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    for picture, frame in zip(pictures(stored), made.frames, strict=True):
        shown = read(picture)
        assert np.array_equal(shown[..., 3], frame.rgba[..., 3]), "alpha is exact"
        assert abs(centre(shown) - centre(frame.rgba)).max() <= 6


def test_without_geometry_there_are_only_the_views(tmp_path: Path):
    request = Request(a_subject(), orbit(2))
    made = Flat()(request, Report())
    stored = StoredTurnaround(tmp_path, write_turnaround(tmp_path, made, request, Flat.card, wall=True).manifest)
    assert len(pictures(stored)) == 2 and pictures(stored, "depth") == pictures(stored, "normals") == ()


def test_geometry_that_some_frames_lack_is_not_shown_at_all(tmp_path: Path):
    made, request = rendered(orbit(2))
    frames = (made.frames[0], dataclasses.replace(made.frames[1], depth=None))
    made = dataclasses.replace(made, frames=frames)
    stored = StoredTurnaround(tmp_path, write_turnaround(tmp_path, made, request, Ball.card, wall=True).manifest)
    assert pictures(stored, "depth") == () and len(pictures(stored, "normals")) == 2
    assert not list(tmp_path.glob("depth_*"))


def test_whoever_wants_no_wall_gets_none_of_its_pictures(tmp_path: Path):
    made, request = rendered(orbit(2))
    stored = StoredTurnaround(tmp_path, write_turnaround(tmp_path, made, request, Ball.card).manifest)
    assert pictures(stored) == pictures(stored, "depth") == pictures(stored, "normals") == ()


def test_the_same_turnaround_makes_the_same_pictures(tmp_path: Path):
    made, request = rendered(orbit(2), 400)
    some, others = (write_turnaround(tmp_path / name, made, request, Ball.card, wall=True) for name in "ab")
    assert some.manifest.files == others.manifest.files


def test_f9_writing_them_can_be_cancelled_and_leaves_nothing(tmp_path: Path):
    made, request = rendered(orbit(4))
    asked = 0

    def check() -> None:
        nonlocal asked
        asked += 1
        if asked > 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        write_turnaround(tmp_path, made, request, Ball.card, wall=True, check=check)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_method_with_cameras_of_its_own_has_pictures_too(tmp_path: Path):
    request = Request(a_subject(), orbit(4), size_px=64)
    made = Fixed()(request, Report())
    assert not any(frame.exact for frame in made.frames)
    stored = StoredTurnaround(tmp_path, write_turnaround(tmp_path, made, request, Fixed.card, wall=True).manifest)
    assert len(pictures(stored)) == len(pictures(stored, "depth")) == len(pictures(stored, "normals")) == 6


# --- What they show ---------------------------------------------------------------------------------------------------


@SIZES
def test_near_is_bright_and_far_is_dark_and_nothing_is_transparent(size_px: int):
    depth = a_ball(View(20, 10), View(20, 10), size_px, 0.8).depth
    assert depth is not None
    picture = depth_picture(depth, depth_range([depth]))
    assert picture.shape == (min(size_px, 384), min(size_px, 384), 4) and picture.dtype == np.uint8
    middle = len(picture) // 2
    brightness = picture[middle, :, :3].astype(int).sum(axis=1)
    inside = np.flatnonzero(picture[middle, :, 3] == 255)
    left, right = inside[inside < middle], inside[inside >= middle]
    assert (np.diff(brightness[left]) >= 0).all() and (np.diff(brightness[right]) <= 0).all()
    assert brightness[middle] > 600 > 300 > brightness[inside[0]] > 60
    assert (picture[:4, :4, 3] == 0).all()


def test_one_range_serves_the_whole_turnaround():
    near, far = (a_ball(View(0, 0, distance), View(0, 0, distance), 96, 0.8).depth for distance in (1.0, 1.3))
    assert near is not None and far is not None
    bounds = depth_range([near, far])
    assert near[near > 0].min() - 0.02 < bounds[0] < bounds[1] < far.max() + 0.02
    assert centre(depth_picture(near, bounds))[:3].sum() > centre(depth_picture(far, bounds))[:3].sum() + 100


@pytest.mark.parametrize("depth", [np.zeros((32, 32)), np.full((32, 32), 2.0)], ids=["nothing", "a wall"])
def test_depth_without_any_range_makes_a_picture_too(depth: NDArray[np.float64]):
    values = depth.astype(np.float32)
    picture = depth_picture(values, depth_range([values]))
    assert (picture[..., 3] == (255 if depth.any() else 0)).all()


def test_one_stray_pixel_does_not_take_the_range():
    depth = a_ball(View(), View(), 96, 0.8).depth
    assert depth is not None
    before = depth_range([depth])
    depth[48, 48] = 90.0
    assert depth_range([depth]) == pytest.approx(before, abs=0.02)


@SIZES
@pytest.mark.parametrize("view", [View(0, 0), View(90, 20), View(180, -40), View(-120, 90)], ids=str)
def test_normals_are_painted_in_the_axes_of_the_camera(size_px: int, view: View):
    """Of a ball each camera sees the same: red grows to the right, green upwards, and blue is what faces it."""
    normals = a_ball(view, view, size_px, 0.8).normals
    assert normals is not None
    picture = normals_picture(normals, view)
    assert picture.shape == (min(size_px, 384), min(size_px, 384), 4)
    assert abs(centre(picture) - (128, 128, 255, 255)).max() <= 3
    at = len(picture) / 2 + np.array([-0.28, 0.28]) * len(picture)  # 0.7 of the radius to either side: 45 degrees
    low, high = (int(value) for value in at)
    middle = len(picture) // 2
    right, left = picture[middle, high, :3].astype(int), picture[middle, low, :3].astype(int)
    up, down = picture[low, middle, :3].astype(int), picture[high, middle, :3].astype(int)
    for seen, expected in (
        (right, (218, 128, 218)),
        (left, (37, 128, 218)),
        (up, (128, 218, 218)),
        (down, (128, 37, 218)),
    ):
        assert abs(seen - expected).max() <= 6
    assert (picture[:4, :4, 3] == 0).all()


@pytest.mark.parametrize("shape", [(600, 300), (300, 600), (40, 20)])
def test_pictures_keep_their_proportions(shape: tuple[int, int]):
    values = np.ones(shape, np.float32)
    normals = np.dstack([np.zeros(shape), np.zeros(shape), np.ones(shape)]).astype(np.float32)
    scale = min(1.0, 384 / max(shape))
    expected = (round(shape[0] * scale), round(shape[1] * scale), 4)
    assert depth_picture(values, (0.5, 2.0)).shape == normals_picture(normals, View()).shape == expected


def test_no_rim_of_another_colour_comes_round_the_object():
    """Made smaller, a border pixel is partly there; its colour is that of the part."""
    depth = np.zeros((576, 576), np.float32)
    depth[100:401, 100:401] = 2.0
    picture = depth_picture(depth, (1.0, 3.0))
    colours = {tuple(colour) for colour in picture[picture[..., 3] > 8][:, :3]}
    spread = np.ptp(np.array(sorted(colours)).astype(int), axis=0)
    assert (spread <= 6).all() and ((picture[..., 3] > 0) & (picture[..., 3] < 255)).any()


def test_the_pictures_given_are_left_as_they_are():
    frame = a_ball(View(30, 0), View(30, 0), 96, 0.8)
    assert frame.depth is not None and frame.normals is not None
    before = [values.copy() for values in (frame.rgba, frame.depth, frame.normals)]
    depth_picture(frame.depth, depth_range([frame.depth]))
    normals_picture(frame.normals, frame.view)
    webp_bytes(frame.rgba)
    for values, kept in zip((frame.rgba, frame.depth, frame.normals), before, strict=True):
        np.testing.assert_array_equal(values, kept)


def test_a_picture_carries_no_metadata_and_is_small():
    data = webp_bytes(a_ball(View(30, 0), View(30, 0), 576, 0.8).rgba)
    assert len(data) < 40_000
    with Image.open(io.BytesIO(data)) as picture:
        assert not picture.getexif() and "icc_profile" not in picture.info and "xmp" not in picture.info


def test_what_is_the_photos_own_is_told_from_what_was_invented(tmp_path: Path):
    confidence = np.zeros((96, 96), np.uint8)
    confidence[:, 48:] = 255
    made, request = rendered(orbit(2))
    frames = tuple(dataclasses.replace(frame, confidence=confidence) for frame in made.frames)
    picture = confidence_picture(frames[0])
    assert tuple(picture[48, 40, :3]) == INVENTED and tuple(picture[48, 56, :3]) == OWN
    assert np.array_equal(picture[..., 3], frames[0].rgba[..., 3])

    written = write_turnaround(tmp_path, dataclasses.replace(made, frames=frames), request, Ball.card, wall=True)
    assert {"confidence_000.webp", "confidence_001.webp"} < set(written.manifest.files)
    with Image.open(tmp_path / "confidence_001.png") as exact:
        assert np.array_equal(np.asarray(exact), confidence)
