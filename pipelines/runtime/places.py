"""Which device and precision a model works in, how much memory models may keep there, and why one cannot run at all.

Importing this loads no torch.
"""

import importlib.util
import os
import platform
import re
import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.devices import (
    Machine,
    cpu_multiplies_bfloat16,
    expected_device,
    memory_bytes,
    nvidia,
    on_zero_gpu,
    torch_build,
    torch_cuda,
)
from pipelines.runtime.settings import read_settings

if TYPE_CHECKING:
    import torch

NEEDED_PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "safetensors", "huggingface_hub")
INSTALL = "pip install -r requirements.txt"
ZERO_GPU_THRESHOLD = 45_097_156_608  # 42 GiB; with more, a Space's calls silently cost twice (configs.json of `spaces`)
BF16_CAPABILITY = 8  # Ampere, the first whose matrix units take bfloat16
# Of a GPU's memory, what is kept free for the work itself: a quarter, within these bounds. A model and its activations
# are of like size; where that is too little, idle models leave when memory runs out.
RESERVE_SHARE, LEAST_RESERVE, MOST_RESERVE = 0.25, 2 * 10**9, 12 * 10**9
HOST_SHARE = 0.5  # of the machine's memory, where models run on the processor or share it with an Apple GPU
OFFLOADED_SHARE = 0.5  # of what a method needs on a GPU, what it still needs there when its parts take turns


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run's tensors live."""

    device: "torch.device"
    dtype: "torch.dtype"
    """As the setting TURNAROUND_PRECISION says, or bfloat16 where the hardware is good at it, else float16 on a GPU and
    float32 on a processor."""
    name: str
    """For people and manifests: "NVIDIA H100 80GB, bfloat16"."""


def chosen_place(*, or_processor: bool = False) -> Place:
    """Where models run now: as the setting TURNAROUND_DEVICE says, or the best there is.

    `or_processor`: for what is as well done there, should the GPU be of no use.
    """
    import torch

    wanted = read_settings().device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        if wanted == "cpu" and not or_processor and expected_device() == "cuda":
            raise TurnaroundError(_no_use())  # for hours, on the processor, is not what the page promised
    kind, _, number = wanted.partition(":")
    if kind == "cpu":
        return _place("cpu", "CPU", "bfloat16" if cpu_multiplies_bfloat16() else "float32")
    if kind == "mps":
        if not torch.backends.mps.is_available():
            raise TurnaroundError(_no_such_device(wanted, "no Apple GPU"))
        return _place("mps", "Apple GPU", "float16")
    index, count = int(number or 0), torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        here = "no NVIDIA GPU" if count == 0 else "only cuda:0" if count == 1 else f"only cuda:0 to cuda:{count - 1}"
        raise TurnaroundError(_no_such_device(wanted, here))
    name, capability = torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index)
    built_for = [int(arch[3:]) for arch in torch.cuda.get_arch_list() if re.fullmatch(r"sm_\d+", arch)]  # no AMD's
    if built_for and 10 * capability[0] + capability[1] < min(built_for):
        raise TurnaroundError(_too_old(name))
    good_at_bf16 = capability[0] >= BF16_CAPABILITY
    return _place(f"cuda:{index}", name, "bfloat16" if good_at_bf16 else "float16")


def _place(device: str, name: str, usual: str) -> Place:
    """`usual`: the precision that suits the hardware."""
    import torch

    wanted = read_settings().precision
    precision = usual if wanted == "auto" else wanted
    return Place(torch.device(device), getattr(torch, precision), f"{name}, {precision}")


def _no_such_device(wanted: str, here: str) -> str:
    return (
        f"The setting TURNAROUND_DEVICE asks for {wanted}, but torch finds {here} on this machine. "
        "Whoever runs this server should correct the setting, or the GPU's driver, and start it again."
    )


def _no_use() -> str:
    found = nvidia("")
    driver = found.driver if found else "there is"
    return (
        f"This machine has a GPU that torch cannot use: torch is built for CUDA {torch_cuda()}, and the driver "
        f"{driver} may be too old for that. Whoever runs this server should update the driver, install a torch for an "
        "older CUDA, or set TURNAROUND_DEVICE=cpu to work slowly on the processor, and start it again."
    )


def _too_old(name: str) -> str:
    return (
        f"This machine's GPU, {name}, is older than those that the installed torch was built for. Whoever runs this "
        "server should install a torch for an older CUDA, or set TURNAROUND_DEVICE=cpu to work slowly on the "
        "processor, and start it again."
    )


