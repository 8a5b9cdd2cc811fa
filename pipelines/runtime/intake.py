"""Where strangers' bytes are decoded: in a child process that may crash, hang or run out of memory without harm.

The parent sends the bytes of a photo or of a depth; the child (this file, run as a module) answers with a small JSON
header and raw pixels. What comes back is no more trusted than what went in: sizes are checked, nothing is unpickled,
and the hash is the parent's own. The child gets neither the parent's secrets (an environment of a few names) nor its
main module.
"""

import contextlib
import json
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core import depth_map
from pipelines.core.depth_map import DepthMap, decode_depth
from pipelines.core.errors import TurnaroundError
from pipelines.core.images import DEFAULT_LIMITS, TOO_COMPLEX, USE_SMALLER, Limits, Photo, check_bytes, decode_pixels

CPU_S = 10  # of processor time for one photo; a 48-megapixel HEIC takes about 2
WALL_S = 25  # the same on a busy machine, or a child that hangs without using the processor
START_S = 60  # importing the decoders, from a cold disk
PING_S = 5
BYTES_PER_PIXEL = 22  # of memory, per pixel accepted: 1.1 GB for 50 megapixels; WebP takes 0.8, the others less
DECODER_THREADS = 2  # each thread reserves address space, which is what the memory limit counts

_HOUSE = Path(__file__).resolve().parents[2]
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "SYSTEMROOT")
_MAX_HEADER_BYTES = 16_384
_SIZE = struct.Struct("<Q")
PHOTO, DEPTH = b"p", b"d"  # what a request begins with
_STOPPED = "The photo could not be read because the server is stopping. Try again in a minute."
_NOT_STARTED = "The photo could not be read because the reader of photos did not start. Try again in a minute."


