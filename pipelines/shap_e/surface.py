"""From signed distances on a grid to a mesh in our world."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import TurnaroundError
from pipelines.core.mesh import Mesh, checked_mesh
from pipelines.shap_e.field import Field, Floats

OUTSIDE = -1.0  # what lies around the box, so that every surface is closed
SPECK_SHARE = 0.03  # of the largest part's triangles: what has fewer is noise and leaves
FULL = 0.98  # a box with more than this inside is no object
AGAIN = "This happens now and then: try another seed, more steps, or another photo."


def meshed(field: Field, grid: int, step: Callable[[float], Any] | None = None) -> Mesh:
    """The field's surface with its colours, in the world: upright, its centre at the origin, its longest side 1."""
    tell = step or (lambda share: None)
    points, faces = surface(field.distances(grid, lambda share: tell(0.8 * share)))
    points, faces = large_parts(points, faces)
    colours = field.colours(points, lambda share: tell(0.8 + 0.2 * share))
    return checked_mesh(Mesh(in_world(points), faces, colors=colours))


def surface(distances: Floats) -> tuple[Floats, NDArray[np.int32]]:
    """Where the distances [G, G, G] are zero: points of the box [V, 3] and triangles [F, 3].

    Lewiner's marching cubes, as scikit-image has them: closed where the classical tables leave holes.
    """
    from skimage.measure import marching_cubes

    if not np.isfinite(distances).all():
        raise TurnaroundError(f"Shap-E's 3D shape came out damaged: it is not made of finite numbers. {AGAIN}")
    inside = float((distances > 0).mean())
    if inside == 0:
        raise TurnaroundError(f"Shap-E's 3D shape came out empty: there is nothing inside its box. {AGAIN}")
    if inside > FULL:
        raise TurnaroundError(f"Shap-E's 3D shape came out as a full box and not as an object. {AGAIN}")
    around = np.pad(distances, 1, constant_values=OUTSIDE)
    # "ascent" turns the triangles so that they are seen counter-clockwise from outside.
    points, faces, _, _ = marching_cubes(around, 0.0, gradient_direction="ascent", allow_degenerate=False)
    # The first sample lies at -1. The original's mesh takes the padding's corner for it, and is 1.6 % too small.
    points = (points - 1) * (2 / (len(distances) - 1)) - 1
    return points.astype(np.float32), np.ascontiguousarray(faces, np.int32)


def large_parts(points: Floats, faces: NDArray[np.int32]) -> tuple[Floats, NDArray[np.int32]]:
    """Without the specks that float around an object."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    start, end = faces[:, :2].ravel(), faces[:, 1:].ravel()
    links = coo_array((np.ones(len(start), np.bool_), (start, end)), (len(points), len(points)))
    part = connected_components(links, directed=False)[1][faces[:, 0]]  # [F]
    sizes = np.bincount(part)
    faces = faces[sizes[part] >= SPECK_SHARE * sizes.max()]
    used, numbers = np.unique(faces, return_inverse=True)
    return points[used], numbers.reshape(-1, 3).astype(np.int32)


def in_world(points: Floats) -> Floats:
    """From Shap-E's axes (z up, first camera at -y) to ours: up becomes +y, and what that camera saw faces +z."""
    upright = np.stack([points[:, 0], points[:, 2], -points[:, 1]], 1)
    low, high = upright.min(0), upright.max(0)
    return ((upright - (low + high) / 2) / max(float((high - low).max()), 1e-6)).astype(np.float32)
