"""Whose work a result stands on, inside its files: the licence, the citation, and what a 3D model says of itself."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipelines.runtime.method import Card

LICENCE, CITATION = "LICENCE.txt", "CITATION.bib"


def credit_files(card: Card) -> dict[str, str]:
    """LICENCE.txt, and CITATION.bib where the method asks to be cited."""
    files = {LICENCE: _licence(card)}
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


def _licence(card: Card) -> str:
    lines = [f"Made with {card.title}.", "", f"Licence of the method: {card.licence}"]
    lines += [f"{name}: {value}" for name, value in (("Paper", card.paper), ("Code", card.code)) if value]
    if card.weights:
        lines += ["", "Weights, each with its own licence:"]
        lines += [f"- {weights.repository}, revision {weights.revision}: {weights.licence}" for weights in card.weights]
    if card.citation:
        lines += ["", f"If you use this in a publication, please cite the entry in {CITATION}."]
    lines += [
        "",
        "The licences say what may be done with pictures and models made this way. The photo stays its owner's.",
    ]
    return "\n".join(lines) + "\n"
