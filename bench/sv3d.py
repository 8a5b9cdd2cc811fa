"""What SV3D costs: `python -m bench.sv3d [--full] [--steps 50] [--rounds 3] [--tries]`.

The networks have the real shape but random numbers, drawn on the device: no checkpoint is needed. On a CPU they are a
fifth as wide, with latents of 24 pixels instead of 72, unless `--full` is given; on a GPU always full size.

First whole runs. Beside ours stands the plain loop, as its authors run it: attention across worked out by every layer
at every step, the guided video and the unguided one in one batch, all frames decoded at once. Both in one process,
taking turns, with the very same numbers, in the same precision. Seconds are the median of the rounds, peaks the highest
of them: of the GPU's memory, the tensors in it; on a CPU, the whole process. "x" is the plain loop's time over that
one's. In little memory the two videos go one after the other. PSNR is between the decoded frames. Of quick it tells
little: random numbers are no denoiser. In the small network, in bfloat16 on a CPU, quick came to 25 dB of all the steps
at 10 of them, 29 dB at 20 and 38 dB at 50, and the plain way with half of the steps to 29, 31 and 40 dB.

Then the plain loop with its weights in float32, under autocast to half precision on a GPU, as its authors have it, and
without on a CPU.

Last each way to go by itself, in a few steps beside ours, so that one that fails or takes minutes to begin costs no
other row: without the flat convolutions over time that are used; and on a GPU (elsewhere with `--tries`) what is used
where someone has asked for it, the whole UNet compiled ahead of time (`python -m pipelines compile sv3d_p`), and what
is not used so far: the UNet's channels last, one matrix for queries, keys and values, its kernels captured as one graph
(on a GPU only), its blocks compiled. What pays on a real GPU belongs into the method. On a processor with bfloat16
compiling blocks did not: transformers' took 0.8 to 0.95 of their time, residual blocks 1.05 to 1.3 times.
"""

import argparse
import math
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.inflate import drawn_subject
from bench.sv3d_ways import ALWAYS, TRIES
from bench.zero123 import Cost, timed
from tests.sv3d.tiny import FULL

SMALL = {
    "unet": {"block_out_channels": (64, 128, 256, 256), "num_attention_heads": (1, 2, 4, 4)},
    "vae": {"block_out_channels": (32, 64, 128, 128)},
    "clip": {"hidden_size": 320, "intermediate_size": 1280, "num_hidden_layers": 4, "num_attention_heads": 4},
}
GUIDANCE, ELEVATION_DEG, SEED, FEW_STEPS = 2.5, 10.0, 1, 5
ADDED = ("conv2", "proj_out", "to_out.0", "net.2", "out_proj", "fc2")  # to a residual: small, as in the tests
PLAIN, OURS, LITTLE, QUICK = "plain loop", "ours", "ours in little memory", "ours, quick"
SCRIPT = "plain loop with weights in float32"
AIM_RATIO, AIM_DB, AIM_BYTES, AIM_LITTLE_BYTES = 2.0, 45.0, 12e9, 8e9


def networks(place: Any, full: bool, kept: Path) -> tuple[Any, Any]:
    """Ours, and a UNet with the very same tensors whose layers all attend to `stock.context`, [V * T, 1, 1024]."""
    import torch
    from accelerate import init_empty_weights

    from pipelines.runtime.telling import audible
    from pipelines.runtime.tensors import filled
    from pipelines.sv3d import loading
    from pipelines.sv3d.network import RESIDUAL_EPS, equip

    no_file, chance = Path("random numbers"), torch.Generator(place.device).manual_seed(SEED)
    sizes = loading._sizes(no_file, {name: tuple(shape) for name, shape in FULL.items()}, {})
    if not full:
        changed = {name: getattr(sizes, name) | less for name, less in SMALL.items()}
        sizes = replace(sizes, **changed, latent_px=24)
    builders = loading._builders(sizes)

    def number(name: str, shape: Any, dtype: Any) -> Any:
        drawn = torch.randn(shape, generator=chance, device=place.device, dtype=dtype)
        if len(shape) < 2:
            return 1 + 0.1 * drawn if "norm" in name and name.endswith("weight") else 0.05 * drawn
        scale = 0.5 if name.removesuffix(".weight").endswith(ADDED) else 1.0
        return drawn * (scale * shape[1:].numel() ** -0.5)

    def network(part: str, dtype: Any) -> Any:
        with init_empty_weights(include_buffers=False):
            shapes = {name: value.shape for name, value in builders[part]().named_parameters()}
        drawn = ((name, lambda name=name, shape=shape: number(name, shape, dtype)) for name, shape in shapes.items())
        return audible(filled(builders[part], drawn, no_file, place.device, dtype))

    unet = network(loading.UNET, place.dtype)
    same = ((name, lambda value=value: value) for name, value in unet.state_dict().items())
    stock = filled(builders[loading.UNET], same, no_file, place.device, place.dtype)
    for name, module in stock.named_modules():
        if name.endswith(("spatial_res_block", "temporal_res_block")):
            module.norm1.eps = module.norm2.eps = RESIDUAL_EPS
        if hasattr(module, "temporal_transformer_blocks"):
            module.register_forward_pre_hook(
                lambda _, args, named: (args, named | {"encoder_hidden_states": stock.context}), with_kwargs=True
            )
    vae, clip = network(loading.VAE, torch.float32), network(loading.CLIP, place.dtype)
    return loading.Parts(equip(unet), vae, clip, sizes, place, kept), stock


