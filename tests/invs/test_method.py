"""iNVS as a visitor meets it, with small networks of random numbers; warping needs none."""

import gc
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.core.cameras import View, orbit, photo_distance
from pipelines.core.depth_map import DepthMap, framed_depth
from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.invs import INVS
from pipelines.invs.loading import Inpainter
from pipelines.invs.method import ANYTHING, INFLATED, OWN, OWN_NEAR, PAINTED, WARPED, ZOE, _solid
from pipelines.invs.partial import Partial
from pipelines.runtime import residency
from pipelines.runtime.credit import credit_files, credit_line
from pipelines.runtime.devices import this_machine
from pipelines.runtime.method import Report, Request, Turnaround, options_from
from tests.invs import tiny
from tests.toy_methods import a_subject

SUBJECT = replace(a_subject(256), elevation_deg=10)
PHOTO = View(0, 10)


@pytest.fixture(scope="module", autouse=True)
def weights_are_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("weights")
    tiny.write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TURNAROUND_WEIGHTS", str(folder))
        patch.setenv("TURNAROUND_DEVICE", "cpu")
        yield
    residency.forget_idle()


def run(*views: View, report: Report | None = None, seed: int = 0, size_px: int = 64, **options: Any) -> Turnaround:
    chosen = options_from(INVS.Options, {"steps": 10, "depth": INFLATED} | options)
    return INVS()(Request(SUBJECT, views, seed, chosen, size_px=size_px), report or Report())


def warped(*views: View, **options: Any) -> Turnaround:
    return run(*views, size_px=128, fill=WARPED, **options)


def confidence(made: Turnaround, i: int = 0) -> Any:
    found = made.frames[i].confidence
    assert found is not None
    return found


# --- Warping alone ----------------------------------------------------------------------------------------------------


