"""The subject panel alone behind the real server: `python -m tests.browser.subject_house`."""

from pipelines.runtime.memory import starting
from pipelines.runtime.settings import read_settings


def main() -> None:
    starting()
    settings = read_settings()
    from ui.temp import claim_folder

    folder = claim_folder(settings)
    import gradio as gr

    from ui.events import PRIVATE, tell_progress_only
    from ui.files import result_routes
    from ui.look import page_look
    from ui.photos import Photos
    from ui.server import Server, serve_until_told
    from ui.studio import open_studio
    from ui.subject_panel import draw_subject_panel

    studio = open_studio(settings, ())
    with gr.Blocks() as page:
        unseen, link = gr.State(), gr.Textbox("", visible="hidden")
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=4, min_width=320, elem_id="choices"):
                parts = draw_subject_panel(Photos(studio))
                gr.Button("Ready", elem_id="generate")
            with gr.Column(scale=8, min_width=320):
                told = gr.Textbox(label="Told", elem_id="told")
        parts.bind()
        parts.adopt(page.load(None, None, link, js="() => ''", **PRIVATE), link)
        parts.prepared.change(lambda id: id, parts.prepared, told, **PRIVATE)
        tell_progress_only(unseen, page)
    serve_until_told(Server(page, studio, folder, result_routes(studio)), **page_look())


if __name__ == "__main__":
    main()
