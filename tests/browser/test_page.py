"""The page as a visitor meets it, in a real Chromium: pixels are read, not promises."""

import io
import re

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import FLAT_FLAGS, SMALL_PX, Visitors
from tests.browser.page_parts import (
    angle,
    choose_only,
    cutout_changed,
    cutout_shown,
    cutout_source,
    generate,
    one_view,
    picture,
    pixels,
    result_shown,
    share_of,
    still,
    tiles,
    upload,
)
from tests.ui.hostile.server import Running
from tests.ui.house import BLUE, CAMERA_NAME, MARKUP, ORANGE, a_photo

pytestmark = pytest.mark.browser
FLAGS = FLAT_FLAGS
GREEN, PURPLE = (40, 160, 60), (130, 40, 150)


def stored(house: Running) -> list[str]:
    return sorted(path.name for path in (house.data / "results").glob("0*"))


def test_the_first_thing_seen_is_an_example_that_turns(visitor: Visitors):
    page = visitor(reduced_motion="no-preference")
    expect(page.locator("#wall .tile-badge")).to_contain_text("Recorded example")
    expect(page.locator("#wall .tile-empty")).to_have_count(0)
    label = tiles(page).locator(".tile-angle")
    first = label.inner_text().removeprefix("nearest: ")  # of those that have come
    expect(label).not_to_have_text(re.compile(rf"{re.escape(first)}$"))
    assert pixels(page, "#wall canvas").std() > 12


def test_generate_is_the_only_tap_a_first_visit_needs(visitor: Visitors, house: Running):
    page = visitor()
    cutout_shown(page)
    generate(page)
    link = result_shown(page)
    view = Image.open(io.BytesIO(house.client.get(f"/r/{link}/inflate/view_000.png").content))
    assert view.size == (SMALL_PX, SMALL_PX)  # as this server's settings say
    still(page)
    assert pixels(page, "#wall canvas").std() > 12
    expect(tiles(page)).to_contain_text("guess")
    expect(tiles(page)).to_contain_text("Apache-2.0")

    # Its link shows the same again, nothing is computed for it, and everything can be taken away
    made = stored(house)
    page.reload()
    assert result_shown(page) == link and made == stored(house)
    page.locator("#wall .tile").get_by_role("button", name="Take away").click()
    anchors = page.locator("#wall .tile a[href*='download']").all()
    assert len(anchors) >= 7
    for anchor in anchors:
        answer = house.client.get(f"/{anchor.get_attribute('href')}".replace(house.url, "").replace("//", "/"))
        assert answer.status_code == 200 and len(answer.content) > 100, anchor.get_attribute("href")
        assert answer.headers["content-disposition"].startswith('attachment; filename="turnaround-')


