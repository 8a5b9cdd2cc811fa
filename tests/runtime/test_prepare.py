"""From a photo to the subject, whole: what is kept, what is removed, what is recorded, what is refused."""

import socket
import threading

import cv2
import numpy as np
import pytest

from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.core.images import Photo
from pipelines.runtime.method import Report
from pipelines.runtime.prepare import check_remover, prepare
from pipelines.runtime.removers import OUTLINE, REMOVERS
from pipelines.runtime.settings import Settings


@pytest.fixture
def settings(tmp_path) -> Settings:
    with socket.socket() as unused:  # nobody listens there: a fetch that nobody asked for would fail
        unused.bind(("127.0.0.1", 0))
        return Settings(data=tmp_path, rembg_url=f"http://127.0.0.1:{unused.getsockname()[1]}/")


def ball(width: int = 300, height: int = 240, radius: float = 70) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    return np.clip(radius - np.hypot(columns - width * 0.45, rows - height / 2) + 0.5, 0, 1)


def photograph(alpha: np.ndarray, notes: tuple[str, ...] = ()) -> Photo:
    """A red ball on a grey wall, opaque."""
    light = np.linspace(1, 0.8, alpha.shape[0])[:, None, None]
    mixed = np.array((180, 40, 40)) * alpha[..., None] + np.array((205, 208, 210)) * light * (1 - alpha[..., None])
    rgba = np.dstack([np.rint(mixed), np.full(alpha.shape, 255)]).astype(np.uint8)
    return Photo.of(rgba, alpha.shape[::-1], notes)


def cut_out(alpha: np.ndarray) -> Photo:
    rgba = np.zeros((*alpha.shape, 4), np.uint8)
    rgba[alpha > 0, :3] = (180, 40, 40)
    rgba[..., 3] = np.rint(alpha * 255)
    return Photo.of(rgba, alpha.shape[::-1])


def roundness(rgba: np.ndarray) -> float:
    """IoU with the disc that a ball of the default size becomes."""
    side = len(rgba)
    rows, columns = np.mgrid[0:side, 0:side] + 0.5
    disc = np.hypot(columns - side / 2, rows - side / 2) < 0.4 * side
    shown = rgba[..., 3] >= 128
    return (shown & disc).sum() / (shown | disc).sum()


def test_auto_keeps_an_alpha_that_cuts_something_out(settings) -> None:
    subject = prepare(cut_out(ball()), settings=settings)
    assert subject.made.remover == "alpha"
    assert roundness(subject.rgba) > 0.99


def test_auto_removes_the_background_of_an_opaque_photo_without_fetching_anything(settings) -> None:
    photo = photograph(ball(), ("The first of 12 frames was used.",))
    subject = prepare(photo, settings=settings, elevation_deg=15)
    assert subject.made.remover == OUTLINE
    assert subject.made.photo_sha256 == photo.sha256 and subject.made.photo_size_px == (300, 240)
    assert subject.made.notes[0] == "The first of 12 frames was used."
    assert subject.elevation_deg == 15
    assert roundness(subject.rgba) > 0.97
    assert list(settings.data.iterdir()) == []


def test_auto_takes_the_same_remover_when_a_model_lies_on_disk(settings) -> None:
    (settings.data / "models" / "rembg").mkdir(parents=True)
    (settings.data / "models" / "rembg" / "u2net.onnx").write_bytes(b"not even a model")
    assert prepare(photograph(ball()), settings=settings).made.remover == OUTLINE


def test_none_keeps_the_whole_picture(settings) -> None:
    subject = prepare(photograph(ball()), remover="none", settings=settings)
    assert subject.made.remover == "none" and subject.made.notes == ()
    rows, columns = np.flatnonzero(subject.rgba[..., 3].max(1) > 127), np.flatnonzero(subject.rgba[..., 3].max(0) > 127)
    assert len(columns) == pytest.approx(0.8 * 1024, abs=1) and len(rows) == pytest.approx(0.64 * 1024, abs=1)


@pytest.mark.parametrize("veil", [130, 254])
def test_a_ghostly_photo_is_treated_as_opaque(settings, veil) -> None:
    rgba = photograph(ball()).rgba.copy()
    rgba[..., 3] = veil
    subject = prepare(Photo.of(rgba, (300, 240)), settings=settings)
    assert subject.made.remover == OUTLINE
    assert roundness(subject.rgba) > 0.97 and subject.rgba[512, 512, 3] == 255


