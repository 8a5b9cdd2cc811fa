"""The picture of what the photo's elevation means: from the side, the object, the camera, and the angle between."""

from typing import Any

import gradio as gr

from ui.assets import asset
from ui.events import PRIVATE

# 132 units square; the object's centre is (86, 66), where assets/ui/elevation.js turns the camera about. The toy looks
# towards the level camera, to the left.
_SIDE_VIEW = """
<svg class="side-view" viewBox="0 0 132 132" role="img">
  <path class="faint" d="M86 10a56 56 0 0 0 0 112" />
  <path class="faint dashes" d="M22 66h64" />
  <path class="wedge" />
  <path class="ground" d="M52 86.5h72" />
  <g class="toy">
    <path d="M100 55q7 6 7 15q0 15-20 15q-18 0-18-13q0-7 5-11a10 10 0 1 1 12-2q1 3 4 3q6 0 10-7z" />
    <path d="M70 48l-7 3 7 4z" />
    <circle class="eye" cx="76.5" cy="49.5" r="1.7" />
  </g>
  <g class="camera">
    <path class="sight" d="M43 66h41" />
    <rect x="20" y="58.5" width="16" height="15" rx="3" />
    <path d="M36 63.5l6-3.5v12l-6-3.5z" />
    <rect x="24" y="55.5" width="7" height="4" rx="1.5" />
  </g>
  <text x="3" y="124"></text>
</svg>
"""


class ElevationPicture(gr.HTML):
    """Its value is the elevation in degrees. Moving the slider turns the camera in the browser, without the server."""

    def __init__(self, elevation_deg: float, **look: Any) -> None:
        super().__init__(
            value=elevation_deg,
            html_template=_SIDE_VIEW,
            js_on_load=f"""
                import(new URL("{asset("elevation.js")}", document.baseURI).href)
                    .then((picture) => picture.mount(element.querySelector("svg"), {{ props, watch }}));
            """,
            apply_default_css=False,
            **look,
        )

    def follow(self, slider: gr.Slider) -> None:
        slider.change(None, slider, self, js="(degrees) => degrees", **PRIVATE)
