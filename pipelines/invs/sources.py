"""Where the weights are (specs/hub.md): no checkpoint of the authors' own was published.

So a stock inpainter stands in its place, named as such; one that was fine-tuned for the task goes into the folder of
weights kept by hand, or is named by TURNAROUND_SOURCES.
"""

from pipelines.runtime.weights import Source, WeightFile, Weights

OPENRAIL = "CreativeML OpenRAIL-M (uses that harm are excluded)"
MIT, APACHE = "MIT", "Apache-2.0"
FINE_TUNED, TASK = "turnaround_task", "invs"
"""What our training says of a UNet, in its configuration."""

_TOKENIZER = (WeightFile("tokenizer/vocab.json", 1_059_962), WeightFile("tokenizer/merges.txt", 524_619))
_CONFIGS = tuple(
    WeightFile(path, size)
    for path, size in (
        ("unet/config.json", 750),
        ("vae/config.json", 550),
        ("text_encoder/config.json", 620),
        ("scheduler/scheduler_config.json", 310),
        ("tokenizer/tokenizer_config.json", 810),
        ("tokenizer/special_tokens_map.json", 470),
    )
)

INPAINTER = Weights(
    "Stable Diffusion 1.5, inpainting",
    (
        Source(
            "stable-diffusion-v1-5/stable-diffusion-inpainting",
            "8a4288a76071f7280aedbdb3253bdb9e9d5d84bb",
            (
                *_CONFIGS,
                *_TOKENIZER,
                WeightFile(
                    "text_encoder/model.fp16.safetensors",
                    246_144_864,
                    "77795e2023adcf39bc29a884661950380bd093cf0750a966d473d1718dc9ef4e",
                ),
                WeightFile(
                    "vae/diffusion_pytorch_model.fp16.safetensors",
                    167_335_342,
                    "4fbcf0ebe55a0984f5a5e00d8c4521d52359af7229bb4d81890039d2aa16dd7c",
                ),
                WeightFile(
                    "unet/diffusion_pytorch_model.fp16.safetensors",
                    1_719_154_104,
                    "24b788b4a777748377cc20364eea4ae113c8c42f4468c16bc8c02fdae5492af9",
                ),
            ),
            OPENRAIL,
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
    ),
)
