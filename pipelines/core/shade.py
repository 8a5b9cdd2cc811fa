"""What a mesh's surface looks like at given points: its attributes between the corners, its texture, its light."""

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.mesh import Mesh, colors_at_vertices, texture_repeats, vertex_normals

Floats = NDArray[np.float32]
Light = Literal["unlit", "soft"]

REMAP_COLUMNS = 1024  # cv2.remap takes pictures, of fewer than 32768 pixels a side, and not lists

# "soft" is a bright room: light from all sides, more from above, and a wide lamp over the photographer's left shoulder.
# It stands in the world, as a real lamp would, so that one surface has one colour in all views.
LAMP = np.array([-0.45, 0.60, 0.66], np.float32)  # towards the lamp, unit length
# Shares of the light, in linear units; a surface facing the lamp is close to 1
AMBIENT, SKY, DIFFUSE = 0.50, 0.15, 0.40
SRGB_GAMMA = 2.2


@dataclass(frozen=True, eq=False)
class Fragments:
    """N points on triangles, to be shaded."""

    x: Floats
    """[N], px from the frame's centre; so is `y`."""
    y: Floats
    planes: Floats
    """[11, N], the columns of `plane_rows` that belong to the points' triangles."""
    attributes: Floats
    """[3, A, N], at those triangles' corners."""


def plane_rows(x: Floats, y: Floats, inverse_z: Floats, area: Floats, texel_areas: Floats | None) -> Floats:
    """What the shading of a triangle needs, [11, F], from its corners [3, F] on screen and its signed area there.

    The first corner; by how much the shares of the second and third corner change with x and y; the corners' 1 / z;
    the texels in a pixel, but for z^3; which side is seen.
    """
    rows = np.empty((11, len(area)), np.float32)
    rows[:2] = x[0], y[0]
    scale = -0.5 / area
    rows[2:6] = (y[2] - y[0]) * scale, (x[0] - x[2]) * scale, (y[0] - y[1]) * scale, (x[1] - x[0]) * scale
    rows[6:9] = inverse_z
    # With its distance, the part of a flat triangle that a pixel shows grows to the third power: once for each
    # direction across the frame, once for the tilt.
    rows[9] = 0 if texel_areas is None else texel_areas * inverse_z.prod(axis=0) / np.abs(area)
    rows[10] = np.sign(area)
    return rows


class Surface:
    def __init__(self, mesh: Mesh, light: Light) -> None:
        """`attributes` [3, 3 + 2 or 3 + 3, F]: each corner's normal, then its uv or colour."""
        normals = mesh.normals if mesh.normals is not None else vertex_normals(mesh)
        self._light = light
        self._sizes: list[NDArray[np.uint8]] = []
        looks = colors_at_vertices(mesh)
        if mesh.texture is not None and mesh.uvs is not None:
            self._sizes = _smaller_and_smaller(mesh.texture)
            self._border = cv2.BORDER_WRAP if texture_repeats(mesh.uvs) else cv2.BORDER_REPLICATE
            looks = mesh.uvs
        at_vertices = np.concatenate([normals, looks], axis=1, dtype=np.float32)
        self.attributes: Floats = np.ascontiguousarray(at_vertices[mesh.faces].transpose(1, 2, 0))

    def texel_areas(self, attributes: Floats) -> Floats | None:
        """Of each triangle, [F]."""
        if not self._sizes:
            return None
        height, width = self._sizes[0].shape[:2]
        u, v = attributes[:, 3], attributes[:, 4]
        doubled = (u[1] - u[0]) * (v[2] - v[0]) - (v[1] - v[0]) * (u[2] - u[0])
        return np.abs(doubled) * np.float32(0.5 * width * height)

    def shade(self, points: Fragments) -> tuple[NDArray[np.uint8], Floats, Floats]:
        """Opaque colours [N, 4], unit normals [3, N] towards the viewer, and camera z [N]."""
        x0, y0, second_x, second_y, third_x, third_y, *inverse_z, texels, side = points.planes
        right, down = points.x - x0, points.y - y0
        flat = np.empty((3, len(right)), np.float32)
        flat[1] = second_x * right + second_y * down
        flat[2] = third_x * right + third_y * down
        flat[0] = 1 - flat[1] - flat[2]
        np.maximum(flat, 0, out=flat)  # samples may lie a hair outside
        deep = flat * inverse_z
        depth = deep.sum(axis=0)
        z = flat.sum(axis=0) / depth
        deep /= depth
        blended = deep[0] * points.attributes[0]
        blended += deep[1] * points.attributes[1]
        blended += deep[2] * points.attributes[2]

        normals = blended[:3]
        normals *= side / np.sqrt(np.maximum((normals * normals).sum(axis=0), 1e-24))
        colours = _opaque(blended[3:].T) if not self._sizes else self._textured(blended[3:].T, texels * (z * z * z))
        if self._light == "soft":
            lamp = np.maximum(LAMP @ normals, 0)
            linear = AMBIENT + SKY * (0.5 + 0.5 * normals[1]) + DIFFUSE * lamp
            colours = _opaque(colours[:, :3] * (np.minimum(linear, 1) ** np.float32(1 / SRGB_GAMMA))[:, None])
        return colours, normals, z

    def _textured(self, uvs: Floats, texels_per_px: Floats) -> NDArray[np.uint8]:
        """From the copy of the texture with one texel a pixel, or up to 1.4: the sharper side of two copies.

        The blurred side would cost a photo seen from its own camera up to 3 dB.
        """
        last = len(self._sizes) - 1
        level = np.log2(np.maximum(texels_per_px, 1)).astype(np.uint8).clip(0, last)  # rounded down
        present = np.flatnonzero(np.bincount(level, minlength=1))
        if len(present) == 1:
            return self._bilinear(int(present[0]), uvs)
        uvs = np.ascontiguousarray(uvs)
        colours = np.empty(len(uvs), np.uint32)  # four bytes at once
        for k in present:
            chosen = np.flatnonzero(level == k)
            colours[chosen] = self._bilinear(int(k), uvs.take(chosen, axis=0)).view(np.uint32)[:, 0]
        return colours.view(np.uint8).reshape(-1, 4)

    def _bilinear(self, level: int, uvs: Floats) -> NDArray[np.uint8]:
        texture = self._sizes[level]
        count = len(uvs)
        rows = max(1, -(-count // REMAP_COLUMNS))
        where = np.zeros((rows * REMAP_COLUMNS, 2), np.float32)
        np.multiply(uvs, np.array(texture.shape[1::-1], np.float32), out=where[:count])
        where -= np.float32(0.5)
        where = where.reshape(rows, REMAP_COLUMNS, 2)
        read = cv2.remap(texture, where, None, cv2.INTER_LINEAR, borderMode=self._border)  # pyright: ignore
        return read.reshape(-1, 4)[:count]


def _opaque(colours: NDArray[Any]) -> NDArray[np.uint8]:
    """[..., 3] of 0 to 255 to [..., 4]."""
    rgba = np.full((*colours.shape[:-1], 4), 255, np.uint8)
    np.add(colours, 0.5, out=rgba[..., :3], casting="unsafe")
    return rgba


def _smaller_and_smaller(texture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Copies of the texture, each with half the texels of the one before. The steps are too small to be seen."""
    copies = [_opaque(texture)]
    height, width = texture.shape[:2]
    while max(copies[-1].shape[:2]) > 1:
        scale = 2 ** (-len(copies) / 2)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        smaller = cv2.resize(copies[max(0, len(copies) - 2)], size, interpolation=cv2.INTER_AREA)
        copies.append(smaller.astype(np.uint8, copy=False))
    return copies
