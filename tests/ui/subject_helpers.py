"""What the tests of the subject panel share: a studio, uploads, strokes, and a visitor who does things with it."""

import io
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder
from numpy.typing import NDArray
from PIL import Image

from pipelines.core.mask import ADD, REMOVE
from pipelines.runtime.prepare import AUTO
from pipelines.runtime.settings import Settings
from pipelines.runtime.shelf import Prepared
from tests.toy_methods import Flat
from tests.ui.hostile.server import file_object
from tests.ui.house import BLUE, ORANGE, a_photo
from ui.own_depth import Brought, OwnDepth
from ui.photos import FIRST_EXAMPLE
from ui.studio import Studio, open_studio
from ui.subject_events import PhotoPanel, SubjectEvents, SubjectPanel

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


def a_depth(size: tuple[int, int] = (320, 240)) -> bytes:
    """In sixteen bits, farther to the right."""
    levels = np.tile(np.linspace(20_000, 30_000, size[0]).astype(np.uint16), (size[1], 1))
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    return file.getvalue()


def _png(rgba: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgba).save(file, "PNG")
    return file.getvalue()


def event(**data: Any) -> Any:
    """What a component says with its event."""
    return SimpleNamespace(_data=data)


class Page:
    """One visitor's panel: what it shows, and what they do with it."""

    def __init__(self, events: SubjectEvents, visitor: Any = VISITOR) -> None:
        self.events, self.visitor, self.own_depth = events, visitor, OwnDepth(events)
        self.prepared, self.remover, self.fill, self.feather, self.tried = "", AUTO, 80, 0, ()
        self.depth_said, self.brought = "", list[Brought]()
        self.shown, self.compared, self.picture, self.unprepared = "", "", "", []

    def upload(self, data: bytes = a_cut_out()) -> PhotoPanel:
        return self._see_photo(self.events.take_photo(an_upload(data), self.prepared))

    def tap(self, example: str = FIRST_EXAMPLE) -> PhotoPanel:
        return self._see_photo(self.events.tapped(example)())

    def adopt(self, result_id: str) -> PhotoPanel:
        return self._see_photo(self.events.adopt(result_id, self.prepared))

    def wish(self, **changes: Any) -> SubjectPanel:
        """The remover or a slider is moved."""
        self.__dict__.update(changes)
        return self._see_all(self._prepare_again(self.prepared))

    def back_to(self, used: str) -> SubjectPanel:
        given = self.prepared, self.fill, self.feather, self.tried, self.visitor
        return self._see_all(self.events.return_to(*given, event(used=used)))

    def paint(self, **boxes: Any) -> SubjectPanel:
        upload = an_upload(strokes(**boxes))
        seen = self.events.paint(self.prepared, self.tried, self.visitor, event(strokes=upload))
        assert is_gone(upload)
        return self._see(seen)

    def bring_depth(self, data: bytes) -> SubjectPanel:
        self.read_depth(data)
        return self.frame_with_depth()

    def read_depth(self, data: bytes) -> None:
        upload = an_upload(data)
        self.brought = self.own_depth.take(upload, self.prepared)
        assert is_gone(upload)

    def take_depth_away(self) -> SubjectPanel:
        self.brought = self.own_depth.drop(self.prepared)
        return self.frame_with_depth()

    def frame_with_depth(self) -> SubjectPanel:
        seen = SubjectPanel()
        for said, *panel in self.own_depth.frame_with(self.brought, self.prepared, *self._wish, self.visitor):
            self.depth_said, seen = said, self._see(SubjectPanel(*panel))
        return seen

    def start_over(self) -> SubjectPanel:
        return self._see(self.events.start_over(self.prepared, self.tried, self.visitor))

    @property
    def entry(self) -> Prepared:
        return self.events.photos.entry(self.prepared)

    @property
    def subject(self) -> Any:
        subject = self.entry.subject
        assert subject is not None
        return subject

    @property
    def problem(self) -> str:
        return " ".join(re.findall(r'class="problem[^"]*"[^>]*>([^<]*)<', self.shown))

    def _prepare_again(self, prepared_id: str) -> Iterator[SubjectPanel]:
        return self.events.prepare_again(prepared_id, *self._wish, self.visitor)

    @property
    def _wish(self) -> tuple[str, Any, Any, Any]:
        return self.remover, self.fill, self.feather, self.tried

    def _see_photo(self, seen: PhotoPanel) -> PhotoPanel:
        for name in ("prepared", "remover", "fill", "feather"):
            self._take(name, getattr(seen, name))
        self._take("shown", seen.cutout)
        self._take("unprepared", seen.unprepared)
        self._see_all(self.events.prepare_next(self.unprepared, *self._wish, self.visitor))
        return seen

    def _see_all(self, panels: Iterator[SubjectPanel]) -> SubjectPanel:
        seen = SubjectPanel()
        for seen in panels:
            self._see(seen)
        return seen

    def _see(self, seen: SubjectPanel) -> SubjectPanel:
        for name in ("prepared", "remover", "tried", "compared", "picture"):
            self._take(name, getattr(seen, name))
        self._take("shown", seen.cutout)
        return seen

    def _take(self, name: str, value: Any) -> None:
        if value != gr.skip():
            setattr(self, name, value)
