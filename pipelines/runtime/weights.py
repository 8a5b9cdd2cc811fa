"""What a method's card says of its weights, and how they come here: `located` looks, `fetch` downloads.

They lie in a folder kept by hand (TURNAROUND_WEIGHTS), or in the Hub's ordinary cache. Only the files that a card names
are ever fetched, never code, and only contents count for which somebody vouches: the card, or the Hub by a checksum.
Importing this loads neither huggingface_hub nor torch, and opens nothing.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.core.errors import TurnaroundError
from pipelines.core.files import disk_sentences
from pipelines.runtime import by_hand, hub
from pipelines.runtime.download import megabytes
from pipelines.runtime.hub import COMMIT, Gated, Gone, Patience, Remote
from pipelines.runtime.hub_cache import Verified, cache_folder, digest_by_name, digests_of, shelf, sweep
from pipelines.runtime.hub_transfer import Wanted, check_room, transfer
from pipelines.runtime.report import Report
from pipelines.runtime.settings import Settings, read_settings
from pipelines.runtime.weight_sources import Source, WeightFile, Weights

LOCAL = "local"
OWN = "own-folder"
MAIN = "main"  # where to look when the Hub has said that a pinned revision is gone


@dataclass(frozen=True, slots=True)
class Fetched:
    """Weights that are here, whole and verified."""

    folder: Path
    """Laid out as the repository is; holds at least the source's files."""
    source: Source
    revision: str
    """The commit they are of; `LOCAL` in the folder of TURNAROUND_WEIGHTS, `OWN` in one of TURNAROUND_SOURCES."""


def located(weights: Weights) -> Fetched | None:
    """The weights if they are here, whole and verified; reads no content and asks nobody."""
    settings = read_settings()
    verified, sources = Verified(settings.data), chosen_sources(weights, settings)
    for source in sources:
        found = in_folder(source, source.folder or settings.weights / source.repository)
        if not by_hand.flaw(found.folder, found.source.files):
            return found
    for here in _cached(sources, verified):
        if all(here.is_verified(file, verified) for file in here.source.files):
            return Fetched(here.folder, here.source, here.folder.name)
    return None


def in_folder(source: Source, folder: Path) -> Fetched:
    """A folder that is used as it stands, whatever is in it."""
    named = source.named_as_in(lambda path: (folder / path).is_file())
    return Fetched(folder, named, OWN if source.folder else LOCAL)


def needed(weights: Weights) -> Fetched:
    """The weights, for a run that has fetched them."""
    if found := located(weights):
        return found
    raise TurnaroundError(
        f"The weights of {weights.name} are not here any more: someone removed them. Start the run again."
    )


def missing_bytes(weights: Weights) -> int:
    """How much `fetch` would download, for estimates and cards; as cheap as `located`. See `why_unusable`, too."""
    settings = read_settings()
    sources = chosen_sources(weights, settings)
    if located(weights) or sources[0].folder:
        return 0
    left = [(sources[0], sources[0].size_bytes)]
    for here in _cached(sources, Verified(settings.data)):
        left.append((here.source, sum(file.size_bytes for file in here.source.files if not here.seems_to_have(file))))
    return min(max(0, missing - kept_bytes(source)) for source, missing in left)


def kept_bytes(source: Source) -> int:
    """What has come of files that were not fetched to their end: the next try goes on from there."""
    return shelf(source.repository).kept_bytes()


def unused_by_hand(weights: Weights) -> list[str]:
    """Why a folder kept by hand is not used, for each that is there and not in order; a sentence without paths."""
    settings, here = read_settings(), located(weights)
    found: dict[str, None] = {}
    for source in chosen_sources(weights, settings):
        folder = source.folder or settings.weights / source.repository
        if here and here.folder == folder:  # listed again, in another revision with other files
            continue
        named = in_folder(source, folder).source
        flaw = by_hand.flaw(folder, named.files)
        if flaw and source.folder:
            found[f"The folder that TURNAROUND_SOURCES names for {source.repository} is not used: {flaw}."] = None
        elif flaw and folder.is_dir():
            found[f"{source.repository} in the folder of TURNAROUND_WEIGHTS is not used: {flaw}."] = None
    return list(found)


