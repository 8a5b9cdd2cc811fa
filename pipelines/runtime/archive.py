"""Results on disk: one folder per run, named by an unguessable id, whole or absent.

```text
<data>/results/<id>/             manifest.json, subject.png, <method>/... as `results.py` writes them
<data>/results/.drafts/<id>/     being made: `running`, locked by its process, and `result/`, which becomes <id>/
<data>/results/.trash/           being deleted
<data>/results/.lock  .clock     see `_locked` and `_tick`
```

There is no index: the folder's names are one. An id is 12 hexadecimal digits of time, so that names sort by age, and
32 of chance, 128 bits, so that nobody finds a result without its link. Any number of servers may share one store:
what two could disturb happens under one lock, which the system drops when its holder dies.
"""

import contextlib
import datetime
import hashlib
import hmac
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pipelines.core.errors import TurnaroundError
from pipelines.core.files import StorageError, disk_sentences, sync_to_disk, write_whole
from pipelines.core.subject import Making, Subject
from pipelines.runtime.devices import free_disk_bytes
from pipelines.runtime.draft import Draft
from pipelines.runtime.manifest import (
    DAMAGED,
    MANIFEST,
    MAX_BYTES,
    RESULT_ID,
    SUBJECT,
    SUBJECT_DEPTH,
    ResultManifest,
    owner_mark,
    parse_manifest,
)
from pipelines.runtime.results import read_depth_png, read_png, subject_record
from pipelines.runtime.settings import Settings
from pipelines.runtime.stored import StoredResult, is_folder, load_result, read_plain, size_of

log = logging.getLogger(__name__)

NOT_FOUND = "There is no result behind this link. It may have been deleted, or the link is incomplete."
RUNNING = "This result is still being made. Open the link again in a moment."
INTERRUPTED = "The server stopped while this result was being made, and nothing of it was kept. Start it again."

DAY_S = 86_400.0
OPENED_S = 900.0  # a result opened this recently is not swept: the page that shows it may still be loading its files
MAX_STEP_S = DAY_S  # what one jump of the computer's clock, or a time switched off, ages the store at most
LOCK_S = 10.0  # the lock is held for milliseconds; whoever waits longer than this goes on with a sentence
_LEFTOVER = re.compile(r"\.probe-[0-9a-f]{8}|\.[0-9a-f]{16}\.part")  # of `blocker`, and of `whole_file` for .clock
_NOBODY = "0" * 44  # looked up in place of what is no id, so that every wrong link takes the same way


@dataclass(frozen=True, slots=True)
class Swept:
    expired: int = 0
    over_size: int = 0
    interrupted: int = 0


