"""The table of removers, and a real ONNX model fetched over real HTTP and run by rembg itself."""

import ast
import dataclasses
import hashlib
import inspect
import threading
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.runtime import removers as module
from pipelines.runtime.method import Report
from pipelines.runtime.removers import OUTLINE, REMOVERS, ModelFile, Remover, remove_background, while_reporting
from pipelines.runtime.settings import Settings
from tests.runtime.file_server import file_server
from tests.runtime.tiny_onnx import brightness_model

MODEL = brightness_model()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def table(model: bytes = MODEL, key: str = "u2net") -> dict[str, Remover]:
    file = ModelFile(f"{key}.onnx", len(model), "sha256:" + hashlib.sha256(model).hexdigest())
    return {OUTLINE: REMOVERS[OUTLINE], key: dataclasses.replace(REMOVERS[key], model=file)}


def bright_disc() -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[0:240, 0:360]
    inside = np.hypot(columns - 210, rows - 130) < 70
    return np.where(inside[..., None], (250, 240, 230), (20, 30, 25)).astype(np.uint8), inside


# --- The table --------------------------------------------------------------------------------------------------------


def test_no_remover_is_forbidden_to_use_or_sends_the_photo_away() -> None:
    from rembg.sessions import sessions_class

    known = {session.name(): session for session in sessions_class}
    for key, remover in REMOVERS.items():
        assert key == remover.key and remover.title and remover.summary.endswith(".") and remover.licence
        assert not any(word in key.lower() for word in ("bria", "rmbg", "withoutbg", "atlascloud", "cloud", "custom"))
        assert remover.licence in ("Apache-2.0", "MIT")
        if remover.model:
            assert known[key].is_local() and not known[key].requires_credentials() and not known[key].has_usage_cost()


def test_each_model_is_the_file_that_rembg_itself_would_fetch() -> None:
    from rembg.sessions import sessions_class

    sources = {session.name(): inspect.getsource(session.download_models) for session in sessions_class}
    for key, remover in REMOVERS.items():
        if remover.model:
            assert f"/v0.0.0/{remover.model.name}" in sources[key]
            algorithm, _, digest = remover.model.digest.partition(":")
            assert len(digest) == {"sha256": 64, "md5": 32}[algorithm]
            if algorithm == "md5":
                assert remover.model.digest in sources[key]


def test_the_one_without_a_download_is_first_and_always_ready(tmp_path) -> None:
    settings = Settings(data=tmp_path)
    assert next(iter(REMOVERS)) == OUTLINE
    assert REMOVERS[OUTLINE].missing(settings) == ()
    assert REMOVERS["u2net"].missing(settings) == ("Its model (176 MB) is fetched when it is first used.",)
    assert list(tmp_path.iterdir()) == []


