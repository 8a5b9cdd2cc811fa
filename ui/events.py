"""What the page's own events have in common: they are nobody else's business, and Gradio shows nothing of them."""

from typing import Any

import gradio as gr

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
EACH: dict[str, Any] = PRIVATE | {"trigger_mode": "multiple"}  # also what comes while the one before is on its way


def keep_no_line_open(page: gr.Blocks) -> None:
    """Gradio would hold a connection open for each tab, to forget an hour after that is closed what it had chosen.

    A browser has six for all tabs together, and each run takes one: with three of them in three tabs nothing was left
    for a cancel. What is remembered of tabs is little, and of 10,000 at most (`launch(state_session_capacity=...)`).
    """
    told = page.get_config_file
    page.get_config_file = lambda: {**told(), "connect_heartbeat": False}  # type: ignore[method-assign, assignment]


def tell_progress_only(unseen: gr.State, page: gr.Blocks) -> None:
    """Once all events are bound: the steps of those that show none are told to this, instead of to their outputs.

    Gradio tells each component that ever was an output of each step of whatever goes on, after searching all of the
    page for it and asking it for its value, which for the mask editor is all its pixels. One that is drawn also counts
    the time, in every frame, and goes on for good if it was drawn anew meanwhile; a state is not drawn.
    """
    for event in page.fns.values():
        if event.show_progress == "hidden":
            event.show_progress_on = [unseen]
