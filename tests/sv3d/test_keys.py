"""At real size, without numbers: each of the authors' tensors has its place in today's networks, and only one.

The lists of keys are from the authors' own code; the tables, from specs/sv3d.md, section 2.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import init_empty_weights

from pipelines.sv3d import loading
from pipelines.sv3d.keys import CLIP, UNET, VAE, is_foreign, origin, targets
from tests.sv3d import tiny

DIFFUSION, ENCODER = "model.diffusion_model.", "conditioner.embedders.1.encoder."
FIRST_STAGE, OPEN_CLIP = "first_stage_model.", "conditioner.embedders.0.open_clip.model."
TENSORS = {DIFFUSION: 1428, OPEN_CLIP: 398, ENCODER: 248, FIRST_STAGE: 138}
TEXT_LEFTOVERS = {
    OPEN_CLIP + name
    for name in (
        "positional_embedding",
        "text_projection",
        "logit_scale",
        "token_embedding.weight",
        "ln_final.weight",
        "ln_final.bias",
    )
}
PARAMETERS = {"p": 1_525_278_442, "u": 1_523_967_722}  # of the UNet


@dataclass(frozen=True)
class Real:
    kind: str
    shapes: dict[str, tuple[int, ...]]
    sizes: loading.Sizes
    modules: dict[str, Any]


@pytest.fixture(scope="module", params=["p", "u"])
def real(request: pytest.FixtureRequest) -> Real:
    shapes = {name: tuple(shape) for name, shape in tiny.shapes(request.param, tiny.FULL).items()}
    sizes = loading._sizes(Path(f"sv3d_{request.param}.safetensors"), shapes, {})
    with init_empty_weights():
        modules = {name: build() for name, build in loading._builders(sizes).items()}
    return Real(request.param, shapes, sizes, modules)


def test_the_lists_are_whole(real: Real):
    counts = {prefix: sum(key.startswith(prefix) for key in real.shapes) for prefix in TENSORS}
    assert counts == TENSORS and len(real.shapes) == sum(counts.values()) == 2212


def test_every_tensor_has_one_place_of_its_shape_and_every_place_a_tensor(real: Real):
    needed = {
        (part, name): tensor.shape
        for part, module in real.modules.items()
        for name, tensor in module.named_parameters()
    }
    reached: dict[tuple[str, str], torch.Size] = {}
    for key, shape in real.shapes.items():
        for target in targets(key) or []:
            place = target.part, target.name
            assert place not in reached, f"{key} has another's place"
            reached[place] = target.shaped(torch.empty(shape, device="meta")).shape
    assert reached == needed


@pytest.mark.parametrize(("keys", "vae_levels"), [(tiny.FULL, 4), (tiny.TINY, 3)], ids=["full", "tiny"])
def test_every_place_leads_back_to_the_authors_key(keys: dict[str, list[int]], vae_levels: int):
    for key in keys:
        for target in targets(key, vae_levels) or []:
            assert origin(target.part, target.name, vae_levels) == key


def test_only_the_text_leftovers_and_the_decoder_that_nobody_calls_are_left_out(real: Real):
    left_out = {key for key in real.shapes if targets(key) is None}
    decoder = {key for key in left_out if key.startswith(f"{ENCODER}decoder.")}
    assert len(decoder) == TENSORS[FIRST_STAGE]
    assert left_out - decoder == TEXT_LEFTOVERS | {
        f"{ENCODER}post_quant_conv.weight",
        f"{ENCODER}post_quant_conv.bias",
    }


def test_the_networks_are_the_papers(real: Real):
    unet, vae, clip = (real.modules[part] for part in (UNET, VAE, CLIP))
    assert sum(tensor.numel() for tensor in unet.parameters()) == PARAMETERS[real.kind]
    assert unet.config["block_out_channels"] == (320, 640, 1280, 1280)
    assert unet.config["num_attention_heads"] == (5, 10, 20, 20)
    assert unet.config["cross_attention_dim"] == 1024 == clip.config.projection_dim
    assert unet.config["layers_per_block"] == 2 and unet.config["addition_time_embed_dim"] == 256
    assert unet.config["projection_class_embeddings_input_dim"] == {"p": 1280, "u": 256}[real.kind]
    assert unet.config["num_frames"] == real.sizes.frames == 21
    assert unet.config["sample_size"] == real.sizes.latent_px == 72 and real.sizes.side_px == 576
    assert vae.config["block_out_channels"] == (128, 256, 512, 512) and vae.post_quant_conv is None
    assert (clip.config.hidden_size, clip.config.intermediate_size) == (1280, 5120)
    assert (clip.config.num_hidden_layers, clip.config.num_attention_heads) == (32, 16)
    assert (clip.config.patch_size, clip.config.image_size, clip.config.hidden_act) == (14, 224, "gelu")
    assert clip.config.layer_norm_eps == 1e-5


IN = f"{DIFFUSION}input_blocks"
OUT = f"{DIFFUSION}output_blocks"
VISUAL = f"{OPEN_CLIP}visual"
BLOCK = f"{VISUAL}.transformer.resblocks.7"
LAYER = "vision_model.encoder.layers.7"


@pytest.mark.parametrize(
    ("key", "part", "names"),
    [
        (f"{DIFFUSION}time_embed.2.bias", UNET, ["time_embedding.linear_2.bias"]),
        (f"{DIFFUSION}label_emb.0.0.weight", UNET, ["add_embedding.linear_1.weight"]),
        (f"{DIFFUSION}out.0.weight", UNET, ["conv_norm_out.weight"]),
        (f"{IN}.0.0.weight", UNET, ["conv_in.weight"]),
        (f"{IN}.6.0.op.weight", UNET, ["down_blocks.1.downsamplers.0.conv.weight"]),
        (f"{IN}.4.0.skip_connection.bias", UNET, ["down_blocks.1.resnets.0.spatial_res_block.conv_shortcut.bias"]),
        (
            f"{IN}.11.0.time_stack.emb_layers.1.bias",
            UNET,
            ["down_blocks.3.resnets.1.temporal_res_block.time_emb_proj.bias"],
        ),
        (f"{IN}.2.1.time_pos_embed.2.bias", UNET, ["down_blocks.0.attentions.1.time_pos_embed.linear_2.bias"]),
        (
            f"{DIFFUSION}middle_block.1.time_stack.0.ff_in.net.2.bias",
            UNET,
            ["mid_block.attentions.0.temporal_transformer_blocks.0.ff_in.net.2.bias"],
        ),
        (f"{DIFFUSION}middle_block.2.time_mixer.mix_factor", UNET, ["mid_block.resnets.1.time_mixer.mix_factor"]),
        (f"{OUT}.2.1.conv.weight", UNET, ["up_blocks.0.upsamplers.0.conv.weight"]),
        (f"{OUT}.5.2.conv.weight", UNET, ["up_blocks.1.upsamplers.0.conv.weight"]),
        (f"{OUT}.11.1.norm.bias", UNET, ["up_blocks.3.attentions.2.norm.bias"]),
        (f"{ENCODER}quant_conv.bias", VAE, ["quant_conv.bias"]),
        (f"{ENCODER}encoder.down.1.downsample.conv.bias", VAE, ["encoder.down_blocks.1.downsamplers.0.conv.bias"]),
        (f"{ENCODER}encoder.mid.attn_1.norm.weight", VAE, ["encoder.mid_block.attentions.0.group_norm.weight"]),
        (f"{FIRST_STAGE}decoder.mid.attn_1.proj_out.bias", VAE, ["decoder.mid_block.attentions.0.to_out.0.bias"]),
        (f"{FIRST_STAGE}decoder.mid.block_2.conv1.bias", VAE, ["decoder.mid_block.resnets.1.conv1.bias"]),
        (f"{FIRST_STAGE}decoder.up.3.block.2.norm1.bias", VAE, ["decoder.up_blocks.0.resnets.2.norm1.bias"]),
        (
            f"{FIRST_STAGE}decoder.up.0.block.0.nin_shortcut.bias",
            VAE,
            ["decoder.up_blocks.3.resnets.0.conv_shortcut.bias"],
        ),
        (f"{FIRST_STAGE}decoder.norm_out.weight", VAE, ["decoder.conv_norm_out.weight"]),
        (f"{VISUAL}.proj", CLIP, ["visual_projection.weight"]),
        (f"{VISUAL}.ln_pre.bias", CLIP, ["vision_model.pre_layrnorm.bias"]),
        (f"{BLOCK}.mlp.c_proj.bias", CLIP, [f"{LAYER}.mlp.fc2.bias"]),
        (f"{BLOCK}.attn.in_proj_bias", CLIP, [f"{LAYER}.self_attn.{letter}_proj.bias" for letter in "qkv"]),
    ],
)
def test_a_key_becomes_the_name_of_the_spec(key: str, part: str, names: list[str]):
    assert [(target.part, target.name) for target in targets(key) or []] == [(part, name) for name in names]
    assert key in tiny.FULL, "and the authors have it"


@pytest.mark.parametrize(
    "key",
    [
        f"{DIFFUSION}label_emb.1.0.weight",
        f"{IN}.1.0.third_layers.0.weight",
        f"{DIFFUSION}middle_block.0.in_layers.1.weight",
        f"{FIRST_STAGE}decoder.mid.attn_1.other.weight",
        f"{BLOCK}.ls_1.gamma",
        f"{BLOCK}.ls_1.weight",
    ],
)
def test_a_key_that_a_network_of_sv3d_does_not_have_is_refused(key: str):
    with pytest.raises(KeyError):
        targets(key)
    assert not is_foreign(key)


@pytest.mark.parametrize(
    "key", ["model_ema.decay", "conv_in.weight", f"{OPEN_CLIP}transformer.resblocks.0.ln_1.weight"]
)
def test_a_key_of_none_of_its_networks_is_foreign(key: str):
    assert is_foreign(key) and targets(key) is None


def test_nothing_of_the_real_file_is_foreign(real: Real):
    assert not any(map(is_foreign, real.shapes))
