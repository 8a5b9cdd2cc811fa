"""A GPU where there is none: tensors that count as on it, with its rules, and its memory counted.

Their numbers are kept in this machine's memory, or nowhere: that is enough to count what networks of full size take.
What it cannot tell is speed, and what CUDA's own kernels take for themselves.
"""

import ctypes
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
CUDA, META, KINDS = 1, 14, 21  # c10, DeviceType
BLOCK = 512  # bytes, to which CUDA's allocator rounds up
GB = 10**9
# What may have tensors on two devices
MOVES = {aten._to_copy.default, aten.copy_.default, aten._has_compatible_shallow_copy_type.default}
INDEXES = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
ATTENTION = aten.scaled_dot_product_attention.default


class Gpu:
    """How much of its memory tensors hold now, and held at most."""

    device = torch.device("cuda:0")

    def __init__(self, total_bytes: int, numbers: bool) -> None:
        self.total_bytes, self.numbers = total_bytes, numbers
        self.used_bytes = self.peak_bytes = 0
        self._held: dict[int, Any] = {}

    def hold(self, storage: Any) -> None:
        key = storage._cdata
        if key in self._held:
            return
        size = -(-storage.nbytes() // BLOCK) * BLOCK
        if self.used_bytes + size > self.total_bytes:
            wanted, total = size / 2**30, self.total_bytes / 2**30
            raise torch.OutOfMemoryError(
                f"CUDA out of memory. Tried to allocate {wanted:.2f} GiB. "
                f"GPU 0 has a total capacity of {total:.2f} GiB."
            )
        self.used_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.used_bytes)

        def let_go(_: Any) -> None:
            del self._held[key]
            self.used_bytes -= size

        self._held[key] = weakref.ref(storage, let_go)


class OnGpu(torch.Tensor):
    """A tensor on it. `kept` has its numbers here, or is a tensor without any."""

    @staticmethod
    def __new__(cls, kept: torch.Tensor, gpu: Gpu) -> "OnGpu":
        gpu.hold(kept.untyped_storage())
        with torch.inference_mode(False):
            made = torch.Tensor._make_wrapper_subclass(  # pyright: ignore
                cls,
                kept.size(),
                strides=kept.stride(),
                storage_offset=kept.storage_offset(),
                dtype=kept.dtype,
                device=gpu.device,
            )
        made.kept, made.gpu = kept, gpu
        return made

    kept: torch.Tensor
    gpu: Gpu

    def __repr__(self, *_: Any, **__: Any) -> str:
        return f"OnGpu({tuple(self.shape)}, {self.dtype})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        gpu = next(t.gpu for t in _tensors(args, kwargs or {}) if isinstance(t, OnGpu))
        return _worked(gpu, func, args, kwargs or {})

    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore


class Pretence(TorchDispatchMode):
    """Hears of everything that this thread asks of torch."""

    _mode_key = torch._C._TorchDispatchModeKey.FAKE  # with it, torch does not look for CUDA

    def __init__(self, gpu: Gpu) -> None:
        super().__init__()
        self._gpu = gpu

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._is_of_others(func):
            with self:
                return func.decompose(*args, **kwargs)
        asked = kwargs.get("device")
        if (asked is not None and torch.device(asked).type == "cuda") or any(
            isinstance(t, OnGpu) for t in _tensors(args, kwargs)
        ):
            return _worked(self._gpu, func, args, kwargs)
        if kwargs.get("pin_memory"):
            kwargs = kwargs | {"pin_memory": False}
        return func(*args, **kwargs)

    def _is_of_others(self, func: Any) -> bool:
        """Made of other operations, which are looked at one by one: to count their memory, or to hear of a device."""
        if func is ATTENTION or (self._gpu.numbers and func.overloadpacket is not aten.to):
            return False
        return torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")


def _tensors(args: Any, kwargs: Any) -> Iterator[torch.Tensor]:
    for each in (*args, *kwargs.values()):
        if isinstance(each, torch.Tensor):
            yield each
        elif isinstance(each, list | tuple):
            yield from (inside for inside in each if isinstance(inside, torch.Tensor))


