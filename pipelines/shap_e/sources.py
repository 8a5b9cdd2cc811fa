"""Where the weights are (specs/hub.md, section 4).

The pipeline's author once added the renderer without pickles in a pull request that was never merged; a commit of a
pull request can be fetched like any other. Main has the same renderer as a pickle of float32.
"""

from pipelines.runtime.weights import Source, WeightFile, Weights

REPOSITORY, LICENCE = "openai/shap-e-img2img", "MIT"
PULL_REQUEST, MAIN = "167ea6aea3f83d832f0c655055291d52ee0bb305", "0e0aba80f08d368aaf6af9cb93583707481cc29b"
RENDERER = "shap_e_renderer/diffusion_pytorch_model"

# The configurations first: a repository that lacks one is found out before gigabytes of it have come. Sizes as the
# Hub's pages have them; of two configurations, what such files usually have.
_COMMON = (
    WeightFile("prior/config.json", 493),
    WeightFile("image_encoder/config.json", 560),
    WeightFile("scheduler/scheduler_config.json", 480),
    WeightFile("shap_e_renderer/config.json", 551),
    WeightFile(
        "prior/diffusion_pytorch_model.fp16.safetensors",
        632_000_000,
        "a6d92d12597b298dfb84b32ccfc74a94d2f25d7600f330b39722bd0f0835862e",
    ),
    WeightFile("image_encoder/model.fp16.safetensors", 606_000_000),
)

SHAP_E = Weights(
    "Shap-E",
    (
        Source(REPOSITORY, PULL_REQUEST, (*_COMMON, WeightFile(f"{RENDERER}.fp16.safetensors", 453_000_000)), LICENCE),
        Source(REPOSITORY, MAIN, (*_COMMON, WeightFile(f"{RENDERER}.bin", 905_000_000)), LICENCE),
    ),
)
