"""A small photo studio in Blender: shapes, materials, three lights, a paper sweep and a camera.

Blender's world has z up; the subject stands on z = 0 and faces -y, where the camera is at azimuth 0.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector

Point = Sequence[float]

LENS_DEG = 33.8  # the app's own lens, so that an example's proportions are what its methods expect


# --- Materials --------------------------------------------------------------------------------------------------------


def linear(color: str) -> tuple[float, float, float, float]:
    """`#rrggbb` as Blender's linear colour."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return r, g, b, 1.0


def material(
    color: str,
    second: str | None = None,
    *,
    mix_at: tuple[float, float] = (0.4, 0.6),
    noise: float = 3.0,
    stretch: Point = (1, 1, 1),
    roughness: float = 0.4,
    coat: float = 0.0,
    metal: float = 0.0,
    bump: float = 0.0,
    bump_noise: float = 40.0,
    glow: float = 0.0,
    subsurface: float = 0.0,
) -> bpy.types.Material:
    """`color`, with patches of `second` where a noise runs through `mix_at`; `stretch` makes a grain of the patches."""
    made = bpy.data.materials.new(color)
    made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    surface = nodes["Principled BSDF"]
    surface.inputs["Base Color"].default_value = linear(color)
    surface.inputs["Roughness"].default_value = roughness
    surface.inputs["Metallic"].default_value = metal
    surface.inputs["Coat Weight"].default_value = coat
    surface.inputs["Coat Roughness"].default_value = 0.08
    surface.inputs["Subsurface Weight"].default_value = subsurface
    surface.inputs["Subsurface Scale"].default_value = 0.05
    if glow:
        surface.inputs["Emission Color"].default_value = linear(color)
        surface.inputs["Emission Strength"].default_value = glow
    place = nodes.new("ShaderNodeTexCoord")
    mapping = nodes.new("ShaderNodeMapping")
    mapping.inputs["Scale"].default_value = stretch
    links.new(place.outputs["Object"], mapping.inputs["Vector"])

    def noise_node(scale: float, detail: float) -> bpy.types.Node:
        node = nodes.new("ShaderNodeTexNoise")
        node.inputs["Scale"].default_value = scale
        node.inputs["Detail"].default_value = detail
        links.new(mapping.outputs["Vector"], node.inputs["Vector"])
        return node

    if second:
        ramp = nodes.new("ShaderNodeValToRGB")
        ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = mix_at
        ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = linear(color), linear(second)
        links.new(noise_node(noise, 8).outputs["Fac"], ramp.inputs["Fac"])
        links.new(ramp.outputs["Color"], surface.inputs["Base Color"])
    if bump:
        node = nodes.new("ShaderNodeBump")
        node.inputs["Strength"].default_value = bump
        node.inputs["Distance"].default_value = 0.02
        links.new(noise_node(bump_noise, 4).outputs["Fac"], node.inputs["Height"])
        links.new(node.outputs["Normal"], surface.inputs["Normal"])
    return made


# --- Shapes -----------------------------------------------------------------------------------------------------------


def _added(name: str, mesh: bpy.types.Mesh, materials: Iterable[bpy.types.Material]) -> bpy.types.Object:
    for each in materials:
        mesh.materials.append(each)
    mesh.polygons.foreach_set("use_smooth", [True] * len(mesh.polygons))
    made = bpy.data.objects.new(name, mesh)
    bpy.context.collection.objects.link(made)
    return made


def placed(
    made: bpy.types.Object, at: Point = (0, 0, 0), turn_deg: Point = (0, 0, 0), scale: float | Point = 1.0
) -> bpy.types.Object:
    size = (scale,) * 3 if isinstance(scale, (int, float)) else scale
    turns = [Matrix.Rotation(math.radians(angle), 4, axis) for angle, axis in zip(turn_deg, "XYZ", strict=True)]
    pose = Matrix.Translation(at) @ turns[2] @ turns[1] @ turns[0] @ Matrix.Diagonal((*size, 1))
    made.matrix_world = pose @ made.matrix_world
    return made


