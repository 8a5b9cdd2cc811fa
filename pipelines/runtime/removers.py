"""Background removers: one that is always there, and rembg's models, each named, never rembg's own default.

rembg is only ever asked for the mask of a model file that we fetched and checked ourselves: its default is not for
commercial use, and some of its sessions send the photo to a stranger's server. Models lie in `<data>/models/rembg/`; a
file put there by hand under its name is as good as a fetched one.
"""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cutout import outline
from pipelines.core.errors import TurnaroundError
from pipelines.runtime.devices import Machine, free_memory_bytes, this_machine
from pipelines.runtime.download import LISTEN_S, PATIENCE_S, download, is_intact, megabytes
from pipelines.runtime.method import Report
from pipelines.runtime.settings import Settings

T = TypeVar("T")
OUTLINE = "outline"
TURNS = 2  # heavy calls at once, whoever asks: each takes up to 0.5 GB and a core
_turns = threading.BoundedSemaphore(TURNS)


@dataclass(frozen=True, slots=True)
class ModelFile:
    name: str
    """At the release that `Settings.rembg_url` points to."""
    size_bytes: int
    digest: str
    """"sha256:..." where one is published, else "md5:..."."""


@dataclass(frozen=True, slots=True)
class Remover:
    key: str
    """rembg's name of the model, where there is one."""
    title: str
    summary: str
    licence: str
    model: ModelFile | None = None
    memory_bytes: int = 0
    """At its peak, where that is more than any machine has that runs the app at all."""

    def path(self, settings: Settings) -> Path | None:
        return settings.data / "models" / "rembg" / self.model.name if self.model else None

    def blockers(self, machine: Machine) -> tuple[str, ...]:
        """Every reason why it cannot run here, in words; empty when it can. Imports nothing."""
        reasons = []
        if machine.memory_bytes and self.memory_bytes > machine.memory_bytes:
            needed, there = self.memory_bytes / 1e9, machine.memory_bytes / 1e9
            reasons.append(f"It needs about {needed:.0f} GB of memory, and this machine has {there:.0f} GB.")
        if self.model and not all(find_spec(package) for package in ("rembg", "onnxruntime")):
            reasons.append("rembg or onnxruntime is not installed here: pip install -r requirements.txt brings them.")
        return tuple(reasons)

    def missing(self, settings: Settings) -> tuple[str, ...]:
        """What has to be fetched before it can run, in words; empty when it is ready. Cheap: opens no file."""
        path = self.path(settings)
        if path is None or self.model is None or path.exists():
            return ()
        return (f"Its model ({megabytes(self.model.size_bytes)}) is fetched when it is first used.",)


# Digests are those rembg 2.0.86 itself checks, or the sha256 published for the same file; sizes are the files' own.
REMOVERS: dict[str, Remover] = {
    remover.key: remover
    for remover in (
        Remover(
            OUTLINE,
            "Outline (nothing to download)",
            "Finds the object that stands out from a calm background; works at once, anywhere.",
            "Apache-2.0",
        ),
        Remover(
            "isnet-general-use",
            "IS-Net",
            "A neural network for objects of any kind, with fine edges.",
            "Apache-2.0",
            ModelFile("isnet-general-use.onnx", 178_648_008, "md5:fc16ebd8b0c10d971d3513d564d01e29"),
        ),
        Remover(
            "u2net",
            "U²-Net",
            "A neural network for objects of any kind; robust, with softer edges.",
            "Apache-2.0",
            ModelFile(
                "u2net.onnx",
                175_997_641,
                "sha256:8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491",
            ),
        ),
        Remover(
            "u2netp",
            "U²-Net small",
            "The same network at a fortieth of the size: quick to fetch, less exact.",
            "Apache-2.0",
            ModelFile(
                "u2netp.onnx",
                4_574_861,
                "sha256:309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
            ),
        ),
        Remover(
            "silueta",
            "Silueta",
            "U²-Net with smaller numbers: a quarter of its size, nearly as good.",
            "Apache-2.0",
            ModelFile("silueta.onnx", 44_173_029, "md5:55e59e0d8062d2f5d013f4725ee84782"),
        ),
        Remover(
            "birefnet-general-lite",
            "BiRefNet lite",
            "A newer, larger network: better with hair, spokes and holes; some seconds a photo.",
            "MIT",
            ModelFile(
                "BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx",
                224_005_088,
                "sha256:5600024376f572a557870a5eb0afb1e5961636bef4e1e22132025467d0f03333",
            ),
        ),
        Remover(
            "birefnet-general",
            "BiRefNet",
            "The most exact one: about ten seconds a photo, and 12 GB of memory.",
            "MIT",
            ModelFile(
                "BiRefNet-general-epoch_244.onnx",
                972_666_916,
                "sha256:58f621f00f5d756097615970a88a791584600dcf7c45b18a0a6267535a1ebd3c",
            ),
            memory_bytes=12_000_000_000,  # as others report of it; never measured by us
        ),
    )
}
INSTEAD = f"Meanwhile, choose the remover “{REMOVERS[OUTLINE].title}” ({OUTLINE})."


