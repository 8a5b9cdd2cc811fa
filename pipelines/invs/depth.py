"""How far away each of the photo's pixels is: by one of two networks, as if inflated, or as the visitor knows.

Their own preparation (transformers has it) needs torchvision for its last step, so it is done here.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import View, photo_distance, world_from_camera
from pipelines.core.depth_map import MEDIAN_LEVEL, mean_of_known
from pipelines.core.errors import TurnaroundError
from pipelines.core.subject import Subject
from pipelines.invs.relief import USUAL_PIVOT, from_nearest

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.core.raster import Renderer
    from pipelines.invs.loading import DepthNetwork

PX = 512  # of the picture that a network is given, and of the depth that is used
FILL = 0.8  # of that picture, by the object
WHITE = 255  # what is around it
ZOE_HEIGHT, ZOE_WIDTH, ZOE_MULTIPLE = 384, 512, 32  # ZoeDepth, configs
ZOE_MEAN = ZOE_STD = (0.5, 0.5, 0.5)
ANYTHING_SIDE, ANYTHING_MULTIPLE = 518, 14  # Depth Anything V2, configs
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def inflated(subject: Subject, gain: float = 1.0) -> "Renderer":
    """The solid that the outline makes when it is blown up: `gain` times as thick as it is round, 0 flat."""
    _, vertices, faces = _blown_up(subject, gain)
    return _drawn(vertices, faces)


def backed(subject: Subject, depth: NDArray[np.float32]) -> "Renderer":
    """The solid whose front is this relief [D, D]: everywhere as thick as the outline is when it is blown up."""
    points, vertices, faces = _blown_up(subject)
    pose = world_from_camera(View(0, subject.elevation_deg), photo_distance(subject.fill))
    front, back = np.split((vertices - pose[:3, 3]) @ pose[:3, :3], 2)  # [V, 3] of the camera, on the same rays
    column, row = np.floor(points * len(depth) / subject.rgba.shape[0]).astype(int).clip(0, len(depth) - 1).T
    there = from_nearest(depth, depth > 0)[row, column, None]
    behind = there + back[:, 2:] - front[:, 2:]
    in_camera = np.concatenate([front / front[:, 2:] * there, back / back[:, 2:] * behind])
    return _drawn(in_camera @ pose[:3, :3].T + pose[:3, 3], faces)


def _blown_up(subject: Subject, gain: float = 1.0) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Points of the photo [V, 2]; where they are in the world, in front and behind [2 V, 3]; and the faces between."""
    from pipelines.core.inflation import inflate
    from pipelines.core.silhouette import trace
    from pipelines.core.solid import solid

    silhouette = trace(subject.rgba[..., 3])
    return silhouette.points, *solid(silhouette, inflate(silhouette), subject, gain)


def _drawn(vertices: NDArray[Any], faces: NDArray[Any]) -> "Renderer":
    from pipelines.core.mesh import Mesh
    from pipelines.core.raster import Renderer

    return Renderer(Mesh(vertices=vertices.astype(np.float32), faces=faces.astype(np.int32)), cull_backfaces=True)


def inflated_depth(subject: Subject, gain: float = 1.0) -> NDArray[np.float32]:
    """[PX, PX] of the photo's own view, in world units."""
    view = View(0, subject.elevation_deg)
    return inflated(subject, gain).render(view, photo_distance(subject.fill), PX, supersample=1).depth


def own_depth(subject: Subject, *, nearer_is_larger: bool) -> NDArray[np.float32]:
    """[PX, PX] of what came with the photo, in no particular unit; 0 where it is unknown."""
    from pipelines.invs.partial import resized

    if subject.depth is None:
        raise TurnaroundError(
            "iNVS was asked to go by your own depth, and none came with the photo. Add it under the photo, where its "
            "cut-out is repaired, and press Generate; or choose another depth."
        )
    known = (subject.depth > 0).astype(np.float32)
    values = subject.depth / np.float32(MEDIAN_LEVEL)
    if nearer_is_larger:
        values = known / np.maximum(values, 1 / MEDIAN_LEVEL)
    return mean_of_known(resized(values, PX), resized(known, PX))


