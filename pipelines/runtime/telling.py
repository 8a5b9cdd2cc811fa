"""Never silent and never going back: what a learned method tells while a network works on one step for long.

On a CPU one step may take a minute. `audible` networks call, before each of their layers, whoever is `listening` in the
same thread; with `Telling.still` as the listener, progress is told once a second and cancelling is heard at once.
Importing this loads no torch.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import NDArray

from pipelines.runtime.report import Report

if TYPE_CHECKING:
    from torch.nn import Module

M = TypeVar("M", bound="Module")

SILENCE_S = 0.9  # the longest, and a layer: longer looks like a fault


class Telling:
    """A run's report, whose progress stays where it is while work is done again with less memory."""

    def __init__(self, report: Report, message: str) -> None:
        self._report, self._share, self._message, self._at = report, 0.0, message, time.monotonic()

    def __call__(self, share: float, message: str, preview: NDArray[Any] | None = None) -> None:
        self._share, self._message, self._at = max(self._share, share), message, time.monotonic()
        self._report(self._share, message, preview)

    def still(self) -> None:
        """What was told last, said again when that is a second ago; raises `Cancelled` like the report."""
        self._report.check()
        if time.monotonic() - self._at >= SILENCE_S:
            self(self._share, self._message)


# Of each thread its own: several runs may use the same network, and only one of them be cancelled.
_listening = threading.local()


def audible(module: M) -> M:
    """The network, once it is loaded: from now on it calls whoever listens before each layer that takes time."""
    from torch import nn

    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            part.register_forward_pre_hook(_call)
    return module


@contextmanager
def listening(call: Callable[[], None]) -> Iterator[None]:
    """Whatever this thread asks of any audible network, `call` is called in between, and may raise."""
    before = getattr(_listening, "call", None)
    _listening.call = call
    try:
        yield
    finally:
        _listening.call = before


def _call(*_: object) -> None:
    if call := getattr(_listening, "call", None):
        call()
