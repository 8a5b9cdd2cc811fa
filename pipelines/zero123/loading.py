"""The parts of the family, read from a folder in either layout."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.residency import Place
from pipelines.runtime.telling import audible
from pipelines.runtime.tensors import filled, read_json, stored_in, with_channels_last
from pipelines.runtime.weights import Fetched
from pipelines.zero123.sources import CAMERA, IMAGE_ENCODER, KXIC_CAMERA, UNET, VAE

if TYPE_CHECKING:
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from torch import nn
    from transformers import CLIPVisionModelWithProjection

# The layer that mixes the picture's embedding with the pose, as three converters spell it.
CAMERA_SPELLINGS = ("proj.", "projection.", "cc_projection.")


@dataclass(frozen=True, eq=False)
class Parts:
    unet: "UNet2DConditionModel"
    vae: "AutoencoderKL"
    image_encoder: "CLIPVisionModelWithProjection"
    camera: "nn.Linear"
    """[embedding | pose] to one token, 772 to 768."""
    scheduler: dict[str, Any]
    """The scheduler's configuration; each run makes its own from it, since schedulers count steps."""
    place: Place

    @property
    def side_px(self) -> int:
        """Of the pictures it draws: 256."""
        reduction = 2 ** (len(self.vae.config["block_out_channels"]) - 1)  # 8
        return self.unet.config["sample_size"] * reduction


def load(found: Fetched, place: Place, check: Callable[[], None] = lambda: None) -> Parts:
    """All of them, onto the device. `check` is called between tensors, and may raise."""
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from torch import nn
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    def config(part: str, name: str = "config.json") -> dict[str, Any]:
        return read_json(found.folder / part / name)

    def part(name: str, build: Callable[[], Any], dtype: "torch.dtype") -> Any:
        file = _weight_file(found, name)
        stored = stored_in(file)
        return audible(filled(build, stored, file, place.device, dtype, today=_today, check=check))

    encoder_config = CLIPVisionConfig.from_dict(config(IMAGE_ENCODER))
    encoder_config._attn_implementation = "sdpa"
    width = encoder_config.projection_dim
    camera = CAMERA if _has(found, CAMERA) else KXIC_CAMERA
    parts = Parts(
        unet=part(UNET, lambda: UNet2DConditionModel.from_config(config(UNET)), place.dtype),
        # The next two in full precision: white in 8 bits of bfloat16 shows bands, and an azimuth is off by half a
        # degree.
        vae=with_channels_last(part(VAE, lambda: AutoencoderKL.from_config(config(VAE)), torch.float32), place),
        camera=part(camera, lambda: nn.Linear(width + 4, width), torch.float32),
        image_encoder=part(IMAGE_ENCODER, lambda: CLIPVisionModelWithProjection(encoder_config), place.dtype),
        scheduler=config("scheduler", "scheduler_config.json"),
        place=place,
    )
    if parts.unet.config["in_channels"] != 8 or parts.unet.config["cross_attention_dim"] != width:
        raise TurnaroundError(
            f"{found.source.repository} is not a Zero-1-to-3: its UNet must take 8 channels and tokens of {width} "
            "numbers. Choose other weights."
        )
    return parts


def _today(name: str, known: Mapping[str, Any]) -> str:
    """A tensor's name as the libraries spell it now."""
    if name in known:
        return name
    for spelling in CAMERA_SPELLINGS:
        if name.removeprefix(spelling) in known:
            return name.removeprefix(spelling)
    return name


def _has(found: Fetched, part: str) -> bool:
    return any(file.path.startswith(f"{part}/") for file in found.source.files)


def _weight_file(found: Fetched, part: str) -> Path:
    """Whatever it is called: some names say fp16, some say nothing."""
    (path,) = (
        file.path for file in found.source.files if file.path.startswith(f"{part}/") and not file.path.endswith(".json")
    )
    return found.folder / path
