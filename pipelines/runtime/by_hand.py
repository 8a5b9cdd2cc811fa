"""Whether a repository's folder that a person filled has what is needed, or is still being copied.

It is used as it stands, so its files need not be the published ones: a smaller model will do, or one of another
precision. But files of tensors say themselves how long they are, and that shows a copy that broke off.
"""

import functools
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path

from pipelines.runtime.download import megabytes
from pipelines.runtime.weight_sources import WeightFile

LARGE_BYTES = 10_000_000  # from here on a file that cannot say how long it is has to have about its published size


def flaw(folder: Path, files: Iterable[WeightFile]) -> str | None:
    """What is wrong with the first file that is not in order; None when all of them are here and whole."""
    for file in files:
        path = folder / file.path
        try:
            now = path.stat()
            whole = path.is_file() and _is_whole(path, now.st_size, now.st_mtime_ns)
        except (OSError, ValueError):
            return f"{file.path} is missing or cannot be read"
        if whole is None:
            whole = file.size_bytes < LARGE_BYTES or file.may_have(now.st_size)
        if not whole:
            return f"{file.path} is cut short ({megabytes(now.st_size)})"
    return None


@functools.lru_cache(maxsize=256)
def _is_whole(path: Path, size_bytes: int, mtime_ns: int) -> bool | None:
    """By what the file says of itself; None when it does not say."""
    if not size_bytes:
        return False
    if path.suffix == ".safetensors":
        return _promised_bytes(path, size_bytes) <= size_bytes
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK"  # as torch has saved since 2020; the directory of a zip file is at its end
    return zipfile.is_zipfile(path) if is_zip else None


def _promised_bytes(path: Path, size_bytes: int) -> float:
    """The length of a safetensors file by its header: where its last tensor ends. Infinite if there is no header."""
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        if 8 + header_bytes > size_bytes:
            return float("inf")
        try:
            header = json.loads(file.read(header_bytes))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, LookupError, TypeError, AttributeError):
            return float("inf")
    return 8 + header_bytes + max(ends, default=0)