def test_from_the_photos_own_camera_the_photo_comes_back(size_px: int = 128):
    (frame,) = warped(PHOTO).frames
    small = cv2.resize(np.ascontiguousarray(SUBJECT.rgba), (size_px, size_px), interpolation=cv2.INTER_AREA)
    inside = cv2.erode((small[..., 3] == 255).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    away = np.abs(frame.rgba[inside].astype(int) - small[inside])
    assert away.mean() < 0.2 and away.max() <= 16  # at the edge between its two colours
    assert abs((frame.rgba[..., 3] > 127).mean() - (small[..., 3] > 127).mean()) < 0.01


def test_turning_right_brings_the_photos_right_side_to_the_middle():
    """The subject's right half is twice as bright as its left."""
    left, right = warped(View(-50, 10), View(50, 10)).frames
    brightness = [float(frame.rgba[frame.rgba[..., 3] > 200][:, :3].mean()) for frame in (left, right)]
    assert brightness[1] > 1.2 * brightness[0]


def test_what_the_photo_does_not_show_is_filled_as_far_as_the_outline_reaches_and_counts_as_invented():
    made = warped(PHOTO, View(40, 10), View(90, 10), View(180, 10))
    own = [float((confidence(made, i) == 255).mean()) for i in range(4)]
    assert own[0] > own[1] > own[2] > 4 * own[3]
    whole = [float((frame.rgba[..., 3] > 127).mean()) for frame in made.frames]
    assert whole[3] == pytest.approx(whole[0], rel=0.05) and whole[2] > own[2] + 0.3 * whole[0]
    assert "No inpainter" in made.notes[0] and any("from the outline" in note for note in made.notes)


def test_confidence_tells_the_photos_pixels_from_those_that_close_a_gap():
    made = warped(View(35, 10))
    shown, sure = made.frames[0].rgba[..., 3] > 127, confidence(made) == 255
    assert 0.8 < (sure & shown).sum() / shown.sum() < 1


def test_no_network_and_no_download_are_needed_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("TURNAROUND_WEIGHTS", str(tmp_path))
    made = warped(View(20, 10))
    assert made.provenance and not made.provenance.weights
    options = options_from(INVS.Options, {"fill": WARPED, "depth": INFLATED})
    request = Request(SUBJECT, orbit(21), options=options)
    assert INVS().estimate(request, this_machine(tmp_path)).download_bytes == 0


@pytest.mark.parametrize(
    ("chosen", "licence", "count"),
    [
        ({"fill": WARPED, "depth": INFLATED}, "Apache-2.0", 0),
        ({"fill": WARPED, "depth": ZOE}, "Apache-2.0. Weights: MIT (ZoeDepth).", 1),
        ({"depth": INFLATED}, "Apache-2.0. Weights: CreativeML OpenRAIL-M (inpainter).", 1),
        (
            {"depth": ANYTHING},
            "Apache-2.0. Weights: CreativeML OpenRAIL-M (inpainter), Apache-2.0 (Depth Anything).",
            2,
        ),
    ],
)
def test_a_result_is_under_the_licences_of_what_it_used_and_no_others(chosen: dict[str, Any], licence: str, count: int):
    card = INVS().card_for(options_from(INVS.Options, chosen))
    text = credit_files(card)["LICENCE.txt"]
    assert card.licence == licence and licence in credit_line(card) and f"Licence of the method: {licence}\n" in text
    assert text.count(", revision ") == count


# --- With a depth of the visitor's own --------------------------------------------------------------------------------


def with_depth(values: Any) -> Any:
    """The subject with this depth of its frame [256, 256]."""
    alpha = SUBJECT.rgba[..., 3]
    return replace(SUBJECT, depth=framed_depth(DepthMap(values), (256, 256), (0, 0, 256, 256), alpha))


@pytest.fixture(scope="module")
def own_depth() -> Any:
    """Of the solid that the outline makes, so that both ways have to show the same."""
    from pipelines.invs.depth import inflated

    return inflated(SUBJECT).render(PHOTO, photo_distance(SUBJECT.fill), 256, supersample=1).depth


def by_own(values: Any, *views: View, depth: str = OWN, pivot: float = 0.5) -> Turnaround:
    options = options_from(INVS.Options, {"fill": WARPED, "depth": depth, "pivot": pivot})
    return INVS()(Request(with_depth(values), views, 0, options, size_px=128), Report())


@pytest.mark.parametrize(("depth", "unit"), [(OWN, 1.0), (OWN, 1000.0), (OWN_NEAR, None)])
def test_ones_own_depth_moves_the_photo_as_that_depth_does(own_depth: Any, depth: str, unit: float | None):
    """In any unit, and as a disparity: against the very same solid, whose depth no relief has gone over."""
    known = own_depth > 0
    values = np.divide(1, own_depth, out=np.zeros_like(own_depth), where=known) if unit is None else own_depth * unit
    views = (PHOTO, View(25, 10))
    axis = float(photo_distance(SUBJECT.fill) - np.median(own_depth[known]))  # as high as it is wide
    own = by_own(values, *views, depth=depth, pivot=axis)
    assert any("came with the photo" in note for note in own.notes)
    assert not any("held back" in note or "outline" in note for note in own.notes[1:])  # the first tells of filling
    solid = warped(*views)
    for i, view in enumerate(views):
        one, other = confidence(own, i) > 127, confidence(solid, i) > 127
        assert (one & other).sum() / (one | other).sum() > (0.98 if view == PHOTO else 0.85)


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_what_is_hidden_is_filled_behind_ones_own_depth_and_not_beside_it(own_depth: Any, strength: float):
    """One object, however flat its relief: its solid has the relief for its front, and the photo's outline."""
    known = own_depth > 0
    flat = np.where(known, 2 + strength * (own_depth - 2), 0).astype(np.float32)
    request = Request(with_depth(flat), (PHOTO,), 0, INVS.Options(fill=WARPED, depth=OWN))
    solid = _solid(request, flat).render(PHOTO, photo_distance(SUBJECT.fill), 256, supersample=1)
    shape = solid.depth > 0
    assert (shape & known).sum() / (shape | known).sum() > 0.97
    assert np.abs(solid.depth - flat)[shape & known].mean() < 0.01
    for frame in by_own(flat, View(45, 10), View(90, 10), View(135, 0), pivot=0.35).frames:
        count, parts = cv2.connectedComponents((frame.rgba[..., 3] > 127).astype(np.uint8))
        areas = np.bincount(np.asarray(parts).ravel(), minlength=count)[1:]
        assert areas.max() > 0.98 * areas.sum(), frame.view


def test_nearer_and_farther_are_not_mixed_up(own_depth: Any):
    """A wall whose right end is far is seen more from the front when one walks to the right, and else edge-on."""
    ramp = np.where(own_depth > 0, np.linspace(1.6, 2.4, 256, dtype=np.float32), 0)
    made = {depth: by_own(ramp, View(50, 10), depth=depth) for depth in (OWN, OWN_NEAR)}
    width = {depth: int((confidence(each) > 127).any(axis=0).sum()) for depth, each in made.items()}
    assert width[OWN] > 2 * width[OWN_NEAR]


def test_where_ones_own_depth_is_unknown_the_nearest_that_is_known_goes_on(own_depth: Any):
    holed = own_depth.copy()
    holed[100:140, 100:140] = 0
    (frame,) = by_own(holed, PHOTO).frames
    assert (frame.rgba[55:65, 55:65, 3] == 255).all()


def test_one_that_is_not_used_and_one_that_is_not_enough_are_told(own_depth: Any):
    for chosen, said in (({"fill": WARPED, "depth": INFLATED}, "not used"), ({"depth": OWN}, "from the outline")):
        options = options_from(INVS.Options, {"steps": 10} | chosen)
        made = INVS()(Request(with_depth(own_depth), (View(40, 10), View(60, 10)), 0, options, size_px=64), Report())
        assert any(said in note for note in made.notes)


def test_without_a_depth_of_ones_own_it_says_what_to_do():
    with pytest.raises(TurnaroundError, match="none came with the photo"):
        warped(View(20, 10), depth=OWN)


# --- With networks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [ZOE, ANYTHING])
def test_a_network_tells_the_depth_and_is_named(depth: str):
    made = warped(View(25, 10), depth=depth)
    assert (made.frames[0].rgba[..., 3] > 127).mean() > 0.05
    assert any(note.startswith(depth) for note in made.notes)


def test_what_is_hidden_is_painted_and_the_photos_pixels_stay():
    views = (View(30, 10), View(90, 10))
    painted, moved = run(*views), run(*views, fill=WARPED)
    for i in range(len(views)):
        # Where the colours around begin, edges that were soft are none any more
        away = cv2.erode((confidence(moved, i) == 255).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        own = (confidence(painted, i) == 255) & (moved.frames[i].rgba[..., 3] == 255) & away
        assert own.sum() > 50
        difference = painted.frames[i].rgba[own].astype(int) - moved.frames[i].rgba[own]
        assert np.abs(difference).max() <= 1
    assert any("stock inpainter" in note and "guessing" in note for note in painted.notes)
    assert not any("guessing" in note for note in run(View(20, 10)).notes)


def test_all_that_can_be_chosen_makes_a_difference():
    views = (View(60, 10),)
    usual = run(*views)
    others: tuple[dict[str, Any], ...] = (
        {"seed": 1},
        {"steps": 12},
        {"prompt": "ab"},
        {"guidance": 1.0},
        {"relief": 0.5},
        {"depth": ZOE},
        {"depth": ZOE, "pivot": 0.0},
        {"hold": True},
    )
    seen = {usual.frames[0].rgba.tobytes()}
    for other in others:
        seen.add(run(*views, **other).frames[0].rgba.tobytes())
    assert len(seen) == 1 + len(others)


def test_a_view_is_the_same_whatever_else_is_asked_for_unless_neighbours_are_to_agree():
    views = (View(40, 10), View(70, 10))
    (alone,) = run(views[1]).frames
    among, agreeing = (run(*views, neighbours=agree).frames for agree in (False, True))
    assert np.array_equal(alone.rgba, among[1].rgba)
    assert np.array_equal(agreeing[0].rgba, among[0].rgba) and not np.array_equal(agreeing[1].rgba, among[1].rgba)


def test_a_stock_inpainter_is_asked_for_a_photo_of_what_the_visitor_wrote(monkeypatch: pytest.MonkeyPatch):
    """specs/invs.md, 8: on the white that it is taken off again. What was written and what was asked are both kept."""
    heard, told = set[str](), Inpainter.told
    monkeypatch.setattr(Inpainter, "told", lambda self, prompt: heard.add(prompt) or told(self, prompt))
    for words, asked in (("", "photo of an object on white background"), ("ab", "photo of ab on white background")):
        heard.clear()
        made = run(View(60, 10), prompt=words)
        assert heard == {"", asked}
        assert f'The inpainter was asked for "{asked}".' in made.notes
        assert made.provenance and made.provenance.options["prompt"] == words
    assert any("draws on white" in note for note in made.notes)
    assert not any("draws on white" in note or "was asked" in note for note in warped(View(60, 10)).notes)


def test_relief_makes_the_inflated_outline_thinner_and_thicker():
    """From its right, a front that bulges is seen further to the left; at 60 degrees a flat one is half as wide."""
    photo, *turned = (warped(View(turn, 10), relief=relief) for turn, relief in ((0, 1), (60, 0), (60, 1), (60, 2)))
    width = [int((made.frames[0].rgba[..., 3] > 127).any(axis=0).sum()) for made in (photo, turned[0])]
    assert width[1] == pytest.approx(width[0] / 2, rel=0.15)
    left = [int((made.frames[0].rgba[..., 3] > 127).any(axis=0).argmax()) for made in turned]
    assert left[0] > left[1] > left[2]


def test_views_are_painted_outwards_and_come_back_in_the_order_asked_for():
    told: list[str] = []
    views = (View(80, 10), View(-20, 10), View(20, 10))
    made = run(*views, report=Report(lambda fraction, message, preview: told.append(message)))
    assert [frame.view for frame in made.frames] == list(views)
    assert any(text.startswith("Painting view 3 of 3") for text in told)


def test_where_the_photo_shows_all_nothing_is_painted_and_the_note_says_so():
    told: list[str] = []
    made = run(PHOTO, report=Report(lambda fraction, message, preview: told.append(message)))
    assert not any("Painting" in text for text in told) and "photo's own" in made.notes[0]
    assert (confidence(made)[made.frames[0].rgba[..., 3] > 200] == 255).all()


def test_the_stages_are_shown_as_they_come():
    told: list[tuple[float, str, Any]] = []
    run(View(40, 10), report=Report(lambda *step: told.append(step)))
    said = [message for _, message, _ in told]
    order = [
        next(i for i, text in enumerate(said) if part in text)
        for part in ("depth", "what the photo", "step 1 ", "done")
    ]
    assert order == sorted(order)
    assert all(told[i][2] is not None for i in order)


@pytest.mark.parametrize("fill", [PAINTED, WARPED])
def test_what_is_to_be_painted_is_orange_beside_what_the_photo_shows(fill: str):
    glimpses: list[Any] = []

    def listen(fraction: float, message: str, preview: Any) -> None:
        if "what the photo shows" in message:
            assert ("orange" in message) == (fill == PAINTED)
            glimpses.append(preview)

    run(PHOTO, View(60, 10), report=Report(listen), fill=fill)
    shares = [float((glimpse[..., :3] == (255, 140, 0)).all(-1).mean()) for glimpse in glimpses]
    assert shares[0] == 0 and (0.05 < shares[1] < 0.5) == (fill == PAINTED) and glimpses[1][..., 3].any()


def test_however_many_views_are_asked_for_little_is_kept_of_each():
    kept: list[int] = []

    def listen(fraction: float, message: str, preview: Any) -> None:
        if message.startswith("View 3 of 3: what"):
            fields = [vars(each).values() for each in gc.get_objects() if isinstance(each, Partial)]
            kept.extend(sum(array.nbytes for array in each if array is not None) for each in fields)

    run(View(40, 10), View(60, 10), View(90, 10), report=Report(listen), size_px=96)
    largest = sorted(kept)[-3:]
    assert len(kept) >= 3 and largest[0] <= 7 * 96 * 96 and sum(largest) <= (2 * 7 + 11) * 96 * 96, "one is being shown"


def test_more_and_larger_views_are_estimated_to_take_more_memory(tmp_path: Path):
    machine = replace(this_machine(tmp_path), device="cpu")

    def megabytes(count: int, size_px: int, fill: str) -> float:
        options = options_from(INVS.Options, {"fill": fill})
        return (
            INVS().estimate(Request(SUBJECT, orbit(count), options=options, size_px=size_px), machine).memory_bytes
            / 1e6
        )

    for fill in (WARPED, PAINTED):
        assert megabytes(84, 576, fill) - megabytes(21, 576, fill) == pytest.approx(63 * 12 * 576**2 / 1e6)
        assert megabytes(21, 1024, fill) - megabytes(21, 576, fill) == pytest.approx(21 * 12 * (1024**2 - 576**2) / 1e6)


@pytest.mark.parametrize("when", ["depth is known", "what the photo shows", "step 3 ", "is done"])
def test_it_stops_wherever_it_is(when: str):
    cancelled = threading.Event()

    def listen(fraction: float, message: str, preview: Any) -> None:
        if when in message:
            cancelled.set()

    with pytest.raises(Cancelled):
        run(View(40, 10), View(60, 10), report=Report(listen, cancelled))


def test_the_cameras_azimuth_and_elevation_are_the_pages_own():
    """Nothing is translated: what is moved is moved by the one convention."""
    made = warped(View(-30, 40, 1.5), View(120, -10))
    assert [frame.view for frame in made.frames] == [View(-30, 40, 1.5), View(120, -10)]
    assert all(frame.exact for frame in made.frames)
    far, near = (float((warped(View(0, 10, distance)).frames[0].rgba[..., 3] > 127).mean()) for distance in (2.0, 1.0))
    assert far < 0.4 * near


def test_painting_takes_longer_than_warping_and_grows_with_the_views(tmp_path: Path):
    machine = this_machine(tmp_path)

    def seconds(count: int, fill: str) -> float:
        options = options_from(INVS.Options, {"fill": fill})
        return INVS().estimate(Request(SUBJECT, orbit(count), options=options), machine).seconds

    assert seconds(4, WARPED) < seconds(4, PAINTED) < seconds(8, PAINTED)
