"""What machine this is, found out without importing torch or loading anything."""

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from pipelines.runtime import pace
from pipelines.runtime.pace import Pace
from pipelines.runtime.settings import read_settings

VERSION = "0.1.0"  # ours; pyproject.toml says the same, and a test holds the two together
_TOLD_PACKAGES = (
    "numpy",
    "scipy",
    "opencv-python-headless",
    "pillow",
    "trimesh",
    "av",
    "gradio",
    "rembg",
    "torch",
    "diffusers",
    "transformers",
    "huggingface_hub",
)
ZERO_GPU_BYTES = 48 * 10**9  # "large": half an RTX Pro 6000 (huggingface.co/docs/hub/spaces-zerogpu)
# How much faster 16 bits are than 32: on a processor that multiplies them (bench, full size: Zero123 2.2, Shap-E 1.8);
# on a GPU a guess, until runs there have told
CPU_HALF_GAIN, GPU_HALF_GAIN = 2.0, 4.0
_CPU = Path("/proc/cpuinfo")
_SHARED = 0.75  # of memory that processor and GPU share, macOS lets the GPU have about this much


@dataclass(frozen=True, slots=True)
class Machine:
    """What a method may ask of where it runs."""

    cores: int
    memory_bytes: int
    free_disk_bytes: int
    gpu: str | None = None
    gpu_memory_bytes: int = 0
    device: str = ""
    """Where torch would work here, as far as can be told without asking it: "cuda", "mps" or "cpu"."""
    number_bytes: int = 0
    """What a network's numbers take each where it works: 4 in float32, else 2."""
    pace: Mapping[str, Pace] = field(default_factory=dict)
    """By method, what its runs took here so far: see `pace.pace_s`."""
    loaded: tuple[str, ...] = ()
    """Names of weights that are in memory before any run begins."""

    def __post_init__(self) -> None:
        if not self.device:
            object.__setattr__(self, "device", "cuda" if self.gpu else "cpu")
        if not self.number_bytes:
            object.__setattr__(self, "number_bytes", 4 if self.device == "cpu" else 2)

    def takes_s(self, core_s: float, gpu_s: float) -> float:
        """How long its device takes for what keeps a single core busy for `core_s` in float32, a GPU for `gpu_s` in 16
        bits.
        """
        if self.device == "cpu":
            return core_s / max(1, self.cores) / (CPU_HALF_GAIN if self.number_bytes == 2 else 1)
        return gpu_s * (GPU_HALF_GAIN if self.number_bytes == 4 else 1)


def this_machine(data: Path) -> Machine:
    """Cores, memory, GPU, the free space where `data` is or will be, and what runs took so far."""
    gpu, gpu_memory_bytes = _gpu()
    settings = read_settings()
    device = _device(settings.device, gpu)
    number_bytes = _number_bytes(settings.precision, device)
    return Machine(
        cores=usable_cores(),
        memory_bytes=memory_bytes(),
        free_disk_bytes=free_disk_bytes(data),
        gpu=gpu,
        gpu_memory_bytes=gpu_memory_bytes,
        device=device,
        number_bytes=number_bytes,
        pace=pace.paces(data, device, gpu, number_bytes),
    )


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_zero_gpu() -> bool:
    """Whether this is a Space that borrows a GPU for each call, by the variable that its `spaces` package goes by."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def free_disk_bytes(folder: Path) -> int:
    """Free space on the disk of the nearest ancestor that exists; 0 when even that cannot be asked."""
    for candidate in (folder.absolute(), *folder.absolute().parents):
        if candidate.exists():
            try:
                return shutil.disk_usage(candidate).free
            except OSError:
                return 0
    return 0


@cache
def versions() -> dict[str, str]:
    """Versions of what may change a result, by package name; absent packages are left out."""
    found = {"turnaround": VERSION, "python": platform.python_version()}
    for package in _TOLD_PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


# --- Memory -----------------------------------------------------------------------------------------------------------

# Of a container: where it lies (version 2, version 1), its limit, what is taken, and how the taken part that files only
# borrow is called in memory.stat.
_CONTAINERS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


@cache
def memory_bytes() -> int:
    """Of the machine, or of the container when that is less; 0 where it cannot be told."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 0
    limits = [_number_in(folder / limit) for folder, limit, _, _ in _CONTAINERS]
    return min(total, *(limit or total for limit in limits))


def free_memory_bytes() -> int:
    """What could be taken now without anything being swapped out or killed; 0 where it cannot be told."""
    with suppress(OSError, IndexError, ValueError):
        free = int(Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0]) * 1024
        for folder, limit, taken, borrowed in _CONTAINERS:
            most = _number_in(folder / limit)
            if most and most <= memory_bytes():
                files = re.search(rf"^{borrowed} (\d+)", (folder / "memory.stat").read_text(), re.MULTILINE)
                free = min(free, most - (_number_in(folder / taken) or 0) + int(files[1] if files else 0))
        return max(0, free)
    return 0


