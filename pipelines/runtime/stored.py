"""A result on disk, read with suspicion: plain files with fixed names, in its own folder, of the sizes it states."""

import hashlib
import os
import stat
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.core.errors import TurnaroundError
from pipelines.core.files import disk_sentences
from pipelines.runtime.manifest import (
    DAMAGED,
    MANIFEST,
    MAX_BYTES,
    MODEL,
    SUBJECT,
    VIDEO,
    FileRecord,
    ResultManifest,
    TurnaroundManifest,
    parse_manifest,
)


@dataclass(frozen=True)
class StoredTurnaround:
    folder: Path
    manifest: TurnaroundManifest

    @property
    def key(self) -> str:
        return self.manifest.method["key"]

    @property
    def frames(self) -> tuple[Path, ...]:
        return tuple(self.folder / frame.file for frame in self.manifest.frames)

    @property
    def video(self) -> Path | None:
        return self.folder / VIDEO if VIDEO in self.manifest.files else None

    @property
    def model(self) -> Path | None:
        return self.folder / MODEL if MODEL in self.manifest.files else None


@dataclass(frozen=True)
class StoredResult:
    id: str
    folder: Path
    manifest: ResultManifest
    turnarounds: tuple[StoredTurnaround, ...]
    whole: bool = True
    """False while the run goes on: there are more methods to come, and its own manifest is not a file yet."""

    @property
    def subject(self) -> Path:
        return self.folder / SUBJECT

    @property
    def paths(self) -> Iterator[Path]:
        """Every file."""
        if self.whole:
            yield self.folder / MANIFEST
        yield from (self.folder / name for name in self.manifest.subject.files)
        for turnaround in self.turnarounds:
            yield turnaround.folder / MANIFEST
            yield from (turnaround.folder / name for name in turnaround.manifest.files)


@contextmanager
def packing(path: Path) -> Iterator[zipfile.ZipFile]:
    """A new zip to take away."""
    with disk_sentences("The download could not be made"), zipfile.ZipFile(path, "w", compresslevel=1) as packed:
        yield packed


def pack(packed: zipfile.ZipFile, result: StoredResult, folder: str, keys: Collection[str] = ()) -> None:
    """All files of a result, or of its methods only these, into a zip. No times, and nothing is compressed twice."""
    for path in result.paths:
        name = path.relative_to(result.folder)
        if keys and len(name.parts) > 1 and name.parts[0] not in keys:
            continue
        entry = zipfile.ZipInfo(f"{folder}/{name.as_posix()}")
        squeezed = path.suffix in (".png", ".webp", ".mp4")
        entry.compress_type = zipfile.ZIP_STORED if squeezed else zipfile.ZIP_DEFLATED
        packed.writestr(entry, read_plain(path))


def load_result(folder: Path, id: str) -> StoredResult:
    """A result whose every file is there, is a plain file, and has its size; the manifests also have their hash."""
    try:
        manifest = parse_manifest(read_plain(folder / MANIFEST, MAX_BYTES), ResultManifest)
        _require(manifest.id == id)
        turnarounds = []
        for key in manifest.methods:
            data = read_plain(folder / key / MANIFEST, MAX_BYTES)
            _require(hashlib.sha256(data).hexdigest() == manifest.files[f"{key}/{MANIFEST}"].sha256)
            turnaround = StoredTurnaround(folder / key, parse_manifest(data, TurnaroundManifest))
            _require(turnaround.key == key and is_folder(turnaround.folder))
            for name, record in turnaround.manifest.files.items():
                _require_file(turnaround.folder / name, record)
            turnarounds.append(turnaround)
        for name in manifest.subject.files:
            _require_file(folder / name, manifest.files[name])
    except OSError as problem:
        raise TurnaroundError(DAMAGED) from problem
    return StoredResult(id, folder, manifest, tuple(turnarounds))


def _require(true: bool) -> None:
    if not true:
        raise TurnaroundError(DAMAGED)


def _require_file(path: Path, record: FileRecord) -> None:
    found = path.lstat()
    _require(stat.S_ISREG(found.st_mode) and found.st_size == record.bytes)
    _require(not path.parent.is_symlink())


def is_folder(path: Path) -> bool:
    """A real one, not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def read_plain(path: Path, limit: int | None = None) -> bytes:
    """A plain file's content, links refused; a file over `limit` bytes is damaged."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        _require(stat.S_ISREG(found.st_mode) and (limit is None or found.st_size <= limit))
        return file.read()


def record_of(path: Path) -> FileRecord:
    data = path.read_bytes()
    return FileRecord(len(data), hashlib.sha256(data).hexdigest())


def size_of(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
