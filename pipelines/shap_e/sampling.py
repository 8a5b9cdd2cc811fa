"""From the photo to a latent: the object as the weights of a small network, 1024 rows of 1024 numbers.

A transformer looks at 256 tokens of the photo and at a noisy latent, and says what the clean one would be; Heun's
method (Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", 2022) walks from noise
towards that, asking it twice a step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.shap_e.loading import Parts

if TYPE_CHECKING:
    from torch import Tensor

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # openai/CLIP, clip.py
Step = Callable[[int, "Tensor"], None]
"""Called with the number of answers so far and the last one, the clean latent as it looks now [1, N, D]."""


@dataclass(frozen=True, slots=True)
class Sampling:
    steps: int
    guidance: float
    """1 asks the unconditional half for nothing, and saves its time."""
    seed: int

    @property
    def answers(self) -> int:
        """How often the transformer is asked: twice a step, but once in the last."""
        return 2 * self.steps - 1


def see(parts: Parts, rgb: NDArray[np.uint8]) -> "Tensor":
    """The photo [S, S, 3], at the encoder's size, as tokens [1, 256, 1024]: all but the one for the whole picture."""
    import torch

    picture = (rgb.astype(np.float32) / 255 - CLIP_MEAN) / CLIP_STD
    batch = torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32))  # [1, 3, S, S]
    with torch.no_grad():
        seen = parts.encoder(batch.to(parts.place.device, parts.place.dtype))
    return seen.last_hidden_state[:, 1:]


def sample(parts: Parts, tokens: "Tensor", chosen: Sampling, at_once: int, step: Step) -> "Tensor":
    """A latent [1, N, D] for the photo's tokens; `at_once` is 1 to ask for the two halves one after the other.

    The latent stays in float32; only the transformer works in the place's precision.
    """
    import torch
    from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler

    scheduler: Any = HeunDiscreteScheduler.from_config(dict(parts.schedule))
    scheduler.set_timesteps(chosen.steps)
    shape = parts.prior.config
    # On the CPU, so that a seed means the same on any device
    generator = torch.Generator("cpu").manual_seed(chosen.seed)
    noise = torch.randn((1, shape["num_embeddings"], shape["embedding_dim"]), generator=generator)
    latent = noise.to(parts.place.device) * scheduler.init_noise_sigma
    with torch.no_grad():
        for number, t in enumerate(scheduler.timesteps):
            clean = guided(parts, scheduler.scale_model_input(latent, t), t, tokens, chosen.guidance, at_once)
            latent = scheduler.step(clean, t, latent).prev_sample
            step(number + 1, clean)
    return latent


def guided(parts: Parts, latent: "Tensor", t: "Tensor", tokens: "Tensor", guidance: float, at_once: int) -> "Tensor":
    """The clean latent [1, N, D] that the transformer sees in a noisy one, the photo's influence exaggerated."""
    import torch

    if guidance <= 1:
        return _answer(parts, latent, t, tokens)
    nothing = torch.zeros_like(tokens)
    if at_once > 1:
        without, with_photo = _answer(parts, latent.expand(2, -1, -1), t, torch.cat([nothing, tokens])).chunk(2)
    else:
        without, with_photo = _answer(parts, latent, t, nothing), _answer(parts, latent, t, tokens)
    return without + guidance * (with_photo - without)


def _answer(parts: Parts, latent: "Tensor", t: "Tensor", tokens: "Tensor") -> "Tensor":
    dtype = parts.place.dtype
    answer = parts.prior(latent.to(dtype), timestep=t, proj_embedding=tokens.to(dtype)).predicted_image_embedding
    return answer[..., : latent.shape[-1]].float()  # [B, N, 2 D]: the second half is a variance, which is not used
