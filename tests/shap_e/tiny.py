"""Shap-E with tiny networks, or of any other size, in the real repository's layout and with its tensors' names.

Random weights would make no object: a random signed distance has no zero or a thousand. So the small network's weights
are set by hand to those of a ball, and the latent may only dent it. The layers are made of these units:

- 0 to 5: silu(a x) and silu(-a x) for each axis, whose sum grows with |x| from the centre on like a square;
- 6 to 8: silu(6 + x) for each axis, about linear, for the colours;
- 9: the sum of the first six, from the second layer on, shifted so far that silu leaves it as it is.

The ball is bright where x is large in Shap-E's box, red upwards and blue towards -y: it shows how it is turned.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

NAMES = tuple(f"nerstf.mlp.{i}.weight" for i in range(4))
BEND, LIFT, DENT = 4.0, 6.0, 0.005
RADIUS = 0.6


@dataclass(frozen=True)
class Size:
    width: int
    """Of the latent, the transformer and CLIP."""
    hidden: int
    """Units of the small network."""
    heads: int
    layers: int
    clip_heads: int
    clip_layers: int
    patch_px: int


TINY = Size(width=16, hidden=16, heads=2, layers=2, clip_heads=2, clip_layers=2, patch_px=56)
FULL = Size(width=1024, hidden=256, heads=8, layers=24, clip_heads=16, clip_layers=24, patch_px=14)


def prior_shape(size: Size) -> dict[str, Any]:
    """shap-e-img2img's own, but for the sizes."""
    return {
        "num_attention_heads": size.heads,
        "attention_head_dim": size.width // size.heads,
        "num_layers": size.layers,
        "embedding_dim": size.width,
        "num_embeddings": size.hidden * len(NAMES),
        "additional_embeddings": 0,
        "time_embed_act_fn": "gelu",
        "norm_in_type": "layer",
        "embedding_proj_norm_type": "layer",
        "encoder_hid_proj_type": None,
        "added_emb_type": None,
        "time_embed_dim": size.width * 4,
        "embedding_proj_dim": size.width,
        "clip_embed_dim": size.width * 2,
    }


SCHEDULER = {
    "_class_name": "HeunDiscreteScheduler",
    "beta_schedule": "exp",
    "num_train_timesteps": 1024,
    "prediction_type": "sample",
    "use_karras_sigmas": True,
    "clip_sample": True,
    "clip_sample_range": 1.0,
}


def write(folder: Path) -> None:
    write_repository(folder / "openai" / "shap-e-img2img")


def write_repository(folder: Path, pickled_renderer: bool = False, size: Size = TINY) -> None:
    """As the pull request has it, with fp16 everywhere; or as main has it, with a renderer that is a pickle of fp32."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        write_prior(folder / "prior", size)
        write_encoder(folder / "image_encoder", size)
        write_renderer(folder / "shap_e_renderer", pickled_renderer, size)
    write_json(folder / "scheduler" / "scheduler_config.json", SCHEDULER)


def write_prior(folder: Path, size: Size) -> None:
    import torch
    from diffusers.models.transformers.prior_transformer import PriorTransformer

    prior = PriorTransformer(**prior_shape(size))
    torch.nn.init.normal_(prior.positional_embedding, std=0.02)
    prior.half().save_pretrained(folder, variant="fp16")


def write_encoder(folder: Path, size: Size) -> None:
    """In the names of its time, with position numbers among the weights."""
    import torch
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModel

    shape = CLIPVisionConfig(
        hidden_size=size.width,
        intermediate_size=4 * size.width,
        num_hidden_layers=size.clip_layers,
        num_attention_heads=size.clip_heads,
        image_size=224,
        patch_size=size.patch_px,
    )
    make: Any = CLIPVisionModel
    encoder = make(shape).to(torch.float16)
    tensors = {f"vision_model.{name}": tensor.contiguous() for name, tensor in encoder.state_dict().items()}
    tensors["vision_model.embeddings.position_ids"] = torch.arange(1 + (224 // size.patch_px) ** 2)[None]
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.fp16.safetensors", metadata={"format": "pt"})
    write_json(folder / "config.json", {**shape.to_dict(), "architectures": ["CLIPVisionModel"]})


def write_renderer(folder: Path, pickled: bool, size: Size) -> None:
    renderer = a_renderer(size)
    if pickled:
        renderer.save_pretrained(folder, safe_serialization=False)
    else:
        renderer.half().save_pretrained(folder, variant="fp16")


def a_renderer(size: Size = TINY) -> Any:
    """diffusers' own, whose every latent is about the ball."""
    import torch
    from diffusers.pipelines.shap_e.renderer import ShapERenderer

    make: Any = ShapERenderer
    hidden = size.hidden
    shapes = ((hidden, 93), *((hidden, hidden),) * 3)  # 93: a point and its 15 frequencies
    renderer = make(param_names=NAMES, param_shapes=shapes, d_latent=size.width, d_hidden=hidden)
    matrices, biases = ball(hidden)
    with torch.no_grad():
        for name, matrix in zip(NAMES, matrices[:4], strict=True):
            projection = renderer.params_proj.projections[name.replace(".", "__")]
            # What comes of the latent is normalised, and so as large as this; the matrix proper is the bias.
            projection.norm.weight.fill_(DENT if name == NAMES[0] else 0.0)
            projection.proj.bias.copy_(torch.from_numpy(matrix.ravel()))
        for layer, matrix, bias in zip(renderer.mlp.mlp, matrices, biases, strict=True):
            layer.weight.copy_(torch.from_numpy(matrix))
            layer.bias.copy_(torch.from_numpy(bias))
        # Not the real tables, which nothing here reads; only such as are no zeros
        renderer.mesh_decoder.cases.copy_(torch.arange(256 * 15).reshape(256, 5, 3) % 12)
        renderer.mesh_decoder.masks.fill_(True)
    return renderer


def ball(hidden: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The matrices and biases of the seven layers."""
    passed = np.zeros((hidden, hidden), np.float32)
    passed[[6, 7, 8, 9], [6, 7, 8, 9]] = 1
    # 0: a point and its frequencies
    first, first_bias = np.zeros((hidden, 93), np.float32), np.zeros(hidden, np.float32)
    for axis in range(3):
        first[2 * axis, axis], first[2 * axis + 1, axis], first[6 + axis, axis] = BEND, -BEND, 1
        first_bias[6 + axis] = LIFT
    # 1: the sum of the bends
    second, second_bias = passed.copy(), np.zeros(hidden, np.float32)
    second[9], second_bias[9] = 0, LIFT
    second[9, :6] = 1
    # 4: has the direction's 51 numbers beside it, which are zero
    fifth = np.concatenate([passed, np.zeros((hidden, 51), np.float32)], axis=1)
    # 6: distance, two densities, and three colours three times
    last, last_bias = np.zeros((12, hidden), np.float32), np.zeros(12, np.float32)
    last[0, 9], last_bias[0] = -0.5, 0.5 * (LIFT + RADIUS * BEND * np.tanh(RADIUS * BEND / 2))
    for first_channel in (3, 6, 9):
        channels = slice(first_channel, first_channel + 3)
        last[channels, 6] = 4  # bright where x is large
        last[first_channel, 8], last[first_channel + 2, 7] = 2, -2
        last_bias[channels] = -LIFT * last[channels].sum(axis=1)
    none = np.zeros(hidden, np.float32)
    return (
        [first, second, passed, passed, fifth, passed, last],
        [first_bias, second_bias, none, none, none, none, last_bias],
    )


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2), "utf-8")
