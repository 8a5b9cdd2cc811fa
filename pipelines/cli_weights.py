"""The command line's part about weights: `fetch`, `fetch --check`, and what `doctor` says of them."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pipelines.cli_bar import Bar
from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.registry import METHODS, find_method
from pipelines.runtime import hub
from pipelines.runtime.compare import sentence_of
from pipelines.runtime.devices import this_machine
from pipelines.runtime.download import megabytes
from pipelines.runtime.hub import Gone, Overview, Patience, Unavailable
from pipelines.runtime.method import Method
from pipelines.runtime.report import Report
from pipelines.runtime.settings import Settings, read_settings
from pipelines.runtime.weights import (
    LOCAL,
    MAIN,
    OWN,
    Fetched,
    Source,
    Weights,
    check_room_for,
    chosen_sources,
    fetch,
    kept_bytes,
    located,
    missing_bytes,
    notice,
    unused_by_hand,
    why_unusable,
)


def add_fetch(commands: Any) -> None:
    command = commands.add_parser("fetch", help="fetch the weights of methods, to prepare a machine")
    command.set_defaults(run=_fetch, stopped=_stopped)
    command.add_argument("methods", nargs="*", metavar="METHOD", help="see `methods`; with --check, none means all")
    command.add_argument("--all", action="store_true", help="those of every option, not only of the default ones")
    command.add_argument("--check", action="store_true", help="only compare the cards with what the Hub has today")
    command.add_argument("--json", action="store_true", help="one JSON line per set of weights on standard output")


def _fetch(chosen: argparse.Namespace, settings: Settings) -> int:
    """Exit code 1 when something could not be fetched, or differs from its card."""
    methods = [find_method(key) for key in dict.fromkeys(chosen.methods)]
    if not methods and not chosen.check:
        keys = ", ".join(method.card.key for method in METHODS if method.card.weights) or "none"
        raise TurnaroundError(f"Say which methods' weights to fetch. Those that have any: {keys}.")
    bar = Bar("weights")
    report = Report(bar.show)
    well = True
    try:
        if chosen.check:
            return _check(methods or METHODS, settings, report, bar, chosen.json)
        machine = this_machine(settings.data)
        for method in methods:
            blockers = list(method.blockers(machine))
            if not chosen.json:
                for blocker in blockers:
                    print(f"{method.card.key}: cannot run here: {blocker}", flush=True)
            needed = method.card.weights if chosen.all else method.weights_for(method.Options())
            if not needed and not chosen.json:
                print(f"{method.card.key}: needs no weights")
            no_room = _no_room_for(needed)
            for weights in needed:
                unused = unused_by_hand(weights)
                if not chosen.json:
                    print("".join(f"{method.card.key}: {line}\n" for line in unused), end="", flush=True)
                told = {**_fetched(method, weights, report, no_room), "blockers": blockers, "unused": unused}
                bar.clear()
                well = well and told["ok"]
                _tell(told, chosen.json)
    finally:
        bar.clear()
    return 0 if well else 1


def _stopped(chosen: argparse.Namespace) -> str:
    kept = " What has arrived is kept, and the same command goes on from there."
    return "Stopped." + ("" if chosen.check else kept)


def _no_room_for(needed: Sequence[Weights]) -> str | None:
    """Why none of a method's sets is fetched, if the disk cannot hold all of them."""
    try:
        check_room_for(needed)
    except TurnaroundError as problem:
        return str(problem)
    return None


def _fetched(method: Method, weights: Weights, report: Report, no_room: str | None) -> dict[str, Any]:
    told: dict[str, Any] = {"method": method.card.key, "weights": weights.name}
    if no_room and missing_bytes(weights):
        return {"ok": False, **told, "error": no_room}
    try:
        found = fetch(weights, report)
    except (Cancelled, KeyboardInterrupt):
        raise
    except Exception as error:
        return {"ok": False, **told, "error": sentence_of(error)}
    where = {"repository": found.source.repository, "revision": found.revision, "folder": str(found.folder)}
    size, licence = _size_bytes(found), found.source.licence
    return {"ok": True, **told, **where, "bytes": size, "licence": licence, "note": notice(weights, found)}


