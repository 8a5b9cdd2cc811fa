"""Tiny real components of the family, saved as the real repositories are: their layouts, file names and tensor names.

`write(folder)` makes every repository that the cards name first, each below 300 kB and with numbers of its own.
"""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from pipelines.zero123.sources import STABLE_ZERO123, ZERO123, ZERO123_XL

WIDTH = 16  # of a token: 768 in the real ones
SIDE_PX = 64  # of the pictures it draws: 256
SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "_diffusers_version": "0.18.2",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "trained_betas": None,
}
OLD_ATTENTION = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}


def write(folder: Path) -> None:
    threestudio(folder / ZERO123["threestudio"].first.repository, seed=1, variant=".fp16")
    kxic(folder / ZERO123["105000"].first.repository, seed=2)
    kxic(folder / ZERO123["165000"].first.repository, seed=3)
    threestudio(folder / ZERO123_XL.first.repository, seed=4)
    threestudio(folder / STABLE_ZERO123.first.repository, seed=5)


def threestudio(folder: Path, seed: int, variant: str = "") -> None:
    """As bennyguo's and ashawkey's: safetensors in float16, `clip_camera_projection` with `proj.*`."""
    parts = components(seed)
    _configs(folder, parts)
    for part_name, part in parts.items():
        name = "clip_camera_projection" if part_name == "camera" else part_name
        tensors = {key: tensor.half().contiguous() for key, tensor in part.state_dict().items()}
        if part_name == "camera":
            tensors = {f"proj.{key}": tensor for key, tensor in tensors.items()}
            config = {"_class_name": "CLIPCameraProjection", "embedding_dim": WIDTH, "additional_embeddings": 4}
            _write_json(folder / name / "config.json", config)
        stem = "model" if name == "image_encoder" else "diffusion_pytorch_model"
        (folder / name).mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / name / f"{stem}{variant}.safetensors", metadata={"format": "pt"})


def kxic(folder: Path, seed: int, suffix: str = "bin") -> None:
    """As kxic's: float32, `cc_projection` with `projection.*`, and the VAE's attention as it was spelt in 2023."""
    parts = components(seed)
    _configs(folder, parts)
    for part_name, part in parts.items():
        name = "cc_projection" if part_name == "camera" else part_name
        tensors = {key: tensor.contiguous() for key, tensor in part.state_dict().items()}
        if part_name == "camera":
            tensors = {f"projection.{key}": tensor for key, tensor in tensors.items()}
            _write_json(folder / name / "config.json", {"_class_name": "CCProjection", "_diffusers_version": "0.18.2"})
        if name == "vae":
            tensors = {_as_in_2023(key): tensor for key, tensor in tensors.items()}
        if name == "image_encoder":
            tensors["vision_model.embeddings.position_ids"] = torch.arange(5)[None]  # files held it then
        (folder / name).mkdir(parents=True, exist_ok=True)
        stem = "diffusion_pytorch_model"
        if suffix == "bin":
            torch.save(tensors, folder / name / f"{'pytorch_model' if name == 'image_encoder' else stem}.bin")
        else:
            stem = "model" if name == "image_encoder" else stem
            save_file(tensors, folder / name / f"{stem}.safetensors", metadata={"format": "pt"})


def components(seed: int) -> dict[str, nn.Module]:
    """The networks with random numbers; nobody else's random numbers are disturbed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=8,
            in_channels=8,
            out_channels=4,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            cross_attention_dim=WIDTH,
            attention_head_dim=2,
        )
        vae: Any = AutoencoderKL.from_config(
            {
                "down_block_types": ["DownEncoderBlock2D"] * 4,
                "up_block_types": ["UpDecoderBlock2D"] * 4,
                "block_out_channels": [4, 4, 8, 8],
                "norm_num_groups": 4,
                "sample_size": SIDE_PX,
            }
        )
        image_encoder = CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=WIDTH,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=28,
                patch_size=14,
                projection_dim=WIDTH,
            )
        )
        camera = nn.Linear(WIDTH + 4, WIDTH)
    with torch.no_grad():
        # White with dark blotches, as far as random numbers can draw an object on white.
        vae.decoder.conv_out.bias += 1.0
    return {"unet": unet, "vae": vae, "image_encoder": image_encoder, "camera": camera}


def _configs(folder: Path, parts: dict[str, Any]) -> None:
    for name in ("unet", "vae"):
        config = json.loads(parts[name].to_json_string())
        _write_json(folder / name / "config.json", config)
    _write_json(folder / "image_encoder" / "config.json", parts["image_encoder"].config.to_dict())
    _write_json(folder / "scheduler" / "scheduler_config.json", SCHEDULER)


def _as_in_2023(key: str) -> str:
    for today, then in OLD_ATTENTION.items():
        key = key.replace(today, then)
    return key


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, default=str), "utf-8")