def why_unusable(weights: Weights) -> str | None:
    """Where a folder is named that is not in order: nothing takes its place, so nothing can be fetched either."""
    if not chosen_sources(weights, read_settings())[0].folder or located(weights):
        return None
    return (
        f"{weights.name} cannot be used. {' '.join(unused_by_hand(weights))} Put that folder in order, or let "
        "TURNAROUND_SOURCES name another place; other methods are not affected."
    )


def notice(weights: Weights, fetched: Fetched) -> str | None:
    """What to say beside a result when the weights are not those of the card's first line."""
    source, named = fetched.source, weights.first
    if fetched.revision == LOCAL:
        return f"The weights of {weights.name} are from a folder kept by hand, used as they stand."
    if fetched.revision == OWN:
        return f"The weights of {weights.name} are from a folder of this server's own, used as they stand."
    if source.repository != named.repository:
        return f"The weights of {weights.name} are from {source.repository}; their licence: {source.licence}."
    if source.revision != named.revision or (named.fixed and not fetched.revision.startswith(named.revision)):
        return f"The weights of {weights.name} are of another revision than its card names: {fetched.revision[:12]}."
    return None


def check_gates(needed: Sequence[Weights], report: Report, patience: Patience | None = None) -> None:
    """Of several to be fetched, a licence that nobody has accepted is told before a byte of the others comes."""
    missing = [weights for weights in needed if not located(weights)]
    if len(missing) < 2 or hub.is_offline():  # of a single one fetching asks first
        return
    for weights in missing:
        source = chosen_sources(weights, read_settings())[0]
        if source.folder:
            continue
        paths = [source.files[0].path]
        try:
            hub.look_up(source.repository, source.revision, paths, weights.name, report, patience or Patience())
        except Gated as problem:
            raise _at_the_gate(problem, weights, 0, source) from problem
        except Gone:
            pass  # perhaps a mirror has it: fetching tells


def fetch(weights: Weights, report: Report, patience: Patience | None = None) -> Fetched:
    """The weights, downloaded if they are not here. Every failure is a sentence, nothing half-fetched is located."""
    sweep()
    if found := located(weights):
        return found
    patience, settings = patience or Patience(), read_settings()
    sources = chosen_sources(weights, settings)
    if problem := why_unusable(weights):
        raise TurnaroundError(problem)
    _verify_what_is_here(weights.name, sources, Verified(settings.data), report)
    if found := located(weights):
        return found
    _refuse_offline(weights)

    # 1. Source by source: the next only where this one is gone. A licence that nobody has accepted is no such reason
    refusals: list[str] = []
    moved: list[Source] = []
    for source in dict.fromkeys(sources):
        what = weights.name
        if refusals:
            what += f" from {source.repository} instead (licence: {source.licence})"
        try:
            return _fetch_from(source, source.revision, what, settings, report, patience)
        except Gated as problem:
            raise _at_the_gate(problem, weights, sources.index(source), source) from problem
        except Gone as problem:
            refusals.append(f"{source.repository} ({problem})")
            moved += [source] if problem.revision and source.fixed else []

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


def check_room_for(several: Sequence[Weights]) -> None:
    """That the disk has room for all that is missing, before a byte of it comes: half of it is of no use.

    By the cards, which are nearly right; each is looked at once more when its sizes are known.
    """
    missing = {weights.name: count for weights in several if (count := missing_bytes(weights))}
    if len(missing) > 1 and not hub.is_offline():
        free_bytes = int(read_settings().free_disk_mb * 1e6)
        check_room(sum(missing.values()), cache_folder(), " + ".join(missing), free_bytes)


