"""The contact sheet: the right frames in the right places, in print as on screen, whatever the words are."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from pipelines.core.cameras import View, angle_between, orbit, path
from pipelines.core.errors import TurnaroundError
from pipelines.core.lettering import ELLIPSIS, MISSING, clean, face, letters_mask, shortened, width_of, wrapped
from pipelines.core.paper import DPI, Page, Picture, Words, as_pdf, as_png
from pipelines.core.sheet import (
    Cell,
    Row,
    Sheet,
    asked_views,
    cell_px,
    default_views,
    fitted,
    label,
    laid_out,
    nearest,
    shared_elevation,
)
from tests.core.pdf_reader import read_pdf

HOSTILE = [
    "",
    "\x00\x1b[31m\x7f\u0085",
    "\u202egnp.exe\u202c \u0639\u0631\u0628\u064a",
    "🤖👩‍👩‍👧‍👦 日本語",
    "\ud800 lone",
    "<script>alert(1)</script> %PDF-1.7 endobj (",
    "A" * 5000,
    "very " * 1000,
    "\n\n a \t b \r\n",
]


def colour_of(row: int, column: int) -> tuple[int, int, int]:
    return (20 + 9 * row, 250 - 9 * column, 30 + 7 * column)


def a_frame(colour: tuple[int, int, int], side: int = 32) -> np.ndarray:
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[:] = (*colour, 255)
    return rgba


def a_sheet(titles: Sequence[str], asked: tuple[View, ...], photos: Sequence[int] | None = None, **changes) -> Sheet:
    side = cell_px(len(asked))
    rows = tuple(
        Row(
            title,
            "",
            photos[i] if photos else 0,
            tuple(Cell(view, fitted(a_frame(colour_of(i, k)), side)) for k, view in enumerate(asked)),
        )
        for i, title in enumerate(titles)
    )
    own = tuple(fitted(a_frame((200, 200, 10 * i)), side) for i in range(1 + max(photos or [0])))
    return Sheet(asked, own, rows, **changes)


def drawn(page: Page) -> np.ndarray:
    with Image.open(io.BytesIO(as_png(page))) as image:
        assert image.mode == "RGB" and image.size == (page.width, page.height)
        assert image.info["dpi"] == pytest.approx((DPI, DPI), abs=0.1)
        return np.asarray(image)


def place_of(pixels: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Left, top, width and height of all pixels of exactly this colour."""
    y, x = np.nonzero((pixels == colour).all(axis=2))
    assert len(x), colour
    return int(x.min()), int(y.min()), int(np.ptp(x)) + 1, int(np.ptp(y)) + 1


def texts(page: Page) -> list[str]:
    return [item.text for item in page.items if isinstance(item, Words)]


# --- Places -----------------------------------------------------------------------------------------------------------


def test_every_cell_is_in_its_row_and_column():
    views = orbit(8, 10)
    page = laid_out(a_sheet(("One", "Two", "Three"), views))
    pixels, side = drawn(page), cell_px(8)
    places = [[place_of(pixels, colour_of(i, k)) for k in range(8)] for i in range(3)]
    for row in places:
        assert len({top for _, top, _, _ in row}) == 1
        steps = np.diff([left for left, _, _, _ in row])
        assert (steps == steps[0]).all() and side < steps[0] < 1.1 * side
        assert {size for _, _, *size in ((*p[:2], p[2], p[3]) for p in row) for size in size} == {side}
    for k in range(8):
        assert len({places[i][k][0] for i in range(3)}) == 1
    tops = [row[0][1] for row in places]
    assert tops == sorted(tops) and np.diff(tops).min() >= side
    right = max(left + width for left, _, width, _ in places[0])
    assert page.width - right == places[0][0][0] - place_of(pixels, (200, 200, 0))[0] - side - _title_room(page, side)
    assert texts(page)[:10] == [
        "Photo", "elevation 10°", "0°", "45°", "90°", "135°", "180°", "-135°", "-90°", "-45°",
    ]  # fmt: skip


def _title_room(page: Page, side: int) -> int:
    """What lies between the photo and the first cell, less the page's margin."""
    pictures = [item for item in page.items if isinstance(item, Picture)]
    photo = min(pictures, key=lambda item: item.x)
    first = min((item for item in pictures if item.x > photo.x + side), key=lambda item: item.x)
    return first.x - photo.x - side - photo.x


