"""What the page's controls do, called as Gradio calls them: every outcome is something to show."""

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio.utils import get_upload_folder

from pipelines.core.cameras import View
from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.core.images import Photo
from pipelines.runtime.devices import Machine
from pipelines.runtime.intake import Intake
from pipelines.runtime.method import Estimate, Report, Request
from pipelines.runtime.settings import Settings
from tests.toy_methods import Flat, Raises, Slow, a_card
from tests.ui.hostile.server import file_object
from tests.ui.house import MARKUP, a_photo
from ui import handlers as page
from ui.background import Background
from ui.handlers import FIRST_EXAMPLE, ONE_VIEW, ORBIT, Handlers, PhotoPanel, RunPanel, SubjectPanel
from ui.method_cards import read_method_cards
from ui.studio import Studio, open_studio

EXITS = [SystemExit("out"), KeyboardInterrupt(), MemoryError(), RuntimeError("secret /etc/path"), StopIteration()]
VISITOR: Any = SimpleNamespace(session_hash="one")
OTHER: Any = SimpleNamespace(session_hash="two")


class Costs(Flat):
    """Fails while it is only asked what it would cost."""

    card = a_card("costs")

    def __init__(self, problem: BaseException) -> None:
        self.problem = problem

    def estimate(self, request: Request, machine: Machine) -> Estimate:
        raise self.problem


class Exits(Intake):
    """Leaves the process, or would, instead of reading."""

    problem: BaseException = SystemExit()

    def read(self, source: bytes | Path) -> Photo:
        raise self.problem


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    studio = open_studio(Settings(data=tmp_path / "data"), (Flat(), Slow()))
    yield studio
    studio.jobs.drain(0)
    studio.intake.close()


def an_upload(data: bytes | None = None) -> dict[str, Any]:
    folder = Path(get_upload_folder()) / ("a1" * 32)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "photo.jpg").write_bytes(data or a_photo())
    return file_object(str(folder / "photo.jpg"))


def generate(handlers: Handlers, *chosen: Any, before: str = "", **changes: Any) -> list[RunPanel]:
    given = {
        "prepared_id": FIRST_EXAMPLE,
        "photo_elevation_deg": 0,
        "camera": ONE_VIEW,
        "azimuth_deg": 0,
        "elevation_deg": 0,
        "count": 4,
        "seed": 0,
        "size_px": 64,
        "visitor": "one",
        "before": before,
        "request": VISITOR,
    } | changes
    return list(handlers.generate(*given.values(), *(chosen or (True, False, 50))))


def sentences(panel: PhotoPanel | RunPanel | SubjectPanel) -> str:
    shown = panel.status if isinstance(panel, RunPanel) else panel.cutout
    return " ".join(re.findall(r'class="problem[^"]*"[^>]*>([^<]*)<', str(shown)))


def is_at_rest(panel: RunPanel) -> bool:
    return panel.go.visible is True and panel.cancel.visible is False


def cut_out(handlers: Handlers, unprepared: str) -> SubjectPanel:
    return list(handlers.prepare_again(unprepared, "auto", 0.8, VISITOR))[-1]


def test_an_upload_becomes_a_cut_out_and_the_file_goes(studio: Studio):
    handlers, upload = Handlers(studio), an_upload()
    taken = handlers.take_photo(upload, "")
    assert not Path(upload["path"]).exists() and not Path(upload["path"]).parent.exists()
    assert taken.photo is not None and taken.elevation == 0
    shown = cut_out(handlers, taken.unprepared)
    assert "data:image/webp" in shown.cutout
    prepared = handlers.shelf.get(shown.prepared)
    assert prepared.subject is not None and prepared.subject.made.remover == "outline"


def test_a_bad_photo_leaves_the_one_before_in_place(studio: Studio):
    handlers = Handlers(studio)
    good = cut_out(handlers, handlers.take_photo(an_upload(), "").unprepared).prepared
    panel = handlers.take_photo(an_upload(b"no photo"), good)
    assert sentences(panel) and panel.prepared == good and panel.photo is not None and panel.unprepared == ""
    panel = handlers.take_photo(an_upload(b"no photo"), "")
    assert sentences(panel) and panel.prepared == "" and panel.photo is None


