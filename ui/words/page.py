"""The page around the parts: headings, Generate, methods."""

WORDS: dict[str, tuple[str, str]] = {}
