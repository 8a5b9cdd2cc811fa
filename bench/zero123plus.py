"""What Zero123++ costs: `python -m bench.zero123plus [--full] [--steps 3]`.

The networks have the real shape and random numbers; on a CPU they are a tenth as wide, unless `--full` is given. On a
CPU few steps run, since every step takes the same; so encoding and decoding weigh more than they would in 36.

Beside ours, in one process and from the same files, stands the loop that the authors' own pipeline comes to with
diffusers' parts and attention: noise the photo, run the UNet to collect what its self-attention sees, run it again. It
keeps to float32 on a CPU, as it would be written; ours works in what the processor is good at, unless
TURNAROUND_PRECISION says float32.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.inflate import drawn_subject
from bench.zero123 import AIM_BYTES, by_stage, loading_of, on_disk_only, timed
from pipelines.core.backdrop import on_backdrop
from pipelines.core.cameras import View
from pipelines.runtime.method import Report, Request
from pipelines.zero123plus import Zero123Plus
from pipelines.zero123plus.grid import GREY, PHOTO_FILL, unscaled_latents
from pipelines.zero123plus.method import Options
from pipelines.zero123plus.sources import WEIGHTS
from tests.zero123plus import tiny

FULL = {"unet": (320, 640, 1280, 1280), "vae": (128, 256, 512, 512), "layers": 2, "width": 1024, "clip": (1280, 32, 16)}
SMALL = {"unet": (32, 64, 128, 128), "vae": (16, 32, 64, 64), "layers": 1, "width": 128, "clip": (128, 4, 4)}
GUIDANCE = 4.0


def write(folder: Path, size: dict[str, Any]) -> None:
    """Everything but the empty prompt's network is of this size; that one sees 77 tokens once."""
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

    tiny.write_version(folder, seed=0, safe=True)  # small files; its networks are written over
    width, layers, heads = size["clip"]
    torch.manual_seed(0)
    networks: dict[str, Any] = {
        "unet": UNet2DConditionModel.from_config(
            {
                "sample_size": 96,
                "block_out_channels": size["unet"],
                "layers_per_block": size["layers"],
                "attention_head_dim": [channels // 16 for channels in size["unet"]]
                if size is SMALL
                else [5, 10, 20, 20],
                "cross_attention_dim": size["width"],
                "use_linear_projection": True,
            }
        ),
        "vae": AutoencoderKL.from_config(
            {
                "down_block_types": ["DownEncoderBlock2D"] * 4,
                "up_block_types": ["UpDecoderBlock2D"] * 4,
                "block_out_channels": size["vae"],
                "layers_per_block": size["layers"],
                "norm_num_groups": 16,
                "sample_size": 768,
            }
        ),
        "vision_encoder": CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=width,
                intermediate_size=4 * width,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                patch_size=14,
                projection_dim=size["width"],
            )
        ),
        "text_encoder": CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tiny.VOCABULARY),
                hidden_size=size["width"],
                intermediate_size=size["width"],
                num_hidden_layers=1,
                num_attention_heads=8,
                bos_token_id=tiny.VOCABULARY["<|startoftext|>"],
                eos_token_id=tiny.VOCABULARY["<|endoftext|>"],
            )
        ),
    }
    for name, network in networks.items():
        network.half().save_pretrained(folder / name)


class Remembering:
    """diffusers' own attention, which keeps what the photo's pass saw and looks at it in the views' pass."""

    def __init__(self, name: str, kept: dict[str, Any]) -> None:
        from diffusers.models.attention_processor import AttnProcessor2_0

        self.name, self.kept, self.plain = name, kept, AttnProcessor2_0()

    def __call__(self, attn: Any, hidden_states: Any, encoder_hidden_states: Any = None, **others: Any) -> Any:
        import torch

        if encoder_hidden_states is None and "attn1" in self.name:
            if self.name in self.kept:
                encoder_hidden_states = torch.cat([hidden_states, self.kept.pop(self.name)], dim=1)
            else:
                self.kept[self.name] = encoder_hidden_states = hidden_states
        return self.plain(attn, hidden_states, encoder_hidden_states, **others)


