"""From one photo to 21 latents, and to pictures: SV3D's recipe, as its authors' code does it.

Shapes: T frames (21), h x w of a latent (72 x 72), S of a picture (576).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.runtime.tensors import as_pixels
from pipelines.sv3d.cameras import Path
from pipelines.sv3d.network import answers_to, attending, predicted

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pipelines.sv3d.loading import Parts

SIGMA_MIN, SIGMA_MAX, RHO = 0.002, 700.0, 7.0  # SV3D, configs
LEAST_GUIDANCE = 1.0  # SV3D, configs: of the frames beside the photo
LATENT_SCALE = 0.18215  # Stable Diffusion's autoencoder
NOISE_ON_PHOTO = 1e-5  # SV3D, sampling script; the network is told
NOISE_WIDTH, ANGLE_WIDTH = 256, 512  # SV3D, configs: numbers for the noise, and for each angle
# OpenAI's CLIP
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True)
class Sampling:
    steps: int = 50
    guidance: float = 2.5
    """Of the frame opposite the photo."""
    quick: bool = False

    @property
    def passes(self) -> int:
        """Through the network; quick takes half of the steps, and makes more of each."""
        return math.ceil(self.steps / 2) if self.quick else self.steps


@dataclass(frozen=True, eq=False)
class Seen:
    """The photo, as the network is told of it."""

    embedding: "Tensor"
    """[1, 1024]"""
    latent: "Tensor"
    """[4, h, w]"""


# --- 1. What the network is told --------------------------------------------------------------------------------------


def as_input(rgb: NDArray[np.uint8], device: "torch.device") -> "Tensor":
    """[S, S, 3] to [1, 3, S, S] in -1..1."""
    import torch

    return (torch.from_numpy(rgb).to(device).float() / 127.5 - 1).permute(2, 0, 1)[None]


def see(parts: "Parts", picture: "Tensor", noise: "Tensor") -> Seen:
    """`picture` and `noise` are [1, 3, S, S]; only the autoencoder sees the noise."""
    import torch

    with torch.inference_mode():
        side_px = parts.sizes.clip["image_size"]
        embedding = parts.image_encoder(for_clip(picture, side_px).to(parts.place.dtype)).image_embeds
        # The mean of what the encoder says, not scaled as latents otherwise are
        latent = parts.vae.encode(picture + NOISE_ON_PHOTO * noise).latent_dist.mode()[0]
    return Seen(embedding, latent)


def for_clip(picture: "Tensor", side_px: int) -> "Tensor":
    """Smaller as kornia does it: a Gaussian blur when shrinking, then bicubic from corner to corner."""
    import torch
    from torch.nn.functional import conv2d, interpolate, pad

    for axis, size in ((2, picture.shape[2]), (3, picture.shape[3])):
        factor = size / side_px
        if factor <= 1:
            continue
        sigma = (factor - 1) / 2
        width = max(int(4 * sigma), 3) | 1  # odd
        at = torch.arange(width, device=picture.device, dtype=picture.dtype) - width // 2
        kernel = torch.exp(-(at**2) / (2 * sigma**2))
        kernel = (kernel / kernel.sum()).reshape((1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1)).expand(3, 1, -1, -1)
        edge = width // 2
        padded = pad(picture, (0, 0, edge, edge) if axis == 2 else (edge, edge, 0, 0), mode="reflect")
        picture = conv2d(padded, kernel, groups=3)
    small = interpolate(picture, (side_px, side_px), mode="bicubic", align_corners=True)
    mean, std = (small.new_tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return ((small + 1) / 2 - mean) / std


def camera_numbers(path: Path | None, frames: int) -> NDArray[np.float32]:
    """[T, 1280] of each frame's noise, polar angle and azimuth; or [T, 256] of the noise alone."""
    columns = [waves([NOISE_ON_PHOTO] * frames, NOISE_WIDTH)]
    if path:
        columns += [waves(angles, ANGLE_WIDTH) for angles in path.conditions_rad()]
    return np.concatenate(columns, axis=1)


def waves(values: list[float], width: int) -> NDArray[np.float32]:
    """[T, width]: each number as cosines, then sines, of falling frequency."""
    half = width // 2
    frequencies = np.exp(-math.log(10_000) * np.arange(half, dtype=np.float32) / half).astype(np.float32)
    turned = np.asarray(values, np.float32)[:, None] * frequencies
    return np.concatenate([np.cos(turned), np.sin(turned)], axis=1)


# --- 2. Latents -------------------------------------------------------------------------------------------------------


