"""One work on many pictures, several at a time: OpenCV and NumPy leave Python free meanwhile."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")

MOST = 4  # cores: others have work, too


def side_by_side(work: Callable[[Given], Made], items: Sequence[Given]) -> Iterator[Made]:
    """`work` of each item, in their order. When whoever iterates leaves, what has not begun is never done."""
    with ThreadPoolExecutor(min(len(items) or 1, os.cpu_count() or 1, MOST)) as pool:
        yield from pool.map(work, items)
