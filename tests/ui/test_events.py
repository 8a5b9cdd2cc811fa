"""What the browser is told of the page's own events."""

import gradio as gr

from ui.events import PRIVATE, tell_progress_only


def test_the_steps_of_events_that_show_none_are_told_to_one_that_is_not_drawn_and_those_of_others_as_ever():
    with gr.Blocks() as page:
        unseen, (asked, filled, busy) = gr.State(), (gr.Textbox() for _ in range(3))
        asked.change(lambda text: (text, text), asked, [filled, busy], **PRIVATE)
        filled.change(lambda text: text, filled, busy)
        tell_progress_only(unseen, page)
    ours, other = page.get_config_file().get("dependencies", [])
    assert ours["show_progress_on"] == [unseen._id] and ours["outputs"] == [filled._id, busy._id]
    assert other["show_progress_on"] is None and other["outputs"] == [busy._id]
