"""The temporary folder: what visitors send and what the page shows them, private, bounded in time, swept.

Each server has one of its own, so that several can share a data folder. In it Gradio keeps `<hash>/<name>`, and an
upload still arriving has a place beside those.
"""

import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipelines.runtime.settings import Settings

log = logging.getLogger(__name__)

PREFIX = "turnaround-"
UPLOAD = "photo"  # what every upload is called; what the page itself shows has other names
ARRIVING = "arriving-"
RAW_S = 600.0  # an upload that nobody has asked to read by then: it may carry where it was taken
EMPTY_S = 60.0  # a place may be empty for a moment before its file comes
# A living server touches its own folder every minute, or more often. Whatever we keep for how long, a neighbour that
# was only slow, or held for a while, must not lose the photos it is at work on.
NEIGHBOUR_S = 3600.0
JUMP_S = 60.0  # a clock that moved by more than this against the time that passed was set


def claim_folder(settings: Settings) -> Path:
    """Make this server's folder and name it to Gradio, which reads the variable once imported: call this before.

    Inside GRADIO_TEMP_DIR if that is set, else inside the data folder, else (that is read-only) where the system likes.
    """
    wanted = os.environ.get("GRADIO_TEMP_DIR") or settings.data.absolute() / "tmp"
    try:
        Path(wanted).mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=PREFIX, dir=wanted)  # of mode 0700: others on this machine see no photos
    except OSError as problem:
        log.warning("Uploads cannot be kept in %s (%s); they go to the system's folder", wanted, problem.strerror)
        folder = tempfile.mkdtemp(prefix=PREFIX)
    os.environ["GRADIO_TEMP_DIR"] = folder
    return Path(folder).resolve()


def give_up_folder(folder: Path) -> None:
    """For a server that never came to serve."""
    shutil.rmtree(folder, ignore_errors=True)


def forget_upload(path: Path) -> None:
    """Remove a raw upload, place and all, once its pixels were taken. Other files stay: others may need them."""
    if path.stem != UPLOAD:
        return
    with suppress(OSError):
        path.unlink()
        path.parent.rmdir()


class Sweeper:
    """Removes what was not used for `keep_s`, and what servers left that are no more: at once, then regularly."""

    def __init__(self, folder: Path, keep_s: float) -> None:
        self.folder, self.keep_s = folder, keep_s
        self._lasting: list[Path] = []
        self._closed = threading.Event()
        self._wall, self._passed = time.time(), time.monotonic()

    def start(self) -> None:
        """What is there by now, the page's own examples for instance, stays as long as the page."""
        self._lasting = list(self._files())
        threading.Thread(target=self._run, name="sweeper", daemon=True).start()

    def close(self) -> None:
        """The end of the server: nothing of its visitors stays behind."""
        self._closed.set()
        give_up_folder(self.folder)

    def sweep(self) -> None:
        if self._clock_was_set():  # then ages mean nothing, and everything starts anew
            _touch([self.folder, *self._files()])
            return
        _touch([self.folder, *self._lasting])
        for file in self._files():
            if _age_s(file) > (min(RAW_S, self.keep_s) if file.stem == UPLOAD else self.keep_s):
                with suppress(OSError):
                    file.unlink()
        for place in _entries(self.folder):
            if _age_s(place) > EMPTY_S:
                with suppress(OSError):  # not empty, mostly
                    place.rmdir()
        for other in _entries(self.folder.parent):
            if other.name.startswith(PREFIX) and _age_s(other) > max(self.keep_s, NEIGHBOUR_S):
                shutil.rmtree(other, ignore_errors=True)

    def _run(self) -> None:
        while True:
            try:
                self.sweep()
            except Exception:
                log.exception("The temporary folder could not be swept")
            if self._closed.wait(min(60.0, self.keep_s / 4)):
                return

    def _files(self) -> Iterator[Path]:
        return (file for place in _entries(self.folder) for file in _entries(place))

    def _clock_was_set(self) -> bool:
        wall, passed = time.time(), time.monotonic()
        jump = (wall - self._wall) - (passed - self._passed)
        self._wall, self._passed = wall, passed
        return abs(jump) > JUMP_S


def _age_s(path: Path) -> float:
    """Since it came or was last touched: the later of two times, as each tells one half of that on some system.

    A copy keeps the mtime of its original. The ctime is new then; but on Windows it is the creation's, and a touch
    moves the mtime only.
    """
    try:
        times = path.lstat()
        return time.time() - max(times.st_ctime, times.st_mtime)
    except OSError:
        return 0.0


def _entries(folder: Path) -> list[Path]:
    try:
        return [] if folder.is_symlink() else list(folder.iterdir())
    except OSError:  # not a folder, or gone
        return []


def _touch(paths: list[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            # Windows can only follow, and raises when it is told not to.
            os.utime(path, follow_symlinks=os.utime not in os.supports_follow_symlinks)