def test_rembg_and_onnxruntime_are_imported_only_inside_functions() -> None:
    tree = ast.parse(Path(inspect.getfile(module)).read_text())
    top = {name.name for node in tree.body if isinstance(node, ast.Import) for name in node.names}
    top |= {node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert not {name for name in top if name.split(".")[0] in ("rembg", "onnxruntime", "PIL")}


def test_an_unknown_remover_is_refused_in_words(tmp_path) -> None:
    with pytest.raises(TurnaroundError, match="no background remover 'bria-rmbg'"):
        remove_background(bright_disc()[0], "bria-rmbg", Settings(data=tmp_path), Report())


# --- A model, fetched and run -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["u2net", "u2netp", "silueta"])
def test_a_model_is_fetched_once_checked_and_run_by_rembg(tmp_path, key) -> None:
    rgb, inside = bright_disc()
    seen: list[str] = []
    report = Report(lambda fraction, message, preview: seen.append(message))
    with file_server(MODEL) as server:
        settings = Settings(data=tmp_path, rembg_url=server.url)
        found = remove_background(rgb, key, settings, report, removers=table(key=key))
        again = remove_background(rgb, key, settings, Report(), removers=table(key=key))
        assert server.asked == [f"/{key}.onnx"]
    assert found.shape == inside.shape and found.dtype == np.float32
    assert ((found > 0.5) == inside).mean() > 0.98
    assert np.array_equal(found, again)
    assert (tmp_path / "models" / "rembg" / f"{key}.onnx").read_bytes() == MODEL
    assert REMOVERS[key].missing(settings) == ()
    assert any("for the first time" in message for message in seen)


def test_a_file_put_there_by_hand_needs_no_network(tmp_path) -> None:
    path = tmp_path / "models" / "rembg" / "u2net.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(MODEL)
    settings = Settings(data=tmp_path, rembg_url="http://127.0.0.1:1/")
    rgb, inside = bright_disc()
    assert ((remove_background(rgb, "u2net", settings, Report(), removers=table()) > 0.5) == inside).mean() > 0.98


def test_f7_a_model_that_the_free_memory_cannot_hold_is_not_even_loaded(tmp_path, monkeypatch) -> None:
    path = tmp_path / "models" / "rembg" / "u2net.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(MODEL)
    settings, removers, rgb = Settings(data=tmp_path), table(), bright_disc()[0]
    removers["u2net"] = dataclasses.replace(removers["u2net"], memory_bytes=2 * 10**9)
    monkeypatch.setattr(module, "free_memory_bytes", lambda: 10**9)
    with pytest.raises(TurnaroundError, match=r"needs about 2 GB of memory, and only 1\.0 GB are free.*Outline"):
        remove_background(rgb, "u2net", settings, Report(), removers=removers)
    monkeypatch.setattr(module, "free_memory_bytes", lambda: 3 * 10**9)
    assert remove_background(rgb, "u2net", settings, Report(), removers=removers).any()


def test_a_file_damaged_on_disk_is_fetched_anew_before_it_is_loaded(tmp_path) -> None:
    path = tmp_path / "models" / "rembg" / "u2net.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(MODEL[:-9])
    with file_server(MODEL) as server:
        settings = Settings(data=tmp_path, rembg_url=server.url)
        remove_background(bright_disc()[0], "u2net", settings, Report(), removers=table())
        assert len(server.asked) == 1
    assert path.read_bytes() == MODEL


def test_visitors_who_come_at_once_share_one_download_and_one_session(tmp_path) -> None:
    rgb, _ = bright_disc()
    results: list[np.ndarray] = []
    with file_server(MODEL, "slow") as server:
        settings = Settings(data=tmp_path, rembg_url=server.url)

        def visit() -> None:
            results.append(remove_background(rgb, "u2net", settings, Report(), removers=table()))

        visitors = [threading.Thread(target=visit) for _ in range(4)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join(60)
        assert len(server.asked) == 1
    assert len(results) == 4 and all(np.array_equal(results[0], result) for result in results)


def test_a_flat_answer_of_the_network_is_no_object_and_no_crash(tmp_path) -> None:
    with file_server(MODEL) as server:
        settings = Settings(data=tmp_path, rembg_url=server.url)
        found = remove_background(np.full((90, 120, 3), 255, np.uint8), "u2net", settings, Report(), removers=table())
    assert np.isfinite(found).all() and found.max() < 0.5


def test_a_model_that_cannot_be_fetched_names_the_one_that_needs_no_download(tmp_path) -> None:
    with file_server(MODEL, "503") as server, pytest.raises(TurnaroundError) as caught:
        settings = Settings(data=tmp_path, rembg_url=server.url)
        remove_background(bright_disc()[0], "isnet-general-use", settings, Report())
    assert "IS-Net's model" in str(caught.value) and REMOVERS[OUTLINE].title in str(caught.value)


def test_a_failed_download_can_be_tried_again_at_once(tmp_path) -> None:
    with file_server(MODEL, "500") as server:
        settings = Settings(data=tmp_path, rembg_url=server.url)
        with pytest.raises(TurnaroundError):
            remove_background(bright_disc()[0], "u2net", settings, Report(), removers=table())
        server.fault = ""
        remove_background(bright_disc()[0], "u2net", settings, Report(), removers=table())


def test_cancel_is_heard_while_an_uninterruptible_call_runs() -> None:
    cancelled, release = threading.Event(), threading.Event()
    timer = threading.Timer(0.1, cancelled.set)
    timer.start()
    with pytest.raises(Cancelled):
        while_reporting(Report(None, cancelled), 0.5, "working", lambda: release.wait(30))
    release.set()
