"""From the files of openai/shap-e-img2img to the parts that a run needs, each from its own folder.

What is used of diffusers is its networks. The pipelines' own loading would fetch every file twice and take a renderer
without tables for a whole one (specs/hub.md, 4).
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.report import Report
from pipelines.runtime.residency import Place
from pipelines.shap_e.sources import RENDERER

if TYPE_CHECKING:
    import torch

MESH_TABLES = ("mesh_decoder.cases", "mesh_decoder.masks")
AGAIN = "Fetch its weights again: python -m pipelines fetch shap_e."

Tensors = dict[str, "torch.Tensor"]


@dataclass(frozen=True)
class Parts:
    place: Place
    encoder: Any
    """CLIPVisionModel: picture [1, 3, 224, 224] to 1 + 256 tokens of 1024, in the place's dtype."""
    prior: Any
    """PriorTransformer: noisy latent [B, 1024, 1024] to a clean one with its variance, in the place's dtype."""
    projector: Any
    """ShapEParamsProjModel: latent to the weights of the small network's first layers. float32, for meshes from fp16
    come out empty or not finite (specs/baselines.md, 5)."""
    mlp_shape: Mapping[str, Any]
    mlp: Mapping[str, "torch.Tensor"]
    """What MLPNeRSTFModel, the small network, is made of, in float32: it is made anew for each object (`field.py`)."""
    schedule: Mapping[str, Any]
    """The configuration of HeunDiscreteScheduler, which keeps a run's state and is made anew for each."""

    @property
    def picture_px(self) -> int:
        return self.encoder.config.image_size


def load(folder: Path, place: Place, report: Report) -> Parts:
    import torch
    from diffusers.models.transformers.prior_transformer import PriorTransformer
    from diffusers.pipelines.shap_e.renderer import MLPNeRSTFModel, ShapEParamsProjModel
    from transformers import CLIPVisionConfig, CLIPVisionModel

    device, dtype = place.device, place.dtype
    shape = _config(folder / "shap_e_renderer")
    make_encoder: Any = CLIPVisionModel  # their types promise less than they do
    make_mlp: Any = MLPNeRSTFModel

    def only(*names: str) -> dict[str, Any]:
        return {name: shape[name] for name in names if name in shape}

    # 1. The renderer first: its file is the one that may be another
    renderer = renderer_tensors(folder)
    projector_shape = only("param_names", "param_shapes", "d_latent")
    projector = filled(
        lambda: ShapEParamsProjModel(**projector_shape),
        below("params_proj.", renderer),
        "renderer",
        device,
        torch.float32,
    )
    mlp_shape = only("d_hidden", "n_output", "n_hidden_layers", "act_fn", "insert_direction_at")
    mlp = filled(lambda: make_mlp(**mlp_shape), below("mlp.", renderer), "renderer", torch.device("cpu"), torch.float32)
    del renderer
    report.check()

    # 2. What sees the photo. The file is of a time when all names began with "vision_model." and position numbers were
    # weights.
    seen_shape = CLIPVisionConfig(**_config(folder / "image_encoder"))
    tensors = read_tensors(folder / "image_encoder/model.fp16.safetensors")
    tensors = {name.removeprefix("vision_model."): tensor for name, tensor in tensors.items()}
    encoder = filled(lambda: make_encoder(seen_shape), tensors, "image encoder", device, dtype)
    count = encoder.embeddings.position_embedding.num_embeddings
    encoder.embeddings.position_ids = torch.arange(count, device=device)[None]
    report.check()

    # 3. What thinks of an object
    tensors = read_tensors(folder / "prior/diffusion_pytorch_model.fp16.safetensors")
    prior = filled(lambda: PriorTransformer.from_config(_config(folder / "prior")), tensors, "prior", device, dtype)
    prior.causal_attention_mask = None  # for text, of which there is none
    for block in prior.transformer_blocks:
        block.register_forward_pre_hook(_check_in_between)
    schedule = _config(folder / "scheduler", "scheduler_config.json")
    return Parts(place, encoder, prior, projector, mlp_shape, mlp.state_dict(), schedule)


# --- Stopping in between: the transformer takes seconds a time on a CPU --------------------------------------------

_watching = threading.local()  # several runs may use the same transformer, and only one of them be cancelled


def _check_in_between(*_: object) -> None:
    if check := getattr(_watching, "check", None):
        check()


@contextmanager
def watched(check: Callable[[], None]) -> Iterator[None]:
    """Whatever this thread asks of the transformer, `check` is called before each of its layers, and may raise."""
    _watching.check = check
    try:
        yield
    finally:
        _watching.check = None


# --- Files ------------------------------------------------------------------------------------------------------------


def renderer_tensors(folder: Path) -> Tensors:
    """Of the pickle-free file where there is one; checked to be the renderer with the mesh tables.

    The tables themselves are not used: scikit-image's marching cubes close ambiguous cubes, which the tables leave
    open. But a renderer without them is another, older one (the folder `renderer/`), and zeros are a failed conversion.
    """
    safe, pickled = folder / f"{RENDERER}.fp16.safetensors", folder / f"{RENDERER}.bin"
    tensors = read_tensors(safe if safe.is_file() else pickled)
    missing = [name for name in MESH_TABLES if name not in tensors]
    if missing:
        raise TurnaroundError(
            f"Shap-E's renderer lacks {missing[0]}: it is the old one of the folder renderer/, which makes no meshes. "
            f"{AGAIN}"
        )
    if not all(bool(tensors[name].any()) for name in MESH_TABLES):
        raise TurnaroundError(f"Shap-E's renderer is a damaged download: its mesh tables are all zeros. {AGAIN}")
    return tensors


def read_tensors(file: Path) -> Tensors:
    """By name, as stored; from a pickle only what is plain tensors."""
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as problem:
        raise TurnaroundError(f"Shap-E's file {file.name} is not here any more. {AGAIN}") from problem
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as problem:
        raise TurnaroundError(f"Shap-E's file {file.name} is damaged and cannot be read. {AGAIN}") from problem


def below(prefix: str, tensors: Tensors) -> Tensors:
    """Those whose names begin so, without the beginning."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def filled(build: Callable[[], Any], tensors: Tensors, what: str, device: "torch.device", dtype: "torch.dtype") -> Any:
    """The module with these weights, each brought to its place by itself; never with one that is missing."""
    import torch

    with torch.device("meta"):  # no memory, and no time for random weights that are thrown away
        module = build()
    wanted = module.state_dict()
    for name, empty in wanted.items():
        if name not in tensors:
            raise TurnaroundError(f"Shap-E's {what} lacks the weights {name}: the download is not whole. {AGAIN}")
        if tensors[name].shape != empty.shape:
            found, expected = list(tensors[name].shape), list(empty.shape)
            raise TurnaroundError(
                f"Shap-E's {what} has weights {name} of shape {found}, not {expected}: it is another model's. {AGAIN}"
            )
    module.load_state_dict({name: tensors[name].to(device, dtype) for name in wanted}, assign=True)
    return module.requires_grad_(False).eval()


def _config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    try:
        return json.loads((folder / name).read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise TurnaroundError(f"Shap-E's file {folder.name}/{name} is missing or damaged. {AGAIN}") from problem
