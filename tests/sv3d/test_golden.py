"""The authors' own code ran a small SV3D (specs/sv3d.md, section 4); ours has to come to the same numbers.

And every mistake that is easy to make must be seen: each is made here on purpose.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pipelines.core.errors import TurnaroundError
from pipelines.sv3d import network, sampling
from pipelines.sv3d.cameras import Path, evenly, level
from pipelines.sv3d.loading import Parts
from pipelines.sv3d.network import answers_to, attending, predicted
from pipelines.sv3d.sampling import (
    LATENT_SCALE,
    Sampling,
    Seen,
    camera_numbers,
    decoded,
    draw,
    for_clip,
    guidance_of,
    noise_levels,
    see,
    waves,
)

TOLERANCE = 1e-4  # of the largest
ROUNDING = 5e-6  # of one call: 1e-6 was seen, and 1.2e-5 where residual blocks have diffusers' own epsilon
FRAMES, STEPS = 5, 5


def off_by(made: Any, expected: Tensor) -> float:
    made = torch.as_tensor(made)
    assert made.shape == expected.shape
    return float((made.double() - expected.double()).abs().max() / expected.double().abs().max())


def agrees(made: Any, expected: Tensor) -> bool:
    return off_by(made, expected) < TOLERANCE


def the_path() -> Path:
    elevations = tuple(10 + 15 * math.sin(2 * math.pi * (i + 1) / FRAMES) for i in range(FRAMES))
    return Path(evenly(FRAMES), elevations)


@pytest.fixture(scope="module")
def seen(parts: Parts, golden: dict[str, Tensor]) -> Seen:
    noise = (golden["cond_frames"] - golden["image"]) / 1e-5
    return see(parts, golden["image"], noise)


# --- What the network is told -----------------------------------------------------------------------------------------


def formula_image(side: int) -> Tensor:
    """Sharp edges and fine waves, where a resize with another filter shows."""
    v, u = np.mgrid[:side, :side] / side
    image = 0.5 + 0.5 * np.stack([np.sin(9 * u + 2 * v), np.cos(7 * v - 3 * u), np.sin(40 * u) * np.cos(31 * v)])
    image[:, (u - 0.5) ** 2 + (v - 0.5) ** 2 >= 0.16] = 1
    return torch.from_numpy(np.floor(255 * image) / 255 * 2 - 1).float()[None]


def test_the_picture_is_made_smaller_as_the_image_encoder_saw_it(golden: dict[str, Tensor]):
    assert agrees(for_clip(golden["image"], 224)[:, :, ::4, ::4], golden["clip_preprocessed"])
    assert agrees(for_clip(formula_image(576), 224)[:, :, ::8, ::8], golden["clip_pre_576_strided8"])


def test_the_photo_is_seen_alike(seen: Seen, golden: dict[str, Tensor]):
    assert agrees(seen.embedding[None], golden["c.crossattn_1"])
    assert agrees(seen.latent[None], golden["c.concat_1"])


def test_angles_become_the_same_numbers(golden: dict[str, Tensor]):
    polars, azimuths = the_path().conditions_rad()
    assert agrees(polars, golden["polars_rad"]) and agrees(azimuths, golden["azimuths_rad"])
    assert agrees(camera_numbers(the_path(), FRAMES), golden["c.vector"])
    assert torch.equal(golden["c.vector"], golden["uc.vector"]), "the unguided video has the same cameras"
    assert agrees(camera_numbers(None, FRAMES), golden["u.c.vector"])


def test_the_real_orbit_becomes_the_same_numbers(golden: dict[str, Tensor]):
    assert agrees(level(10).conditions_rad()[1], golden["real.azimuths_rad_21"])
    assert agrees(camera_numbers(level(10), 21)[[0, 10, 20]], golden["real.vector_p_elev10"])


def test_noise_and_guidance_have_the_same_schedule(golden: dict[str, Tensor]):
    assert agrees(noise_levels(STEPS), golden["sigmas"]) and agrees(noise_levels(50), golden["real.sigmas_50"])
    assert agrees(guidance_of(FRAMES, 2.5), golden["guider_scale"])
    assert agrees(guidance_of(21, 2.5), golden["real.guider_scale_21"])


# --- The network ------------------------------------------------------------------------------------------------------


def asked_once(parts: Parts, golden: dict[str, Tensor], **mistaken: Any) -> Tensor:
    """The network's first answer, to the authors' own input; `mistaken` replaces a part of it."""
    videos = mistaken.get("videos", golden["step0.unet_in"]).unflatten(0, (2, FRAMES))
    numbers = mistaken.get("numbers", golden["c.vector"])
    embedding = golden["c.crossattn_1"][0]
    contexts = mistaken.get("contexts", torch.cat([torch.zeros_like(embedding), embedding]))
    with torch.inference_mode(), attending(parts.unet, answers_to(parts.unet, contexts)):
        cameras = parts.unet.add_embedding(numbers)
        return predicted(parts.unet, videos, golden["step0.unet_t"][0], cameras).flatten(0, 1)


def test_where_scores_are_kept_attention_goes_in_parts_and_answers_the_same(
    parts: Parts, golden: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
):
    together, attend, scores = asked_once(parts, golden), functional.scaled_dot_product_attention, list[int]()

    def counted(query: Tensor, key: Tensor, *rest: Any, **more: Any) -> Tensor:
        scores.append(4 * query.shape[:2].numel() * query.shape[2] * key.shape[2])
        return attend(query, key, *rest, **more)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", counted)
    asked_once(parts, golden)
    whole = max(scores)
    monkeypatch.setattr(network, "KEEPS_SCORES", "cpu")
    monkeypatch.setattr(network, "MOST_SCORES_BYTES", whole // 3)
    scores.clear()
    assert torch.allclose(asked_once(parts, golden), together, atol=1e-6)
    assert whole // 6 < max(scores) <= whole // 3


def test_one_call_gives_the_same_answer_and_the_same_on_the_way(parts: Parts, golden: dict[str, Tensor]):
    unet, caught = parts.unet, {}

    def catch(name: str) -> Callable[..., None]:
        return lambda module, given, made: caught.update({name: made})

    places = {
        "time_embed": unet.time_embedding,
        "label_emb": unet.add_embedding,
        "input_blocks.4": unet.down_blocks[1].attentions[0],
        "input_blocks.10": unet.down_blocks[3].resnets[0],
        "middle_block": unet.mid_block,
        "output_blocks.2": unet.up_blocks[0],
        "output_blocks.5": unet.up_blocks[1],
    }
    hooks = [module.register_forward_hook(catch(name)) for name, module in places.items()]
    try:
        answer = asked_once(parts, golden)
    finally:
        for hook in hooks:
            hook.remove()
    for name in places:
        made = caught[name][0] if isinstance(caught[name], tuple) else caught[name]
        made = getattr(made, "sample", made)
        expected = golden[f"step0.{name}"]
        made = made.repeat(len(expected) // len(made), *[1] * (made.ndim - 1))  # ours is told of each camera once
        assert agrees(made, expected), name
    assert off_by(answer, golden["step0.unet_out"]) < ROUNDING


def test_each_mistake_is_seen(parts: Parts, golden: dict[str, Tensor]):
    right, vector = golden["step0.unet_out"], golden["c.vector"]
    noise, polar, azimuth = vector[:, :256], vector[:, 256:768], vector[:, 768:]
    polars, azimuths = the_path().conditions_rad()

    def sines_first(values: list[float], width: int) -> Tensor:
        return torch.from_numpy(np.roll(waves(values, width), width // 2, axis=1))

    embedding = golden["c.crossattn_1"][0]
    videos = golden["step0.unet_in"].clone()
    videos[:, 4:] *= LATENT_SCALE
    mistakes: dict[str, dict[str, Tensor]] = {
        "angles swapped": {"numbers": torch.cat([noise, azimuth, polar], 1)},
        "sine before cosine": {
            "numbers": torch.cat(
                [sines_first([1e-5] * FRAMES, 256), sines_first(polars, 512), sines_first(azimuths, 512)], 1
            )
        },
        "no cameras": {"numbers": torch.zeros_like(vector)},
        "one camera for all": {"numbers": vector[:1].expand(FRAMES, -1)},
        "frames off by one": {"numbers": vector.roll(1, 0)},
        "guided and unguided swapped": {"contexts": torch.cat([embedding, torch.zeros_like(embedding)])},
        "the photo's latent scaled": {"videos": videos},
    }
    answers = {name: asked_once(parts, golden, **mistake) for name, mistake in mistakes.items()}
    answers["the unguided video without cameras"] = torch.cat([answers["no cameras"][:FRAMES], right[FRAMES:]])
    for name, answer in answers.items():
        assert off_by(answer, right) > 10 * TOLERANCE, name


# --- The recipe -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [2, 1])
@pytest.mark.parametrize("kind", ["p", "u"])
def test_five_steps_lead_to_the_same_latents_and_are_the_same_on_the_way(
    parts: Parts,
    parts_u: Parts,
    golden: dict[str, Tensor],
    seen: Seen,
    kind: str,
    at_once: int,
    monkeypatch: pytest.MonkeyPatch,
):
    path, those, prefix = (the_path(), parts, "") if kind == "p" else (None, parts_u, "u.")
    on_the_way, answers, clean = list[Tensor](), list[Tensor](), list[Tensor]()
    descended, predicted = sampling.descended, sampling.predicted

    def watched(noise: Tensor, chosen: Sampling, taken_for: Callable[..., Tensor], each_step: Any) -> Tensor:
        def noted(x: Tensor, level: float) -> Tensor:
            on_the_way.append(x)
            return taken_for(x, level)

        return descended(noise, chosen, noted, each_step)

    def answered(*given: Any) -> Tensor:
        answers.append(predicted(*given))
        return answers[-1]

    monkeypatch.setattr(sampling, "descended", watched)
    monkeypatch.setattr(sampling, "predicted", answered)
    made = draw(
        those,
        seen,
        camera_numbers(path, FRAMES),
        golden["noise"],
        Sampling(STEPS),
        at_once,
        lambda step, estimate: clean.append(estimate),
    )
    assert len(on_the_way) == len(clean) == STEPS
    assert agrees(on_the_way[0], golden[f"{prefix}x_init"])
    for step, answer in enumerate(torch.cat(answers).unflatten(0, (STEPS, 2))):
        level = float(golden["sigmas"][step])
        both = on_the_way[step] / (level**2 + 1) - answer * level / math.sqrt(level**2 + 1)
        expected = golden[f"{prefix}step{step}.denoised_uc_c"].unflatten(0, (2, FRAMES))
        assert agrees(both, expected), f"step {step}, before guidance"
        guided = expected[0] + golden["guider_scale"][:, None, None, None] * (expected[1] - expected[0])
        assert agrees(clean[step], guided), f"step {step}, after guidance"
        assert agrees([*on_the_way, made][step + 1], golden[f"{prefix}step{step}.x_next"]), f"after step {step}"
    assert agrees(clean[0], golden[f"{prefix}step0.denoised"])
    assert agrees(made, golden[f"{prefix}latents"])


def test_without_guidance_the_unguided_video_is_not_even_made(parts: Parts, golden: dict[str, Tensor], seen: Seen):
    calls: list[int] = []
    hook = parts.unet.conv_in.register_forward_hook(lambda module, given, made: calls.append(len(given[0])))
    clean: list[Tensor] = []
    try:
        draw(
            parts,
            seen,
            camera_numbers(the_path(), FRAMES),
            golden["noise"],
            Sampling(2, 1.0),
            2,
            lambda step, each: clean.append(each),
        )
    finally:
        hook.remove()
    assert calls == [FRAMES, FRAMES]
    assert agrees(clean[0], golden["step0.denoised_uc_c"][FRAMES:])


def test_latents_become_the_same_pictures_however_many_together(parts: Parts, golden: dict[str, Tensor]):
    with torch.inference_mode():
        assert agrees(parts.vae.decode(golden["latents"] / LATENT_SCALE).sample, golden["frames_raw"])
    raw = golden["frames_raw"].permute(0, 2, 3, 1)
    expected = ((raw + 1) * 127.5).clamp(0, 255).numpy()
    together = decoded(parts, golden["latents"])
    alone = np.concatenate([decoded(parts, latent[None]) for latent in golden["latents"]])
    for made in (together, alone):
        assert made.dtype == np.uint8 and made.shape == expected.shape
        assert np.abs(made - expected).max() < 0.51, "rounded, and no more"


def test_numbers_that_are_no_picture_are_a_sentence(golden: dict[str, Tensor], parts: Parts):
    latents = golden["latents"].clone()
    latents[1, 0, 3, 3] = torch.nan
    with pytest.raises(TurnaroundError, match="numbers that are no picture"):
        decoded(parts, latents)
