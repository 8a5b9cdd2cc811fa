"""The page, read top to bottom: subject -> camera -> method -> Generate -> result."""

from typing import Any

import gradio as gr

from pipelines.core.cameras import DEFAULT_FILL
from pipelines.core.subject import FILL_RANGE, NONE
from pipelines.runtime.devices import this_machine
from pipelines.runtime.prepare import AUTO
from pipelines.runtime.removers import OUTLINE, REMOVERS
from ui import cutout, result
from ui.endpoints import add_endpoints
from ui.examples import EXAMPLES
from ui.handlers import (
    EXAMPLE_IDS,
    FIRST_EXAMPLE,
    ONE_VIEW,
    ORBIT,
    Handlers,
    PhotoPanel,
    RunPanel,
    SubjectPanel,
    new_visitor,
)
from ui.look import page_look
from ui.method_cards import draw_method_cards
from ui.safe import safe
from ui.studio import Studio

__all__ = ["build_page", "page_look"]

# Every event but the endpoints is the page's own business.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
# Following a run costs nothing, so any number may; the engine has its own line.
FOLLOW: dict[str, Any] = PRIVATE | {"concurrency_limit": None}
CUT_OUT: dict[str, Any] = PRIVATE | {"concurrency_limit": 4, "concurrency_id": "cut out"}

READ_LINK = "(_, visitor) => [new URLSearchParams(window.location.search).get('r') ?? '', visitor]"
# On a phone the result lies below the controls; on a desktop beside them, and nothing moves.
SHOW_RESULT = """() => {
    const result = document.getElementById('result');
    if (result.getBoundingClientRect().top > window.innerHeight / 2) result.scrollIntoView();
}"""
WRITE_LINK = """(id) => {
    const page = new URL(window.location.href);
    if (id) page.searchParams.set('r', id); else page.searchParams.delete('r');
    if (page.href !== window.location.href) window.history.replaceState(window.history.state, '', page);
    if (window.parent !== window) window.parent.postMessage({ queryString: page.search, hash: page.hash }, '*');
}"""


