"""What of a mask is object, what a visitor's strokes make of it, and how its edge fades."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.errors import TurnaroundError
from pipelines.core.mask import (
    ADD,
    FEATHER_RANGE,
    MAX_LAYER_SIDE_PX,
    REMOVE,
    Repair,
    check_repair,
    feathered,
    has_useful_alpha,
    keep_objects,
    repaired,
    strokes_of,
)
from tests.core.photos import disc

SIZE_PX = (300, 200)


def painted(mask: np.ndarray, colour: tuple[int, int, int], alpha: int = 255) -> np.ndarray:
    """A layer as an editor sends it: RGBA, clear where nothing was painted."""
    layer = np.zeros((*mask.shape, 4), np.uint8)
    layer[mask] = (*colour, alpha)
    return layer


def spot(width: int = 300, height: int = 200, x: float = 150, y: float = 100, radius: float = 30) -> np.ndarray:
    return disc(width, height, x, y, radius) >= 0.5


def a_repair(added: np.ndarray | None = None, removed: np.ndarray | None = None) -> Repair:
    nothing = np.zeros(SIZE_PX[::-1], np.bool_)
    return Repair(nothing if added is None else added, nothing if removed is None else removed)


def grown(mask: np.ndarray, by_px: int) -> np.ndarray:
    """By a square of so many pixels; shrunk where negative."""
    kernel = np.ones((2 * abs(by_px) + 1,) * 2, np.uint8)
    change = cv2.dilate if by_px > 0 else cv2.erode
    return change(mask.astype(np.uint8), kernel) > 0


# --- What is object ---------------------------------------------------------------------------------------------------


def test_specks_leave_and_parts_of_similar_size_stay() -> None:
    shoes = np.maximum(disc(400, 300, 100, 150, 60), disc(400, 300, 290, 150, 50))
    leg = np.zeros_like(shoes)
    leg[240:290, 180:190] = 1
    speck = disc(400, 300, 380, 20, 6)
    kept = keep_objects(np.maximum(np.maximum(shoes, leg), speck), haze=0)
    assert np.array_equal(kept, np.maximum(shoes, leg))


def test_a_soft_rim_stays_with_its_object_to_the_last_bit() -> None:
    alpha = cv2.GaussianBlur(disc(300, 300, 150, 150, 80), (0, 0), 6)
    assert np.array_equal(keep_objects(alpha, haze=0), alpha)


def test_the_haze_that_a_network_leaves_over_the_background_goes() -> None:
    alpha = np.maximum(disc(300, 300, 150, 150, 80), np.float32(0.03))
    assert keep_objects(alpha)[10, 10] == 0


@pytest.mark.parametrize(
    ("alpha", "sentence"),
    [
        (np.zeros((200, 200)), "No object was found"),
        (np.full((200, 200), 0.01), "No object was found"),
        ((np.random.default_rng(0).random((400, 400)) > 0.99).astype(float), "No object was found"),
        (disc(400, 400, 200, 200, 4), "only 8 px large"),
    ],
    ids=["empty", "haze", "speckle", "tiny"],
)
def test_a_mask_without_an_object_is_refused_in_words(alpha, sentence) -> None:
    with pytest.raises(TurnaroundError, match=sentence):
        keep_objects(alpha.astype(np.float32))


def ring(width: int) -> np.ndarray:
    alpha = np.full((200, 300), 255)
    alpha[:width] = alpha[-width:] = alpha[:, :width] = alpha[:, -width:] = 0
    return alpha


def rounded_corners() -> np.ndarray:
    alpha = np.full((200, 300), 255)
    for rows in (slice(0, 8), slice(-8, None)):
        for columns in (slice(0, 8), slice(-8, None)):
            alpha[rows, columns] = 0
    return alpha


@pytest.mark.parametrize(
    ("alpha", "useful"),
    [
        (np.full((200, 300), 255), False),
        (np.full((200, 300), 130), False),
        (np.zeros((200, 300)), False),
        (ring(1), False),
        (ring(2), False),
        (rounded_corners(), False),
        (np.random.default_rng(0).integers(200, 256, (200, 300)), False),
        (disc(300, 200, 150, 100, 70) * 255, True),
        (255 - disc(300, 200, 150, 100, 25) * 255, True),
        (disc(201, 201, 100.5, 100.5, 100.5) * 255, True),
        (disc(300, 200, 150, 100, 70) * 200, True),
    ],
    ids=["opaque", "veil", "empty", "frame1", "frame2", "corners", "noise", "disc", "hole", "trimmed", "translucent"],
)
def test_only_an_alpha_that_cuts_something_out_is_useful(alpha, useful) -> None:
    assert has_useful_alpha(np.asarray(alpha).astype(np.uint8)) is useful


# --- What a visitor painted -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("colour", "adds"),
    [
        (ADD, True),
        ((0, 200, 83), True),
        ((0, 255, 0), True),
        (REMOVE, False),
        ((255, 23, 68), False),
        ((255, 0, 0), False),
    ],
)
def test_greenish_strokes_add_and_reddish_ones_remove(colour, adds) -> None:
    repair = strokes_of(painted(spot(), colour), SIZE_PX)
    assert repair is not None
    assert np.array_equal(repair.added if adds else repair.removed, spot())
    assert not (repair.removed if adds else repair.added).any()


@pytest.mark.parametrize(("alpha", "counts"), [(255, True), (153, True), (128, True), (127, False), (3, False)])
def test_a_stroke_counts_from_half_opacity_on(alpha, counts) -> None:
    assert (strokes_of(painted(spot(), ADD, alpha), SIZE_PX) is not None) is counts


def test_nothing_painted_is_no_repair() -> None:
    assert strokes_of(np.zeros((200, 300, 4), np.uint8), SIZE_PX) is None


def test_both_colours_may_share_a_layer() -> None:
    left, right = spot(x=120), spot(x=180)
    layer = painted(left, ADD)
    layer[right] = (*REMOVE, 255)
    repair = strokes_of(layer, SIZE_PX)
    assert repair is not None
    assert np.array_equal(repair.added, left & ~right) and np.array_equal(repair.removed, right)


@pytest.mark.parametrize("scale", [0.25, 0.5, 2.0, 2.7, 3.0])
def test_strokes_painted_on_a_smaller_or_larger_picture_land_in_the_same_place(scale) -> None:
    width, height = round(300 * scale), round(200 * scale)
    layer = painted(spot(width, height, 90 * scale, 120 * scale, 40 * scale), ADD)
    repair = strokes_of(layer, SIZE_PX)
    assert repair is not None
    there = spot(x=90, y=120, radius=40)
    assert (repair.added & there).sum() / (repair.added | there).sum() > 1 - 0.012 / min(scale, 1)


def test_a_stroke_enlarged_from_a_small_canvas_has_no_stairs() -> None:
    """A slanted border painted at a quarter of the size: its steps of 4 px are gone."""
    rows, columns = np.mgrid[0:120, 0:160] + 0.5
    half_plane = rows > 30 + 0.3 * columns
    repair = strokes_of(painted(half_plane, ADD), (640, 480))
    assert repair is not None
    first = repair.added.argmax(axis=0)[40:600]
    true = 120 + 0.3 * (np.arange(40, 600) + 0.5)
    assert np.abs(first - true).max() < 2.0
    assert np.abs(np.diff(first)).max() <= 2  # unsmoothed: 4


def test_a_line_as_thin_as_a_pixel_of_the_canvas_is_not_lost() -> None:
    line = np.zeros((120, 160), np.bool_)
    line[60, 20:140] = True
    repair = strokes_of(painted(line, REMOVE), (640, 480))
    assert repair is not None and repair.removed[:, 100:540].any(axis=0).all()


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (np.zeros((300, 200, 4), np.uint8), "another picture: theirs has 200 x 300 px, and this photo 300 x 200"),
        (np.zeros((200, 310, 4), np.uint8), "another picture"),
        (np.zeros((1, 1, 4), np.uint8), "another picture"),
        (np.zeros((200, 300, 3), np.uint8), "no RGBA picture"),
        (np.zeros((200, 300), np.uint8), "no RGBA picture"),
        (np.zeros((200, 300, 4), np.float32), "no RGBA picture"),
        ("strokes.png", "no RGBA picture"),
        (np.zeros((0, 0, 4), np.uint8), "are 0 x 0 px large"),
        (np.zeros((2, MAX_LAYER_SIDE_PX + 1, 4), np.uint8), "px a side are read"),
    ],
    ids=["turned", "wider", "dot", "rgb", "grey", "floats", "text", "empty", "huge"],
)
def test_input_50_strokes_that_are_not_of_this_photo_are_refused_in_words(layer, sentence) -> None:
    with pytest.raises(TurnaroundError, match=sentence):
        strokes_of(layer, SIZE_PX)


def test_layers_of_the_same_shape_but_for_rounding_are_read() -> None:
    assert strokes_of(painted(np.ones((43, 64), np.bool_), ADD), (2047, 1365)) is not None


def test_input_50_a_repair_of_another_photo_is_refused_in_words() -> None:
    check_repair(a_repair(spot()), SIZE_PX)
    for other in ((200, 300), (301, 200), (600, 400)):
        with pytest.raises(TurnaroundError, match="belong to another picture"):
            check_repair(a_repair(spot()), other)


def test_a_repair_is_two_planes_of_one_size_that_share_no_pixel_and_never_change() -> None:
    with pytest.raises(ValueError, match="one size"):
        Repair(spot(), spot(301))
    with pytest.raises(ValueError, match="in both"):
        Repair(spot(), spot())
    with pytest.raises(ValueError, match="read-only"):
        a_repair(spot()).added[0, 0] = True


@settings(max_examples=30)
@given(x=st.floats(0, 300), y=st.floats(0, 200), radius=st.floats(4, 80), level=st.floats(0, 1), adds=st.booleans())
def test_painted_areas_become_whole_and_nothing_else_changes_but_their_rim(x, y, radius, level, adds) -> None:
    stroke = spot(x=x, y=y, radius=radius)
    alpha = np.full(SIZE_PX[::-1], level, np.float32)
    got = repaired(alpha, a_repair(stroke) if adds else a_repair(removed=stroke))
    assert (got[grown(stroke, -2)] == (1 if adds else 0)).all()
    assert (got[~grown(stroke, 5)] == alpha[~grown(stroke, 5)]).all()
    assert ((got >= alpha).all() if adds else (got <= alpha).all()) and got.min() >= 0 and got.max() <= 1
    assert (alpha == np.float32(level)).all()  # the one given is left as it was


def test_the_border_of_a_stroke_is_soft_over_about_a_pixel_and_stays_where_it_was_painted() -> None:
    half = np.zeros(SIZE_PX[::-1], np.bool_)
    half[:, 150:] = True
    across = repaired(np.zeros(SIZE_PX[::-1], np.float32), a_repair(half))[100]
    assert np.count_nonzero((across > 0.02) & (across < 0.98)) in (2, 3, 4)
    assert across[149] + across[150] == pytest.approx(1, abs=1e-5)
    assert (np.diff(across) >= -1e-6).all()


def test_a_stroke_at_the_photos_edge_reaches_it() -> None:
    edge = np.zeros(SIZE_PX[::-1], np.bool_)
    edge[150:, :] = True
    assert (repaired(np.zeros(SIZE_PX[::-1], np.float32), a_repair(edge))[-20:] == 1).all()


def test_what_was_painted_in_stays_however_small_and_specks_still_leave() -> None:
    body, far, speck = disc(300, 200, 100, 100, 60), spot(x=260, y=40, radius=5), disc(300, 200, 260, 160, 5)
    repair = a_repair(far)
    kept = keep_objects(repaired(np.maximum(body, speck), repair), repair=repair)
    assert kept[40, 260] == 1 and kept[100, 100] == 1 and kept[160, 260] == 0


def test_what_is_left_of_an_erased_object_leaves_as_a_speck_and_the_small_one_beside_it_stays() -> None:
    """Without the strokes the small disc is a speck beside the large one."""
    large, small = disc(300, 200, 110, 100, 80), disc(300, 200, 270, 30, 10)
    found = np.maximum(large, small)
    assert keep_objects(found)[30, 270] == 0
    strokes = grown(large >= 0.5, 4)
    strokes[99:101, 187:190] = False  # at the large one's rim the brush missed a bit
    repair = a_repair(removed=strokes)
    alpha = repaired(found, repair)
    assert alpha[:, :200].max() > 0.1
    kept = keep_objects(alpha, repair=repair)
    assert kept[30, 270] == 1 and kept[:, :200].max() == 0


def test_painting_alone_makes_an_object_where_nothing_was_found() -> None:
    repair = a_repair(spot())
    alpha = repaired(np.full(SIZE_PX[::-1], 0.03, np.float32), repair)
    kept = keep_objects(alpha, repair=repair)
    assert kept[100, 150] == 1 and kept[10, 10] == 0


def test_glass_stays_when_something_solid_is_painted_beside_it() -> None:
    repair = a_repair(spot(x=250, radius=20))
    alpha = repaired(disc(300, 200, 100, 100, 60) * np.float32(0.3), repair)
    assert keep_objects(alpha, repair=repair)[100, 100] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("repair", "sentence"),
    [
        (a_repair(removed=np.ones(SIZE_PX[::-1], np.bool_)), "Everything in this photo is erased"),
        (a_repair(removed=grown(spot(), 4)), "Everything in this photo is erased"),
        (a_repair(spot(x=20.5, y=20.5, radius=3.5), grown(spot(), 4)), r"Only \d px of the object are left"),
    ],
    ids=["all", "object", "crumb"],
)
def test_who_erases_everything_is_told_what_to_do(repair, sentence) -> None:
    with pytest.raises(TurnaroundError, match=sentence):
        keep_objects(repaired(disc(300, 200, 150, 100, 30), repair), repair=repair)


# --- How soft its edge is ---------------------------------------------------------------------------------------------


def test_no_feather_changes_no_bit() -> None:
    alpha = cv2.GaussianBlur(disc(300, 200, 150, 100, 60), (0, 0), 3)
    assert feathered(alpha, 0.0) is alpha


@settings(max_examples=20)
@given(share=st.floats(0.001, FEATHER_RANGE[1]), soft=st.floats(0.3, 4), opacity=st.floats(0.2, 1))
def test_a_feather_only_ever_takes_away_and_only_near_the_edge(share, soft, opacity) -> None:
    alpha = cv2.GaussianBlur(disc(300, 300, 150, 150, 120), (0, 0), soft) * np.float32(opacity)
    got = feathered(alpha, share)
    assert (got <= alpha).all() and got.min() >= 0 and got.dtype == np.float32
    deep = disc(300, 300, 150, 150, 120 - 240 * share - 2) >= 1
    assert np.array_equal(got[deep], alpha[deep])


@pytest.mark.parametrize("share", [0.01, 0.03, 0.05])
def test_the_edge_fades_over_the_stated_share_evenly_all_round(share) -> None:
    got = feathered(disc(600, 600, 300, 300, 250), share)
    rows, columns = np.mgrid[0:600, 0:600] + 0.5
    depth = 250 - np.hypot(columns - 300, rows - 300)
    half_gone = depth[(got > 0.35) & (got < 0.65)]
    assert half_gone.mean() == pytest.approx(share * 500 / 2, abs=0.75)
    assert np.ptp(half_gone) < 2 + share * 500 * 0.25
    assert got[(depth > 0.5) & (depth < 1.5)].max() < 0.3 and (got[depth > share * 500 + 1.5] == 1).all()


def test_more_feather_takes_more() -> None:
    alpha = disc(300, 300, 150, 150, 120)
    sums = [float(feathered(alpha, share).sum()) for share in (0, 0.005, 0.01, 0.02, 0.035, 0.05)]
    assert sums == sorted(sums, reverse=True) and len(set(sums)) == len(sums)


def test_thin_legs_stay_solid_in_their_middle_up_to_the_body() -> None:
    alpha = np.zeros((600, 600), np.float32)
    alpha[50:350, 50:550] = alpha[350:560, 140:152] = alpha[350:560, 440:448] = 1
    got = feathered(alpha, 0.05)
    for middle in (146, 444):
        assert got[360:540, middle - 1 : middle + 1].min() > 0.8
        assert got[300:360, middle - 1 : middle + 1].min() > 0.5  # where it joins the body, which itself fades there
    assert got[349, 300] < 0.1


def test_a_pinhole_does_not_become_a_large_soft_hole() -> None:
    alpha = disc(300, 300, 150, 150, 120)
    alpha[149:152, 149:152] = 0
    got = feathered(alpha, 0.05)
    assert got[150, 150] == 0 and got[150, 156] == 1


def test_a_real_hole_has_a_soft_edge_too() -> None:
    alpha = disc(600, 600, 300, 300, 250) - disc(600, 600, 300, 300, 60)
    got = feathered(alpha, 0.04)
    assert got[300, 300 + 62] < 0.2 and got[300, 300 + 85] == 1


def test_where_the_photo_cuts_the_object_off_the_edge_fades_as_well() -> None:
    assert feathered(np.ones((200, 300), np.float32), 0.05)[100, 0] < 0.05


def test_an_empty_mask_stays_empty() -> None:
    assert not feathered(np.zeros((20, 30), np.float32), 0.05).any()


@pytest.mark.parametrize("share", [-0.01, 0.051, 5, float("nan"), float("inf"), "0.01", True, None])
def test_an_impossible_feather_is_refused_in_words(share) -> None:
    with pytest.raises(TurnaroundError, match=r"^The feather must"):
        feathered(disc(100, 100, 50, 50, 30), share)
