"""Colours: nothing but the subject's own, everywhere, and a back without a line at the seam."""

import numpy as np
import pytest

from pipelines.core.cameras import View, photo_distance
from pipelines.core.raster import Renderer
from pipelines.core.silhouette import trace
from pipelines.inflate.model import chosen_back, inflated
from pipelines.inflate.texture import atlas, bled, is_profile
from pipelines.runtime.method import Report
from tests.inflate import shapes

BACKS = ("mirror", "smooth")


def seen(rgba: np.ndarray, back, azimuth_deg: float, size_px: int = 192) -> np.ndarray:
    mesh = inflated(shapes.subject(rgba), 1.0, back, Report())
    return Renderer(mesh, cull_backfaces=True).render(View(azimuth_deg), photo_distance(0.8), size_px).rgba


@pytest.mark.parametrize("back", BACKS)
def test_the_old_background_shows_nowhere(back):
    rgba = shapes.painted(shapes.animal())
    made = atlas(rgba, trace(rgba[..., 3]).points, back)
    assert made.texture[..., 1].max() <= 120  # the paint has at most 100, the screen behind it 255
    for azimuth_deg in (0, 60, 90, 180, -90):
        view = seen(rgba, back, azimuth_deg)
        assert view[view[..., 3] > 0][:, 1].max() <= 120


@pytest.mark.parametrize("back", BACKS)
@pytest.mark.parametrize("azimuth_deg", [60, 90, 120, -90, 180])
def test_one_colour_stays_one_colour_over_the_seam(back, azimuth_deg: float):
    view = seen(shapes.plain(shapes.disc()), back, azimuth_deg)
    assert abs(view[view[..., 3] > 0][:, :3].astype(int) - (200, 120, 60)).max() <= 1


@pytest.mark.parametrize("back", BACKS)
def test_the_seam_is_no_line(back):
    view = seen(shapes.painted(shapes.disc()), back, 90)[..., :3].astype(int)
    middle = view[50:142, 60:132]  # the rim crosses it upright, at column 36
    steps = abs(np.diff(middle, axis=1)).max(axis=(0, 2))
    assert steps[30:42].max() <= max(12, 1.5 * max(steps[:30].max(), steps[42:].max()))


def test_mirror_shows_the_front_again_and_smooth_shows_no_second_face():
    rgba = shapes.plain(shapes.disc())
    rgba[shapes.disc(12, (-60, -40)) > 127, :3] = 0  # eyes, one of them larger
    rgba[shapes.disc(20, (60, -40)) > 127, :3] = 0
    front = seen(rgba, "mirror", 0)
    mirror, smooth = (seen(rgba, back, 180) for back in BACKS)
    dark = [(view[..., :3].max(-1) < 60) & (view[..., 3] == 255) for view in (front, mirror, smooth)]
    assert dark[0].sum() > 150 and dark[1].sum() > 150 and dark[2].sum() == 0
    left, right = (dark[0][:, half].sum() for half in (np.s_[:96], np.s_[96:]))
    behind_left, behind_right = (dark[1][:, half].sum() for half in (np.s_[:96], np.s_[96:]))
    assert 0 < left < 0.5 * right and 0 < behind_right < 0.5 * behind_left
    assert abs(smooth[smooth[..., 3] == 255][:, :3].astype(int) - (200, 120, 60)).max() < 40


def test_auto_mirrors_profiles_only():
    assert is_profile(shapes.animal())
    assert not is_profile(shapes.disc())
    face = np.maximum(shapes.disc(120, (60, 0)), np.maximum(shapes.disc(40, (-40, -110)), shapes.disc(40, (160, -110))))
    assert not is_profile(face)  # symmetric, though not about the frame's middle
    for mask, expected in ((shapes.animal(), "mirror"), (face, "smooth")):
        subject = shapes.subject(shapes.plain(mask))
        assert chosen_back(subject, "auto") == expected
        assert [chosen_back(subject, back) for back in BACKS] == list(BACKS)


def test_bleeding_keeps_what_is_known_and_continues_it_outwards():
    x, _ = shapes.grid(64)
    colours = np.repeat(np.where(x < 0, 50.0, 200.0)[..., None], 3, 2).astype(np.float32)
    known = (shapes.disc(20, size=64) > 254).astype(np.float32)
    out = bled(colours * known[..., None], known)
    assert np.array_equal(out[known == 1], colours[known == 1])
    assert out.min() >= 49.9 and out.max() <= 200.1
    assert out[32, 2].max() < 90 and out[32, 61].min() > 160


@pytest.mark.parametrize("back", BACKS)
def test_texture_coordinates_stay_within_the_texture_and_front_and_back_apart(back):
    rgba = shapes.painted(shapes.animal())
    made = atlas(rgba, trace(rgba[..., 3]).points, back)
    height, width = made.texture.shape[:2]
    for uvs in (made.front_uvs, made.back_uvs):
        pixels = uvs * (width, height)
        assert pixels.min() > 2 and (pixels < (width - 2, height - 2)).all()
    if back == "smooth":
        assert made.back_uvs[:, 1].min() * height - made.front_uvs[:, 1].max() * height > 8
