"""What the Zero-1-to-3 family costs: `python -m bench.zero123 [--full] [--views 21] [--steps 4]`.

The networks have the real shape but random numbers: their time and memory are the same as with trained ones. On a CPU
they are a fifth as wide and half as deep, unless `--full` is given; on a GPU always full size. On a CPU few steps run,
since every step takes the same; so encoding and decoding weigh more than they would in 50.

Beside ours stands what a user would write with diffusers' parts: a loop over views, each of which encodes the photo,
denoises by itself with guidance, and is decoded. Both in one process, from the same files, one after the other. The
loop keeps to float32 on a CPU, as it would be written; ours works in what the processor is good at, unless
TURNAROUND_PRECISION says float32.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.inflate import drawn_subject
from pipelines.core.backdrop import on_backdrop
from pipelines.core.cameras import View, orbit
from pipelines.runtime.devices import PeakMemory
from pipelines.runtime.method import Method, Report, Request
from pipelines.runtime.residency import chosen_place, forget_idle
from pipelines.zero123 import Zero123XL
from pipelines.zero123.cameras import PHOTO_FILL, zero123_camera
from pipelines.zero123.sources import ZERO123_XL

FULL = {"unet": (320, 640, 1280, 1280), "vae": (128, 256, 512, 512), "clip": (1024, 24, 16), "layers": 2}
SMALL = {"unet": (64, 128, 256, 256), "vae": (32, 64, 128, 128), "clip": (256, 6, 4), "layers": 1}
GUIDANCE, ETA = 3.0, 1.0
AIM_SHARE, AIM_BYTES = 0.5, 8e9


def configs(size: dict[str, Any]) -> dict[str, dict[str, Any]]:
    width, layers, heads = size["clip"]
    return {
        "unet": {
            "sample_size": 32,
            "in_channels": 8,
            "out_channels": 4,
            "block_out_channels": size["unet"],
            "layers_per_block": size["layers"],
            "cross_attention_dim": 768,
            "attention_head_dim": 8,
        },
        "vae": {
            "down_block_types": ["DownEncoderBlock2D"] * 4,
            "up_block_types": ["UpDecoderBlock2D"] * 4,
            "block_out_channels": size["vae"],
            "layers_per_block": size["layers"],
            "sample_size": 256,
        },
        "image_encoder": {
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "patch_size": 14,
            "projection_dim": 768,
        },
        "clip_camera_projection": {},
    }


def write(folder: Path, size: dict[str, Any]) -> int:
    """A repository in float16, as the first source has it; returns its size."""
    import torch
    from accelerate import init_empty_weights
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from safetensors.torch import save_file
    from torch import nn
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    chosen = configs(size)
    for name, config in chosen.items():
        with init_empty_weights(include_buffers=False):
            if name == "unet":
                module: Any = UNet2DConditionModel.from_config(config)
            elif name == "vae":
                module = AutoencoderKL.from_config(config)
            elif name == "image_encoder":
                module = CLIPVisionModelWithProjection(CLIPVisionConfig(**config))
            else:
                module = nn.ModuleDict({"proj": nn.Linear(772, 768)})
        tensors = {}
        for key, empty in module.named_parameters():
            scale = 1.0 if empty.ndim == 1 else empty[0].numel() ** -0.5
            tensors[key] = (torch.randn(empty.shape) * scale).half()
        stem = "model" if name == "image_encoder" else "diffusion_pytorch_model"
        (folder / name).mkdir(parents=True)
        save_file(tensors, folder / name / f"{stem}.safetensors", metadata={"format": "pt"})
        (folder / name / "config.json").write_text(json.dumps(config))
    (folder / "scheduler").mkdir()
    scheduler = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    return sum(file.stat().st_size for file in folder.rglob("*.safetensors"))


def on_disk_only(folder: Path) -> None:
    """What the system keeps of the weights in memory is let go, where it can be told to."""
    for file in folder.rglob("*.safetensors"):
        with file.open("rb") as opened, suppress(AttributeError):
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def loading_of(method: Method, folder: Path) -> tuple[float, float]:
    """Seconds that its model takes to come from the disk, and that reading its weights once from there takes."""
    method.warm(Report())  # what is imported is imported once
    forget_idle()
    on_disk_only(folder)
    reading_s = read_once(folder)
    on_disk_only(folder)
    loading, _ = timed(lambda: method.warm(Report()))
    return loading.seconds, reading_s


def read_once(folder: Path) -> float:
    """Seconds to read every byte of the weights."""
    start, buffer = time.perf_counter(), bytearray(1 << 24)
    for file in folder.rglob("*.safetensors"):
        with file.open("rb", buffering=0) as opened:
            while opened.readinto(buffer):
                pass
    return time.perf_counter() - start


def plain_loop(folder: Path, rgb: NDArray[np.uint8], steps: int) -> Callable[[tuple[View, ...]], dict[str, float]]:
    """One view after the other, with diffusers' own loading, as a user would write it; tells the seconds by stage."""
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from safetensors.torch import load_file
    from transformers import CLIPVisionModelWithProjection

    on_gpu = torch.cuda.is_available()
    device, dtype = ("cuda", torch.float16) if on_gpu else ("cpu", torch.float32)
    unet: Any = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", torch_dtype=dtype)
    vae: Any = AutoencoderKL.from_pretrained(folder, subfolder="vae", torch_dtype=dtype)
    clip: Any = CLIPVisionModelWithProjection.from_pretrained(folder, subfolder="image_encoder", dtype=dtype)
    for part in (unet, vae, clip):
        part.to(device)
    scheduler: Any = DDIMScheduler.from_pretrained(folder, subfolder="scheduler", clip_sample=False, steps_offset=1)
    camera = torch.nn.Linear(772, 768)
    file = folder / "clip_camera_projection" / "diffusion_pytorch_model.safetensors"
    camera.load_state_dict({key.removeprefix("proj."): value for key, value in load_file(file).items()})
    camera.to(device, dtype)

    @torch.inference_mode()
    def run(views: tuple[View, ...]) -> dict[str, float]:
        report, pictures = Report(), []
        for view in views:
            with report.stage("encode"):
                condition, tokens = encode(view)
            with report.stage("denoise"):
                latents = denoise(condition, tokens)
            with report.stage("decode"):
                decoded = vae.decode(latents / vae.config.scaling_factor).sample
                pictures.append(((decoded[0] + 1) * 127.5).clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy())
        return report.stage_seconds

    def encode(view: View) -> tuple[Any, Any]:
        picture = torch.from_numpy(rgb).to(device).permute(2, 0, 1)[None].to(dtype) / 127.5 - 1
        embedding = clip(torch.nn.functional.interpolate(picture, (224, 224), mode="bicubic")).image_embeds
        condition = vae.encode(picture).latent_dist.mode()
        pose = torch.tensor([zero123_camera(view, 0).pose], device=device, dtype=dtype)
        token = camera(torch.cat([embedding, pose], dim=1))[:, None]
        return torch.cat([torch.zeros_like(condition), condition]), torch.cat([torch.zeros_like(token), token])

    def denoise(beside: Any, tokens: Any) -> Any:
        scheduler.set_timesteps(steps)
        latents = torch.randn((1, 4, 32, 32), device=device, dtype=dtype)
        for t in scheduler.timesteps:
            shown = torch.cat([latents.repeat(2, 1, 1, 1), beside], dim=1)
            without, told = unet(shown, t, encoder_hidden_states=tokens).sample.chunk(2)
            guess = without + GUIDANCE * (told - without)
            latents = scheduler.step(guess, t, latents, eta=ETA).prev_sample
        return latents.cpu().to(device)  # waits for it, so that stages are told apart

    return run


