"""The wall in a real Chromium: what its canvases show is read from their pixels, and compared with what they claim."""

import re
from dataclasses import asdict

import numpy as np
import pytest
from playwright.sync_api import expect

from pipelines.core.cameras import View, orbit
from tests.browser.conftest import FLAT_FLAGS
from tests.browser.wall.parts import (
    CENTRE,
    Visit,
    angle,
    camera,
    canvas,
    claim,
    comes_to,
    drag,
    drawn,
    hears,
    loaded,
    press,
    set_spec,
    shows_its_claim,
    swipe,
    tile,
)
from tests.browser.wall_house import FIXED, WallHouse, hue, until
from ui.assets import asset

pytestmark = pytest.mark.browser
FLAGS = FLAT_FLAGS


def test_dragging_one_tile_turns_all_and_asks_the_server_for_nothing(visit: Visit, two: str, seeded: str):
    page = visit.shown(f"?r={two},{seeded}", 3)
    loaded(page, two, 27)
    loaded(page, seeded, 21)
    before = [canvas(page, i).evaluate(CENTRE) for i in range(3)]
    visit.asked.clear()
    drag(page, canvas(page, 1), -130)

    after = [canvas(page, i).evaluate(CENTRE) for i in range(3)]
    assert all(a != b for a, b in zip(before, after, strict=True))
    turned, _ = claim(page, 0)
    assert claim(page, 0) == claim(page, 2) and 60 < turned.azimuth_deg < 140  # dragged left: to its right
    assert any(abs(claim(page, 1)[0].azimuth_deg - view.azimuth_deg) < 1 for view in FIXED)
    for i in range(3):
        shows_its_claim(page, i)
    drag(page, canvas(page, 2), 200)
    assert angle(page, 0) == angle(page, 2) and angle(page, 0).azimuth_deg < 0
    assert visit.asked == []


@pytest.mark.parametrize("still", [True, False], ids=["still", "turning"])
def test_a_new_result_begins_where_it_was_asked_for(visit: Visit, house: WallHouse, still: bool):
    right, high = house.make(house.dial, views=(View(90, 0),)), house.make(house.dial, views=orbit(21, 60.0))
    page = visit.shown("", 1, still=still)  # the example, from elsewhere
    set_spec(page, right)
    expect(tile(page, 0).locator(".tile-angle")).to_have_text("90° / 0°")
    assert camera(page) == View(90, 0)
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)  # there is nothing to turn through
    page.locator(".tile-foot .wall-opener").last.click()
    press(page, "Render this very view", tile(page, 0))
    hears(page, "view .*'azimuth_deg': 90, 'elevation_deg': 0, 'distance': 1")
    press(page, "Share")
    press(page, "Copy link to this moment")
    assert page.evaluate("navigator.clipboard.readText()").endswith("&az=90&el=0")

    set_spec(page, high)
    expect(tile(page, 0).locator(".tile-angle")).to_have_text(re.compile(r"^-?\d+° / 60°$"))
    if still:
        expect(page.locator(".wall-readout")).to_have_text("0° / 60°")
        assert angle(page, 0) == camera(page) == View(0, 60)
    else:
        expect(page.get_by_role("button", name="Pause")).to_be_visible()


def test_a_tile_names_the_view_that_it_really_shows(visit: Visit, two: str):
    page = visit.shown(f"?r={two}&az=-120&el=-10", 2)
    loaded(page, two, 27)
    expect(page.locator(".wall-readout")).to_have_text("-120° / -10°")
    expect(tile(page, 0).locator(".tile-angle")).to_have_text("nearest: -120° / 10°")
    expect(tile(page, 1).locator(".tile-angle")).to_have_text("nearest: -150° / -10°")
    shows_its_claim(page, 0)
    shows_its_claim(page, 1)
    page.get_by_role("slider", name="Azimuth").fill("150")
    page.get_by_role("slider", name="Elevation").fill("20")
    expect(tile(page, 1).locator(".tile-angle")).to_have_text("150° / 20°")
    expect(page).to_have_url(re.compile(rf"\?r={two}$"))  # the moment is over


def test_keys_turn_from_view_to_view_and_say_it_in_words(visit: Visit, two: str):
    page = visit.shown(f"?r={two}", 2)
    loaded(page, two, 27)
    canvas(page, 0).focus()
    page.keyboard.press("ArrowRight")
    expect(canvas(page, 0)).to_have_attribute("aria-valuetext", "azimuth 17°, elevation 10°")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(canvas(page, 0)).to_have_attribute("aria-valuetext", "azimuth -17°, elevation 10°")
    shows_its_claim(page, 0)
    page.keyboard.press("Home")
    expect(tile(page, 0).locator(".tile-angle")).to_have_text("0° / 10°")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()


