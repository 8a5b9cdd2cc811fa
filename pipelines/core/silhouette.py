"""The silhouette as a flat triangulation: fine along the contour, coarse inside, cut at alpha one half.

Right triangles are halved at the middle of their longest side (the "4-8" scheme of terrain rendering) wherever the
contour needs it, and cut where it crosses them. A triangle has but three corners, so a cut is never ambiguous: whatever
the mask, its outline comes out as closed, simple loops, and every triangle has a corner inside.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import TurnaroundError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Field = NDArray[np.float32]
Flags = NDArray[np.bool_]

GRID = 1024  # cells a side, a power of two: about one a pixel of the subjects that the preparer makes
MARGIN = 1.25  # side of the grid over the longest side of the silhouette: the inverse of the usual fill, 0.8
BLUR_PX = 0.6  # of the subject's pixels: enough to round the steps of a hard mask, too little to lose a one-pixel line
CLEAR = 2e-3  # share of light below which a place is plainly outside, and plainly inside where so little is missing
COARSEST = 16  # half of the longest side of a triangle, in cells: a sixtieth of the frame, smooth to the eye
STRAIGHT = 2  # half of the longest side, in cells, that the contour may cross
TOLERANCE = 0.12  # how far that may take it from its place, in units of the edge's softness, which is about a cell
RIM_SHARE = (0.05, 0.95)  # of a side, where it may be cut: no triangle without area
MAX_POINTS = 40_000  # of the triangulation; a noisier mask is cut more coarsely. Photos need 5,000 to 12,000


@dataclass(frozen=True, eq=False)
class Silhouette:
    points: Floats
    """[V, 2], pixels of the subject's frame; those on the rim come last."""
    triangles: Ints
    """[T, 3], from x towards y."""
    inner: int
    """How many of the points lie inside."""


def trace(alpha: NDArray[np.uint8]) -> Silhouette:
    """The silhouette of an alpha channel [S, S]."""
    level = min(127.5, float(alpha.max()) / 2)  # glass and smoke never reach one half
    rows, columns = np.flatnonzero((alpha > level).any(1)), np.flatnonzero((alpha > level).any(0))
    if not len(rows):
        raise TurnaroundError("The cut-out is empty, so there is nothing to inflate. Choose another photo or remover.")
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    side = max(bottom - top, right - left) * MARGIN + 4
    step = side / GRID  # pixels a cell
    origin = np.array([left + right - side, top + bottom - side]) / 2
    soft = alpha.astype(np.float32) / np.float32(2 * level)
    finest = 1
    while True:
        field = _distances(soft, origin, step, finest)
        needed = _needed(field, finest)
        if np.count_nonzero(needed) <= MAX_POINTS or finest == COARSEST:
            break
        finest *= 2
    points, triangles, inner = _cut(field, _refined(field, needed))
    return Silhouette(points * step + origin, triangles, inner)


def _distances(alpha: Field, origin: Floats, step: float, finest: int) -> Field:
    """A field [GRID + 1, GRID + 1], positive where alpha exceeds one half and about linear across the contour.

    A soft edge is a Gaussian integral; its inverse is a distance in units of the softness.
    """
    from scipy.special import ndtri

    sigma = BLUR_PX * max(1.0, step * finest)
    down = _blurred_samples(alpha.shape[0], origin[1], step, sigma)
    across = _blurred_samples(alpha.shape[1], origin[0], step, sigma)
    blurred = down @ (across @ alpha.T).T
    blurred *= max(1.0, 0.75 / float(blurred.max()))  # something is left where all is thinner than the blur
    farthest = np.float32(ndtri(1 - CLEAR))
    field = np.where(blurred > 0.5, farthest, -farthest)
    near = (blurred > CLEAR) & (blurred < 1 - CLEAR)
    field[near] = ndtri(blurred[near])
    field[np.abs(field) < 1e-4] = -1e-4  # no corner lies on the contour itself
    return field


