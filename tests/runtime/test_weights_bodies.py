"""F22, F23, F28, F29: what arrives is late, short, other than announced, or has no room. Nothing half ever counts."""

import os
import resource
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.runtime.hub_cache import PART
from pipelines.runtime.report import Report
from pipelines.runtime.weights import fetch, located, missing_bytes
from tests.hub.client import (
    CONFIG,
    FILES,
    IMPATIENT,
    LARGE,
    QUICK,
    a_hub,
    a_source,
    cached_files,
    weights_of,
)
from tests.hub.server import Fault, Hub, sha256

DIGEST = sha256(FILES[LARGE])
BLOB = f"blobs/{DIGEST}"
SIZE = len(FILES[LARGE])


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with a_hub(tmp_path, monkeypatch) as hub:
        yield hub


def refusal(patience=QUICK, report: Report | None = None) -> str:
    with pytest.raises(TurnaroundError) as refused:
        fetch(weights_of(), report or Report(), patience)
    assert located(weights_of()) is None
    return str(refused.value)


def arrives() -> bool:
    fetched = fetch(weights_of(), Report(), QUICK)
    return all((fetched.folder / path).read_bytes() == content for path, content in FILES.items())


def test_f22_a_body_that_stalls_is_asked_for_again_where_it_stopped(hub: Hub) -> None:
    hub.faults += [Fault("stall", path=LARGE, times=1, after_bytes=100_000)]
    fetch(weights_of(), Report(), IMPATIENT)
    first, second = hub.gets(LARGE)
    assert first.range is None and second.range == "bytes=100000-" and hub.sent_bytes[LARGE] == SIZE


def test_f22_a_body_that_stays_stalled_is_given_up_and_what_came_is_kept(hub: Hub, tmp_path: Path) -> None:
    hub.faults += [Fault("stall", path=LARGE, times=1, after_bytes=100_000), Fault("stall", path=LARGE)]
    assert "nothing came from 127.0.0.1 for 0.8 seconds" in (words := refusal(IMPATIENT)) and "is kept" in words
    assert BLOB not in cached_files(tmp_path) and BLOB + PART in cached_files(tmp_path)
    hub.faults.clear()
    assert arrives() and hub.sent_bytes[LARGE] == SIZE, "not a byte was sent twice"
    assert not any(name.endswith(PART) for name in cached_files(tmp_path))


@pytest.mark.parametrize("kind", ["trickle", "stall"])
def test_f22_cancel_is_heard_while_it_trickles_or_stalls_and_the_next_try_goes_on(hub: Hub, tmp_path, kind) -> None:
    hub.faults += [Fault(kind, path=LARGE, times=1, after_bytes=50_000)]
    cancelled, part = threading.Event(), tmp_path / "cache" / "models--lab--thing" / (BLOB + PART)

    def sink(*told: object) -> None:
        if part.exists() and hub.sent_bytes.get(LARGE, 0) >= 50_000:
            cancelled.set()

    with pytest.raises(Cancelled):
        fetch(weights_of(), Report(sink, cancelled), QUICK)
    kept = part.stat().st_size
    assert located(weights_of()) is None and 0 <= kept < SIZE
    assert arrives() and hub.gets(LARGE)[-1].range == (f"bytes={kept}-" if kept else None)


@pytest.mark.parametrize("status", ["404", "410"])
def test_a_body_that_is_not_there_though_it_was_listed_is_fetched_from_the_mirror(hub: Hub, status: str) -> None:
    hub.faults += [Fault(status, "GET", path=LARGE)]
    assert f"lab/thing (what it lists is not there (HTTP {status}))" in refusal()
    hub.add("open/copy", FILES, "d" * 40)
    hub.faults[:] = [Fault(status, "GET", path=LARGE, times=1)]
    weights = weights_of(a_source(), a_source("open/copy", "d" * 40))
    assert fetch(weights, Report(), QUICK).source.repository == "open/copy"


def test_f23_a_body_cut_off_is_continued(hub: Hub) -> None:
    hub.faults += [Fault("cut", path=LARGE, times=3, after_bytes=60_000)]
    assert arrives()
    assert [asked.range for asked in hub.gets(LARGE)] == [None, *(f"bytes={n}-" for n in (60_000, 120_000, 180_000))]


def test_a_body_cut_off_again_and_again_without_progress_is_told(hub: Hub, tmp_path: Path) -> None:
    hub.faults += [Fault("cut", path=LARGE)]
    assert "broke off on its way from 127.0.0.1, again and again" in refusal()
    assert len(hub.gets(LARGE)) == 1 + len(QUICK.pauses_s) and BLOB not in cached_files(tmp_path)


