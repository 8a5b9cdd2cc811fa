"""A textured triangle mesh, and its way in and out of files (through trimesh)."""

import io
import os
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.core.errors import TurnaroundError

if TYPE_CHECKING:
    import trimesh  # takes a fifth of a second to import, which the page's start does not need

MAX_FILE_BYTES = 200 * 2**20  # a mesh of a million triangles with a 4096 px texture takes about 70 MB
MAX_ATLAS_PX = 8192  # side; what current phones accept as one texture
ATLAS_MARGIN_PX = 8  # keeps neighbours apart in the texture's smaller copies, too
GREY = 188  # sRGB of a mesh without colours: half of the light, as a mid-grey card reflects


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


def checked_mesh(mesh: Mesh) -> Mesh:
    """The mesh, if it can be drawn and exported; otherwise a sentence."""
    again = "This is usually a run that went wrong: try another seed or another photo."
    count = len(mesh.vertices)
    if count == 0 or len(mesh.faces) == 0:
        raise TurnaroundError(f"The 3D model is empty: it has no triangles. {again}")
    if mesh.vertices.shape != (count, 3) or mesh.faces.shape != (len(mesh.faces), 3):
        raise TurnaroundError(f"The 3D model is damaged: it is not made of triangles. {again}")
    if mesh.faces.min() < 0 or mesh.faces.max() >= count:
        raise TurnaroundError(f"The 3D model is damaged: its triangles name corners that do not exist. {again}")
    for name, values, width in (
        ("positions", mesh.vertices, 3),
        ("texture coordinates", mesh.uvs, 2),
        ("colours", mesh.colors, 3),
        ("normals", mesh.normals, 3),
    ):
        if values is None:
            continue
        if values.shape != (count, width):
            raise TurnaroundError(f"The 3D model is damaged: its {name} do not match its corners. {again}")
        if not np.isfinite(values).all():
            raise TurnaroundError(f"The 3D model is damaged: some {name} are not finite numbers. {again}")
    if mesh.texture is not None and (mesh.texture.ndim != 3 or mesh.texture.shape[2] != 3 or mesh.texture.size == 0):
        raise TurnaroundError(f"The 3D model is damaged: its texture is not a picture. {again}")
    return mesh


def vertex_normals(mesh: Mesh) -> NDArray[np.float32]:
    """Smooth unit normals [V, 3], each triangle weighted by its angle at the corner.

    Vertices at one position get one normal: the seams at which a texture is cut open stay invisible in the light.
    """
    points = mesh.vertices.astype(np.float64)
    corners = points[mesh.faces]  # [F, 3, 3]
    sides = np.roll(corners, -1, axis=1) - corners  # from each corner to the next
    sides /= np.maximum(np.linalg.norm(sides, axis=2, keepdims=True), 1e-300)
    across = np.cross(sides[:, 0], sides[:, 1])
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-300)
    angles = np.arccos(np.clip(-(sides * np.roll(sides, 1, axis=1)).sum(axis=2), -1, 1))  # [F, 3]
    place = _places(mesh.vertices)
    corner_place = place[mesh.faces].ravel()
    sums = np.stack(
        [np.bincount(corner_place, (angles * across[:, k, None]).ravel(), place.max() + 1) for k in range(3)], axis=1
    )
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    normals = np.where(lengths > 1e-12, sums / np.maximum(lengths, 1e-12), (0.0, 1.0, 0.0))
    return normals[place].astype(np.float32)


def _places(vertices: NDArray[np.float32]) -> NDArray[np.int64]:
    """The number of each vertex's position [V]: equal positions have equal numbers."""
    order = np.lexsort(vertices.T)
    lined_up = vertices[order]
    starts = np.any(lined_up[1:] != lined_up[:-1], axis=1)
    place = np.empty(len(vertices), np.int64)
    place[order] = np.concatenate([[0], np.cumsum(starts)])
    return place


# --- Out --------------------------------------------------------------------------------------------------------------


