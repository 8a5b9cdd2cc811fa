"""The browser's cameras are Python's, number for number: assets/ui/camera.js runs in Chromium beside cameras.py."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, sync_playwright

from pipelines.core import cameras
from pipelines.core.cameras import (
    View,
    angle_between,
    orbit,
    photo_distance,
    turn_between,
    world_from_camera,
    wrap_azimuth,
)
from pipelines.core.ways import DRAWN, along

pytestmark = pytest.mark.browser

SOURCE = Path(__file__).resolve().parents[2] / "assets" / "ui" / "camera.js"
CLOSE = 1e-9


@pytest.fixture(scope="module")
def page(chromium: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        load = (
            "async (source) => { window.camera = await import('data:text/javascript,' + encodeURIComponent(source)) }"
        )
        page.evaluate(load, SOURCE.read_text())
        yield page
        browser.close()


def some_views(count: int = 400) -> list[View]:
    chance = np.random.default_rng(7)
    ordinary = [
        View(a, e, d)
        for a, e, d in zip(
            chance.uniform(-360, 360, count),
            chance.uniform(-90, 90, count),
            chance.uniform(*cameras.DISTANCE_RANGE, count),
            strict=True,
        )
    ]
    special = [View(a, e) for a in (-180, -90, 0, 90, 180, 360) for e in (-90, -85, -60, 0, 60, 85, 90)]
    return ordinary + special


VIEWS = some_views()


def as_json(views: list[View] | tuple[View, ...]) -> list[dict[str, float]]:
    return [{"azimuth_deg": v.azimuth_deg, "elevation_deg": v.elevation_deg, "distance": v.distance} for v in views]


def numbers(views: list[Any]) -> np.ndarray:
    return np.array([[v["azimuth_deg"], v["elevation_deg"], v["distance"]] for v in views])


def test_the_constants_are_the_same(page: Page):
    assert page.evaluate("camera.FOV_DEG") == cameras.FOV_DEG
    assert tuple(page.evaluate("camera.DISTANCE_RANGE")) == cameras.DISTANCE_RANGE
    assert tuple(page.evaluate("camera.KINDS")) == cameras.KINDS
    assert page.evaluate("camera.DRAWN") == DRAWN


def test_angles_wrap_alike(page: Page):
    angles = [*np.linspace(-800, 800, 641), -180.0, 180.0, 540.0, -540.0, -0.0]
    wrapped = page.evaluate("(angles) => angles.map(camera.wrapAzimuth)", angles)
    assert wrapped == [wrap_azimuth(angle) for angle in angles]
    assert not page.evaluate("Object.is(camera.wrapAzimuth(-360), -0)")


def test_poses_and_directions_are_alike(page: Page):
    for fill, fov_deg in ((0.8, cameras.FOV_DEG), (0.3, 49.1)):
        unit = photo_distance(fill, fov_deg)
        assert page.evaluate("([fill, fov]) => camera.photoDistance(fill, fov)", [fill, fov_deg]) == pytest.approx(unit)
        poses = page.evaluate(
            "([views, unit]) => views.map((view) => camera.worldFromCamera(view, unit))", [as_json(VIEWS), unit]
        )
        expected = np.array([world_from_camera(view, unit) for view in VIEWS])
        np.testing.assert_allclose(np.array(poses), expected, atol=CLOSE)
    forward = page.evaluate("(views) => views.map(camera.direction)", as_json(VIEWS))
    np.testing.assert_allclose(np.array(forward), [world_from_camera(view, 1)[:3, 2] for view in VIEWS], atol=CLOSE)


def test_angles_between_views_are_alike(page: Page):
    others = [*VIEWS[1:], VIEWS[0]]
    angles = page.evaluate(
        "([a, b]) => a.map((view, i) => camera.angleBetween(view, b[i]))", [as_json(VIEWS), as_json(others)]
    )
    expected = [angle_between(a, b) for a, b in zip(VIEWS, others, strict=True)]
    np.testing.assert_allclose(angles, expected, atol=1e-7)
    turns = page.evaluate(
        "([a, b]) => a.map((view, i) => camera.turnBetween(view, b[i]))", [as_json(VIEWS), as_json(others)]
    )
    np.testing.assert_allclose(turns, [turn_between(a, b) for a, b in zip(VIEWS, others, strict=True)], atol=1e-6)


@pytest.mark.parametrize("kind", cameras.KINDS)
def test_paths_are_alike(page: Page, kind: str):
    cases = [(view, n, swing) for view in VIEWS[::9] for n, swing in ((1, 30.0), (7, 12.5), (21, 30.0), (72, 90.0))]
    asked = [[kind, count, as_json([view])[0], swing_deg] for view, count, swing_deg in cases]
    walked = page.evaluate("(asked) => asked.map((given) => camera.path(...given))", asked)
    for (view, count, swing_deg), path in zip(cases, walked, strict=True):
        here, expected = numbers(path), numbers(as_json(cameras.path(kind, count, view, swing_deg)))
        assert here.shape == expected.shape
        turned = np.abs(here[:, 0] - expected[:, 0])
        assert np.minimum(turned, 360 - turned).max() < CLOSE
        np.testing.assert_allclose(here[:, 1:], expected[:, 1:], atol=CLOSE)


def test_ways_are_alike(page: Page):
    stops = [VIEWS[i : i + size] for size in (1, 2, 5, 21) for i in range(0, 200, 23)]
    cases = [(way, count) for way in [*stops, *([*way, way[0]] for way in stops)] for count in (1, 5, 21, 40)]
    walked = page.evaluate(
        "(cases) => cases.map((given) => camera.along(...given))", [(as_json(w), n) for w, n in cases]
    )
    for (way, count), there in zip(cases, walked, strict=True):
        here, expected = numbers(there), numbers(as_json(along(way, count)))
        assert here.shape == expected.shape
        turned = np.abs(here[:, 0] - expected[:, 0])
        assert np.minimum(turned, 360 - turned).max() < CLOSE
        np.testing.assert_allclose(here[:, 1:], expected[:, 1:], atol=CLOSE)


def test_the_nearest_view_is_the_one_at_the_smallest_angle(page: Page):
    fixed = [View(a, e) for a, e in ((30, 20), (90, -10), (150, 20), (-150, -10), (-90, 20), (-30, -10))]
    found = page.evaluate(
        "([views, wanted]) => wanted.map((view) => camera.nearest(views, view))", [as_json(fixed), as_json(VIEWS)]
    )
    for number, wanted in zip(found, VIEWS, strict=True):
        angles = [angle_between(view, wanted) for view in fixed]
        assert angles[number] == pytest.approx(min(angles), abs=1e-7)
    twice = as_json([View(0, 0, 2), View(0, 0, 1.1), View(0, 0, 0.4)])
    assert page.evaluate("([views, view]) => camera.nearest(views, view)", [twice, as_json([View(1, 0, 1)])[0]]) == 1
    above, at = as_json(orbit(4, 90)), "([views, wanted]) => wanted.map((view) => camera.nearest(views, view))"
    assert page.evaluate(at, [above, as_json([View(a, 90) for a in (0, 80, 170, -100)])]) == [0, 1, 2, 3]
    assert page.evaluate("camera.nearest([], { azimuth_deg: 0, elevation_deg: 0 })") == -1
