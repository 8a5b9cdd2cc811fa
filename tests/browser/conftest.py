"""One real server and one real Chromium for the tests of a file that look at the page.

Not for the whole session: Playwright keeps an event loop running, in which other tests could not start their own.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.ui.hostile.server import Running, serving
from tests.ui.subject_helpers import NOBODY

COMMON = [
    "--no-sandbox",
    "--disable-background-networking",
    # What a page asks others for fails, and is seen
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
# Software rendering, so that the 3D viewer works on machines without a GPU; all but that is drawn quicker without.
FLAGS = [
    *COMMON,
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-gpu-compositing",
]
# Without 3D, for tests that read none: where there is no GPU, its imitation takes most of the machine.
FLAT_FLAGS = [*COMMON, "--disable-gpu", "--disable-3d-apis"]
SMALL_PX = 192  # pictures of the page's usual size are made where that is tested
USUAL: dict[str, Any] = {"TURNAROUND_REMBG_URL": NOBODY, "TURNAROUND_SIZE_PX": SMALL_PX}
PATIENCE_MS = 60_000  # on a machine that does much else at once
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Running]:
    """The whole page, or what the file names as its `HOUSE`; with its `SETTINGS`, if it has any."""
    data, module = tmp_path_factory.mktemp("house") / "data", getattr(request.module, "HOUSE", "tests.ui.house")
    with serving(data, module, **USUAL | getattr(request.module, "SETTINGS", {})) as running:
        yield running


@pytest.fixture(scope="module")
def browser(chromium: str, request: pytest.FixtureRequest) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        flags = getattr(request.module, "FLAGS", FLAGS)
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def visitor(browser: Browser, house: Running) -> Iterator["Visitors"]:
    """Calling it opens the page as someone new, in a browser of their own."""
    visitors = Visitors(browser, house)
    yield visitors
    visitors.leave()
    assert visitors.complaints == [], "the page complained in the browser's console"
    assert visitors.foreign == [], "the page asked another host for something"


class Visitors:
    def __init__(self, browser: Browser, house: Running) -> None:
        self._browser, self._house = browser, house
        self._contexts: list[Any] = []
        self.complaints: list[str] = []
        self.foreign: list[str] = []

    def __call__(self, path: str = "", width: int = 1280, height: int = 900, **look: Any) -> Page:
        # A wall that turns by itself keeps a machine without a GPU busy: only where that is what is tested
        look = {"reduced_motion": "reduce"} | look
        context = self._browser.new_context(viewport={"width": width, "height": height}, **look)
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", lambda message: self._hear(message.type, message.text, message.location.get("url", "")))
        page.on("pageerror", lambda error: self._hear("error", str(error), ""))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        page.on("requestfailed", lambda request: self._watch(request.url))
        page.goto(f"{self._house.url}/{path}")
        page.wait_for_selector("#generate, #cancel")
        return page

    def leave(self) -> None:
        for context in self._contexts:
            context.close()

    def _hear(self, kind: str, text: str, url: str) -> None:
        expected = (
            "WebGPU" in text  # Babylon tries it first
            or "CanvasRenderer" in text  # of the mask editor where there is no WebGL, which the page says
            or text.startswith("AbortError")  # a reload cuts Gradio's open requests
            or "Connection errored out" in text  # the same
            or "/photo." in url  # a raw upload: deleted as soon as it was read
            or url.endswith(("/wall.json", "/subject.png"))  # of a link to nothing, of a run stopped at this moment
        )
        if kind == "error" and not expected:
            self.complaints.append(f"{text} {url}")

    def _watch(self, url: str) -> None:
        if not url.startswith((f"{self._house.url}/", "data:", "blob:")):
            self.foreign.append(url)