def glb_bytes(mesh: Mesh, about: dict[str, Any] | None = None) -> bytes:
    """One GLB file with its texture inside. `about` goes into glTF's `asset`: "copyright", "extras", ...

    Coloured meshes say KHR_materials_unlit: a photo's colours already hold the light it was taken in, and viewers then
    show exactly them. Viewers without the extension find a matt white material under the same
    texture. Grey meshes are lit.
    """
    shape = _to_trimesh(mesh, texture_or_plain=True)
    if mesh.texture is None and mesh.colors is not None:
        # glTF's vertex colours are linear, and 8 bits of linear light are too few for dark colours. trimesh writes
        # attributes of our own names only: `finish` names it COLOR_0. `_SRGB` gives us our own bytes back.
        shape.vertex_attributes["_COLOR"] = _opaque(_linear(mesh.colors), np.float32(1))
        shape.vertex_attributes["_SRGB"] = _opaque(mesh.colors, np.uint8(255))

    def finish(tree: dict[str, Any]) -> None:
        tree["asset"] |= {"generator": "Turnaround", **(about or {})}
        for primitive in (p for m in tree["meshes"] for p in m["primitives"]):
            attributes = primitive["attributes"]
            if "_COLOR" in attributes:
                attributes["COLOR_0"] = attributes.pop("_COLOR")
        if mesh.texture is not None or mesh.colors is not None:
            tree["extensionsUsed"] = [*tree.get("extensionsUsed", []), "KHR_materials_unlit"]
            for material in tree["materials"]:
                material["extensions"] = {"KHR_materials_unlit": {}}
        if mesh.texture is not None and mesh.uvs is not None and not texture_repeats(mesh.uvs):
            clamp, linear, linear_mipmap_linear = 33071, 9729, 9987  # OpenGL's numbers, which glTF uses
            sampler = {"wrapS": clamp, "wrapT": clamp, "magFilter": linear, "minFilter": linear_mipmap_linear}
            tree["samplers"] = [sampler]
            for texture in tree["textures"]:
                texture["sampler"] = 0

    from trimesh.exchange.gltf import export_glb

    return export_glb(shape, include_normals=True, tree_postprocessor=finish)


def obj_zip_bytes(mesh: Mesh) -> bytes:
    """model.obj, its material and its texture, zipped."""
    from trimesh.exchange.obj import export_obj

    shape = _to_trimesh(mesh)
    text, others = export_obj(
        shape, include_normals=True, return_texture=True, mtl_name="model.mtl", header="Turnaround"
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {"model.obj": text, **others}.items():
            archive.writestr(name, content)
    return packed.getvalue()


def texture_repeats(uvs: NDArray[np.floating]) -> bool:
    """glTF repeats textures unless told otherwise. Where that is not needed it would only blend a photo's borders."""
    return float(uvs.min()) < -1e-4 or float(uvs.max()) > 1 + 1e-4


def colors_at_vertices(mesh: Mesh) -> NDArray[np.uint8]:
    """sRGB [V, 3], from the texture where there is one."""
    if mesh.texture is not None and mesh.uvs is not None:
        height, width = mesh.texture.shape[:2]
        uvs = mesh.uvs % 1 if texture_repeats(mesh.uvs) else mesh.uvs
        x = np.clip((uvs[:, 0] * width).astype(int), 0, width - 1)
        y = np.clip((uvs[:, 1] * height).astype(int), 0, height - 1)
        return mesh.texture[y, x]
    if mesh.colors is not None:
        return mesh.colors
    return np.full((len(mesh.vertices), 3), GREY, np.uint8)


def _to_trimesh(mesh: Mesh, texture_or_plain: bool = False) -> "trimesh.Trimesh":
    import trimesh
    from trimesh.visual import ColorVisuals, TextureVisuals
    from trimesh.visual.material import PBRMaterial

    checked_mesh(mesh)
    normals = mesh.normals if mesh.normals is not None else vertex_normals(mesh)
    shape = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_normals=normals, process=False, validate=False)
    material = PBRMaterial(name="surface", metallicFactor=0.0, roughnessFactor=1.0, doubleSided=True)
    if mesh.texture is not None and mesh.uvs is not None:
        # trimesh's v grows upwards; in float64 the flip there and back is exact.
        uvs = mesh.uvs.astype(np.float64) * (1, -1) + (0, 1)
        material.baseColorTexture = Image.fromarray(mesh.texture)
        material.baseColorFactor = [255, 255, 255, 255]
        shape.visual = TextureVisuals(uv=uvs, material=material)
    elif texture_or_plain:
        level = 255 if mesh.colors is not None else round(255 * float(_linear(np.array(GREY))))
        material.baseColorFactor = [level, level, level, 255]
        shape.visual = TextureVisuals(material=material)
    else:
        shape.visual = ColorVisuals(shape, vertex_colors=_opaque(colors_at_vertices(mesh), np.uint8(255)))
    return shape


