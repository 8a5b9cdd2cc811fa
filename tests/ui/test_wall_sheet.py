"""A wall's contact sheet over a real socket: every frame in its place, every word that tells rows apart."""

from collections.abc import Iterator

import numpy as np
import pytest

from pipelines.core.paper import DPI
from pipelines.core.sheet import cell_px
from pipelines.runtime.archive import NOT_FOUND
from pipelines.runtime.stored import StoredResult
from tests.core.pdf_reader import read_pdf
from tests.toy_methods import Slow, SlowOptions
from tests.ui.painted import COUNT, Fixed, Painted, colour_of, got, painted_rooms, picture, refused
from tests.ui.rooms import Rooms


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    with painted_rooms(tmp_path_factory.mktemp("takeaway") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def result(rooms: Rooms) -> StoredResult:
    return rooms.make(Fixed(), Painted(), views=COUNT)


def cells_of(pixels: np.ndarray, colour: tuple[int, int, int]) -> list[tuple[int, int]]:
    """Centres, x and y, of the discs in this colour, from left to right."""
    import cv2

    near = (np.abs(pixels.astype(int) - colour).max(axis=2) <= 3).astype(np.uint8)
    _, _, boxes, centres = cv2.connectedComponentsWithStats(near)
    found = [tuple(centre) for box, centre in zip(boxes[1:], centres[1:], strict=True) if box[cv2.CC_STAT_AREA] > 500]
    return sorted((round(x), round(y)) for x, y in found)


def test_a_sheet_has_the_asked_views_in_its_columns_and_the_methods_in_its_rows(rooms: Rooms, result: StoredResult):
    path = f"/sheet.png?r={result.id}&views=0,36,144,-108"
    image = picture(got(rooms, path, "image/png").content)
    assert image.info["dpi"] == pytest.approx((DPI, DPI), abs=0.1)
    pixels, side = np.asarray(image), cell_px(4)
    exact = [cells_of(pixels, colour_of(azimuth)) for azimuth in (0, 36, 144, -108)]
    assert [len(found) for found in exact] == [1, 1, 1, 1]
    xs, ys = [found[0][0] for found in exact], {found[0][1] for found in exact}
    assert max(ys) - min(ys) <= 1 and np.ptp(np.diff(xs)) <= 2 and side < xs[1] - xs[0] < 1.1 * side
    # The other method's nearest: 20° stands for both 0° and 36°
    other = [cells_of(pixels, colour_of(azimuth, Fixed.blue)) for azimuth in (20, 140, -100)]
    assert [x for found in other for x, _ in found] == pytest.approx(xs, abs=1)
    assert all(y < min(ys) for found in other for _, y in found)  # asked for first, so the first row
    texts = read_pdf(rooms.get(path.replace(".png", ".pdf")).content).texts
    assert [text for text in texts if "°" in text] == [
        *("elevation 30°", "0°", "36°", "144°", "-108°"),
        *("20°", "20°", "140°", "-100°"),
        *(f"{azimuth} / 10°" for azimuth in ("0°", "36°", "144°", "-108°")),
    ]


def test_a_pdf_is_one_page_of_the_pngs_size(rooms: Rooms, result: StoredResult):
    answer = got(rooms, f"/sheet.pdf?r={result.id}.painted", "application/pdf")
    image = picture(rooms.get(f"/sheet.png?r={result.id}.painted").content)
    read = read_pdf(answer.content)
    assert read.media_box[2:] == pytest.approx([length * 72 / DPI for length in image.size], abs=0.01)
    assert len(read.of_type("Pages")) == 1 and len(read.pictures) == 1 + 8
    assert "Painted" in read.texts and "Licences: Painted (Apache-2.0)." in read.texts
    assert f"{rooms.url}/?r={result.id}.painted" in " ".join(read.texts)  # whole: there is nothing to click on paper
    plain = read_pdf(rooms.get(f"/sheet.pdf?r={result.id}.painted&plain=1").content)
    assert not any("Licence" in text or result.id in text for text in plain.texts)


def test_results_of_one_title_say_what_tells_them_apart(rooms: Rooms, result: StoredResult):
    first = rooms.make(Slow(), views=2, options=SlowOptions(steps=1))
    second = rooms.make(Slow(), views=2, options=SlowOptions(steps=2))
    texts = read_pdf(rooms.get(f"/sheet.pdf?r={first.id},{second.id},{result.id}.painted").content).texts
    assert texts.count("Slow") == 2 and texts.count("steps 1") == texts.count("steps 2") == 1
    twin = rooms.make(Slow(), views=2, options=SlowOptions(steps=1))
    texts = read_pdf(rooms.get(f"/sheet.pdf?r={first.id},{twin.id}").content).texts
    assert f"link …{first.id[-4:]}" in texts and f"link …{twin.id[-4:]}" in texts


def test_a_title_of_markup_is_shown_as_text(rooms: Rooms, result: StoredResult):
    texts = read_pdf(rooms.get(f"/sheet.pdf?r={result.id}.fixed").content).texts
    assert any(text.startswith("<img src=x") for text in texts)


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("", 400, "nothing to put"),
        ("r=", 400, "nothing to put"),
        ("r={id}.nobody", 404, "no turnaround by such a method"),
        ("r=" + "f" * 44, 404, NOT_FOUND),
        ("r=../../etc/passwd", 404, NOT_FOUND),
        ("r={id}&views=nan", 400, "not understood"),
        ("r={id}&views=0@95", 400, "elevation"),
        ("r={id}&views=720", 400, "azimuth"),
        ("r={id}&views=" + ",".join(str(i % 360) for i in range(1000)), 400, "at most 24 views"),
        ("r={id}&views=<script>", 400, "not understood"),
    ],
    ids=range(10),
)
def test_what_cannot_be_on_a_sheet_is_refused_in_words(
    rooms: Rooms, result: StoredResult, query: str, status: int, words: str
):
    for name in ("sheet.png", "sheet.pdf"):
        assert words in refused(rooms, f"/{name}?{query.format(id=result.id)}", status)
