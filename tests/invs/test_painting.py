"""Views painted one after the other: the next is shown what the ones before it hold."""

from dataclasses import replace

import numpy as np
import torch

from pipelines.core.cameras import View, photo_distance
from pipelines.invs.depth import PX, inflated, inflated_depth
from pipelines.invs.inpainting import Sampling, draw, shown
from pipelines.invs.loading import Inpainter
from pipelines.invs.method import Options
from pipelines.invs.painting import Painting
from pipelines.invs.partial import partials, photo_sheet
from pipelines.invs.relief import fitted_to
from pipelines.runtime.method import Report, Request
from pipelines.runtime.telling import Telling
from pipelines.runtime.thrift import Thrift
from tests.invs import tiny
from tests.toy_methods import a_subject

SUBJECT = replace(a_subject(256), elevation_deg=10)
VIEWS = (View(100, 10), View(115, 10), View(-100, 10))
CPU = torch.device("cpu")


def painting(parts: Inpainter, neighbours: bool) -> Painting:
    depth, solid, distance = inflated_depth(SUBJECT), inflated(SUBJECT), photo_distance(SUBJECT.fill)
    sheet = photo_sheet(SUBJECT, depth, tiny.SIDE_PX, CPU)
    seen = partials([sheet], SUBJECT, depth, VIEWS, tiny.SIDE_PX, CPU)
    request, report = Request(SUBJECT, VIEWS, 0, Options(steps=10), tiny.SIDE_PX), Report()
    made = Painting(
        parts,
        request,
        depth,
        seen,
        (lambda view, rgb: solid.render(view, distance, PX, supersample=1).depth) if neighbours else None,
        Telling(report, ""),
        report,
    )
    made.go_on(Thrift(1, 1))
    return made


def test_a_view_is_shown_what_was_painted_for_its_neighbour_on_the_same_side(parts: Inpainter):
    together, alone = painting(parts, neighbours=True), painting(parts, neighbours=False)
    assert together.given(1).seen.sum() > 1.2 * alone.given(1).seen.sum()
    assert (together.given(1).seen >= alone.given(1).seen).mean() > 0.99, "and nothing less of the photo"
    left = together.seen[2].seen
    assert np.array_equal(alone.given(2).seen, left)
    # What was painted is no more the photo's own than before
    for one, other in zip(together.frames, alone.frames, strict=True):
        assert np.array_equal(one.confidence, other.confidence)  # pyright: ignore[reportArgumentType]


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