def remove_background(
    rgb: NDArray[np.uint8],
    key: str,
    settings: Settings,
    report: Report,
    *,
    removers: Mapping[str, Remover] = REMOVERS,
    patience_s: float = PATIENCE_S,
) -> NDArray[np.float32]:
    """How much of each pixel of `rgb` [H, W, 3] is object, [H, W] in 0..1."""
    if key not in removers:
        raise TurnaroundError(f"There is no background remover {str(key)[:40]!r}. There are: {', '.join(removers)}.")
    remover = removers[key]
    if remover.model is None:
        report(0.1, "Finding the object")
        return while_reporting(report, 0.3, "Finding the object", lambda: outline(rgb))
    if blockers := remover.blockers(this_machine(settings.data)):
        raise TurnaroundError(f"{remover.title} cannot run here. {' '.join(blockers)} {INSTEAD}")
    session = _session(remover, settings, report, patience_s)
    return while_reporting(report, 0.8, f"{remover.title} looks for the object", lambda: session.mask(rgb))


def while_reporting(report: Report, fraction: float, message: str, work: Callable[[], T]) -> T:
    """`work()` on a thread of its own, so that a Cancel is heard during calls that cannot be interrupted.

    After a Cancel such a call runs out unheeded, but it keeps its turn until then: however many visitors come and go,
    no more than `TURNS` calls ever run.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        while not _turns.acquire(timeout=LISTEN_S):
            if report.cancelled.is_set():
                return
        try:
            report.check()
            outcome.append(work())
        except BaseException as problem:
            failure.append(problem)
        finally:
            _turns.release()

    report(fraction, message)
    worker = threading.Thread(target=run, daemon=True, name="remover")
    worker.start()
    while worker.is_alive():
        worker.join(LISTEN_S)
        report(fraction, message)
    report.check()
    if failure:
        raise failure[0]
    return outcome[0]


# --- rembg's models ---------------------------------------------------------------------------------------------------


class _Session:
    """A loaded model. One picture at a time: onnxruntime would multiply its memory by the number of callers."""

    def __init__(self, key: str, path: Path) -> None:
        # rembg imports pymatting, of which we use nothing, and Numba would compile all of it on the first import: one
        # or two minutes, against 2 seconds without.
        os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
        import onnxruntime
        from rembg.sessions import sessions_class

        known = next(found for found in sessions_class if found.name() == key)
        ours = type(known.__name__, (known,), {"download_models": classmethod(lambda cls, *a, **k: str(path))})
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(8, os.cpu_count() or 1)  # more gain nothing on these networks
        options.inter_op_num_threads = 1
        self._rembg: Any = ours(key, options, providers=["CPUExecutionProvider"])
        self._lock = threading.Lock()

    def mask(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        from PIL import Image

        with self._lock, np.errstate(divide="ignore", invalid="ignore"):  # a flat answer is divided by its range, 0
            (mask,) = self._rembg.predict(Image.fromarray(rgb))
        return np.asarray(mask, np.float32) / np.float32(255)


_sessions: dict[tuple[str, Path, str], _Session] = {}  # one at most: each holds its model in memory
_loading = threading.Lock()
_fetching: dict[str, threading.Lock] = {}


def _session(remover: Remover, settings: Settings, report: Report, patience_s: float) -> _Session:
    """The loaded model, fetched and checked if need be, once: other visitors wait for it, and may cancel."""
    path = remover.path(settings)
    assert path is not None and remover.model is not None
    name = (remover.key, path.absolute(), remover.model.digest)
    if session := _sessions.get(name):
        return session

    fetching = _fetching.setdefault(remover.key, threading.Lock())
    while not fetching.acquire(timeout=LISTEN_S):
        report(0.0, f"Waiting: {remover.title} is being fetched for another visitor")
    try:
        if name not in _sessions:
            _fetch(remover, path, settings, report, patience_s)
    finally:
        fetching.release()

    def load() -> _Session:
        with _loading:  # held here, where the work is: a visitor who cancels does not let a second load begin
            if name not in _sessions:
                _sessions.clear()
                _check_room(remover)
                _sessions[name] = _Session(remover.key, path)
            return _sessions[name]

    return while_reporting(report, 0.6, "Preparing the background remover for the first time", load)


def _fetch(remover: Remover, path: Path, settings: Settings, report: Report, patience_s: float) -> None:
    model = remover.model
    assert model is not None
    if path.is_file():
        if while_reporting(report, 0.5, f"Checking {remover.title}'s file", lambda: is_intact(path, model.digest)):
            return
        path.unlink()  # cut short or damaged on disk: fetched anew
    download(
        settings.rembg_url.rstrip("/") + "/" + model.name,
        path,
        model.digest,
        model.size_bytes,
        report,
        what=f"{remover.title}'s model",
        otherwise=INSTEAD,
        patience_s=patience_s,
    )


def _check_room(remover: Remover) -> None:
    """It works in the page's own process, which would not survive its memory running out."""
    free = free_memory_bytes()
    if free and free < remover.memory_bytes:
        raise TurnaroundError(
            f"{remover.title} needs about {remover.memory_bytes / 1e9:.0f} GB of memory, and only {free / 1e9:.1f} GB "
            f"are free at the moment. Try again when less is going on. {INSTEAD}"
        )
