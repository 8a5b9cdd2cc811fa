"""A result while it is being made."""

import dataclasses
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from pipelines.core.errors import TurnaroundError
from pipelines.core.files import disk_sentences, sync_to_disk, write_whole
from pipelines.core.subject import Subject
from pipelines.runtime.manifest import (
    MANIFEST,
    METHOD_KEY,
    PLAIN_SCHEMA,
    SCHEMA,
    FileRecord,
    ResultManifest,
    TurnaroundManifest,
    json_bytes,
    owner_mark,
)
from pipelines.runtime.method import Card, Request, Turnaround
from pipelines.runtime.results import Written, subject_record, write_subject, write_turnaround
from pipelines.runtime.stored import StoredResult, StoredTurnaround, is_folder, load_result, record_of, size_of

if TYPE_CHECKING:
    from pipelines.runtime.archive import Archive

NOTHING_MADE = "No method made anything, so nothing was saved."


class Draft:
    """A result being made. `finish` gives it its name; leaving the `with` block without it removes everything."""

    def __init__(
        self, archive: "Archive", id: str, folder: Path, running: FileLock, subject: Subject, owner: str = ""
    ) -> None:
        self.id = id
        self._archive, self._home, self._running = archive, folder, running
        self._result = folder / "result"
        self._subject, self._subject_record = subject, subject_record(subject)
        self._owner = owner_mark(id, owner) if owner else ""
        self._created_utc = archive.utc_now()
        self._added: dict[str, TurnaroundManifest] = {}
        self._failures: dict[str, str] = {}
        self._records: dict[str, FileRecord] = {}
        self._finished: StoredResult | None = None

    def __enter__(self) -> "Draft":
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def put_subject(self) -> None:
        """The first thing in it."""
        self._records = write_subject(self._result, self._subject)

    def add(self, turnaround: Turnaround, request: Request, card: Card, **extras: Any) -> Written:
        """Save one method's turnaround, ready for the wall, with `write_turnaround`'s other `extras`.

        A failure leaves the others as they are.
        """
        if not METHOD_KEY.fullmatch(card.key) or card.key in self._added:
            raise ValueError(f"{card.key!r} is not a new method of this result")
        with disk_sentences("The result could not be saved"):
            self._result.stat()  # if someone removed the store, a part of a result is not made anew
            written = write_turnaround(self._result / card.key, turnaround, request, card, wall=True, **extras)
            record = record_of(self._result / card.key / MANIFEST)
        self._records = {**self._records, f"{card.key}/{MANIFEST}": record}
        self._added = {**self._added, card.key: written.manifest}
        return written

    def fail(self, method_key: str, sentence: str) -> None:
        """Remember why a method has no turnaround here; one that was added already is taken back."""
        if method_key in self._added:
            self._added = {key: made for key, made in self._added.items() if key != method_key}
            shutil.rmtree(self._result / method_key, ignore_errors=True)
        self._failures = {**self._failures, method_key: sentence}

    def so_far(self) -> StoredResult:
        """What there is of it by now, from any thread, while `add`, `fail` and `finish` go on.

        `finish` gives its folder another name: a path may be gone when it is opened. Asked anew, this knows it.
        """
        if finished := self._finished:
            return finished
        added, failures, records = self._added, self._failures, self._records  # each is replaced, never changed
        final = self._archive.root / self.id
        folder = final if is_folder(final) else self._result
        made = tuple(StoredTurnaround(folder / key, manifest) for key, manifest in added.items())
        vouched = [*self._subject_record.files, *(f"{key}/{MANIFEST}" for key in added)]
        files = {name: records[name] for name in vouched}
        failed = {key: sentence for key, sentence in failures.items() if key not in added}
        listed = [files, *(manifest.files for manifest in added.values())]
        size = sum(record.bytes for each in listed for record in each.values())
        manifest = self._manifest(tuple(added), failed, size, files)
        return StoredResult(self.id, folder, manifest, made, whole=False)

    def finish(self) -> StoredResult:
        """Check it, make it safe against a power cut, and give it its name in one step."""
        try:
            if not self._added:
                raise TurnaroundError(NOTHING_MADE)
            with disk_sentences("The result could not be saved"):
                self._finished = self._finish()
                return self._finished
        finally:
            self.discard()

    def discard(self) -> None:
        """Safe to call at any time and again."""
        if self._running.is_locked:
            shutil.rmtree(self._home, ignore_errors=True)
            self._running.release()

    def _finish(self) -> StoredResult:
        vouched = [*self._subject_record.files, *(f"{key}/{MANIFEST}" for key in self._added)]
        records = {name: record_of(self._result / name) for name in vouched}
        manifest = self._manifest(tuple(self._added), self._failures, size_of(self._result), records)
        write_whole(self._result / MANIFEST, json_bytes(dataclasses.asdict(manifest)))
        made = load_result(self._result, self.id)
        with ThreadPoolExecutor(8) as pool:  # side by side they share the disk's journal: a quarter of the time
            list(pool.map(sync_to_disk, [*self._result.rglob("*"), self._result]))
        final = self._archive.named(self.id, self._result)
        turnarounds = tuple(dataclasses.replace(t, folder=final / t.key) for t in made.turnarounds)
        return StoredResult(self.id, final, made.manifest, turnarounds)

    def _manifest(
        self, methods: tuple[str, ...], failures: dict[str, str], size: int, files: dict[str, FileRecord]
    ) -> ResultManifest:
        return ResultManifest(
            schema=SCHEMA if self._subject_record.depth_sha256 else PLAIN_SCHEMA,
            id=self.id,
            created_utc=self._created_utc,
            subject=self._subject_record,
            methods=methods,
            failures=failures,
            bytes=size,
            files=files,
            owner=self._owner,
        )
