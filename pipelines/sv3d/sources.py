"""Where SV3D's weights are (specs/hub.md, section 1): whole checkpoints of the authors' own, in float32.

No file in half precision was seen anywhere, so 9.4 GB are fetched; `loading.py` keeps half of that.
"""

from pipelines.runtime.weights import Source, WeightFile, Weights

COMMUNITY = (
    "Stability AI Community License (research and non-commercial use, and commercial use by those with less than "
    "1 million US dollars of yearly revenue who register)"
)
P, U = "p", "u"

# Commit and hash: specs/hub.md. The hash of sv3d_p was never seen, so the Hub's own counts.
_REVISION = "31213729b4314a44b574ce7cc2d0c28356f097ed"
_MIRROR_REVISION = "fef5e70"
_FILES = {
    P: WeightFile("sv3d_p.safetensors", 9_370_000_000),
    U: WeightFile(
        "sv3d_u.safetensors",
        9_360_000_000,
        "d2c281b817232c492f6db27c9ce597b543187c52229cbad2a3c78e238b06c809",
    ),
}

WEIGHTS = {
    kind: Weights(
        f"SV3D ({kind})",
        (
            Source("stabilityai/sv3d", _REVISION, (file,), COMMUNITY, gated=True),
            Source("camenduru/sv3d", _MIRROR_REVISION, (file,), f"{COMMUNITY}: a copy without a licence of its own"),
        ),
    )
    for kind, file in _FILES.items()
}
