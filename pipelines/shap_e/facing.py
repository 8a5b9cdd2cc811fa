"""From where the photo was taken, seen from Shap-E's object, whose front is its own affair.

The object's silhouette is rendered all around at the photo's elevation and laid over the photo's. Silhouettes are
ambiguous: from behind, an object shows its mirror image, and one that is symmetric shows the same outline at an azimuth
of a as at 180 - a. So the colours inside have a say, too, and what remains open is said.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import View, intrinsics, photo_distance, project, world_from_camera, wrap_azimuth
from pipelines.core.mesh import Mesh
from pipelines.core.raster import Renderer
from pipelines.core.subject import Subject

Step = Callable[[float], Any]
Picture = NDArray[Any]  # [SIDE_PX, SIDE_PX, 4], float32 in 0..1, colours times alpha; OpenCV's stubs promise less

COARSE_DEG, FINE_DEG, FINEST_DEG = 5, 2, 1
CANDIDATES = 4  # peaks of the coarse search that are looked at closely
USUAL_LOOKS = 360 // COARSE_DEG + 6 * CANDIDATES  # for telling how far it is; a long climb takes more
SIDE_PX = 96  # of the pictures that are compared; an object 77 px long shows an arm or a handle
FRAME_SHARE = 0.8  # of that side which an outline's longest side takes
LENSES = (1.0, 1.8)  # how far the photo's camera may have stood, times the distance that our own lens has
MIDDLE_LENS = 1.4  # between them, for the first look
SEARCH_CELLS = 40  # along the longest side: for searching, vertices within one cell become one

COLOUR_WEIGHT = 0.3  # of the colours' likeness, -1 to 1, beside the outlines' agreement, 0 to 1
PLAIN = 0.05  # spread of colours, 0..1, below which they have no pattern; from twice this it counts in full
UNLIKE = 0.25  # difference of colours, 0..1, that speaks neither for nor against
LEAST_SHARED_PX = 30
BLUR_PX = 2.0  # colours are compared by and large: Shap-E paints broadly

GOOD, POOR = 0.85, 0.65  # agreement of outlines that is a match, and below which there is none
ROUND = 0.04  # where outlines agree within this from everywhere, the object is round
SWAPPED_DEG = 120  # from there on it is the other side that one sees
RIVAL, RIVAL_DEG = 0.02, 30  # a score so near to the best, so far away, leaves it open

MOST_GROWTH = 1.6  # a bus photographed head-on is drawn at most so much longer than the world's unit


@dataclass(frozen=True)
class Facing:
    azimuth_deg: float
    """Of the photo's camera, before the mesh is turned."""
    agreement: float
    """Intersection over union of the two silhouettes there."""
    round: bool
    """Whether the outlines look alike from everywhere."""
    rival_deg: float | None
    """Where it fits about as well."""
    by_colour: bool
    """Whether a rival's outline fits as well, and the colours decided."""

    @property
    def confidence(self) -> str:
        if self.agreement < POOR or self.rival_deg is not None or (self.round and not self.by_colour):
            return "low"
        return "high" if self.agreement >= GOOD and not self.by_colour else "fair"


def faced(mesh: Mesh, subject: Subject, step: Step) -> tuple[Mesh, Facing]:
    """The mesh, its longest side 1, turned so that the photo shows it from azimuth 0; centred and as large as there.

    Its middle is what the photo has in the middle, as with every method: seen from above, that is not the middle of its
    box. The photo's lens is not known, so the two only coincide as far as perspective lets them.
    """
    found = find_facing(mesh, subject, step)
    photo, eye = _photo(subject), Eye(mesh, subject)
    agreement = max(overlap(photo, eye.sees(found.azimuth_deg, lens)) for lens in LENSES)
    placed = _as_photographed(rotated(mesh, -found.azimuth_deg), subject)
    return placed, replace(found, agreement=agreement)


