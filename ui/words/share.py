"""Taking away, sharing, embedding, the history."""

WORDS: dict[str, tuple[str, str]] = {}
