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
from pipelines.runtime.manifest import MANIFEST, METHOD_KEY, SCHEMA, SUBJECT, ResultManifest, json_bytes
from pipelines.runtime.method import Card, Request, Turnaround
from pipelines.runtime.results import Written, subject_record, write_turnaround
from pipelines.runtime.stored import StoredResult, load_result, record_of, size_of

if TYPE_CHECKING:
    from pipelines.runtime.archive import Archive

NOTHING_MADE = "No method made anything, so nothing was saved."


class Draft:
    """A result being made. `finish` gives it its name; leaving the `with` block without it removes everything."""

    def __init__(self, archive: "Archive", id: str, folder: Path, running: FileLock, subject: Subject) -> None:
        self.id = id
        self._archive, self._home, self._running = archive, folder, running
        self._result = folder / "result"
        self._subject = subject
        self._methods: list[str] = []
        self._failures: dict[str, str] = {}

    def __enter__(self) -> "Draft":
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def add(self, turnaround: Turnaround, request: Request, card: Card, **extras: Any) -> Written:
        """Save one method's turnaround, with `write_turnaround`'s `extras`. A failure leaves the others as they are."""
        if not METHOD_KEY.fullmatch(card.key) or card.key in self._methods:
            raise ValueError(f"{card.key!r} is not a new method of this result")
        with disk_sentences("The result could not be saved"):
            self._result.stat()  # if someone removed the store, a part of a result is not made anew
        written = write_turnaround(self._result / card.key, turnaround, request, card, **extras)
        self._methods.append(card.key)
        return written

    def fail(self, method_key: str, sentence: str) -> None:
        """Remember why a method has no turnaround here; one that was added already is taken back."""
        if method_key in self._methods:
            self._methods.remove(method_key)
            shutil.rmtree(self._result / method_key, ignore_errors=True)
        self._failures[method_key] = sentence

    def finish(self) -> StoredResult:
        """Check it, make it safe against a power cut, and give it its name in one step."""
        try:
            if not self._methods:
                raise TurnaroundError(NOTHING_MADE)
            with disk_sentences("The result could not be saved"):
                return self._finish()
        finally:
            self.discard()

    def discard(self) -> None:
        """Safe to call at any time and again."""
        if self._running.is_locked:
            shutil.rmtree(self._home, ignore_errors=True)
            self._running.release()

    def _finish(self) -> StoredResult:
        vouched = [SUBJECT, *(f"{key}/{MANIFEST}" for key in self._methods)]
        manifest = ResultManifest(
            schema=SCHEMA,
            id=self.id,
            created_utc=self._archive.utc_now(),
            subject=subject_record(self._subject),
            methods=tuple(self._methods),
            failures=self._failures,
            bytes=size_of(self._result),
            files={name: record_of(self._result / name) for name in vouched},
        )
        write_whole(self._result / MANIFEST, json_bytes(dataclasses.asdict(manifest)))
        made = load_result(self._result, self.id)
        with ThreadPoolExecutor(8) as pool:  # side by side they share the disk's journal: a quarter of the time
            list(pool.map(sync_to_disk, [*self._result.rglob("*"), self._result]))
        final = self._archive.named(self.id, self._result)
        turnarounds = tuple(dataclasses.replace(t, folder=final / t.key) for t in made.turnarounds)
        return StoredResult(self.id, final, made.manifest, turnarounds)
