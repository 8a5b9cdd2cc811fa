"""Networks from files, never programs: a model's folder may bring code of its own, and none of it runs."""

from pathlib import Path

import pytest

from pipelines.runtime.places import Place
from pipelines.runtime.tensors import pretrained
from tests.own_code import brings_code


@pytest.mark.parametrize("kind", ["CLIPTextModel", "AutoModel"])
def test_code_in_a_models_folder_does_not_run(kind: str, tmp_path: Path) -> None:
    """Of a class that is told by name, and of one that looks into the folder for what it should be."""
    import torch
    import transformers

    config = transformers.CLIPTextConfig(
        vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    transformers.CLIPTextModel(config).save_pretrained(tmp_path / "text_encoder")
    brings_code(tmp_path / "text_encoder", canary=tmp_path / "it ran")
    place = Place(torch.device("cpu"), torch.float32, "CPU, float32")
    network = pretrained(getattr(transformers, kind), tmp_path / "text_encoder", place)
    assert type(network) is transformers.CLIPTextModel and not (tmp_path / "it ran").exists()
