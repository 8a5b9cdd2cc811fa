"""The command line's progress bar."""

import sys
import time
from typing import TextIO


class Bar:
    """A progress bar on standard error, where a person is watching; nothing when the output is a file, or where several
    would write over one another."""

    WIDTH = 24

    def __init__(self, name: str, stream: TextIO | None = None, shown: bool = True) -> None:
        self._name, self._stream, self._last = name, stream or sys.stderr, 0.0
        self._shown = shown and self._stream.isatty()

    def show(self, fraction: float, message: str, preview: object = None, remaining_s: float | None = None) -> None:
        if not self._shown or (time.monotonic() - self._last < 0.1 and fraction < 1):
            return
        self._last = time.monotonic()
        done = round(fraction * self.WIDTH)
        left = f", {remaining_s:.0f} s left" if remaining_s else ""
        bar = "█" * done + "·" * (self.WIDTH - done)
        self._stream.write(f"\r\x1b[K{self._name} {bar} {fraction:4.0%}  {message}{left}")
        self._stream.flush()

    def clear(self) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
