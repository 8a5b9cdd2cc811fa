"""From a subject to its textured mesh."""

import numpy as np

from pipelines.core.inflation import inflate
from pipelines.core.mesh import Mesh
from pipelines.core.silhouette import trace
from pipelines.core.solid import smooth_normals, solid
from pipelines.core.subject import Subject
from pipelines.inflate.texture import Back, atlas, is_profile
from pipelines.runtime.method import Report


def chosen_back(subject: Subject, asked: str) -> Back:
    if asked == "mirror" or (asked == "auto" and is_profile(subject.rgba[..., 3])):
        return "mirror"
    return "smooth"


def inflated(subject: Subject, depth: float, back: Back, report: Report) -> Mesh:
    """The textured mesh, in the world."""
    report(0.05, "Tracing the outline", subject.rgba)
    with report.stage("outline"):
        silhouette = trace(subject.rgba[..., 3])
    report(0.15, "Inflating it")
    with report.stage("inflate"):
        vertices, faces = solid(silhouette, inflate(silhouette), subject, depth)
        normals = smooth_normals(vertices, faces, silhouette.inner)
    report(0.3, "Painting it")
    with report.stage("paint"):
        painted = atlas(subject.rgba, silhouette.points, back)
    return Mesh(
        vertices=vertices.astype(np.float32),
        faces=faces.astype(np.int32),
        uvs=np.concatenate([painted.front_uvs, painted.back_uvs]),
        texture=painted.texture,
        normals=normals.astype(np.float32),
    )
