"""A contact sheet for a paper's figure: rows are turnarounds, columns are views, beside the photo they were made from.

```text
Photo              0°     45°    90°   135°   180°  -135°
-----------------------------------------------------------
          Inflate  [  ]   [  ]   [  ]   [  ]   [  ]   [  ]
 [  ]
          Other    [  ]   [  ]   [  ]   [  ]   [  ]   [  ]
          seed 3         51.4°
```

A cell shows the frame that is nearest to its column's view; one that is another view says which. Pure: it takes
pictures and words, and returns a page.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import View
from pipelines.core.errors import TurnaroundError
from pipelines.core.images import resize_rgba
from pipelines.core.lettering import clean, width_of, wrapped
from pipelines.core.paper import DOTS_PER_MM, DOTS_PER_POINT, INK, Page, Picture, Rule, Words

MAX_VIEWS, MAX_ROWS = 24, 24
DEFAULT_VIEWS = 8
NEAR_DEG = 45.0  # a frame further from a view than this does not stand for it
SAME_DEG = 0.05  # what a label's one decimal tells apart
WIDEST_GAP_DEG = 60.0  # views that leave no wider gap go all the way round

# Millimetres. Eight columns beside a photo and short titles make 180 mm, the width of a page of two columns.
_CELLS_MM, _CELL_RANGE_MM = 140.0, (16.0, 30.0)
_MOST_COLUMNS = 12  # more views than this go on below
_MARGIN_MM, _GAP_MM, _TITLE_GAP_MM, _GROUP_GAP_MM, _BAND_GAP_MM = 2.0, 0.6, 2.0, 2.4, 5.0
_TITLE_RANGE_MM = (13.5, 26.0)
_HEAD_PT, _TITLE_PT, _DETAIL_PT, _ANGLE_PT, _FOOT_PT = 7.0, 7.5, 6.0, 5.5, 5.0
_SOFT = 110  # grey of what is said beside
_LINE = 1.25  # lines of text, from base line to base line, in their size
_DECIMAL = re.compile(r"-?\d{1,3}(\.\d{1,6})?", re.ASCII)


@dataclass(frozen=True, eq=False)
class Cell:
    view: View
    """The camera that really made it."""
    rgb: NDArray[np.uint8]
    """[S, S, 3] with S = `cell_px(columns)`: see `fitted`."""


@dataclass(frozen=True)
class Row:
    title: str
    detail: str
    """What tells it from others of its title; may be empty."""
    photo: int
    """Which of the sheet's photos it was made from."""
    cells: tuple[Cell | None, ...]
    """One a column; None where no frame is near."""


@dataclass(frozen=True, eq=False)
class Sheet:
    asked: tuple[View, ...]
    photos: tuple[NDArray[np.uint8], ...]
    """[S, S, 3] each."""
    rows: tuple[Row, ...]
    foot: tuple[str, ...] = ()


# --- Which views ------------------------------------------------------------------------------------------------------


def asked_views(text: str, elevation_deg: float) -> tuple[View, ...]:
    """ "0,45,90@10" as views: azimuths, each with its elevation after "@", or else the one given."""
    how = 'Write them as azimuths in degrees, each with its elevation if it has one of its own: "0,45,90@10".'
    parts = text[:2000].split(",")
    if len(parts) > MAX_VIEWS:
        raise TurnaroundError(f"A contact sheet has at most {MAX_VIEWS} views. Ask for fewer.")
    views = []
    for part in parts:
        azimuth, at, elevation = part.strip().partition("@")
        if not _DECIMAL.fullmatch(azimuth) or (at and not _DECIMAL.fullmatch(elevation)):
            raise TurnaroundError(f"The views of the contact sheet were not understood. {how}")
        views.append(View(float(azimuth), float(elevation) if at else elevation_deg))
    return tuple(dict.fromkeys(views))


def shared_elevation(rows: Sequence[Sequence[View]]) -> float:
    """The elevation that most rows have views at; among equals, that of the first."""
    votes: dict[float, int] = {}
    for views in rows:
        for elevation in dict.fromkeys(round(view.elevation_deg, 1) for view in views):
            votes[elevation] = votes.get(elevation, 0) + 1
    return max(votes, key=lambda elevation: votes[elevation])


def default_views(rows: Sequence[Sequence[View]]) -> tuple[View, ...]:
    """What suits all rows: eight of the views they share, spread evenly; else the few there are; else a full turn."""
    distinct = [_distinct(views) for views in rows]
    shared = [view for named, view in distinct[0].items() if all(named in other for other in distinct)]
    if len(shared) >= min(DEFAULT_VIEWS, max(map(len, distinct))):
        return _spread(shared)
    every = {named: view for views in distinct for named, view in views.items()}
    if len(every) <= DEFAULT_VIEWS:
        return _spread(list(every.values()))
    elevation = shared_elevation(rows)
    return tuple(View(360.0 * i / DEFAULT_VIEWS, elevation) for i in range(DEFAULT_VIEWS))


