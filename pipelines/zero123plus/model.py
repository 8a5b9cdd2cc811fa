"""The parts of Zero123++, read one by one from a folder that is laid out as the repositories are."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError  # only to recognise it
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.residency import Place
from pipelines.runtime.telling import audible
from pipelines.runtime.tensors import with_channels_last
from pipelines.runtime.thrift import is_out_of_memory
from pipelines.zero123plus.attention import equip

if TYPE_CHECKING:
    import torch
    from torch import Tensor

log = logging.getLogger(__name__)


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
    """All of them, onto the device. `check` is called between parts, and may raise."""
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPVisionModelWithProjection

    empty_prompt = _empty_prompt(folder, place)  # first: its network leaves again, before the large one comes
    ramp = _ramp(folder / "model_index.json", tokens=empty_prompt.shape[1])
    check()
    vision_encoder = audible(_part(CLIPVisionModelWithProjection, folder / "vision_encoder", place, place.dtype))
    check()
    # In full precision: of 8 bits of bfloat16 a plain grey has bands, and is not to be told from the object's.
    vae = with_channels_last(audible(_part(AutoencoderKL, folder / "vae", place, torch.float32)), place)
    check()
    unet = audible(_part(UNet2DConditionModel, folder / "unet", place, place.dtype))
    equip(unet)
    return Parts(
        unet=unet,
        vae=vae,
        vision_encoder=vision_encoder,
        empty_prompt=empty_prompt,
        ramp=ramp,
        scheduler=_read(folder / "scheduler" / "scheduler_config.json"),
        seen_by_vae=_preprocessing(folder / "feature_extractor_vae" / "preprocessor_config.json"),
        seen_by_clip=_preprocessing(folder / "feature_extractor_clip" / "preprocessor_config.json"),
        place=place,
    )


def _part(kind: Any, folder: Path, place: Place, dtype: "torch.dtype") -> Any:
    """One network with all of its tensors, or the name of one that is missing: none is ever left at random."""
    from safetensors import SafetensorError

    # diffusers and transformers read a pickle with torch's `weights_only=True`, which runs no code.
    safe = bool(list(folder.glob("*.safetensors")))
    precision = "torch_dtype" if kind.__module__.startswith("diffusers") else "dtype"
    try:
        part, info = kind.from_pretrained(
            folder,
            **{precision: dtype},
            use_safetensors=safe,
            local_files_only=True,
            ignore_mismatched_sizes=True,  # told below, with the tensor's name
            output_loading_info=True,
        )
    except (OSError, ValueError, LookupError, EOFError, RuntimeError, SafetensorError, UnpicklingError) as problem:
        if is_out_of_memory(problem):
            raise
        raise _damaged(folder, "cannot be read") from problem
    wrong = [*sorted(info["missing_keys"]), *sorted(str(key[0]) for key in info["mismatched_keys"])]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise _damaged(folder, f"lacks the tensor {wrong[0]}{more}, or has it in another size")
    return part.eval().requires_grad_(False).to(place.device)


def _empty_prompt(folder: Path, place: Place) -> "Tensor":
    import torch
    from transformers import CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    text_encoder = _part(CLIPTextModel, folder / "text_encoder", place, place.dtype)
    length = text_encoder.config.max_position_embeddings  # 77
    tokens = tokenizer("", padding="max_length", max_length=length, return_tensors="pt").input_ids  # [1, 77]
    with torch.no_grad():
        return text_encoder(tokens.to(place.device)).last_hidden_state.float().cpu()  # [1, 77, 1024]


def _ramp(path: Path, tokens: int) -> "Tensor":
    import torch

    given = _read(path).get("ramping_coefficients")
    if not isinstance(given, list) or len(given) != tokens:
        raise _damaged(path, f"lacks the {tokens} ramping coefficients")
    return torch.tensor(given, dtype=torch.float32)


def _preprocessing(path: Path) -> Preprocessing:
    """Of a `CLIPImageProcessor`: a side as a number, as {"shortest_edge"} or as {"height", "width"}, by its age."""
    given = _read(path)
    size = given.get("crop_size") if given.get("do_center_crop", True) else None
    size = size or given.get("size")
    if isinstance(size, dict):
        size = size.get("shortest_edge") or size.get("height")
    mean, std = given.get("image_mean"), given.get("image_std")
    if not (isinstance(size, int) and size > 0 and isinstance(mean, list) and isinstance(std, list)):
        raise _damaged(path, "does not say how large and how bright a picture must be")
    return Preprocessing(size, tuple(mean), tuple(std))


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise _damaged(path, "cannot be read") from problem


def _damaged(path: Path, what: str) -> TurnaroundError:
    """For a visitor without the server's paths; whoever runs it finds those in the log."""
    log.error("%s %s", path, what)
    return TurnaroundError(
        f"Zero123++ cannot be loaded: its {path.name} {what}. Whoever runs this server should remove them and run "
        "`python -m pipelines fetch zero123plus`; other methods are not affected."
    )
