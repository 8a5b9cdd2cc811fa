"""Where models live: which device and precision, who stays loaded, who leaves when room is needed, and what to do
when it was not enough. Importing this loads no torch.

A model is loaded when a run first needs it and stays on the device while all together fit a budget. When they do not,
the one that was used longest ago steps aside into the machine's memory, from where it returns without a file being
read, or is dropped where there is no room for it either.
"""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from pipelines.runtime.places import Place, chosen_place, keep_off_host_memory, torch_blockers
from pipelines.runtime.register import REGISTER
from pipelines.runtime.report import Report
from pipelines.runtime.thrift import Thrift, is_of_host, is_out_of_memory, ladder, let_go, notes_of, too_little
from pipelines.runtime.weights import Fetched

__all__ = ["Place", "Thrift", "chosen_place", "loaded_bytes", "resident", "thriftily", "torch_blockers"]

T = TypeVar("T")
log = logging.getLogger(__name__)


@contextmanager
def resident(
    key: str,
    load: Callable[[Place], T],
    size_bytes: int,
    report: Report,
    suited: Callable[[Place], Place] | None = None,
) -> Iterator[T]:
    """The parts of a model, on the device: loaded by `load(place)` the first time, kept for the next while there is
    room, and never taken away while in use. `T` is a module, or a dataclass, tuple, list or dict with modules in it.

    `key` names these very weights (method, revision, precision if it is special); `size_bytes` is about what they take
    where models run now (see `loaded_bytes`): where less of the machine's memory is free, loading is refused in words.
    Once they are loaded, what was measured counts. `report` is the one that the run was given, because that is told
    where it works; `load` calls its `check` between parts, so that loading can be cancelled.

    What goes into the modules belongs on `report.place.device`, which `T` may hold as a `Place` too: on a GPU without
    room for all parts together, `load` is given the processor, and the parts then come to the GPU when they are called.
    So `suited` has the say where a model wants another precision than is usual at a place.
    """
    place = chosen_place()
    if suited:
        place = suited(place)
    keep_off_host_memory(place)
    report.place = place
    model = REGISTER.borrow(key, place, load, size_bytes, report)
    try:
        yield model.value
    finally:
        REGISTER.give_back(model, report)


def thriftily(
    work: Callable[[Thrift], T],
    at_once: int,
    report: Report,
    *,
    decode_at_once: int | None = None,
    tiling: bool = True,
) -> tuple[T, tuple[str, ...]]:
    """`work(thrift)`, tried with less and less memory until it fits; and notes that say what was done, for the result.

    Each call begins on the first rung, whatever an earlier one had to do: the memory may be free again by now.

    `work` is called anew each time; what it should not do twice, it keeps elsewhere. `tiling` is False where no
    decoder's tiles would help. Out of memory on the last rung is a sentence with figures. `Cancelled` and every other
    error pass through at once. Parts take turns only of models that were borrowed with a report of the same run.
    """
    models = REGISTER.borrowed_by(report)
    rungs = ladder(
        at_once,
        decode_at_once or at_once,
        tiling=tiling,
        offloading=any(model.can_take_turns for model in models),
        offloaded=any(model.turns for model in models),
    )
    rung, said, outer, once_more = 0, "", sys.exception(), True
    while rung < len(rungs):
        report.check()
        try:
            if rungs[rung].offload:
                REGISTER.let_take_turns(models)
            made = work(rungs[rung])
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            said = str(error)
            log.info("Out of memory with %s: %s", rungs[rung], said)
            let_go(error, outer)
        else:
            return made, notes_of(replace(rungs[0], offload=False), rungs[rung])
        if REGISTER.make_idle_leave(also_from_host=is_of_host(said)) and once_more:
            once_more = False  # the same again: it may fit now
        else:
            rung, once_more = rung + 1, True
    raise too_little("for this, even with everything done in the smallest steps", said, report.place)


def loaded_bytes(found: Fetched, parameters: int, always_bytes: int = 0) -> int:
    """What a model takes in memory where models run now: so many numbers in the place's precision, and what takes the
    same anywhere; but no more than twice its files, whose numbers of 16 bits become 32 at the most.
    """
    files_bytes = sum((found.folder / file.path).stat().st_size for file in found.source.files)
    return min(parameters * chosen_place().dtype.itemsize + always_bytes, 2 * files_bytes)


def forget_idle() -> None:
    """Drop every model that nobody uses, from the device and from the machine's memory."""
    while REGISTER.make_idle_leave(also_from_host=True):
        pass  # once more, for those that stepped aside
