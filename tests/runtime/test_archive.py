"""Results are kept, found again by their link alone, listed, zipped, deleted, and expire."""

import dataclasses
import io
import logging
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipelines.runtime.archive import INTERRUPTED, NOT_FOUND, RUNNING, Swept
from pipelines.runtime.draft import NOTHING_MADE
from pipelines.runtime.manifest import DAMAGED, SUBJECT_DEPTH
from pipelines.runtime.stored import pack
from tests.runtime.archive_helpers import Clock, a_card, a_run, a_subject, an_archive, assert_whole, copies, said, save

DAY_S = 86_400


# --- Keeping and finding ----------------------------------------------------------------------------------------------


def test_a_result_is_reopened_by_its_id_alone(tmp_path: Path):
    saved = save(an_archive(tmp_path), views=3, keys=("toy", "other"))
    opened = an_archive(tmp_path).open(saved.id)
    assert opened == saved
    assert_whole(opened)
    assert opened.manifest.methods == ("toy", "other")
    toy, other = opened.turnarounds
    assert (toy.key, other.key) == ("toy", "other")
    assert [path.name for path in toy.frames] == ["view_000.png", "view_001.png", "view_002.png"]
    assert toy.video and toy.video.is_file() and toy.model is None
    assert set(opened.paths) == {path for path in opened.folder.rglob("*") if path.is_file()}
    assert opened.manifest.bytes == sum(
        path.stat().st_size for path in opened.paths if path != opened.folder / "manifest.json"
    )


def test_the_subject_comes_back_exactly_to_run_it_again(tmp_path: Path):
    subject = a_subject(5)
    again = an_archive(tmp_path).subject(save(an_archive(tmp_path), seed=5).id)
    np.testing.assert_array_equal(again.rgba, subject.rgba)
    assert (again.made, again.elevation_deg, again.fill) == (subject.made, subject.elevation_deg, subject.fill)


def test_a_depth_that_came_with_the_photo_is_kept_listed_and_checked(tmp_path: Path):
    archive = an_archive(tmp_path)
    saved = save(archive, seed=5, depth=True)
    assert_whole(archive.open(saved.id))
    assert saved.folder / SUBJECT_DEPTH in set(saved.paths)
    expected, again = a_subject(5, depth=True).depth, archive.subject(saved.id).depth
    assert expected is not None and again is not None and again.dtype == np.uint16
    np.testing.assert_array_equal(again, expected)

    other = save(archive, seed=6, depth=True)
    saved_bytes, other_bytes = ((each.folder / SUBJECT_DEPTH).read_bytes() for each in (saved, other))
    length = min(len(saved_bytes), len(other_bytes))
    (saved.folder / SUBJECT_DEPTH).write_bytes(other_bytes[:length] + saved_bytes[length:])  # another's, as long
    assert said(lambda: archive.subject(saved.id)) == DAMAGED
    (saved.folder / SUBJECT_DEPTH).unlink()
    assert said(lambda: archive.open(saved.id)) == DAMAGED


def test_ids_are_long_random_and_sort_by_age(tmp_path: Path):
    clock = Clock()
    archive = an_archive(tmp_path, clock)
    ids = [archive.begin(a_subject()).id for _ in range(50)]  # all within one moment
    assert ids == sorted(ids)
    assert all(re.fullmatch(r"[0-9a-f]{44}", id) for id in ids)
    assert len({id[12:] for id in ids}) == 50  # 32 digits of chance: 128 bits


def test_the_list_is_newest_first_in_pages(tmp_path: Path):
    archive = an_archive(tmp_path)
    newest = save(archive)
    ids = [newest.id, *reversed(copies(archive, newest, 9))]
    assert [entry.id for entry in archive.list()] == ids
    assert [entry.id for entry in archive.list(limit=3, offset=2)] == ids[2:5]
    assert archive.list(offset=10) == ()


