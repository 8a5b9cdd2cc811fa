"""The line under Generate: what it will cost, or why it cannot be."""

from ui.markup import problem
from ui.phrases import Phrase


def outcome(sentences: list[str]) -> str:
    """What a visitor has to know; nothing when all went well."""
    return "".join(map(problem, sentences))


def said(sentence: Phrase) -> str:
    return f'<p class="said" role="status">{sentence.html}</p>'


def warned(sentence: Phrase) -> str:
    return f'<p class="warned" role="status">{sentence.html}</p>'
