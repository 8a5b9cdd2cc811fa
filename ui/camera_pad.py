"""The camera's part of the page: a pad to drag, presets, sliders. All of it lives in the browser; nothing calls us."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.core.cameras import DISTANCE_RANGE, KINDS, PRESETS, View
from pipelines.core.ways import DRAWN
from ui.assets import asset
from ui.events import PRIVATE
from ui.sliders import Slider
from ui.words import T

ONE_VIEW, ORBIT, SPIRAL, SWING = KINDS
FEWEST, MOST, USUAL = 4, 72, 21  # views on a path
FIRST = {"azimuth": 35, "elevation": 10, "distance": 1, "kind": ORBIT, "count": USUAL}

# In the order of the page. The views are those of the command line.
VIEW_PRESETS = ("front", "right", "back", "left", "above", "three-quarter")
PATH_PRESETS = (ORBIT, SPIRAL, SWING)

# What the scripts below take and give, in this order: kind, azimuth, elevation, distance, count, the pad's value.
_ALL = "(kind, azimuth, elevation, distance, count, pad)"
_GIVE = "[value.kind, value.azimuth, value.elevation, value.distance, value.count, value]"
# A way is drawn from where the photo was taken
_START_OVER = "(pad) => ({...pad, way: [], azimuth: 0, elevation: Math.round(pad.photo_elevation), distance: 1})"
_FROM_PAD = "(pad) => [pad.azimuth, pad.elevation, pad.distance]"
# What is typed may lie beyond the ends, until the field corrects it
_TO_PAD = f"""{_ALL} => {{
    const within = (low, value, high) => Math.min(high, Math.max(low, Number(value) || 0));
    count = within({FEWEST}, Math.round(count), {MOST});
    // The other controls are not to be seen then, and stand where they stood
    if (kind === "{DRAWN}") return {{...(pad.way.length ? pad : ({_START_OVER})(pad)), kind, count}};
    return {{
        ...pad,
        kind,
        azimuth: within(-180, azimuth, 180),
        elevation: within(-90, elevation, 90),
        distance: within({DISTANCE_RANGE[0]}, distance, {DISTANCE_RANGE[1]}),
        count,
    }};
}}"""
_SHOWN = f"""(kind) => [
    kind === "{ONE_VIEW}" || kind === "{SWING}", // azimuth
    kind !== "{DRAWN}", // elevation
    kind !== "{DRAWN}", // distance
    kind !== "{ONE_VIEW}", // count
    kind === "{DRAWN}", // starting over
].map((visible) => ({{__type__: "update", visible}}))"""
_PHOTO_ELEVATION = f"""(pad, photo_elevation) => {{
    const value = {{...pad, photo_elevation}};
    return pad.kind === "{DRAWN}" && !pad.way.length ? ({_START_OVER})(value) : value;
}}"""
_PICTURE = "(pad, picture) => ({...pad, picture})"
# The first wall on the page says on its element where its shared camera stands.
_WALLS_VIEW = f"""{_ALL} => {{
    const at = document.querySelector(".turnaround-wall, section.wall")?.dataset ?? {{}};
    const stands = [at.azimuth, at.elevation, at.distance ?? 1].map((text) => Number(Number(text).toFixed(2)));
    const value = stands.every(Number.isFinite)
        ? {{...pad, kind: "{ONE_VIEW}", azimuth: stands[0], elevation: stands[1], distance: stands[2]}}
        : {{...pad, kind, azimuth, elevation, distance, count}};
    return {_GIVE};
}}"""


class CameraPad(gr.HTML):
    """The draggable camera. Its value: azimuth, elevation, distance, kind, count; way, the stops of a drawn path;
    photo_elevation; and picture, the address of the subject's cut-out or None.

    "input" tells that the visitor moves it, "release" that they have.
    """

    def __init__(self, value: dict[str, Any] | None = None, **given: Any) -> None:
        super().__init__(
            {**FIRST, "way": [], "photo_elevation": 0, "picture": None} | (value or {}),
            html_template='<div class="camera-pad"></div>',
            js_on_load=f"""
                import(new URL("{asset("pad.js")}", document.baseURI))
                    .then(({{ mountPad }}) => mountPad(element, props, trigger, watch));
            """,
            apply_default_css=False,
            **given,
        )

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}


@dataclass(frozen=True, eq=False)
class CameraPanel:
    pad: CameraPad
    kind: gr.Radio
    azimuth: Slider
    elevation: Slider
    distance: Slider
    count: Slider
    presets: list[gr.Button]
    match: gr.Button
    chosen: list[Any]
    """The events of the presets and of `match`, once they have set all controls: `.then(generate)` runs them."""

    @property
    def inputs(self) -> list[Any]:
        """What says which cameras are wanted."""
        return [self.kind, self.azimuth, self.elevation, self.distance, self.count, self.pad]

    def match_on(self, event: Any) -> Any:
        """Set one view, the wall's present one, on this event (`wall.view`); `.then(generate)` runs it."""
        return event(None, self.inputs, self.inputs, js=_WALLS_VIEW, **PRIVATE)

    def follow_photo(self, elevation: gr.Slider) -> None:
        """Show the photo's camera at the elevation that this slider says."""
        elevation.change(None, [self.pad, elevation], self.pad, js=_PHOTO_ELEVATION, **PRIVATE)

    def show_picture_of(self, address: gr.Textbox) -> None:
        """Show the cut-out at the address that this says, whenever it changes."""
        address.change(None, [self.pad, address], self.pad, js=_PICTURE, **PRIVATE)


