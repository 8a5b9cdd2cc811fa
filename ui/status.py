"""The line under Generate: what it will cost, or why it cannot be; and durations in words."""

from ui.markup import problem, text


def outcome(sentences: list[str]) -> str:
    """What a visitor has to know; nothing when all went well."""
    return "".join(map(problem, sentences))


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
