"""The archive when clocks jump, and when it is swept and read at once."""

import random
import threading
import time
from pathlib import Path

import pytest

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.archive import NOT_FOUND
from tests.runtime.archive_helpers import Clock, an_archive, assert_whole, copies, save

ROOT = Path(__file__).parents[2]
DAY_S = 86_400.0
YEAR_S = 365 * DAY_S


@pytest.mark.parametrize("jump_s", [YEAR_S, 50 * YEAR_S, -YEAR_S, -40 * YEAR_S, 86_400, -86_400, 3600, -3600])
def test_f31_a_clock_that_jumps_expires_nothing_and_keeps_the_order(tmp_path: Path, jump_s: float):
    clock = Clock()
    archive = an_archive(tmp_path, clock, keep_days=30.0)
    ids = [save(archive).id, save(archive).id]
    for restarted in (False, True):
        if restarted:
            archive = an_archive(tmp_path, clock, keep_days=30.0)
        clock.now_s += jump_s
        assert archive.sweep().expired == 0
        ids.append(save(archive).id)
        clock.now_s -= jump_s
        assert archive.sweep().expired == 0
        ids.append(save(archive).id)
    assert [entry.id for entry in archive.list()] == sorted(ids, reverse=True) == ids[::-1]
    for id in ids:
        assert_whole(archive.open(id))


@pytest.mark.parametrize(
    "content", [None, b"", b"nonsense", b"1 2 3", b"-5 -5", b"9" * 400 + b" " + b"9" * 400, b"\xff"]
)
def test_f31_a_lost_or_damaged_clock_file_expires_nothing_and_keeps_the_order(tmp_path: Path, content: bytes | None):
    clock = Clock()
    archive = an_archive(tmp_path, clock)
    ids = [save(archive).id, save(archive).id]
    (archive.root / ".clock").unlink()
    if content is not None:
        (archive.root / ".clock").write_bytes(content)
    clock.now_s += 300 * 86_400
    assert archive.sweep().expired == 0
    ids.append(save(archive).id)
    assert [entry.id for entry in archive.list()] == ids[::-1]


def test_f33_nobody_opens_a_result_between_a_sweepers_last_look_and_its_removal(tmp_path: Path):
    """The sweeper asks its clock for its own time, and then once between looking at a result and removing it."""
    archive = an_archive(tmp_path)
    (id,) = copies(archive, save(archive), 1)
    outcome: list[str] = []

    def open_and_use() -> None:
        try:
            result = archive.open(id)
            time.sleep(0.2)
            assert_whole(result)
            outcome.append("whole")
        except (TurnaroundError, OSError) as error:
            outcome.append(str(error))

    visitor = threading.Thread(target=open_and_use)
    asked = 0

    def clock() -> float:
        nonlocal asked
        asked += 1
        if asked == 2:
            visitor.start()
            visitor.join(timeout=0.1)  # time enough to open it, were it not for the lock
        return time.time()

    assert an_archive(tmp_path, clock, keep_gb=1e-9).sweep().over_size == 1
    visitor.join()
    assert outcome == [NOT_FOUND]


def test_f33_sweeping_and_opening_at_once_never_breaks_an_opened_result(tmp_path: Path):
    """200 results, all due to leave; each is opened while two sweepers work. What opens stays whole."""
    archive = an_archive(tmp_path)
    ids = copies(archive, save(archive), 200)
    opened, problems = [], []
    start = threading.Barrier(4)

    def look(mine: list[str]) -> None:
        start.wait()
        for id in mine:
            try:
                opened.append(archive.open(id))
                assert_whole(opened[-1])
            except TurnaroundError as error:
                if str(error) != NOT_FOUND:
                    problems.append(error)
            except BaseException as error:
                problems.append(error)

    def sweep() -> None:
        sweeper = an_archive(tmp_path, keep_gb=1e-9)
        start.wait()
        try:
            sweeper.sweep()
        except BaseException as error:
            problems.append(error)

    chance = random.Random(1)
    chance.shuffle(ids)
    threads = [threading.Thread(target=look, args=(ids[i::2],)) for i in range(2)]
    threads += [threading.Thread(target=sweep) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems[:3]
    assert opened
    an_archive(tmp_path, keep_gb=1e-9).sweep()
    for result in opened:
        assert_whole(archive.open(result.id))
    assert {entry.id for entry in archive.list(limit=1000)} >= {result.id for result in opened}