def _each(change: Callable[[torch.Tensor], Any], value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return change(value)
    return type(value)(_each(change, inside) for inside in value) if type(value) in (list, tuple) else value


def _worked(gpu: Gpu, func: Any, args: Any, kwargs: Any) -> Any:
    asked = kwargs.get("device")
    here = any(isinstance(t, OnGpu) for t in _tensors(args, kwargs))
    if here and func not in MOVES:
        _check_devices(func, args, kwargs)
    if func is aten.copy_.default:
        to_gpu = isinstance(args[0], OnGpu)
    elif func is aten._local_scalar_dense.default:
        to_gpu = False
    else:
        to_gpu = here if asked is None else torch.device(asked).type == "cuda"

    if not gpu.numbers and here and not to_gpu:
        return _without_numbers(func, args, kwargs)
    if func is ATTENTION and not gpu.numbers:  # as its fast kernels: nothing of the size of tokens times tokens
        batch, heads, tokens, _ = args[0].shape
        made: Any = torch.empty(batch, tokens, heads, args[2].shape[-1], dtype=args[0].dtype, device="meta")
        return OnGpu(made.transpose(1, 2), gpu)

    def kept(t: torch.Tensor) -> torch.Tensor:
        if isinstance(t, OnGpu):
            return t.kept
        return t if gpu.numbers or not t.dim() else t.to("meta")

    changed = {name: _each(kept, value) for name, value in kwargs.items() if name != "pin_memory"}
    if asked is not None:
        changed["device"] = torch.device("cpu" if gpu.numbers else "meta")
    made = func(*(_each(kept, value) for value in args), **changed)
    name = func.overloadpacket.__name__
    if name.endswith("_") and not name.endswith("__"):
        return args[0]
    if isinstance(kwargs.get("out"), OnGpu):
        return kwargs["out"]
    return _each(lambda t: OnGpu(t, gpu), made) if to_gpu else made


def _check_devices(func: Any, args: Any, kwargs: Any) -> None:
    """CUDA takes single numbers from the processor, and what picks and places by index."""
    looked_at = (args[0], *args[2:]) if func in INDEXES else args
    for tensor in _tensors(looked_at, kwargs):
        if not isinstance(tensor, OnGpu) and tensor.dim():
            raise RuntimeError(f"Expected all tensors to be on the same device, but found at least two devices: {func}")


def _without_numbers(func: Any, args: Any, kwargs: Any) -> Any:
    """What comes from the GPU when nothing is kept of it: zeros, and that all is well."""
    if func is aten._local_scalar_dense.default:
        return args[0].dtype == torch.bool
    if func is aten._to_copy.default:
        return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
    return args[0].zero_()


@contextmanager
def _without_switching() -> Iterator[None]:
    """A torch without CUDA cannot switch to its devices, and says so. What switches for tensors without numbers, which
    does nothing, takes its place meanwhile.
    """
    (library,) = (Path(torch.__file__).parent / "lib").glob("libc10.[sd][oy]*")
    switches = (ctypes.c_void_p * KINDS).in_dll(ctypes.CDLL(str(library)), "_ZN3c104impl26device_guard_impl_registryE")
    before, switches[CUDA] = switches[CUDA], switches[META]
    try:
        yield
    finally:
        switches[CUDA] = before


@contextmanager
def pretended_gpu(total_bytes: int = 80 * GB, *, numbers: bool = True) -> Iterator[Gpu]:
    """Within, this thread's torch has a GPU of so much memory; without `numbers`, nothing is worked out on it."""
    gpu = Gpu(total_bytes, numbers)
    said: dict[str, Callable[..., Any]] = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_capability": lambda *_: (9, 0),
        "get_device_name": lambda *_: "A pretended GPU",
        "get_device_properties": lambda *_: SimpleNamespace(total_memory=total_bytes, major=9, minor=0),
        "mem_get_info": lambda *_: (total_bytes - gpu.used_bytes, total_bytes),
        "max_memory_allocated": lambda *_: gpu.peak_bytes,
        "reset_peak_memory_stats": lambda *_: setattr(gpu, "peak_bytes", gpu.used_bytes),
        "empty_cache": lambda: None,
        "synchronize": lambda *_: None,
    }
    with ExitStack() as ends:
        ends.enter_context(_without_switching())
        for name, answer in said.items():
            ends.enter_context(mock.patch.object(torch.cuda, name, answer))
        torch._C._set_only_lift_cpu_tensors(True)
        ends.callback(torch._C._set_only_lift_cpu_tensors, False)
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        ends.callback(torch.__future__.set_overwrite_module_params_on_conversion, False)
        ends.enter_context(Pretence(gpu))
        yield gpu
