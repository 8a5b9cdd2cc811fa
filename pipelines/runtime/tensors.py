"""Networks from files: built without numbers of their own, each tensor straight into its place and precision.

None is left with numbers of no file: what is missing or of another size is named. Pickles run no code.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError  # only to recognise it
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.thrift import is_out_of_memory

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module

    from pipelines.runtime.places import Place

    M = TypeVar("M", bound=Module)

log = logging.getLogger(__name__)

# How published files still spell what the libraries spell otherwise now
OLD_SPELLINGS = {
    # Attention layers of a VAE in diffusers before 0.18
    ".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0.",
    # All of a CLIP in transformers before 5, which has these where there is a projection beside them
    "text_model.": "", "vision_model.": "",
}  # fmt: skip

Stored = Iterable[tuple[str, Callable[[], "Tensor"]]]
"""Names of tensors, and how to read each."""


def filled(
    build: "Callable[[], M]",
    stored: Stored,
    file: Path,
    device: "torch.device",
    dtype: "torch.dtype",
    *,
    today: Callable[[str, Mapping[str, Any]], str] = lambda name, known: name,
    check: Callable[[], None] = lambda: None,
) -> "M":
    """The module that `build` makes, with all of its parameters from `file`, whose tensors are `stored`.

    `today(name, known)` says how the libraries spell a stored name now, beyond `OLD_SPELLINGS`. `check` is called
    between tensors, and may raise.
    """
    import torch
    from accelerate import init_empty_weights

    # Some draw numbers, whatever becomes of them
    with init_empty_weights(include_buffers=False), torch.random.fork_rng(devices=[]):
        module = build()
    shapes = {name: tensor.shape for name, tensor in module.named_parameters()}
    values: dict[str, Tensor] = {}

    def placed(name: str, tensor: "Tensor") -> "Tensor":  # a function, so that what was read goes at its end
        if tensor.shape != shapes[name]:
            there, needed = (" x ".join(map(str, shape)) or "1" for shape in (tensor.shape, shapes[name]))
            raise damaged(file, f"has the tensor {name} in the size {there} where {needed} is needed")
        return tensor.to(device).to(dtype)  # in this order: a GPU converts faster than a processor

    for spelt, read in stored:
        name = _respelt(today(spelt, shapes), shapes)
        if name not in shapes:  # counters and tables that libraries kept in files once
            continue
        check()
        values[name] = placed(name, read())
    if missing := sorted(shapes.keys() - values.keys()):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise damaged(file, f"lacks the tensor {missing[0]}{more}")
    module.load_state_dict(values, strict=False, assign=True)  # what is left are buffers, which are in no file
    return module.to(device).eval().requires_grad_(False)


def _respelt(name: str, known: Mapping[str, Any]) -> str:
    """A tensor's name as the libraries spell it now."""
    if name not in known:
        for old, new in OLD_SPELLINGS.items():
            if name.replace(old, new) in known:
                return name.replace(old, new)
    return name


def with_channels_last(decoder: "M", place: "Place") -> "M":
    """On a CPU, where that saves a VAE a tenth of the work."""
    import torch

    return decoder.to(memory_format=torch.channels_last) if place.device.type == "cpu" else decoder  # pyright: ignore


def stored_in(file: Path) -> Iterator[tuple[str, Callable[[], "Tensor"]]]:
    """Of a safetensors file, or of a pickle: mapped into memory either way.

    Not straight onto a GPU: safetensors 0.8 pins memory for that, which a ZeroGPU Space's main process cannot, and
    which Windows' Linux runs out of (safetensors, issue 858).
    """
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt", device="cpu") as opened:
                for name in opened.keys():  # noqa: SIM118  # no mapping, only `keys`
                    yield name, lambda name=name: opened.get_tensor(name)
        else:
            read = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
            for name, tensor in read.items():
                if isinstance(tensor, torch.Tensor):  # it may hold other things, too
                    yield name, lambda tensor=tensor: tensor
    except (OSError, ValueError, EOFError, AttributeError, RuntimeError, SafetensorError, UnpicklingError) as problem:
        if is_out_of_memory(problem):
            raise
        raise damaged(file, "cannot be read") from problem


def as_pixels(decoded: "Tensor") -> NDArray[np.uint8]:
    """What a VAE decoded [N, 3, H, W], in -1..1, as pictures [N, H, W, 3]."""
    import torch

    if not decoded.isfinite().all():
        raise TurnaroundError(
            "The network made numbers that are no picture: its weights are damaged, or this device is too coarse. "
            "Try another seed; if it happens again, fetch the weights anew, or run it with "
            "TURNAROUND_PRECISION=float32."
        )
    return ((decoded + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def save_tensors(tensors: "dict[str, Tensor]", file: Path, about: dict[str, str] | None = None) -> None:
    """As safetensors; what the disk refuses is the `OSError` that it was."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(tensors, file, about)
    except SafetensorError as problem:
        number = re.search(r"os error (\d+)", str(problem))
        raise OSError(int(number[1]) if number else 0, str(problem)) from problem


def read_json(file: Path) -> dict[str, Any]:
    """A part's configuration."""
    try:
        read = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise damaged(file, "cannot be read") from problem
    if not isinstance(read, dict):
        raise damaged(file, "does not describe a model")
    return read


def damaged(file: Path, what: str) -> TurnaroundError:
    """For a visitor without the server's paths; whoever runs it finds those in the log."""
    log.error("%s %s", file, what)
    return TurnaroundError(
        f"The model cannot be loaded: its file {file.parent.name}/{file.name} {what}. It is damaged, missing or of "
        "another model: whoever runs this server should remove it, so that the next run fetches it again, or choose "
        "other weights."
    )
