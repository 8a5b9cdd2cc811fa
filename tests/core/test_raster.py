"""The renderer against shapes whose pictures can be calculated."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.core import raster
from pipelines.core.cameras import (
    FOV_DEG,
    View,
    camera_from_world,
    intrinsics,
    orbit,
    photo_distance,
)
from pipelines.core.mesh import Mesh
from pipelines.core.raster import Renderer
from tests.core.shapes import ball, checkers, facing_sheet, grid_faces, painted, rays, sheet, together

UNIT = photo_distance(0.8)
VIEWS = [View(0, 0), View(90, 0), View(35, 20), View(-140, -60), View(0, 90), View(70, -90)]


# --- A sphere ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_a_sphere_has_the_calculated_outline_depth_and_normals(view: View) -> None:
    size, radius = 201, 0.5
    shown = Renderer(ball(radius)).render(view, UNIT, size)
    eye, ray = rays(view, UNIT, size)
    # |eye + t ray| = radius
    a, b, c = (ray**2).sum(-1), ray @ eye, eye @ eye - radius**2
    inside = b**2 - a * c
    t = (-b - np.sqrt(np.maximum(inside, 0))) / a
    outline_px = intrinsics(size)[0, 0] * radius / np.sqrt(UNIT**2 - radius**2)
    y, x = np.mgrid[:size, :size] + 0.5 - size / 2
    from_outline_px = outline_px - np.hypot(x, y)

    alpha = shown.rgba[..., 3] / 255
    assert (alpha[from_outline_px > 0.75] == 1).all()
    assert (alpha[from_outline_px < -0.75] == 0).all()
    assert abs(alpha.sum() - np.pi * outline_px**2) < 0.05 * 2 * np.pi * outline_px  # 0.05 px all round
    assert np.abs(alpha - np.clip(from_outline_px + 0.5, 0, 1)).max() < 0.3

    well_inside = from_outline_px > 1
    assert np.abs(shown.depth - t)[well_inside].max() < 1e-3  # a pixel is 0.006 wide here
    normals = (eye + t[..., None] * ray) / radius
    assert np.abs(shown.normals - normals)[from_outline_px > 3].max() < 5e-3
    assert np.abs(np.linalg.norm(shown.normals[well_inside], axis=-1) - 1).max() < 1e-5
    assert (shown.depth[from_outline_px < -0.75] == 0).all() and (shown.normals[from_outline_px < -0.75] == 0).all()


def test_a_closed_mesh_looks_the_same_with_and_without_its_back() -> None:
    shape = ball(rings=24)
    for view in VIEWS:
        whole, culled = (Renderer(shape, cull_backfaces=cull).render(view, UNIT, 120) for cull in (False, True))
        assert (whole.rgba == culled.rgba).all() and np.abs(whole.depth - culled.depth).max() < 1e-4


def test_an_open_mesh_shows_its_inside_with_normals_towards_the_viewer_unless_culled() -> None:
    back = facing_sheet()
    seen = Renderer(back).render(View(180, 0), UNIT, 64)
    assert seen.rgba[32, 32, 3] == 255 and np.allclose(seen.normals[32, 32], (0, 0, -1), atol=1e-6)
    assert Renderer(back, cull_backfaces=True).render(View(180, 0), UNIT, 64).rgba.max() == 0
    assert np.allclose(Renderer(back, cull_backfaces=True).render(View(0, 0), UNIT, 64).normals[32, 32], (0, 0, 1))


# --- A textured plane -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", [View(0, 0), View(50, 25), View(-65, -10), View(20, 70)], ids=str)
def test_a_texture_lies_where_perspective_puts_it(view: View) -> None:
    size, texture = 256, checkers()
    shown = Renderer(replace(facing_sheet(), colors=None, texture=texture)).render(view, UNIT, size)
    eye, ray = rays(view, UNIT, size)
    hit = eye + (-eye[2] / ray[..., 2])[..., None] * ray
    u, v = hit[..., 0] + 0.5, 0.5 - hit[..., 1]
    within = (np.minimum(u, v) > 0.02) & (np.maximum(u, v) < 0.98)
    to_border = np.minimum(np.abs(u * 8 - np.rint(u * 8)), np.abs(v * 8 - np.rint(v * 8)))
    clear = within & (to_border > 0.3)
    assert clear.sum() > 1000
    row, column = np.clip(v * 256, 0, 255).astype(int), np.clip(u * 256, 0, 255).astype(int)
    expected = texture[row, column]
    assert np.abs(shown.rgba[..., :3].astype(int) - expected)[clear].max() <= 3
    assert (shown.rgba[..., 3][within] == 255).all()
    off = within & (to_border > 0.1)
    wrong = np.abs(shown.rgba[..., :3].astype(int) - expected).max(-1)[off] > 60
    assert wrong.mean() < 0.01  # a shift by a tenth of a cell would show


def test_texels_are_read_between_their_centres() -> None:
    """Seen at one texel a pixel, a texture comes back as it is; shifted by half a pixel, as the mean of neighbours."""
    size = 128
    texture = np.random.default_rng(5).integers(0, 256, (size, size, 3)).astype(np.uint8)
    half = float(np.tan(np.radians(FOV_DEG / 2)) * UNIT)  # fills the frame exactly
    same = Renderer(replace(facing_sheet(half), texture=texture)).render(View(), UNIT, size).rgba
    assert np.abs(same[..., :3].astype(int) - texture).max() <= 2
    moved = replace(facing_sheet(half), texture=texture)
    moved = replace(moved, vertices=moved.vertices + np.array([half / size, 0, 0], np.float32))
    mean = (texture[:, :-1].astype(float) + texture[:, 1:]) / 2
    shown = Renderer(moved).render(View(), UNIT, size).rgba[:, 1:, :3]
    assert np.abs(shown - mean).max() <= 3


def test_a_fine_texture_far_away_turns_grey_and_does_not_flicker() -> None:
    fine = np.kron(np.indices((256, 256)).sum(0) % 2, np.ones((2, 2)))[..., None].repeat(3, -1).astype(np.uint8) * 255
    for view in (View(0, 0, 3), View(1, 0, 3), View(40, 30, 3)):
        shown = Renderer(replace(facing_sheet(), texture=fine)).render(view, UNIT, 128)
        inner = shown.rgba[..., :3][shown.depth > 0].astype(float)
        assert abs(inner.mean() - 127.5) < 3 and inner.std() < 20


def test_textures_repeat_outside_0_to_1_and_clamp_otherwise() -> None:
    texture = np.zeros((8, 8, 3), np.uint8)
    texture[:, 4:] = 255
    once = replace(facing_sheet(), texture=texture)
    assert once.uvs is not None
    thrice = replace(once, uvs=once.uvs * np.array([3, 1], np.float32) - np.array([1, 0], np.float32))
    row = Renderer(thrice).render(View(), UNIT, 128).rgba[64, :, 0]
    covered = row[13:115]
    assert [covered[int(len(covered) * (k + 0.5) / 6)] for k in range(6)] == [0, 255, 0, 255, 0, 255]
    edge = Renderer(once).render(View(), UNIT, 128).rgba[64]
    assert edge[edge[:, 3] > 0][0, 0] == 0 and edge[edge[:, 3] > 0][-1, 0] == 255


# --- Depth order, slivers, cracks -------------------------------------------------------------------------------------


def test_planes_that_cut_through_each_other_show_the_nearer_half_of_each() -> None:
    red = sheet([[-0.5, 0.5, -0.5], [-0.5, -0.5, -0.5], [0.5, -0.5, 0.5], [0.5, 0.5, 0.5]], (255, 0, 0))  # z = x
    blue = sheet([[-0.5, 0.5, 0.5], [-0.5, -0.5, 0.5], [0.5, -0.5, -0.5], [0.5, 0.5, -0.5]], (0, 0, 255))  # z = -x
    size = 201
    shown = Renderer(together(red, blue)).render(View(), UNIT, size)
    middle = shown.rgba[100]
    seen = np.flatnonzero(middle[:, 3] == 255)
    left, right = seen[seen < 99], seen[seen > 101]
    assert len(left) > 40 and (middle[left, :3] == (0, 0, 255)).all() and (middle[right, :3] == (255, 0, 0)).all()
    eye, ray = rays(View(), UNIT, size)
    t_red = (eye[0] - eye[2]) / (ray[..., 2] - ray[..., 0])
    t_blue = (-eye[0] - eye[2]) / (ray[..., 2] + ray[..., 0])
    full = shown.rgba[..., 3] == 255
    assert np.abs(shown.depth - np.minimum(t_red, t_blue))[full].max() < 1e-4


@pytest.mark.parametrize("angle_deg", [0, 17, 45, 80])
def test_a_thin_sliver_keeps_its_area(angle_deg: float) -> None:
    size, width = 256, 0.004  # 0.8 px at its wide end
    turn = np.radians(angle_deg)
    along, across = np.array([np.cos(turn), np.sin(turn), 0]), np.array([-np.sin(turn), np.cos(turn), 0])
    points = np.array([-0.45 * along - across * width / 2, -0.45 * along + across * width / 2, 0.45 * along])
    sliver = painted(Mesh(points.astype(np.float32), np.array([[0, 1, 2]], np.int32)), (9, 200, 40))
    shown = Renderer(sliver).render(View(), UNIT, size).rgba
    px = intrinsics(size)[0, 0] / UNIT
    assert abs(shown[..., 3].sum() / 255 - 0.9 * width / 2 * px**2) < 0.12 * 0.9 * width / 2 * px**2
    assert (shown[shown[..., 3] > 0][:, :3] == (9, 200, 40)).all()


def tessellated(half: float, rows: int, columns: int, jitter: float, seed: int) -> Mesh:
    random = np.random.default_rng(seed)
    y, x = np.meshgrid(np.linspace(half, -half, rows), np.linspace(-half, half, columns), indexing="ij")
    moved = random.uniform(-jitter, jitter, (2, rows, columns)) * (2 * half / columns)
    moved[:, [0, -1]] = moved[:, :, [0, -1]] = 0
    points = np.stack([x + moved[0], y + moved[1], np.zeros_like(x)], -1).reshape(-1, 3)
    return painted(Mesh(points.astype(np.float32), grid_faces(rows, columns)), (0, 255, 0))


@pytest.mark.parametrize("supersample", [1, 2, 3])
def test_a_tessellated_sheet_has_no_cracks(supersample: int) -> None:
    """Before a red wall: one sample that slips through would mix red in. Some grids have edges through samples."""
    size = 96
    half = float(np.tan(np.radians(FOV_DEG / 2)) * UNIT) * 98 / 96  # one pixel over the frame's edge
    wall = facing_sheet(3, -0.4, (255, 0, 0))
    for rows, columns, jitter, seed in [
        (99, 99, 0, 0),  # a cell is a pixel, and its diagonal goes through the centre
        (50, 25, 0, 0),
        (193, 481, 0, 0),
        (70, 90, 0.35, 1),
        (300, 300, 0.35, 2),
    ]:
        shape = together(tessellated(half, rows, columns, jitter, seed), wall)
        for view in (View(0, 0, 1), View(17, 31, 0.5)):
            shown = Renderer(shape).render(view, UNIT, size, supersample=supersample)
            assert (shown.rgba == (0, 255, 0, 255)).all()


def test_a_closed_ball_of_random_triangles_has_no_pinholes() -> None:
    """Green outside, and a red ball just below the surface."""
    random = np.random.default_rng(3)
    outer = ball(rings=90)
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    outer = painted(Mesh((outer.vertices @ turn).astype(np.float32), outer.faces), (0, 255, 0))
    shape = together(outer, painted(ball(0.49, rings=30), (255, 0, 0)))
    renderer = Renderer(shape)
    for view in orbit(6, 23, start_deg=3):
        shown = renderer.render(view, UNIT, 256)
        assert (shown.rgba[shown.rgba[..., 3] > 0][:, :3] == (0, 255, 0)).all()


# --- Edges ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("angle_deg", [0, 3, 18.4, 45, 77, 91])
def test_a_slanted_edge_covers_what_it_should(angle_deg: float) -> None:
    size = 64
    turn = np.radians(angle_deg)
    along, across = np.array([np.cos(turn), np.sin(turn), 0]), np.array([-np.sin(turn), np.cos(turn), 0])
    shift = across * 0.00313  # a third of a pixel
    edge = sheet([shift - 9 * along, shift - 9 * along - 9 * across, shift + 9 * along - 9 * across, shift + 9 * along])
    offsets = (np.arange(16) + 0.5) / 16 - 0.5
    exact = np.zeros((size, size))
    for dx in offsets:
        for dy in offsets:
            point = rays(View(), UNIT, size, (dx, dy))[1] * UNIT
            exact += (point[..., 0] * across[0] + point[..., 1] * across[1] < 0.00313) / len(offsets) ** 2
    for supersample, worst, usual in ((1, 0.51, 0.4), (2, 0.3, 0.13), (4, 0.16, 0.08)):
        alpha = Renderer(edge).render(View(), UNIT, size, supersample=supersample).rgba[..., 3] / 255
        at_edge = (exact > 0) & (exact < 1)
        assert np.abs(alpha - exact).max() <= worst
        assert np.sqrt(((alpha - exact)[at_edge] ** 2).mean()) <= usual
        assert set(np.unique(np.round(alpha * len(raster.Grid(supersample).offsets), 2))) <= set(range(18))


@pytest.mark.parametrize("supersample", range(1, 9))
def test_samples_are_spread_evenly_over_the_pixel(supersample: int) -> None:
    grid = raster.Grid(supersample)
    points = np.array(grid.offsets_px)
    count = supersample**2 + 1 if supersample > 1 else 1
    assert len(points) == count and (points[0] == 0).all() and np.abs(points).max() <= 0.5
    for axis in (0, 1):  # each has its own row and column
        assert np.allclose(np.diff(np.sort(points[:, axis])), 1 / count)


def test_edges_have_the_surface_colour_without_a_dark_fringe() -> None:
    shown = Renderer(painted(ball(rings=40), (240, 180, 20))).render(View(10, 20), UNIT, 128).rgba
    partly = (shown[..., 3] > 0) & (shown[..., 3] < 255)
    assert partly.sum() > 100
    assert (shown[shown[..., 3] > 0][:, :3] == (240, 180, 20)).all()
    assert (shown[shown[..., 3] == 0] == 0).all()


def test_an_edge_before_another_surface_is_smooth_too() -> None:
    near = sheet([[-0.3, 0.32, 0.2], [-0.2, -0.3, 0.2], [0.3, -0.2, 0.2], [0.2, 0.3, 0.2]], (255, 255, 255))
    shown = Renderer(together(near, facing_sheet(2, -0.2, (0, 0, 0)))).render(View(), UNIT, 128).rgba
    greys = shown[..., 0][(shown[..., 0] > 0) & (shown[..., 0] < 255)]
    assert len(greys) > 100 and len(np.unique(greys)) >= 4 and (shown[..., 3] == 255).all()


# --- Against a plain renderer -----------------------------------------------------------------------------------------


def plain_render(mesh: Mesh, view: View, size: int, offsets: list[tuple[float, float]]) -> tuple[NDArray, ...]:
    """Slow and obvious: every sample against every triangle by ray casting, in float64.

    Returns hits, mean colours, the centres' depths, and how far the nearest decision was from going the other way.
    """
    pose = camera_from_world(view, UNIT)
    points = mesh.vertices.astype(float) @ pose[:3, :3].T + pose[:3, 3]
    k = intrinsics(size)
    colors = np.asarray(mesh.colors, float)
    hits, summed, doubt = np.zeros((size, size)), np.zeros((size, size, 3)), np.full((size, size), np.inf)
    depth = np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            for number, (dx, dy) in enumerate(offsets):
                ray = np.linalg.inv(k) @ (column + 0.5 + dx, row + 0.5 + dy, 1)
                best = np.inf
                depths = []
                for face in mesh.faces:
                    a, b, c = points[face]
                    # ray * z = wa a + wb b + wc c with wa + wb + wc = 1
                    system = np.array([[*a, 1], [*b, 1], [*c, 1], [*-ray, 0]]).T
                    *weights, z = np.linalg.solve(system, (0, 0, 0, 1))
                    doubt[row, column] = min(doubt[row, column], np.abs(weights).min())
                    depths += [z] if min(weights) >= 0 else []
                    if min(weights) >= 0 and 0 < z < best:
                        best, color = z, np.array(weights) @ colors[face]
                gaps = np.diff(sorted(depths))
                doubt[row, column] = min(doubt[row, column], gaps.min(initial=np.inf) * 100)
                if best < np.inf:
                    hits[row, column] += 1
                    summed[row, column] += color
                    if number == 0:
                        depth[row, column] = best
    return hits, summed / np.maximum(hits, 1)[..., None], depth, doubt


@pytest.mark.parametrize("seed", [1, 2])
def test_random_triangles_look_as_a_plain_renderer_draws_them(seed: int) -> None:
    random = np.random.default_rng(seed)
    size, count = 24, 6
    shape = Mesh(
        vertices=random.uniform(-0.6, 0.6, (3 * count, 3)).astype(np.float32),
        faces=np.arange(3 * count, dtype=np.int32).reshape(-1, 3),
        colors=random.integers(0, 256, (3 * count, 3)).astype(np.uint8),
    )
    view = View(33, -21)
    offsets = raster.Grid(2).offsets_px
    hits, colors, depth, doubt = plain_render(shape, view, size, offsets)
    shown = Renderer(shape).render(view, UNIT, size)
    clear = doubt > 1e-3  # elsewhere a sample lies on an edge, or two surfaces are equally near
    assert clear.mean() > 0.8 and hits.max() == 5
    assert (np.rint(shown.rgba[..., 3] / 51) == hits)[clear].all()
    assert np.abs(shown.depth - depth)[clear].max() < 1e-4
    whole = clear & (hits > 0)
    assert np.abs(shown.rgba[..., :3] - colors)[whole].max() <= 12  # interiors are shaded at the centre only
    assert np.abs(shown.rgba[..., :3] - colors)[whole].mean() <= 1


# --- Directions -------------------------------------------------------------------------------------------------------


def test_from_the_right_the_side_is_seen_that_was_at_the_right() -> None:
    shape = together(
        painted(ball(0.1, (0.4, 0, 0), 16), (255, 0, 0)),
        painted(ball(0.1, (-0.4, 0, 0), 16), (0, 0, 255)),
        painted(ball(0.05, (0, 0.4, 0), 16), (0, 255, 0)),
    )
    renderer = Renderer(shape)
    front = renderer.render(View(0, 0), UNIT, 101).rgba
    columns = np.arange(101)
    at = {
        name: (columns * (front[..., k] * (front[..., 3] > 0)).sum(0)).sum() / front[..., k].sum()
        for k, name in enumerate("rgb")
    }
    assert at["r"] > 70 and at["b"] < 30
    assert front[:30, 45:56, 1].max() == 255 and front[70:, :, 1].max() == 0  # up is up
    assert tuple(renderer.render(View(90, 0), UNIT, 101).rgba[50, 50]) == (255, 0, 0, 255)
    assert tuple(renderer.render(View(-90, 0), UNIT, 101).rgba[50, 50]) == (0, 0, 255, 255)
    assert tuple(renderer.render(View(0, 90), UNIT, 101).rgba[50, 50]) == (0, 255, 0, 255)


def test_colours_between_corners_follow_the_surface_and_not_the_screen() -> None:
    corners = np.array(
        [[-0.5, 0.4, -0.5], [-0.5, -0.4, -0.5], [0.5, -0.4, 0.5], [0.5, 0.4, 0.5]]
    )  # z = x: strong perspective
    shape = replace(sheet(corners), colors=np.array([[0, 255, 0], [0, 0, 0], [255, 0, 0], [255, 255, 0]], np.uint8))
    shown = Renderer(shape).render(View(0, 0, 0.6), UNIT, 150)
    eye, ray = rays(View(0, 0, 0.6), UNIT, 150)
    eye = eye * 1.0
    t = (eye[0] - eye[2]) / (ray[..., 2] - ray[..., 0])
    hit = eye + t[..., None] * ray
    full = shown.rgba[..., 3] == 255
    assert np.abs(shown.rgba[..., 0] - 255 * (hit[..., 0] + 0.5))[full].max() <= 2
    assert np.abs(shown.rgba[..., 1] - 255 * (hit[..., 1] + 0.4) / 0.8)[full].max() <= 2
