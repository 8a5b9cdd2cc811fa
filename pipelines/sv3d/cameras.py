"""SV3D's own cameras: 21 of them round the object, the last of which is the photo's.

Elevations are absolute, as ours. Azimuths are relative to the photo and grow from frame to frame by 360 degrees in all,
as ours do (`SENSE`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipelines.core.cameras import View, angle_between, turn_between, wrap_azimuth

FRAMES = 21
# Of growing azimuths: 1 is counter-clockwise, seen from above, as in the authors' plots. No weights were at hand to see
# it (specs/sv3d.md, 1.5); TURNAROUND_SV3D_SENSE=clockwise turns it round.
SENSE = 1
SINE_DEG = 30.0  # SV3D, section 4: the orbit that 3D objects are made from
HIGHEST_DEG = 89.0  # SV3D, appendix B: elevations are clamped there
# Of the dynamic orbits that it was trained on: 10 degrees of amplitude, up to 4 times round in 21 frames. Steeper than
# that from frame to frame it has not seen much.
STEEPEST_DEG = 12.0
WIDEST_TIMES = 2.0  # SV3D, appendix B: azimuths there go on by up to twice the even step
# SV3D, appendix B, and the authors' demo: 84 cameras, of which each 4th is kept
FINE, LEAST_SWING_DEG, MOST_SWING_DEG, MOST_PERIODS, SMOOTHED = 84, 0.5, 10.0, 4, 5
TRIES = 20
PATHS = ("as asked", "level orbit", "sine", "dynamic")


@dataclass(frozen=True)
class Path:
    """Where the frames are seen from, in SV3D's order."""

    azimuths_deg: tuple[float, ...]
    """Never falling, below 360, and 0 for the last."""
    elevations_deg: tuple[float, ...]

    def views(self, clockwise: bool = False) -> tuple[View, ...]:
        sense = -SENSE if clockwise else SENSE
        pairs = zip(self.azimuths_deg, self.elevations_deg, strict=True)
        return tuple(View(wrap_azimuth(sense * azimuth), elevation) for azimuth, elevation in pairs)

    def conditions_rad(self) -> tuple[list[float], list[float]]:
        """Polar angles and azimuths as the network is told them."""
        polars = [math.radians(90 - elevation) for elevation in self.elevations_deg]
        last = self.azimuths_deg[-1]
        return polars, [math.radians((azimuth - last) % 360) for azimuth in self.azimuths_deg]


def evenly(count: int = FRAMES) -> tuple[float, ...]:
    return tuple(360 * (i + 1) / count % 360 for i in range(count))


def level(elevation_deg: float, count: int = FRAMES) -> Path:
    return Path(evenly(count), (elevation_deg,) * count)


def sine(elevation_deg: float, count: int = FRAMES) -> Path:
    """Up and down once on the way round."""
    waves = [SINE_DEG * math.sin(math.radians(azimuth)) for azimuth in evenly(count)]
    return Path(evenly(count), (*(_clamped(elevation_deg + wave) for wave in waves[:-1]), elevation_deg))


