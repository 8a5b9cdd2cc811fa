"""The page as a visitor meets it, in a real Chromium: pixels are read, not promises."""

import io
import re
import time

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitors
from tests.ui.hostile.server import Running
from tests.ui.house import BLUE, CAMERA_NAME, FILE_NAME, MARKUP, ORANGE, a_photo

pytestmark = pytest.mark.browser


def pixels(page: Page, selector: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(page.locator(selector).screenshot())).convert("RGB"))


def share_of(colour: tuple[int, int, int], shown: NDArray[np.uint8], within: int = 60) -> float:
    return float((np.abs(shown.astype(int) - colour).max(axis=-1) < within).mean())


def upload(page: Page, data: bytes, name: str = FILE_NAME) -> None:
    """As visitors do: what is there is taken away first."""
    clear = page.get_by_role("button", name="Remove Image")
    if clear.count():
        clear.click()
    page.locator("#photo input[type=file]").set_input_files(
        {"name": name, "mimeType": "image/svg+xml" if name.endswith(".svg") else "image/jpeg", "buffer": data}
    )


def cutout_shown(page: Page) -> None:
    page.wait_for_selector("#cutout .board img")


def cutout_changed(page: Page, before: str | None) -> None:
    shown = "document.querySelector('#cutout .board img')"
    page.wait_for_function(f"before => {shown} && {shown}.src !== before", arg=before)


def generate(page: Page) -> None:
    page.click("#generate")


def result_shown(page: Page) -> None:
    page.wait_for_selector("#sheet .downloads")


def choose_only(page: Page, title: str) -> None:
    page.get_by_role("checkbox", name="Inflate").uncheck()
    page.get_by_role("checkbox", name=title).check()


def model_drawn(page: Page) -> NDArray[np.uint8]:
    """The 3D canvas once something colourful is drawn on it: neither page nor loading sign has any colour."""
    page.wait_for_selector("#model canvas")
    deadline = time.monotonic() + 60
    while True:
        drawn = pixels(page, "#model canvas")
        if float((np.ptp(drawn.astype(int), axis=-1) > 40).mean()) > 0.03:
            return drawn
        assert time.monotonic() < deadline, "the 3D model never appeared"
        page.wait_for_timeout(300)


def test_generate_is_the_only_tap_a_first_visit_needs(visitor: Visitors, house: Running):
    page = visitor()
    cutout_shown(page)
    generate(page)
    expect(page.locator("#status progress")).to_be_visible()
    expect(page.locator("#cancel")).to_be_visible()
    page.wait_for_selector("#stage .working img")  # something to see while it runs
    result_shown(page)

    expect(page.locator("#generate")).to_be_visible()
    expect(page.locator("#status")).not_to_contain_text("%")
    playing = "(v => v.loop && v.muted && !v.paused && v.currentTime > 0)"
    page.wait_for_function(f"{playing}(document.querySelector('#stage video'))")
    assert pixels(page, "#stage video").std() > 12
    model_drawn(page)
    assert page.locator("#sheet .strip img").count() == 21
    expect(page.locator("#sheet")).to_contain_text("each exactly as asked")
    expect(page.locator("#sheet")).to_contain_text("guess")

    # Its link shows the same again, and nothing is computed for it
    link = page.url
    assert "?r=" in link
    made = sorted(path.name for path in (house.data / "results").glob("0*"))
    video = page.locator("#stage video").get_attribute("src")
    page.reload()
    result_shown(page)
    assert page.locator("#stage video").get_attribute("src") == video
    model_drawn(page)
    assert made == sorted(path.name for path in (house.data / "results").glob("0*"))
    for anchor in page.locator("#sheet .downloads a[download]").all():
        answer = house.client.get(f"/{anchor.get_attribute('href')}")
        assert answer.status_code == 200 and len(answer.content) > 1000
        assert answer.headers["content-disposition"].startswith('attachment; filename="turnaround-')


