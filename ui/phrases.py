"""Texts of ui/words inside the HTML that handlers make: in English at first, in the visitor's language in the browser.

A handler does not know the visitor's language. `assets/ui/phrases.js` does, and puts its text in place of ours.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from ui.markup import text
from ui.words import words


@dataclass(frozen=True)
class Phrase:
    """A text of the table with what stands in its `{placeholders}`: numbers, plain text, or other phrases."""

    key: str
    values: dict[str, "Phrase | str | int | float"] = field(default_factory=dict)

    def __str__(self) -> str:
        """In English."""
        return words()["en"][self.key].format(**self.values)

    @property
    def html(self) -> str:
        return f"<span {self._marks}>{text(self)}</span>"

    def attribute(self, name: str) -> str:
        """For an element that says it in an attribute, `alt` for instance; one such attribute an element."""
        return f'{name}="{text(self)}" data-say-in="{name}" {self._marks}'

    @property
    def _marks(self) -> str:
        values = text(json.dumps(self.data["values"], ensure_ascii=False))
        return f'data-say="{self.key}" data-values="{values}"'

    @property
    def data(self) -> dict[str, Any]:
        """As `said` of assets/ui/words.js takes it."""
        values = {name: value.data if isinstance(value, Phrase) else value for name, value in self.values.items()}
        return {"say": self.key, "values": values}


def phrase(key: str, **values: Phrase | str | int | float) -> Phrase:
    return Phrase(key, values)


def duration(seconds: float) -> Phrase:
    """No more exact than it is known."""
    if seconds < 1.5:
        return phrase("time.second")
    if seconds < 90:
        return phrase("time.seconds", n=round(seconds))
    if seconds < 90 * 60:
        return phrase("time.minutes", n=round(seconds / 60))
    return phrase("time.hours", n=round(seconds / 3600, 1))
