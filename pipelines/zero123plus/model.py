"""The parts of Zero123++, read one by one from a folder that is laid out as the repositories are."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.runtime.residency import Place
from pipelines.runtime.telling import audible
from pipelines.runtime.tensors import damaged, filled, read_json, stored_in, with_channels_last
from pipelines.zero123plus.attention import equip

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# As diffusers and transformers call them, with the pickles of v1.1
WEIGHT_FILES = (
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes an encoder's input: its side, and what is subtracted from and divides its 0..1 colours."""

    size_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Parts:
    unet: Any
    """`UNet2DConditionModel` of diffusers, whose types promise less than it does; so with the next two."""
    vae: Any
    """`AutoencoderKL`"""
    vision_encoder: Any
    """`CLIPVisionModelWithProjection` of transformers"""
    empty_prompt: "Tensor"
    """[1, 77, 1024] on the CPU: what the text encoder makes of "". Always the same, so that encoder has left again."""
    ramp: "Tensor"
    """[77] on the CPU: how strongly the photo's embedding is added to each token of the prompt."""
    scheduler: dict[str, Any]
    """The scheduler's configuration; each run makes its own from it, since schedulers count steps."""
    seen_by_vae: Preprocessing
    seen_by_clip: Preprocessing
    place: Place


def load(folder: Path, place: Place, check: Callable[[], None] = lambda: None) -> Parts:
    """All of them, onto the device. `check` is called between tensors, and may raise."""
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    def part(name: str, build: Callable[[dict[str, Any]], Any], dtype: "torch.dtype") -> Any:
        return audible(_part(folder / name, build, place, dtype, check))

    seen_by_vae, seen_by_clip = (
        _preprocessing(folder / f"feature_extractor_{which}" / "preprocessor_config.json") for which in ("vae", "clip")
    )
    empty_prompt = _empty_prompt(folder, place, check)  # first: its network leaves again, before the large one comes
    ramp = _ramp(folder / "model_index.json", tokens=empty_prompt.shape[1])
    make_encoder: Any = CLIPVisionModelWithProjection  # their types promise less than they do
    vision_encoder = part("vision_encoder", lambda told: make_encoder(_clip(CLIPVisionConfig, told)), place.dtype)
    # In full precision: of 8 bits of bfloat16 a plain grey has bands, and is not to be told from the object's.
    vae = with_channels_last(part("vae", AutoencoderKL.from_config, torch.float32), place)
    unet = part("unet", UNet2DConditionModel.from_config, place.dtype)
    equip(unet)
    return Parts(
        unet=unet,
        vae=vae,
        vision_encoder=vision_encoder,
        empty_prompt=empty_prompt,
        ramp=ramp,
        scheduler=read_json(folder / "scheduler" / "scheduler_config.json"),
        seen_by_vae=seen_by_vae,
        seen_by_clip=seen_by_clip,
        place=place,
    )


def _part(
    folder: Path,
    build: Callable[[dict[str, Any]], Any],
    place: Place,
    dtype: "torch.dtype",
    check: Callable[[], None],
) -> Any:
    """One network as its configuration tells."""
    told = read_json(folder / "config.json")
    file = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), folder / WEIGHT_FILES[0])
    return filled(lambda: build(told), stored_in(file), file, place.device, dtype, check=check)


def _clip(kind: Any, told: dict[str, Any]) -> Any:
    config = kind.from_dict(told)
    config._attn_implementation = "sdpa"
    return config


def _empty_prompt(folder: Path, place: Place, check: Callable[[], None]) -> "Tensor":
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    make: Any = CLIPTextModel

    def build(told: dict[str, Any]) -> Any:
        return make(_clip(CLIPTextConfig, told))

    text_encoder = _part(folder / "text_encoder", build, place, place.dtype, check)
    length = text_encoder.config.max_position_embeddings  # 77
    tokens = tokenizer("", padding="max_length", max_length=length, return_tensors="pt").input_ids  # [1, 77]
    with torch.no_grad():
        return text_encoder(tokens.to(place.device)).last_hidden_state.float().cpu()  # [1, 77, 1024]


def _ramp(path: Path, tokens: int) -> "Tensor":
    import torch

    given = read_json(path).get("ramping_coefficients")
    if not isinstance(given, list) or len(given) != tokens:
        raise damaged(path, f"lacks the {tokens} ramping coefficients")
    return torch.tensor(given, dtype=torch.float32)


def _preprocessing(path: Path) -> Preprocessing:
    """Of a `CLIPImageProcessor`: a side as a number, as {"shortest_edge"} or as {"height", "width"}, by its age."""
    given = read_json(path)
    size = given.get("crop_size") if given.get("do_center_crop", True) else None
    size = size or given.get("size")
    if isinstance(size, dict):
        size = size.get("shortest_edge") or size.get("height")
    mean, std = (_of_each_colour(given.get(name)) for name in ("image_mean", "image_std"))
    if not (isinstance(size, int) and size > 0 and mean and std):
        raise damaged(path, "does not say how large and how bright a picture must be")
    return Preprocessing(size, mean, std)


def _of_each_colour(told: object) -> tuple[float, float, float] | None:
    """Of three numbers, or of one for all colours, as the VAE's file has it."""
    match told:
        case int() | float():
            return told, told, told
        case [int() | float() as red, int() | float() as green, int() | float() as blue]:
            return red, green, blue
    return None
