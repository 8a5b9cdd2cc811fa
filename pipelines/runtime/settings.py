"""Every setting of ours, read from the environment in this one place. The README's table is made from `FIELDS`.

Gradio's own variables (GRADIO_SERVER_NAME, GRADIO_SERVER_PORT, GRADIO_ROOT_PATH, ...) are honoured by Gradio itself.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pipelines.core.errors import TurnaroundError

PREFIX = "TURNAROUND_"


def _setting(default: Any, help: str, minimum: float | None = None, maximum: float | None = None) -> Any:
    return field(default=default, metadata={"help": help, "minimum": minimum, "maximum": maximum})


@dataclass(frozen=True, slots=True)
class Settings:
    """The variable of a field is its name in capitals behind `TURNAROUND_`."""

    data: Path = _setting(Path("data"), "Folder for results, and for models that the removers fetch")
    max_upload_mb: float = _setting(25.0, "Largest photo file accepted, in MB", 0.1, 500)
    max_megapixels: float = _setting(50.0, "Largest photo accepted, in million pixels, before decoding", 0.1, 200)
    keep_days: float = _setting(30.0, "Results older than this many days are deleted; 0 keeps them for ever", 0, 36500)
    keep_gb: float = _setting(5.0, "When results take more than this, the oldest leave; 0 sets no limit", 0, 100_000)
    free_disk_mb: float = _setting(200.0, "New runs are refused while the disk has less free space than this", 0, 1e6)
    temp_hours: float = _setting(1.0, "Uploads and previews left in the temporary folder go after this time", 0.01, 720)
    max_queue: int = _setting(20, "Runs that may wait at once; further visitors are asked to come back", 1, 1000)
    max_queue_per_visitor: int = _setting(3, "Runs one visitor may have waiting or running at once", 1, 1000)
    drain_s: float = _setting(10.0, "After SIGTERM, running work gets this many seconds to finish", 0, 600)
    rembg_url: str = _setting(
        "https://github.com/danielgatis/rembg/releases/download/v0.0.0/",
        "Where rembg's models are fetched from; a mirror inside a lab, for instance",
    )

    @property
    def results(self) -> Path:
        return self.data / "results"


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
        return Path(text).expanduser()
    if isinstance(default, str):
        return text
    kind = "whole number" if isinstance(default, int) else "number"
    try:
        number = type(default)(text)
    except ValueError:
        raise ValueError(f"it must be a {kind}") from None
    if not bounds["minimum"] <= number <= bounds["maximum"]:
        raise ValueError(f"it must be a {kind} between {bounds['minimum']:g} and {bounds['maximum']:g}")
    return number
