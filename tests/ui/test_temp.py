"""The temporary folder: private, swept, and never under the feet of who uses it."""

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.runtime.settings import Settings
from ui import temp
from ui.temp import PREFIX, Sweeper, claim_folder, forget_upload


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    own = tmp_path / f"{PREFIX}own"
    own.mkdir()
    return own


def put(folder: Path, name: str, file: str = "photo.png") -> Path:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / file).write_bytes(b"x")
    return folder / name / file


def test_what_is_unused_goes_and_what_is_in_use_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = put(folder, "e" * 64, "example.png")
    sweeper = Sweeper(folder, keep_s=0.5)
    sweeper.start()
    unused, used, partial = put(folder, "a" * 64), put(folder, "b" * 64), put(folder, "arriving-x", "tmp123")
    monkeypatch.setattr(temp, "EMPTY_S", 0.0)  # not sooner: a folder just made is empty until its file is there
    for _ in range(4):
        time.sleep(0.2)
        os.utime(used)
    sweeper.sweep()
    assert not unused.exists() and not unused.parent.exists() and not partial.exists()
    assert used.exists() and example.exists()
    sweeper.close()
    assert not folder.exists()


def test_a_raw_upload_nobody_reads_goes_sooner(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temp, "RAW_S", 0.3)
    raw, shown = put(folder, "a" * 64), put(folder, "b" * 64, "image.webp")
    sweeper = Sweeper(folder, keep_s=60)
    time.sleep(0.5)
    sweeper.sweep()
    assert not raw.exists() and shown.exists()


def test_a_copy_of_an_old_file_is_new(folder: Path) -> None:
    """Gradio copies files with their times."""
    sweeper = Sweeper(folder, keep_s=30)
    copied = put(folder, "a" * 64)
    os.utime(copied, (0, 0))
    sweeper.sweep()
    assert copied.exists()


def test_f33_what_dead_servers_left_goes_and_what_others_have_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temp, "NEIGHBOUR_S", 0.0)
    dead, alive, strange = (folder.parent / name for name in (f"{PREFIX}dead", f"{PREFIX}alive", "holiday"))
    for other in (dead, alive, strange):
        other.mkdir()
        put(other, "a" * 64)
    theirs = Sweeper(alive, keep_s=0.5)
    for _ in range(4):
        time.sleep(0.2)
        theirs.sweep()
    Sweeper(folder, keep_s=0.5).sweep()
    assert not dead.exists() and alive.exists() and strange.exists()


def test_a_neighbour_is_not_judged_by_how_briefly_we_keep_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It touches its folder every minute; with 36 s of our own it would look dead."""
    alive, now, passed = folder.parent / f"{PREFIX}alive", time.time, time.monotonic
    alive.mkdir()
    photo, sweeper = put(alive, "a" * 64), Sweeper(folder, keep_s=36)
    for later_s, stays in ((60, True), (1800, True), (3700, False)):
        monkeypatch.setattr(temp.time, "time", lambda later_s=later_s: now() + later_s)
        monkeypatch.setattr(temp.time, "monotonic", lambda later_s=later_s: passed() + later_s)
        sweeper.sweep()
        assert photo.exists() == stays


@pytest.mark.parametrize("copied", [True, False])
def test_touching_and_ages_hold_on_windows_too(folder: Path, monkeypatch: pytest.MonkeyPatch, copied: bool) -> None:
    """There `os.utime` cannot but follow, and the ctime is when the file was made."""
    utime, lstat = os.utime, Path.lstat
    file, sweeper = put(folder, "a" * 64), Sweeper(folder, keep_s=30)
    sweeper.start()
    made_s = time.time() - (0 if copied else 3600)

    def windows_utime(path: Path, times: tuple[float, float] | None = None, *, follow_symlinks: bool = True) -> None:
        if not follow_symlinks:
            raise NotImplementedError("utime: follow_symlinks unavailable on this platform")
        utime(path, times)

    def windows_lstat(path: Path) -> SimpleNamespace:
        return SimpleNamespace(st_ctime=made_s, st_mtime=lstat(path).st_mtime, st_mode=lstat(path).st_mode)

    monkeypatch.setattr(os, "utime", windows_utime)
    monkeypatch.setattr(Path, "lstat", windows_lstat)
    utime(file, (0, 0))
    sweeper.sweep()  # touches what the page itself shows
    assert file.exists()
    utime(file, (0, 0))
    assert (temp._age_s(file) < 30) == copied
    os.utime(file)
    assert temp._age_s(file) < 30


def test_f31_a_clock_that_jumps_expires_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, sweeper, now = put(folder, "a" * 64), Sweeper(folder, keep_s=3600), time.time
    for jump in (86_400, -86_400):
        monkeypatch.setattr(temp.time, "time", lambda jump=jump: now() + jump)  # the one fault no test can make
        sweeper.sweep()
        assert file.exists()


def test_sweeping_goes_on_when_the_folder_is_gone(folder: Path) -> None:
    sweeper = Sweeper(folder, keep_s=0.01)
    folder.rmdir()
    sweeper.sweep()
    (folder.parent / "elsewhere").mkdir()
    outside = put(folder.parent / "elsewhere", "a")
    folder.symlink_to(folder.parent / "elsewhere", target_is_directory=True)
    time.sleep(0.05)
    sweeper.sweep()
    assert outside.exists()


def test_only_uploads_are_forgotten(folder: Path) -> None:
    upload, example = put(folder, "a" * 64, "photo.jpg"), put(folder, "b" * 64, "chair.png")
    for file in (upload, upload, example):
        forget_upload(file)
    assert not upload.parent.exists() and example.exists()


def test_the_folder_is_private_and_where_it_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    own = claim_folder(Settings(data=tmp_path))
    assert own.parent == tmp_path / "tmp" and own.stat().st_mode & 0o777 == 0o700
    assert os.environ["GRADIO_TEMP_DIR"] == str(own)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "asked"))
    assert claim_folder(Settings(data=tmp_path)).parent == tmp_path / "asked"


def test_f29_a_data_folder_that_cannot_be_written_still_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    (tmp_path / "file").write_text("in the way")
    own = claim_folder(Settings(data=tmp_path / "file"))
    assert own.is_dir() and not own.is_relative_to(tmp_path / "file")
    own.rmdir()
