"""Changing a subject after its background was removed: strokes, feather and fill never make a remover look again."""

import dataclasses
import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import TurnaroundError
from pipelines.core.images import Photo
from pipelines.core.mask import Repair
from pipelines.runtime.manifest import MANIFEST, SubjectRecord
from pipelines.runtime.method import Report
from pipelines.runtime.prepare import Found, find_alpha, frame, prepare
from pipelines.runtime.removers import OUTLINE
from pipelines.runtime.results import subject_record
from pipelines.runtime.settings import Settings
from tests.core.photos import disc, photo_of, plain
from tests.runtime.archive_helpers import a_card, a_run, an_archive, said

WIDTH, HEIGHT = 300, 240


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    with socket.socket() as unused:  # nobody listens there: a model that nobody needs cannot be fetched
        unused.bind(("127.0.0.1", 0))
        return Settings(data=tmp_path, rembg_url=f"http://127.0.0.1:{unused.getsockname()[1]}/")


def a_photo() -> Photo:
    """A red ball on a grey wall, opaque."""
    alpha = disc(WIDTH, HEIGHT, 130, 120, 70)[..., None]
    return photo_of(np.rint(np.array((180, 40, 40)) * alpha + np.array((205, 208, 210)) * (1 - alpha)))


def a_wall() -> Photo:
    return photo_of(plain(WIDTH, HEIGHT, (205, 208, 210)))


def strokes(added: np.ndarray | None = None, removed: np.ndarray | None = None) -> Repair:
    nothing = np.zeros((HEIGHT, WIDTH), np.float32)
    return Repair((nothing if added is None else added) >= 0.5, (nothing if removed is None else removed) >= 0.5)


NOSE = disc(WIDTH, HEIGHT, 220, 120, 30)


