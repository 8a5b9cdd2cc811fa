"""The photo a visitor has chosen, through restarts, reloads, refusals and haste: what is made is what is shown."""

import re
import signal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import FLAT_FLAGS, PATIENCE_MS, Visitors
from tests.browser.page_parts import (
    angle,
    choose_only,
    cutout_changed,
    cutout_shown,
    cutout_source,
    generate,
    one_view,
    pixels,
    result_shown,
    share_of,
    upload,
)
from tests.ui.hostile.server import Running, start
from tests.ui.house import ORANGE, a_photo
from tests.ui.subject_helpers import NOBODY

pytestmark = pytest.mark.browser
FLAGS = FLAT_FLAGS
TOO_LARGE = 26_000_000
# The recorded example's views, the cut-out, and what the camera is drawn with.
ALL_THERE = """() => {
    const names = performance.getEntriesByType("resource").map((entry) => entry.name);
    const count = (part) => names.filter((name) => name.includes(part)).length;
    return count("/inflate/view_") >= 24 && count("/cutout/") && count("/pad.js") && count("/history.js");
}"""


def own_photo(page: Page) -> None:
    cutout_shown(page)
    before = cutout_source(page)
    upload(page, a_photo())
    cutout_changed(page, before)


def shows_the_ball(page: Page, selector: str) -> bool:
    return share_of(ORANGE, pixels(page, selector)) > 0.08


def slider(page: Page, name: str) -> float:
    return float(page.locator("#camera").get_by_role("spinbutton", name=re.compile(name)).input_value())


def test_after_a_restart_the_object_shown_is_rendered_or_nothing_is(browser: Browser, tmp_path: Path):
    house = start(tmp_path / "data", "tests.ui.house", TURNAROUND_REMBG_URL=NOBODY)
    port = house.url.rsplit(":", 1)[1]
    page = browser.new_page(reduced_motion="reduce")
    page.set_default_timeout(PATIENCE_MS)
    asked: list[str] = []
    for event in ("request", "requestfinished", "requestfailed"):
        page.on(event, lambda request: asked.append(request.url))

    def restarted() -> Running:
        """Once nothing is on its way: what is, is lost with the server, and Gradio's page then loads itself anew."""
        before = -1
        while before != len(asked):
            before = len(asked)
            page.wait_for_timeout(1500)
        house.stop()
        return start(house.data, "tests.ui.house", TURNAROUND_REMBG_URL=NOBODY, GRADIO_SERVER_PORT=port)

    try:
        page.goto(house.url)
        own_photo(page)
        one_view(page)
        house = restarted()
        generate(page)  # nobody has this photo any more
        expect(page.locator("#status .problem")).to_contain_text("no longer held here")
        expect(page).not_to_have_url(re.compile("r="))
        page.get_by_role("button", name="Repair and edges").click()
        slide_fill(page, 60)  # nor does anything else go on with another one
        expect(page.locator("#cutout .problem")).to_contain_text("no longer held here")
        generate(page)
        expect(page.locator("#status .problem")).to_contain_text("no longer held here")

        upload(page, a_photo())
        page.wait_for_selector("#cutout .board img")
        expect(page.locator("#status .problem")).to_have_count(0)
        generate(page)
        result_shown(page)
        house = restarted()
        generate_another(page)  # what is on the wall was made of the very same pixels
        assert shows_the_ball(page, "#wall canvas")
        slide_fill(page, 80)
        page.get_by_role("button", name="Duck").click()  # and an example, framed as it comes, needs nobody's memory
        expect(page.locator("#photo-elevation").get_by_role("spinbutton")).to_have_value("12")
        house = restarted()
        generate_another(page)
        assert not shows_the_ball(page, "#wall canvas")
    finally:
        page.close()
        house.stop(signal.SIGKILL)


def generate_another(page: Page) -> None:
    """Until it is there, the wall goes on showing what it did."""
    page.locator("#wall canvas").evaluate("canvas => canvas.dataset.old = ''")
    generate(page)
    expect(page.locator("#wall canvas[data-old]")).to_have_count(0)
    result_shown(page)


def slide_fill(page: Page, percent: int) -> None:
    number = page.get_by_role("spinbutton", name="Share of the frame (%)")
    number.fill(str(percent))
    number.blur()


@pytest.mark.parametrize("cancel", [False, True], ids=["mid-run", "cancelled"])
def test_a_reloaded_page_still_has_the_photo_of_its_run(visitor: Visitors, cancel: bool):
    page = visitor()
    own_photo(page)
    choose_only(page, "Slow")
    generate(page)
    expect(page.locator("#wall .tile[data-state=working]")).to_contain_text("Step")
    if cancel:
        page.click("#cancel")
        expect(page.locator("#wall .tile[data-state=cancelled]")).to_be_visible()
    page.reload()
    cutout_shown(page)
    expect(page.locator("#photo-elevation").get_by_role("spinbutton")).to_have_value("0")  # the robot's is 10
    page.wait_for_function("document.querySelector('#cutout .board img')?.complete")
    assert shows_the_ball(page, "#cutout .board img")
    if not cancel:
        page.click("#cancel")
    choose_only(page, "Inflate")
    one_view(page)
    generate(page)
    result_shown(page)
    assert shows_the_ball(page, "#wall canvas")


