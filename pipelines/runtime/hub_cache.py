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
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.files import whole_file, write_whole
from pipelines.runtime.download import LISTEN_S
from pipelines.runtime.hub import COMMIT, named_digest

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
        if COMMIT.fullmatch(revision):
            return revision
        with suppress(OSError, UnicodeError):
            commit = (self.folder / "refs" / revision).read_text().strip()
            return commit if COMMIT.fullmatch(commit) else None
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

    def kept_bytes(self) -> int:
        """Of all the files that have come in part."""
        total = 0
        for part in self.folder.glob(f"blobs/*{PART}"):
            with suppress(OSError):
                total += part.stat().st_size
        return total

    def adopt(self, etag: str, commit: str, path: str) -> None:
        """Where links are forbidden, others leave a content in the snapshot alone: let it be looked at before it is
        fetched."""
        blob, pointer = self.blob(etag), self.snapshot(commit) / path
        if not blob.exists() and pointer.is_file():
            with suppress(OSError, NotImplementedError):
                os.link(pointer, blob)

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
    cache, name = cache_folder(), "models--" + repository.replace("/", "--")
    return Shelf(cache / name, cache / ".locks" / name)


def cache_folder() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def sweep() -> None:
    """Remove partial files, of whichever repository, that nobody went on with."""
    for part in cache_folder().glob(f"models--*/blobs/*{PART}"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > FORGOTTEN_S:
                part.unlink()


# --- What was verified ------------------------------------------------------------------------------------------------

_remembered: dict[Path, dict[str, Any]] = {}  # for this process, should the folder not be writable


class Verified:
    """Which files were read and found to be what they should be: each by its size, its time and its digests.

    And which commit was taken in the stead of a pin of which the Hub said that it is gone.
    """

    def __init__(self, data: Path) -> None:
        self._folder = data / "models" / "verified"

    def digests(self, path: Path) -> list[str]:
        """What the file was found to be; empty if it was never read, or has changed since."""
        try:
            real = path.resolve(strict=True)
            now = real.stat()
            for note in self._notes(str(real)):
                if (note["size"], note["mtime_ns"]) == (now.st_size, now.st_mtime_ns):
                    return list(note["digests"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return []

    def remember(self, path: Path, digests: list[str]) -> None:
        real = path.resolve(strict=True)
        now = real.stat()
        self._keep(str(real), {"size": now.st_size, "mtime_ns": now.st_mtime_ns, "digests": digests})

    def stand_in(self, repository: str, revision: str) -> str | None:
        for note in self._notes(f"{repository}@{revision}"):
            commit = note.get("stand_in")
            if isinstance(commit, str) and COMMIT.fullmatch(commit):
                return commit
        return None

    def remember_stand_in(self, repository: str, revision: str, commit: str) -> None:
        self._keep(f"{repository}@{revision}", {"stand_in": commit})

    def _notes(self, of: str) -> Iterator[dict[str, Any]]:
        """This process' own, and the one on the disk, which another process may have renewed."""
        if note := _remembered.get(self._note(of)):
            yield note
        with suppress(OSError, ValueError):
            if isinstance(note := json.loads(self._note(of).read_text()), dict):
                yield note

    def _keep(self, of: str, note: dict[str, Any]) -> None:
        _remembered[self._note(of)] = note
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._note(of), json.dumps({"of": of, **note}).encode())

    def _note(self, of: str) -> Path:
        return self._folder / (hashlib.sha256(of.encode()).hexdigest()[:32] + ".json")


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


def feed(digest: Digest, path: Path, tell: Callable[[str], None], message: str) -> int:
    """Read a file through its digest, telling how far it is; returns its length. `tell` may raise, to stop it."""
    size_bytes, read, told = path.stat().st_size, 0, 0.0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            if time.monotonic() - told > LISTEN_S:
                tell(f"{message}: {read / max(1, size_bytes):.0%}")
                told = time.monotonic()
            digest.update(piece)
            read += len(piece)
    return read


def digests_of(path: Path, tell: Callable[[str], None], message: str) -> list[str]:
    digest = Digest(path.stat().st_size)
    feed(digest, path, tell, message)
    return digest.all()


def digest_by_name(pointer: Path) -> str | None:
    """What a file of a snapshot should be, by the name of the content it points to."""
    return named_digest(Path(os.readlink(pointer)).name) if pointer.is_symlink() else None
