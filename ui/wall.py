"""The wall: every method's turnaround side by side, one camera for all. It lives in the browser (assets/ui/wall.js)."""

from typing import Any

import gradio as gr

from ui.assets import asset

# What is seen before the script is there: the recorded example's own picture, in the place and size of its tile.
_FIRST = """
<section class="wall">
    <ul class="wall-tiles" data-count="1">
        <li class="tile"><article>
            <div class="tile-head"></div>
            <div class="tile-board"><img class="tile-preview" src="r/example/thumb.webp" alt=""></div>
            <div class="tile-foot"></div>
        </article></li>
    </ul>
</section>
"""


class Wall(gr.HTML):
    """Its value is a wall spec: `<id>[.<key>...]` of each result shown, comma-joined; "" is the recorded example.

    At the start it takes the spec from the page's address (`?r=`, and `az` and `el` for one moment), and keeps the
    address in step from then on. Its events, with what their `gr.EventData` carries:

    - `again` (id, key, seed): make this method's turnaround anew; the seed is a number, or None for the one it had
    - `stop` (id, key): cancel this method of a run
    - `taken` (id): the result's link was copied, so that a run goes on although the page is closed
    - `forget` (id): delete the result
    - `adopt` (id, key): put the settings it was made with into the controls
    - `view` (azimuth_deg, elevation_deg, distance): render this view
    - `busy`, `idle`: a run shown here goes on; none does any more
    """

    def __init__(self, value: str = "", **more: Any) -> None:
        super().__init__(
            value=value,
            html_template=_FIRST,
            js_on_load=f"""
                // events: "again", "stop", "taken", "forget", "adopt", "view", "busy", "idle"
                if (new URLSearchParams(location.search).has("r")) element.querySelector("img").remove();
                import(new URL("{asset("wall.js")}", document.baseURI).href)
                    .then((wall) => wall.mount(element, {{ props, trigger, watch }}));
            """,
            apply_default_css=False,
            **more,
        )
