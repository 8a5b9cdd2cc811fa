"""From a field to a mesh: closed, upright, whole, and in sentences where there is none."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.core.errors import TurnaroundError
from pipelines.core.mesh import Mesh, glb_bytes, load_mesh
from pipelines.shap_e.field import Field
from pipelines.shap_e.loading import Parts
from pipelines.shap_e.surface import in_world, large_parts, meshed, surface
from tests.shap_e.test_field import a_latent

Floats = NDArray[np.float32]


def points_of(grid: int) -> Floats:
    axis = np.linspace(-1, 1, grid, dtype=np.float32)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)


def blob(centre: tuple[float, float, float], radius: float, grid: int = 48) -> Floats:
    return np.tanh(radius - np.linalg.norm(points_of(grid) - np.array(centre, np.float32), axis=-1))


def volume(points: Floats, faces: NDArray[np.int32]) -> float:
    a, b, c = points.astype(np.float64)[faces].transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def is_closed(faces: NDArray[np.int32]) -> bool:
    """Every edge is passed once in each direction."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return len(np.unique(edges, axis=0)) == len(edges) and {*map(tuple, edges)} == {*map(tuple, edges[:, ::-1])}


def test_a_ball_has_its_place_its_size_and_its_outside_outwards():
    points, faces = surface(blob((0.2, -0.1, 0.1), 0.5, 64))
    assert is_closed(faces)
    assert volume(points, faces) == pytest.approx(4 / 3 * np.pi * 0.5**3, rel=0.01)
    assert np.allclose((points.min(0) + points.max(0)) / 2, (0.2, -0.1, 0.1), atol=0.005)


def test_what_reaches_the_box_is_closed_there():
    points, faces = surface(blob((0, 0, 1), 0.6))
    assert is_closed(faces) and volume(points, faces) > 0
    assert 1 <= points[:, 2].max() < 1 + 2 / 47


def test_every_cube_of_a_random_field_is_closed():
    field = np.random.default_rng(4).normal(size=(14, 14, 14)).astype(np.float32)
    _, faces = surface(field)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts % 2 == 0).all(), "the surface has holes"


def test_specks_leave_and_large_parts_stay():
    field = np.maximum(blob((-0.5, 0, 0), 0.35), blob((0.6, 0, 0), 0.25))
    field = np.maximum(field, blob((0, 0.8, 0.8), 0.05))
    points, faces = large_parts(*surface(field))
    assert points[:, 0].min() < -0.8 and points[:, 0].max() > 0.8, "an object in two parts lost one"
    assert points[:, 1].max() < 0.5 and len(np.unique(faces)) == len(points)


@pytest.mark.parametrize(
    ("direction", "ours"),
    [((0, 0, 1), (0, 1, 0)), ((0, -1, 0), (0, 0, 1)), ((1, 0, 0), (1, 0, 0))],
    ids=["up", "front", "right"],
)
def test_10_up_is_up_and_the_first_cameras_side_faces_us(
    direction: tuple[float, float, float], ours: tuple[float, float, float]
):
    """A body with a horn: where it points in Shap-E's box, and in our world."""
    field = np.maximum(blob((0, 0, 0), 0.4), blob(tuple(0.6 * np.array(direction, float)), 0.15))
    points, faces = surface(field)
    placed = in_world(points)
    along = placed @ np.array(ours)
    assert np.ptp(along) == pytest.approx(1, abs=1e-4), "the horn makes this the longest side"
    thin, thick = (placed[along * sign > 0.42] for sign in (1, -1))
    assert np.ptp(thin, axis=0).max() < 0.25 < np.ptp(thick, axis=0).max()
    assert volume(placed, faces) > 0, "it is a mirror image"


def test_9_shap_es_cameras_are_where_the_axes_are_taken_from():
    from diffusers.pipelines.shap_e.camera import create_pan_cameras

    cameras = create_pan_cameras(8)
    origins = cameras.origin.numpy()  # [20, 3]
    assert np.allclose(np.linalg.norm(origins, axis=1), 4, atol=1e-5)
    elevations = np.degrees(np.arcsin(origins[:, 2] / 4))
    assert np.allclose(elevations, 26.565, atol=1e-3)
    assert np.allclose(origins[0], origins[19], atol=1e-5)
    # The first one is in front of what we call the front: on +z, above.
    ours = np.stack([origins[0, 0], origins[0, 2], -origins[0, 1]])
    assert np.allclose(ours / 4, (0, np.sin(np.radians(26.565)), np.cos(np.radians(26.565))), atol=1e-5)


def test_the_mesh_is_centred_and_as_long_as_the_world(parts: Parts):
    mesh = meshed(Field(parts, a_latent(1)), 32)
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    assert np.allclose(low + high, 0, atol=1e-5) and (high - low).max() == pytest.approx(1, abs=1e-5)


def test_colours_go_where_the_shape_goes(parts: Parts):
    """tests/shap_e/tiny.py: bright where Shap-E's x is large, red upwards, blue towards its -y."""
    mesh = meshed(Field(parts, a_latent(1)), 40)
    assert mesh.colors is not None
    red, green, blue = mesh.colors.T.astype(float)
    right, up, front = mesh.vertices.T
    assert green[right > 0.3].mean() > 200 and green[right < -0.3].mean() < 55
    middle = np.abs(right) < 0.1
    assert red[middle & (up > 0.3)].mean() > red[middle & (up < -0.3)].mean() + 60
    assert blue[middle & (front > 0.3)].mean() > blue[middle & (front < -0.3)].mean() + 60


def test_10_files_keep_the_colours_and_the_axes(parts: Parts):
    mesh = meshed(Field(parts, a_latent(1)), 32)
    again = load_mesh(glb_bytes(mesh))
    assert again.colors is not None and mesh.colors is not None
    assert np.array_equal(again.colors, mesh.colors)
    assert np.allclose(again.vertices, mesh.vertices, atol=1e-6)


@pytest.mark.parametrize(
    ("field", "told"),
    [
        (np.full((8, 8, 8), -0.5, np.float32), "empty"),
        (np.full((8, 8, 8), 0.5, np.float32), "full box"),
        (np.full((8, 8, 8), np.nan, np.float32), "finite"),
        (np.where(np.arange(512).reshape(8, 8, 8) == 77, np.nan, blob((0, 0, 0), 0.5, 8)), "finite"),
        (np.where(np.arange(512).reshape(8, 8, 8) == 77, np.inf, blob((0, 0, 0), 0.5, 8)), "finite"),
    ],
    ids=["empty", "full", "all NaN", "one NaN", "one infinite"],
)
def test_what_is_no_object_is_said_with_what_to_do(field: Floats, told: str):
    with pytest.raises(TurnaroundError, match=rf"{told}.*another seed.*\."):
        surface(field.astype(np.float32))


def test_a_latent_that_is_not_finite_is_said_too(parts: Parts):
    import torch

    with pytest.raises(TurnaroundError, match="finite"):
        meshed(Field(parts, torch.full((1, 64, 16), float("nan"))), 32)


def test_a_speckless_mesh_is_left_alone():
    points, faces = surface(blob((0, 0, 0), 0.5, 24))
    same, same_faces = large_parts(points, faces)
    assert np.array_equal(same, points) and np.array_equal(same_faces, faces)
    assert isinstance(Mesh(same, same_faces), Mesh)