@dataclass(frozen=True, slots=True)
class Cost:
    seconds: float
    core_seconds: float
    """Of all cores together: on a busy machine the only figure that compares."""
    peak_bytes: int

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s, {self.core_seconds:.2f} core seconds, peak {self.peak_bytes / 1e9:.2f} GB"


def timed(action: Callable[[], Any]) -> tuple[Cost, Any]:
    """What the action cost, and what came of it."""
    import torch

    on_gpu = torch.cuda.is_available()
    memory, start, cores = PeakMemory(), time.perf_counter(), time.process_time()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    result = action()
    if on_gpu:
        torch.cuda.synchronize()
    seconds, core_seconds = time.perf_counter() - start, time.process_time() - cores
    return Cost(seconds, core_seconds, torch.cuda.max_memory_allocated() if on_gpu else memory.bytes()), result


def by_stage(stages: dict[str, float]) -> str:
    return ", ".join(f"{name} {seconds:.2f}" for name, seconds in stages.items() if seconds >= 0.005)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="full size on a CPU too")
    parser.add_argument("--views", type=int, default=0, help="of an orbit; 0: 8 on a CPU, 21 on a GPU")
    parser.add_argument("--steps", type=int, default=0, help="0: 4 on a CPU, 50 on a GPU")
    asked = parser.parse_args()

    import torch

    on_gpu = torch.cuda.is_available()
    full, steps, views = (
        asked.full or on_gpu,
        asked.steps or (50 if on_gpu else 4),
        asked.views or (21 if on_gpu else 8),
    )
    subject, method, place = drawn_subject(), Zero123XL(), chosen_place()
    options = method.Options(steps=steps, guidance=GUIDANCE, eta=ETA)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TURNAROUND_WEIGHTS"] = folder
        repository = Path(folder) / ZERO123_XL.first.repository
        size_bytes = write(repository, FULL if full else SMALL)
        print(
            f"{place.name}, {torch.get_num_threads()} threads; {'full' if full else 'small'} networks, "
            f"{size_bytes / 1e6:.0f} MB of files; {steps} steps, guidance {GUIDANCE:g}, 256 px",
            flush=True,
        )

        def ours(*asked_views: View) -> Any:
            return method(Request(subject, asked_views, seed=1, options=options, size_px=256), Report())

        loading_s, reading_s = loading_of(method, repository)
        ours(View(0))  # warm
        one, made = timed(lambda: ours(View(30, 10)))
        print(f"ours: one view {one} ({by_stage(made.stage_seconds)})", flush=True)
        many, made = timed(lambda: ours(*orbit(views, 10)))
        print(f"ours: {views} views {many} ({by_stage(made.stage_seconds)}); aim {AIM_BYTES / 1e9:g} GB", flush=True)

        forget_idle()
        on_disk_only(repository)
        plain_loading, loop = timed(lambda: plain_loop(repository, on_backdrop(subject, 256, PHOTO_FILL, 255), steps))
        loop((View(0),))  # warm
        plain_one, _ = timed(lambda: loop((View(30, 10),)))
        print(f"plain loop: one view {plain_one}", flush=True)
        plain, stages = timed(lambda: loop(orbit(views, 10)))
        print(f"plain loop: {views} views {plain} ({by_stage(stages)})")
        print(
            f"our orbit takes {many.seconds / plain.seconds:.2f} of the loop's time and "
            f"{many.core_seconds / plain.core_seconds:.2f} of its core seconds (aim on a GPU: {AIM_SHARE})"
        )
        print(
            f"loading from the disk: ours {loading_s:.2f} s, diffusers' {plain_loading.seconds:.2f} s, "
            f"reading the files once {reading_s:.2f} s"
        )


if __name__ == "__main__":
    main()
