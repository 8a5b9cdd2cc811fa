"""What a tile can show beside the pictures, and without WebGL cannot."""

import re
from typing import ClassVar

import pytest
from playwright.sync_api import Browser, expect

from pipelines.core.cameras import View, orbit
from pipelines.core.mesh import Mesh
from pipelines.invs import INVS
from pipelines.invs.method import INFLATED, WARPED, Options
from pipelines.runtime.method import Card, Frame, Report, Request, Turnaround
from tests.browser.conftest import FLAT_FLAGS
from tests.browser.wall.parts import (
    CENTRE,
    Visit,
    all_drawn,
    angle,
    camera,
    canvas,
    drag,
    press,
    settled,
    shows_its_claim,
    tile,
)
from tests.browser.wall_house import WallHouse, dial
from tests.core.shapes import ball
from tests.toy_methods import Flat, a_card

pytestmark = pytest.mark.browser

SEEN = """canvas => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return data.filter((value, i) => i % 4 === 3 && value > 127).length / data.length * 4;
}"""


class Globe(Flat):
    """A ball, a little off the middle and of no colour: what is seen of it is the light."""

    card: ClassVar[Card] = a_card("globe", renders=frozenset({"any view", "mesh"}))

    def _run(self, request: Request, report: Report) -> Turnaround:
        frames = tuple(Frame(view, dial(view, request.size_px), view) for view in request.views)
        mesh: Mesh = ball(0.2, (0.1, 0.05, 0.0), rings=24)
        return Turnaround(frames, mesh)


class Orb(Globe):
    card: ClassVar[Card] = a_card("orb", renders=frozenset({"any view", "mesh"}))


def test_depth_normals_and_3d_where_a_method_has_them_and_the_reason_where_not(visit: Visit, two: str, solid: str):
    page = visit.shown(f"?r={solid},{two}.sixfold", 2)
    settled(page, 0)
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


OF_EACH = """canvas => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let own = 0, invented = 0;
    for (let i = 0; i < data.length; i += 4) {
        if (data[i + 3] < 200) continue;
        if (data[i + 2] > data[i] + 40) own += 1;
        if (data[i] > data[i + 2] + 40) invented += 1;
    }
    return [own, invented].map(count => count / data.length * 4);
}"""


def test_what_is_the_photos_own_is_blue_and_what_was_invented_orange(visit: Visit, house: WallHouse, two: str):
    warped = Options(fill=WARPED, depth=INFLATED)
    made = house.make(INVS(), views=orbit(8, 10.0), size_px=128, options=warped)
    page = visit.shown(f"?r={made},{two}.sixfold", 2)
    settled(page, 0)
    press(page, "Photo's own")
    expect(tile(page, 1).locator(".tile-note")).to_contain_text("does not tell the photo's own pixels")
    first = canvas(page, 0).element_handle()
    page.wait_for_function(f"canvas => ({OF_EACH})(canvas)[0] > 0.1", arg=first)
    front, (own, invented) = canvas(page, 0).evaluate(SEEN), canvas(page, 0).evaluate(OF_EACH)
    assert own > 0.9 * front and invented < 0.02, "of the photo's own view all is"
    for _ in range(3):
        canvas(page, 0).press("ArrowRight")
    page.wait_for_function(f"canvas => ({OF_EACH})(canvas)[1] > 0.1", arg=first)


def test_models_side_by_side_are_seen_by_one_camera_in_one_light_and_a_lost_one_leaves_its_picture(
    visit: Visit, house: WallHouse
):
    both = house.make(Globe(), Orb(), views=(View(0, 10),))
    lost = house.make(Globe(), views=(View(0, 10),), seed=1)
    page = visit.shown(f"?r={both},{lost}", 3, width=1200)
    (house.studio.archive.root / lost / "globe" / "model.glb").unlink()
    before = canvas(page, 2).evaluate(CENTRE)
    press(page, "3D")
    expect(page.locator(".tile canvas.tilts")).to_have_count(2)
    expect(tile(page, 2).locator(".tile-note")).to_contain_text("The pictures stay")
    assert canvas(page, 2).evaluate(CENTRE) == before and before[3] == 255

    drag(page, canvas(page, 0), -60, 50)
    first = camera(page)
    assert first.azimuth_deg > 20 and first.elevation_deg > 20
    canvases = [canvas(page, i).element_handle() for i in range(2)]
    share = canvas(page, 1).evaluate(SEEN)
    canvas(page, 1).hover()
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    expect(page.locator(".wall-readout")).to_contain_text("0.51×")
    assert share > 0.01
    page.wait_for_function(f"([canvas, share]) => ({SEEN})(canvas) > 3 * share", arg=[canvases[1], share])
    page.wait_for_function("([one, other]) => one.toDataURL() === other.toDataURL()", arg=canvases)
    assert angle(page, 0) == angle(page, 1)


def test_without_webgl_the_pictures_stay_and_a_sentence_says_so(
    browser: Browser, house: WallHouse, solid: str, chromium: str
):
    blind = browser.browser_type.launch(executable_path=chromium, args=FLAT_FLAGS)
    page = blind.new_page(reduced_motion="reduce")
    page.goto(f"{house.url}/?r={solid}")
    all_drawn(page, 1)
    settled(page, 0)
    before = canvas(page, 0).evaluate(CENTRE)
    press(page, "3D")
    expect(tile(page, 0).locator(".tile-note")).to_contain_text("WebGL")
    assert canvas(page, 0).evaluate(CENTRE) == before and before[3] == 255
    blind.close()
