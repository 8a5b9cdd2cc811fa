"""Progress and cancelling: the one channel between any work and whoever waits for it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import Cancelled

if TYPE_CHECKING:
    from pipelines.runtime.method import Frame
    from pipelines.runtime.residency import Place

Sink = Callable[[float, str, NDArray[np.uint8] | None], None]


class Report:
    """The only channel for progress, and the only way a visitor stops the work.

    Call it at least once a second: it raises `Cancelled` once the visitor has cancelled.
    """

    def __init__(self, sink: Sink | None = None, cancelled: threading.Event | None = None) -> None:
        self._sink = sink
        self.cancelled = cancelled or threading.Event()
        self.stage_seconds: dict[str, float] = {}
        self.place: Place | None = None
        """Where the run's model works, once it has one; said in the manifest."""
        self.finished: list[Frame] = []
        self.fov_deg: float | None = None

    def __call__(self, fraction: float, message: str, preview: NDArray[np.uint8] | None = None) -> None:
        self.check()
        if self._sink:
            self._sink(min(1.0, max(0.0, fraction)), message, preview)

    def check(self) -> None:
        """Only stop if cancelled: for inner loops with nothing new to say."""
        if self.cancelled.is_set():
            raise Cancelled

    def keep(self, frame: "Frame", fov_deg: float | None) -> None:
        """A view that is done, and its lens: should the work be ended from outside, it is not lost with the others."""
        self.finished.append(frame)
        self.fov_deg = fov_deg

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a part of the work; parts of the same name add up. They end in the manifest."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.stage_seconds[name] = self.stage_seconds.get(name, 0.0) + time.perf_counter() - start
