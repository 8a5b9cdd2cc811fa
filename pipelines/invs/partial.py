"""What the photo shows of each view: its own pixels, moved; and which of the others may hold more of the object."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import View, photo_distance
from pipelines.core.subject import Subject, bleed
from pipelines.core.warp import Sheet, hidden, lifted, pinhole, splat
from pipelines.invs.relief import edge_level, from_nearest

if TYPE_CHECKING:
    import torch

SOURCE_TIMES = 2  # the photo's side over the view's: a turned surface is stretched, and text stays sharp
MOST_SOURCE_PX = 1024  # of a subject
BALL_RADIUS = 0.87  # world units, round a cube of side 1: how deep the object is, no photo tells
MASK_PX, LATENT_PX = 128, 64  # of the mask's side, and of an inpainter's latent
THICKER = MASK_PX // LATENT_PX  # of the mask's pixels: one of the latent's, as specs/invs.md, 6, has it
THIN_COVERAGE, FULL_COVERAGE = 0.25, 0.75  # between them, edges fade
GAP_SHARE = 1 / 48  # of the side: what is closed without an inpainter
SEAM_SHARE = 1 / 64  # of the side: how wide a soft edge may have become where the surface is stretched
TRACE = 1e-6  # of a seen pixel's weight
FEW_SHARE = 0.02  # of the object: less of it than this that is seen, specks mostly, does not colour all of the rest

TINT, LEAST_TINT = (255, 140, 0), 80  # orange

Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Partial:
    rgba: Picture
    """[S, S, 4]: the photo's own pixels as they are seen from there."""
    seen: NDArray[np.bool_]
    """[S, S]: where they are."""
    hidden: NDArray[np.floating]
    """[S, S] in 0..1: where there may be more of the object; the more, the more from behind it is seen."""
    depth: NDArray[np.float32] | None
    """[S, S] in world units along the camera's z; 0 where nothing is. None where nobody will ask for it."""


def photo_sheet(subject: Subject, depth: NDArray[np.float32], size_px: int, device: "torch.device") -> Sheet:
    """The photo in the world, for views of `size_px`; `depth` [D, D] is that of the photo's camera."""
    import torch

    side = min(MOST_SOURCE_PX, SOURCE_TIMES * size_px)
    rgba = resized(subject.rgba.astype(np.float32) / 255, side)
    # Beyond the outline the nearest depth, so that scaling does not mix it with nothing
    there = resized(from_nearest(depth, depth > 0), side) * (rgba[..., 3] > edge_level(rgba[..., 3]))
    camera = pinhole(View(0, subject.elevation_deg), photo_distance(subject.fill), side)
    values, planes = (torch.from_numpy(np.ascontiguousarray(each)).to(device) for each in (rgba, there))
    return lifted(values, planes, camera)


def partials(
    sheets: Sequence[Sheet],
    subject: Subject,
    depth: NDArray[np.float32],
    views: Sequence[View],
    size_px: int,
    device: "torch.device",
) -> list[Partial]:
    import torch

    distance = photo_distance(subject.fill)
    cameras = [pinhole(view, distance, size_px) for view in views]
    made = splat(sheets, cameras)
    source = pinhole(View(0, subject.elevation_deg), distance, len(depth))
    small = [camera.resized(MASK_PX) for camera in cameras]
    masks = hidden(torch.from_numpy(depth).to(device), source, small, BALL_RADIUS, thicker=THICKER)
    masks = torch.nn.functional.interpolate(masks[:, None], (size_px, size_px), mode="bilinear", align_corners=False)
    solid = ((made.coverage - THIN_COVERAGE) / (FULL_COVERAGE - THIN_COVERAGE)).clamp(0, 1)
    rgba = torch.cat([made.values[..., :3], (made.values[..., 3:] * solid[..., None])], dim=-1)
    bytes_ = (255 * rgba).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    return [
        Partial(picture, seen, mask, near)
        for picture, seen, mask, near in zip(
            bytes_, made.seen.cpu().numpy(), masks[:, 0].half().cpu().numpy(), made.depth.cpu().numpy(), strict=True
        )
    ]


def tinted(partial: Partial) -> Picture:
    """With what is still to be invented, the more strongly the more from behind it is seen."""
    strength = np.rint(LEAST_TINT + (255 - LEAST_TINT) * partial.hidden.astype(np.float32)).astype(np.uint8)
    tint = np.dstack([np.full((*strength.shape, 3), TINT, np.uint8), strength])
    return np.where((~partial.seen & (partial.hidden > 0))[..., None], tint, partial.rgba)


def filled(partial: Partial, outline: NDArray[np.floating], colour: NDArray[np.floating]) -> Picture:
    """What the photo does not show, in the colours around it: small gaps, and as far as `outline` [S, S] reaches.

    `colour` [3] in 0..1 is the one where nothing at all is seen.
    """
    reach = max(1, round(GAP_SHARE * len(partial.rgba)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    padded = cv2.copyMakeBorder(partial.seen.astype(np.uint8), reach, reach, reach, reach, cv2.BORDER_CONSTANT)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)[reach:-reach, reach:-reach]
    solid = np.maximum(closed, np.where(partial.hidden > 0, outline, 0))
    seen = partial.seen[..., None]
    known = np.where(seen, partial.rgba[..., :3] / np.float32(255), np.float32(colour))
    around = bleed(known, np.where(partial.seen, np.float32(1), np.float32(TRACE)))
    trusted = min(1.0, float(partial.seen.sum()) / max(1.0, FEW_SHARE * float(solid.sum())))
    around = trusted * around + (1 - trusted) * np.float32(colour)
    alpha = np.maximum(partial.rgba[..., 3], 255 * solid)
    # The photo's own edges stay as soft as they are, but for those that have become a seam
    gaps = (~partial.seen & (solid > 0.5)).astype(np.uint8)
    width = 2 * max(1, round(SEAM_SHARE * len(gaps))) + 1
    edge = partial.seen & (cv2.dilate(gaps, np.ones((width, width), np.uint8)) == 0)
    alpha = np.where(edge, partial.rgba[..., 3], alpha)
    rgb = np.where(seen, partial.rgba[..., :3], 255 * around)
    return np.rint(np.dstack([rgb, alpha])).clip(0, 255).astype(np.uint8)


def mean_colour(subject: Subject) -> NDArray[np.float32]:
    """[3] in 0..1"""
    rgba = subject.rgba.astype(np.float32) / 255
    return np.average(rgba[..., :3], axis=(0, 1), weights=rgba[..., 3]).astype(np.float32)


def resized(values: NDArray[np.floating], side: int) -> NDArray[np.float32]:
    if values.shape[0] == side:
        return values.astype(np.float32)
    how = cv2.INTER_AREA if values.shape[0] > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values.astype(np.float32), (side, side), interpolation=how), np.float32)
