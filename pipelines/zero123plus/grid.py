"""The recipe: from the photo's cut-out to the one picture that shows all six views, 640 x 960.

1. The photo on grey, as the VAE and as CLIP see it.
2. Its latent, for reference attention; its embedding, ramped into the empty prompt. The unconditional half has the
   latent of a plain grey picture and the bare empty prompt.
3. From noise to the six views, each step in two passes (`attention.py`).
4. Decoded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipelines.core.backdrop import on_backdrop
from pipelines.core.latent_preview import LatentColours, fitted
from pipelines.core.subject import Subject
from pipelines.runtime.report import Report
from pipelines.runtime.residency import Thrift
from pipelines.runtime.telling import Telling
from pipelines.runtime.tensors import as_pixels
from pipelines.zero123plus.attention import References
from pipelines.zero123plus.model import Parts, Preprocessing

if TYPE_CHECKING:
    import torch
    from torch import Tensor

N = TypeVar("N", "Tensor", NDArray[np.floating], float)

GREY = 127  # of the backdrop, in the photo and in the views; nearly the VAE's zero
PHOTO_FILL = 0.8  # of the frame, by the object as the network sees it: our choice; its authors name no figure
TILE_PX, ROWS, COLUMNS = 320, 3, 2
LATENT_SHIFT, LATENT_SCALE = 0.22, 0.75  # zero123plus, scale_latents
IMAGE_SCALE = 0.5 / 0.8  # zero123plus, scale_image: the VAE's pictures have less contrast, so that colours are not cut
TRAINED_WITH = {"timestep_spacing": "trailing"}  # the README sets it by hand; the repository's own may differ
DENOISED = 0.9  # of the progress; the rest is decoding


@dataclass(frozen=True, slots=True)
class Settings:
    steps: int
    guidance: float
    """1 asks the unconditional half for nothing, and saves its time."""
    seed: int


@dataclass(frozen=True, eq=False)
class Condition:
    """What the network is told of the photo; the unconditional half first, unless there is no guidance."""

    latents: "Tensor"
    """[H, 4, 64, 64], the VAE's own scale (not multiplied by its scaling factor, as the views' latents are)."""
    prompt: "Tensor"
    """[H, 77, 1024]"""
    colours: LatentColours
    """For previews."""


def draw(parts: Parts, subject: Subject, chosen: Settings, tell: Telling, report: Report) -> "Tensor":
    """The latents [1, 4, 120, 80] of the picture of all six views."""
    import torch

    # Everything random comes from here, on the CPU and in this order, so that a seed means the same on any device.
    generator = torch.Generator("cpu").manual_seed(chosen.seed)
    with torch.no_grad():
        tell(0.0, "Looking at the photo")
        with report.stage("encode"):
            condition = conditioned(parts, subject, chosen.guidance, generator)
        with report.stage("denoise"):
            return denoised(parts, condition, chosen, generator, tell)


def develop(parts: Parts, latents: "Tensor", thrift: Thrift, tell: Telling, report: Report) -> NDArray[np.uint8]:
    """The picture itself [960, 640, 3], on grey."""
    import torch

    tell(DENOISED, "Decoding the six views")
    with torch.no_grad(), report.stage("decode"):
        return decoded(parts, latents, thrift)


def conditioned(parts: Parts, subject: Subject, guidance: float, generator: "torch.Generator") -> Condition:
    import torch

    # 1. The photo on grey
    seen = on_backdrop(subject, parts.seen_by_vae.size_px, PHOTO_FILL, GREY)
    for_vae = prepared(seen, parts.seen_by_vae)  # [1, 3, 512, 512]
    for_clip = prepared(on_backdrop(subject, parts.seen_by_clip.size_px, PHOTO_FILL, GREY), parts.seen_by_clip)

    # 2. Its latent and its embedding. Its latent is drawn from the posterior, as in training.
    place = parts.place
    pictures = [for_vae, torch.zeros_like(for_vae)] if guidance > 1 else [for_vae]
    latents: list[Tensor] = []  # each [1, 4, 64, 64]
    for picture in pictures:
        posterior = parts.vae.encode(picture.to(place.device)).latent_dist
        latents.append(posterior.mean + posterior.std * _noise(posterior.mean.shape, parts, generator))
    embedding = parts.vision_encoder(for_clip.to(place.device, place.dtype)).image_embeds.float()  # [1, 1024]
    empty, ramp = parts.empty_prompt.to(place.device), parts.ramp.to(place.device)
    prompt = empty + ramp[:, None] * embedding[:, None]  # [1, 77, 1024]

    return Condition(
        latents=torch.cat(latents[::-1]),
        prompt=torch.cat([empty, prompt] if guidance > 1 else [prompt]),
        colours=fitted(latents[0][0].cpu().numpy(), seen),
    )


def denoised(
    parts: Parts, condition: Condition, chosen: Settings, generator: "torch.Generator", tell: Telling
) -> "Tensor":
    """The latents [1, 4, 120, 80] of the picture, as the VAE understands them."""
    from diffusers.schedulers.scheduling_euler_ancestral_discrete import EulerAncestralDiscreteScheduler

    scheduler: Any = EulerAncestralDiscreteScheduler.from_config({**parts.scheduler, **TRAINED_WITH})
    scheduler.set_timesteps(chosen.steps)
    reduction = 2 ** (len(parts.vae.config["block_out_channels"]) - 1)  # 8
    size = (1, 4, ROWS * TILE_PX // reduction, COLUMNS * TILE_PX // reduction)
    latents = _noise(size, parts, generator) * scheduler.init_noise_sigma
    for i, t in enumerate(scheduler.timesteps):
        # 3a. The photo, as noisy as the views are now
        noise = _noise(condition.latents.shape, parts, generator)
        photo = scheduler.scale_model_input(scheduler.add_noise(condition.latents, noise, t[None]), t)
        references = References()
        _through_unet(parts, photo, t, condition.prompt, references)

        # 3b. The views, in both halves
        references.reading = True
        views = scheduler.scale_model_input(latents, t).expand(len(condition.prompt), -1, -1, -1)
        answer = _through_unet(parts, views, t, condition.prompt, references)
        velocity = guided(answer, chosen.guidance)

        # 3c. A step, with fresh noise
        step = scheduler.step(velocity, t, latents, generator=generator)
        latents = step.prev_sample
        guess = unscaled_latents(step.pred_original_sample[0]) / _vae_scale(parts)
        preview = condition.colours.of(guess.cpu().numpy())
        tell(DENOISED * (i + 1) / chosen.steps, f"Denoising, step {i + 1} of {chosen.steps}", preview)
    return unscaled_latents(latents) / _vae_scale(parts)


def decoded(parts: Parts, latents: "Tensor", thrift: Thrift) -> NDArray[np.uint8]:
    """[960, 640, 3]"""
    with in_tiles(parts, thrift):
        picture = parts.vae.decode(latents, return_dict=False)[0]  # [1, 3, 960, 640]
    return as_pixels(unscaled_image(picture))[0]


def prepared(rgb: NDArray[np.uint8], how: Preprocessing) -> "Tensor":
    """[S, S, 3] to an encoder's input [1, 3, S, S]."""
    import torch

    colours = (rgb.astype(np.float32) / 255 - np.array(how.mean, np.float32)) / np.array(how.std, np.float32)
    return torch.from_numpy(colours).permute(2, 0, 1)[None]


