"""A server with a page that takes files in every way Gradio knows, trusts all of them, and runs methods that misbehave.

Run as a program: `python -m tests.ui.hostile.page`, with everything set in the environment.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core.cameras import View
from pipelines.core.errors import TurnaroundError
from pipelines.runtime.compare import Progressed
from pipelines.runtime.memory import starting
from pipelines.runtime.method import Method, Request
from pipelines.runtime.settings import read_settings
from tests.runtime.worker_methods import Killed, Learned
from tests.toy_methods import Raises, Slow, SlowOptions, a_subject
from ui.temp import claim_folder

EXITS: dict[str, type[BaseException]] = {
    "SystemExit": SystemExit,
    "KeyboardInterrupt": KeyboardInterrupt,
    "MemoryError": MemoryError,
    "RecursionError": RecursionError,
    "StopIteration": StopIteration,
}
TYPES = ("filepath", "pil", "numpy")
FILE_INPUTS = (
    *(f"{kind}_{type}" for kind in ("image", "gallery", "slider", "editor") for type in TYPES),
    *("file", "files", "model", "video", "annotated", "button", "download", "chat", "text", "audio", "json"),
)


def reveal(value: object) -> str:
    """What the most trusting handler would do: open whatever it is given, and show it."""
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {np.unique(value.reshape(-1, value.shape[-1]), axis=0)[:4].tolist()}"
    if hasattr(value, "convert"):
        return reveal(np.asarray(value.convert("RGB")))  # type: ignore[union-attr] - a picture of Pillow's
    if isinstance(value, (list, tuple)):
        return "list " + " ".join(map(reveal, value))
    if isinstance(value, dict):
        return "dict " + " ".join(f"{key}: {reveal(part)}" for key, part in value.items())
    if isinstance(value, str) and Path(value).is_file():
        return f"file {value} {Path(value).read_bytes()[:300]!r}"
    return f"{type(value).__name__} {value!r}"


def build(studio: Any) -> Any:
    import gradio as gr

    def open_it(value: Any) -> str:
        with (studio.settings.data / "reached").open("a") as log:
            log.write("x")
        return reveal(value)

    def open_two(value: Any, shown: Any) -> str:
        return open_it(value) + open_it(shown)

    def raise_in_handler(name: str) -> str:
        raise EXITS[name]("on purpose")

    def raise_in_stream(name: str) -> Iterator[str]:
        yield "first"
        raise EXITS[name]("on purpose")

    def refuse(text: str) -> str:
        raise TurnaroundError(f"There is no {text}. Try something else.")

    def run(what: str) -> Iterator[str]:
        """A job with a method that raises `what`, is "killed" or "learned", or lasts so many tenths of a second."""
        failing: dict[str, Method] = {name: Raises(kind("on purpose")) for name, kind in EXITS.items()}
        method = (failing | {"killed": Killed(), "learned": Learned()}).get(what) or Slow()
        options = SlowOptions(int(what)) if isinstance(method, Slow) else None
        request = Request(a_subject(), (View(0.0, 0.0),), size_px=64, options=options)
        job = studio.jobs.start(a_subject(), [(method, request)], visitor="one")
        yield f"started {job.id}"
        outcomes = [event for event in job.follow() if event and not isinstance(event, Progressed)]
        told = " ".join(f"{type(event).__name__} {getattr(event, 'sentence', '')}" for event in outcomes)
        yield f"{job.state} {job.id} {told}"

    def component(name: str) -> Any:
        kind, _, type = name.partition("_")
        pictures = {"image": gr.Image, "gallery": gr.Gallery, "slider": gr.ImageSlider, "editor": gr.ImageEditor}
        if kind in pictures:
            return pictures[kind](type=type)
        made = {
            "file": gr.File,
            "files": lambda: gr.File(file_count="multiple"),
            "model": gr.Model3D,
            "video": gr.Video,
            "annotated": gr.AnnotatedImage,
            "button": gr.UploadButton,
            "download": gr.DownloadButton,
            "chat": gr.Chatbot,
            "text": gr.MultimodalTextbox,
            "audio": lambda: gr.Audio(type="filepath"),
            "json": gr.JSON,
        }
        return made[kind]()

    with gr.Blocks() as page:
        out, press = gr.Textbox(), gr.Button()
        for name in FILE_INPUTS:
            made = component(name)
            press.click(open_it, made, out, api_name=name)
            press.click(open_it, made, out, api_name=f"{name}_direct", queue=False)
        picture, shown = gr.Image(type="filepath"), gr.Image(type="filepath")
        press.click(lambda path: path, picture, shown, api_name="show")
        press.click(open_two, [shown, picture], out, api_name="show_again")
        gr.Examples([str(studio.settings.data / "example.png")], picture)
        press.click(
            lambda n, c: f"{n} {c}", [gr.Slider(-180, 180), gr.Dropdown(["one", "two"])], out, api_name="values"
        )
        text = gr.Textbox()
        press.click(raise_in_handler, text, out, api_name="raise_in_handler")
        press.click(raise_in_stream, text, out, api_name="raise_in_stream")
        press.click(lambda n: [[i] * 10 for i in range(int(n))], gr.Number(), gr.JSON(), api_name="much")
        press.click(refuse, text, out, api_name="refuse")
        press.click(run, text, out, api_name="run", concurrency_limit=8)
    return page


def main() -> None:
    starting()
    settings = read_settings()
    settings.data.mkdir(parents=True, exist_ok=True)
    folder = claim_folder(settings)

    from ui.server import Server, serve_until_told
    from ui.studio import open_studio

    studio = open_studio(settings, methods=())
    serve_until_told(Server(build(studio), studio, folder))


if __name__ == "__main__":
    main()
