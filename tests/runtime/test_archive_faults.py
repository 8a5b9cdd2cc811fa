"""The archive on bad days: killed, full, read-only, gone, shared, raced, and with a clock that jumps."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pipelines.core.errors import TurnaroundError
from pipelines.core.files import StorageError
from pipelines.runtime.archive import INTERRUPTED, NOT_FOUND
from tests.runtime.archive_helpers import Clock, a_card, a_run, a_subject, an_archive, assert_whole, save

ROOT = Path(__file__).parents[2]
DAY_S = 86_400.0
YEAR_S = 365 * DAY_S


def python(program: str, *arguments: object, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Runs in a process of its own, with its own limits, rights and death."""
    command = [*before, sys.executable, "-c", program, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


def finished(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


# --- Death ------------------------------------------------------------------------------------------------------------

SAVES_UNTIL_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.runtime.archive_helpers import a_card, a_run, a_subject, an_archive, save
data = Path(sys.argv[1])
save(an_archive(data / "warm-up"), views=2)  # everything is imported before the first fork
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        archive, subject = an_archive(data), a_subject(int(line))
        while True:
            draft = archive.begin(subject)
            os.write(1, f"begun {draft.id}\\n".encode())
            draft.add(*a_run(subject, 2), a_card())
            draft.finish()
            os.write(1, f"done {draft.id}\\n".encode())
    os.write(1, f"child {child}\\n".encode())
"""


def test_f1_f2_killed_50_times_at_any_instant_leaves_whole_results_or_none(tmp_path: Path):
    saver = python(SAVES_UNTIL_KILLED, tmp_path)
    assert saver.stdin and saver.stdout
    chance, said = random.Random(4), []
    for i in range(50):
        saver.stdin.write(f"{i}\n")
        saver.stdin.flush()
        child, begun = 0, False
        while not (child and begun):
            said.append(saver.stdout.readline().split())
            child = int(said[-1][1]) if said[-1][0] == "child" else child
            begun = begun or said[-1][0] == "begun"
        time.sleep(chance.uniform(0, 0.06))
        os.kill(child, signal.SIGKILL)
        while True:  # its last words belong to it, not to the next
            try:
                os.kill(child, 0)
                time.sleep(0.001)
            except ProcessLookupError:
                break
    saver.stdin.close()
    said += [line.split() for line in saver.stdout]
    begun, done = ({id for word, id in said if word == kind} for kind in ("begun", "done"))

    archive = an_archive(tmp_path)
    for _ in range(2):  # as found after the restart, and after the sweep at start-up
        named = {path.name for path in archive.root.iterdir() if not path.name.startswith(".")}
        assert done <= named <= begun
        for id in named:
            assert_whole(archive.open(id))
        for id in begun - named:
            with pytest.raises(TurnaroundError) as caught:
                archive.open(id)
            assert str(caught.value) == INTERRUPTED
        archive.sweep()
    assert len(begun - named) >= 25  # most were indeed in the middle of one
    assert len(archive.list(limit=1000)) == len(named)
    assert not list(archive.root.rglob("*.part*")) and not list(archive.root.rglob("result"))


def test_f34_two_servers_on_one_store_disturb_nothing(tmp_path: Path):
    """They save and sweep at once; neither takes the other's running draft for an orphan."""
    program = """
import sys
from pathlib import Path
from tests.runtime.archive_helpers import an_archive, save, assert_whole
archive, ids = an_archive(Path(sys.argv[1])), []
for i in range(12):
    ids.append(save(archive, seed=i).id)
    swept = archive.sweep()
    assert swept.interrupted == swept.expired == swept.over_size == 0, swept
    assert_whole(archive.open(ids[-1]))
assert ids == sorted(ids)
print(*ids)
"""
    ids = " ".join([finished(server) for server in [python(program, tmp_path) for _ in range(2)]]).split()
    archive = an_archive(tmp_path)
    assert len(set(ids)) == 24
    assert {entry.id for entry in archive.list(limit=100)} == set(ids)
    for id in ids:
        assert_whole(archive.open(id))


def test_what_a_killed_process_left_beside_the_results_goes_at_once_or_after_a_day(tmp_path: Path):
    clock = Clock()
    archive = an_archive(tmp_path, clock)
    saved, gone = save(archive), save(archive)
    (archive._to_trash(gone.id) / "deep").mkdir()  # a crash in the middle of deleting
    part, probe = ".0123456789abcdef.part", ".probe-0123abcd"
    for folder in (archive.root, archive.root / "mine"):
        folder.mkdir(exist_ok=True)
        for name in [part, probe, ".part", ".probe", ".probe-notes", "my.part"]:
            (folder / name).write_text("x")
            os.utime(folder / name, (clock.now_s, clock.now_s))
    before = {path.relative_to(archive.root) for path in archive.root.rglob("*")}
    clock.now_s += 0.9 * DAY_S
    archive.sweep()
    assert not any((archive.root / ".trash").iterdir())
    trash = {path for path in before if path.is_relative_to(".trash/")} - {Path(".trash")}
    left = before - trash - {Path(part)}
    assert {path.relative_to(archive.root) for path in archive.root.rglob("*")} == left
    clock.now_s += 0.2 * DAY_S
    archive.sweep()
    assert {path.relative_to(archive.root) for path in archive.root.rglob("*")} == left - {Path(probe)}
    assert_whole(archive.open(saved.id))


def test_killed_writes_of_the_clock_and_the_probe_are_known_by_their_names(tmp_path: Path):
    """The names themselves come from other places: here both are left by a process that dies in the write."""
    program = """
import os, sys
from pathlib import Path
from tests.runtime.archive_helpers import an_archive
def die(path, data):
    path.touch()
    os._exit(0)
archive = an_archive(Path(sys.argv[1]))
archive.root.mkdir(exist_ok=True)
Path.write_bytes = die
archive.blocker() if sys.argv[2] == "probe" else archive._tick()
"""
    for what in ("probe", "clock"):
        finished(python(program, tmp_path, what))
    archive = an_archive(tmp_path, lambda: time.time() + 2 * DAY_S)
    assert len(left := set(os.listdir(archive.root))) == 2, left
    archive.sweep()
    assert not left & set(os.listdir(archive.root))


# --- The disk ---------------------------------------------------------------------------------------------------------

FILLS_THE_DISK = """
import resource, sys
from pathlib import Path
from pipelines.core.files import StorageError
from pipelines.runtime.manifest import DAMAGED
from tests.runtime.archive_helpers import an_archive, assert_whole, save
data, limited = Path(sys.argv[1]), sys.argv[2] == "limited"  # the disk's size, or every single file's
archive = an_archive(data)
first = save(archive)

def fill():
    if limited:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        return
    with (data / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            ballast.truncate(max(0, ballast.tell() - limit))

def empty():
    if limited:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    else:
        (data / "ballast").unlink()

for limit in (100, 1000, 2500, 6000, 12000) if limited else (0, 4096, 8192, 12288, 20480, 28672):
    fill()
    try:
        save(archive, views=2)
        raise SystemExit(f"{limit} bytes were enough")
    except StorageError as error:
        assert "the disk is full" in str(error), error
    assert_whole(archive.open(first.id))  # what is there can still be looked at
    left = {path.name for path in archive.root.iterdir()} - {".lock", ".clock", ".drafts", ".trash", first.id}
    assert not left and not list((archive.root / ".drafts").iterdir()), left
    empty()
    healed = save(archive, views=2)  # no restart, no cleaning up by hand
    assert_whole(healed)
    archive.delete(healed.id)
print("healed")
"""


def test_f28_a_full_disk_is_said_leaves_nothing_and_heals_by_itself(tmp_path: Path):
    """On a tiny disk of its own where the system lets us mount one, also as an ordinary user; else with small files."""
    mount = f'mount -t tmpfs -o size=300k none {tmp_path} && exec "$0" "$@"'
    own_disk = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount)
    try:
        subprocess.run([*own_disk, "true"], check=True, capture_output=True)
        process = python(FILLS_THE_DISK, tmp_path, "tmpfs", before=own_disk)
    except (OSError, subprocess.CalledProcessError):
        process = python(FILLS_THE_DISK, tmp_path, "limited")
    assert finished(process) == "healed\n"


def test_f28_files_that_cannot_grow_are_a_full_disk_too(tmp_path: Path):
    assert finished(python(FILLS_THE_DISK, tmp_path, "limited")) == "healed\n"


def test_f28_runs_are_refused_below_the_floor_of_free_space(tmp_path: Path):
    free_mb = shutil.disk_usage(tmp_path).free / 1e6
    archive = an_archive(tmp_path / "data", free_disk_mb=free_mb * 2)
    assert not archive.free_space_ok()
    with pytest.raises(StorageError, match=r"only \d+ MB left, and runs need \d+ MB\. .*delete"):
        archive.begin(a_subject())
    assert not (tmp_path / "data").exists()
    assert "MB left" in (archive.blocker() or "")
    roomy = an_archive(tmp_path / "data", free_disk_mb=free_mb / 2)
    assert roomy.blocker() is None
    assert_whole(save(roomy))


def test_f29_a_store_that_cannot_be_written_says_so_and_is_still_read():
    """As an ordinary user, for root may write anywhere."""
    program = """
import os, sys
from pathlib import Path
from pipelines.core.files import StorageError
from tests.runtime.archive_helpers import a_subject, an_archive, assert_whole, save
data = Path(sys.argv[1])
archive = an_archive(data)
assert archive.blocker() is None
saved = save(archive, views=2)
archive.subject(saved.id)
for path in (archive.root, saved.folder, archive.root / ".drafts"):
    path.chmod(0o555)
for path in (archive.root / ".lock", archive.root / ".clock"):
    path.chmod(0o444)
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
assert "cannot be written to" in archive.blocker()
for action in (lambda: archive.begin(a_subject()), lambda: archive.delete(saved.id), archive.sweep):
    try:
        action()
        raise SystemExit("it was written to")
    except StorageError as error:
        assert "cannot be written to" in str(error), error
assert_whole(archive.open(saved.id))
archive.subject(saved.id)
assert len(archive.list()) == 1
print("read")
"""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to other users
        os.chmod(folder, 0o755)
        try:
            assert finished(python(program, folder)) == "read\n"
        finally:
            for path in [Path(folder), *Path(folder).rglob("*")]:
                path.chmod(0o755)


@pytest.mark.parametrize("where", ["data", "results"])
def test_f29_a_file_where_the_folder_should_be_says_so(tmp_path: Path, where: str):
    data = tmp_path / "data"
    if where == "results":
        data.mkdir()
    (data / "results" if where == "results" else data).write_text("in the way")
    archive = an_archive(data)
    assert "cannot be written to" in (archive.blocker() or "")
    with pytest.raises(StorageError, match="cannot be written to"):
        archive.begin(a_subject())
    with pytest.raises(TurnaroundError, match=NOT_FOUND):
        archive.open("0" * 44)
    assert archive.list() == ()
    archive.sweep()


def test_f30_a_store_that_is_deleted_while_running_is_made_anew(tmp_path: Path):
    archive, subject = an_archive(tmp_path / "data"), a_subject()
    saved = save(archive)
    draft = archive.begin(subject)
    shutil.rmtree(tmp_path / "data")
    assert archive.list() == ()
    archive.sweep()
    with pytest.raises(TurnaroundError, match=NOT_FOUND):
        archive.open(saved.id)
    with pytest.raises(StorageError, match="removed meanwhile"):
        draft.add(*a_run(subject), a_card())
    draft.discard()
    assert_whole(archive.open(save(archive).id))


def test_f30_a_store_that_is_swapped_in_the_middle_of_a_run_gets_no_half_result(tmp_path: Path):
    archive, subject = an_archive(tmp_path / "data"), a_subject()
    draft = archive.begin(subject)
    draft.add(*a_run(subject), a_card())
    (tmp_path / "data").rename(tmp_path / "old")
    other = save(an_archive(tmp_path / "data"), seed=1)
    with pytest.raises(StorageError, match="removed meanwhile"):
        draft.finish()
    assert [entry.id for entry in archive.list()] == [other.id]
    assert_whole(archive.open(save(archive).id))
