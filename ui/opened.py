"""Results opened a moment ago. A wall of six methods is some hundred files, each asked for on its own: reading and
checking all manifests for every one of them would take 5 ms a file, most of a server's time with 50 visitors.
"""

import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

from pipelines.runtime.archive import Archive
from pipelines.runtime.manifest import MANIFEST
from pipelines.runtime.stored import StoredResult

KEEP = 64  # results, of some 0.1 MB each
FRESH_S = 60.0  # opening also keeps a result from being swept, for far longer than this

Marks = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class _Opened:
    result: StoredResult
    marks: Marks
    until_s: float


_archives: WeakKeyDictionary[Archive, OrderedDict[str, _Opened]] = WeakKeyDictionary()
_lock = threading.Lock()


def opened(archive: Archive, id: str) -> StoredResult:
    """`archive.open(id)`, or what it said within the last minute if nothing has been added or removed since."""
    with _lock:
        known = _archives.setdefault(archive, OrderedDict()).get(id)
    if known and time.monotonic() < known.until_s and _marks(known.result) == known.marks:
        return known.result
    try:
        result = archive.open(id)
    except BaseException:
        forget(archive, id)
        raise
    with _lock:
        kept = _archives[archive]
        kept[id] = _Opened(result, _marks(result), time.monotonic() + FRESH_S)
        kept.move_to_end(id)
        while len(kept) > KEEP:
            kept.popitem(last=False)
    return result


def forget(archive: Archive, id: str) -> None:
    """A file of it turned out to be missing: the next to open it looks at all of them."""
    with _lock:
        _archives.setdefault(archive, OrderedDict()).pop(id, None)


def _marks(result: StoredResult) -> Marks:
    """What changes when a file comes, goes, or is replaced; a file that only grew is noticed when it is served."""
    own = (result.folder / name for name in (MANIFEST, *result.manifest.subject.files))
    return tuple(map(_mark, (*own, *(turnaround.folder for turnaround in result.turnarounds))))


def _mark(path: Path) -> tuple[int, int, int]:
    try:
        found = os.lstat(path)
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_mtime_ns, found.st_size