def test_a_photo_over_the_limit_is_refused_where_it_came_in_and_never_sent(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/upload" in request.url else None)
    upload_large(page)
    expect(page.locator("#cutout .problem")).to_contain_text("larger than the 25 MB")
    drop_large(page)
    expect(page.locator("#cutout .problem")).to_have_count(1)
    expect(page.locator(".toast-body")).to_have_count(0)
    assert sent == []
    upload(page, a_photo())
    page.wait_for_function("document.querySelector('#cutout .board img')?.complete")
    assert shows_the_ball(page, "#cutout .board img")


def upload_large(page: Page) -> None:
    page.get_by_role("button", name="Remove Image").click()
    expect(page.locator("#cutout .board img")).to_have_count(0)
    page.locator("#photo input[type=file]").evaluate(
        """(input, bytes) => {
            const given = new DataTransfer();
            given.items.add(new File([new Uint8Array(bytes)], "large.jpg", { type: "image/jpeg" }));
            input.files = given.files;
            input.dispatchEvent(new Event("change", { bubbles: true }));
        }""",
        TOO_LARGE,
    )


def drop_large(page: Page) -> None:
    page.locator("#photo input[type=file]").evaluate(
        """(input, bytes) => {
            const [dataTransfer, how] = [new DataTransfer(), { bubbles: true, cancelable: true }];
            dataTransfer.items.add(new File([new Uint8Array(bytes)], "large.jpg", { type: "image/jpeg" }));
            for (const type of ["dragenter", "dragover", "drop"])
                input.parentElement.dispatchEvent(new DragEvent(type, { ...how, dataTransfer }));
        }""",
        TOO_LARGE,
    )


def test_of_presets_tapped_in_a_row_the_last_one_wins(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    page.get_by_role("checkbox", name="Slow").check()  # so that none of them is done before the next
    for name in ("Front", "Right", "Back", "Left", "Three-quarter", "Right", "Above"):
        page.locator("#camera").get_by_role("button", name=name, exact=True).click()
    expect(page.locator("#wall .tile-angle").first).to_have_text("0° / 75°")
    result_shown(page, 2)
    assert angle(page) == (slider(page, "Azimuth"), slider(page, "Elevation")) == (0, 75)
    expect(page.locator("#status .problem")).to_have_count(0)


def test_a_long_choice_of_remover_ends_before_the_arrow(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    remover = page.get_by_role("combobox", name="Background remover")
    text_ends = remover.evaluate(
        "input => input.getBoundingClientRect().right - parseFloat(getComputedStyle(input).paddingRight)"
    )
    arrow = page.locator("#remover .dropdown-arrow").bounding_box()
    assert arrow and text_ends <= arrow["x"]


def test_what_a_refusal_under_generate_says_already_is_not_said_twice(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    page.get_by_role("checkbox", name="Inflate").uncheck()
    problems = page.locator("#go .problem")
    expect(problems).to_have_count(1)
    with page.expect_response(lambda answer: "queue/join" in answer.url):
        generate(page)
    page.get_by_role("button", name="Duck").click()  # which is heard after it
    expect(page.locator("#photo-elevation").get_by_role("spinbutton")).to_have_value("12")
    expect(problems).to_have_count(1)
    page.get_by_role("checkbox", name="Inflate").check()
    expect(problems).to_have_count(0)


def test_all_that_arrives_with_the_page_is_little(visitor: Visitors):
    page = visitor()
    address = page.url
    page.goto("about:blank")  # what is still on its way there is not counted
    wire = page.context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.send("Network.setCacheDisabled", {"cacheDisabled": True})
    asked: dict[str, str] = {}
    streamed: list[float] = []
    whole: list[float] = []
    wire.on("Network.requestWillBeSent", lambda event: asked.update({event["requestId"]: event["request"]["url"]}))
    wire.on("Network.dataReceived", lambda event: streamed.append(event["dataLength"] * streams(event)))
    wire.on("Network.loadingFinished", lambda event: whole.append(event["encodedDataLength"] * (not streams(event))))

    def streams(event: dict) -> bool:
        """Which goes on for as long as the page is open, and is not packed."""
        return "/queue/data" in asked.get(event["requestId"], "")

    page.goto(address)
    cutout_shown(page)
    page.wait_for_function(ALL_THERE)
    assert sum("/cutout/" in url for url in asked.values()) == 1
    assert sum(streamed) < 100_000
    assert sum(whole) + sum(streamed) < 1_500_000, (sum(whole), sum(streamed))  # Gradio's own 340 kB included
