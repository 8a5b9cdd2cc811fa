"""Measure background removers: cut-outs with a true alpha are put on made-up backgrounds and cut out again.

    python -m bench.removers [FOLDER] [--removers outline u2netp ...] [--data DIR] [--save DIR]

FOLDER holds RGBA pictures; without it, the app's own cut-out examples serve. A remover with a model needs its file,
which is fetched as the app would. IoU is of the masks at one half; "edge" is the mean error of alpha within 4 px of the
true contour.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.core.mask import has_useful_alpha
from pipelines.runtime.method import Report
from pipelines.runtime.removers import REMOVERS, remove_background
from pipelines.runtime.settings import read_settings

Colours = NDArray[Any]  # uint8, [H, W, 3] or [H, W, 4]
Plane = NDArray[Any]  # float32
LONGEST_PX = 1024
EXAMPLES = Path(__file__).resolve().parent.parent / "assets" / "examples"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=EXAMPLES)
    parser.add_argument("--removers", nargs="+", choices=sorted(REMOVERS), default=["outline"])
    parser.add_argument("--data", type=Path, help="where models are kept")
    parser.add_argument("--save", type=Path, help="write each composite and its cut-out on magenta here")
    asked = parser.parse_args()
    settings = read_settings()
    if asked.data:
        settings = dataclasses.replace(settings, data=asked.data)
    for key in asked.removers:
        print(f"\n{REMOVERS[key].title}")
        print(f"{'photo':<16}" + "".join(f"{name:>11}" for name in BACKGROUNDS) + "    (IoU)   edge    s")
        table = []
        for path in sorted(asked.folder.iterdir()):
            rgba = read(path)
            if rgba is None:
                continue
            row = []
            for name, make in BACKGROUNDS.items():
                composite = make(rgba, np.random.default_rng(len(row)))
                start = time.perf_counter()
                alpha = remove_background(composite, key, settings, Report())
                seconds = time.perf_counter() - start
                row.append((*compare(alpha, rgba[..., 3] / np.float32(255)), seconds))
                if asked.save:
                    save(asked.save / f"{path.stem}-{name}-{key}.png", composite, alpha)
            table.append(row)
            show(path.stem, row)
        show("mean", np.mean(table, axis=0))
        show("worst", [(*np.min(table, axis=0)[i, :1], *np.max(table, axis=0)[i, 1:]) for i in range(len(BACKGROUNDS))])


def read(path: Path) -> Colours | None:
    try:
        picture = Image.open(path).convert("RGBA")
    except OSError:
        return None
    picture.thumbnail((LONGEST_PX, LONGEST_PX))
    rgba = np.asarray(picture)
    return rgba if has_useful_alpha(rgba[..., 3]) else None


def compare(alpha: Plane, truth: Plane) -> tuple[float, float]:
    found, real = alpha >= 0.5, truth >= 0.5
    iou = np.count_nonzero(found & real) / max(1, np.count_nonzero(found | real))
    contour = cv2.morphologyEx(real.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    band = cv2.dilate(contour, np.ones((9, 9), np.uint8)) > 0
    return iou, float(np.abs(alpha - truth)[band].mean())


def show(name: str, row: object) -> None:
    values = np.asarray(row)  # [backgrounds, (iou, edge, seconds)]
    cells = "".join(f"{iou:>11.3f}" for iou in values[:, 0])
    print(
        f"{name:<16}{cells}{values[:, 0].mean():>9.3f}{values[:, 1].mean():>7.3f}{values[:, 2].mean():>6.2f}",
        flush=True,
    )


def save(path: Path, composite: Colours, alpha: Plane) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    magenta = np.array([255, 0, 255], np.float32)
    cut = composite * alpha[..., None] + magenta * (1 - alpha[..., None])
    Image.fromarray(np.hstack([composite, cut.astype(np.uint8)])).save(path)


# --- Backgrounds ------------------------------------------------------------------------------------------------------


def over(rgba: Colours, background: Plane) -> Colours:
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.rint(rgba[..., :3] * alpha + background.clip(0, 255) * (1 - alpha)).astype(np.uint8)


def colour(random: np.random.Generator) -> Plane:
    """Walls, tables and paper: mostly light, hardly saturated."""
    return (random.uniform(90, 245) + random.uniform(-35, 35, 3)).astype(np.float32)


def white(rgba: Colours, random: np.random.Generator) -> Colours:
    return over(rgba, np.full((*rgba.shape[:2], 3), 255, np.float32))


def plain(rgba: Colours, random: np.random.Generator) -> Colours:
    return over(rgba, np.broadcast_to(colour(random), (*rgba.shape[:2], 3)))


def gradient(rgba: Colours, random: np.random.Generator) -> Colours:
    height, width = rgba.shape[:2]
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    turn = random.uniform(0, 2 * np.pi)
    ramp = (0.5 + (x - 0.5) * np.cos(turn) + (y - 0.5) * np.sin(turn))[..., None]
    return over(rgba, colour(random) * (1 - ramp) + colour(random) * ramp)


def horizon(rgba: Colours, random: np.random.Generator) -> Colours:
    """A table before a wall, with light falling off."""
    height, width = rgba.shape[:2]
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    below = (1 / (1 + np.exp((random.uniform(0.5, 0.75) - y).clip(-0.3, 0.3) * 150)))[..., None]
    light = (1.1 - 0.35 * np.hypot(x - 0.3, y - 0.2))[..., None]
    return over(rgba, (colour(random) * (1 - below) + colour(random) * below) * light)


def textured(rgba: Colours, random: np.random.Generator) -> Colours:
    """Plaster, carpet: noise at many scales, tinted."""
    height, width = rgba.shape[:2]
    return over(
        rgba, colour(random) + 22 * _noise(height, width, random)[..., None] + random.normal(0, 6, (height, width, 1))
    )


def tiles(rgba: Colours, random: np.random.Generator) -> Colours:
    """Bricks or planks: two tones in rows, with joints."""
    height, width = rgba.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    high, wide = height // 9, width // 5
    row = y // high
    shifted = x + (row % 2) * wide // 2
    joints = ((y % high < 4) | (shifted % wide < 4))[..., None]
    tone = random.normal(0, 14, (height // high + 2, (width * 2) // wide + 2))[row, shifted // wide][..., None]
    base = colour(random)
    return over(rgba, np.where(joints, base * 0.7, base + tone) + 8 * _noise(height, width, random)[..., None])


def shadow(rgba: Colours, random: np.random.Generator) -> Colours:
    """A gradient with a soft shadow beside the object, camera noise, and JPEG's blocks."""
    height, width = rgba.shape[:2]
    shade = cv2.GaussianBlur(rgba[..., 3].astype(np.float32) / 255, (0, 0), 0.03 * height)
    shift = np.array([[1, 0, 0.05 * width], [0, 1, 0.06 * height]], np.float32)
    shade = cv2.warpAffine(shade, shift, (width, height))[..., None]
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    background = (colour(random) * (1 - ramp) + colour(random) * ramp) * (1 - 0.45 * shade)
    noisy = over(rgba, background) + random.normal(0, 5, (*rgba.shape[:2], 3))
    _, coded = cv2.imencode(".jpg", np.rint(noisy.clip(0, 255)).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))


def _noise(height: int, width: int, random: np.random.Generator) -> Plane:
    total = np.zeros((height, width), np.float32)
    for cells in (4, 8, 16, 32, 64, 128):
        grid = random.normal(0, 1, (cells, cells)).astype(np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * (8 / cells) ** 0.35
    return total / total.std()


BACKGROUNDS: dict[str, Callable[[Colours, np.random.Generator], Colours]] = {
    "white": white,
    "plain": plain,
    "gradient": gradient,
    "horizon": horizon,
    "textured": textured,
    "tiles": tiles,
    "shadow": shadow,
}


if __name__ == "__main__":
    main()