def noise_levels(steps: int) -> NDArray[np.float64]:
    """From the largest down to 0, [steps + 1] (Karras et al., 2022)."""
    ramp = np.linspace(0, 1, steps)
    top, bottom = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return np.append((top + ramp * (bottom - top)) ** RHO, 0.0)


def guidance_of(frames: int, peak: float) -> NDArray[np.float64]:
    """[T]: 1 beside the photo, rising to the peak opposite it, and falling again."""
    share = np.arange(frames) / (frames - 1)
    return LEAST_GUIDANCE + (peak - LEAST_GUIDANCE) * 2 * np.abs(share - np.floor(share + 0.5))


def draw(
    parts: "Parts",
    seen: Seen,
    numbers: NDArray[np.float32],
    noise: "Tensor",
    chosen: Sampling,
    at_once: int,
    each_step: Callable[[int, "Tensor"], None] = lambda step, clean: None,
    quick: "Callable[[Tensor, Tensor, Tensor, list[Tensor]], Tensor | None]" = lambda *_: None,
) -> "Tensor":
    """[T, 4, h, w] from noise of that shape. `at_once` is 2 where both videos, guided and not, fit the memory.
    `quick` is asked first, and the network itself where it has no answer: `ahead.Quick`.

    `each_step(steps done, what the picture is taken for)` is called after every one. Frames whose scale is 1 are
    part of the unguided video all the same: its other frames attend to them, and would come out otherwise.
    """
    import torch

    device, dtype = parts.place.device, parts.place.dtype
    frames = len(noise)
    scale = torch.from_numpy(guidance_of(frames, chosen.guidance)).to(device, torch.float32)[:, None, None, None]
    guided = chosen.guidance > LEAST_GUIDANCE
    photo = seen.latent.to(device, torch.float32).expand(frames, -1, -1, -1)
    photos, contexts = photo[None], seen.embedding.to(device, dtype)
    if guided:  # the unguided video first: it knows of no photo, but of the cameras
        photos = torch.stack([torch.zeros_like(photo), photo])
        contexts = torch.cat([torch.zeros_like(contexts), contexts])
    with torch.inference_mode():
        cameras = parts.unet.add_embedding(torch.from_numpy(numbers).to(device, dtype))  # [T, 1280]
        chunks = [slice(i, i + at_once) for i in range(0, len(photos), at_once)]
        answers = [answers_to(parts.unet, contexts[chunk]) for chunk in chunks]

        def taken_for(x: "Tensor", now: float) -> "Tensor":
            level = torch.tensor(math.log(now) / 4, device=device)
            shrunk = x / math.sqrt(now**2 + 1)
            velocities = []
            for chunk, answer in zip(chunks, answers, strict=True):
                these = photos[chunk]
                videos = torch.cat([shrunk.expand(len(these), -1, -1, -1, -1), these], dim=2).to(dtype)
                velocity = quick(videos, level, cameras, answer)
                if velocity is None:
                    with attending(parts.unet, answer):
                        velocity = predicted(parts.unet, videos, level, cameras)
                velocities.append(velocity.float())
            clean = x / (now**2 + 1) - torch.cat(velocities) * now / math.sqrt(now**2 + 1)  # [V, T, 4, h, w]
            return clean[0] + scale * (clean[1] - clean[0]) if guided else clean[0]

        return descended(noise.to(device, torch.float32), chosen, taken_for, each_step)


def descended(
    noise: "Tensor",
    chosen: Sampling,
    taken_for: Callable[["Tensor", float], "Tensor"],
    each_step: Callable[[int, "Tensor"], None] = lambda step, clean: None,
) -> "Tensor":
    """From noise to what it is taken for, from level to level; `taken_for(x, level)` is the network's view of it.

    Quick takes half of the steps, but towards where the view of it is going (DPM-Solver++ 2M; Lu et al., 2022).
    """
    levels, before = noise_levels(chosen.passes).tolist(), None
    x = noise * math.sqrt(1 + levels[0] ** 2)
    for step in range(chosen.passes):
        now, after = levels[step : step + 2]
        clean = aim = taken_for(x, now)
        if chosen.quick and before is not None and after > 0:
            reach = math.log(now / after) / (2 * math.log(levels[step - 1] / now))
            aim = clean + reach * (clean - before)
        x, before = x + (after - now) * (x - aim) / now, clean
        each_step(step + 1, clean)
    return x


# --- 3. Pictures ------------------------------------------------------------------------------------------------------


def decoded(parts: "Parts", latents: "Tensor") -> NDArray[np.uint8]:
    """[N, 4, h, w] to [N, S, S, 3]; each frame by itself, so it does not matter how many together."""
    import torch

    with torch.inference_mode():
        return as_pixels(parts.vae.decode(latents.float() / LATENT_SCALE).sample)
