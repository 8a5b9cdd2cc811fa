"""Two camera panels on a page of their own, and what tests of the draggable camera do with them."""

import io
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page

from tests.browser.conftest import PATIENCE_MS
from tests.inflate import shapes
from ui.camera_pad import CameraPanel, draw_camera_panel

PAD = "document.querySelectorAll('.camera-pad')[{}].cameraPad"
WALL = "<div class='turnaround-wall' data-azimuth='-50' data-elevation='12' data-distance='1.2'></div>"
ORANGE = (226, 120, 30)


def cut_out() -> bytes:
    rgba = shapes.painted(shapes.animal())
    rgba[..., :3] = ORANGE
    file = io.BytesIO()
    Image.fromarray(rgba).save(file, "PNG")
    return file.getvalue()


def two_panels() -> gr.Blocks:
    with gr.Blocks(analytics_enabled=False) as page:
        with gr.Column(elem_id="choices"), gr.Column(elem_id="camera"):
            _panel(WALL)
        _panel("")
        gr.HTML("<div style='height: 1500px'></div>")  # something to scroll to
    return page


def _panel(wall: str) -> CameraPanel:
    panel = draw_camera_panel(10, "cut.png")
    photo = gr.Slider(-90, 90, 10, step=1, label="Photo's elevation")
    ran = gr.Textbox(label="Ran", elem_classes="ran")
    gr.HTML(wall)
    panel.follow_photo(photo)
    for chosen in panel.chosen:
        chosen.then(lambda *values: repr(values[:-1]), panel.inputs, ran)  # the last is the pad's own
    return panel


class Opener:
    def __init__(self, browser: Browser, url: str) -> None:
        self._browser, self._url = browser, url
        self.contexts: list[BrowserContext] = []
        self.complaints: list[str] = []
        self.asked: list[str] = []

    def leave(self) -> None:
        for context in self.contexts:
            context.close()
        assert self.complaints == [], "the page complained in the browser's console"

    def __call__(self, width: int = 420, height: int = 900, ready: str = "three", **look: Any) -> Page:
        context = self._browser.new_context(viewport={"width": width, "height": height}, **look)
        context.set_default_timeout(PATIENCE_MS)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(self._url)
        pads = [f"{PAD.format(i)}?.{ready} && {PAD.format(i)}.picture" for i in (0, 1)]
        page.wait_for_function(f"document.querySelectorAll('.camera-pad').length == 2 && {' && '.join(pads)}")
        settled(page)
        return page


def settled(page: Page) -> None:
    """Whatever was to be drawn and told is."""
    page.evaluate("async () => { for (let i = 0; i < 4; i++) await new Promise(requestAnimationFrame) }")


def value(page: Page, pad: int = 0) -> dict[str, Any]:
    settled(page)
    return page.evaluate(f"{PAD.format(pad)}.value")


def where(page: Page, pad: int = 0) -> list[float]:
    """The chosen camera's place on the pad, px."""
    settled(page)
    return page.evaluate(f"{PAD.format(pad)}.eye")


def frames(page: Page, pad: int = 0) -> int:
    return page.evaluate(f"{PAD.format(pad)}.frames")


def stage(page: Page, pad: int = 0) -> Locator:
    return page.locator(".camera-pad-stage").nth(pad)


def number(page: Page, label: str, pad: int = 0) -> Locator:
    return page.get_by_label(f"number input for {label}").nth(pad)


def enter(page: Page, label: str, amount: float) -> None:
    number(page, label).fill(f"{amount:g}")
    number(page, label).press("Tab")
    settled(page)


def choose(page: Page, preset: str) -> None:
    page.get_by_role("button", name=preset, exact=True).first.click()
    settled(page)


def drawn(page: Page, pad: int = 0) -> NDArray[np.int64]:
    settled(page)
    return np.asarray(Image.open(io.BytesIO(stage(page, pad).screenshot())).convert("RGB")).astype(int)


def is_accent(pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The chosen camera's dark teal."""
    red, green, blue = pixels.transpose(2, 0, 1)
    return (red < 70) & (green > 80) & (green < 140) & (abs(green - blue) < 30)


def drag(page: Page, start: tuple[float, float], right: float, down: float, pad: int = 0) -> None:
    box = stage(page, pad).bounding_box()
    assert box
    x, y = box["x"] + start[0], box["y"] + start[1]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + down, steps=8)
    page.mouse.up()
    settled(page)


def on_path(pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The path's lighter teal."""
    red, green, blue = pixels.transpose(2, 0, 1)
    return (red < 110) & (green > 145) & (green < 200) & (abs(green - blue) < 40)


def touch(page: Page, *path: list[tuple[float, float]]) -> None:
    """Fingers go down, along their paths and up; each path is one finger's places on the pad."""
    box = stage(page).bounding_box()
    assert box
    device = page.context.new_cdp_session(page)
    steps = [
        [{"x": box["x"] + x, "y": box["y"] + y, "id": i} for i, (x, y) in enumerate(at)]
        for at in zip(*path, strict=True)
    ]
    device.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": steps[0]})
    for points in steps[1:]:
        device.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": points})
    device.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    settled(page)


def rest_at_top(page: Page) -> None:
    """Scrolled up, and staying there: a finger's swipe may still be scrolling for some frames after it has ended."""
    page.evaluate(
        """async () => {
            for (let still = 0; still < 10; still++) {
                if (document.scrollingElement.scrollTop !== 0) still = 0;
                window.scrollTo(0, 0);
                await new Promise(requestAnimationFrame);
            }
        }"""
    )


def line(x: float, y: float, right: float, down: float, steps: int = 10) -> list[tuple[float, float]]:
    return [(x + right * i / steps, y + down * i / steps) for i in range(steps + 1)]
