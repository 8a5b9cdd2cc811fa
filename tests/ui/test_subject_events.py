"""What the subject panel's controls do, called as Gradio calls them: every outcome is something to show."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipelines.core.cameras import View
from pipelines.core.images import Photo
from pipelines.runtime.intake import Intake
from pipelines.runtime.method import Request
from pipelines.runtime.prepare import AUTO
from tests.toy_methods import Slow
from tests.ui.hostile.server import file_object
from tests.ui.subject_helpers import VISITOR, Page, a_studio, an_upload, is_gone
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
def panel(photos: Photos) -> Page:
    return Page(SubjectEvents(photos))


# --- Photos -----------------------------------------------------------------------------------------------------------


def test_an_upload_becomes_a_cut_out_and_the_file_goes(panel: Page):
    upload = an_upload()
    taken = panel._see_photo(panel.events.take_photo(upload, ""))
    assert is_gone(upload) and taken.photo is not None and taken.photo_elevation == 0
    assert "Cut out by Outline" in panel.shown
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
    assert "Something went wrong on our side" in panel.problem and "secret" not in panel.problem


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
    panel.wish(remover="none")
    panel.wish(remover="u2netp")
    assert thumbnails(panel) == {"outline": False, "none": False}  # none of them is what was asked for
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


def test_a_wish_told_twice_is_fulfilled_once(panel: Page):
    panel.upload()
    panel.remover = "none"
    first = panel._prepare_again(panel.prepared)
    next(first)
    running = panel.events._preparing.copy()
    panel._see_all(panel._prepare_again(panel.prepared))
    assert panel.events._preparing == running and panel.subject.made.remover != "none"
    panel._see_all(first)
    assert panel.subject.made.remover == "none"


def test_one_visitors_stop_is_not_anothers(panel: Page):
    panel.upload()
    panel.remover = "none"
    running = panel._prepare_again(panel.prepared)
    next(running)
    panel.events.stop_preparing(OTHER)
    panel._see_all(running)
    assert panel.subject.made.remover == "none"


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
    assert (seen.photo_elevation, seen.remover, page.fill) == (17.0, AUTO, 65)
    assert np.array_equal(page.subject.rgba, subject.rgba)
    page.paint(removed=(50, 90, 150, 110), size=(200, 200))
    assert page.subject.made.removed_px > 1000  # and goes on from there


@pytest.mark.parametrize("link", ["", "f" * 44, "nonsense", "../..", None])
def test_without_a_result_the_page_keeps_its_photo(panel: Page, link: Any):
    panel.prepared = FIRST_EXAMPLE
    panel.adopt(link)
    assert panel.prepared == FIRST_EXAMPLE and "Cut out by Outline" in panel.shown


@pytest.mark.parametrize("cancelled", [False, True])
def test_the_subject_of_a_run_that_has_nothing_yet_or_came_to_nothing_is_taken_over(
    panel: Page, studio: Studio, cancelled: bool
):
    panel.upload()
    slow = Slow()
    subject = replace(panel.subject, elevation_deg=17.0)
    job = studio.jobs.start(subject, [(slow, Request(subject, (View(0, 0),), size_px=64))], "one")
    if cancelled:
        job.cancel()
        list(job.follow())
        assert job.state == "ended"
    page = Page(SubjectEvents(Photos(studio)))
    page.prepared = FIRST_EXAMPLE
    assert page.adopt(job.id).photo_elevation == 17.0
    assert np.array_equal(page.subject.rgba, subject.rgba)
    job.cancel()


def test_a_deleted_results_subject_is_nobodys_although_its_run_is_remembered(panel: Page, studio: Studio):
    panel.upload()
    job = studio.jobs.start(
        panel.subject, [(studio.methods[0], Request(panel.subject, (View(0, 0),), size_px=64))], "a"
    )
    list(job.follow())
    studio.archive.delete(job.id)
    assert studio.jobs.find(job.id) is not None
    page = Page(SubjectEvents(Photos(studio)))
    page.prepared = FIRST_EXAMPLE
    assert page.adopt(job.id).photo == PhotoPanel().photo and page.prepared == FIRST_EXAMPLE


# --- After a restart --------------------------------------------------------------------------------------------------


def test_what_the_server_holds_no_longer_is_said_and_nothing_else_takes_its_place(panel: Page, studio: Studio):
    panel.upload()
    lost = panel.prepared
    panel.events = SubjectEvents(Photos(studio))  # as a server that was started again
    for do in (lambda: panel.wish(fill=60), lambda: panel.back_to("none"), panel.start_over, panel.paint):
        panel.shown = ""
        do()
        assert "no longer held here" in panel.problem and panel.prepared == lost
    assert panel.events.show_mask(lost, True) == (None, False)


def test_a_photo_that_is_too_large_is_refused_and_the_one_before_stays(panel: Page):
    panel.tap()
    said = panel.events.refuse_large(panel.prepared)
    assert "larger than the 25 MB" in said and "Cut out by Outline" in said
    assert "Cut out by" not in panel.events.refuse_large("")
