"""The cut-out on its checkerboard: exactly what every method will see, or why there is none yet."""

import html

from pipelines.core.subject import ALPHA, NONE, Subject
from pipelines.runtime.removers import REMOVERS
from ui.background import Step
from ui.markup import picture, problem, text


def cutout(subject: Subject) -> str:
    notes = "".join(f"<li>{text(note)}</li>" for note in subject.made.notes)
    return _frame(picture(subject.rgba, "The cut-out that every method sees", exact=True), _made_by(subject), notes)


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


def _made_by(subject: Subject) -> str:
    used = subject.made.remover
    if used == ALPHA:
        return "Cut out by the photo’s own transparency"
    if used == NONE:
        return "The whole photo, nothing removed"
    return f"Cut out by {REMOVERS[used].title}" if used in REMOVERS else "Cut out"


def _frame(content: str, caption: str = "", notes: str = "") -> str:
    notes = f'<ul class="notes">{notes}</ul>' if notes else ""
    caption = f"<figcaption>{html.escape(caption)}{notes}</figcaption>" if caption or notes else ""
    return f'<figure class="cutout"><div class="board">{content}</div>{caption}</figure>'
