"""Models drawn in the browser look as our own renderer draws them, and trouble is told in words."""

import base64
import gzip
import io
import json
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from pipelines.core.cameras import View, path, photo_distance
from pipelines.core.mesh import Mesh, glb_bytes
from pipelines.core.raster import Renderer
from pipelines.inflate import Inflate
from pipelines.runtime.method import Report, Request
from pipelines.runtime.results import write_turnaround
from pipelines.runtime.shown import depth_picture, depth_range, normals_picture
from tests.browser.conftest import PATIENCE_MS
from tests.core.shapes import ball
from tests.inflate import shapes
from tests.runtime.job_helpers import wait_until
from tests.ui.hostile.server import free_port
from tools import build_three
from ui.assets import asset, asset_routes
from ui.look import ASSETS

pytestmark = pytest.mark.browser

SIZE_PX = 288
VIEWS = (View(0, 0), View(35, 20), View(90, 10, 1.3), View(180, -30), View(-120, 60, 0.8), View(20, 90))
DRAW = """async ([script, name, view, look, size]) => {
    const { openMesh } = await import(new URL(script, document.baseURI));
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = size;
    const model = await openMesh(name);
    model.draw(canvas.getContext("2d"), view, look);
    model.dispose();
    return canvas.toDataURL();
}"""


def striped(mesh: Mesh) -> Mesh:
    """Coloured at its vertices: red to its right, dark below."""
    colors = np.clip((mesh.vertices + 0.5) * 255, 0, 255).astype(np.uint8)
    return replace(mesh, colors=colors)


MESHES: dict[str, Mesh] = {
    "grey.glb": ball(0.4, (0.1, -0.1, 0), rings=64),
    "coloured.glb": striped(ball(0.4, (0.1, -0.1, 0), rings=64)),
}


def elsewhere(glb: bytes) -> bytes:
    """The same model, but its texture is to be fetched from somebody."""
    length = struct.unpack_from("<I", glb, 12)[0]
    tree = json.loads(glb[20 : 20 + length])
    tree["images"] = [{"uri": "texture-elsewhere.png"}]
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text + glb[20 + length :]
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


class Room:
    """Serves our scripts and some models, and keeps the pictures a method has made."""

    def __init__(self, folder: Path) -> None:
        subject = shapes.subject(shapes.painted(shapes.animal()))
        request = Request(subject, VIEWS, size_px=SIZE_PX)
        written = write_turnaround(folder, Inflate()(request, Report()), request, Inflate.card)
        self.frames = [np.asarray(Image.open(folder / frame.file)) for frame in written.manifest.frames]
        self.files = {name: glb_bytes(mesh) for name, mesh in MESHES.items()}
        self.files["inflated.glb"] = (folder / "model.glb").read_bytes()
        self.files["damaged.glb"] = self.files["grey.glb"][:500]
        self.files["elsewhere.glb"] = elsewhere(self.files["inflated.glb"])
        self.asked: list[str] = []
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        routes = [*asset_routes(), Route("/", self._page), Route("/{name:path}", self._file)]
        self._server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=port, log_level="warning"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> "Room":
        self._thread.start()
        wait_until(lambda: self._server.started)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)

    def _page(self, _request: Any) -> Response:
        return HTMLResponse("<!doctype html><link rel=icon href='data:,'><title>models</title>")

    def _file(self, request: Any) -> Response:
        name = request.path_params["name"]
        self.asked.append(name)
        return Response(self.files[name]) if name in self.files else Response("There is no such file.", 404)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with Room(tmp_path_factory.mktemp("models")) as room:
        yield room


