"""iNVS with tiny networks, in the real repositories' layouts: an inpainter, and two that tell depth."""

from pathlib import Path
from typing import Any

from pipelines.invs.sources import DEPTH_ANYTHING, INPAINTER, ZOEDEPTH
from tests.zero123plus.tiny import TOKENS, VOCABULARY, save_as_in_2023, write_json, write_tokenizer

WIDTH = 16  # of a token; 768
LATENT_PX, SIDE_PX = 16, 64  # 64, 512
SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}


def write(folder: Path) -> None:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(21)
        inpainter(folder / INPAINTER.first.repository)
        zoedepth(folder / ZOEDEPTH.first.repository)
        depth_anything(folder / DEPTH_ANYTHING.first.repository)


def spell_as_in_2022(file: Path) -> None:
    """Stable Diffusion's VAE was saved before its attention's layers were renamed."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(file)
    for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
        tensors = {key.replace(f"attentions.0.{new}", f"attentions.0.{old}"): t for key, t in tensors.items()}
    save_file(tensors, file, metadata={"format": "pt"})


def spell_text_encoder(file: Path, prefix: str) -> None:
    """With "text_model.", as all published ones are; without, as transformers has it since 5."""
    from safetensors.torch import load_file, save_file

    tensors = {name.removeprefix("text_model."): tensor for name, tensor in load_file(file).items()}
    save_file({prefix + name: tensor for name, tensor in tensors.items()}, file, metadata={"format": "pt"})


def inpainter(folder: Path, channels: int = 9) -> None:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    make: Any = UNet2DConditionModel  # its types promise less than it does
    unet = make(
        sample_size=LATENT_PX,
        in_channels=channels,
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        cross_attention_dim=WIDTH,
        norm_num_groups=4,
    )
    unet.half().save_pretrained(folder / "unet", variant="fp16")
    make = AutoencoderKL
    widths = (4, 8, 8)
    vae = make(
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=SIDE_PX,
        scaling_factor=0.18215,
    )
    # Nearly white, as what an inpainter draws round an object is
    vae.decoder.conv_out.weight.data *= 0.3
    vae.decoder.conv_out.bias.data += 1.0
    vae.half().save_pretrained(folder / "vae", variant="fp16")
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(VOCABULARY),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=TOKENS,
            bos_token_id=VOCABULARY["<|startoftext|>"],
            eos_token_id=VOCABULARY["<|endoftext|>"],
        )
    )
    save_as_in_2023(text.half(), folder / "text_encoder", safe=True)
    (folder / "text_encoder" / "model.safetensors").rename(folder / "text_encoder" / "model.fp16.safetensors")
    write_tokenizer(folder / "tokenizer")
    write_json(folder / "scheduler" / "scheduler_config.json", SCHEDULER)


def as_saved_today(folder: Path) -> None:
    """An inpainter as `save_pretrained` writes it when it is told nothing, with a tokenizer as of transformers 5."""
    from transformers import CLIPTokenizer

    for file in folder.rglob("*.fp16.safetensors"):
        file.rename(file.with_name(file.name.replace(".fp16.", ".")))
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    for file in (folder / "tokenizer").iterdir():
        file.unlink()
    tokenizer.save_pretrained(folder / "tokenizer")


def zoedepth(folder: Path) -> None:
    from transformers import BeitConfig, ZoeDepthConfig, ZoeDepthForDepthEstimation

    make: Any = BeitConfig
    backbone = make(
        image_size=384,
        patch_size=16,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        use_relative_position_bias=True,
        reshape_hidden_states=False,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    make = ZoeDepthConfig
    config = make(
        backbone_config=backbone,
        backbone_hidden_size=16,
        neck_hidden_sizes=[4, 4, 4, 4],
        fusion_hidden_size=4,
        bottleneck_features=4,
        num_relative_features=4,
        bin_embedding_dim=4,
        num_attractors=[4, 2, 2, 1],
        # Two heads, one for rooms and one for streets, and what chooses between them
        bin_configurations=[
            {"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0, "name": "nyu"},
            {"n_bins": 8, "min_depth": 0.001, "max_depth": 80.0, "name": "kitti"},
        ],
        num_patch_transformer_layers=4,
        patch_transformer_hidden_size=128,  # the library allows no other, nor fewer layers
        patch_transformer_intermediate_size=16,
        patch_transformer_num_attention_heads=2,
    )
    ZoeDepthForDepthEstimation(config).save_pretrained(folder)


def depth_anything(folder: Path) -> None:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    make: Any = Dinov2Config
    backbone = make(
        image_size=518,
        patch_size=14,
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        reshape_hidden_states=False,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[4, 4, 4, 4],
        fusion_hidden_size=4,
        head_hidden_size=4,
        depth_estimation_type="metric",
        max_depth=20,
    )
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)


def lpips_state() -> dict[str, Any]:
    """As the package `lpips` writes it for AlexNet, of chance; the last names are there twice."""
    import torch

    chance = torch.Generator().manual_seed(7)
    sizes = {"1.0": (64, 3, 11), "2.3": (192, 64, 5), "3.6": (384, 192, 3), "4.8": (256, 384, 3), "5.10": (256, 256, 3)}
    state = {"scaling_layer.shift": torch.zeros(1, 3, 1, 1), "scaling_layer.scale": torch.ones(1, 3, 1, 1)}
    for i, (name, (given, taken, side)) in enumerate(sizes.items()):
        spread = (taken * side * side) ** -0.5
        state[f"net.slice{name}.weight"] = spread * torch.randn(given, taken, side, side, generator=chance)
        state[f"net.slice{name}.bias"] = 0.1 * torch.randn(given, generator=chance)
        matters = torch.rand(1, given, 1, 1, generator=chance)
        state[f"lin{i}.model.1.weight"] = state[f"lins.{i}.model.1.weight"] = matters
    return state
