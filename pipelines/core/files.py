"""Files that are whole or absent, and sentences for a disk that refuses."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.core.errors import TurnaroundError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP}


class StorageError(TurnaroundError):
    """The disk refused. Nothing else that is to be written there can succeed either."""


@contextmanager
def disk_sentences(doing: str) -> Iterator[None]:
    """Turn what the operating system says into a sentence. `doing` starts it: "The result could not be saved"."""
    try:
        yield
    except OSError as problem:
        raise StorageError(f"{doing}: {_reason(problem)}") from problem


def _reason(problem: OSError) -> str:
    if problem.errno in _FULL:
        return "the disk is full. Delete old results or free some space, then try again; nothing half-written was kept."
    if problem.errno in _FORBIDDEN:
        return (
            "its place cannot be written to. Check that its folder is one, that nothing of its name is in the way, and "
            "that the app may write there."
        )
    if problem.errno == errno.ENOENT:
        return "its folder was removed meanwhile, or cannot be made. Try again; if it stays, choose another place."
    name = errno.errorcode.get(problem.errno or 0, type(problem).__name__)
    return f"the disk reported an error ({name}). Try again; if it stays, check the disk."


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to, beside `path`, which takes its name only if the block succeeds; otherwise it is removed."""
    part = path.with_name(f".{secrets.token_hex(8)}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes) -> None:
    with whole_file(path) as part:
        part.write_bytes(data)


def sync_to_disk(path: Path) -> None:
    """Make a file's content, or a folder's list of names, survive a power cut."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folder, and keeps their names safe by itself
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
