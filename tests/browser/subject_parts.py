"""What the tests of the subject panel do and read again and again."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page


def shown(page: Page) -> NDArray[np.uint8]:
    """The cut-out's own pixels, [1024, 1024, 4]: shown smaller, and nothing else is lost."""
    source = page.locator("#cutout .board img").evaluate("image => image.src")
    answer = page.request.get(source)
    assert answer.headers["content-type"] == "image/webp" and "immutable" in answer.headers["cache-control"]
    picture = Image.open(io.BytesIO(answer.body())).convert("RGBA")
    assert picture.size == (768, 768)
    return np.asarray(picture.resize((1024, 1024), Image.Resampling.NEAREST))


def after(page: Page, do: Callable[..., Any]) -> NDArray[np.uint8]:
    """The cut-out once it is another one."""
    image = "document.querySelector('#cutout .board img')"
    before = page.evaluate(f"{image}?.src ?? null")
    do()
    page.wait_for_function(f"before => {image} && {image}.src !== before", arg=before)
    return shown(page)


def opened(page: Page) -> Page:
    """With the first example cut out, as it is for whoever opens the page."""
    page.wait_for_selector("#cutout .board img")
    return page


def upload(page: Page, data: bytes) -> None:
    page.get_by_role("button", name="Remove Image").click()
    page.locator("#photo input[type=file]").set_input_files(
        {"name": "ball.png", "mimeType": "image/png", "buffer": data}
    )


def solid(cut: NDArray[np.uint8]) -> float:
    return float((cut[..., 3] > 127).mean())
