"""The renderer where things end: outside the frame, behind the camera, many frames, what cannot be drawn."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.core import raster
from pipelines.core.cameras import (
    View,
    orbit,
    photo_distance,
    world_from_camera,
)
from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.core.mesh import Mesh
from pipelines.core.raster import Rendered, Renderer
from tests.core.shapes import ball, checkers, facing_sheet, painted, rays, sheet, together

UNIT = photo_distance(0.8)
VIEWS = [View(0, 0), View(90, 0), View(35, 20), View(-140, -60), View(0, 90), View(70, -90)]

# --- Outside the frame and behind the camera --------------------------------------------------------------------------


def test_a_floor_that_runs_under_the_camera_is_cut_and_drawn() -> None:
    floor = sheet([[-40, -0.3, -40], [-40, -0.3, 40], [40, -0.3, 40], [40, -0.3, -40]], (90, 120, 60))
    view, size = View(0, 0), 120
    shown = Renderer(floor).render(view, UNIT, size)
    eye, ray = rays(view, UNIT, size)
    t = (-0.3 - eye[1]) / ray[..., 1]
    hit = eye + t[..., None] * ray
    on_floor = (t > 0) & (np.abs(hit[..., [0, 2]]).max(-1) < 30)
    assert on_floor.sum() > 4000
    assert (shown.rgba[on_floor] == (90, 120, 60, 255)).all()
    assert np.abs(shown.depth / t - 1)[on_floor].max() < 5e-3  # one triangle from 0.02 to 60 units: float32's limit
    assert np.abs(shown.depth / t - 1)[on_floor & (t < 5)].max() < 1e-3
    assert (shown.rgba[:55, :, 3] == 0).all()
    textured = replace(
        floor, colors=None, texture=checkers(), uvs=np.array([[0, 0], [0, 80], [80, 80], [80, 0]], np.float32)
    )
    near = on_floor & (t < 3)
    row, column = ((hit[..., 2] + 40) * 256 % 256).astype(int), ((hit[..., 0] + 40) * 256 % 256).astype(int)
    wrong = (
        np.abs(Renderer(textured).render(view, UNIT, size).rgba[..., :3].astype(int) - checkers()[row, column]).max(-1)
        > 60
    )
    assert wrong[near].mean() < 0.3  # cell borders only; cells are about 4 px here


def test_what_is_behind_the_camera_or_beside_the_frame_leaves_it_empty() -> None:
    behind = ball(0.3, (0, 0, 10), 12)
    beside = ball(0.3, (9, 0, 0), 12)
    for shape in (behind, beside, together(behind, beside)):
        shown = Renderer(shape).render(View(), UNIT, 64)
        assert shown.rgba.max() == 0 and shown.depth.max() == 0 and np.abs(shown.normals).max() == 0
    shown = Renderer(together(behind, beside, painted(ball(0.3), (1, 2, 3)))).render(View(), UNIT, 64)
    assert tuple(shown.rgba[32, 32]) == (1, 2, 3, 255)


def test_a_camera_inside_the_mesh_sees_its_inside() -> None:
    shown = Renderer(painted(ball(3), (5, 6, 7))).render(View(20, 40), UNIT, 64)
    assert (shown.rgba == (5, 6, 7, 255)).all()
    assert shown.depth.min() > 0.5


def test_a_needle_that_points_at_the_camera_is_drawn_without_harm() -> None:
    """Its picture is smaller than a sample, and its depth runs over most of the scene."""
    eye = world_from_camera(View(), UNIT)[:3, 3]
    needle = np.array([[0, 0, -0.5], eye * 0.9, eye * 0.9 + [1e-5, 0, 0]])
    shape = together(
        painted(Mesh(needle.astype(np.float32), np.array([[0, 1, 2]], np.int32)), (255, 0, 0)), facing_sheet()
    )
    for view in (View(), View(1e-4, 0), View(0, 1e-3), View(0.1, 0.1)):
        shown = Renderer(shape).render(view, UNIT, 65)
        assert (shown.rgba[..., 0] == 255).sum() < 40 and np.isfinite(shown.depth).all()
        assert (shown.rgba[40:50, 15:25] == (200, 200, 200, 255)).all()


def test_degenerate_triangles_are_left_out() -> None:
    shape = painted(ball(rings=20), (10, 20, 30))
    bad = np.array([[0, 0, 0], [5, 5, 9], [100, 200, 100]], np.int32)
    worse = replace(shape, faces=np.concatenate([shape.faces, bad]))
    assert (
        Renderer(worse).render(View(9, 9), UNIT, 80).rgba == Renderer(shape).render(View(9, 9), UNIT, 80).rgba
    ).all()
    assert Renderer(replace(shape, faces=bad)).render(View(9, 9), UNIT, 80).rgba.max() == 0


# --- Many frames, large frames, light ---------------------------------------------------------------------------------


def same(a: Rendered, b: Rendered) -> bool:
    return bool((a.rgba == b.rgba).all() and (a.depth == b.depth).all() and (a.normals == b.normals).all())


def test_many_views_are_the_single_views_in_order_with_progress() -> None:
    renderer = Renderer(replace(facing_sheet(), texture=checkers()))
    views = orbit(7, 15)
    told: list[tuple[float, tuple[int, ...]]] = []
    frames = renderer.render_many(
        views,
        UNIT,
        96,
        report=lambda share, _, preview: told.append((share, preview.shape if preview is not None else ())),
    )
    assert all(same(frame, renderer.render(view, UNIT, 96)) for frame, view in zip(frames, views, strict=True))
    assert [share for share, _ in told] == pytest.approx([(k + 1) / 7 for k in range(7)])
    assert told[0][1] == (96, 96, 4)
    assert renderer.render_many([], UNIT, 96) == []


def test_cancelling_stops_between_frames() -> None:
    calls: list[float] = []

    def stop(share: float, *_: object) -> None:
        calls.append(share)
        raise Cancelled

    with pytest.raises(Cancelled):
        Renderer(ball(rings=30)).render_many(orbit(60), UNIT, 64, report=stop)
    assert len(calls) == 1


def test_a_frame_drawn_in_tiles_is_the_same_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = Renderer(replace(facing_sheet(), texture=checkers()))
    whole = renderer.render(View(30, 40), UNIT, 150)
    monkeypatch.setattr(raster, "TILE_PX", 37)
    tiled = renderer.render(View(30, 40), UNIT, 150)
    assert (np.abs(whole.rgba.astype(int) - tiled.rgba) > 2).mean() < 1e-3
    assert np.abs(whole.depth - tiled.depth).max() < 1e-5 or (np.abs(whole.depth - tiled.depth) > 1e-5).mean() < 1e-3


def test_the_same_view_twice_is_the_same_to_the_byte() -> None:
    renderer = Renderer(ball(rings=30), light="soft")
    assert same(renderer.render(View(5, 5), UNIT, 99), renderer.render(View(5, 5), UNIT, 99))


def test_soft_light_shades_and_keeps_hue_and_outline() -> None:
    shape = painted(ball(), (200, 100, 50))
    plain, soft = (Renderer(shape, light=light).render(View(), UNIT, 128) for light in ("unlit", "soft"))  # pyright: ignore
    assert (plain.rgba[..., 3] == soft.rgba[..., 3]).all()
    inside = plain.depth > 0
    red, green = soft.rgba[..., 0][inside].astype(float), soft.rgba[..., 1][inside].astype(float)
    assert red.max() > 190 and red.min() > 110 and red.max() - red.min() > 25
    assert np.abs(green / red - 0.5).max() < 0.02
    assert soft.rgba[30, 50, 0] > soft.rgba[98, 78, 0]  # from above and the left


def test_meshes_that_cannot_be_drawn_are_refused_in_words() -> None:
    shape = ball(rings=8)
    broken = shape.vertices.copy()
    broken[3, 1] = np.nan
    for bad in (
        replace(shape, vertices=broken),
        replace(shape, faces=shape.faces[:0]),
        replace(shape, faces=shape.faces + len(shape.vertices)),
    ):
        with pytest.raises(TurnaroundError, match="3D model"):
            Renderer(bad)
