"""A server's life: it says how it is, drains before it ends, leaves nobody behind, and recovers from a full disk."""

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from pipelines.core.cameras import View
from pipelines.core.errors import TurnaroundError
from pipelines.runtime.hub_cache import PART
from pipelines.runtime.method import Method, Report, Request, Turnaround
from pipelines.runtime.settings import Settings
from tests.toy_methods import Flat, a_subject
from tests.ui.hostile.server import Running, a_picture, as_json, file_object, serving
from ui import health
from ui.door import port_from
from ui.health import Health
from ui.server import SAME_S
from ui.studio import open_studio
from ui.uploads import NO_ROOM

HEALTH_S = 1.0
PATIENCE_S = 60.0  # on a busy machine; what is waited for usually comes at once


def until(true: Callable[[], bool], seconds: float = PATIENCE_S) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def children(server: Running) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children(recursive=True)


def results(server: Running) -> list[Path]:
    folder = server.data / "results"
    return [entry for entry in folder.iterdir() if not entry.name.startswith(".")] if folder.exists() else []


def begin(server: Running, tenths: int) -> str:
    """Start a run that lasts so long, and return its event once it works."""
    answer = server.client.post("/gradio_api/call/run", **as_json({"data": [str(tenths)]}))
    drafts = server.data / "results" / ".drafts"
    assert until(lambda: drafts.exists() and any(drafts.iterdir()))
    return answer.json()["event_id"]


# --- Results ----------------------------------------------------------------------------------------------------------


def test_results_leave_when_they_take_more_than_the_settings_allow(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    studio = open_studio(settings, methods=(Flat(),))
    subject = a_subject()
    job = studio.jobs.start(subject, [(Flat(), Request(subject, (View(),)))], "anna")
    assert until(lambda: job.state == "saved")
    folder = settings.results / job.id
    long_ago = time.time() - 3600
    os.utime(folder, (long_ago, long_ago))  # nobody looks at it any more
    with serving(settings.data, TURNAROUND_KEEP_GB=1e-6):
        assert until(lambda: not folder.exists())


def test_f24_what_killed_downloads_left_goes_when_a_server_starts(tmp_path: Path) -> None:
    blobs = tmp_path / "cache" / "models--lab--thing" / "blobs"
    blobs.mkdir(parents=True)
    for name, age_days in ((f"old{PART}", 30), (f"young{PART}", 1)):
        (blobs / name).write_bytes(b"half")
        then = time.time() - age_days * 86_400
        os.utime(blobs / name, (then, then))
    with serving(tmp_path / "data", HF_HUB_CACHE=tmp_path / "cache"):
        assert until(lambda: not (blobs / f"old{PART}").exists())
    assert (blobs / f"young{PART}").exists()


# --- Health -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


def test_health_tells_loop_and_worker_and_nothing_else(server: Running) -> None:
    assert server.is_well()
    answer = server.client.get("/healthz")
    assert answer.json() == {
        "status": "ok",
        "checks": {"intake": True, "engine": True, "disk": True, "data": True},
        "version": answer.json()["version"],
    }
    assert "/" not in answer.text and answer.headers["cache-control"] == "no-store"
    only_asked = server.client.head("/healthz")  # as monitors do
    assert only_asked.status_code == 200 and only_asked.content == b""
    assert server.client.post("/healthz").status_code == 405


def test_health_answers_within_a_second_while_the_intake_hangs_and_recovers(server: Running) -> None:
    assert server.is_well()
    readers = children(server)
    for child in readers:
        child.send_signal(signal.SIGSTOP)
    time.sleep(health.FRESH_S)
    start = time.monotonic()
    answer = server.client.get("/healthz")
    assert answer.status_code == 503 and answer.json()["checks"]["intake"] is False
    assert answer.json()["checks"]["data"] is True
    assert time.monotonic() - start < 10 * HEALTH_S  # the machine may be busy; what is meant is not the ping's 5 s
    assert server.is_well()  # the hanging children were replaced
    assert not {child.pid for child in readers} & {other.pid for other in children(server)}


def test_f8_health_survives_the_death_of_the_intake(server: Running) -> None:
    assert server.is_well()
    readers = children(server)
    for child in readers:
        child.kill()
    assert server.is_well()
    assert until(lambda: len(children(server)) == len(readers))


def test_f30_a_data_folder_that_vanishes_is_made_again(server: Running) -> None:
    path = server.upload(a_picture())
    shutil.rmtree(server.data)
    assert not Path(path).exists()
    again = server.upload(a_picture((11, 22, 33)))
    assert server.call("image_pil", file_object(again)).ok
    assert "saved" in server.call("run", "1").text
    assert server.is_well()
    shutil.rmtree(server.data)
    server.data.write_text("not a folder")
    assert until(lambda: server.client.get("/healthz").json()["checks"]["data"] is False)
    answer = server.client.post("/gradio_api/upload", files={"files": ("x.png", a_picture())})
    assert answer.status_code in (500, 507) and str(server.data) not in answer.text
    server.data.unlink()
    assert server.upload(a_picture()) and server.is_well()


class Silent(Flat):
    def _run(self, request: Request, report: Report) -> Turnaround:
        report(0.1, "The last word for a while")
        time.sleep(0.6)
        return super()._run(request, report)


def test_health_notices_a_method_that_fell_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "SILENT_S", 0.2)
    studio = open_studio(Settings(data=tmp_path), methods=(Silent(),))
    method: Method = Silent()

    async def engine_is_well() -> bool:
        return (await Health(studio).answer(None)).body.find(b'"engine":true') > 0  # type: ignore[arg-type]

    with studio.intake:
        request = Request(a_subject(), (health_view(),), size_px=64)
        thread = threading.Thread(target=studio.jobs.engine.run, args=(method, request, Report()))
        assert asyncio.run(engine_is_well())
        thread.start()
        time.sleep(0.3)
        assert not asyncio.run(engine_is_well())
        thread.join()
        assert asyncio.run(engine_is_well())


