"""A depth of the visitor's own, called as Gradio calls it: with its photo, without one, too late, and in a result."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from pipelines.core.cameras import View
from pipelines.runtime.method import Request
from tests.toy_methods import Flat
from tests.ui.subject_helpers import Page, a_cut_out, a_depth, a_studio, an_upload
from ui.photos import Photos
from ui.subject_events import SubjectEvents, SubjectPanel


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Photos]:
    studio = a_studio(tmp_path_factory.mktemp("depth"))
    yield Photos(studio)
    studio.jobs.drain(0)
    studio.intake.close()


@pytest.fixture
def panel(photos: Photos) -> Page:
    return Page(SubjectEvents(photos))


def test_a_depth_comes_with_the_photo_until_it_is_taken_away(panel: Page):
    panel.upload()
    before = panel.subject
    panel.bring_depth(a_depth())
    assert "with a depth of yours" in panel.shown and panel.subject.depth is not None
    assert np.array_equal(panel.subject.rgba, before.rgba)
    panel.take_depth_away()
    assert "with a depth of yours" not in panel.shown and panel.subject.depth is None


def test_a_depth_stays_whatever_else_is_changed_and_goes_with_its_photo(panel: Page):
    panel.upload()
    panel.bring_depth(a_depth())
    panel.wish(fill=60)
    assert panel.subject.depth is not None and panel.subject.fill == 0.6
    panel.wish(remover="none")
    assert panel.subject.depth is not None and panel.subject.made.remover == "none"
    panel.back_to("alpha")
    assert panel.subject.depth is not None and panel.subject.made.remover == "alpha"
    panel.paint(removed=(100, 60, 140, 100))
    assert panel.subject.depth is not None and panel.subject.made.removed_px
    panel.upload()
    assert panel.subject.depth is None


@pytest.mark.parametrize(
    ("depth", "said"),
    [(b"no depth", "neither a PNG nor an NPY"), (a_depth((300, 300)), "another shape"), (a_cut_out(), "coloured")],
)
def test_what_is_no_depth_of_this_photo_is_said_and_all_stays(panel: Page, depth: bytes, said: str):
    panel.upload()
    before = panel.entry
    panel.bring_depth(depth)
    assert said in panel.depth_said and panel.entry is before
    assert panel.problem == ""  # it is said where the depth was brought
    panel.bring_depth(a_depth())
    assert panel.depth_said == ""


def test_a_depth_without_a_photo_is_refused_and_forgotten(panel: Page):
    panel.bring_depth(a_depth())
    assert "no photo yet" in panel.depth_said and panel.prepared == ""


@pytest.mark.parametrize("size", [(320, 240), (300, 300)], ids=["depth", "refusal"])
def test_a_depth_that_was_read_too_late_is_not_of_the_photo_that_is_shown_by_then(panel: Page, size: tuple[int, int]):
    panel.upload()
    panel.read_depth(a_depth(size))
    panel.tap()
    before = panel.entry
    assert panel.frame_with_depth() == SubjectPanel() and panel.entry is before and not panel.brought
    assert panel.depth_said == ""


def test_a_depth_that_comes_while_the_photo_is_cut_out_goes_by_what_the_page_says(panel: Page):
    taken = panel.events.take_photo(an_upload(a_cut_out()), "")
    panel._take("prepared", taken.prepared)
    panel.remover, panel.fill = "none", 60
    panel.bring_depth(a_depth())
    assert (panel.subject.made.remover, panel.subject.fill) == ("none", 0.6) and panel.subject.depth is not None


def test_a_depth_of_all_but_the_object_takes_nothing_away_and_says_so(panel: Page):
    panel.upload()
    levels = np.full((240, 320), 900, np.uint16)
    levels[20:220, 50:270] = 0
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    panel.bring_depth(file.getvalue())
    assert not panel.problem and "unknown all over the object" in panel.shown and panel.subject


def test_after_a_restart_the_result_with_the_same_depth_is_the_one_gone_on_with(panel: Page, photos: Photos):
    panel.upload()
    without = panel.prepared
    panel.bring_depth(a_depth())
    made = {}
    for id in (without, panel.prepared):
        subject = photos.subject(id, 0)
        job = photos.studio.jobs.start(subject, [(Flat(), Request(subject, (View(0, 0),), size_px=64))], "someone")
        assert [*job.follow()]
        made[id] = job.id
    again = Photos(photos.studio)  # which holds nothing
    assert again.subject(panel.prepared, 0, made.values()).depth is not None
    assert Photos(photos.studio).subject(without, 0, reversed([*made.values()])).depth is None


def test_a_results_subject_comes_back_with_its_depth(panel: Page, photos: Photos):
    panel.upload()
    panel.bring_depth(a_depth())
    made = panel.subject
    job = photos.studio.jobs.start(made, [(Flat(), Request(made, (View(0, 0),), size_px=64))], "someone")
    assert [*job.follow()]
    panel.upload()
    panel.adopt(job.id)
    assert np.array_equal(panel.subject.depth, made.depth)
    panel.wish(fill=50)  # framed anew, from the result's own picture
    known = panel.subject.depth > 0
    assert known.any() and abs(int(np.median(panel.subject.depth[known])) - 16384) < 50
