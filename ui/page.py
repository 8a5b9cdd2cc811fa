"""The page, read top to bottom: subject -> camera -> methods -> Generate; beside them the wall, and the history."""

import gradio as gr

from pipelines.runtime.settings import SIZES_PX
from ui.assets import asset
from ui.camera_pad import CameraPanel, draw_camera_panel
from ui.endpoints import add_endpoints
from ui.events import EACH, PRIVATE, keep_no_line_open, tell_progress_only
from ui.history import History
from ui.look import page_look
from ui.method_cards import MethodCards, draw_method_cards
from ui.photos import Photos
from ui.phrases import phrase
from ui.runs import LastPress, Runs
from ui.safe import safe
from ui.sliders import Slider
from ui.studio import Studio
from ui.subject_panel import draw_subject_panel
from ui.wall import Wall
from ui.words import T

__all__ = ["build_page", "page_look"]

# A key of this browser's own, by which it may stop and delete what it made. It is in no link.
VISITOR = """() => {
    const name = 'turnaround-visitor';
    let key;
    try { key = localStorage.getItem(name); } catch {}
    if (!/^[0-9a-f]{32}$/.test(key ?? '')) {
        const drawn = crypto.getRandomValues(new Uint8Array(16));
        key = [...drawn].map((byte) => byte.toString(16).padStart(2, '0')).join('');
        try { localStorage.setItem(name, key); } catch {}
    }
    return key;
}"""
RECONNECT = f'import(new URL("{asset("stream.js")}", document.baseURI).href);'
TRANSLATE = f'import(new URL("{asset("phrases.js")}", document.baseURI).href);'
FOR_EARS = f'import(new URL("{asset("ears.js")}", document.baseURI).href);'
HEAD = f"""<header><h1>Turnaround</h1><a class="skip" href="#generate">{phrase("page.skip").html}</a>
<a class="to-photo" href="#subject">{phrase("page.to_photo").html}</a></header>"""
FIRST_LINKED = "() => (new URLSearchParams(location.search).get('r') ?? '').split(',')[0].split('.')[0]"
# On a phone the wall lies above the controls; on a desktop beside them, and the page stays as it is.
SHOW_WALL = """() => {
    document.getElementById('show').scrollTop = 0;
    const wall = document.getElementById('wall');
    const { top } = wall.getBoundingClientRect();
    if (top < 0 || top > innerHeight / 2) wall.scrollIntoView();
}"""
TELL_HISTORY = "(spec) => { document.dispatchEvent(new CustomEvent('turnaround:made', { detail: spec })); }"
# Two requests that are on their way at once may arrive in either order.
PRESSED = "(_, ...chosen) => [performance.now(), ...chosen]"
TELL_IDLE = "() => { document.dispatchEvent(new CustomEvent('turnaround:idle')); }"