def test_f32_ten_thousand_results_cost_the_list_and_the_start_no_look_into_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """So no time grows with the store but that of reading its folders' names: a manifest read would be a warning."""
    archive = an_archive(tmp_path, keep_days=0)
    newest = save(archive)
    page = [newest.id, *reversed(copies(archive, newest, 49))]
    for i in range(10_000 - len(page)):
        (archive.root / f"{i:044x}").mkdir()
        (archive.root / f"{i:044x}" / "manifest.json").write_text("damaged")
    with caplog.at_level(logging.WARNING):
        started = an_archive(tmp_path, keep_days=0)
        assert started.blocker() is None and started.sweep() == Swept()
        assert [entry.id for entry in started.list(limit=50)] == page
        next_one = save(started)
        assert started.open(page[-1]).id == page[-1] and started.list(limit=1)[0].id == next_one.id
        assert not caplog.records
        assert [entry.id for entry in started.list(limit=3, offset=50)] == page[-1:]
        assert len(caplog.records) == 2  # such as these
    assert sum(1 for path in archive.root.iterdir() if len(path.name) == 44) == 10_001


def test_an_empty_store_is_no_error_and_nothing_is_made_by_looking(tmp_path: Path):
    archive = an_archive(tmp_path / "data")
    assert archive.list() == ()
    archive.sweep()
    assert not (tmp_path / "data").exists()


def test_methods_that_fail_are_kept_with_their_sentence(tmp_path: Path):
    archive, subject = an_archive(tmp_path), a_subject()
    with archive.begin(subject) as draft:
        draft.add(*a_run(subject), a_card("toy"))
        draft.add(*a_run(subject), a_card("late"))
        draft.fail("other", "It ran out of memory. Try a smaller size.")
        draft.fail("late", "Cancelled.")  # after it had been added
        saved = draft.finish()
    opened = archive.open(saved.id)
    assert opened.manifest.methods == ("toy",)
    assert opened.manifest.failures == {"other": "It ran out of memory. Try a smaller size.", "late": "Cancelled."}
    assert_whole(opened)


def test_a_result_that_lost_a_file_before_it_was_finished_gets_no_name(tmp_path: Path):
    archive, subject = an_archive(tmp_path), a_subject()
    with archive.begin(subject) as draft:
        written = draft.add(*a_run(subject), a_card())
        (written.folder / "view_000.png").unlink()
        assert said(draft.finish) == DAMAGED
    assert said(lambda: archive.open(draft.id)) == NOT_FOUND
    assert archive.list() == ()


def test_everything_is_on_the_disk_before_a_result_has_its_name_and_its_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """In this order a power cut leaves all of it or none. The calls to the system are made, and written down."""
    happened: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def recorded_fsync(handle: int) -> None:
        happened.append(("sync", os.readlink(f"/proc/self/fd/{handle}")))
        fsync(handle)

    def recorded_rename(source: Path, target: Path) -> None:
        happened.append(("name", str(target)))
        rename(source, target)

    archive, subject = an_archive(tmp_path), a_subject()
    with archive.begin(subject) as draft:
        draft.add(*a_run(subject, 2), a_card())
        made = draft._result
        monkeypatch.setattr(os, "fsync", recorded_fsync)
        monkeypatch.setattr(os, "rename", recorded_rename)
        final = draft.finish().folder
    named = happened.index(("name", str(final)))
    synced = {path for what, path in happened[:named] if what == "sync"}
    assert synced == {str(made / path.relative_to(final)) for path in [final, *final.rglob("*")]}
    assert len(synced) > 6 and happened[named + 1 :] == [("sync", str(archive.root))]


def test_a_method_is_kept_once(tmp_path: Path):
    subject = a_subject()
    with an_archive(tmp_path).begin(subject) as draft:
        draft.add(*a_run(subject), a_card("toy"))
        for key in ("toy", "../toy", "Toy", ""):
            with pytest.raises(ValueError, match="new method"):
                draft.add(*a_run(subject), a_card(key))