def find_facing(mesh: Mesh, subject: Subject, step: Step) -> Facing:
    """`step(share)` is called for each azimuth looked at, and may raise."""
    photo, eye = _photo(subject), Eye(coarsened(mesh), subject)
    seen: dict[int, tuple[float, float]] = {}  # azimuth -> agreement of outlines, and of colours
    looks = itertools.count()

    def look(azimuth: int, *lenses: float) -> tuple[float, float]:
        step(min(1.0, next(looks) / USUAL_LOOKS))
        pictures = [eye.sees(azimuth, lens) for lens in lenses]
        picture = max(pictures, key=lambda picture: overlap(photo, picture))
        return overlap(photo, picture), likeness(photo, picture)

    def score(azimuth: int) -> float:
        if azimuth not in seen:
            seen[azimuth] = look(azimuth, *LENSES)
        return seen[azimuth][0] + COLOUR_WEIGHT * seen[azimuth][1]

    # 1. All around, through one lens
    around = list(range(0, 360, COARSE_DEG))
    outlines, colours = np.array([look(azimuth, MIDDLE_LENS) for azimuth in around]).T
    scores = outlines + COLOUR_WEIGHT * colours

    # 2. Closer at the peaks, through both
    peaks = [k for k in range(len(around)) if scores[k] >= max(scores[k - 1], scores[(k + 1) % len(around)])]
    peaks = sorted(peaks, key=lambda k: -scores[k])[:CANDIDATES]
    tops = [_climb(score, around[k]) for k in peaks]
    tops.sort(key=lambda azimuth: -score(azimuth))  # stable: among equals the one that was first

    # 3. What else it might have been
    best = tops[0]
    apart = [top for top in tops[1:] if abs(wrap_azimuth(top - best)) >= RIVAL_DEG]
    rivals = [top for top in apart if score(top) >= score(best) - RIVAL]
    alike = [top for top in apart if seen[top][0] >= seen[best][0] - RIVAL]
    is_round = bool(np.ptp(outlines) < ROUND)
    colours_tell = COLOUR_WEIGHT * np.ptp(colours) > 2 * RIVAL
    return Facing(
        azimuth_deg=wrap_azimuth(best),
        agreement=seen[best][0],
        round=is_round,
        rival_deg=wrap_azimuth(rivals[0]) if rivals else None,
        by_colour=not rivals and bool(colours_tell if is_round else alike),
    )


def notes(found: Facing) -> tuple[str, ...]:
    """What was done, how sure it is, and why not surer."""
    turned = f"Turned by {abs(found.azimuth_deg):.0f} degrees" if round(found.azimuth_deg) else "Left as it was made"
    told = [
        f"{turned} to match the photo; the silhouettes agree to {found.agreement:.2f} ({found.confidence} confidence)."
    ]
    if found.agreement < POOR:
        told.append("The outlines differ so much that the direction is a guess.")
    if found.round and not found.by_colour:
        told.append("Its outline is alike from all sides, so which side is the front is a guess.")
    elif found.round:
        told.append("Its outline is alike from all sides; its colours decided which side is the front.")
    elif found.rival_deg is not None:
        angle = abs(wrap_azimuth(found.rival_deg - found.azimuth_deg))
        swapped = "front and back may be swapped" if angle > SWAPPED_DEG else "it may face another way"
        told.append(f"Turned {angle:.0f} degrees from there it fits about as well, so {swapped}.")
    elif found.by_colour:
        told.append("Another direction has as good an outline; the colours decided.")
    return tuple(told)


def overlap(a: Picture, b: Picture) -> float:
    """Intersection over union of two soft silhouettes."""
    both, either = np.minimum(a[..., 3], b[..., 3]).sum(), np.maximum(a[..., 3], b[..., 3]).sum()
    return float(both / max(float(either), 1e-6))


def likeness(a: Picture, b: Picture) -> float:
    """How well two pictures' colours go together where both are, -1 to 1: their pattern, whatever the tint and the
    contrast, and the colours themselves.
    """
    shared = (a[..., 3] > 0.5) & (b[..., 3] > 0.5)
    if np.count_nonzero(shared) < LEAST_SHARED_PX:
        return 0.0
    x, y = (_broad(picture)[shared] for picture in (a, b))  # [N, 3]
    close = max(-1.0, 1 - float(np.abs(x - y).mean()) / UNLIKE)
    x, y = x - x.mean(0), y - y.mean(0)
    trust = min(1.0, max(0.0, min(float(x.std()), float(y.std())) / PLAIN - 1))
    pattern = trust * float((x * y).sum() / max(float(np.sqrt((x * x).sum() * (y * y).sum())), 1e-9))
    return (pattern + close) / 2


def rotated(mesh: Mesh, angle_deg: float) -> Mesh:
    """Turned about the vertical, from +z towards +x, as azimuths go."""
    sin, cos = np.sin(np.radians(angle_deg)), np.cos(np.radians(angle_deg))
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    normals = None if mesh.normals is None else (mesh.normals @ turn.T).astype(np.float32)
    return replace(mesh, vertices=(mesh.vertices @ turn.T).astype(np.float32), normals=normals)


