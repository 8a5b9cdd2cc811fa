"""Runs, failures, links and what is taken away, as the wall shows them in a real Chromium."""

import re

import pytest
from playwright.sync_api import Route, expect

from pipelines.core.cameras import View, orbit
from tests.browser.conftest import FLAT_FLAGS
from tests.browser.wall.parts import (
    Visit,
    all_drawn,
    angle,
    canvas,
    drag,
    hears,
    loaded,
    press,
    set_spec,
    shows_its_claim,
    tile,
    told,
)
from tests.browser.wall_house import WallHouse, until
from tests.ui.house import MARKUP
from ui.assets import asset

pytestmark = pytest.mark.browser
FLAGS = FLAT_FLAGS


def test_a_run_fills_its_tiles_and_the_server_hears_of_it(visit: Visit, house: WallHouse):
    house.gate.open.clear()
    job = house.begin(house.gate, house.dial)
    page = visit("")
    set_spec(page, job.id)
    expect(tile(page, 0)).to_contain_text(f"Step 5 {MARKUP}")
    expect(tile(page, 0)).to_contain_text("left")
    assert tile(page, 0).locator("progress").evaluate("bar => bar.value") == 0.5
    assert tile(page, 0).locator(".tile-preview").evaluate("image => image.src.startsWith('data:image/')")
    expect(page.locator("body")).to_have_attribute("data-running", "yes")
    hears(page, f"busy .* on {job.id}")
    expect(page).to_have_url(re.compile(job.id))
    press(page, "Cancel", tile(page, 1))
    hears(page, f"stop {{'id': '{job.id}', 'key': 'dial'}}")
    job.cancel("dial")
    house.gate.open.set()
    expect(tile(page, 1).locator(".tile-said")).to_contain_text("ancelled")
    expect(tile(page, 0).locator("canvas")).to_be_visible()
    expect(tile(page, 0)).to_contain_text("Apache-2.0")
    hears(page, f"idle .* on {job.id}")
    expect(page.locator("body")).not_to_have_attribute("data-running", "yes")

    press(page, "Try again", tile(page, 1))
    hears(page, "again .*'key': 'dial', 'seed': None")
    press(page, "Remove from the wall", tile(page, 1))
    expect(page.locator(".tile")).to_have_count(1)
    expect(page).to_have_url(re.compile(rf"r={job.id}\.gate$"))
    until(lambda: not job.working)


def test_what_came_to_nothing_takes_little_room_and_stays_as_it_is_when_the_run_ends(visit: Visit, house: WallHouse):
    house.gate.open.clear()
    job = house.begin(house.gate, house.dial)
    page = visit(f"?r={job.id}")
    expect(tile(page, 0)).to_contain_text("Step")
    job.cancel("dial")
    expect(tile(page, 1).locator(".tile-said")).to_be_visible()
    box = tile(page, 1).locator("article").bounding_box()
    assert box and box["height"] < 200
    retry = tile(page, 1).get_by_role("button", name="Try again")
    retry.focus()
    job.cancel("gate")
    hears(page, f"idle .* on {job.id}")
    expect(tile(page, 0).locator(".tile-said")).to_be_visible()
    expect(retry).to_be_focused()


def test_a_failure_is_a_sentence_in_its_place(visit: Visit, house: WallHouse):
    house.gate.open.set()
    house.gate.fails = True
    id = house.make(house.dial, house.gate)
    house.gate.fails = False
    page = visit(f"?r={id}")
    expect(tile(page, 1).locator(".tile-problem")).to_contain_text("Something went wrong on our side")
    expect(tile(page, 0).locator("canvas")).to_be_visible()


def test_a_server_that_comes_back_is_found_again_and_one_that_forgot_says_so(visit: Visit, house: WallHouse):
    house.gate.open.clear()
    job = house.begin(house.gate)
    job.keep()
    page = visit(f"?r={job.id}")
    expect(tile(page, 0)).to_contain_text("Step 5")
    house.stop()
    expect(tile(page, 0)).to_contain_text("Connection lost")
    house.serve()
    expect(tile(page, 0)).to_contain_text("Step 5")
    house.stop()
    expect(tile(page, 0)).to_contain_text("Connection lost")
    house.forget_runs()
    house.serve()
    expect(tile(page, 0).locator(".tile-problem")).to_be_visible()
    expect(page.locator(".wall-notice")).to_contain_text("press Generate")
    expect(page).not_to_have_url(re.compile("r="))
    expect(page.locator("body")).not_to_have_attribute("data-running", "yes")


