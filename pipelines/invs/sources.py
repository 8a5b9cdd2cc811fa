"""Where the weights are (specs/hub.md): no checkpoint of the authors' own was published.

So a stock inpainter stands in its place, named as such; one that was fine-tuned for the task goes into the folder of
weights kept by hand, or is named by TURNAROUND_SOURCES.
"""

from pipelines.runtime.weights import Source, WeightFile, Weights

OPENRAIL = "CreativeML OpenRAIL-M (uses that harm are excluded)"
OPENRAIL_PLUS = "CreativeML OpenRAIL++-M (uses that harm are excluded)"
MIT, APACHE = "MIT", "Apache-2.0"
FINE_TUNED, TASK = "turnaround_task", "invs"
"""What our training says of a UNet, in its configuration."""

TOKENIZER = "tokenizer/tokenizer.json"  # all of it, as transformers has saved it since its version 5


def _inpainter_files(unet_bytes: int, text_encoder_bytes: int, **sha256: str) -> tuple[WeightFile, ...]:
    """As diffusers lays out an inpainter, in float16; sizes of the small files are what such files usually have.

    Saved without `variant="fp16"`, the names do not say it.
    """
    large = {
        "text_encoder": ("text_encoder/model", text_encoder_bytes),
        "vae": ("vae/diffusion_pytorch_model", 167_335_342),
        "unet": ("unet/diffusion_pytorch_model", unet_bytes),
    }
    return (
        WeightFile("unet/config.json", 750),
        WeightFile("vae/config.json", 550),
        WeightFile("text_encoder/config.json", 620),
        WeightFile("scheduler/scheduler_config.json", 310),
        WeightFile("tokenizer/tokenizer_config.json", 810),
        WeightFile("tokenizer/special_tokens_map.json", 470, or_path=TOKENIZER),
        WeightFile("tokenizer/vocab.json", 1_059_962, or_path=TOKENIZER),
        WeightFile("tokenizer/merges.txt", 524_619, or_path=TOKENIZER),
        *(
            WeightFile(f"{stem}.fp16.safetensors", size, sha256.get(part), or_path=f"{stem}.safetensors")
            for part, (stem, size) in large.items()
        ),
    )


_VAE_15 = "4fbcf0ebe55a0984f5a5e00d8c4521d52359af7229bb4d81890039d2aa16dd7c"
_FILES_15 = (1_719_154_104, 246_144_864)

INPAINTER = Weights(
    "Stable Diffusion, inpainting",
    (
        Source(
            "stable-diffusion-v1-5/stable-diffusion-inpainting",
            "8a4288a76071f7280aedbdb3253bdb9e9d5d84bb",
            _inpainter_files(
                *_FILES_15,
                unet="24b788b4a777748377cc20364eea4ae113c8c42f4468c16bc8c02fdae5492af9",
                vae=_VAE_15,
                text_encoder="77795e2023adcf39bc29a884661950380bd093cf0750a966d473d1718dc9ef4e",
            ),
            OPENRAIL,
        ),
        # A copy of it, of whose commit only seven digits were ever seen
        Source(
            "genai-archive/stable-diffusion-v1-5-inpainting",
            "532b9dd",
            _inpainter_files(*_FILES_15, vae=_VAE_15),
            OPENRAIL,
        ),
        # The next generation: another network for the same work
        Source(
            "sd2-community/stable-diffusion-2-inpainting",
            "5f74973cbb64c8568780732c17f43eb269d63a0d",
            _inpainter_files(
                1_731_933_536,
                680_821_096,
                unet="29a698f37775d5904a958c9cebed98184483dfb441729a8e5f98dd5b65df70c8",
                vae="3e4c08995484ee61270175e9e7a072b66a6e4eeb5f0c266667fe1f45b90daf9a",
                text_encoder="681c555376658c81dc273f2d737a2aeb23ddb6d1d8e5b3a7064636d359a22668",
            ),
            OPENRAIL_PLUS,
        ),
        # A copy of the first; by one account its licence has to be accepted, so it comes last
        Source(
            "benjamin-paine/stable-diffusion-v1-5-inpainting",
            "705090e310335d0cf1586d032130fa9f09a6fa00",
            _inpainter_files(*_FILES_15),
            OPENRAIL,
            gated=True,
        ),
    ),
)

ZOEDEPTH = Weights(
    "ZoeDepth",
    (
        Source(
            "Intel/zoedepth-nyu-kitti",
            "f364d4c7936e91f465abba182208dd68142bf0ca",
            (
                WeightFile("config.json", 2_100),
                WeightFile(
                    "model.safetensors",
                    1_380_000_000,
                    "c5494fa0938f18d71e215e245472470c3aefebd7b434abd89750e5ae4008e2dc",
                ),
            ),
            MIT,
        ),
        # Trained on rooms alone: no copy of the other is known
        Source(
            "Intel/zoedepth-nyu",
            "52ae69caf7896c927909b3ceab4249c235e16dc1",
            (
                WeightFile("config.json", 2_100),
                WeightFile(
                    "model.safetensors",
                    1_380_000_000,
                    "b616e347efc30e64822be28d2464c2fcd0b665b5fdbc9a135d53d168c31c77ab",
                ),
            ),
            MIT,
        ),
    ),
)

DEPTH_ANYTHING = Weights(
    "Depth Anything V2, metric, small",
    (
        Source(
            "depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf",
            "8078d68a9c75a972131914f6afd0c1723be0da7f",
            (
                WeightFile("config.json", 1_063),
                WeightFile(
                    "model.safetensors",
                    99_173_660,
                    "e990eb82fbf11b05b7813261196a2b841bdcf5a05f64396724a8987fa90504a3",
                ),
            ),
            APACHE,
        ),
        # Trained out of doors: no copy of the other is known, nor more than this of its commit
        Source(
            "depth-anything/Depth-Anything-V2-Metric-Outdoor-Small-hf",
            "fd2c2202",
            (WeightFile("config.json", 1_063), WeightFile("model.safetensors", 99_173_660)),
            APACHE,
        ),
    ),
)
