"""From a flat silhouette with a thickness to a closed mesh in the world, that the photo's own camera sees unchanged.

Every point lies on its ray from the photo's camera, the front nearer and the back farther: whatever the thickness, that
camera sees each point where the photo has it, and the rim is exactly the outline.
"""

import math

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import FOV_DEG, View, photo_distance, world_from_camera
from pipelines.core.inflation import Inflation
from pipelines.core.silhouette import Floats, Silhouette
from pipelines.core.subject import Subject

Ints = NDArray[np.int64]

LEAN = 0.3  # radians at 45 degrees; at 30, a subject of height 1 is then 1.003 high and stays 10 % inside a level view
NORMAL_ROUNDS = 4  # of averaging with the neighbours: where triangles are finest, at the rim, pixels make them uneven


def solid(silhouette: Silhouette, inflation: Inflation, subject: Subject, depth: float = 1.0) -> tuple[Floats, Ints]:
    """Vertices [2 V, 3] and faces. Of the vertices the first V are the front's, the others the back's, in the same
    order; on the rim they coincide."""
    size = subject.rgba.shape[0]
    distance = photo_distance(subject.fill)
    focal_px = size / 2 / math.tan(math.radians(FOV_DEG) / 2)
    at = (silhouette.points - size / 2) / focal_px  # [V, 2], where the rays cross the plane one unit from the camera
    axis = (inflation.axis - size / 2) / focal_px
    # The middle of the chord that a ray cuts out of a ball is where the ray passes its centre most closely.
    obliquity = 1 + (at**2).sum(1)
    closest = (1 + (at * axis).sum(1)) / obliquity
    # The subject stands on its middle plane; seen from above, its top is nearer to the camera.
    plane = distance / (1 - at[:, 1] * math.tan(math.radians(lean_deg(subject.elevation_deg))))
    middle = plane * closest
    reach = np.minimum(plane * depth * inflation.half_thickness / focal_px / obliquity, 0.9 * middle)
    rays = np.column_stack([at, np.ones(len(at))])  # camera axes: x right, y down, z forward
    in_camera = np.concatenate([rays * (middle - reach)[:, None], rays * (middle + reach)[:, None]])
    pose = world_from_camera(View(0, subject.elevation_deg), distance)
    vertices = in_camera @ pose[:3, :3].T + pose[:3, 3]
    front = silhouette.triangles[:, ::-1]  # anticlockwise for a camera whose y points down
    back = silhouette.triangles + len(silhouette.points)
    return vertices, np.concatenate([front, back])


def lean_deg(elevation_deg: float) -> float:
    """How far the middle plane turns from facing the photo's camera towards standing upright.

    About half the way for low elevations, so that a horse seen a little from above stands on its feet. All the way
    would stretch it along the rays, beyond the frame of a level view. Ever less further up: from above, things lie.
    """
    return math.degrees(LEAN * math.sin(2 * math.radians(elevation_deg)))


def smooth_normals(vertices: Floats, faces: Ints, inner: int) -> Floats:
    """[2 V, 3], unit length, one normal where front and back meet."""
    from scipy.sparse import csr_array

    count = len(vertices) // 2
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)  # [F, 3], weighted by area
    corner = faces.ravel()
    normals = np.stack([np.bincount(corner, np.repeat(across[:, k], 3), len(vertices)) for k in range(3)], 1)
    ends = np.roll(faces, -1, 1).ravel()
    links = csr_array((np.ones(len(corner)), (corner, ends)), shape=(len(vertices),) * 2)
    links = links + links.T
    for _ in range(NORMAL_ROUNDS):
        rim = normals[inner:count] + normals[count + inner :]
        normals[inner:count] = normals[count + inner :] = rim
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
        normals = 4 * normals + links @ normals
    normals[inner:count] = normals[count + inner :] = normals[inner:count] + normals[count + inner :]
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
