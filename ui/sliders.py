"""Sliders whose number may be typed: what lies beyond their ends counts as the end, which the field soon shows, too."""

from typing import Any

import gradio as gr


class Slider(gr.Slider):
    def preprocess(self, payload: Any) -> float:
        """While somebody types, the page has already been asked what that would take: no reason to say anything."""
        if payload is None:  # the field is empty
            return self.minimum
        return super().preprocess(min(max(payload, self.minimum), self.maximum))
