"""What the page's buttons do to runs, called as Gradio calls them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest

from pipelines.core.images import Photo
from pipelines.runtime.devices import Machine
from pipelines.runtime.intake import Intake
from pipelines.runtime.job import REPLACED, Saved
from pipelines.runtime.method import Estimate, Request
from pipelines.runtime.shelf import mark_of
from tests.toy_methods import Flat, Raises, a_card
from tests.ui.runs_parts import KEY, NEVER, VISITOR, a_studio, end_of, event, generate, job_of, sentences, shared
from ui.photos import FIRST_EXAMPLE, Photos
from ui.runs import LastPress, Runs, without
from ui.studio import Studio, open_studio

EXITS = [SystemExit("out"), KeyboardInterrupt(), MemoryError(), RuntimeError("secret /etc/path"), StopIteration()]


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


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with a_studio(tmp_path_factory.mktemp("runs") / "data") as studio:
        yield studio


def photos_of(other: Studio, studio: Studio) -> Photos:
    """Another studio's own, but for the example, which the one for all has cut out: that takes longest."""
    photos = Photos(other)
    photos._examples[FIRST_EXAMPLE] = photos.shelf.put(shared(studio).entry(FIRST_EXAMPLE))
    return photos


def test_a_run_goes_on_the_wall_at_once_and_ends_in_the_archive(studio: Studio):
    spec, said = generate(Runs(shared(studio)), kind="orbit")
    assert said == ""
    assert end_of(studio, spec).state == "saved"
    assert len(studio.archive.open(spec).turnarounds[0].frames) == 4


def test_beside_keeps_what_is_on_the_wall(studio: Studio):
    runs = Runs(shared(studio))
    first, _ = generate(runs)
    second, _ = generate(runs, spec=first, beside=True)
    assert second.split(",")[0] == first and len(second.split(",")) == 2
    third, _ = generate(runs, spec=second)
    assert first not in third


def test_a_run_takes_the_place_of_what_this_page_and_its_wall_have_going(studio: Studio):
    runs = Runs(shared(studio))
    slow = {"visitor": "c" * 32}
    first, _ = generate(runs, False, True, 1000, **slow)
    second, _ = generate(runs, False, True, 1000, **slow)  # the wall has not heard of the first yet
    assert end_of(studio, first).state == "ended" and job_of(studio, second).working
    reloaded: Any = SimpleNamespace(**vars(VISITOR) | {"session_hash": "reloaded"})
    third, _ = generate(runs, False, True, 1000, **slow, spec=second, request=reloaded)
    assert end_of(studio, second).news().outcomes[0].sentence == REPLACED  # type: ignore[union-attr] - it failed
    assert job_of(studio, third).working
    job_of(studio, third).cancel()


def test_a_press_that_arrives_after_the_one_that_took_its_place_begins_nothing(studio: Studio):
    runs, slow = Runs(shared(studio)), {"visitor": "f" * 32, "last": (last := LastPress())}
    later, _ = generate(runs, False, True, 1000, **slow, pressed_ms=20)
    assert generate(runs, False, True, 1000, **slow, pressed_ms=10) == (gr.skip(), gr.skip())
    assert generate(runs, False, False, 50, **slow, pressed_ms=40)[0] == gr.skip() and last.at_ms == 20  # refused
    beside, _ = generate(runs, False, True, 1000, **slow, pressed_ms=15, spec=later, beside=True)
    assert beside.startswith(f"{later},") and not job_of(studio, later).cancelled.is_set() and last.at_ms == 20
    [job_of(studio, id).cancel() for id in (later, beside)]


