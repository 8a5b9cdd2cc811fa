"""The closed mesh, and the law that the photo's own camera sees the photo."""

import numpy as np
import pytest
import trimesh

from pipelines.core.cameras import View, photo_distance, project
from pipelines.core.inflation import inflate
from pipelines.core.mesh import Mesh
from pipelines.core.silhouette import trace
from pipelines.core.solid import solid
from pipelines.inflate.model import inflated
from pipelines.runtime.method import Report
from tests.inflate import shapes

TWO = np.maximum(shapes.disc(60, (-140, -140)), shapes.bar(60, 30, (140, 170)))


def made(mask: np.ndarray, elevation_deg: float = 0, depth: float = 1.0) -> Mesh:
    return inflated(shapes.subject(shapes.plain(mask), elevation_deg), depth, "smooth", Report())


@pytest.mark.parametrize(
    ("mask", "components", "tunnels"),
    [
        (shapes.disc(), 1, 0),
        (shapes.ring(), 1, 1),
        (shapes.letter_b(), 1, 2),
        (shapes.animal(), 1, 0),
        (TWO, 2, 0),
        (np.full((64, 64), 255, np.uint8), 1, 0),
    ],
    ids=["disc", "ring", "letter", "animal", "two", "whole frame"],
)
@pytest.mark.parametrize("elevation_deg", [0, 40, -90])
def test_the_mesh_is_closed_and_turned_outwards(mask, components, tunnels, elevation_deg):
    mesh = made(mask, elevation_deg)
    body = trimesh.Trimesh(mesh.vertices, mesh.faces)  # merges the rim's doubled vertices
    assert body.is_watertight and body.is_winding_consistent and body.volume > 0
    assert body.body_count == components
    assert body.euler_number == 2 * components - 2 * tunnels
    assert (body.edges_unique_length > 0).all()


def test_a_disc_is_a_ball_from_every_side():
    mesh = made(shapes.disc())
    radius = np.linalg.norm(mesh.vertices, axis=1)
    assert abs(radius - 0.49).max() < 0.015  # a ball of silhouette 1 at this distance has radius 0.486
    assert abs(mesh.vertices.min(0) + mesh.vertices.max(0)).max() < 0.02


@pytest.mark.parametrize("elevation_deg", [-90, -20, 0, 30, 60, 90])
@pytest.mark.parametrize("depth", [0.2, 1.5])
def test_every_point_lies_on_its_ray_of_the_photo(elevation_deg: float, depth: float):
    silhouette = trace(shapes.animal())
    subject = shapes.subject(shapes.plain(shapes.animal()), elevation_deg)
    vertices, _ = solid(silhouette, inflate(silhouette), subject, depth)
    pixels, z = project(vertices, View(0, elevation_deg), photo_distance(0.8), shapes.SIZE)
    assert abs(pixels - np.tile(silhouette.points, (2, 1))).max() < 1e-6
    front, back = np.split(z, 2)
    inside = np.arange(len(front)) < silhouette.inner
    assert (front < back)[inside].all() and (front == back)[~inside].all() and z.min() > 0.5


def test_thickness_follows_the_option():
    found = []
    for depth in (1.0, 0.25):
        vertices = made(shapes.bar(), depth=depth).vertices
        found.append(np.ptp(vertices[abs(vertices[:, 0]) < 0.03, 2]))
    assert found[1] == pytest.approx(found[0] / 4, rel=0.02)


def test_a_subject_seen_from_a_little_above_stands_nearly_upright():
    # The lean of the middle plane against the vertical, from the thin legs.
    mesh = made(shapes.upright(shapes.HALF, 8, (0, 0)), elevation_deg=20)
    height, depth = mesh.vertices[:, 1], mesh.vertices[:, 2]
    slope = np.degrees(np.arctan(np.polyfit(height, depth, 1)[0]))
    assert abs(slope) < 10
    assert np.ptp(height) == pytest.approx(1, abs=0.05)


def test_normals_point_outwards_and_agree_where_front_and_back_meet():
    mesh = made(shapes.disc())
    assert mesh.normals is not None
    outward = mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    assert np.linalg.norm(mesh.normals, axis=1) == pytest.approx(1, abs=1e-5)
    assert (mesh.normals * outward).sum(1).min() > 0.97
    order = np.lexsort(mesh.vertices.T)
    same = (np.diff(mesh.vertices[order], axis=0) == 0).all(axis=1)
    assert same.sum() > 100
    assert (np.diff(mesh.normals[order], axis=0)[same] == 0).all()
