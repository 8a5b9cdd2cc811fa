"""Ways through the page that visitors take without thinking: Back, several tabs, typing, the keyboard, in Chromium."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import FLAT_FLAGS, Visitors
from tests.browser.page_parts import choose_only, cutout_shown, generate, one_view, result_shown, tiles, unfold
from tests.ui.hostile.server import Running

pytestmark = pytest.mark.browser
FLAGS = FLAT_FLAGS
SETTINGS = {"TURNAROUND_MAX_QUEUE": 6, "TURNAROUND_GRACE_S": 60}


def linked(page: Page) -> str:
    return str(page.evaluate("new URLSearchParams(location.search).get('r') ?? ''"))


def test_back_leads_to_what_hung_there_before_and_forward_again(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    one_view(page)
    generate(page)
    first = result_shown(page)
    generate(page)
    expect(page.locator("#generate")).to_be_visible()
    page.wait_for_function("first => !location.search.includes(first)", arg=first)
    second = result_shown(page)
    page.go_back()
    page.wait_for_function("first => location.search.includes(first)", arg=first)
    assert result_shown(page) == first
    page.go_forward()
    page.wait_for_function("second => location.search.includes(second)", arg=second)
    assert result_shown(page) == second
    tiles(page).first.get_by_role("button", name="More").click()
    tiles(page).first.get_by_role("button", name="Delete the result").click()
    tiles(page).first.get_by_role("button", name="Delete", exact=True).click()
    page.wait_for_function("!location.search.includes('r=')")
    page.go_back()
    page.wait_for_function("first => location.search.includes(first)", arg=first)  # not what is no more
    result_shown(page)
    page.locator("#history .forget").first.click()
    page.locator("#history .sure .yes").click()
    page.wait_for_function("!location.search.includes('r=')")
    page.go_back()
    page.wait_for_timeout(500)
    assert first not in page.url and second not in page.url


def rendered(house: Running, id: str) -> list[list[float]]:
    """Azimuth, elevation and distance of what Inflate made."""
    frames = house.client.get(f"/r/{id}/inflate/cameras.json").json()["frames"]
    return [[frame[name] for name in ("azimuth_deg", "elevation_deg", "distance")] for frame in frames]


def test_a_path_is_drawn_rendered_and_given_back(visitor: Visitors, house: Running):
    page = visitor()
    cutout_shown(page)
    page.get_by_role("radio", name="Draw").check()
    generate(page)
    expect(page.locator("#status")).to_contain_text("No path is drawn yet. Drag the camera")
    page.get_by_label("number input for Views").fill("6")
    page.get_by_label("number input for Views").press("Tab")
    pad = page.locator(".camera-pad-stage")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box
    page.mouse.move(box["x"] + 30, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 20, steps=8)
    page.mouse.up()
    generate(page)  # at once
    id = result_shown(page)

    drawn = page.evaluate("document.querySelector('.camera-pad').cameraPad.value")
    views = rendered(house, id)
    ends = [views[0], views[-1]]
    assert len(views) == 6 and ends == [drawn["way"][0], drawn["way"][-1]] and drawn["azimuth"] > 20

    other = visitor(f"?r={id}")
    result_shown(other)
    other.locator("#wall .tile").get_by_role("button", name="More").click()
    other.get_by_role("button", name="Change one thing").click()
    expect(other.get_by_role("radio", name="Draw")).to_be_checked()
    expect(other.locator(".camera-pad-readout")).to_contain_text("6 views along your path")
    generate(other)
    expect(other).not_to_have_url(re.compile(id))
    assert rendered(house, result_shown(other)) == views


def test_a_cancel_goes_through_with_as_many_tabs_at_work_as_a_visitor_may_have(visitor: Visitors):
    """A browser has six connections to a server for all of its tabs."""
    first = visitor()
    tabs = [first, *(first.context.new_page() for _ in range(3))]
    for page in tabs[1:]:
        page.goto(first.url.split("?")[0])
    for page in tabs:
        cutout_shown(page)  # also the fourth has come
    for page in tabs[:3]:
        one_view(page)
        choose_only(page, "Slow")
        unfold(page.locator("#method-slow"), "Options", "Steps").fill("600")
        page.keyboard.press("Tab")
        generate(page)
        expect(page.locator("#cancel")).to_be_visible()
    for page in reversed(tabs[:3]):
        page.click("#cancel")
        expect(tiles(page).first).to_have_attribute("data-state", "cancelled", timeout=10_000)
        expect(tiles(page).first).not_to_contain_text("other methods")


def test_what_is_typed_beyond_the_ends_of_a_slider_is_what_will_be_made_and_is_said_so(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    views = page.locator("#camera").get_by_role("spinbutton", name="Views")
    for typed, count in (("1000", 72), ("1", 4), ("7.5", 8), ("", 4)):
        views.fill(typed)
        expect(page.locator("#camera .camera-pad")).to_contain_text(f"{count} views all round")
        views.press("Tab")
        expect(page.get_by_test_id("toast-text")).to_have_count(0)
    thick = unfold(page.locator("#method-inflate"), "Options", "Thickness")
    thick.fill("99")
    thick.press("Tab")
    one_view(page)
    generate(page)
    result_shown(page)
    expect(page.get_by_test_id("toast-text")).to_have_count(0)


def test_ears_hear_whose_options_they_are_and_whether_they_are_open_and_a_link_leads_past_all_of_it(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    options = page.get_by_role("button", name="Options: Inflate")
    expect(options).to_have_attribute("aria-expanded", "false")
    options.click()
    expect(options).to_have_attribute("aria-expanded", "true")
    one_view(page)
    generate(page)
    id = result_shown(page)
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.locator("h1").click()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the Generate button")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#generate")).to_be_focused()
    assert id in page.url and page.locator("#wall .tile[data-state=done]").count() == 1, "the page is still the same"


def test_on_a_phone_one_tap_leads_to_ones_own_photo(visitor: Visitors):
    page = visitor(width=390, height=844)
    cutout_shown(page)
    expect(page.locator("#subject")).not_to_be_in_viewport()
    page.get_by_role("link", name="Your photo").click()
    expect(page.locator("#photo")).to_be_in_viewport(ratio=1)
    assert "#" not in page.url
    assert not visitor().get_by_role("link", name="Your photo").is_visible(), "beside the wall it is in sight anyway"
