"""How good an inpainter is that iNVS's training makes: by views of 3D models that are known."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.backdrop import opaque
from pipelines.core.files import disk_sentences, whole_file, write_whole
from pipelines.invs.inpainting import Sampling, composed, developed, draw, on_white, shown
from pipelines.invs.loading import Inpainter
from pipelines.invs.pairs import Pair, Pairs
from pipelines.invs.perceptual import Perceptual

STEPS, GUIDANCE = 20, 3.0


def table_file(out: Path, step: int) -> Path:
    return out / f"judged_{step:07d}.txt"


def judge(
    parts: Inpainter,
    ranges: Sequence[Pairs],
    count: int,
    whose: str,
    out: Path,
    step: int,
    perceptual: Perceptual | None = None,
) -> None:
    """A line of figures for each range of turns, by the first of its pairs, and a sheet to look at: partial, painted
    and true views.
    """
    from PIL import Image

    rows = list[NDArray[np.uint8]]()
    named = "PSNR    SSIM" + ("   LPIPS" if perceptual else "")
    table = [f"turn      {named}   ({whose}; PSNR and SSIM of the object and 4 px round it)"]
    for pairs in ranges:
        figures = list[tuple[float, ...]]()
        for number in range(count):
            pair = pairs[number]
            painted = _painted(parts, pair, number)
            figures.append(likeness(painted, pair, perceptual))
            rows.append(np.hstack([on_white(pair.partial.rgba), painted, pair.truth]))
        db, *others = np.mean(figures, axis=0)
        low, high = pairs.turns_deg
        table.append("  ".join([f"{f'{low:g}-{high:g}':8}", f"{db:6.2f}", *(f"{other:6.3f}" for other in others)]))
    text = "\n".join(table)
    print(text, flush=True)
    with disk_sentences("The figures could not be kept"):
        with whole_file(out / f"sheet_{step:07d}.png") as part:
            Image.fromarray(np.vstack(rows)).save(part)
        write_whole(table_file(out, step), (text + "\n").encode())  # last: it says that all of this step is there


def _painted(parts: Inpainter, pair: Pair, seed: int) -> NDArray[np.uint8]:
    """The target as the method would make it, on white."""
    told = shown(parts, [pair.partial], soft=True)
    latents = draw(parts, told, Sampling(STEPS, GUIDANCE, "", soft=True), [seed])
    (rgb,) = developed(parts, latents)
    rgba, _ = composed(pair.partial, opaque(rgb))
    return on_white(rgba)


def likeness(painted: NDArray[np.uint8], pair: Pair, perceptual: Perceptual | None = None) -> tuple[float, ...]:
    """PSNR in dB and SSIM where the object is and just round it; if it can be had LPIPS, with white all around."""
    import cv2
    from skimage.metrics import structural_similarity

    near = cv2.dilate(pair.inside.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    error = np.square(painted.astype(np.float64) - pair.truth)[near].mean()
    compared: Any = structural_similarity(painted, pair.truth, channel_axis=2, full=True)
    figures = 10 * math.log10(255**2 / max(error, 1e-9)), float(compared[1][near].mean())
    if perceptual is None:
        return figures
    return *figures, perceptual(np.where(near[..., None], painted, pair.truth), pair.truth)
