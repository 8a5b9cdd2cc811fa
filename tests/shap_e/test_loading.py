"""Both layouts of the repository load, and nothing that is not whole does."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.runtime.report import Report
from pipelines.runtime.residency import Place
from pipelines.runtime.weights import located
from pipelines.shap_e.loading import Parts, checked_renderer, load
from pipelines.shap_e.sources import MAIN, PULL_REQUEST, SHAP_E
from tests.shap_e import tiny

SAFE = "shap_e_renderer/diffusion_pytorch_model.fp16.safetensors"
PICKLED = "shap_e_renderer/diffusion_pytorch_model.bin"
PRIOR = "prior/diffusion_pytorch_model.fp16.safetensors"
ENCODER = "image_encoder/model.fp16.safetensors"


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    return shutil.copytree(repository, tmp_path / "copy")


def changed(file: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(file)
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    change(tensors)
    save_file(tensors, file)


def test_parts_are_in_their_precision_and_the_renderer_always_in_full(repository: Path):
    place = Place(torch.device("cpu"), torch.bfloat16, "CPU, bfloat16")
    parts = load(repository, place)
    for module, dtype in ((parts.prior, place.dtype), (parts.encoder, place.dtype), (parts.projector, torch.float32)):
        assert {p.dtype for p in module.parameters()} == {dtype}
        assert not any(p.requires_grad or p.is_meta for p in module.parameters()) and not module.training
    assert {tensor.dtype for tensor in parts.mlp.values()} == {torch.float32}
    assert parts.schedule["beta_schedule"] == "exp" and parts.picture_px == 224


def test_weights_arrive_where_their_names_say(repository: Path, parts: Parts):
    prior, encoder = load_file(repository / PRIOR), load_file(repository / ENCODER)
    renderer = load_file(repository / SAFE)
    for tensors, prefix, module in (
        (prior, "", parts.prior),
        (encoder, "vision_model.", parts.encoder),
        (renderer, "params_proj.", parts.projector),
    ):
        for name, tensor in module.state_dict().items():
            assert torch.equal(tensor, tensors[prefix + name].float()), name
    for name, tensor in parts.mlp.items():
        assert torch.equal(tensor, renderer[f"mlp.{name}"].float()), name


def test_mains_pickled_renderer_is_the_same_one(parts: Parts, on_cpu: Place, tmp_path: Path):
    tiny.write_repository(tmp_path, pickled_renderer=True)
    assert (tmp_path / PICKLED).is_file() and not (tmp_path / SAFE).exists()
    pickled = load(tmp_path, on_cpu)
    for name, tensor in parts.mlp.items():
        assert torch.allclose(tensor, pickled.mlp[name], atol=1e-2), name  # float16 against float32


def test_the_pickle_free_set_is_looked_for_first(repositories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert [source.revision for source in SHAP_E.sources] == [PULL_REQUEST, MAIN]
    assert not [file for file in SHAP_E.first.files if not file.path.endswith((".safetensors", ".json"))]
    found = located(SHAP_E)
    assert found and found.source == SHAP_E.first
    tiny.write_repository(tmp_path / "openai" / "shap-e-img2img", pickled_renderer=True)
    monkeypatch.setenv("TURNAROUND_WEIGHTS", str(tmp_path))
    found = located(SHAP_E)
    assert found and found.source.revision == MAIN


def test_no_file_of_the_legacy_renderer_is_ever_asked_for():
    paths = {file.path for source in SHAP_E.sources for file in source.files}
    assert not [path for path in paths if path.startswith("renderer/")]


def test_the_legacy_renderer_is_refused_even_in_the_right_place(copy: Path, on_cpu: Place):
    def without_tables(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["mesh_decoder.cases"], tensors["mesh_decoder.masks"]

    changed(copy / SAFE, without_tables)
    with pytest.raises(TurnaroundError, match=r"mesh_decoder\.cases.*makes no meshes.*fetch shap_e"):
        load(copy, on_cpu)


@pytest.mark.parametrize("table", ["mesh_decoder.cases", "mesh_decoder.masks"])
def test_tables_of_zeros_are_a_damaged_download(copy: Path, table: str):
    changed(copy / SAFE, lambda tensors: tensors[table].zero_())
    with pytest.raises(TurnaroundError, match=r"damaged.*all zeros"):
        checked_renderer(copy)


@pytest.mark.parametrize(
    ("file", "tensor", "told_as"),
    [
        (PRIOR, "transformer_blocks.1.ff.net.2.weight", "transformer_blocks.1.ff.net.2.weight"),
        (ENCODER, "vision_model.embeddings.class_embedding", "embeddings.class_embedding"),
        (SAFE, "params_proj.projections.nerstf__mlp__3__weight.proj.bias", "projections.nerstf__mlp__3__weight"),
        (SAFE, "mlp.mlp.6.bias", "mlp.6.bias"),
    ],
)
def test_a_missing_tensor_is_named_and_a_wrong_shape_too(
    copy: Path, on_cpu: Place, file: str, tensor: str, told_as: str
):
    shutil.copy(copy / file, copy / "whole")
    changed(copy / file, lambda tensors: tensors.pop(tensor))
    with pytest.raises(TurnaroundError, match=told_as) as lacking:
        load(copy, on_cpu)
    assert "lacks" in str(lacking.value)
    shutil.copy(copy / "whole", copy / file)
    changed(copy / file, lambda tensors: tensors.update({tensor: tensors[tensor][:3]}))
    with pytest.raises(TurnaroundError, match=told_as) as misfit:
        load(copy, on_cpu)
    assert "in the size 3" in str(misfit.value)


@pytest.mark.parametrize("file", [PRIOR, ENCODER, SAFE, "scheduler/scheduler_config.json", "prior/config.json"])
def test_a_torn_or_absent_file_is_named(copy: Path, on_cpu: Place, file: str):
    whole = (copy / file).read_bytes()
    (copy / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TurnaroundError, match=Path(file).name):
        load(copy, on_cpu)
    (copy / file).unlink()
    with pytest.raises(TurnaroundError, match=Path(file).name.split(".")[0]):
        load(copy, on_cpu)


def test_a_pickle_that_would_run_something_does_not(on_cpu: Place, tmp_path: Path):
    tiny.write_repository(tmp_path, pickled_renderer=True)
    torch.save({"mesh_decoder.cases": Evil(tmp_path / "ran")}, tmp_path / PICKLED)
    with pytest.raises(TurnaroundError, match="cannot be read"):
        load(tmp_path, on_cpu)
    assert not (tmp_path / "ran").exists()


class Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def test_loading_can_be_cancelled(repository: Path, on_cpu: Place):
    report = Report()
    report.cancelled.set()
    with pytest.raises(Cancelled):
        load(repository, on_cpu, report.check)
