"""A photo's own pixels, seen from another camera; and what of the object it does not show.

A picture with depth is lifted into the world (`lifted`), its points fall into the other camera's pixels (`splat`),
where the nearest count most, and `hidden` says where that camera looks behind what is seen.

Softmax splatting: Niklaus and Liu, "Softmax Splatting for Video Frame Interpolation", CVPR 2020. A point with colour I
and importance Z = -sharpness x depth adds to its four pixels with the bilinear weight b:
colour = sum(e^Z b I) / sum(e^Z b), coverage = sum(b). Points of one surface lie apart where it is stretched, so the
cells between four neighbours are filled with more of them, as many as it takes.

Works on a CPU and on a GPU, always with the same sums. Importing this loads no torch.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import FOV_DEG, View, intrinsics, world_from_camera

if TYPE_CHECKING:
    from torch import Tensor

SHARPNESS = 40.0  # a world unit; specs/invs.md, 5, has 20 a unit of spheres of radius 1: a subject's side is 1
STEEP = 10.0  # depth that a surface may gain from pixel to pixel, in widths of a pixel there: 84 degrees
STEEPEST, SMALL = 20.0, 0.03  # 87 degrees, where it gains no more than so many world units: walls, not another thing
NEAR = 0.02  # world units
SPACING_PX = 1.05  # between a surface's points in the new picture, at most; as they are, it stays sharp
FINEST = 8  # points a cell's side, at most
LEAST_WEIGHT = 1e-3  # on a pixel; less is rounding, which must not outshine what lies there but further away
SEEN = 0.5  # coverage from which a pixel is known
RAY_SAMPLES = 64
MOST_POINTS, MOST_KEPT = 500_000, 6_000_000  # inside cells, worked out at once; and pixels touched: some 200 MB
# Points of all views that are splatted together, or looked for on their rays: some 300 MB. On a GPU more are splatted:
# there several hundred calls a view would take longer than their work
AT_ONCE, GPU_AT_ONCE = 3_000_000, 12_000_000
LEAST_TURN = 1e-5  # of a half turn; less is rounding


@dataclass(frozen=True, eq=False)
class Pinhole:
    """A camera with its frame."""

    world_from_camera: NDArray[np.float64]
    """[4, 4]; x right, y down, z forward."""
    intrinsics: NDArray[np.float64]
    """[3, 3], in pixels, whose centres lie at halves."""
    size_px: int

    @property
    def centre(self) -> NDArray[np.float64]:
        return self.world_from_camera[:3, 3]

    def resized(self, size_px: int) -> "Pinhole":
        scale = np.diag([size_px / self.size_px, size_px / self.size_px, 1.0])
        return Pinhole(self.world_from_camera, scale @ self.intrinsics, size_px)


def pinhole(view: View, unit_distance: float, size_px: int, fov_deg: float = FOV_DEG) -> Pinhole:
    return Pinhole(world_from_camera(view, unit_distance), intrinsics(size_px, fov_deg), size_px)


# --- From pixels to the world -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Sheet:
    """What one picture shows of a surface: a point a pixel, and which of them hang together."""

    points: "Tensor"
    """[H, W, 3], world."""
    values: "Tensor"
    """[H, W, C]: colours, or whatever else goes along."""
    normals: "Tensor"
    """[H, W, 3], towards the side that is seen."""
    known: "Tensor"
    """[H, W], bool"""
    whole: "Tensor"
    """[H - 1, W - 1], bool: cells between four known pixels of one surface."""


def lifted(values: "Tensor", depth: "Tensor", camera: Pinhole) -> Sheet:
    """`values` [H, W, C] and `depth` [H, W] along the camera's z, 0 where nothing is.

    Where depth jumps the surface is torn. Pixels that hang on to nothing are left out: they are half of one surface and
    half of another.
    """
    import torch

    known = depth > 0
    points = _unprojected(depth, camera)
    pixel = 1 / float(camera.intrinsics[0, 0])  # a pixel's width, as a share of the depth
    down = _joined(depth, known, pixel, 0)  # [H - 1, W]
    across = _joined(depth, known, pixel, 1)  # [H, W - 1]
    whole = down[:, :-1] & down[:, 1:] & across[:-1] & across[1:]
    # Of a cell, by its diagonals; of a pixel, the mean of its cells
    one, other = points[1:, 1:] - points[:-1, :-1], points[:-1, 1:] - points[1:, :-1]
    of_cells = torch.linalg.cross(one, other) * whole[..., None]
    normals = torch.zeros_like(points)
    hangs = torch.zeros_like(known)
    for rows in (slice(None, -1), slice(1, None)):
        for columns in (slice(None, -1), slice(1, None)):
            normals[rows, columns] += of_cells
            hangs[rows, columns] |= whole
    return Sheet(points, values, torch.nn.functional.normalize(normals, dim=-1), known & hangs, whole)


def _joined(depth: "Tensor", known: "Tensor", pixel: float, dim: int) -> "Tensor":
    size = depth.shape[dim] - 1
    near, far = depth.narrow(dim, 0, size), depth.narrow(dim, 1, size)
    both = known.narrow(dim, 0, size) & known.narrow(dim, 1, size)
    width, gain = pixel * near.minimum(far), (far - near).abs()
    return both & ((gain <= STEEP * width) | (gain <= (STEEPEST * width).clamp_max(SMALL)))


def _unprojected(depth: "Tensor", camera: Pinhole) -> "Tensor":
    """[H, W, 3]"""
    import torch

    height, width = depth.shape
    rays = _rays(camera, height, width, depth)  # [H, W, 3], z = 1
    pose = torch.as_tensor(camera.world_from_camera).to(depth)
    return (rays * depth[..., None]) @ pose[:3, :3].T + pose[:3, 3]


def _rays(camera: Pinhole, height: int, width: int, like: "Tensor") -> "Tensor":
    """[H, W, 3] through the pixels' centres, in the camera's axes; their z is 1."""
    import torch

    inverse = torch.as_tensor(np.linalg.inv(camera.intrinsics)).to(like)
    rows = torch.arange(height, dtype=like.dtype, device=like.device) + 0.5
    columns = torch.arange(width, dtype=like.dtype, device=like.device) + 0.5
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)], dim=-1) @ inverse.T


# --- From the world to other pixels -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Splat:
    values: "Tensor"
    """[V, S, S, C], 0 where nothing fell."""
    coverage: "Tensor"
    """[V, S, S]: how much fell there; 1 is a surface as dense as the pixels."""
    depth: "Tensor"
    """[V, S, S], along the camera's z; 0 where nothing fell."""

    @property
    def seen(self) -> "Tensor":
        return self.coverage > SEEN


