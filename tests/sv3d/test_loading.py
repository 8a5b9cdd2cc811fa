"""From the authors' checkpoint in one file, and from what is kept of it in half precision; what is wrong is said."""

import json
import os
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.runtime.report import Report
from pipelines.runtime.residency import Place
from pipelines.sv3d.keys import OTHER_DECODER, OWN_DECODER
from pipelines.sv3d.loading import ABOUT, OLD_S, Parts, as_the_authors_run_it, load
from tests.sv3d import tiny
from tests.sv3d.conftest import CPU, fetched

DIFFUSION, FIRST_STAGE = "model.diffusion_model.", "first_stage_model."
ENCODER, VISUAL = "conditioner.embedders.1.encoder.", "conditioner.embedders.0.open_clip.model.visual."
IN_PROJ, LAST_BIAS = f"{VISUAL}transformer.resblocks.1.attn.in_proj_weight", f"{DIFFUSION}out.2.bias"
LAYER = "vision_model.encoder.layers.1"
NAMES = ["image_encoder.safetensors", "unet.safetensors", "vae.safetensors"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole checkpoint, and beside it what is kept of it."""
    file = tmp_path_factory.mktemp("written") / "models" / "sv3d_p.safetensors"
    tiny.write_checkpoint(file)
    loaded(file)
    return file


@pytest.fixture
def original(written: Path, tmp_path: Path) -> Path:
    """The same, of which nothing is kept yet."""
    file = tmp_path / "models" / written.name
    file.parent.mkdir()
    return Path(shutil.copy2(written, file))


@pytest.fixture
def ready(original: Path, written: Path) -> Path:
    """The same, with what is kept of it."""
    shutil.copytree(written.parent / "kept", original.parent / "kept")
    return original


@pytest.fixture(scope="module")
def right(written: Path) -> dict[str, Tensor]:
    return numbers(loaded(written))


@pytest.fixture
def precise(tmp_path: Path) -> Path:
    """In float32, as the authors published it, with numbers that half precision rounds."""
    file = tmp_path / "models" / "sv3d_p.safetensors"
    file.parent.mkdir()
    rewrite(file, {name: tiny.number(name, shape) for name, shape in tiny.TINY.items()})
    return file


def loaded(file: Path, check: Callable[[], None] = lambda: None) -> Parts:
    return load(fetched(file), CPU, file.parent / "kept", check)


def rewrite(file: Path, tensors: dict[str, Tensor], tells: dict[str, Any] = tiny.TELLS) -> None:
    save_file(tensors, file, metadata={"format": "pt", ABOUT: json.dumps(tells)})


def kept(file: Path) -> list[Path]:
    """Every file that is kept, be it hidden or half."""
    return sorted(path for path in (file.parent / "kept").rglob("*") if not path.is_dir())


def stored(name: str, kind: str = "p") -> Tensor:
    return tiny.number(name, tiny.shapes(kind)[name]).half().float()


def numbers(parts: Parts) -> dict[str, Tensor]:
    modules = {"unet": parts.unet, "vae": parts.vae, "image_encoder": parts.image_encoder}
    return {
        f"{part}.{name}": tensor for part, module in modules.items() for name, tensor in module.state_dict().items()
    }


def alike(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(tensor.equal(other[name]) for name, tensor in one.items())


# --- The numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["p", "u"])
def test_both_models_load_with_the_numbers_that_are_in_the_file(parts: Parts, parts_u: Parts, kind: str):
    those = parts if kind == "p" else parts_u
    found = numbers(those)
    assert those.takes_angles == (kind == "p")
    assert found["unet.add_embedding.linear_1.weight"].equal(stored(tiny.ANGLES, kind))
    assert found["unet.conv_in.weight"].equal(stored(f"{DIFFUSION}input_blocks.0.0.weight"))
    assert found["vae.quant_conv.bias"].equal(stored(f"{ENCODER}quant_conv.bias"))
    assert found["image_encoder.visual_projection.weight"].equal(stored(f"{VISUAL}proj").T)
    for i, letter in enumerate("qkv"):
        rows = slice(32 * i, 32 * (i + 1))
        assert found[f"image_encoder.{LAYER}.self_attn.{letter}_proj.weight"].equal(stored(IN_PROJ)[rows])
    attention = stored(f"{FIRST_STAGE}decoder.mid.attn_1.q.weight")
    assert attention.shape[2:] == (1, 1)
    assert found["vae.decoder.mid_block.attentions.0.to_q.weight"].equal(attention[:, :, 0, 0])
    coarsest = stored(f"{FIRST_STAGE}decoder.up.2.block.1.conv1.weight")
    assert found["vae.decoder.up_blocks.0.resnets.1.conv1.weight"].equal(coarsest)


def test_large_parts_take_half_precision_and_the_vae_all_of_it(original: Path):
    place = Place(torch.device("cpu"), torch.bfloat16, "CPU, bfloat16")
    parts = load(fetched(original), place, original.parent / "kept")
    assert parts.place == place
    assert parts.unet.dtype == parts.image_encoder.dtype == torch.bfloat16 and parts.vae.dtype == torch.float32
    for module in (parts.unet, parts.vae, parts.image_encoder):
        assert not module.training and not any(tensor.requires_grad for tensor in module.parameters())


def test_on_a_gpu_its_half_precision_is_its_authors_unless_a_setting_says_otherwise(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TURNAROUND_PRECISION", "auto")
    gpu = Place(torch.device("cuda:0"), torch.bfloat16, "A GPU, bfloat16")
    assert as_the_authors_run_it(gpu) == Place(gpu.device, torch.float16, "A GPU, float16")
    cpu = Place(torch.device("cpu"), torch.bfloat16, "CPU, bfloat16")
    assert as_the_authors_run_it(cpu) == cpu
    monkeypatch.setenv("TURNAROUND_PRECISION", "bfloat16")
    assert as_the_authors_run_it(gpu) == gpu


def test_decoders_that_differ_are_logged_and_the_first_stages_is_used(original: Path, caplog: pytest.LogCaptureFixture):
    bias = numbers(loaded(original))["vae.decoder.conv_out.bias"]
    assert sum("two decoders that differ" in text for text in caplog.messages) == 1
    assert bias.equal(stored(f"{OWN_DECODER}conv_out.bias"))
    assert not bias.equal(stored(f"{OTHER_DECODER}conv_out.bias"))


@pytest.mark.parametrize("other", ["equal", "absent"])
def test_of_equal_decoders_and_of_a_single_one_nothing_is_logged(
    other: str, original: Path, caplog: pytest.LogCaptureFixture
):
    tensors = load_file(original)
    for name in [name for name in tensors if name.startswith(OTHER_DECODER)]:
        del tensors[name]
        if other == "equal":
            tensors[name] = tensors[name.replace(OTHER_DECODER, OWN_DECODER)].clone()
    rewrite(original, tensors)
    loaded(original)
    assert not caplog.messages


def test_loading_draws_nothing_from_torchs_own_chance(original: Path):
    before = torch.random.get_rng_state()
    for _ in range(2):
        loaded(original)
        assert torch.equal(before, torch.random.get_rng_state())


# --- What is kept in half precision -----------------------------------------------------------------------------------


def test_the_first_load_keeps_half_of_the_file_in_half_precision(precise: Path):
    parts = loaded(precise)
    files = kept(precise)
    assert [file.name for file in files] == NAMES
    assert 0.4 < sum(file.stat().st_size for file in files) / precise.stat().st_size < 0.52
    for file in files:
        module = getattr(parts, file.stem)
        tensors = load_file(file)
        assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
        assert all(tensors[name].float().equal(tensor) for name, tensor in module.named_parameters())
    assert parts.unet.conv_out.bias.equal(stored(LAST_BIAS))


def test_later_loads_read_no_number_of_the_original(ready: Path, right: dict[str, Tensor]):
    times = [file.stat().st_mtime_ns for file in kept(ready)]
    before = ready.stat()
    with ready.open("r+b") as file:
        start = 8 + int.from_bytes(file.read(8), "little")  # behind the header
        file.seek(start)
        file.write(bytes(before.st_size - start))
    os.utime(ready, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not any(tensor.any() for tensor in load_file(ready).values())
    assert alike(numbers(loaded(ready)), right)
    assert [file.stat().st_mtime_ns for file in kept(ready)] == times, "nor is anything written again"


class Stop:
    """Cancels a little after so many files are kept."""

    def __init__(self, file: Path, done: int) -> None:
        self.file, self.done, self.calls_left = file, done, 5

    def __call__(self) -> None:
        if len(kept(self.file)) == self.done:
            self.calls_left -= 1
        if not self.calls_left:
            raise Cancelled


@pytest.mark.parametrize("done", [0, 1, 2])
def test_after_an_interruption_only_whole_files_are_kept_and_the_next_load_goes_on(
    done: int, original: Path, written: Path, right: dict[str, Tensor]
):
    with pytest.raises(Cancelled):
        loaded(original, Stop(original, done))
    whole = {file.name: load_file(file) for file in kept(written)}
    files, times = kept(original), [file.stat().st_mtime_ns for file in kept(original)]
    assert len(files) == done and all(alike(load_file(file), whole[file.name]) for file in files)
    if files:
        left = files[0].with_name(".0123456789abcdef.part.safetensors")
        left.write_bytes(b"as a killed process leaves it")
        long_ago = time.time() - 2 * OLD_S
        os.utime(left, (long_ago, long_ago))
    assert alike(numbers(loaded(original)), right)
    assert [file.name for file in kept(original)] == NAMES
    assert [file.stat().st_mtime_ns for file in files] == times, "what was there already stays"


def test_what_a_killed_process_left_goes_although_all_files_are_there(original: Path):
    loaded(original)
    left, long_ago = kept(original)[0].with_name(".0123456789abcdef.part.safetensors"), time.time() - 2 * OLD_S
    left.write_bytes(b"as a killed process leaves it")
    os.utime(left, (long_ago, long_ago))
    loaded(original)
    assert [file.name for file in kept(original)] == NAMES and not left.exists()


def test_loading_can_be_cancelled(original: Path, written: Path):
    report = Report()
    report.cancelled.set()
    for file in (original, written):
        with pytest.raises(Cancelled):
            loaded(file, report.check)
    assert not kept(original)


def test_where_nothing_can_be_kept_the_original_is_read_each_time(precise: Path, caplog: pytest.LogCaptureFixture):
    in_the_way = precise.parent / "kept"
    in_the_way.write_text("mine")
    assert_precise(loaded(precise))
    (text,) = (text for text in caplog.messages if "half precision" in text)
    assert text.startswith("sv3d_p.safetensors is not kept") and "its place cannot be written to" in text
    assert in_the_way.read_text() == "mine"


def test_when_the_disk_is_full_the_original_is_read_and_no_half_file_stays(
    precise: Path, caplog: pytest.LogCaptureFixture
):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))  # the image encoder is smaller, the autoencoder is not
    try:
        parts = loaded(precise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_precise(parts)
    assert [file.name for file in kept(precise)] == ["image_encoder.safetensors"]
    assert any("the disk is full" in text for text in caplog.messages)
    assert loaded(precise).unet.conv_out.bias.equal(stored(LAST_BIAS)), "with room again, it is kept"
    assert [file.name for file in kept(precise)] == NAMES


def assert_precise(parts: Parts) -> None:
    found, exact = numbers(parts), {name: tiny.number(name, tiny.TINY[name]) for name in (LAST_BIAS, IN_PROJ)}
    assert not exact[LAST_BIAS].equal(stored(LAST_BIAS))
    assert found["unet.conv_out.bias"].equal(exact[LAST_BIAS])
    assert found[f"image_encoder.{LAYER}.self_attn.k_proj.weight"].equal(exact[IN_PROJ][32:64])


@pytest.mark.parametrize("differs", ["time", "size"])
def test_another_file_of_the_same_name_is_read_itself_and_the_old_ones_half_goes(differs: str, ready: Path):
    old, before, other = kept(ready)[0].parent, ready.stat(), torch.arange(4).half()
    tells = tiny.TELLS | ({"note": "longer by this"} if differs == "size" else {})
    rewrite(ready, load_file(ready) | {LAST_BIAS: other}, tells)
    later = 1_000_000_000 if differs == "time" else 0
    os.utime(ready, ns=(before.st_atime_ns, before.st_mtime_ns + later))
    assert (ready.stat().st_size == before.st_size) == (differs == "time")
    assert loaded(ready).unet.conv_out.bias.equal(other.float())
    new = {file.parent for file in kept(ready)}
    assert len(new) == 1 and old not in new and not old.exists()


def test_only_what_was_kept_of_the_same_model_is_removed(original: Path):
    folder = original.parent / "kept"
    gone = ["sv3d_p-v1_0123456789ab-1f-2e", "sv3d_p-some--sv3d-v1_0123456789ab-1f-2e", "sv3d_p-v1_own-folder-1f-2e"]
    gone += ["sv3d_p-some--sv3d-v1_own-folder-1f-2e", "sv3d_p-local-1f-2e", "sv3d_p-0123456789ab-1f-2e"]
    stays = [
        "sv3d_u-local-1f-2e",
        "sv3d_u-v1_0123456789ab-1f-2e",
        "sv3d_p-other--sv3d-v1_0123456789ab-1f-2e",
        "sv3d_p-notes",
        "sv3d_p",
    ]
    names = [*gone, *stays]
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "unet.safetensors").write_bytes(b"some")
    (folder / "sv3d_p.txt").write_text("mine")
    loaded(original)
    (made,) = {file.parent.name for file in kept(original)} - {*names, "kept"}
    assert {path.name for path in folder.iterdir()} == {made, *stays, "sv3d_p.txt"}


# --- What is wrong is said --------------------------------------------------------------------------------------------


def refusal(file: Path) -> str:
    """Nothing is kept of a file that is wrong, and its sentence tells no path of the server."""
    with pytest.raises(TurnaroundError) as caught:
        loaded(file)
    sentence = str(caught.value)
    assert not kept(file) and str(file.parent) not in sentence
    assert sentence.startswith("The model cannot be loaded: its file models/sv3d_p.safetensors ")
    assert "should remove it" in sentence
    return sentence


@pytest.mark.parametrize(
    "gone",
    [
        [f"{DIFFUSION}input_blocks.0.0.weight"],
        [f"{DIFFUSION}output_blocks.2.1.conv.bias", f"{FIRST_STAGE}decoder.norm_out.bias"],
        [f"{FIRST_STAGE}decoder.up.2.block.0.norm1.weight", f"{VISUAL}transformer.resblocks.1.ln_1.weight"],
        [IN_PROJ],
    ],
)
def test_missing_tensors_are_named_as_the_authors_call_them(gone: list[str], original: Path):
    rewrite(original, {name: each for name, each in load_file(original).items() if name not in gone})
    assert f" lacks tensors that SV3D has: {', '.join(sorted(gone))}. " in refusal(original)


@pytest.mark.parametrize("needed", [f"{DIFFUSION}input_blocks.4.0.out_layers.3.weight", f"{VISUAL}proj"])
def test_without_what_tells_a_size_that_one_is_named(needed: str, original: Path):
    rewrite(original, {name: each for name, each in load_file(original).items() if name != needed})
    assert f" lacks the tensor {needed}. " in refusal(original)


def test_of_many_missing_or_unknown_tensors_five_are_named_and_the_rest_counted(
    original: Path, caplog: pytest.LogCaptureFixture
):
    tensors = load_file(original)
    gone = sorted(name for name in tensors if name.startswith(f"{DIFFUSION}middle_block."))
    rewrite(original, {name: each for name, each in tensors.items() if name not in gone})
    assert f" has: {', '.join(gone[:5])} and {len(gone) - 5} more. " in refusal(original)
    assert ", ".join(gone) in caplog.text
    more = {f"{DIFFUSION}other.{i}": torch.zeros(1) for i in range(7)}
    rewrite(original, tensors | more)
    assert f" does not have: {', '.join(list(more)[:5])} and 2 more. " in refusal(original)


def test_what_belongs_to_no_network_of_it_is_named_in_the_log_and_left_out(
    original: Path, caplog: pytest.LogCaptureFixture
):
    """Nobody here has seen what else the real files hold; 9.4 GB are not refused for it."""
    known = ("conditioner.embedders.0.open_clip.model.attn_mask", f"{FIRST_STAGE}loss.logvar")
    foreign = ("model_ema.decay", "denoiser.sigmas", "conditioner.embedders.0.mean", "conditioner.embedders.3.dummy")
    rewrite(original, load_file(original) | {name: torch.zeros(4) for name in (*known, *foreign)})
    assert loaded(original).unet
    assert f"left out: {', '.join(sorted(foreign))}" in caplog.text and not any(name in caplog.text for name in known)


@pytest.mark.parametrize("prefix", ["", DIFFUSION, VISUAL])
def test_another_models_file_is_refused(prefix: str, original: Path):
    rewrite(original, {name: each for name, each in load_file(original).items() if prefix and name.startswith(prefix)})
    assert " lacks the tensor " in refusal(original)


@pytest.mark.parametrize(
    "key",
    [
        f"{DIFFUSION}input_blocks.1.1.other.weight",
        f"{FIRST_STAGE}quant_conv.weight",
        f"{VISUAL}transformer.resblocks.1.ls_1.weight",
    ],
)
def test_a_tensor_that_sv3d_does_not_have_is_named(key: str, original: Path):
    rewrite(original, load_file(original) | {key: torch.zeros(8, 8, 1, 1)})
    assert f" holds tensors that SV3D does not have: {key}. " in refusal(original)


@pytest.mark.parametrize(
    ("key", "shape", "size"),
    [
        (LAST_BIAS, (5,), "5"),
        (f"{DIFFUSION}middle_block.2.time_mixer.mix_factor", (), "of one number"),
        (f"{FIRST_STAGE}decoder.mid.attn_1.q.weight", (32, 32), "32 x 32"),
        (IN_PROJ, (2, 32), "2 x 32"),
    ],
)
def test_a_tensor_of_another_size_is_named_with_its_size(key: str, shape: tuple[int, ...], size: str, original: Path):
    rewrite(original, load_file(original) | {key: torch.zeros(shape)})
    assert f" has the tensor {key} in a size that is not SV3D's, {size}. " in refusal(original)


@pytest.mark.parametrize("left", [0, 5, 1000, 1_000_000, -1])
def test_a_truncated_file_is_damaged(left: int, original: Path):
    os.truncate(original, left % original.stat().st_size)
    assert " cannot be read. It is damaged" in refusal(original)


def test_a_damaged_file_that_was_kept_is_named_itself(ready: Path):
    file = kept(ready)[1]
    os.truncate(file, 1000)
    with pytest.raises(TurnaroundError, match=rf"its file {file.parent.name}/unet\.safetensors cannot be read\."):
        loaded(ready)
    file.unlink()
    assert loaded(ready).unet.conv_out.bias.equal(stored(LAST_BIAS)), "removed, as it says, it is made again"
