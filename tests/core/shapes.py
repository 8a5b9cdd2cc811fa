"""Meshes with known answers, for the tests of meshes and of the renderer."""

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import View, intrinsics, world_from_camera
from pipelines.core.mesh import Mesh


def ball(radius: float = 0.5, centre: tuple[float, float, float] = (0, 0, 0), rings: int = 128) -> Mesh:
    """A closed sphere with exact normals; its facets stay within radius * (pi / rings)^2 / 4 of the true surface.

    The poles and the seam repeat vertices at exactly the same position.
    """
    up, around = np.meshgrid(np.linspace(0, np.pi, rings + 1), np.linspace(0, 2 * np.pi, 2 * rings + 1), indexing="ij")
    normals = np.stack([np.sin(up) * np.sin(around), np.cos(up), np.sin(up) * np.cos(around)], axis=-1).reshape(-1, 3)
    return Mesh(
        vertices=np.round(normals * radius + np.array(centre), 9).astype(np.float32),
        faces=grid_faces(rings + 1, 2 * rings + 1),
        normals=normals.astype(np.float32),
    )


def grid_faces(rows: int, columns: int) -> NDArray[np.int32]:
    """Two triangles a cell, counter-clockwise where rows go down and columns go right."""
    number = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    return faces.astype(np.int32)


def sheet(corners: object, color: tuple[int, int, int] = (200, 200, 200)) -> Mesh:
    """A flat quad: top left, bottom left, bottom right, top right, with the whole texture's uvs and one colour."""
    return Mesh(
        vertices=np.array(corners, np.float32),
        faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        uvs=np.array([[0, 0], [0, 1], [1, 1], [1, 0]], np.float32),
        colors=np.array([color] * 4, np.uint8),
    )


def facing_sheet(half: float = 0.5, z: float = 0.0, color: tuple[int, int, int] = (200, 200, 200)) -> Mesh:
    return sheet([[-half, half, z], [-half, -half, z], [half, -half, z], [half, half, z]], color)


def together(*meshes: Mesh) -> Mesh:
    """One vertex-coloured mesh."""
    starts = np.cumsum([0, *(len(m.vertices) for m in meshes)])
    colors = [m.colors if m.colors is not None else np.full((len(m.vertices), 3), 128, np.uint8) for m in meshes]
    return Mesh(
        vertices=np.concatenate([m.vertices for m in meshes]),
        faces=np.concatenate([m.faces + s for m, s in zip(meshes, starts, strict=False)]).astype(np.int32),
        colors=np.concatenate(colors),
    )


def painted(mesh: Mesh, color: tuple[int, int, int]) -> Mesh:
    return Mesh(
        mesh.vertices,
        mesh.faces,
        colors=np.tile(np.array(color, np.uint8), (len(mesh.vertices), 1)),
        normals=mesh.normals,
    )


def checkers(cells: int = 8, cell_px: int = 32) -> NDArray[np.uint8]:
    """Every cell has a colour of its own, so that a mirrored or shifted picture cannot pass."""
    row, column = np.mgrid[:cells, :cells]
    colors = np.stack([row * 30 + 20, column * 30 + 20, 255 * ((row + column) % 2)], -1).astype(np.uint8)
    return colors.repeat(cell_px, 0).repeat(cell_px, 1)


def rays(
    view: View, unit_distance: float, size_px: int, offset: tuple[float, float] = (0, 0)
) -> tuple[NDArray, NDArray]:
    """The eye [3] and the directions [H, W, 3] through the pixels' centres, scaled to 1 along the camera's z."""
    pose = world_from_camera(view, unit_distance)
    y, x = np.mgrid[:size_px, :size_px] + 0.5
    k = intrinsics(size_px)
    in_camera = np.stack(
        [(x + offset[0] - k[0, 2]) / k[0, 0], (y + offset[1] - k[1, 2]) / k[1, 1], np.ones_like(x)], -1
    )
    return pose[:3, 3], in_camera @ pose[:3, :3].T