def test_it_turns_by_itself_until_touched_and_never_where_motion_is_unwanted(visit: Visit, two: str):
    page = visit.shown(f"?r={two}", 2, still=False)
    for _ in range(3):
        now = tile(page, 0).locator(".tile-angle").inner_text()
        expect(tile(page, 0).locator(".tile-angle")).not_to_have_text(now)
    canvas(page, 0).click()
    expect(page.get_by_role("button", name="Turn", exact=True)).to_be_visible()
    shows_its_claim(page, 0)

    press(page, "Turn")
    page.evaluate("document.body.style.paddingBottom = '4000px', scrollTo(0, 3000)")  # out of sight
    page.evaluate(
        """() => {
            window.counted = 0;
            const real = requestAnimationFrame;
            window.requestAnimationFrame = (draw) => {
                counted += new Error().stack.includes("wall-camera");  // Gradio draws too
                return real(draw);
            };
        }"""
    )
    page.wait_for_timeout(300)
    page.evaluate("counted = 0")
    page.wait_for_timeout(300)
    assert page.evaluate("counted") == 0, "it draws for nobody"
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_function("counted > 5")

    still = visit.shown(f"?r={two}", 2, still=True)
    expect(still.get_by_role("button", name="Turn", exact=True)).to_be_visible()
    expect(tile(still, 0).locator(".tile-angle")).to_have_text("0° / 10°")  # once that view has come


