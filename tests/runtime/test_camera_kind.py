"""What was asked for is known again from the cameras alone."""

import dataclasses
import json

import pytest

from pipelines.core.cameras import KINDS, View, angle_between, orbit, path
from pipelines.runtime.camera_kind import Asked, kind_of, path_of

VIEWS = [View(0, 0), View(35, 20), View(-120, -30, 1.6), View(180, 75, 0.5), View(12.5, 90), View(90, -90, 3.0)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 21, 100])
@pytest.mark.parametrize("swing_deg", [1.0, 30.0, 97.3, 180.0])
def test_every_path_is_known_again_and_can_be_made_again(kind: str, count: int, swing_deg: float):
    for view in VIEWS:
        views = path(kind, count, view, swing_deg)
        asked = kind_of(views)
        assert asked is not None
        assert asked.count == len(views)
        assert asked.view.distance == view.distance
        again = path_of(asked)
        for a, b in zip(again, views, strict=True):
            assert angle_between(a, b) < 1e-5 and a.distance == b.distance


@pytest.mark.parametrize(
    "asked",
    [
        Asked("one view", 1, View(35, 20, 1.2)),
        Asked("orbit", 21, View(0, 10)),
        Asked("spiral", 21, View(0, 10)),
        Asked("spiral", 16, View(0, 80)),
        Asked("swing", 21, View(-35, 5, 1.5)),
        Asked("swing", 12, View(170, 5), 75.0),
    ],
    ids=str,
)
def test_what_a_page_asks_for_comes_back_as_it_was(asked: Asked):
    stored = json.loads(json.dumps([dataclasses.asdict(view) for view in path_of(asked)]))
    known = kind_of([View(**view) for view in stored])
    assert known is not None
    assert (known.kind, known.count) == (asked.kind, asked.count)
    assert dataclasses.astuple(known.view) == pytest.approx(dataclasses.astuple(asked.view), abs=1e-6)
    assert known.swing_deg == pytest.approx(asked.swing_deg)


def test_cameras_of_no_kind_are_not_taken_for_one():
    turn = orbit(8, 10)
    assert kind_of(()) is None
    assert kind_of((*turn[:3], View(1, 2), *turn[4:])) is None
    assert kind_of(turn[::-1]) is None
    assert kind_of((View(0, 0), View(90, 0), View(180, 0))) is None
    assert kind_of(orbit(8, 10, start_deg=40)) is None
