"""What a method's card says of its weights, and how they come here: `located` looks, `fetch` downloads.

Importing this loads neither huggingface_hub's client nor torch, and opens nothing.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from pipelines.runtime.report import Report

_COMMIT = re.compile(r"[0-9a-f]{40}")


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


@dataclass(frozen=True, slots=True)
class Source:
    """A repository that holds these weights, and just the files that are needed of it."""

    repository: str
    revision: str
    """A commit of 40 digits; anything else is a name that may move, and the card says "unpinned"."""
    files: tuple[WeightFile, ...]
    licence: str
    gated: bool = False

    @property
    def pinned(self) -> bool:
        return bool(_COMMIT.fullmatch(self.revision))

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


@dataclass(frozen=True, slots=True)
class Fetched:
    """Weights that are here, whole and verified."""

    folder: Path
    """Laid out as the repository is; holds at least the source's files."""
    source: Source
    revision: str
    """The commit they are of; "local" for a folder that a setting named."""


def located(weights: Weights) -> Fetched | None:
    """The weights if they are here, whole and verified; reads no content and asks nobody."""
    raise NotImplementedError


def fetch(weights: Weights, report: Report) -> Fetched:
    """The weights, downloaded if they are not here. Every failure is a sentence, nothing half-fetched is located."""
    raise NotImplementedError


def missing_bytes(weights: Weights) -> int:
    """How much `fetch` would download, for estimates and cards; as cheap as `located`."""
    raise NotImplementedError
