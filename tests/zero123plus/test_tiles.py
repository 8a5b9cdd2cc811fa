"""From one picture to six."""

import numpy as np
import pytest

from pipelines.zero123plus.tiles import cut_apart, zoom_to_fill


def test_the_tiles_are_read_like_a_page() -> None:
    grid = np.zeros((960, 640, 3), np.uint8)
    for row in range(3):
        for column in range(2):
            grid[320 * row : 320 * (row + 1), 320 * column : 320 * (column + 1)] = 10 * row + column
    grid[320, 0] = 99
    tiles = cut_apart(grid)
    assert [int(tile[10, 10, 0]) for tile in tiles] == [0, 1, 10, 11, 20, 21]
    assert tiles[2][0, 0, 0] == 99 and {tile.shape for tile in tiles} == {(320, 320, 3)}


def cutout(width: int, height: int) -> np.ndarray:
    rgba = np.zeros((320, 320, 4), np.uint8)
    rgba[160 - height // 2 : 160 + height // 2, 160 - width // 2 : 160 + width // 2] = 200, 10, 10, 255
    return rgba


def test_the_longest_side_of_any_view_fills_what_the_photos_does() -> None:
    cutouts = [cutout(100, 120), cutout(256, 120), cutout(40, 120)]
    assert zoom_to_fill("v1.2", cutouts, 0.8) == pytest.approx(1.0)
    assert zoom_to_fill("v1.2", cutouts, 0.4) == pytest.approx(0.5)


def test_a_stray_or_nothing_is_not_blown_up() -> None:
    assert zoom_to_fill("v1.2", [cutout(0, 0)] * 6, 0.8) == pytest.approx(1.6)
    assert zoom_to_fill("v1.2", [cutout(4, 4)] * 6, 0.8) == pytest.approx(1.6)


def test_v1_1_keeps_the_scale_of_the_photo_it_was_shown() -> None:
    for size in (40, 300):
        assert zoom_to_fill("v1.1", [cutout(size, size)] * 6, 0.6) == pytest.approx(0.75)
