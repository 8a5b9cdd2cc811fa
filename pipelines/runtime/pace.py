"""What runs really took, by method and place, kept in a small file in the data folder, so that estimates come true.

A method counts its work in units of its own (denoising steps times views, say). `record` finds out how many a request
has, and what else takes time, by asking the method's own `estimate`; `pace_s` gives back how long so many take here.
"""

import contextlib
import dataclasses
import json
import logging
import math
import statistics
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.core.files import write_whole

if TYPE_CHECKING:
    from pipelines.runtime.devices import Machine
    from pipelines.runtime.method import Method, Request, Turnaround
    from pipelines.runtime.weights import Weights

log = logging.getLogger(__name__)
FILE = "pace.json"
SCHEMA = 1
KEEP_RUNS = 15  # of each method on each device: enough for a steady median, few enough to follow a new driver
LEAST_SHARE = 0.01  # of a run, that its units took, however long its fixed parts were thought to take
KEEP_PLACES = 100  # methods times devices; the ones unheard of longest leave first
NO_LOADING_S = 1e-100  # not 0, which is a time that was never measured
MOST_BYTES = 1_000_000  # a file larger than this is not ours
ELSEWHERE = "elsewhere"  # the place of a run that was cut short: it never told where it worked, nor was all of it done
_FIGURES = ("unit_s", "load_s", "memory_share")


@dataclass(frozen=True, slots=True)
class Pace:
    """The median of the newest runs of one method on one device, in one precision."""

    unit_s: float
    """For one unit of the method's own work, without loading and without what takes as long for any number."""
    load_s: float
    """For bringing its model into memory; 0 when that was never seen."""
    memory_share: float
    """The most memory in use meanwhile, as a share of what the method's own figures say; 0 when that is not known."""
    runs: int
    place: str
    """As in a manifest: "NVIDIA H100 80GB HBM3, bfloat16"."""


def pace_s(machine: "Machine", key: str, units: float, default_s: float) -> float:
    """Seconds that `units` units of this method's work take here; one takes `default_s` until a run has told better.

    An estimate has to be linear in this, as `fixed + pace_s(...)` is: see `units_of`.
    """
    known = machine.pace.get(key)
    return units * (known.unit_s if known else default_s)


def load_s(machine: "Machine", key: str, default_s: float, needed: "tuple[Weights, ...]" = ()) -> float:
    """Seconds that bringing this method's model of these weights into memory takes here: none where it is there before,
    else as measured, or `default_s`.
    """
    if needed and all(each.name in machine.loaded for each in needed):
        return 0.0
    known = machine.pace.get(key)
    return known.load_s if known and known.load_s else default_s


def memory_bytes(machine: "Machine", key: str, default: int) -> int:
    """What a run takes in memory here, where `default` is the method's own figure for it: that as earlier runs bore it
    out. Other models in memory at the time count too, as they may the next time.
    """
    known = machine.pace.get(key)
    return round(known.memory_share * default) if known and known.memory_share else default


def units_of(method: "Method", request: "Request", machine: "Machine") -> tuple[float, float]:
    """How many units of work the method's estimate counts for this request, and the seconds it adds that do not depend
    on them, loading left out. No units for a method that does not go by pace.
    """

    def estimated_s(unit_s: float) -> float:
        pace = {method.card.key: Pace(unit_s, NO_LOADING_S, 0, 1, "")}
        return method.estimate(request, dataclasses.replace(machine, pace=pace)).seconds

    once, twice = estimated_s(1.0), estimated_s(2.0)
    return twice - once, 2 * once - twice


# --- Keeping ----------------------------------------------------------------------------------------------------------

_writing = threading.Lock()
_read: dict[Path, tuple[tuple[int, ...], list[dict[str, Any]]]] = {}  # by file: which one it is, and what it says


