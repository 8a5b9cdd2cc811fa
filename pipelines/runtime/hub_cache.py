"""Where files lie in the Hub's ordinary cache, which everything on a machine shares, and which of them were verified.

`<HF_HUB_CACHE>/models--<owner>--<name>/`: `blobs/<etag>` holds a content, `snapshots/<commit>/<path>` points to it and
`refs/<branch>` names a commit. The cache itself knows nothing of what was verified: that is remembered beside our own
data, each time with the file's size and time, so that asking again costs no reading.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.files import whole_file, write_whole
from pipelines.runtime.hub import named_digest
from pipelines.runtime.report import Report

PART = ".turnaround.part"  # what is being fetched; kept when the fetching ends early, and so named that it is ours
FORGOTTEN_S = 7 * 24 * 3600  # a partial file that nobody went on with for so long
PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Shelf:
    """One repository's part of the cache."""

    folder: Path
    locks: Path

    def commit_of(self, revision: str) -> str | None:
        """The commit that a revision was when it was fetched."""
        if len(revision) == 40:
            return revision
        with suppress(OSError):
            return (self.folder / "refs" / revision).read_text().strip() or None
        return None

    def snapshot(self, commit: str) -> Path:
        return self.folder / "snapshots" / commit

    def blob(self, etag: str) -> Path:
        return self.folder / "blobs" / etag

    def part(self, etag: str) -> Path:
        return self.folder / "blobs" / (etag + PART)

    def lock(self, etag: str) -> Path:
        """The very file that huggingface_hub locks while it fetches this content."""
        return self.locks / f"{etag}.lock"

    def sweep(self) -> None:
        for part in self.folder.glob(f"blobs/*{PART}"):
            with suppress(OSError):
                if time.time() - part.stat().st_mtime > FORGOTTEN_S:
                    part.unlink()

    def link(self, etag: str, commit: str, path: str) -> Path:
        """Let the snapshot's file be the content: by a symbolic link, on a disk without them by whatever it has."""
        from huggingface_hub import constants

        blob, pointer = self.blob(etag), self.snapshot(commit) / path
        pointer.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(pointer) as part:
            if not constants.HF_HUB_DISABLE_SYMLINKS:
                with suppress(OSError, NotImplementedError):
                    part.symlink_to(os.path.relpath(blob, pointer.parent))
            if not part.is_symlink():
                try:
                    os.link(blob, part)
                except (OSError, NotImplementedError):
                    shutil.copyfile(blob, part)
        return pointer

    def refer(self, revision: str, commit: str) -> None:
        """Remember which commit a branch or tag is, for those who ask offline."""
        if revision != commit:
            path = self.folder / "refs" / revision
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, commit.encode())

    def discard(self, pointer: Path) -> None:
        """Remove a damaged file, and the content it points to."""
        if pointer.is_symlink():
            target = Path(os.path.normpath(pointer.parent / os.readlink(pointer)))
            if target.parent == self.folder / "blobs":
                target.unlink(missing_ok=True)
        pointer.unlink(missing_ok=True)


def shelf(repository: str) -> Shelf:
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    name = "models--" + repository.replace("/", "--")
    return Shelf(cache / name, cache / ".locks" / name)


# --- What was verified ------------------------------------------------------------------------------------------------

_remembered: dict[Path, dict[str, Any]] = {}  # for this process, should the folder not be writable


class Verified:
    """Which files were read and found to be what they should be: each by its size, its time and its digests."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "models" / "verified"

    def digests(self, path: Path) -> list[str]:
        """What the file was found to be; empty if it was never read, or has changed since."""
        try:
            real = path.resolve(strict=True)
            now = real.stat()
            note = _remembered.get(real)
            if not note or (note["size"], note["mtime_ns"]) != (now.st_size, now.st_mtime_ns):
                note = json.loads(self._note(real).read_text())
            same = (note["size"], note["mtime_ns"]) == (now.st_size, now.st_mtime_ns)
            return list(note["digests"]) if same else []
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def remember(self, path: Path, digests: list[str]) -> None:
        real = path.resolve(strict=True)
        now = real.stat()
        note = {"file": str(real), "size": now.st_size, "mtime_ns": now.st_mtime_ns, "digests": digests}
        _remembered[real] = note
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._note(real), json.dumps(note).encode())

    def _note(self, real: Path) -> Path:
        return self._folder / (hashlib.sha256(str(real).encode()).hexdigest()[:32] + ".json")


class Digest:
    """The sha256 of what passes through, and git's name for it, which the Hub uses for small files."""

    def __init__(self, size_bytes: int) -> None:
        self._sha256 = hashlib.sha256()
        self._git = hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False) if size_bytes < 1 << 25 else None

    def update(self, piece: bytes) -> None:
        self._sha256.update(piece)
        if self._git:
            self._git.update(piece)

    def all(self) -> list[str]:
        found = ["sha256:" + self._sha256.hexdigest()]
        return [*found, "git-sha1:" + self._git.hexdigest()] if self._git else found


def pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def digests_of(path: Path, report: Report, fraction: float, message: str) -> list[str]:
    size_bytes, read, told = path.stat().st_size, 0, 0.0
    digest = Digest(size_bytes)
    for piece in pieces(path):
        if time.monotonic() - told > 0.25:
            report(fraction, f"{message}: {read / max(1, size_bytes):.0%}")
            told = time.monotonic()
        digest.update(piece)
        read += len(piece)
    return digest.all()


def digest_by_name(pointer: Path) -> str | None:
    """What a file of a snapshot should be, by the name of the content it points to."""
    return named_digest(Path(os.readlink(pointer)).name) if pointer.is_symlink() else None