def test_what_the_page_shows_itself_is_no_new_photo(studio: Studio, tmp_path: Path):
    handlers = Handlers(studio)
    for shown in (None, file_object(str(tmp_path / "image.webp"))):
        assert handlers.take_photo(shown, "") == PhotoPanel()


def test_a_path_that_is_no_upload_is_not_read(studio: Studio, tmp_path: Path):
    secret = tmp_path / "photo.jpg"
    secret.write_bytes(a_photo())
    panel = Handlers(studio).take_photo(file_object(str(secret)), "")
    assert "not uploaded here" in sentences(panel) and secret.exists()


@pytest.mark.parametrize("problem", EXITS, ids=repr)
def test_no_exception_of_any_kind_leaves_a_handler(studio: Studio, problem: BaseException):
    broken = replace(studio, intake=Exits(), methods=(Flat(), Raises(problem), Costs(problem)))
    broken.intake.problem = problem  # type: ignore[attr-defined] - it is an `Exits`
    handlers = Handlers(broken)
    panel = handlers.take_photo(an_upload(), "")
    assert "Something went wrong on our side" in sentences(panel) and "secret" not in sentences(panel)
    last = generate(handlers, True, False, False)[-1]  # the example cannot be read
    assert is_at_rest(last) and sentences(last)
    assert "problem" in handlers.price(ORBIT, 0, 4, 64, False, False, True)

    handlers = Handlers(replace(broken, intake=studio.intake))
    last = generate(handlers, False, True, False)[-1]
    assert is_at_rest(last) and sentences(last) and "secret" not in sentences(last)
    last = generate(handlers, True, False, False)[-1]  # and the next honest run succeeds
    assert is_at_rest(last) and not sentences(last) and studio.archive.open(last.run_id)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"azimuth_deg": float("nan")}, "finite"),
        ({"elevation_deg": 91}, "between -90 and 90"),
        ({"camera": ORBIT, "count": float("nan")}, "orbit has between"),
        ({"camera": ORBIT, "count": 1e300}, "orbit has between"),
        ({"seed": None}, "seed must be a number"),
        ({"seed": 1.5}, "whole number"),
        ({"seed": 2**60}, "between"),
        ({"size_px": 5000}, "between"),
        ({"photo_elevation_deg": float("inf")}, "finite"),
        ({"prepared_id": ""}, "no photo yet"),
        ({"prepared_id": "made-up"}, "no longer held"),
        ({"prepared_id": "example:99"}, "no longer held"),
        ({"prepared_id": "example:x"}, "no longer held"),
    ],
    ids=str,
)
def test_bad_settings_are_answered_in_place_and_the_page_is_at_rest(
    studio: Studio, changes: dict[str, Any], sentence: str
):
    last = generate(Handlers(studio), **changes)[-1]
    assert sentence in sentences(last) and is_at_rest(last)


def test_no_method_chosen_is_said(studio: Studio):
    assert "No method is chosen" in sentences(generate(Handlers(studio), False, False, 50)[-1])


def test_a_run_shows_progress_then_the_result_and_its_link(studio: Studio):
    panels = generate(Handlers(studio), camera=ORBIT)
    assert "progress" in panels[0].status and panels[0].cancel.visible
    last = panels[-1]
    assert is_at_rest(last) and studio.archive.open(last.run_id).id == last.run_id
    assert "orbit.mp4" in last.stage and "Flat as a photo." in last.sheet


def test_cancel_stops_ones_own_run_and_brings_back_the_result_before(studio: Studio):
    handlers = Handlers(studio)
    before = generate(handlers)[-1].run_id
    panels = handlers.generate(FIRST_EXAMPLE, 0, ONE_VIEW, 0, 0, 4, 0, 64, "one", before, VISITOR, False, True, 1000)
    run_id = next(panel.run_id for panel in panels if isinstance(panel.run_id, str))
    assert handlers.cancel(run_id, "two", OTHER) == gr.skip()  # another's
    job = studio.jobs.find(run_id)
    assert job and not job.cancelled.is_set()
    started = time.monotonic()
    handlers.cancel(run_id, "one", VISITOR)
    last = list(panels)[-1]
    assert time.monotonic() - started < 10 and is_at_rest(last)
    assert "Cancelled" in sentences(last) and last.run_id == before
    assert handlers.cancel(run_id, "one", VISITOR) == gr.skip()  # over
    assert handlers.cancel("nonsense", "one", VISITOR) == gr.skip()