def model_budget_bytes(place: Place, share: float = 1.0) -> int:
    """How much memory all models of this process together may keep at this place, of which it has that share."""
    import torch

    zero_gpu = place.device.type == "cuda" and on_zero_gpu()
    if set_gb := read_settings().model_gb:
        return _affordable(int(set_gb * 1e9 * share), zero_gpu)
    if place.device.type != "cuda":
        return int(memory_bytes() * HOST_SHARE * share)
    return gpu_budget_bytes(torch.cuda.get_device_properties(place.device).total_memory, zero_gpu, share)


def gpu_budget_bytes(total_bytes: int, zero_gpu: bool, share: float = 1.0) -> int:
    """A share of a GPU is as a smaller one, with a reserve of its own."""
    own = int(total_bytes * share)
    reserve = min(MOST_RESERVE, max(LEAST_RESERVE, int(own * RESERVE_SHARE)))
    return _affordable(max(0, own - reserve), zero_gpu)


def _affordable(budget_bytes: int, zero_gpu: bool) -> int:
    return min(budget_bytes, ZERO_GPU_THRESHOLD - 1) if zero_gpu else budget_bytes


def free_device_bytes(place: Place) -> tuple[int, int]:
    """Free and total memory of a GPU as its driver counts them, other programs included; zeros where it cannot tell."""
    torch = sys.modules.get("torch")
    if torch is None or place.device.type != "cuda" or not torch.cuda.is_initialized():
        return 0, 0
    free, total = torch.cuda.mem_get_info(place.device)
    return free, total


def keep_off_host_memory(place: Place) -> None:
    """Windows, and Linux within it, lend a full GPU the machine's memory instead of saying so: all is then ten times
    slower, and nothing makes do with less. So torch itself has to say it.
    """
    if place.device.type != "cuda" or not (os.name == "nt" or "microsoft" in platform.release().lower()):
        return
    import torch

    free, total = torch.cuda.mem_get_info(place.device)
    own = torch.cuda.memory_reserved(place.device)
    torch.cuda.set_per_process_memory_fraction(min(1.0, (free + own) / total), place.device)


def torch_blockers(machine: Machine, needed_bytes: int) -> tuple[str, ...]:
    """Why a torch method that needs this much memory cannot run here, in words; imports nothing.

    `needed_bytes` is what it takes on `machine.device` with the most sparing batch, its weights included. On a GPU
    about half may be enough: a model's parts can take turns there while the rest waits in the machine's memory.
    """
    reasons: list[str] = []
    if absent := _absent_packages():
        reasons.append(f"It needs {_listed(absent)}, not installed here: run `{INSTALL}`, then start again.")
    needed, host, gpu = needed_bytes / 1e9, machine.memory_bytes / 1e9, machine.gpu_memory_bytes / 1e9
    if machine.device == "cpu":
        if 0 < host < needed:
            reasons.append(
                f"It needs {needed:.1f} GB of memory, and this machine has {host:.1f} GB{_unused_gpu(machine)}. "
                "Run it on a larger machine."
            )
    elif machine.gpu is None:
        if machine.device == "mps" or torch_build() != "hip":  # an AMD GPU goes by cuda, and only torch itself sees it
            reasons.append(
                f"The setting TURNAROUND_DEVICE asks for {machine.device}, and no such GPU is found here. Correct it, "
                "or the GPU's driver, and start again."
            )
    elif gpu < needed and (gpu < needed * OFFLOADED_SHARE or 0 < host < needed or machine.device == "mps"):
        instead = "Run it on a larger machine"
        if host >= 2 * needed and machine.device == "cuda":  # there, numbers may have 32 bits instead of 16
            instead = "Set TURNAROUND_DEVICE=cpu to run it, slowly, on the processor"
        reasons.append(
            f"It needs {needed:.1f} GB of GPU memory, or half of that and {needed:.1f} GB of the machine's, and this "
            f"machine has {gpu:.1f} GB and {host:.1f} GB. {instead}."
        )
    return tuple(reasons)


@cache
def _absent_packages() -> list[str]:
    return [name for name in NEEDED_PACKAGES if importlib.util.find_spec(name) is None]


def _unused_gpu(machine: Machine) -> str:
    """Why a machine with a GPU counts as one without."""
    if not machine.gpu:
        return " and no GPU"
    why = "the setting TURNAROUND_DEVICE or CUDA_VISIBLE_DEVICES keeps it out"
    return f"; its GPU is not used, because {'torch is built without it' if torch_build() == 'cpu' else why}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def empty_caches() -> None:
    """Hand memory that torch keeps for later back to the device. Loads nothing."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