def test_no_run_is_replaced_that_somebody_still_wants(studio: Studio):
    runs = Runs(shared(studio))
    mine, other = {"visitor": "d" * 32}, {"visitor": "e" * 32}
    tab: Any = SimpleNamespace(**vars(VISITOR) | {"session_hash": "tab"})
    taken, _ = generate(runs, False, True, 1000, **mine)
    runs.taken(event(id=taken))
    elsewhere, _ = generate(runs, False, True, 1000, **mine, request=tab)
    theirs, _ = generate(runs, False, True, 1000, **other)
    spec = f"{taken},{theirs}"
    kept, _ = generate(runs, False, True, 1000, **mine, spec=spec, beside=True)
    refused, said = generate(runs, False, False, 50, **mine, spec=spec)  # nothing begins, so nothing ends
    assert refused == gr.skip() and sentences(said)
    going = [job_of(studio, id) for id in (taken, elsewhere, theirs, kept.split(",")[-1])]
    assert all(job.working and not job.cancelled.is_set() for job in going)
    last, _ = generate(runs, False, True, 1000, **mine, spec=kept)
    assert [job.cancelled.is_set() for job in going] == [False, False, False, True]
    for job in (*going, job_of(studio, last)):
        job.cancel()


def test_presets_in_a_row_are_never_too_many(studio: Studio):
    few = open_studio(replace(studio.settings, max_queue_per_visitor=1), studio.methods)
    runs = Runs(photos_of(few, studio))
    for _ in range(5):
        last, said = generate(runs, False, True, 1000)
        assert said == "" and job_of(few, last).working
    _, said = generate(runs, False, True, 1000, spec=last, beside=True)
    assert "1 runs going" in sentences(said)
    few.jobs.drain(0)
    few.intake.close()


def test_after_a_restart_the_wall_gives_the_very_same_photo_back_or_nobody_does(studio: Studio):
    photos = Photos(studio)
    entry = photos.entry(FIRST_EXAMPLE)
    mine = photos.shelf.put(replace(entry, fill=0.6, subject=None, repair=None))
    assert mark_of(mine) is None  # not cut out, so nobody can know it again
    prepared = photos.prepare(replace(entry, fill=0.6))
    mine = photos.shelf.put(prepared)
    spec, _ = generate(Runs(photos), prepared_id=mine)
    assert end_of(studio, spec).state == "saved"
    example, _ = generate(Runs(photos))
    assert end_of(studio, example).state == "saved"
    anew = Runs(Photos(studio))
    for wall in ("", example, NEVER, "nonsense", "example"):
        begun, said = generate(anew, prepared_id=mine, spec=wall)
        assert begun == gr.skip() and "no longer held" in sentences(said)
    again, said = generate(anew, prepared_id=mine, spec=f"{example},{spec}")
    assert said == "" and end_of(studio, again).state == "saved"
    assert prepared.subject is not None
    assert np.array_equal(studio.archive.subject(again).rgba, prepared.subject.rgba)
    assert anew.photos.find(mine) is not None  # and it can be cut out otherwise


def test_a_refusal_that_stands_under_generate_already_is_not_said_again(studio: Studio):
    runs = Runs(shared(studio))
    *_, price = runs.prices("orbit", 0, 1, 4, 64, False, False, 50)
    assert "No method is chosen" in sentences(price)
    assert generate(runs, False, False, 50, price=price) == (gr.skip(), "")
    assert generate(runs, False, False, 50, price=price, prepared_id="") == (gr.skip(), "")  # found before the photo is
    assert "no photo yet" in sentences(generate(runs, True, False, 50, price=price, prepared_id="")[1])


