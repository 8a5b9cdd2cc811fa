"""What a card says of weights: which files they are, and where they may come from. `weights.py` brings them here."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pipelines.runtime.hub import COMMIT

FORMATS = (".safetensors", ".bin", ".ckpt", ".pt", ".json", ".txt", ".model", ".yaml")  # the pickles: weights_only=True
_SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}")


@dataclass(frozen=True, slots=True)
class WeightFile:
    path: str
    """Inside the repository."""
    size_bytes: int
    """As published; where only a rounded figure is known, that figure (see `exact`)."""
    sha256: str | None = None
    """As published; without one, the Hub's own word for the file's content is what it is checked against."""
    exact: bool = False
    """Whether `size_bytes` is to the byte."""
    or_path: str | None = None
    """What has the same in it where other versions of the libraries, or other options, have saved it."""

    def __post_init__(self) -> None:
        path = PurePosixPath(self.path)
        if path.is_absolute() or ".." in path.parts or path.suffix not in FORMATS:
            raise ValueError(f"{self.path} is not a file of weights or of their configuration")

    def may_have(self, size_bytes: int) -> bool:
        """Whether this is the published size; where that was rounded, or a small file's is a guess, nearly."""
        return abs(size_bytes - self.size_bytes) <= (0 if self.exact else 100_000 + 0.02 * self.size_bytes)


@dataclass(frozen=True, slots=True)
class Source:
    """A repository that holds these weights, and just the files that are needed of it."""

    repository: str
    revision: str
    """A commit of 40 digits, or the first of them where no more are known; a name that may move is "unpinned"."""
    files: tuple[WeightFile, ...]
    licence: str
    gated: bool = False
    folder: Path | None = None
    """What TURNAROUND_SOURCES names in the repository's place, if that is a folder."""

    def named_as_in(self, has: Callable[[str], bool]) -> "Source":
        """With the files' names of the place that has some of them."""
        found: dict[str, WeightFile] = {}
        for file in self.files:
            other = file.or_path if file.or_path and not has(file.path) and has(file.or_path) else None
            here = replace(file, path=other, sha256=None, exact=False, or_path=None) if other else file
            found[here.path] = here
        return replace(self, files=tuple(found.values()))

    @property
    def pinned(self) -> bool:
        return bool(COMMIT.fullmatch(self.revision))

    @property
    def shortened(self) -> bool:
        return not self.pinned and bool(_SHORT_COMMIT.fullmatch(self.revision))

    @property
    def fixed(self) -> bool:
        """Whether it names one commit, be it by its first digits."""
        return self.pinned or self.shortened

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class Weights:
    """One set of weights, and where it may come from: the first source is the authors' own or the best kept."""

    name: str
    """For people: "Zero123-XL"."""
    sources: tuple[Source, ...]
    """In the order in which they are tried; a later one only when the one before is gone, and the page says which."""

    @property
    def first(self) -> Source:
        return self.sources[0]
