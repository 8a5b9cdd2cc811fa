"""The subject panel in a real Chromium: what is chosen, pasted and taken is read back from the pixels shown."""

import base64
import re

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import FLAT_FLAGS, PATIENCE_MS, Visitors
from tests.browser.page_parts import give_large, unfold
from tests.browser.subject_parts import after, opened, solid, upload
from tests.ui.hostile.server import Running
from tests.ui.house import BLUE, ORANGE, a_photo
from tests.ui.subject_helpers import a_cut_out, a_depth

pytestmark = pytest.mark.browser
HOUSE = "tests.browser.subject_house"  # the panel alone
FLAGS = FLAT_FLAGS


def test_removers_are_compared_and_edges_are_live(visitor: Visitors):
    page = opened(visitor())
    cut = after(page, lambda: upload(page, a_photo()))
    assert solid(cut) > 0.3
    expect(page.locator("#cutout figcaption")).to_contain_text("Outline")
    page.get_by_role("combobox", name="Background remover").click()
    whole = after(page, lambda: page.get_by_role("option", name="None: take the whole photo").click())
    assert (whole[512, 200:824, 3] == 255).all()  # with all its paper
    expect(page.locator(".tried button")).to_have_text(["Outline", "Whole photo"])
    expect(page.locator(".tried [aria-pressed=true]")).to_have_text("Whole photo")
    expect(page.locator(".tried img")).to_have_count(2)
    thumbnails = page.locator(".tried img").all()
    assert all(image.evaluate("image => image.naturalWidth") == 128 for image in thumbnails)
    assert np.array_equal(after(page, page.locator(".tried button").first.click), cut)
    expect(page.get_by_role("combobox", name="Background remover")).to_have_value("Automatic (nothing to download)")

    unfold(page, "Repair, edges, depth", "Soft edge (%)")
    soft = after(page, lambda: slide(page, "Soft edge (%)", "4"))
    middling = (soft[..., 3] > 20) & (soft[..., 3] < 235)
    assert middling.mean() > 0.02 > ((cut[..., 3] > 20) & (cut[..., 3] < 235)).mean()
    small = after(page, lambda: slide(page, "Share of the frame (%)", "40"))
    assert 0.36 < (small[..., 3] > 127).any(axis=0).mean() < 0.42
    expect(page.locator("#cutout figcaption")).to_contain_text("edge softened by 4 %")

    page.get_by_role("combobox", name="Background remover").click()
    page.get_by_role("option", name="U²-Net small · 5 MB · Apache-2.0").click()
    expect(page.locator("#cutout .problem")).to_contain_text("U²-Net small")
    expect(page.locator(".tried [aria-pressed=true]")).to_have_count(0)  # none of them is what was asked for
    page.get_by_role("button", name="Use the one that needs no download").click()
    page.wait_for_selector("#cutout:not(:has(.problem)) .board img")


def slide(page: Page, label: str, value: str) -> None:
    """As a pointer or an arrow key does: the number is typed, and let go of."""
    number = page.get_by_role("spinbutton", name=label)
    number.fill(value)
    number.blur()


# --- The elevation ----------------------------------------------------------------------------------------------------


def at_rest(page: Page, asked: list[str]) -> None:
    """What the page asks by itself when it opens has been asked and answered."""
    asked.append("something")
    while asked:
        asked.clear()
        page.wait_for_timeout(1000)


