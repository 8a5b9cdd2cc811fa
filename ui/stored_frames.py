"""A result's pictures as arrays, read one by one when they are needed."""

from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from pipelines.core.card import VIEWS, Strip
from pipelines.core.errors import TurnaroundError
from pipelines.core.images import resize_rgba
from pipelines.runtime.manifest import DAMAGED
from pipelines.runtime.results import read_png, video_fps
from pipelines.runtime.stored import StoredTurnaround, read_plain
from ui.studio import Studio
from ui.wall_data import Shown

Pixels = NDArray[np.uint8]
NO_SUCH_METHOD = "This result has no turnaround by such a method."


class Frames(Sequence[Pixels]):
    """Each is decoded anew when it is asked for: 360 frames of 1024 px together would take 1.5 GB."""

    def __init__(self, paths: Sequence[Path], most_px: int | None = None) -> None:
        self._paths, self._most_px = paths, most_px

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> Pixels: ...
    @overload
    def __getitem__(self, index: slice) -> "Frames": ...
    def __getitem__(self, index: int | slice) -> "Pixels | Frames":
        if isinstance(index, slice):
            return Frames(self._paths[index], self._most_px)
        return picture_of(self._paths[index], self._most_px)


def picture_of(path: Path, most_px: int | None = None) -> Pixels:
    """RGBA [H, W, 4], its longer side at most `most_px`."""
    data = read_plain(path)
    if not data:
        raise TurnaroundError(DAMAGED)
    rgba = read_png(data)
    height, width = rgba.shape[:2]
    share = min(1.0, (most_px or width + height) / max(height, width))
    return resize_rgba(rgba, (max(1, round(width * share)), max(1, round(height * share))))


def fps_of(made: StoredTurnaround) -> float:
    """The pace of the stored video."""
    return video_fps(len(made.frames))


def in_wall_order(studio: Studio, found: Shown) -> list[StoredTurnaround]:
    """The finished turnarounds as the wall's tiles stand: as asked, or as the methods are listed."""
    methods = found.job.methods if found.job else studio.methods
    order = {method.card.key: place for place, method in enumerate(methods)}
    made = found.result.turnarounds if found.result else ()
    return sorted(made, key=lambda turnaround: order.get(turnaround.key, len(order)))


def strips_of(made: Sequence[StoredTurnaround]) -> list[Strip]:
    """For a link's card: a few views of each, all the way round, without the photo's own where there are enough."""
    strips = []
    for turnaround in made:
        count = len(turnaround.frames)
        chosen = [count * (i + 1) // (VIEWS + 1) for i in range(VIEWS)] if count > VIEWS else range(count)
        title = str(turnaround.manifest.method.get("title") or turnaround.key)
        strips.append(Strip(title, [picture_of(turnaround.frames[i]) for i in chosen]))
    return strips