def test_an_own_photo_is_cut_out_upright_and_rendered_and_leaves_no_trace_of_where_it_was_taken(
    visitor: Visitors, house: Running
):
    page = visitor()
    cutout_shown(page)
    before = page.locator("#cutout img").get_attribute("src")
    upload(page, a_photo(turned=True))
    cutout_changed(page, before)
    cut = pixels(page, "#cutout .board img")
    height, width = cut.shape[:2]
    assert share_of(ORANGE, cut[height // 3 : height // 2, width // 3 : 2 * width // 3]) > 0.8
    assert share_of(BLUE, cut[int(0.54 * height) : int(0.57 * height), width // 3 : 2 * width // 3]) > 0.8  # upright
    assert share_of(ORANGE, cut[: height // 12]) < 0.02  # around it, the checkerboard

    page.get_by_role("radio", name="One view").check()
    generate(page)
    page.wait_for_selector("#stage .stage:not(.working) img")
    result_shown(page)
    assert share_of(ORANGE, pixels(page, "#stage img")) > 0.08
    expect(page.locator("#sheet")).to_contain_text("Exactly the camera asked for: azimuth 35°, elevation 10°")
    assert share_of(ORANGE, model_drawn(page)) > 0.05

    # What the page shows of the photo, and every file there is, is clean
    shown = house.client.get(page.locator("#photo img").get_attribute("src") or "")
    assert not Image.open(io.BytesIO(shown.content)).getexif()
    for file in house.data.rglob("*"):
        assert "canary" not in file.name
        if file.is_file():
            assert CAMERA_NAME.encode() not in file.read_bytes(), file


def test_a_file_that_is_no_photo_is_refused_where_it_was_dropped_and_the_page_goes_on(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    upload(page, b"<html>not a photo</html>", "cat.jpg")
    refusal = page.locator("#cutout .problem")
    expect(refusal).to_be_visible()
    assert "Traceback" not in refusal.inner_text() and refusal.inner_text().count(".") >= 1
    upload(page, b"<svg xmlns='http://www.w3.org/2000/svg'><circle r='9'/></svg>", "drawing.svg")
    expect(refusal).to_contain_text("SVG")
    for colour in (ORANGE, BLUE, ORANGE):  # one photo after another, as people try them
        upload(page, a_photo(colour))
        page.wait_for_selector("#cutout:not(:has(.problem)) .board img")
        page.wait_for_timeout(1500)  # for a late refusal to show
    expect(page.locator(".toast-body")).to_have_count(0)
    generate(page)
    result_shown(page)
    expect(page.locator(".toast-body")).to_have_count(0)


def test_cancel_brings_the_page_to_rest_and_the_next_run_starts_at_once(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    choose_only(page, "Slow")
    generate(page)
    expect(page.locator("#status")).to_contain_text("Step")
    expect(page.locator("#status")).to_contain_text("left")
    page.click("#cancel")
    expect(page.locator("#generate")).to_be_visible()
    expect(page.locator("#status .problem")).to_contain_text("Cancelled")
    expect(page).not_to_have_url(re.compile("r="))
    page.get_by_role("checkbox", name="Slow").uncheck()
    page.get_by_role("checkbox", name="Inflate").check()
    generate(page)
    result_shown(page)


def test_a_reloaded_page_finds_its_run_again_and_can_still_cancel_it(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    choose_only(page, "Slow")
    generate(page)
    expect(page.locator("#status")).to_contain_text("Step")
    page.reload()
    expect(page.locator("#status")).to_contain_text("Step")
    page.click("#cancel")
    expect(page.locator("#status .problem")).to_contain_text("Cancelled")
    expect(page.locator("#generate")).to_be_visible()


def test_a_run_that_fails_says_so_in_words_and_keeps_photo_and_settings(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    choose_only(page, "Raises")
    page.get_by_role("radio", name="One view").check()
    generate(page)
    expect(page.locator("#status .problem")).to_contain_text("Something went wrong on our side")
    expect(page.locator("#generate")).to_be_visible()
    cutout_shown(page)
    expect(page.get_by_role("radio", name="One view")).to_be_checked()
    page.get_by_role("checkbox", name="Raises").uncheck()
    generate(page)
    expect(page.locator("#status .problem")).to_contain_text("No method is chosen")


def test_55_what_a_method_says_is_shown_and_never_run(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    choose_only(page, "Rude")
    generate(page)
    result_shown(page)
    expect(page.locator("#sheet .notes")).to_contain_text(MARKUP)
    page.locator("#sheet summary").click()
    expect(page.locator("#sheet details")).to_contain_text(MARKUP)
    assert page.locator("#sheet img[src=x], #status img[src=x]").count() == 0
    assert page.title() == "Turnaround"


def test_a_remover_that_cannot_be_fetched_is_said_and_never_replaced_in_silence(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    page.get_by_label("Background remover").click()
    page.get_by_role("option", name="U²-Net small").click()
    expect(page.locator("#cutout .problem")).to_contain_text("U²-Net small")
    generate(page)
    expect(page.locator("#status .problem")).to_contain_text("not cut out")
    page.get_by_role("button", name="Use the one that needs no download").click()
    page.wait_for_selector("#cutout:not(:has(.problem)) .board img")
    expect(page.locator("#cutout")).to_contain_text("Outline")


def test_a_link_to_nothing_is_answered_with_a_sentence(visitor: Visitors):
    page = visitor("?r=" + "0" * 44)
    expect(page.locator("#status .problem")).to_contain_text("no result behind this link")
    expect(page).not_to_have_url(re.compile("r="))
    generate(page)
    result_shown(page)


def test_two_visitors_at_once_see_their_own(visitor: Visitors):
    first, second = visitor(), visitor()
    for page, colour in ((first, ORANGE), (second, (40, 160, 60))):
        cutout_shown(page)
        before = page.locator("#cutout img").get_attribute("src")
        upload(page, a_photo(colour))
        cutout_changed(page, before)
        page.get_by_role("radio", name="One view").check()
    generate(first)
    generate(second)
    for page, own, other in ((first, ORANGE, (40, 160, 60)), (second, (40, 160, 60), ORANGE)):
        page.wait_for_selector("#stage .stage:not(.working) img")
        result_shown(page)
        shown = pixels(page, "#stage img")
        assert share_of(own, shown) > 0.08 > 0.005 > share_of(other, shown, within=30)
    assert first.url != second.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it_without_scrolling_sideways(visitor: Visitors, scheme: str):
    page = visitor(width=360, height=740, color_scheme=scheme, has_touch=True)
    cutout_shown(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    expect(page.locator("#generate")).to_be_in_viewport()
    generate(page)
    page.wait_for_selector("#stage .stage:not(.empty)")
    expect(page.locator("#stage")).to_be_in_viewport()  # it comes to the visitor
    result_shown(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    model_drawn(page)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background.removeprefix("rgb(").rstrip(")").split(","))) < 200) == (scheme == "dark")


def test_every_control_has_a_name_and_the_keyboard_reaches_them(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('main button, main input, main textarea, main select')]
        .filter(e => e.offsetParent && !(e.innerText.trim() || e.getAttribute('aria-label') || e.title
            || e.getAttribute('aria-labelledby') || (e.labels && [...e.labels].some(l => l.innerText.trim()))))
        .map(e => e.outerHTML.slice(0, 200))"""
    )
    assert nameless == []
    assert page.evaluate("[...document.images].filter(i => i.offsetParent && !i.hasAttribute('alt')).length") == 0
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("(e => e.id || e.innerText)(document.activeElement)"))
        if "generate" in reached:
            break
    assert "generate" in reached and "Robot" in reached