# --- Links ------------------------------------------------------------------------------------------------------------


def test_a_running_a_finished_and_a_discarded_result_each_say_so(tmp_path: Path):
    archive, subject = an_archive(tmp_path), a_subject()
    draft = archive.begin(subject)
    assert said(lambda: archive.open(draft.id)) == RUNNING == said(lambda: an_archive(tmp_path).open(draft.id))
    draft.add(*a_run(subject), a_card())
    draft.finish()
    assert archive.open(draft.id).id == draft.id
    draft.discard()  # after finishing it changes nothing
    assert archive.open(draft.id).id == draft.id

    other = archive.begin(subject)
    other.discard()
    assert said(lambda: archive.open(other.id)) == NOT_FOUND
    with archive.begin(subject) as third:
        assert said(third.finish) == NOTHING_MADE
    assert said(lambda: archive.open(third.id)) == NOT_FOUND
    assert list((archive.root / ".drafts").iterdir()) == []


def test_input_53_every_wrong_link_gets_one_and_the_same_sentence(tmp_path: Path):
    archive = an_archive(tmp_path)
    id = save(archive).id
    gone = save(archive)
    archive.delete(gone.id)
    (archive.root / "plain").mkdir()
    links = [
        *("", " ", id[:-1], f"{id}0", f"{id}\n", id.upper() if id.upper() != id else "A" * 44, "0" * 44, gone.id),
        *(f"../results/{id}", f"{id}/../{id}", f"%2e%2e%2f{id}", str(archive.root / id), f"{id}\0", "plain", ".."),
        *(".drafts", ".trash", ".lock", "٠" * 44, "x" * 10_000, None, 7, True, [id], {"id": id}, id.encode()),
    ]
    for link in links:
        for action in (archive.open, archive.subject, archive.delete):
            assert said(lambda: action(link)) == NOT_FOUND, link  # noqa: B023
    assert_whole(archive.open(id))


@pytest.mark.parametrize(
    "place", ["result", "manifest.json", "subject.png", "toy", "toy/manifest.json", "toy/view_000.png", "toy/colmap"]
)
def test_links_out_of_the_store_are_never_followed(tmp_path: Path, place: str):
    archive = an_archive(tmp_path / "data")
    saved = save(archive)
    inside = saved.folder if place == "result" else saved.folder / place
    outside = tmp_path / "outside"
    inside.rename(outside)  # the very bytes it should have, but elsewhere
    inside.symlink_to(outside)
    for action in (archive.open, archive.subject):
        assert said(lambda: action(saved.id)) in (DAMAGED, NOT_FOUND)  # noqa: B023
    archive = an_archive(tmp_path / "data", Clock(4e9), keep_gb=1e-9)
    archive.sweep()
    if place == "result":
        assert outside.is_dir() and any(outside.iterdir())
    else:
        assert outside.exists() and not saved.folder.exists()


# --- Taking away ------------------------------------------------------------------------------------------------------


def test_the_zip_holds_every_file_and_nothing_else(tmp_path: Path):
    archive = an_archive(tmp_path / "data")
    saved = save(archive, views=2)
    (saved.folder / "stray.txt").write_text("not ours")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as entries:
        pack(entries, saved, "turnaround")
    with zipfile.ZipFile(file) as entries:
        assert entries.testzip() is None
        names = {name.removeprefix("turnaround/"): name for name in entries.namelist()}
        assert set(names) == {path.relative_to(saved.folder).as_posix() for path in saved.paths}
        for short, name in names.items():
            assert entries.read(name) == (saved.folder / short).read_bytes()
            assert entries.getinfo(name).date_time == (1980, 1, 1, 0, 0, 0)


def test_a_deleted_result_is_gone_with_its_files(tmp_path: Path):
    archive = an_archive(tmp_path)
    saved, other = save(archive), save(archive)
    archive.delete(saved.id)
    assert said(lambda: archive.open(saved.id)) == NOT_FOUND == said(lambda: archive.delete(saved.id))
    assert not list(archive.root.rglob(f"{saved.id}*"))
    assert_whole(archive.open(other.id))


