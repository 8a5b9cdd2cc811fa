"""The photo to a latent: what the transformer is told, and that diffusers' own pipeline comes to the same."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.core.errors import Cancelled
from pipelines.runtime.telling import listening
from pipelines.shap_e.loading import Parts
from pipelines.shap_e.sampling import Sampling, guided, sample, see

PHOTO = np.random.default_rng(3).integers(0, 256, (224, 224, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def tokens(parts: Parts) -> torch.Tensor:
    return see(parts, PHOTO)


class Spy:
    """Listens at the real transformer."""

    def __init__(self, parts: Parts) -> None:
        self.heard: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self._hook = parts.prior.register_forward_pre_hook(self._listen, with_kwargs=True)

    def _listen(self, module: object, inputs: tuple[torch.Tensor, ...], named: dict[str, torch.Tensor]) -> None:
        self.heard.append((inputs[0].clone(), named["timestep"].clone(), named["proj_embedding"].clone()))

    def __enter__(self) -> "Spy":
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()


def drawn(parts: Parts, tokens: torch.Tensor, at_once: int = 2, **changes: Any) -> torch.Tensor:
    chosen = replace(Sampling(steps=5, guidance=3.0, seed=11), **changes)
    return sample(parts, tokens, chosen, at_once, lambda number, clean: None)


def test_tokens_are_the_last_hidden_state_without_the_one_for_the_whole(parts: Parts, tokens: torch.Tensor):
    mean = np.array([0.48145466, 0.4578275, 0.40821073])
    std = np.array([0.26862954, 0.26130258, 0.27577711])
    picture = torch.from_numpy(((PHOTO / 255 - mean) / std).transpose(2, 0, 1)[None]).float()
    with torch.no_grad():
        state = parts.encoder(picture).last_hidden_state
    assert state.shape == (1, 17, 16) and tokens.shape == (1, 16, 16)
    assert torch.allclose(tokens, state[:, 1:], atol=1e-5)


def test_both_halves_go_in_one_batch_and_the_first_sees_nothing(parts: Parts, tokens: torch.Tensor):
    with Spy(parts) as spy:
        drawn(parts, tokens)
    assert len(spy.heard) == Sampling(5, 3.0, 11).answers == 9
    for latent, _, seen in spy.heard:
        assert latent.shape == (2, 64, 16) and torch.equal(latent[0], latent[1])
        assert not seen[0].any() and torch.equal(seen[1], tokens[0])


def test_the_latent_is_scaled_before_it_is_shown(parts: Parts, tokens: torch.Tensor):
    """Noise of a deviation of hundreds, brought to one."""
    with Spy(parts) as spy:
        drawn(parts, tokens)
    assert abs(float(spy.heard[0][0].std()) - 1) < 0.1
    times = [float(t) for _, t, _ in spy.heard]
    assert times == sorted(times, reverse=True) and times[0] == 1023 and times[-1] == 0


def test_guidance_exaggerates_the_difference_and_the_variance_is_dropped(parts: Parts, tokens: torch.Tensor):
    latent, t = torch.randn((1, 64, 16), generator=torch.Generator().manual_seed(1)), torch.tensor(500.0)
    with torch.no_grad():

        def answer(seen: torch.Tensor) -> torch.Tensor:
            return parts.prior(latent, timestep=t, proj_embedding=seen).predicted_image_embedding[..., :16]

        without, with_photo = answer(torch.zeros_like(tokens)), answer(tokens)
        assert float((with_photo - without).abs().max()) > 1e-3
        for at_once in (1, 2):
            got = guided(parts, latent, t, tokens, 2.5, at_once)
            assert torch.allclose(got, without + 2.5 * (with_photo - without), atol=1e-5)
        with Spy(parts) as spy:
            assert torch.allclose(guided(parts, latent, t, tokens, 1.0, 2), with_photo, atol=1e-5)
    assert [seen.shape[0] for _, _, seen in spy.heard] == [1], "guidance 1 asks for the other half in vain"


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_diffusers_own_pipeline_comes_to_the_same_latent(parts: Parts, guidance: float):
    from diffusers.pipelines.shap_e.pipeline_shap_e_img2img import ShapEImg2ImgPipeline
    from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler

    make: Any = ShapEImg2ImgPipeline
    pipeline = make(
        prior=parts.prior,
        image_encoder=parts.encoder,
        image_processor=None,  # the picture is given as it makes it
        scheduler=HeunDiscreteScheduler.from_config(dict(parts.schedule)),
        shap_e_renderer=None,
    )
    pipeline.set_progress_bar_config(disable=True)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.48145466, 0.4578275, 0.40821073), STD))
    picture = (torch.from_numpy(PHOTO).permute(2, 0, 1).float() / 255 - mean) / std
    theirs = pipeline(
        picture[None],
        num_inference_steps=6,
        guidance_scale=guidance,
        generator=torch.Generator("cpu").manual_seed(11),
        output_type="latent",
    ).images
    ours = drawn(parts, see(parts, PHOTO), steps=6, guidance=guidance)
    assert ours.shape == theirs.shape and torch.allclose(ours, theirs, atol=1e-4 * float(theirs.abs().max()))


STD = (0.26862954, 0.26130258, 0.27577711)


def test_a_seed_is_a_latent_whatever_the_batch(parts: Parts, tokens: torch.Tensor):
    assert torch.equal(drawn(parts, tokens), drawn(parts, tokens))
    assert torch.allclose(drawn(parts, tokens), drawn(parts, tokens, at_once=1), atol=1e-3)
    assert not torch.allclose(drawn(parts, tokens), drawn(parts, tokens, seed=12), atol=1e-2)


def test_nothing_touches_the_global_seed(parts: Parts, tokens: torch.Tensor):
    before = torch.random.get_rng_state()
    drawn(parts, tokens)
    assert torch.equal(before, torch.random.get_rng_state())


def test_it_can_be_stopped_between_two_layers(parts: Parts, tokens: torch.Tensor):
    calls, begun = 0, 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 7:
            raise Cancelled

    def began(*_: object) -> None:
        nonlocal begun
        begun += 1

    hook = parts.prior.register_forward_pre_hook(began)
    with pytest.raises(Cancelled), listening(check):
        drawn(parts, tokens)
    hook.remove()
    assert (calls, begun) == (7, 1)
    assert torch.isfinite(drawn(parts, tokens)).all(), "what was cancelled stays behind"
