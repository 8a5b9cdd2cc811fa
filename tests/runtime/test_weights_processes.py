"""F24 and F15: several processes and one cache, as people have them."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from pipelines.runtime.hub_cache import PART
from pipelines.runtime.report import Report
from pipelines.runtime.weights import fetch, located
from tests.hub.client import COMMIT, FILES, LARGE, PYTHON, QUICK, a_hub, cached_files, other_process, weights_of
from tests.hub.server import Fault, Hub, sha256

BLOB = f"blobs/{sha256(FILES[LARGE])}"
FETCH = """
from pipelines.runtime.report import Report
from pipelines.runtime.weights import fetch
from tests.hub.client import weights_of
print(fetch(weights_of(), Report()).revision)
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with a_hub(tmp_path, monkeypatch) as hub:
        yield hub


def started(hub: Hub, folder: Path, code: str = FETCH) -> subprocess.Popen[str]:
    environment, pipe = other_process(hub, folder), subprocess.PIPE
    return subprocess.Popen([PYTHON, "-c", code], env=environment, text=True, stdout=pipe, stderr=pipe)


def test_f24_killed_in_the_middle_the_next_run_goes_on_where_it_was(hub: Hub, tmp_path: Path) -> None:
    hub.faults += [Fault("stall", path=LARGE, times=1, after_bytes=100_000)]
    process = started(hub, tmp_path)
    part = tmp_path / "cache" / "models--lab--thing" / (BLOB + PART)
    while not part.exists() or part.stat().st_size < 90_000:  # the last bytes may be in a buffer
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = part.stat().st_size
    assert located(weights_of()) is None and BLOB not in cached_files(tmp_path)

    fetched = fetch(weights_of(), Report(), QUICK)
    assert (fetched.folder / LARGE).read_bytes() == FILES[LARGE]
    assert hub.sent_bytes[LARGE] == 100_000 + len(FILES[LARGE]) - kept, "only what was missing was sent"
    assert hub.gets(LARGE)[-1].range == f"bytes={kept}-"
    assert not any(name.endswith(PART) for name in cached_files(tmp_path))


def test_f15_two_processes_fetch_it_once(hub: Hub, tmp_path: Path) -> None:
    hub.faults += [Fault("trickle", path=LARGE, times=1)]
    processes = [started(hub, tmp_path) for _ in range(2)]
    for process in processes:
        out, err = process.communicate()
        assert out.strip() == COMMIT, err
    assert len(hub.gets(LARGE)) == 1


def test_huggingface_hub_itself_waits_for_our_download_and_takes_it(hub: Hub, tmp_path: Path) -> None:
    """The lock is the same: a program beside ours does not fetch the file a second time."""
    hub.faults += [Fault("trickle", path=LARGE, times=1)]
    ours = started(hub, tmp_path)
    while not hub.sent_bytes.get(LARGE):
        assert ours.poll() is None, ours.communicate()
        time.sleep(0.01)
    code = "import huggingface_hub; print(huggingface_hub.snapshot_download('lab/thing', revision='c' * 40))"
    theirs = started(hub, tmp_path, code)
    for process in (ours, theirs):
        out, err = process.communicate()
        assert COMMIT in out, err
    assert len(hub.gets(LARGE)) == 1
