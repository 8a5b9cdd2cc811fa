"""Photos are read in a child process that may crash, hang or run out of memory without harm to anyone."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipelines.core.errors import TurnaroundError
from pipelines.core.images import Limits, Photo, decode_photo
from pipelines.runtime import intake as module
from pipelines.runtime.intake import Intake
from tests.bad_files import BAD_FILES, FORMATS, bomb, encoded, patched, scene, scene_rgba, slow_photo

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def intake() -> Iterator[Intake]:
    with Intake() as shared:
        yield shared


@pytest.fixture
def own_intake() -> Iterator[Intake]:
    with Intake() as intake:
        yield intake


def children(of: int | None = None) -> list[psutil.Process]:
    """The living reader processes of a process."""
    found = []
    for process in psutil.Process(of).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE and module.__name__ in process.cmdline():
                found.append(process)
    return found


def child_of(intake: Intake) -> psutil.Process:
    assert intake.alive()
    process = intake._readers[0]._process
    assert process is not None
    return psutil.Process(process.pid)


def eventually(holds: Callable[[], bool]) -> bool:
    for _ in range(200):
        if holds():
            return True
        time.sleep(0.05)
    return False


def refusal(intake: Intake, source: bytes | Path) -> str:
    with pytest.raises(TurnaroundError) as refused:
        intake.read(source)
    return str(refused.value)


def reads_an_honest_photo(intake: Intake) -> bool:
    return intake.read(FORMATS["png"]()).sha256 == decode_photo(FORMATS["png"]()).sha256


# --- Photos and refusals pass unchanged -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_a_photo_read_in_the_child_is_the_same(intake: Intake, name: str) -> None:
    photo, expected = intake.read(FORMATS[name]()), decode_photo(FORMATS[name]())
    assert np.array_equal(photo.rgba, expected.rgba)
    assert (photo.sha256, photo.original_size_px, photo.notes) == (
        expected.sha256,
        expected.original_size_px,
        expected.notes,
    )
    assert not photo.rgba.flags.writeable


@pytest.mark.parametrize("name", BAD_FILES)
def test_each_bad_file_is_refused_with_its_sentence_and_the_next_photo_is_read(intake: Intake, name: str) -> None:
    before = child_of(intake).pid
    assert BAD_FILES[name].says in refusal(intake, BAD_FILES[name].make())
    assert reads_an_honest_photo(intake)
    assert child_of(intake).pid == before  # nothing in the list brings a child down


def test_files_are_read_from_disk_whatever_they_are_called(intake: Intake, tmp_path: Path) -> None:
    for name in ("photo.jpg", "photo.exe", "no suffix", ".htaccess", "übel 📷 \u202egpj.png"):
        path = tmp_path / name
        path.write_bytes(FORMATS["webp"]())
        assert intake.read(path).original_size_px == (96, 72)


def test_what_is_no_file_is_refused_without_being_opened(intake: Intake, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would block for ever
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "absent", Path("/dev/zero"), Path("a" * 5000)):
        sentence = refusal(intake, path)
        assert "Choose it again" in sentence
        assert str(tmp_path) not in sentence


def test_a_large_file_is_refused_before_it_is_read(own_intake: Intake, tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a terabyte, none of it on disk
    assert "at most 25.0 MB" in refusal(own_intake, path)
    assert own_intake._readers[0]._process is None


def test_limits_reach_the_child() -> None:
    with Intake(Limits(max_pixels=6000, working_side_px=64, min_side_px=10)) as small:
        assert "0.006 megapixels" in refusal(small, FORMATS["png"]())
        assert small.read(encoded(scene(80, 60), "PNG")).rgba.shape == (48, 64, 4)


# --- Faults -----------------------------------------------------------------------------------------------------------


def test_nothing_is_started_before_it_is_needed() -> None:
    before = len(children())
    with Intake(workers=2) as intake:
        assert len(children()) == before
        intake.warm()
        assert len(children()) == before + 2
    assert eventually(lambda: len(children()) == before)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSEGV, signal.SIGXCPU, signal.SIGABRT])
def test_a_child_that_dies_at_work_is_replaced(own_intake: Intake, sign: signal.Signals) -> None:
    """As when the system runs out of memory, or a decoder crashes."""
    child = child_of(own_intake)
    data = slow_photo()
    busy_since = sum(child.cpu_times()[:2])
    sentences: list[str] = []
    reading = threading.Thread(target=lambda: sentences.append(refusal(own_intake, data)))
    reading.start()
    assert eventually(lambda: sum(child.cpu_times()[:2]) > busy_since + 0.05)
    child.send_signal(sign)
    reading.join(30)
    assert "damaged, or too complex" in sentences[0]
    assert reads_an_honest_photo(own_intake)
    assert own_intake.read(data).original_size_px == (5000, 5000)  # the photo itself was never to blame


def test_a_child_killed_at_rest_is_replaced_without_anyone_noticing(own_intake: Intake) -> None:
    child = child_of(own_intake)
    child.kill()
    assert eventually(lambda: os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None)
    assert reads_an_honest_photo(own_intake)


def test_a_child_that_hangs_is_killed_and_replaced(own_intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    child = child_of(own_intake)
    monkeypatch.setattr(module, "WALL_S", 0.5)
    child.suspend()
    assert "too complex" in refusal(own_intake, FORMATS["png"]())
    assert not psutil.pid_exists(child.pid)
    monkeypatch.undo()
    assert reads_an_honest_photo(own_intake)


def test_a_health_check_tells_a_hung_child_and_heals_it(own_intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_intake.alive()
    monkeypatch.setattr(module, "PING_S", 0.5)
    child_of(own_intake).suspend()
    assert not own_intake.alive()
    monkeypatch.undo()
    assert own_intake.alive()


def test_processor_time_is_limited_anew_for_each_photo(own_intake: Intake) -> None:
    """The system counts from a process's start, so that without this a warm child would run dry."""
    child = child_of(own_intake)
    for _ in range(2):
        assert reads_an_honest_photo(own_intake)
        used = sum(child.cpu_times()[:2])
        assert used < child.rlimit(psutil.RLIMIT_CPU)[0] <= used + module.CPU_S + 2


