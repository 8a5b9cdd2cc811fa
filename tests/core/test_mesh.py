"""Meshes, their normals, and their way through files. An independent reading of the bytes checks what we write."""

import io
import json
import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import trimesh
from trimesh.exchange.gltf import export_glb

from pipelines.core.cameras import View, photo_distance
from pipelines.core.errors import TurnaroundError
from pipelines.core.mesh import (
    Mesh,
    colors_at_vertices,
    glb_bytes,
    load_mesh,
    obj_zip_bytes,
    vertex_normals,
)
from pipelines.core.raster import Renderer
from tests.core.shapes import ball, facing_sheet, grid_faces, painted, together

TEXTURE = np.random.default_rng(0).integers(0, 256, (24, 40, 3)).astype(np.uint8)


def textured_ball(rings: int = 12) -> Mesh:
    v, u = np.meshgrid(np.linspace(0, 1, rings + 1), np.linspace(0, 1, 2 * rings + 1), indexing="ij")
    uvs = np.stack([u, v], -1).reshape(-1, 2).astype(np.float32)
    return replace(ball(rings=rings), uvs=uvs, texture=TEXTURE)


def rainbow_ball() -> Mesh:
    shape = ball(rings=12)
    colors = np.random.default_rng(1).integers(0, 256, shape.vertices.shape).astype(np.uint8)
    colors[:3] = [[0, 0, 0], [1, 2, 3], [255, 255, 255]]  # dark colours need more than 8 bits of linear light
    return replace(shape, colors=colors)


class Glb:
    """What a viewer reads, by the specification's book."""

    def __init__(self, data: bytes) -> None:
        magic, version, length, json_length, json_kind = struct.unpack("<4sIII4s", data[:20])
        assert (magic, version, length, json_kind) == (b"glTF", 2, len(data), b"JSON")

        def refuse(name: str) -> None:
            raise AssertionError(f"{name} in the JSON")

        self.tree: dict[str, Any] = json.loads(data[20 : 20 + json_length], parse_constant=refuse)
        bin_length, bin_kind = struct.unpack("<I4s", data[20 + json_length : 28 + json_length])
        assert bin_kind == b"BIN\0" and json_length % 4 == bin_length % 4 == 0
        self.blob = data[28 + json_length :]
        assert len(self.blob) == bin_length == self.tree["buffers"][0]["byteLength"]
        (mesh,) = self.tree["meshes"]
        (self.primitive,) = mesh["primitives"]

    def view(self, number: int) -> bytes:
        view = self.tree["bufferViews"][number]
        return self.blob[view.get("byteOffset", 0) :][: view["byteLength"]]

    def array(self, number: int) -> np.ndarray:
        accessor = self.tree["accessors"][number]
        kind = {5126: "<f4", 5125: "<u4", 5123: "<u2", 5121: "u1"}[accessor["componentType"]]
        width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        data = self.view(accessor["bufferView"])[accessor.get("byteOffset", 0) :]
        return np.frombuffer(data, kind, accessor["count"] * width).reshape(-1, width)

    def attribute(self, name: str) -> np.ndarray:
        return self.array(self.primitive["attributes"][name])

    @property
    def material(self) -> dict[str, Any]:
        return self.tree["materials"][self.primitive["material"]]


# --- GLB --------------------------------------------------------------------------------------------------------------