def test_a_photo_stands_in_the_middle_of_the_rows_made_from_it():
    page = laid_out(a_sheet(("A", "B", "C", "D"), orbit(4), photos=(0, 0, 0, 1)))
    pixels, side = drawn(page), cell_px(4)
    rows = [place_of(pixels, colour_of(i, 0)) for i in range(4)]
    first, second = place_of(pixels, (200, 200, 0)), place_of(pixels, (200, 200, 10))
    assert abs(first[1] - rows[1][1]) <= 1 and second[1] == rows[3][1]
    assert first[0] == second[0] and first[2:] == (side, side)
    assert rows[3][1] - rows[2][1] > rows[2][1] - rows[1][1]  # a little apart


@pytest.mark.parametrize(("count", "bands"), [(1, 1), (3, 1), (8, 1), (12, 1), (13, 2), (24, 2)])
def test_many_views_go_on_below(count: int, bands: int):
    views = tuple(View(360 * i / 24, 10) for i in range(count))
    page = laid_out(a_sheet(("One", "Two"), views))
    pixels = drawn(page)
    tops = {place_of(pixels, colour_of(0, k))[1] for k in range(count)}
    assert len(tops) == bands and texts(page).count("Photo") == bands
    assert page.width / DPI * 25.4 < 250  # millimetres


def test_the_default_sheet_is_as_wide_as_a_page_of_two_columns():
    page = laid_out(a_sheet(("Inflate",), orbit(8, 12)))
    assert 170 <= page.width / DPI * 25.4 <= 190


def test_a_cell_of_another_view_says_which():
    asked = orbit(4, 10)
    sheet = a_sheet(("Exact", "Other"), asked)
    other = list(sheet.rows[1].cells)
    for i, view in {1: View(75, 10), 2: View(180, 30), 3: View(-90.02, 10)}.items():
        cell = other[i]
        assert cell
        other[i] = Cell(view, cell.rgb)
    other[0] = None
    page = laid_out(Sheet(asked, sheet.photos, (sheet.rows[0], Row("Other", "", 0, tuple(other)))))
    words = {item.text: item for item in page.items if isinstance(item, Words)}
    assert texts(page)[-4:] == ["Other", "no view near", "75°", "180° / 30°"]
    pixels = drawn(page)
    for text, column in (("75°", 1), ("180° / 30°", 2)):
        left, top, width, height = place_of(pixels, colour_of(1, column))
        assert words[text].anchor == "middle" and words[text].x == left + width / 2
        assert top + height < words[text].y < top + height + 40
    assert not (pixels == colour_of(1, 0)).all(axis=2).any()


def test_the_foot_is_small_print_within_the_page_and_may_be_absent():
    foot = ("Licences: One (MIT).", "Link: ?r=" + ", ".join(["0123456789abcdef" * 3] * 9))
    plain, full = (laid_out(a_sheet(("One",), orbit(8), foot=lines)) for lines in ((), foot))
    assert full.height > plain.height and full.width == plain.width
    shown = " ".join(texts(full)[len(texts(plain)) :])
    assert shown == " ".join(foot)
    pixels = drawn(full)
    assert (pixels[:, :20] == 255).all() and (pixels[:, -20:] == 255).all()


def test_frames_are_fitted_whole_and_on_white():
    rgba = np.zeros((20, 40, 4), np.uint8)
    rgba[..., 0] = 255  # hidden red everywhere
    rgba[5:15, 10:30] = (0, 0, 250, 255)
    square = fitted(rgba, 80)
    assert square.shape == (80, 80, 3)
    assert (square[:20] == 255).all() and (square[60:] == 255).all()
    assert np.abs(square[40, 40].astype(int) - (0, 0, 250)).max() <= 2
    edge = square[40].astype(int)
    assert (edge[:, 0] - edge[:, 1] <= 2).all()  # no red fringe


# --- Which views ------------------------------------------------------------------------------------------------------


def test_straight_above_the_nearest_is_the_one_that_is_turned_least() -> None:
    assert [nearest(orbit(4, 90), View(azimuth, 90)) for azimuth in (0, 80, 170, -100)] == [0, 1, 2, 3]


def angles(views: Sequence[View]) -> list[tuple[float, float]]:
    return [(round(view.azimuth_deg, 1), round(view.elevation_deg, 1)) for view in views]


