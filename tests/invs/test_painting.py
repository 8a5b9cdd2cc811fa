"""Views painted one after the other: the next is shown what the ones before it hold."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from pipelines.core.cameras import View, photo_distance
from pipelines.invs.depth import PX, inflated, inflated_depth
from pipelines.invs.inpainting import Sampling, draw, shown
from pipelines.invs.loading import Inpainter
from pipelines.invs.method import Options
from pipelines.invs.painting import Painting
from pipelines.invs.partial import Partial, partials, photo_sheet
from pipelines.invs.relief import fitted_to
from pipelines.runtime.method import Report, Request
from pipelines.runtime.telling import Telling
from pipelines.runtime.thrift import Thrift
from tests.invs import tiny
from tests.toy_methods import a_subject

SUBJECT = replace(a_subject(256), elevation_deg=10)
VIEWS = (View(60, 10), View(90, 10), View(-80, 10), View(150, 10), View(-150, 10))
CPU = torch.device("cpu")


@dataclass
class Watched(Painting):
    """Remembers what each view was shown, and how many went together."""

    shown: dict[int, Partial] = field(default_factory=dict)
    together: list[int] = field(default_factory=list)

    def given(self, i: int) -> Partial:
        self.shown[i] = super().given(i)
        return self.shown[i]

    def _paint(self, which: Sequence[int]) -> None:
        self.together.append(len(which))
        super()._paint(which)


def painting(parts: Inpainter, views: tuple[View, ...] = VIEWS, neighbours: bool = True, at_once: int = 1) -> Watched:
    depth, solid, distance = inflated_depth(SUBJECT), inflated(SUBJECT), photo_distance(SUBJECT.fill)
    sheet = photo_sheet(SUBJECT, depth, tiny.SIDE_PX, CPU)
    seen = partials([sheet], SUBJECT, depth, views, tiny.SIDE_PX, CPU)
    request, report = Request(SUBJECT, views, 0, Options(steps=10), tiny.SIDE_PX), Report()
    made = Watched(
        parts,
        request,
        depth,
        seen,
        (lambda view, rgb: solid.render(view, distance, PX, supersample=1).depth) if neighbours else None,
        Telling(report, ""),
        report,
    )
    made.go_on(Thrift(at_once, 1))
    return made


def gained(made: Watched, i: int) -> float:
    """How much more it was shown than the photo's own, as a share of the frame."""
    shown, photo = made.shown[i].seen, made.seen[i].seen
    assert (shown >= photo).mean() > 0.99, "and nothing less of the photo"
    return float((shown & ~photo).mean())


def test_a_view_is_shown_what_was_painted_before_it_on_its_side_and_behind_the_object(parts: Inpainter):
    made, alone = painting(parts), painting(parts, neighbours=False)
    right, far_right, left, behind, behind_left = range(len(VIEWS))
    assert list(made.shown) == [right, left, far_right, behind, behind_left], "outwards from the photo"
    assert gained(made, right) == 0 and gained(made, far_right) > 0.01
    assert gained(made, left) == 0, "what was painted on the right is not for the left"
    without_the_right = painting(parts, views=(VIEWS[left], VIEWS[behind_left]))
    assert gained(made, behind_left) > 1.2 * gained(without_the_right, 1) > 0, "where both sides meet, it is"
    # What was painted is no more the photo's own than before
    for one, other in zip(made.frames, alone.frames, strict=True):
        assert np.array_equal(one.confidence, other.confidence)  # pyright: ignore[reportArgumentType]


def test_of_two_views_alike_far_round_the_right_one_comes_first(parts: Inpainter):
    made = painting(parts, views=(View(-60, 10), View(60, 10), View(-90, 10), View(90, 10)))
    assert list(made.shown) == [1, 0, 3, 2]


def test_it_does_not_matter_how_many_are_painted_together(parts: Inpainter):
    one_by_one, together = painting(parts, views=VIEWS[1:]), painting(parts, views=VIEWS[1:], at_once=4)
    assert one_by_one.together == [1, 1, 1, 1] and together.together == [2, 1, 1], "behind, each waits for the other"
    for one, other in zip(one_by_one.frames, together.frames, strict=True):
        assert np.abs(one.rgba.astype(int) - other.rgba).max() <= 1


def test_of_each_view_only_what_nothing_before_had_shown_is_remembered_and_of_a_few(
    parts: Inpainter, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("pipelines.invs.painting.REMEMBERED", 2)
    views = tuple(View(azimuth, 10) for azimuth in (40, 60, 80, 100, -60))
    made = painting(parts, views=views)
    kept = [view.azimuth_deg for view, _ in made._painted]
    assert kept == [60, 80], "of the last on either side there is nobody to show it to"
    for view, sheet in made._painted:
        seen = made.shown[views.index(view)].seen
        assert sheet.known.any() and not (sheet.known.numpy() & seen).any()


def test_an_inpainter_of_our_training_is_asked_for_the_visitors_words_alone(parts: Inpainter):
    """It learned without any."""
    request, report = Request(SUBJECT, VIEWS, 0, Options(prompt="ab"), tiny.SIDE_PX), Report()
    nothing = np.zeros((PX, PX), np.float32)
    made = Painting(replace(parts, fine_tuned=True), request, nothing, [], None, Telling(report, ""), report)
    assert made.sampling.prompt == "ab" and made.sampling.soft


def test_a_depth_of_any_unit_is_fitted_to_what_is_known_of_it():
    known = np.tile(np.linspace(1.5, 2.0, 64, dtype=np.float32), (64, 1))
    where = np.zeros((64, 64), bool)
    where[:, :40] = True
    wild = known.copy()
    wild[:4] = 9
    assert np.abs(fitted_to(30 * known + 7, np.where(where, wild, 0), where) - known)[where].max() < 0.05
    assert not fitted_to(known, known, np.zeros((64, 64), bool)).any()


def test_what_is_held_on_to_comes_out_as_it_went_in(parts: Inpainter):
    """Whatever the network makes of it: this one knows nothing."""
    sheet = photo_sheet(SUBJECT, depth := inflated_depth(SUBJECT), tiny.SIDE_PX, CPU)
    told = shown(parts, partials([sheet], SUBJECT, depth, VIEWS[:1], tiny.SIDE_PX, CPU), soft=False)
    known = (told.masks == 0).expand_as(told.latents)
    assert 0.1 < known.float().mean() < 0.95
    held, free = (draw(parts, told, Sampling(10, 1.0, "", soft=False, hold=hold), [0]) for hold in (True, False))
    assert torch.equal(held[known], told.latents[known])
    assert (free[known] - told.latents[known]).abs().mean() > 0.1
    assert (held[~known] - told.latents[~known]).abs().mean() > 0.1