def test_f23_other_bytes_of_the_same_size_are_fetched_once_more_and_then_refused(hub: Hub, tmp_path: Path) -> None:
    hub.faults += [Fault("other bytes", path=LARGE)]
    assert "is not what was published" in refusal() and len(hub.gets(LARGE)) == 2
    assert not {BLOB, BLOB + PART} & cached_files(tmp_path)
    hub.faults[:] = [Fault("other bytes", path=LARGE, times=1)]
    assert arrives()


def test_f23_without_a_pinned_checksum_the_hubs_own_is_what_counts(hub: Hub) -> None:
    weights = weights_of(a_source(hashes=False))
    hub.faults += [Fault("other bytes", path=LARGE), Fault("other bytes", path=CONFIG)]
    with pytest.raises(TurnaroundError, match="is not what was published"):
        fetch(weights, Report(), QUICK)
    hub.faults[:] = [Fault("other bytes", path=CONFIG)]  # which has no sha256 at the Hub, but a name by git
    with pytest.raises(TurnaroundError, match="is not what was published"):
        fetch(weights, Report(), QUICK)
    assert located(weights) is None


def test_f23_an_html_page_in_the_files_place_is_thrown_away(hub: Hub, tmp_path: Path) -> None:
    hub.faults += [Fault("html", path=LARGE)]
    assert "is not what was published" in refusal()
    assert not {BLOB, BLOB + PART} & cached_files(tmp_path)


@pytest.mark.parametrize("damage", ["truncated", "other bytes", "empty"])
@pytest.mark.parametrize("hashes", [True, False])
def test_f23_a_damaged_file_in_the_cache_is_found_and_fetched_anew(hub: Hub, tmp_path: Path, damage, hashes) -> None:
    """As another program, or a disk, may have left it."""
    from huggingface_hub import snapshot_download

    snapshot_download("lab/thing", revision="c" * 40, cache_dir=tmp_path / "cache")
    blob, content = tmp_path / "cache" / "models--lab--thing" / BLOB, FILES[LARGE]
    blob.write_bytes({"truncated": content[:1000], "other bytes": content[::-1], "empty": b""}[damage])
    weights = weights_of(a_source(hashes=hashes))
    assert located(weights) is None
    fetched = fetch(weights, Report(), QUICK)
    assert (fetched.folder / LARGE).read_bytes() == content and located(weights) == fetched


def test_a_partial_file_that_was_damaged_is_begun_anew(hub: Hub, tmp_path: Path) -> None:
    part = tmp_path / "cache" / "models--lab--thing" / (BLOB + PART)
    part.parent.mkdir(parents=True)
    for content in (b"?" * 1000, b"?" * SIZE, b"?" * (SIZE + 1)):
        part.write_bytes(content)
        assert arrives()
        shutil.rmtree(tmp_path / "cache")
        part.parent.mkdir(parents=True)


def test_a_server_that_knows_no_ranges_sends_it_from_the_start(hub: Hub, tmp_path: Path) -> None:
    part = tmp_path / "cache" / "models--lab--thing" / (BLOB + PART)
    part.parent.mkdir(parents=True)
    part.write_bytes(FILES[LARGE][:1000])
    hub.faults += [Fault("no ranges", path=LARGE)]
    assert arrives() and hub.gets(LARGE)[-1].range == "bytes=1000-"


def test_a_part_that_is_slow_to_read_has_no_effect_on_how_long_the_hub_may_be_silent(hub: Hub, tmp_path: Path) -> None:
    """As gigabytes on a slow disk: the reading is told, and the Hub's time runs from when it was asked."""
    part = tmp_path / "cache" / "models--lab--thing" / (BLOB + PART)
    part.parent.mkdir(parents=True)
    part.write_bytes(FILES[LARGE][:200_000])
    hub.faults += [Fault("late", path=LARGE, times=1, delay_s=0.3)]
    heard: list[float] = []

    def slow_disk(fraction: float, message: str, preview: object) -> None:
        if "Checking what has come of The Thing" in message:
            heard.append(fraction)
            time.sleep(2 * IMPATIENT.silent_s)

    assert fetch(weights_of(), Report(slow_disk), IMPATIENT).revision == "c" * 40
    assert len(heard) == 1 and heard[0] > 0.5 and hub.gets(LARGE)[-1].range == "bytes=200000-"