def test_a_glb_holds_the_mesh_its_uvs_and_its_texture_as_gltf_wants_them() -> None:
    shape = textured_ball()
    glb = Glb(glb_bytes(shape))
    assert (glb.attribute("POSITION") == shape.vertices).all()
    assert (glb.array(glb.primitive["indices"]).reshape(-1, 3) == shape.faces).all()
    assert shape.uvs is not None and np.abs(glb.attribute("TEXCOORD_0") - shape.uvs).max() < 1e-7
    assert shape.normals is not None and np.abs(glb.attribute("NORMAL") - shape.normals).max() < 1e-6
    positions = glb.tree["accessors"][glb.primitive["attributes"]["POSITION"]]
    assert np.allclose(positions["min"], shape.vertices.min(0)) and np.allclose(positions["max"], shape.vertices.max(0))
    texture = glb.tree["textures"][glb.material["pbrMetallicRoughness"]["baseColorTexture"]["index"]]
    image = glb.tree["images"][texture["source"]]
    assert image["mimeType"] == "image/png"
    pixels = cv2.imdecode(np.frombuffer(glb.view(image["bufferView"]), np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None and (pixels[..., ::-1] == TEXTURE).all()
    sampler = glb.tree["samplers"][texture["sampler"]]
    assert sampler["wrapS"] == sampler["wrapT"] == 33071  # CLAMP_TO_EDGE


def test_coloured_meshes_are_unlit_with_a_matt_white_fallback_and_grey_ones_are_lit() -> None:
    for shape in (textured_ball(), rainbow_ball()):
        glb = Glb(glb_bytes(shape))
        assert glb.tree["extensionsUsed"] == ["KHR_materials_unlit"] and "extensionsRequired" not in glb.tree
        assert glb.material["extensions"] == {"KHR_materials_unlit": {}}
        look = glb.material["pbrMetallicRoughness"]
        assert (look["metallicFactor"], look["roughnessFactor"], look["baseColorFactor"]) == (0, 1, [1, 1, 1, 1])
    plain = Glb(glb_bytes(ball(rings=6)))
    assert "extensionsUsed" not in plain.tree and "extensions" not in plain.material


def test_vertex_colours_are_linear_in_the_file_and_exact_on_return() -> None:
    shape = rainbow_ball()
    data = glb_bytes(shape)
    linear = Glb(data).attribute("COLOR_0")
    assert linear.dtype == np.float32 and (linear[:, 3] == 1).all()
    share = linear[:, :3].astype(float)
    srgb = np.where(share <= 0.0031308, share * 12.92, 1.055 * share ** (1 / 2.4) - 0.055) * 255
    assert shape.colors is not None and np.abs(srgb - shape.colors).max() < 0.01
    back = load_mesh(data)
    assert back.colors is not None and (back.colors == shape.colors).all()


@pytest.mark.parametrize("shape", [textured_ball(), rainbow_ball(), ball(rings=6)], ids=["texture", "colours", "plain"])
def test_a_mesh_comes_back_from_glb_as_it_was(shape: Mesh, tmp_path: Path) -> None:
    (tmp_path / "model.glb").write_bytes(glb_bytes(shape))
    back = load_mesh(tmp_path / "model.glb")
    assert (back.vertices == shape.vertices).all() and (back.faces == shape.faces).all()
    view, unit = View(130, 35), photo_distance(0.8)
    before, after = (Renderer(m).render(view, unit, 96) for m in (shape, back))
    assert np.abs(before.rgba.astype(int) - after.rgba).max() <= 1
    if shape.texture is not None:
        assert back.texture is not None and (back.texture == shape.texture).all()


def test_trimesh_reads_our_file_with_the_photo_upright() -> None:
    """An independent reader: its uv counts from the bottom of the picture, so the sheet's top has v = 1."""
    texture = np.zeros((16, 16, 3), np.uint8)
    texture[:8] = (255, 0, 0)
    scene = trimesh.load_scene(
        io.BytesIO(glb_bytes(replace(facing_sheet(), colors=None, texture=texture))), file_type="glb"
    )
    shape: Any = scene.dump()[0]
    visual = shape.visual
    assert visual.uv[shape.vertices[:, 1] > 0, 1] == pytest.approx(1)
    assert visual.material.baseColorTexture.getpixel((3, 0)) == (255, 0, 0)
    shown = Renderer(load_mesh(glb_bytes(replace(facing_sheet(), colors=None, texture=texture))))
    picture = shown.render(View(), photo_distance(0.8), 64).rgba
    assert tuple(picture[20, 32]) == (255, 0, 0, 255) and tuple(picture[44, 32]) == (0, 0, 0, 255)


def test_a_texture_that_repeats_keeps_repeating() -> None:
    shape = replace(textured_ball(), uvs=np.asarray(textured_ball().uvs) * 3)
    assert "samplers" not in Glb(glb_bytes(shape)).tree  # glTF's default is REPEAT


def test_nothing_but_the_mesh_is_in_the_file() -> None:
    text = json.dumps(Glb(glb_bytes(textured_ball())).tree)
    assert "trimesh" not in text and "/" not in text.replace("image/png", "").replace("https://", "")


@pytest.mark.parametrize("write", [glb_bytes, obj_zip_bytes])
def test_nan_and_empty_meshes_are_never_written(write: Any) -> None:
    shape = textured_ball()
    vertices = shape.vertices.copy()
    vertices[5, 2] = np.nan
    uvs = np.asarray(shape.uvs).copy()
    uvs[0] = np.inf
    bad = [
        replace(shape, vertices=vertices),
        replace(shape, uvs=uvs),
        replace(shape, faces=shape.faces[:0]),
        replace(shape, vertices=shape.vertices[:0], uvs=None, texture=None, normals=None),
        replace(shape, faces=np.array([[0, 1, 10**6]], np.int32)),
        replace(shape, uvs=shape.uvs[:5] if shape.uvs is not None else None),
    ]
    for mesh in bad:
        with pytest.raises(TurnaroundError, match="another seed or another photo"):
            write(mesh)


# --- OBJ and PLY ------------------------------------------------------------------------------------------------------


def test_an_obj_archive_holds_mesh_material_and_texture_and_comes_back() -> None:
    shape = textured_ball()
    data = obj_zip_bytes(shape)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        text = archive.read("model.obj").decode()
        material = archive.read("model.mtl").decode()
    assert "mtllib model.mtl" in text and any(name.endswith(".png") and name in material for name in names)
    # OBJ's v grows upwards.
    first = [float(part) for part in next(line for line in text.splitlines() if line.startswith("vt")).split()[1:3]]
    assert shape.uvs is not None and first == pytest.approx([shape.uvs[0, 0], 1 - shape.uvs[0, 1]], abs=1e-6)
    assert_looks_alike(shape, load_mesh(data))


def test_an_obj_on_disk_finds_its_material_beside_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(obj_zip_bytes(textured_ball()))) as archive:
        archive.extractall(tmp_path)
    assert_looks_alike(textured_ball(), load_mesh(tmp_path / "model.obj"))


def test_vertex_colours_come_back_from_obj() -> None:
    shape = rainbow_ball()
    assert_looks_alike(shape, load_mesh(obj_zip_bytes(shape)))


def assert_looks_alike(before: Mesh, after: Mesh) -> None:
    for view in (View(10, 20), View(-150, -30)):
        a, b = (Renderer(m).render(view, photo_distance(0.8), 96).rgba.astype(int) for m in (before, after))
        assert np.abs(a - b).max() <= 4


# --- Scenes -----------------------------------------------------------------------------------------------------------


def test_several_materials_are_packed_into_one_texture() -> None:
    """Two pictures and a plain colour, each in a node of its own that is moved and turned."""
    from PIL import Image
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    scene = trimesh.Scene()
    red, blue = (np.full((8, 12, 3), color, np.uint8) for color in ((250, 10, 10), (10, 10, 250)))
    for number, look in enumerate((red, blue, None)):
        sheet = facing_sheet(0.1)
        material = PBRMaterial(baseColorFactor=[0, 255, 0, 255])
        if look is not None:
            material = PBRMaterial(baseColorTexture=Image.fromarray(look))
        uv = np.asarray(sheet.uvs) * (1, -1) + (0, 1)
        shape = trimesh.Trimesh(
            sheet.vertices, sheet.faces, process=False, visual=TextureVisuals(uv=uv, material=material)
        )
        scene.add_geometry(shape, transform=trimesh.transformations.translation_matrix([0.3 * number - 0.3, 0, 0]))
    mesh = load_mesh(export_glb(scene))
    assert mesh.texture is not None and len(mesh.faces) == 6
    row = Renderer(mesh).render(View(), photo_distance(0.8), 101).rgba[50]
    assert [tuple(row[x, :3]) for x in (26, 50, 74)] == [(250, 10, 10), (10, 10, 250), (0, 255, 0)]


def test_a_linear_base_colour_is_turned_into_srgb() -> None:
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    sheet = facing_sheet()
    look = TextureVisuals(material=PBRMaterial(baseColorFactor=[55, 55, 55, 255]))
    mesh = load_mesh(export_glb(trimesh.Trimesh(sheet.vertices, sheet.faces, process=False, visual=look)))
    assert mesh.colors is not None and np.abs(mesh.colors.astype(int) - 128).max() <= 1  # 0.2157 of the light


# --- Files that cannot be read ----------------------------------------------------------------------------------------


def test_files_that_are_no_meshes_are_refused_in_words(tmp_path: Path) -> None:
    good = glb_bytes(textured_ball())
    bad = {
        "a.glb": good[: len(good) // 2],
        "b.glb": b"glTF" + bytes(100),
        "c.ply": b"ply\nformat nonsense\n",
        "d.obj": b"v 1 2 3\n",
        "e.zip": b"PK\3\4" + bytes(50),
        "f.png": cv2.imencode(".png", TEXTURE)[1].tobytes(),
        "g.glb": b"",
    }
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(TurnaroundError, match=name.replace(".", r"\.")) as caught:
            load_mesh(tmp_path / name)
        assert str(tmp_path) not in str(caught.value)


def test_files_over_the_limit_are_refused_before_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "big.glb").write_bytes(glb_bytes(ball(rings=20)))
    with pytest.raises(TurnaroundError, match="larger than"):
        load_mesh(tmp_path / "big.glb", max_bytes=1000)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.obj", b" " * 2_000_000)
    with pytest.raises(TurnaroundError, match="unpacks to more"):
        load_mesh(bomb.getvalue(), max_bytes=1_000_000)


def test_a_mesh_with_nan_positions_in_the_file_is_refused() -> None:
    data = bytearray(glb_bytes(painted(ball(rings=6), (1, 2, 3))))
    first = ball(rings=6).vertices[:2].tobytes()
    where = data.index(first)
    data[where : where + 4] = struct.pack("<f", float("nan"))
    with pytest.raises(TurnaroundError, match="not finite"):
        load_mesh(bytes(data))


def test_a_glb_says_what_it_is_told_to_say_about_itself() -> None:
    about = {"copyright": "Made with Toy", "extras": {"citation": "@misc{toy, title = {Über}}"}}
    for told in (None, about):
        data = glb_bytes(ball(rings=4), told)
        (length,) = struct.unpack_from("<I", data, 12)
        asset = json.loads(data[20 : 20 + length])["asset"]
        assert asset == {"version": "2.0", "generator": "Turnaround", **(told or {})}


# --- Normals ----------------------------------------------------------------------------------------------------------


def test_normals_of_a_sphere_point_outwards_and_do_not_show_its_seam() -> None:
    shape = ball(rings=48)
    normals = vertex_normals(replace(shape, normals=None))
    assert shape.normals is not None
    assert (normals * shape.normals).sum(1).min() > np.cos(np.radians(1))
    by_ring = normals.reshape(49, 97, 3)
    assert (by_ring[:, 0] == by_ring[:, -1]).all() and (by_ring[0] == by_ring[0, 0]).all()


def test_normals_weigh_angles_so_that_the_cutting_into_triangles_does_not_matter() -> None:
    """A cube: at each corner three squares meet, some of them cut in two there and some not."""
    points = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32)
    faces = np.array(
        [0, 1, 3, 0, 3, 2, 4, 6, 7, 4, 7, 5, 0, 4, 5, 0, 5, 1, 2, 3, 7, 2, 7, 6, 0, 2, 6, 0, 6, 4, 1, 5, 7, 1, 7, 3],
        np.int32,
    ).reshape(-1, 3)
    normals = vertex_normals(Mesh(points, faces))
    assert np.abs(normals - (points - 0.5) * 2 / np.sqrt(3)).max() < 1e-6


def test_normals_of_lonely_and_degenerate_parts_are_still_unit_length() -> None:
    shape = Mesh(np.zeros((5, 3), np.float32), np.array([[0, 1, 2], [3, 3, 3]], np.int32))
    assert np.allclose(np.linalg.norm(vertex_normals(shape), axis=1), 1)


def test_colours_at_vertices_come_from_texture_colours_or_grey() -> None:
    assert (colors_at_vertices(facing_sheet(color=(1, 2, 3))) == (1, 2, 3)).all()
    assert len(np.unique(colors_at_vertices(ball(rings=4)))) == 1
    flat = Mesh(np.zeros((9, 3), np.float32), grid_faces(3, 3))
    assert colors_at_vertices(together(flat)).shape == (9, 3)
