"""The line under Generate: how far a run is, how long it will take, or what came of it."""

from pipelines.runtime.compare import Progressed
from ui.markup import problem, text


def progress(event: Progressed, title: str) -> str:
    waiting = event.fraction <= 0
    left = "" if waiting or event.remaining_s is None else f"{event.fraction:.0%} · {duration(event.remaining_s)} left"
    # A bar without a value tells browsers and screen readers: at work, extent unknown.
    value = "" if waiting else f' value="{event.fraction:.3f}"'
    return _bar(f"<span><strong>{text(title)}</strong> · {text(event.message)}</span>", left, value)


def starting() -> str:
    return _bar("<span>Starting</span>")


def _bar(said: str, left: str = "", value: str = "") -> str:
    return (
        f'<div class="status" role="status"><p>{said}<span class="left">{text(left)}</span></p>'
        f'<progress aria-label="Progress"{value}></progress></div>'
    )


def outcome(sentences: list[str]) -> str:
    """What a visitor has to know after a run; nothing when all went well."""
    return "".join(_asked_for(sentence) or problem(sentence) for sentence in sentences)


def _asked_for(sentence: str) -> str:
    """A stop is what the visitor wanted, no alarm."""
    stop = sentence == "Stopped." or sentence.startswith("Cancelled")
    return f'<p class="problem said" role="status">{text(sentence)}</p>' if stop else ""


def said(sentence: str) -> str:
    return f'<p class="said" role="status">{text(sentence)}</p>'


def duration(seconds: float) -> str:
    """In words, no more exact than it is known."""
    if seconds < 1.5:
        return "about a second"
    if seconds < 90:
        return f"about {seconds:.0f} seconds"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} minutes"
    return f"about {seconds / 3600:.1f} hours"