def splat(
    sheets: Sequence[Sheet],
    cameras: Sequence[Pinhole],
    *,
    sharpness: float = SHARPNESS,
    finer: int | None = None,
    cull: bool = True,
) -> Splat:
    """All sheets, seen by each of the cameras, which have frames of one size.

    `finer`: how many points each cell's side gets; None, as many as its size in the new picture takes. `cull` leaves
    out what is seen from behind.
    """
    import torch

    size, most = cameras[0].size_px, sum(sheet.known.numel() for sheet in sheets) * (finer or 2) ** 2
    together = max(1, (GPU_AT_ONCE if sheets[0].points.is_cuda else AT_ONCE) // most)
    sheets = [_cropped(sheet) for sheet in sheets]
    made = [
        _splat(sheets, cameras[i : i + together], size, sharpness, finer, cull)
        for i in range(0, len(cameras), together)
    ]
    return Splat(*(torch.cat(parts) for parts in zip(*made, strict=True)))


def _splat(
    sheets: Sequence[Sheet], cameras: Sequence[Pinhole], size: int, sharpness: float, finer: int | None, cull: bool
) -> "tuple[Tensor, Tensor, Tensor]":
    """For some cameras: values, coverage and depth."""
    import torch

    like, count = sheets[0].points, len(cameras) * size * size

    def falls() -> "Iterator[_Fall]":
        return itertools.chain.from_iterable(_fallen(sheet, cameras, size, finer, cull) for sheet in sheets)

    # 1. Each pixel's own nearest, not that of all: e^Z of what lies far behind is 0 in floating point
    nearest = torch.full((count,), math.inf, dtype=like.dtype, device=like.device)
    kept, touched = list[_Fall](), 0
    for fall in falls():
        nearest.scatter_reduce_(0, fall.pixel, fall.depth, "amin")
        touched += len(fall.pixel)
        if touched <= MOST_KEPT:
            kept.append(fall)
    if touched > MOST_KEPT:
        kept.clear()
    # 2. The sums: of what fell, again where there was too much to keep
    columns = sheets[0].values.shape[-1] + 3
    sums = like.new_zeros((count, columns) if like.is_cuda else (columns, count))
    for fall in kept or falls():
        _add(fall, fall.weight * torch.exp(-sharpness * (fall.depth - nearest[fall.pixel])), sums)
    *weighted, total, coverage = sums.unbind(1 if like.is_cuda else 0)
    *colours, nearness = (each / total.clamp_min(torch.finfo(like.dtype).tiny) for each in weighted)
    frame = (len(cameras), size, size)
    return torch.stack(colours, dim=1).view(*frame, -1), coverage.clone().view(frame), nearness.view(frame)


def _add(fall: "_Fall", share: "Tensor", sums: "Tensor") -> None:
    """`share` [N] of all that goes along, of the depth and of 1, and the coverage, into `sums` [C + 3, V * S * S]; on a
    GPU [V * S * S, C + 3].
    """
    import torch

    # One at a time: each has millions
    terms = itertools.chain((share * column for column in (*fall.values.unbind(1), fall.depth)), (share, fall.weight))
    if sums.is_cuda:  # there `index_add_` takes whichever comes first; this sorts before it adds, once for all
        sums.index_put_((fall.pixel,), torch.stack(list(terms), dim=1), accumulate=True)
    else:
        for into, term in zip(sums, terms, strict=True):
            into.index_add_(0, fall.pixel, term)


@dataclass(frozen=True, eq=False)
class _Fall:
    """Where points come down; four times as many, one for each pixel they touch."""

    pixel: "Tensor"
    weight: "Tensor"
    depth: "Tensor"
    values: "Tensor"
    """[N, C]"""


def _fallen(sheet: Sheet, cameras: Sequence[Pinhole], size: int, finer: int | None, cull: bool) -> "Iterator[_Fall]":
    import torch

    like = sheet.points
    poses = torch.stack([torch.as_tensor(np.linalg.inv(each.world_from_camera)).to(like) for each in cameras])
    centres = torch.stack([torch.as_tensor(each.centre).to(like) for each in cameras])
    matrices = torch.stack([torch.as_tensor(each.intrinsics).to(like) for each in cameras])
    turned, moved = poses[:, :3, :3].transpose(1, 2), poses[:, None, None, :3, 3]
    # [V, H, W, 3], in each camera's axes; one by one, so that a view comes out the same whatever else is seen
    there = torch.stack([sheet.points @ turn for turn in turned]) + moved
    ahead = there[..., 2] > NEAR
    shown = sheet.known & ahead & _near_frame(there, matrices, size)
    if cull:
        towards = centres[:, None, None] - sheet.points
        shown &= (sheet.normals * towards).sum(-1) > 0
    for some in shown.nonzero().split(MOST_POINTS):
        view, row, column = some.unbind(1)
        yield _landed(there[view, row, column], sheet.values[row, column], view, matrices, size)

    # More points inside the cells that are stretched
    cells = sheet.whole & shown[:, :-1, :-1] & ahead[:, 1:, :-1] & ahead[:, :-1, 1:] & ahead[:, 1:, 1:]
    need = torch.full_like(cells, finer or 1, dtype=torch.int64)
    if finer is None:
        need = _needed(there, matrices)
    for sides in (2, 4, FINEST) if finer is None else (finer,):
        if sides < 2:
            continue
        parts = torch.arange(sides, dtype=like.dtype, device=like.device) / sides
        down, right = (each.ravel()[1:] for each in torch.meshgrid(parts, parts, indexing="ij"))  # the first is there
        mix = torch.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right], dim=1)
        for some in (cells & (need == sides)).nonzero().split(max(1, MOST_POINTS // sides**2)):
            view, row, column = some.unbind(1)
            corners = [(row, column), (row, column + 1), (row + 1, column), (row + 1, column + 1)]
            places = torch.stack([there[view, r, c] for r, c in corners])  # [4, M, 3]
            values = torch.stack([sheet.values[r, c] for r, c in corners])
            inside = torch.einsum("kc,cmj->mkj", mix, places).flatten(0, 1)
            yield _landed(
                inside,
                torch.einsum("kc,cmj->mkj", mix, values).flatten(0, 1),
                view.repeat_interleave(len(mix)),
                matrices,
                size,
            )


def _cropped(sheet: Sheet) -> Sheet:
    """To what of it is known: much of a picture is backdrop."""
    rows, columns = (sheet.known.any(dim).nonzero()[:, 0] for dim in (1, 0))
    if not len(rows):
        return sheet
    top, bottom, left, right = int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])
    within = (slice(top, bottom + 1), slice(left, right + 1))
    return Sheet(
        sheet.points[within],
        sheet.values[within],
        sheet.normals[within],
        sheet.known[within],
        sheet.whole[top:bottom, left:right],
    )


