"""Every text of the page, in one table: key -> (English, German). One module for each part of the page.

What handlers put into HTML goes through `ui/phrases.py`. Progress, refusals, notes, and what a method says of itself
come from below this floor, where there is English alone: `ui/words/sentences` has them by their English.
"""

from functools import cache
from importlib import import_module
from typing import Any

import gradio as gr

LANGUAGES = ("en", "de")
_PARTS = ("page", "subject", "camera", "methods", "wall", "share")


@cache
def words() -> dict[str, dict[str, str]]:
    """Language -> key -> text, for the browser and for Gradio."""
    table: dict[str, tuple[str, str]] = {}
    for part in _PARTS:
        table |= import_module(f"ui.words.{part}").WORDS
    return {language: {key: texts[i] for key, texts in table.items()} for i, language in enumerate(LANGUAGES)}


@cache
def i18n() -> gr.I18n:
    """For `launch`: what `T` promises."""
    return gr.I18n(**words())


def T(key: str) -> Any:
    """The text of this key in the visitor's language, as a property of a Gradio component."""
    if key not in words()["en"]:
        raise KeyError(f"ui/words has no {key!r}")
    return i18n()(key)