def _tell(told: dict[str, Any], as_json: bool) -> None:
    name = f"{told['method']}: {told['weights']}"
    if as_json:
        print(json.dumps(told), flush=True)
    elif told["ok"]:
        where = f"{told['repository']} {told['revision'][:12]}"
        print(f"{name}: here, {megabytes(told['bytes'])} of {where} ({told['licence']})", flush=True)
        if told["note"]:
            print(f"  {told['note']}", flush=True)
    else:
        print(f"{name}: {told['error']}", file=sys.stderr, flush=True)


# --- What doctor says -------------------------------------------------------------------------------------------------


def weights_state(method: Method) -> list[dict[str, Any]]:
    """Of each set: how big it is, what is missing, and what its first source asks for. Contacts nobody."""
    states: list[dict[str, Any]] = []
    for weights in method.card.weights:
        here = located(weights)
        source = here.source if here else chosen_sources(weights, read_settings())[0]
        states.append(
            {
                "name": weights.name,
                "here": here is not None,
                "folder": str(here.folder) if here else None,
                "bytes": _size_bytes(here) if here else source.size_bytes,
                "unusable": why_unusable(weights) is not None,
                "missing_bytes": missing_bytes(weights),
                "kept_bytes": 0 if here or source.folder else kept_bytes(source),
                "repository": source.repository,
                "revision": here.revision if here else OWN if source.folder else source.revision,
                "pinned": source.pinned,
                "gated": source.gated,
                "licence": source.licence,
                "unused": unused_by_hand(weights),
            }
        )
    return states


def _size_bytes(found: Fetched) -> int:
    """As it lies there: what was put there by hand may be smaller than what was published."""
    return sum((found.folder / file.path).stat().st_size for file in found.source.files)


def state_in_words(state: dict[str, Any]) -> str:
    size = megabytes(state["bytes"])
    if state["here"]:
        text = f"here, {size} in {state['folder']}"
    elif state["unusable"]:
        text = "cannot be used"
    elif not state["missing_bytes"]:
        text = f"here, {size}, to be verified when first used"
    elif state["missing_bytes"] < state["bytes"]:
        text = f"{megabytes(state['missing_bytes'])} of {size} missing; fetched when first used"
    else:
        text = f"missing; {size} are fetched when first used"
    if state["kept_bytes"]:
        text += f", going on from {megabytes(state['kept_bytes'])} of an earlier try"
    if state["gated"] and not state["here"]:
        text += f", once its licence is accepted at {hub.endpoint()}/{state['repository']}"
    if not state["pinned"] and state["revision"] not in (LOCAL, OWN):
        text += f"; unpinned: {state['repository']} {state['revision'][:12]}"
    return " ".join([f"{state['name']}: {text} ({state['licence']})", *state["unused"]])


# --- fetch --check ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Compared:
    wrong: list[str] = field(default_factory=list)
    """Where the card and the Hub differ."""
    unasked: str | None = None
    """Why nothing is known of that."""
    told: list[str] = field(default_factory=list)
    """What else is worth knowing."""
    files: list[dict[str, Any]] = field(default_factory=list)
    """Sizes and checksums, where the card lacks them."""

    @property
    def verdict(self) -> str:
        return "could not be asked" if self.unasked else "differs" if self.wrong else "as on its card"


