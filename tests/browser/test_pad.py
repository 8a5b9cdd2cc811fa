"""The draggable camera in a real Chromium: what it shows, what it tells the sliders, and what the sliders tell it."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipelines.core.cameras import DISTANCE_RANGE, PRESETS
from tests.browser.conftest import FLAGS
from tests.browser.pad_page import (
    ORANGE,
    PAD,
    Opener,
    choose,
    cut_out,
    drag,
    drawn,
    enter,
    frames,
    is_accent,
    line,
    number,
    on_path,
    rest_at_top,
    stage,
    touch,
    two_panels,
    value,
    where,
)
from tests.ui.hostile.server import free_port
from ui.assets import asset, asset_routes
from ui.look import page_look

pytestmark = pytest.mark.browser
TO_DRAW = re.compile("^Drag the camera, or use the arrow keys: the way it goes is the path.")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    def picture(request: Request) -> Response:
        return Response(cut_out(), media_type="image/png")

    page = two_panels()
    routes = [*asset_routes(), Route("/cut.png", picture)]
    told: dict[str, Any] = {"server_port": free_port(), "prevent_thread_lock": True, "quiet": True, "inline": False}
    _, url, _ = page.launch(**page_look(), **told, app_kwargs={"routes": routes}, ssr_mode=False)
    yield url
    page.close(verbose=False)


@pytest.fixture(scope="module")
def opened(browser: Browser, url: str) -> Iterator[Opener]:
    """Opens pages as someone new."""
    opener = Opener(browser, url)
    yield opener
    opener.leave()


@pytest.fixture(scope="module")
def desk(opened: Opener) -> Page:
    return opened()


@pytest.fixture(scope="module")
def phone(opened: Opener) -> Page:
    return opened(width=360, height=740, has_touch=True, is_mobile=True)


@pytest.fixture
def page(desk: Page) -> Page:
    """One page on a desk for all, since opening one takes longest; as it was in the beginning."""
    desk.evaluate("document.body.classList.remove('dark'); window.scrollTo(0, 0); document.activeElement.blur()")
    desk.mouse.move(0, 0)
    enter(desk, "Photo's elevation", 10)
    choose(desk, "Orbit")
    return desk


# --- Between pad and sliders ------------------------------------------------------------------------------------------


def test_dragging_moves_the_camera_and_the_sliders_alike_and_asks_the_server_nothing(page: Page, opened: Opener):
    page.get_by_label("One view").first.check()
    before, other = value(page), value(page, 1)
    asked = len(opened.asked)
    drag(page, (60, 60), 70, -30)
    after = value(page)
    assert after["azimuth"] - before["azimuth"] > 20 and after["elevation"] - before["elevation"] > 8
    expect(number(page, "Azimuth")).to_have_value(str(after["azimuth"]))
    expect(number(page, "Elevation")).to_have_value(str(after["elevation"]))
    drag(page, (60, 60), -70, 30)  # all the way back
    assert value(page) == before
    expect(number(page, "Azimuth")).to_have_value(str(before["azimuth"]))
    assert opened.asked[asked:] == []
    assert value(page, 1) == other  # the other pad is another's


def test_what_is_drawn_is_where_the_camera_is(page: Page):
    choose(page, "Left")
    for label, amount in (("Azimuth", -90), ("Azimuth", -60), ("Elevation", 40), ("Distance", 1.5)):
        enter(page, label, amount)
        assert value(page)[label.lower()] == amount
        x, y = where(page)
        accent = is_accent(drawn(page))
        tip = accent[int(y) - 4 : int(y) + 5, int(x) - 4 : int(x) + 5]
        assert tip.sum() > 4
        down, right = np.argwhere(accent).mean(axis=0)
        assert accent.sum() > 60 and np.hypot(right - x, down - y) < 40  # nowhere else
    left = where(page)[0]
    enter(page, "Azimuth", 60)
    assert where(page)[0] > left + 60  # right is right


def test_who_holds_the_camera_behind_the_subject_pulls_it_along(page: Page):
    choose(page, "Back")
    x, y = where(page)
    drag(page, (x, y), 40, -12)
    moved = where(page)
    assert 20 < moved[0] - x < 60 and 4 < y - moved[1] < 22
    # From anywhere else, right is the camera's own right.
    choose(page, "Back")
    drag(page, (300, 200), 40, 0)
    assert -180 < value(page)["azimuth"] < -140


def test_presets_and_the_walls_view_set_everything_before_what_follows_them(page: Page):
    ran = page.locator(".ran textarea, .ran input").first
    for name, key in (("Right", "right"), ("Back", "back"), ("Above", "above"), ("Three-quarter", "three-quarter")):
        choose(page, name)
        view = PRESETS[key]
        expected = ("one view", int(view.azimuth_deg), int(view.elevation_deg), 1, 21)
        expect(ran).to_have_value(repr(expected))
        shown = value(page)
        assert (shown["kind"], shown["azimuth"], shown["elevation"], shown["distance"], shown["count"]) == expected
        expect(page.get_by_label("One view").first).to_be_checked()
        expect(number(page, "Azimuth")).to_have_value(str(expected[1]))
    for name in ("Orbit", "Spiral", "Swing"):
        choose(page, name)
        expect(ran).to_have_value(repr((name.lower(), 0, 10, 1, 21)))
        expect(page.get_by_label(name).first).to_be_checked()
    page.get_by_role("button", name="The wall's view").first.click()
    expect(ran).to_have_value(repr(("one view", -50, 12, 1.2, 21)))
    assert value(page)["azimuth"] == -50


def test_each_kind_shows_its_sliders_and_its_path(page: Page):
    path_pixels = {}
    for label, turns, counts in (("One view", 1, 0), ("Orbit", 0, 1), ("Spiral", 0, 1), ("Swing", 1, 1)):
        page.get_by_label(label).first.check()
        expect(page.get_by_label("number input for Azimuth")).to_have_count(turns)
        expect(page.get_by_label("number input for Views")).to_have_count(counts + 1)  # and the other panel's
        path_pixels[label] = int(on_path(drawn(page)).sum())
    assert path_pixels["Orbit"] > path_pixels["Swing"] > path_pixels["One view"] + 100
    assert path_pixels["Spiral"] > path_pixels["Swing"]
    page.get_by_label("Orbit").first.check()
    turned = value(page)["azimuth"]
    drag(page, (60, 60), 40, 0)
    page.get_by_label("One view").first.check()
    expect(number(page, "Azimuth")).to_have_value(str(value(page)["azimuth"]))  # it was not to be seen meanwhile
    assert value(page)["azimuth"] > turned
    page.get_by_label("Orbit").first.check()
    for count in (8, 24):
        enter(page, "Views", count)
        assert value(page)["count"] == count
        pixels = drawn(page)
        dots = page.evaluate(
            f"""async (script) => {{
                const {{ path }} = await import(new URL(script.camera, document.baseURI));
                const {{ project }} = await import(new URL(script.scene, document.baseURI));
                const {{ value, observer, stage }} = {PAD.format(0)};
                const {{ worldFromCamera }} = await import(new URL(script.camera, document.baseURI));
                return path("orbit", value.count, {{ azimuth_deg: 0, elevation_deg: value.elevation, distance: 1 }})
                    .map((view) => worldFromCamera(view, 1.25).map((row) => row[3]))
                    .map((at) => project(observer, at, stage.clientWidth, stage.clientHeight));
            }}""",
            {"camera": asset("camera.js"), "scene": asset("pad_scene.js")},
        )
        hits = [on_path(pixels[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2]).mean() for x, y in dots]
        assert len(hits) == count and sum(hit > 0.5 for hit in hits) >= count - 2  # the subject may hide one


def test_where_the_camera_is_moved_the_path_is_drawn_and_near_its_beginning_it_closes(page: Page):
    page.get_by_label("Draw").first.check()
    readout = page.locator(".camera-pad-readout").first
    expect(readout).to_have_text(TO_DRAW)
    enter(page, "Views", 20)
    enter(page, "Photo's elevation", 25)
    assert [value(page)[name] for name in ("way", "azimuth", "elevation", "count")] == [[], 0, 25, 20]
    enter(page, "Photo's elevation", 10)
    enter(page, "Views", 21)
    assert [value(page)[name] for name in ("azimuth", "elevation", "count")] == [0, 10, 21]
    before = on_path(drawn(page)).sum()
    expect(page.get_by_label("number input for Elevation")).to_have_count(1)  # the other panel's

    start, far = (30, 30), 85
    for right, down in ((far, -20), (far, 20), (far, 20), (far, -20)):
        drag(page, start, right, down)
    half = value(page)
    assert half["way"][0] == [0, 10, 1] and half["way"][-1] == [half["azimuth"], half["elevation"], 1]
    turned = np.unwrap(np.radians([stop[0] for stop in half["way"]]))
    assert np.degrees(turned[-1]) > 120 and (np.diff(turned) > 0).all()
    assert {stop[1] for stop in half["way"]} > {10, 15} and on_path(drawn(page)).sum() > before + 300
    expect(readout).to_contain_text("21 views along your path")
    enter(page, "Views", 12)
    assert value(page)["way"] == half["way"]

    while abs(at := value(page)["azimuth"]) > 4:  # the rest of the way round, and not quite to its beginning
        drag(page, start, min(far, ((-at % 360) - 3) * 2.1), 0)
    assert [value(page)[name] for name in ("azimuth", "elevation", "way")][:2] == [0, 10]
    assert value(page)["way"][-1] == value(page)["way"][0] == [0, 10, 1]

    stage(page).focus()
    whole = value(page)["way"]
    page.keyboard.press("ArrowRight")
    assert value(page)["way"] == [*whole, [5, 10, 1]]  # the keyboard draws, too
    page.keyboard.press("Backspace")
    assert value(page)["way"] == whole and value(page)["azimuth"] == 0
    choose(page, "Left")
    page.get_by_label("Draw").first.check()
    assert [value(page)[name] for name in ("way", "azimuth", "elevation")] == [
        whole,
        0,
        10,
    ]
    page.get_by_role("button", name="Draw anew").first.click()
    expect(readout).to_have_text(TO_DRAW)


# --- Keyboard, wheel, fingers -----------------------------------------------------------------------------------------


def test_the_keyboard_moves_it_and_it_says_where_it_is(page: Page):
    choose(page, "Front")
    page.keyboard.press("Shift+Tab")
    expect(stage(page)).to_be_focused()
    outline = (
        "getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth"
    )
    assert page.evaluate(outline) == "solid2px"
    for key, name, expected in (
        ("ArrowRight", "azimuth", 5),
        ("Shift+ArrowRight", "azimuth", 6),
        ("ArrowLeft", "azimuth", 1),
        ("ArrowUp", "elevation", 5),
        ("Shift+ArrowDown", "elevation", 4),
        ("+", "distance", 0.9),
        ("-", "distance", 1),
    ):
        page.keyboard.press(key)
        assert value(page)[name] == expected
    for _ in range(20):
        page.keyboard.press("ArrowUp")
    assert value(page)["elevation"] == 90
    spoken = stage(page).get_attribute("aria-valuetext")
    assert spoken == "front, 1 degrees; from above, 90 degrees; 1 times the photo's distance"
    page.keyboard.press("Home")
    assert [value(page)[name] for name in ("azimuth", "elevation", "distance")] == [0, 10, 1]
    assert stage(page).get_attribute("aria-valuenow") == "0" and stage(page).get_attribute("role") == "slider"


def test_the_wheel_scrolls_the_page_until_the_pad_is_clicked(page: Page):
    stage(page).hover()
    page.mouse.wheel(0, 60)
    page.wait_for_function("document.scrollingElement.scrollTop > 0")
    assert value(page)["distance"] == 1
    stage(page).click(position={"x": 60, "y": 60})
    top = page.evaluate("document.scrollingElement.scrollTop")
    page.mouse.wheel(0, 240)
    page.wait_for_function(f"{PAD.format(0)}.value.distance > 1.2")
    assert page.evaluate("document.scrollingElement.scrollTop") == top
    page.mouse.wheel(0, -10_000)
    page.wait_for_function(f"{PAD.format(0)}.value.distance == {DISTANCE_RANGE[0]}")
    expect(number(page, "Distance")).to_have_value(str(DISTANCE_RANGE[0]))


def test_a_finger_turns_it_sideways_scrolls_past_it_and_moves_the_camera_itself_freely(phone: Page):
    page = phone
    page.get_by_label("One view").first.check()
    page.evaluate("window.scrollTo(0, 0)")
    before = value(page)
    touch(page, line(60, 170, 0, -100))
    page.wait_for_function("document.scrollingElement.scrollTop > 40")
    assert value(page) == before  # past the pad
    rest_at_top(page)
    touch(page, line(60, 170, 80, 0))
    assert value(page)["azimuth"] > before["azimuth"] + 20
    x, y = where(page)
    raised = value(page)["elevation"]
    touch(page, line(x, y, 0, -40))
    assert value(page)["elevation"] > raised + 10
    assert page.evaluate("document.scrollingElement.scrollTop") == 0
    touch(page, line(140, 100, -40, 0), line(180, 100, 60, 0))
    assert value(page)["distance"] < 0.6  # two fingers apart: nearer


# --- What it shows ----------------------------------------------------------------------------------------------------


def test_nothing_is_drawn_while_nothing_changes(page: Page):
    before = frames(page), frames(page, 1)
    page.evaluate("async () => { for (let i = 0; i < 30; i++) await new Promise(requestAnimationFrame) }")
    stage(page).hover()
    assert (frames(page), frames(page, 1)) == before
    page.keyboard.press("Tab")
    enter(page, "Elevation", 31)
    value(page)
    assert 1 <= frames(page) - before[0] <= 3
    assert frames(page, 1) == before[1]


def test_the_subject_stands_in_the_middle_and_the_photos_camera_at_its_elevation(page: Page):
    pixels = drawn(page)
    orange = (np.abs(pixels - ORANGE).max(axis=2) < 40).nonzero()
    assert len(orange[0]) > 800
    assert abs(orange[1].mean() - pixels.shape[1] / 2) < 15
    enter(page, "Photo's elevation", 60)
    assert value(page)["photo_elevation"] == 60
    changed = np.abs(drawn(page) - pixels).max(axis=2) > 30
    assert changed.sum() > 100


def test_it_follows_light_and_dark(page: Page):
    light = drawn(page)
    page.evaluate("document.body.classList.add('dark')")
    dark = drawn(page)
    assert light[3, -3].mean() > 240 and dark[3, -3].mean() < 60
    floor = tuple(int(part * 0.85) for part in light.shape[:2])
    assert light[floor[0], floor[1] // 2].mean() > 200 and dark[floor[0], floor[1] // 2].mean() < 80


def test_values_that_make_no_sense_are_put_right_and_pictures_of_others_are_not_fetched(page: Page, opened: Opener):
    asked = len(opened.asked)
    page.evaluate(
        f"""() => {PAD.format(0)}.show({{
            azimuth: NaN, elevation: 1e9, distance: "<b>", kind: "__proto__", count: 1e9, photo_elevation: null,
            picture: "https://elsewhere.example/x.png",
        }})"""
    )
    shown = value(page)
    assert (shown["azimuth"], shown["elevation"], shown["distance"]) == (0, 90, 1)
    assert (shown["kind"], shown["count"], shown["photo_elevation"]) == ("one view", 360, 0)
    assert not [url for url in opened.asked[asked:] if "elsewhere" in url]
    drag(page, (60, 60), 30, 20)
    assert value(page)["elevation"] < 90


def test_the_plain_painter_shows_the_same(page: Page):
    for name in ("Spiral", "Back", "Above"):
        choose(page, name)
        fine = drawn(page)
        page.evaluate(
            f"(() => {{ const pad = {PAD.format(0)}; pad.kept = pad.three; pad.three = null; pad.changed(); }})()"
        )
        plain = drawn(page)
        page.evaluate(f"(() => {{ const pad = {PAD.format(0)}; pad.three = pad.kept; pad.changed(); }})()")
        far = np.abs(fine - plain).max(axis=2) > 60
        assert far.mean() < 0.015 and np.abs(fine - plain).mean() < 2.5


def test_a_lost_context_is_not_seen(page: Page):
    before = drawn(page)
    lose = """async (script) => {
        const { openGl } = await import(new URL(script, document.baseURI));
        const gl = (await openGl()).renderer.getContext();
        window.lost = gl.getExtension("WEBGL_lose_context");
        window.lost.loseContext();
    }"""
    page.evaluate(lose, asset("gl.js"))
    drag(page, (60, 60), 50, 0)
    drag(page, (60, 60), -50, 0)
    assert np.abs(drawn(page) - before).mean() < 2.5
    drawn_before = frames(page)
    page.evaluate("window.lost.restoreContext()")
    page.wait_for_function(f"{PAD.format(0)}.frames > {drawn_before}")
    assert np.abs(drawn(page) - before).mean() < 0.5


def test_without_webgl_everything_still_works(browser: Browser, chromium: str, url: str):
    flags = [*(flag for flag in FLAGS if "swiftshader" not in flag), "--disable-3d-apis"]
    plain = browser.browser_type.launch(executable_path=chromium, args=flags)
    opener = Opener(plain, url)
    page = opener(ready="context")
    assert page.evaluate("document.createElement('canvas').getContext('webgl2')") is None
    assert is_accent(drawn(page)).sum() > 60
    before = value(page)["azimuth"]
    drag(page, (60, 60), 60, 0)
    assert value(page)["azimuth"] > before
    missing, sentence = page.evaluate(
        """async (script) => {
            const { openMesh, webglMissing } = await import(new URL(script, document.baseURI));
            return [webglMissing(), await openMesh("cut.png").catch((problem) => problem.message)];
        }""",
        asset("mesh.js"),
    )
    assert missing is True and "WebGL" in sentence
    assert not [address for address in opener.asked if "three.js" in address]
    opener.leave()
    plain.close()


def test_on_a_phone_nothing_is_cut_off_and_all_is_large_enough_for_a_finger(opened: Opener, phone: Page):
    german = opened(width=360, height=740, has_touch=True, is_mobile=True, locale="de-DE")
    for page, words in ((phone, ("Front", "Orbit", "Distance")), (german, ("Vorn", "Rundum", "Abstand"))):
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        for target in page.locator(".camera-preset, .camera-kind label:has(input)").all():
            box = target.bounding_box()
            assert box and box["height"] >= 44 and box["width"] >= 44
            assert target.evaluate("(node) => node.scrollWidth <= node.clientWidth + 1")
        assert page.locator(".camera-kind .wrap").first.evaluate("(node) => node.scrollWidth <= node.clientWidth")
        for word in words:
            expect(page.get_by_text(word).first).to_be_visible()
