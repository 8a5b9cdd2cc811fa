"""The subject panel: the photo, its cut-out and the removers compared, the photo's elevation, and the mask's repair."""

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
from gradio.components import Component

from pipelines.core.cameras import DEFAULT_FILL
from pipelines.core.mask import FEATHER_RANGE
from pipelines.core.subject import FILL_RANGE, NONE
from pipelines.runtime.prepare import AUTO
from pipelines.runtime.removers import OUTLINE, REMOVERS
from ui import cutout
from ui.assets import asset
from ui.elevation import ElevationPicture
from ui.events import EACH, PRIVATE
from ui.examples import EXAMPLES
from ui.mask_editor import Brushes, MaskEditor
from ui.own_depth import READING, OwnDepth
from ui.photos import EXAMPLE_IDS, FIRST_EXAMPLE, Photos
from ui.safe import safe
from ui.sliders import Slider
from ui.subject_events import PhotoPanel, SubjectEvents, SubjectPanel, offered_remover
from ui.words import T

# Every event is the page's own business. Those that cut out share a line of their own.
CUT_OUT: dict[str, Any] = PRIVATE | {"concurrency_limit": 4, "concurrency_id": "cut out"}
EACH_CUT_OUT: dict[str, Any] = CUT_OUT | EACH


@dataclass(frozen=True)
class SubjectParts:
    """What is drawn, and how it is bound. The rest of the page needs the first four."""

    prepared: gr.Textbox
    """Hidden: the id under which `Photos` holds the subject; "" without one. Its `change` tells of every other cut-out.

    It lives in the page like all else that the page shows: what a server keeps for a page starts anew with the server,
    and would be another photo than the one that is seen.
    """
    photo_elevation: Slider
    picture: gr.Textbox
    """Hidden: the cut-out as a small data URL for the camera pad, "" without one. Bind its `change` in the browser."""
    events: SubjectEvents

    photo: gr.Image
    cutout: "HoldsBack"
    stop: gr.Button
    offer: gr.Button
    taps: tuple[gr.Button, ...]
    compared: gr.HTML
    tried: gr.State
    remover: gr.Dropdown
    elevation_picture: ElevationPicture
    fold: gr.Accordion
    editor: MaskEditor
    brushes: Brushes
    start_over: gr.Button
    feather: Slider
    fill: Slider
    depth: gr.UploadButton
    depth_away: gr.Button
    depth_said: "HoldsBack"
    brought: gr.State
    unprepared: gr.State
    unfolded: gr.Checkbox
    stale: gr.Checkbox

    @property
    def photo_panel(self) -> list[Any]:
        return [getattr(self, name) for name in PhotoPanel._fields]

    @property
    def subject_panel(self) -> list[Any]:
        return [getattr(self, name) for name in SubjectPanel._fields]

    def bind(self) -> None:
        """Once all of the page is drawn."""
        events, edges = self.events, [self.fill, self.feather, self.tried]
        wish = [self.prepared, self.remover, *edges]
        # "change" is all that the webcam tells; it also tells of what we put there ourselves. `preprocess` would open
        # the file right here, in the server: a stranger's bytes belong into the intake's child.
        self._cut_out(
            self.photo.change(
                safe(events.take_photo),
                [self.photo, self.prepared],
                self.photo_panel,
                preprocess=False,
                **EACH_CUT_OUT,
            )
        )
        self.cutout.too_large(safe(events.refuse_large), self.prepared, self.cutout, **PRIVATE)
        self._show_mask(self.photo.clear(safe(events.clear_photo), None, self.subject_panel, **PRIVATE))
        for example_id, tap in zip(EXAMPLE_IDS, self.taps, strict=True):
            self._cut_out(tap.click(safe(events.tapped(example_id)), None, self.photo_panel, **CUT_OUT))

        again = {"fn": safe(events.prepare_again), "inputs": wish, "outputs": self.subject_panel, **EACH_CUT_OUT}
        self._show_mask(self.remover.input(**again))
        self.offer.click(safe(offered_remover), None, self.remover, **PRIVATE).then(**again)
        for slider in (self.fill, self.feather):
            slider.release(**again)
        self.stop.click(safe(events.stop_preparing), None, None, **PRIVATE)
        self._show_mask(
            self.compared.choose(safe(events.return_to), [self.prepared, *edges], self.subject_panel, **EACH_CUT_OUT)
        )

        self.editor.bind()
        mask = [self.editor, self.stale, self.unfolded]
        self.fold.expand(safe(events.unfold), [self.prepared, self.stale], mask, **EACH)
        self.fold.collapse(None, None, self.unfolded, js="() => false", **PRIVATE)
        self.brushes.painted(safe(events.paint), [self.prepared, self.tried], self.subject_panel, **EACH_CUT_OUT)
        self._show_mask(
            self.start_over.click(safe(events.start_over), [self.prepared, self.tried], self.subject_panel, **CUT_OUT)
        )
        self._bind_depth(wish)
        self.elevation_picture.follow(self.photo_elevation)

    def _bind_depth(self, wish: list[Component]) -> None:
        own = OwnDepth(self.events)
        self.depth.upload(None, None, self.depth_said, js=f"() => {json.dumps(READING)}", **PRIVATE)
        taken = self.depth.upload(
            safe(own.take),
            [self.depth, self.prepared],
            self.brought,
            preprocess=False,
            **EACH_CUT_OUT,
        )
        for event in (taken, self.depth_away.click(safe(own.drop), self.prepared, self.brought, **CUT_OUT)):
            seen = [self.depth_said, *self.subject_panel]
            self._show_mask(event.then(safe(own.frame_with), [self.brought, *wish], seen, **EACH_CUT_OUT))
        self.depth_said.too_large(safe(own.refuse_large), None, self.depth_said, **PRIVATE)
        for over in (self.prepared.change, taken.failure):  # a toast says why it failed
            over(None, None, self.depth_said, js="() => ''", **PRIVATE)

    def adopt(self, event: Any, result_id: Component) -> None:
        """After this event (`page.load(...)`, `button.click(...)`), take over the subject of the result of this id.

        Without such a result the photo on the page is cut out, if it was not yet.
        """
        self._cut_out(event.then(safe(self.events.adopt), [result_id, self.prepared], self.photo_panel, **CUT_OUT))

    def _cut_out(self, event: Any) -> None:
        wish = [self.unprepared, self.remover, self.fill, self.feather, self.tried]
        self._show_mask(event.then(safe(self.events.prepare_next), wish, self.subject_panel, **EACH_CUT_OUT))

    def _show_mask(self, event: Any) -> None:
        shown = [self.editor, self.stale]
        event.then(safe(self.events.show_mask), [self.prepared, self.unfolded], shown, **EACH)


