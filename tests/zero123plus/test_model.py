"""Loading: from the real layouts, whole or not at all, and never anything that runs."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import tests.invs.tiny
from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.runtime.residency import Place
from pipelines.zero123plus.model import load
from pipelines.zero123plus.sources import PARAMETERS, WEIGHTS
from tests.own_code import brings_code
from tests.zero123plus.tiny import VOCABULARY


@pytest.fixture
def copy(weights_folder: Path, tmp_path: Path) -> dict[str, Path]:
    """Of both versions, to be damaged."""
    shutil.copytree(weights_folder / "sudo-ai", tmp_path / "copy")
    return {version: tmp_path / "copy" / f"zero123plus-{version}" for version in WEIGHTS}


def without(path: Path, key: str, replacement: Any = None) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    del tensors[key]
    if replacement is not None:
        tensors[key] = replacement
    save_file(tensors, path, metadata={"format": "pt"})


@pytest.mark.parametrize("version", WEIGHTS)
def test_the_tiny_weights_have_every_file_that_the_card_names(weights_folder: Path, version: str) -> None:
    source = WEIGHTS[version].first
    kept = {str(p.relative_to(weights_folder)) for p in weights_folder.rglob("*") if p.is_file()}
    named = {f"{source.repository}/{file.path}" for file in source.files}
    assert named == {path for path in kept if path.startswith(f"{source.repository}/")}


@pytest.mark.parametrize("version", WEIGHTS)
def test_both_versions_load_safetensors_and_pickles(weights_folder: Path, version: str, place: Place) -> None:
    parts = load(weights_folder / WEIGHTS[version].first.repository, place)
    assert parts.unet.conv_in.weight.shape[1] == 4 and not parts.unet.training
    assert parts.empty_prompt.shape == (1, 77, 16) and parts.ramp.shape == (77,)
    assert (parts.seen_by_vae.size_px, parts.seen_by_clip.size_px) == (512, 224)
    assert parts.seen_by_vae.std == (0.8, 0.8, 0.8)


def test_the_precision_is_the_places_and_the_vaes_always_full(weights_folder: Path) -> None:
    import torch

    half = Place(torch.device("cpu"), torch.bfloat16, "CPU, bfloat16")
    parts = load(weights_folder / "sudo-ai" / "zero123plus-v1.2", half)
    for part, dtype in ((parts.unet, half.dtype), (parts.vision_encoder, half.dtype), (parts.vae, torch.float32)):
        assert {tensor.dtype for tensor in part.parameters()} == {dtype}


def test_the_empty_prompt_begins_ends_and_is_padded_as_it_was_trained(weights_folder: Path, place: Place) -> None:
    """Stable Diffusion 2 pads with "!", as its special_tokens_map says; its tokenizer_config says otherwise."""
    import torch
    from transformers import CLIPTextModel

    folder = weights_folder / "sudo-ai" / "zero123plus-v1.2"
    start, end = VOCABULARY["<|startoftext|>"], VOCABULARY["<|endoftext|>"]
    tokens = torch.tensor([[start, end, *[VOCABULARY["!"]] * 75]])
    with torch.no_grad():
        expected = CLIPTextModel.from_pretrained(folder / "text_encoder")(tokens).last_hidden_state
    assert VOCABULARY["!"] == 0 and torch.equal(load(folder, place).empty_prompt, expected)


def test_loading_takes_no_chance(weights_folder: Path, place: Place) -> None:
    import torch

    before = torch.random.get_rng_state()
    load(weights_folder / "sudo-ai" / "zero123plus-v1.2", place)
    assert torch.equal(before, torch.random.get_rng_state())


def test_loading_can_be_cancelled_between_tensors(weights_folder: Path, place: Place) -> None:
    asked: list[int] = []

    def check() -> None:
        asked.append(len(asked))
        if stops and len(asked) == 50:
            raise Cancelled

    folder, stops = weights_folder / "sudo-ai" / "zero123plus-v1.2", False
    parts = load(folder, place, check)
    networks = (parts.unet, parts.vae, parts.vision_encoder)
    assert len(asked) > sum(len(list(network.parameters())) for network in networks)
    asked, stops = [], True
    with pytest.raises(Cancelled):
        load(folder, place, check)


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("unet/diffusion_pytorch_model.safetensors", "mid_block.attentions.0.transformer_blocks.0.attn1.to_k.weight"),
        ("vae/diffusion_pytorch_model.safetensors", "post_quant_conv.weight"),
        ("vision_encoder/model.safetensors", "visual_projection.weight"),
        ("text_encoder/model.safetensors", "text_model.final_layer_norm.bias"),
    ],
)
def test_a_missing_tensor_is_named(copy: dict[str, Path], place: Place, file: str, key: str) -> None:
    without(copy["v1.2"] / file, key)
    with pytest.raises(TurnaroundError) as told:
        load(copy["v1.2"], place)
    said = str(told.value)
    assert f"its file {file} lacks the tensor {key.removeprefix('text_model.')}" in said
    assert str(copy["v1.2"]) not in said, "the log has the server's paths"


def test_a_vae_with_the_names_of_2022_is_read_all_the_same(copy: dict[str, Path], place: Place) -> None:
    """Stable Diffusion's own VAE was saved before its attention's layers were renamed."""
    import torch

    path = copy["v1.2"] / "vae" / "diffusion_pytorch_model.safetensors"
    expected = load(copy["v1.2"], place).vae.state_dict()
    tests.invs.tiny.spell_as_in_2022(path)
    got = load(copy["v1.2"], place).vae.state_dict()
    assert got.keys() == expected.keys() and all(torch.equal(got[key], expected[key]) for key in got)


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("unet/diffusion_pytorch_model.safetensors", "conv_in.weight"),
        ("vision_encoder/model.safetensors", "visual_projection.weight"),
    ],
)
def test_a_tensor_of_another_size_is_named(copy: dict[str, Path], place: Place, file: str, key: str) -> None:
    import torch

    without(copy["v1.2"] / file, key, torch.zeros(3, 3))
    with pytest.raises(TurnaroundError, match=key):
        load(copy["v1.2"], place)


@pytest.mark.parametrize("version", WEIGHTS)
@pytest.mark.parametrize("part", PARAMETERS)
@pytest.mark.parametrize("keep", [0, 100, 2000])
def test_a_truncated_file_is_told(copy: dict[str, Path], place: Place, version: str, part: str, keep: int) -> None:
    (path,) = [p for p in (copy[version] / part).iterdir() if p.suffix != ".json"]
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TurnaroundError, match=part):
        load(copy[version], place)


class Sly:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("part", PARAMETERS)
def test_a_pickle_with_code_in_it_is_refused_and_does_not_run(
    copy: dict[str, Path], place: Place, tmp_path: Path, part: str
) -> None:
    import torch

    (path,) = (copy["v1.1"] / part).glob("*.bin")
    torch.save({"conv_in.weight": torch.zeros(1), "sly": Sly(tmp_path / "it ran")}, path)
    with pytest.raises(TurnaroundError, match=part):
        load(copy["v1.1"], place)
    assert not (tmp_path / "it ran").exists()


def test_code_in_its_folder_does_not_run(copy: dict[str, Path], place: Place, tmp_path: Path) -> None:
    for config in list(copy["v1.2"].glob("*/config.json")):
        brings_code(config.parent, canary=tmp_path / "it ran")
    assert load(copy["v1.2"], place)
    assert not (tmp_path / "it ran").exists()


@pytest.mark.parametrize("file", ["model_index.json", "scheduler/scheduler_config.json"])
@pytest.mark.parametrize("content", [None, "{", '{"ramping_coefficients": [1, 2]}'])
def test_a_damaged_configuration_is_told(copy: dict[str, Path], place: Place, file: str, content: str | None) -> None:
    path = copy["v1.2"] / file
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    if content and content.endswith("}") and file.startswith("scheduler"):
        load(copy["v1.2"], place)  # JSON as it should be; what is missing has defaults
    else:
        with pytest.raises(TurnaroundError, match=path.name):
            load(copy["v1.2"], place)


def test_how_bright_a_picture_must_be_is_read_of_one_number_or_three_and_of_nothing_else(
    copy: dict[str, Path], place: Place
) -> None:
    path = copy["v1.2"] / "feature_extractor_vae" / "preprocessor_config.json"
    for told, read in ((0.5, (0.5,) * 3), ([0.1, 0.2, 0.3], (0.1, 0.2, 0.3))):
        path.write_text(json.dumps({"image_mean": told, "image_std": 1, "size": 224}))
        assert load(copy["v1.2"], place).seen_by_vae.mean == read
    for wrong in (None, [0.5], "0.5", {}):
        path.write_text(json.dumps({"image_mean": wrong, "image_std": 1, "size": 224}))
        with pytest.raises(TurnaroundError, match="how bright"):
            load(copy["v1.2"], place)


@pytest.mark.parametrize(
    ("given", "size_px"),
    [
        ({"size": 224}, 224),
        ({"size": {"shortest_edge": 256}}, 256),
        ({"size": {"height": 320, "width": 320}, "do_center_crop": False, "crop_size": 9}, 320),
        ({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}, 224),
        ({"size": {"shortest_edge": 0}}, None),
        ({}, None),
    ],
)
def test_the_sizes_of_pictures_are_read_in_every_spelling(
    copy: dict[str, Path], place: Place, given: dict[str, Any], size_px: int | None
) -> None:
    path = copy["v1.2"] / "feature_extractor_vae" / "preprocessor_config.json"
    path.write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.8] * 3, **given}))
    if size_px:
        assert load(copy["v1.2"], place).seen_by_vae.size_px == size_px
    else:
        with pytest.raises(TurnaroundError, match="how large"):
            load(copy["v1.2"], place)
