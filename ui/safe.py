"""No exception of any kind leaves a handler: a person gets a sentence, the log gets the trace, the server lives on."""

import asyncio
import functools
import html
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import gradio as gr

from pipelines.runtime.compare import sentence_of

Handler = TypeVar("Handler", bound=Callable[..., Any])


def safe(handler: Handler) -> Handler:
    """The same handler, plain function or generator, whose only error is `gr.Error` with a sentence.

    A `SystemExit` or `KeyboardInterrupt` that reaches Gradio stops its event loop while the port stays open.
    """
    if inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler):
        raise TypeError("Handlers are plain functions or generators: Gradio runs those outside its event loop")

    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def stream(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with only_sentences():
                yield from handler(*args, **kwargs)

        return stream  # type: ignore[return-value]

    @functools.wraps(handler)
    def call(*args: Any, **kwargs: Any) -> Any:
        with only_sentences():
            return handler(*args, **kwargs)

    return call  # type: ignore[return-value]


@contextmanager
def only_sentences() -> Iterator[None]:
    """Whatever is raised inside leaves as `gr.Error`. A visitor who left is no error."""
    try:
        yield
    except (gr.Error, GeneratorExit, asyncio.CancelledError):
        raise
    except BaseException as error:
        raise refusal(sentence_of(error)) from None


def refusal(sentence: str) -> gr.Error:
    """Gradio shows an error's text as HTML: whatever a visitor put into it must stay text."""
    return gr.Error(html.escape(sentence, quote=False), print_exception=False)
