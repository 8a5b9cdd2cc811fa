"""What the subject panel's controls do, called as Gradio calls them: every outcome is something to show."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest

from pipelines.core.cameras import View
from pipelines.core.images import Photo
from pipelines.runtime.intake import Intake
from pipelines.runtime.method import Request
from pipelines.runtime.prepare import AUTO
from pipelines.runtime.shelf import Prepared
from tests.ui.hostile.server import file_object
from tests.ui.subject_helpers import VISITOR, a_cut_out, a_studio, an_upload, event, is_gone, strokes
from ui.mask_editor import Canvas
from ui.photos import FIRST_EXAMPLE, Photos
from ui.studio import Studio
from ui.subject_events import PhotoPanel, SubjectEvents, SubjectPanel

EXITS = [SystemExit("out"), KeyboardInterrupt(), MemoryError(), RuntimeError("secret /etc/path"), StopIteration()]
OTHER: Any = SimpleNamespace(session_hash="two")


class Exits(Intake):
    """Leaves the process, or would, instead of reading."""

    problem: BaseException = SystemExit()

    def read(self, source: bytes | Path) -> Photo:
        raise self.problem


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    studio = a_studio(tmp_path_factory.mktemp("subject"))
    yield studio
    studio.jobs.drain(0)
    studio.intake.close()


@pytest.fixture(scope="module")
def photos(studio: Studio) -> Photos:
    return Photos(studio)


@pytest.fixture
def panel(photos: Photos) -> "Page":
    return Page(SubjectEvents(photos))


class Page:
    """One visitor's panel: what it shows, and what they do with it."""

    def __init__(self, events: SubjectEvents, visitor: Any = VISITOR) -> None:
        self.events, self.visitor = events, visitor
        self.prepared, self.remover, self.fill, self.feather, self.tried = "", AUTO, 80, 0, ()
        self.shown, self.compared, self.picture, self.unprepared = "", "", "", []

    def upload(self, data: bytes = a_cut_out()) -> PhotoPanel:
        return self._see_photo(self.events.take_photo(an_upload(data), self.prepared))

    def tap(self, example: str = FIRST_EXAMPLE) -> PhotoPanel:
        return self._see_photo(self.events.tapped(example)())

    def adopt(self, result_id: str) -> PhotoPanel:
        return self._see_photo(self.events.adopt(result_id, self.prepared))

    def wish(self, **changes: Any) -> SubjectPanel:
        """The remover or a slider is moved."""
        self.__dict__.update(changes)
        return self._see_all(self._prepare_again(self.prepared))

    def back_to(self, used: str) -> SubjectPanel:
        given = self.prepared, self.fill, self.feather, self.tried, self.visitor
        return self._see_all(self.events.return_to(*given, event(used=used)))

    def paint(self, **boxes: Any) -> SubjectPanel:
        upload = an_upload(strokes(**boxes))
        seen = self.events.paint(self.prepared, self.tried, self.visitor, event(strokes=upload))
        assert is_gone(upload)
        return self._see(seen)

    def start_over(self) -> SubjectPanel:
        return self._see(self.events.start_over(self.prepared, self.tried, self.visitor))

    @property
    def entry(self) -> Prepared:
        return self.events.photos.entry(self.prepared)

    @property
    def subject(self) -> Any:
        subject = self.entry.subject
        assert subject is not None
        return subject

    @property
    def problem(self) -> str:
        return " ".join(re.findall(r'class="problem[^"]*"[^>]*>([^<]*)<', self.shown))

    def _prepare_again(self, prepared_id: str) -> Iterator[SubjectPanel]:
        return self.events.prepare_again(prepared_id, *self._wish, self.visitor)

    @property
    def _wish(self) -> tuple[Any, ...]:
        return self.remover, self.fill, self.feather, self.tried

    def _see_photo(self, seen: PhotoPanel) -> PhotoPanel:
        for name in ("prepared", "remover", "fill", "feather"):
            self._take(name, getattr(seen, name))
        self._take("shown", seen.cutout)
        self._take("unprepared", seen.unprepared)
        self._see_all(self.events.prepare_next(self.unprepared, *self._wish, self.visitor))
        return seen

    def _see_all(self, panels: Iterator[SubjectPanel]) -> SubjectPanel:
        seen = SubjectPanel()
        for seen in panels:
            self._see(seen)
        return seen

    def _see(self, seen: SubjectPanel) -> SubjectPanel:
        for name in ("prepared", "remover", "tried", "compared", "picture"):
            self._take(name, getattr(seen, name))
        self._take("shown", seen.cutout)
        return seen

    def _take(self, name: str, value: Any) -> None:
        if value != gr.skip():
            setattr(self, name, value)


