"""What an inpainter for iNVS learns from: pairs of views of 3D models, rendered when they are needed.

Each pair has a number, and a number is always the same pair: so training can be taken up where it was broken off, and
several processes need only share out the numbers.

The cameras are those that the method runs with, our lens of 33.8 degrees at the distance where the object fills its
share of the frame, not SPAD's (specs/invs.md, section 2: 40.3 degrees at 3.5 units): with another lens, views would be
learned in a perspective that no visitor's has. That lens never changes, so of the jitter that the recipe asks for there
is only the distance's, as a share of the frame between two bounds.
"""

import hashlib
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import View, intrinsics, photo_distance, world_from_camera, wrap_azimuth
from pipelines.core.errors import TurnaroundError
from pipelines.core.mask import contour_box
from pipelines.core.mesh import Mesh, load_mesh
from pipelines.core.raster import Renderer
from pipelines.core.subject import Making, Subject
from pipelines.invs.depth import told_by
from pipelines.invs.inpainting import on_white
from pipelines.invs.partial import Partial, partials, photo_sheet

if TYPE_CHECKING:
    from pipelines.invs.loading import DepthNetwork

log = logging.getLogger(__name__)
FORMATS = (".glb", ".obj", ".ply")
FILLS = (0.6, 0.85)  # of the frame, by the object: stands for nearer and further cameras
ELEVATIONS_DEG = (-15.0, 45.0)
TURNS_DEG = (5.0, 180.0)  # from the one view to the other
# specs/invs.md, sections 6 and 8: networks' depth is wrong, so that of training is wrong as well, half of the time
WRONG_SHARE, SCALES, RELIEF_NOISE, NOISE_CELLS = 0.5, (0.9, 1.1), 0.03, 6
KEPT_MODELS = 16
HELD_OUT = 10  # one in so many
OUTLINE_PX, OUTLINE_FILL = 256, 0.4  # where it is measured at first: boxes are up to 1.7 times as long as their sides
LEAST_OUTLINE = 0.5  # of the longest side: a rod seen from its end would reach up to the camera

_UNREADABLE = set[Path]()  # by this process; each is told of once


@dataclass(frozen=True, eq=False)
class Pair:
    partial: Partial
    """What the source view shows of the target, [S, S]."""
    truth: NDArray[np.uint8]
    """The target on white, [S, S, 3]."""
    inside: NDArray[np.bool_]
    """[S, S]: where the target has the object."""


class Pairs:
    """`pairs[number]`; any number, in any order, in any process."""

    def __init__(
        self,
        models: Sequence[Path],
        size_px: int,
        seed: int,
        turns_deg: tuple[float, float] = TURNS_DEG,
        network: "DepthNetwork | None" = None,
    ):
        """`network` tells some depths, as it would those of a visitor's photo; without one, these get noise."""
        self._models, self._size_px, self._seed, self._network = list(models), size_px, seed, network
        self.turns_deg = turns_deg

    def __getitem__(self, number: int) -> Pair:
        import torch

        chance = np.random.default_rng((self._seed, number))
        model = self.some_model(chance)
        fill = float(chance.uniform(*FILLS))
        source = View(0, float(chance.uniform(*ELEVATIONS_DEG)))
        turn_deg = float(chance.uniform(*self.turns_deg)) * (1 if chance.random() < 0.5 else -1)
        target = View(wrap_azimuth(turn_deg), float(chance.uniform(*ELEVATIONS_DEG)))
        spin_deg = float(chance.uniform(-180, 180))  # which side of the model is its photo's front
        size_px, distance = self._size_px, photo_distance(fill)

        renderer = _as_a_photo_shows_it(model, _spun(source, spin_deg), fill)
        shown = renderer.render(_spun(source, spin_deg), distance, 2 * size_px, supersample=1)
        true = renderer.render(_spun(target, spin_deg), distance, size_px)
        making = Making("", (2 * size_px, 2 * size_px), "alpha", (0, 0, 2 * size_px, 2 * size_px))
        subject = Subject(shown.rgba, making, source.elevation_deg, fill)
        depth = shown.depth
        if chance.random() < WRONG_SHARE:
            network = self._network
            depth = told_by(network, subject) if network else _noisy(shown.depth, distance, chance)
        cpu = torch.device("cpu")
        sheet = photo_sheet(subject, depth, size_px, cpu)
        (partial,) = partials([sheet], subject, depth, [target], size_px, cpu)
        return Pair(partial, on_white(true.rgba), true.rgba[..., 3] > 127)

    def some_model(self, chance: np.random.Generator) -> Renderer:
        """A damaged file is passed over, by all who come to this number alike."""
        for i in chance.permutation(len(self._models)):
            model = self._models[int(i)]
            if model in _UNREADABLE:
                continue
            try:
                return _renderer(model)
            except TurnaroundError as problem:
                _UNREADABLE.add(model)
                log.warning("%s is left out: %s", model, problem)
        named = ", ".join(path.name for path in self._models[:3])
        more = f" and {len(self._models) - 3} more" if len(self._models) > 3 else ""
        raise TurnaroundError(f"None of these 3D models can be read: {named}{more}. Put others in their place.")


