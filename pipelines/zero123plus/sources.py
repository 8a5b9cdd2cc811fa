"""Where the weights of both versions are: files, sizes, commits and mirrors (specs/hub.md, section 3).

The large files' sizes are computed from their numbers of parameters, which agree with the Hub's rounded figures for the
whole repositories (5.58 and 3.85 GB); those of the small ones are what such files usually have.
"""

from pipelines.runtime.weights import Source, WeightFile, Weights

PARAMETERS = {"unet": 865_910_724, "vision_encoder": 632_076_800, "text_encoder": 340_387_840, "vae": 83_653_863}
DIFFUSERS_PARTS = ("unet", "vae")  # the other two are transformers' and name their files so
# What their authors say of both in their README on GitHub; and what the repositories themselves say.
NON_COMMERCIAL = "CC BY-NC 4.0, by the authors' README on GitHub"
LICENCES = {
    "v1.2": f"{NON_COMMERCIAL}; the repository itself states no licence",
    "v1.1": f"{NON_COMMERCIAL}; the repository itself is tagged openrail",
}

_SMALL = (
    ("model_index.json", 2_630),
    ("feature_extractor_clip/preprocessor_config.json", 520),
    ("feature_extractor_vae/preprocessor_config.json", 520),
    ("scheduler/scheduler_config.json", 391),
    ("text_encoder/config.json", 630),
    ("tokenizer/merges.txt", 524_619),
    ("tokenizer/special_tokens_map.json", 460),
    ("tokenizer/tokenizer_config.json", 740),
    ("tokenizer/vocab.json", 1_059_962),
    ("unet/config.json", 1_850),
    ("vae/config.json", 720),
    ("vision_encoder/config.json", 580),
)


def _files(bytes_a_parameter: dict[str, int], suffix: str) -> tuple[WeightFile, ...]:
    """The configurations first: a repository that lacks one is found out before gigabytes of it have come."""
    large = []
    for part, count in PARAMETERS.items():
        stem = "diffusion_pytorch_model" if part in DIFFUSERS_PARTS else "model"
        if part not in DIFFUSERS_PARTS and suffix == "bin":
            stem = "pytorch_model"
        large.append(WeightFile(f"{part}/{stem}.{suffix}", count * bytes_a_parameter[part]))
    return (*(WeightFile(path, size) for path, size in _SMALL), *large)


_V1_2 = _files({"unet": 4, "vision_encoder": 2, "text_encoder": 2, "vae": 2}, "safetensors")  # only the UNet is float32
_V1_1 = _files(dict.fromkeys(PARAMETERS, 2), "bin")  # pickles: read by torch's restricted reader only

WEIGHTS = {
    "v1.2": Weights(
        "Zero123++ v1.2",
        (
            Source("sudo-ai/zero123plus-v1.2", "2da07e89919e1a130c9b5add1584c70c7aa065fd", _V1_2, LICENCES["v1.2"]),
            Source("kp-forks/zero123plus-v1.2", "main", _V1_2, LICENCES["v1.2"]),  # a copy; no commit of it is known
        ),
    ),
    "v1.1": Weights(
        "Zero123++ v1.1",
        (
            Source("sudo-ai/zero123plus-v1.1", "36df7de980afd15f80b2e1a4e9a920d7020e2654", _V1_1, LICENCES["v1.1"]),
            Source("ckpt/zero123plus-v1.1", "6480bcb", _V1_1, LICENCES["v1.1"]),  # a copy
        ),
    ),
}