def chosen_sources(weights: Weights, settings: Settings) -> tuple[Source, ...]:
    """The card's sources, those replaced that TURNAROUND_SOURCES replaces.

    Whoever names another revision vouches for it: the card's sizes and checksums are of the old one, and only the
    Hub's own word is left to check against. A repository that the card lists, too, comes as the card has it. Whoever
    names a folder wants that, and nothing in its stead.
    """
    folders = settings.folders
    own = [each for each in weights.sources if each.repository in folders]
    if own:
        return tuple(replace(each, folder=folders[each.repository], gated=False) for each in own)
    found: list[Source] = []
    listed = {source.repository: source for source in reversed(weights.sources)}
    for source in weights.sources:
        repository, revision = settings.moves.get(source.repository, (source.repository, None))
        licence = f"{source.licence}, as its card says of {source.repository}"
        of_the_original = replace(source, licence=licence, gated=False)  # where it is, the Hub says so
        chosen = source if repository == source.repository else listed.get(repository, of_the_original)
        if revision:
            chosen = replace(chosen, files=tuple(replace(file, sha256=None, exact=False) for file in chosen.files))
        found.append(replace(chosen, repository=repository, revision=revision or chosen.revision))
    return tuple(found)


# --- What is here -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Here:
    """What the Hub's cache may have of a source."""

    source: Source
    folder: Path
    stands_in: bool
    """For a pin that is gone: then nothing but what the card says of the files can tell whether they are the ones."""

    def seems_to_have(self, file: WeightFile) -> bool:
        with suppress(OSError):
            return file.may_have((self.folder / file.path).stat().st_size)
        return False

    def is_verified(self, file: WeightFile, verified: Verified) -> bool:
        path = self.folder / file.path
        found = verified.digests(path)
        vouched = f"sha256:{file.sha256}" if file.sha256 else digest_by_name(path)  # copies were checked when fetched
        return bool(found) and (not vouched or vouched in found) and (not self.stands_in or self.seems_to_have(file))


def _cached(sources: tuple[Source, ...], verified: Verified) -> Iterator[_Here]:
    """Each source's snapshot in the Hub's cache, if it has one; at last, what came in a pin's stead.

    Only the Hub can say that a pin is gone. Offline it cannot be asked, and what `main` was will do if it fits. In the
    place of a folder of one's own nothing will.
    """
    sources = tuple(source for source in sources if not source.folder)
    for source in sources:
        ours = shelf(source.repository)
        if commit := ours.commit_of(source.revision):
            yield _Here(_named_as_cached(source, commit), ours.snapshot(commit), False)
    for source in sources:
        if source.fixed:
            ours = shelf(source.repository)
            commit = verified.stand_in(source.repository, source.revision)
            if commit or (hub.is_offline() and (commit := ours.commit_of(MAIN))):
                yield _Here(_named_as_cached(source, commit), ours.snapshot(commit), True)


def _named_as_cached(source: Source, commit: str) -> Source:
    snapshot = shelf(source.repository).snapshot(commit)
    return source.named_as_in(lambda path: (snapshot / path).is_file())


def _verify_what_is_here(name: str, sources: tuple[Source, ...], verified: Verified, report: Report) -> None:
    """Read what others put into the cache, once, where it is a whole set. A content that belies its name is removed."""
    for here in _cached(sources, verified):
        files = here.source.files
        if not all(os.path.isfile(here.folder / file.path) for file in files):
            continue
        if here.stands_in and not all(here.seems_to_have(file) for file in files):
            continue
        for number, file in enumerate(files):
            path = here.folder / file.path
            by_name = digest_by_name(path)
            if verified.digests(path) or not (by_name or file.sha256):
                continue

            def tell(text: str, fraction: float = number / len(files)) -> None:
                report(fraction, text)

            found = digests_of(path, tell, f"Checking {name}, which is here already")
            if by_name and by_name not in found:
                with suppress(OSError):
                    shelf(here.source.repository).discard(path)
            else:
                verified.remember(path, found)


