"""Whose work a result stands on, inside its files: the licence, the citation, and what a 3D model says of itself."""

from typing import Any

from pipelines.runtime.method import Card

LICENCE, CITATION = "LICENCE.txt", "CITATION.bib"


def credit_files(card: Card) -> dict[str, str]:
    """LICENCE.txt, and CITATION.bib where the method asks to be cited."""
    files = {LICENCE: _licence(card)}
    if card.citation:
        files[CITATION] = card.citation.strip() + "\n"
    return files


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
        sources = [weights.first for weights in card.weights]
        lines += [f"- {source.repository}, revision {source.revision}: {source.licence}" for source in sources]
    if card.citation:
        lines += ["", f"If you use this in a publication, please cite the entry in {CITATION}."]
    lines += [
        "",
        "The licences say what may be done with pictures and models made this way. The photo stays its owner's.",
    ]
    return "\n".join(lines) + "\n"