def test_a_transparent_frame_of_a_pixel_neither_counts_nor_disturbs(settings) -> None:
    rgba = photograph(ball()).rgba.copy()
    rgba[[0, -1]] = 0
    rgba[:, [0, -1]] = 0
    subject = prepare(Photo.of(rgba, (300, 240)), settings=settings)
    assert subject.made.remover == OUTLINE and roundness(subject.rgba) > 0.97


def test_a_hole_in_an_alpha_that_cuts_nothing_out_stays_a_hole(settings) -> None:
    rgba = photograph(ball()).rgba.copy()
    rgba[114:126, 129:141, 3] = 0  # 12 px in the ball's middle: less than 2 % of the photo
    subject = prepare(Photo.of(rgba, (300, 240)), settings=settings)
    assert subject.made.remover == OUTLINE
    assert subject.rgba[512, 512, 3] == 0 and subject.rgba[512, 700, 3] == 255


@pytest.mark.parametrize("shade", [1, 254])
def test_a_dark_cut_out_is_shown_to_a_remover_on_white_and_a_light_one_on_black(settings, shade) -> None:
    rgba = cut_out(ball()).rgba.copy()
    rgba[rgba[..., 3] > 0, :3] = shade
    subject = prepare(Photo.of(rgba, (300, 240)), remover=OUTLINE, settings=settings)
    assert subject.made.remover == OUTLINE and roundness(subject.rgba) > 0.97


def test_a_remover_asked_for_by_name_works_on_a_cut_out_too(settings) -> None:
    subject = prepare(cut_out(ball()), remover=OUTLINE, settings=settings)
    assert subject.made.remover == OUTLINE and roundness(subject.rgba) > 0.97


def test_no_grey_of_the_wall_is_left_in_the_finished_cut_out(settings) -> None:
    alpha = cv2.GaussianBlur(ball(600, 480, 140).astype(np.float32), (0, 0), 0.7)
    shown = prepare(photograph(alpha), settings=settings).rgba
    edge = (shown[..., 3] > 25) & (shown[..., 3] < 230)
    assert edge.sum() > 500
    wall = (shown[edge][:, 1] - 40.0) / (190 - 40)  # green is 40 in the ball, about 190 in the wall
    assert np.median(wall) < 0.2 and wall.mean() < 0.25  # half of the mixed colours is wall


def test_a_model_that_cannot_be_fetched_is_said_and_never_replaced(settings) -> None:
    with pytest.raises(TurnaroundError) as caught:
        prepare(photograph(ball()), remover="u2netp", settings=settings)
    assert "cannot be reached" in str(caught.value) and REMOVERS[OUTLINE].title in str(caught.value)


@pytest.mark.parametrize("size", [(64, 64), (512, 64), (64, 512), (2048, 256)])
def test_small_and_long_photos_are_prepared(settings, size) -> None:
    width, height = size
    subject = prepare(photograph(ball(width, height, 0.3 * min(size))), settings=settings)
    assert roundness(subject.rgba) > 0.85


def test_a_photo_of_a_wall_has_no_object(settings) -> None:
    with pytest.raises(TurnaroundError, match="No object was found in this photo"):
        prepare(photograph(np.zeros((240, 300))), settings=settings)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"remover": "bria-rmbg"}, "no background remover 'bria-rmbg'"),
        ({"remover": "../u2net"}, "no background remover"),
        ({"remover": ["u2net"]}, "no background remover"),
        ({"fill": float("nan")}, "share of the frame"),
        ({"fill": 2}, "share of the frame"),
        ({"elevation_deg": float("inf")}, "photo's elevation"),
    ],
)
def test_wrong_wishes_are_refused_before_any_work(settings, wrong, sentence) -> None:
    seen: list[str] = []
    report = Report(lambda fraction, message, preview: seen.append(message))
    with pytest.raises(TurnaroundError, match=sentence):
        prepare(photograph(ball()), settings=settings, report=report, **wrong)
    assert seen == []


def test_every_choice_is_offered_in_the_refusal() -> None:
    with pytest.raises(TurnaroundError) as caught:
        check_remover("x")
    assert all(key in str(caught.value) for key in ("auto", "none", *REMOVERS))


def test_cancel_stops_the_preparation(settings) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        prepare(photograph(ball()), settings=settings, report=Report(None, cancelled))


def test_the_same_photo_gives_the_same_subject_to_the_bit(settings) -> None:
    photo = photograph(ball())
    assert np.array_equal(prepare(photo, settings=settings).rgba, prepare(photo, settings=settings).rgba)