def _number_in(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


# --- GPUs -------------------------------------------------------------------------------------------------------------


def _gpu() -> tuple[str | None, int]:
    if on_zero_gpu():
        return "ZeroGPU", ZERO_GPU_BYTES
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return "Apple GPU", int(memory_bytes() * _SHARED)
    found = nvidia(_chosen_nvidia()) or nvidia("")  # a name that CUDA understands and its tool does not
    return (found.name, found.memory_bytes) if found else (None, 0)


def expected_device() -> str:
    """Where torch would work here, as far as can be told without asking it."""
    return _device(read_settings().device, _gpu()[0])


def _device(wanted: str, gpu: str | None) -> str:
    """`wanted` as the setting has it."""
    if wanted != "auto":
        return wanted.split(":")[0]
    if gpu == "Apple GPU":
        return "mps"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1")
    return "cuda" if gpu and not hidden and torch_build() != "cpu" else "cpu"


def _number_bytes(wanted: str, device: str) -> int:
    """`wanted` as the setting has it."""
    if wanted == "auto":
        return 4 if device == "cpu" and not cpu_multiplies_bfloat16() else 2
    return 4 if wanted == "float32" else 2


@cache
def cpu_multiplies_bfloat16() -> bool:
    """Whether it has instructions for that, as Linux tells of Intel's and AMD's; others would only imitate it."""
    with suppress(OSError):
        flags = re.search(r"^flags\s*:(.*)", _CPU.read_text(), re.MULTILINE)
        return bool(flags and {"avx512_bf16", "amx_bf16"} & set(flags[1].split()))
    return False


def torch_build() -> str | None:
    """What the installed torch was built for: "cuda", "hip" (AMD) or "cpu", which on a Mac can still use its GPU; None
    without torch. Reads it from a file of its own, which says `cuda: Optional[str] = '12.8'`.
    """
    if importlib.util.find_spec("torch") is None:
        return None
    built = _torch_built()
    return built[1] if built else "cpu"


def torch_cuda() -> str:
    """Which CUDA the installed torch was built for, as "12.8"; empty if for none."""
    built = _torch_built()
    return built[2] if built and built[1] == "cuda" else ""


@cache
def _torch_built() -> re.Match[str] | None:
    with suppress(OSError, AttributeError, TypeError):
        file = Path(importlib.util.find_spec("torch").origin).with_name("version.py")  # type: ignore[union-attr, arg-type] - suppressed
        return re.search(r"^(cuda|hip)\b[^=\n]*= *['\"]([\d.]*)", file.read_text("utf-8"), re.MULTILINE)
    return None


@dataclass(frozen=True, slots=True)
class Nvidia:
    name: str
    memory_bytes: int
    driver: str


@cache
def nvidia(which: str) -> Nvidia | None:
    """A GPU as its driver tells, by its number or UUID; of neither, the first. Where they differ, CUDA may count them
    otherwise, the fastest first.
    """
    tool = shutil.which("nvidia-smi")
    if not tool:
        return None
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    query += [f"--id={which}"] if which else []
    try:
        # With many GPUs, none of which is held awake, the driver takes its time
        first = subprocess.run(query, capture_output=True, text=True, timeout=15, check=True).stdout.splitlines()[0]
        name, mib, driver = (part.strip() for part in first.rsplit(",", 2))
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return None
    # Where GPU and processor share their memory it has no figure
    return Nvidia(name, int(mib) * 2**20 if mib.isdigit() else int(memory_bytes() * _SHARED), driver)


def _chosen_nvidia() -> str:
    """Number or UUID of the GPU that models work on, where a setting says so."""
    number = read_settings().device.partition(":")[2]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").replace(" ", "").split(",")
    if not any(visible):
        return number
    chosen = visible[int(number or 0) :][:1]
    return chosen[0] if chosen and not chosen[0].startswith("MIG") else ""  # the driver's tool finds no parts of one


# --- Measuring --------------------------------------------------------------------------------------------------------


_measuring = threading.Lock()
if hasattr(os, "register_at_fork"):  # ZeroGPU's workers are forks: none shall begin with it held by who is not there
    os.register_at_fork(
        before=_measuring.acquire, after_in_parent=_measuring.release, after_in_child=_measuring.release
    )


class PeakMemory:
    """The most memory in use between making one and `bytes()`: the process's, or the GPU's for a run that used it.

    Of everything in it, other runs and idle models included: nobody counts memory by run. The system keeps one mark for
    the whole process, so whoever sets it back first notes it for all others that are still measuring.
    """

    _under_way: ClassVar["weakref.WeakSet[PeakMemory]"] = weakref.WeakSet()

    def __init__(self) -> None:
        self._before = dict.fromkeys((False, True), 0)  # the mark was set back
        with _measuring:
            for other in self._under_way:
                other._before = {gpu: max(known, _mark_bytes(gpu)) for gpu, known in other._before.items()}
            self._under_way.add(self)
            with suppress(OSError):  # only Linux can; elsewhere the mark is the process's whole life's
                Path("/proc/self/clear_refs").write_text("5")
            if cuda := _cuda_in_use():
                for index in range(cuda.device_count()):
                    cuda.reset_peak_memory_stats(index)

    def bytes(self, gpu: bool = False) -> int:
        """With `gpu`, of the GPU that had most, if one is in use at all. On Apple's nobody sets a mark: it is what its
        driver has given by now, and torch keeps that for later until it is short of memory.
        """
        with _measuring:
            on_gpu = gpu and (_cuda_in_use() or _mps_in_use()) is not None
            return max(self._before[on_gpu], _mark_bytes(on_gpu))


def _mark_bytes(gpu: bool) -> int:
    if gpu:
        if cuda := _cuda_in_use():
            return max((cuda.max_memory_allocated(index) for index in range(cuda.device_count())), default=0)
        return mps.driver_allocated_memory() if (mps := _mps_in_use()) else 0
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        return _lifetime_peak_bytes()


def _cuda_in_use() -> Any:
    """`torch.cuda`, if something in this process has loaded torch and begun to use a GPU; imports nothing."""
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)  # None while another thread is still importing it
    return cuda if cuda is not None and cuda.is_initialized() else None


def _mps_in_use() -> Any:
    """`torch.mps`, likewise, where there is an Apple GPU."""
    torch = sys.modules.get("torch")
    with suppress(AttributeError):  # another thread is still importing it
        return torch.mps if torch and torch.backends.mps.is_available() else None
    return None


def _lifetime_peak_bytes() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if platform.system() == "Darwin" else 1024  # macOS counts in bytes, Linux in KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
