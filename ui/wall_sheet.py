"""From a wall to its contact sheet: which rows, which views, which words."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import TurnaroundError
from pipelines.core.paper import Page
from pipelines.core.sheet import (
    Cell,
    Row,
    Sheet,
    asked_views,
    cell_px,
    check_rows,
    default_views,
    fitted,
    laid_out,
    nearest,
    shared_elevation,
)
from pipelines.runtime.stored import StoredResult, StoredTurnaround
from ui.stored_frames import NO_SUCH_METHOD, in_wall_order, picture_of
from ui.studio import Studio
from ui.wall_data import Shown, spec_text


class NotASheet(TurnaroundError):
    """What was asked for is understood, and cannot be drawn."""


@dataclass(frozen=True)
class _Line:
    result: StoredResult
    made: StoredTurnaround

    @property
    def title(self) -> str:
        return str(self.made.manifest.method.get("title") or self.made.key)

    @property
    def photo(self) -> str:
        return self.made.manifest.subject.rgba_sha256


def page_of(
    studio: Studio, wall: Sequence[tuple[Shown, tuple[str, ...]]], views: str, *, base: str, plain: bool
) -> Page:
    """`views` as in an address, empty for what suits the results; `plain` leaves out licences and links.

    `base` is the app's own address, which paper does not know.
    """
    lines = [line for found, keys in wall for line in _lines(studio, found, keys) if line.made.frames]
    with _refusing():
        check_rows(len(lines))
        cameras = [[frame.view for frame in line.made.manifest.frames] for line in lines]
        asked = asked_views(views, shared_elevation(cameras)) if views else default_views(cameras)
    side = cell_px(len(asked))
    photos: dict[str, NDArray[np.uint8]] = {}
    rows = []
    for line, own, detail in zip(lines, cameras, _details(lines), strict=True):
        if line.photo not in photos:
            photos[line.photo] = fitted(picture_of(line.result.subject), side)
        chosen = [nearest(own, view) for view in asked]
        pictures = {i: fitted(picture_of(line.made.frames[i]), side) for i in set(chosen) if i is not None}
        cells = tuple(None if i is None else Cell(own[i], pictures[i]) for i in chosen)
        rows.append(Row(line.title, detail, list(photos).index(line.photo), cells))
    return laid_out(Sheet(asked, tuple(photos.values()), tuple(rows), () if plain else _foot(wall, lines, base)))


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except TurnaroundError as error:
        raise NotASheet(str(error)) from error


def _lines(studio: Studio, found: Shown, keys: tuple[str, ...]) -> list[_Line]:
    made = in_wall_order(studio, found)
    if found.result is None:
        return []
    if not keys:
        return [_Line(found.result, turnaround) for turnaround in made]
    by_key = {turnaround.key: turnaround for turnaround in made}
    if not all(key in by_key for key in keys) and not found.working:
        raise TurnaroundError(NO_SUCH_METHOD)
    return [_Line(found.result, by_key[key]) for key in keys if key in by_key]


def _details(lines: Sequence[_Line]) -> list[str]:
    """For each row, what tells it from the others of its title and photo, and a distance that is not the photo's."""
    facts = [_facts(line) for line in lines]
    said = []
    for line, own in zip(lines, facts, strict=True):
        others = [
            fact
            for other, fact in zip(lines, facts, strict=True)
            if other is not line and (other.title, other.photo) == (line.title, line.photo)
        ]
        words = [f"{name} {value}" for name, value in own.items() if any(o.get(name) != value for o in others)]
        if own in others:
            words.append(f"link …{line.result.id[-4:]}")
        distances = {frame.view.distance for frame in line.made.manifest.frames}
        if distances != {1.0}:
            low, high = min(distances), max(distances)
            words.append(f"distance {low:g}" if low == high else f"distance {low:g} to {high:g}")
        said.append(", ".join(words))
    return said


def _facts(line: _Line) -> dict[str, str]:
    """What may differ between two runs of one method on one photo."""
    manifest = line.made.manifest
    options = {name.replace("_", " "): str(value)[:40] for name, value in manifest.options.items()}
    return {"seed": str(manifest.seed), **options}


def _foot(wall: Sequence[tuple[Shown, tuple[str, ...]]], lines: Sequence[_Line], base: str) -> tuple[str, ...]:
    licences = {line.title: str(line.made.manifest.method.get("licence") or "not stated") for line in lines}
    spec = spec_text((found.id, keys) for found, keys in wall)
    return (
        f"Licences: {', '.join(f'{title} ({licence})' for title, licence in licences.items())}.",
        f"Made with Turnaround. Link: {base}?r={spec.replace(',', ', ')}",
    )