@pytest.mark.parametrize("problem", EXITS, ids=repr)
def test_no_exception_of_any_kind_leaves_a_handler(studio: Studio, problem: BaseException):
    broken = replace(studio, intake=Exits(), methods=(Flat(), Raises(problem), Costs(problem)))
    broken.intake.problem = problem  # type: ignore[attr-defined] - it is an `Exits`
    runs = Runs(Photos(broken))
    _, said = generate(runs, True, False, False)  # the example cannot be read
    assert sentences(said) and "secret" not in said
    *_, said = runs.prices("orbit", 0, 1, 4, 64, False, False, True)
    assert sentences(said) and "secret" not in said

    runs = Runs(photos_of(replace(broken, intake=studio.intake), studio))
    spec, _ = generate(runs, False, True, False)
    assert end_of(studio, spec).state == "ended"
    spec, _ = generate(runs, True, False, False)  # and the next honest run succeeds
    assert end_of(studio, spec).state == "saved"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"azimuth_deg": float("nan")}, "finite"),
        ({"elevation_deg": 91}, "between -90 and 90"),
        ({"distance": 0}, "between 0.3 and 5"),
        ({"kind": "orbit", "count": float("nan")}, "orbit has between"),
        ({"kind": "orbit", "count": 1e300}, "orbit has between"),
        ({"kind": "spiral", "count": 1000}, "spiral has between"),
        ({"kind": "elsewhere"}, "no camera path"),
        ({"kind": ["orbit"]}, "no camera path"),
        ({"seed": None}, "seed must be a number"),
        ({"seed": 1.5}, "whole number"),
        ({"seed": 2**60}, "between"),
        ({"size_px": 5000}, "between"),
        ({"photo_elevation_deg": float("inf")}, "finite"),
        ({"prepared_id": ""}, "no photo yet"),
        ({"prepared_id": "made-up"}, "no longer held"),
        ({"prepared_id": "example:99"}, "no longer held"),
    ],
    ids=str,
)
def test_bad_settings_are_answered_and_begin_nothing(studio: Studio, changes: dict[str, Any], sentence: str):
    spec, said = generate(Runs(shared(studio)), **changes)
    assert sentence in sentences(said) and spec == gr.skip()


def test_another_cut_out_mends_what_was_wrong_with_the_last_and_nothing_else(studio: Studio):
    runs = Runs(shared(studio))
    _, no_photo = generate(runs, prepared_id="")
    _, no_method = generate(runs, False, False, 50)
    assert sentences(no_photo) and runs.mended(no_photo) == ""
    assert sentences(no_method) and runs.mended(no_method) == gr.skip()


def test_no_method_chosen_is_said(studio: Studio):
    assert "No method is chosen" in sentences(generate(Runs(shared(studio)), False, False, 50)[1])


def test_again_makes_the_same_once_more_and_with_a_seed_another(studio: Studio):
    runs = Runs(shared(studio))
    first, _ = generate(runs, kind="swing", azimuth_deg=20, seed=3)
    end_of(studio, first)
    same, said = runs.again(event(id=first, key="flat", seed=None), first, KEY, VISITOR)
    assert said == "" and same.startswith(f"{first},")
    end_of(studio, same)
    other, _ = runs.again(event(id=first, key="flat", seed=8), same, KEY, VISITOR)
    end_of(studio, other)
    once, twice, seeded = (studio.archive.open(id).turnarounds[0].manifest for id in other.split(","))
    assert once.views == twice.views == seeded.views and once.subject == twice.subject
    assert (once.seed, twice.seed, seeded.seed) == (3, 3, 8)


def test_again_works_after_a_restart(studio: Studio):
    first, _ = generate(Runs(shared(studio)), False, True, 2)
    end_of(studio, first)
    anew = open_studio(studio.settings, studio.methods)
    spec, said = Runs(Photos(anew)).again(event(id=first, key="slow", seed=None), "", KEY, VISITOR)
    assert said == "" and end_of(anew, spec).state == "saved"
    made = anew.archive.open(spec).turnarounds[0].manifest
    assert made.options == {"steps": 2} and made.subject == studio.archive.open(first).turnarounds[0].manifest.subject
    anew.intake.close()


def test_a_failed_tile_leaves_the_wall_when_it_is_tried_again(studio: Studio):
    runs = Runs(photos_of(replace(studio, methods=(Flat(), Raises(RuntimeError()))), studio))
    both, _ = generate(runs, True, True)
    end_of(studio, both)
    spec, _ = runs.again(event(id=both, key="raises", seed=None), both, KEY, VISITOR)
    assert spec.split(",")[0] == f"{both}.flat" and len(spec.split(",")) == 2
    alone, _ = generate(runs, False, True)
    end_of(studio, alone)
    spec, _ = runs.again(event(id=alone, key="raises", seed=None), alone, KEY, VISITOR)
    assert alone not in spec


