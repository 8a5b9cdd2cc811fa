"""From an empty cache: an inpainter of one's own, and a depth network, come from a real hub and are used."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.cameras import View
from pipelines.core.errors import TurnaroundError
from pipelines.invs import INVS
from pipelines.invs.method import ANYTHING
from pipelines.invs.sources import DEPTH_ANYTHING, FINE_TUNED, INPAINTER, TASK
from pipelines.runtime.method import Report, Request, Turnaround, options_from
from pipelines.runtime.residency import forget_idle
from pipelines.runtime.weights import OWN, Source
from tests.hub.client import a_hub
from tests.hub.server import Hub
from tests.invs import tiny
from tests.toy_methods import a_subject

COMMIT = "1" * 40


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    moved = [f"{source.repository}={theirs(source)}@{COMMIT}" for source in (INPAINTER.first, DEPTH_ANYTHING.first)]
    monkeypatch.setenv("TURNAROUND_SOURCES", " ".join(moved))
    with a_hub(tmp_path, monkeypatch) as hub:
        yield hub
    forget_idle()


def theirs(source: Source) -> str:
    return f"lab/{source.repository.split('/')[1]}"


def serve(hub: Hub, source: Source, folder: Path) -> None:
    """What tiny.py wrote there, and what real repositories have beside it and nobody should fetch."""
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    hub.add(theirs(source), files | dict.fromkeys(("README.md", "model_index.json", "x.py"), b"{}"), COMMIT)


def drawn() -> Turnaround:
    options = options_from(INVS.Options, {"steps": 10, "depth": ANYTHING})
    return INVS()(Request(a_subject(192), (View(30, 10),), 5, options, 64), Report())


def test_what_a_setting_names_is_fetched_once_and_just_what_is_needed_and_its_training_is_told(
    hub: Hub, tmp_path: Path
):
    tiny.inpainter(tmp_path / "inpainter")
    config = tmp_path / "inpainter" / "unet" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {FINE_TUNED: TASK}))
    tiny.depth_anything(tmp_path / "depth")
    serve(hub, INPAINTER.first, tmp_path / "inpainter")
    serve(hub, DEPTH_ANYTHING.first, tmp_path / "depth")
    made = drawn()
    assert made.provenance and set(made.provenance.weights.values()) == {COMMIT}
    needed = {file.path for weights in (INPAINTER, DEPTH_ANYTHING) for file in weights.first.files}
    assert {asked.path for asked in hub.asked if asked.method == "GET" and asked.path} == needed
    assert any("fine-tuned for this" in note for note in made.notes)
    assert not any("stock inpainter" in note for note in made.notes)
    count = len(hub.asked)
    forget_idle()
    assert np.array_equal(drawn().frames[0].rgba, made.frames[0].rgba) and len(hub.asked) == count


def test_an_inpainter_as_diffusers_saves_it_is_taken_from_a_repository_and_from_a_folder(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its names do not say "fp16", and its tokenizer is one file."""
    folder = tmp_path / "mine"
    tiny.inpainter(folder)
    tiny.as_saved_today(folder)
    serve(hub, INPAINTER.first, folder)
    tiny.depth_anything(tmp_path / "depth")
    serve(hub, DEPTH_ANYTHING.first, tmp_path / "depth")
    fetched = drawn()
    assert fetched.provenance and fetched.provenance.weights[theirs(INPAINTER.first)] == COMMIT
    forget_idle()
    moves = f"{INPAINTER.first.repository}={folder} {DEPTH_ANYTHING.first.repository}={tmp_path / 'depth'}"
    monkeypatch.setenv("TURNAROUND_SOURCES", moves)
    count = len(hub.asked)
    made = drawn()
    assert np.array_equal(made.frames[0].rgba, fetched.frames[0].rgba) and len(hub.asked) == count
    assert made.provenance and made.provenance.weights[INPAINTER.first.repository] == OWN
    said = "The weights of Stable Diffusion, inpainting are from a folder of this server's own, used as they stand."
    assert said in made.notes and str(folder) not in str(made.notes) + str(made.provenance)


def test_a_network_that_is_no_inpainter_is_refused_by_name(hub: Hub, tmp_path: Path):
    tiny.inpainter(tmp_path / "inpainter", channels=4)
    tiny.depth_anything(tmp_path / "depth")
    serve(hub, INPAINTER.first, tmp_path / "inpainter")
    serve(hub, DEPTH_ANYTHING.first, tmp_path / "depth")
    with pytest.raises(TurnaroundError, match=r"is not an inpainter: its UNet takes 4 channels"):
        drawn()


@pytest.mark.parametrize(("part", "named"), [("text_encoder", "text_encoder/"), ("unet", "unet/")])
def test_a_damaged_part_is_named(part: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / INPAINTER.first.repository
    tiny.inpainter(folder)
    (file,) = (folder / part).glob("*.safetensors")
    data: Any = file.read_bytes()
    header = int.from_bytes(data[:8], "little")
    tensors = json.loads(data[8 : 8 + header])
    tensors.pop(next(name for name in tensors if name.endswith("weight")))
    spelt = json.dumps(tensors).encode().ljust(header)
    file.write_bytes(len(spelt).to_bytes(8, "little") + spelt + data[8 + header :])
    monkeypatch.setenv("TURNAROUND_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TURNAROUND_DEVICE", "cpu")
    options = options_from(INVS.Options, {"steps": 10, "depth": "inflated outline"})
    with pytest.raises(TurnaroundError, match=named):
        INVS()(Request(a_subject(192), (View(30, 10),), 5, options, 64), Report())
