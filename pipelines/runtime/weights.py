"""What a method's card says of its weights, and how they come here: `located` looks, `fetch` downloads.

They lie in a folder kept by hand (TURNAROUND_WEIGHTS), or in the Hub's ordinary cache. Only the files that a card names
are ever fetched, never code. Importing this loads neither huggingface_hub nor torch, and opens nothing.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pipelines.core.errors import TurnaroundError
from pipelines.runtime import hub
from pipelines.runtime.download import megabytes
from pipelines.runtime.hub import Gated, Gone, Patience
from pipelines.runtime.hub_cache import Verified, digest_by_name, digests_of, shelf
from pipelines.runtime.hub_transfer import Wanted, transfer
from pipelines.runtime.report import Report
from pipelines.runtime.settings import Settings, read_settings

LOCAL = "local"
MAIN = "main"  # where to look at last when a pinned revision is gone
FORMATS = (".safetensors", ".bin", ".ckpt", ".pt", ".json", ".txt", ".model", ".yaml")  # the pickles: weights_only=True
_COMMIT = re.compile(r"[0-9a-f]{40}")
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

    @property
    def pinned(self) -> bool:
        return bool(_COMMIT.fullmatch(self.revision))

    @property
    def shortened(self) -> bool:
        return not self.pinned and bool(_SHORT_COMMIT.fullmatch(self.revision))

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
    settings = read_settings()
    verified, sources = Verified(settings.data), chosen_sources(weights, settings)
    for source in sources:
        by_hand = settings.weights / source.repository
        if all(os.path.isfile(by_hand / file.path) for file in source.files):
            return Fetched(by_hand, source, LOCAL)
    for source, cached in _cached(sources):
        if all(_is_verified(cached / file.path, file, verified) for file in source.files):
            return Fetched(cached, source, cached.name)
    return None


def missing_bytes(weights: Weights) -> int:
    """How much `fetch` would download, for estimates and cards; as cheap as `located`."""
    if located(weights):
        return 0
    sources = chosen_sources(weights, read_settings())
    left = [sum(f.size_bytes for f in s.files if not _seems_here(cached / f.path, f)) for s, cached in _cached(sources)]
    return min([sources[0].size_bytes, *left])


def notice(weights: Weights, fetched: Fetched) -> str | None:
    """What to say beside a result when the weights are not those of the card's first line."""
    source = fetched.source
    if fetched.revision == LOCAL:
        return f"The weights of {weights.name} are from a folder kept by hand, used as they stand."
    if source.repository != weights.first.repository:
        return f"The weights of {weights.name} are from {source.repository}; their licence: {source.licence}."
    if weights.first.revision != MAIN and not fetched.revision.startswith(weights.first.revision):
        return f"The weights of {weights.name} are of another revision than its card names: {fetched.revision[:12]}."
    return None


def fetch(weights: Weights, report: Report, patience: Patience | None = None) -> Fetched:
    """The weights, downloaded if they are not here. Every failure is a sentence, nothing half-fetched is located."""
    if found := located(weights):
        return found
    patience, settings = patience or Patience(), read_settings()
    sources = chosen_sources(weights, settings)
    _verify_what_is_here(weights.name, sources, Verified(settings.data), report)
    if found := located(weights):
        return found
    _refuse_offline(weights)

    # 1. Source by source: the next only where this one is gone, or its gate is closed and the next has none
    refusals: list[str] = []
    moved: list[Source] = []
    gate: Gated | None = None
    for source in sources:
        if gate and source.gated:
            continue
        what = weights.name
        if refusals or gate:
            what += f" from {source.repository} instead (licence: {source.licence})"
        try:
            return _fetch_from(source, source.revision, what, settings, report, patience)
        except Gated as problem:
            gate = gate or Gated(f"{problem} (The licence: {source.licence}.)")
        except Gone as problem:
            refusals.append(f"{source.repository} ({problem})")
            moved += [source] if problem.revision and (source.pinned or source.shortened) else []
    if gate:
        raise gate

    # 2. Where only the pinned revision is gone, today's will do if it has the very files
    for source in moved:
        what = f"{weights.name}, whose pinned revision is gone, from today's {source.repository}"
        try:
            return _fetch_from(source, MAIN, what, settings, report, patience)
        except Gone as problem:
            refusals.append(f"today's {source.repository} ({problem})")
    raise TurnaroundError(
        f"{weights.name} cannot be fetched: {'; '.join(refusals)}. Let TURNAROUND_SOURCES name another place, or put "
        f"the files into {sources[0].repository} in the folder of TURNAROUND_WEIGHTS; other methods are not affected."
    )


