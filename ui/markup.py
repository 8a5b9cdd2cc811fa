"""The pieces of HTML that several parts of the page share. Every text goes through `text`: shown, never run."""

import html

# Gradio fills `${...}` and `{{...}}` of an HTML component's template; a person's braces are no template.
_BRACES = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;"})


def text(value: object) -> str:
    """As text inside HTML, in an element or in a quoted attribute."""
    return html.escape(str(value)).translate(_BRACES)


SENTENCE = "data-sentence"
"""Marks an element whose text came in English, from below this floor: `assets/ui/phrases.js` looks it up."""


def problem(sentence: str) -> str:
    """What went wrong, where it went wrong; read out by screen readers."""
    return f'<p class="problem" role="alert" {SENTENCE}>{text(sentence)}</p>'
