"""The mask in a real Chromium: what is painted is read back from the pixels shown."""

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitors
from tests.browser.subject_parts import after, opened, solid, upload
from tests.ui.house import ORANGE
from tests.ui.subject_helpers import a_cut_out

pytestmark = pytest.mark.browser
HOUSE = "tests.browser.subject_house"  # the panel alone
COARSE = 0.5  # device pixels a CSS pixel: the editor is drawn by software here, and what is read is not the screen


def test_the_mask_is_repaired_by_brush_live_and_every_step_can_be_taken_back(visitor: Visitors):
    page = opened(visitor(device_scale_factor=COARSE))
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    whole = after(page, lambda: upload(page, a_cut_out()))
    sent.clear()
    unfold(page)
    assert not any("upload" in url or "component_server" in url for url in sent)

    cut = after(page, lambda: stroke(page, (0.25, 0.5), (0.75, 0.5)))
    assert solid(cut) < 0.93 * solid(whole)
    row = cut[512, 300:724, 3]
    assert (row < 30).mean() > 0.8  # right across the middle, where the ball was solid
    assert (cut[300, 400:600, 3] == 255).all() and (cut[300, 400:600, :3] == ORANGE).all()
    expect(page.locator("#cutout figcaption")).to_contain_text("repaired by hand")
    # What the photo is stays where it is: one small upload, and nothing through the editor's own door
    assert [url.rsplit("/", 1)[1] for url in sent].count("upload") == 1
    assert not any("component_server" in url for url in sent)
    told = page.locator("#told textarea").input_value()
    assert len(told) >= 22

    assert np.array_equal(after(page, page.get_by_role("button", name="Undo").first.click), whole)

    choose(page, "add")
    grown = after(page, lambda: stroke(page, (0.2, 0.3), (0.28, 0.3)))
    assert solid(grown) < solid(whole)  # more of the photo is framed, so the ball is smaller in it
    assert (grown[:, :200, 3] > 127).any()

    choose(page, "erase")
    page.locator(".brushes input").fill("96")
    page.locator(".brushes input").dispatch_event("change")
    page.wait_for_selector(".brushes[data-size='96']")
    ungrown = after(page, lambda: stroke(page, (0.14, 0.3), (0.34, 0.3)))
    assert np.array_equal(ungrown, whole)
    assert page.locator("#told textarea").input_value() != told


def test_the_mask_is_repaired_with_a_finger_on_a_phone(visitor: Visitors):
    phone = {"width": 360, "height": 740, "has_touch": True, "is_mobile": True, "device_scale_factor": COARSE}
    page = opened(visitor(**phone, color_scheme="dark"))
    whole = after(page, lambda: page.get_by_role("button", name="Cactus").tap())
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for button in page.locator("#examples button, .brushes button").all():
        box = button.bounding_box()
        assert box is not None and box["height"] >= 44 and box["width"] >= 40
    page.locator(".brushes .remove").tap()
    page.locator("#mask").scroll_into_view_if_needed()

    def paint() -> None:
        scrolled = page.evaluate("window.scrollY")
        finger(page, (0.5, 0.7), (0.5, 0.35))
        assert page.evaluate("window.scrollY") == scrolled  # it paints, and does not scroll

    assert solid(after(page, paint)) != solid(whole)
    assert np.array_equal(after(page, page.get_by_role("button", name="Start over").tap), whole)


def finger(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    box = page.locator("#mask canvas").first.bounding_box()
    assert box is not None
    client = page.context.new_cdp_session(page)
    for step in range(7):
        x, y = (a + (b - a) * step / 6 for a, b in zip(start, end, strict=True))
        point = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
        client.send("Input.dispatchTouchEvent", {"type": "touchMove" if step else "touchStart", "touchPoints": [point]})
    client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


# --- With the editor --------------------------------------------------------------------------------------------------


def unfold(page: Page) -> None:
    """The mask editor, once it can be painted in."""
    with page.expect_response(lambda answer: answer.url.endswith("/canvas.webp")):
        page.get_by_role("button", name="Repair, edges, depth").click()
    page.wait_for_selector(".brushes.driving")
    expect(page.locator(".brushes .remove")).to_have_attribute("aria-pressed", "true")
    settled(page)


def settled(page: Page) -> None:
    """Whatever the editor was to draw is drawn: two looks at it are alike, and show something colourful."""
    page.wait_for_function(
        """async () => {
            const editor = document.querySelector('#mask canvas');
            const look = () => editor.getBoundingClientRect().toJSON().y + editor.width;
            const before = look();
            await new Promise((then) => setTimeout(then, 300));
            return before === look();
        }"""
    )
    canvas = page.locator("#mask canvas").first
    for _ in range(60):
        pixels = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")).astype(int)
        if (np.ptp(pixels, axis=-1) > 60).mean() > 0.02:
            return
        page.wait_for_timeout(250)
    raise AssertionError("the editor never showed the photo")


def stroke(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Across the editor, in shares of it."""
    page.locator("#mask").scroll_into_view_if_needed()
    box = page.locator("#mask canvas").first.bounding_box()
    assert box is not None
    (x, y), (to_x, to_y) = ((box["x"] + a * box["width"], box["y"] + b * box["height"]) for a, b in (start, end))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(to_x, to_y, steps=4)
    page.mouse.up()


def choose(page: Page, brush: str) -> None:
    page.locator(f".brushes .{brush}").click()
    expect(page.locator(f".brushes .{brush}")).to_have_attribute("aria-pressed", "true")