def test_cancel_is_heard_while_a_part_is_read(hub: Hub, tmp_path: Path) -> None:
    part, cancelled = tmp_path / "cache" / "models--lab--thing" / (BLOB + PART), threading.Event()
    part.parent.mkdir(parents=True)
    part.write_bytes(FILES[LARGE][:200_000])
    report = Report(lambda fraction, message, preview: cancelled.set() if "has come" in message else None, cancelled)
    with pytest.raises(Cancelled):
        fetch(weights_of(), report, QUICK)
    assert part.stat().st_size == 200_000


@pytest.mark.parametrize("revision", ["c" * 40, "c" * 7])
def test_what_is_kept_of_an_earlier_try_is_not_missing(hub: Hub, revision: str) -> None:
    """Neither the files that came to their end nor the one that did not."""
    weights = weights_of(a_source(revision=revision, hashes=False))
    hub.faults += [Fault("cut", path=LARGE, times=1, after_bytes=100_000), Fault("503", path=LARGE, delay_s=0.2)]
    with pytest.raises(TurnaroundError):
        fetch(weights, Report(), QUICK)
    assert len(hub.gets(CONFIG)) == 1 and missing_bytes(weights) == SIZE - 100_000 and located(weights) is None


@pytest.mark.parametrize("repository", ["lab--thing", "other--model"])
def test_old_partial_files_are_swept_by_any_fetch_and_other_programs_are_left_alone(hub, tmp_path, repository) -> None:
    fetch(weights_of(), Report(), QUICK)
    blobs = tmp_path / "cache" / f"models--{repository}" / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    before = {path.name for path in blobs.iterdir()}
    for name, age_days in ((f"old{PART}", 30), (f"young{PART}", 1), ("theirs.1234abcd.incomplete", 30)):
        (blobs / name).write_bytes(b"half")
        then = time.time() - age_days * 86_400
        os.utime(blobs / name, (then, then))
    assert arrives()
    assert {path.name for path in blobs.iterdir()} == before | {f"young{PART}", "theirs.1234abcd.incomplete"}


# --- No room, no permission -------------------------------------------------------------------------------------------


def test_f28_too_little_room_is_said_before_a_byte_is_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=300_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setenv("TURNAROUND_FREE_DISK_MB", "0")
    assert "384 kB are to come, and 300 kB are free" in (words := refusal()) and "HF_HUB_CACHE" in words
    assert hub.gets() == [] and missing_bytes(weights_of()) > 0
    usage = usage._replace(free=10_000_000)
    monkeypatch.setenv("TURNAROUND_FREE_DISK_MB", "200")
    assert "of which 200 MB are to stay free" in refusal()


@pytest.fixture
def small_files_only() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_f28_room_that_runs_out_on_the_way_leaves_nothing(hub: Hub, tmp_path: Path, small_files_only: None) -> None:
    assert "the disk is full" in refusal()
    assert not {BLOB, BLOB + PART} & cached_files(tmp_path)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert arrives(), "and with room again it works"


@pytest.fixture
def read_only_cache(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache that may be read and not written, for root as well: the process acts as nobody meanwhile."""
    from huggingface_hub import constants

    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to nobody
    folder.chmod(0o755)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
    hub.root = shutil.copytree(hub.root, folder / "hub")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
    monkeypatch.setenv("TURNAROUND_DATA", str(folder / "data"))
    monkeypatch.setenv("TURNAROUND_WEIGHTS", str(folder / "by hand"))
    fetch(weights_of(), Report(), QUICK)  # what is imported late is imported while it may be read
    shutil.rmtree(folder / "cache")
    (folder / "cache").mkdir()
    hub.asked.clear()
    yield folder / "cache"
    shutil.rmtree(folder)


@pytest.fixture
def as_nobody() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_f29_a_cache_that_cannot_be_written_is_said(read_only_cache: Path, hub: Hub, request) -> None:
    read_only_cache.chmod(0o555)
    request.getfixturevalue("as_nobody")
    words = refusal()
    assert "could not be stored in the Hub's cache (HF_HUB_CACHE)" in words and "cannot be written to" in words
    assert hub.gets() == []


def test_f29_what_a_read_only_cache_holds_is_used(read_only_cache: Path, hub: Hub, request, tmp_path: Path) -> None:
    """As a lab prepares it: neither the cache nor our own folder may be written by those who use it."""
    from huggingface_hub import snapshot_download

    snapshot_download("lab/thing", revision="c" * 40, cache_dir=read_only_cache)
    for folder in (read_only_cache, *(path for path in read_only_cache.rglob("*") if path.is_dir())):
        folder.chmod(0o555)
    request.getfixturevalue("as_nobody")
    asked = len(hub.asked)
    assert located(weights_of()) is None
    fetched = fetch(weights_of(), Report())
    assert located(weights_of()) == fetched and len(hub.asked) == asked
