"""What is missing, drawn by a diffusion model that sees what is there.

Our own loop, because the stock pipeline knows only masks of 0 and 1 (specs/invs.md, section 7). Shapes: V views, S of a
picture (512), s of a latent (64).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.latent_preview import LatentColours, fitted
from pipelines.invs.partial import Partial
from pipelines.runtime.tensors import as_pixels

if TYPE_CHECKING:
    from torch import Tensor

    from pipelines.invs.loading import Inpainter

# Whatever a scheduler's file says: Stable Diffusion 1.x and 2.x were trained so (DDIM of their configs)
AS_TRAINED = {"set_alpha_to_one": False, "clip_sample": False, "steps_offset": 1, "timestep_spacing": "leading"}
FEATHER_SHARE = 1 / 128  # of the side: over which the photo's pixels and the invented ones pass into one another


@dataclass(frozen=True, slots=True)
class Sampling:
    steps: int
    guidance: float
    prompt: str
    soft: bool
    """Masks as they are, between 0 and 1; else what is hidden at all is drawn anew."""
    hold: bool = False
    """After each step what is known is put back, with as much noise as is left in the rest."""


@dataclass(frozen=True, eq=False)
class Told:
    """What the inpainter is shown of the views."""

    masks: "Tensor"
    """[V, 1, s, s]: 1 is to be drawn."""
    latents: "Tensor"
    """[V, 4, s, s] of what is there, with grey where it is not."""
    colours: LatentColours
    """For previews."""


def shown(parts: "Inpainter", partials: Sequence[Partial], soft: bool) -> Told:
    """Of partial views of the inpainter's own size."""
    import torch

    device, scale = parts.place.device, parts.vae.config["scaling_factor"]
    masks = torch.from_numpy(np.stack([to_draw(partial, soft) for partial in partials])).to(device)[:, None]
    there = torch.from_numpy(np.stack([on_white(partial.rgba) for partial in partials])).to(device).permute(0, 3, 1, 2)
    with torch.inference_mode():
        # Grey, 0 in -1..1, is what stock inpainters were shown in the place of what is masked
        pictures = (there.float() / 127.5 - 1) * (masks < 0.5 if not soft else masks == 0)
        latents = torch.cat([parts.vae.encode(each[None]).latent_dist.mode() for each in pictures]) * scale
        small = torch.nn.functional.interpolate(masks, latents.shape[-2:], mode="area")
    small = small if soft else (small > 0).float()  # a latent pixel of which a part is to be drawn is
    colours = fitted(latents[0].float().cpu().numpy(), on_white(partials[0].rgba))
    return Told(small, latents, colours)


def to_draw(partial: Partial, soft: bool) -> NDArray[np.float32]:
    """[S, S]: where the photo shows nothing and the object may be.

    What it shows is trusted. specs/invs.md, 6, would overwrite it where the cameras' rays lie 60 degrees apart or more:
    there that is meant for surfaces that are seen from behind, which are no longer among what is seen; and past 60
    degrees of azimuth all of the object is so, which would leave nothing of the photo, nor of painted neighbours.
    """
    unseen = np.where(partial.seen, 0, partial.hidden).astype(np.float32)
    return unseen if soft else (unseen > 0).astype(np.float32)


def asked_for(words: str, fine_tuned: bool) -> str:
    """A stock inpainter learned from captions (specs/invs.md, section 8); one of our training, from no words at all."""
    return words if fine_tuned else f"photo of {words.strip() or 'an object'} on white background"


