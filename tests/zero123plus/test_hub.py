"""From an empty cache: the real huggingface_hub fetches what the card names from a hub of our own, and it runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.core.cameras import View
from pipelines.runtime.method import Report, Request
from pipelines.runtime.weights import located
from pipelines.zero123plus import Zero123Plus
from pipelines.zero123plus.method import Options
from pipelines.zero123plus.sources import WEIGHTS
from tests.hub.client import a_hub
from tests.hub.server import Hub
from tests.toy_methods import a_subject


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with a_hub(tmp_path, monkeypatch) as hub:
        yield hub


@pytest.mark.parametrize("version", WEIGHTS)
def test_it_fetches_what_the_card_names_and_runs(hub: Hub, weights_folder: Path, version: str) -> None:
    source = WEIGHTS[version].first
    folder = weights_folder / source.repository
    files = {file.path: (folder / file.path).read_bytes() for file in source.files}
    hub.add(source.repository, {**files, "README.md": b"not needed"}, source.revision)
    request = Request(a_subject(192), (View(),), 7, Options(version=version, steps=4), 96)
    made = Zero123Plus()(request, Report())
    assert len(made.frames) == 6
    assert made.provenance and made.provenance.weights == {source.repository: source.revision}
    assert not hub.gets("README.md") and located(WEIGHTS[version])
    asked = len(hub.asked)
    Zero123Plus()(request, Report())
    assert len(hub.asked) == asked, "nobody is asked a second time, by no library"


def test_a_mirror_serves_where_the_authors_repository_is_gone(hub: Hub, weights_folder: Path) -> None:
    source, mirror = WEIGHTS["v1.2"].sources
    files = {file.path: (weights_folder / source.repository / file.path).read_bytes() for file in source.files}
    hub.add(mirror.repository, files, "e" * 40)
    made = Zero123Plus()(Request(a_subject(192), (View(),), 7, Options(steps=4), 96), Report())
    assert made.provenance and made.provenance.weights == {mirror.repository: "e" * 40}
