"""The wall in a real Chromium: what its canvases show is read from their pixels, and compared with what they claim."""

import colorsys
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from pipelines.core.cameras import View, orbit
from tests.browser.conftest import FLAGS, PATIENCE_MS
from tests.browser.wall_house import FIXED, WallHouse, hue, until, wall_house
from tests.ui.house import MARKUP
from ui.assets import asset

pytestmark = pytest.mark.browser

CENTRE = """canvas => {
    const { width, height } = canvas;
    return [...canvas.getContext('2d').getImageData(width * 0.5, height * 0.45, 1, 1).data];
}"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WallHouse]:
    with wall_house(tmp_path_factory.mktemp("wall") / "data") as house:
        yield house


@pytest.fixture(scope="module")
def two(house: WallHouse) -> str:
    """An orbit and six fixed views of one subject."""
    return house.make(house.dial, house.sixfold)


@pytest.fixture(scope="module")
def seeded(house: WallHouse) -> str:
    """The orbit again, with another seed."""
    return house.make(house.dial, seed=7)


@pytest.fixture(scope="module")
def solid(house: WallHouse) -> str:
    return house.make(house.inflate, views=orbit(8, 10.0), size_px=128)


@dataclass
class Visit:
    """Opens pages, and knows what they asked for and complained about."""

    browser: Browser
    house: WallHouse
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    contexts: list[Any] = field(default_factory=list)

    def __call__(self, path: str, width: int = 900, height: int = 800, still: bool = True, **look: Any) -> Page:
        motion = "reduce" if still else "no-preference"
        context = self.browser.new_context(viewport={"width": width, "height": height}, reduced_motion=motion, **look)
        self.contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(f"{self.house.url}/{path}")
        return page

    def shown(self, path: str, tiles: int, **how: Any) -> Page:
        """With that many turnarounds, each of which shows something."""
        page = self(path, **how)
        all_drawn(page, tiles)
        return page


@pytest.fixture
def visit(browser: Browser, house: WallHouse) -> Iterator[Visit]:
    visit = Visit(browser, house)
    yield visit
    for context in visit.contexts:
        context.close()
    assert visit.complaints == []
    assert [url for url in visit.asked if not url.startswith((house.url, "data:", "blob:"))] == []


def all_drawn(page: Page, tiles: int) -> None:
    expect(page.locator(".tile canvas")).to_have_count(tiles)
    expect(page.locator(".tile-empty")).to_have_count(0)


def tile(page: Page, i: int) -> Locator:
    return page.locator(".tile").nth(i)


def canvas(page: Page, i: int) -> Locator:
    return tile(page, i).locator("canvas")


def angle(page: Page, i: int) -> View:
    """What the tile's label claims."""
    found = re.search(r"(-?\d+)° / (-?\d+)°", tile(page, i).locator(".tile-angle").inner_text())
    assert found
    return View(float(found[1]), float(found[2]))


def drag(page: Page, target: Locator, dx: float, dy: float = 0) -> None:
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2 - dx / 2, box["y"] + box["height"] * 0.7 - dy / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=6)
    page.mouse.up()
    drawn(page)


def swipe(page: Page, x: float, y: float, dx: float, dy: float) -> None:
    touch = page.context.new_cdp_session(page)
    for part in range(9):
        kind, at = "touchMove" if part else "touchStart", {"x": x + dx * part / 8, "y": y + dy * part / 8}
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [at]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def drawn(page: Page) -> None:
    """Whatever changed is painted by now."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def shows_its_claim(page: Page, i: int, within_deg: float = 3.0) -> None:
    """Of the methods whose colour tells the azimuth: the pixels are those of the view that the label names."""
    red, green, blue, _ = canvas(page, i).evaluate(CENTRE)
    seen = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)[0] * 360
    away = (seen - angle(page, i).azimuth_deg + 180) % 360 - 180
    assert abs(away) < within_deg, f"{seen:.0f}° is shown where {angle(page, i)} is claimed"


def loaded(page: Page, ids: str, pictures: int) -> None:
    """Every picture has come, so that the nearest is the nearest of all."""
    page.wait_for_function(
        "([id, n]) => performance.getEntriesByType('resource')"
        ".filter(e => e.name.includes(id) && /view_\\d+/.test(e.name) && e.responseEnd > 0).length >= n",
        arg=[ids, pictures],
    )


def told(page: Page) -> Locator:
    return page.locator("#told textarea")


def hears(page: Page, text: str | re.Pattern[str]) -> None:
    expect(told(page)).to_have_value(re.compile(text) if isinstance(text, str) else text)


def set_spec(page: Page, spec: str) -> None:
    """As Python sets the wall's value."""
    page.locator("#spec textarea, #spec input").fill(spec)
    page.locator("#spec textarea, #spec input").press("Enter")


def press(page: Page, name: str, where: Locator | None = None) -> None:
    (where or page.locator(".wall-bar")).get_by_role("button", name=name, exact=True).click()


# --- One camera -------------------------------------------------------------------------------------------------------


