"""Repairing the mask and its edges, called as Gradio calls it: live, recorded, and bad layers answered in words."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest

from tests.ui.subject_helpers import VISITOR, Page, a_studio, an_upload, event, strokes
from ui.mask_editor import Canvas
from ui.photos import Photos
from ui.runs import LastPress, Runs
from ui.subject_events import SubjectEvents, SubjectPanel


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Photos]:
    studio = a_studio(tmp_path_factory.mktemp("mask"))
    yield Photos(studio)
    studio.intake.close()


@pytest.fixture
def panel(photos: Photos) -> Page:
    return Page(SubjectEvents(photos))


def test_strokes_change_the_cut_out_are_recorded_and_keep_what_was_found(panel: Page):
    panel.upload()
    found, untouched = panel.entry.found, panel.subject
    panel.paint(removed=(90, 110, 240, 130))  # across the ball
    assert panel.entry.found is found and panel.subject.made.removed_px > 1000
    assert "repaired by hand" in panel.shown
    assert np.count_nonzero(panel.subject.rgba[..., 3]) < 0.95 * np.count_nonzero(untouched.rgba[..., 3])
    panel.paint()  # undone
    assert panel.subject.made.removed_px == 0 and "by hand" not in panel.shown
    assert np.array_equal(panel.subject.rgba, untouched.rgba)


def test_what_was_painted_in_belongs_to_the_object(panel: Page):
    panel.upload()
    panel.paint(added=(4, 4, 60, 40))
    assert panel.subject.made.added_px > 8000
    left, _, right, _ = panel.subject.made.crop_px
    assert left < 30 < right  # the frame now reaches to the corner


def test_strokes_that_change_nothing_leave_the_entry_as_it_is(panel: Page):
    panel.upload()
    before = panel.prepared
    assert panel.paint() == SubjectPanel() and panel.prepared == before
    panel.paint(removed=(90, 110, 240, 130))
    painted = panel.prepared
    assert panel.paint(removed=(90, 110, 240, 130)) == SubjectPanel() and panel.prepared == painted


def test_start_over_takes_all_strokes_away(panel: Page):
    panel.upload()
    panel.paint(removed=(90, 110, 240, 130), added=(4, 4, 60, 40))
    panel.start_over()
    assert panel.entry.repair is None and panel.subject.made.added_px == 0
    assert panel.start_over() == SubjectPanel()


def test_everything_erased_is_said_and_the_last_stroke_can_be_undone(panel: Page):
    panel.upload()
    panel.paint(removed=(0, 0, 320, 240))
    assert "cover all of the photo" in panel.problem and panel.subject
    panel.paint(removed=(2, 2, 318, 238))
    assert "Everything in this photo is erased" in panel.problem and panel.entry.subject is None
    panel.paint()
    assert not panel.problem and panel.subject.made.removed_px == 0


def test_bad_strokes_are_refused_beside_the_cut_out_that_stays(panel: Page):
    panel.upload()
    before = panel.prepared
    for data in (b"no picture", strokes(removed=(9, 9, 99, 99), size=(200, 320))):
        panel._see(panel.events.paint(panel.prepared, panel.tried, VISITOR, event(strokes=an_upload(data))))
        assert panel.problem and 'src="cutout/' in panel.shown and panel.prepared == before
    assert panel.paint(removed=(9, 9, 99, 99)) is not None and not panel.problem


def test_strokes_without_a_photo_are_refused(panel: Page):
    panel.paint(removed=(9, 9, 99, 99))
    assert panel.problem and panel.prepared == ""
    assert panel.start_over() == SubjectPanel()


def test_each_remover_keeps_its_own_strokes(panel: Page):
    panel.upload()
    panel.paint(removed=(90, 110, 240, 130))
    painted = panel.entry
    panel.wish(remover="none")
    assert panel.entry.repair is None
    panel.back_to("alpha")
    assert panel.entry is painted


def test_share_of_the_frame_and_soft_edge_are_live_and_recorded(panel: Page):
    panel.upload()
    found = panel.entry.found
    panel.paint(removed=(90, 110, 240, 130))
    panel.wish(fill=50)
    panel.wish(feather=3)
    made = panel.subject.made
    assert (panel.subject.fill, made.feather) == (0.5, 0.03) and made.removed_px > 1000
    assert panel.entry.found is found and "edge softened by 3 %" in panel.shown
    alpha = panel.subject.rgba[..., 3]
    assert np.count_nonzero(alpha.max(axis=0)) < 0.53 * 1024
    assert np.count_nonzero((alpha > 20) & (alpha < 235)) > 0.05 * np.count_nonzero(alpha)


def test_a_saved_result_says_how_its_subject_was_set(panel: Page, photos: Photos):
    panel.upload()
    panel.wish(remover="outline", fill=50, feather=3)  # "auto" took the photo's own transparency
    panel.paint(removed=(90, 110, 240, 130), added=(4, 4, 60, 40))
    camera = ("one view", 0, 0, 1, 1, {})
    visitor: Any = SimpleNamespace(session_hash="one", headers={}, client=None)
    press = (0, LastPress())
    id, _ = Runs(photos).generate(*press, panel.prepared, 25, *camera, 0, 64, "", "", False, "", visitor, True)
    job = photos.studio.jobs.find(id)
    assert job and [*job.follow()]
    folder = photos.studio.archive.open(id).folder
    saved, of_method = (json.loads((folder / name / "manifest.json").read_text())["subject"] for name in ("", "flat"))
    settings = {"remover": "outline", "fill": 0.5, "feather": 0.03, "elevation_deg": 25}
    assert {name: saved[name] for name in settings} == settings and of_method == saved
    made = panel.subject.made
    assert saved["removed_px"] == made.removed_px > 1000 and saved["added_px"] == made.added_px > 1000


def test_the_editor_shows_what_is_away_dimmed_and_strokes_where_they_were(panel: Page):
    panel.upload()
    shown, stale = panel.events.show_mask(panel.prepared, False)
    assert shown == gr.skip() and stale  # nobody is looking
    painted, stale, unfolded = panel.events.unfold(panel.prepared, True)
    assert isinstance(painted, Canvas) and (stale, unfolded) == (False, True) and painted.strokes is None
    picture = painted.picture.astype(int)
    assert picture.shape == (480, 640, 4) and (picture[..., 3] == 255).all()
    assert np.ptp(picture[240, 250, :3]) > 120  # the ball has its orange
    assert np.ptp(picture[20, 20, :3]) == 0 and picture[20, 20, 0] < 180  # the paper is grey
    assert panel.events.unfold(panel.prepared, False)[0] == gr.skip()  # what was painted there can still be undone

    panel.paint(removed=(90, 110, 240, 130))
    panel.wish(remover="none")
    panel.back_to("alpha")
    again, _ = panel.events.show_mask(panel.prepared, True)
    assert isinstance(again, Canvas) and again.strokes is not None
    assert tuple(again.strokes[240, 300]) == (220, 38, 38, 255) and again.strokes[100, 100, 3] == 0
    assert panel.events.show_mask("", True) == (None, False)
