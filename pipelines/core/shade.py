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
AMBIENT, SKY, DIFFUSE = (
    0.50,
    0.15,
    0.40,
)  # shares of the light, in linear units; a surface facing the lamp is close to 1
SRGB_GAMMA = 2.2


@dataclass(frozen=True, eq=False)
class Fragments:
    """Points on triangles, to be shaded."""

    corners: Floats
    """[N, 3, 3], the corners of each point's triangle: x and y from the point in px, and 1 / z."""
    attributes: Floats
    """[N, 3, A], at the corners."""
    facing: NDArray[np.bool_]
    """[N], whether the triangle's outside is seen."""
    texel_areas: Floats | None
    """[N], of the triangle, at the texture's full size."""


class Surface:
    def __init__(self, mesh: Mesh, light: Light) -> None:
        """`attributes` [F, 3, 3 + 2 or 3 + 3]: each corner's normal, then its uv or colour."""
        normals = mesh.normals if mesh.normals is not None else vertex_normals(mesh)
        self._light = light
        self._sizes: list[NDArray[np.uint8]] = []
        looks = colors_at_vertices(mesh)
        if mesh.texture is not None and mesh.uvs is not None:
            self._sizes = _smaller_and_smaller(mesh.texture)
            self._border = cv2.BORDER_WRAP if texture_repeats(mesh.uvs) else cv2.BORDER_REPLICATE
            looks = mesh.uvs
        self.attributes: Floats = np.concatenate([normals, looks], axis=1, dtype=np.float32)[mesh.faces]

    def texel_areas(self, attributes: Floats) -> Floats | None:
        """Of each triangle, [F]."""
        if not self._sizes:
            return None
        height, width = self._sizes[0].shape[:2]
        a, b, c = (attributes[:, k, 3:5] for k in range(3))
        across, down = b - a, c - a
        return np.abs(across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0]) * np.float32(0.5 * width * height)

    def shade(self, points: Fragments) -> tuple[NDArray[np.uint8], Floats, Floats]:
        """Opaque colours [N, 4], unit normals [N, 3] towards the viewer, and camera z [N]."""
        weights, z, doubled_area = _perspective_weights(points.corners)
        blended = np.einsum("nk,nka->na", weights, points.attributes)
        normals = blended[:, :3]
        lengths = np.sqrt(np.einsum("na,na->n", normals, normals))
        normals *= (np.where(points.facing, 1, -1) / np.maximum(lengths, 1e-12))[:, None]
        if points.texel_areas is None:
            colours = _opaque(blended[:, 3:6])
        else:
            # With its distance, the part of a flat triangle that a pixel shows grows to the third power: once for each
            # direction across the frame, once for the tilt.
            a, b, c = points.corners[:, :, 2].T
            texels_per_px = 2 * points.texel_areas * (z * a) * (z * b) * (z * c) / np.maximum(doubled_area, 1e-12)
            colours = self._textured(np.ascontiguousarray(blended[:, 3:5]), texels_per_px)
        if self._light == "soft":
            lamp = np.maximum(normals @ LAMP, 0)
            linear = AMBIENT + SKY * (0.5 + 0.5 * normals[:, 1]) + DIFFUSE * lamp
            colours = _opaque(colours[:, :3] * (np.minimum(linear, 1) ** np.float32(1 / SRGB_GAMMA))[:, None])
        return colours, normals, z

    def _textured(self, uvs: Floats, texels_per_px: Floats) -> NDArray[np.uint8]:
        """From the copy of the texture that has about one texel a pixel: neither aliased nor blurred."""
        last = len(self._sizes) - 1
        level = np.rint(np.log2(np.maximum(texels_per_px, 1))).astype(np.uint8).clip(0, last)
        present = np.flatnonzero(np.bincount(level, minlength=1))
        if len(present) == 1:
            return self._bilinear(int(present[0]), uvs)
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


def _perspective_weights(corners: Floats) -> tuple[Floats, Floats, Floats]:
    """Each corner's share [N, 3] of the point at the origin; the point's camera z [N]; twice the area on screen [N]."""
    x, y, inverse_z = np.ascontiguousarray(corners.transpose(2, 1, 0))  # [3, N] each
    flat = np.empty_like(x)
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        np.subtract(x[i] * y[j], y[i] * x[j], out=flat[k])
    total = flat.sum(axis=0)
    flat *= np.sign(total)
    np.maximum(flat, 0, out=flat)  # a sample may lie a hair outside
    flat += np.float32(1e-20)  # and a triangle seen from its edge has no inside
    deep = flat * inverse_z
    depth = deep.sum(axis=0)
    return (deep / depth).T, flat.sum(axis=0) / depth, np.abs(total)


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