def build_page(studio: Studio) -> gr.Blocks:
    handlers = Handlers(studio)
    keep_s = max(60, int(studio.settings.temp_hours * 3600))
    with gr.Blocks(title="Turnaround", analytics_enabled=False, delete_cache=(keep_s, keep_s)) as page:
        gr.HTML("<header><h1>Turnaround</h1><p>One photo in; the object from every side out.</p></header>")
        prepared = gr.State(FIRST_EXAMPLE)
        visitor = gr.BrowserState("", storage_key="turnaround-visitor", secret="turnaround")
        run_id = gr.Textbox(visible="hidden", elem_id="run-id")

        with gr.Row(elem_id="columns"):
            with gr.Column(scale=4, min_width=320, elem_id="choices"):
                with gr.Column(elem_id="subject"):
                    gr.HTML("<h2>Subject</h2>")
                    with gr.Row(elem_id="pictures"):
                        photo = gr.Image(
                            str(EXAMPLES[0].path) if EXAMPLES else None,
                            label="Photo",
                            type="filepath",
                            sources=["upload", "clipboard", "webcam"],
                            buttons=[],
                            elem_id="photo",
                            placeholder="Drop a photo here\nor tap to choose",
                            alt_text="The photo",
                        )
                        with gr.Column(min_width=0):
                            cut = gr.HTML(cutout.nothing(), elem_id="cutout")
                            stop = gr.Button("Stop", size="sm", visible=False)
                            offer = gr.Button("Use the one that needs no download", size="sm", visible=False)
                    with gr.Row(elem_id="examples"):
                        taps = [
                            gr.Button(example.title, icon=example.path, size="sm", min_width=0) for example in EXAMPLES
                        ]
                    remover = gr.Dropdown(
                        _remover_choices(),
                        value=AUTO,
                        label="Background remover",
                        info="Automatic keeps a photo's own transparency, and else finds the outline.",
                        filterable=False,
                    )
                    photo_elevation = gr.Slider(
                        -90,
                        90,
                        EXAMPLES[0].elevation_deg if EXAMPLES else 0,
                        step=1,
                        label="The photo's elevation (°)",
                        info="How high the camera stood: 0 is level with the object, 90 straight above.",
                        buttons=[],
                    )
                    with gr.Accordion("More", open=False):
                        fill = gr.Slider(
                            *FILL_RANGE,
                            DEFAULT_FILL,
                            step=0.01,
                            label="Share of the frame",
                            info="How much of the picture the object's longest side takes.",
                            buttons=[],
                        )

                with gr.Column(elem_id="camera"):
                    gr.HTML("<h2>Camera</h2>")
                    camera = gr.Radio([ORBIT, ONE_VIEW], value=ORBIT, show_label=False, label="What to render")
                    azimuth = gr.Slider(
                        -180,
                        180,
                        35,
                        step=1,
                        label="Azimuth (°)",
                        info="0 is the photo's side, positive goes to the camera's right, 180 is the back.",
                        buttons=[],
                        visible=False,
                    )
                    elevation = gr.Slider(
                        -90,
                        90,
                        10,
                        step=1,
                        label="Elevation (°)",
                        info="0 is level, positive looks down from above.",
                        buttons=[],
                    )
                    count = gr.Slider(
                        4, 72, 21, step=1, label="Views", info="Evenly all round, beginning at the photo.", buttons=[]
                    )

                with gr.Column(elem_id="method"):
                    gr.HTML("<h2>Method</h2>")
                    methods = draw_method_cards(studio.methods, this_machine(studio.settings.data))
                    with gr.Accordion("Size and seed", open=False):
                        size = gr.Slider(
                            128, 1024, 576, step=32, label="Size (px)", info="Side of the square views.", buttons=[]
                        )
                        seed = gr.Number(0, label="Seed", info="The same seed gives the same result.")

                with gr.Column(elem_id="go"):
                    go = gr.Button("Generate", variant="primary", size="lg", elem_id="generate")
                    cancel = gr.Button("Cancel", variant="stop", size="lg", elem_id="cancel", visible=False)
                    price = gr.HTML(elem_id="price")

            with gr.Column(scale=7, min_width=320, elem_id="result"):
                status = gr.HTML(elem_id="status")
                shown = gr.Radio([], label="Method", show_label=False, visible=False)
                with gr.Row(elem_id="stages"):
                    stage = gr.HTML(result.EMPTY, elem_id="stage", min_width=280)
                    model = gr.Model3D(
                        label="3D model",
                        show_label=False,
                        interactive=False,
                        visible="hidden",  # an absent viewer that comes stays empty
                        elem_id="model",
                        camera_position=(90, 80, None),
                        height="auto",
                        min_width=280,
                    )
                sheet = gr.HTML(elem_id="sheet")

        # --- What happens when ---------------------------------------------------------------------------------------

        unprepared = gr.State("")
        photo_panel = list(PhotoPanel(photo, photo_elevation, cut, prepared, stop, offer, unprepared))  # type: ignore
        subject_panel = list(SubjectPanel(cut, prepared, stop, offer))
        wish, new_wish = [prepared, remover, fill], [unprepared, remover, fill]
        # "change" is all that the webcam tells; it also tells of what we put there ourselves. `preprocess` would open
        # the file right here, in the server: a stranger's bytes belong into the intake's child.
        photo.change(
            safe(handlers.take_photo),
            [photo, prepared],
            photo_panel,
            preprocess=False,
            trigger_mode="multiple",
            **CUT_OUT,
        ).then(safe(handlers.prepare_again), new_wish, subject_panel, **CUT_OUT)
        photo.clear(safe(handlers.clear_photo), None, subject_panel, **PRIVATE)
        for example_id, tap in zip(EXAMPLE_IDS, taps, strict=True):
            tap.click(safe(handlers.tapped(example_id)), None, photo_panel, **CUT_OUT).then(
                safe(handlers.prepare_again), new_wish, subject_panel, **CUT_OUT
            )
        remover.input(safe(handlers.prepare_again), wish, subject_panel, **CUT_OUT)
        fill.release(safe(handlers.prepare_again), wish, subject_panel, **CUT_OUT)
        stop.click(safe(handlers.stop_preparing), None, None, **PRIVATE)
        offer.click(safe(offered_remover), None, remover, **PRIVATE).then(
            safe(handlers.prepare_again), wish, subject_panel, **CUT_OUT
        )

        cost_of = [camera, elevation, count, size, *methods.inputs]
        camera.input(safe(camera_controls), camera, [azimuth, count], **PRIVATE)
        gr.on(
            [page.load, camera.input, count.release, size.release, *(switch.input for switch in methods.inputs)],  # type: ignore[attr-defined] - every control has it
            safe(handlers.price),
            cost_of,
            price,
            **PRIVATE,
        )

        go.click(None, None, None, js=SHOW_RESULT, **PRIVATE)
        run_panel = list(RunPanel(go, cancel, status, run_id, shown, stage, sheet, model))
        cameras = [camera, azimuth, elevation, count]
        go.click(
            safe(handlers.generate),
            [prepared, photo_elevation, *cameras, seed, size, visitor, run_id, *methods.inputs],
            run_panel,
            **FOLLOW,
        ).then(safe(handlers.show_model), [run_id, shown], model, **PRIVATE)
        cancel.click(safe(handlers.cancel), [run_id, visitor], cancel, **FOLLOW)
        shown.input(safe(handlers.show_method), [run_id, shown], run_panel, **PRIVATE).then(
            safe(handlers.show_model), [run_id, shown], model, **PRIVATE
        )
        arrived = page.load(safe(arriving), [run_id, visitor], [run_id, visitor], js=READ_LINK, **PRIVATE)
        arrived.then(safe(handlers.first_subject), [run_id, prepared], photo_panel, **CUT_OUT).then(
            safe(handlers.prepare_again), new_wish, subject_panel, **CUT_OUT
        )
        arrived.then(safe(handlers.arrive), run_id, run_panel, **FOLLOW).then(
            safe(handlers.show_model), [run_id, shown], model, **PRIVATE
        )
        run_id.change(None, run_id, None, js=WRITE_LINK, **PRIVATE)

        gr.set_static_paths(studio.settings.results)  # for the 3D viewer and the endpoints: no copies of results
        add_endpoints(handlers)
    page.queue(max_size=200)
    return page


def camera_controls(camera: str) -> tuple[Any, Any]:
    return gr.Slider(visible=camera == ONE_VIEW), gr.Slider(visible=camera == ORBIT)


def offered_remover() -> str:
    return OUTLINE


def arriving(link: str, visitor: str) -> tuple[str, str]:
    return link, new_visitor(visitor)


def _remover_choices() -> list[tuple[str, str]]:
    models = [
        (f"{r.title} · {r.model.size_bytes / 1e6:.0f} MB, fetched once · {r.licence}", r.key)
        for r in REMOVERS.values()
        if r.model
    ]
    own = [(r.title, r.key) for r in REMOVERS.values() if not r.model]
    return [("Automatic (nothing to download)", AUTO), *own, *models, ("None: take the whole photo", NONE)]