def test_a_link_to_nothing_is_answered_with_a_sentence_and_leaves_the_address(visit: Visit, seeded: str):
    page = visit.shown(f"?r={'0' * 44},{seeded}", 1)
    expect(page.locator(".wall-notice")).to_contain_text("no result behind this link")
    expect(page).to_have_url(re.compile(rf"\?r={seeded}$"))
    page = visit("?r=<script>alert(1)</script>")
    expect(page.locator(".wall-notice")).to_contain_text("Part of this link")
    expect(page).not_to_have_url(re.compile("r="))


def test_a_link_to_a_method_that_is_not_there_is_answered_and_leaves_the_address(visit: Visit, two: str, seeded: str):
    page = visit.shown(f"?r={seeded}.nobody,{two}.dial.nobody", 1)
    expect(page.locator(".wall-notice")).to_have_count(1)
    expect(page.locator(".wall-notice")).to_contain_text("Part of this link")
    expect(page).to_have_url(re.compile(rf"\?r={two}\.dial$"))
    page = visit.shown(f"?r={seeded}.nobody", 1)
    expect(page.locator(".wall-notice")).to_contain_text("Part of this link")
    expect(page.locator(".tile-badge")).to_contain_text("Recorded example")  # rather than nothing
    expect(page).not_to_have_url(re.compile("r="))


def test_pictures_missed_in_an_outage_come_once_it_is_over(visit: Visit, two: str):
    page = visit("?r=")
    page.route("**/view_*.webp", lambda route: route.abort())
    set_spec(page, f"{two}.dial")
    note = tile(page, 0).locator(".tile-note")
    expect(note).to_have_text("21 of 21 pictures could not be loaded.")
    page.unroute("**/view_*.webp")
    page.context.set_offline(True)
    page.context.set_offline(False)
    all_drawn(page, 1)
    expect(note).to_be_hidden()
    shows_its_claim(page, 0)


def test_pictures_that_there_was_no_memory_for_come_later(visit: Visit, two: str):
    page = visit("?r=")
    page.evaluate(
        """() => {
            const decode = createImageBitmap;
            window.full = true;
            window.createImageBitmap = (...given) => (full ? Promise.reject(new Error("no memory")) : decode(...given));
            HTMLImageElement.prototype.decode = () => Promise.reject(new Error("no memory"));
        }"""
    )
    set_spec(page, f"{two}.dial")
    note = tile(page, 0).locator(".tile-note")
    expect(note).to_have_text("21 of 21 pictures could not be loaded.")
    page.evaluate("full = false")
    page.evaluate("dispatchEvent(new Event('online'))")
    all_drawn(page, 1)
    expect(note).to_be_hidden()
    shows_its_claim(page, 0)


def test_pictures_that_come_late_are_asked_for_again_without_a_word_of_it(visit: Visit, two: str):
    page = visit("?r=")
    refused: list[str] = []

    def answer(route: Route) -> None:
        if route.request.url in refused:
            route.continue_()
        else:
            refused.append(route.request.url)
            route.fulfill(status=502)

    page.route("**/view_*.webp", answer)
    set_spec(page, f"{two}.dial")
    all_drawn(page, 1)
    loaded(page, two, 21)
    expect(tile(page, 0).locator(".tile-note")).to_be_hidden()
    assert len([url for url in refused if two in url]) == 21


def test_a_missing_cutout_leaves_no_broken_picture(visit: Visit, two: str, seeded: str):
    page = visit("?r=")
    page.route("**/subject.png*", lambda route: route.fulfill(status=404))
    page.route("**/view_*.webp", lambda route: route.abort())  # so that the board keeps what was there before
    with page.expect_response("**/subject.png*"):
        set_spec(page, f"{two}.dial,{seeded}")
    expect(page.locator(".tile-board img")).to_have_count(0)
    expect(page.locator(".tile-whose").first).to_be_hidden()
    expect(page.locator(".tile-whose").last).to_be_hidden()


# --- Taking away and doing again --------------------------------------------------------------------------------------


def test_another_seed_is_offered_where_it_makes_a_difference(visit: Visit, solid: str, two: str):
    page = visit.shown(f"?r={two}.dial,{solid}", 2)
    for number, count in ((0, 1), (1, 0)):
        tile(page, number).get_by_role("button", name="More").click()
        expect(tile(page, number).get_by_role("button", name="Run again exactly")).to_be_visible()
        expect(tile(page, number).get_by_role("button", name="Beside it, with seed 1")).to_have_count(count)
        glance = expect(tile(page, number).locator(".tile-glance"))
        glance.to_contain_text("seed 0") if count else glance.not_to_contain_text("seed")
        page.keyboard.press("Escape")
    press(page, "More", tile(page, 0))
    press(page, "Beside it, with seed 1", tile(page, 0))
    hears(page, r"again .*'seed': 1")


