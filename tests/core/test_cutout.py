"""The remover without a download, on pictures whose truth is known because they are made here."""

import cv2
import numpy as np
import pytest

from pipelines.core.cutout import outline

SIDE = 360


def mug() -> np.ndarray:
    """A mug with a handle, its hole, and a soft outline, [H, W] in 0..1."""
    alpha = np.zeros((4 * SIDE, 4 * SIDE), np.float32)
    cv2.rectangle(alpha, (440, 420), (840, 1040), 1, -1)
    cv2.ellipse(alpha, (860, 700), (170, 200), 0, 0, 360, 1, 55)
    return cv2.resize(alpha, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def painted(alpha: np.ndarray, colour: tuple[int, int, int], background: np.ndarray) -> np.ndarray:
    """Shaded from left to right, with a stripe, as if lit from one side."""
    light = np.linspace(1.1, 0.75, SIDE)[None, :, None]
    own = np.array(colour) * light * np.ones((SIDE, 1, 1))
    own[190:215] = np.array((240, 205, 90)) * light
    mixed = own * alpha[..., None] + background * (1 - alpha[..., None])
    return np.rint(mixed.clip(0, 255)).astype(np.uint8)


def plain() -> np.ndarray:
    return np.full((SIDE, SIDE, 3), (225, 222, 215), float)


def gradient() -> np.ndarray:
    return plain() * np.linspace(0.55, 1.05, SIDE)[:, None, None]


def two_walls() -> np.ndarray:
    background = plain() * 0.9
    background[240:] = (120, 90, 60)
    return background


def grainy() -> np.ndarray:
    random = np.random.default_rng(0)
    grain = sum(
        cv2.resize(random.normal(0, 1, (cells, cells)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        for cells in (8, 30, 90)
    )
    return plain() * 0.8 + 14 * np.asarray(grain)[..., None]


def shadowed() -> np.ndarray:
    shade = cv2.GaussianBlur(np.roll(mug(), (14, 20), (0, 1)), (0, 0), 12)[..., None]
    return plain() * (1 - 0.4 * shade) + np.random.default_rng(0).normal(0, 3, (SIDE, SIDE, 3))


def iou(found: np.ndarray, truth: np.ndarray) -> float:
    return float(((found >= 0.5) & (truth >= 0.5)).sum() / ((found >= 0.5) | (truth >= 0.5)).sum())


@pytest.mark.parametrize("background", [plain, gradient, two_walls, grainy])
@pytest.mark.parametrize("colour", [(190, 60, 50), (40, 60, 110), (60, 60, 62)])
def test_an_object_before_a_calm_background_is_found_with_its_hole(background, colour) -> None:
    truth = mug()
    found = outline(painted(truth, colour, background()))
    assert found.shape == truth.shape and found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1
    assert iou(found, truth) > 0.95
    assert found[175, 212] < 0.5  # inside the handle


@pytest.mark.parametrize("colour", [(190, 60, 50), (40, 60, 110), (60, 60, 62)])
def test_a_shadow_beside_the_object_stays_behind(colour) -> None:
    truth = mug()
    found = outline(painted(truth, colour, shadowed()))
    shadow = np.roll(truth, (14, 20), (0, 1)) * (cv2.dilate(truth, np.ones((7, 7))) < 0.1)
    shadow[:, :262] *= np.arange(SIDE)[:, None] > 265  # the handle's hole, dark all round, is another matter
    assert shadow.sum() > 1500
    assert found[shadow > 0.5].mean() < 0.1
    assert found[truth > 0.99].mean() > 0.98


def test_a_small_object_in_a_large_picture_is_found() -> None:
    small = cv2.resize(mug(), (90, 90), interpolation=cv2.INTER_AREA)
    truth = np.zeros((SIDE, SIDE), np.float32)
    truth[200:290, 60:150] = small
    assert iou(outline(painted(truth, (60, 70, 160), grainy())), truth) > 0.8


def test_a_white_object_on_a_nearly_white_background_is_found_by_its_edges() -> None:
    truth = mug()
    assert iou(outline(painted(truth, (205, 205, 205), np.full((SIDE, SIDE, 3), 250.0))), truth) > 0.9


def test_the_edge_is_soft_where_colours_mix_and_nowhere_else() -> None:
    truth = mug()
    found = outline(painted(truth, (190, 60, 50), plain()))
    near = cv2.dilate(((truth > 0) & (truth < 1)).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert np.abs(found - truth)[near].mean() < 0.1
    assert (
        (found > 0.02) & (found < 0.98) & ~cv2.dilate(near.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    ).sum() < 20


def test_the_same_picture_gives_the_same_bits_whatever_was_drawn_before() -> None:
    picture = painted(mug(), (190, 60, 50), grainy())
    first = outline(picture)
    cv2.setRNGSeed(987)
    outline(picture[:200])
    assert np.array_equal(first, outline(picture))


@pytest.mark.parametrize("shape", [(64, 64), (64, 512), (2048, 256), (65, 97)])
def test_any_size_and_aspect_is_answered(shape) -> None:
    picture = np.full((*shape, 3), 200, np.uint8)
    height, width = shape
    picture[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = (30, 60, 120)
    found = outline(picture)
    truth = np.zeros(shape)
    truth[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = 1
    assert iou(found, truth) > 0.9


@pytest.mark.parametrize("background", [plain, gradient, grainy])
@pytest.mark.parametrize("light", [0, 0.5, 1])
def test_an_empty_wall_has_no_object(background, light) -> None:
    assert outline(np.rint((background() * light).clip(0, 255)).astype(np.uint8)).max() == 0
