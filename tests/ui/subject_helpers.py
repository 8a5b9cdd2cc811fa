"""What the tests of the subject panel share: a studio without methods' needs, uploads, and strokes."""

import io
import secrets
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from gradio.utils import get_upload_folder
from numpy.typing import NDArray
from PIL import Image

from pipelines.core.mask import ADD, REMOVE
from pipelines.runtime.settings import Settings
from tests.toy_methods import Flat
from tests.ui.hostile.server import file_object
from tests.ui.house import BLUE, ORANGE, a_photo
from ui.studio import Studio, open_studio

VISITOR: Any = SimpleNamespace(session_hash="one")
NOBODY = "http://127.0.0.1:9/"  # port 9, "discard": nothing listens


def a_studio(folder: Path) -> Studio:
    return open_studio(Settings(data=folder / "data", rembg_url=NOBODY), (Flat(),))


def a_cut_out() -> bytes:
    """An orange ball of 640 x 480 px that is cut out already, which makes a subject five times as quick."""
    y, x = np.mgrid[:480, :640]
    rgba = np.zeros((480, 640, 4), np.uint8)
    rgba[np.hypot(x - 330, y - 240) < 150] = (*ORANGE, 255)
    rgba[220:260, 300:360, :3] = BLUE
    return _png(rgba)


def an_upload(data: bytes | None = None) -> dict[str, Any]:
    folder = Path(get_upload_folder()) / secrets.token_hex(32)
    folder.mkdir(parents=True)
    (folder / "photo.png").write_bytes(a_photo() if data is None else data)
    return file_object(str(folder / "photo.png"))


def is_gone(upload: dict[str, Any]) -> bool:
    return not Path(upload["path"]).parent.exists()


def strokes(
    removed: tuple[int, int, int, int] | None = None,
    added: tuple[int, int, int, int] | None = None,
    size: tuple[int, int] = (320, 240),
) -> bytes:
    """A layer as the editor sends it, with a box (left, top, right, bottom) of each colour."""
    layer = np.zeros((size[1], size[0], 4), np.uint8)
    for box, colour in ((added, ADD), (removed, REMOVE)):
        if box:
            layer[box[1] : box[3], box[0] : box[2]] = (*colour, 255)
    return _png(layer)


def _png(rgba: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgba).save(file, "PNG")
    return file.getvalue()


def event(**data: Any) -> Any:
    """What a component says with its event."""
    return SimpleNamespace(_data=data)