def smooth_curve(points: Sequence[Point], count: int) -> np.ndarray:
    """A Catmull-Rom curve through `points`; a point given twice is a sharp corner."""
    p = np.asarray(points, float)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    out = []
    for i in range(1, len(p) - 2):
        t = np.linspace(0, 1, count, endpoint=False)[:, None]
        a, b, c, d = p[i - 1 : i + 3]
        if np.allclose(b, c):
            continue
        a = 2 * b - c if np.allclose(a, b) else a
        d = 2 * c - b if np.allclose(c, d) else d
        out.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.vstack([*out, p[-2:-1]])


def lathe(
    profile: Sequence[Point],
    *materials: bpy.types.Material,
    band: Callable[[float, float], int] = lambda height, angle: 0,
    ribs: int = 0,
    rib_depth: float = 0.0,
    segments: int = 192,
) -> bpy.types.Object:
    """A profile of (radius, height) turned about z. `band` picks the material; `ribs` modulate the radius."""
    curve = smooth_curve(profile, 14)
    angles = np.linspace(0, 2 * math.pi, segments, endpoint=False)
    swell = 1 + rib_depth * np.abs(np.cos(angles * ribs / 2)) if ribs else np.ones(segments)
    radius = np.maximum(curve[:, :1], 1e-5) * swell
    rings = np.stack([radius * np.cos(angles), radius * np.sin(angles), np.repeat(curve[:, 1:], segments, 1)], -1)
    faces, chosen = [], []
    for row in range(len(curve) - 1):
        for s in range(segments):
            a, b = row * segments + s, row * segments + (s + 1) % segments
            faces.append((a, b, b + segments, a + segments))
            chosen.append(band(float(curve[row : row + 2, 1].mean()), float(angles[s])))
    mesh = bpy.data.meshes.new("lathe")
    mesh.from_pydata(rings.reshape(-1, 3).tolist(), [], faces)
    made = _added("lathe", mesh, materials)
    mesh.polygons.foreach_set("material_index", chosen)
    return made


def ball(radius: float, paint: bpy.types.Material) -> bpy.types.Object:
    turned = [(radius * math.sin(t), -radius * math.cos(t)) for t in np.linspace(0, math.pi, 9)]
    return lathe(turned, paint, segments=96)


def disc(radius: float, thickness: float, paint: bpy.types.Material, edge: float = 0.25) -> bpy.types.Object:
    """A coin with a rounded edge, its axis along z."""
    r = thickness * edge
    low, high = -thickness / 2, thickness / 2
    rim = [(radius - r, low), (radius - r, low), (radius, low + r), (radius, high - r), (radius - r, high)]
    return lathe([(0, low), *rim, (radius - r, high), (0, high)], paint, segments=96)


def box(size: Point, radius: float, paint: bpy.types.Material) -> bpy.types.Object:
    """A box with rounded edges, centred."""
    x, y, z = (s / 2 for s in size)
    corners = [(i, j, k) for i in (-x, x) for j in (-y, y) for k in (-z, z)]
    mesh = bpy.data.meshes.new("box")
    mesh.from_pydata(corners, [], [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)])
    made = _added("box", mesh, [paint])
    bevel = made.modifiers.new("rounded", "BEVEL")
    bevel.width, bevel.segments, bevel.harden_normals = radius, 8, True
    return made


def tube(points: Sequence[Point], radius: float | Sequence[float], paint: bpy.types.Material) -> bpy.types.Object:
    """A round tube along a smooth curve, its ends rounded; `radius` may vary from point to point."""
    radii = [radius] * len(points) if isinstance(radius, (int, float)) else list(radius)
    curve = smooth_curve([(*p, r) for p, r in zip(points, radii, strict=True)], 10)
    made = bpy.data.curves.new("tube", "CURVE")
    made.dimensions, made.bevel_depth, made.bevel_resolution, made.use_fill_caps = "3D", 1.0, 12, True
    spline = made.splines.new("POLY")
    spline.points.add(len(curve) - 1)
    for point, (x, y, z, r) in zip(spline.points, curve, strict=True):
        point.co, point.radius = (x, y, z, 1), r
    spline.use_smooth = True
    made.materials.append(paint)
    shown = bpy.data.objects.new("tube", made)
    bpy.context.collection.objects.link(shown)
    for end in (0, -1):
        placed(ball(float(curve[end, 3]), paint), curve[end, :3])
    return shown