# --- In ---------------------------------------------------------------------------------------------------------------


def load_mesh(
    source: str | os.PathLike[str] | bytes, kind: str | None = None, *, max_bytes: int = MAX_FILE_BYTES
) -> Mesh:
    """Read GLB, OBJ (with what lies beside it, or zipped with it) or PLY as one mesh, in the file's own place and size.

    `kind` ("glb", "obj", "ply", "zip") is needed for the bytes of an OBJ only. Several materials are packed into
    one texture.
    """
    import trimesh
    from trimesh.resolvers import FilePathResolver

    if isinstance(source, bytes):
        data, folder, name = source, None, "The file"
    else:
        path = Path(source)
        if path.stat().st_size > max_bytes:
            raise TurnaroundError(f"{path.name} is larger than {max_bytes / 2**20:.0f} MB. Simplify the model first.")
        data, folder, name = path.read_bytes(), path.parent, path.name
        kind = kind or path.suffix[1:].lower()
    if len(data) > max_bytes:
        raise TurnaroundError(f"{name} is larger than {max_bytes / 2**20:.0f} MB. Simplify the model first.")
    magic = {b"glTF": "glb", b"ply\n": "ply", b"ply\r": "ply", b"PK\3\4": "zip"}
    kind = magic.get(data[:4], kind)
    if kind not in ("glb", "ply", "zip", "obj"):
        raise TurnaroundError(f"{name} is not a 3D model that can be read. Use GLB, OBJ or PLY.")
    resolver = FilePathResolver(str(folder)) if folder else None
    try:
        if kind == "zip":
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                size = sum(item.file_size for item in archive.infolist())
            if size > max_bytes:
                raise TurnaroundError(
                    f"{name} unpacks to more than {max_bytes / 2**20:.0f} MB. Simplify the model first."
                )
        scene = trimesh.load_scene(io.BytesIO(data), file_type=kind, resolver=resolver, process=False)
        parts = [
            _part(shape, linear_colours=kind == "glb") for shape in scene.dump() if isinstance(shape, trimesh.Trimesh)
        ]
    except TurnaroundError:
        raise
    except Exception as problem:  # trimesh meets a damaged file with whatever its parser stumbles over
        raise TurnaroundError(f"{name} is damaged and cannot be read as a 3D model. Export it again.") from problem
    parts = [part for part in parts if len(part.faces)]
    if not parts:
        raise TurnaroundError(f"{name} holds no triangles. Export it again as a mesh.")
    return checked_mesh(_joined(parts))


def _part(shape: "trimesh.Trimesh", linear_colours: bool) -> Mesh:
    """One material's triangles. Plain colours become vertex colours."""
    vertices = np.array(shape.vertices, np.float32)
    faces = np.array(shape.faces, np.int32)
    # Only normals from the file: trimesh's own would show a texture's seams, ours (`vertex_normals`) do not.
    normals = np.array(shape.vertex_normals, np.float32) if "vertex_normals" in shape._cache.cache else None
    part = Mesh(vertices, faces, normals=normals)
    visual: Any = shape.visual
    if "_SRGB" in shape.vertex_attributes:
        return replace(part, colors=np.array(shape.vertex_attributes["_SRGB"][:, :3], np.uint8))
    material = getattr(visual, "material", None)
    painted = getattr(visual, "vertex_attributes", {}).get("color")
    uv = getattr(visual, "uv", None)
    picture = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    factor = np.ones(3)
    for name in ("baseColorFactor", "diffuse"):
        given = getattr(material, name, None)
        if given is not None and not (name == "diffuse" and picture is not None):
            factor = np.asarray(given, np.float64).ravel()[:3] / 255
            factor = factor if name == "baseColorFactor" else _linear(factor * 255)
            break
    if picture is not None and uv is not None:
        texture = np.array(picture.convert("RGB"))
        if not np.allclose(factor, 1):
            texture = _srgb(_linear(texture) * factor)
        return replace(part, uvs=(np.array(uv)[:, :2] * (1, -1) + (0, 1)).astype(np.float32), texture=texture)
    if painted is None and visual.kind in ("vertex", "face"):
        painted = visual.vertex_colors
    if painted is not None:
        own = np.asarray(painted)[:, :3]
        scale = 1.0 if own.dtype.kind == "f" else float(np.iinfo(own.dtype).max)
        light = own / scale if linear_colours else _linear(own / scale * 255)
        return replace(part, colors=_srgb(light * factor))
    if material is None:
        return part
    return replace(part, colors=np.broadcast_to(_srgb(factor), vertices.shape).copy())