def nearest(views: Sequence[View], asked: View) -> int | None:
    """The index of the view in the nearest direction, if one is near; among equals at the likeliest distance."""
    away = [
        (
            round(_apart_deg(view, asked), 3),
            round(_turn(view.azimuth_deg, asked.azimuth_deg), 3),  # straight above all else is equal
            abs(view.distance - asked.distance),
        )
        for view in views
    ]
    best = min(range(len(away)), key=lambda i: away[i], default=None)
    return None if best is None or away[best][0] > NEAR_DEG else best


def _apart_deg(a: View, b: View) -> float:
    """`cameras.angle_between` in a tenth of its time, for thousands of views: the haversine."""
    up_a, up_b = math.radians(a.elevation_deg), math.radians(b.elevation_deg)
    around = math.sin(math.radians(a.azimuth_deg - b.azimuth_deg) / 2)
    share = math.sin((up_a - up_b) / 2) ** 2 + math.cos(up_a) * math.cos(up_b) * around**2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(share))))


def _distinct(views: Sequence[View]) -> dict[tuple[float, float], View]:
    """By their angles as a label states them; the first of equal ones."""
    named = {(round(view.azimuth_deg, 1) % 360, round(view.elevation_deg, 1)): view for view in reversed(views)}
    return dict(reversed(named.items()))


def _spread(views: list[View]) -> tuple[View, ...]:
    """At most eight of them, evenly, in the order in which a camera passes them."""
    turns = sorted(views, key=lambda view: (view.azimuth_deg % 360, view.elevation_deg))
    gaps = [(turns[i].azimuth_deg - turns[i - 1].azimuth_deg) % 360 for i in range(len(turns))]
    widest = max(range(len(turns)), key=lambda i: gaps[i])
    goes_round = len(turns) > 2 and gaps[widest] <= WIDEST_GAP_DEG
    if not goes_round:  # begin after the gap
        turns = turns[widest:] + turns[:widest]
    if len(turns) <= DEFAULT_VIEWS:
        return tuple(turns)
    start = turns[0].azimuth_deg
    arc = 360.0 if goes_round else (turns[-1].azimuth_deg - start) % 360
    steps = DEFAULT_VIEWS if goes_round else DEFAULT_VIEWS - 1
    wanted = [start + arc * i / steps for i in range(DEFAULT_VIEWS)]
    return tuple(dict.fromkeys(min(turns, key=lambda view: _turn(view.azimuth_deg, azimuth)) for azimuth in wanted))


def _turn(a_deg: float, b_deg: float) -> float:
    return abs((a_deg - b_deg + 180) % 360 - 180)


# --- The page ---------------------------------------------------------------------------------------------------------


def cell_px(columns: int) -> int:
    """The side of every picture, in dots."""
    low, high = _CELL_RANGE_MM
    return round(min(high, max(low, _CELLS_MM / len(_bands(columns)[0]))) * DOTS_PER_MM)


