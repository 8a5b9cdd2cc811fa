"""What SV3D's own checkpoints call each tensor, and what diffusers and transformers call it (specs/sv3d.md, section 2).

One file holds four networks: the video UNet, an image encoder (OpenCLIP's ViT-H/14, with leftovers of its text half),
an autoencoder that only encodes, and a decoder of its own.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

UNET, VAE, CLIP = "unet", "vae", "image_encoder"
PREFIXES = {
    "model.diffusion_model.": UNET,
    "conditioner.embedders.1.encoder.": VAE,
    "first_stage_model.": VAE,
    "conditioner.embedders.0.open_clip.model.visual.": CLIP,
}
# The encoder comes with a decoder, which the authors' code never calls; and CLIP without the half that reads text.
LEFT_OUT = re.compile(
    r"conditioner\.embedders\.1\.encoder\.(decoder|post_quant_conv)\..*"
    r"|conditioner\.embedders\.0\.open_clip\.model\."
    r"(positional_embedding|text_projection|logit_scale|token_embedding\.weight|ln_final\.(weight|bias)|attn_mask)"
    r"|(conditioner\.embedders\.1\.encoder|first_stage_model)\.loss\..*"  # of training
)
OTHER_DECODER = "conditioner.embedders.1.encoder.decoder."
OWN_DECODER = "first_stage_model.decoder."

Reshape = Callable[["Tensor"], "Tensor"]


@dataclass(frozen=True)
class Target:
    """Where a tensor, or a part of it, goes to."""

    part: str
    name: str
    shaped: Reshape = lambda tensor: tensor


def targets(key: str, vae_levels: int = 4) -> list[Target] | None:
    """None for a key that no network here needs; a `KeyError` for one that is a network's, but is not known."""
    if LEFT_OUT.fullmatch(key):
        return None
    for prefix, part in PREFIXES.items():
        if key.startswith(prefix):
            rest = key.removeprefix(prefix)
            if part == UNET:
                return [Target(UNET, _unet(rest))]
            return [Target(VAE, *_autoencoder(rest, vae_levels))] if part == VAE else _clip(rest)
    return None


def is_foreign(key: str) -> bool:
    """Of nothing that is known to be in the file, as the averages of a training are."""
    return not (LEFT_OUT.fullmatch(key) or key.startswith(tuple(PREFIXES)))


def origin(part: str, name: str, vae_levels: int = 4) -> str:
    """The key of the checkpoint that a tensor of ours comes from: `targets` the other way round."""
    if part == UNET:
        return f"model.diffusion_model.{_unets_origin(name)}"
    if part == CLIP:
        return f"conditioner.embedders.0.open_clip.model.visual.{_clips_origin(name)}"
    prefix = "first_stage_model." if name.startswith("decoder.") else "conditioner.embedders.1.encoder."
    return prefix + _autoencoders_origin(name, vae_levels)


def _turned(table: dict[str, str]) -> dict[str, str]:
    return {ours: theirs for theirs, ours in table.items()}


# --- The UNet ---------------------------------------------------------------------------------------------------------

_PLAIN = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_RES = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_A_LEVEL = 3  # two layers and a downsampler on the way down; three layers, an upsampler in the last, on the way up


def _unet(key: str) -> str:
    stem, _, kind = key.rpartition(".")
    if stem in _PLAIN:
        return f"{_PLAIN[stem]}.{kind}"
    if found := re.fullmatch(r"middle_block\.(\d)\.(.+)", key):
        number, rest = int(found[1]), found[2]
        if number == 1:
            return f"mid_block.attentions.0.{_attention(rest)}"
        return f"mid_block.resnets.{number // 2}.{_residual(rest)}"
    found = re.fullmatch(r"(input|output)_blocks\.(\d+)\.(\d)\.(.+)", key)
    if not found:
        raise KeyError(key)
    number, inner, rest = int(found[2]), found[3], found[4]
    if found[1] == "input":
        level, layer = divmod(number - 1, _A_LEVEL)  # the first is `conv_in`
        block, sampler, theirs = f"down_blocks.{level}", "downsamplers.0.conv", "op."
    else:
        level, layer = divmod(number, _A_LEVEL)
        block, sampler, theirs = f"up_blocks.{level}", "upsamplers.0.conv", "conv."
    if rest.startswith(theirs):
        return f"{block}.{sampler}.{rest.removeprefix(theirs)}"
    if inner == "0":
        return f"{block}.resnets.{layer}.{_residual(rest)}"
    return f"{block}.attentions.{layer}.{_attention(rest)}"


def _residual(rest: str) -> str:
    """Of a residual block: over the picture first, then over time."""
    if rest == "time_mixer.mix_factor":
        return rest
    half = "spatial_res_block"
    if rest.startswith("time_stack."):
        half, rest = "temporal_res_block", rest.removeprefix("time_stack.")
    stem, _, kind = rest.rpartition(".")
    return f"{half}.{_RES[stem]}.{kind}"


def _attention(rest: str) -> str:
    rest = re.sub(r"^time_stack\.", "temporal_transformer_blocks.", rest)
    return re.sub(r"^time_pos_embed\.(0|2)\.", lambda m: f"time_pos_embed.linear_{int(m[1]) // 2 + 1}.", rest)


