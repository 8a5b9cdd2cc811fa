"""What networks of full size take of a GPU's memory: `python -m bench.gpu_memory [--views 21]`. Needs no GPU.

On a pretended one (`tests/pretended_gpu.py`) nothing is worked out, but every tensor that would be there is counted, as
torch counts them (`max_memory_allocated`). What CUDA's libraries take beside, as workspaces, is not seen: some hundred
MB. Attention counts as torch's fast kernels, which keep nothing of the size of tokens times tokens.

Zero-1-to-3 runs whole, from files; of SV3D, its networks as the method uses them, beside the plain loop's way of
decoding all frames at once. What looks at numbers to decide, as Zero123++'s scheduler does, cannot run so.
"""

import argparse
import gc
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import zero123
from bench.inflate import drawn_subject
from pipelines.core.cameras import View, orbit
from pipelines.registry import find_method
from pipelines.runtime.devices import this_machine
from pipelines.runtime.method import Report, Request, options_from
from pipelines.runtime.residency import forget_idle
from pipelines.zero123.sources import ZERO123_XL
from tests.pretended_gpu import GB, Gpu, pretended_gpu

AIMS_GB = {"zero123_xl, 1 views": 8, "ours": 12, "in little memory": 8}


def peak_of(gpu: Gpu, name: str, action: Callable[[], Any], said: str = "") -> Any:
    gc.collect()
    gpu.peak_bytes = gpu.used_bytes
    made = action()
    aim = next((f"; aim {aim} GB" for key, aim in AIMS_GB.items() if key in name), "")
    print(f"{name}: {gpu.peak_bytes / GB:.2f} GB{said}{aim}", flush=True)
    return made


def zero123_xl(views: tuple[View, ...]) -> None:
    """Few steps, since each takes the same."""
    method = find_method("zero123_xl")
    options = options_from(method.Options, {"steps": 10})
    request = Request(drawn_subject(), views, seed=1, options=options, size_px=256)
    machine = replace(
        this_machine(Path()), device="cuda", gpu="A GPU", gpu_memory_bytes=80 * GB, number_bytes=2, pace={}
    )
    said = f"; the method says {method.estimate(request, machine).memory_bytes / GB:.2f}"
    with pretended_gpu(numbers=False) as gpu:
        peak_of(gpu, f"zero123_xl, {len(views)} views", lambda: method(request, Report()), said)
        forget_idle()


def sv3d() -> dict[str, int]:
    """What each part of a run takes at most, in bytes."""
    import torch
    from accelerate import init_empty_weights

    from pipelines.runtime.places import Place
    from pipelines.runtime.tensors import filled
    from pipelines.sv3d import loading
    from pipelines.sv3d.cameras import level
    from pipelines.sv3d.method import GPU_DECODED_AT_ONCE
    from pipelines.sv3d.network import equip
    from pipelines.sv3d.sampling import Sampling, as_input, camera_numbers, decoded, draw, see
    from tests.sv3d.tiny import FULL

    no_file, half, full = Path("none"), torch.float16, torch.float32
    with pretended_gpu(numbers=False) as gpu:
        sizes = loading._sizes(no_file, {name: tuple(shape) for name, shape in FULL.items()}, {})
        builders = loading._builders(sizes)

        def network(part: str, dtype: Any) -> Any:
            with init_empty_weights(include_buffers=False):
                shapes = {name: value.shape for name, value in builders[part]().named_parameters()}
            empty = ((name, lambda shape=shape: torch.empty(shape, dtype=dtype)) for name, shape in shapes.items())
            return filled(builders[part], empty, no_file, gpu.device, dtype)

        unet, vae, clip = network(loading.UNET, half), network(loading.VAE, full), network(loading.CLIP, half)
        parts = loading.Parts(
            equip(unet), vae, clip, sizes, Place(gpu.device, half, "A pretended GPU, float16"), no_file
        )
        gc.collect()
        frames, side_px, px = sizes.frames, sizes.side_px, sizes.latent_px
        print(f"sv3d, its networks: {gpu.used_bytes / GB:.2f} GB")
        picture = as_input(np.zeros((side_px, side_px, 3), np.uint8), gpu.device)
        seen = peak_of(gpu, "sv3d, the photo seen", lambda: see(parts, picture, torch.zeros_like(picture)))
        noise, numbers = torch.zeros(frames, 4, px, px), camera_numbers(level(10), frames)
        latents = noise
        peaks = dict[str, int]()
        for name, videos in (("ours", 2), ("in little memory", 1)):
            latents = peak_of(
                gpu,
                part := f"sv3d {name}, drawn",
                lambda videos=videos: draw(parts, seen, numbers, noise, Sampling(steps=1), videos),
            )
            peaks[part] = gpu.peak_bytes
        for name, together in (("ours", GPU_DECODED_AT_ONCE), ("in little memory", 1), ("as the plain loop", frames)):
            peak_of(
                gpu,
                part := f"sv3d {name}, {together} frames decoded at once",
                lambda together=together: [decoded(parts, some) for some in latents.split(together)],
            )
            peaks[part] = gpu.peak_bytes
    return peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--views", type=int, default=21)
    asked = parser.parse_args()
    os.environ["TURNAROUND_DEVICE"] = "cuda"
    sv3d()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TURNAROUND_WEIGHTS"] = folder
        zero123.write(Path(folder) / ZERO123_XL.first.repository, zero123.FULL)
        for views in (1, asked.views, 4 * asked.views):
            zero123_xl(orbit(views, 10))


if __name__ == "__main__":
    main()
