"""How thick the silhouette is at each of its points: circular sections, from two Poisson equations.

Where w is the square of half the thickness, a cylinder of radius r has w = r² - x² and a sphere has w = r² - ρ². Both
solve Δw = -2k with w = 0 on the outline: k = 1 for the cylinder, k = 2 for the sphere. Which of them a place resembles
is read from a first solution u, of Δu = -1: an ellipse with half-axes a < b has curvatures of u in the ratio
q = a² / b², and k = 1 + q makes it the ellipsoid of revolution about its long axis. Discs, ellipses and long bars are
thus exact.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.silhouette import Floats, Silhouette

SPREAD = 0.35  # over how much of the local thickness the shape is averaged, not to follow every notch
THINNEST = 0.15  # half the thickness over the shortest edge at a point: nothing is flat, however thin

TINY = 1e-9  # share of the thickest place's trust that even the thinnest tip has: it then follows itself


@dataclass(frozen=True, eq=False)
class Inflation:
    half_thickness: Floats
    """[V], in the units of the silhouette's points; zero on the rim, positive inside."""
    axis: Floats
    """[V, 2]: the centre of the circle, or sphere, of which the point is a part; for a bar, its middle line."""


def inflate(silhouette: Silhouette) -> Inflation:
    points, inner = silhouette.points, silhouette.inner
    elements = _Elements(points, silhouette.triangles)
    solve = _factorized(elements.matrix(elements.area)[:inner, :inner])
    u = np.zeros(len(points))
    u[:inner] = np.maximum(solve(elements.mass[:inner]), 0)
    averaged = _averaging(elements, u)
    k = 1 + _roundness(elements, u, inner, averaged)
    w = np.zeros(len(points))
    w[:inner] = np.maximum(solve(2 * (elements.mass * k)[:inner]), (THINNEST * elements.shortest_edge()[:inner]) ** 2)
    # Around a cylinder or a sphere, w falls by twice the distance from the middle.
    middle = points[silhouette.triangles].mean(1) + elements.gradient(w) / 2  # [T, 2]
    axis = averaged(elements.collected(middle * elements.trust(u)[:, None]))
    return Inflation(np.sqrt(w), axis)


class _Elements:
    """Linear finite elements on the triangulation."""

    def __init__(self, points: Floats, triangles: NDArray[np.int64]) -> None:
        corners = points[triangles]  # [T, 3, 2]
        sides = np.roll(corners, -2, 1) - np.roll(corners, -1, 1)  # opposite to each corner
        doubled = sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]
        self.count = len(points)
        self.triangles = triangles
        self.area = doubled / 2
        self.lengths = np.linalg.norm(sides, axis=2)
        # The slope of the function that is 1 at a corner and 0 at the others.
        self.slopes = np.stack([-sides[..., 1], sides[..., 0]], -1) / doubled[:, None, None]  # [T, 3, 2]
        self.mass = self.collected(self.area)

    def matrix(self, conductivity: Floats) -> Any:
        """The stiffness matrix [V, V], of a conductivity times area a triangle."""
        from scipy.sparse import csr_array

        local = conductivity[:, None, None] * (self.slopes @ self.slopes.swapaxes(1, 2))  # [T, 3, 3]
        rows, columns = np.repeat(self.triangles, 3, 1).ravel(), np.tile(self.triangles, (1, 3)).ravel()
        return csr_array((local.ravel(), (rows, columns)), shape=(self.count, self.count))

    def gradient(self, values: Floats) -> Floats:
        """[T, 2], of values at the points."""
        return np.einsum("tc,tcd->td", values[self.triangles], self.slopes)

    def divergence(self, field: Floats) -> Floats:
        """[V], of a field [T, 2], integrated round each point; on the rim it lacks the boundary's part."""
        flux = (self.slopes @ field[:, :, None])[..., 0] * -self.area[:, None]  # [T, 3]
        return np.bincount(self.triangles.ravel(), flux.ravel(), self.count).astype(np.float64)

    def collected(self, values: Floats) -> Floats:
        """A third of each triangle's value [T] or [T, C] to each of its corners."""
        if values.ndim == 2:
            return np.stack([self.collected(column) for column in values.T], 1)
        return np.bincount(self.triangles.ravel(), np.repeat(values / 3, 3), self.count).astype(np.float64)

    def trust(self, u: Floats) -> Floats:
        """[T], how much a triangle says about the shape of its surroundings: the middle says most."""
        return self.area * ((u[self.triangles] ** 2).mean(1) + TINY * u.max() ** 2)

    def shortest_edge(self) -> Floats:
        """[V]"""
        shortest = np.full(self.count, np.inf)
        np.minimum.at(shortest, self.triangles.ravel(), np.repeat(self.lengths.min(1), 3))
        return shortest


def _averaging(elements: _Elements, u: Floats) -> Callable[[Floats], Floats]:
    """Makes smooth values at the points of what triangles said, times their trust, over the local thickness."""
    trust = elements.trust(u)
    local = SPREAD * u[elements.triangles].mean(1)  # u is a quarter to a half of the squared radius
    weight = elements.collected(trust)
    matrix = elements.matrix(trust * local)
    matrix.setdiag(matrix.diagonal() + weight)
    return _factorized(matrix)


def _roundness(elements: _Elements, u: Floats, inner: int, averaged: Callable[[Floats], Floats]) -> Floats:
    """q [V]: 0 where the silhouette is like a bar, 1 where it is like a disc."""
    slope = elements.gradient(u)
    nothing = np.zeros(len(slope))
    weight = elements.collected(elements.trust(u)) / elements.mass
    weight[inner:] = 0  # the second derivatives mean nothing there
    xx = averaged(weight * elements.divergence(np.stack([slope[:, 0], nothing], 1)))
    yy = averaged(weight * elements.divergence(np.stack([nothing, slope[:, 1]], 1)))
    xy = averaged(weight * elements.divergence(slope[:, ::-1])) / 2
    trace = np.minimum(xx + yy, -1e-6)
    determinant = np.clip((xx * yy - xy**2) / trace**2, 0, 0.25)
    larger = (1 + np.sqrt(1 - 4 * determinant)) / 2
    return (1 - larger) / larger


def _factorized(matrix: Any) -> Callable[[Floats], Floats]:
    """A direct solver for a symmetric positive matrix."""
    from scipy.sparse.linalg import splu

    how = {"SymmetricMode": True}
    return splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=how).solve