def build_page(studio: Studio) -> gr.Blocks:
    photos = Photos(studio)
    runs = Runs(photos)
    keep_s = max(60, int(studio.settings.temp_hours * 3600))
    with gr.Blocks(title="Turnaround", analytics_enabled=False, delete_cache=(keep_s, keep_s)) as page:
        unseen = gr.State()  # first, since Gradio searches the page for it at each step of an event
        with gr.Row(elem_id="head"):
            gr.HTML(HEAD, min_width=0, js_on_load=RECONNECT + TRANSLATE)
            gr.Markdown(T("page.promise"), elem_id="promise", min_width=0)
        visitor = gr.Textbox(visible="hidden")
        pressed, last_press = gr.Number(visible="hidden"), gr.State(LastPress())
        source = gr.Textbox(visible="hidden")  # the result whose subject is taken over

        with gr.Row(elem_id="columns"):
            with gr.Column(scale=4, min_width=320, elem_id="choices"):
                subject = draw_subject_panel(photos)
                with gr.Column(elem_id="camera"):
                    camera = draw_camera_panel(photo_elevation=subject.photo_elevation.value)
                with gr.Column(elem_id="methods"):
                    gr.Markdown(T("page.methods"), elem_classes="heading")
                    methods = draw_method_cards(studio.methods, studio.machine())
                    beside = gr.Checkbox(False, label=T("page.beside"), info=T("page.beside_info"), container=False)
                    with gr.Accordion(T("page.size_and_seed"), open=False):
                        begin = studio.settings.size_px
                        size = Slider(
                            *SIZES_PX, begin, step=32, label=T("page.size"), info=T("page.size_info"), buttons=[]
                        )
                        seed = gr.Number(0, label=T("page.seed"), info=T("page.seed_info"))
                    gr.HTML(visible="hidden", js_on_load=FOR_EARS)  # once they are there
                with gr.Column(elem_id="go"):
                    go = gr.Button(T("page.generate"), variant="primary", size="lg", elem_id="generate")
                    cancel = gr.Button(T("page.cancel"), variant="stop", size="lg", elem_id="cancel")
                    status = gr.HTML(elem_id="status")
                    price = gr.HTML(elem_id="price")
            with gr.Column(scale=8, min_width=320, elem_id="show"):
                wall = Wall(elem_id="wall")
                history = History(elem_id="history")

        # --- What happens when ---------------------------------------------------------------------------------------

        subject.bind()
        subject.prepared.change(safe(runs.mended), status, status, **PRIVATE)
        camera.follow_photo(subject.photo_elevation)
        camera.show_picture_of(subject.picture)

        page.load(None, None, visitor, js=VISITOR, **PRIVATE)
        arrived = page.load(None, None, source, js=FIRST_LINKED, **PRIVATE)
        subject.adopt(arrived, source)
        _keep_prices(page, runs, camera, methods, size, price, wall)

        run = {
            "fn": safe(runs.generate),
            "inputs": [
                pressed,
                last_press,
                subject.prepared,
                subject.photo_elevation,
                *camera.inputs,
                seed,
                size,
                visitor,
                wall,
                beside,
                price,
                *methods.inputs,
            ],
            "outputs": [wall, status],
            "js": PRESSED,
            **PRIVATE,
        }
        go.click(None, None, None, js=SHOW_WALL, **PRIVATE)
        begun = [go.click(**run)]
        begun += [chosen.then(None, None, None, js=SHOW_WALL, **PRIVATE).then(**run) for chosen in camera.chosen]
        begun.append(camera.match_on(wall.view).then(**run))
        begun.append(wall.again(safe(runs.again), [wall, visitor], [wall, status], **EACH))
        for event in begun:
            event.then(None, wall, None, js=TELL_HISTORY, **PRIVATE)
        wall.idle(None, None, None, js=TELL_IDLE, **PRIVATE)

        cancel.click(safe(runs.stop_all), [wall, visitor], None, **PRIVATE)
        wall.stop(safe(runs.stop), visitor, None, **EACH)
        wall.taken(safe(runs.taken), None, None, **EACH)
        wall.forget(safe(runs.forget), [wall, visitor], [wall, status, history], **EACH)
        history.forget(safe(runs.forget), [wall, visitor], [wall, status, history], **EACH)
        history.open(None, history, wall, js="(value) => value.open", **PRIVATE).then(
            None, None, None, js=SHOW_WALL, **PRIVATE
        )
        controls = [source, *camera.inputs, seed, size, *methods.inputs, status]
        adopted = wall.adopt(safe(runs.adopt), camera.pad, controls, **PRIVATE)
        subject.adopt(adopted, source)

        add_endpoints(photos)
        tell_progress_only(unseen, page)
        keep_no_line_open(page)
    page.queue(max_size=200)
    return page


def _keep_prices(
    page: gr.Blocks, runs: Runs, camera: CameraPanel, methods: MethodCards, size: Slider, price: gr.HTML, wall: Wall
) -> None:
    """The cards say what each method would take with the cameras, size and options chosen now; a run that has ended
    may have fetched something, and tells how long it took.
    """
    asked = [camera.kind, camera.elevation, camera.distance, camera.count, size, *methods.inputs]
    gr.on(
        [
            page.load,
            camera.kind.change,
            camera.count.release,
            size.release,
            *(control.input for control in methods.inputs),  # type: ignore[attr-defined] - every control has it
        ],
        safe(runs.prices),
        asked,
        [*methods.facts, price],
        trigger_mode="always_last",
        **PRIVATE,
    )
    wall.idle(safe(runs.prices), asked, [*methods.facts, price], **PRIVATE)