def _joined(parts: list[Mesh]) -> Mesh:
    if len(parts) == 1:
        return parts[0]
    normals = [part.normals if part.normals is not None else vertex_normals(part) for part in parts]
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    whole = Mesh(
        vertices=np.concatenate([part.vertices for part in parts]),
        faces=np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=False)]).astype(np.int32),
        normals=np.concatenate(normals),
    )
    atlas = _atlas(parts)
    if atlas is None:
        return replace(whole, colors=np.concatenate([colors_at_vertices(part) for part in parts]))
    return replace(whole, uvs=atlas[0], texture=atlas[1])


def _atlas(parts: list[Mesh]) -> tuple[NDArray[np.float32], NDArray[np.uint8]] | None:
    """One texture for all parts, in a column, and the uvs into it. None where only vertex colours can hold them all."""
    tiles: list[NDArray[np.uint8]] = []
    used: list[int] = []
    for part in parts:
        tile = part.texture
        if tile is None:
            colors = colors_at_vertices(part)
            if np.ptp(colors, axis=0).any():
                return None
            tile = colors[:1, None].repeat(4, axis=0).repeat(4, axis=1)
        elif part.uvs is None or texture_repeats(part.uvs):
            return None
        same = [k for k, other in enumerate(tiles) if other.shape == tile.shape and np.array_equal(other, tile)]
        used.append(same[0] if same else len(tiles))
        if not same:
            tiles.append(tile)
    if all(part.texture is None for part in parts):
        return None
    margin = ATLAS_MARGIN_PX
    width = max(tile.shape[1] for tile in tiles) + 2 * margin
    height = sum(tile.shape[0] + 2 * margin for tile in tiles)
    if max(width, height) > MAX_ATLAS_PX:
        return None
    atlas = np.zeros((height, width, 3), np.uint8)
    tops, top = [], 0
    for tile in tiles:
        right = width - tile.shape[1] - margin
        padded = cv2.copyMakeBorder(tile, margin, margin, margin, right, cv2.BORDER_REPLICATE)
        atlas[top : top + len(padded)] = padded
        tops.append(top + margin)
        top += len(padded)
    uvs = []
    for part, k in zip(parts, used, strict=True):
        own = part.uvs if part.texture is not None and part.uvs is not None else np.full((len(part.vertices), 2), 0.5)
        uvs.append((own * tiles[k].shape[1::-1] + (margin, tops[k])) / (width, height))
    return np.concatenate(uvs).astype(np.float32), atlas


def _opaque(colors: NDArray[Any], full: Any) -> NDArray[Any]:
    """[V, 3] to [V, 4]."""
    return np.concatenate([colors, np.full((len(colors), 1), full)], axis=1, dtype=type(full))


def _linear(srgb: NDArray[Any]) -> NDArray[np.float64]:
    """sRGB of 0 to 255 to linear light of 0 to 1 (IEC 61966-2-1)."""
    share = np.asarray(srgb, np.float64) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def _srgb(light: NDArray[Any]) -> NDArray[np.uint8]:
    light = np.clip(light, 0, 1)
    share = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(share * 255).astype(np.uint8)
