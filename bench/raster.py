"""What the renderer costs: `python -m bench.raster [model.glb]`.

Without a model, on bumpy balls with a texture; with one, on that model, its triangles split until there are 100,000.
A wall-clock figure is the best of several rounds, because other processes only ever add to it.
"""

import resource
import sys
import time
from dataclasses import replace

import numpy as np

from pipelines.core.cameras import orbit, photo_distance
from pipelines.core.mesh import Mesh, load_mesh
from pipelines.core.raster import Renderer

SIZE_PX = 576
VIEWS = orbit(21, 10)
UNIT_DISTANCE = photo_distance(0.8)
ROUNDS = 3


def bumpy_ball(triangles: int, texture_px: int = 1024) -> Mesh:
    rings = round((triangles / 4) ** 0.5)
    v, u = np.meshgrid(np.linspace(0, 1, rings + 1), np.linspace(0, 1, 2 * rings + 1), indexing="ij")
    up, around = np.pi * v, 2 * np.pi * u
    radius = 0.45 + 0.04 * np.sin(6 * around) * np.sin(up) ** 2 * np.sin(5 * up)
    outward = np.stack([np.sin(up) * np.sin(around), np.cos(up), np.sin(up) * np.cos(around)], -1)
    number = np.arange(v.size).reshape(v.shape)
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    coarse = np.random.default_rng(0).integers(0, 256, (32, 32, 3))
    return Mesh(
        vertices=(outward * radius[..., None]).reshape(-1, 3).astype(np.float32),
        faces=faces.astype(np.int32),
        uvs=np.stack([u, v], -1).reshape(-1, 2).astype(np.float32),
        texture=np.kron(coarse, np.ones((texture_px // 32, texture_px // 32, 1))).astype(np.uint8),
    )


def split(mesh: Mesh, triangles: int) -> Mesh:
    """The same surface in smaller triangles, centred and scaled to the unit subject."""
    from trimesh.remesh import subdivide

    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    columns = [(mesh.vertices - (low + high) / 2) / (high - low).max()]
    columns += [part for part in (mesh.uvs, mesh.colors) if part is not None]
    corners, faces = np.concatenate(columns, axis=1, dtype=np.float64), mesh.faces
    while len(faces) < triangles:
        some = np.arange(min(len(faces), (triangles - len(faces)) // 3 + 1))
        corners, faces, *_ = subdivide(corners, faces, face_index=some)
    finer = Mesh(corners[:, :3].astype(np.float32), faces.astype(np.int32), texture=mesh.texture)
    if mesh.uvs is not None:
        return replace(finer, uvs=corners[:, 3:5].astype(np.float32))
    return finer if mesh.colors is None else replace(finer, colors=np.round(corners[:, -3:]).astype(np.uint8))


def measure(name: str, mesh: Mesh, cull: bool) -> None:
    start = time.perf_counter()
    renderer = Renderer(mesh, cull_backfaces=cull)
    made = time.perf_counter()
    renderer.render(VIEWS[0], UNIT_DISTANCE, SIZE_PX)
    first = time.perf_counter()
    one, cpu, many = [], [], []
    for _ in range(ROUNDS):
        start_cpu, start_wall = time.thread_time(), time.perf_counter()
        for view in VIEWS:
            renderer.render(view, UNIT_DISTANCE, SIZE_PX)
        one.append(time.perf_counter() - start_wall)
        cpu.append(time.thread_time() - start_cpu)
        start_wall = time.perf_counter()
        renderer.render_many(VIEWS, UNIT_DISTANCE, SIZE_PX)
        many.append(time.perf_counter() - start_wall)
    per_frame = 1000 / len(VIEWS)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{name:<28}{len(mesh.faces):>8,} triangles, {'culled' if cull else 'both sides'}: "
        f"prepare {1000 * (made - start):.0f} ms, first frame {1000 * (first - made):.0f} ms, "
        f"then {min(one) * per_frame:.1f} ms a frame one by one ({min(cpu) * per_frame:.1f} ms of one core), "
        f"{min(many) * per_frame:.1f} ms a frame on all cores; peak memory {peak_mb:.0f} MB"
    )


def main() -> None:
    print(f"{len(VIEWS)} frames of {SIZE_PX} px, supersample 2, texture, depth and normals")
    if len(sys.argv) > 1:
        meshes = {sys.argv[1].rsplit("/", 1)[-1]: split(load_mesh(sys.argv[1]), 100_000)}
    else:
        meshes = {"bumpy ball": bumpy_ball(25_000), "fine bumpy ball": bumpy_ball(100_000)}
    for name, mesh in meshes.items():
        for cull in (True, False):
            measure(name, mesh, cull)


if __name__ == "__main__":
    main()
