"""Each way in which a download fails has its own sentence, and leaves nothing behind."""

import hashlib
import os
import resource
import socket
import threading
import time
from pathlib import Path

import pytest

from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.runtime.download import download, in_unit_of, megabytes, time_left
from pipelines.runtime.method import Report
from tests.hub.certificate import as_server
from tests.runtime.file_server import file_server

BODY = bytes(range(256)) * 12_000  # 3 MB
DIGEST = "sha256:" + hashlib.sha256(BODY).hexdigest()
OTHERWISE = "Or do without."


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def fetch(url: str, folder: Path, report: Report | None = None, digest: str = DIGEST, size: int = len(BODY)) -> Path:
    path = folder / "models" / "thing.onnx"
    download(
        url + "thing.onnx",
        path,
        digest,
        size,
        report or Report(),
        what="The model",
        otherwise=OTHERWISE,
        patience_s=0.6,
    )
    return path


def left_behind(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("fault", ["", "redirect", "slow"])
def test_a_file_arrives_whole(tmp_path, fault) -> None:
    with file_server(BODY[:3000] if fault == "slow" else BODY, fault) as server:
        digest = "md5:" + hashlib.md5(server.body).hexdigest()
        assert fetch(server.url, tmp_path, digest=digest).read_bytes() == server.body
    assert left_behind(tmp_path) == ["thing.onnx"]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("404", "not at 127.0.0.1 any more"),
        ("403", "refused to send"),
        ("429", "too many requests"),
        ("500", "in trouble itself"),
        ("503", "in trouble itself"),
        ("truncate", "broke off on its way"),
        ("stall", "nothing came from 127.0.0.1 for 0.6 seconds"),
        ("endless", "broke off on its way"),
    ],
)
def test_a_failing_server_is_told_apart_in_words(tmp_path, fault, sentence) -> None:
    with file_server(BODY, fault) as server, pytest.raises(TurnaroundError, match=sentence) as caught:
        fetch(server.url, tmp_path)
    assert str(caught.value).endswith(OTHERWISE)
    assert "http://" not in str(caught.value) and str(tmp_path) not in str(caught.value)
    assert left_behind(tmp_path) == []


def test_other_bytes_of_the_right_length_are_thrown_away(tmp_path) -> None:
    with file_server(BODY[::-1]) as server, pytest.raises(TurnaroundError, match="checksum differs"):
        fetch(server.url, tmp_path)
    assert left_behind(tmp_path) == []


def test_an_older_intact_file_survives_a_failed_download(tmp_path) -> None:
    with file_server(BODY) as server:
        path = fetch(server.url, tmp_path)
        server.body = b"other"
        with pytest.raises(TurnaroundError):
            fetch(server.url, tmp_path)
    assert path.read_bytes() == BODY


def test_nobody_listening_is_said(tmp_path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(TurnaroundError, match="cannot be reached from here"):
            fetch(f"http://127.0.0.1:{taken.getsockname()[1]}/", tmp_path)


def test_a_certificate_that_cannot_be_verified_is_told_apart(tmp_path) -> None:
    with file_server(BODY) as sender, file_server(fault="redirect") as server:
        sender.socket = as_server(tmp_path).wrap_socket(sender.socket, server_side=True)
        server.elsewhere = sender.url.replace("http://127.0.0.1", "https://localhost")
        with pytest.raises(TurnaroundError, match=r"localhost's certificate could not be verified \(self") as caught:
            fetch(server.url, tmp_path)
    assert "SSL_CERT_FILE" in str(caught.value) and str(caught.value).endswith(OTHERWISE)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "models/", ""])
def test_an_address_that_is_none_is_said(tmp_path, url) -> None:
    with pytest.raises(TurnaroundError, match="TURNAROUND_REMBG_URL"):
        fetch(url, tmp_path)


def test_a_file_larger_than_the_free_space_is_not_begun(tmp_path) -> None:
    with file_server(BODY) as server:
        with pytest.raises(TurnaroundError, match=r"no room for The model \(1000000000.0 GB\)"):
            fetch(server.url, tmp_path, size=10**18)
        assert server.asked == []


def test_space_that_runs_out_on_the_way_leaves_nothing(tmp_path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with file_server(BODY) as server, pytest.raises(TurnaroundError, match="no room for The model"):
            fetch(server.url, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert left_behind(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path) -> None:
    (tmp_path / "models").write_text("in the way")
    with file_server(BODY) as server, pytest.raises(TurnaroundError, match="could not be stored"):
        fetch(server.url, tmp_path)


@pytest.mark.parametrize("fault", ["slow", "stall"])
def test_cancel_is_heard_within_a_second_and_removes_the_partial_file(tmp_path, fault) -> None:
    cancelled = threading.Event()
    seen: list[tuple[float, str]] = []

    def sink(fraction: float, message: str, preview: object) -> None:
        seen.append((fraction, message))
        if fraction > 0:
            cancelled.set()

    with file_server(BODY, fault) as server, pytest.raises(Cancelled):
        fetch(server.url, tmp_path, Report(sink, cancelled))
    assert 0 < seen[-1][0] < 0.9
    assert left_behind(tmp_path) == []


def test_progress_counts_bytes_and_never_goes_back(tmp_path) -> None:
    seen: list[tuple[float, str]] = []
    with file_server(BODY) as server:
        fetch(server.url, tmp_path, Report(lambda fraction, message, preview: seen.append((fraction, message))))
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] == 1
    assert seen[0][1] == "Fetching The model: 0 of 3 MB"


@pytest.mark.parametrize(
    ("done", "total", "said"),
    [
        (1_234_000_000, 2_500_000_000, "1.2 of 2.5 GB"),
        (999_000_000, 10_100_000_000, "1.0 of 10.1 GB"),
        (49_000_000, 176_000_000, "49 of 176 MB"),
        (300_000, 384_000, "300 of 384 kB"),
        (0, 9_370_000_000, "0.0 of 9.4 GB"),
    ],
)
def test_what_has_come_is_counted_in_the_unit_of_the_whole(done, total, said) -> None:
    assert f"{in_unit_of(done, total)} of {megabytes(total)}" == said


@pytest.mark.parametrize(
    ("done", "left", "elapsed_s", "said"),
    [
        (0, 1_000, 10.0, ""),
        (500, 1_000, 1.0, ""),
        (1_000_000, 3_000_000, 10.0, ", about 30 s left"),
        (1_000_000, 60_000_000, 10.0, ", about 10 minutes left"),
    ],
)
def test_the_time_left_is_told_once_there_is_something_to_go_by(done, left, elapsed_s, said) -> None:
    assert time_left(done, left, elapsed_s) == said


def test_the_environments_proxy_is_used(tmp_path, monkeypatch) -> None:
    with file_server(BODY) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        fetch("http://models.invalid/", tmp_path)
        assert server.asked == ["http://models.invalid/thing.onnx"]


def test_what_a_killed_process_left_is_swept_after_a_day(tmp_path) -> None:
    old, young = tmp_path / "models" / "a.part", tmp_path / "models" / "b.part"
    young.parent.mkdir()
    for path in (old, young):
        path.write_bytes(b"half")
    yesterday = time.time() - 90_000
    os.utime(old, (yesterday, yesterday))
    with file_server(BODY) as server:
        fetch(server.url, tmp_path)
    assert sorted(left_behind(tmp_path)) == ["b.part", "thing.onnx"]