def chosen_sources(weights: Weights, settings: Settings) -> tuple[Source, ...]:
    """The card's sources, those replaced that TURNAROUND_SOURCES replaces.

    Whoever names another revision vouches for it: the card's sizes and checksums are of the old one, and only the
    Hub's own word is left to check against.
    """
    found: list[Source] = []
    for source in weights.sources:
        repository, revision = settings.moves.get(source.repository, (source.repository, None))
        files = source.files
        if revision:
            files = tuple(replace(file, sha256=None, exact=False) for file in files)
        found.append(replace(source, repository=repository, revision=revision or source.revision, files=files))
    return tuple(found)


# --- What is here -----------------------------------------------------------------------------------------------------


def _cached(sources: tuple[Source, ...]) -> Iterator[tuple[Source, Path]]:
    """Each source with its snapshot in the Hub's cache, if it has one; at last, what may have come in a pin's stead."""
    places = [(source, source.revision) for source in sources]
    places += [(source, MAIN) for source in sources if source.pinned or source.shortened]
    for source, revision in places:
        ours = shelf(source.repository)
        if commit := ours.commit_of(revision):
            yield source, ours.snapshot(commit)


def _is_verified(path: Path, file: WeightFile, verified: Verified) -> bool:
    found = verified.digests(path)
    return bool(found) and (file.sha256 is None or f"sha256:{file.sha256}" in found)


def _seems_here(path: Path, file: WeightFile) -> bool:
    with suppress(OSError):
        return file.may_have(path.stat().st_size)
    return False


def _verify_what_is_here(name: str, sources: tuple[Source, ...], verified: Verified, report: Report) -> None:
    """Read what others put into the cache, once, where it is a whole set. A content that belies its name is removed."""
    for source, cached in _cached(sources):
        if not all(os.path.isfile(cached / file.path) for file in source.files):
            continue
        for number, file in enumerate(source.files):
            path = cached / file.path
            if _is_verified(path, file, verified):
                continue
            found = digests_of(path, report, number / len(source.files), f"Checking {name}, which is here already")
            by_name = digest_by_name(path)
            if by_name and by_name not in found:
                with suppress(OSError):
                    shelf(source.repository).discard(path)
            elif by_name or file.sha256 or file.may_have(os.path.getsize(path)):
                verified.remember(path, found)


def _refuse_offline(weights: Weights) -> None:
    from huggingface_hub import constants

    if constants.is_offline_mode():
        missing, whole = missing_bytes(weights), weights.first.size_bytes
        part = f"{megabytes(missing)} of {megabytes(whole)}" if missing < whole else megabytes(whole)
        raise TurnaroundError(
            f"{weights.name} is not on this machine ({part} missing), and HF_HUB_OFFLINE forbids fetching it. Unset it "
            "while there is a network, or put the files into the folder of TURNAROUND_WEIGHTS; methods whose weights "
            "are here work on."
        )


# --- One source -------------------------------------------------------------------------------------------------------


def _fetch_from(
    source: Source, revision: str, what: str, settings: Settings, report: Report, patience: Patience
) -> Fetched:
    """All of one source's files, or nothing that counts."""
    # 1. Which commit; has it all of the files, the published ones; may we have them? Asked before a byte of them comes
    exactly = revision
    if source.shortened and revision == source.revision:
        exactly = hub.full_commit(source.repository, revision, what, report, patience)
    paths = [file.path for file in source.files]
    remotes = hub.look_up(source.repository, exactly, paths, what, report, patience)
    commits = {remote.commit for remote in remotes}
    if len(commits) > 1 or (_COMMIT.fullmatch(exactly) and commits != {exactly}):
        raise Gone("it answers with another revision than was asked for")
    wanted: list[Wanted] = []
    for file, remote in zip(source.files, remotes, strict=True):
        pinned = f"sha256:{file.sha256}" if file.sha256 else None
        other = pinned and remote.digest and remote.digest.startswith("sha256:") and remote.digest != pinned
        other = other or (file.exact and remote.size_bytes != file.size_bytes)
        if other or (revision != source.revision and not file.may_have(remote.size_bytes)):
            raise Gone(f"its {file.path} is not the published one")
        wanted.append(Wanted(remote, tuple(digest for digest in (pinned, remote.digest) if digest)))

    # 2. Fetched, verified, linked; then the whole counts
    commit = commits.pop()
    ours, verified = shelf(source.repository), Verified(settings.data)
    transfer(wanted, ours, source.repository, verified, what, int(settings.free_disk_mb * 1e6), report, patience)
    ours.refer(revision, commit)
    return Fetched(ours.snapshot(commit), source, commit)
