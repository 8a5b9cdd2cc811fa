"""The cut-out on its checkerboard: what every method will see, or why there is none yet. And what else was tried."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.core.subject import ALPHA, NONE, Making, Subject
from pipelines.runtime.removers import REMOVERS
from ui.background import Step
from ui.markup import picture, problem, text

THUMBNAIL_PX = 128  # twice what it is shown at
PAD_PX = 192  # the subject as the camera pad draws it


def cutout(subject: Subject) -> str:
    notes = "".join(f"<li>{text(note)}</li>" for note in subject.made.notes)
    return _frame(
        picture(subject.rgba, "The cut-out that every method sees", exact=True), _made_by(subject.made), notes
    )


def at_work(step: Step) -> str:
    bar = f'<progress aria-label="Cutting out" value="{step.fraction:.3f}"></progress>' if step.fraction > 0 else ""
    return _frame(f'<p role="status" class="wait">{text(step.message)} …{bar}</p>')


def nothing(sentence: str = "The cut-out appears here.") -> str:
    return _frame(f'<p class="wait">{text(sentence)}</p>')


def refused(sentence: str, kept: Subject | None = None) -> str:
    """Why there is no new cut-out; the one that still holds, if any, stays in sight."""
    if sentence == "Stopped.":  # asked for, no alarm
        return cutout(kept) if kept else nothing(sentence)
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
        f'<span class="board"><img alt="" src="{one.thumbnail}"></span>{text(short_name(one.used))}</button>'
        for one in all_tried
    )
    return f'<div class="tried" role="group" aria-label="Cut-outs to compare">{items}</div>'


def short_name(used: str) -> str:
    if used == ALPHA:
        return "Photo’s own"
    if used == NONE:
        return "Whole photo"
    return REMOVERS[used].title.split(" (")[0] if used in REMOVERS else used


def data_url(rgba: NDArray[np.uint8], most_px: int) -> str:
    """The picture at no more than this size; averaged where it counts, so that no dark rim shows."""
    small = Image.fromarray(rgba).convert("RGBa")
    small.thumbnail((most_px, most_px), Image.Resampling.BOX)
    file = BytesIO()
    small.convert("RGBA").save(file, "WEBP", quality=82, method=2)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


# --- Inside -----------------------------------------------------------------------------------------------------------


def _made_by(made: Making) -> str:
    if made.remover == ALPHA:
        how = "Cut out by the photo’s own transparency"
    elif made.remover == NONE:
        how = "The whole photo, nothing removed"
    else:
        how = f"Cut out by {short_name(made.remover)}"
    touches = []
    if made.added_px or made.removed_px:
        touches.append("repaired by hand")
    if made.feather:
        touches.append(f"edge softened by {100 * made.feather:g} %")
    return ", ".join([how, *touches])


def _frame(content: str, caption: str = "", notes: str = "") -> str:
    notes = f'<ul class="notes">{notes}</ul>' if notes else ""
    caption = f"<figcaption>{text(caption)}{notes}</figcaption>" if caption or notes else ""
    return f'<figure class="cutout"><div class="board">{content}</div>{caption}</figure>'
