"""A checkpoint with the names and the layout of SV3D's own, small, its numbers from a rule.

They are those that the golden tensors were made with: each from its name, so that nothing of it need be stored.
"""

import gzip
import json
import re
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from pipelines.sv3d.loading import ABOUT
from pipelines.sv3d.sources import WEIGHTS

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "sv3d"
KEYS: dict[str, dict[str, list[int]]] = json.loads(gzip.decompress((GOLDEN / "keys.json.gz").read_bytes()))
FULL, TINY = KEYS["full"], KEYS["tiny"]
ANGLES = "model.diffusion_model.label_emb.0.0.weight"
NOISE_ONLY = 256  # numbers of a frame of sv3d_u
TELLS = {"head_channels": 16, "clip_head_channels": 16, "frames": 5, "latent_px": 16}
QUICK = TELLS | {"latent_px": 8}  # for whoever runs it often, and needs no golden numbers
# What is added to a residual is small
_HALVED = re.compile(r".*(out_layers\.3|proj_out|to_out\.0|ff(_in)?\.net\.2|out_proj|mlp\.c_proj|conv2)\.weight")


def write(folder: Path) -> None:
    for kind, weights in WEIGHTS.items():
        source = weights.first
        write_checkpoint(folder / source.repository / source.files[0].path, kind, tells=QUICK)


def write_checkpoint(
    file: Path, kind: str = "p", without: str = "", tells: dict[str, Any] = TELLS, **more: Tensor
) -> None:
    tensors = {name: number(name, shape).half() for name, shape in shapes(kind).items() if name != without} | more
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file, metadata={"format": "pt", ABOUT: json.dumps(tells)})


def shapes(kind: str, of: dict[str, list[int]] = TINY) -> dict[str, list[int]]:
    return of if kind == "p" else of | {ANGLES: [of[ANGLES][0], NOISE_ONLY]}


def number(name: str, shape: list[int]) -> Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode()) & 0x7FFFFFFF))
    if name.endswith("mix_factor"):
        return drawn
    if len(shape) < 2:
        return 1 + 0.1 * drawn if name.endswith("weight") else 0.05 * drawn
    scaled = drawn / drawn[0].numel() ** 0.5
    return 0.5 * scaled if _HALVED.fullmatch(name) else scaled