def fitted(rgba: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """A frame [H, W, 4] on white, as a square of this side."""
    from PIL import Image

    share = side_px / max(rgba.shape[:2])
    height, width = (max(1, round(length * share)) for length in rgba.shape[:2])
    picture = Image.fromarray(resize_rgba(rgba, (width, height)))
    square = Image.new("RGB", (side_px, side_px), "white")
    square.paste(picture, ((side_px - width) // 2, (side_px - height) // 2), picture)
    return np.asarray(square)


def check_rows(count: int) -> None:
    if not count:
        raise TurnaroundError("There is nothing to put on a contact sheet: none of these results has views.")
    if count > MAX_ROWS:
        raise TurnaroundError(f"A contact sheet has at most {MAX_ROWS} rows. Leave some of the tiles out.")


def laid_out(sheet: Sheet) -> Page:
    check_rows(len(sheet.rows))
    side, columns = cell_px(len(sheet.asked)), _bands(len(sheet.asked))
    titles = _title_width(sheet.rows)
    margin, gap = _dots(_MARGIN_MM), _dots(_GAP_MM)
    titles_x = margin + side + _dots(_TITLE_GAP_MM)
    cells_x = titles_x + titles + _dots(_TITLE_GAP_MM)
    width = cells_x + len(columns[0]) * (side + gap) - gap + margin
    items: list[Picture | Words | Rule] = []
    y = margin
    for number, band in enumerate(columns):
        y += _dots(_BAND_GAP_MM) if number else 0
        y = _head(items, [sheet.asked[i] for i in band], sheet.asked, margin, titles_x, cells_x, side, y, width)
        last = -1
        start = y
        for row in sheet.rows:
            if last not in (-1, row.photo):
                _photo(items, sheet.photos[last], margin, start, y - gap, side)
                y += _dots(_GROUP_GAP_MM) - gap
                items.append(Rule(margin, y - _dots(_GROUP_GAP_MM) // 2, width - 2 * margin, 0.25, 190))
                start = y
            last = row.photo
            y = (
                _row(items, row, [(row.cells[i], sheet.asked[i]) for i in band], titles_x, titles, cells_x, side, y)
                + gap
            )
        _photo(items, sheet.photos[last], margin, start, y - gap, side)
    y = _foot(items, sheet.foot, margin, width, y)
    return Page(width, y + margin, tuple(items))


def _head(
    items: list[Picture | Words | Rule],
    views: list[View],
    all_views: tuple[View, ...],
    margin: int,
    titles_x: int,
    cells_x: int,
    side: int,
    y: int,
    width: int,
) -> int:
    """What each column shows. One elevation for all is said once."""
    elevations = {round(view.elevation_deg, 1) for view in all_views}
    base = y + round(_HEAD_PT * DOTS_PER_POINT)
    items.append(Words(margin + side / 2, base, "Photo", _HEAD_PT, anchor="middle"))
    if len(elevations) == 1:
        said = f"elevation {_degrees(elevations.pop())}"
        items.append(Words(titles_x, base, said, _DETAIL_PT, _SOFT))
    for i, view in enumerate(views):
        middle = cells_x + i * (side + _dots(_GAP_MM)) + side / 2
        items.append(Words(middle, base, label(view, all_views), _HEAD_PT, anchor="middle"))
    line = base + round(0.45 * _HEAD_PT * DOTS_PER_POINT)
    items.append(Rule(margin, line, width - 2 * margin))
    return line + _dots(1.0)


def _row(
    items: list[Picture | Words | Rule],
    row: Row,
    cells: list[tuple[Cell | None, View]],
    titles_x: int,
    titles: int,
    cells_x: int,
    side: int,
    y: int,
) -> int:
    """Returns where it ends."""
    lines = [(line, _TITLE_PT, INK) for line in wrapped(clean(row.title), titles, _px(_TITLE_PT), 3)]
    lines += [(line, _DETAIL_PT, _SOFT) for line in wrapped(clean(row.detail), titles, _px(_DETAIL_PT), 2)]
    height = sum(_px(points) * _LINE for _, points, _ in lines)
    at = y + side / 2 - height / 2
    for line, points, grey in lines:
        at += _px(points) * _LINE
        items.append(Words(titles_x, at - 0.3 * _px(points), line, points, grey))
    labelled = False
    for i, (cell, asked) in enumerate(cells):
        x = cells_x + i * (side + _dots(_GAP_MM))
        if cell is None:
            items.append(
                Words(x + side / 2, y + side / 2 + 0.35 * _px(_ANGLE_PT), "no view near", _ANGLE_PT, 150, "middle")
            )
            continue
        items.append(Picture(x, y, cell.rgb))
        if _apart_deg(cell.view, asked) > SAME_DEG:
            labelled = True
            true = label(cell.view, (cell.view, asked))
            items.append(Words(x + side / 2, y + side + 0.9 * _px(_ANGLE_PT), true, _ANGLE_PT, _SOFT, "middle"))
    return y + side + (round(1.3 * _px(_ANGLE_PT)) if labelled else 0)


def _photo(
    items: list[Picture | Words | Rule], rgb: NDArray[np.uint8], x: int, top: int, bottom: int, side: int
) -> None:
    """In the middle of the rows that were made from it."""
    items.append(Picture(x, top + (bottom - top - side) // 2, rgb))


def _foot(items: list[Picture | Words | Rule], lines: Sequence[str], margin: int, width: int, y: int) -> int:
    if not lines:
        return y
    y += _dots(1.5)
    items.append(Rule(margin, y, width - 2 * margin))
    y += _dots(0.5)
    for text in lines:
        for line in wrapped(clean(text), width - 2 * margin, _px(_FOOT_PT), 12):
            y += round(_px(_FOOT_PT) * 1.35)
            items.append(Words(margin, y, line, _FOOT_PT, _SOFT))
    return y + round(0.3 * _px(_FOOT_PT))


def label(view: View, among: Sequence[View]) -> str:
    """ "45°", or "45° / 20°" with the elevation where the views it stands among differ in theirs."""
    azimuth, elevation = _degrees(view.azimuth_deg), _degrees(view.elevation_deg)
    same = len({round(other.elevation_deg, 1) for other in among}) == 1
    return azimuth if same else f"{azimuth} / {elevation}"


def _degrees(angle_deg: float) -> str:
    return f"{round(angle_deg, 1) + 0.0:g}°"


def _bands(columns: int) -> list[range]:
    """The columns of each band, one below the other, as even as can be; the first is the longest."""
    count = -(-columns // _MOST_COLUMNS)
    longest = -(-columns // count)
    return [range(start, min(columns, start + longest)) for start in range(0, columns, longest)]


def _title_width(rows: Sequence[Row]) -> int:
    """As wide as the widest line needs, within limits."""
    widest = max(
        max(width_of(clean(row.title), _px(_TITLE_PT)), width_of(clean(row.detail), _px(_DETAIL_PT))) for row in rows
    )
    low, high = (_dots(limit) for limit in _TITLE_RANGE_MM)
    return min(high, max(low, round(widest) + 1))


def _dots(mm: float) -> int:
    return round(mm * DOTS_PER_MM)


def _px(points: float) -> float:
    return points * DOTS_PER_POINT