def _unets_origin(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    if stem in _turned(_PLAIN):
        return f"{_turned(_PLAIN)[stem]}.{kind}"
    block, numbers = name.split("_")[0], [int(part) for part in name.split(".") if part.isdigit()]
    attends, rest = ".attentions." in name, re.sub(r".*?\.(resnets|attentions)\.\d\.", "", name)
    rest = rest if "samplers." in name else _attentions_origin(rest) if attends else _residuals_origin(rest)
    if block == "mid":
        return f"middle_block.{1 if attends else 2 * numbers[0]}.{rest}"
    first = _A_LEVEL * numbers[0]
    if "samplers." in name:  # the coarsest level up has no attention before it
        last = f"output_blocks.{first + 2}.{min(numbers[0], 1) + 1}.conv"
        return f"{f'input_blocks.{first + 3}.0.op' if block == 'down' else last}.{kind}"
    number = first + numbers[1]
    return f"{f'input_blocks.{number + 1}' if block == 'down' else f'output_blocks.{number}'}.{int(attends)}.{rest}"


def _residuals_origin(rest: str) -> str:
    if rest == "time_mixer.mix_factor":
        return rest
    half, stem, kind = rest.split(".")
    return f"{'time_stack.' if half == 'temporal_res_block' else ''}{_turned(_RES)[stem]}.{kind}"


def _attentions_origin(rest: str) -> str:
    rest = re.sub(r"^temporal_transformer_blocks\.", "time_stack.", rest)
    return re.sub(r"^time_pos_embed\.linear_(1|2)\.", lambda m: f"time_pos_embed.{2 * int(m[1]) - 2}.", rest)


# --- The autoencoder --------------------------------------------------------------------------------------------------

_MID = {"q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0", "norm": "group_norm"}


def _autoencoder(key: str, levels: int) -> tuple[str, Reshape]:
    name, shaped = key, Target.shaped
    name = name.replace("norm_out", "conv_norm_out").replace("nin_shortcut", "conv_shortcut")
    name = re.sub(r"\.mid\.block_(\d)\.", lambda m: f".mid_block.resnets.{int(m[1]) - 1}.", name)
    if found := re.search(r"\.mid\.attn_1\.(\w+)\.", name):
        name = name.replace(found[0], f".mid_block.attentions.0.{_MID[found[1]]}.")
        if found[1] != "norm" and name.endswith("weight"):
            shaped = _of_one_pixel
    name = re.sub(r"\.down\.(\d)\.block\.", r".down_blocks.\1.resnets.", name)
    name = re.sub(r"\.down\.(\d)\.downsample\.", r".down_blocks.\1.downsamplers.0.", name)
    # Theirs count from the finest level, ours from the coarsest
    name = re.sub(r"\.up\.(\d)\.block\.", lambda m: f".up_blocks.{levels - 1 - int(m[1])}.resnets.", name)
    name = re.sub(r"\.up\.(\d)\.upsample\.", lambda m: f".up_blocks.{levels - 1 - int(m[1])}.upsamplers.0.", name)
    return name, shaped


def _autoencoders_origin(name: str, levels: int) -> str:
    key = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    key = re.sub(r"\.mid_block\.resnets\.(\d)\.", lambda m: f".mid.block_{int(m[1]) + 1}.", key)
    key = re.sub(r"\.mid_block\.attentions\.0\.(.+)\.", lambda m: f".mid.attn_1.{_turned(_MID)[m[1]]}.", key)
    key = re.sub(r"\.down_blocks\.(\d)\.resnets\.", r".down.\1.block.", key)
    key = re.sub(r"\.down_blocks\.(\d)\.downsamplers\.0\.", r".down.\1.downsample.", key)
    key = re.sub(r"\.up_blocks\.(\d)\.resnets\.", lambda m: f".up.{levels - 1 - int(m[1])}.block.", key)
    return re.sub(r"\.up_blocks\.(\d)\.upsamplers\.0\.", lambda m: f".up.{levels - 1 - int(m[1])}.upsample.", key)


def _of_one_pixel(tensor: "Tensor") -> "Tensor":
    """A convolution of 1 x 1 as a matrix."""
    return tensor[:, :, 0, 0]


# --- The image encoder ------------------------------------------------------------------------------------------------

_VISUAL = {
    "class_embedding": "embeddings.class_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
    "conv1.weight": "embeddings.patch_embedding.weight",
    "ln_pre.weight": "pre_layrnorm.weight",  # transformers' own spelling
    "ln_pre.bias": "pre_layrnorm.bias",
    "ln_post.weight": "post_layernorm.weight",
    "ln_post.bias": "post_layernorm.bias",
}
_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def _clip(key: str) -> list[Target]:
    if key == "proj":
        return [Target(CLIP, "visual_projection.weight", lambda tensor: tensor.T.contiguous())]
    if key in _VISUAL:
        return [Target(CLIP, f"vision_model.{_VISUAL[key]}")]
    found = re.fullmatch(r"transformer\.resblocks\.(\d+)\.(.+?)[._](weight|bias)", key)
    if not found:
        raise KeyError(key)
    layer, stem, kind = f"vision_model.encoder.layers.{found[1]}", found[2], found[3]
    if stem == "attn.in_proj":
        return [
            Target(CLIP, f"{layer}.self_attn.{name}_proj.{kind}", lambda tensor, i=i: tensor.chunk(3)[i])
            for i, name in enumerate("qkv")
        ]
    return [Target(CLIP, f"{layer}.{_LAYER[stem]}.{kind}")]


def _clips_origin(name: str) -> str:
    if name == "visual_projection.weight":
        return "proj"
    ours = name.removeprefix("vision_model.")
    if ours in _turned(_VISUAL):
        return _turned(_VISUAL)[ours]
    _, _, layer, *stem, kind = ours.split(".")
    stem = ".".join(stem)
    theirs = f"{_turned(_LAYER)[stem]}.{kind}" if stem in _turned(_LAYER) else f"attn.in_proj_{kind}"  # of q, k or v
    return f"transformer.resblocks.{layer}.{theirs}"
