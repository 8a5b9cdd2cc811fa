"""What Shap-E costs: `python -m bench.shap_e [--full] [--steps 6]`.

All networks have the real shape, those that see and think random numbers; on a CPU they are half as wide and half as
deep, unless `--full` is given. The object is always the tests' ball, since random numbers make none. Beside ours, in
one process and from the same files, stands diffusers' own pipeline as far as its latent: what it does then is not to be
had without the real tables. It keeps to float32 on a CPU, as it would be written; ours works in what the processor is
good at, unless TURNAROUND_PRECISION says float32.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.inflate import drawn_subject
from bench.zero123 import by_stage, loading_of, on_disk_only, timed
from pipelines.core.backdrop import on_backdrop
from pipelines.core.cameras import orbit
from pipelines.runtime.method import Report, Request
from pipelines.shap_e import ShapE
from pipelines.shap_e.method import PHOTO_FILL, WHITE, Options
from pipelines.shap_e.sources import REPOSITORY
from tests.shap_e import tiny

SMALL = tiny.Size(width=512, hidden=128, heads=4, layers=12, clip_heads=8, clip_layers=12, patch_px=14)
GUIDANCE, VIEWS, SIZE_PX = 3.0, 8, 256


def plain_pipeline(folder: Path, picture: Any, steps: int) -> Callable[[], Any]:
    """diffusers' own, loaded part by part, since as a whole its loading fails (specs/hub.md, 4)."""
    import torch
    from diffusers.models.transformers.prior_transformer import PriorTransformer
    from diffusers.pipelines.shap_e.pipeline_shap_e_img2img import ShapEImg2ImgPipeline
    from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler
    from transformers import CLIPVisionModel

    device, dtype = ("cuda", torch.float16) if torch.cuda.is_available() else ("cpu", torch.float32)
    make: Any = ShapEImg2ImgPipeline
    encoder: Any = CLIPVisionModel.from_pretrained(folder / "image_encoder", variant="fp16", dtype=dtype)
    pipeline = make(
        prior=PriorTransformer.from_pretrained(folder / "prior", variant="fp16", torch_dtype=dtype),
        image_encoder=encoder,
        image_processor=None,  # the picture is given as it makes it
        scheduler=HeunDiscreteScheduler.from_pretrained(folder / "scheduler"),
        shap_e_renderer=None,
    ).to(device)
    pipeline.set_progress_bar_config(disable=True)
    seen = (torch.from_numpy(picture).permute(2, 0, 1)[None] / 127.5 - 1).to(device, dtype)

    def run() -> Any:
        return pipeline(seen, num_inference_steps=steps, guidance_scale=GUIDANCE, output_type="latent").images.cpu()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="full size on a CPU too")
    parser.add_argument("--steps", type=int, default=0, help="0: 6 on a CPU, 64 on a GPU")
    asked = parser.parse_args()

    import torch

    from pipelines.runtime.residency import chosen_place, forget_idle

    on_gpu = torch.cuda.is_available()
    full, steps = asked.full or on_gpu, asked.steps or (64 if on_gpu else 6)
    subject, method, place = drawn_subject(), ShapE(), chosen_place()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TURNAROUND_WEIGHTS"] = folder
        repository = Path(folder) / REPOSITORY
        tiny.write_repository(repository, size=tiny.FULL if full else SMALL)
        print(f"{place.name}, {torch.get_num_threads()} threads; {'full' if full else 'small'} networks, {steps} steps")

        def ours(count: int, steps: int) -> Any:
            options = Options(steps=steps, guidance=GUIDANCE)
            return method(Request(subject, orbit(count, 10), seed=1, options=options, size_px=SIZE_PX), Report())

        loading_s, reading_s = loading_of(method, repository)
        ours(1, 4)  # warm
        whole, made = timed(lambda: ours(VIEWS, steps))
        stages = made.stage_seconds
        print(f"ours: mesh and {VIEWS} views of {SIZE_PX} px {whole} ({by_stage(stages)})", flush=True)
        forget_idle()
        on_disk_only(repository)
        picture = on_backdrop(subject, 224, PHOTO_FILL, WHITE)
        plain_loading, pipeline = timed(lambda: plain_pipeline(repository, picture, steps))
        pipeline()  # warm
        plain, _ = timed(pipeline)
        print(f"diffusers' pipeline: as far as the latent {plain}")
        share = (stages["encode"] + stages["denoise"]) / plain.seconds
        print(f"as far as the latent, ours takes {share:.2f} of its time, with glimpses of the object on the way")
        print(
            f"loading from the disk: ours {loading_s:.2f} s, diffusers' {plain_loading.seconds:.2f} s, "
            f"reading the files once {reading_s:.2f} s"
        )


if __name__ == "__main__":
    main()
