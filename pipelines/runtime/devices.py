"""What machine this is, found out without importing torch or loading anything."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

VERSION = "0.1.0"  # ours; pyproject.toml says the same, and a test holds the two together
_TOLD_PACKAGES = ("numpy", "scipy", "opencv-python-headless", "pillow", "trimesh", "av", "gradio", "rembg")


@dataclass(frozen=True, slots=True)
class Machine:
    """What a method may ask of where it runs."""

    cores: int
    memory_bytes: int
    free_disk_bytes: int
    gpu: str | None = None
    gpu_memory_bytes: int = 0


def this_machine(data: Path) -> Machine:
    """Cores, memory, GPU, and the free space where `data` is or will be."""
    gpu, gpu_memory_bytes = _nvidia_gpu()
    return Machine(
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=_memory_bytes(),
        free_disk_bytes=free_disk_bytes(data),
        gpu=gpu,
        gpu_memory_bytes=gpu_memory_bytes,
    )


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


@cache
def _memory_bytes() -> int:
    """Of the machine, or of the container when that is less."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 0
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


@cache
def _nvidia_gpu() -> tuple[str | None, int]:
    """Name and memory of the first NVIDIA GPU, as its driver tells."""
    tool = shutil.which("nvidia-smi")
    if not tool:
        return None, 0
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        first = subprocess.run(query, capture_output=True, text=True, timeout=5, check=True).stdout.splitlines()[0]
        name, mib = first.rsplit(",", 1)
        return name.strip(), int(mib) * 2**20
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return None, 0


class PeakMemory:
    """The process's largest resident size between `start()` and `bytes()`."""

    def __init__(self) -> None:
        with suppress(OSError):  # only Linux can; elsewhere the mark is the process's whole life's
            Path("/proc/self/clear_refs").write_text("5")

    def bytes(self) -> int:
        try:
            status = Path("/proc/self/status").read_text()
            return int(status.split("VmHWM:")[1].split()[0]) * 1024
        except (OSError, IndexError, ValueError):
            return _lifetime_peak_bytes()


def _lifetime_peak_bytes() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if platform.system() == "Darwin" else 1024  # macOS counts in bytes, Linux in KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