def _blurred_samples(size: int, origin: float, step: float, sigma: float) -> Any:
    """A sparse matrix [GRID + 1, size] that samples Gaussian-blurred pixels at the grid's corners."""
    from scipy.sparse import csr_array

    reach = int(np.ceil(3 * sigma))
    at = origin + np.arange(GRID + 1) * step  # pixel centres lie at halves
    taps = np.floor(at)[:, None].astype(int) + np.arange(-reach, reach + 1)  # [GRID + 1, K]
    weights = np.exp(-0.5 * ((taps + 0.5 - at[:, None]) / sigma) ** 2)
    weights /= weights.sum(1, keepdims=True)
    weights[(taps < 0) | (taps >= size)] = 0  # nothing beyond the frame
    rows = np.repeat(np.arange(GRID + 1), taps.shape[1])
    shape = (GRID + 1, size)
    return csr_array((weights.ravel().astype(np.float32), (rows, np.clip(taps, 0, size - 1).ravel())), shape=shape)


def _refined(field: Field, needed: Flags) -> Ints:
    """Corner indices [T, 3] into the flattened field, of the triangles that reach inside."""
    inside = field > 0
    n = GRID
    # (row, column) pairs; the first two corners are the ends of the longest side
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
    return corners[..., 0] * (n + 1) + corners[..., 1]


def _needed(field: Field, finest: int) -> Flags:
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
        count = np.arange(len(centres))
        falling = np.add.outer(count, count) % 2 == 0  # which way the square's diagonal runs
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


def _bends(middle: Field, one_end: Field, other_end: Field, m: int) -> Flags:
    """Where the outline, between two ends, is not where a straight line would have it."""
    line = (one_end + other_end) / 2
    crossed = (one_end > 0) != (other_end > 0)
    if m <= STRAIGHT:
        crossed &= np.abs(middle - line) > TOLERANCE
    return crossed | ((middle > 0) != (line > 0))


def _cut(field: Field, corners: Ints) -> tuple[Floats, Ints, int]:
    """Points and triangles of what lies inside, in grid units; and how many of the points are not on the rim."""
    values = field.ravel()
    inside = values[corners] > 0  # [T, 3]
    count = inside.sum(1)
    whole = corners[count == 3]
    tips = _odd_one_first(corners[count == 1], inside[count == 1])  # inside, outside, outside
    stumps = _odd_one_first(corners[count == 2], ~inside[count == 2])  # outside, inside, inside
    kept = np.concatenate([whole.ravel(), tips[:, 0], stumps[:, 1], stumps[:, 2]])
    crossed_in = np.concatenate([tips[:, 0], tips[:, 0], stumps[:, 1], stumps[:, 2]])
    crossed_out = np.concatenate([tips[:, 1], tips[:, 2], stumps[:, 0], stumps[:, 0]])
    kept, kept_at = np.unique(kept, return_inverse=True)
    sides, rim_at = np.unique(crossed_in * len(values) + crossed_out, return_inverse=True)
    start, end = np.divmod(sides, len(values))
    share = np.clip(values[start] / (values[start] - values[end]), *RIM_SHARE)[:, None]
    points = np.concatenate([_places(kept), _places(start) * (1 - share) + _places(end) * share])
    whole_at, tip, left, right = np.split(kept_at, np.cumsum([whole.size, len(tips), len(stumps)]))
    tip_left, tip_right, left_rim, right_rim = np.split(
        rim_at + len(kept), np.cumsum([len(tips), len(tips), len(stumps)])
    )
    triangles = [
        whole_at.reshape(-1, 3),
        np.stack([tip, tip_left, tip_right], 1),
        np.stack([left_rim, left, right], 1),
        np.stack([left_rim, right, right_rim], 1),
    ]
    return points, np.concatenate(triangles), len(kept)


def _odd_one_first(corners: Ints, odd_one: Flags) -> Ints:
    """Each triangle turned, not flipped."""
    first = odd_one.argmax(1)[:, None]
    return np.take_along_axis(corners, (first + np.arange(3)) % 3, 1)


def _places(index: Ints) -> Floats:
    row, column = np.divmod(index, GRID + 1)
    return np.stack([column, row], -1).astype(np.float64)
