"""From an empty cache: the real huggingface_hub fetches one layout or the other from a hub of our own, and it runs.

The card pins the real transformer's checksum, which tiny weights cannot have; so a setting names the revisions here,
and the Hub's own checksums are left to check against.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.cameras import View
from pipelines.core.errors import TurnaroundError
from pipelines.runtime.method import Report, Request
from pipelines.runtime.residency import forget_idle
from pipelines.runtime.weights import Source, located
from pipelines.shap_e import ShapE
from pipelines.shap_e.method import Options
from pipelines.shap_e.sources import MAIN, PULL_REQUEST, RENDERER, REPOSITORY, SHAP_E
from tests.hub.client import a_hub
from tests.hub.server import Hub
from tests.shap_e import tiny
from tests.toy_methods import a_subject

REQUEST = Request(a_subject(192), (View(30, 10),), 7, Options(steps=4, grid=32), 96)
BESIDE = (  # what the real repository has, and nobody should fetch
    "model_index.json",
    "renderer/diffusion_pytorch_model.bin",
    "prior/diffusion_pytorch_model.bin",
    "image_encoder/pytorch_model.bin",
)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with a_hub(tmp_path, monkeypatch) as hub:
        yield hub


def serve(hub: Hub, source: Source, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNAROUND_SOURCES", f"{REPOSITORY}={REPOSITORY}@{source.revision}")
    files = {file.path: (folder / file.path).read_bytes() for file in source.files}
    hub.add(source.repository, files | dict.fromkeys(BESIDE, b"not needed"), source.revision)


def test_the_pull_request_is_fetched_once_and_nothing_that_is_a_pickle(
    hub: Hub, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(hub, SHAP_E.first, repository, monkeypatch)
    made = ShapE()(REQUEST, Report())
    assert made.provenance and made.provenance.weights == {"openai/shap-e-img2img": PULL_REQUEST}
    assert {asked.path for asked in hub.asked if asked.method == "GET" and asked.path} == {
        file.path for file in SHAP_E.first.files
    }
    count = len(hub.asked)
    forget_idle()
    again = ShapE()(REQUEST, Report())
    assert np.array_equal(again.frames[0].rgba, made.frames[0].rgba)
    assert len(hub.asked) == count, "nobody is asked a second time, by no library"


def test_where_the_pull_request_is_gone_main_serves_with_its_pickled_renderer(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write_repository(tmp_path / "made", pickled_renderer=True)
    serve(hub, SHAP_E.sources[1], tmp_path / "made", monkeypatch)
    made = ShapE()(REQUEST, Report())
    assert made.provenance and made.provenance.weights == {"openai/shap-e-img2img": MAIN}
    paths = {asked.path for asked in hub.asked if asked.method == "GET" and asked.path}
    assert paths == {file.path for file in SHAP_E.sources[1].files} and f"{RENDERER}.bin" in paths
    found = located(SHAP_E)
    assert found and {file.path for file in found.source.files} == paths


def test_another_transformer_than_the_published_one_is_refused(
    hub: Hub, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(hub, SHAP_E.first, repository, monkeypatch)
    monkeypatch.delenv("TURNAROUND_SOURCES")
    with pytest.raises(TurnaroundError, match=r"prior/.* is not the published one"):
        ShapE()(REQUEST, Report())
