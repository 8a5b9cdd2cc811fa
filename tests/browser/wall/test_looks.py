"""What a tile can show beside the pictures, and without WebGL cannot."""

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import FLAT_FLAGS
from tests.browser.wall.parts import CENTRE, Visit, all_drawn, angle, canvas, drag, press, shows_its_claim, tile
from tests.browser.wall_house import WallHouse

pytestmark = pytest.mark.browser


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
    blind = browser.browser_type.launch(executable_path=chromium, args=FLAT_FLAGS)
    page = blind.new_page(reduced_motion="reduce")
    page.goto(f"{house.url}/?r={solid}")
    all_drawn(page, 1)
    before = canvas(page, 0).evaluate(CENTRE)
    press(page, "3D")
    expect(tile(page, 0).locator(".tile-note")).to_contain_text("WebGL")
    assert canvas(page, 0).evaluate(CENTRE) == before and before[3] == 255
    blind.close()
