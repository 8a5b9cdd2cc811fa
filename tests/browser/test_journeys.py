"""From a photo to a shared link, in one go, on each kind of screen: what a visitor does, and what they then see.

Fingers drag. They do not tap: a tap is a click once it is no double tap, and a script is elsewhere by then.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Locator, Page, ViewportSize, expect

from tests.browser.conftest import Visitors
from tests.browser.page_parts import (
    cutout_changed,
    cutout_shown,
    cutout_source,
    hindrances,
    picture,
    pixels,
    result_shown,
    share_of,
    tiles,
    unfold,
    upload,
)
from tests.ui.hostile.server import Running
from tests.ui.house import ORANGE, a_photo

pytestmark = pytest.mark.browser
SETTINGS = {"TURNAROUND_SIZE_PX": 576}  # as visitors have it

SCREENS: dict[str, dict[str, Any]] = {
    "desktop": {"width": 1280, "height": 900},
    "phone": {"width": 360, "height": 740, "has_touch": True, "is_mobile": True},
}
PATHS = {"desktop": "Swing", "phone": "Spiral"}
TABLET: ViewportSize = {"width": 820, "height": 1180}
# What lies behind all, and the rules that see colours; by day, all rules
GROUNDS: dict[Any, tuple[str, tuple[str, ...]]] = {
    "dark": ("rgb(15, 14, 13)", ("color-contrast", "link-in-text-block")),
    "light": ("rgb(245, 245, 244)", ()),
}
COLOURS_SETTLED = """() => Promise.allSettled(
    document.getAnimations().filter((each) => each instanceof CSSTransition).map((each) => each.finished)
)"""
COARSE = 0.5  # device pixels a CSS pixel: 3D is drawn by software here
COUNT = 8


@pytest.mark.parametrize("screen", SCREENS)
def test_a_visitor_goes_all_the_way_on_every_screen_in_light_and_dark(visitor: Visitors, house: Running, screen: str):
    look = SCREENS[screen]
    page = visitor(**look, device_scale_factor=COARSE)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    touch = "has_touch" in look

    def well() -> None:
        """Nothing reaches out of the screen, and nothing keeps anyone from using it, by day and by night."""
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.locator("#show").evaluate("pane => pane.scrollWidth <= pane.clientWidth")
        for scheme, (ground, rules) in GROUNDS.items():
            page.emulate_media(color_scheme=scheme)
            expect(page.locator("body")).to_have_css("background-color", ground)
            page.evaluate(COLOURS_SETTLED)
            assert hindrances(page, *rules) == []

    # 1. Subject: a photo of one's own, cut out, as it is, and cut out again
    cutout_shown(page)
    expect(page.locator("#wall canvas")).to_be_in_viewport()  # the example is what is seen first
    expect(page.locator("#generate")).to_be_in_viewport()
    before = cutout_source(page)
    upload(page, a_photo())
    cutout_changed(page, before)
    balls = [share_of(ORANGE, pixels(page, "#cutout .board img"))]
    for choices in (("U²-Net small", "None"), ("Automatic",)):  # the first would have to be fetched first
        before = cutout_source(page)
        for remover in choices:
            page.get_by_role("combobox", name="Background remover").click()
            page.get_by_role("option", name=remover).click()
        cutout_changed(page, before)
        balls.append(share_of(ORANGE, pixels(page, "#cutout .board img")))
    assert balls[1] < 0.8 * balls[0] and balls[2] == pytest.approx(balls[0])
    enter(page, "Photo elevation (°)", 20)

    # 2. Camera: a path, from where the pad was dragged to
    page.get_by_role("radio", name=PATHS[screen]).click()
    enter(page, "Views", COUNT)
    elevation = page.locator("#camera").get_by_role("spinbutton", name=re.compile("Elevation"))
    before = elevation.input_value()
    pull(page, page.locator("#camera .camera-pad"), 60, 12, touch=touch)
    expect(elevation).not_to_have_value(before)
    tilt = float(elevation.input_value())

    # 3. Methods: two of them, one with an option of its own
    page.get_by_role("checkbox", name="Rude").click()
    unfold(page.locator("#method-inflate"), "Options", "Thickness")
    enter(page, "Thickness", 0.6)
    well()

    # 4. The wall: all tiles turn as one is dragged
    page.locator("#generate").click()
    id = result_shown(page, 2)
    expect(tiles(page).first.locator(".tile-head")).to_be_in_viewport()  # one's own comes to the visitor
    expect(tiles(page).first.locator("canvas")).to_be_in_viewport()
    labels = [tiles(page).nth(i).locator(".tile-angle") for i in range(2)]
    first = labels[0].inner_text()
    canvas = tiles(page).first.locator("canvas")
    shown = picture(canvas)
    pull(page, canvas, -50, 0, touch=touch)
    expect(labels[0]).to_have_text(re.compile(rf"^(?!{first}$)-?\d+° / -?\d+°$"))  # at rest at another view
    turned = labels[0].inner_text()
    expect(labels[1]).to_have_text(turned)
    until(page, lambda: differ(shown, picture(canvas)))
    mode = page.locator(".wall-bar .wall-segments")
    pictured = picture(canvas)
    mode.get_by_role("button", name="Depth").click()
    until(page, lambda: differ(pictured, picture(canvas)))
    depth = picture(canvas)
    mode.get_by_role("button", name="3D").click()
    expect(canvas).to_have_class(re.compile("tilts"))  # a model is seen from everywhere
    until(page, lambda: differ(depth, picture(canvas)) and share_of(ORANGE, picture(canvas)) > 0.05)
    mode.get_by_role("button", name="Picture").click()
    expect(canvas).not_to_have_class(re.compile("tilts"))
    page.get_by_role("button", name="Wipe").click()
    wipe = page.locator(".wall-wipe canvas")
    expect(wipe).to_be_visible()
    well()
    page.locator(".wall-wipe").get_by_role("button", name="Close").click()

    # 5. Take it away
    page.get_by_role("button", name="Take all away").click()
    offered = page.locator(".wall-bar .wall-panel a").all()
    links = {link.inner_text(): link.get_attribute("href") or "" for link in offered}
    for name, kind in (("Contact sheet (PDF)", "application/pdf"), ("Everything (ZIP)", "application/zip")):
        answer = page.request.get(links[name])
        assert answer.ok and answer.headers["content-type"] == kind
    page.locator(".wall-bar .wall-panel > *").last.click(trial=True)  # nothing covers it
    well()
    page.keyboard.press("Escape")

    # 6. Share: the link to this moment shows it, and nothing is computed anew
    page.get_by_role("button", name="Share").click()
    page.get_by_role("button", name="Copy link to this moment").click()
    page.wait_for_function("navigator.clipboard.readText().then(text => text.includes('&az='))")
    page.goto(page.evaluate("navigator.clipboard.readText()"))
    assert result_shown(page, 2) == id
    expect(tiles(page).first.locator(".tile-angle")).to_have_text(turned)
    asked = house.client.get(f"/r/{id}/wall.json").json()["tiles"]
    manifest = house.client.get(f"/r/{id}/inflate/manifest.json").json()
    assert manifest["options"]["depth"] == 0.6 and manifest["subject"]["remover"] == "outline"
    heights = [frame["asked"]["elevation_deg"] for frame in asked[0]["frames"]]
    assert len(heights) == COUNT and np.mean(heights) == pytest.approx(tilt)
    assert (len(set(heights)) > 1) == (PATHS[screen] == "Spiral")

    # 7. History: opened with a tap, deleted with two
    page.goto(house.url)
    expect(page.locator("#wall .tile-badge")).to_be_visible()
    page.locator("#history .open").click()
    assert result_shown(page, 2) == id
    well()
    page.locator("#history .forget").click()
    page.locator("#history .sure .yes").click()
    expect(page.locator("#history li")).to_have_count(0)
    assert house.client.get(f"/r/{id}/wall.json").status_code == 404
    page.set_viewport_size(TABLET)
    well()


def enter(page: Page, name: str, amount: float) -> None:
    number = page.get_by_role("spinbutton", name=re.compile(re.escape(name)))
    number.fill(f"{amount:g}")
    number.blur()


def pull(page: Page, target: Locator, right: float, down: float, *, touch: bool) -> None:
    """With a mouse or a finger, from the middle of it."""
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    if not touch:
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + right, y + down, steps=8)
        page.mouse.up()
        return
    finger = page.context.new_cdp_session(page)
    for part in range(9):
        at = {"x": x + right * part / 8, "y": y + down * part / 8}
        finger.send("Input.dispatchTouchEvent", {"type": "touchMove" if part else "touchStart", "touchPoints": [at]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def differ(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    return one.shape != other.shape or float(np.abs(one.astype(int) - other).mean()) > 1


def until(page: Page, true: Callable[[], bool]) -> None:
    """What is drawn may be a moment behind what is said."""
    for _ in range(300):
        if true():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it was never seen")
