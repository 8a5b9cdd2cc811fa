"""Prepared subjects between "prepare" and "render": in memory only, under unguessable ids, for a while."""

import hashlib
import re
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from pipelines.core.depth_map import DepthMap
from pipelines.core.errors import TurnaroundError
from pipelines.core.images import Photo
from pipelines.core.mask import Repair
from pipelines.core.subject import Subject
from pipelines.runtime.manifest import SubjectRecord
from pipelines.runtime.prepare import Found
from pipelines.runtime.results import subject_record

MAX_BYTES = 400_000_000  # about 15 photos of 2048 px with their masks and subjects
ID_BYTES = 16  # 128 bits: an id is the only key to a visitor's photo
_ID = re.compile(r"[\w-]{22}\.([0-9a-f]{64})", re.ASCII)
GONE = (
    "This photo is no longer held here: the server was started again, or the photo was not used for a while. "
    "Choose it again."
)


@dataclass(frozen=True, eq=False)
class Prepared:
    photo: Photo
    remover: str
    """What was asked for, "auto" for instance; what was used stands in `subject.made`."""
    fill: float
    subject: Subject | None = None
    """`None` when this photo could not be prepared this way; the photo is still there for another try."""
    found: Found | None = None
    """What the remover found, so that nothing but another remover makes it look again. Kept also without a subject:
    what a visitor paints can still make one."""
    feather: float = 0.0
    repair: Repair | None = None
    depth: DepthMap | None = None
    """That the visitor brought along, of all of the photo."""

    @property
    def parts(self) -> dict[int, int]:
        """What it holds, as identity to bytes: entries of one photo share most of it."""
        held = {id(self.photo.rgba): self.photo.rgba.nbytes}
        if self.subject:
            held[id(self.subject.rgba)] = self.subject.rgba.nbytes
            if self.subject.depth is not None:
                held[id(self.subject.depth)] = self.subject.depth.nbytes
        if self.found and not np.may_share_memory(self.found.alpha, self.photo.rgba):  # else it is the photo's own
            held[id(self.found.alpha)] = self.found.alpha.nbytes
        if self.repair:
            held[id(self.repair)] = self.repair.size_bytes
        if self.depth:
            held[id(self.depth.values)] = self.depth.values.nbytes
        return held

    @property
    def size_bytes(self) -> int:
        return sum(self.parts.values())


@dataclass
class Shelf:
    """Entries never change. The least recently used leave first, and all leave after `keep_s` without use.

    Every stroke and every move of a slider leaves an entry, and most of those share their photo: that counts once.
    """

    keep_s: float
    max_bytes: int = MAX_BYTES
    _entries: OrderedDict[str, tuple[float, Prepared]] = field(default_factory=OrderedDict)
    _before: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, prepared: Prepared, replaced_id: str = "") -> str:
        """A click already on its way may still ask for what is replaced; what that one replaced goes at once."""
        entry_id = secrets.token_urlsafe(ID_BYTES)
        if prepared.subject:
            entry_id += f".{subject_mark(subject_record(prepared.subject))}"
        with self._lock:
            self._entries[entry_id] = (time.monotonic(), prepared)
            if replaced_id:
                self._before[entry_id] = replaced_id
                self._entries.pop(self._before.pop(replaced_id, ""), None)
            self._sweep()
        return entry_id

    def put_back(self, entry_id: str, prepared: Prepared) -> None:
        """Under the id that it had before the shelf lost it; `subject_mark` tells whether it is the same."""
        with self._lock:
            self._entries[entry_id] = (time.monotonic(), prepared)
            self._entries.move_to_end(entry_id)
            self._sweep()

    def find(self, entry_id: object) -> Prepared | None:
        with self._lock:
            self._sweep()
            if not isinstance(entry_id, str) or entry_id not in self._entries:
                return None
            _, prepared = self._entries[entry_id]
            self._entries[entry_id] = (time.monotonic(), prepared)
            self._entries.move_to_end(entry_id)
            return prepared

    def get(self, entry_id: object) -> Prepared:
        if prepared := self.find(entry_id):
            return prepared
        raise TurnaroundError(GONE)

    def _sweep(self) -> None:
        """In order of last use, so the first entry is always the next to go. The newest stays, however large."""
        oldest = time.monotonic() - self.keep_s
        while self._entries:
            used, _ = next(iter(self._entries.values()))
            if used >= oldest and (self._held_bytes() <= self.max_bytes or len(self._entries) == 1):
                break
            self._entries.popitem(last=False)
        self._before = {new: old for new, old in self._before.items() if new in self._entries}

    def _held_bytes(self) -> int:
        held: dict[int, int] = {}
        for _, prepared in self._entries.values():
            held |= prepared.parts
        return sum(held.values())


def subject_mark(record: SubjectRecord) -> str:
    """Of a subject's pixels, and its depth if it has one."""
    if not record.depth_sha256:
        return record.rgba_sha256
    return hashlib.sha256((record.rgba_sha256 + record.depth_sha256).encode()).hexdigest()


def mark_of(entry_id: object) -> str | None:
    """Of the subject that an id stands for, or stood for: what is lost is known again by it."""
    found = _ID.fullmatch(entry_id) if isinstance(entry_id, str) else None
    return found[1] if found else None
