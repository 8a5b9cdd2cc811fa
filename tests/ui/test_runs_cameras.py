"""The cameras that the page's controls ask for, and those that a result gives back to them."""

from collections.abc import Iterator
from dataclasses import astuple
from typing import Any

import gradio as gr
import numpy as np
import pytest

from pipelines.core.cameras import View, path
from tests.ui.runs_parts import NEVER, a_studio, end_of, event, generate, sentences, shared
from ui.runs import Runs, chosen_views
from ui.studio import Studio

WAY = [[0, 10, 1], [80, 30, 1], [160, 10, 1.2]]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with a_studio(tmp_path_factory.mktemp("runs") / "data") as studio:
        yield studio


def views_of(studio: Studio, spec: str) -> tuple[View, ...]:
    end_of(studio, spec)
    return studio.archive.open(spec).turnarounds[0].manifest.views


def adopted(runs: Runs, spec: str, key: str = "flat") -> tuple[dict[str, Any], str]:
    """The camera's controls, by their names, and what is said."""
    names = "source", "kind", "azimuth", "elevation", "distance", "count", "pad", "seed", "size", "on", "slow", "tenths"
    *values, said = runs.adopt(event(id=spec, key=key), {"picture": "a", "photo_elevation": 7})
    return dict(zip(names, values, strict=True)), sentences(said)


def test_a_run_flies_the_path_that_is_drawn(studio: Studio):
    spec, _ = generate(Runs(shared(studio)), kind="drawn", count=5, pad={"way": WAY})
    views = views_of(studio, spec)
    assert len(views) == 5 and (views[0], views[-1]) == (View(0, 10), View(160, 10, 1.2))
    assert np.allclose([view.azimuth_deg for view in views], [0, 40.2, 80.3, 120.2, 160], atol=0.1)


@pytest.mark.parametrize("pad", [{"way": []}, {}, None, "x", {"way": 7}, {"way": [[0]]}, {"way": [["<b>", 1, 1]]}])
def test_what_is_no_path_is_answered_in_a_sentence(studio: Studio, pad: Any):
    unchanged, said = generate(Runs(shared(studio)), kind="drawn", pad=pad)
    assert unchanged == gr.skip() and sentences(said)
    if not isinstance(pad, dict) or not pad.get("way"):
        assert "No path is drawn yet" in said


def test_prices_are_there_before_the_path_is_drawn(studio: Studio):
    runs = Runs(shared(studio))
    assert runs.prices("drawn", 0, 1, 4, 64, True, True, 50) == runs.prices("orbit", 0, 1, 4, 64, True, True, 50)


def test_change_one_thing_puts_a_results_settings_into_the_controls(studio: Studio):
    runs = Runs(shared(studio))
    asked = {"kind": "swing", "azimuth_deg": 20, "elevation_deg": 5, "distance": 1.5, "count": 8}
    spec, _ = generate(runs, False, True, 2, **asked, seed=4, size_px=160)
    end_of(studio, spec)
    given, said = adopted(runs, spec, "slow")
    camera = {"kind": "swing", "azimuth": 20, "elevation": 5, "distance": 1.5, "count": 8}
    assert not said and given.pop("pad") == {"picture": "a", "photo_elevation": 7, "way": []} | camera
    assert given == camera | {"source": spec, "seed": 4, "size": 160, "on": False, "slow": True, "tenths": 2}

    one, _ = generate(runs, size_px=64)  # smaller than the page offers; and one view has no count
    end_of(studio, one)
    given, _ = adopted(runs, one)
    assert (given["kind"], given["count"], given["size"]) == ("one view", gr.skip(), 128)
    few, _ = generate(runs, kind="orbit", count=2)
    end_of(studio, few)
    assert "cannot express" in adopted(runs, few)[1]
    unchanged, said = adopted(runs, NEVER)
    assert set(map(str, unchanged.values())) == {str(gr.skip())} and said


WIDE = [list(astuple(view)) for view in path("swing", 6, View(10, 5), 75)]  # the page's own go 30 degrees to a side


@pytest.mark.parametrize("way", [WAY, WIDE])
def test_cameras_that_no_other_kind_makes_are_given_back_as_a_path_that_is_drawn(studio: Studio, way: list[Any]):
    runs = Runs(shared(studio))
    first, _ = generate(runs, kind="drawn", count=6, pad={"way": way})
    there = views_of(studio, first)
    given, said = adopted(runs, first)
    assert not said and given["kind"] == given["pad"]["kind"] == "drawn" and given["count"] == 6
    again, _ = generate(runs, kind="drawn", count=given["count"], pad=given["pad"])
    assert views_of(studio, again) == there


def test_views_are_as_chosen():
    assert chosen_views("one view", 35, 10, 1, 21) == (View(35, 10),)
    assert len(chosen_views("orbit", 35, 10, 1, 21)) == 21 and chosen_views("orbit", 35, 10, 1, 21)[0] == View(0, 10)
