"""Photos between "prepare" and "render": had by their id only, bounded in memory and time."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from pipelines.core.errors import TurnaroundError
from pipelines.core.images import Photo
from pipelines.core.mask import Repair
from pipelines.runtime.prepare import Found
from pipelines.runtime.results import subject_record
from pipelines.runtime.shelf import Prepared, Shelf, mark_of
from tests.toy_methods import a_subject


def a_prepared(side_px: int = 10) -> Prepared:
    return Prepared(Photo.of(np.full((side_px, side_px, 4), 255, np.uint8), (side_px, side_px)), "auto", 0.8)


def test_what_is_put_is_had_by_its_id_and_by_no_other():
    shelf = Shelf(keep_s=60)
    first, second = a_prepared(), a_prepared()
    first_id, second_id = shelf.put(first), shelf.put(second)
    assert shelf.get(first_id) is first and shelf.get(second_id) is second
    assert first_id != second_id and len(first_id) >= 22
    for wrong in ("", first_id[:-1], first_id.swapcase(), None, 7, [first_id], {}):
        assert shelf.find(wrong) is None
        with pytest.raises(TurnaroundError, match="no longer held"):
            shelf.get(wrong)


def test_the_least_recently_used_leaves_when_memory_is_short():
    one = a_prepared().size_bytes
    shelf = Shelf(keep_s=60, max_bytes=3 * one)
    ids = [shelf.put(a_prepared()) for _ in range(3)]
    shelf.get(ids[0])
    ids.append(shelf.put(a_prepared()))
    assert [shelf.find(id) is not None for id in ids] == [True, False, True, True]


def test_the_newest_stays_however_large_and_a_subject_counts():
    shelf = Shelf(keep_s=60, max_bytes=1)
    bare, whole = a_prepared(), Prepared(a_prepared().photo, "auto", 0.8, a_subject(64))
    assert whole.size_bytes == bare.size_bytes + 64 * 64 * 4
    first, second = shelf.put(bare), shelf.put(whole)
    assert shelf.find(first) is None and shelf.find(second) is whole


def test_masks_and_strokes_count_too_but_a_photos_own_alpha_is_there_already():
    photo = a_prepared(64).photo
    bare = Prepared(photo, "auto", 0.8)
    assert replace(bare, found=Found(photo.rgba[..., 3], "alpha")).size_bytes == bare.size_bytes
    assert replace(bare, found=Found(np.zeros((64, 64), np.uint8), "outline")).size_bytes == bare.size_bytes + 64 * 64
    painted = np.ones((64, 64), np.bool_)
    assert replace(bare, repair=Repair(painted, ~painted)).size_bytes == bare.size_bytes + 2 * 64 * 64


def test_everything_leaves_after_its_time():
    shelf = Shelf(keep_s=0)
    id = shelf.put(a_prepared())
    assert shelf.find(id) is None


def test_many_at_once_get_their_own():
    shelf, wrong = Shelf(keep_s=60), []

    def visit() -> None:
        for _ in range(50):
            mine = a_prepared()
            if shelf.get(shelf.put(mine)) is not mine:
                wrong.append(mine)

    threads = [threading.Thread(target=visit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def a_found(side_px: int = 1000) -> Prepared:
    photo = Photo.of(np.full((side_px, side_px, 4), 255, np.uint8), (side_px, side_px))  # 4 MB
    return Prepared(photo, "auto", 0.8, found=Found(photo.rgba[..., 3].copy(), "outline"))


def test_entries_of_one_photo_hold_it_once():
    shelf = Shelf(keep_s=60, max_bytes=12_000_000)
    other, one = shelf.put(a_found()), a_found()
    ids = [shelf.put(replace(one, fill=0.5 + n / 1000)) for n in range(50)]
    assert shelf.find(other) is not None and all(shelf.find(id) for id in ids)
    shelf.put(a_found())  # a third photo is too much: whoever was not asked for longest goes
    assert shelf.find(other) is None


def test_a_hundred_strokes_leave_the_room_of_two():
    shelf = Shelf(keep_s=60, max_bytes=1_000_000_000)
    entry = a_found(200)
    ids = [shelf.put(replace(entry, subject=a_subject(128)))]
    for _ in range(100):
        ids.append(shelf.put(replace(entry, subject=a_subject(128)), ids[-1]))
    assert [shelf.find(id) is not None for id in ids] == [False] * 99 + [True, True]
    assert shelf._before.keys() <= {ids[-1]}


def test_what_is_lost_is_known_again_by_its_id_and_put_back_under_it():
    whole = replace(a_prepared(), subject=a_subject(64))
    id = Shelf(keep_s=60).put(whole)
    assert whole.subject is not None and mark_of(id) == subject_record(whole.subject).rgba_sha256
    after_a_restart = Shelf(keep_s=60)
    after_a_restart.put_back(id, whole)
    assert after_a_restart.get(id) is whole
    bare = Shelf(keep_s=60).put(a_prepared())
    for wrong in (bare, "", f"{id}0", id.partition(".")[2], f"../{id}", None, 7):
        assert mark_of(wrong) is None
