"""The network compiled ahead of time: the same answers, of whichever numbers and to whichever questions."""

import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from bench.sv3d_ways import fused
from pipelines.core.cameras import orbit
from pipelines.core.errors import TurnaroundError
from pipelines.runtime import residency
from pipelines.runtime.method import Request, options_from
from pipelines.runtime.report import Report
from pipelines.runtime.telling import audible
from pipelines.sv3d import SV3DP, ahead
from pipelines.sv3d.ahead import Asked, Quick, compile_each, compile_where_it_pays, compiled_for, exported, numbers_of
from pipelines.sv3d.cameras import sine
from pipelines.sv3d.keys import UNET
from pipelines.sv3d.loading import Parts, _builders
from pipelines.sv3d.network import equip
from pipelines.sv3d.sampling import Sampling, camera_numbers, draw, see
from tests.sv3d import tiny
from tests.sv3d.conftest import loaded
from tests.toy_methods import a_subject

COMPILER = shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")
CLOSE = 1e-4  # of the largest number


def apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


FLAT = {  # two blocks where there are eight: compiling takes a third of the time
    "down_block_types": ("CrossAttnDownBlockSpatioTemporal",),
    "up_block_types": ("CrossAttnUpBlockSpatioTemporal",),
    "block_out_channels": (32,),
    "num_attention_heads": (2,),
    "layers_per_block": 1,
}


@pytest.fixture
def own(tmp_path: Path) -> Parts:
    """Nobody else's, as what is kept beside it is found by runs."""
    parts = loaded(tmp_path, "p")
    sizes = replace(parts.sizes, unet=parts.sizes.unet | FLAT)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        unet = audible(equip(_builders(sizes)[UNET]().eval().requires_grad_(False)))
    return replace(parts, unet=unet, sizes=sizes)


def others(unet: nn.Module) -> dict[str, Tensor]:
    """Other numbers, such as another kind of SV3D or another training has."""
    return {name: 0.9 * value + 0.01 for name, value in unet.state_dict().items()}


def test_what_is_exported_keeps_nothing_of_the_run_that_it_was_made_from(own: Parts):
    given, plain = ahead._example(own, 1), Asked(own.unet)
    program, numbers = exported(plain, given), numbers_of(plain)
    assert set(program.constants) == set(program.state_dict) == set()
    asked = (1.3 * given[0], torch.tensor(-0.4), 0.5 * given[2], [answer.flip(-1) for answer in given[3]])
    with torch.no_grad():
        for of_this_run in (given, asked):
            assert apart(program.module()(numbers, of_this_run), plain(*of_this_run)) < CLOSE
        assert apart(plain(*asked), plain(*given)) > 0.05  # the question matters


def test_both_kinds_are_served_by_the_same_file(parts: Parts, parts_u: Parts, tmp_path: Path):
    of_p, of_u = (ahead._file(replace(each, kept=tmp_path), 2) for each in (parts, parts_u))
    assert of_p == of_u != ahead._file(replace(parts, kept=tmp_path), 1)
    assert {*numbers_of(Asked(parts.unet))} == {*numbers_of(Asked(parts_u.unet))}
    same = zip(ahead._example(parts, 2)[:3], ahead._example(parts_u, 2)[:3], strict=True)
    assert all(one.shape == other.shape for one, other in same)


def drawn_by(parts: Parts, guidance: float = 2.5, at_once: int = 2, quick: Quick | None = None) -> Tensor:
    chance, frames = torch.Generator().manual_seed(3), parts.sizes.frames
    picture = torch.rand(1, 3, parts.sizes.side_px, parts.sizes.side_px, generator=chance) * 2 - 1
    seen = see(parts, picture, torch.randn(picture.shape, generator=chance))
    noise = torch.randn(frames, 4, parts.sizes.latent_px, parts.sizes.latent_px, generator=chance)
    numbers, chosen = camera_numbers(sine(10, frames), frames), Sampling(3, guidance)
    return draw(parts, seen, numbers, noise, chosen, at_once, quick=quick or Quick(parts))


@pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler, such as g++")
def test_compiled_it_draws_the_same_wherever_its_numbers_lie_and_whatever_they_are(
    own: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    expected = drawn_by(own, at_once=1)
    assert compiled_for(own, 1) is None
    monkeypatch.setattr(ahead, "PAYS", 0.0)  # whether it does is not for a test
    told = compile_where_it_pays(own, 1, Report())
    assert "times as fast here: it is used" in told and [file.suffix for file in own.kept.glob("unet-1-*")] == [".pt2"]
    assert "is compiled already" in compile_where_it_pays(own, 1, Report())

    users = torch._C._storage_Use_Count(own.unet.conv_in.weight.untyped_storage()._cdata)
    one, two = Quick(own), Quick(own)
    assert apart(drawn_by(own, at_once=1, quick=one), expected) < CLOSE and one.used
    drawn_by(own, at_once=2, quick=two)  # of two videos at once nothing was compiled
    assert one.place().name == "CPU (compiled), float32" and two.place() == own.place

    # Of what it is given it keeps nothing: the network's memory is free once that leaves
    del one, two
    assert torch._C._storage_Use_Count(own.unet.conv_in.weight.untyped_storage()._cdata) == users

    # Other numbers, elsewhere in memory: as of the other kind, or of a network that stepped aside meanwhile
    own.unet.load_state_dict(others(own.unet), assign=True)
    by_compiled = drawn_by(own, guidance=1.0)
    file = next(own.kept.glob("unet-1-*"))
    aside = file.rename(file.with_suffix(".aside"))
    by_itself = drawn_by(own, guidance=1.0)
    assert apart(by_compiled, by_itself) < CLOSE and apart(by_itself, expected) > 0.01

    # Of another machine or another network it is not used, and what is damaged neither
    aside.rename(file)
    assert compiled_for(replace(own, place=replace(own.place, device=torch.device("cuda"))), 1) is None  # not there yet
    assert compiled_for(replace(own, sizes=replace(own.sizes, frames=9)), 1) is None
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 3] ^= 0xFF  # as of a failing disk: the system's loader would end the process
    for damaged in (whole, whole[:-1000], b"PK no package"):
        file.write_bytes(damaged)
        ahead._loaded.clear()  # as after a restart
        assert torch.equal(drawn_by(own, guidance=1.0), by_itself)
    assert caplog.text.count("could not be loaded") == 3