# --- Retention --------------------------------------------------------------------------------------------------------


def test_results_expire_by_age(tmp_path: Path):
    clock = Clock()
    archive = an_archive(tmp_path, clock, keep_days=30.0)
    old = save(archive)
    for _ in range(28):
        clock.now_s += DAY_S
        assert archive.sweep().expired == 0
    young = save(archive)
    clock.now_s += 1.5 * DAY_S
    archive.sweep()  # of one and a half days without a look, one counts
    clock.now_s += 0.9 * DAY_S
    assert archive.sweep().expired == 0
    clock.now_s += 0.2 * DAY_S
    assert archive.sweep().expired == 1
    assert said(lambda: archive.open(old.id)) == NOT_FOUND
    assert_whole(archive.open(young.id))


def test_the_oldest_leave_when_there_is_too_much(tmp_path: Path):
    clock = Clock()
    saved = save(an_archive(tmp_path, clock))
    size = sum(path.stat().st_size for path in saved.paths)
    archive = an_archive(tmp_path, clock, keep_gb=5.5 * size / 1e9)
    ids = copies(archive, saved, 9)
    clock.now_s += 3600
    assert archive.sweep().over_size == 5
    assert sorted(entry.id for entry in archive.list()) == [*ids[5:], saved.id]
    assert archive.sweep().over_size == 0
    assert not any((archive.root / ".trash").iterdir())


def test_zero_keeps_for_ever(tmp_path: Path):
    clock = Clock()
    archive = an_archive(tmp_path, clock, keep_days=0.0, keep_gb=0.0)
    saved = save(archive)
    for _ in range(400):
        clock.now_s += DAY_S
        archive.sweep()
    assert_whole(archive.open(saved.id))


def test_f33_what_was_opened_lately_is_not_swept(tmp_path: Path):
    clock = Clock()
    template = save(an_archive(tmp_path, clock))
    archive = an_archive(tmp_path, clock, keep_gb=1e-9)
    ids = copies(archive, template, 5)
    clock.now_s += 3600
    archive.open(ids[1])
    assert archive.sweep().over_size == 5
    assert_whole(archive.open(ids[1]))
    clock.now_s += 3600
    assert archive.sweep().over_size == 1


def test_an_interrupted_run_says_so_until_it_would_have_expired(tmp_path: Path):
    clock = Clock()
    archive = an_archive(tmp_path, clock, keep_days=2.0)
    draft = archive.begin(a_subject())
    home = archive.root / ".drafts" / draft.id
    assert archive.sweep().interrupted == 0 and (home / "result" / "subject.png").is_file()
    draft._running.release()  # what the system does when the process dies
    assert said(lambda: archive.open(draft.id)) == INTERRUPTED
    assert archive.sweep().interrupted == 1
    assert not (home / "result").exists()
    assert said(lambda: archive.open(draft.id)) == INTERRUPTED
    for _ in range(6):
        clock.now_s += DAY_S / 2
        archive.sweep()
    assert said(lambda: archive.open(draft.id)) == NOT_FOUND


def test_what_another_hand_put_into_the_store_is_left_alone(tmp_path: Path):
    clock = Clock()
    archive = an_archive(tmp_path, clock, keep_gb=1e-9)
    save(archive)
    (archive.root / "readme.txt").write_text("mine")
    (archive.root / "my results").mkdir()
    (archive.root / ("0" * 44)).write_text("a file with the name of a result")
    clock.now_s += 3600
    assert archive.sweep().over_size == 1
    assert {"readme.txt", "my results", "0" * 44} <= set(os.listdir(archive.root))


def test_manifests_are_frozen_values(tmp_path: Path):
    saved = save(an_archive(tmp_path))
    with pytest.raises(dataclasses.FrozenInstanceError):
        saved.manifest.id = "0" * 44  # type: ignore[misc]
