"""What stands in for a picture until it is there."""

import numpy as np
import pytest

from pipelines.core.latent_preview import fitted


@pytest.mark.parametrize("size_px", [None, 320])
def test_it_has_the_colours_that_the_photo_teaches(size_px: int | None):
    mixing = np.array([[0.3, 0.1, -0.1], [0.0, 0.2, 0.1], [0.1, 0.0, 0.2], [-0.2, 0.1, 0.0]])

    def rgb_of(latent: np.ndarray) -> np.ndarray:
        return latent.transpose(1, 2, 0) @ mixing * 0.4 + 0.5

    known, other = np.random.default_rng(3).normal(size=(2, 4, 40, 40)).astype(np.float32)
    photo = np.rint(rgb_of(known).clip(0, 1) * 255).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    preview = fitted(known, photo).of(other, size_px)
    side = size_px or 40
    assert preview.shape == (side, side, 4) and preview.dtype == np.uint8 and (preview[..., 3] == 255).all()
    expected, got = rgb_of(other).clip(0, 1), preview[..., :3] / 255
    if size_px:
        assert np.abs(got.mean((0, 1)) - expected.mean((0, 1))).max() < 0.02
    else:
        assert np.abs(got - expected).max() < 0.03


def test_a_photo_of_one_colour_and_a_broken_latent_still_make_a_preview():
    colours = fitted(np.zeros((4, 10, 10), np.float32), np.full((320, 320, 3), 127, np.uint8))
    assert np.abs(colours.of(np.ones((4, 5, 5), np.float32))[..., :3].astype(int) - 127).max() <= 1
    assert colours.of(np.full((4, 5, 5), np.nan, np.float32), 64).shape == (64, 64, 4)
