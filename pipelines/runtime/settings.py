"""Every setting of ours, read from the environment in this one place. `settings_table` is the README's table.

Gradio's own variables (GRADIO_SERVER_NAME, GRADIO_SERVER_PORT, GRADIO_ROOT_PATH, ...) are honoured by Gradio itself.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pipelines.core.errors import TurnaroundError
from pipelines.core.images import Limits

PREFIX = "TURNAROUND_"
AS_ON_THE_CARDS = "none"
MOVES = "none, repositories or folders"
NO_METHODS = "none"
PRELOADS = "none or methods"
ENGINES = "auto, here, zerogpu, ray"
SIZES_PX = (128, 1024)  # that the page offers
ZERO_GPU_SIZES = "large, xlarge"
SENSES = "counter-clockwise, clockwise"
RAY_HERE = "local"
RAY_ADDRESSES = "local or host:port"
DEVICES = "auto, cpu, mps, cuda, cuda:1 ..."
PRECISIONS = "auto, float32, bfloat16"
_REPOSITORY = r"\w[\w.-]*/\w[\w.-]*"
_FOLDER = r"(?:[/~]|[A-Za-z]:[\\/])\S*"
_MOVE = re.compile(rf"({_REPOSITORY})=(?:({_FOLDER})|({_REPOSITORY})(?:@(\S+))?)")


def _setting(
    default: Any, help: str, minimum: float | None = None, maximum: float | None = None, allowed: str = ""
) -> Any:
    bounds = {"help": help, "minimum": minimum, "maximum": maximum, "allowed": allowed}
    return field(default=default, metadata=bounds)


@dataclass(frozen=True, slots=True)
class Settings:
    """The variable of a field is its name in capitals behind `TURNAROUND_`."""

    data: Path = _setting(
        Path("data"), "Folder for results, for models that the removers fetch, and for those of SV3D in half precision"
    )
    max_upload_mb: float = _setting(25.0, "Largest photo file accepted, in MB", 0.1, 500)
    max_megapixels: float = _setting(50.0, "Largest photo accepted, in million pixels, before decoding", 0.1, 200)
    keep_days: float = _setting(30.0, "Results older than this many days are deleted; 0 keeps them for ever", 0, 36500)
    keep_gb: float = _setting(5.0, "When results take more than this, the oldest leave; 0 sets no limit", 0, 100_000)
    free_disk_mb: float = _setting(200.0, "New runs are refused while the disk has less free space than this", 0, 1e6)
    temp_hours: float = _setting(1.0, "Uploads and previews left in the temporary folder go after this time", 0.01, 720)
    size_px: int = _setting(
        576, "Size of the pictures that the page suggests, in pixels; less suits a slow machine", *SIZES_PX
    )
    max_queue: int = _setting(20, "Runs that may wait at once; further visitors are asked to come back", 1, 1000)
    max_queue_per_visitor: int = _setting(3, "Runs one visitor may have waiting or running at once", 1, 1000)
    grace_s: float = _setting(
        60.0, "A run that nobody has followed for this many seconds is cancelled; 0 lets every run finish", 0, 86_400
    )
    drain_s: float = _setting(10.0, "After SIGTERM, running work gets this many seconds to finish", 0, 600)
    rembg_url: str = _setting(
        "https://github.com/danielgatis/rembg/releases/download/v0.0.0/",
        "Where rembg's models are fetched from; a mirror inside a lab, for instance",
    )
    weights: Path = _setting(
        Path("weights"),
        "Folder of model repositories kept by hand, as `<owner>/<name>/`; what lies there is used as it stands",
    )
    sources: str = _setting(
        AS_ON_THE_CARDS,
        "Where weights come from instead, as `owner/name=other/name@revision`, several with spaces between; "
        "`@revision` may be left out, and where it is given the card's own sizes and checksums no longer count. Only "
        "what is on a card can be replaced; one that the card lists itself comes as the card has it. "
        "`owner/name=/path/to/folder`, the path absolute or from `~` and without spaces, takes a folder of your own as "
        "it stands, and nothing else in its place",
        allowed=MOVES,
    )

    device: str = _setting(
        "auto", "Where models run; auto takes the first NVIDIA GPU, else Apple's, else the processor", allowed=DEVICES
    )
    precision: str = _setting(
        "auto",
        "The numbers that networks work in. auto takes bfloat16 where the hardware multiplies it (NVIDIA GPUs since "
        "Ampere; on Linux, AMD processors since Zen 4 and Intel Xeons since Sapphire Rapids; SV3D keeps to its "
        "authors' float16 on a GPU), else float16 on a GPU and float32 on a processor. float32 takes twice the memory "
        "and more than twice the time; a processor that only imitates bfloat16 takes far longer",
        allowed=PRECISIONS,
    )
    model_gb: float = _setting(
        0.0,
        "Models stay loaded, for the next run, while together they take at most this; 0 takes the device's memory less "
        "a reserve to work in, or half the machine's where models run on the processor",
        0,
        10_000,
    )

    engine: str = _setting(
        "auto",
        "Where methods run: here, on this machine; on a GPU that a ZeroGPU Space borrows for each run; or on "
        "a Ray cluster. auto is zerogpu on such a Space and here everywhere else",
        allowed=ENGINES,
    )
    zero_gpu_size: str = _setting(
        "large",
        "On a ZeroGPU Space, how much of a GPU a run borrows: large is half of one, xlarge a whole one at twice the "
        "visitor's quota",
        allowed=ZERO_GPU_SIZES,
    )
    preload: str = _setting(
        NO_METHODS,
        "On a ZeroGPU Space, the methods whose models are loaded before the page opens, by their keys with spaces or "
        "commas between; runs of these need not load them on the visitor's quota",
        allowed=PRELOADS,
    )
    compile: str = _setting(
        NO_METHODS,
        "On a ZeroGPU Space, the methods whose networks are compiled before the page opens, on a GPU borrowed for it, "
        "written as above; elsewhere `python -m pipelines compile METHOD` does so. Takes minutes, and is kept with the "
        "data where it pays",
        allowed=PRELOADS,
    )
    ray_address: str = _setting(
        RAY_HERE,
        "The Ray cluster's head, as host:port; local starts one on this machine",
        allowed=RAY_ADDRESSES,
    )
    sv3d_sense: str = _setting(
        SENSES.split(", ")[0],
        "Which way SV3D flies round the object, seen from above: taken from its authors' code, and to be turned here "
        "should its real weights show otherwise",
        allowed=SENSES,
    )

    @property
    def moves(self) -> dict[str, tuple[str, str | None]]:
        """`sources` taken apart: repository on a card to the one to use and, where given, its revision."""
        found = (_MOVE.fullmatch(move) for move in self.sources.split())
        return {move[1]: (move[3], move[4]) for move in found if move and move[3]}

    @property
    def folders(self) -> dict[str, Path]:
        """Of `sources`, too: repository on a card to the folder that is used in its place."""
        found = (_MOVE.fullmatch(move) for move in self.sources.split())
        return {move[1]: Path(move[2]).expanduser() for move in found if move and move[2]}

    @property
    def preloaded(self) -> tuple[str, ...]:
        """`preload` taken apart, each method once."""
        return _keys(self.preload)

    @property
    def compiled(self) -> tuple[str, ...]:
        return _keys(self.compile)

    @property
    def sv3d_clockwise(self) -> bool:
        return self.sv3d_sense == "clockwise"

    @property
    def results(self) -> Path:
        return self.data / "results"

    @property
    def limits(self) -> Limits:
        return Limits(max_bytes=int(self.max_upload_mb * 1e6), max_pixels=int(self.max_megapixels * 1e6))


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """All settings, or one sentence for each bad value."""
    known = {PREFIX + f.name.upper(): f for f in fields(Settings)}
    problems: list[str] = []
    values: dict[str, Any] = {}
    for name, text in environment.items():
        if not name.startswith(PREFIX):
            continue
        if name not in known:
            problems.append(f"{name} is not a setting. Known ones: {', '.join(sorted(known))}.")
            continue
        spec = known[name]
        try:
            values[spec.name] = _parse(text.strip(), spec.default, spec.metadata)
        except ValueError as problem:
            problems.append(f"{name}={text[:60]!r}: {problem}.")
    if problems:
        raise TurnaroundError("\n".join(problems))
    return Settings(**values)


def _parse(text: str, default: Any, bounds: Mapping[str, Any]) -> Any:
    if not text:
        raise ValueError("it is empty; remove it or give it a value")
    if isinstance(default, Path):
        if not _has_home(text):
            raise ValueError("there is no such user on this machine")
        folder = Path(text).expanduser()
        if os.path.exists(folder) and not os.path.isdir(folder):  # false, too, of what may not be looked at
            raise ValueError("it must be a folder, and there is a file of that name")
        return folder
    if bounds["allowed"] == MOVES:
        if text != AS_ON_THE_CARDS and not all(_MOVE.fullmatch(move) for move in text.split()):
            raise ValueError(
                "it must look like owner/name=other/name@revision or owner/name=/path/to/folder, with spaces between "
                "several"
            )
        if not all(_has_home(move.partition("=")[2]) for move in text.split()):
            raise ValueError("there is no such user on this machine")
        return text
    if bounds["allowed"] == PRELOADS:
        if not re.fullmatch(r"\w+([\s,]+\w+)*", text):
            raise ValueError("it must be none, or methods' keys with spaces or commas between, such as zero123 shap_e")
        return text
    if bounds["allowed"] == DEVICES:
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", text):
            raise ValueError("it must be auto, cpu, mps, cuda, or cuda:1 for the second GPU and so on")
        return text
    if bounds["allowed"] in (PRECISIONS, ENGINES, ZERO_GPU_SIZES, SENSES):
        if text not in bounds["allowed"].split(", "):
            raise ValueError(f"it must be one of: {bounds['allowed']}")
        return text
    if bounds["allowed"] == RAY_ADDRESSES:
        if text != RAY_HERE and not re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[\w.-]+):\d{1,5}", text):
            raise ValueError("it must be local, or a cluster's head as host:port, such as 10.0.0.1:6379")
        return text
    if isinstance(default, str):
        if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", text):
            raise ValueError("it must be an address that starts with https:// or http://")
        return text.rstrip("/") + "/"
    kind = "whole number" if isinstance(default, int) else "number"
    low, high = bounds["minimum"], bounds["maximum"]
    sentence = f"it must be a {kind} between {_plain(low)} and {_plain(high)}"
    try:
        number = type(default)(text)
    except ValueError:
        raise ValueError(sentence) from None
    if not low <= number <= high:  # false of NaN too
        raise ValueError(sentence)
    return number


def _keys(methods: str) -> tuple[str, ...]:
    return () if methods == NO_METHODS else tuple(dict.fromkeys(re.findall(r"\w+", methods)))


def _has_home(path: str) -> bool:
    """Whether the `~` that it may begin with is of somebody."""
    try:
        Path(path).expanduser()
    except RuntimeError:
        return False
    return True


def settings_table() -> str:
    """Every setting as a Markdown table."""
    rows = ["| variable | default | allowed | meaning |", "| --- | --- | --- | --- |"]
    for spec in fields(Settings):
        low, high = spec.metadata["minimum"], spec.metadata["maximum"]
        kind = "a folder" if isinstance(spec.default, Path) else spec.metadata["allowed"] or "an address"
        # Not `:g`, which writes a million as 1e+06.
        allowed = kind if low is None else f"{_plain(low)} to {_plain(high)}"
        default = _plain(spec.default) if isinstance(spec.default, float) else str(spec.default)
        rows.append(f"| `{PREFIX}{spec.name.upper()}` | `{default}` | {allowed} | {spec.metadata['help']} |")
    return "\n".join(rows) + "\n"


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)
