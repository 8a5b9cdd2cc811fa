"""The silhouette as a flat triangulation: fine along the contour, coarse inside, cut at alpha one half.

Right triangles are halved at the middle of their longest side (the "4-8" scheme of terrain rendering), wherever the contour
needs it, and cut where it crosses them. Every triangle has three corners, so a cut is never ambiguous: whatever the
mask, its outline comes out as closed, simple loops, and no triangle has all corners on it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import TurnaroundError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GRID = 1024  # cells a side, a power of two: about one a pixel of the subjects that the preparer makes
MARGIN = 1.25  # side of the grid over the longest side of the silhouette; the inverse of the usual fill, 0.8
BLUR_PX = 0.6  # of the subject's pixels: enough to round the steps of a hard mask, too little to lose a one-pixel line
COARSEST = 16  # longest leg of a triangle in cells: a sixtieth of the frame, a smooth curve to the eye
TOLERANCE = 0.12  # how far a coarser cut may stray from the contour, in units of the edge's softness (about a cell)
CLEAR = 2e-3  # share of light below which a place is plainly outside, and plainly inside when so little is missing
STRAIGHT = 2  # the farthest from its neighbours, in cells, that a corner at the contour is left out for being in line
MAX_TRIANGLES = 30_000  # of one side; a noisier mask is cut more coarsely


@dataclass(frozen=True, eq=False)
class Silhouette:
    points: Floats
    """[V, 2], pixels of the subject's frame. The rim comes last."""
    triangles: Ints
    """[T, 3], positive area in (x, y)."""
    inner: int
    """How many points lie inside; the others are on the rim."""
    rim_edges: Ints
    """[R, 2], each with the inside on the same hand as its triangle has it."""


def trace(alpha: NDArray[np.uint8]) -> Silhouette:
    """The silhouette of an alpha channel [S, S]."""
    level = min(127.5, float(alpha.max()) / 2)  # glass and smoke never reach one half
    rows, columns = np.flatnonzero((alpha > level).any(1)), np.flatnonzero((alpha > level).any(0))
    if not len(rows):
        raise TurnaroundError("The cut-out is empty, so there is nothing to inflate. Choose another photo or remover.")
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    side = max(bottom - top, right - left) * MARGIN + 4
    step = side / GRID  # pixels a cell
    x0, y0 = (left + right - side) / 2, (top + bottom - side) / 2
    field = _softness_distance(alpha, level / 255, x0, y0, step)
    for finest in (1, 2, 4, 8):
        corners = _refine(field, finest)
        if len(corners) <= MAX_TRIANGLES or finest == 8:
            break
    silhouette = _cut(field, corners)
    return Silhouette(
        silhouette.points * step + (x0, y0), silhouette.triangles, silhouette.inner, silhouette.rim_edges
    )


def _softness_distance(alpha: NDArray[np.uint8], level: float, x0: float, y0: float, step: float) -> NDArray[np.float32]:
    """A field [GRID + 1, GRID + 1], positive inside, that grows about linearly across the contour.

    A soft edge is a Gaussian integral; its inverse is a distance in units of the softness.
    """
    from scipy.special import ndtri

    from_rows = _blurred_samples(alpha.shape[0], y0, step)
    from_columns = _blurred_samples(alpha.shape[1], x0, step)
    blurred = from_rows @ (from_columns @ alpha.T.astype(np.float32)).T / 255
    farthest = np.float32(ndtri(1 - CLEAR))
    field = np.where(blurred > 0.5, farthest, -farthest)
    near = (blurred > CLEAR) & (blurred < 1 - CLEAR)
    field[near] = ndtri(blurred[near])
    field -= np.float32(ndtri(level))
    field[np.abs(field) < 1e-4] = -1e-4  # no corner lies on the contour itself
    field[[0, -1]] = field[:, [0, -1]] = field.min()  # the outline closes even where it reaches the frame
    return field


def _blurred_samples(size: int, origin: float, step: float):
    """A sparse matrix [GRID + 1, size] that samples Gaussian-blurred pixels at the grid's corners."""
    from scipy.sparse import csr_array

    sigma = BLUR_PX * max(1.0, step)
    reach = int(np.ceil(3 * sigma))
    at = origin + np.arange(GRID + 1) * step  # pixel centres lie at halves
    taps = np.floor(at)[:, None].astype(int) + np.arange(-reach, reach + 1)  # [GRID + 1, K]
    weights = np.exp(-0.5 * ((taps + 0.5 - at[:, None]) / sigma) ** 2)
    weights /= weights.sum(1, keepdims=True)
    weights[(taps < 0) | (taps >= size)] = 0  # nothing beyond the frame
    rows = np.repeat(np.arange(GRID + 1), taps.shape[1])
    shape = (GRID + 1, size)
    return csr_array((weights.ravel().astype(np.float32), (rows, np.clip(taps, 0, size - 1).ravel())), shape=shape)