class Archive:
    """All results of one data folder. Makes no folder and reads nothing until it is used."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.root = settings.results
        self._settings, self._clock = settings, clock
        self._sizes: dict[str, int] = {}

    # --- Making one ---------------------------------------------------------------------------------------------------

    def blocker(self) -> str | None:
        """Why nothing can be saved at the moment, in words; None when it can. For start-up, `doctor` and health."""
        try:
            with disk_sentences("Results cannot be saved"):
                self.root.mkdir(parents=True, exist_ok=True)
                probe = self.root / f".probe-{secrets.token_hex(4)}"
                try:
                    probe.write_bytes(b"x")
                finally:
                    probe.unlink(missing_ok=True)
            self.require_space()
        except StorageError as problem:
            return str(problem)
        return None

    def free_space_ok(self) -> bool:
        return free_disk_bytes(self.root) >= self._settings.free_disk_mb * 1e6

    def require_space(self) -> None:
        """Refuse a run before it starts rather than lose it when it is done."""
        if not self.free_space_ok():
            raise StorageError(
                f"The disk has only {free_disk_bytes(self.root) / 1e6:.0f} MB left, and runs need "
                f"{self._settings.free_disk_mb:.0f} MB. Try again later, or delete old results or other files."
            )

    def begin(self, subject: Subject, owner: str = "") -> Draft:
        """`owner`: a secret of at least 128 bits; whoever knows it is the result's owner (`owned_by`)."""
        self.require_space()
        with disk_sentences("The result could not be started"):
            drafts = self.root / ".drafts"
            drafts.mkdir(parents=True, exist_ok=True)
            with self._locked():
                id = f"{self._tick():012x}{secrets.token_hex(16)}"
                folder = drafts / id
                folder.mkdir()
                running = _running(folder)
                running.acquire(timeout=0)
            draft = Draft(self, id, folder, running, subject, owner)
            try:
                draft.put_subject()
            except BaseException:
                draft.discard()
                raise
            return draft

    def named(self, id: str, folder: Path) -> Path:
        """Give a complete result its place. Under the lock: whoever looks sees it as running or as there."""
        with self._locked():
            os.rename(folder, self.root / id)
        sync_to_disk(self.root)
        return self.root / id

    # --- Reading ------------------------------------------------------------------------------------------------------

    def open(self, id: object) -> StoredResult:
        """The result behind a link, checked, and safe from sweeping for a while. Every wrong link has one answer."""
        name = _checked_id(id)
        with self._locked(needed=False):
            folder = self.root / name
            if not is_folder(folder):
                raise TurnaroundError(self._why_absent(name))
            with contextlib.suppress(OSError):  # on a read-only disk nothing is swept either
                os.utime(folder, (self._clock(), self._clock()))
            return load_result(folder, name)

    def subject(self, id: object) -> Subject:
        """Exactly the subject the methods saw, to run them again."""
        result = self.open(id)
        record = result.manifest.subject
        rgba = read_png(_vouched(result, SUBJECT))
        depth = read_depth_png(_vouched(result, SUBJECT_DEPTH)) if record.depth_sha256 else None
        making = Making(
            photo_sha256=record.photo_sha256,
            photo_size_px=record.photo_size_px,
            remover=record.remover,
            crop_px=record.crop_px,
            notes=record.notes,
            feather=record.feather,
            added_px=record.added_px,
            removed_px=record.removed_px,
        )
        subject = Subject(rgba, making, record.elevation_deg, record.fill, depth)
        if subject_record(subject) != record:
            raise TurnaroundError(DAMAGED)
        return subject

    def owned_by(self, id: object, key: object) -> bool:
        """Whether the result was made with this key as its owner. Never of a result without one."""
        name = _checked_id(id)
        if not isinstance(key, str) or not key:
            return False
        try:
            manifest = parse_manifest(read_plain(self.root / name / MANIFEST, MAX_BYTES), ResultManifest)
            mark = owner_mark(name, key)
        except (TurnaroundError, OSError):
            return False
        return bool(manifest.owner) and manifest.id == name and hmac.compare_digest(manifest.owner, mark)

    def list(self, limit: int = 50, offset: int = 0) -> tuple[ResultManifest, ...]:
        """Newest first, without those that cannot be read. For whoever runs the server: a visitor has links only."""
        found = []
        for id in sorted(self._ids(), reverse=True)[offset : offset + limit]:
            try:
                found.append(parse_manifest(read_plain(self.root / id / MANIFEST, MAX_BYTES), ResultManifest))
            except (TurnaroundError, OSError) as problem:
                log.warning("Result %s is left out of the list: %s", id[:12], problem)
        return tuple(found)

    # --- Removing -----------------------------------------------------------------------------------------------------

    def delete(self, id: object) -> None:
        name = _checked_id(id)
        with disk_sentences("The result could not be deleted"), self._locked():
            if not is_folder(self.root / name):
                raise TurnaroundError(self._why_absent(name))
            gone = self._to_trash(name)
        shutil.rmtree(gone, ignore_errors=True)

    def sweep(self) -> Swept:
        """Remove what is too old, then the oldest of what is too much, and what interrupted runs left behind.

        Call it at start-up and every few minutes. Spares what was opened within `OPENED_S`, and runs still going.
        """
        if not self.root.is_dir():
            return Swept()
        with disk_sentences("Old results could not be removed"):
            with self._locked():
                now_ms = self._tick()
            ids = sorted(self._ids())
            self._sizes = {id: self._sizes[id] for id in ids if id in self._sizes}
            expired = over_size = 0
            if self._settings.keep_days:
                oldest = f"{max(0, now_ms - int(self._settings.keep_days * DAY_S * 1000)):012x}"
                expired = sum(self._sweep_one(id) for id in ids if id < oldest)
            if self._settings.keep_gb:
                kept = sorted(self._ids())
                total = sum(self._size_of(id) for id in kept)
                for id in kept:
                    if total <= self._settings.keep_gb * 1e9:
                        break
                    size = self._size_of(id)
                    if self._sweep_one(id):
                        total, over_size = total - size, over_size + 1
            interrupted = self._sweep_drafts(now_ms)
            for rest in _entries(self.root / ".trash"):
                shutil.rmtree(rest, ignore_errors=True)
            self._sweep_leftovers()
        return Swept(expired, over_size, interrupted)

    def _sweep_one(self, id: str) -> bool:
        """Whether it went. Looks and renames under the lock, so that nobody opens it in between."""
        with self._locked():
            try:
                opened_s_ago = abs((self.root / id).lstat().st_mtime - self._clock())
                if opened_s_ago < OPENED_S:
                    return False
                gone = self._to_trash(id)
            except FileNotFoundError:  # another server was faster
                return False
        shutil.rmtree(gone, ignore_errors=True)
        return True

    def _sweep_drafts(self, now_ms: int) -> int:
        """Empty the drafts whose process is gone; their ids go on saying so until they would have expired."""
        emptied = 0
        keep_ms = int((self._settings.keep_days or 30) * DAY_S * 1000)
        for folder in _entries(self.root / ".drafts"):
            if not RESULT_ID.fullmatch(folder.name):
                continue
            with self._locked(), contextlib.suppress(Timeout, OSError):
                running = _running(folder)
                with running.acquire(timeout=0):
                    finished = is_folder(self.root / folder.name)
                    if finished or now_ms - int(folder.name[:12], 16) > keep_ms:
                        shutil.rmtree(folder, ignore_errors=True)
                    elif (folder / "result").exists():
                        shutil.rmtree(folder / "result", ignore_errors=True)
                        emptied += 1
        return emptied

    def _sweep_leftovers(self) -> None:
        """What a killed process left beside the results. A probe lasts for milliseconds, not for a day."""
        for path in _entries(self.root):
            if _LEFTOVER.fullmatch(path.name):
                with self._locked(), contextlib.suppress(OSError):  # .clock is written under the lock only
                    if path.suffix == ".part" or abs(path.lstat().st_mtime - self._clock()) > DAY_S:
                        path.unlink()

    def _to_trash(self, id: str) -> Path:
        trash = self.root / ".trash"
        trash.mkdir(exist_ok=True)
        gone = trash / f"{id}-{secrets.token_hex(4)}"
        os.rename(self.root / id, gone)
        return gone

    # --- Inside -------------------------------------------------------------------------------------------------------

    def utc_now(self) -> str:
        return datetime.datetime.fromtimestamp(self._clock(), datetime.UTC).isoformat(timespec="seconds")

    @contextlib.contextmanager
    def _locked(self, needed: bool = True) -> Iterator[None]:
        """One holder at a time among all threads and servers of this store. Held for milliseconds."""
        lock = FileLock(self.root / ".lock", timeout=LOCK_S, poll_interval=0.002)
        try:
            lock.acquire()
        except (Timeout, OSError) as problem:
            if needed:
                if isinstance(problem, Timeout):
                    raise StorageError("The store of results is busy. Try again in a moment.") from problem
                raise
        try:
            yield
        finally:
            lock.release()

    def _tick(self) -> int:
        """The store's own time in ms: it follows the computer's clock, but never goes back and never leaps.

        Results are ordered and expire by it, so that a clock set wrong for an hour does not take a year of results
        with it. A gap counts for a day at most, or a quarter of the time results are kept.
        """
        path, wall_ms = self.root / ".clock", int(self._clock() * 1000)
        try:
            last_wall_ms, last_ms = (int(number) for number in path.read_text().split())
            if not 0 <= last_ms < 16**11:  # far beyond any real time: damaged
                raise ValueError
        except (OSError, ValueError):  # none yet, or lost: go on from the newest result
            newest = max(self._ids(), default=None)
            last_wall_ms, last_ms = wall_ms, int(newest[:12], 16) if newest else wall_ms
        most_s = min(MAX_STEP_S, self._settings.keep_days * DAY_S / 4 or MAX_STEP_S)
        now_ms = last_ms + min(int(most_s * 1000), max(1, wall_ms - last_wall_ms))
        write_whole(path, f"{wall_ms} {now_ms}".encode())
        return now_ms

    def _ids(self) -> Iterator[str]:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.root) as entries:
            for entry in entries:
                if RESULT_ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                    yield entry.name

    def _size_of(self, id: str) -> int:
        if id not in self._sizes:
            self._sizes[id] = size_of(self.root / id)
        return self._sizes[id]

    def _why_absent(self, id: str) -> str:
        folder = self.root / ".drafts" / id
        if not is_folder(folder):
            return NOT_FOUND
        try:
            with _running(folder).acquire(timeout=0):
                return INTERRUPTED
        except Timeout:
            return RUNNING
        except OSError:
            return NOT_FOUND


# --- Files ------------------------------------------------------------------------------------------------------------


def _checked_id(id: object) -> str:
    return id if isinstance(id, str) and RESULT_ID.fullmatch(id) else _NOBODY


def _vouched(result: StoredResult, name: str) -> bytes:
    """A file of the result itself, as it was written."""
    data = read_plain(result.folder / name)
    if hashlib.sha256(data).hexdigest() != result.manifest.files[name].sha256:
        raise TurnaroundError(DAMAGED)
    return data


def _running(draft: Path) -> FileLock:
    """Held by the process that makes the draft, in whatever thread, until it ends in whatever way."""
    return FileLock(draft / "running", thread_local=False)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
