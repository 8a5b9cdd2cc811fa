"""From an accepted photo to the subject: what the page, the command line and the API call.

In two steps, since the first may take a network some seconds, and the second, which follows each stroke and each move
of a slider, does not: `find_alpha`, then `frame`. `prepare` is both.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import DEFAULT_FILL
from pipelines.core.depth_map import DepthMap, check_fits
from pipelines.core.errors import TurnaroundError
from pipelines.core.images import Photo
from pipelines.core.mask import Repair, check_feather, check_repair, has_useful_alpha
from pipelines.core.subject import (
    ALPHA,
    NONE,
    Subject,
    bleed,
    check_elevation,
    check_fill,
    make_subject,
)
from pipelines.runtime.method import Report
from pipelines.runtime.removers import OUTLINE, REMOVERS, remove_background
from pipelines.runtime.settings import Settings

AUTO = "auto"


class Found(NamedTuple):
    """What a remover found in a photo, before anyone repaired it. Without an object in it, it still is an answer."""

    alpha: NDArray[np.uint8]
    """[H, W], read-only. Removers themselves answer in 8 bits, and so does the finished subject."""
    remover: str
    """What was used: never "auto"."""


def prepare(
    photo: Photo,
    *,
    remover: str = AUTO,
    elevation_deg: float = 0.0,
    fill: float = DEFAULT_FILL,
    feather: float = 0.0,
    repair: Repair | None = None,
    depth: DepthMap | None = None,
    settings: Settings,
    report: Report | None = None,
) -> Subject:
    """The cut-out that every method sees.

    "auto" keeps an alpha that cuts something out, and else takes the remover that needs no download: it never fetches
    anything, and gives the same answer on every machine. "alpha" insists on the photo's own. "none" takes the whole
    picture as the subject. A remover chosen by name is used or refused in words, never replaced. `Subject.made.remover`
    says what was used.
    """
    report = report or Report()
    check_remover(remover)
    check_elevation(elevation_deg)
    check_fill(fill)
    check_feather(feather)
    if repair is not None:
        check_repair(repair, photo.rgba.shape[1::-1])
    if depth is not None:
        check_fits(depth, photo.rgba.shape[1::-1])
    found = find_alpha(photo, remover, settings, report)
    return frame(
        photo,
        *found,
        elevation_deg=elevation_deg,
        fill=fill,
        feather=feather,
        repair=repair,
        depth=depth,
        report=report,
    )


def find_alpha(photo: Photo, remover: str, settings: Settings, report: Report | None = None) -> Found:
    """What the remover, chosen as in `prepare`, takes for the object; refused only if it cannot look at all."""
    report = report or Report()
    check_remover(remover)
    own = photo.rgba[..., 3]
    useful = has_useful_alpha(own)
    if remover == AUTO:
        remover = ALPHA if useful else OUTLINE
    elif remover == ALPHA and own.min() == 255:
        raise TurnaroundError("This photo has no transparency of its own. Choose another background remover, or auto.")
    alpha = own
    if remover not in (ALPHA, NONE):
        with report.stage("remove the background"):
            share = remove_background(_seen_by_remover(photo.rgba, useful), remover, settings, report)
        # An alpha that cuts nothing out may be a ghostly veil over all of the photo; only its holes are heeded.
        allowed = own if useful else np.where(own > 0, np.uint8(255), np.uint8(0))
        alpha = np.rint(share.clip(0, 1) * allowed).astype(np.uint8)
    alpha = alpha.view()
    alpha.flags.writeable = False
    return Found(alpha, remover)


def frame(
    photo: Photo,
    alpha: NDArray[np.uint8],
    remover: str,
    *,
    elevation_deg: float = 0.0,
    fill: float = DEFAULT_FILL,
    feather: float = 0.0,
    repair: Repair | None = None,
    depth: DepthMap | None = None,
    report: Report | None = None,
) -> Subject:
    """The subject that a found alpha, with its remover, marks on its photo: `frame(photo, *found, fill=0.7)`.

    Where nothing was found, what a visitor painted in makes the subject alone.
    """
    report = report or Report()
    with report.stage("frame the subject"):
        report(0.9, "Framing the object")
        return make_subject(
            photo,
            alpha.astype(np.float32) / 255,
            remover,
            elevation_deg=elevation_deg,
            fill=fill,
            feather=feather,
            repair=repair,
            depth=depth,
        )


def check_remover(key: object) -> str:
    if key not in (AUTO, ALPHA, NONE, *REMOVERS):
        known = ", ".join((AUTO, ALPHA, NONE, *REMOVERS))
        raise TurnaroundError(f"There is no background remover {str(key)[:40]!r}. Choose one of: {known}.")
    return str(key)


def _seen_by_remover(rgba: NDArray[np.uint8], useful: bool) -> NDArray[np.uint8]:
    """The photo without its alpha: a cut-out on black or white, where it stands out more; else with holes filled."""
    alpha = rgba[..., 3]
    rgb = rgba[..., :3]
    if useful:
        dark = rgb[alpha > 127].mean() < 128
        share = alpha[..., None] / np.float32(255)
        return np.rint(rgb * share + (255 if dark else 0) * (1 - share)).astype(np.uint8)
    if alpha.min() > 0:
        return np.ascontiguousarray(rgb)
    filled = bleed(rgb.astype(np.float32), (alpha > 0).astype(np.float32))
    return np.rint(filled.clip(0, 255)).astype(np.uint8)
