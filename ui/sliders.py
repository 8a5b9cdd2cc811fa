"""Sliders whose number may be typed: what lies beyond their ends counts as the end, which the field soon shows, too."""

from typing import Any

import gradio as gr


class Slider(gr.Slider):
    def preprocess(self, payload: Any) -> float:
        """While somebody types, the page has already been asked what that would take: no reason to say anything."""
        typed = 0 if payload is None else payload  # as the browser reads an empty field
        return super().preprocess(min(max(typed, self.minimum), self.maximum))