class HoldsBack(gr.HTML):
    """Its event `too_large` tells of a file that was held back in its row, unsent."""

    def __init__(self, value: str = "", *, max_mb: float, **look: Any) -> None:
        super().__init__(
            value,
            js_on_load=f"""
                // event: "too_large"
                import(new URL("{asset("hold.js")}", document.baseURI).href)
                    .then((hold) => hold.mount(element, {{ trigger, mostBytes: {int(max_mb * 1e6)} }}));
            """,
            **look,
        )


class Compared(gr.HTML):
    """The removers tried, as `ui.cutout.compared` draws them. Its event `choose` carries which was tapped: `used`."""

    def __init__(self, **look: Any) -> None:
        super().__init__(
            "",
            js_on_load=f"""
                import(new URL("{asset("mask.js")}", document.baseURI).href); // before the editor is opened
                element.addEventListener("click", (click) => {{
                    const tapped = click.target.closest("button[data-used]");
                    if (tapped) trigger("choose", {{ used: tapped.dataset.used }});
                }});
            """,
            apply_default_css=False,
            **look,
        )


def draw_subject_panel(photos: Photos) -> SubjectParts:
    """Inside a `gr.Blocks`, where the panel is to stand."""
    events, max_mb = SubjectEvents(photos), photos.studio.settings.max_upload_mb
    elevation_deg = EXAMPLES[0].elevation_deg if EXAMPLES else 0
    with gr.Column(elem_id="subject"):
        gr.Markdown(T("subject.title"), elem_classes="heading")
        with gr.Row(elem_id="pictures"):
            photo = gr.Image(
                str(EXAMPLES[0].path) if EXAMPLES else None,
                label=T("subject.photo"),
                type="filepath",
                sources=["upload", "clipboard", "webcam"],
                buttons=[],
                elem_id="photo",
                placeholder=T("subject.drop"),
                alt_text=T("subject.photo_alt"),
            )
            with gr.Column(min_width=0):
                cut = HoldsBack(cutout.nothing(), max_mb=max_mb, elem_id="cutout")
                stop = gr.Button(T("subject.stop"), size="sm", visible=False)
                offer = gr.Button(T("subject.offer"), size="sm", visible=False)
        with gr.Row(elem_id="examples"), TemporaryDirectory() as folder:  # Gradio keeps copies
            icons = [one.small(Path(folder)) for one in EXAMPLES]
            looks = zip(EXAMPLES, icons, strict=True)
            taps = tuple(gr.Button(one.label, icon=icon, size="sm", min_width=0) for one, icon in looks)
        remover = gr.Dropdown(
            _remover_choices(),
            value=AUTO,
            label=T("subject.remover"),
            info=T("subject.remover_info"),
            filterable=False,
            elem_id="remover",
        )
        compared = Compared(elem_id="compared")
        with gr.Row(elem_id="elevation"):
            elevation_picture = ElevationPicture(elevation_deg, min_width=0)
            photo_elevation = Slider(
                -90,
                90,
                elevation_deg,
                step=1,
                label=T("subject.elevation"),
                info=T("subject.elevation_info"),
                buttons=[],
                min_width=0,
                elem_id="photo-elevation",
            )
        with gr.Accordion(T("subject.fold"), open=False, elem_id="repair") as fold:
            editor = MaskEditor(label=T("subject.mask"), show_label=False, elem_id="mask", height=360)
            brushes = Brushes(elem_id="brushes")
            start_over = gr.Button(T("subject.start_over"), size="sm", elem_id="start-over")
            feather = Slider(
                100 * FEATHER_RANGE[0],
                100 * FEATHER_RANGE[1],
                0,
                step=0.1,
                label=T("subject.feather"),
                info=T("subject.feather_info"),
                buttons=[],
            )
            fill = Slider(
                round(100 * FILL_RANGE[0]),
                round(100 * FILL_RANGE[1]),
                round(100 * DEFAULT_FILL),
                step=1,
                label=T("subject.fill"),
                info=T("subject.fill_info"),
                buttons=[],
            )
            gr.Markdown(T("subject.depth_info"), elem_id="depth-info")
            with gr.Row():
                depth = gr.UploadButton(T("subject.depth"), size="sm", file_types=[".png", ".npy"], elem_id="depth")
                depth_away = gr.Button(T("subject.depth_away"), size="sm", elem_id="depth-away")
                depth_said = HoldsBack(max_mb=max_mb, elem_id="depth-said", apply_default_css=False)
        picture = gr.Textbox("", visible="hidden", elem_id="subject-picture")
        prepared = gr.Textbox(FIRST_EXAMPLE, visible="hidden", elem_id="subject-prepared")
        unfolded, stale = gr.Checkbox(False, visible="hidden"), gr.Checkbox(True, visible="hidden")
    return SubjectParts(
        prepared=prepared,
        photo_elevation=photo_elevation,
        picture=picture,
        events=events,
        photo=photo,
        cutout=cut,
        stop=stop,
        offer=offer,
        taps=taps,
        compared=compared,
        tried=gr.State(()),
        remover=remover,
        elevation_picture=elevation_picture,
        fold=fold,
        editor=editor,
        brushes=brushes,
        start_over=start_over,
        feather=feather,
        fill=fill,
        depth=depth,
        depth_away=depth_away,
        depth_said=depth_said,
        brought=gr.State([]),
        unprepared=gr.State([]),
        unfolded=unfolded,
        stale=stale,
    )


def _remover_choices() -> list[tuple[Any, str]]:
    own = [(T(f"remover.{key}"), key) for key in (AUTO, OUTLINE)]
    models = [
        (f"{r.title} · {r.model.size_bytes / 1e6:.0f} MB · {r.licence}", r.key) for r in REMOVERS.values() if r.model
    ]
    return [*own, *models, (T("remover.none"), NONE)]
