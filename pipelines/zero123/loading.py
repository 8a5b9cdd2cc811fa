"""The parts of the family, read from a folder in either layout, each tensor straight into its place and precision.

No part is built with numbers of its own first, and none is left with numbers of no file: what is missing is named.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.report import Report
from pipelines.runtime.residency import Place
from pipelines.runtime.weights import Fetched
from pipelines.zero123.sources import CAMERA, IMAGE_ENCODER, KXIC_CAMERA, UNET, VAE

if TYPE_CHECKING:
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from torch import Tensor, nn
    from transformers import CLIPVisionModelWithProjection

# The layer that mixes the picture's embedding with the pose, as three converters spell it.
CAMERA_SPELLINGS = ("proj.", "projection.", "cc_projection.")
# Attention layers of a VAE as diffusers spelt them before 0.18.
OLD_SPELLINGS = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}


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


def load(found: Fetched, place: Place, report: Report) -> Parts:
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from torch import nn
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    def config(part: str, name: str = "config.json") -> dict[str, Any]:
        return _json(found.folder / part / name)

    def part(name: str, build: Callable[[], Any], dtype: "torch.dtype") -> Any:
        report.check()  # whoever cancels need not wait for the next one
        return _filled(build, _weight_file(found, name), place.device, dtype)

    encoder_config = CLIPVisionConfig.from_dict(config(IMAGE_ENCODER))
    encoder_config._attn_implementation = "sdpa"
    width = encoder_config.projection_dim
    camera = CAMERA if _has(found, CAMERA) else KXIC_CAMERA
    parts = Parts(
        unet=part(UNET, lambda: UNet2DConditionModel.from_config(config(UNET)), place.dtype),
        # The next two in full precision: white in 8 bits of bfloat16 shows bands, and an azimuth is off by half a
        # degree.
        vae=part(VAE, lambda: AutoencoderKL.from_config(config(VAE)), torch.float32),
        camera=part(camera, lambda: nn.Linear(width + 4, width), torch.float32),
        image_encoder=part(IMAGE_ENCODER, lambda: CLIPVisionModelWithProjection(encoder_config), place.dtype),
        scheduler=config("scheduler", "scheduler_config.json"),
        place=place,
    )
    if parts.unet.config["in_channels"] != 8 or parts.unet.config["cross_attention_dim"] != width:
        raise TurnaroundError(
            f"{found.folder / UNET} is not a Zero-1-to-3: its UNet must take 8 channels and tokens of {width} numbers. "
            "Choose other weights."
        )
    return parts


def _filled(build: "Callable[[], nn.Module]", file: Path, device: "torch.device", dtype: "torch.dtype") -> "nn.Module":
    """The module that `build` makes, with all of its tensors from the file."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        module = build()
    shapes = {name: tensor.shape for name, tensor in module.named_parameters()}
    values: dict[str, Tensor] = {}
    for spelt, read in _tensors(file, device):
        name = _today(spelt, shapes)
        if name not in shapes:  # counters and tables that libraries kept in files once
            continue
        tensor = read()
        if tensor.shape != shapes[name]:
            expected, there = (" x ".join(map(str, shape)) for shape in (shapes[name], tensor.shape))
            raise TurnaroundError(
                f"The tensor {name} in {file} has the size {there} where {expected} is needed. "
                "The file is of another model: fetch the weights again, or choose others."
            )
        values[name] = tensor.to(device=device, dtype=dtype)
    if missing := sorted(shapes.keys() - values.keys()):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise TurnaroundError(
            f"The tensor {missing[0]}{more} is missing in {file}. "
            "The file is damaged or of another model: remove it and fetch the weights again."
        )
    module.load_state_dict(values, strict=False, assign=True)  # what is left are buffers, which are in no file
    return module.to(device).eval().requires_grad_(False)


def _today(name: str, known: Mapping[str, Any]) -> str:
    """A tensor's name as the libraries spell it now."""
    if name in known:
        return name
    for spelling in CAMERA_SPELLINGS:
        if name.removeprefix(spelling) in known:
            return name.removeprefix(spelling)
    for old, new in OLD_SPELLINGS.items():
        if name.replace(old, new) in known:
            return name.replace(old, new)
    return name


def _tensors(file: Path, device: "torch.device") -> Iterator[tuple[str, Callable[[], "Tensor"]]]:
    """Names, and how to read each tensor. A pickle is read without running any of its code, mapped into memory."""
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt", device=str(device)) as opened:
                for name in opened.keys():  # noqa: SIM118  # no mapping, only `keys`
                    yield name, lambda name=name: opened.get_tensor(name)
        else:
            read = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
            for name, tensor in read.items():
                yield name, lambda tensor=tensor: tensor
    except TurnaroundError:
        raise
    except (
        OSError,
        SafetensorError,
        RuntimeError,
        ValueError,
        EOFError,
        AttributeError,
        _unpickling_error(),
    ) as problem:
        raise TurnaroundError(
            f"The weights in {file} cannot be read: the file is damaged or no weights file. "
            "Remove it and fetch the weights again."
        ) from problem


def _unpickling_error() -> type[Exception]:
    import pickle

    return pickle.UnpicklingError


def _has(found: Fetched, part: str) -> bool:
    return any(file.path.startswith(f"{part}/") for file in found.source.files)


def _weight_file(found: Fetched, part: str) -> Path:
    """Whatever it is called: some names say fp16, some say nothing."""
    (path,) = (
        file.path for file in found.source.files if file.path.startswith(f"{part}/") and not file.path.endswith(".json")
    )
    return found.folder / path


def _json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text("utf-8"))
        if isinstance(read, dict):
            return read
    except (OSError, ValueError) as problem:
        raise TurnaroundError(f"{path} cannot be read: {_remedy(path)}") from problem
    raise TurnaroundError(f"{path} does not describe a model: {_remedy(path)}")


def _remedy(path: Path) -> str:
    return "it is missing or damaged. Remove it and fetch the weights again."