def told_by(
    network: "DepthNetwork", subject: Subject, gain: float = 1.0, pivot: float = USUAL_PIVOT, *, at_once: int = 2
) -> NDArray[np.float32]:
    """[PX, PX] of the photo's own view, in world units; `gain` and `pivot` as `relief`, `at_once` as `metres`."""
    from pipelines.core.backdrop import on_backdrop, reframed
    from pipelines.invs.relief import relief

    there = metres(network, on_backdrop(subject, PX, FILL, WHITE), at_once)
    alpha, distance = reframed(subject.rgba, 1.0, PX)[..., 3], photo_distance(subject.fill)
    # Back into the frame of the subject, which may be filled differently
    return relief(_scaled(there, subject.fill / FILL), alpha, distance, gain, pivot)


def _scaled(plane: NDArray[np.float32], zoom: float) -> NDArray[np.float32]:
    """About its centre."""
    import cv2

    side = len(plane)
    matrix = np.array([[zoom, 0, side / 2 * (1 - zoom)], [0, zoom, side / 2 * (1 - zoom)]])
    matrix[:, 2] += (zoom - 1) / 2  # pixel centres lie at halves
    return np.asarray(cv2.warpAffine(plane, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE), np.float32)


def metres(network: "DepthNetwork", rgb: NDArray[np.uint8], at_once: int = 2) -> NDArray[np.float32]:
    """[S, S] of a picture [S, S, 3]. Seen once as it is and once mirrored, and averaged, as ZoeDepth's authors do;
    `at_once` is 1 where the two do not fit the memory together.
    """
    import torch

    picture = torch.from_numpy(rgb).to(network.place.device).permute(2, 0, 1)[None] / 255  # [1, 3, S, S]
    depth_of = _of_zoe if network.is_zoe else _of_anything
    with torch.inference_mode():
        both = torch.cat([picture, picture.flip(-1)]).split(at_once)
        told, heads = zip(*(depth_of(network.module, pictures) for pictures in both), strict=True)
    seen = torch.cat(told)
    agreed = len(set(heads)) == 1  # else one was taken for a room and the other for a street, each with its own metres
    return (((seen[0] + seen[1].flip(-1)) / 2) if agreed else seen[0]).float().cpu().numpy()


def _of_zoe(module: Any, pictures: "Tensor") -> "tuple[Tensor, int]":
    """[N, 3, S, S] to [N, S, S], and which of its heads they voted for, all together. Padded with its own mirror image:
    near the frame ZoeDepth is off.
    """
    import torch

    side = pictures.shape[-1]
    margin = int(math.sqrt(side / 2) * 3)
    padded = torch.nn.functional.pad(pictures, (margin,) * 4, mode="reflect")
    whole = side + 2 * margin
    scale = min((ZOE_HEIGHT / whole, ZOE_WIDTH / whole), key=lambda each: abs(1 - each))
    small_px = max(1, round(scale * whole / ZOE_MULTIPLE)) * ZOE_MULTIPLE
    small = torch.nn.functional.interpolate(padded, (small_px, small_px), mode="bilinear", align_corners=True)
    found = module(_normalized(small, ZOE_MEAN, ZOE_STD).to(module.dtype))
    head = 0 if found.domain_logits is None else int(found.domain_logits.sum(0).argmax())
    return _enlarged(found.predicted_depth, whole)[:, margin:-margin, margin:-margin], head


def _of_anything(module: Any, pictures: "Tensor") -> "tuple[Tensor, int]":
    import torch

    side_px = max(1, round(ANYTHING_SIDE / ANYTHING_MULTIPLE)) * ANYTHING_MULTIPLE
    small = torch.nn.functional.interpolate(pictures, (side_px, side_px), mode="bicubic", antialias=True)
    found = module(_normalized(small, IMAGENET_MEAN, IMAGENET_STD).to(module.dtype)).predicted_depth
    return _enlarged(found, pictures.shape[-1]), 0


def _enlarged(found: "Tensor", side_px: int) -> "Tensor":
    import torch

    return torch.nn.functional.interpolate(found.float()[:, None], (side_px, side_px), mode="bicubic")[:, 0]


def _normalized(pictures: "Tensor", mean: tuple[float, ...], std: tuple[float, ...]) -> "Tensor":
    less, over = (pictures.new_tensor(numbers).view(3, 1, 1) for numbers in (mean, std))
    return (pictures - less) / over
