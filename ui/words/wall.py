"""The wall and its tiles."""

WORDS: dict[str, tuple[str, str]] = {}
