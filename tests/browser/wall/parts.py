"""What the tests of the wall do and read again and again."""

import colorsys
import re
import time
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect

from pipelines.core.cameras import View
from tests.browser.conftest import PATIENCE_MS
from tests.browser.wall_house import WallHouse

CENTRE = """canvas => {
    const { width, height } = canvas;
    return [...canvas.getContext('2d').getImageData(width * 0.5, height * 0.45, 1, 1).data];
}"""


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


def all_drawn(page: Page, tiles: int) -> None:
    expect(page.locator(".tile canvas")).to_have_count(tiles)
    expect(page.locator(".tile-empty")).to_have_count(0)


def settled(page: Page, i: int) -> None:
    """The tile shows the view of the shared camera, no other that came before it."""
    expect(tile(page, i).locator(".tile-angle")).to_have_text(re.compile(r"^-?\d+° / -?\d+°$"))


def tile(page: Page, i: int) -> Locator:
    return page.locator(".tile").nth(i)


def canvas(page: Page, i: int) -> Locator:
    return tile(page, i).locator("canvas")


def claim(page: Page, i: int) -> tuple[View, bool]:
    """The view that the tile's label names, and whether it is the shared camera's own."""
    label = tile(page, i).locator(".tile-angle").inner_text()
    found = re.fullmatch(r"(nearest: )?(-?\d+)° / (-?\d+)°", label)
    assert found, label
    return View(float(found[2]), float(found[3])), not found[1]


def angle(page: Page, i: int) -> View:
    """The view that the tile claims to show, exactly."""
    view, exact = claim(page, i)
    assert exact, f"only the nearest: {view}"
    return view


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


def comes_to(page: Page, script: str, wanted: Any) -> None:
    """Unlike Playwright's own, it says what there was instead, and needs no frames that a busy browser may not draw."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while (now := page.evaluate(script)) != wanted:
        assert time.monotonic() < deadline, f"{script} came to {now}, not {wanted}"
        page.wait_for_timeout(20)


def drawn(page: Page) -> None:
    """Whatever changed is painted by now."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def shows_its_claim(page: Page, i: int, within_deg: float = 3.0) -> None:
    """Of the methods whose colour tells the azimuth: the pixels are those of the view that the label names."""
    red, green, blue, _ = canvas(page, i).evaluate(CENTRE)
    seen = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)[0] * 360
    claimed, _ = claim(page, i)
    away = (seen - claimed.azimuth_deg + 180) % 360 - 180
    assert abs(away) < within_deg, f"{seen:.0f}° is shown where {claimed} is claimed"


def loaded(page: Page, ids: str, pictures: int) -> None:
    """Every picture has come, so that the nearest is the nearest of all."""
    page.wait_for_function(
        "([id, n]) => performance.getEntriesByType('resource')"
        ".filter(e => e.name.includes(id) && /view_\\d+/.test(e.name) && e.responseStatus === 200).length >= n",
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


def camera(page: Page) -> View:
    """The shared one, for whoever wants to match it."""
    place = page.locator("section.wall")
    return View(*(float(place.get_attribute(f"data-{name}") or "nan") for name in ("azimuth", "elevation", "distance")))


def press(page: Page, name: str, where: Locator | None = None) -> None:
    (where or page.locator(".wall-bar")).get_by_role("button", name=name, exact=True).click()


# --- One camera -------------------------------------------------------------------------------------------------------
