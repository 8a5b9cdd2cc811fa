"""A folder kept by hand is used as it stands, once it is whole: files of tensors say themselves how long they are."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.report import Report
from pipelines.runtime.weights import (
    Source,
    WeightFile,
    Weights,
    fetch,
    located,
    missing_bytes,
    needed,
    notice,
    unused_by_hand,
)
from tests.hub.client import CONFIG, LARGE, QUICK, a_hub, weights_of
from tests.hub.server import Hub

PICKLED, PLAIN = "vae/pytorch_model.bin", "prior.ckpt"
WEIGHTS = Weights(
    "The Thing",
    (
        Source(
            "lab/thing",
            "main",
            (WeightFile(CONFIG, 19), *(WeightFile(path, 2_000_000_000) for path in (LARGE, PICKLED, PLAIN))),
            "MIT",
        ),
    ),
)


def safetensors(length: int) -> bytes:
    header = json.dumps(
        {"__metadata__": {"format": "pt"}, "w": {"dtype": "U8", "shape": [length], "data_offsets": [0, length]}}
    ).encode()
    return len(header).to_bytes(8, "little") + header + b"w" * length


def zipped(length: int) -> bytes:
    """As torch.save writes it."""
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data/0", b"w" * length)
        return file.getvalue()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with a_hub(tmp_path, monkeypatch) as hub:
        yield hub


@pytest.fixture
def folder(hub: Hub, tmp_path: Path) -> Path:
    """Smaller than published, and whole: tiny models do, too."""
    folder = tmp_path / "by hand" / "lab" / "thing"
    for path, content in {CONFIG: b"{}", LARGE: safetensors(5000), PICKLED: zipped(5000)}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    with (folder / PLAIN).open("wb") as file:
        file.truncate(2_000_000_000)  # a hole: it takes no room
    return folder


def test_it_is_used_as_it_stands_and_nobody_is_asked(hub: Hub, folder: Path) -> None:
    fetched = fetch(WEIGHTS, Report())
    assert (fetched.folder, fetched.revision) == (folder, "local") and hub.asked == []
    assert "kept by hand" in str(notice(WEIGHTS, fetched)) and missing_bytes(WEIGHTS) == 0
    assert unused_by_hand(WEIGHTS) == []


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        (CONFIG, 0.0),  # shorter ones a small text cannot tell; its reader will
        *((path, kept) for path in (LARGE, PICKLED) for kept in (0.0, 0.001, 0.01, 0.5, 0.999)),
        *((PLAIN, kept) for kept in (0.0, 0.5, 0.9)),  # about the published size is all that can be asked of it
    ],
)
def test_a_file_cut_short_is_named_and_the_folder_is_not_used(hub: Hub, folder: Path, path: str, kept: float) -> None:
    assert located(WEIGHTS)
    with (folder / path).open("r+b") as file:
        file.truncate(int(kept * (folder / path).stat().st_size))
    assert located(WEIGHTS) is None
    (words,) = unused_by_hand(WEIGHTS)
    assert words.startswith(f"lab/thing in the folder of TURNAROUND_WEIGHTS is not used: {path} is cut short (")


@pytest.mark.parametrize("path", [CONFIG, LARGE, PICKLED, PLAIN])
def test_a_file_that_is_missing_is_named(hub: Hub, folder: Path, path: str) -> None:
    (folder / path).unlink()
    assert located(WEIGHTS) is None and f"{path} is missing" in unused_by_hand(WEIGHTS)[0]
    (folder / path).mkdir()
    assert located(WEIGHTS) is None


def test_what_is_not_one_at_all_is_not_used(hub: Hub, folder: Path) -> None:
    for content in (b"<html>Please log in</html>" * 100, (20).to_bytes(8, "little") + b"?" * 100):
        (folder / LARGE).write_bytes(content)
        assert located(WEIGHTS) is None


def test_without_a_network_the_refusal_says_what_the_folder_lacks(hub: Hub, folder: Path, monkeypatch) -> None:
    from huggingface_hub import constants

    (folder / LARGE).write_bytes(safetensors(5000)[:-1])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(TurnaroundError, match=f"HF_HUB_OFFLINE .* is not used: {LARGE} is cut short"):
        fetch(WEIGHTS, Report())


def test_a_folder_that_a_setting_names_is_used_as_it_stands_and_nothing_in_its_stead(
    hub: Hub, folder: Path, monkeypatch, tmp_path: Path
) -> None:
    own = folder.rename(tmp_path / "my own")
    fetch(weights_of(), Report(), QUICK)
    assert hub.gets() and located(weights_of()), "the Hub's cache has them"
    asked = len(hub.asked)
    monkeypatch.setenv("HOME", str(own))
    monkeypatch.setenv("TURNAROUND_SOURCES", "lab/thing=~")
    several = Weights("The Thing", (*WEIGHTS.sources, weights_of().first))
    fetched = fetch(several, Report())
    assert (fetched.folder, fetched.revision) == (own, "own-folder") == (own, needed(several).revision)
    words = str(notice(several, fetched))
    assert words == "The weights of The Thing are from a folder of this server's own, used as they stand."

    (own / LARGE).unlink()
    assert located(several) is None and missing_bytes(several) == 0, "what the Hub's cache has is not what was named"
    with pytest.raises(TurnaroundError, match=f"TURNAROUND_SOURCES names for lab/thing is not used: {LARGE} is miss"):
        fetch(several, Report())
    assert len(hub.asked) == asked and str(own) not in "".join(unused_by_hand(several))


def test_a_file_may_have_the_other_name_that_libraries_give_it(hub: Hub, folder: Path) -> None:
    (folder / LARGE).rename(folder / "unet/other.safetensors")
    files = [
        replace(file, or_path="unet/other.safetensors" if file.path == LARGE else None) for file in WEIGHTS.first.files
    ]
    fetched = fetch(Weights("The Thing", (replace(WEIGHTS.first, files=tuple(files)),)), Report())
    assert [file.path for file in fetched.source.files] == [CONFIG, "unet/other.safetensors", PICKLED, PLAIN]


def test_what_the_folder_lacks_is_fetched_from_the_hub(hub: Hub, folder: Path) -> None:
    (folder / CONFIG).unlink()
    assert fetch(weights_of(), Report(), QUICK).revision != "local"
