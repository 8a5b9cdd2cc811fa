"""The subject panel in a real Chromium: what is painted, pasted and taken is read back from the pixels shown."""

import base64
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import FLAGS, PATIENCE_MS, Visitors
from tests.ui.hostile.server import Running, serving
from tests.ui.house import BLUE, ORANGE, a_photo
from tests.ui.subject_helpers import NOBODY, a_cut_out

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The panel alone."""
    data = tmp_path_factory.mktemp("subject") / "data"
    with serving(data, "tests.browser.subject_house", TURNAROUND_REMBG_URL=NOBODY) as running:
        yield running


# --- Reading and doing ------------------------------------------------------------------------------------------------


def shown(page: Page) -> NDArray[np.uint8]:
    """The cut-out's own pixels, [1024, 1024, 4]: shown smaller, and nothing else is lost."""
    source = page.locator("#cutout .board img").evaluate("image => image.src")
    answer = page.request.get(source)
    assert answer.headers["content-type"] == "image/webp" and "immutable" in answer.headers["cache-control"]
    picture = Image.open(io.BytesIO(answer.body())).convert("RGBA")
    assert picture.size == (768, 768)
    return np.asarray(picture.resize((1024, 1024), Image.Resampling.NEAREST))


def after(page: Page, do: Callable[..., Any]) -> NDArray[np.uint8]:
    """The cut-out once it is another one."""
    image = "document.querySelector('#cutout .board img')"
    before = page.evaluate(f"{image}?.src ?? null")
    do()
    page.wait_for_function(f"before => {image} && {image}.src !== before", arg=before)
    return shown(page)


def opened(page: Page) -> Page:
    """With the first example cut out, as it is for whoever opens the page."""
    page.wait_for_selector("#cutout .board img")
    return page


def upload(page: Page, data: bytes) -> None:
    page.get_by_role("button", name="Remove Image").click()
    page.locator("#photo input[type=file]").set_input_files(
        {"name": "ball.png", "mimeType": "image/png", "buffer": data}
    )


def unfold(page: Page) -> None:
    """The mask editor, once it can be painted in."""
    with page.expect_response(lambda answer: answer.url.endswith("/canvas.webp")):
        page.get_by_role("button", name="Repair and edges").click()
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


def solid(cut: NDArray[np.uint8]) -> float:
    return float((cut[..., 3] > 127).mean())


# --- The mask ---------------------------------------------------------------------------------------------------------


def test_the_mask_is_repaired_by_brush_live_and_every_step_can_be_taken_back(visitor: Visitors):
    page = opened(visitor())
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

    choose(page, "remove")
    page.wait_for_selector(".brushes[data-size='96']")
    after(page, lambda: stroke(page, (0.5, 0.5), (0.55, 0.5)))
    assert np.array_equal(after(page, page.get_by_role("button", name="Start over").click), whole)


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

    page.get_by_role("button", name="Repair and edges").click()
    page.wait_for_selector(".brushes.driving")
    soft = after(page, lambda: slide(page, "Soft edge (%)", "4"))
    middling = (soft[..., 3] > 20) & (soft[..., 3] < 235)
    assert middling.mean() > 0.02 > ((cut[..., 3] > 20) & (cut[..., 3] < 235)).mean()
    small = after(page, lambda: slide(page, "Share of the frame (%)", "40"))
    assert 0.36 < (small[..., 3] > 127).any(axis=0).mean() < 0.42
    expect(page.locator("#cutout figcaption")).to_contain_text("edge softened by 4 %")

    page.get_by_role("combobox", name="Background remover").click()
    page.get_by_role("option", name="U²-Net small · 5 MB, fetched once · Apache-2.0").click()
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


def test_a_photo_is_taken_with_the_camera(chromium: str, browser: Browser, house: Running):
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with browser.browser_type.launch(executable_path=chromium, args=[*FLAGS, *fake]) as with_camera:
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


# --- A phone ----------------------------------------------------------------------------------------------------------


def test_the_mask_is_repaired_with_a_finger_on_a_phone(visitor: Visitors):
    page = opened(visitor(width=360, height=740, color_scheme="dark", has_touch=True, is_mobile=True))
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


def finger(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    box = page.locator("#mask canvas").first.bounding_box()
    assert box is not None
    client = page.context.new_cdp_session(page)
    for step in range(7):
        x, y = (a + (b - a) * step / 6 for a, b in zip(start, end, strict=True))
        point = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
        client.send("Input.dispatchTouchEvent", {"type": "touchMove" if step else "touchStart", "touchPoints": [point]})
    client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