def _refuse_offline(weights: Weights) -> None:
    if hub.is_offline():
        missing, whole = missing_bytes(weights), weights.first.size_bytes
        part = f"{megabytes(missing)} of {megabytes(whole)}" if missing < whole else megabytes(whole)
        raise TurnaroundError(
            f"{weights.name} is not on this machine ({part} missing), and HF_HUB_OFFLINE forbids fetching it. Unset it "
            "while there is a network, or put the files into the folder of TURNAROUND_WEIGHTS; methods whose weights "
            "are here work on." + "".join(f" {sentence}" for sentence in unused_by_hand(weights))
        )


def _at_the_gate(problem: Gated, weights: Weights, number: int, source: Source) -> Gated:
    """What else a person may choose, too. It is not chosen for them: only they can say that they may."""
    words = f"{problem} (The licence: {source.licence}.)"
    for copy in weights.sources[number + 1 :]:
        if not copy.gated and copy.repository != source.repository:
            card = weights.sources[number]
            return Gated(
                f"{words} If you have the right to use it, TURNAROUND_SOURCES={card.repository}={copy.repository} "
                f"picks an ungated copy (its licence: {copy.licence})."
            )
    return Gated(words)


# --- One source -------------------------------------------------------------------------------------------------------


def _fetch_from(
    source: Source, revision: str, what: str, settings: Settings, report: Report, patience: Patience
) -> Fetched:
    """All of one source's files, or nothing that counts."""
    # 1. Which commit; has it all of the files, the published ones; may we have them? Asked before a byte of them comes
    ours, verified, exactly = shelf(source.repository), Verified(settings.data), revision
    if source.shortened and revision == source.revision:
        exactly = hub.full_commit(source.repository, revision, what, report, patience)
        with disk_sentences(f"{what} could not be stored in the Hub's cache (HF_HUB_CACHE)"):
            ours.refer(revision, exactly)
    named, remotes = _looked_up(source, exactly, what, report, patience)
    commits = {remote.commit for remote in remotes}
    if len(commits) > 1 or (COMMIT.fullmatch(exactly) and commits != {exactly}):
        raise Gone("it answers with another revision than was asked for")
    wanted: list[Wanted] = []
    for file, remote in zip(named.files, remotes, strict=True):
        pinned = f"sha256:{file.sha256}" if file.sha256 else None
        other = pinned and remote.digest and remote.digest.startswith("sha256:") and remote.digest != pinned
        other = other or (file.exact and remote.size_bytes != file.size_bytes)
        if other or (revision != source.revision and not file.may_have(remote.size_bytes)):
            raise Gone(f"its {file.path} is not the published one")
        digests = tuple(digest for digest in (pinned, remote.digest) if digest)
        if not digests:
            raise Gone(f"neither the card nor {hub.host()} has a checksum for its {file.path}")
        wanted.append(Wanted(remote, digests))

    # 2. Fetched, verified, linked; then the whole counts
    commit = commits.pop()
    transfer(wanted, ours, source.repository, verified, what, int(settings.free_disk_mb * 1e6), report, patience)
    ours.refer(revision, commit)
    if revision != source.revision:
        verified.remember_stand_in(source.repository, source.revision, commit)
    return Fetched(ours.snapshot(commit), named, commit)


def _looked_up(
    source: Source, revision: str, what: str, report: Report, patience: Patience
) -> tuple[Source, list[Remote]]:
    """By the card's names of the files or, where one is not there, by what else it may be called."""

    def ask(paths: Sequence[str]) -> list[Remote]:
        return hub.look_up(source.repository, revision, paths, what, report, patience)

    def has(path: str) -> bool:
        try:
            return bool(ask([path]))
        except Gone:
            return False

    try:
        return source, ask([file.path for file in source.files])
    except Gone as problem:
        if not problem.file or (named := source.named_as_in(has)) == source:
            raise
    return named, ask([file.path for file in named.files])
