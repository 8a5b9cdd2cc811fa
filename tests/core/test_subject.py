"""Framing and colours at soft edges: what must hold for any cut-out."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.errors import TurnaroundError
from pipelines.core.mask import Repair
from pipelines.core.subject import (
    ALPHA,
    FILL_RANGE,
    NONE,
    SUBJECT_SIZE_PX,
    bleed,
    make_subject,
    pure_colours,
)
from tests.core.photos import disc, photo_of, plain

SIZE = SUBJECT_SIZE_PX


def contour_box(alpha: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero((alpha >= 128).any(1)), np.flatnonzero((alpha >= 128).any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


# --- The frame --------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    x=st.floats(0.3, 0.7),
    y=st.floats(0.3, 0.7),
    radius=st.floats(0.05, 0.25),
    side=st.sampled_from([96, 333, 700, 1500]),
    fill=st.floats(*FILL_RANGE),
    stretch=st.floats(0.4, 1.0),
)
def test_any_object_is_centred_and_fills_the_stated_share_to_a_pixel(x, y, radius, side, fill, stretch) -> None:
    rows, columns = np.mgrid[0:side, 0:side] + 0.5
    away = np.hypot((columns - x * side) / stretch, rows - y * side)
    alpha = np.clip((radius * side - away) * stretch + 0.5, 0, 1).astype(np.float32)
    if 2 * radius * side < 14:
        return
    subject = make_subject(photo_of(plain(side, side, (200, 60, 20)), alpha), alpha, ALPHA, fill=fill)
    left, top, right, bottom = contour_box(subject.rgba[..., 3])
    assert subject.rgba.shape == (SIZE, SIZE, 4)
    assert max(right - left, bottom - top) == pytest.approx(fill * SIZE, abs=1)
    assert (left + right) / 2 == pytest.approx(SIZE / 2, abs=1)
    assert (top + bottom) / 2 == pytest.approx(SIZE / 2, abs=1)


def test_a_disc_off_the_pixel_grid_is_centred_to_a_tenth_of_a_pixel() -> None:
    alpha = disc(500, 400, 171.37, 222.81, 90.25)
    subject = make_subject(photo_of(plain(500, 400, (90, 90, 90)), alpha), alpha, ALPHA)
    share = subject.rgba[..., 3] / 255
    centres = np.arange(SIZE) + 0.5
    assert (share.sum(0) * centres).sum() / share.sum() == pytest.approx(SIZE / 2, abs=0.1)
    assert (share.sum(1) * centres).sum() / share.sum() == pytest.approx(SIZE / 2, abs=0.1)


def test_the_crop_names_the_frame_on_the_photo_as_it_was_before_any_reduction() -> None:
    alpha = disc(400, 300, 200, 100, 40)
    subject = make_subject(photo_of(plain(400, 300, (9, 9, 9)), alpha, original=(4000, 3000)), alpha, ALPHA, fill=0.5)
    assert subject.made.crop_px == pytest.approx((1200, 200, 2800, 1800), abs=3)
    assert subject.made.photo_size_px == (4000, 3000)


def test_a_photo_that_already_lies_in_the_frame_is_kept_to_the_bit() -> None:
    """Box 512 of 1024, centred: the resampling is the identity."""
    random = np.random.default_rng(0)
    alpha = np.zeros((SIZE, SIZE), np.float32)
    alpha[300:724, 256:768] = random.integers(128, 256, (424, 512)) / 255
    alpha[300:724, 256] = alpha[300:724, 767] = alpha[300, 256:768] = alpha[723, 256:768] = 1
    rgb = random.integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    subject = make_subject(photo_of(rgb, alpha), alpha, ALPHA, fill=0.5)
    assert subject.made.crop_px == pytest.approx((0, 0, SIZE, SIZE), abs=0.02)
    shown = alpha > 0
    assert np.abs(subject.rgba[..., 3] - np.rint(alpha * 255)).max() <= 1
    assert np.abs(subject.rgba[shown][:, :3].astype(int) - rgb[shown]).max() <= 4


def test_the_picture_is_not_mirrored_or_turned() -> None:
    alpha = np.zeros((300, 300), np.float32)
    alpha[50:250, 100:200] = 1
    rgb = np.zeros((300, 300, 3), np.uint8)
    rgb[:150, :150], rgb[:150, 150:], rgb[150:, :150] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    shown = make_subject(photo_of(rgb, alpha), alpha, ALPHA).rgba
    corners = [tuple(shown[row, column, :3]) for row, column in ((300, 400), (300, 600), (700, 400), (700, 600))]
    assert corners == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)]


def test_shrinking_averages_over_areas_and_enlarging_adds_no_ringing() -> None:
    stripes = np.zeros((2000, 2000, 3), np.uint8)
    stripes[:, ::2] = 255
    alpha = np.zeros((2000, 2000), np.float32)
    alpha[100:1900, 100:1900] = 1
    inner = make_subject(photo_of(stripes, alpha), alpha, ALPHA, fill=0.4).rgba[400:600, 400:600, :3]
    assert np.abs(inner.astype(int) - 127).max() <= 12
    step = np.full((100, 100, 3), 60, np.uint8)
    step[:, 50:] = 200
    alpha = np.zeros((100, 100), np.float32)
    alpha[20:80, 20:80] = 1
    enlarged = make_subject(photo_of(step, alpha), alpha, ALPHA).rgba
    solid = enlarged[enlarged[..., 3] > 250][:, :3]
    assert solid.min() >= 60 and solid.max() <= 200


def test_an_eight_to_one_panorama_taken_whole_fits_the_frame() -> None:
    subject = make_subject(photo_of(plain(1600, 200, (1, 2, 3))), np.ones((200, 1600), np.float32), NONE)
    left, top, right, bottom = contour_box(subject.rgba[..., 3])
    assert (right - left) / SIZE == pytest.approx(0.8, abs=0.002)
    assert (right - left) / (bottom - top) == pytest.approx(8, rel=0.03)
    assert subject.made.notes == ()


def test_a_faint_glass_around_a_solid_rim_stays_inside_the_frame() -> None:
    alpha = np.maximum(disc(600, 600, 300, 300, 250) * 0.3, disc(600, 600, 300, 300, 60))
    shown = make_subject(photo_of(plain(600, 600, (90, 120, 140)), alpha), alpha, ALPHA, fill=0.9).rgba[..., 3]
    assert shown[0].max() == shown[-1].max() == shown[:, 0].max() == shown[:, -1].max() == 0
    assert np.ptp(np.flatnonzero(shown.max(axis=0) > 40)) == pytest.approx(0.9 * SIZE, abs=3)


def test_a_small_photo_is_said_to_look_soft() -> None:
    alpha = disc(64, 64, 32, 32, 20)
    assert "only 40 px" in make_subject(photo_of(plain(64, 64, (5, 5, 5)), alpha), alpha, ALPHA).made.notes[0]


@pytest.mark.parametrize("fill", [float("nan"), float("inf"), 0, -1, 0.19, 0.99, 2, True, "0.8", None])
def test_an_impossible_share_of_the_frame_is_refused_in_words(fill) -> None:
    alpha = disc(100, 100, 50, 50, 20)
    with pytest.raises(TurnaroundError, match="share of the frame must"):
        make_subject(photo_of(plain(100, 100, (5, 5, 5)), alpha), alpha, ALPHA, fill=fill)


@pytest.mark.parametrize("elevation", [float("nan"), 90.1, -91, "0", True])
def test_an_impossible_photo_elevation_is_refused_in_words(elevation) -> None:
    alpha = disc(100, 100, 50, 50, 20)
    with pytest.raises(TurnaroundError, match="photo's elevation must"):
        make_subject(photo_of(plain(100, 100, (5, 5, 5)), alpha), alpha, ALPHA, elevation_deg=elevation)


# --- What is said of it -----------------------------------------------------------------------------------------------


def test_an_object_at_the_photos_edge_is_said_to_be_cut_off_there() -> None:
    alpha = disc(400, 300, 200, 300, 120)
    made = make_subject(photo_of(plain(400, 300, (5, 5, 5))), alpha, "outline").made
    assert any("cut off at the photo's bottom edge" in note for note in made.notes)
    inside = make_subject(photo_of(plain(400, 300, (5, 5, 5))), disc(400, 300, 200, 150, 120), "outline").made
    assert inside.notes == ()


def test_a_cut_out_cropped_to_its_own_box_is_not_said_to_be_cut_off() -> None:
    alpha = disc(201, 201, 100.5, 100.5, 100.5)
    notes = make_subject(photo_of(plain(201, 201, (5, 5, 5)), alpha), alpha, ALPHA).made.notes
    assert not any("cut off" in note for note in notes)


# --- Colours ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("background", [(0, 255, 0), (255, 0, 255), (255, 255, 255), (0, 0, 0)])
def test_no_halo_of_the_old_background_is_left_at_soft_edges(background) -> None:
    """Two-coloured object with a wide soft edge, true alpha: the colours found are the object's, not the mix's."""
    alpha = cv2.GaussianBlur(disc(400, 400, 200, 200, 120), (0, 0), 4)
    own = np.where(np.arange(400)[None, :, None] < 200, (200, 80, 40), (40, 80, 200)) * np.ones((400, 1, 1)) / 255
    mixed = own * alpha[..., None] + np.array(background) / 255 * (1 - alpha[..., None])
    away_from_the_seam = np.abs(np.arange(400) - 200)[None, :] > 12
    soft = (alpha > 0.1) & (alpha < 0.9) & away_from_the_seam
    found = pure_colours(mixed.astype(np.float32), alpha)
    before, after = np.abs(mixed - own)[soft].mean(), np.abs(found - own)[soft].mean()
    assert before > 0.1
    assert after < 0.02
    assert np.abs(found - own)[soft].max() < 0.15


def test_a_thin_stalk_keeps_its_own_colour() -> None:
    alpha = np.zeros((400, 400), np.float32)
    alpha[100:300, 100:300] = alpha[20:100, 200:203] = 1
    alpha = cv2.GaussianBlur(alpha, (0, 0), 0.7)
    own = np.zeros((400, 400, 3), np.float32) + np.array((0.8, 0.2, 0.2), np.float32)
    own[:99] = 0.1, 0.2, 0.8
    mixed = own * alpha[..., None] + 0.9 * (1 - alpha[..., None])
    stalk = alpha > 0.2
    stalk[90:] = False
    assert np.abs(pure_colours(mixed, alpha) - own)[stalk].mean() < 0.5 * np.abs(mixed - own)[stalk].mean()


def test_a_removed_background_leaves_no_trace_in_the_finished_subject() -> None:
    alpha = cv2.GaussianBlur(disc(400, 400, 200, 200, 120), (0, 0), 3)
    green = np.array([0, 255, 0])
    mixed = np.array([200, 60, 60]) * alpha[..., None] + green * (1 - alpha[..., None])
    shown = make_subject(photo_of(np.rint(mixed).astype(np.uint8)), alpha, "outline").rgba
    assert shown[..., 1].max() < 80  # everywhere, also under alpha 0


def test_colours_reach_under_the_transparency_so_that_no_fringe_can_show() -> None:
    alpha = disc(300, 300, 150, 150, 100)
    rgb = np.zeros((300, 300, 3), np.uint8)
    rgb[alpha > 0] = (210, 190, 170)
    shown = make_subject(photo_of(rgb, alpha), alpha, ALPHA).rgba
    assert np.abs(shown[..., :3].astype(int) - (210, 190, 170)).max() <= 2


def test_colours_bleed_to_the_nearest_side() -> None:
    rgb = np.zeros((64, 96, 3), np.float32)
    weight = np.zeros((64, 96), np.float32)
    rgb[:, :10], weight[:, :10] = (1, 0, 0), 1
    rgb[:, -10:], weight[:, -10:] = (0, 0, 1), 1
    filled = bleed(rgb, weight)
    assert np.abs(filled[:, :10] - rgb[:, :10]).max() < 1e-3
    assert filled[32, 14, 0] > 0.8 and filled[32, -15, 2] > 0.8
    assert filled.sum(axis=-1).min() > 0.99 and filled.sum(axis=-1).max() < 1.01


@pytest.mark.parametrize("side", [400, 1600])
def test_large_photos_lose_their_background_like_small_ones(side) -> None:
    """Above the frame's resolution the colours are parted in the frame, below it in the photo."""
    alpha = cv2.GaussianBlur(disc(side, side, side / 2, side / 2, 0.4 * side), (0, 0), side / 200)
    own = np.where(np.arange(side)[None, :, None] < side // 2, (200, 80, 40), (40, 80, 200)) * np.ones((side, 1, 1))
    mixed = own * alpha[..., None] + np.array([0, 255, 0]) * (1 - alpha[..., None])
    shown = make_subject(photo_of(np.rint(mixed).astype(np.uint8)), alpha, "outline").rgba
    soft = (shown[..., 3] > 25) & (shown[..., 3] < 230)
    soft[:, 492:532] = False  # where the two colours meet
    true = np.where(np.arange(SIZE)[None, :, None] < SIZE // 2, (200, 80, 40), (40, 80, 200)) * np.ones((SIZE, 1, 1))
    assert soft.sum() > 1000
    assert np.abs(shown[..., :3] - true)[soft].mean() < 8
    assert shown[..., 1].max() < 130  # everywhere, also under alpha 0


@pytest.mark.parametrize("side", ["left", "bottom"])
def test_a_large_photos_edge_leaves_no_dark_or_bright_rim_on_an_object_that_it_cuts_off(side) -> None:
    alpha = disc(1600, 1600, *((0, 800) if side == "left" else (800, 1600)), 700)
    mixed = np.array([180, 90, 60]) * alpha[..., None] + 200 * (1 - alpha[..., None])
    shown = make_subject(photo_of(np.rint(mixed).astype(np.uint8)), alpha, "outline").rgba
    there = shown[..., 3] > 25
    assert np.abs(shown[there][:, :3].astype(int) - (180, 90, 60)).max() < 20


# --- Repairs and feathers ---------------------------------------------------------------------------------------------


def strokes(added: np.ndarray | None, removed: np.ndarray | None = None) -> Repair:
    given = added if added is not None else removed
    assert given is not None
    nothing = np.zeros(given.shape, np.bool_)
    return Repair(nothing if added is None else added, nothing if removed is None else removed)


def test_a_feather_fades_the_edge_and_moves_recolours_and_reframes_nothing() -> None:
    alpha = cv2.GaussianBlur(disc(400, 400, 200, 200, 120), (0, 0), 2)
    mixed = np.array([200, 60, 60]) * alpha[..., None] + np.array([0, 255, 0]) * (1 - alpha[..., None])
    photo = photo_of(np.rint(mixed).astype(np.uint8))
    plain_one, again, soft = (make_subject(photo, alpha, "outline", feather=f) for f in (0, 0.0, 0.04))
    assert np.array_equal(plain_one.rgba, again.rgba)
    assert np.array_equal(soft.rgba[..., :3], plain_one.rgba[..., :3]) and soft.made.crop_px == plain_one.made.crop_px
    assert (soft.rgba[..., 3] <= plain_one.rgba[..., 3]).all()
    assert soft.rgba[..., 3].astype(int).sum() < 0.97 * plain_one.rgba[..., 3].astype(int).sum()
    assert (soft.made.feather, plain_one.made.feather) == (0.04, 0)
    over_black = soft.rgba[..., :3] * (soft.rgba[..., 3:] / 255)
    assert over_black[..., 1].max() < 80, "a halo of the green wall"


def test_what_was_painted_in_and_away_is_in_the_subject_and_in_its_record() -> None:
    alpha = disc(400, 300, 150, 150, 80)
    nose, hole = disc(400, 300, 260, 150, 40) >= 0.5, disc(400, 300, 150, 150, 30) >= 0.5
    photo = photo_of(plain(400, 300, (90, 120, 140)), original=(800, 600))
    made = make_subject(photo, alpha, "outline", repair=strokes(nose, hole))
    left, top, right, _ = made.made.crop_px
    scale = SIZE / (right - left) * 2  # frame pixels a pixel of the working photo

    def shown(x: float, y: float) -> int:
        return made.rgba[int((y - top / 2) * scale), int((x - left / 2) * scale), 3]

    assert shown(280, 150) == 255 and shown(150, 150) == 0 and shown(100, 150) == 255
    assert made.made.added_px == 4 * nose.sum() and made.made.removed_px == 4 * hole.sum()
    assert make_subject(photo, alpha, "outline").made.added_px == 0


@pytest.mark.parametrize("remover", [ALPHA, NONE, "outline"])
def test_a_painted_out_part_is_gone_whatever_found_it(remover) -> None:
    alpha = disc(400, 300, 200, 150, 80) if remover != NONE else np.ones((300, 400), np.float32)
    away = np.zeros((300, 400), np.bool_)
    away[:, :200] = True
    made = make_subject(photo_of(plain(400, 300, (9, 9, 9))), alpha, remover, repair=strokes(None, away))
    assert made.made.crop_px[0] + (made.made.crop_px[2] - made.made.crop_px[0]) / 2 > 230
    with pytest.raises(TurnaroundError, match="Everything in this photo is erased"):
        make_subject(photo_of(plain(400, 300, (9, 9, 9))), alpha, remover, repair=strokes(None, ~np.zeros_like(away)))


def test_what_is_painted_in_where_a_cut_out_photo_has_no_colour_takes_the_objects() -> None:
    alpha = disc(400, 300, 150, 150, 80)
    rgb = np.zeros((300, 400, 3), np.uint8)
    rgb[alpha > 0] = (210, 150, 90)
    nose = disc(400, 300, 250, 150, 40) >= 0.5
    made = make_subject(photo_of(rgb, alpha), alpha, ALPHA, repair=strokes(nose))
    assert np.abs(made.rgba[made.rgba[..., 3] > 200][:, :3].astype(int) - (210, 150, 90)).max() < 12


def test_input_50_a_repair_of_another_size_is_refused_in_words() -> None:
    photo, alpha = photo_of(plain(400, 300, (9, 9, 9))), disc(400, 300, 200, 150, 80)
    with pytest.raises(TurnaroundError, match="belong to another picture"):
        make_subject(photo, alpha, "outline", repair=strokes(alpha.T >= 0.5))