# --- Photos -----------------------------------------------------------------------------------------------------------


def test_an_upload_becomes_a_cut_out_and_the_file_goes(panel: Page):
    upload = an_upload()
    taken = panel._see_photo(panel.events.take_photo(upload, ""))
    assert is_gone(upload) and taken.photo is not None and taken.elevation == 0
    assert "data:image/webp" in panel.shown and "Cut out by Outline" in panel.shown
    assert panel.subject.made.remover == "outline"
    assert panel.picture.startswith("data:image/webp;base64,") and len(panel.picture) < 40_000


def test_a_bad_photo_leaves_the_one_before_in_place(panel: Page):
    panel.upload(b"no photo")
    assert panel.problem and panel.prepared == ""
    panel.upload()
    good = panel.prepared
    seen = panel.upload(b"no photo")
    assert panel.problem and panel.prepared == good and seen.photo is not None and seen.unprepared == []


def test_what_the_page_shows_itself_is_no_new_photo(panel: Page, tmp_path: Path):
    for shown in (None, file_object(str(tmp_path / "image.webp"))):
        assert panel.events.take_photo(shown, "") == PhotoPanel()


def test_the_pages_own_picture_neither_repeats_nor_prevents_the_cutting_out(panel: Page, tmp_path: Path):
    taken = panel.events.take_photo(an_upload(), "")
    panel._take("prepared", taken.prepared)
    panel._take("unprepared", taken.unprepared)
    echo = panel.events.take_photo(file_object(str(tmp_path / "image.webp")), panel.prepared)  # before it is cut out
    panel._take("unprepared", echo.unprepared)
    panel._see_all(panel.events.prepare_next(panel.unprepared, *panel._wish, VISITOR))
    assert panel.subject and "Cut out by Outline" in panel.shown
    assert list(panel.events.prepare_next(panel.unprepared, *panel._wish, VISITOR)) == [SubjectPanel()]


def test_a_path_that_is_no_upload_is_not_read(panel: Page, tmp_path: Path):
    secret = tmp_path / "photo.jpg"
    secret.write_bytes(b"secret")
    panel._see_photo(panel.events.take_photo(file_object(str(secret)), ""))
    assert "not uploaded here" in panel.problem and secret.exists()


def test_a_photo_taken_away_leaves_nothing_behind(panel: Page):
    panel.upload()
    panel.wish(remover="none")
    panel._see(panel.events.clear_photo(VISITOR))
    assert (panel.prepared, panel.tried, panel.compared, panel.picture) == ("", (), "", "")
    assert panel.wish(remover="outline") == SubjectPanel()


@pytest.mark.parametrize("problem", EXITS, ids=repr)
def test_no_exception_of_any_kind_leaves_a_handler(studio: Studio, problem: BaseException):
    broken = replace(studio, intake=Exits())
    broken.intake.problem = problem  # type: ignore[attr-defined] - it is an `Exits`
    panel = Page(SubjectEvents(Photos(broken)))
    panel.upload()
    assert "Something went wrong on our side" in panel.problem and "secret" not in panel.problem
    panel.tap()  # the example cannot be read either
    assert panel.problem and panel.prepared == ""


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"fill": 5}, "between 0.2 and 0.98"),
        ({"fill": float("nan")}, "finite"),
        ({"feather": 50}, "between 0 and 0.05"),
        ({"feather": None}, "Something went wrong"),
        ({"remover": "made-up"}, "no background remover"),
    ],
    ids=str,
)
def test_what_no_slider_says_is_refused_and_the_photo_stays(panel: Page, changes: dict[str, Any], sentence: str):
    panel.tap()
    panel.wish(**changes)
    assert sentence in panel.problem
    panel.wish(fill=80, feather=0, remover=AUTO)
    assert not panel.problem and panel.subject


# --- Removers compared ------------------------------------------------------------------------------------------------


def thumbnails(panel: Page) -> dict[str, bool]:
    """Which removers can be returned to, and whether each is the chosen one."""
    found = re.findall(r'data-used="([^"]*)" aria-pressed="(\w+)"', panel.compared)
    return {used: pressed == "true" for used, pressed in found}


def test_removers_tried_stay_side_by_side_and_a_tap_returns_without_looking_again(panel: Page):
    panel.upload()
    assert panel.compared == ""  # nothing to compare yet
    outlined = panel.entry
    panel.wish(remover="none")
    assert thumbnails(panel) == {"alpha": False, "none": True}
    assert panel.compared.count("data:image/webp") == 2 and panel.subject.made.remover == "none"
    panel.back_to("alpha")
    assert panel.entry is outlined and panel.remover == AUTO  # as it was asked for
    assert thumbnails(panel) == {"alpha": True, "none": False}


