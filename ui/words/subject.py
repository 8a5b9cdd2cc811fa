"""The photo, its cut-out, and the mask."""

WORDS: dict[str, tuple[str, str]] = {}
