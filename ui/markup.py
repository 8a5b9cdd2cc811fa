"""The pieces of HTML that several parts of the page share. Every text goes through `text`: shown, never run."""

import base64
import html
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Gradio fills `${...}` and `{{...}}` of an HTML component's template; a person's braces are no template.
_BRACES = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;"})


def text(value: object) -> str:
    """As text inside HTML, in an element or in a quoted attribute."""
    return html.escape(str(value)).translate(_BRACES)


def picture(rgba: NDArray[np.uint8], alt: str, *, exact: bool = False) -> str:
    """An `<img>` that carries its pixels [H, W, 4]: nothing of a visitor's touches the disk for it."""
    height, width = rgba.shape[:2]
    return (
        f'<img alt="{text(alt)}" width="{width}" height="{height}" '
        f'src="data:image/webp;base64,{base64.b64encode(_webp(rgba, exact)).decode()}">'
    )


def problem(sentence: str) -> str:
    """What went wrong, where it went wrong; read out by screen readers."""
    return f'<p class="problem" role="alert">{text(sentence)}</p>'


def _webp(rgba: NDArray[np.uint8], exact: bool) -> bytes:
    buffer = BytesIO()
    # Lossless at its quickest: 0.1 s for 1024 px; PNG takes twice as long and is twice as large.
    settings = {"lossless": True, "quality": 0, "method": 0} if exact else {"quality": 80, "method": 0}
    Image.fromarray(rgba).save(buffer, "WEBP", **settings)
    return buffer.getvalue()
