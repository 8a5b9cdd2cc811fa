"""Weights in the real repositories' layouts and names, through the real loading code; diffusers' own reader agrees."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionModelWithProjection

from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.runtime.report import Report
from pipelines.runtime.residency import Place
from pipelines.runtime.weights import Fetched, Source, Weights, located
from pipelines.zero123.loading import CAMERA_SPELLINGS, load
from pipelines.zero123.sources import STABLE_ZERO123, ZERO123, ZERO123_XL
from tests.zero123 import tiny
from tests.zero123.conftest import ALL, loaded, on_cpu


def sources() -> list[Source]:
    return [source for weights in ALL for source in weights.sources]


@pytest.mark.parametrize("weights", ALL, ids=lambda weights: weights.name)
def test_every_first_source_loads_with_the_numbers_that_are_in_it(weights: Weights):
    parts, found = loaded(weights), located(weights)
    assert found is not None
    variant = "fp16" if any(".fp16." in file.path for file in found.source.files) else None
    safe = any(file.path.endswith(".safetensors") for file in found.source.files)
    reading = {"variant": variant, "use_safetensors": safe, "local_files_only": True}
    folder = str(found.folder)
    others = {
        "unet": UNet2DConditionModel.from_pretrained(folder, subfolder="unet", **reading),
        "vae": AutoencoderKL.from_pretrained(folder, subfolder="vae", **reading),
        "image_encoder": CLIPVisionModelWithProjection.from_pretrained(
            folder, subfolder="image_encoder", dtype=torch.float32, **reading
        ),
    }
    for name, other in others.items():
        mine, theirs = getattr(parts, name).state_dict(), other.state_dict()
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key].float()) for key in mine), name
        assert not getattr(parts, name).training
    assert parts.side_px == tiny.SIDE_PX and parts.scheduler["beta_schedule"] == "scaled_linear"


@pytest.mark.parametrize("spelling", CAMERA_SPELLINGS)
def test_the_camera_layers_three_spellings_are_one_layer(spelling: str, tmp_path: Path):
    found = copied(ZERO123_XL, tmp_path)
    file = next(found.folder.glob("clip_camera_projection/*.safetensors"))
    written = {name.removeprefix("proj."): tensor for name, tensor in load_file(file).items()}
    save_file({spelling + name: tensor for name, tensor in written.items()}, file)
    camera = load(found, on_cpu()).camera
    assert camera.weight.shape == (tiny.WIDTH, tiny.WIDTH + 4) and camera.bias.shape == (tiny.WIDTH,)
    assert torch.equal(camera.weight, written["weight"].float()) and torch.equal(camera.bias, written["bias"].float())


def test_both_layouts_of_the_same_numbers_draw_the_same(tmp_path: Path):
    tiny.threestudio(tmp_path / "a", seed=9)
    tiny.kxic(tmp_path / "b", seed=9, suffix="safetensors")
    mirror = next(source for source in ZERO123_XL.sources if source.repository == "kxic/zero123-xl")
    one = load(Fetched(tmp_path / "a", ZERO123_XL.first, "local"), on_cpu())
    other = load(Fetched(tmp_path / "b", mirror, "local"), on_cpu())
    for name in ("unet", "vae", "image_encoder", "camera"):
        mine, theirs = getattr(one, name).state_dict(), getattr(other, name).state_dict()
        assert all(torch.equal(mine[key], theirs[key].half().float()) for key in mine if key in theirs), name


def test_large_parts_take_the_places_precision_and_the_camera_and_the_vae_all_of_it():
    found = located(ZERO123_XL)
    assert found is not None
    parts = load(found, Place(torch.device("cpu"), torch.bfloat16, "CPU, bfloat16"))
    assert parts.unet.dtype == parts.image_encoder.dtype == torch.bfloat16
    assert parts.vae.dtype == parts.camera.weight.dtype == torch.float32


def test_loading_can_be_cancelled():
    found, report = located(ZERO123_XL), Report()
    assert found is not None
    report.cancelled.set()
    with pytest.raises(Cancelled):
        load(found, on_cpu(), report.check)


# --- What is wrong is said --------------------------------------------------------------------------------------------


def copied(weights: Weights, folder: Path) -> Fetched:
    found = located(weights)
    assert found is not None
    return replace(found, folder=Path(shutil.copytree(found.folder, folder / "weights")))


@pytest.mark.parametrize("part", ["unet", "vae", "image_encoder", "clip_camera_projection"])
def test_a_missing_tensor_is_named(part: str, tmp_path: Path):
    found = copied(ZERO123_XL, tmp_path)
    file = next(found.folder.glob(f"{part}/*.safetensors"))
    tensors = load_file(file)
    gone = sorted(tensors)[-1]
    save_file({name: tensor for name, tensor in tensors.items() if name != gone}, file)
    with pytest.raises(TurnaroundError, match=rf"{part}/.* lacks the tensor {gone.removeprefix('proj.')}.*fetches"):
        load(found, on_cpu())


def test_a_tensor_of_another_size_is_named_with_both_sizes(tmp_path: Path):
    found = copied(ZERO123_XL, tmp_path)
    file = found.folder / "unet/diffusion_pytorch_model.safetensors"
    save_file({**load_file(file), "conv_in.weight": torch.zeros(8, 4, 3, 3)}, file)
    with pytest.raises(TurnaroundError, match=r"conv_in\.weight .* 8 x 4 x 3 x 3 where 8 x 8 x 3 x 3 is needed"):
        load(found, on_cpu())


@pytest.mark.parametrize("weights", [ZERO123_XL, ZERO123["105000"]], ids=["safetensors", "pickle"])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_file_that_holds_no_weights_is_named(weights: Weights, content: bytes, tmp_path: Path):
    found = copied(weights, tmp_path)
    file = next(path for path in found.folder.glob("vae/*") if path.suffix != ".json")
    file.write_bytes(content)
    with pytest.raises(TurnaroundError, match=rf"vae/{file.name} cannot be read\. .*remove it.*\."):
        load(found, on_cpu())


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_a_pickle_with_code_in_it_runs_none(tmp_path: Path):
    found, mark = copied(ZERO123["105000"], tmp_path), tmp_path / "it ran"
    torch.save({"projection.weight": Evil(mark)}, found.folder / "cc_projection/diffusion_pytorch_model.bin")
    with pytest.raises(TurnaroundError, match="cannot be read"):
        load(found, on_cpu())
    assert not mark.exists()
    torch.load(found.folder / "cc_projection/diffusion_pytorch_model.bin", weights_only=False)
    assert mark.exists(), "it would have"


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_broken_configuration_is_named(content: str, tmp_path: Path):
    found = copied(ZERO123_XL, tmp_path)
    (found.folder / "unet/config.json").write_text(content)
    with pytest.raises(TurnaroundError, match=r"unet/config\.json .*fetches it again, or"):
        load(found, on_cpu())


def test_another_models_unet_is_refused(tmp_path: Path):
    found = copied(ZERO123_XL, tmp_path)
    config = json.loads((found.folder / "unet/config.json").read_text())
    plain = UNet2DConditionModel.from_config({**config, "in_channels": 4})
    assert isinstance(plain, UNet2DConditionModel)
    plain.save_pretrained(found.folder / "unet")
    with pytest.raises(TurnaroundError, match=r"not a Zero-1-to-3.*8 channels"):
        load(found, on_cpu())


# --- The cards' sources -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", sources(), ids=lambda source: f"{source.repository}@{source.revision[:7]}")
def test_each_source_names_what_loading_needs_and_no_more(source: Source):
    paths = [file.path for file in source.files]
    folders = [path.split("/")[0] for path in paths]
    camera = "clip_camera_projection" if "clip_camera_projection" in folders else "cc_projection"
    assert sorted(set(folders)) == sorted({"unet", "vae", "image_encoder", "scheduler", camera})
    assert len(set(paths)) == len(paths) == 9
    assert 2.4e9 < source.size_bytes < 5.1e9


def test_the_first_sources_are_pickle_free_and_pinned_where_a_pin_is_known():
    for weights in (ZERO123["threestudio"], ZERO123_XL, STABLE_ZERO123):
        assert not any(file.path.endswith(".bin") for file in weights.first.files)
    assert ZERO123_XL.first.pinned and STABLE_ZERO123.first.pinned
    assert all("Non-Commercial" in source.licence for source in STABLE_ZERO123.sources)