def models_in(folder: Path) -> list[Path]:
    models = sorted(path for path in folder.rglob("*") if path.suffix.lower() in FORMATS)
    if not models:
        raise TurnaroundError(f"There are no 3D models in {folder}: none of {', '.join(FORMATS)} was found.")
    return models


def parted(models: Sequence[Path], folder: Path) -> tuple[list[Path], list[Path]]:
    """To learn from, and to judge by. One in ten is held out, by its name: so more models in the folder never make one
    held out that was learned from. Where that leaves one side empty, both are all of them.
    """
    sides: tuple[list[Path], list[Path]] = [], []
    for path in models:
        name = path.relative_to(folder).as_posix()
        sides[hashlib.sha256(name.encode()).digest()[0] < 256 / HELD_OUT].append(path)
    learned, held_out = sides
    return learned or list(models), held_out or list(models)


@lru_cache(maxsize=KEPT_MODELS)
def _renderer(path: Path) -> Renderer:
    mesh: Mesh = load_mesh(path)
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    centred = (mesh.vertices - (low + high) / 2) / max(float((high - low).max()), 1e-9)
    return Renderer(replace(mesh, vertices=centred.astype(np.float32)))


def _as_a_photo_shows_it(model: Renderer, source: View, fill: float) -> Renderer:
    """As the world is when all there is is a photo: its centre in the middle of the outline that is seen from there,
    whose longest side is 1. That changes what is seen, so it is measured again, from where the pair is seen.
    """
    for distance in (photo_distance(OUTLINE_FILL), *[photo_distance(fill)] * 2):
        alpha = model.render(source, distance, OUTLINE_PX, supersample=1).rgba[..., 3]
        if not alpha.any():
            return model
        left, top, right, bottom = contour_box(alpha / 255, 0.5)
        unit = distance / intrinsics(OUTLINE_PX)[0, 0]  # of the world, a pixel at the centre's depth
        pose = world_from_camera(source, distance)
        across, down = ((left + right - OUTLINE_PX) / 2 * unit, (top + bottom - OUTLINE_PX) / 2 * unit)
        longest = max(LEAST_OUTLINE, max(right - left, bottom - top) * unit)
        model = model.moved(-(pose[:3, 0] * across + pose[:3, 1] * down), 1 / longest)
    return model


def _spun(view: View, spin_deg: float) -> View:
    return replace(view, azimuth_deg=wrap_azimuth(view.azimuth_deg + spin_deg))


def _noisy(depth: NDArray[np.float32], distance: float, chance: np.random.Generator) -> NDArray[np.float32]:
    """As a network might tell it: a little too flat or too deep, and with dents that are none."""
    scale = float(chance.uniform(*SCALES))
    dents = chance.normal(0, RELIEF_NOISE, (NOISE_CELLS, NOISE_CELLS)).astype(np.float32)
    smooth = cv2.resize(dents, depth.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.where(depth > 0, distance + scale * (depth - distance) + smooth, 0).clip(0, math.inf).astype(np.float32)
