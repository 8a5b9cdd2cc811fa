"""Where the weights of the family are: files, sizes, commits and mirrors (specs/hub.md, section 2).

No repository of the authors' own is of use here: theirs are whole LDM checkpoints of 8 to 15 GB, as pickles. Others
have converted them for diffusers, in two layouts that `loading.py` reads alike.

A revision of seven digits is all that was ever seen of a commit; it counts as unpinned. Sizes of the small files are
what such files usually have.
"""

from pipelines.runtime.weights import Source, WeightFile, Weights

MIT = "MIT (said by the repository; the weights were trained on Objaverse, whose objects have licences of many kinds)"
NON_COMMERCIAL = (
    "Stability AI Non-Commercial Research Community License: derived from stabilityai/stable-zero123, "
    "whatever the converted copy says"
)

CHECKPOINTS = ("threestudio", "105000", "165000")
UNET, IMAGE_ENCODER, VAE, CAMERA = "unet", "image_encoder", "vae", "clip_camera_projection"
KXIC_CAMERA = "cc_projection"

# Bytes in float16, as the Hub's pages round them; float32 takes twice as much.
_BYTES = {UNET: 1_720_000_000, IMAGE_ENCODER: 608_000_000, VAE: 167_000_000, CAMERA: 1_190_000}
_KXIC_BYTES = {UNET: 3_440_000_000, IMAGE_ENCODER: 1_220_000_000, VAE: 335_000_000}
_KXIC_CAMERA_BYTES = 2_375_911  # as a pickle
_CONFIGS = {UNET: 1_200, IMAGE_ENCODER: 600, VAE: 700}


def _threestudio_files(variant: str = "", **sha256: str) -> tuple[WeightFile, ...]:
    """The layout of threestudio's converter: float16 in safetensors; `variant` is ".fp16" where names say so."""
    large = [
        WeightFile(_named(part, f"{variant}.safetensors"), size, sha256.get(part)) for part, size in _BYTES.items()
    ]
    return (*_configs(), WeightFile(f"{CAMERA}/config.json", 132), *large)


def _kxic_files(suffix: str, **sha256: str) -> tuple[WeightFile, ...]:
    """The layout of zero123-hf's converter: float32. Pickles ("bin") are read by torch's restricted reader only."""
    large = [WeightFile(_named(part, f".{suffix}"), size, sha256.get(part)) for part, size in _KXIC_BYTES.items()]
    stem = f"{KXIC_CAMERA}/diffusion_pytorch_model.{suffix}"
    camera = WeightFile(stem, _KXIC_CAMERA_BYTES if suffix == "bin" else 2_374_900)
    return (*_configs(), WeightFile(f"{KXIC_CAMERA}/config.json", 80), camera, *large)


def _configs() -> list[WeightFile]:
    """First, so that a repository that lacks one is found out before gigabytes of it have come."""
    configs = [WeightFile(f"{part}/config.json", size) for part, size in _CONFIGS.items()]
    return [*configs, WeightFile("scheduler/scheduler_config.json", 500)]


def _named(part: str, ending: str) -> str:
    """diffusers and transformers name their files differently."""
    if part == IMAGE_ENCODER:
        return f"{part}/{'pytorch_model' if ending == '.bin' else 'model'}{ending}"
    return f"{part}/diffusion_pytorch_model{ending}"


ZERO123 = {
    "threestudio": Weights(
        "Zero-1-to-3, threestudio's copy",
        (
            Source(
                "bennyguo/zero123-diffusers",
                "b5289c2",
                _threestudio_files(".fp16", unet="d71f22edd261f34c34f94eaa51945448ccbee2fbd89949737fef65c2040df3a5"),
                MIT,
            ),
        ),
    ),
    "105000": Weights("Zero-1-to-3, step 105000", (Source("kxic/zero123-105000", "4fdd3ed", _kxic_files("bin"), MIT),)),
    "165000": Weights("Zero-1-to-3, step 165000", (Source("kxic/zero123-165000", "19b7df9", _kxic_files("bin"), MIT),)),
}

ZERO123_XL = Weights(
    "Zero123-XL",
    (
        Source("ashawkey/zero123-xl-diffusers", "10e9e8e75adaa3bf77f5ac9c381419016fed68c7", _threestudio_files(), MIT),
        Source(
            "bennyguo/zero123-xl-diffusers",
            "ae385edfaf74c677408f96bd04b513483bd326ac",
            _threestudio_files(".fp16", unet="281d8e647ae909d95eff11c094ae1ddccfdf0eaf7fc395c34fc675c4c25be0b1"),
            MIT,
        ),
        Source("Manojb/zero123-xl-diffusers", "68b70bf", _threestudio_files(), MIT),
        # A bot's conversion to safetensors, never merged; then the pickles that it was made from.
        Source("kxic/zero123-xl", "5ffbf4e5585f69ede6db6d13ed5cc5de03e9cc6b", _kxic_files("safetensors"), MIT),
        Source("kxic/zero123-xl", "7d8aec2223b93e84eb26893d1e732e013523474b", _kxic_files("bin"), MIT),
    ),
)

STABLE_ZERO123 = Weights(
    "Stable Zero123",
    (
        Source(
            "ashawkey/stable-zero123-diffusers",
            "a6c09344fbd45843d35f2095c203c4a8e55b4dbb",
            _threestudio_files(),
            NON_COMMERCIAL,
        ),
        Source(
            "Manojb/stable-zero123-diffusers",
            "8181e68",
            _threestudio_files(
                unet="df42cdcac55d5b89c15a0512845db20a6213f1eaa129f201dfc080fc8642d220",
                # Stable Diffusion 2's own VAE: another than Zero-1-to-3's, not to be swapped
                vae="3e4c08995484ee61270175e9e7a072b66a6e4eeb5f0c266667fe1f45b90daf9a",
            ),
            NON_COMMERCIAL,
        ),
        Source(
            "kxic/stable-zero123",
            "16d0867",
            _kxic_files("bin", unet="018488f528c33b1f5b146a98eaf8def925b4eb2a8c2e49cedfc2ff929102152b"),
            NON_COMMERCIAL,
        ),
    ),
)
