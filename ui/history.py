"""The visitor's past results, kept by their own browser: nothing of it is stored on the server."""

from typing import Any

import gradio as gr

from ui.assets import asset


class History(gr.HTML):
    """Its value is `{"open": id}` when one was tapped; set to `{"forgotten": id}` it strikes that one off.

    Events: `open`, and `forget` with the id of a result to delete. The page tells it of new runs by the document's
    events "turnaround:made" (with the wall's spec) and "turnaround:idle".
    """

    def __init__(self, value: Any = None, **more: Any) -> None:
        super().__init__(
            value=value,
            html_template='<div class="turnaround-history"></div>',
            js_on_load=f"""
                // events: "open", "forget"
                import(new URL("{asset("history.js")}", document.baseURI).href)
                    .then((history) => history.mount(element.firstElementChild, {{ props, trigger, watch }}));
            """,
            apply_default_css=False,
            **more,
        )
