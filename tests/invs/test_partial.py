"""What the photo shows of another view, held against the truth: an object of known depth, seen by both cameras."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipelines.core.cameras import View, photo_distance, project
from pipelines.core.depth_map import DepthMap, framed_depth
from pipelines.core.errors import TurnaroundError
from pipelines.core.raster import Rendered, Renderer
from pipelines.core.subject import Making, Subject
from pipelines.core.warp import hidden, lifted, pinhole
from pipelines.invs import INVS, loading
from pipelines.invs.depth import inflated
from pipelines.invs.inpainting import composed, on_white
from pipelines.invs.loading import Inpainter
from pipelines.invs.method import OWN, WARPED
from pipelines.invs.partial import (
    BALL_RADIUS,
    MASK_PX,
    Partial,
    filled,
    mean_colour,
    partials,
    photo_sheet,
    tinted,
)
from pipelines.invs.relief import relief
from pipelines.invs.sources import INPAINTER
from pipelines.runtime import residency
from pipelines.runtime.method import Frame, Report, Request, options_from
from tests.core.shapes import ball, painted, together
from tests.invs import tiny

FILL, SIZE, SMALL = 0.7, 256, 128
PHOTO, CPU = View(0, 10), torch.device("cpu")
DISTANCE = photo_distance(FILL)


@dataclass(frozen=True, eq=False)
class Case:
    partial: Partial
    true: Rendered
    shared: NDArray[np.bool_]
    """[S, S]: pixels of the object that the photo shows too."""
    inside: NDArray[np.bool_]


@cache
def photo() -> tuple[Renderer, Rendered, Subject]:
    """Two balls of many colours, one half before the other."""
    body, head = ball(0.35, (0.0, -0.1, 0.0), 60), ball(0.16, (0.1, 0.25, 0.2), 40)
    mesh = together(*(painted(part, (200, 120, 60)) for part in (body, head)))
    colours = np.asarray(mesh.colors).copy()
    colours[:, :3] = np.rint(127 + 100 * np.sin(9 * mesh.vertices + np.array([0, 1, 2]))).astype(np.uint8)
    renderer = Renderer(type(mesh)(mesh.vertices, mesh.faces, colors=colours))
    shown = renderer.render(PHOTO, DISTANCE, 2 * SIZE)
    making = Making("0" * 64, (512, 512), "alpha", (0, 0, 512, 512))
    return renderer, shown, Subject(shown.rgba, making, PHOTO.elevation_deg, FILL)


@cache
def case(azimuth_deg: float, size: int = SIZE) -> Case:
    renderer, shown, subject = photo()
    view = View(azimuth_deg, PHOTO.elevation_deg)
    sheet = photo_sheet(subject, shown.depth, size, CPU)
    (partial,) = partials([sheet], subject, shown.depth, [view], size, CPU)
    true = renderer.render(view, DISTANCE, size)
    points = lifted(torch.zeros(size, size, 1), torch.from_numpy(true.depth), pinhole(view, DISTANCE, size)).points
    pixels, depth = project(points.reshape(-1, 3).double().numpy(), PHOTO, DISTANCE, 2 * SIZE)
    columns, rows = np.floor(pixels).astype(int).clip(0, 2 * SIZE - 1).T
    there = shown.depth[rows, columns]
    shared = ((there > 0) & (np.abs(depth - there) < 0.02)).reshape(size, size) & (true.depth > 0)
    return Case(partial, true, shared, true.rgba[..., 3] == 255)


def psnr_db(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return 10 * math.log10(255**2 / max(1e-9, float(np.square(one.astype(float) - other).mean())))


@pytest.mark.parametrize(("azimuth_deg", "share"), [(15, 0.97), (30, 0.97), (-30, 0.97), (45, 0.97), (60, 0.95)])
def test_what_the_photo_shows_too_is_there_and_true(azimuth_deg: float, share: float):
    it = case(azimuth_deg)
    to_be_seen = it.shared & it.inside
    covered = to_be_seen & it.partial.seen
    assert covered.sum() > share * to_be_seen.sum()
    assert psnr_db(it.partial.rgba[covered][:, :3], it.true.rgba[covered][:, :3]) > 28


@pytest.mark.parametrize("azimuth_deg", [15, 30, 60, 120, 180])
def test_all_of_the_object_that_the_photo_hides_is_within_the_mask(azimuth_deg: float):
    it = case(azimuth_deg)
    unseen = it.inside & ~it.shared
    assert (it.partial.hidden > 0)[unseen].mean() > 0.995


def test_the_mask_holds_all_of_a_cube_that_the_photo_shows_as_a_square():
    """Its far corners are the farthest from the centre that an object of side 1 has: half the root of 3."""
    rgba = np.zeros((SIZE, SIZE, 4), np.uint8)
    rim = round(SIZE * (1 - FILL) / 2)
    rgba[rim:-rim, rim:-rim] = 200
    making = Making("0" * 64, (SIZE, SIZE), "alpha", (0, 0, SIZE, SIZE))
    subject = Subject(rgba, making, 0.0, FILL)
    depth = np.where(rgba[..., 3] > 0, DISTANCE - 0.5, 0).astype(np.float32)  # its front face
    view = View(45, 0)
    sheet = photo_sheet(subject, depth, SIZE, CPU)
    (partial,) = partials([sheet], subject, depth, [view], SIZE, CPU)
    edge = np.array([[0.46, y, -0.46] for y in np.linspace(-0.2, 0.2, 9)])  # one that only this view shows
    pixels, _ = project(edge, view, DISTANCE, SIZE)
    columns, rows = np.floor(pixels).astype(int).T
    assert (partial.hidden[rows, columns] > 0).all()


def test_the_mask_reaches_one_pixel_of_the_latent_further_than_what_is_hidden():
    """specs/invs.md, 6: an edge of the object may run anywhere in the latent's pixels that it touches."""
    view, (_, shown, _) = View(30, PHOTO.elevation_deg), photo()
    source = pinhole(PHOTO, DISTANCE, 2 * SIZE)
    (exact,) = hidden(torch.from_numpy(shown.depth), source, [pinhole(view, DISTANCE, MASK_PX)], BALL_RADIUS)
    bare = cv2.resize((exact.numpy() > 0).astype(np.uint8), (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)
    away = cv2.distanceTransform(1 - bare, cv2.DIST_C, 3)
    latent_px, mask_px = SIZE // 64, SIZE // MASK_PX
    mask = case(30).partial.hidden > 0
    assert mask[away <= latent_px].all()
    assert not mask[away > latent_px + mask_px].any()


def test_the_more_from_behind_the_more_has_to_be_invented():
    means = [float(case(azimuth).partial.hidden[case(azimuth).inside].mean()) for azimuth in (15, 60, 120, 180)]
    assert means == sorted(means) and means[-1] > 0.8


@pytest.mark.parametrize("azimuth_deg", [30, 60])
def test_with_an_inpainter_that_knows_the_truth_the_view_is_as_true_as_its_pixels(azimuth_deg: float):
    it = case(azimuth_deg)
    view, own = composed(it.partial, it.true.rgba)
    seen = it.partial.seen & it.inside & it.shared
    limit = psnr_db(it.partial.rgba[seen][:, :3], it.true.rgba[seen][:, :3])
    assert psnr_db(view[it.inside][:, :3], it.true.rgba[it.inside][:, :3]) > limit - 1
    assert np.abs(view[..., 3].astype(int) - it.true.rgba[..., 3]).mean() < 3
    assert (own[~it.partial.seen] == 0).all() and (own[seen] > 0.99).mean() > 0.6


@pytest.fixture
def oracle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[NDArray[np.uint8]]]:
    """An inpainter whose pictures are those of this list, [SMALL, SMALL, 3], one after the other."""
    answers = list[NDArray[np.uint8]]()
    folder = tmp_path / INPAINTER.first.repository
    tiny.inpainter(folder)
    config = folder / "unet" / "config.json"
    wider = {"sample_size": SMALL * tiny.LATENT_PX // tiny.SIDE_PX}
    config.write_text(json.dumps(json.loads(config.read_text()) | wider))
    load = loading.load_inpainter

    def answering(*given: Any) -> Inpainter:
        def answer(*_: object) -> torch.Tensor:
            return torch.from_numpy(answers.pop(0)).permute(2, 0, 1)[None] / 127.5 - 1

        parts = load(*given)
        parts.vae.decoder.register_forward_hook(answer)
        return parts

    monkeypatch.setattr(loading, "load_inpainter", answering)
    monkeypatch.setenv("TURNAROUND_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TURNAROUND_DEVICE", "cpu")
    residency.forget_idle()
    yield answers
    residency.forget_idle()


def test_the_whole_method_with_an_inpainter_that_knows_what_the_photo_hides_is_as_true_as_what_it_shows(
    oracle: list[NDArray[np.uint8]],
):
    _, shown, subject = photo()
    views = tuple(View(azimuth, PHOTO.elevation_deg) for azimuth in (30, 60))
    subject = replace(
        subject, depth=framed_depth(DepthMap(shown.depth), (512, 512), (0, 0, 512, 512), subject.rgba[..., 3])
    )
    rows, columns = (np.ptp(np.flatnonzero((shown.depth > 0).any(axis))) + 1 for axis in (1, 0))
    front = DISTANCE - float(np.median(shown.depth[shown.depth > 0]))
    as_it_is = {"depth": OWN, "pivot": front * max(rows, columns) / min(rows, columns), "neighbours": False}

    def run(**options: Any) -> tuple[Frame, ...]:
        chosen = options_from(INVS.Options, as_it_is | options)
        return INVS()(Request(subject, views, 0, chosen, SMALL), Report()).frames

    moved = run(fill=WARPED)
    for frame in moved:
        known = cv2.erode((confidence(frame) == 255).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        truth = on_white(case(frame.view.azimuth_deg, SMALL).true.rgba)
        oracle.append(np.where(known[..., None], 0, truth))  # wrong, deep within what the photo shows
    painted = run(steps=10, guidance=1)
    assert not oracle
    for mine, as_shown in zip(painted, moved, strict=True):
        it = case(mine.view.azimuth_deg, SMALL)
        seen = (confidence(as_shown) == 255) & it.inside & it.shared
        limit = psnr_db(as_shown.rgba[seen][:, :3], it.true.rgba[seen][:, :3])
        assert psnr_db(mine.rgba[it.inside][:, :3], it.true.rgba[it.inside][:, :3]) > limit - 1
        assert np.abs(mine.rgba[..., 3].astype(int) - it.true.rgba[..., 3]).mean() < 3


def confidence(frame: Frame) -> NDArray[np.uint8]:
    assert frame.confidence is not None
    return frame.confidence


def test_away_from_the_seam_the_photos_pixels_are_untouched_whatever_is_drawn():
    it = case(60)
    wild = np.full((SIZE, SIZE, 4), 255, np.uint8)
    view, own = composed(it.partial, wild)
    kept = (own == 1) & (it.partial.rgba[..., 3] == 255)
    assert kept.sum() > 3000 and np.array_equal(view[kept], it.partial.rgba[kept])


@cache
def outline(azimuth_deg: float) -> NDArray[np.floating]:
    subject = photo()[2]
    return inflated(subject).render(View(azimuth_deg, PHOTO.elevation_deg), DISTANCE, SIZE).rgba[..., 3] / 255


@pytest.mark.parametrize(("azimuth_deg", "shares_most", "nearer_db"), [(60, 0.85, 2), (90, 0.8, 1), (120, 0.8, 3)])
def test_filled_is_the_object_whole_and_nearer_to_the_truth(azimuth_deg: float, shares_most: float, nearer_db: float):
    it = case(azimuth_deg)
    whole = filled(it.partial, outline(azimuth_deg), mean_colour(photo()[2]))
    mine, true = whole[..., 3] > 127, it.true.rgba[..., 3] > 127
    assert (mine & true).sum() > shares_most * (mine | true).sum()
    truth = on_white(it.true.rgba)
    assert psnr_db(on_white(whole), truth) > psnr_db(on_white(it.partial.rgba), truth) + nearer_db
    assert np.array_equal(whole[it.partial.seen][:, :3], it.partial.rgba[it.partial.seen][:, :3])
    seam = cv2.dilate((mine & ~it.partial.seen).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    own, joined = it.partial.seen & ~seam, it.partial.seen & seam
    assert np.array_equal(whole[own], it.partial.rgba[own]) and (it.partial.rgba[own][:, 3] < 200).any(), "soft edges"
    assert (whole[joined][:, 3] == 255).all() and (it.partial.rgba[joined][:, 3] < 200).any(), "and no seam"
    invented = mine & ~it.partial.seen
    near = cv2.dilate(it.partial.seen.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    assert ((it.partial.hidden > 0) | near)[invented].all(), "and nothing where the photo's camera saw that nothing is"


def test_small_gaps_are_filled_whatever_the_outline():
    it = case(60)
    whole = filled(it.partial, np.zeros((SIZE, SIZE)), mean_colour(photo()[2]))
    added = (whole[..., 3] > 127) & ~it.partial.seen
    assert 0 < added.sum() < 0.1 * it.partial.seen.sum()
    near = cv2.dilate(it.partial.seen.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    assert near[added].all()
    assert psnr_db(whole[added & it.inside][:, :3], it.true.rgba[added & it.inside][:, :3]) > 12


def test_gaps_as_wide_as_text_are_closed_and_holes_are_not():
    """Up to a 24th of the side; a handle's hole stays."""
    side = 240
    rgba, seen = np.full((side, side, 4), 255, np.uint8), np.ones((side, side), bool)
    for left, width in ((50, 8), (120, 30)):
        seen[60:180, left : left + width] = False
    rgba[~seen] = 0
    nowhere = np.zeros((side, side))
    whole = filled(Partial(rgba, seen, nowhere, None), nowhere, np.ones(3))
    assert (whole[:, 50:58, 3] == 255).all() and (whole[80:160, 125:145, 3] == 0).all()


def test_what_is_clear_to_some_degree_stays_so():
    _, shown, subject = photo()
    rgba = shown.rgba.copy()
    rgba[..., 3] = rgba[..., 3] // 5 * 3
    glass = Subject(rgba, subject.made, subject.elevation_deg, FILL)
    view = View(30, PHOTO.elevation_deg)
    (partial,) = partials([photo_sheet(glass, shown.depth, SIZE, CPU)], glass, shown.depth, [view], SIZE, CPU)
    whole = filled(partial, outline(30), mean_colour(glass))
    assert np.median(whole[partial.seen][:, 3]) == np.median(partial.rgba[partial.seen][:, 3]) == 153


def test_nothing_is_filled_where_the_photo_shows_that_nothing_is():
    it = case(60)
    everywhere, nowhere_hidden = np.ones((SIZE, SIZE)), replace(it.partial, hidden=0 * it.partial.hidden)
    colour = mean_colour(photo()[2])
    gaps_alone = filled(nowhere_hidden, np.zeros((SIZE, SIZE)), colour)
    assert np.array_equal(filled(nowhere_hidden, everywhere, colour)[..., 3], gaps_alone[..., 3])


def test_where_nothing_is_seen_the_outline_has_the_photos_mean_colour():
    nothing = np.zeros((SIZE, SIZE))
    unseen = Partial(nothing[..., None].repeat(4, 2).astype(np.uint8), nothing > 0, nothing + 1, None)
    colour = mean_colour(photo()[2])
    whole = filled(unseen, outline(180), colour)
    assert np.array_equal(whole[..., 3], np.rint(255 * outline(180)))
    assert np.abs(whole[..., :3] - 255 * colour).max() < 1


def test_tinted_is_what_is_hidden_and_the_more_so_the_more_from_behind():
    it, behind = case(60).partial, case(150).partial
    shown, missing = tinted(it), ~it.seen & (it.hidden > 0)
    assert np.array_equal(shown[~missing], it.rgba[~missing]) and missing.mean() > 0.02
    assert (shown[missing][:, :3] == (255, 140, 0)).all() and (shown[missing][:, 3] >= 80).all()
    strengths = [float(tinted(each)[~each.seen & (each.hidden > 0)][:, 3].mean()) for each in (it, behind)]
    assert strengths[1] > 1.2 * strengths[0]


def test_on_white_what_is_clear_is_white():
    it = case(30)
    clear = it.partial.rgba[..., 3] == 0
    assert (on_white(it.partial.rgba)[clear] == 255).all()


def test_glass_that_never_reaches_half_is_seen_and_nothing_at_all_is_refused():
    _, shown, subject = photo()
    rgba = shown.rgba.copy()
    rgba[..., 3] //= 3
    glass = Subject(rgba, subject.made, subject.elevation_deg, FILL)
    (partial,) = partials([photo_sheet(glass, shown.depth, SIZE, CPU)], glass, shown.depth, [PHOTO], SIZE, CPU)
    assert partial.seen.sum() > 0.9 * (case(15).partial.seen).sum()
    with pytest.raises(TurnaroundError, match="empty"):
        relief(shown.depth, np.zeros((2 * SIZE, 2 * SIZE), np.uint8), DISTANCE, 1, 0.5)


def test_close_up_nothing_behind_the_camera_is_painted():
    _, shown, subject = photo()
    near = View(20, PHOTO.elevation_deg, 0.3)
    (partial,) = partials([photo_sheet(subject, shown.depth, SIZE, CPU)], subject, shown.depth, [near], SIZE, CPU)
    assert partial.depth is not None and partial.seen.any() and (partial.depth[partial.seen] > 0).all()