def record(data: Path, machine: "Machine", method: "Method", request: "Request", made: "Turnaround") -> None:
    """Keep what a whole run took. Never a reason for anything to fail: what cannot be kept is logged."""
    try:
        units, fixed_s = units_of(method, request, machine)
        # `seconds` begins after the fetch.
        seconds = made.seconds - made.stage_seconds.get("load", 0.0)
        if units <= 0 or seconds <= 0 or not made.provenance or made.provenance.device == ELSEWHERE:
            return
        own_figure = method.estimate(request, dataclasses.replace(machine, pace={})).memory_bytes
        figures = {
            "unit_s": max(LEAST_SHARE * seconds, seconds - fixed_s) / units,
            "load_s": made.stage_seconds.get("load", 0.0),
            "memory_share": made.peak_memory_bytes / own_figure if own_figure > 0 else 0.0,
        }
        _keep(data / FILE, method.card.key, made.provenance.device, figures)
    except Exception:
        log.warning("What a run of %s took could not be kept", method.card.key, exc_info=True)


def _keep(path: Path, key: str, place: str, figures: Mapping[str, float]) -> None:
    with _writing:
        entries = {(entry["method"], entry["place"]): entry for entry in _entries(path)}
        old = entries.pop((key, place), {})
        new = {"method": key, "place": place, "at": time.time()}
        for name in _FIGURES:
            told = [figures[name]] if figures[name] > 0 else []  # a run that found its model loaded tells not how long
            new[name] = [*old.get(name, []), *told][-KEEP_RUNS:]
        newest = sorted([*entries.values(), new], key=lambda entry: entry["at"])[-KEEP_PLACES:]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({"schema": SCHEMA, "paces": newest}, indent=1).encode())


# --- Reading ----------------------------------------------------------------------------------------------------------


def paces(data: Path, device: str, gpu: str | None, number_bytes: int) -> dict[str, Pace]:
    """By method, its pace on the device that a run would take here ("cuda", "mps" or "cpu"), best in its precision."""
    found: dict[str, tuple[int, Pace]] = {}
    for entry in _entries(data / FILE):  # oldest first: of equals, the newest stays
        rank = _rank(entry["place"], device, gpu, number_bytes)
        if rank and rank >= found.get(entry["method"], (0,))[0]:
            found[entry["method"]] = rank, _pace(entry)
    return {key: pace for key, (_, pace) in found.items()}


def _rank(place: str, device: str, gpu: str | None, number_bytes: int) -> int:
    """How much a run at `place` tells of one here; 0 for nothing."""
    if kind_of(place) != device:
        return 0
    same_gpu, same_precision = gpu and place.startswith(gpu), place.endswith("float32") == (number_bytes == 4)
    return 1 + 2 * bool(same_gpu) + same_precision


def kind_of(place: str) -> str:
    """The kind of device behind a place's name: "cuda", "mps" or "cpu"."""
    return {"cpu": "cpu", "app": "mps"}.get(place[:3].lower(), "cuda")


def _pace(entry: Mapping[str, Any]) -> Pace:
    unit_s, load_s, memory_share = (statistics.median(entry[name] or [0.0]) for name in _FIGURES)
    return Pace(unit_s, load_s, memory_share, len(entry["unit_s"]), entry["place"])


def _entries(path: Path) -> list[dict[str, Any]]:
    """What the file says, oldest first; nothing when there is none, and nothing of what is not as `record` wrote it."""
    try:
        status = path.stat()
    except OSError:
        return []
    stamp = status.st_mtime_ns, status.st_size, status.st_ino
    known = _read.get(path)
    if known is None or known[0] != stamp:
        entries: list[dict[str, Any]] = []
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            if status.st_size <= MOST_BYTES:
                document = json.loads(path.read_bytes())
                entries = [e for e in document["paces"] if _is_entry(e)] if document["schema"] == SCHEMA else []
        known = _read[path] = stamp, sorted(entries, key=lambda entry: entry["at"])[-KEEP_PLACES:]
    return known[1]


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() >= {"method", "place", "at", *_FIGURES}
        and all(isinstance(entry[name], str) and len(entry[name]) < 200 for name in ("method", "place"))
        and _is_figure(entry["at"])
        and all(isinstance(entry[name], list) and len(entry[name]) <= KEEP_RUNS for name in _FIGURES)
        and all(_is_figure(value) for name in _FIGURES for value in entry[name])
        and len(entry["unit_s"]) > 0
        and entry["place"] != ELSEWHERE  # once kept by mistake
    )


def _is_figure(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and 0 < value < 1e15
