"""The networks, each from its own folder: an inpainter laid out as diffusers has it, and one that tells depth."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import TurnaroundError
from pipelines.invs.sources import FINE_TUNED, TASK
from pipelines.runtime.residency import Place
from pipelines.runtime.telling import audible
from pipelines.runtime.tensors import damaged, filled, read_json, stored_in, with_channels_last
from pipelines.runtime.thrift import is_out_of_memory
from pipelines.runtime.weights import Fetched

if TYPE_CHECKING:
    from torch import Tensor

SAMPLE_SIZE = 64  # Stable Diffusion, inpainting: of a latent
CHANNELS = 9  # latent 4, mask 1, masked picture 4 (Stable Diffusion, inpainting)


@dataclass(frozen=True, eq=False)
class Inpainter:
    unet: Any
    """`UNet2DConditionModel` of diffusers"""
    vae: Any
    """`AutoencoderKL`"""
    text_encoder: Any
    """`CLIPTextModel` of transformers"""
    tokenizer: Any
    scheduler: dict[str, Any]
    fine_tuned: bool
    """Whether our training made it, for this task: it then takes soft masks."""
    place: Place

    @property
    def side_px(self) -> int:
        return self.unet.config["sample_size"] * self.reduction

    @property
    def reduction(self) -> int:
        return 2 ** (len(self.vae.config["block_out_channels"]) - 1)  # 8

    def told(self, prompt: str) -> "Tensor":
        """[1, 77, 768]"""
        import torch

        length = self.text_encoder.config.max_position_embeddings
        tokens = self.tokenizer(prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            return self.text_encoder(tokens.input_ids.to(self.place.device)).last_hidden_state


@dataclass(frozen=True, eq=False)
class DepthNetwork:
    module: Any
    is_zoe: bool
    place: Place


def load_inpainter(found: Fetched, place: Place, check: Callable[[], None] = lambda: None) -> Inpainter:
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    def part(name: str, build: Callable[[dict[str, Any]], Any], dtype: "torch.dtype") -> Any:
        config, file = read_json(found.folder / name / "config.json"), weight_file(found, name)
        config.pop(FINE_TUNED, None)
        told = config.get("sample_size")
        if name == "unet" and (told is None or (told < SAMPLE_SIZE and _is_of_2022(config))):
            config["sample_size"] = SAMPLE_SIZE  # of 2022 some said 32, were corrected, and live on in copies
        return audible(filled(lambda: build(config), stored_in(file), file, place.device, dtype, check=check))

    def text_encoder(config: dict[str, Any]) -> Any:
        told = CLIPTextConfig.from_dict(config)
        told._attn_implementation = "sdpa"
        return CLIPTextModel(told)

    unet = part("unet", UNet2DConditionModel.from_config, place.dtype)
    if unet.config["in_channels"] != CHANNELS:
        raise TurnaroundError(
            f"{found.source.repository} is not an inpainter: its UNet takes {unet.config['in_channels']} channels, "
            f"and inpainting needs {CHANNELS}. Choose other weights."
        )
    return Inpainter(
        unet=unet,
        # In full precision: white in 8 bits of bfloat16 shows bands
        vae=with_channels_last(part("vae", AutoencoderKL.from_config, torch.float32), place),
        text_encoder=part("text_encoder", text_encoder, place.dtype),
        tokenizer=CLIPTokenizer.from_pretrained(found.folder / "tokenizer", local_files_only=True),
        scheduler=read_json(found.folder / "scheduler" / "scheduler_config.json"),
        fine_tuned=read_json(found.folder / "unet" / "config.json").get(FINE_TUNED) == TASK,
        place=place,
    )


def _is_of_2022(config: dict[str, Any]) -> bool:
    """Saved by a diffusers before 0.9."""
    major, _, rest = str(config.get("_diffusers_version", "1")).partition(".")
    minor = rest.partition(".")[0]
    return major == "0" and minor.isdigit() and int(minor) < 9


def load_depth(found: Fetched, is_zoe: bool, place: Place, check: Callable[[], None] = lambda: None) -> DepthNetwork:
    from transformers import DepthAnythingForDepthEstimation, ZoeDepthForDepthEstimation

    kind = ZoeDepthForDepthEstimation if is_zoe else DepthAnythingForDepthEstimation
    check()
    network = audible(_pretrained(kind, found.folder, place))
    check()
    return DepthNetwork(network, is_zoe, place)


def _pretrained(kind: Any, folder: Path, place: Place) -> Any:
    """A network with transformers' own way of reading, which knows today's names for those in old files. All of its
    tensors, or the name of one that is missing: none is ever left at random.
    """
    import torch
    from safetensors import SafetensorError

    try:
        network, info = kind.from_pretrained(
            folder,
            dtype=torch.float32,  # the steps of bfloat16 would make stairs of a slope
            use_safetensors=True,
            local_files_only=True,
            ignore_mismatched_sizes=True,  # told below, with the tensor's name
            output_loading_info=True,
        )
    except (OSError, ValueError, LookupError, EOFError, RuntimeError, SafetensorError) as problem:
        if is_out_of_memory(problem):
            raise
        raise damaged(folder / "config.json", "or one beside it cannot be read") from problem
    if wrong := [*sorted(info["missing_keys"]), *sorted(str(key[0]) for key in info["mismatched_keys"])]:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise damaged(folder / "config.json", f"lacks the tensor {wrong[0]}{more}, or has it in another size")
    return network.eval().requires_grad_(False).to(place.device)


def weight_file(found: Fetched, part: str) -> Path:
    """Whatever it is called: names of some say fp16, those of others nothing."""
    (path,) = (
        file.path for file in found.source.files if file.path.startswith(f"{part}/") and ".safetensors" in file.path
    )
    return found.folder / path
