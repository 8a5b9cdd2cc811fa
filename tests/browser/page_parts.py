"""What the browser tests of the whole page do and read again and again."""

import io
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.ui.house import FILE_NAME

TOO_LARGE = 26_000_000


def pixels(page: Page, selector: str) -> NDArray[np.uint8]:
    return picture(page.locator(selector).first)


def picture(target: Locator) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(target.screenshot())).convert("RGB"))


def share_of(colour: tuple[int, int, int], shown: NDArray[np.uint8], within: int = 60) -> float:
    return float((np.abs(shown.astype(int) - colour).max(axis=-1) < within).mean())


def upload(page: Page, data: bytes, name: str = FILE_NAME) -> None:
    """As visitors do: what is there is taken away first."""
    clear = page.get_by_role("button", name="Remove Image")
    if clear.count():
        clear.click()
    kind = "image/svg+xml" if name.endswith(".svg") else "image/jpeg"
    page.locator("#photo input[type=file]").set_input_files({"name": name, "mimeType": kind, "buffer": data})


def give_large(field: Locator, name: str) -> None:
    """As when a file over the limit is chosen; Playwright would send all of it to the browser."""
    field.evaluate(
        """(input, [bytes, name]) => {
            const given = new DataTransfer();
            given.items.add(new File([new Uint8Array(bytes)], name));
            input.files = given.files;
            input.dispatchEvent(new Event("change", { bubbles: true }));
        }""",
        [TOO_LARGE, name],
    )


def cutout_shown(page: Page) -> None:
    page.wait_for_selector("#cutout .board img")


def cutout_changed(page: Page, before: str | None) -> None:
    shown = "document.querySelector('#cutout .board img')"
    page.wait_for_function(
        f"before => {shown} && {shown}.getAttribute('src') !== before && {shown}.complete", arg=before
    )


def cutout_source(page: Page) -> str | None:
    return page.locator("#cutout .board img").get_attribute("src")


def generate(page: Page) -> None:
    page.click("#generate")


def tiles(page: Page) -> Locator:
    return page.locator("#wall .tile")


def result_shown(page: Page, count: int = 1) -> str:
    """That many turnarounds of the visitor's own, drawn; what the page's address says of them."""
    expect(page).to_have_url(re.compile(r"\?(.*&)?r=[0-9a-f]{44}"))
    expect(page.locator("#wall .tile[data-state=done] canvas")).to_have_count(count)
    expect(page.locator("#wall .tile-badge")).to_have_count(0)  # no longer the recorded example
    expect(page.locator("#wall .tile-empty")).to_have_count(0)
    expect(page.locator("#generate")).to_be_visible()
    return str(page.evaluate("new URLSearchParams(location.search).get('r')"))


def hindrances(page: Page, *rules: str) -> list[Any]:
    """What axe finds that would keep someone from using it, by all of its rules or by these."""
    from axe_playwright_python.sync_playwright import Axe

    # Without loading style sheets and media first, for rules that are off or minor
    options = {"resultTypes": ["violations"], "preload": False} | ({"runOnly": list(rules)} if rules else {})
    found = Axe().run(page, options=options).response["violations"]
    return [
        (problem["id"], [node["target"] for node in problem["nodes"]][:5])
        for problem in found
        if problem["impact"] in ("serious", "critical")
    ]


def unfold(page: Page | Locator, fold: str, field: str) -> Locator:
    """Opens a fold and finds a number in it. Gradio gives new fields their values twice, the second time a frame after
    they are drawn: what is typed before that, as only a script can, is lost."""
    page.get_by_role("button", name=fold).click()
    number = page.get_by_role("spinbutton", name=field)
    expect(number).to_be_visible()
    number.evaluate("() => new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(then)))")
    return number


def one_view(page: Page) -> None:
    page.get_by_role("radio", name="One view").check()


def choose_only(page: Page, title: str) -> None:
    page.get_by_role("checkbox", name="Inflate").uncheck()
    page.get_by_role("checkbox", name=title).check()


def still(page: Page) -> None:
    """The wall turns by itself; what is read from it must not."""
    pause = page.get_by_role("button", name="Pause")
    if pause.count():
        pause.click()


def angle(page: Page, tile: int = 0) -> tuple[float, float]:
    """Azimuth and elevation as a tile's label claims them: exactly, not the nearest to anything."""
    label, exact = tiles(page).nth(tile).locator(".tile-angle"), re.compile(r"^(-?\d+)° / (-?\d+)°$")
    expect(label).to_have_text(exact)
    found = exact.match(label.inner_text())
    assert found
    return float(found[1]), float(found[2])
