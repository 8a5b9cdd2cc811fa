"""The recipe, step by step: what the UNet is told, what is made of its answer, and Zero123++'s own scales."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.backdrop import on_backdrop
from pipelines.core.errors import TurnaroundError
from pipelines.runtime.report import Report
from pipelines.runtime.residency import Place, Thrift
from pipelines.runtime.telling import Telling
from pipelines.zero123plus.grid import (
    GREY,
    PHOTO_FILL,
    Settings,
    conditioned,
    decoded,
    develop,
    draw,
    guided,
    prepared,
    unscaled_image,
    unscaled_latents,
)
from pipelines.zero123plus.model import Parts, load
from tests.toy_methods import a_subject

SUBJECT = a_subject(192)
STEPS = 5


def generator(seed: int = 7) -> Any:
    import torch

    return torch.Generator().manual_seed(seed)


@dataclass
class Heard:
    """What goes into the UNet and what comes out, pass by pass."""

    latents: list[Any] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    prompts: list[Any] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)


@pytest.fixture
def heard(parts: Parts) -> Heard:
    heard = Heard()

    def listen(module: Any, inputs: Any, named: Any, output: Any) -> None:
        heard.latents.append(inputs[0])
        heard.times.append(float(inputs[1]))
        heard.prompts.append(named["encoder_hidden_states"])
        heard.answers.append(output[0])

    parts.unet.register_forward_hook(listen, with_kwargs=True)
    return heard


def drawn(parts: Parts, guidance: float = 4.0, seed: int = 7, thrift: Thrift | None = None) -> np.ndarray:
    report = Report()
    tell = Telling(report, "")
    latents = draw(parts, SUBJECT, Settings(STEPS, guidance, seed), tell, report)
    return develop(parts, latents, thrift or Thrift(1, 1), tell, report)


def test_the_scales_are_those_published() -> None:
    assert unscaled_latents(0.585) == pytest.approx(1.0) and unscaled_latents(0.0) == pytest.approx(0.22)
    assert unscaled_image(0.625) == pytest.approx(1.0) and unscaled_image(1.0) == pytest.approx(1.6)


def test_the_unconditional_half_has_a_grey_picture_and_the_empty_prompt(parts: Parts) -> None:
    import torch

    with torch.no_grad():
        condition = conditioned(parts, SUBJECT, 4.0, generator())
        same = generator()
        photo = prepared(on_backdrop(SUBJECT, 512, PHOTO_FILL, GREY), parts.seen_by_vae)
        expected = parts.vae.encode(photo).latent_dist.sample(same)
        nothing = parts.vae.encode(torch.zeros_like(photo)).latent_dist.sample(same)
        seen = prepared(on_backdrop(SUBJECT, 224, PHOTO_FILL, GREY), parts.seen_by_clip)
        embedding = parts.vision_encoder(seen).image_embeds[0]
    assert condition.latents.shape == (2, 4, 16, 16) and condition.prompt.shape == (2, 77, 16)
    assert torch.equal(condition.latents[0], nothing[0])
    assert torch.equal(condition.latents[1], expected[0]), "not multiplied by the VAE's scaling factor"
    assert torch.equal(condition.prompt[0], parts.empty_prompt[0])
    added = (condition.prompt[1] - condition.prompt[0]).numpy()
    np.testing.assert_allclose(added, np.outer(parts.ramp.numpy(), embedding.numpy()), atol=1e-5)
    assert abs(added[0]).max() == 0 and abs(added[-1]).max() > 0.01, "from the first token to the last"


def test_a_seed_means_the_same_in_another_precision(parts: Parts, weights_folder: Path) -> None:
    import torch

    half = Place(torch.device("cpu"), torch.bfloat16, "CPU, bfloat16")
    coarse = load(weights_folder / "sudo-ai" / "zero123plus-v1.2", half)
    with torch.no_grad():
        ours, theirs = (conditioned(either, SUBJECT, 4.0, generator()) for either in (parts, coarse))
    assert ours.latents.dtype == theirs.latents.dtype == torch.float32
    assert ours.latents.std() > 0.5 and abs(ours.latents - theirs.latents).max() < 0.1
    assert np.abs(drawn(parts).astype(int) - drawn(coarse)).mean() < 10


def test_the_photo_is_seen_on_grey_with_less_contrast(parts: Parts) -> None:
    seen = on_backdrop(SUBJECT, 512, PHOTO_FILL, GREY)
    assert (seen[0, 0] == 127).all(), "as its authors' own backdrop"
    told = prepared(seen, parts.seen_by_vae)
    assert tuple(told.shape) == (1, 3, 512, 512) and told.abs().max() <= 0.5 / 0.8
    assert abs(float(told[0, 0, 0, 0])) < 0.01, "the backdrop is the VAE's zero"
    np.testing.assert_allclose(told[0, :, 160, 200].numpy(), (seen[160, 200] / 255 - 0.5) / 0.8, atol=1e-6)


def test_each_step_is_two_passes_at_the_same_time_and_noise_level(parts: Parts, heard: Heard) -> None:
    import torch

    drawn(parts)
    assert len(heard.times) == 2 * STEPS and heard.times[0::2] == heard.times[1::2]
    assert heard.times[0] == 999 and heard.times == sorted(heard.times, reverse=True), "trailing: from pure noise on"
    assert {tuple(latents.shape) for latents in heard.latents[0::2]} == {(2, 4, 16, 16)}
    assert {tuple(latents.shape) for latents in heard.latents[1::2]} == {(2, 4, 30, 20)}
    assert all(torch.equal(prompt, heard.prompts[0]) for prompt in heard.prompts)

    # The first step by hand: the draws in their order, and a schedule that is linear in beta.
    dice = generator()
    with torch.no_grad():
        condition = conditioned(parts, SUBJECT, 4.0, dice)
    noise = torch.randn((1, 4, 30, 20), generator=dice)
    photo_noise = torch.randn((2, 4, 16, 16), generator=dice)
    sigmas = sigmas_of(heard.times[0::2])
    photo = (condition.latents + photo_noise * sigmas[0]) / (sigmas[0] ** 2 + 1) ** 0.5
    np.testing.assert_allclose(heard.latents[0].numpy(), photo.numpy(), rtol=1e-4, atol=1e-5)
    views = noise * sigmas[0]
    np.testing.assert_allclose(heard.latents[1][0].numpy(), scaled(views, sigmas[0])[0], rtol=1e-4, atol=1e-5)

    # And its result, which the second step begins with: v-prediction, an ancestral Euler step, guidance 4.
    without, with_photo = heard.answers[1].chunk(2)
    velocity = (without + 4 * (with_photo - without)).numpy()
    guess = views.numpy() / (sigmas[0] ** 2 + 1) - velocity * sigmas[0] / (sigmas[0] ** 2 + 1) ** 0.5
    up = (sigmas[1] ** 2 * (sigmas[0] ** 2 - sigmas[1] ** 2) / sigmas[0] ** 2) ** 0.5
    down = (sigmas[1] ** 2 - up**2) ** 0.5
    ahead = views.numpy() + (views.numpy() - guess) / sigmas[0] * (down - sigmas[0])
    ahead += torch.randn((1, 4, 30, 20), generator=dice).numpy() * up
    np.testing.assert_allclose(heard.latents[3][1].numpy(), scaled(ahead, sigmas[1])[0], rtol=1e-3, atol=1e-4)

    # For which the photo gets noise of its own
    photo = scaled(condition.latents + torch.randn((2, 4, 16, 16), generator=dice) * sigmas[1], sigmas[1])
    np.testing.assert_allclose(heard.latents[2].numpy(), photo.numpy(), rtol=1e-4, atol=1e-5)


def sigmas_of(times: list[float]) -> np.ndarray:
    kept = np.cumprod(1 - np.linspace(0.00085, 0.012, 1000))
    return np.array([((1 - kept[int(t)]) / kept[int(t)]) ** 0.5 for t in times])


def scaled(latents: Any, sigma: float) -> Any:
    return latents / (sigma**2 + 1) ** 0.5


def test_guidance_1_leaves_the_unconditional_half_out(parts: Parts, heard: Heard) -> None:
    drawn(parts, guidance=1.0)
    assert {len(latents) for latents in heard.latents} == {1}
    assert abs(heard.prompts[0] - parts.empty_prompt).max() > 0.01


def test_guidance_leads_away_from_the_answer_without_the_photo() -> None:
    import torch

    answer = torch.tensor([[1.0], [3.0]])
    assert guided(answer, 4.0).tolist() == [[9.0]] and guided(answer[:1], 4.0).tolist() == [[1.0]]


def test_the_same_seed_gives_the_same_picture_and_nobody_elses_chance_is_touched(parts: Parts) -> None:
    import torch

    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = drawn(parts)
    torch.manual_seed(2)
    assert np.array_equal(first, drawn(parts)) and first.shape == (960, 640, 3)
    torch.manual_seed(1)
    drawn(parts)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not np.array_equal(first, drawn(parts, seed=8))


def test_in_tiles_it_decodes_less_at_once_and_nearly_the_same(parts: Parts) -> None:
    import torch

    sizes: list[tuple[int, int]] = []
    parts.vae.decoder.register_forward_pre_hook(lambda module, inputs: sizes.append(tuple(inputs[0].shape[-2:])))
    latents = torch.nn.functional.interpolate(
        torch.randn((1, 4, 6, 4), generator=generator()), (30, 20), mode="bicubic"
    )
    with torch.no_grad():
        whole, tiled = (decoded(parts, latents, Thrift(1, 1, tiles=tiles)) for tiles in (False, True))
    assert sizes[0] == (30, 20) and len(sizes) > 2 and max(height * width for height, width in sizes[1:]) < 500
    # Each tile has group norms of its own, so it is not the same; but it is the same picture, in the same place.
    assert tiled.shape == whole.shape and not np.array_equal(tiled, whole)
    assert likeness(whole, tiled) > 0.75 > 0.4 > likeness(whole, np.roll(tiled, 160, axis=0))
    assert parts.vae.use_tiling is False, "the next run has it as it was"


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_a_plain_latent_decodes_to_the_contrast_of_a_picture(parts: Parts) -> None:
    import torch

    with torch.no_grad():
        latents = torch.zeros(1, 4, 30, 20)
        raw = parts.vae.decode(latents).sample[0].permute(1, 2, 0).numpy()
        picture = decoded(parts, latents, Thrift(1, 1))
    expected = np.clip((raw * 1.6 / 2 + 0.5) * 255, 0, 255)
    assert np.abs(picture - expected).max() <= 0.51


def test_numbers_that_are_no_picture_are_told(parts: Parts) -> None:
    import torch

    with torch.no_grad(), pytest.raises(TurnaroundError, match="no picture"):
        decoded(parts, torch.full((1, 4, 30, 20), float("nan")), Thrift(1, 1))
