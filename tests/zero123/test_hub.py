"""From an empty cache: weights come from a real hub in the repositories' layouts, and the methods draw with them."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.core.cameras import View
from pipelines.runtime.method import Report, Request
from pipelines.runtime.residency import forget_idle
from pipelines.runtime.weights import Source, located
from pipelines.zero123 import StableZero123, Zero123, Zero123XL
from pipelines.zero123.sources import ZERO123_XL
from tests.hub.client import a_hub
from tests.hub.server import Hub
from tests.toy_methods import a_subject
from tests.zero123 import tiny


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with a_hub(tmp_path, monkeypatch) as hub:
        yield hub


def serve(hub: Hub, source: Source, folder: Path) -> None:
    """What tiny.py wrote there, and what real repositories have beside it and nobody should fetch."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    others = ("README.md", "model_index.json", "feature_extractor/preprocessor_config.json", "zero123.py")
    commit = source.revision if source.pinned else source.revision + "0" * (40 - len(source.revision))
    hub.add(source.repository, files | dict.fromkeys(others, b"{}"), commit)


def drawn(method) -> np.ndarray:
    request = Request(a_subject(192), (View(30, 10),), 5, method.Options(steps=10), 96)
    return method(request, Report()).frames[0].rgba


@pytest.mark.parametrize(
    ("method", "write"), [(Zero123XL(), tiny.threestudio), (StableZero123(), tiny.threestudio)], ids=["xl", "stable"]
)
def test_fetched_once_and_just_what_is_needed(method, write, hub: Hub, tmp_path: Path):
    source = method.card.weights[0].first
    write(tmp_path / "made", seed=4)
    serve(hub, source, tmp_path / "made")
    first = drawn(method)
    fetched = {asked.path for asked in hub.asked if asked.method == "GET" and asked.path}
    assert fetched == {file.path for file in source.files}
    assert not any(asked.path.endswith(".py") for asked in hub.asked)
    count = len(hub.asked)
    forget_idle()
    assert np.array_equal(drawn(method), first) and len(hub.asked) == count


def test_when_the_first_repository_is_gone_a_mirror_in_the_other_layout_serves(hub: Hub, tmp_path: Path):
    mirror = ZERO123_XL.sources[3]
    assert mirror.repository == "kxic/zero123-xl"
    tiny.kxic(tmp_path / "made", seed=4, suffix="safetensors")
    serve(hub, mirror, tmp_path / "made")
    request = Request(a_subject(192), (View(30, 10),), 5, Zero123XL.Options(steps=10), 96)
    made = Zero123XL()(request, Report())
    assert made.provenance is not None and made.provenance.weights == {mirror.repository: mirror.revision}
    said = f"The weights of Zero123-XL are from {mirror.repository}; their licence: {mirror.licence}."
    assert made.notes.count(said) == 1, made.notes


def test_the_pickles_of_a_chosen_checkpoint_are_fetched_and_no_other(hub: Hub, tmp_path: Path):
    method = Zero123()
    options = method.Options(steps=10, checkpoint="165000")
    (needed,) = method.weights_for(options)
    tiny.kxic(tmp_path / "made", seed=3)
    serve(hub, needed.first, tmp_path / "made")
    made = method(Request(a_subject(192), (View(30, 10),), 5, options, 96), Report())
    assert made.provenance is not None and list(made.provenance.weights) == ["kxic/zero123-165000"]
    assert located(needed) is not None
    assert {asked.repository for asked in hub.asked} == {"kxic/zero123-165000"}