def needles(
    ends: Sequence[tuple[np.ndarray, np.ndarray]], radius: float, paint: bpy.types.Material
) -> bpy.types.Object:
    """Many thin cones, each from its base to its tip, as one object."""
    points, faces = [], []
    for base, tip in ends:
        along = (tip - base) / np.linalg.norm(tip - base)
        across = np.cross(along, (0.3, 0.5, 0.81))
        across /= np.linalg.norm(across)
        other, first = np.cross(along, across), len(points)
        turns = np.linspace(0, 2 * math.pi, 6, endpoint=False)
        points += [base + radius * (math.cos(t) * across + math.sin(t) * other) for t in turns] + [tip]
        faces += [(first + i, first + (i + 1) % 6, first + 6) for i in range(6)]
    mesh = bpy.data.meshes.new("needles")
    mesh.from_pydata([tuple(p) for p in points], [], faces)
    return _added("needles", mesh, [paint])


def melted(parts: Iterable[bpy.types.Object], voxel: float, soften: int = 12) -> bpy.types.Object:
    """The parts flowed together into one skin, as in clay."""
    chosen = list(parts)
    bpy.ops.object.select_all(action="DESELECT")
    for part in chosen:
        part.select_set(True)
    bpy.context.view_layer.objects.active = chosen[0]
    bpy.ops.object.join()
    joined = bpy.context.object
    bpy.ops.object.transform_apply(location=True, rotation=True, scale=True)
    remesh = joined.modifiers.new("skin", "REMESH")
    remesh.mode, remesh.voxel_size, remesh.use_smooth_shade = "VOXEL", voxel, True
    soft = joined.modifiers.new("soft", "SMOOTH")
    soft.factor, soft.iterations = 0.5, soften
    return joined


def slab(outline: Sequence[Point], thickness: float, radius: float, paint: bpy.types.Material) -> bpy.types.Object:
    """A flat shape in the xz plane, given thickness along y, with rounded edges."""
    count = len(outline)
    front = [(x, -thickness / 2, z) for x, z in outline]
    back = [(x, thickness / 2, z) for x, z in outline]
    sides = [(i, (i + 1) % count, count + (i + 1) % count, count + i) for i in range(count)]
    mesh = bpy.data.meshes.new("slab")
    mesh.from_pydata(front + back, [], [tuple(range(count))[::-1], tuple(range(count, 2 * count)), *sides])
    made = _added("slab", mesh, [paint])
    bevel = made.modifiers.new("rounded", "BEVEL")
    bevel.width, bevel.segments, bevel.harden_normals = radius, 6, True
    bevel.limit_method, bevel.angle_limit = "ANGLE", math.radians(50)
    return made


# --- The studio -------------------------------------------------------------------------------------------------------


def _light(at: Point, size: float, watts: float, color: str, towards: Vector) -> None:
    data = bpy.data.lights.new("light", "AREA")
    data.shape, data.size, data.energy, data.color = "DISK", size, watts, linear(color)[:3]
    lamp = bpy.data.objects.new("light", data)
    bpy.context.collection.objects.link(lamp)
    lamp.location = at
    lamp.rotation_euler = (towards - Vector(at)).to_track_quat("-Z", "Y").to_euler()


