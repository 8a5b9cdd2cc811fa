"""A renderer for textured and vertex-coloured meshes that needs neither a GPU nor OpenGL.

A frame is made in two steps:

1. **What is seen.** OpenCV's triangle rasteriser (`cv2.triangleRasterize`, new in OpenCV 5) draws each triangle's
   number into a buffer of samples. For `supersample` n a pixel has n^2 + 1 samples (one for n = 1), on a square grid
   that is turned against the pixels by atan(1 / n). So each sample of a pixel has a row and a column of its own (steep
   and flat edges get n^2 + 2 shades, an upright grid would give n + 1), one is the pixel's centre, and the centre of
   pixel (x, y) is sample (n x + y, n y - x): the buffer is read back by strides alone.
2. **What it looks like.** Only what is seen is interpolated and textured: once a pixel, at its centre, and at every
   sample where a pixel holds an outline or a crease.
"""

import copy
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import FOV_DEG, View, camera_from_world, intrinsics
from pipelines.core.errors import TurnaroundError
from pipelines.core.mesh import Mesh, checked_mesh
from pipelines.core.shade import Floats, Fragments, Light, Surface, plane_rows
from pipelines.core.side_by_side import side_by_side

NEAR = 0.02  # world units; what is nearer to the camera is cut off. The subject's longest side is 1
MAX_FACES = 2**24  # triangle numbers travel as float32, which counts without gaps up to here
TILE_PX = 640  # bounds the memory: a tile's buffer takes at most 16 bytes x 9 samples x 640^2 = 59 MB at supersample 2
GROW = 1 / 256  # samples; see `_grown`
MAX_TIP = 1 / 4  # samples
EMPTY = 1.0  # in the depth buffer, where nothing was drawn
CREASE_PX = 0.5  # a surface that bends by more than this (in depth, within a pixel) is shaded at every sample


@dataclass(frozen=True, eq=False)
class Rendered:
    rgba: NDArray[np.uint8]
    """[H, W, 4], straight alpha: the surface's own colour, and how much of the pixel it covers. 0 where nothing is."""
    depth: Floats
    """[H, W], along the camera's z, at the pixel's centre; 0 where nothing is."""
    normals: Floats
    """[H, W, 3], unit length, world axes, of the side that is seen; 0 where nothing is."""


