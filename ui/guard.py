"""The guard: a handler is only ever given files that were uploaded to this app, or that this app made or ships.

Gradio 6.31 proves that only for some components, and trusts what a request says of a file. Here it is held for all of
them, before anything else looks at the values. Once `test_stock_gradio_still_needs_the_guard` fails, this can go.
"""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder, is_static_file

from ui.safe import only_sentences, refusal

log = logging.getLogger(__name__)

MAX_DEPTH = 32  # the deepest honest value, an image editor's, has 4 levels
MAX_VALUES = 20_000  # an honest request has some dozens; Gradio walks every value several times
_FOLDER = re.compile(r"[0-9a-f]{32,128}")  # a content hash of Gradio's, or a random name of ours (ui/temp.py)
_FOREIGN = re.compile(r"\s*([a-z][a-z0-9+.-]+:|//|\\\\)", re.IGNORECASE)  # two letters at least: C: is a Windows disk

NOT_OURS = "This file was not uploaded here, or has been cleaned away since. Upload it again."
NO_ADDRESSES = "Addresses and embedded files are not accepted. Upload the photo as a file instead."
TOO_COMPLEX = "This request is too large or too deeply nested. Send one photo and plain values."
BAD_VALUES = (
    "Some of these values are missing or of the wrong kind. The API page at the foot of the app lists what fits."
)


def shield(page: gr.Blocks) -> gr.Blocks:
    """Every event of the page passes the guard, and no exception of any kind leaves it but `gr.Error`."""
    process, preprocess, postprocess = page.process_api, page.preprocess_data, page.postprocess_data

    async def shielded(*args: Any, **kwargs: Any) -> dict[str, Any]:
        with only_sentences():
            check_files(getattr(kwargs.get("event_data"), "_data", None))
            return await process(*args, **kwargs)

    async def guarded(block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> list[Any]:
        check_files(inputs)
        try:
            return await preprocess(block_fn, inputs, *args, **kwargs)
        except gr.Error as error:
            raise refusal(str(error.message)) from None
        except Exception as problem:
            log.info("Values refused: %s", type(problem).__name__)
            raise refusal(BAD_VALUES) from None

    async def noted(*args: Any, **kwargs: Any) -> list[Any]:
        outputs = await postprocess(*args, **kwargs)
        for part in _dictionaries(outputs, max_values=None):
            if isinstance(path := part.get("path"), str):
                is_ours(path)  # shown now, so its time in the temporary folder starts anew
        return outputs

    page.process_api, page.preprocess_data, page.postprocess_data = shielded, guarded, noted  # type: ignore
    return page


def shield_tools(page: gr.Blocks) -> None:
    """What agents ask for passes the guard, too: before Gradio's own client, on this machine, opens what is named."""
    if not page.mcp_server_obj:
        return
    prepare = page.mcp_server_obj._prepare_tool_call_args

    def guarded(name: str, arguments: dict[str, Any]) -> Any:
        check_files(arguments)
        for part in _dictionaries(arguments):
            part.pop("meta", None)  # by which that client would know a file and upload it again
        return prepare(name, arguments)

    page.mcp_server_obj._prepare_tool_call_args = guarded  # type: ignore


def check_files(value: Any) -> None:
    """Refuse every file in a request's values that is not ours, and correct what the request says of the others.

    A dictionary with a "path" is a file, whatever else it says of itself.
    """
    for part in _dictionaries(value):
        if part.get("path") is not None:
            _check_file(part)
        elif _is_foreign(part.get("url")):
            raise refusal(NO_ADDRESSES)


def _dictionaries(value: Any, max_values: int | None = MAX_VALUES) -> Iterator[dict[str, Any]]:
    seen, pending = 0, [(value, 0)]
    while pending:
        part, depth = pending.pop()
        seen += 1
        if max_values and (depth > MAX_DEPTH or seen > max_values):
            raise refusal(TOO_COMPLEX)
        if isinstance(part, dict):
            yield part
            pending.extend((inner, depth + 1) for inner in part.values())
        elif isinstance(part, (list, tuple)):
            pending.extend((inner, depth + 1) for inner in part)


def _check_file(file: dict[str, Any]) -> None:
    path = file["path"]
    if not isinstance(path, str) or _is_foreign(path):
        raise refusal(NO_ADDRESSES)
    if not is_ours(path):
        raise refusal(NOT_OURS)
    # Gradio decides by these whether and how to decode; the address it writes anew from the path.
    for key, truth in (("url", None), ("orig_name", Path(path).name), ("is_stream", False)):
        if key in file:
            file[key] = truth


def is_ours(path: str) -> bool:
    """Whether it leads, all links followed, to a file `<upload folder>/<hash>/<name>`, or to one the page publishes."""
    try:
        real = Path(path).resolve(strict=True)
        uploads = Path(get_upload_folder()).resolve()
    except (OSError, RuntimeError, ValueError):  # absent, unreadable, a loop of links, not a path at all
        return False
    if not real.is_relative_to(uploads):
        return real.is_file() and is_static_file(str(real))
    inside = real.relative_to(uploads).parts
    if len(inside) != 2 or not _FOLDER.fullmatch(inside[0]) or not real.is_file():
        return False
    with suppress(OSError):
        os.utime(real)  # still in use: its time in the temporary folder starts anew
    return True


def _is_foreign(address: object) -> bool:
    return isinstance(address, str) and bool(_FOREIGN.match(address))
