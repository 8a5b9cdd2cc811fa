"""Shap-E with tiny networks, in the real repository's layout and with its tensors' names.

Random weights would make no object: a random signed distance has no zero or a thousand. So the small network's weights
are set by hand to those of a ball, and the latent may only dent it. The layers are made of these units:

- 0 to 5: silu(a x) and silu(-a x) for each axis, whose sum grows with |x| from the centre on like a square;
- 6 to 8: silu(6 + x) for each axis, about linear, for the colours;
- 9: the sum of the first six, from the second layer on, shifted so far that silu leaves it as it is.

The ball is bright where x is large in Shap-E's box, red upwards and blue towards -y: it shows how it is turned.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

HIDDEN = LATENT = WIDTH = 16
TOKENS_A_LAYER = HIDDEN
NAMES = tuple(f"nerstf.mlp.{i}.weight" for i in range(4))
SHAPES = ((HIDDEN, 93), *((HIDDEN, HIDDEN),) * 3)  # 93: a point and its 15 frequencies
BEND, LIFT, DENT = 4.0, 6.0, 0.005
RADIUS = 0.6

PRIOR = {  # shap-e-img2img's own, but for the sizes
    "num_attention_heads": 2,
    "attention_head_dim": WIDTH // 2,
    "num_layers": 2,
    "embedding_dim": LATENT,
    "num_embeddings": TOKENS_A_LAYER * len(NAMES),
    "additional_embeddings": 0,
    "time_embed_act_fn": "gelu",
    "norm_in_type": "layer",
    "embedding_proj_norm_type": "layer",
    "encoder_hid_proj_type": None,
    "added_emb_type": None,
    "time_embed_dim": WIDTH * 4,
    "embedding_proj_dim": WIDTH,
    "clip_embed_dim": LATENT * 2,
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


def write_repository(folder: Path, pickled_renderer: bool = False) -> None:
    """As the pull request has it, with fp16 everywhere; or as main has it, with a renderer that is a pickle of fp32."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        write_prior(folder / "prior")
        write_encoder(folder / "image_encoder")
        write_renderer(folder / "shap_e_renderer", pickled_renderer)
    write_json(folder / "scheduler" / "scheduler_config.json", SCHEDULER)


def write_prior(folder: Path) -> None:
    import torch
    from diffusers.models.transformers.prior_transformer import PriorTransformer

    prior = PriorTransformer(**PRIOR)
    torch.nn.init.normal_(prior.positional_embedding, std=0.02)
    prior.half().save_pretrained(folder, variant="fp16")


def write_encoder(folder: Path) -> None:
    """In the names of its time, with position numbers among the weights."""
    import torch
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModel

    shape = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=224,
        patch_size=56,
    )
    make: Any = CLIPVisionModel
    encoder = make(shape).to(torch.float16)
    tensors = {f"vision_model.{name}": tensor.contiguous() for name, tensor in encoder.state_dict().items()}
    tensors["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.fp16.safetensors", metadata={"format": "pt"})
    write_json(folder / "config.json", {**shape.to_dict(), "architectures": ["CLIPVisionModel"]})


def write_renderer(folder: Path, pickled: bool) -> None:
    renderer = a_renderer()
    if pickled:
        renderer.save_pretrained(folder, safe_serialization=False)
    else:
        renderer.half().save_pretrained(folder, variant="fp16")


def a_renderer() -> Any:
    """diffusers' own, whose every latent is about the ball."""
    import torch
    from diffusers.pipelines.shap_e.renderer import ShapERenderer

    make: Any = ShapERenderer
    renderer = make(param_names=NAMES, param_shapes=SHAPES, d_latent=LATENT, d_hidden=HIDDEN)
    matrices, biases = ball()
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


def ball() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The matrices and biases of the seven layers."""
    passed = np.zeros((HIDDEN, HIDDEN), np.float32)
    passed[[6, 7, 8, 9], [6, 7, 8, 9]] = 1
    # 0: a point and its frequencies
    first, first_bias = np.zeros((HIDDEN, 93), np.float32), np.zeros(HIDDEN, np.float32)
    for axis in range(3):
        first[2 * axis, axis], first[2 * axis + 1, axis], first[6 + axis, axis] = BEND, -BEND, 1
        first_bias[6 + axis] = LIFT
    # 1: the sum of the bends
    second, second_bias = passed.copy(), np.zeros(HIDDEN, np.float32)
    second[9], second_bias[9] = 0, LIFT
    second[9, :6] = 1
    # 4: has the direction's 51 numbers beside it, which are zero
    fifth = np.concatenate([passed, np.zeros((HIDDEN, 51), np.float32)], axis=1)
    # 6: distance, two densities, and three colours three times
    last, last_bias = np.zeros((12, HIDDEN), np.float32), np.zeros(12, np.float32)
    last[0, 9], last_bias[0] = -0.5, 0.5 * (LIFT + RADIUS * BEND * np.tanh(RADIUS * BEND / 2))
    for first_channel in (3, 6, 9):
        channels = slice(first_channel, first_channel + 3)
        last[channels, 6] = 4  # bright where x is large
        last[first_channel, 8], last[first_channel + 2, 7] = 2, -2
        last_bias[channels] = -LIFT * last[channels].sum(axis=1)
    none = np.zeros(HIDDEN, np.float32)
    return (
        [first, second, passed, passed, fifth, passed, last],
        [first_bias, second_bias, none, none, none, none, last_bias],
    )


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2), "utf-8")