class Renderer:
    """Draws one mesh from any number of cameras. Several threads may use it at once."""

    def __init__(self, mesh: Mesh, *, cull_backfaces: bool = False, light: Light = "unlit") -> None:
        """`cull_backfaces` draws closed meshes faster; of an open mesh it hides the inside."""
        checked_mesh(mesh)
        if len(mesh.faces) > MAX_FACES:
            raise TurnaroundError(
                f"The mesh has {len(mesh.faces):,} triangles; at most {MAX_FACES:,} can be drawn. Simplify it first."
            )
        self._vertices = mesh.vertices.astype(np.float64)
        self._faces = np.ascontiguousarray(mesh.faces, np.int32)
        self._cull = cull_backfaces
        self._surface = Surface(mesh, light)
        self._texel_areas = self._surface.texel_areas(self._surface.attributes)
        self._charts = _charts(self._faces, len(mesh.vertices))
        self._buffers = threading.local()

    def moved(self, by: NDArray[np.floating], scale: float) -> "Renderer":
        """The same mesh elsewhere, and then scaled about the world's centre."""
        other = copy.copy(self)
        other._vertices = (self._vertices + by) * scale
        return other

    def render(
        self, view: View, unit_distance: float, size_px: int, *, fov_deg: float = FOV_DEG, supersample: int = 2
    ) -> Rendered:
        if not 1 <= size_px <= 8192 or not 1 <= supersample <= 8:
            raise ValueError(f"size_px={size_px} and supersample={supersample} are not both in range")
        frame = Rendered(
            np.zeros((size_px, size_px, 4), np.uint8),
            np.zeros((size_px, size_px), np.float32),
            np.zeros((size_px, size_px, 3), np.float32),
        )
        scene = self._project(view, unit_distance, size_px, fov_deg)
        if scene is not None:
            grid = Grid(supersample)
            for window in _windows(scene):
                self._draw(scene, grid, window, frame)
        return frame

    def render_many(
        self,
        views: Sequence[View],
        unit_distance: float,
        size_px: int,
        *,
        fov_deg: float = FOV_DEG,
        supersample: int = 2,
        report: Callable[[float, str, NDArray[np.uint8] | None], Any] | None = None,
    ) -> list[Rendered]:
        """All `views`, in their order, side by side. Whatever `report` raises stops the work within a frame."""

        def render(view: View) -> Rendered:
            return self.render(view, unit_distance, size_px, fov_deg=fov_deg, supersample=supersample)

        frames: list[Rendered] = []
        for frame in side_by_side(render, views):
            frames.append(frame)
            if report is not None:
                report(len(frames) / len(views), f"View {len(frames)} of {len(views)}", frame.rgba)
        return frames

    def _project(self, view: View, unit_distance: float, size_px: int, fov_deg: float) -> "Scene | None":
        pose = camera_from_world(view, unit_distance)
        focal_px = intrinsics(size_px, fov_deg)[0, 0]
        in_camera = self._vertices @ pose[:3, :3].T + pose[:3, 3]  # [V, 3]
        attributes, charts = self._surface.attributes, self._charts
        if in_camera[:, 2].min() >= NEAR:
            corners = _on_screen(in_camera, focal_px).take(self._faces, axis=0)  # [F, 3, 3]
        else:
            points, attributes, origin = _cut(in_camera[self._faces], attributes)
            corners, charts = _on_screen(points, focal_px), charts[origin]
        x, y, inverse_z = np.ascontiguousarray(corners.transpose(2, 1, 0))  # [3, F] each
        # Positive for the outside: the image's y grows downwards, so triangles that face the camera turn clockwise.
        area = 0.5 * ((y[1] - y[0]) * (x[2] - x[0]) - (x[1] - x[0]) * (y[2] - y[0]))
        drawn = np.flatnonzero(area > 0 if self._cull else area)
        if not len(drawn):
            return None
        x, y, inverse_z, area = (values.take(drawn, axis=-1) for values in (x, y, inverse_z, area))
        texels = (
            self._surface.texel_areas(attributes) if attributes is not self._surface.attributes else self._texel_areas
        )
        planes = plane_rows(x, y, inverse_z, area, None if texels is None else texels[drawn])
        return Scene(size_px, focal_px, x, y, inverse_z, planes, charts[drawn], drawn, attributes)

    def _draw(self, scene: "Scene", grid: "Grid", window: "Window", frame: Rendered) -> None:
        numbers, charts, depths, crease = self._samples(scene, grid, window)
        samples = len(depths)
        covered = [depth < EMPTY for depth in depths]
        count = np.zeros(depths[0].shape, np.uint16)
        for hit in covered:
            count += hit

        inside = (slice(window.top, window.bottom), slice(window.left, window.right))
        rgba = np.zeros((*count.shape, 4), np.uint8)
        # np.nonzero, but faster
        y, x = np.divmod(np.flatnonzero(covered[0]).astype(np.int32), np.int32(window.right - window.left))
        colours, normals, z = self._shade(scene, numbers[0][y, x], x + window.left, y + window.top)
        rgba.view(np.uint32)[y, x, 0] = colours.view(np.uint32)[:, 0]
        frame.depth[inside][y, x] = z
        frame.normals[inside][y, x] = normals.T

        # The centre does not speak for the whole pixel where that is partly empty, where another part of the surface
        # comes in, and at a crease. What the depth buffer holds is linear across a flat triangle: it bends at creases.
        mixed = (count > 0) & (count < samples)
        for chart in charts[1:]:
            mixed |= (chart != charts[0]) & (count > 0)
        bend = np.zeros(count.shape, np.float32)
        for k, opposite in grid.pairs:
            np.maximum(bend, np.abs(depths[k] + depths[opposite] - 2 * depths[0]), out=bend)
        y, x = np.nonzero(mixed | (bend > crease))
        total = np.zeros((len(y), 3), np.float32)
        for k, (dx, dy) in enumerate(grid.offsets_px):
            hit = np.flatnonzero(covered[k][y, x])
            number = numbers[k][y[hit], x[hit]]
            colours, _, _ = self._shade(scene, number, x[hit] + (window.left + dx), y[hit] + (window.top + dy))
            total[hit] += colours[:, :3]
        rgba[y, x, :3] = total / count[y, x, None] + 0.5
        rgba[..., 3] = (count * 255 + samples // 2) // samples
        frame.rgba[inside] = rgba

    def _shade(
        self, scene: "Scene", numbers: Floats, x: NDArray[Any], y: NDArray[Any]
    ) -> tuple[NDArray[np.uint8], Floats, Floats]:
        """Shade triangles, given by their numbers, at points given in pixel indices."""
        which = numbers.astype(np.intp)
        middle = scene.size_px / 2 - 0.5
        points = Fragments(
            x=(x - middle).astype(np.float32),
            y=(y - middle).astype(np.float32),
            planes=scene.planes.take(which, axis=1),
            attributes=scene.attributes.take(scene.drawn.take(which), axis=2),
        )
        return self._surface.shade(points)

    def _samples(
        self, scene: "Scene", grid: "Grid", window: "Window"
    ) -> tuple[list[Floats], list[Floats], list[Floats], float]:
        """Triangles' numbers, charts, and depths as stored: [H, W] views, one a sample of the pixel, its centre first.

        And how far depths may bend within a pixel before that counts as a crease.
        """
        n = grid.turn
        first_i = n * window.left + window.top - n
        first_j = n * window.top - (window.right - 1) - n
        width = n * (window.right - 1) + (window.bottom - 1) + n - first_i + 1
        height = n * (window.bottom - 1) - window.left + n - first_j + 1
        seen, depths = self._buffer(width, height)

        # To samples, from the buffer's centre.
        middle = scene.size_px / 2 - 0.5
        i = n * scene.x + scene.y + np.float32((n + 1) * middle - first_i + 0.5 - width / 2)
        j = n * scene.y - scene.x + np.float32((n - 1) * middle - first_j + 0.5 - height / 2)
        i, j, inverse_z = _grown(i, j, scene.inverse_z)
        far, near = 1.001 / float(scene.inverse_z.min()), 0.999 / float(scene.inverse_z.max())
        # OpenCV wants to project by itself: undo what it will do with a field of view of 90 degrees and OpenGL's axes.
        points = np.empty((i.shape[1], 3, 3), np.float32)
        z = 1 / inverse_z
        scale = z * np.float32(2 / height)
        points[:, :, 0] = (i * scale).T
        points[:, :, 1] = (-j * scale).T
        points[:, :, 2] = -z.T
        colours = np.zeros((len(points), 3, 3), np.float32)
        colours[:, 0, 0] = np.arange(len(points))  # flat shading takes the first corner's
        colours[:, 0, 1] = scene.charts
        cv2.triangleRasterize(
            points.reshape(-1, 3),
            np.arange(3 * len(points), dtype=np.int32).reshape(-1, 3),
            colours.reshape(-1, 3),
            seen,
            depths,
            np.eye(4),
            np.pi / 2,
            near,
            far,
            _settings(),
        )

        def read(buffer: Floats, di: int, dj: int) -> Floats:
            i0 = n * window.left + window.top - first_i + di
            j0 = n * window.top - window.left - first_j + dj
            row, column = buffer.strides[:2]
            return np.lib.stride_tricks.as_strided(
                buffer[j0:, i0:],
                (window.bottom - window.top, window.right - window.left),
                (n * row + column, n * column - row),
                writeable=False,
            )

        middle_z = 2 / (1 / near + 1 / far)
        crease = CREASE_PX * (middle_z / scene.focal_px) / (middle_z**2 * (1 / near - 1 / far))
        return (
            [read(seen[..., 0], di, dj) for di, dj in grid.offsets],
            [read(seen[..., 1], di, dj) for di, dj in grid.offsets],
            [read(depths, di, dj) for di, dj in grid.offsets],
            crease,
        )

    def _buffer(self, width: int, height: int) -> tuple[Floats, Floats]:
        """Triangles' numbers and charts (in three channels: OpenCV draws colours), and empty depths. Kept by thread."""
        size = width * height
        kept = getattr(self._buffers, "kept", None)
        if kept is None or len(kept) < 4 * size:
            kept = self._buffers.kept = np.empty(4 * size, np.float32)
        depths = kept[3 * size : 4 * size].reshape(height, width)
        depths.fill(EMPTY)
        return kept[: 3 * size].reshape(height, width, 3), depths


@dataclass(frozen=True, eq=False)
class Scene:
    """What stands before one camera: D triangles, none of them behind it, out of the F that there are."""

    size_px: int
    focal_px: float
    x: Floats
    """[3, D], of the three corners, px from the frame's centre; so is `y`."""
    y: Floats
    inverse_z: Floats
    """[3, D]"""
    planes: Floats
    """[11, D], see `plane_rows`."""
    charts: Floats
    """[D], the connected part that each belongs to."""
    drawn: NDArray[np.intp]
    """[D], their columns in `attributes`."""
    attributes: Floats
    """[3, A, F]"""


@dataclass(frozen=True)
class Window:
    """Pixels of the frame: left <= x < right, top <= y < bottom."""

    left: int
    top: int
    right: int
    bottom: int


class Grid:
    """A pixel's samples. With n = `turn`, sample (i, j) lies at i (n, 1) / (n^2 + 1) + j (-1, n) / (n^2 + 1) px."""

    def __init__(self, supersample: int) -> None:
        n = self.turn = supersample if supersample > 1 else 0
        count = n * n + 1
        steps = range(-n, n + 1)
        self.offsets = [
            (i, j)
            for i in steps
            for j in steps
            if -count < 2 * (n * i - j) <= count and -count < 2 * (i + n * j) <= count
        ]
        """From the pixel's centre, in samples; the centre itself is the first."""
        self.offsets.sort(key=lambda ij: ij[0] ** 2 + ij[1] ** 2)
        self.offsets_px = [((n * i - j) / count, (i + n * j) / count) for i, j in self.offsets]
        self.pairs = [
            (k, self.offsets.index((-i, -j)))
            for k, (i, j) in enumerate(self.offsets)
            if (i, j) > (0, 0) and (-i, -j) in self.offsets
        ]
        """Samples that lie opposite each other."""


def _windows(scene: Scene) -> Iterator[Window]:
    """Tiles over the part of the frame that the mesh's outline box covers."""
    low = [max(0, math.floor(values.min() + scene.size_px / 2)) for values in (scene.x, scene.y)]
    high = [min(scene.size_px, math.ceil(values.max() + scene.size_px / 2)) for values in (scene.x, scene.y)]
    for top in range(low[1], high[1], TILE_PX):
        for left in range(low[0], high[0], TILE_PX):
            yield Window(left, top, min(left + TILE_PX, high[0]), min(top + TILE_PX, high[1]))


def _grown(i: Floats, j: Floats, inverse_z: Floats) -> tuple[Floats, Floats, Floats]:
    """Move every edge outwards by `GROW`, within the triangle's plane.

    OpenCV calculates in float32 and has no rule for samples on an edge: neighbours may both leave one out. Grown, they
    overlap, and the depth decides. A triangle grows about its incentre; its tips move by `MAX_TIP` at most.
    """
    lengths = np.empty_like(i)
    for k in range(3):
        a, b = (k + 1) % 3, (k + 2) % 3
        lengths[k] = np.hypot(i[b] - i[a], j[b] - j[a])
    around = np.maximum(lengths.sum(axis=0), 1e-12)
    doubled_area = np.abs((i[1] - i[0]) * (j[2] - j[0]) - (j[1] - j[0]) * (i[2] - i[0]))
    in_radius = np.maximum(doubled_area / around, 1e-12)
    factor = np.minimum(GROW / in_radius, MAX_TIP / around)
    share = lengths / around
    low, high = inverse_z.min(), inverse_z.max()
    i, j, inverse_z = (v + factor * (v - (share * v).sum(axis=0)) for v in (i, j, inverse_z))
    return i, j, np.clip(inverse_z, low, high)  # a triangle seen from its edge is steep


def _on_screen(in_camera: NDArray[np.float64], focal_px: float) -> Floats:
    """Camera points [..., 3] to x and y from the frame's centre in px, and 1 / z."""
    screen = np.empty(in_camera.shape, np.float32)
    screen[..., 2] = 1 / in_camera[..., 2]
    screen[..., :2] = in_camera[..., :2] * (focal_px / in_camera[..., 2:])
    return screen


def _charts(faces: NDArray[np.int32], vertex_count: int) -> Floats:
    """Number the parts of the surface within which colours change smoothly: those that share vertices. [F]"""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    start, end = faces[:, :2].ravel(), faces[:, 1:].ravel()
    links = coo_array((np.ones(len(start), np.bool_), (start, end)), (vertex_count, vertex_count))
    return connected_components(links, directed=False)[1][faces[:, 0]].astype(np.float32)


def _cut(points: NDArray[np.float64], attributes: Floats) -> tuple[NDArray[np.float64], Floats, NDArray[np.intp]]:
    """Triangles [F, 3, 3] and their attributes [3, A, F] without what lies nearer than `NEAR`.

    And the number of the triangle that each one came from.
    """
    whole = np.concatenate([points, attributes.transpose(2, 0, 1)], axis=2)  # [F, 3, 3 + A]
    ahead = points[:, :, 2] >= NEAR
    count = ahead.sum(axis=1)
    kept, origin = [whole[count == 3]], [np.flatnonzero(count == 3)]
    for corners_ahead in (1, 2):
        crossing = np.flatnonzero(count == corners_ahead)
        odd = np.argmax(ahead[crossing] == (corners_ahead == 1), axis=1)
        turned = (odd[:, None] + np.arange(3)) % 3  # the corner that is alone on its side comes first
        a, b, c = np.moveaxis(np.take_along_axis(whole[crossing], turned[:, :, None], axis=1), 1, 0)
        ab, ac = (a + (other - a) * ((NEAR - a[:, 2]) / (other[:, 2] - a[:, 2]))[:, None] for other in (b, c))
        pieces = [(a, ab, ac)] if corners_ahead == 1 else [(ab, b, c), (ab, c, ac)]
        kept += [np.stack(piece, axis=1) for piece in pieces]
        origin += [crossing] * len(pieces)
    whole = np.concatenate(kept)
    cut_attributes = np.ascontiguousarray(whole[:, :, 3:].transpose(1, 2, 0), np.float32)
    return whole[:, :, :3].astype(np.float64), cut_attributes, np.concatenate(origin)


def _settings() -> cv2.TriangleRasterizeSettings:
    settings = cv2.TriangleRasterizeSettings()
    settings.setShadingType(cv2.RASTERIZE_SHADING_FLAT)
    settings.setCullingMode(cv2.RASTERIZE_CULLING_NONE)
    settings.setGlCompatibleMode(cv2.RASTERIZE_COMPAT_INVDEPTH)
    return settings