def test_everything_can_be_taken_away_and_what_is_asked_reaches_the_server(visit: Visit, solid: str, house: WallHouse):
    page = visit.shown(f"?r={solid}", 1)
    press(page, "Take away", tile(page, 0))
    links = {link.inner_text(): link.get_attribute("href") for link in tile(page, 0).locator(".wall-panel a").all()}
    press(page, "Take all away")
    links |= {link.inner_text(): link.get_attribute("href") for link in page.locator(".wall-bar .wall-panel a").all()}
    assert {"This very view (PNG)", "Video (MP4)", "3D model (GLB)", "Everything (ZIP)"} < set(links)
    sheets = ("Contact sheet (PNG)", "Contact sheet (PDF)")
    for label in ("This very view (PNG)", "3D model (GLB)", "Everything (ZIP)", *sheets):
        answer = page.request.get(links[label] or "")
        assert answer.ok and "attachment" in answer.headers["content-disposition"], label

    for name, said in (
        ("Run again exactly", r"again .*'seed': None"),
        ("Change one thing", "adopt .*'key': 'inflate'"),
        ("Render this very view", "view .*'azimuth_deg': 0, 'elevation_deg': 10, 'distance': 1"),
    ):
        page.locator(".tile-foot .wall-opener").last.click()
        press(page, name, tile(page, 0))
        hears(page, said)
    page.evaluate("id => localStorage.setItem(`turnaround-history:${id}`, '{}')", solid)  # as who made it remembers
    page.reload()
    page.locator(".tile-foot .wall-opener").last.click()
    press(page, "Delete the result …", tile(page, 0))
    expect(page.get_by_role("button", name="Keep")).to_be_focused()
    assert "forget" not in told(page).input_value()
    press(page, "Delete", tile(page, 0))
    hears(page, f"forget {{'id': '{solid}'}}")


def test_links_lead_back_to_this_very_moment(visit: Visit, two: str):
    page = visit.shown(f"?r={two}.dial", 1)
    loaded(page, two, 21)
    drag(page, canvas(page, 0), -90)
    turned = angle(page, 0)
    press(page, "Share")
    press(page, "Copy link to this moment")
    link = page.evaluate("navigator.clipboard.readText()")
    hears(page, f"taken {{'id': '{two}'}}")
    press(page, "Copy embed code")
    frame = re.search(r'src="([^"]+)"', page.evaluate("navigator.clipboard.readText()"))
    assert frame
    page.keyboard.press("Escape")
    expect(page.locator(".wall-bar .wall-panel:visible")).to_have_count(0)
    assert page.locator("#told textarea").input_value().count("taken") == 1  # once is enough

    again = visit.shown(link.removeprefix(f"{visit.house.url}/"), 1, still=False)
    loaded(again, two, 21)
    expect(tile(again, 0).locator(".tile-angle")).to_have_text(tile(page, 0).locator(".tile-angle").inner_text())
    assert angle(again, 0) == turned

    inside = visit.shown(frame[1].replace("&amp;", "&").removeprefix(f"{visit.house.url}/"), 1, still=False)
    loaded(inside, two, 21)
    expect(tile(inside, 0).locator(".tile-angle")).to_have_text(tile(page, 0).locator(".tile-angle").inner_text())
    expect(inside.get_by_role("button", name="More")).to_have_count(0)
    drag(inside, canvas(inside, 0), 90)
    shows_its_claim(inside, 0)
    assert "/embed/" in inside.url  # its address is left alone

    elsewhere = visit.browser.new_page()
    elsewhere.goto(f"http://localhost:{visit.house.port}/nothing")  # another site, as browsers see it
    elsewhere.set_content(f'<iframe src="{frame[1]}" width="600" height="600"></iframe>')
    framed = elsewhere.frame_locator("iframe").locator(".tile")
    expect(framed.locator("canvas")).to_be_visible()
    expect(framed.locator(".tile-angle")).to_have_text(tile(page, 0).locator(".tile-angle").inner_text())
    elsewhere.close()