def plain_loop(folder: Path, picture: Any, steps: int) -> Callable[[], Any]:
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from diffusers.schedulers.scheduling_euler_ancestral_discrete import EulerAncestralDiscreteScheduler
    from transformers import CLIPVisionModelWithProjection

    device, dtype = ("cuda", torch.float16) if torch.cuda.is_available() else ("cpu", torch.float32)
    unet: Any = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", torch_dtype=dtype)
    vae: Any = AutoencoderKL.from_pretrained(folder, subfolder="vae", torch_dtype=dtype)
    clip: Any = CLIPVisionModelWithProjection.from_pretrained(folder, subfolder="vision_encoder", dtype=dtype)
    for part in (unet, vae, clip):
        part.to(device)
    scheduler: Any = EulerAncestralDiscreteScheduler.from_pretrained(
        folder, subfolder="scheduler", timestep_spacing="trailing"
    )
    kept: dict[str, Any] = {}
    unet.set_attn_processor({name: Remembering(name, kept) for name in unet.attn_processors})

    @torch.inference_mode()
    def run() -> Any:
        rgb = torch.from_numpy(picture).to(device, dtype).permute(2, 0, 1)[None] / 127.5 - 1
        embedding = clip(torch.nn.functional.interpolate(rgb, (224, 224), mode="bicubic")).image_embeds
        photo = torch.cat([vae.encode(either).latent_dist.sample() for either in (torch.zeros_like(rgb), rgb)])
        prompt = torch.cat([torch.zeros_like(embedding), embedding])[:, None].expand(-1, 77, -1)
        scheduler.set_timesteps(steps)
        latents = torch.randn((1, 4, 120, 80), device=device, dtype=dtype) * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            noisy = scheduler.add_noise(photo, torch.randn_like(photo), t[None])
            unet(scheduler.scale_model_input(noisy, t), t, encoder_hidden_states=prompt)
            both = scheduler.scale_model_input(latents.repeat(2, 1, 1, 1), t)
            without, told = unet(both, t, encoder_hidden_states=prompt).sample.chunk(2)
            latents = scheduler.step(without + GUIDANCE * (told - without), t, latents).prev_sample
        return vae.decode(unscaled_latents(latents) / vae.config.scaling_factor).sample.cpu()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="full size on a CPU too")
    parser.add_argument("--steps", type=int, default=0, help="0: 3 on a CPU, 36 on a GPU")
    asked = parser.parse_args()

    import torch

    from pipelines.runtime.residency import chosen_place, forget_idle

    on_gpu = torch.cuda.is_available()
    full, steps = asked.full or on_gpu, asked.steps or (36 if on_gpu else 3)
    subject, method, place = drawn_subject(), Zero123Plus(), chosen_place()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TURNAROUND_WEIGHTS"] = folder
        repository = Path(folder) / WEIGHTS["v1.2"].first.repository
        write(repository, FULL if full else SMALL)
        print(
            f"{place.name}, {torch.get_num_threads()} threads; {'full' if full else 'small'} networks, {steps} steps",
            flush=True,
        )

        def ours(steps: int) -> Any:
            options = Options(steps=steps, guidance=GUIDANCE)
            return method(Request(subject, (View(),), seed=1, options=options, size_px=320), Report())

        loading_s, reading_s = loading_of(method, repository)
        ours(1)  # warm
        cost, made = timed(lambda: ours(steps))
        print(f"ours: six views {cost} ({by_stage(made.stage_seconds)}); aim {AIM_BYTES / 1e9:g} GB", flush=True)
        forget_idle()
        on_disk_only(repository)
        picture = on_backdrop(subject, 512, PHOTO_FILL, GREY)
        plain_loading, loop = timed(lambda: plain_loop(repository, picture, steps))
        plain, _ = timed(loop)
        print(f"plain loop: six views {plain}")
        print(
            f"ours takes {cost.seconds / plain.seconds:.2f} of the loop's time and "
            f"{cost.core_seconds / plain.core_seconds:.2f} of its core seconds"
        )
        print(
            f"loading from the disk: ours {loading_s:.2f} s, diffusers' {plain_loading.seconds:.2f} s, "
            f"reading the files once {reading_s:.2f} s"
        )


if __name__ == "__main__":
    main()