def _check(methods: Sequence[Method], settings: Settings, report: Report, bar: Bar, as_json: bool) -> int:
    """Each source of each card against today's Hub, each once; a Hub that cannot be asked now is not asked again."""
    well, unavailable, hub_today = True, None, _Today(report)
    every = [weights for method in methods for weights in method.card.weights]
    chosen = {source: weights.name for weights in every for source in chosen_sources(weights, settings)}
    sources = {source: name for source, name in chosen.items() if not source.folder}
    for source, name in sources.items():
        found = _Compared(unasked=unavailable)
        if not unavailable:
            try:
                found = _compared(source, hub_today)
            except Cancelled:
                raise
            except Unavailable as problem:
                found = _Compared(unasked=str(problem))
                unavailable = f"not asked, because {hub.host()} could not be asked just before"
            except TurnaroundError as problem:
                found = _Compared(unasked=str(problem))
        bar.clear()
        well = well and not found.wrong and not found.unasked
        if as_json:
            line = {"ok": not (found.wrong or found.unasked), "weights": name, "repository": source.repository}
            line |= {"revision": source.revision, "problems": found.wrong, "unasked": found.unasked}
            print(json.dumps({**line, "notes": found.told, "files": found.files}), flush=True)
            continue
        print(f"{name}: {source.repository} {source.revision[:12]}: {found.verdict}")
        lines = [*([found.unasked] if found.unasked else []), *found.wrong, *found.told]
        print("".join(f"  {line}\n" for line in lines), end="", flush=True)
        for file in found.files:
            digest = f'"{file["sha256"]}"' if file["sha256"] else "None"
            print(f'    WeightFile("{file["path"]}", {file["bytes"]:_}, {digest}, exact=True),')
    return 0 if well else 1


class _Today:
    """What the Hub has; several cards may name one revision of a repository, which is asked about once."""

    def __init__(self, report: Report) -> None:
        self._report, self._patience = report, Patience()
        self._known: dict[tuple[str, str], Overview | Gone] = {}

    def overview(self, repository: str, revision: str, *, shortened: bool = False) -> Overview:
        if (repository, revision) not in self._known:
            self._known[repository, revision] = self._asked(repository, revision, shortened)
        known = self._known[repository, revision]
        if isinstance(known, Gone):
            raise known
        return known

    def _asked(self, repository: str, revision: str, shortened: bool) -> Overview | Gone:
        what, report, patience = repository, self._report, self._patience
        try:
            if shortened:
                revision = hub.full_commit(repository, revision, what, report, patience, anonymously=True)
            return hub.overview(repository, revision, what, report, patience)
        except Gone as problem:
            return problem


def _compared(source: Source, hub_today: _Today) -> _Compared:
    try:
        today = hub_today.overview(source.repository, source.revision, shortened=source.shortened)
    except Gone as problem:
        also = f"; `{MAIN}` may still have these files" if problem.revision else ""
        return _Compared([f"{problem}{also}"])
    found = _Compared(list(_differences(source, today)))
    if not source.pinned:
        found.told.append(f"unpinned: {source.revision} is {today.commit} today")
    if source.fixed:
        with suppress(Gone):  # no branch has to be called so
            newest = hub_today.overview(source.repository, MAIN).commit
            if newest != today.commit:
                found.told.append(f"`{MAIN}` has moved on, to {newest}; the pin is still there")
    if today.gated:
        found.told.append("gated: its licence must be accepted before anything is fetched")
    for file in source.files:
        there = today.files.get(file.path)
        if there and not (file.exact and file.sha256):
            sha256 = there.etag if there.digest and there.digest.startswith("sha256:") else None
            if not (file.exact and sha256 is None):
                found.files.append({"path": file.path, "bytes": there.size_bytes, "sha256": sha256})
    return found


def _differences(source: Source, today: Overview) -> Iterator[str]:
    if today.repository != source.repository:
        yield f"renamed: it is {today.repository} now"
    if today.gated and not source.gated:
        yield "gated, which its card does not say"
    for file in source.named_as_in(today.files.__contains__).files:
        there = today.files.get(file.path)
        if there is None:
            yield f"{file.path}: not there"
        else:
            if not file.may_have(there.size_bytes):
                yield f"{file.path}: {file.size_bytes:,} bytes on its card, {there.size_bytes:,} there"
            large = there.digest and there.digest.startswith("sha256:")
            if file.sha256 and large and there.etag != file.sha256:
                yield f"{file.path}: sha256 {file.sha256} on its card, {there.etag} there"
