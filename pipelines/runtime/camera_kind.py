"""From the cameras of a result back to what was asked for, so that one thing of it can be changed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.core.cameras import SPIRAL_RISE_DEG, SWING_DEG, SWING_RANGE_DEG, View, path, wrap_azimuth

SAME = 1e-6  # degrees, and of the distance: far below what anyone can ask for


@dataclass(frozen=True, slots=True)
class Asked:
    """`path(kind, count, view, swing_deg)` gives the views again."""

    kind: str
    count: int
    view: View
    """What the kind does not depend on is 0: an orbit's azimuth, for instance."""
    swing_deg: float = SWING_DEG


def kind_of(views: Sequence[View]) -> Asked | None:
    """None of cameras that no kind makes, as a program may ask for."""
    if not views:
        return None
    return next((asked for asked in _guesses(views) if _same(path_of(asked), views)), None)


def path_of(asked: Asked) -> tuple[View, ...]:
    return path(asked.kind, asked.count, asked.view, asked.swing_deg)


def _guesses(views: Sequence[View]) -> Iterator[Asked]:
    first, count = views[0], len(views)
    if count == 1:
        yield Asked("one view", 1, first)
        return
    turns = [2 * math.pi * i / count for i in range(count)]
    yield Asked("orbit", count, View(0.0, first.elevation_deg, first.distance))

    # A spiral's lowest or highest views may be held off the poles; the most level one tells what it goes round
    level = min(range(count), key=lambda i: abs(views[i].elevation_deg))
    middle = views[level].elevation_deg + SPIRAL_RISE_DEG * math.cos(turns[level])
    if -90 <= middle <= 90:
        yield Asked("spiral", count, View(0.0, middle, first.distance))

    widest = max(range(count), key=lambda i: abs(math.sin(turns[i])))
    moved = wrap_azimuth(views[widest].azimuth_deg - first.azimuth_deg)
    swing = moved / math.sin(turns[widest]) if abs(math.sin(turns[widest])) > SAME else SWING_DEG
    low, high = SWING_RANGE_DEG
    if low - SAME <= swing <= high + SAME:
        yield Asked("swing", count, first, min(high, max(low, swing)))


def _same(some: Sequence[View], others: Sequence[View]) -> bool:
    return len(some) == len(others) and all(
        abs(wrap_azimuth(a.azimuth_deg - b.azimuth_deg)) < SAME
        and abs(a.elevation_deg - b.elevation_deg) < SAME
        and abs(a.distance - b.distance) < SAME
        for a, b in zip(some, others, strict=True)
    )
