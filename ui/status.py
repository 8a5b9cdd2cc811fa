"""The line under Generate: what it will cost, or why it cannot be."""

from ui.phrases import Phrase


def said(sentence: Phrase) -> str:
    return f'<p class="said" role="status">{sentence.html}</p>'


def warned(sentence: Phrase) -> str:
    return f'<p class="warned" role="status">{sentence.html}</p>'