def _refine(field: NDArray[np.float32], finest: int) -> Ints:
    """Corner indices [T, 3] into the flattened field, of the triangles that touch the inside; hypotenuse first."""
    needed = _needed(field, finest)
    n, width = GRID, GRID + 1
    inside = field > 0
    # (row, column) pairs; the hypotenuse joins the first two corners
    waiting = np.array([[[0, 0], [n, n], [n, 0]], [[n, n], [0, 0], [0, n]]])
    leaves = []
    while len(waiting):
        a, b, c = waiting[:, 0], waiting[:, 1], waiting[:, 2]
        middle = (a + b) // 2
        split = needed[middle[:, 0], middle[:, 1]] & (np.abs(a - b).max(1) > 1)
        leaf = waiting[~split]
        leaves.append(leaf[inside[leaf[..., 0], leaf[..., 1]].any(1)])
        a, b, c, middle = a[split], b[split], c[split], middle[split]
        waiting = np.concatenate([np.stack([c, a, middle], 1), np.stack([b, c, middle], 1)])
    corners = np.concatenate(leaves)
    return corners[..., 0] * width + corners[..., 1]


def _needed(field: NDArray[np.float32], finest: int) -> NDArray[np.bool_]:
    """Which corners the triangulation must have, so that all it builds upon is there too."""
    needed = np.zeros(field.shape, bool)
    needed[::COARSEST, ::COARSEST] = field[::COARSEST, ::COARSEST] > 0
    m = finest
    while m < GRID:
        odd, even = np.s_[m :: 2 * m], np.s_[:: 2 * m]
        values = field[even, even]
        # the middle of a square's side needs both squares' centres
        across, down, centres = needed[odd, even], needed[even, odd], needed[odd, odd]
        across |= _bends(field[odd, even], values[:-1], values[1:], m)
        down |= _bends(field[even, odd], values[:, :-1], values[:, 1:], m)
        rows, columns = np.indices(centres.shape, sparse=True)
        falling = (rows + columns) % 2 == 0  # which way the square's diagonal runs
        one_end = np.where(falling, values[:-1, :-1], values[:-1, 1:])
        other_end = np.where(falling, values[1:, 1:], values[1:, :-1])
        centres |= _bends(field[odd, odd], one_end, other_end, m)
        centres |= across[:, :-1] | across[:, 1:] | down[:-1] | down[1:]
        # a square's centre needs its two right angles: the corners with one odd coordinate, in units of 2m
        padded = np.pad(centres, 1)  # the outermost corners have no neighbours beyond
        around = padded[:-1, :-1] | padded[1:, :-1] | padded[:-1, 1:] | padded[1:, 1:]  # at multiples of 2m
        needed[2 * m :: 4 * m, :: 4 * m] |= around[1::2, ::2]
        needed[:: 4 * m, 2 * m :: 4 * m] |= around[::2, 1::2]
        m *= 2
    return needed


def _bends(middle: NDArray[np.float32], one_end: NDArray[np.float32], other_end: NDArray[np.float32], m: int):
    """Where the outline, between two ends, is not where a straight line would have it."""
    line = (one_end + other_end) / 2
    crossed = (one_end > 0) != (other_end > 0)
    if m <= STRAIGHT:
        crossed &= np.abs(middle - line) > TOLERANCE
    return crossed | ((middle > 0) != (line > 0))


def _cut(field: NDArray[np.float32], corners: Ints) -> Silhouette:
    """What lies inside of each triangle, in grid units."""
    width = field.shape[1]
    values = field.ravel()
    inside = values[corners] > 0  # [T, 3]
    count = inside.sum(1)
    whole = corners[count == 3]
    # turn the odd corner out to the front, keeping the order round the triangle
    tips = _rolled(corners[count == 1], inside[count == 1])
    stumps = _rolled(corners[count == 2], ~inside[count == 2])

    def key(i: Ints, o: Ints) -> Ints:  # an edge from an inside to an outside corner
        return i * len(values) + o

    cuts = np.concatenate([
        key(tips[:, 0], tips[:, 1]), key(tips[:, 0], tips[:, 2]),
        key(stumps[:, 1], stumps[:, 0]), key(stumps[:, 2], stumps[:, 0]),
    ])  # fmt: skip
    edges, where = np.unique(cuts, return_inverse=True)
    i, o = edges // len(values), edges % len(values)
    share = np.clip(values[i] / (values[i] - values[o]), 0.05, 0.95)[:, None]  # no slivers of no area
    used, inverse = np.unique(np.concatenate([whole.ravel(), tips[:, 0], stumps[:, 1], stumps[:, 2]]), return_inverse=True)

    def place(index: Ints) -> Floats:
        return np.stack([index % width, index // width], -1).astype(np.float64)

    points = np.concatenate([place(used), place(i) * (1 - share) + place(o) * share])
    t, s = len(tips), len(stumps)
    whole_at, tip, left, right = np.split(inverse, np.cumsum([whole.size, t, s]))
    tip_1, tip_2, left_0, right_0 = np.split(where + len(used), np.cumsum([t, t, s]))
    triangles = np.concatenate([
        whole_at.reshape(-1, 3),
        np.stack([tip, tip_1, tip_2], 1),
        np.stack([left_0, left, right], 1),
        np.stack([left_0, right, right_0], 1),
    ])  # fmt: skip
    rim = np.concatenate([np.stack([tip_1, tip_2], 1), np.stack([right_0, left_0], 1)])
    a, b, c = (points[triangles[:, k]] for k in range(3))
    assert_positive = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    if assert_positive.sum() < 0:
        triangles = triangles[:, ::-1]
        rim = rim[:, ::-1]
    return Silhouette(points, triangles, len(used), rim)


def _rolled(corners: Ints, odd_one: NDArray[np.bool_]) -> Ints:
    first = odd_one.argmax(1)[:, None]
    return np.take_along_axis(corners, (first + np.arange(3)) % 3, 1)