def _sweep(paint: bpy.types.Material, turn_deg: float) -> None:
    """Studio paper: a floor that bends up into a wall behind the subject, turned to face the camera."""
    line = smooth_curve([(-9, 0), (1.6, 0), (4.0, 0.5), (6.2, 2.2), (7.2, 5.0), (7.4, 24)], 24)
    points = [(x, y, z) for y, z in line for x in (-40, 40)]
    faces = [(2 * i, 2 * i + 1, 2 * i + 3, 2 * i + 2) for i in range(len(line) - 1)]
    mesh = bpy.data.meshes.new("sweep")
    mesh.from_pydata(points, [], faces)
    sweep = placed(_added("sweep", mesh, [paint]), turn_deg=(0, 0, turn_deg))
    sweep.modifiers.new("smooth", "SUBSURF").render_levels = 2


def _surface_points() -> np.ndarray:
    """Every vertex of everything in the scene [N, 3]."""
    graph = bpy.context.evaluated_depsgraph_get()
    found = []
    for each in bpy.context.scene.objects:
        if each.type in ("MESH", "CURVE"):
            shown = each.evaluated_get(graph)
            mesh = shown.to_mesh()
            points = np.empty(3 * len(mesh.vertices))
            mesh.vertices.foreach_get("co", points)
            pose = np.array(shown.matrix_world)
            found.append(points.reshape(-1, 3) @ pose[:3, :3].T + pose[:3, 3])
            shown.to_mesh_clear()
    return np.vstack(found)


def photograph(
    path: Path,
    *,
    azimuth_deg: float,
    elevation_deg: float,
    paper: str | None,
    size_px: int,
    samples: int,
    fill: float = 0.82,
) -> None:
    """Photograph what is in the scene. Without `paper` the background is transparent and there is no floor."""
    scene = bpy.context.scene
    points = _surface_points()
    low, high = points.min(0), points.max(0)
    middle, longest = (low + high) / 2, float(np.ptp(points, 0).max())
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    sin_a, cos_a, sin_e, cos_e = math.sin(azimuth), math.cos(azimuth), math.sin(elevation), math.cos(elevation)
    outward = np.array((sin_a * cos_e, -cos_a * cos_e, sin_e))
    right, up = np.array((cos_a, sin_a, 0)), np.array((-sin_a * sin_e, cos_a * sin_e, cos_e))
    # Centre what the camera sees, then step back until the widest point takes `fill` of the frame.
    for axis in (right, up):
        along = (points - middle) @ axis
        middle = middle + axis * (along.min() + along.max()) / 2
    aside = np.maximum(abs((points - middle) @ right), abs((points - middle) @ up))
    distance = float(((points - middle) @ outward + aside / (math.tan(math.radians(LENS_DEG) / 2) * fill)).max())
    centre = Vector(middle)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    bpy.context.collection.objects.link(camera)
    camera.data.angle = math.radians(LENS_DEG)
    camera.location = middle + outward * distance
    camera.rotation_euler = (-Vector(outward)).to_track_quat("-Z", "Y").to_euler()
    scene.camera = camera

    def around(turn: float, height: float, away: float) -> Point:
        angle = azimuth + math.radians(turn)
        return (*(centre.xy + Vector((math.sin(angle), -math.cos(angle))) * away * longest), height * longest)

    area = longest**2
    _light(around(-48, 1.9, 2.1), 1.3 * longest, 105 * area, "#fff1df", centre)  # key: high, to the camera's left
    _light(around(62, 0.9, 2.4), 2.2 * longest, 32 * area, "#dfeaff", centre)  # fill: large, low, cool
    _light(around(160, 2.2, 1.9), 0.9 * longest, 80 * area, "#ffffff", centre)  # rim: behind, parts subject from paper
    world = bpy.data.worlds.new("room")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = linear("#eef1f6")
    world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0.32
    scene.world = world
    if paper:
        _sweep(material(paper, roughness=0.9), math.degrees(azimuth))
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.denoiser = samples, True, "OPENIMAGEDENOISE"
    scene.cycles.seed, scene.cycles.max_bounces = 1, 8
    scene.render.resolution_x = scene.render.resolution_y = size_px
    scene.render.film_transparent = paper is None
    scene.view_settings.view_transform, scene.view_settings.look = "AgX", "AgX - Punchy"
    scene.view_settings.exposure = 0.4
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB" if paper else "RGBA"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)


def empty() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