def _needed(there: "Tensor", matrices: "Tensor") -> "Tensor":
    """[V, H - 1, W - 1]: how many points a cell's side needs to leave no gaps: 1, 2, 4 or 8."""
    import torch

    focal = matrices[:, 0, 0][:, None, None, None]
    screen = focal * there[..., :2] / there[..., 2:].clamp_min(NEAR)
    down, across = (screen[:, 1:] - screen[:, :-1]).norm(dim=-1), (screen[:, :, 1:] - screen[:, :, :-1]).norm(dim=-1)
    longest = torch.maximum(
        torch.maximum(down[:, :, :-1], down[:, :, 1:]), torch.maximum(across[:, :-1], across[:, 1:])
    )
    return (2 ** torch.ceil(torch.log2((longest / SPACING_PX).clamp(1, FINEST)))).round().long()


def _near_frame(there: "Tensor", matrices: "Tensor", size: int) -> "Tensor":
    """[V, H, W]: what may touch the frame, from close up a small part."""
    focal, middle = (matrices[:, 0, column][:, None, None, None] for column in (0, 2))
    screen = focal * there[..., :2] / there[..., 2:].clamp_min(NEAR) + middle
    return ((screen > -FINEST) & (screen < size + FINEST)).all(dim=-1)


def _landed(there: "Tensor", values: "Tensor", view: "Tensor", matrices: "Tensor", size: int) -> _Fall:
    """Points [N, 3] in their cameras' axes, each in front of it, onto the four pixels around."""
    import torch

    depth = there[:, 2]
    focal, middle = matrices[:, 0, 0][view], matrices[:, 0, 2][view]
    x = focal * there[:, 0] / depth + middle - 0.5
    y = matrices[:, 1, 1][view] * there[:, 1] / depth + matrices[:, 1, 2][view] - 0.5
    down, right = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]], device=there.device)[..., None]
    column, row = torch.floor(x) + right, torch.floor(y) + down  # [4, N]
    weight = (1 - (x - column).abs()) * (1 - (y - row).abs())
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size) & (weight > LEAST_WEIGHT)
    corner, point = inside.nonzero(as_tuple=True)
    pixel = (view * size + row.long()) * size + column.long()
    return _Fall(pixel[corner, point], weight[corner, point], depth[point], values[point])