def guided(answer: "Tensor", guidance: float) -> "Tensor":
    """Classifier-free guidance: away from the answer without the photo, the first of the two halves."""
    if len(answer) == 1:
        return answer
    without, with_photo = answer.chunk(2)
    return without + guidance * (with_photo - without)


# --- Zero123++'s own scales ------------------------------------------------------------------------------------------


def unscaled_latents(latents: N) -> N:
    return latents / LATENT_SCALE + LATENT_SHIFT


def unscaled_image(image: N) -> N:
    return image / IMAGE_SCALE


def _vae_scale(parts: Parts) -> float:
    return parts.vae.config["scaling_factor"]  # 0.18215


# --- On the device ---------------------------------------------------------------------------------------------------


def _through_unet(parts: Parts, latents: "Tensor", t: "Tensor", prompt: "Tensor", references: References) -> "Tensor":
    """[H, 4, h, w], in float32: the steps between are too fine for half precision."""
    dtype = parts.place.dtype
    answer = parts.unet(
        latents.to(dtype),
        t,
        encoder_hidden_states=prompt.to(dtype),
        cross_attention_kwargs={"references": references},
        return_dict=False,
    )
    return answer[0].float()


def _noise(shape: tuple[int, ...], parts: Parts, generator: "torch.Generator") -> "Tensor":
    import torch

    return torch.randn(shape, generator=generator).to(parts.place.device)


@contextmanager
def in_tiles(parts: Parts, thrift: Thrift) -> Iterator[None]:
    """The VAE decodes the picture in overlapping parts when memory is short."""
    if thrift.tiles:
        parts.vae.enable_tiling()
    try:
        yield
    finally:
        parts.vae.disable_tiling()