def test_dragging_one_tile_turns_all_and_asks_the_server_for_nothing(visit: Visit, two: str, seeded: str):
    page = visit.shown(f"?r={two},{seeded}", 3)
    loaded(page, two, 27)
    loaded(page, seeded, 21)
    before = [canvas(page, i).evaluate(CENTRE) for i in range(3)]
    visit.asked.clear()
    drag(page, canvas(page, 1), -130)

    after = [canvas(page, i).evaluate(CENTRE) for i in range(3)]
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert angle(page, 0) == angle(page, 2) and 60 < angle(page, 0).azimuth_deg < 140  # dragged left: to its right
    assert any(abs(angle(page, 1).azimuth_deg - (view.azimuth_deg)) < 1 for view in FIXED)
    for i in range(3):
        shows_its_claim(page, i)
    drag(page, canvas(page, 2), 200)
    assert angle(page, 0) == angle(page, 2) and angle(page, 0).azimuth_deg < 0
    assert visit.asked == []


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
    assert angle(still, 0) == View(0, 10)


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


# --- What a tile shows ------------------------------------------------------------------------------------------------


def test_depth_normals_and_3d_where_a_method_has_them_and_the_reason_where_not(visit: Visit, two: str, solid: str):
    page = visit.shown(f"?r={solid},{two}.sixfold", 2)
    other = f"([canvas, seen]) => !seen.includes(String(({CENTRE})(canvas)))"
    seen = [",".join(map(str, canvas(page, 0).evaluate(CENTRE)))]
    for mode, reason in (("Depth", "No depth"), ("Normals", "No normals")):
        press(page, mode)
        page.wait_for_function(other, arg=[canvas(page, 0).element_handle(), seen])
        seen.append(",".join(map(str, canvas(page, 0).evaluate(CENTRE))))
        expect(tile(page, 1).locator(".tile-note")).to_contain_text(reason)
    press(page, "3D")
    expect(tile(page, 1).locator(".tile-note")).to_contain_text("No 3D model")
    shows_its_claim(page, 1)

    # A model is seen from anywhere; pictures stay where they were taken
    page.wait_for_function("document.querySelector('.tile canvas').classList.contains('tilts')")
    drag(page, canvas(page, 0), -40, 60)
    assert angle(page, 0).elevation_deg > 20
    expect(tile(page, 0).locator(".tile-angle")).not_to_contain_text("nearest")
    expect(tile(page, 1).locator(".tile-angle")).to_contain_text("nearest")
    press(page, "Picture")
    expect(tile(page, 0).locator(".tile-angle")).to_have_text(re.compile(r"^-?\d+° / 10°$"))
    press(page, "Normals", tile(page, 0))  # this tile alone
    expect(tile(page, 0).get_by_role("button", name="Normals")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".wall-bar").get_by_role("button", name="Picture")).to_have_attribute("aria-pressed", "true")


def test_without_webgl_the_pictures_stay_and_a_sentence_says_so(
    browser: Browser, house: WallHouse, solid: str, chromium: str
):
    flags = [flag for flag in FLAGS if "gl" not in flag and "swiftshader" not in flag]
    kind = browser.browser_type
    blind = kind.launch(executable_path=chromium, args=[*flags, "--disable-gpu", "--disable-3d-apis"])
    page = blind.new_page(reduced_motion="reduce")
    page.goto(f"{house.url}/?r={solid}")
    all_drawn(page, 1)
    before = canvas(page, 0).evaluate(CENTRE)
    press(page, "3D")
    expect(tile(page, 0).locator(".tile-note")).to_contain_text("WebGL")
    assert canvas(page, 0).evaluate(CENTRE) == before and before[3] == 255
    blind.close()


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


# --- Runs -------------------------------------------------------------------------------------------------------------


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


# --- Taking away and doing again --------------------------------------------------------------------------------------


def test_everything_can_be_taken_away_and_what_is_asked_reaches_the_server(visit: Visit, solid: str, house: WallHouse):
    page = visit.shown(f"?r={solid}", 1)
    press(page, "Take away", tile(page, 0))
    links = {link.inner_text(): link.get_attribute("href") for link in tile(page, 0).locator(".wall-panel a").all()}
    press(page, "Take all away")
    links |= {link.inner_text(): link.get_attribute("href") for link in page.locator(".wall-bar .wall-panel a").all()}
    assert {"This very view (PNG)", "Video (MP4)", "3D model (GLB)", "Everything (ZIP)"} < set(links)
    for label in ("This very view (PNG)", "3D model (GLB)", "Everything (ZIP)", "Contact sheet (PNG)"):
        answer = page.request.get(links[label] or "")
        assert answer.ok and "attachment" in answer.headers["content-disposition"], label

    for name, said in (
        ("Beside it, with seed 1", r"again .*'seed': 1"),
        ("Run again exactly", r"again .*'seed': 0"),
        ("Change one thing", "adopt .*'key': 'inflate'"),
        ("Render this very view", "view .*'azimuth_deg': 0, 'elevation_deg': 10, 'distance': 1"),
    ):
        page.locator(".tile-foot .wall-opener").last.click()
        press(page, name, tile(page, 0))
        hears(page, said)
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
