"""From the files of openai/shap-e-img2img to the parts that a run needs, each from its own folder.

What is used of diffusers is its networks. The pipelines' own loading would fetch every file twice and take a renderer
without tables for a whole one (specs/hub.md, 4).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.residency import Place
from pipelines.runtime.telling import audible
from pipelines.runtime.tensors import Stored, filled, read_json, stored_in
from pipelines.shap_e.sources import RENDERER

if TYPE_CHECKING:
    import torch

MESH_TABLES = ("mesh_decoder.cases", "mesh_decoder.masks")
AGAIN = "Fetch its weights again: python -m pipelines fetch shap_e."


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


def load(folder: Path, place: Place, check: Callable[[], None] = lambda: None) -> Parts:
    """All of them, onto the device. `check` is called between tensors, and may raise."""
    import torch
    from diffusers.models.transformers.prior_transformer import PriorTransformer
    from diffusers.pipelines.shap_e.renderer import MLPNeRSTFModel, ShapEParamsProjModel
    from transformers import CLIPVisionConfig, CLIPVisionModel

    device, processor = place.device, torch.device("cpu")
    shape = read_json(folder / "shap_e_renderer/config.json")
    make_encoder: Any = CLIPVisionModel  # their types promise less than they do
    make_mlp: Any = MLPNeRSTFModel

    def only(*names: str) -> dict[str, Any]:
        return {name: shape[name] for name in names if name in shape}

    # 1. The renderer first: its file is the one that may be another. Two networks are in it.
    renderer = checked_renderer(folder)
    projector_shape = only("param_names", "param_shapes", "d_latent")
    stored = below("params_proj.", stored_in(renderer))
    projector = filled(
        lambda: ShapEParamsProjModel(**projector_shape), stored, renderer, device, torch.float32, check=check
    )
    mlp_shape = only("d_hidden", "n_output", "n_hidden_layers", "act_fn", "insert_direction_at")
    stored = below("mlp.", stored_in(renderer))
    mlp = filled(lambda: make_mlp(**mlp_shape), stored, renderer, processor, torch.float32, check=check)

    # 2. What sees the photo
    seen_shape = CLIPVisionConfig(**read_json(folder / "image_encoder/config.json"))
    file = folder / "image_encoder/model.fp16.safetensors"
    stored = stored_in(file)
    encoder = filled(lambda: make_encoder(seen_shape), stored, file, device, place.dtype, check=check)

    # 3. What thinks of an object
    prior_shape = read_json(folder / "prior/config.json")
    file = folder / "prior/diffusion_pytorch_model.fp16.safetensors"
    stored = stored_in(file)
    make_prior: Any = PriorTransformer.from_config
    prior = filled(lambda: make_prior(prior_shape), stored, file, device, place.dtype, check=check)
    prior.causal_attention_mask = None  # for text, of which there is none
    schedule = read_json(folder / "scheduler/scheduler_config.json")
    return Parts(place, audible(encoder), audible(prior), projector, mlp_shape, mlp.state_dict(), schedule)


def checked_renderer(folder: Path) -> Path:
    """The pickle-free file where there is one; checked to be the renderer with the mesh tables.

    The tables themselves are not used: scikit-image's marching cubes close ambiguous cubes, which the tables leave
    open. But a renderer without them is another, older one (the folder `renderer/`), and zeros are a failed conversion.
    """
    safe, pickled = folder / f"{RENDERER}.fp16.safetensors", folder / f"{RENDERER}.bin"
    file = safe if safe.is_file() else pickled
    filled_in = {name: bool(read().any()) for name, read in stored_in(file) if name in MESH_TABLES}
    missing = [name for name in MESH_TABLES if name not in filled_in]
    if missing:
        raise TurnaroundError(
            f"Shap-E's renderer lacks {missing[0]}: it is the old one of the folder renderer/, which makes no meshes. "
            f"{AGAIN}"
        )
    if not all(filled_in.values()):
        raise TurnaroundError(f"Shap-E's renderer is a damaged download: its mesh tables are all zeros. {AGAIN}")
    return file


def below(prefix: str, stored: Stored) -> Stored:
    """Those whose names begin so, without the beginning."""
    return ((name.removeprefix(prefix), read) for name, read in stored if name.startswith(prefix))