def on_white(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    alpha = rgba[..., 3:] / np.float32(255)
    return np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def draw(
    parts: "Inpainter",
    told: Told,
    chosen: Sampling,
    seeds: Sequence[int],
    each_step: Callable[[int, "Tensor"], None] = lambda done, clean: None,
) -> "Tensor":
    """Latents [V, 4, s, s]. Each view has its own seed, so it is the same whatever else is drawn with it."""
    import torch
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    device, dtype, count = parts.place.device, parts.place.dtype, len(seeds)
    # A stock inpainter is guided by words only: without any, both halves of the batch would be told the same
    guided = chosen.guidance > 1 and (parts.fine_tuned or bool(chosen.prompt))
    with torch.inference_mode():
        # 1. What each half of the batch is told: without guidance there is no half that is told nothing
        tokens, masks, beside = parts.told(chosen.prompt).expand(count, -1, -1), told.masks, told.latents
        if guided:
            tokens = torch.cat([parts.told("").expand(count, -1, -1), tokens])
            # One of our training was also taught to draw without being shown what is there
            without_view = torch.zeros_like(beside) if parts.fine_tuned else beside
            masks, beside = masks.repeat(2, 1, 1, 1), torch.cat([without_view, beside])
        # 2. From noise to views
        scheduler: Any = DDIMScheduler.from_config({**parts.scheduler, **AS_TRAINED})
        scheduler.set_timesteps(chosen.steps)
        each = [torch.randn(told.latents.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        noise = torch.stack(each).to(device)
        latents = noise * scheduler.init_noise_sigma
        for done, t in enumerate(scheduler.timesteps, start=1):
            given = nine_channels(latents.repeat(2 if guided else 1, 1, 1, 1), masks, beside)
            guess = parts.unet(given.to(dtype), t, encoder_hidden_states=tokens.to(dtype)).sample.float()
            if guided:
                without, guess = guess.chunk(2)
                guess = without + chosen.guidance * (guess - without)
            step = scheduler.step(guess, int(t), latents, eta=0.0)
            latents = step.prev_sample
            if chosen.hold:
                later = scheduler.timesteps[done : done + 1]  # none is left after the last step, and no noise
                known = scheduler.add_noise(told.latents, noise, later) if len(later) else told.latents
                latents = torch.where(told.masks > 0, latents, known)
            each_step(done, step.pred_original_sample)
    return latents


def nine_channels(latents: "Tensor", masks: "Tensor", beside: "Tensor") -> "Tensor":
    """[V, 4, s, s], [V, 1, s, s], [V, 4, s, s] to [V, 9, s, s], in the order that inpainters were trained with."""
    import torch

    return torch.cat([latents, masks, beside], dim=1)


def developed(parts: "Inpainter", latents: "Tensor") -> NDArray[np.uint8]:
    """[V, S, S, 3]"""
    import torch

    with torch.inference_mode():
        scaled = latents / parts.vae.config["scaling_factor"]
        return as_pixels(torch.cat([parts.vae.decode(each[None]).sample for each in scaled]))


def composed(partial: Partial, drawn: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The photo's own pixels over the drawn ones [S, S, 4], and how much of each is the photo's [S, S].

    They pass into one another within what is known: text stays as it is to the pixel, a few pixels in from the seam.
    """
    import cv2

    width = max(1.0, FEATHER_SHARE * len(drawn))
    # Where the object ends against what is known to be nothing there is no seam
    unknown = ~partial.seen & (partial.hidden > 0)
    away: Any = cv2.distanceTransform((~unknown).astype(np.uint8), cv2.DIST_L2, 5)
    own = np.where(partial.seen, np.clip(away / width, 0, 1), 0).astype(np.float32)
    known_empty = ~partial.seen & ~unknown
    alpha = np.where(known_empty, partial.rgba[..., 3], drawn[..., 3]).astype(np.float32)
    # Mixed as they cover: what is clear has no colour to give
    mine, theirs = own * partial.rgba[..., 3], (1 - own) * alpha
    total = mine + theirs
    share = np.divide(mine, total, out=np.zeros_like(mine), where=total > 0)[..., None]
    rgb = share * partial.rgba[..., :3] + (1 - share) * drawn[..., :3]
    return np.rint(np.dstack([rgb, total.clip(0, 255)])).astype(np.uint8), own
