"""Inpainters as they were published: the files of 2022 differ from those that the libraries write today."""

import json
from pathlib import Path

import pytest
import torch

from pipelines.invs.loading import Inpainter, load_depth, load_inpainter
from pipelines.invs.sources import DEPTH_ANYTHING, INPAINTER
from pipelines.runtime.residency import Place
from pipelines.runtime.weights import Fetched
from tests.invs import tiny
from tests.own_code import brings_code

HERE = Place(torch.device("cpu"), torch.float32, "CPU, float32")


def loaded(folder: Path) -> Inpainter:
    return load_inpainter(Fetched(folder, INPAINTER.first, "local"), HERE)


def test_a_vae_with_the_names_of_2022_is_read_all_the_same(tmp_path: Path):
    tiny.inpainter(tmp_path)
    today = loaded(tmp_path).vae.state_dict()
    tiny.spell_as_in_2022(tmp_path / "vae" / "diffusion_pytorch_model.fp16.safetensors")
    then = loaded(tmp_path).vae.state_dict()
    assert then.keys() == today.keys() and all(torch.equal(then[name], today[name]) for name in today)


@pytest.mark.parametrize(("version", "latent_px"), [("0.6.0.dev0", 64), ("0.8.0", 64), ("0.9.0", 16), (None, 16)])
def test_it_paints_at_the_size_it_was_trained_for_though_files_of_2022_say_less(
    tmp_path: Path, version: str | None, latent_px: int
):
    tiny.inpainter(tmp_path)
    file = tmp_path / "unet" / "config.json"
    told = json.loads(file.read_text())
    assert told.pop("_diffusers_version") and told["sample_size"] == 16
    file.write_text(json.dumps(told | ({"_diffusers_version": version} if version else {})))
    assert loaded(tmp_path).side_px == latent_px * tiny.SIDE_PX // tiny.LATENT_PX


@pytest.mark.parametrize("prefix", ["text_model.", ""])
def test_a_text_encoder_is_read_in_the_spelling_of_before_and_of_today(tmp_path: Path, prefix: str):
    tiny.inpainter(tmp_path)
    asked = loaded(tmp_path).told("a photo")
    tiny.spell_text_encoder(tmp_path / "text_encoder" / "model.fp16.safetensors", prefix)
    assert torch.equal(loaded(tmp_path).told("a photo"), asked)


def test_loading_stops_between_any_two_tensors_of_the_inpainter(tmp_path: Path):
    tiny.inpainter(tmp_path)
    found, asked = Fetched(tmp_path, INPAINTER.first, "local"), 0

    def count() -> None:
        nonlocal asked
        asked += 1

    parts = load_inpainter(found, HERE, count)
    networks = (parts.unet, parts.vae, parts.text_encoder)
    assert asked == sum(len(list(network.parameters())) for network in networks)


def test_code_in_a_models_folder_does_not_run(tmp_path: Path) -> None:
    import transformers

    tiny.depth_anything(tmp_path / "depth")
    brings_code(tmp_path / "depth", canary=tmp_path / "it ran")
    network = load_depth(Fetched(tmp_path / "depth", DEPTH_ANYTHING.first, "local"), False, HERE).module
    assert type(network) is transformers.DepthAnythingForDepthEstimation and not (tmp_path / "it ran").exists()