@pytest.fixture(scope="module")
def page(browser: Browser, room: Room) -> Iterator[Page]:
    """One for all: a shader takes a while to be made without a GPU."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(room.url)
    yield page
    page.close()


def picture(url: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGBA"))


def as_json(view: View) -> dict[str, float]:
    return {"azimuth_deg": view.azimuth_deg, "elevation_deg": view.elevation_deg, "distance": view.distance}


def drawn(
    page: Page, name: str, view: View, size: tuple[int, int] = (SIZE_PX, SIZE_PX), **look: Any
) -> NDArray[np.uint8]:
    return picture(page.evaluate(DRAW, [asset("mesh.js"), name, as_json(view), look, size]))


def alike(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> tuple[float, float]:
    """IoU of the silhouettes, and the mean difference of the colours (0 to 255) where both are solid."""
    here, there = ours[..., 3] > 127, theirs[..., 3] > 127
    solid = (ours[..., 3] == 255) & (theirs[..., 3] == 255)
    difference = np.abs(ours[..., :3].astype(float) - theirs[..., :3])[solid].mean()
    return float((here & there).sum() / (here | there).sum()), float(difference)


def refusal(page: Page, name: str) -> str:
    script = DRAW.replace("canvas.toDataURL()", "'drawn'")
    tried = f"async (given) => {{ try {{ return await ({script})(given) }} catch (p) {{ return p.message }} }}"
    return page.evaluate(tried, [asset("mesh.js"), name, as_json(VIEWS[0]), {}, [8, 8]])


@pytest.mark.parametrize("number", range(len(VIEWS)))
def test_a_model_looks_as_the_pictures_of_the_same_result(page: Page, room: Room, number: int):
    iou, difference = alike(drawn(page, "inflated.glb", VIEWS[number]), room.frames[number])
    assert iou > 0.98
    assert difference < 3


def test_right_is_right(page: Page, room: Room):
    mirrored, _ = alike(drawn(page, "inflated.glb", VIEWS[0])[:, ::-1], room.frames[0])
    assert mirrored < 0.8  # or the test above could not tell


@pytest.mark.parametrize(("name", "light"), [("grey.glb", "soft"), ("coloured.glb", "unlit")])
def test_models_without_colours_stand_in_one_soft_light_and_colours_are_shown_as_they_are(
    page: Page, name: str, light: Any
):
    renderer = Renderer(MESHES[name], light=light)
    for fill, view in ((0.8, VIEWS[0]), (0.8, VIEWS[1]), (0.5, VIEWS[2])):
        expected = renderer.render(view, photo_distance(fill), SIZE_PX).rgba
        iou, difference = alike(drawn(page, name, view, fill=fill), expected)
        assert iou > 0.98
        assert difference < 2


def test_depth_and_normals_look_as_in_the_pictures_of_the_wall(page: Page):
    mesh = MESHES["coloured.glb"]
    orbit = Renderer(mesh).render_many(path("orbit", 21, View(0, 10)), photo_distance(0.8), SIZE_PX)
    bounds = depth_range([image.depth for image in orbit])
    for view in VIEWS[:2]:
        image = Renderer(mesh).render(view, photo_distance(0.8), SIZE_PX)
        iou, difference = alike(drawn(page, "coloured.glb", view, mode="normals"), normals_picture(image.normals, view))
        assert iou > 0.98 and difference < 2
        iou, difference = alike(drawn(page, "coloured.glb", view, mode="depth"), depth_picture(image.depth, bounds))
        assert iou > 0.98 and difference < 6  # the range is measured on small pictures


def test_the_square_frame_lies_in_the_middle_of_any_canvas(page: Page):
    square = drawn(page, "grey.glb", VIEWS[1])
    for width, height in ((SIZE_PX, 2 * SIZE_PX), (2 * SIZE_PX, SIZE_PX)):
        wide = drawn(page, "grey.glb", VIEWS[1], (width, height))
        top, left = (height - SIZE_PX) // 2, (width - SIZE_PX) // 2
        iou, difference = alike(wide[top : top + SIZE_PX, left : left + SIZE_PX], square)
        assert iou > 0.99 and difference < 1


def test_a_model_that_is_gone_damaged_or_points_elsewhere_is_refused_in_words(page: Page, room: Room):
    assert "no longer there" in refusal(page, "missing.glb")
    assert "could not be read" in refusal(page, "damaged.glb")
    assert "did not arrive" in refusal(page, "http://127.0.0.1:9/model.glb")
    refusal(page, "elsewhere.glb")
    assert "texture-elsewhere.png" not in " ".join(room.asked)
    assert alike(drawn(page, "grey.glb", VIEWS[0]), drawn(page, "grey.glb", VIEWS[0]))[0] == 1  # and others are drawn


def test_after_a_lost_context_the_same_is_drawn_again(page: Page):
    before, heard, lost, after = page.evaluate(
        """async ([script, gl, view]) => {
            const { openMesh, onContext } = await import(new URL(script, document.baseURI));
            const { openGl } = await import(new URL(gl, document.baseURI));
            const canvas = Object.assign(document.createElement("canvas"), { width: 96, height: 96 });
            const context = canvas.getContext("2d");
            const model = await openMesh("coloured.glb");
            const draw = () => [model.draw(context, view), canvas.toDataURL()];
            const before = draw();
            const extension = (await openGl()).renderer.getContext().getExtension("WEBGL_lose_context");
            const heard = [];
            const next = () => new Promise((done) => {
                const stop = onContext((lost) => { heard.push(lost); stop(); done(); });
            });
            let told = next();
            extension.loseContext();
            await told;
            await new Promise((done) => setTimeout(done)); // only now can the context come back
            const lost = draw();
            told = next();
            extension.restoreContext();
            await told;
            return [before, heard, lost, draw()];
        }""",
        [asset("mesh.js"), asset("gl.js"), as_json(VIEWS[0])],
    )
    assert heard == [True, False]
    assert before[0] and after[0] and not lost[0]
    assert lost[1] == before[1]  # the canvas keeps its picture
    assert alike(picture(after[1]), picture(before[1])) == (1.0, 0.0)


def test_six_tiles_share_one_context(page: Page):
    """A browser gives about sixteen, and takes the oldest away when more are asked for."""
    made = page.evaluate(
        """async ([script, view]) => {
            let made = 0;
            const own = HTMLCanvasElement.prototype.getContext;
            HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
                if (kind.startsWith("webgl")) made += 1;
                return own.call(this, kind, ...more);
            };
            const { openMesh } = await import(new URL(script, document.baseURI));
            for (let i = 0; i < 6; i++) {
                const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 64 });
                (await openMesh("coloured.glb")).draw(canvas.getContext("2d"), view);
            }
            HTMLCanvasElement.prototype.getContext = own;
            return made;
        }""",
        [asset("mesh.js"), as_json(VIEWS[0])],
    )
    assert made <= 1  # none, if an earlier test has made the page's one


def test_three_js_is_the_pinned_one_and_small():
    bundle = (ASSETS / "three.js").read_bytes()
    assert bundle.decode().startswith(build_three.BANNER)
    assert len(bundle) < 700_000 and len(gzip.compress(bundle, 6)) < 190_000
    assert "MIT" in build_three.LICENCE.read_text()
