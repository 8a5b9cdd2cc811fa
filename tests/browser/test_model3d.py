"""Our GLB in Gradio's own 3D viewer, which is Babylon's: people open it elsewhere, too."""

import colorsys
import io
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from pipelines.core.cameras import View
from pipelines.core.mesh import Mesh, glb_bytes
from pipelines.inflate import Inflate
from pipelines.runtime.method import Report, Request
from tests.browser.conftest import PATIENCE_MS
from tests.core.shapes import ball
from tests.inflate import shapes
from tests.ui.hostile.server import clean_environment, free_port

pytestmark = pytest.mark.browser

ORANGE = (226, 120, 30)
VIEWER = """
import sys
import gradio as gr
with gr.Blocks(analytics_enabled=False) as page:
    for file in sys.argv[2:]:
        gr.Model3D(file, height=320)
page.launch(server_port=int(sys.argv[1]), quiet=True)
"""


def orange_ball() -> Mesh:
    mesh = ball(0.4, rings=48)
    return replace(mesh, colors=np.tile(np.array(ORANGE, np.uint8), (len(mesh.vertices), 1)))


def orange_animal() -> Mesh:
    """With a texture, as Inflate makes it."""
    subject = shapes.subject(shapes.plain(shapes.animal(), ORANGE))
    made = Inflate()(Request(subject, (View(),), size_px=64), Report())
    assert made.mesh is not None
    return made.mesh


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("viewer"), free_port()
    files = []
    for name, mesh in (("coloured.glb", orange_ball()), ("textured.glb", orange_animal())):
        (folder / name).write_bytes(glb_bytes(mesh))
        files.append(str(folder / name))
    command = [sys.executable, "-c", VIEWER, str(port), *files]
    server = subprocess.Popen(command, cwd=folder, env=clean_environment(), stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert server.poll() is None
            try:
                if httpx.get(url, trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize("which", [0, 1], ids=["coloured", "textured"])
def test_our_models_have_their_colours_there(viewer: str, browser: Browser, which: int) -> None:
    page = browser.new_page(viewport={"width": 700, "height": 800})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(viewer)
    hue, share = seen(page, which)
    red, green, blue = (part / 255 for part in ORANGE)
    assert share > 0.02 and abs(hue - colorsys.rgb_to_hsv(red, green, blue)[0]) < 0.03
    page.close()


def seen(page: Page, which: int) -> tuple[float, float]:
    """The middle hue of what is colourful in the viewer, and its share; waits until there is any."""
    canvas = page.locator("canvas").nth(which)
    canvas.scroll_into_view_if_needed()
    hue = share = 0.0
    for _ in range(100):
        shown = Image.open(io.BytesIO(canvas.screenshot())).convert("HSV")
        pixels = np.asarray(shown, float).reshape(-1, 3) / 255
        colourful = pixels[(pixels[:, 1] > 0.5) & (pixels[:, 2] > 0.3)]
        share = len(colourful) / len(pixels)
        if share > 0.02:
            hue = float(np.median(colourful[:, 0]))
            break
        page.wait_for_timeout(200)
    return hue, share