def test_a_photo_that_takes_too_much_processor_time_is_refused(tmp_path: Path) -> None:
    """The same child, but with a limit of no seconds: the system stops it, not the wall clock."""
    code = "from pipelines.runtime import intake; intake.CPU_S = -1; intake._serve(*intake._arguments())"
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nshift 2\nexec {sys.executable} -c '{code}' \"$@\"\n")
    python.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch, Intake() as intake:
        patch.setattr(sys, "executable", str(python))
        child = child_of(intake)
        patch.undo()
        start = time.monotonic()
        assert "too complex" in refusal(intake, slow_photo())
        assert time.monotonic() - start < module.WALL_S
        assert not psutil.pid_exists(child.pid)
        assert reads_an_honest_photo(intake)


def test_a_child_has_little_memory_few_files_and_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with Intake() as intake:
        child = child_of(intake)
        at_rest = child.memory_info().vms
        assert 0 < child.rlimit(psutil.RLIMIT_AS)[0] - at_rest < 1.2e9  # no limit reads as -1
        assert 0 < child.rlimit(psutil.RLIMIT_NOFILE)[0] <= 16
        assert child.rlimit(psutil.RLIMIT_CORE)[0] == 0
        assert child.rlimit(psutil.RLIMIT_FSIZE)[0] == 0
        assert not any("secret" in value.lower() for value in child.environ().values())
        assert not child.net_connections()


def test_memory_taken_by_a_bomb_is_bounded_and_given_back() -> None:
    """What is too large is never unpacked; the largest that is allowed is, and leaves again."""
    with Intake() as intake:
        child = child_of(intake)
        at_rest = child.memory_info().rss
        for data in (bomb(13000, 13000), bomb(12000, 12000, channels=3), bomb(30000, 30000, bits=1)):
            refusal(intake, data)
        assert _peak_rss(child) - at_rest < 20e6
        # colours and transparency of the largest size allowed: the dearest that has to be held
        assert "fully transparent" in refusal(intake, bomb(7000, 7000, channels=4))
        assert _peak_rss(child) - at_rest < 1.1e9
        assert reads_an_honest_photo(intake)
        assert child.memory_info().rss - at_rest < 100e6


def test_a_child_that_runs_out_of_memory_says_so_and_lives_on(own_intake: Intake) -> None:
    child = child_of(own_intake)
    little = child.memory_info().vms + 60_000_000
    child.rlimit(psutil.RLIMIT_AS, (little, little))
    assert "too complex" in refusal(own_intake, slow_photo())
    assert reads_an_honest_photo(own_intake)
    assert child_of(own_intake).pid == child.pid