def plain_loop(stock: Any, seen: Any, numbers: NDArray[np.float32], noise: Any, steps: int, dtype: Any) -> Any:
    import torch

    from pipelines.sv3d.network import predicted
    from pipelines.sv3d.sampling import guidance_of, noise_levels

    device, frames, sigmas = seen.latent.device, len(noise), noise_levels(steps).tolist()
    with torch.inference_mode():
        scale = torch.from_numpy(guidance_of(frames, GUIDANCE)).to(device, torch.float32)[:, None, None, None]
        photo = seen.latent.float().expand(frames, -1, -1, -1)
        photos = torch.stack([torch.zeros_like(photo), photo])
        contexts = torch.cat([torch.zeros_like(seen.embedding), seen.embedding]).to(dtype)
        stock.context = contexts[:, None].repeat_interleave(frames, dim=0)
        told = torch.from_numpy(numbers).to(device, dtype)
        x = noise.to(device) * math.sqrt(1 + sigmas[0] ** 2)
        for now, after in pairwise(sigmas):
            shrunk = (x / math.sqrt(now**2 + 1)).expand(2, -1, -1, -1, -1)
            videos, level = torch.cat([shrunk, photos], dim=2).to(dtype), torch.tensor(math.log(now) / 4, device=device)
            answer = predicted(stock, videos, level, stock.add_embedding(told)).float()
            without, told_photo = x / (now**2 + 1) - answer * now / math.sqrt(now**2 + 1)
            x = x + (after - now) * (x - (without + scale * (told_photo - without))) / now
    return x


