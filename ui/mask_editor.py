"""The mask editor: Gradio's own with two fixed brushes, told what to show, and opening nothing in this process.

Its value is never asked for: Gradio 6.31 would upload the photo and the strokes anew, and several times over.
assets/ui/mask.js takes the strokes as they are painted and sends them as an ordinary upload.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.components.base import server
from gradio.components.image_editor import EditorData
from gradio.data_classes import FileData
from gradio.utils import get_upload_folder
from numpy.typing import NDArray
from PIL import Image

from pipelines.core.files import disk_sentences
from pipelines.core.images import Photo
from pipelines.core.mask import ADD, REMOVE, Repair
from ui.assets import asset
from ui.events import PRIVATE

CANVAS_PX = 768  # longest side: twice what a phone shows, and finer than removers see
BRUSH_PX = 28  # of the canvas
DIMMED = 0.3  # how much is left to see of what is cut away
DIM_GREY = 120  # between a light and a dark page


@dataclass(frozen=True, eq=False)
class Canvas:
    """What to paint on, and what was painted on it before; both [H, W, 4] of one size."""

    picture: NDArray[np.uint8]
    strokes: NDArray[np.uint8] | None = None


def canvas(photo: Photo, alpha: NDArray[np.uint8], repair: Repair | None = None) -> Canvas:
    """The photo, dimmed where `alpha` [H, W] cuts it away."""
    height, width = alpha.shape
    scale = min(1.0, CANVAS_PX / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    own = Image.new("RGBA", photo.rgba.shape[1::-1], (DIM_GREY,) * 3 + (255,))  # a photo may itself be see-through
    own.alpha_composite(Image.fromarray(photo.rgba))
    picture = np.asarray(own.convert("RGB").resize(size, Image.Resampling.BOX), np.float32)
    inside = np.asarray(Image.fromarray(alpha).resize(size, Image.Resampling.BOX), np.float32)[..., None] / 255
    grey = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    away = DIMMED * grey[..., None] + (1 - DIMMED) * DIM_GREY
    shown = np.full((size[1], size[0], 4), 255, np.uint8)
    shown[..., :3] = np.rint(inside * picture + (1 - inside) * away)
    return Canvas(shown, None if repair is None else _strokes(repair, size))


def _strokes(repair: Repair, size: tuple[int, int]) -> NDArray[np.uint8]:
    layer = np.zeros((size[1], size[0], 4), np.uint8)
    for painted, colour in ((repair.added, ADD), (repair.removed, REMOVE)):
        share = Image.fromarray(painted.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
        layer[np.asarray(share) >= 128] = (*colour, 255)
    return layer


class MaskEditor(gr.ImageEditor):
    def __init__(self, **look: Any) -> None:
        super().__init__(
            sources=(),
            transforms=(),
            layers=False,
            buttons=[],
            brush=gr.Brush(default_size=BRUSH_PX, colors=[_css(REMOVE), _css(ADD)], color_mode="fixed"),
            eraser=gr.Eraser(default_size=BRUSH_PX),
            canvas_size=(CANVAS_PX, CANVAS_PX),
            interactive=True,
            **look,
        )

    def bind(self) -> None:
        """Inside a `gr.Blocks`: the front end hands its strokes on only while someone listens to `change`."""
        self.change(None, None, None, js="() => {}", **PRIVATE)

    def get_block_name(self) -> str:
        return "imageeditor"  # which part of Gradio's front end draws it

    def get_config(self, cls: Any = None) -> dict[str, Any]:
        return super().get_config(gr.ImageEditor)  # which of its attributes that part is told

    @server
    def accept_blobs(self, data: object) -> None:
        """The front end needs its name. What it would send here, into a store without bounds, mask.js keeps back."""
        raise ValueError("strokes are uploaded")

    def preprocess(self, payload: EditorData | None) -> None:
        raise TypeError("what visitors paint is opened by the intake")

    def postprocess(self, value: Canvas | None) -> EditorData | None:
        if value is None:
            return None
        folder = Path(get_upload_folder()) / secrets.token_hex(32)  # nobody can name another's
        with disk_sentences("The mask editor could not be filled"):
            folder.mkdir(mode=0o700, parents=True)
            picture, strokes = folder / "canvas.webp", folder / "strokes.png"
            Image.fromarray(value.picture).convert("RGB").save(picture, quality=85, method=2)
            if value.strokes is not None:
                Image.fromarray(value.strokes).save(strokes, compress_level=1)
        layers = [FileData(path=str(strokes))] if value.strokes is not None else []
        return EditorData(background=FileData(path=str(picture)), layers=layers)


class Brushes(gr.HTML):
    """What to paint with. Its event `painted` carries `strokes`, an uploaded file object: the layer as it is now."""

    def __init__(self, **look: Any) -> None:
        super().__init__(
            value=None,
            html_template='<div class="brushes"></div>',
            js_on_load=f"""
                // event: "painted"
                import(new URL("{asset("mask.js")}", document.baseURI).href)
                    .then((mask) => mask.mount(element.firstElementChild, {{ trigger, upload }}));
            """,
            apply_default_css=False,
            **look,
        )


def _css(colour: tuple[int, int, int]) -> str:
    return f"rgb({colour[0]}, {colour[1]}, {colour[2]})"
