"""What the inpainter is handed, and what is made of its answers: each number reckoned anew, by the formulas."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.core.errors import TurnaroundError
from pipelines.invs.inpainting import Sampling, Told, composed, developed, draw, shown
from pipelines.invs.loading import Inpainter
from pipelines.invs.partial import Partial
from tests.invs import tiny

SIDE, LATENT = tiny.SIDE_PX, tiny.LATENT_PX
TIMES, STEPS = SIDE // LATENT, 4
SEEDS = (5, 6)
SCALE = 0.18215  # of Stable Diffusion's latents


@dataclass(frozen=True)
class Call:
    given: Tensor
    """[V, 9, s, s]"""
    time: int
    tokens: Tensor


@contextmanager
def calls_of(parts: Inpainter) -> Iterator[list[Call]]:
    """What its UNet is called with."""
    made = list[Call]()

    def listen(module: Any, given: Any, named: Any) -> None:
        made.append(Call(given[0].clone(), int(given[1]), named["encoder_hidden_states"].clone()))

    hook = parts.unet.register_forward_pre_hook(listen, with_kwargs=True)
    try:
        yield made
    finally:
        hook.remove()


def a_partial(shift: int = 0) -> Partial:
    """The left is seen, the right may hold more of the object, the more so further right; below is nothing."""
    colours = np.random.default_rng(shift).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    seen = np.zeros((SIDE, SIDE), bool)
    seen[: SIDE - 9, : 27 + shift] = True
    hidden = np.broadcast_to(np.linspace(0.1, 0.9, SIDE, dtype=np.float32), (SIDE, SIDE)).copy()
    hidden[SIDE - 9 :] = 0
    return Partial(np.dstack([colours, 255 * seen.astype(np.uint8)]), seen, hidden, seen.astype(np.float32))


PARTIALS = (a_partial(), a_partial(shift=6))


def masks_by_hand(soft: bool) -> np.ndarray:
    """[V, S, S]"""
    masks = np.stack([np.where(each.seen, 0, each.hidden) for each in PARTIALS])
    return masks if soft else (masks > 0).astype(np.float32)


def latents_by_hand(parts: Inpainter) -> Tensor:
    """Of what is there, on white; grey where something is to be drawn."""
    alpha = np.stack([each.rgba[..., 3:] for each in PARTIALS]) / 255.0
    picture = np.stack([each.rgba[..., :3] for each in PARTIALS]) / 127.5 - 1
    on_white = (picture * alpha + 1 - alpha) * (masks_by_hand(soft=True) == 0)[..., None]
    pictures = torch.from_numpy(on_white).float().permute(0, 3, 1, 2)
    with torch.inference_mode():
        return SCALE * torch.cat([parts.vae.encode(each[None]).latent_dist.mode() for each in pictures])


def noise_by_hand() -> Tensor:
    return torch.stack(
        [torch.randn(4, LATENT, LATENT, generator=torch.Generator().manual_seed(seed)) for seed in SEEDS]
    )


def close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and float((one - other).abs().max()) <= 1e-4 * float(other.abs().max())


@pytest.mark.parametrize("soft", [True, False])
def test_the_unet_is_given_noise_then_the_mask_then_what_is_there(parts: Inpainter, soft: bool):
    """specs/invs.md, 11.9. Soft masks as they are, by area; stock ones know none: 1 where anything is to be drawn."""
    with calls_of(parts) as calls:
        draw(parts, shown(parts, PARTIALS, soft), Sampling(STEPS, 1.0, "", soft), SEEDS)
    given = calls[0].given
    masks = masks_by_hand(soft).reshape(len(SEEDS), LATENT, TIMES, LATENT, TIMES).mean((2, 4))
    assert given.shape == (len(SEEDS), 9, LATENT, LATENT)
    assert torch.equal(given[:, :4], noise_by_hand())
    assert close(given[:, 4], torch.from_numpy(masks if soft else np.ceil(masks)).float())
    assert close(given[:, 5:], latents_by_hand(parts))
    assert (len(given[:, 4].unique()) > 8) == soft
    assert all(torch.equal(call.given[:, 4:], given[:, 4:]) for call in calls)


def times_by_hand() -> list[int]:
    """Evenly spaced, with the offset that Stable Diffusion was trained with."""
    return [1 + i * 1000 // STEPS for i in reversed(range(STEPS))]


def drawn_by_hand(parts: Inpainter, told: Told, prompt: str, guidance: float) -> Tensor:
    """DDIM (Song et al. 2021, equation 12, eta 0) of two guesses, each made by itself."""
    signal = (1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2).cumprod(0)
    latents, unseen = noise_by_hand(), torch.zeros_like(told.latents) if parts.fine_tuned else told.latents

    def guess(time: int, words: str, there: Tensor) -> Tensor:
        given = torch.cat([latents, told.masks, there], 1)
        return parts.unet(given, time, encoder_hidden_states=parts.told(words).repeat(len(SEEDS), 1, 1)).sample

    with torch.inference_mode():
        for time in times_by_hand():
            without, told_all = guess(time, "", unseen), guess(time, prompt, told.latents)
            noise = (1 - guidance) * without + guidance * told_all
            now, then = float(signal[time]), float(signal[max(time - 1000 // STEPS, 0)])
            clean = (latents - (1 - now) ** 0.5 * noise) / now**0.5
            latents = then**0.5 * clean + (1 - then) ** 0.5 * noise
    return latents


@pytest.mark.parametrize("fine_tuned", [False, True])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_guidance_goes_from_what_is_told_nothing_beyond_what_is_told_all(
    parts: Inpainter, guidance: float, fine_tuned: bool
):
    """specs/invs.md, 11.10: at 1 it is what is told all, alone. Steps are DDIM's, whatever the scheduler's file says.

    One of our training is told nothing when it is not shown what is there; a stock one, when it is not told a word.
    """
    wrong = {"set_alpha_to_one": True, "clip_sample": True, "steps_offset": 0, "timestep_spacing": "trailing"}
    parts = replace(parts, fine_tuned=fine_tuned, scheduler={**parts.scheduler, **wrong})
    told = shown(parts, PARTIALS, soft=True)
    with calls_of(parts) as calls:
        drawn = draw(parts, told, Sampling(STEPS, guidance, "ab", soft=True), SEEDS)
    assert [call.time for call in calls] == times_by_hand()
    assert {len(call.given) for call in calls} == {len(SEEDS) * (1 if guidance == 1 else 2)}
    assert close(drawn, drawn_by_hand(parts, told, "ab", guidance))


def test_numbers_that_are_no_picture_are_a_sentence(parts: Inpainter):
    latents = torch.zeros(2, 4, LATENT, LATENT)
    latents[1, 0, 3, 3] = torch.nan
    with pytest.raises(TurnaroundError, match="numbers that are no picture"):
        developed(parts, latents)


def test_the_photos_pixels_pass_into_the_drawn_ones_over_a_few_of_their_own():
    side, edge = 512, 200
    seen = np.zeros((side, side), bool)
    seen[:, :edge] = True
    mine, drawn = (np.full((side, side, 4), (*colour, 255), np.uint8) for colour in ((200, 40, 0), (0, 40, 200)))
    partial = Partial(np.where(seen[..., None], mine, 0).astype(np.uint8), seen, np.ones((side, side)), None)
    made, own = composed(partial, drawn)
    assert own[100, edge - 5 : edge + 1] == pytest.approx([1, 1, 0.75, 0.5, 0.25, 0], abs=0.01), "over 4 of 512 px"
    assert np.array_equal(made[:, : edge - 4], mine[:, : edge - 4]), "text stays as it is to the pixel"
    assert np.array_equal(made[:, edge:], drawn[:, edge:])
    assert made[100, edge - 2 : edge, 0].tolist() == [100, 50] and (made[..., 3] == 255).all()


def test_nothing_is_drawn_where_the_photo_shows_that_nothing_is():
    """And the object's own edge there stays as it is: nothing passes into anything."""
    side, edge = 128, 60
    seen = np.zeros((side, side), bool)
    seen[:, :edge] = True
    alpha = np.where(seen, 255, 0)
    alpha[:, edge : edge + 2] = 90  # soft: less than half of it is covered, so it does not count as seen
    own_colour = np.dstack([np.full((side, side, 3), 50), alpha]).astype(np.uint8)
    partial = Partial(own_colour, seen, np.zeros((side, side)), None)
    made, own = composed(partial, np.full((side, side, 4), 255, np.uint8))
    assert np.array_equal(made[..., 3], own_colour[..., 3]) and (own[seen] == 1).all()
    assert np.array_equal(made[:, :edge], own_colour[:, :edge])