def test_a_run_begun_before_the_page_knew_its_visitor_can_be_cancelled(studio: Studio):
    handlers = Handlers(studio)
    panels = handlers.generate(FIRST_EXAMPLE, 0, ONE_VIEW, 0, 0, 4, 0, 64, "", "", VISITOR, False, True, 1000)
    run_id = next(panel.run_id for panel in panels if isinstance(panel.run_id, str))
    assert handlers.cancel(run_id, "two", OTHER) == gr.skip()
    assert handlers.cancel(run_id, "a key that came later", VISITOR) != gr.skip()
    assert "Cancelled" in sentences(list(panels)[-1])


def test_a_visitor_who_leaves_does_not_stop_the_run_and_finds_it_again(studio: Studio):
    handlers = Handlers(studio)
    panels = handlers.generate(FIRST_EXAMPLE, 0, ONE_VIEW, 0, 0, 4, 0, 64, "one", "", VISITOR, False, True, 5)
    run_id = next(panel.run_id for panel in panels if isinstance(panel.run_id, str))
    panels.close()  # type: ignore[attr-defined] - it is a generator
    again = list(handlers.arrive(run_id))
    assert "progress" in again[0].status and again[-1].run_id == run_id
    assert "Flat as a photo." in again[-1].sheet


def test_a_link_opens_its_result_after_a_restart(studio: Studio):
    made = generate(Handlers(studio))[-1]
    anew = Handlers(open_studio(studio.settings, studio.methods))
    (panel,) = anew.arrive(made.run_id)
    assert panel.stage == made.stage and panel.sheet == made.sheet
    assert list(anew.arrive("")) == [RunPanel()]
    (panel,) = anew.arrive("f" * 44)
    assert "no result behind this link" in sentences(panel) and panel.run_id == ""


def test_a_newer_wish_of_the_same_page_replaces_the_older_one(studio: Studio):
    handlers = Handlers(studio)
    list(handlers.prepare_again(FIRST_EXAMPLE, "auto", 0.8, VISITOR))
    older = handlers.prepare_again(FIRST_EXAMPLE, "outline", 0.7, VISITOR)
    next(older)
    shown = list(handlers.prepare_again(FIRST_EXAMPLE, "outline", 0.6, VISITOR))
    assert handlers.shelf.get(shown[-1].prepared).fill == 0.6
    list(older)
    assert handlers._preparing == {}


def test_options_come_back_from_the_controls_in_order(studio: Studio):
    chosen = read_method_cards(studio.methods, [True, True, 7])
    assert [(method.card.key, getattr(options, "steps", None)) for method, options in chosen] == [
        ("flat", None),
        ("slow", 7),
    ]
    with pytest.raises(TurnaroundError, match="Steps"):
        read_method_cards(studio.methods, [True, True, 10**9])


def test_text_is_never_markup_or_a_template():
    shown = page.status.said(MARKUP)
    assert "<img" not in shown and "<script" not in shown and "{{" not in shown and "${" not in shown


def test_views_are_as_chosen():
    assert page.chosen_views(ONE_VIEW, 35, 10, 21) == (View(35, 10),)
    assert len(page.chosen_views(ORBIT, 35, 10, 21)) == 21 and page.chosen_views(ORBIT, 35, 10, 21)[0] == View(0, 10)


def test_background_work_reports_stops_and_hands_on_what_it_raised():
    heard = threading.Event()

    def work(report: Report) -> str:
        report(0.5, "half")
        heard.wait(5)
        return "made"

    with Background(work) as running:
        steps = iter(running)
        assert next(steps).message == "half"
        heard.set()
        assert list(steps) == [] and running.result() == "made"

    def endless(report: Report) -> None:
        while True:
            report(0.1, "on and on")
            time.sleep(0.01)

    with Background(endless) as running:
        running.cancelled.set()
        assert list(running) in ([], [running._step])
        with pytest.raises(Cancelled):
            running.result()

    def fails(report: Report) -> None:
        raise SystemExit("no")

    with Background(fails) as running:
        assert list(running) == []
        with pytest.raises(SystemExit):
            running.result()
