"""Zero123++ with tiny networks, in its repositories' real layouts: `write(folder)` saves both versions.

The configurations say what the real ones do (v-prediction, linear betas, projections as layers, heads by block), with
few channels. The VAE reduces 32-fold instead of 8-fold, so that the 640 x 960 picture is a small one to the UNet.
"""

import json
from pathlib import Path
from typing import Any

WIDTH = 16  # of prompts and embeddings; 1024
TOKENS = 77


def write(folder: Path) -> None:
    v1_2, v1_1 = folder / "sudo-ai" / "zero123plus-v1.2", folder / "sudo-ai" / "zero123plus-v1.1"
    write_version(v1_2, seed=12, safe=True)
    write_version(v1_1, seed=11, safe=False)


def write_version(folder: Path, seed: int, safe: bool) -> None:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        write_unet(folder / "unet", safe)
        write_vae(folder / "vae", safe)
        write_clip(folder, safe)
    write_tokenizer(folder / "tokenizer")
    write_json(folder / "scheduler" / "scheduler_config.json", SCHEDULER)
    write_json(folder / "feature_extractor_vae" / "preprocessor_config.json", preprocessor(512, 0.5, 0.8))
    of_clip = preprocessor(224, [0.48] * 3, [0.27] * 3)
    write_json(folder / "feature_extractor_clip" / "preprocessor_config.json", of_clip)
    write_json(folder / "model_index.json", MODEL_INDEX)


def write_unet(folder: Path, safe: bool) -> None:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    make: Any = UNet2DConditionModel  # its types promise less than it does
    unet = make(
        sample_size=96,
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=(2, 4),
        cross_attention_dim=WIDTH,
        norm_num_groups=4,
        use_linear_projection=True,
    )
    unet.save_pretrained(folder, safe_serialization=safe)


def write_vae(folder: Path, safe: bool) -> None:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    make: Any = AutoencoderKL
    channels = (4, 4, 4, 8, 8, 8)
    vae = make(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=768,
        scaling_factor=0.18215,
    )
    vae.save_pretrained(folder, safe_serialization=safe)


def write_clip(folder: Path, safe: bool) -> None:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(VOCABULARY),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=TOKENS,
            projection_dim=WIDTH,
            hidden_act="gelu",
            bos_token_id=VOCABULARY["<|startoftext|>"],
            eos_token_id=VOCABULARY["<|endoftext|>"],
        )
    )
    vision = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=224,
            patch_size=32,
            projection_dim=WIDTH,
            hidden_act="gelu",
        )
    )
    for name, model in (("text_encoder", text), ("vision_encoder", vision)):
        save_as_in_2023(model, folder / name, safe)


def save_as_in_2023(model: Any, folder: Path, safe: bool) -> None:
    """With the keys that transformers gave then, which have a prefix and positions; and pickled, as they do no more."""
    import torch
    from safetensors.torch import load_file, save_file

    model.save_pretrained(folder)
    path = folder / "model.safetensors"
    tensors = {old_key(folder.name, key): tensor for key, tensor in load_file(path).items()}
    if safe:
        save_file(tensors, path, metadata={"format": "pt"})
    else:
        for key, count in (("text_model", TOKENS), ("vision_model", 50)):
            if f"{key}.embeddings.position_embedding.weight" in tensors:
                tensors[f"{key}.embeddings.position_ids"] = torch.arange(count)[None]
        torch.save(tensors, folder / "pytorch_model.bin")
        path.unlink()


def old_key(part: str, key: str) -> str:
    prefix = {"text_encoder": "text_model.", "vision_encoder": "vision_model."}[part]
    return key if key.startswith((prefix, "visual_projection.")) else prefix + key


def write_tokenizer(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "vocab.json", VOCABULARY)
    (folder / "merges.txt").write_text("#version: 0.2\na b\n", "utf-8")
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    write_json(folder / "special_tokens_map.json", {**special, "pad_token": "!"})
    written = {**special, "pad_token": "<|endoftext|>", "model_max_length": TOKENS, "tokenizer_class": "CLIPTokenizer"}
    write_json(folder / "tokenizer_config.json", written)


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2), "utf-8")


def preprocessor(size_px: int, mean: float | list[float], std: float | list[float]) -> dict[str, Any]:
    """The VAE's has one number for all colours, CLIP's one for each."""
    return {
        "crop_size": {"height": size_px, "width": size_px},
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "image_mean": mean,
        "image_std": std,
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": size_px},
    }


def clip_vocabulary() -> dict[str, int]:
    """As CLIP's begins: every byte as a character ("!" first), each again at a word's end, merges, two special ones."""
    plain = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 256))]
    others = [chr(256 + i) for i in range(256 - len(plain))]
    letters = plain + others
    words = [*letters, *(f"{letter}</w>" for letter in letters), "ab", "<|startoftext|>", "<|endoftext|>"]
    return {word: number for number, word in enumerate(words)}


VOCABULARY = clip_vocabulary()
SCHEDULER = {
    "_class_name": "EulerAncestralDiscreteScheduler",
    "_diffusers_version": "0.24.0",
    "beta_end": 0.012,
    "beta_schedule": "linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "steps_offset": 1,
    "timestep_spacing": "linspace",
    "trained_betas": None,
}
MODEL_INDEX = {
    "_class_name": "Zero123PlusPipeline",
    "_diffusers_version": "0.24.0",
    "feature_extractor_clip": ["transformers", "CLIPImageProcessor"],
    "feature_extractor_vae": ["transformers", "CLIPImageProcessor"],
    "ramping_coefficients": [round(i / (TOKENS - 1), 4) for i in range(TOKENS)],
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "EulerAncestralDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "vision_encoder": ["transformers", "CLIPVisionModelWithProjection"],
}