def test_the_default_is_eight_views_of_those_that_all_share():
    assert angles(default_views([orbit(24, 12)])) == [(a, 12) for a in (0, 45, 90, 135, 180, -135, -90, -45)]
    shared = default_views([orbit(24, 12), orbit(16, 12)])
    assert angles(shared) == [(a, 12) for a in (0, 45, 90, 135, 180, -135, -90, -45)]
    of_21 = default_views([orbit(21, 10), orbit(21, 10)])
    assert len(of_21) == 8 and set(of_21) <= set(orbit(21, 10)) and of_21[0] == View(0, 10)
    assert angles(default_views([orbit(5, 0)])) == [(0, 0), (72, 0), (144, 0), (-144, 0), (-72, 0)]
    assert angles(default_views([(View(30, 20),), (View(30, 20),)])) == [(30, 20)]


def test_the_default_of_a_swing_keeps_to_its_arc_and_of_a_spiral_to_its_path():
    swing = path("swing", 24, View(10, 5), 30)
    chosen = default_views([swing])
    azimuths = [view.azimuth_deg for view in chosen]
    assert azimuths == sorted(azimuths) and azimuths[0] == pytest.approx(-20) and azimuths[-1] == pytest.approx(40)
    over_the_back = default_views([path("swing", 24, View(180, 5), 30)])
    assert [round(v.azimuth_deg) for v in (over_the_back[0], over_the_back[-1])] == [150, -150]
    spiral = path("spiral", 24, View(0, 10))
    assert set(default_views([spiral])) <= set(spiral) and len(default_views([spiral])) == 8


def test_without_enough_in_common_it_is_a_turn_or_the_few_there_are():
    fixed = tuple(View(a, e) for a, e in zip(range(30, 390, 60), (20, -10) * 3, strict=True))
    assert angles(default_views([orbit(24, 12), fixed])) == [(a, 12) for a in (0, 45, 90, 135, 180, -135, -90, -45)]
    assert angles(default_views([(View(90),), (View(0),), (View(-90),)])) == [(-90, 0), (0, 0), (90, 0)]


def test_the_nearest_view_is_that_of_the_smallest_angle():
    rng = np.random.default_rng(0)
    views = [View(a, e) for a, e in zip(rng.uniform(-180, 180, 60), rng.uniform(-90, 90, 60), strict=True)]
    for asked in [View(a, e) for a, e in zip(rng.uniform(-180, 180, 40), rng.uniform(-90, 90, 40), strict=True)]:
        away = [angle_between(view, asked) for view in views]
        found = nearest(views, asked)
        assert found is not None and away[found] == pytest.approx(min(away), abs=0.01)
    assert nearest([View(100)], View(0)) is None and nearest([], View(0)) is None
    assert nearest([View(0, 0, 2.0), View(0, 0, 1.0)], View(0)) == 1


def test_views_are_read_from_an_address():
    assert asked_views("0,45,90@10", 7) == (View(0, 7), View(45, 7), View(90, 10))
    assert asked_views(" -90 , 180@-5.5", 0) == (View(-90, 0), View(180, -5.5))
    assert asked_views("0,0,360", 0) == (View(0, 0),)
    assert shared_elevation([orbit(4, 10), orbit(8, 20), orbit(2, 20)]) == 20


@pytest.mark.parametrize(
    "text",
    [
        "nan",
        "0,,1",
        "1e2",
        "inf",
        "0@",
        "@10",
        "0@91",
        "400",
        "0x10",
        "1_0",
        "٣",
        "<b>",
        "0;1",
        "0" * 500,
        "-",
        "0@nan",
    ],
)
def test_views_that_are_none_get_a_sentence(text: str):
    with pytest.raises(TurnaroundError, match=r"^[A-Z].*\.$"):
        asked_views(text, 0)


def test_a_thousand_views_are_refused_at_once():
    with pytest.raises(TurnaroundError, match="at most 24 views"):
        asked_views(",".join(str(i % 360) for i in range(1000)), 0)


def test_too_many_rows_and_none_are_refused():
    with pytest.raises(TurnaroundError, match="at most 24 rows"):
        laid_out(a_sheet(("x",) * 25, orbit(1)))
    with pytest.raises(TurnaroundError, match="none of these results has views"):
        laid_out(Sheet(orbit(2), (), ()))


def test_labels_say_what_differs():
    assert label(View(45.04, 10), [View(0, 10)]) == "45°"
    assert label(View(-51.43, 20), [View(0, 10), View(0, 20)]) == "-51.4° / 20°"
    assert label(View(-0.01, 0), [View()]) == "0°"