def health_view() -> Any:
    from pipelines.core.cameras import View

    return View(0.0, 0.0)


# --- The end ----------------------------------------------------------------------------------------------------------


def test_f3_sigterm_lets_running_work_finish_and_leaves_with_0(tmp_path: Path) -> None:
    with serving(tmp_path / "data", TURNAROUND_DRAIN_S=60) as server:
        server.upload(a_picture())
        assert until(lambda: bool(children(server)))  # who reads the photos
        family = children(server)
        event = begin(server, tenths=20)
        told: list[str] = []
        listener = threading.Thread(target=lambda: told.append(server.result("run", event).text))
        listener.start()
        server.process.send_signal(signal.SIGTERM)
        assert until(lambda: server.client.get("/healthz").json()["status"] == "stopping")
        assert "about to restart" in server.call("run", "1").sentence
        assert server.process.wait(PATIENCE_S) == 0
        listener.join(10)
        assert len(results(server)) == 1 and told and results(server)[0].name in told[0]  # saved, and the page was told
        assert not list((server.data / "tmp").iterdir())
        assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
        assert "Traceback" not in server.log.read_text()


def test_f3_ctrl_c_cuts_what_does_not_finish_in_time_and_leaves_no_half_result(tmp_path: Path) -> None:
    with serving(tmp_path / "data", TURNAROUND_DRAIN_S=0.2) as server:
        begin(server, tenths=600)
        start = time.monotonic()
        assert server.stop(signal.SIGINT) == 0
        assert time.monotonic() - start < 20
        assert not results(server) and not list((server.data / "results" / ".drafts").iterdir())
        assert "Traceback" not in server.log.read_text() and "KeyboardInterrupt" not in server.log.read_text()


def test_f3_the_second_signal_ends_everything_at_once(tmp_path: Path) -> None:
    with serving(tmp_path / "data", TURNAROUND_DRAIN_S=600) as server:
        server.upload(a_picture())
        assert until(lambda: bool(children(server)))  # who reads the photos
        family = children(server)
        begin(server, tenths=600)
        server.process.send_signal(signal.SIGTERM)
        assert until(lambda: "Stopping" in server.log.read_text())
        time.sleep(1.1 * SAME_S)
        assert server.stop(signal.SIGTERM, within_s=10) == 128 + signal.SIGTERM
        assert until(lambda: not any(process.is_running() for process in family))
        assert not results(server)


