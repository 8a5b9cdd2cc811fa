"""Reference attention against the same computed by hand from a layer's weights."""

from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import Cancelled
from pipelines.runtime.telling import listening
from pipelines.zero123plus.attention import References
from pipelines.zero123plus.model import Parts


def through(parts: Parts, latents: Any, references: References | None) -> Any:
    import torch

    prompt = parts.empty_prompt.expand(len(latents), -1, -1)
    with torch.no_grad():
        told = {"references": references} if references else None
        return parts.unet(latents, 500, encoder_hidden_states=prompt, cross_attention_kwargs=told).sample


def some(*shape: int, seed: int = 0) -> Any:
    import torch

    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def self_attentions(parts: Parts) -> dict[str, Any]:
    return {name: module for name, module in parts.unet.named_modules() if name.endswith(".attn1")}


def by_hand(layer: Any, own: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """[N, C] and [M, C]: what plain attention makes of its own tokens when it may also look at the photo's."""
    query, key, value = (linear.weight.detach().double().numpy() for linear in (layer.to_q, layer.to_k, layer.to_v))
    attended = np.concatenate([own, photo])
    heads = []
    width = len(query) // layer.heads
    for head in range(layer.heads):
        rows = slice(head * width, (head + 1) * width)
        scores = (own @ query[rows].T) @ (attended @ key[rows].T).T / np.sqrt(width)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        heads.append(shares @ (attended @ value[rows].T))
    out = layer.to_out[0]
    return np.concatenate(heads, axis=1) @ out.weight.detach().double().numpy().T + out.bias.detach().double().numpy()


def test_every_self_attention_looks_at_its_own_tokens_and_the_photos(parts: Parts) -> None:
    layers, met = self_attentions(parts), dict[str, list[tuple[Any, Any]]]()
    for name, layer in layers.items():
        layer.register_forward_hook(
            lambda module, inputs, output, name=name: met.setdefault(name, []).append((inputs[0], output))
        )
    references = References()
    through(parts, some(2, 4, 10, 10, seed=1), references)
    references.reading = True
    through(parts, some(2, 4, 30, 20, seed=2), references)
    assert len(layers) >= 3 and set(met) == set(layers)
    for name, ((photo, alone), (own, output)) in met.items():
        for half in range(2):  # the photo's first half is for the views' first half only
            tokens, seen = own[half].double().numpy(), photo[half].double().numpy()
            np.testing.assert_allclose(output[half].numpy(), by_hand(layers[name], tokens, seen), atol=2e-6)
            itself = by_hand(layers[name], seen, seen[:0])
            np.testing.assert_allclose(alone[half].numpy(), itself, atol=2e-6)


def test_the_first_pass_leaves_one_entry_a_layer_and_the_second_uses_them_up(parts: Parts) -> None:
    references = References()
    through(parts, some(2, 4, 10, 10), references)
    assert set(references.kept) == {f"{name}.processor" for name in self_attentions(parts)}
    assert all(tokens.shape[0] == 2 for tokens in references.kept.values())
    references.reading = True
    through(parts, some(2, 4, 30, 20), references)
    assert references.kept == {}


def test_without_references_the_unet_is_diffusers_own(parts: Parts) -> None:
    from diffusers.models.attention_processor import AttnProcessor2_0

    latents = some(1, 4, 30, 20)
    ours = through(parts, latents, None)
    parts.unet.set_attn_processor(AttnProcessor2_0())
    assert abs(ours - through(parts, latents, None)).max() < 1e-5


def test_another_photo_gives_another_answer(parts: Parts) -> None:
    answers = []
    for seed in (1, 2):
        references = References()
        through(parts, some(1, 4, 10, 10, seed=seed), references)
        references.reading = True
        answers.append(through(parts, some(1, 4, 30, 20, seed=3), references))
    assert abs(answers[0] - answers[1]).max() > 1e-4


def test_cancelling_stops_it_between_two_layers(parts: Parts) -> None:
    passed = 0

    def check() -> None:
        nonlocal passed
        passed += 1
        if passed == 3:
            raise Cancelled

    with pytest.raises(Cancelled), listening(check):
        through(parts, some(1, 4, 10, 10), References())
    assert passed == 3
