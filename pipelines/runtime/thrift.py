"""Working with less and less memory: the rungs of the ladder, what memory errors look like, and what people are told.

Importing this loads no torch.
"""

import re
import sys
import traceback
from dataclasses import dataclass, replace

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.devices import free_memory_bytes, memory_bytes
from pipelines.runtime.places import Place, free_device_bytes


@dataclass(frozen=True, slots=True)
class Thrift:
    """How sparingly to work; each rung of the ladder is slower and takes less memory."""

    at_once: int
    """Views or frames that go through the large network together."""
    decode_at_once: int
    """Of those, how many the VAE decodes together."""
    tiles: bool = False
    """Whether the VAE works on tiles."""
    offload: bool = False
    """Whether parts are on the device only while they work: `residency` sees to it, the method has nothing to do."""


def ladder(
    at_once: int, decode_at_once: int, *, tiling: bool = True, offloading: bool, offloaded: bool = False
) -> tuple[Thrift, ...]:
    """`tiling`: whether tiles are of use to the method. `offloading`: whether parts can take turns, as the last rung;
    `offloaded`: whether they do already.
    """
    rungs = [Thrift(max(1, at_once), max(1, decode_at_once), offload=offloaded)]
    decodes_what_was_made = rungs[0].decode_at_once <= rungs[0].at_once  # a video goes whole through the network
    while (last := rungs[-1]).at_once > 1:
        half = last.at_once // 2
        decoded = min(half, last.decode_at_once) if decodes_what_was_made else last.decode_at_once
        rungs.append(replace(last, at_once=half, decode_at_once=decoded))
    while (last := rungs[-1]).decode_at_once > 1:
        rungs.append(replace(last, decode_at_once=last.decode_at_once // 2))
    if tiling:
        rungs.append(replace(rungs[-1], tiles=True))
    if offloading and not offloaded:
        rungs.append(replace(rungs[-1], offload=True))
    return tuple(rungs)


def notes_of(first: Thrift, worked: Thrift) -> tuple[str, ...]:
    """What a visitor should know of the rung that worked."""
    notes = []
    if worked.at_once < first.at_once:
        notes.append(f"Memory was short, so views were made {_count(worked.at_once)} at a time: slower, but the same.")
    elif worked.decode_at_once < first.decode_at_once:
        count = _count(worked.decode_at_once)
        notes.append(f"Memory was short, so views were decoded {count} at a time: slower, but the same.")
    if worked.tiles:
        notes.append("Memory was short, so views were decoded in tiles, whose seams may show faintly.")
    if worked.offload:
        notes.append("Memory was short, so the model's parts took turns on the GPU: slower, but the same.")
    return tuple(notes)


def _count(number: int) -> str:
    return "one" if number == 1 else str(number)


# --- Memory errors ----------------------------------------------------------------------------------------------------

# What torch, CUDA, Metal and the C++ library say when memory is short, where no error class of theirs does; in the last
# lines CUDA's libraries, which find none for themselves on a card that is nearly full.
_WORDS = re.compile(
    r"out of memory|not enough memory|can't allocate memory|cannot allocate memory|_ALLOC_FAILED|bad_alloc"
    r"|invalid buffer size|ALLOCATION_FAILED"
    r"|CUBLAS_STATUS_NOT_INITIALIZED|CUDNN_STATUS_NOT_INITIALIZED"
    r"|unable to find an engine|unable to find a valid cudnn algorithm|NVML_SUCCESS == r",
    re.IGNORECASE,
)
# After which a process can do nothing more on that GPU (CUDA's driver API, cudaError_enum)
_LOST = re.compile(
    r"CUDA error: .*(illegal memory access|illegal instruction|misaligned address|launch failure|launch timed out"
    r"|device-side assert|uncorrectable|hardware stack|invalid program counter|context is destroyed|unknown error"
    r"|device.* lost|device is unavailable|no longer available|driver shutting down)",
    re.IGNORECASE,
)
_ASKED = re.compile(r"tried to allocate ([\d.]+) ?(bytes|[KMGT]i?B)", re.IGNORECASE)
_UNITS = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}  # torch writes GiB, Metal GB and means the same


def is_out_of_memory(error: BaseException) -> bool:
    torch = sys.modules.get("torch")
    known = getattr(torch, "OutOfMemoryError", None)
    if isinstance(error, MemoryError) or (known is not None and isinstance(error, known)):
        return True
    return isinstance(error, RuntimeError) and bool(_WORDS.search(str(error)))


def has_lost_its_gpu(error: BaseException) -> bool:
    """Whether all that the same process asks of that GPU from now on fails as well."""
    return isinstance(error, RuntimeError) and bool(_LOST.search(str(error)))


def is_of_host(said: str) -> bool:
    """Whether it is the machine's own memory that was short, by an error's words; Python's `MemoryError` has none."""
    return not said or "CPUAllocator" in said or "bad_alloc" in said


def let_go(error: BaseException | None, outer: BaseException | None) -> None:
    """Free what the frames of a failed call hold: a traceback keeps every tensor that was in a variable on its way.

    `outer` is the error that was being handled before that call, if any, which stays as it is.
    """
    while error is not None and error is not outer:
        traceback.clear_frames(error.__traceback__)
        error.__traceback__ = None
        before = error.__cause__ or error.__context__
        error.__cause__ = error.__context__ = None
        error = before


def too_little(doing: str, said: str, place: Place | None) -> TurnaroundError:
    """With figures. `doing`: what there was not enough memory for; `said`: the error's own words."""
    on_gpu = place is not None and place.device.type == "cuda"
    free, total = free_device_bytes(place) if place and on_gpu else (free_memory_bytes(), memory_bytes())
    asked = _ASKED.search(said)
    figures = []
    if asked:
        asked_bytes = float(asked[1]) * _UNITS[asked[2][0].lower()]
        figures.append(f"{in_bytes(asked_bytes)} more were needed at one point")
    if total:
        where = "the GPU" if on_gpu else "this machine"
        if free or on_gpu:
            figures.append(f"{where} has {in_bytes(total)}, of which {in_bytes(free)} are free now")
        else:  # macOS does not tell
            figures.append(f"{where} has {in_bytes(total)}")
    why = f" ({'; '.join(figures)})" if figures else ""
    return TurnaroundError(
        f"There is not enough memory {doing}{why}. Ask for fewer or smaller views, close other programs that use "
        f"{'the GPU' if on_gpu else 'much memory'}, or run it on a larger machine."
    )


def in_bytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
