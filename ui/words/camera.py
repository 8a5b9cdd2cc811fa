"""The draggable camera, its sliders and presets."""

WORDS: dict[str, tuple[str, str]] = {}