class Stages(Report):
    """Remembers what was reported."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        super().__init__(lambda fraction, message, preview: self.messages.append(message))


def test_the_two_steps_make_what_prepare_makes_to_the_bit(settings: Settings) -> None:
    photo, repair = a_photo(), strokes(NOSE)
    found = find_alpha(photo, "auto", settings)
    assert found.remover == OUTLINE and found.alpha.shape == (HEIGHT, WIDTH) and found.alpha.dtype == np.uint8
    wishes: list[dict[str, Any]] = [{}, {"fill": 0.5, "elevation_deg": 12.0}, {"feather": 0.02, "repair": repair}]
    for changes in wishes:
        apart, whole = frame(photo, *found, **changes), prepare(photo, settings=settings, **changes)
        assert np.array_equal(apart.rgba, whole.rgba) and apart.made == whole.made
        assert (apart.fill, apart.elevation_deg) == (whole.fill, whole.elevation_deg)


def test_with_a_found_alpha_no_remover_is_asked_again(settings: Settings) -> None:
    """The remover named could not be asked: its model is not here and cannot be fetched."""
    photo, stages = a_photo(), Stages()
    found = Found(np.rint(disc(WIDTH, HEIGHT, 130, 120, 70) * 255).astype(np.uint8), "u2net")
    made = frame(photo, *found, repair=strokes(NOSE), feather=0.01, report=stages)
    assert made.made.remover == "u2net" and made.made.added_px > 0 and made.made.feather == 0.01
    assert stages.messages == ["Framing the object"]
    with pytest.raises(TurnaroundError, match="cannot be reached"):
        prepare(photo, remover="u2net", repair=strokes(NOSE), settings=settings)


def test_a_found_alpha_cannot_be_changed_by_who_holds_it(settings: Settings) -> None:
    for photo in (a_photo(), photo_of(plain(WIDTH, HEIGHT, (9, 9, 9)), disc(WIDTH, HEIGHT, 130, 120, 70))):
        with pytest.raises(ValueError, match="read-only"):
            find_alpha(photo, "auto", settings).alpha[0, 0] = 1


def test_where_nothing_was_found_painting_alone_makes_the_subject(settings: Settings) -> None:
    wall = a_wall()
    found = find_alpha(wall, "auto", settings)  # an answer, though there is nothing in it
    assert "No object was found" in said(lambda: frame(wall, *found))
    ball = disc(WIDTH, HEIGHT, 100, 80, 50)
    made = frame(wall, *found, repair=strokes(ball))
    assert made.made.remover == OUTLINE and made.made.added_px == np.count_nonzero(ball >= 0.5)
    left, top, right, bottom = made.made.crop_px
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((100, 80), abs=1)
    assert right - left == pytest.approx(100 / 0.8, abs=2)
    assert np.array_equal(made.rgba, prepare(wall, repair=strokes(ball), settings=settings).rgba)


def test_who_paints_everything_out_is_told_what_to_do(settings: Settings) -> None:
    photo, everything = a_photo(), np.ones((HEIGHT, WIDTH))
    for remover in ("auto", "none"):
        sentence = said(lambda: prepare(photo, remover=remover, repair=strokes(None, everything), settings=settings))  # noqa: B023
        assert "Everything in this photo is erased" in sentence and "Undo" in sentence


def test_by_hand_alone_a_photo_taken_whole_can_be_cut_out(settings: Settings) -> None:
    ball = disc(WIDTH, HEIGHT, 130, 120, 70)
    made = prepare(a_photo(), remover="none", repair=strokes(None, 1 - ball), settings=settings)
    assert made.made.remover == "none" and made.made.removed_px > 0
    shown = disc(1024, 1024, 512, 512, 0.4 * 1024) >= 0.5
    assert ((made.rgba[..., 3] >= 128) == shown).mean() > 0.99


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"feather": float("nan")}, "The feather must"),
        ({"feather": 0.2}, "The feather must"),
        ({"repair": Repair(np.ones((9, 9), np.bool_), np.zeros((9, 9), np.bool_))}, "belong to another picture"),
    ],
)
def test_wrong_wishes_are_refused_before_any_work(settings: Settings, wrong: dict[str, Any], sentence: str) -> None:
    stages = Stages()
    with pytest.raises(TurnaroundError, match=sentence):
        prepare(a_photo(), settings=settings, report=stages, **wrong)
    assert stages.messages == []


# --- The record -------------------------------------------------------------------------------------------------------


def test_strokes_and_feather_are_stored_with_a_result_and_read_back(settings: Settings) -> None:
    repair = strokes(NOSE, disc(WIDTH, HEIGHT, 80, 120, 20))
    subject = prepare(a_photo(), feather=0.015, repair=repair, settings=settings)
    archive = an_archive(settings.data)
    with archive.begin(subject) as draft:
        draft.add(*a_run(subject), a_card())
        saved = draft.finish()
    again = an_archive(settings.data).subject(saved.id)
    assert again.made == subject.made and np.array_equal(again.rgba, subject.rgba)
    counts = (np.count_nonzero(repair.added), np.count_nonzero(repair.removed))
    for path in (saved.folder / MANIFEST, saved.folder / "toy" / MANIFEST):
        written = json.loads(path.read_text())["subject"]
        assert (written["feather"], written["added_px"], written["removed_px"]) == (0.015, *counts)


def test_results_from_before_there_were_strokes_and_feathers_still_open(settings: Settings) -> None:
    subject = prepare(a_photo(), settings=settings)
    archive = an_archive(settings.data)
    with archive.begin(subject) as draft:
        draft.add(*a_run(subject), a_card())
        saved = draft.finish()
    manifest = saved.folder / MANIFEST
    old = json.loads(manifest.read_text())
    for name in ("feather", "added_px", "removed_px"):
        del old["subject"][name]
    manifest.write_text(json.dumps(old))
    again = archive.subject(saved.id)
    assert (again.made.feather, again.made.added_px, again.made.removed_px) == (0, 0, 0)
    assert again.made == subject.made


def test_the_record_has_every_field_of_the_making(settings: Settings) -> None:
    """So that nothing that made a subject is forgotten when it is stored."""
    made = prepare(a_photo(), feather=0.01, settings=settings)
    recorded = dataclasses.asdict(subject_record(made))
    assert {name: recorded[name] for name in dataclasses.asdict(made.made)} == dataclasses.asdict(made.made)
    assert {f.name for f in dataclasses.fields(SubjectRecord)} == set(recorded)