def dynamic(elevation_deg: float, seed: int, count: int = FRAMES) -> Path:
    """As those that it was trained on: the elevation a sum of waves, the azimuth in uneven steps."""
    chance, fine = np.random.default_rng(seed), FINE // FRAMES * count
    turns = 2 * np.pi * np.arange(fine) / fine
    for _ in range(TRIES):
        waves = chance.uniform(LEAST_SWING_DEG, MOST_SWING_DEG, (fine, 1)) * np.sin(
            turns * chance.integers(1, MOST_PERIODS + 1, (fine, 1)) + np.pi * chance.integers(0, 2, (fine, 1))
        )
        rise = np.asarray(waves.sum(axis=0))  # [fine], 0 where the photo is
        around = np.concatenate([rise[-(SMOOTHED // 2) :], rise, rise[: SMOOTHED // 2]])
        smooth = np.convolve(around, np.full(SMOOTHED, 1 / SMOOTHED), "valid")
        offsets = smooth - smooth[0]
        if np.abs(elevation_deg + offsets).max() < HIGHEST_DEG:
            break
    else:  # from high up few fit: the last, made flatter
        up, down = HIGHEST_DEG - elevation_deg, HIGHEST_DEG + elevation_deg
        offsets = offsets * max(0.0, min(1.0, up / max(offsets.max(), 1e-9), down / max(-offsets.min(), 1e-9)))
    elevations = np.asarray(elevation_deg + offsets)
    steps = chance.uniform(0, 2, fine)
    azimuths = 360 * np.concatenate([[0.0], np.cumsum(steps)[:-1]]) / steps.sum()
    every = fine // count
    order = [(i + 1) * every % fine for i in range(count)]  # the photo's last
    return Path(tuple(azimuths[order].tolist()), tuple(elevations[order].tolist()))


def through(asked: Sequence[View], elevation_deg: float, clockwise: bool = False, count: int = FRAMES) -> Path:
    """As near to the cameras asked for as it can come, beginning and ending with the photo.

    A single one is met exactly, and so is a flight once round that begins or ends with the photo and has just so many.
    Of others, the elevation is met where the way there, on and back is not too steep.
    """
    sense = -SENSE if clockwise else SENSE
    goals = sorted((sense * view.azimuth_deg % 360, view.elevation_deg) for view in asked)
    if len(set(goals)) == 1:
        return _over(*goals[0], elevation_deg, count)
    if len(goals) == count and goals[0] == (0, elevation_deg) and _goes_once_round(asked) and _is_smooth(goals):
        return Path(*zip(*goals[1:], goals[0], strict=True))
    azimuths = np.array([azimuth for azimuth, _ in goals])
    wanted = np.interp(evenly(count), azimuths, np.array([height for _, height in goals]), period=360)
    elevations, here = [], elevation_deg
    for i, height in enumerate(wanted.tolist()):
        back = STEEPEST_DEG * (count - 1 - i)  # as far as it can come back from in time
        low, high = max(here - STEEPEST_DEG, elevation_deg - back), min(here + STEEPEST_DEG, elevation_deg + back)
        here = min(max(height, low), high)
        elevations.append(here)
    return Path(evenly(count), tuple(elevations))


def _goes_once_round(asked: Sequence[View]) -> bool:
    """In the order that it is asked for, to one side all the time, and not beyond a whole turn."""
    turns = [wrap_azimuth(there.azimuth_deg - here.azimuth_deg) for here, there in pairwise(asked)]
    return (min(turns) >= 0 or max(turns) <= 0) and abs(sum(turns)) < 360


def _is_smooth(goals: Sequence[tuple[float, float]]) -> bool:
    """Once round in steps no larger than those that it was trained on."""
    around = np.array([*goals, (360, goals[0][1])])  # [cameras + 1, 2]
    turns, climbs = np.abs(np.diff(around, axis=0)).T
    is_steady = turns.max() <= WIDEST_TIMES * 360 / len(goals) and climbs.max() <= STEEPEST_DEG
    return bool(is_steady and np.abs(around[:, 1]).max() <= HIGHEST_DEG)


def nearest(view: View, asked: Sequence[View]) -> View:
    """The one in the nearest direction; straight above and below the one that is turned least."""

    def unlike(other: View) -> tuple[float, float, float]:
        return round(angle_between(view, other), 6), turn_between(view, other), abs(other.distance - view.distance)

    return min(asked, key=unlike)


def _over(azimuth_deg: float, height_deg: float, elevation_deg: float, count: int) -> Path:
    """Once round, one frame exactly there; the others on a smooth way up to it and back down."""
    if azimuth_deg == 0 and height_deg == elevation_deg:
        return level(elevation_deg, count)
    last = count - 1
    climb = min(math.ceil(abs(height_deg - elevation_deg) / STEEPEST_DEG), count // 2)
    goal = round(azimuth_deg * count / 360) - 1
    goal = min(max(goal, climb - 1, 0), last - max(climb, 1))
    # Azimuths evenly before it and after it
    frames = np.arange(count)
    azimuths = np.interp(frames, [-1, goal, last], [0, azimuth_deg, 360]) % 360
    before, after = (frames + 1) / (goal + 1), (last - frames) / (last - goal)
    share = np.sin(np.pi / 2 * np.where(frames <= goal, before, after)) ** 2
    elevations = np.clip(elevation_deg + (height_deg - elevation_deg) * share, -90, 90)  # rounding passes a pole
    return Path(tuple(azimuths.tolist()), tuple(elevations.tolist()))


def _clamped(elevation_deg: float) -> float:
    return min(max(elevation_deg, -HIGHEST_DEG), HIGHEST_DEG)