# --- A full disk ------------------------------------------------------------------------------------------------------


@contextmanager
def a_disk_of(folder: Path, megabytes: int) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def can_mount() -> bool:
    probe = Path(f"/tmp/turnaround-mount-{os.getpid()}")
    probe.mkdir()
    try:
        with a_disk_of(probe, 1):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False
    finally:
        probe.rmdir()


def post(server: Running, size: int) -> httpx.Response:
    return server.client.post("/gradio_api/upload", files={"files": ("x.png", os.urandom(size))})


def nothing_half_done(server: Running) -> bool:
    return not list(server.uploads.glob("arriving-*"))


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a running process can only be moved on Linux")
def test_f28_an_upload_that_cannot_be_written_leaves_nothing_and_the_next_works(server: Running) -> None:
    """The system refuses to let any file of the server grow over 1 MB, as a full disk would; then it relents."""
    before = len(list(server.uploads.iterdir()))
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        for _ in range(5):
            answer = post(server, 3_000_000)
            assert answer.status_code == 507 and answer.text == NO_ROOM
        assert nothing_half_done(server) and len(list(server.uploads.iterdir())) == before
        assert post(server, 100_000).status_code == 200
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert post(server, 3_000_000).status_code == 200


if can_mount():

    def test_f28_a_full_disk_heals_by_itself(tmp_path: Path) -> None:
        """Also F28's floor: below it nothing is taken at all."""
        data = tmp_path / "data"
        data.mkdir()
        settings: dict[str, Any] = {"TURNAROUND_FREE_DISK_MB": 1, "TURNAROUND_MAX_UPLOAD_MB": 5}
        with a_disk_of(data, 8), serving(data, **settings) as server:
            filler = data / "filler"

            def leave(megabytes: float) -> None:
                filler.unlink(missing_ok=True)
                filler.write_bytes(b"x" * max(0, int(shutil.disk_usage(data).free - megabytes * 2**20)))

            leave(0.5)
            assert post(server, 1000).text == NO_ROOM  # below the floor
            assert until(lambda: server.client.get("/healthz").json()["checks"]["disk"] is False)
            assert server.client.get("/").status_code == 200
            leave(2.0)
            for _ in range(3):
                answer = post(server, 4_000_000)  # over the floor, but there is no room for all of it
                assert answer.status_code == 507 and answer.text == NO_ROOM
                assert nothing_half_done(server)
            assert post(server, 100_000).status_code == 200
            filler.unlink()
            assert post(server, 4_000_000).status_code == 200
            assert server.is_well()

else:

    def test_f28_below_the_floor_nothing_is_taken(tmp_path: Path) -> None:
        floor = shutil.disk_usage(tmp_path).free / 1e6 + 100_000
        if floor > 1e6:  # the setting's maximum; a disk this empty cannot be below it
            floor = 1e6
        assert shutil.disk_usage(tmp_path).free < floor * 1e6, "this disk is too large to seem full"
        with serving(tmp_path / "data", TURNAROUND_FREE_DISK_MB=floor) as server:
            answer = post(server, 1000)
            assert answer.status_code == 507 and answer.text == NO_ROOM
            told = server.client.get("/healthz")
            assert told.status_code == 503 and told.json()["checks"]["disk"] is False
            assert server.client.get("/").status_code == 200


def test_the_time_of_a_file_starts_anew_whenever_it_is_used(server: Running) -> None:
    path = Path(server.upload(a_picture()))
    uploaded = path.stat().st_ctime_ns
    time.sleep(0.02)
    assert server.call("show", file_object(str(path))).ok
    assert path.stat().st_ctime_ns > uploaded


# --- The address ------------------------------------------------------------------------------------------------------


def test_the_port_is_checked() -> None:
    assert port_from({}) is None and port_from({"GRADIO_SERVER_PORT": " "}) is None
    assert port_from({"GRADIO_SERVER_PORT": "7861"}) == 7861
    for bad in ("abc", "0", "65536", "-1", "7860.5", "٧٨٦٠x"):
        with pytest.raises(TurnaroundError, match="between 1 and 65535"):
            port_from({"GRADIO_SERVER_PORT": bad})
