"""SV3D from its authors' own checkpoint: read tensor by tensor, and kept in half precision for the next time.

The original holds 9.4 GB in float32. The first run writes what is needed of it into the data folder, in float16 and
with today's names: 4.5 GB, which is all that later starts read.
"""

import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.core.files import StorageError, disk_sentences, whole_file
from pipelines.runtime.residency import Place
from pipelines.runtime.settings import read_settings
from pipelines.runtime.telling import audible
from pipelines.runtime.tensors import damaged, filled, save_tensors, stored_in, with_channels_last
from pipelines.runtime.weights import Fetched
from pipelines.sv3d.cameras import FRAMES
from pipelines.sv3d.keys import CLIP, OTHER_DECODER, OWN_DECODER, PREFIXES, UNET, VAE, is_foreign, origin, targets
from pipelines.sv3d.network import equip

if TYPE_CHECKING:
    import torch
    from torch import Tensor

log = logging.getLogger(__name__)
HEAD_CHANNELS, CLIP_HEAD_CHANNELS = 64, 80  # SV3D, configs: of an attention head; no tensor's shape tells
LATENT_PX = 72  # SV3D, section 3: 576 pixels
OLD_S = 600.0  # half a file that nobody has written to for so long is nobody's any more
MOST_NAMED = 5  # tensors in a sentence
LAYOUT = "v1"  # of conversions: those of another are made anew
ABOUT = "turnaround"  # the key of a file's metadata under which ours say what no shape tells
UNET_PREFIX, VAE_PREFIX, _, CLIP_PREFIX = PREFIXES

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Sizes:
    """What the networks are built from, as the checkpoint's own tensors tell it."""

    unet: dict[str, Any]
    vae: dict[str, Any]
    clip: dict[str, Any]
    frames: int
    latent_px: int

    @property
    def vae_levels(self) -> int:
        return len(self.vae["block_out_channels"])

    @property
    def side_px(self) -> int:
        return self.latent_px * 2 ** (self.vae_levels - 1)


@dataclass(frozen=True, eq=False)
class Parts:
    unet: Any
    """`UNetSpatioTemporalConditionModel` of diffusers, equipped."""
    vae: Any
    """`AutoencoderKL`, whose decoder is the first stage's own."""
    image_encoder: Any
    """`CLIPVisionModelWithProjection` of transformers"""
    sizes: Sizes
    place: Place
    kept: Path
    """The folder for what is made of them, for later."""

    @property
    def takes_angles(self) -> bool:
        """sv3d_p is told each frame's polar angle and azimuth, sv3d_u neither."""
        return self.unet.config["projection_class_embeddings_input_dim"] > self.unet.config["addition_time_embed_dim"]


def load(found: Fetched, place: Place, kept: Path, check: Callable[[], None] = lambda: None) -> Parts:
    """All of them, onto the device. `kept` is the folder for conversions; `check` is called between tensors."""
    import torch

    original, shapes, sizes = _read(found)
    folder = _kept(original, shapes, sizes, _conversion(found, original, kept), check)

    def part(name: str, build: Callable[[], Any], dtype: "torch.dtype") -> Any:
        if folder:
            file, stored = folder / f"{name}.safetensors", stored_in(folder / f"{name}.safetensors")
        else:
            file, stored = original, _translated(original, shapes, name, sizes)
        return audible(filled(build, stored, file, place.device, dtype, check=check))

    builders = _builders(sizes)
    return Parts(
        image_encoder=part(CLIP, builders[CLIP], place.dtype),
        # In full precision, as the authors have it: white in 8 bits of bfloat16 shows bands
        vae=with_channels_last(part(VAE, builders[VAE], torch.float32), place),
        unet=equip(part(UNET, builders[UNET], place.dtype)),
        sizes=sizes,
        place=place,
        kept=kept,
    )


def as_the_authors_run_it(place: Place) -> Place:
    """On a GPU in float16, unless a setting says otherwise: of bfloat16 and their pictures 45 dB were seen. Processors
    that multiply 16 bits at all multiply bfloat16."""
    import torch

    if place.device.type != "cuda" or place.dtype != torch.bfloat16 or read_settings().precision != "auto":
        return place
    return replace(place, dtype=torch.float16, name=place.name.replace("bfloat16", "float16"))


def keep(found: Fetched, kept: Path, check: Callable[[], None] = lambda: None) -> Path | None:
    """The folder with its conversion, made if it is not there yet; None where it cannot be kept."""
    original, shapes, sizes = _read(found)
    return _kept(original, shapes, sizes, _conversion(found, original, kept), check)


def _kept(original: Path, shapes: Shapes, sizes: Sizes, folder: Path, check: Callable[[], None]) -> Path | None:
    try:
        _convert(original, shapes, sizes, folder, check)
    except StorageError as problem:
        log.warning("%s is not kept in half precision: %s", original.name, problem)
        return None
    return folder


