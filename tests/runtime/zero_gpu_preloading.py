"""A process that takes itself for a ZeroGPU Space's main one, with the package's own torch of pretence.

It preloads the methods that it is told, packs them as the package does when the page is launched, and says what came of
it.

    python -m tests.runtime.zero_gpu_preloading WEIGHTS KEY...
"""

import json
import os
import sys
from pathlib import Path

import torch

from pipelines.registry import METHODS
from pipelines.runtime.engine import open_engine
from pipelines.runtime.register import REGISTER
from pipelines.runtime.settings import read_settings


def main(weights: Path, keys: list[str]) -> None:
    os.environ.update(
        SPACES_ZERO_GPU="true",
        SPACES_ZERO_DEVICE_API_URL="http://127.0.0.1:9/",
        TURNAROUND_WEIGHTS=str(weights),
        TURNAROUND_DATA=str(weights / "data"),
        TURNAROUND_PRELOAD=" ".join(keys),
    )
    # What tells the package that this torch could use a GPU, if there were one
    torch.version.cuda = "12.8"  # type: ignore[assignment]
    torch._C._cuda_init = lambda: None  # type: ignore[attr-defined]
    torch.cuda._is_in_bad_fork = bool  # type: ignore[attr-defined]
    engine = open_engine(read_settings(), METHODS)
    from spaces.zero import torch as pretended

    devices = {str(model.place.device) for model in REGISTER.models()}
    packed_bytes = pretended.pack()
    preloaded = engine.machine(weights).loaded
    print(json.dumps({"preloaded": preloaded, "devices": [*devices], "packed_bytes": packed_bytes}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