def test_what_is_no_photo_is_refused_and_an_own_one_is_cut_out_upright_and_leaves_no_trace_of_where_it_was_taken(
    visitor: Visitors, house: Running
):
    page = visitor()
    cutout_shown(page)
    upload(page, b"<html>not a photo</html>", "cat.jpg")
    refusal = page.locator("#cutout .problem")
    expect(refusal).to_be_visible()
    assert "Traceback" not in refusal.inner_text() and refusal.inner_text().count(".") >= 1
    upload(page, b"<svg xmlns='http://www.w3.org/2000/svg'><circle r='9'/></svg>", "drawing.svg")
    expect(refusal).to_contain_text("SVG")
    for photo in (a_photo(), a_photo(BLUE), a_photo(turned=True)):  # one after another, as people try them
        before = cutout_source(page) if page.locator("#cutout .board img").count() else None
        upload(page, photo)
        cutout_changed(page, before)
        expect(refusal).to_have_count(0)
    cut = pixels(page, "#cutout .board img")
    height, width = cut.shape[:2]
    assert share_of(ORANGE, cut[height // 3 : height // 2, width // 3 : 2 * width // 3]) > 0.8
    assert share_of(BLUE, cut[int(0.54 * height) : int(0.57 * height), width // 3 : 2 * width // 3]) > 0.8  # upright
    assert share_of(ORANGE, cut[: height // 12]) < 0.02  # around it, the checkerboard

    one_view(page)
    generate(page)
    result_shown(page)
    expect(page.locator(".toast-body")).to_have_count(0)
    assert share_of(ORANGE, pixels(page, "#wall canvas")) > 0.08
    assert angle(page) == (35, 10)

    # What the page shows of the photo, and every file there is, is clean
    shown = house.client.get(page.locator("#photo img").get_attribute("src") or "")
    assert not Image.open(io.BytesIO(shown.content)).getexif()
    for file in house.data.rglob("*"):
        assert "canary" not in file.name
        if file.is_file():
            assert CAMERA_NAME.encode() not in file.read_bytes(), file


def test_cancel_stops_the_run_and_the_next_one_fills_the_wall_one_by_one_where_what_fails_can_be_tried_again(
    visitor: Visitors,
):
    page = visitor()
    cutout_shown(page)
    choose_only(page, "Slow")
    generate(page)
    working = page.locator("#wall .tile[data-state=working]")
    expect(working).to_contain_text("Step")
    expect(working).to_contain_text("left")
    page.click("#cancel")
    expect(page.locator("#generate")).to_be_visible()
    expect(page.locator("#wall .tile[data-state=cancelled]")).to_contain_text("Cancelled")

    page.get_by_role("checkbox", name="Slow").uncheck()
    for title in ("Inflate", "Rude", "Raises"):
        page.get_by_role("checkbox", name=title).check()
    one_view(page)
    generate(page)
    result_shown(page, 2)
    failed = page.locator("#wall .tile[data-state=failed]")
    expect(failed).to_contain_text("Something went wrong on our side")
    expect(page.locator("#wall")).to_contain_text(MARKUP)  # shown, not run
    assert page.locator("#wall img[src=x]").count() == 0 and page.title() == "Turnaround"
    before = page.url
    failed.get_by_role("button", name="Try again").click()
    expect(page).not_to_have_url(before)  # another run, in the place of the failed tile
    expect(failed).to_have_count(1)
    result_shown(page, 2)


def test_a_refusal_stands_under_generate_once_and_goes_once_it_is_mended(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    one_view(page)
    page.get_by_role("button", name="Remove Image").click()
    expect(page.locator("#cutout .board img")).to_have_count(0)
    generate(page)
    expect(page.locator("#status .problem")).to_contain_text("no photo yet")
    page.get_by_role("button", name="Teapot").click()
    expect(page.locator("#status .problem")).to_have_count(0)
    expect(page.locator("#photo-elevation").get_by_role("spinbutton")).to_have_value("14")

    page.get_by_role("checkbox", name="Inflate").uncheck()
    problems = page.locator("#go .problem")
    expect(problems).to_have_count(1)
    with page.expect_response(
        lambda answer: "queue/join" in answer.url and "one view" in str(answer.request.post_data)
    ):
        generate(page)
    page.get_by_role("button", name="Duck").click()  # which is heard after it
    expect(page.locator("#photo-elevation").get_by_role("spinbutton")).to_have_value("12")
    expect(problems).to_have_count(1)
    page.get_by_role("checkbox", name="Inflate").check()
    expect(problems).to_have_count(0)
    generate(page)
    result_shown(page)


def test_f14_two_visitors_at_once_and_two_tabs_of_one_see_their_own(visitor: Visitors):
    first, second = visitor(), visitor()
    tab = first.context.new_page()
    tab.add_init_script("addEventListener('storage', (event) => event.stopImmediatePropagation(), true)")  # yet to hear
    tab.goto(first.url)
    pages = {first: ORANGE, second: GREEN, tab: PURPLE}
    for page, colour in pages.items():
        cutout_shown(page)
        before = cutout_source(page)
        upload(page, a_photo(colour))
        cutout_changed(page, before)
        one_view(page)
    for page in pages:
        generate(page)
    results = {page: result_shown(page) for page in pages}
    assert len(set(results.values())) == 3
    for page, own in pages.items():
        shown = pixels(page, "#wall canvas")
        assert share_of(own, shown) > 0.08
        assert all(share_of(other, shown, within=30) < 0.005 for other in pages.values() if other != own)
    tab.reload()
    expect(tab.locator("#history li")).to_have_count(2)
    expect(second.locator("#history li")).to_have_count(1)


def test_sliders_fit_their_column_and_are_dark_in_the_dark_and_a_long_choice_ends_before_its_arrow(visitor: Visitors):
    page = visitor(width=360, height=1000, color_scheme="dark")
    cutout_shown(page)
    remover = page.get_by_role("combobox", name="Background remover")
    text_end = "input => input.getBoundingClientRect().right - parseFloat(getComputedStyle(input).paddingRight)"
    for width in (360, 768, 1400):
        page.set_viewport_size({"width": width, "height": 1000})
        arrow = page.locator("#remover .dropdown-arrow").bounding_box()
        assert arrow and remover.evaluate(text_end) <= arrow["x"]
        box = page.locator("#elevation").bounding_box()
        parts = page.locator("#photo-elevation :is(.head span, .info-text, input[type=range], .max_value)").all()
        assert box
        for part in filter(None, (each.bounding_box() for each in parts)):
            assert part["x"] >= box["x"] and part["x"] + part["width"] <= box["x"] + box["width"]
        title = page.locator("#photo-elevation .head span").first
        one_line = "title => title.offsetHeight < 2 * parseFloat(getComputedStyle(title).fontSize)"
        assert title.evaluate(one_line), "it wraps"
        track = picture(page.locator("#photo-elevation input[type=range]"))
        middle = track[track.shape[0] // 2]
        assert middle[: len(middle) // 4].max() > 150 > 110 > middle[-len(middle) // 4 :].max()  # filled, and not yet
