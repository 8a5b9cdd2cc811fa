"""The photo a visitor has chosen, through restarts, reloads, refusals and haste: what is made is what is shown."""

import base64
import re
import signal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import FLAT_FLAGS, PATIENCE_MS, USUAL, Visitors
from tests.browser.page_parts import (
    TOO_LARGE,
    angle,
    choose_only,
    cutout_changed,
    cutout_shown,
    cutout_source,
    generate,
    give_large,
    one_view,
    pixels,
    result_shown,
    share_of,
    tiles,
    unfold,
    upload,
)
from tests.ui.hostile.server import start
from tests.ui.house import ORANGE, a_photo
from tests.ui.subject_helpers import a_cut_out

pytestmark = pytest.mark.browser
FLAGS = FLAT_FLAGS
DRAWN = "canvas => canvas.toDataURL()"
FILL = "Share of the frame (%)"
# The recorded example's views, the cut-out, and what the camera is drawn with.
ALL_THERE = """() => {
    const names = performance.getEntriesByType("resource").map((entry) => entry.name);
    const count = (part) => names.filter((name) => name.includes(part)).length;
    return count("/inflate/view_") >= 24 && count("/cutout/") && count("/pad.js") && count("/history.js");
}"""


def own_photo(page: Page) -> None:
    cutout_shown(page)
    before = cutout_source(page)
    upload(page, a_cut_out(), "ball.png")
    cutout_changed(page, before)


def shows_the_ball(page: Page, selector: str) -> bool:
    return share_of(ORANGE, pixels(page, selector)) > 0.08


def slider(page: Page, name: str) -> float:
    return float(page.locator("#camera").get_by_role("spinbutton", name=re.compile(name)).input_value())


def test_after_a_restart_the_object_shown_is_rendered_or_nothing_is(browser: Browser, tmp_path: Path):
    house = start(tmp_path / "data", "tests.ui.house", **USUAL)
    port = house.url.rsplit(":", 1)[1]
    asked: list[str] = []

    def opened(own: bool = True) -> Page:
        page = browser.new_page(reduced_motion="reduce")
        page.set_default_timeout(PATIENCE_MS)
        for event in ("request", "requestfinished", "requestfailed"):
            page.on(event, lambda request: asked.append(request.url))
        page.goto(house.url)
        if own:
            own_photo(page)
        one_view(page)
        return page

    try:
        only_chosen, rendered, left = opened(), opened(), opened(own=False)
        cutout_shown(left)
        rendered.get_by_role("radio", name="Orbit").check()
        rendered.locator("#camera").get_by_role("spinbutton", name="Views").fill("8")
        generate(rendered)
        id = result_shown(rendered)
        for degrees in (45, 90):
            rendered.locator("#wall canvas").press("ArrowRight")
            expect(rendered.locator("#wall .tile-angle")).to_have_text(re.compile(f"^{degrees}°"))
        seen = rendered.locator("#wall canvas").evaluate(DRAWN)
        moment = "?r={}&az={:g}&el={:g}".format(id, *angle(rendered))
        unfold(left, "Repair, edges, depth", FILL)
        slide(left, FILL, 80)
        left.get_by_role("button", name="Duck").click()
        expect(left.locator("#photo-elevation").get_by_role("spinbutton")).to_have_value("12")
        before = -1  # what is on its way is lost with the server, and Gradio's page then loads itself anew
        while before != len(asked):
            before = len(asked)
            left.wait_for_timeout(1500)
        house.stop()
        house = start(house.data, "tests.ui.house", **USUAL, GRADIO_SERVER_PORT=port)

        # 1. A photo that nobody has any more is asked for, and nothing goes on with another one
        generate(only_chosen)
        expect(only_chosen.locator("#status .problem")).to_contain_text("no longer held here")
        expect(only_chosen).not_to_have_url(re.compile("r="))
        unfold(only_chosen, "Repair, edges, depth", FILL)
        slide(only_chosen, FILL, 60)
        expect(only_chosen.locator("#cutout .problem")).to_contain_text("no longer held here")
        generate(only_chosen)
        expect(only_chosen.locator("#status .problem")).to_contain_text("no longer held here")
        upload(only_chosen, a_photo())
        only_chosen.wait_for_selector("#cutout .board img")
        expect(only_chosen.locator("#status .problem")).to_have_count(0)
        slide(only_chosen, "Soft edge (%)", 3)
        expect(only_chosen.locator("#cutout figcaption")).to_contain_text("edge softened by 3 %")
        generate(only_chosen)
        saved = house.client.get(f"/r/{result_shown(only_chosen)}/manifest.json").json()["subject"]
        assert (saved["remover"], saved["fill"], saved["feather"]) == ("outline", 0.6, 0.03)

        # 2. What was made is there still, behind its link as on the wall, where more of it can be had
        linked = browser.new_page(reduced_motion="reduce")
        linked.goto(f"{house.url}/{moment}")
        expect(linked.locator("#wall .tile-angle")).to_have_text(re.compile("^90°"), timeout=PATIENCE_MS)
        drawn = f"seen => ({DRAWN})(document.querySelector('#wall canvas')) === seen"
        linked.wait_for_function(drawn, arg=seen, timeout=PATIENCE_MS)
        linked.close()
        rendered.locator(".wall-bar").get_by_role("button", name="Normals").click()
        rendered.wait_for_function(drawn.replace("===", "!=="), arg=seen)
        rendered.locator(".wall-bar").get_by_role("button", name="Picture").click()

        # And what comes next is made of the very same pixels
        generate_another(rendered)
        assert shows_the_ball(rendered, "#wall canvas")

        # 3. An example, framed as it comes, needs nobody's memory
        generate(left)
        result_shown(left)
        assert not shows_the_ball(left, "#wall canvas")
    finally:
        for context in browser.contexts:
            context.close()
        house.stop(signal.SIGKILL)


