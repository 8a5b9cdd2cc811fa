"""From a network's depth to a relief of the object where it stands (specs/invs.md, section 3).

Networks tell metres of a scene that they imagine round a cut-out; what counts is the shape. So the object's median is
brought to where its front belongs, all else by the same factor.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import TurnaroundError

Plane = NDArray[Any]  # float32; OpenCV's type stubs promise less

RIM_SHARE = 3 / 512  # of the side: where a network's depth is half the object's, half the backdrop's
OUTLIER_MADS = 3.0  # depths further from the median, in median deviations, are drawn in
# Where the axis runs, behind the median of what the photo shows, in the object's narrower side. A ball's middle is 0.41
# behind it, that of a box seen from the front 0.5, from a corner less: over a ball and four models from six sides, true
# depths come out least wrong at 0.35 to 0.4, and at 0.35 more of what is moved by 60 degrees lies on the object
USUAL_PIVOT = 0.35
LEAST_KNOWN = 50  # pixels, by which a depth can be fitted
MUCH = 0.1  # of the object
MOST_RELIEF = 0.5  # world units before or behind the front: the object's longest side is 1


def relief(
    metres: Plane, alpha: NDArray[np.uint8], distance: float, gain: float, pivot: float, *, guessed: bool = True
) -> Plane:
    """[S, S] along the photo camera's z in world units, 0 where nothing is. `metres` of zero are unknown.

    What a network has `guessed` has outliers, which are drawn in; what was measured has not.

    `distance` is the camera's from the object's middle. `gain` is how strong the relief is: 1 as the network tells,
    0 flat. `pivot` is how far behind the median of what is seen the turning axis runs, in widths of the object's
    narrower side: 0.41 is a ball's middle, and 0.5 that of a box as deep as that.
    """
    inside = alpha > edge_level(alpha)
    if not inside.any():
        raise TurnaroundError("The cut-out is empty, so it has no depth. Choose another photo or remover.")
    known = inside & (metres > 0)
    if not known.any():
        raise TurnaroundError("Nothing is known of how deep the object is. Choose another depth.")
    margin = max(1, round(RIM_SHARE * len(alpha)))
    sure = known & (cv2.erode(inside.astype(np.uint8), np.ones((2 * margin + 1,) * 2, np.uint8)) > 0)
    if not sure.any():
        sure = known
    median = float(np.median(metres[sure]))
    if guessed:
        reach = OUTLIER_MADS * 1.4826 * float(np.median(np.abs(metres[sure] - median)))
        metres = np.clip(metres, median - reach, median + reach)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    height, width = float(np.ptp(rows)) + 1, float(np.ptp(columns)) + 1
    front = distance - pivot * min(height, width) / max(height, width)
    raised = front * (1 + gain * (metres / max(median, 1e-6) - 1))
    raised = np.clip(raised, front - MOST_RELIEF, front + MOST_RELIEF)
    return np.where(inside, from_nearest(raised, sure), 0).astype(np.float32)


def is_cut_off(raised: Plane) -> bool:
    """Whether much of a relief reaches further than an object does, and was held back."""
    inside = raised[raised > 0]
    ends = (inside == inside.max()) | (inside == inside.min())
    return bool(np.ptp(inside) >= MOST_RELIEF and ends.mean() > MUCH)


def edge_level(alpha: NDArray[Any]) -> float:
    """From which alpha on something is there: glass and smoke never reach one half."""
    full = 255 if alpha.dtype == np.uint8 else 1
    return min(full / 2, float(alpha.max()) / 2)


def from_nearest(values: Plane, sure: NDArray[np.bool_]) -> Plane:
    """Where it is not sure, the value of the nearest place that is."""
    _, labels = cv2.distanceTransformWithLabels(
        (~sure).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = np.asarray(labels, np.intp)
    of_label = np.zeros(int(labels.max()) + 1, np.float32)
    of_label[labels[sure]] = values[sure]
    return np.where(sure, values, of_label[labels])


def fitted_to(there: Plane, known: Plane, where: NDArray[np.bool_]) -> Plane:
    """A view's depth [S, S], whatever its unit, scaled and moved to what is known of it in some places [S, S].

    Robustly: where the network and the known depth disagree most, the known one is often another surface.
    """
    sample, wanted = there[where].astype(np.float64), known[where].astype(np.float64)
    if len(sample) < LEAST_KNOWN:
        return np.zeros_like(there)
    middle, target = np.median(sample), np.median(wanted)
    spread, wanted_spread = np.median(np.abs(sample - middle)), np.median(np.abs(wanted - target))
    scale = wanted_spread / spread if spread > 1e-6 * max(1.0, abs(middle)) else 0.0
    return (target + scale * (there - middle)).clip(target - MOST_RELIEF, target + MOST_RELIEF)