def test_a_tap_returns_to_a_remover_with_the_sliders_as_they_are_now(panel: Page):
    panel.upload()
    found = panel.entry.found
    panel.wish(remover="none")
    panel.wish(fill=60)
    panel.back_to("alpha")
    assert panel.entry.found is found and panel.subject.fill == 0.6


def test_the_same_remover_by_another_name_adds_no_thumbnail(panel: Page):
    panel.upload()
    panel.wish(remover="alpha")  # what "auto" took
    panel.wish(remover="none")
    assert list(thumbnails(panel)) == ["alpha", "none"]


def test_another_photo_has_nothing_to_compare_yet(panel: Page):
    panel.upload()
    panel.wish(remover="none")
    panel.tap()
    assert panel.compared == "" and len(panel.tried) == 1


@pytest.mark.parametrize("used", ["u2netp", "made-up", "<b>", None, 7])
def test_a_tap_on_what_was_never_tried_asks_for_it_or_keeps_the_photo(panel: Page, used: Any):
    panel.tap()
    panel.back_to(used)
    assert panel.events.photos.find(panel.prepared) is not None
    assert ("U²-Net small" in panel.problem) == (used == "u2netp")


def test_a_remover_that_cannot_be_fetched_is_said_and_never_replaced_in_silence(panel: Page):
    panel.tap()
    seen = panel.wish(remover="u2netp")
    assert "U²-Net small" in panel.problem and seen.offer.visible and seen.stop.visible is False
    assert panel.entry.subject is None and panel.picture == ""
    panel.wish(remover="outline")  # what is offered
    assert not panel.problem and panel.subject.made.remover == "outline"


def test_stop_leaves_the_cut_out_and_the_remover_there_were(panel: Page):
    panel.tap()
    before = panel.prepared
    panel.remover = "u2netp"
    running = panel._prepare_again(panel.prepared)
    next(running)
    panel.events.stop_preparing(VISITOR)
    panel._see_all(running)
    if not panel.problem:  # else it failed before it could be stopped
        assert (panel.prepared, panel.remover) == (before, AUTO) and "Cut out by Outline" in panel.shown
    assert panel.events._preparing == {}


def test_a_newer_wish_of_the_same_page_replaces_the_older_one(panel: Page):
    panel.upload()
    panel.remover, panel.fill = "none", 70
    older = panel._prepare_again(panel.prepared)
    next(older)
    panel.wish(fill=60)
    assert panel.subject.fill == 0.6
    panel._see_all(older)
    assert panel.subject.fill == 0.6 and not panel.problem
    assert panel.events._preparing == {}


def test_one_visitors_stop_is_not_anothers(panel: Page):
    panel.upload()
    panel.remover = "none"
    running = panel._prepare_again(panel.prepared)
    next(running)
    panel.events.stop_preparing(OTHER)
    panel._see_all(running)
    assert panel.subject.made.remover == "none"


# --- The mask and its edges -------------------------------------------------------------------------------------------


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
        assert panel.problem and "data:image/webp" in panel.shown and panel.prepared == before
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


# --- A result's subject -----------------------------------------------------------------------------------------------


def test_a_results_subject_is_taken_over_pixel_for_pixel(panel: Page, studio: Studio):
    panel.upload()
    panel.wish(fill=65)
    subject = replace(panel.subject, elevation_deg=17.0)
    method = studio.methods[0]
    job = studio.jobs.start(subject, [(method, Request(subject, (View(0, 0),), size_px=64))], "one")
    for _ in job.follow():
        pass
    page = Page(SubjectEvents(Photos(studio)))
    seen = page.adopt(job.id)
    assert (seen.elevation, seen.remover, page.fill) == (17.0, AUTO, 65)
    assert np.array_equal(page.subject.rgba, subject.rgba)
    page.paint(removed=(50, 90, 150, 110), size=(200, 200))
    assert page.subject.made.removed_px > 1000  # and goes on from there


@pytest.mark.parametrize("link", ["", "f" * 44, "nonsense", "../..", None])
def test_without_a_result_the_page_keeps_its_photo(panel: Page, link: Any):
    panel.prepared = FIRST_EXAMPLE
    panel.adopt(link)
    assert panel.prepared == FIRST_EXAMPLE and "Cut out by Outline" in panel.shown