@pytest.fixture
def as_if_compiled(own: Parts, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """In place of torch's compiler, which takes long: what it would have made is the network, its answers changed."""
    made: dict[str, Any] = {"answer": lambda exact: exact, "unet": own.unet}

    class Compiled:
        def __call__(self, numbers: dict[str, Tensor], given: Any) -> Tensor:
            return made["answer"](functional_call(Asked(made["unet"]), numbers, given))

    def compile(program: Any, package_path: str, **_: Any) -> None:
        zipfile.ZipFile(package_path, "w").close()

    monkeypatch.setattr(torch.export, "export", lambda *_, **__: None)
    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", compile)
    monkeypatch.setattr(torch._inductor, "aoti_load_package", lambda *_, **__: Compiled())
    yield made


def test_what_does_not_pay_or_answers_otherwise_is_not_kept(
    own: Parts, as_if_compiled: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ahead, "PAYS", 100.0)
    assert "times as fast here: it is not kept" in compile_where_it_pays(own, 2, Report())
    for wrong in (lambda exact: 1.2 * exact, lambda exact: exact * float("nan")):
        as_if_compiled["answer"] = wrong
        assert "come out otherwise" in compile_where_it_pays(own, 1, Report())
    assert not list(own.kept.glob("*.pt2"))


def raising(reason: str) -> Callable[..., Any]:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError(reason)

    return fails


def test_what_fails_in_the_middle_of_a_run_is_left_alone(
    own: Parts, as_if_compiled: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    expected = drawn_by(own)
    monkeypatch.setattr(ahead, "PAYS", 0.0)
    compile_where_it_pays(own, 2, Report())
    as_if_compiled["answer"] = raising("run_func_(...) API call failed")
    assert torch.equal(drawn_by(own), expected) and caplog.text.count("is left alone") == 1


def test_a_result_says_whether_it_was_compiled(
    tmp_path: Path, as_if_compiled: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    tiny.write(tmp_path)
    for name, value in (("WEIGHTS", tmp_path), ("DATA", tmp_path / "data"), ("DEVICE", "cpu")):
        monkeypatch.setenv(f"TURNAROUND_{name}", str(value))
    monkeypatch.setattr(ahead, "PAYS", 0.0)
    method = SV3DP()
    options = options_from(method.Options, {"steps": 10, "guidance": 1.0})

    def device() -> str:
        made = method(Request(a_subject(64), orbit(4, 10), 0, options, 64), Report())
        assert made.provenance
        return made.provenance.device

    try:
        before = device()
        with method._model(lambda: None, Report()) as parts:
            as_if_compiled["unet"] = parts.unet
            compile_where_it_pays(parts, 1, Report())
        assert "compiled" not in before and device() == before.replace(",", " (compiled),")
    finally:
        residency.forget_idle()


def test_without_a_compiler_it_says_so(own: Parts, monkeypatch: pytest.MonkeyPatch):
    none = raising("No working C++ compiler found\nand more")
    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", none)
    with pytest.raises(TurnaroundError, match=r"here: No working C\+\+ compiler found\. It works without"):
        compile_where_it_pays(own, 1, Report())
    assert not list(own.kept.glob("*.p*"))


def test_whatever_goes_wrong_after_compiling_is_told_in_words(
    own: Parts, as_if_compiled: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    as_if_compiled["answer"] = fails = raising("CUDA out of memory. Tried to allocate 2.00 GiB.\nand more")
    for where in ("asking", "loading"):
        if where == "loading":
            monkeypatch.setattr(torch._inductor, "aoti_load_package", fails)
        with pytest.raises(TurnaroundError, match=r"compiled here: CUDA out of memory\. .* It works without"):
            compile_where_it_pays(own, 2, Report())
    assert not list(own.kept.glob("*.p*"))


def test_where_two_videos_at_once_cannot_be_compiled_one_is_all_the_same(
    own: Parts, as_if_compiled: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ahead, "PAYS", 0.0)
    largest = 2

    def narrow(exact: Tensor) -> Tensor:
        if len(exact) >= largest:
            raise RuntimeError("CUDA out of memory.")
        return exact

    as_if_compiled["answer"] = narrow
    example, met_with = ahead._example, list[Any]()

    def watched(parts: Parts, videos: int) -> Any:
        assert not any(latents() is not None for latents in met_with), "nothing of the try that failed is in memory"
        given = example(parts, videos)
        met_with.append(ref(given[0]))
        return given

    monkeypatch.setattr(ahead, "_example", watched)
    monkeypatch.setattr(ahead.log, "disabled", True)  # what pytest catches of it, it keeps, with all that was met
    told = compile_each(own, (2, 1), Report())
    assert "out of memory" in told[0] and "1 video at once go" in told[1]
    assert [file.name[:7] for file in own.kept.glob("*.pt2")] == ["unet-1-"]
    (kept,) = own.kept.glob("*.pt2")
    kept.unlink()
    largest = 1
    with pytest.raises(TurnaroundError, match="out of memory"):
        compile_each(own, (2, 1), Report())


def test_what_was_compiled_is_not_given_the_numbers_of_a_network_that_was_changed(own: Parts):
    before = ahead._file(own, 2)
    with fused(own):
        assert ahead._file(own, 2) != before
    assert ahead._file(own, 2) == before
    own.unet.conv_in.to(memory_format=torch.channels_last)
    assert ahead._file(own, 2) != before


def test_a_processor_compiles_nothing_and_fetches_nothing_for_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TURNAROUND_DEVICE", "cpu")
    with pytest.raises(TurnaroundError, match="for GPUs"):
        SV3DP().compile_ahead(Report())