class Intake:
    """Reads photos in child processes kept warm; safe to call from any number of threads, which queue.

    Nothing is started before `warm`, `alive` or the first `read`.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS, workers: int = 1) -> None:
        self.limits = limits
        self._readers = [_Reader(limits) for _ in range(workers)]
        self._idle: queue.LifoQueue[_Reader] = queue.LifoQueue()
        for reader in self._readers:
            self._idle.put(reader)

    def read(self, source: bytes | Path) -> Photo:
        """The photo, or a `TurnaroundError`: why it is refused, and what to do."""
        return self._decoded(PHOTO, source)

    def read_depth(self, source: bytes | Path) -> DepthMap:
        """Likewise a depth."""
        return self._decoded(DEPTH, source)

    def _decoded(self, what: bytes, source: bytes | Path) -> Any:
        data = _bytes_of(source, self.limits, what)
        reader = self._idle.get()
        try:
            return reader.decode(what, data)
        finally:
            self._idle.put(reader)

    def warm(self) -> None:
        """Start the children; they import their decoders while the caller goes on."""
        for reader in self._readers:
            with contextlib.suppress(TurnaroundError):  # the first photo will say so
                reader.start()

    def alive(self) -> bool:
        """Whether every child answers (it is started if need be), or is at work, which its time limit bounds."""
        idle: list[_Reader] = []
        with contextlib.suppress(queue.Empty):
            while True:
                idle.append(self._idle.get_nowait())
        try:
            answered = [reader.answers() for reader in idle]  # all are asked: each that hangs is replaced
            return all(answered)
        finally:
            for reader in idle:
                self._idle.put(reader)

    def close(self) -> None:
        for reader in self._readers:
            reader.close()

    def __enter__(self) -> "Intake":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


def _bytes_of(source: bytes | Path, limits: Limits, what: bytes) -> bytes:
    remedy = USE_SMALLER if what == PHOTO else depth_map.USE_SMALLER
    if isinstance(source, Path):
        try:
            if not source.is_file():  # a pipe or device would block, or never end
                raise TurnaroundError("The file is not there, or is not a plain file. Choose it again.")
            check_bytes(source.stat().st_size, limits, remedy)
            with source.open("rb") as file:
                source = file.read(limits.max_bytes + 1)  # it may have grown meanwhile
        except OSError as problem:
            reason = problem.strerror or "the system gave no reason"
            raise TurnaroundError(f"The file could not be opened ({reason}). Choose it again.") from problem
    check_bytes(len(source), limits, remedy)
    return source


class _Reader:
    """One child and the pipes to it. Used by one thread at a time, except `close`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._closed = False
        self._starting = threading.Lock()

    def start(self) -> None:
        with self._starting:
            if self._closed:
                raise TurnaroundError(_STOPPED)
            if self._process and self._process.poll() is None:
                return
            self._stop()
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", __spec__.name, json.dumps(asdict(self._limits)), str(os.getpid())],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    start_new_session=True,  # Ctrl-C in a terminal is for the parent, which ends the child itself
                    cwd=_HOUSE,
                    env=_child_environment(os.environ),
                )
            except OSError as problem:
                raise TurnaroundError(_NOT_STARTED) from problem

    def close(self) -> None:
        with self._starting:
            self._closed = True
            self._stop()

    def answers(self) -> bool:
        try:
            self._await_ready()
            return self._exchange(b"", PING_S) == ({"pong": True}, b"")
        except TurnaroundError:
            return False

    def decode(self, what: bytes, data: bytes) -> Photo | DepthMap:
        self._await_ready()
        lost = TOO_COMPLEX if what == PHOTO else depth_map.DAMAGED
        header, pixels = self._exchange(what + data, WALL_S, lost)
        try:
            if "error" in header:
                refusal = TurnaroundError(_plain(header["error"]))
            else:
                width, height = _checked_size(header["size"], self._limits.working_side_px)
                notes = tuple(_plain(note) for note in header["notes"][:8])
                if what == DEPTH:
                    return _checked_depth(np.frombuffer(pixels, np.float32).reshape(height, width), notes)
                original = _checked_size(header["original"], self._limits.max_pixels)
                return Photo.of(np.frombuffer(pixels, np.uint8).reshape(height, width, 4), original, notes)
        except (KeyError, TypeError, ValueError) as problem:  # it is not ours any more
            self._restart()
            raise TurnaroundError(lost) from problem
        raise refusal

    def _await_ready(self) -> None:
        self.start()
        if not self._ready:
            if self._exchange(None, START_S, lost=_NOT_STARTED)[0] != {"ready": True}:
                self._restart()
                raise TurnaroundError(_NOT_STARTED)
            self._ready = True

    def _exchange(self, request: bytes | None, seconds: float, lost: str = TOO_COMPLEX) -> tuple[dict[str, Any], bytes]:
        """Send a request (`None`: nothing) and await the answer; a child that breaks down is replaced at once."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise TurnaroundError(_STOPPED)
        overdue = threading.Timer(seconds, process.kill)
        overdue.daemon = True
        overdue.start()
        try:
            if request is not None:
                process.stdin.write(_SIZE.pack(len(request)))
                process.stdin.write(request)
                process.stdin.flush()
            return _receive(process.stdout, 4 * self._limits.working_side_px**2)
        except (OSError, EOFError, ValueError, RecursionError) as problem:  # the pipe broke, or brought no answer
            self._restart()
            raise TurnaroundError(_STOPPED if self._closed else lost) from problem
        finally:
            overdue.cancel()

    def _restart(self) -> None:
        with self._starting:
            self._stop()
        with contextlib.suppress(TurnaroundError):
            self.start()

    def _stop(self) -> None:
        process, self._process, self._ready = self._process, None, False
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close() if pipe else None


def _receive(pipe: IO[bytes], max_pixel_bytes: int) -> tuple[dict[str, Any], bytes]:
    header_bytes = _read_exactly(pipe, _size_below(pipe, _MAX_HEADER_BYTES))
    pixels = _read_exactly(pipe, _size_below(pipe, max_pixel_bytes))
    header = json.loads(header_bytes)
    if not isinstance(header, dict):
        raise ValueError("the header is no object")
    return header, pixels


def _size_below(pipe: IO[bytes], most: int) -> int:
    size = _SIZE.unpack(_read_exactly(pipe, _SIZE.size))[0]
    if size > most:
        raise ValueError(f"{size} bytes announced, at most {most} expected")
    return size


def _read_exactly(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if len(data) != count:
        raise EOFError(f"the other side closed after {len(data)} of {count} bytes")
    return data


def _send(pipe: IO[bytes], header: Mapping[str, object], pixels: memoryview | bytes = b"") -> None:
    text = json.dumps(header).encode()
    pipe.write(_SIZE.pack(len(text)) + text + _SIZE.pack(len(pixels)))
    pipe.write(pixels)
    pipe.flush()


def _checked_size(value: object, most: int) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2 or not all(type(n) is int and 0 < n <= most for n in value):
        raise ValueError("no size")
    return value[0], value[1]


def _checked_depth(values: NDArray[np.float32], notes: tuple[str, ...]) -> DepthMap:
    if not (np.isfinite(values).all() and values.min() >= 0 and values.any()):
        raise ValueError("no depth of ours")
    return DepthMap(values, notes)


def _plain(text: object) -> str:
    """A sentence as ours are: what a taken-over child may write must not reach a page as markup."""
    if not isinstance(text, str) or len(text) > 500 or not text.isprintable() or any(mark in text for mark in "<>&"):
        raise ValueError("no sentence of ours")
    return text


def _child_environment(ours: Mapping[str, str]) -> dict[str, str]:
    passed_on = {name: ours[name] for name in _PASSED_ON if name in ours}
    # Numerical libraries and allocators reserve address space per core, which the memory limit would count.
    return passed_on | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


# --- The child --------------------------------------------------------------------------------------------------------


def _serve(limits: Limits, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the parent's to answer
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    _import_decoders()
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # nothing a library prints may get between the answers ...
    os.dup2(nowhere, 2)  # ... nor fill the server's log with what strangers send
    _limit_memory_and_files(limits)
    _send(answers, {"ready": True})
    while size := requests.read(_SIZE.size):
        data = _read_exactly(requests, _SIZE.unpack(size)[0])
        if not data:
            _send(answers, {"pong": True})
            continue
        _allow_cpu_time()
        try:
            header, pixels = _answer(data[:1], data[1:], limits)
        except TurnaroundError as refusal:
            _send(answers, {"error": str(refusal)})
        else:
            _send(answers, header, pixels.data.cast("B"))
            del pixels
        del data  # at rest the child holds nobody's picture


def _answer(what: bytes, data: bytes, limits: Limits) -> tuple[dict[str, object], NDArray[Any]]:
    if what == DEPTH:
        depth = decode_depth(data, limits)
        return {"size": depth.values.shape[::-1], "notes": depth.notes}, np.ascontiguousarray(depth.values)
    rgba, original, notes = decode_pixels(data, limits)
    return {"size": rgba.shape[1::-1], "original": original, "notes": notes}, rgba


def _arguments() -> tuple[Limits, int]:
    return Limits(**json.loads(sys.argv[1])), int(sys.argv[2])


def _import_decoders() -> None:
    """All of them now: later they would count against the limits, and might not find a free file handle."""
    import pillow_heif
    from PIL import (  # noqa: F401
        AvifImagePlugin,
        BmpImagePlugin,
        GifImagePlugin,
        ImageCms,
        JpegImagePlugin,
        PngImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    AvifImagePlugin.DEFAULT_MAX_THREADS = DECODER_THREADS
    pillow_heif.options.DECODE_THREADS = DECODER_THREADS
    pillow_heif.options.THUMBNAILS = False
    pillow_heif.options.DEPTH_IMAGES = False
    pillow_heif.options.AUX_IMAGES = False


def _limit_memory_and_files(limits: Limits) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits; formats, pixels and wall time still hold
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold the visitor's photo
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    with contextlib.suppress(OSError, ValueError):  # macOS has neither this file nor a limit that holds
        at_rest = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        most = at_rest + BYTES_PER_PIXEL * max(limits.max_pixels, 10_000_000)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _allow_cpu_time() -> None:
    """The limit counts from the process's start, so it is moved on before each photo."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + CPU_S, hard))


def _leave_with(parent: int) -> None:
    """The end of stdin says so too, but not while a photo is at work, nor if a fork of the parent holds the pipe."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, EOFError):
        _serve(*_arguments())
