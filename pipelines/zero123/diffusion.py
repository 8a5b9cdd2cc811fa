"""The recipe that the whole family shares: what the network is told of the photo, and how it draws views of it.

1. `see`: the photo's CLIP embedding and its latent, once for all views.
2. `draw`: from noise to latents, several views together. Each has one token, the embedding mixed with its pose, and
   all see the photo's latent beside their own. Guidance doubles the batch: its other half has zeros for both.
3. `develop`: latents to pictures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.latent_preview import LatentColours, fitted
from pipelines.runtime.tensors import as_pixels
from pipelines.zero123.cameras import Pose
from pipelines.zero123.loading import Parts

if TYPE_CHECKING:
    from torch import Tensor

TRAINED_STEPS = 1000
# As the authors' sampler works (zero123, ddim.py and configs), whatever a converter left out of the scheduler's file or
# misread: the last step ends at the first alpha, and nothing is clipped.
AS_THE_AUTHORS = {
    "num_train_timesteps": TRAINED_STEPS,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "trained_betas": None,
    "rescale_betas_zero_snr": False,
    "thresholding": False,
    "set_alpha_to_one": False,
    "clip_sample": False,
    "prediction_type": "epsilon",
}
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # CLIP, clip.py
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True)
class Sampling:
    steps: int
    guidance: float
    """1 asks the unconditional half for nothing, and saves its time."""
    eta: float
    """How much fresh noise each step adds: 0 is DDIM, 1 as much as DDPM."""
    seed: int

    @property
    def times(self) -> tuple[int, ...]:
        """Of each pass through the UNet. Steps that do not divide 1000 become some more, so that sampling always begins
        in pure noise (zero123, util.py, make_ddim_timesteps); diffusers' own would begin in the middle."""
        return tuple(reversed(range(1, TRAINED_STEPS + 1, TRAINED_STEPS // self.steps)))


@dataclass(frozen=True, eq=False)
class Photo:
    """What the network is told of the photo."""

    embedding: "Tensor"
    """[1, 768]"""
    latent: "Tensor"
    """[1, 4, 32, 32], in the VAE's own scale: the views' latents are multiplied by its scaling factor, this one not."""
    colours: LatentColours
    """For previews."""


def see(parts: Parts, rgb: NDArray[np.uint8]) -> Photo:
    """`rgb` [256, 256, 3]: the object on white."""
    import torch

    device = parts.place.device
    with torch.inference_mode():
        picture = torch.from_numpy(rgb).to(device).permute(2, 0, 1)[None] / 127.5 - 1  # [1, 3, 256, 256] in -1..1
        seen = _as_clip_sees(picture, int(parts.image_encoder.config.image_size))  # pyright: ignore
        embedding = parts.image_encoder(seen.to(parts.place.dtype)).image_embeds.float()
        latent = parts.vae.encode(picture).latent_dist.mode()  # pyright: ignore[reportAttributeAccessIssue]
        scaled = latent[0] * parts.vae.config["scaling_factor"]
    return Photo(embedding, latent, fitted(scaled.float().cpu().numpy(), rgb))


def draw(
    parts: Parts,
    photo: Photo,
    poses: Sequence[Pose],
    chosen: Sampling,
    each_step: Callable[[int, "Tensor"], None],
) -> "Tensor":
    """The latents [V, 4, 32, 32] of one view a pose.

    `each_step` is told how many steps are done and what the views look like so far.
    """
    import torch
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    device, dtype, count = parts.place.device, parts.place.dtype, len(poses)
    guided = chosen.guidance > 1
    # All views grow from the same noise. So neighbours differ less, and a view is the same whatever else is asked for.
    # It comes from the CPU, so that a seed means the same on any device.
    generator = torch.Generator("cpu").manual_seed(chosen.seed)

    def noise() -> "Tensor":
        return torch.randn(photo.latent.shape, generator=generator).to(device).expand(count, -1, -1, -1)

    with torch.inference_mode():
        # 1. One token a view, and the photo's latent; zeros for both in the unconditional half
        told = torch.cat([photo.embedding.expand(count, -1), torch.tensor(poses, device=device)], dim=1)  # [V, 772]
        tokens = parts.camera(told)[:, None]  # [V, 1, 768]
        beside = photo.latent.expand(count, -1, -1, -1)
        if guided:
            tokens = torch.cat([torch.zeros_like(tokens), tokens])
            beside = torch.cat([torch.zeros_like(beside), beside])
        tokens = tokens.to(dtype)

        # 2. From noise to views
        scheduler: Any = DDIMScheduler.from_config({**parts.scheduler, **AS_THE_AUTHORS})
        scheduler.set_timesteps(chosen.steps)  # a step is 1000 // steps
        scheduler.timesteps = torch.tensor(chosen.times, device=device)
        latents = noise() * scheduler.init_noise_sigma
        for done, t in enumerate(scheduler.timesteps, start=1):
            scaled = scheduler.scale_model_input(latents, t)
            shown = torch.cat([scaled.repeat(2 if guided else 1, 1, 1, 1), beside], dim=1)  # [2 V, 8, 32, 32]
            guess = parts.unet(shown.to(dtype), t, encoder_hidden_states=tokens).sample.float()
            if guided:
                without, guess = guess.chunk(2)
                guess = without + chosen.guidance * (guess - without)
            fresh = noise() if chosen.eta > 0 else None
            step = scheduler.step(guess, int(t), latents, eta=chosen.eta, variance_noise=fresh)
            latents = step.prev_sample
            each_step(done, step.pred_original_sample)
    return latents


def develop(parts: Parts, latents: "Tensor") -> NDArray[np.uint8]:
    """Latents [V, 4, 32, 32] to pictures [V, 256, 256, 3]."""
    import torch

    with torch.inference_mode():
        return as_pixels(parts.vae.decode(latents / parts.vae.config["scaling_factor"]).sample)  # pyright: ignore


def preview(photo: Photo, latent: "Tensor", side_px: int) -> NDArray[np.uint8]:
    """What a latent [4, 32, 32] looks like, without the VAE: RGBA [side, side, 4]."""
    return photo.colours.of(latent.float().cpu().numpy(), side_px)


def _as_clip_sees(picture: "Tensor", side_px: int) -> "Tensor":
    """[1, 3, 256, 256] in -1..1 to [1, 3, 224, 224]. Without antialiasing and with corners aligned, as in training."""
    import torch

    small = torch.nn.functional.interpolate(picture, (side_px, side_px), mode="bicubic", align_corners=True)
    mean, std = (small.new_tensor(numbers).view(3, 1, 1) for numbers in (CLIP_MEAN, CLIP_STD))
    return ((small + 1) / 2 - mean) / std
