"""From an accepted photo to the subject: the one function that the page, the command line and the API call."""

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import DEFAULT_FILL
from pipelines.core.errors import TurnaroundError
from pipelines.core.images import Photo
from pipelines.core.subject import (
    ALPHA,
    NONE,
    Subject,
    bleed,
    check_elevation,
    check_fill,
    has_useful_alpha,
    make_subject,
)
from pipelines.runtime.method import Report
from pipelines.runtime.removers import OUTLINE, REMOVERS, remove_background
from pipelines.runtime.settings import Settings

AUTO = "auto"


def prepare(
    photo: Photo,
    *,
    remover: str = AUTO,
    elevation_deg: float = 0.0,
    fill: float = DEFAULT_FILL,
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
    own = photo.rgba[..., 3]
    useful = has_useful_alpha(own)
    if remover == AUTO:
        remover = ALPHA if useful else OUTLINE
    elif remover == ALPHA and own.min() == 255:
        raise TurnaroundError("This photo has no transparency of its own. Choose another background remover, or auto.")
    alpha = own.astype(np.float32) / 255
    if remover not in (ALPHA, NONE):
        with report.stage("remove the background"):
            found = remove_background(_seen_by_remover(photo.rgba, useful), remover, settings, report)
        # An alpha that cuts nothing out may be a ghostly veil over all of the photo; only its holes are heeded.
        alpha = found * (alpha if useful else (alpha > 0).astype(np.float32))
    with report.stage("frame the subject"):
        report(0.9, "Framing the object")
        return make_subject(photo, alpha, remover, elevation_deg=elevation_deg, fill=fill)


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