def generate_another(page: Page) -> None:
    """Until it is there, the wall goes on showing what it did."""
    page.locator("#wall canvas").evaluate("canvas => canvas.dataset.old = ''")
    generate(page)
    expect(page.locator("#wall canvas[data-old]")).to_have_count(0)
    result_shown(page)


def slide(page: Page, label: str, percent: int) -> None:
    number = page.get_by_role("spinbutton", name=label)
    number.fill(str(percent))
    number.blur()


def test_f13_a_reloaded_page_finds_its_run_and_its_photo_again_and_can_still_cancel_it(visitor: Visitors):
    page = visitor()
    own_photo(page)
    choose_only(page, "Slow")
    working, cancelled = (page.locator(f"#wall .tile[data-state={state}]") for state in ("working", "cancelled"))

    def reloaded() -> None:
        page.reload()
        cutout_shown(page)
        expect(page.locator("#photo-elevation").get_by_role("spinbutton")).to_have_value("0")  # the robot's is 10
        page.wait_for_function("document.querySelector('#cutout .board img')?.complete")
        assert shows_the_ball(page, "#cutout .board img")

    generate(page)
    expect(working).to_contain_text("Step")
    reloaded()
    expect(working).to_contain_text("Step")
    page.click("#cancel")
    expect(cancelled).to_contain_text("Cancelled")
    expect(page.locator("#generate")).to_be_visible()
    choose_only(page, "Inflate")
    one_view(page)
    generate(page)
    result_shown(page)
    assert shows_the_ball(page, "#wall canvas")

    page.get_by_role("checkbox", name="Inflate").uncheck()
    page.get_by_role("checkbox", name="Slow").check()
    generate(page)
    expect(working).to_contain_text("Step")
    page.click("#cancel")
    expect(cancelled).to_contain_text("Cancelled")
    reloaded()