def test_the_side_view_follows_the_slider_without_asking_the_server(visitor: Visitors):
    page = opened(visitor(color_scheme="dark", locale="de-DE"))
    expect(page.locator("#remover")).to_contain_text("Freisteller")
    picture = page.get_by_role("img", name="Seitenansicht")
    expect(picture.locator("text")).to_have_text("10°")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    at_rest(page, asked)
    heights = {}
    for key, presses, degrees in (("ArrowRight", 5, 15), ("Home", 1, -90), ("End", 1, 90)):
        page.locator("#photo-elevation input[type=range]").focus()
        for _ in range(presses):
            page.keyboard.press(key)
        expect(picture.locator("text")).to_have_text(f"{degrees}°".replace("-", "−"))
        expect(picture).to_have_attribute("aria-label", re.compile(f"{abs(degrees)}°"))
        camera, toy = (picture.locator(part).bounding_box() for part in (".camera rect >> nth=0", ".toy"))
        assert camera is not None and toy is not None
        heights[degrees] = (toy["y"] + toy["height"] / 2) - (camera["y"] + camera["height"] / 2)
    assert heights[-90] < -20 < 5 < heights[15] < 20 < heights[90]  # below, a little above, above
    assert asked == []


# --- Where photos come from -------------------------------------------------------------------------------------------


def test_a_photo_is_pasted_and_a_sample_is_one_tap(visitor: Visitors, house: Running):
    page = opened(visitor())
    rocket = after(page, lambda: page.get_by_role("button", name="Rocket").click())
    assert solid(rocket) > 0.05
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=house.url)
    page.get_by_role("button", name="Remove Image").click()
    expect(page.locator("#cutout .board img")).to_have_count(0)
    page.evaluate(
        """async (png) => {
            const blob = await (await fetch(`data:image/png;base64,${png}`)).blob();
            await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]);
        }""",
        base64.b64encode(a_cut_out()).decode(),
    )
    cut = after(page, page.get_by_role("button", name="Paste from clipboard").click)
    assert (cut[300, 400:600, :3] == ORANGE).all() and (cut[512, 450:550, :3] == BLUE).all()
    assert not list(house.uploads.rglob("photo.*"))  # read, and gone


def test_a_depth_is_brought_along_shown_and_taken_away(visitor: Visitors, house: Running):
    page = opened(visitor(width=360, height=700))
    upload(page, a_cut_out())
    page.get_by_role("button", name="Repair, edges, depth").click()
    caption, away = page.locator("#cutout figcaption"), page.get_by_role("button", name="Without that depth")
    expect(caption).to_contain_text("own transparency")
    expect(away).to_be_hidden()

    def bring(data: bytes) -> None:
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Upload a depth").click()
        chooser.value.set_files({"name": "depth.png", "mimeType": "image/png", "buffer": data})

    bring(a_depth())
    expect(caption).to_contain_text("with a depth of yours")
    expect(away).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    bring(a_depth((300, 300)))
    said = page.locator("#depth-said")
    expect(said.locator(".problem")).to_contain_text("another shape")
    expect(caption).to_contain_text("with a depth of yours")  # the one before
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/upload" in request.url else None)
    give_large(page.get_by_test_id("Upload a depth-upload-button"), "large.npy")
    expect(said.locator(".problem")).to_contain_text("larger than the 25 MB")
    expect(page.locator("#cutout .problem, .toast-body")).to_have_count(0)
    assert sent == []
    away.click()
    expect(said).to_be_hidden()
    expect(caption).not_to_contain_text("with a depth of yours")
    expect(away).to_be_hidden()
    assert not list(house.uploads.rglob("photo.*"))


def test_a_photo_is_taken_with_the_camera(chromium: str, browser: Browser, house: Running):
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with browser.browser_type.launch(executable_path=chromium, args=[*FLAT_FLAGS, *fake]) as with_camera:
        context = with_camera.new_context(permissions=["camera"])
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.goto(house.url)
        opened(page).get_by_role("button", name="Remove Image").click()
        page.get_by_role("button", name="Capture from camera").click()
        take(page)
        page.wait_for_selector("#photo .image-frame img")
        page.wait_for_selector("#cutout .board img, #cutout .problem")
        photo = page.locator("#photo .image-frame img").evaluate("image => [image.naturalWidth, image.naturalHeight]")
        assert min(photo) >= 64


def take(page: Page) -> None:
    page.get_by_role("button", name="Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('#photo video')?.videoWidth > 0")
    page.get_by_role("button", name="capture photo").click()
