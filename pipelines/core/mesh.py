"""A textured triangle mesh, and its way in and out of files."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles in the world of `cameras.py`: y up, the front facing +z, seen counter-clockwise from outside.

    Colour comes from a texture with `uvs`, or from `colors`, or is plain grey. Seams repeat vertices: one uv a vertex.
    """

    vertices: NDArray[np.float32]
    """[V, 3]"""
    faces: NDArray[np.int32]
    """[F, 3]"""
    uvs: NDArray[np.float32] | None = None
    """[V, 2], glTF's way: (0, 0) is the texture's top left corner, v grows downwards."""
    texture: NDArray[np.uint8] | None = None
    """[H, W, 3], sRGB."""
    colors: NDArray[np.uint8] | None = None
    """[V, 3], sRGB."""
    normals: NDArray[np.float32] | None = None
    """[V, 3], unit length; computed when absent."""