def test_a_photo_over_the_limit_is_refused_where_it_came_in_and_never_sent_and_a_smaller_one_is_taken(
    visitor: Visitors,
):
    page = visitor()
    cutout_shown(page)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/upload" in request.url else None)
    upload_large(page)
    expect(page.locator("#cutout .problem")).to_contain_text("larger than the 25 MB")
    drop(page, size=TOO_LARGE)
    expect(page.locator("#cutout .problem")).to_have_count(1)
    expect(page.locator(".toast-body")).to_have_count(0)
    assert sent == []
    drop(page, a_photo())
    page.wait_for_function("document.querySelector('#cutout .board img')?.complete")
    assert shows_the_ball(page, "#cutout .board img")


def upload_large(page: Page) -> None:
    page.get_by_role("button", name="Remove Image").click()
    expect(page.locator("#cutout .board img")).to_have_count(0)
    give_large(page.locator("#photo input[type=file]"), "large.jpg")


def drop(page: Page, photo: bytes = b"", size: int = 0) -> None:
    """A photo, or a file of that size."""
    page.locator("#photo input[type=file]").evaluate(
        """(input, [photo, size]) => {
            const [dataTransfer, how] = [new DataTransfer(), { bubbles: true, cancelable: true }];
            const bytes = photo ? Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0)) : new Uint8Array(size);
            dataTransfer.items.add(new File([bytes], "dropped.jpg", { type: "image/jpeg" }));
            for (const type of ["dragenter", "dragover", "drop"])
                input.parentElement.dispatchEvent(new DragEvent(type, { ...how, dataTransfer }));
        }""",
        [base64.b64encode(photo).decode(), size],
    )


def test_of_presets_tapped_in_a_row_the_last_one_wins(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    page.get_by_role("checkbox", name="Slow").check()  # so that none of them is done before the next
    for name in ("Front", "Right", "Back", "Left", "Three-quarter", "Right", "Above"):
        page.locator("#camera").get_by_role("button", name=name, exact=True).click()
    expect(page.locator("#wall .tile-angle").first).to_have_text("0° / 75°")
    expect(tiles(page).first).to_have_attribute("data-state", "done")
    page.click("#cancel")
    expect(page.locator("#generate")).to_be_visible()
    assert angle(page) == (slider(page, "Azimuth"), slider(page, "Elevation")) == (0, 75)
    expect(page.locator("#status .problem")).to_have_count(0)


def test_of_two_requests_that_overtake_each_other_the_later_press_wins(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    page.get_by_role("checkbox", name="Slow").check()
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        begins = len((route.request.post_data_json or {}).get("data", ())) > 15
        held.append(route) if begins and not held else route.fallback()

    page.route("**/queue/join*", hold_the_first)
    for name in ("Right", "Above"):
        page.locator("#camera").get_by_role("button", name=name, exact=True).click()
    expect(page.locator("#wall .tile-angle").first).to_have_text("0° / 75°")
    followed: list[str] = []
    page.on("request", lambda request: followed.append(request.url) if "/live" in request.url else None)
    with page.expect_response("**/queue/join*"):
        held[0].fallback()
    page.locator("#camera").get_by_role("button", name="Left", exact=True).click()  # has its turn after that one
    expect(page.locator("#wall .tile-angle").first).to_have_text("-90° / 0°")
    page.click("#cancel")
    assert len(followed) == 1, followed


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
    assert not any("sentences" in url for url in asked.values())  # of other languages
    assert sum(streamed) < 100_000
    assert sum(whole) + sum(streamed) < 1_500_000, (sum(whole), sum(streamed))  # Gradio's own 340 kB included

    assert visitor.foreign == visitor.complaints == []  # nor would it go unseen
    with page.expect_event("requestfailed"), page.expect_console_message(lambda said: said.type == "error"):
        page.evaluate("fetch('https://example.org/').catch(() => 0)")
    assert visitor.foreign == ["https://example.org/"]
    visitor.foreign.clear()
    visitor.complaints.clear()
