"""What an inpainter learns from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.cameras import View, photo_distance
from pipelines.core.errors import TurnaroundError
from pipelines.core.mask import contour_box, longest_side
from pipelines.core.mesh import glb_bytes
from pipelines.core.subject import Subject
from pipelines.invs.pairs import RELIEF_NOISE, Pairs, _as_a_photo_shows_it, _noisy, _renderer, models_in, parted
from pipelines.invs.partial import photo_sheet
from pipelines.invs.train import Plan
from tests.core.shapes import ball, painted, together


def test_a_number_is_always_the_same_pair_and_others_are_others(plan: Plan):
    pairs, again = (Pairs(models_in(plan.models), 64, seed=0) for _ in range(2))
    one, same, other = pairs[5], again[5], pairs[6]
    assert np.array_equal(one.truth, same.truth) and np.array_equal(one.partial.rgba, same.partial.rgba)
    assert not np.array_equal(one.truth, other.truth)
    assert one.inside.any()
    small = Pairs(models_in(plan.models), 64, 0, (5.0, 10.0))[1]
    seen = small.partial.seen & small.inside
    assert seen.sum() > 0.7 * small.inside.sum(), "a small turn shows most of it"
    assert np.abs(small.partial.rgba[seen][:, :3].astype(int) - small.truth[seen]).mean() < 12


def test_a_model_that_cannot_be_read_is_told_of_once(plan: Plan, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    models = models_in(plan.models)
    (tmp_path / "cut.glb").write_bytes(models[0].read_bytes()[:300])
    pairs = Pairs([tmp_path / "cut.glb", *models], 64, seed=0)
    for number in range(8):
        pairs.some_model(np.random.default_rng(number))
    assert caplog.text.count("cut.glb is left out") == 1


def test_a_model_is_framed_as_a_photo_of_it_would_be(tmp_path: Path):
    """Its outline in the middle, its longest side the share of the frame that it is said to be."""
    ends = (painted(ball(0.2, (0.0, y, z), 16), (90, 90, 90)) for y, z in ((0, -0.3), (0.1, 0), (-0.1, 0.3)))
    (tmp_path / "long.glb").write_bytes(glb_bytes(together(*ends)))
    model = _renderer(tmp_path / "long.glb")
    for view in (View(0, 0), View(90, 0), View(35, 40), View(-120, -15)):
        for fill in (0.6, 0.85):
            shown = _as_a_photo_shows_it(model, view, fill).render(view, photo_distance(fill), 256).rgba[..., 3] / 255
            left, top, right, bottom = contour_box(shown, 0.5)
            assert max(right - left, bottom - top) == pytest.approx(256 * fill, rel=0.03), (view, fill)
            assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((128, 128), abs=3), (view, fill)
    alone = model.render(View(0, 0), photo_distance(0.85), 256).rgba[..., 3] / 255
    assert longest_side(contour_box(alone, 0.5)) < 0.8 * 256 * 0.85, "as it stands in its file it is smaller from there"


def test_pairs_are_framed_so_and_a_rod_does_not_reach_the_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rod = together(*(painted(ball(0.07, (0.0, 0.0, z), 16), (90, 90, 90)) for z in np.linspace(-0.43, 0.43, 15)))
    (tmp_path / "rod.glb").write_bytes(glb_bytes(rod))
    shown = list[Subject]()

    def watched(subject: Subject, *rest: Any) -> Any:
        shown.append(subject)
        return photo_sheet(subject, *rest)

    monkeypatch.setattr("pipelines.invs.pairs.photo_sheet", watched)
    pairs = Pairs([tmp_path / "rod.glb"], 128, seed=0)
    for number in range(12):
        assert pairs[number].inside.any()
    for subject in shown:
        left, top, right, bottom = contour_box(subject.rgba[..., 3] / 255, 0.5)
        assert min(left, top) > 0 and max(right, bottom) < 256, "all of it is in the frame"
        assert (left + right) / 2 == pytest.approx(128, abs=8) and (top + bottom) / 2 == pytest.approx(128, abs=8)
        assert max(right - left, bottom - top) <= 256 * subject.fill * 1.05
    assert sum(longest_side(contour_box(s.rgba[..., 3] / 255, 0.5)) > 250 * s.fill for s in shown) >= 8
    end = _as_a_photo_shows_it(_renderer(tmp_path / "rod.glb"), View(0, 0), 0.6)
    depth = end.render(View(0, 0), photo_distance(0.6), 128).depth
    assert depth[depth > 0].min() > 0.3 * photo_distance(0.6)


def test_noise_makes_depths_wrong_in_half_of_the_pairs_within_bounds(plan: Plan):
    depth = np.full((64, 64), 2.0, np.float32)
    depth[:, 32:] = 2.4
    depth[0] = 0
    for seed in range(5):
        wrong = _noisy(depth, 2.0, np.random.default_rng(seed))
        assert (wrong[0] == 0).all() and np.abs(wrong - depth).max() < 0.04 + 5 * RELIEF_NOISE
        assert np.abs(wrong - depth)[1:].mean() > 0.003
    pairs, exact = (Pairs(models_in(plan.models), 64, seed=0) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.invs.pairs._noisy", lambda depth, *_: depth)
        true = [exact[number].partial.rgba for number in range(20)]
    wrong = [not np.array_equal(pairs[number].partial.rgba, true[number]) for number in range(20)]
    assert 4 <= sum(wrong) <= 16


def test_a_tenth_of_the_models_is_held_out_whatever_others_there_are(tmp_path: Path):
    files = [tmp_path / "some" / f"{i:04d}.glb" for i in range(2000)]
    learn, judge = parted(files, tmp_path)
    assert sorted([*learn, *judge]) == files and len(judge) == pytest.approx(200, abs=45)
    for few in (5, 9, 10, 30, 1000):
        before, _ = parted(files[: few // 2], tmp_path)
        _, judged = parted([tmp_path / "a.glb", *files[:few]], tmp_path)
        held_out = set(judged) - set(before)
        assert held_out == set(judged) or len(judged) == few + 1, "none that it has learned from, or all of them"
    elsewhere = parted([Path("/models") / file.relative_to(tmp_path) for file in files], Path("/models"))
    assert [file.name for file in elsewhere[1]] == [file.name for file in judge]


def test_where_one_side_would_be_empty_both_are_all_of_them(tmp_path: Path):
    files = [tmp_path / f"{i}.glb" for i in range(200)]
    learn, judge = parted(files, tmp_path)
    for alike in (learn[:2], judge[:1], judge):
        assert parted(alike, tmp_path) == (alike, alike)
    with pytest.raises(TurnaroundError, match="no 3D models"):
        models_in(tmp_path)
