"""A cut-out put on plain white or grey and taken off again: the same cut-out."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.core.backdrop import off_backdrop, on_backdrop, reframed, zoomed_fov_deg
from pipelines.core.images import Photo
from pipelines.core.mask import contour_box, longest_side
from pipelines.core.subject import Subject, make_subject
from tests.core.photos import disc
from tests.inflate import shapes
from tests.toy_methods import a_subject

S = 256
TEAPOT, WHITE, MID_GREY = (200, 60, 40), 255, 127
each_grey = pytest.mark.parametrize("grey", [WHITE, MID_GREY])


def on_plain(rgba: np.ndarray, grey: int) -> np.ndarray:
    alpha = rgba[..., 3:] / 255
    return np.rint(rgba[..., :3] * alpha + grey * (1 - alpha)).astype(np.uint8)


def coloured(alpha: np.ndarray, colour: tuple[int, int, int] = TEAPOT) -> np.ndarray:
    return np.dstack([np.broadcast_to(np.array(colour, np.uint8), (*alpha.shape, 3)), np.rint(255 * alpha)]).astype(
        np.uint8
    )


def without_gaps(alpha: np.ndarray) -> np.ndarray:
    _, parts = cv2.connectedComponents((alpha == 0).astype(np.uint8), connectivity=4)
    return np.where((parts > 0) & (parts != parts[0, 0]), 1, alpha)


def overlap(truth: np.ndarray, found: np.ndarray) -> float:
    a, b = truth[..., 3] > 127, found[..., 3] > 127
    return (a & b).sum() / (a | b).sum()


def colour_error(truth: np.ndarray, found: np.ndarray) -> float:
    both = (truth[..., 3] > 40) & (found[..., 3] > 40)
    return float(np.abs(truth[both][:, :3].astype(int) - found[both][:, :3]).mean())


@each_grey
@pytest.mark.parametrize("softness_px", [0, 0.7, 1.2, 1.5])
@pytest.mark.parametrize("colour", [TEAPOT, (20, 20, 25), (60, 140, 220)])
def test_a_disc_comes_back_with_its_soft_edge_and_without_the_backdrops_colour(grey, softness_px, colour):
    alpha = disc(S, S, 120.3, 131.8, 70)
    alpha = cv2.GaussianBlur(alpha, (0, 0), softness_px) if softness_px else alpha
    truth = coloured(alpha, colour)
    found = off_backdrop(on_plain(truth, grey), grey)
    assert overlap(truth, found) > 0.99
    rim = (alpha > 0.04) & (alpha < 0.96)
    assert np.abs(found[..., 3] / 255 - alpha)[rim].mean() < 0.02 + 0.03 * softness_px
    assert colour_error(truth, found) < 2


@each_grey
@pytest.mark.parametrize("shape", [shapes.animal, shapes.letter_b])
def test_a_painted_shape_comes_back(grey, shape):
    mask = shape()
    truth = shapes.painted(np.rint(255 * without_gaps(mask / 255)).astype(np.uint8) if grey == WHITE else mask)
    found = off_backdrop(on_plain(truth, grey), grey)
    assert overlap(truth, found) > 0.98 and colour_error(truth, found) < 5


@each_grey
@pytest.mark.parametrize("photo", ["3-cactus.webp", "4-rocket.webp"])
def test_a_photos_cut_out_comes_back(grey, photo):
    truth = example(photo)
    found = off_backdrop(on_plain(truth, grey), grey)
    assert overlap(truth, found) > 0.97
    assert np.abs(on_plain(found, grey).astype(int) - on_plain(truth, grey)).mean() < 0.1


def example(name: str) -> np.ndarray:
    from PIL import Image

    rgba = np.array(Image.open(Path("assets/examples") / name).convert("RGBA"))
    subject = make_subject(Photo.of(rgba, rgba.shape[1::-1]), rgba[..., 3] / np.float32(255), "alpha")
    return reframed(subject.rgba, 1.0, S)


@each_grey
@pytest.mark.parametrize("softness_px", [0, 1.2])
def test_put_on_the_backdrop_again_it_is_the_same_picture(grey, softness_px):
    alpha = disc(S, S, 128, 128, 60)
    truth = coloured(cv2.GaussianBlur(alpha, (0, 0), softness_px) if softness_px else alpha)
    truth[100:140, 100:140, :3] = (10, 200, 90)
    before = on_plain(truth, grey)
    assert np.abs(on_plain(off_backdrop(before, grey), grey).astype(int) - before).max() <= 3


# --- Enclosed parts of the backdrop's colour --------------------------------------------------------------------------


def ring() -> np.ndarray:
    return disc(S, S, 128, 128, 90) - disc(S, S, 128, 128, 50)


def mug() -> np.ndarray:
    """A body, and a handle with a gap of 12 x 44 px."""
    body, handle = np.zeros((S, S), np.float32), np.zeros((S, S), np.float32)
    cv2.rectangle(body, (50, 60), (150, 200), 1, -1)
    cv2.ellipse(handle, (152, 130), (26, 40), 0, 0, 360, 1, -1)
    cv2.ellipse(handle, (152, 130), (12, 22), 0, 0, 360, 0, -1)
    return np.maximum(body, handle)


def chair() -> np.ndarray:
    """Rails with 9 px between them."""
    back = np.zeros((S, S), np.float32)
    back[40:216, 60:190] = 1
    for x in range(72, 180, 17):
        back[56:150, x : x + 9] = 0
    return back


def shaded(alpha: np.ndarray) -> np.ndarray:
    """Coloured as objects are: darker downwards and to one side."""
    rows, columns = np.mgrid[0:S, 0:S] / S
    light = (1.15 - 0.5 * rows - 0.25 * columns)[..., None]
    colours = np.clip(np.array(TEAPOT) * light, 0, 255)
    return np.dstack([np.rint(colours), np.rint(255 * alpha)]).astype(np.uint8)


def as_decoded(rgb: np.ndarray, noise: float) -> np.ndarray:
    """With a decoder's soft noise."""
    random = np.random.default_rng(5).normal(0, 2 * noise, rgb.shape).astype(np.float32)
    return np.rint(rgb + cv2.GaussianBlur(random, (0, 0), 1.0)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("softness_px", [0, 1.0])
@pytest.mark.parametrize("noise", [0, 1, 3])
@pytest.mark.parametrize("shape", [ring, mug, chair])
def test_on_grey_one_can_see_through_a_gap(shape, noise: float, softness_px: float):
    alpha = shape()
    alpha = cv2.GaussianBlur(alpha, (0, 0), softness_px) if softness_px else alpha
    truth = shaded(alpha)
    found = off_backdrop(as_decoded(on_plain(truth, MID_GREY), noise), MID_GREY)
    assert overlap(truth, found) > 0.97
    gap = cv2.erode((alpha < 0.02).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert gap[100:160, 60:200].any() and (found[gap][:, 3] == 0).all()


@pytest.mark.parametrize("noise", [0, 3])
@pytest.mark.parametrize("shape", [ring, mug, chair])
def test_on_white_a_gap_is_filled_since_it_might_be_a_white_part(shape, noise: float):
    found = off_backdrop(as_decoded(on_plain(shaded(shape()), WHITE), noise), WHITE)
    assert overlap(coloured(without_gaps(shape())), found) > 0.97


def bellied(grey: int, spread: float) -> np.ndarray:
    """A penguin: a belly of the backdrop's colour, lit from one side by `spread` levels across."""
    truth = shaded(disc(S, S, 128, 128, 90))
    belly = disc(S, S, 128, 136, 45) == 1
    lit = np.linspace(grey - spread / 2, grey + spread / 2, S).clip(0, 255)
    truth[..., :3][belly] = np.rint(np.broadcast_to(lit[None, :, None], (S, S, 3)))[belly]
    return truth


@pytest.mark.parametrize("noise", [0, 1, 3])
@pytest.mark.parametrize(("grey", "spread"), [(WHITE, 0), (WHITE, 20), (MID_GREY, 60), (MID_GREY, 120)])
def test_a_belly_of_the_backdrops_colour_stays_whole(grey: int, spread: float, noise: float):
    """On grey as long as light falls on it, as on every real thing."""
    truth = bellied(grey, spread)
    found = off_backdrop(as_decoded(on_plain(truth, grey), noise), grey)
    assert overlap(truth, found) > 0.99 and (found[100:170, 90:166, 3] == 255).all()


def test_speckles_of_grey_in_an_object_are_no_holes():
    random = np.random.default_rng(2)
    truth = shaded(disc(S, S, 128, 128, 90))
    for x, y in random.integers(90, 166, (40, 2)):
        truth[y : y + 2, x : x + 2, :3] = MID_GREY
    assert (off_backdrop(on_plain(truth, MID_GREY), MID_GREY)[85:170, 85:170, 3] == 255).all()


@pytest.mark.parametrize("zoom", [0.5, 1.0, 1.2])
def test_a_crop_has_a_longer_lens(zoom: float):
    """What was seen at the edge of the crop is seen at the edge of its own picture."""
    half = np.tan(np.radians(49.134 / 2))
    assert np.tan(np.radians(zoomed_fov_deg(49.134, zoom) / 2)) == pytest.approx(half / zoom)
    assert zoomed_fov_deg(30, 1) == pytest.approx(30)


# --- Noise ------------------------------------------------------------------------------------------------------------


@each_grey
@pytest.mark.parametrize("noise", [1, 3])
@pytest.mark.parametrize("miss", [0, -9])
def test_a_networks_noise_and_off_white_leave_no_specks(grey, noise, miss):
    random = np.random.default_rng(5)
    truth = coloured(disc(S, S, 128, 128, 70))
    noisy = on_plain(truth, grey).astype(float) + miss + random.normal(0, noise, (S, S, 3))
    found = off_backdrop(np.rint(noisy).clip(0, 255).astype(np.uint8), grey)
    assert overlap(truth, found) > 0.99
    assert (found[disc(S, S, 128, 128, 75) == 0][:, 3] == 0).all()
    assert (found[disc(S, S, 128, 128, 65) == 1][:, 3] == 255).all()


def test_a_faint_object_is_kept_where_the_backdrop_is_clean():
    truth = coloured(disc(S, S, 128, 128, 70), (244, 244, 244))
    assert overlap(truth, off_backdrop(on_plain(truth, WHITE), WHITE)) > 0.99


def test_two_parts_stay_and_thin_ones_too():
    alpha = np.maximum(disc(S, S, 80, 128, 30), disc(S, S, 190, 128, 12))
    alpha[60:200, 130:132] = 1
    found = off_backdrop(on_plain(coloured(alpha), WHITE), WHITE)
    assert overlap(coloured(alpha), found) > 0.99 and (found[61:199, 130:132, 3] > 250).all()


def test_without_any_backdrop_the_picture_is_all_object_and_an_empty_one_is_clear():
    random = np.random.default_rng(0)
    wild = random.integers(0, 200, (64, 64, 3)).astype(np.uint8)
    found = off_backdrop(wild, WHITE)
    assert (found[..., 3] == 255).all() and np.array_equal(found[..., :3], wild)
    assert (off_backdrop(np.full((64, 64, 3), 127, np.uint8), 127)[..., 3] == 0).all()


@pytest.mark.parametrize("size_px", [64, 256, 320])
@pytest.mark.parametrize("fill", [0.5, 200 / 256, 0.95])
def test_the_subject_takes_the_asked_share_of_a_plain_frame(size_px, fill):
    rgb = on_backdrop(a_subject(512), size_px, fill, WHITE)
    assert rgb.shape == (size_px, size_px, 3) and (rgb[0] == WHITE).all() and (rgb[:, -1] == WHITE).all()
    left, top, right, bottom = contour_box(np.abs(rgb.astype(np.float32) - WHITE).max(-1) / 215, 0.5)
    assert longest_side((left, top, right, bottom)) == pytest.approx(fill * size_px, abs=1)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((size_px / 2, size_px / 2), abs=0.5)


def test_a_clear_pixels_hidden_colour_does_not_bleed_onto_the_backdrop():
    subject = a_subject(512)
    rgba = subject.rgba.copy()
    rgba[rgba[..., 3] == 0, :3] = (0, 255, 0)
    rgb = on_backdrop(Subject(rgba, subject.made, fill=0.8), 128, 0.8, WHITE).astype(int)
    assert (rgb[..., 1] <= rgb[..., 0]).all(), "no pixel is greener than the red disc and the white around it"


@pytest.mark.parametrize("zoom", [0.5, 1.024, 1.25])
def test_reframing_scales_about_the_centre(zoom):
    before = coloured(disc(S, S, 128, 128, 70))
    after = reframed(before, zoom, 576)
    assert after.shape == (576, 576, 4) and after.dtype == np.uint8
    assert overlap(coloured(disc(576, 576, 288, 288, 70 * zoom * 576 / S)), after) > 0.99
    seen = after[after[..., 3] > 20][:, :3].astype(int)
    assert np.abs(seen - TEAPOT).max() <= 1, "no dark fringe"
    assert reframed(before, 1.0, S) is before