def draw_camera_panel(photo_elevation: float = 0.0, picture: str | None = None) -> CameraPanel:
    pad = CameraPad({"photo_elevation": photo_elevation, "picture": picture})
    with gr.Row():
        presets = [_chip(name) for name in VIEW_PRESETS + PATH_PRESETS]
        match = _chip("match")
    kind = gr.Radio(
        [(T(f"camera.kind.{kind.replace(' ', '_')}"), kind) for kind in (*KINDS, DRAWN)],
        value=FIRST["kind"],
        show_label=False,
        label=T("camera.kind"),
        elem_classes="camera-kind",
    )
    azimuth = _slider(-180, 180, "azimuth", visible=False)
    elevation = _slider(-90, 90, "elevation")
    distance = _slider(*DISTANCE_RANGE, "distance", step=0.05)
    count = _slider(FEWEST, MOST, "count")
    with gr.Row():
        start_over = _chip("start_over", visible=False)
    controls = [kind, azimuth, elevation, distance, count, pad]

    # Only what a visitor does is heard ("input", not "change"), so nothing echoes.
    pad.input(None, pad, [azimuth, elevation, distance], js=_FROM_PAD, **PRIVATE)
    sliders = [azimuth.input, elevation.input, distance.input, count.input, kind.input]
    gr.on(sliders, None, controls, pad, js=_TO_PAD, **PRIVATE)
    start_over.click(None, pad, pad, js=_START_OVER, **PRIVATE)
    kind.change(None, kind, [azimuth, elevation, distance, count, start_over], js=_SHOWN, **PRIVATE)
    chosen = [
        button.click(None, controls, controls, js=_preset(name), **PRIVATE)
        for button, name in zip(presets, VIEW_PRESETS + PATH_PRESETS, strict=True)
    ]
    chosen.append(match.click(None, controls, controls, js=_WALLS_VIEW, **PRIVATE))
    return CameraPanel(pad, kind, azimuth, elevation, distance, count, presets, match, chosen)


def _chip(name: str, visible: bool = True) -> gr.Button:
    return gr.Button(T(f"camera.{name}"), size="sm", min_width=0, visible=visible, elem_classes="camera-preset")


def _slider(low: float, high: float, name: str, step: float = 1, visible: bool = True) -> Slider:
    return Slider(
        low,
        high,
        FIRST[name],
        step=step,
        label=T(f"camera.{name}"),
        buttons=[],
        visible=visible,
        elem_classes="camera-slider",
    )


def _preset(name: str) -> str:
    if name in PATH_PRESETS:
        # Round the object as the photo sees it.
        changes = f"kind: '{name}', azimuth: 0, elevation: Math.round(pad.photo_elevation), distance: 1, count: {USUAL}"
    else:
        view: View = PRESETS[name]
        changes = f"kind: '{ONE_VIEW}', azimuth: {view.azimuth_deg:g}, elevation: {view.elevation_deg:g}, distance: 1"
    return f"{_ALL} => {{ const value = {{...pad, count, {changes}}}; return {_GIVE}; }}"