def _read(found: Fetched) -> tuple[Path, Shapes, Sizes]:
    (given,) = found.source.files
    original = found.folder / given.path
    shapes, about = _header(original)
    try:
        return original, shapes, _sizes(original, shapes, about)
    except (IndexError, ValueError) as problem:  # of fewer dimensions
        raise damaged(original, "holds tensors that are not SV3D's") from problem


def _builders(sizes: Sizes) -> dict[str, Callable[[], Any]]:
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_spatio_temporal_condition import UNetSpatioTemporalConditionModel
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    clip = CLIPVisionConfig(**sizes.clip)
    clip._attn_implementation = "sdpa"

    def image_encoder() -> CLIPVisionModelWithProjection:
        with torch.random.fork_rng(devices=[]):  # it draws a vector, whatever is made of it
            return CLIPVisionModelWithProjection(clip)

    return {
        UNET: lambda: UNetSpatioTemporalConditionModel(**sizes.unet),
        VAE: lambda: AutoencoderKL(**sizes.vae),
        CLIP: image_encoder,
    }


# --- What the checkpoint tells of itself ------------------------------------------------------------------------------


def _header(file: Path) -> tuple[Shapes, dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
            return shapes, json.loads((opened.metadata() or {}).get(ABOUT, "{}"))
    except (OSError, ValueError, SafetensorError) as problem:
        raise damaged(file, "cannot be read") from problem


def _sizes(file: Path, shapes: Shapes, about: dict[str, Any]) -> Sizes:
    def of(name: str) -> tuple[int, ...]:
        if name not in shapes:
            raise damaged(file, f"lacks the tensor {name}")
        return shapes[name]

    def counted(pattern: str) -> int:
        return 1 + max((int(found[1]) for name in shapes if (found := re.match(pattern, name))), default=0)

    channels = tuple(of(f"{UNET_PREFIX}input_blocks.{1 + 3 * level}.0.out_layers.3.weight")[0] for level in range(4))
    heads = tuple(width // about.get("head_channels", HEAD_CHANNELS) for width in channels)
    encoder, layer = re.escape(f"{VAE_PREFIX}encoder.down."), re.escape(f"{CLIP_PREFIX}transformer.resblocks.")
    levels = counted(rf"{encoder}(\d+)\.")
    vae_channels = [of(f"{VAE_PREFIX}encoder.down.{level}.block.0.conv1.weight")[0] for level in range(levels)]
    width, _, _, patch = of(f"{CLIP_PREFIX}conv1.weight")
    tokens = of(f"{CLIP_PREFIX}positional_embedding")[0] - 1
    frames, latent_px = about.get("frames", FRAMES), about.get("latent_px", LATENT_PX)
    return Sizes(
        unet={
            "sample_size": latent_px,
            "num_frames": frames,
            "block_out_channels": channels,
            "num_attention_heads": heads,
            "cross_attention_dim": of(f"{UNET_PREFIX}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight")[1],
            "projection_class_embeddings_input_dim": of(f"{UNET_PREFIX}label_emb.0.0.weight")[1],
        },
        vae={
            "down_block_types": ("DownEncoderBlock2D",) * levels,
            "up_block_types": ("UpDecoderBlock2D",) * levels,
            "block_out_channels": tuple(vae_channels),
            "layers_per_block": counted(rf"{encoder}0\.block\.(\d+)\."),
            "use_post_quant_conv": False,
        },
        clip={
            "hidden_size": width,
            "intermediate_size": of(f"{CLIP_PREFIX}transformer.resblocks.0.mlp.c_fc.weight")[0],
            "projection_dim": of(f"{CLIP_PREFIX}proj")[1],
            "num_hidden_layers": counted(rf"{layer}(\d+)\."),
            "num_attention_heads": width // about.get("clip_head_channels", CLIP_HEAD_CHANNELS),
            "patch_size": patch,
            "image_size": round(tokens**0.5) * patch,
            "hidden_act": "gelu",  # not CLIP's own quick one: this is OpenCLIP's
        },
        frames=frames,
        latent_px=latent_px,
    )


# --- Conversion -------------------------------------------------------------------------------------------------------


def _conversion(found: Fetched, original: Path, kept: Path) -> Path:
    """Where it lies: of this very file."""
    state, repository = original.stat(), found.source.repository.replace("/", "--")
    name = f"{original.stem}-{repository}-{LAYOUT}_{found.revision[:12]}-{state.st_size:x}-{state.st_mtime_ns:x}"
    return kept / name


def _convert(original: Path, shapes: Shapes, sizes: Sizes, folder: Path, check: Callable[[], None]) -> None:
    """Part by part, so that no more than the largest of them is in memory; what is there already is kept."""
    import torch

    files = {name: folder / f"{name}.safetensors" for name in (CLIP, VAE, UNET)}
    if all(file.exists() for file in files.values()):
        with suppress(OSError):
            _sweep(original, folder, list(files.values()))
        return
    _require_match(original, shapes, sizes)
    _require_room(original, folder)
    if not _same_decoders(original, shapes, check):
        log.warning("%s holds two decoders that differ; as the authors do, the first stage's is used", original)
    for name, file in files.items():
        if file.exists():
            continue
        tensors: dict[str, Tensor] = {}
        for spelt, read in _translated(original, shapes, name, sizes):
            check()
            tensors[spelt] = read().to(torch.float16).contiguous()
        with disk_sentences("The model could not be kept in half precision"):
            folder.mkdir(parents=True, exist_ok=True)
            with whole_file(file) as part:
                save_tensors(tensors, part)
    with suppress(OSError):
        _sweep(original, folder, list(files.values()))


def _require_room(original: Path, folder: Path) -> None:
    """Before gigabytes are written that then have to go again, at each start anew."""
    there = next(parent for parent in folder.parents if parent.exists())
    needed_bytes = original.stat().st_size // 2
    if shutil.disk_usage(there).free < needed_bytes:
        raise StorageError(f"the disk has no room for {needed_bytes / 1e9:.1f} GB more.")


def _sweep(original: Path, folder: Path, files: list[Path]) -> None:
    """Conversions of files that this one took the place of, 4.5 GB each, and what a killed process left of its own."""
    whose, _, _ = folder.name.partition(f"-{LAYOUT}_")
    # Or of before, when it was not told whose it is, and at first of which layout
    ours = re.compile(rf"({re.escape(whose)}|{re.escape(original.stem)})-(v\d+_[\w-]+|\w+)-[0-9a-f]+-[0-9a-f]+")
    for other in folder.parent.iterdir():
        if other != folder and ours.fullmatch(other.name):
            shutil.rmtree(other, ignore_errors=True)
    for other in folder.iterdir():
        if other not in files and other.stat().st_mtime < time.time() - OLD_S:
            other.unlink(missing_ok=True)


def _require_match(original: Path, shapes: Shapes, sizes: Sizes) -> None:
    """Each tensor of a network has a place, and each place a tensor of its size; else what is amiss is named."""
    import torch
    from accelerate import init_empty_weights

    with init_empty_weights():
        places = {
            (part, name): tensor.shape
            for part, build in _builders(sizes).items()
            for name, tensor in build().named_parameters()
        }
    unknown, unfit = list[str](), list[str]()
    for key, shape in shapes.items():
        try:
            needed = [(each, places.pop((each.part, each.name))) for each in targets(key, sizes.vae_levels) or []]
        except KeyError:
            unknown.append(key)
            continue
        for target, size in needed:
            try:
                fits = target.shaped(torch.empty(shape, device="meta")).shape == size
            except (IndexError, RuntimeError):
                fits = False
            if not fits:
                unfit.append(key)
    if foreign := [key for key in shapes if is_foreign(key)]:
        log.warning("%s holds more than SV3D, which is left out: %s", original, ", ".join(sorted(foreign)))
    if unknown:
        named, more = _named(unknown)
        raise damaged(original, f"holds tensors that SV3D does not have: {named}{more}")
    if unfit:
        there = " x ".join(map(str, shapes[unfit[0]])) or "of one number"
        raise damaged(original, f"has the tensor {unfit[0]} in a size that is not SV3D's, {there}")
    if places:
        named, more = _named([origin(part, name, sizes.vae_levels) for part, name in places])
        raise damaged(original, f"lacks tensors that SV3D has: {named}{more}")


def _named(keys: list[str]) -> tuple[str, str]:
    """As many as a sentence bears, and how many more there are; the log has all."""
    different = sorted(set(keys))
    log.error("Not as they should be: %s", ", ".join(different))
    more = f" and {len(different) - MOST_NAMED} more" if len(different) > MOST_NAMED else ""
    return ", ".join(different[:MOST_NAMED]), more


def _translated(
    original: Path, shapes: Shapes, part: str, sizes: Sizes
) -> Iterator[tuple[str, Callable[[], "Tensor"]]]:
    """One part's tensors under today's names."""
    wanted = {key: [each for each in targets(key, sizes.vae_levels) or [] if each.part == part] for key in shapes}
    for key, read in stored_in(original):
        for target in wanted[key]:
            yield target.name, lambda target=target, read=read: target.shaped(read())


def _same_decoders(original: Path, shapes: Shapes, check: Callable[[], None]) -> bool:
    """The conditioner's autoencoder has one too, which nothing uses (specs/sv3d.md, 1.4)."""
    from safetensors import safe_open

    with safe_open(original, framework="pt") as opened:
        for name in shapes:
            if name.startswith(OWN_DECODER):
                check()
                other = name.replace(OWN_DECODER, OTHER_DECODER)
                if other in shapes and not opened.get_tensor(name).equal(opened.get_tensor(other)):
                    return False
    return True