def coarsened(mesh: Mesh) -> Mesh:
    """About the same shape of some thousand triangles, with the first vertex's colour in each cell."""
    low = mesh.vertices.min(0)
    step = max(float((mesh.vertices.max(0) - low).max()) / SEARCH_CELLS, 1e-6)
    cells = np.floor((mesh.vertices - low) / step).astype(np.int64)
    number = (cells[:, 0] * (SEARCH_CELLS + 2) + cells[:, 1]) * (SEARCH_CELLS + 2) + cells[:, 2]
    _, first, place, count = np.unique(number, return_index=True, return_inverse=True, return_counts=True)
    middles = np.stack([np.bincount(place, mesh.vertices[:, k]) / count for k in range(3)], 1)
    faces = place[mesh.faces]
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
    if not len(faces):
        return mesh
    colors = None if mesh.colors is None else mesh.colors[first]
    return Mesh(middles.astype(np.float32), faces.astype(np.int32), colors=colors)


def _climb(score: Callable[[int], float], start: int) -> int:
    best = start
    for step in (FINE_DEG, FINEST_DEG):
        while (higher := max([best, (best - step) % 360, (best + step) % 360], key=score)) != best:
            best = higher
    return best


def _photo(subject: Subject) -> Picture:
    share = subject.rgba.astype(np.float32) / 255
    share[..., :3] *= share[..., 3:]
    return _framed(cv2.resize(share, (2 * SIDE_PX, 2 * SIDE_PX), interpolation=cv2.INTER_AREA))


class Eye:
    """Sees a mesh from the photo's elevation, all of it, whatever its size."""

    def __init__(self, mesh: Mesh, subject: Subject) -> None:
        self._renderer = Renderer(mesh, cull_backfaces=True)  # the surface of a solid: closed, its outside outward
        self._elevation_deg, self._distance = subject.elevation_deg, photo_distance(subject.fill)
        self._reach = 1.02 * float(np.linalg.norm(mesh.vertices, axis=1).max())

    def sees(self, azimuth_deg: float, lens: float) -> Picture:
        fov_deg = 2 * math.degrees(math.asin(min(0.95, self._reach / (self._distance * lens))))
        view = View(wrap_azimuth(azimuth_deg), self._elevation_deg, lens)
        rgba = self._renderer.render(view, self._distance, 2 * SIDE_PX, fov_deg=fov_deg, supersample=1).rgba
        share = rgba.astype(np.float32) / 255
        share[..., :3] *= share[..., 3:]
        return _framed(share)


def _framed(share: Picture) -> Picture:
    """The picture's object, centred and as large as every other one."""
    rows, columns = (np.flatnonzero((share[..., 3] > 0.5).any(axis)) for axis in (1, 0))
    if not len(rows):
        return np.zeros((SIDE_PX, SIDE_PX, 4), np.float32)
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    zoom = FRAME_SHARE * SIDE_PX / max(bottom - top, right - left)
    shift = [SIDE_PX / 2 - 0.5 - zoom * (low + high - 1) / 2 for low, high in ((left, right), (top, bottom))]
    place = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
    return cv2.warpAffine(share, place, (SIDE_PX, SIDE_PX), flags=cv2.INTER_LINEAR)


def _broad(picture: Picture) -> Picture:
    """Straight colours [H, W, 3], blurred within the object."""
    blurred = np.asarray(cv2.GaussianBlur(picture, (0, 0), BLUR_PX))
    return blurred[..., :3] / np.maximum(blurred[..., 3:], 1e-3)


def _as_photographed(mesh: Mesh, subject: Subject) -> Mesh:
    """Moved and scaled so that, seen from the photo's camera, it is centred and as large as the photo shows it."""
    view, distance = View(0, subject.elevation_deg), photo_distance(subject.fill)
    across = world_from_camera(view, distance)[:3, :2]  # the picture's right and down, in the world
    per_share = distance / intrinsics(1)[0, 0]  # world units at the subject, of the frame's side
    points, scale = mesh.vertices.astype(np.float64), 1.0
    for _ in range(8):  # not once, because what comes nearer grows faster
        pixels, _ = project(points, view, distance, 1)
        low, high = pixels.min(0), pixels.max(0)
        points = points - across @ (((low + high) / 2 - 0.5) * per_share)
        growth = min(MOST_GROWTH / scale, subject.fill / float((high - low).max()))
        points, scale = points * growth, scale * growth
    return replace(mesh, vertices=points.astype(np.float32))