def psnr_db(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    error = np.square(one.astype(np.float32) - other).mean(dtype=np.float64)
    return 10 * math.log10(255**2 / error) if error else math.inf


def in_turn(actions: dict[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, Cost], dict[str, Any]]:
    """What each cost, and what came of the last."""
    costs, results = {name: list[Cost]() for name in actions}, {}
    for _ in range(rounds):
        for name, action in actions.items():
            cost, results[name] = timed(action)
            costs[name].append(cost)

    middle = {name: sorted(each, key=lambda cost: cost.seconds)[rounds // 2] for name, each in costs.items()}
    peaks = {name: max(cost.peak_bytes for cost in each) for name, each in costs.items()}
    return {name: replace(middle[name], peak_bytes=peaks[name]) for name in actions}, results


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="turnaround-bench-") as folder:
        measure(Path(folder))


def measure(kept: Path) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="full size on a CPU too: takes hours")
    parser.add_argument("--steps", type=int, default=0, help="of whole runs; 0: 2 on a CPU, 50 on a GPU")
    parser.add_argument("--rounds", type=int, default=0, help="0: 3 on a CPU, 2 on a GPU")
    parser.add_argument("--tries", action="store_true", help="what is not used, on a CPU too")
    asked = parser.parse_args()
    import torch

    from pipelines.core.backdrop import on_backdrop
    from pipelines.runtime.residency import chosen_place
    from pipelines.sv3d.cameras import level
    from pipelines.sv3d.loading import as_the_authors_run_it
    from pipelines.sv3d.method import GPU_DECODED_AT_ONCE, PHOTO_FILL, WHITE
    from pipelines.sv3d.sampling import Sampling, as_input, camera_numbers, decoded, draw, see

    place = as_the_authors_run_it(chosen_place())
    on_gpu, device, half = place.device.type == "cuda", place.device, place.dtype
    steps, rounds = asked.steps or (50 if on_gpu else 2), asked.rounds or (2 if on_gpu else 3)
    parts, stock = networks(place, asked.full or on_gpu, kept)
    frames, px, side_px = parts.sizes.frames, parts.sizes.latent_px, parts.sizes.side_px
    print(
        f"{place.name}, {torch.get_num_threads()} threads; a UNet of {parts.unet.num_parameters() / 1e6:.0f} M; "
        f"{frames} frames of {side_px} px, {steps} steps, {rounds} rounds",
        flush=True,
    )
    chance = torch.Generator().manual_seed(SEED)
    picture = as_input(on_backdrop(drawn_subject(), side_px, PHOTO_FILL, WHITE), device)
    seen = see(parts, picture, torch.randn(picture.shape, generator=chance).to(device))
    noise, numbers = torch.randn(frames, 4, px, px, generator=chance), camera_numbers(level(ELEVATION_DEG), frames)

    def plain(count: int, dtype: Any = half) -> Any:
        return plain_loop(stock, seen, numbers, noise, count, dtype)

    def ours(at_once: int, count: int, quick: bool = False, first: Any = None) -> Any:
        how = Sampling(count, GUIDANCE, quick)
        return draw(parts, seen, numbers, noise, how, at_once, quick=first or (lambda *_: None))

    def pictures(latents: Any, at_once: int = GPU_DECODED_AT_ONCE) -> Any:
        return np.concatenate([decoded(parts, some) for some in latents.split(at_once)])

    # 1. Whole runs
    runs = {
        PLAIN: plain,
        OURS: lambda count: ours(2, count),
        LITTLE: lambda count: ours(1, count),
        QUICK: lambda count: ours(2, count, quick=True),
    }
    for run in runs.values():
        run(1)  # warm
    drawing, latents = in_turn({name: lambda run=run: run(steps) for name, run in runs.items()}, rounds)
    for name, cost in drawing.items():
        print(f"steps, {name}: {cost}; {drawing[PLAIN].seconds / cost.seconds:.2f} x", flush=True)

    together = dict.fromkeys(runs, GPU_DECODED_AT_ONCE) | {PLAIN: frames, LITTLE: 1}
    try:
        pictures(latents[PLAIN], frames)  # warm
    except torch.OutOfMemoryError:
        together[PLAIN] = 1
        print(f"There is no room to decode {frames} frames at once: the plain loop's go one by one", flush=True)
    decoding, shown = in_turn(
        {name: lambda name=name: pictures(latents[name], together[name]) for name in runs}, rounds
    )
    alike = {name: psnr_db(shown[PLAIN], shown[name]) for name in runs}
    for name, cost in decoding.items():
        print(f"decoding, {name}, {together[name]} at once: {cost}; PSNR to the {PLAIN}'s {alike[name]:.1f} dB")
    whole_s = {name: drawing[name].seconds + decoding[name].seconds for name in runs}
    peak, least = (max(c[name].peak_bytes for c in (drawing, decoding)) / 1e9 for name in (OURS, LITTLE))
    print(
        f"aims{'' if on_gpu else ', of a GPU'}: {AIM_RATIO:g} x, here {whole_s[PLAIN] / whole_s[OURS]:.2f}; PSNR over "
        f"{AIM_DB:g} dB, here {alike[OURS]:.1f}; peak under {AIM_BYTES / 1e9:g} GB, here {peak:.2f}; in little memory "
        f"under {AIM_LITTLE_BYTES / 1e9:g} GB, here {least:.2f}",
        flush=True,
    )

    # 2. The authors' precision: the other network's changes, and it is not needed any more
    if half != torch.float32:
        stock.float()
        with torch.autocast("cuda", torch.float16, enabled=on_gpu):
            plain(1, torch.float32)  # warm
            cost, latent = timed(lambda: plain(steps, torch.float32))
        gain, db = cost.seconds / drawing[OURS].seconds, psnr_db(pictures(latent, 1), shown[OURS])
        print(f"steps, {SCRIPT}: {cost}; ours {gain:.2f} x, PSNR to its pictures {db:.1f} dB", flush=True)
    stock.to("meta")

    # 3. Ways to go, each with ours before and after it
    ways = ALWAYS | (TRIES if asked.tries or on_gpu else {})
    few = min(steps, FEW_STEPS)
    for name, way in ways.items():
        try:
            usual = [timed(lambda: ours(2, few)) for _ in range(rounds)]
            with way(parts) as first:
                ours(2, 1, first=first)  # warm
                other = [timed(lambda first=first: ours(2, few, first=first)) for _ in range(rounds)]
            del first  # with what it keeps on the device
            usual += [timed(lambda: ours(2, few)) for _ in range(rounds)]
        except Exception as problem:  # the others have rows all the same
            print(f"{few} steps with {name}: {type(problem).__name__}: {str(problem)[:400]}", flush=True)
            continue
        gain, peak = middle_s(usual) / middle_s(other), max(cost.peak_bytes for cost, _ in other) / 1e9
        db = psnr_db(pictures(usual[0][1]), pictures(other[0][1]))
        print(
            f"{few} steps with {name}: {middle_s(other):.2f} s; as fast as ours {gain:.2f} x; peak {peak:.2f} GB; "
            f"PSNR {db:.1f} dB",
            flush=True,
        )


def middle_s(runs: list[tuple[Cost, Any]]) -> float:
    return statistics.median(cost.seconds for cost, _ in runs)


if __name__ == "__main__":
    main()
