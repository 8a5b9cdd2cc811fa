"""The photo's drop zone: upload, paste, webcam. It hands over a path and decodes nothing."""

from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.core.errors import TurnaroundError


class PhotoInput(gr.Image):
    """`gr.Image` would open the file right here, in the server; a stranger's bytes belong into the intake's child."""

    is_template = True  # drawn by Gradio's own image component

    def preprocess(self, payload: Any) -> str | None:
        return None if payload is None or payload.path is None else str(payload.path)


def uploaded_file(photo: object) -> Path:
    """The file behind an upload, as the page (a path) or the HTTP interface (a file object) names it.

    `guard.py` has already refused every path that is not an upload; this holds it once more, right before reading.
    """
    from ui.guard import is_ours

    path = photo.get("path") if isinstance(photo, dict) else photo
    if not isinstance(path, str) or not path:
        raise TurnaroundError("A photo is missing. Upload one, or choose an example.")
    if not is_ours(path):
        raise TurnaroundError("This file was not uploaded here, or has been cleaned away since. Upload it again.")
    return Path(path)
