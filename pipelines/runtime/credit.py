"""Whose work a result stands on, inside its files: the licence, the citation, and what a 3D model says of itself."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipelines.runtime.method import Card
from pipelines.runtime.settings import read_settings
from pipelines.runtime.weights import OWN, Source, chosen_sources

LICENCE, CITATION = "LICENCE.txt", "CITATION.bib"
UNKNOWN = "a place that its card does not name; its licence is as its owner says"


def credit_files(card: Card, used: Mapping[str, str] | None = None) -> dict[str, str]:
    """LICENCE.txt, and CITATION.bib where the method asks to be cited. `used`: repository to revision, of a run."""
    files = {LICENCE: _licence(card, used or {})}
    if card.citation:
        files[CITATION] = card.citation.strip() + "\n"
    return files


def credit_line(method: Card | Mapping[str, Any]) -> str:
    """For the comment that PNG, MP4, WebP and GIF each have a place for. `method` may be what a manifest says of it."""
    said = asdict(method) if isinstance(method, Card) else method
    parts = [f"Made with {said.get('title')} (licence: {said.get('licence')})."]
    parts += [str(said[name]) for name in ("paper", "code") if said.get(name)]
    parts += [f"Please cite: {' '.join(str(said['citation']).split())}"] if said.get("citation") else []
    return " ".join(parts)


def glb_about(card: Card) -> dict[str, Any]:
    """For glTF's `asset`, where viewers look for it."""
    said = {"method": card.title, "licence": card.licence, "paper": card.paper, "code": card.code}
    extras = {**said, "citation": card.citation.strip() if card.citation else None}
    return {
        "copyright": f"Made with {card.title} (licence: {card.licence})",
        "extras": {name: value for name, value in extras.items() if value},
    }


def sources_of(card: Card, used: Mapping[str, str]) -> list[tuple[Source, str]]:
    """Where the weights of a run came from, each with its revision; without a run, what the card says first."""
    if not used:
        return [(weights.first, weights.first.revision) for weights in card.weights]
    settings, known = read_settings(), dict[str, Source]()
    for weights in card.weights:
        for source in (*weights.sources, *chosen_sources(weights, settings)):
            known.setdefault(source.repository, source)
    unknown = {repository: Source(repository, revision, (), UNKNOWN) for repository, revision in used.items()}
    return [({**unknown, **known}[repository], revision) for repository, revision in used.items()]


def _licence(card: Card, used: Mapping[str, str]) -> str:
    lines = [f"Made with {card.title}.", "", f"Licence of the method: {card.licence}"]
    lines += [f"{name}: {value}" for name, value in (("Paper", card.paper), ("Code", card.code)) if value]
    if card.weights:
        lines += ["", "Weights, each with its own licence:"]
        for source, revision in sources_of(card, used):
            own = f"- a folder of the server's own in place of {source.repository}: its licence is as its owner says"
            lines.append(own if revision == OWN else f"- {source.repository}, revision {revision}: {source.licence}")
    if card.citation:
        lines += ["", f"If you use this in a publication, please cite the entry in {CITATION}."]
    lines += [
        "",
        "The licences say what may be done with pictures and models made this way. The photo stays its owner's.",
    ]
    return "\n".join(lines) + "\n"
