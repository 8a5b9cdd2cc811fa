"""What the page's own events have in common: they are nobody else's business, and Gradio shows nothing of them."""

from typing import Any

import gradio as gr

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
EACH: dict[str, Any] = PRIVATE | {"trigger_mode": "multiple"}  # also what comes while the one before is on its way


def tell_progress_only(unseen: gr.State, page: gr.Blocks) -> None:
    """Once all events are bound: the steps of those that show none are told to this, instead of to their outputs.

    Gradio tells each component that ever was an output of each step of whatever goes on, after searching all of the
    page for it and asking it for its value, which for the mask editor is all its pixels. One that is drawn also counts
    the time, in every frame, and goes on for good if it was drawn anew meanwhile; a state is not drawn.
    """
    for event in page.fns.values():
        if event.show_progress == "hidden":
            event.show_progress_on = [unseen]