# --- What is not seen -------------------------------------------------------------------------------------------------


def hidden(
    depth: "Tensor",
    source: Pinhole,
    cameras: Sequence[Pinhole],
    radius: float,
    *,
    thicker: int = 0,
) -> "Tensor":
    """[V, S, S]: 0 where a camera's ray meets nothing that the source's picture hides; else how far the two look in
    different directions at the nearest such place: 0 for the same, 1 for opposite ones.

    Hidden is what lies behind the object's pixels in `depth` [H, W] (0 where nothing is), within `radius` of the
    centre. Walked along the camera's own rays, so it does not matter where the epipole is. `thicker`: by so many pixels
    all of it grows.
    """
    import torch

    size = cameras[0].size_px
    together = max(1, AT_ONCE // (size**2 * RAY_SAMPLES))
    masks = [_hidden(depth, source, cameras[i : i + together], radius) for i in range(0, len(cameras), together)]
    mask = torch.cat(masks)
    if thicker:
        mask = torch.nn.functional.max_pool2d(mask[:, None], 2 * thicker + 1, stride=1, padding=thicker)[:, 0]
    return mask


def _hidden(depth: "Tensor", source: Pinhole, cameras: Sequence[Pinhole], radius: float) -> "Tensor":
    """For some cameras."""
    import torch

    def tensor(values: NDArray[np.floating]) -> "Tensor":
        return torch.as_tensor(values).to(depth)

    size = cameras[0].size_px
    turns = tensor(np.stack([each.world_from_camera[:3, :3] for each in cameras]))
    eyes, source_eye = tensor(np.stack([each.centre for each in cameras])), tensor(source.centre)
    rays = torch.stack([_rays(each, size, size, depth).flatten(0, 1) for each in cameras])  # [V, S * S, 3]
    rays = torch.nn.functional.normalize(rays @ turns.transpose(1, 2), dim=-1)
    # 1. Where each ray is within the ball
    middle = -(rays @ eyes[:, :, None])[..., 0]
    squared = radius**2 - ((eyes * eyes).sum(-1, keepdim=True) - middle**2)
    hits = (squared > 0).nonzero(as_tuple=True)
    half = squared[hits].sqrt()
    enter, leave = (middle[hits] - half).clamp_min(NEAR), (middle[hits] + half).clamp_min(NEAR)
    share = (torch.arange(RAY_SAMPLES, dtype=depth.dtype, device=depth.device) + 0.5) / RAY_SAMPLES
    way = enter[:, None] + (leave - enter)[:, None] * share  # [N, K]
    # 2. Which of those places the source's picture hides; each in the source's axes, where they are a line as well
    to_source = tensor(np.linalg.inv(source.world_from_camera))
    eye, ray = eyes[hits[0]], rays[hits]
    begin, towards = eye @ to_source[:3, :3].T + to_source[:3, 3], ray @ to_source[:3, :3].T
    x, y, z = (begin[:, axis, None] + way * towards[:, axis, None] for axis in range(3))
    ahead = z > NEAR
    z.clamp_min_(NEAR)
    matrix, (height, width) = tensor(source.intrinsics), depth.shape
    framed = torch.nn.functional.pad(depth, (1, 1, 1, 1))  # nothing is there, nor anywhere further out
    column = torch.floor(matrix[0, 0] * x / z + (matrix[0, 2] + 1)).clamp_(0, width + 1)
    row = torch.floor(matrix[1, 1] * y / z + (matrix[1, 2] + 1)).clamp_(0, height + 1)
    place = (row.int() * (width + 2) + column.int()).flatten()
    surface = framed.flatten().index_select(0, place).view_as(z)
    behind = ahead & (surface > 0) & (z >= surface)
    # 3. At the nearest, the angle between both directions
    found, first = behind.max(dim=1)
    nearest = eye + way.gather(1, first[:, None]) * ray
    one = torch.nn.functional.normalize(nearest - source_eye, dim=-1)
    # Not the arc cosine: near 0 it loses half of the digits
    turn = torch.atan2(torch.linalg.cross(one, ray).norm(dim=-1), (one * ray).sum(-1)) / math.pi
    mask = torch.zeros_like(middle)
    mask[hits] = torch.where(found & (turn > LEAST_TURN), turn, torch.zeros_like(turn))
    return mask.view(-1, size, size)