@pytest.mark.parametrize("said", [{}, {"id": NEVER, "key": "flat"}, {"id": ["x"], "key": {}}, {"id": "../x"}], ids=str)
def test_again_of_what_is_not_there_is_said(studio: Studio, said: dict[str, Any]):
    spec, shown = Runs(shared(studio)).again(event(**said), "", KEY, VISITOR)
    assert spec == gr.skip() and sentences(shown)


@pytest.mark.parametrize("seed", ["7", -1, 1.5, float("nan"), [], True])
def test_again_with_a_seed_that_is_none_is_said(studio: Studio, seed: Any):
    runs = Runs(shared(studio))
    spec, _ = generate(runs)
    end_of(studio, spec)
    again, shown = runs.again(event(id=spec, key="flat", seed=seed), spec, KEY, VISITOR)
    assert again == gr.skip() and sentences(shown)


def test_f11_only_ones_own_run_is_stopped(studio: Studio):
    runs = Runs(shared(studio))
    spec, _ = generate(runs, False, True, 1000)
    job = studio.jobs.find(spec)
    assert job
    runs.stop(event(id=spec, key="slow"), "b" * 32, VISITOR)
    runs.stop(event(id=spec, key=None), "", VISITOR)
    assert not job.cancelled.is_set() and not job.stops["slow"].is_set()
    runs.stop(event(id=spec, key="slow"), KEY, VISITOR)
    assert end_of(studio, spec).state == "ended"
    for said in ({"id": spec}, {"id": "nonsense"}, {}):  # over, unknown, nothing at all
        runs.stop(event(**said), KEY, VISITOR)


def test_a_finished_method_stays_when_another_is_stopped(studio: Studio):
    runs = Runs(shared(studio))
    spec, _ = generate(runs, True, True, 1000)
    job = studio.jobs.find(spec)
    assert job
    next(outcome for outcome in job.follow() if isinstance(outcome, Saved))
    _, said, _ = runs.forget(event(id=spec), spec, KEY)
    assert "still being made" in sentences(said)  # and not that another browser made it
    _, said, _ = runs.forget(event(id=spec), spec, "b" * 32)
    assert "Only the browser that made" in sentences(said)
    runs.stop(event(id=spec, key="slow"), KEY, VISITOR)
    end_of(studio, spec)
    assert [made.key for made in studio.archive.open(spec).turnarounds] == ["flat"]


def test_only_who_made_a_result_deletes_it(studio: Studio):
    runs = Runs(shared(studio))
    spec, _ = generate(runs)
    end_of(studio, spec)
    for stranger in ("b" * 32, "", None):
        left, said, struck = runs.forget(event(id=spec), spec, stranger)  # type: ignore[arg-type] - as requests may
        assert left == struck == gr.skip() and sentences(said)
    other, _ = generate(runs)
    end_of(studio, other)
    left, said, struck = runs.forget(event(id=spec), f"{spec},{other},{NEVER}", KEY)
    assert left == other  # nor is there what was deleted a moment before, while the page knew of it still
    assert "Deleted" in said and struck == {"forgotten": spec}
    _, said, _ = runs.forget(event(id=spec), "", KEY)
    assert sentences(said)


def test_a_result_of_a_browser_without_a_key_has_no_owner(studio: Studio):
    runs = Runs(shared(studio))
    spec, _ = generate(runs, visitor="")
    end_of(studio, spec)
    left, said, _ = runs.forget(event(id=spec), spec, "")
    assert left == gr.skip() and sentences(said)


def test_prices_are_one_a_card_and_a_total(studio: Studio):
    flat, slow, total = Runs(shared(studio)).prices("orbit", 0, 1, 4, 64, True, True, 50)
    assert "about a second here" in flat and "about 5 seconds here" in slow and "about 5 seconds" in total


def test_a_deleted_result_leaves_the_wall():
    a, b = "0" * 44, "1" * 44
    assert without(f"{a}.flat,{b}", a) == b and without(a, a) == ""
