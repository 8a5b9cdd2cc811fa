"""Inpainters as they were published: the files of 2022 differ from those that the libraries write today."""

import json
from pathlib import Path

import pytest
import torch

from pipelines.invs.loading import Inpainter, load_inpainter
from pipelines.invs.sources import INPAINTER
from pipelines.runtime.residency import Place
from pipelines.runtime.weights import Fetched
from tests.invs import tiny


def loaded(folder: Path) -> Inpainter:
    place = Place(torch.device("cpu"), torch.float32, "CPU, float32")
    return load_inpainter(Fetched(folder, INPAINTER.first, "local"), place)


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
