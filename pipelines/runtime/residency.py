"""Where models live: which device and precision, who stays loaded, who leaves when room is needed, and what to do
when it was not enough. Importing this loads no torch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pipelines.runtime.devices import Machine
from pipelines.runtime.report import Report

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run's tensors live."""

    device: "torch.device"
    dtype: "torch.dtype"
    """float32 on a CPU; bfloat16 where the GPU is good at it, else float16."""
    name: str
    """For people and manifests: "NVIDIA H100 80GB, bfloat16"."""


@dataclass(frozen=True, slots=True)
class Thrift:
    """How sparingly to work; each rung of the ladder is slower and takes less memory."""

    at_once: int
    """Views or frames that go through the large network together."""
    decode_at_once: int
    """Of those, how many the VAE decodes together."""
    tiles: bool = False
    """Whether the VAE works on tiles."""
    offload: bool = False
    """Whether parts are on the device only while they work."""


def torch_blockers(machine: Machine, needed_bytes: int) -> tuple[str, ...]:
    """Why a torch method that needs this much memory cannot run here, in words; imports nothing."""
    raise NotImplementedError


def chosen_place() -> Place:
    raise NotImplementedError


@contextmanager
def resident(key: str, load: Callable[[Place], T], size_bytes: int, report: Report) -> Iterator[T]:
    """The parts of a model, on the device: loaded by `load(place)` the first time, kept for the next while there is
    room, and never taken away while in use. `T` is a dataclass or tuple whose fields may be `torch.nn.Module`s.
    """
    raise NotImplementedError
    yield


def thriftily(
    work: Callable[[Thrift], T], at_once: int, report: Report, *, decode_at_once: int | None = None
) -> tuple[T, tuple[str, ...]]:
    """`work(thrift)`, tried with less and less memory until it fits; and notes that say what was done, for the result.

    Out of memory on the last rung is a sentence with figures. `Cancelled` and every other error pass through at once.
    """
    raise NotImplementedError