def _peak_rss(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def test_after_closing_photos_are_refused_and_nothing_is_left() -> None:
    intake = Intake()
    child = child_of(intake)
    intake.close()
    assert not psutil.pid_exists(child.pid)
    assert "server is stopping" in refusal(intake, FORMATS["png"]())
    assert not intake.alive()


def test_a_reader_that_does_not_start_is_no_fault_of_the_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Intake() as intake:
        assert "did not start" in refusal(intake, FORMATS["png"]())
        assert not intake.alive()
        monkeypatch.setattr(sys, "executable", "/does/not/exist")
        assert "did not start" in refusal(intake, FORMATS["png"]())
        monkeypatch.undo()
        assert reads_an_honest_photo(intake)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("busy", [False, True])
def test_no_child_outlives_its_parent(sign: signal.Signals, busy: bool, tmp_path: Path) -> None:
    photo, at_rest = tmp_path / "photo", tmp_path / "at rest"
    photo.write_bytes(slow_photo() if busy else FORMATS["png"]())
    code = f"""
        import pathlib, threading, time
        from pipelines.runtime.intake import Intake
        intake = Intake(workers=2)
        intake.warm()
        def read():
            for _ in range({20 if busy else 1}):
                intake.read(pathlib.Path({str(photo)!r}))
        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        pathlib.Path({str(at_rest)!r}).touch()
        time.sleep(60)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT)
    try:
        assert eventually(lambda: len(children(parent.pid)) == 2)
        readers = children(parent.pid)
        if busy:
            assert eventually(lambda: all(sum(reader.cpu_times()[:2]) > 0.3 for reader in readers))
            assert not at_rest.exists()
        else:
            assert eventually(at_rest.exists)
    finally:
        parent.send_signal(sign)
        parent.wait()
    assert eventually(lambda: not any(reader.is_running() for reader in readers))


def test_the_callers_main_module_runs_once_and_the_page_is_not_loaded(tmp_path: Path) -> None:
    """The child starts afresh: neither the caller's script nor Gradio is in it."""
    script = tmp_path / "main.py"
    script.write_text(
        textwrap.dedent(f"""
            print("main runs")
            import sys
            sys.path.insert(0, {str(ROOT)!r})
            from pipelines.runtime.intake import Intake
            from tests.bad_files import FORMATS
            intake = Intake()
            print(intake.read(FORMATS["png"]()).original_size_px)
            maps = open(f"/proc/{{intake._readers[0]._process.pid}}/maps").read()
            print([name for name in ("cv2", "torch", "orjson", "pydantic") if name in maps])
        """)
    )
    said = subprocess.check_output([sys.executable, script], text=True, cwd=tmp_path)
    assert said.splitlines() == ["main runs", "(96, 72)", "[]"]


# --- Many at once -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_callers_at_once_each_get_their_own_photo(workers: int) -> None:
    """Good and bad ones mixed, from more threads than there are children."""
    shades = {i: np.ascontiguousarray(np.roll(scene_rgba(), i * 7, axis=1)) for i in range(24)}
    files = {i: encoded(pixels, "PNG") for i, pixels in shades.items()}

    with Intake(workers=workers) as intake, ThreadPoolExecutor(24) as threads:

        def read(number: int) -> Photo | str:
            if number % 5 == 3:
                return refusal(intake, BAD_FILES["half a PNG"].make())
            return intake.read(files[number])

        results = list(threads.map(read, range(24)))
    for number, result in enumerate(results):
        if number % 5 == 3:
            assert "cut off" in str(result)
        else:
            assert isinstance(result, Photo)
            assert result.sha256 == decode_photo(files[number]).sha256
    assert len({result.sha256 for result in results if isinstance(result, Photo)}) == 19


def test_one_childs_death_is_one_callers_loss(own_intake: Intake) -> None:
    data = slow_photo()
    child = child_of(own_intake)
    with ThreadPoolExecutor(5) as threads:
        first = threads.submit(refusal, own_intake, data)
        busy_since = sum(child.cpu_times()[:2])
        assert eventually(lambda: sum(child.cpu_times()[:2]) > busy_since + 0.05)
        others = [threads.submit(reads_an_honest_photo, own_intake) for _ in range(4)]
        child.kill()
        assert "too complex" in first.result()
        assert all(other.result() for other in others)


def test_closing_while_photos_are_read_leaves_no_caller_waiting() -> None:
    intake = Intake()
    child = child_of(intake)
    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(refusal, intake, slow_photo()) for _ in range(4)]
        time.sleep(0.2)
        intake.close()
        assert all("server is stopping" in future.result(30) for future in waiting)
    assert not psutil.pid_exists(child.pid)


def test_nothing_a_decoder_prints_reaches_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    """libtiff complains on stderr, whoever calls it; in this process, to compare, it does."""
    noise = patched(FORMATS["tiff, compressed"](), 100, np.random.default_rng(5).bytes(300))
    with contextlib.suppress(TurnaroundError):
        decode_photo(noise)
    assert capfd.readouterr().err
    with Intake() as intake:
        with contextlib.suppress(TurnaroundError):
            intake.read(noise)
        assert reads_an_honest_photo(intake)
    assert capfd.readouterr() == ("", "")
