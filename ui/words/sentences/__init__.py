"""What comes from below this floor, (English, German): progress, refusals, notes, and what methods say on their cards.

The floors below know no languages: the command line and programs get the same sentences. So the English is the key,
with a `{name}` for whatever is filled in, and `assets/ui/sentences.js` finds which one is meant. What is filled in is
looked up as well: "Waiting for {what}, {time}" with "{count} other runs" in it. A name that begins with `_` may be left
out in other languages: English needs it for plurals. `tests/ui/test_sentences.py` reads the source for what is missing.
"""

from functools import cache
from importlib import import_module

from ui.words import LANGUAGES

_PARTS = ("photos", "cutouts", "runs", "results", "fetching", "machines", "methods", "networks")


@cache
def sentences() -> dict[str, dict[str, str]]:
    """Language -> English -> text, for each language but English."""
    pairs = [pair for part in _PARTS for pair in import_module(f"ui.words.sentences.{part}").SENTENCES]
    return {language: {texts[0]: texts[i] for texts in pairs} for i, language in enumerate(LANGUAGES) if i}