def test_a_finger_turns_sideways_and_scrolls_up_and_down(visit: Visit, two: str):
    page = visit.shown(f"?r={two}", 2, width=360, height=640, has_touch=True, is_mobile=True, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    loaded(page, two, 21)
    box = canvas(page, 0).bounding_box()
    assert box
    x, y = box["x"] + 200, box["y"] + 200
    swipe(page, x, y, -100, -20)
    drawn(page)
    turned = angle(page, 0)
    assert 30 < turned.azimuth_deg < 90 and page.evaluate("scrollY") == 0
    expect(tile(page, 0).locator(".tile-angle")).not_to_contain_text("nearest")  # it comes to rest at a view
    swipe(page, x, y, -10, -200)
    page.wait_for_function("scrollY > 60")
    assert angle(page, 0) == turned
    for menu in ("Take all away", "Share"):
        press(page, menu)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_phone_keeps_pictures_small_says_where_they_had_to_shrink_and_shares_the_room_anew(
    visit: Visit, house: WallHouse
):
    id = house.make(house.dial, views=orbit(4, 10.0), size_px=512)
    page = visit("?r=", width=360, height=640, device_scale_factor=2, is_mobile=True, has_touch=True)
    page.evaluate(
        """() => {
            const [decode, close] = [createImageBitmap, ImageBitmap.prototype.close];
            window.held = new Set();
            window.createImageBitmap = async (...given) => {
                const image = await decode(...given);
                held.add(image);
                return image;
            };
            ImageBitmap.prototype.close = function () {
                held.delete(this);
                close.call(this);
            };
        }"""
    )
    set_spec(page, id)
    loaded(page, id, 4)  # and the recorded example, which hung there, has left: with it, others would share the room
    small = "[...held].filter((each) => each.width === 384).length"
    comes_to(page, small, 4)
    note = tile(page, 0).locator(".tile-note")
    expect(note).to_be_hidden()

    # More than there is room for
    page.evaluate(
        """async (script) => {
            const { Frames } = await import(new URL(script, document.baseURI));
            const canvas = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
            const picture = canvas.toDataURL(); // quickly decoded, at whatever size
            window.more = new Frames(Array(400).fill(picture), 512, () => {});
            more.load(700);
        }""",
        asset("frames.js"),
    )
    expect(note).to_have_text(re.compile(r"^Shown at 249 px"))
    held_mib = "[...held].reduce((sum, each) => sum + 4 * each.width * each.height, 0) / 2 ** 20"
    comes_to(page, f"[more.loaded, more.failed, {held_mib} <= 96]", [400, 0, True])
    page.evaluate("more.dispose()")
    comes_to(page, small, 4)
    expect(note).to_be_hidden()


def test_a_way_that_does_not_end_where_it_began_is_gone_back_and_comes_nearer_where_it_does(visit: Visit, two: str):
    page = visit.shown(f"?r={two}", 2)

    def seen(way: list[View]) -> list[list[float]]:
        """Azimuths and distances, ten a second by a clock of its own."""
        return page.evaluate(
            """async ([script, way]) => {
                const { SharedCamera } = await import(new URL(script, document.baseURI));
                const [real, seen] = [requestAnimationFrame, []];
                let due;
                window.requestAnimationFrame = (draw) => (due = draw) && 1;
                const camera = new SharedCamera();
                camera.route = () => way;
                camera.play();
                for (let now = 100; now < 15_000; now += 100) {
                    due(now);
                    seen.push([camera.view.azimuth_deg, camera.view.distance]);
                }
                window.requestAnimationFrame = real;
                return seen;
            }""",
            [asset("wall-camera.js"), [asdict(view) for view in way]],
        )

    there = seen([View(10 * i, 5, 1 + 0.1 * i) for i in range(9)])
    azimuths, distances = np.array(there).T
    assert (azimuths.min(), azimuths.max()) == (pytest.approx(0, abs=3), pytest.approx(80, abs=3))
    assert np.abs(np.diff(azimuths)).max() < 5  # no leap back to the beginning
    np.testing.assert_allclose(distances, 1 + azimuths / 100)
    nearer = np.array(seen([View(20, 5, 1 - 0.1 * i) for i in range(7)]))[:, 1]
    assert (nearer.min(), nearer.max()) == (pytest.approx(0.4, abs=0.05), pytest.approx(1, abs=0.05))
    assert np.abs(np.diff(nearer)).max() < 0.1
    wide = np.array(seen([View(a, 10) for a in (0, 40, 80, 120)]))[:, 0]
    assert wide.max() > 100 and np.abs(np.diff(wide)).max() < 10
    round_, still = np.array(seen([*orbit(12, 5)])).T
    assert np.all(np.diff(np.unwrap(np.radians(round_))) >= 0) and set(still) == {1}


# --- Two at once ------------------------------------------------------------------------------------------------------


def test_a_wipe_shows_one_side_of_each_and_turns_with_all(visit: Visit, two: str):
    page = visit.shown(f"?r={two}", 2)
    loaded(page, two, 27)
    press(page, "Wipe")
    wipe = page.locator(".wall-wipe")
    divider = wipe.get_by_role("slider", name="Divider")
    expect(divider).to_be_focused()

    def colour(x: float) -> tuple[int, ...]:
        at = "canvas.getContext('2d').getImageData(canvas.width * x, canvas.height / 2, 1, 1).data"
        return tuple(wipe.locator("canvas").evaluate(f"(canvas, x) => [...{at}]", x)[:3])

    def near(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
        return max(abs(i - j) for i, j in zip(a, b, strict=True)) < 12

    left, right = hue(View(0, 10)), hue(View(30, 20))
    until(lambda: near(colour(0.3), left) and near(colour(0.7), right))
    for _ in range(15):  # 2 % each
        divider.press("ArrowRight")
    until(lambda: near(colour(0.7), left))
    box = wipe.locator("canvas").bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 40, steps=3)
    page.mouse.up()
    until(lambda: near(colour(0.3), right))
    expect(divider).to_have_attribute("aria-valuenow", "25")

    drag(page, wipe.locator("canvas"), -100)
    shows_its_claim(page, 0)
    turned = angle(page, 0)
    assert turned.azimuth_deg > 10
    until(lambda: near(colour(0.15), hue(orbit(21, 10.0)[round(turned.azimuth_deg / 360 * 21)])))

    wipe.get_by_label("Left side").select_option(label="Photo")
    until(lambda: near(colour(0.2), (100, 30, 20)))  # the left half of the subject is darker
    expect(page.locator(".wall-readout")).to_have_text("0° / 10°")  # from where it was taken
    expect(wipe.locator(".wipe-left")).to_contain_text("its own view 0° / 10°")
    page.keyboard.press("Escape")
    expect(wipe).to_have_count(0)
    expect(page.get_by_role("button", name="Wipe")).to_be_focused()


def test_a_closed_wipe_leaves_the_tiles_sharp(visit: Visit, house: WallHouse):
    page = visit.shown(f"?r={house.make(house.dial, house.sixfold, size_px=512)}", 2)
    edge = """canvas => {
        const { width, height } = canvas;
        const row = canvas.getContext('2d').getImageData(0, height >> 1, width, 1).data;
        return row.filter((value, i) => i % 4 === 3 && value > 20 && value < 235).length;
    }"""
    before = [canvas(page, i).evaluate(edge) for i in range(2)]
    page.evaluate(
        """() => {
            const real = createImageBitmap;
            window.decoded = [];
            window.decoding = 0;
            window.createImageBitmap = (blob, how) => {
                decoded.push(how.resizeWidth);
                decoding += 1;
                return real(blob, how).finally(() => (decoding -= 1));
            };
        }"""
    )
    press(page, "Wipe")
    expect(page.locator(".wipe-left")).to_contain_text("0° / 10°")
    page.keyboard.press("Escape")
    expect(page.locator(".wall-wipe")).to_have_count(0)
    page.wait_for_function("decoding === 0")
    drawn(page)
    widths = [canvas(page, i).evaluate("canvas => canvas.width") for i in range(2)]
    assert all(px >= 0.8 * min(widths) for px in page.evaluate("decoded"))
    assert all(canvas(page, i).evaluate(edge) <= before[i] + 2 for i in range(2))