def test_python_and_the_wall_agree_on_what_is_shown(visit: Visit, two: str, seeded: str):
    page = visit.shown(f"?r={two}", 2)
    set_spec(page, f"{two}.dial,{seeded}")
    all_drawn(page, 2)
    expect(tile(page, 0).locator(".tile-differs")).to_have_text("seed 0")
    expect(tile(page, 1).locator(".tile-differs")).to_have_text("seed 7")
    expect(page).to_have_url(re.compile(rf"r={two}\.dial,{seeded}$"))
    tile(page, 0).locator(".tile-foot .wall-opener").last.click()
    press(page, "Remove from the wall", tile(page, 0))
    expect(page.locator(".tile")).to_have_count(1)
    page.locator(".tile-foot .wall-opener").last.click()
    press(page, "Change one thing", tile(page, 0))
    hears(page, f"adopt .* on {seeded}\n")


def test_turnarounds_of_one_method_are_told_apart_by_their_cameras(visit: Visit, house: WallHouse, seeded: str):
    views = ((View(90, 0),), (View(90, 45),), orbit(21, 60.0), orbit(9, 10.0))
    singles = [house.make(house.dial, views=each, seed=7) for each in views]
    page = visit.shown(f"?r={','.join((seeded, *singles))}", 5, height=2000)
    told = page.locator(".tile-differs").all_inner_texts()
    assert told == ["Views 21, Elevation 10°", "90° / 0°", "90° / 45°", "Views 21, Elevation 60°", "Views 9"]


def test_menus_open_to_where_there_is_room(visit: Visit, two: str):
    page = visit.shown(f"?r={two}", 2)
    opener = tile(page, 0).get_by_role("button", name="Take away")
    for width, height in ((900, 800), (900, 420), (360, 640)):
        page.set_viewport_size({"width": width, "height": height})
        for block in ("end", "start"):  # the opener at the window's bottom, then at its top
            opener.evaluate("(opener, block) => opener.scrollIntoView({ block })", block)
            opener.click()
            panel = tile(page, 0).locator(".wall-panel:visible")
            box = panel.bounding_box()
            assert box and box["y"] >= 0 and box["y"] + box["height"] <= height
            for entry in (panel.locator("a").first, panel.locator("a").last):
                entry.click(trial=True)  # it can be reached, and nothing covers it
            page.keyboard.press("Escape")


# --- Strangers --------------------------------------------------------------------------------------------------------


def test_55_what_others_wrote_is_shown_and_never_run(visit: Visit, house: WallHouse):
    id = house.make(house.rude, views=(View(0, 10),))

    def spoil(route: Route) -> None:
        answer = route.fetch()
        wall = answer.json()
        spoilt = wall["tiles"][0]
        spoilt["options"] = {MARKUP: MARKUP}
        spoilt["files"] = [
            {"label": MARKUP, "url": f"r/{id}/rude/manifest.json?download"},
            *({"label": "bad", "url": url} for url in ("javascript:alert(1)", "//evil.test/x", "r/../gradio_api/x")),
        ]
        spoilt["frames"][0]["depth"] = "https://evil.test/depth.webp"
        spoilt["model"] = "data:model/gltf-binary;base64,AAAA"
        wall["subject"]["url"] = "https://evil.test/subject.png"
        route.fulfill(response=answer, json=wall)

    page = visit("?r=")
    page.route("**/wall.json", spoil)
    set_spec(page, id)
    all_drawn(page, 1)
    expect(tile(page, 0).locator("h3")).to_have_text(MARKUP)
    expect(tile(page, 0).locator(".tile-remark")).to_have_text(MARKUP)
    tile(page, 0).locator("summary").click()
    expect(tile(page, 0).locator("details")).to_contain_text(f"{MARKUP} = {MARKUP}")
    press(page, "Take away", tile(page, 0))
    labels = [link.inner_text() for link in tile(page, 0).locator(".wall-panel a").all()]
    assert MARKUP in labels and "bad" not in labels
    assert page.locator(".wall img[src=x], .wall script, .wall a[href^='javascript']").count() == 0
    expect(page.locator(".wall-bar").get_by_role("button", name="3D")).to_have_count(0)
    assert page.title() == "The wall"


def test_two_walls_on_one_page_turn_by_themselves(visit: Visit, two: str, seeded: str):
    page = visit.shown(f"?r={seeded}", 1)
    loaded(page, seeded, 21)
    page.evaluate(
        """async ([script, spec]) => {
            const place = document.querySelector('h1').parentElement.appendChild(document.createElement('div'));
            const { mount } = await import(new URL(script, document.baseURI));
            mount(place, { props: { value: spec }, readOnly: true });
        }""",
        [asset("wall.js"), f"{two}.dial"],
    )
    all_drawn(page, 2)
    loaded(page, two, 21)
    first, second = page.locator(".tile-angle").all_inner_texts()
    drag(page, page.locator(".tile canvas").first, -80)
    now = page.locator(".tile-angle").all_inner_texts()
    assert now[0] != first and now[1] == second