# --- Words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_any_text_becomes_one_line_of_known_letters_within_its_place(text: str):
    line = clean(text)
    assert set(line) <= {*face().glyphs, MISSING} and line == " ".join(line.split())
    for width in (1, 60, 300):
        assert width_of(shortened(line, width, 30), 30) <= max(width, width_of(ELLIPSIS, 30))
        lines = wrapped(line, width, 30, 3)
        assert len(lines) <= 3
        assert all(width_of(part, 30) <= max(width, 3 * width_of("W", 30)) for part in lines)
    page = laid_out(a_sheet((text, "Other"), orbit(8), foot=(text,)))
    pixels, first = drawn(page), laid_out(a_sheet(("Mmmm", "Other"), orbit(8)))
    assert page.width <= first.width + 200
    assert (pixels[:, :20] == 255).all() and (pixels[:, -20:] == 255).all()
    read = read_pdf(as_pdf(page, text))
    assert len(read.texts) == len(texts(page))


def test_what_has_no_letter_is_visible_and_accents_are_left_out():
    assert clean("Zürich Ångström é") == "Zurich Angstrom e"
    assert clean("a\u202eb") == f"a{MISSING}b" and clean("日") == MISSING
    assert width_of(MISSING, 100) > 20
    (_, mask) = letters_mask(MISSING, 0, 40, 40)
    assert np.asarray(mask).max() == 255


def test_letters_are_drawn_where_and_as_wide_as_they_are_measured():
    for text, size in (("Turnaround 45°", 20.83), ("illustrate MMW", 31.2)):
        (x, y), mask = letters_mask(text, 100.0, 200.0, size)
        seen_rows = np.flatnonzero(np.asarray(mask).max(axis=1) > 60)
        seen = np.flatnonzero(np.asarray(mask).max(axis=0) > 60)
        assert abs(x + seen[0] - 100) < 0.15 * size
        assert abs(x + seen[-1] + 1 - 100 - width_of(text, size)) < 0.15 * size
        assert abs(y + seen_rows[-1] + 1 - 200) <= 0.3 * size


# --- Print ------------------------------------------------------------------------------------------------------------


def test_the_pdf_is_one_page_of_the_prints_size_with_words_as_words_and_exact_pictures():
    sheet = a_sheet(("Zero123++", "An (odd) name\\"), orbit(3, 10), foot=("Licence: MIT.",))
    page = laid_out(sheet)
    data = as_pdf(page, "Turnaround")
    read = read_pdf(data)
    assert data.count(b"/Type /Page ") == 1 and b"/Count 1" in data
    assert read.media_box == pytest.approx((0, 0, page.width * 72 / DPI, page.height * 72 / DPI), abs=0.01)
    assert read.texts == texts(page) and "Zero123++" in read.texts
    wanted = [item.rgb for item in page.items if isinstance(item, Picture)]
    assert len(read.pictures) == len(wanted) == 7
    for picture, rgb in zip(read.pictures, wanted, strict=True):
        np.testing.assert_array_equal(picture, rgb)
    (font,) = read.of_type("CIDFontType2")
    assert b"/BaseFont /Aileron-Regular" in font and any(b"/FontFile2" in body for body in read.objects.values())


def test_a_picture_shown_twice_is_stored_once_and_the_same_page_makes_the_same_bytes():
    rgb = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    page = Page(200, 100, (Picture(0, 0, rgb), Picture(70, 0, rgb), Words(5, 90, "twice", 8)))
    data = as_pdf(page, "Turnaround")
    assert len(read_pdf(data).pictures) == 1 and read_pdf(data).content.count(" Do ") == 2
    assert as_pdf(page, "Turnaround") == data and as_png(page) == as_png(page)


def test_words_stand_at_the_same_place_in_both():
    page = Page(
        400, 200, (Words(390, 100, "right", 10, anchor="right"), Words(200, 180, "middle", 10, anchor="middle"))
    )
    dark = np.argwhere(drawn(page).max(axis=2) < 128)
    assert 380 <= dark[:, 1].max() <= 390
    starts = [line.split(" Td")[0].split()[-2:] for line in read_pdf(as_pdf(page, "t")).content.splitlines()]
    for (x, y), item in zip(starts, page.items, strict=True):
        assert isinstance(item, Words)
        assert float(x) == pytest.approx(item.left * 72 / DPI, abs=0.01)
        assert float(y) == pytest.approx((200 - item.y) * 72 / DPI, abs=0.01)
