"""What the page's own events have in common: they are nobody else's business, and Gradio shows nothing of them."""

from typing import Any

import gradio as gr
from gradio.components import Component

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
EACH: dict[str, Any] = PRIVATE | {"trigger_mode": "multiple"}  # also what comes while the one before is on its way


def tell_progress_only(component: Component, page: gr.Blocks) -> None:
    """Once all events are bound: of the steps of an event that shows none, this component is told instead of its
    outputs.

    Gradio tells each component that ever was an output of each step of whatever goes on, after searching all of the
    page for it and asking it for its value, which for the mask editor is all its pixels.
    """
    for event in page.fns.values():
        if event.show_progress == "hidden":
            event.show_progress_on = [component]
