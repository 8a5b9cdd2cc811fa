"""The cut-out on its checkerboard: what every method will see, or why there is none yet. And what else was tried."""

import base64
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from pipelines.core.subject import ALPHA, NONE, Making, Subject
from pipelines.runtime.removers import OUTLINE, REMOVERS
from ui.background import Step
from ui.markup import SENTENCE, problem, text
from ui.phrases import Phrase, phrase

THUMBNAIL_PX = 128  # twice what it is shown at
PAD_PX = 192  # the subject as the camera pad draws it
SHOWN_PX = 768  # on its checkerboard: more than it takes on a sharp screen
GONE = "This cut-out is no longer held here."


def cutout(subject: Subject) -> str:
    notes = "".join(f"<li {SENTENCE}>{text(note)}</li>" for note in subject.made.notes)
    height, width = subject.rgba.shape[:2]
    alt = phrase("cutout.alt").attribute("alt")
    picture = f'<img {alt} width="{width}" height="{height}" src="{_pictures.address(subject)}">'
    said = _made_by(subject.made)
    if subject.depth is None:
        return _frame(picture, said, notes)
    return _frame(picture, phrase("cutout.and", first=said, then=phrase("cutout.depth")), notes, "with-depth")


def at_work(step: Step) -> str:
    named = phrase("cutout.at_work").attribute("aria-label")
    bar = f'<progress {named} value="{step.fraction:.3f}"></progress>' if step.fraction > 0 else ""
    return _frame(f'<p role="status" class="wait"><span {SENTENCE}>{text(step.message)}</span> …{bar}</p>')


def nothing(key: str = "cutout.nothing") -> str:
    return _frame(f'<p class="wait">{phrase(key).html}</p>')


def refused(sentence: str, kept: Subject | None = None) -> str:
    """Why there is no new cut-out; the one that still holds, if any, stays in sight."""
    return problem(sentence) + (cutout(kept) if kept else "")


# --- Comparing removers -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tried:
    """One remover's answer to this photo, as it is now, repaired or not."""

    used: str
    """What did it: "alpha", "none" or a remover's key; never "auto"."""
    prepared_id: str
    photo_sha256: str
    thumbnail: str
    """As a data URL."""


def compared(all_tried: Sequence[Tried], chosen_id: str) -> str:
    """A thumbnail each, to return to with a tap; nothing while there is nothing to compare."""
    if len(all_tried) < 2:
        return ""
    pressed = {True: "true", False: "false"}
    items = "".join(
        f'<button type="button" data-used="{text(one.used)}" aria-pressed="{pressed[one.prepared_id == chosen_id]}">'
        f'<span class="board"><img alt="" src="{one.thumbnail}"></span>{short_name(one.used).html}</button>'
        for one in all_tried
    )
    return f'<div class="tried" role="group" {phrase("cutout.compared").attribute("aria-label")}>{items}</div>'


def short_name(used: str) -> Phrase:
    if used in (ALPHA, NONE, OUTLINE):
        return phrase(f"remover.short.{used}")
    return phrase("remover.named", name=REMOVERS[used].title if used in REMOVERS else used)


def maker(used: str) -> Phrase:
    """As in "cut out by"."""
    return phrase(f"remover.by.{used}") if used in (ALPHA, NONE) else short_name(used)


# --- Pictures ---------------------------------------------------------------------------------------------------------


class _Pictures:
    """Cut-outs as files to be fetched once, from memory: nothing of a visitor's touches the disk for it.

    An address is the only key to one, leads to nothing else of the photo, and lasts as long as the subject is held.
    """

    def __init__(self) -> None:
        self._keys: WeakKeyDictionary[Subject, str] = WeakKeyDictionary()
        self._subjects: WeakValueDictionary[str, Subject] = WeakValueDictionary()
        self._packed: WeakKeyDictionary[Subject, bytes] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def address(self, subject: Subject) -> str:
        """Relative to the page."""
        with self._lock:
            key = self._keys.setdefault(subject, secrets.token_urlsafe(16))
            self._subjects[key] = subject
        return f"cutout/{key}.webp"

    def picture(self, key: str) -> bytes | None:
        with self._lock:
            subject = self._subjects.get(key)
            packed = self._packed.get(subject) if subject else None
        if subject and packed is None:
            packed = _exactly(_small(subject.rgba, SHOWN_PX))
            with self._lock:
                self._packed[subject] = packed
        return packed


_pictures = _Pictures()


def cutout_routes() -> list[BaseRoute]:
    def answer(request: Request) -> Response:
        picture = _pictures.picture(request.path_params["key"])
        if picture is None:
            return PlainTextResponse(GONE, 404, {"Cache-Control": "no-store"})
        kept = {"Cache-Control": "private, max-age=31536000, immutable"}
        return Response(picture, headers=kept, media_type="image/webp")

    return [Route("/cutout/{key}.webp", answer, methods=["GET"])]


def _exactly(picture: Image.Image) -> bytes:
    """Lossless at its quickest, since strokes are seen as they are made: 0.04 s and 240 kB."""
    file = BytesIO()
    picture.save(file, "WEBP", lossless=True, quality=0, method=0)
    return file.getvalue()


def data_url(rgba: NDArray[np.uint8], most_px: int) -> str:
    file = BytesIO()
    _small(rgba, most_px).save(file, "WEBP", quality=82, method=2)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def _small(rgba: NDArray[np.uint8], most_px: int) -> Image.Image:
    """The picture at no more than this size; averaged where it counts, so that no dark rim shows."""
    small = Image.fromarray(rgba).convert("RGBa")
    small.thumbnail((most_px, most_px), Image.Resampling.BOX)
    return small.convert("RGBA")


# --- Inside -----------------------------------------------------------------------------------------------------------


def _made_by(made: Making) -> Phrase:
    if made.remover == NONE:
        said = phrase("cutout.whole")
    elif made.remover == ALPHA:
        said = phrase("cutout.own")
    else:
        said = phrase("cutout.by", remover=short_name(made.remover))
    if made.added_px or made.removed_px:
        said = phrase("cutout.and", first=said, then=phrase("cutout.repaired"))
    if made.feather:
        said = phrase("cutout.and", first=said, then=phrase("cutout.softened", n=f"{100 * made.feather:g}"))
    return said


def _frame(content: str, caption: Phrase | None = None, notes: str = "", kind: str = "") -> str:
    notes = f'<ul class="notes">{notes}</ul>' if notes else ""
    below = f"<figcaption>{caption.html}{notes}</figcaption>" if caption else ""
    return f'<figure class="cutout {kind}"><div class="board">{content}</div>{below}</figure>'
