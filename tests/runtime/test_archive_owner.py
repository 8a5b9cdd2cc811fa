"""Whose a result is: known by a key that the result does not tell, and by nothing else."""

import json
from pathlib import Path

import pytest

from pipelines.runtime.archive import NOT_FOUND, RUNNING, Archive
from pipelines.runtime.draft import Draft
from pipelines.runtime.manifest import DAMAGED, owner_mark
from pipelines.runtime.stored import StoredResult
from tests.runtime.archive_helpers import a_card, a_run, a_subject, an_archive, assert_whole, said, save

KEY = "cYk3Zq-2f9 the key of her browser"


def owned(archive: Archive, key: str = KEY) -> StoredResult:
    subject = a_subject()
    with archive.begin(subject, key) as draft:
        draft.add(*a_run(subject), a_card())
        return draft.finish()


def rewrite(result: StoredResult, **changes: object) -> None:
    path = result.folder / "manifest.json"
    document = json.loads(path.read_text())
    document |= changes
    path.write_text(json.dumps({name: value for name, value in document.items() if value is not None}))


def test_the_key_opens_its_own_results_and_no_others(tmp_path: Path):
    archive = an_archive(tmp_path)
    mine, also_mine, theirs, nobodys = owned(archive), owned(archive), owned(archive, "another key"), save(archive)
    assert archive.owned_by(mine.id, KEY) and archive.owned_by(also_mine.id, KEY)
    assert not archive.owned_by(theirs.id, KEY) and not archive.owned_by(nobodys.id, KEY)
    assert archive.owned_by(theirs.id, "another key")
    assert mine.manifest.owner == owner_mark(mine.id, KEY) != also_mine.manifest.owner, "two results tell nothing"
    assert nobodys.manifest.owner == ""
    assert_whole(archive.open(mine.id))


def test_the_result_does_not_tell_the_key(tmp_path: Path):
    result = owned(an_archive(tmp_path))
    for path in result.paths:
        assert KEY.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    "key",
    [
        "",
        KEY[:-1],
        KEY + " ",
        KEY.upper(),
        None,
        0,
        True,
        b"bytes",
        [KEY],
        {"key": KEY},
        float("nan"),
        "\ud800",
        "x" * 9999,
    ],
    ids=lambda key: repr(key)[:20],
)
def test_a_wrong_key_of_any_kind_is_no_key(tmp_path: Path, key: object):
    archive = an_archive(tmp_path)
    mine, nobodys = owned(archive), save(archive)
    assert archive.owned_by(mine.id, key) is False and archive.owned_by(nobodys.id, key) is False


@pytest.mark.parametrize("id", ["", "0" * 44, "../../etc/passwd", None, 5, ["x"], "\x00"], ids=repr)
def test_what_is_not_there_is_nobodys(tmp_path: Path, id: object):
    archive = an_archive(tmp_path)
    assert archive.owned_by(id, KEY) is False
    owned(archive)
    assert archive.owned_by(id, KEY) is False


def test_a_deleted_result_and_one_being_made_are_nobodys_yet(tmp_path: Path):
    archive = an_archive(tmp_path)
    mine = owned(archive)
    archive.delete(mine.id)
    assert not archive.owned_by(mine.id, KEY) and said(lambda: archive.open(mine.id)) == NOT_FOUND
    with archive.begin(a_subject(), KEY) as draft:
        assert not archive.owned_by(draft.id, KEY) and said(lambda: archive.delete(draft.id)) == RUNNING


def test_f39_a_result_from_before_there_were_owners_is_read_and_is_nobodys(tmp_path: Path):
    archive = an_archive(tmp_path)
    old = owned(archive)
    rewrite(old, owner=None)
    assert archive.open(old.id).manifest.owner == ""
    assert not archive.owned_by(old.id, KEY) and not archive.owned_by(old.id, "")


@pytest.mark.parametrize("owner", ["x", 5, [], "A" * 64, "0" * 63, "0" * 64 + "\n", True], ids=repr)
def test_a_mark_that_is_none_is_damage_and_nobodys(tmp_path: Path, owner: object):
    archive = an_archive(tmp_path)
    result = owned(archive)
    rewrite(result, owner=owner)
    assert said(lambda: archive.open(result.id)) == DAMAGED and not archive.owned_by(result.id, KEY)


def test_a_copy_under_another_id_is_not_owned_by_the_copied_mark(tmp_path: Path):
    archive = an_archive(tmp_path)
    mine, other = owned(archive), save(archive)
    rewrite(other, owner=mine.manifest.owner)
    assert not archive.owned_by(other.id, KEY)
    (other.folder / "manifest.json").write_bytes((mine.folder / "manifest.json").read_bytes())
    assert not archive.owned_by(other.id, KEY)


def test_a_key_of_any_letters_can_own(tmp_path: Path):
    archive = an_archive(tmp_path)
    for key in ("ключ", "\ud800 half a letter", "x" * 10_000):
        assert archive.owned_by(owned(archive, key).id, key)


def test_a_damaged_result_can_still_be_deleted_by_its_owner(tmp_path: Path):
    archive = an_archive(tmp_path)
    mine = owned(archive)
    (mine.folder / "toy" / "view_000.png").unlink()
    assert said(lambda: archive.open(mine.id)) == DAMAGED
    assert archive.owned_by(mine.id, KEY)
    archive.delete(mine.id)
    assert said(lambda: archive.open(mine.id)) == NOT_FOUND


# --- What a draft says of itself --------------------------------------------------------------------------------------


def keys(draft: Draft) -> list[str]:
    return [made.key for made in draft.so_far().turnarounds]


def test_a_draft_shows_what_has_been_added_and_not_what_was_taken_back(tmp_path: Path):
    archive, subject = an_archive(tmp_path), a_subject()
    with archive.begin(subject, KEY) as draft:
        assert keys(draft) == [] and draft.so_far().subject.is_file()
        draft.add(*a_run(subject, 2), a_card("first"))
        draft.add(*a_run(subject), a_card("second"))
        draft.fail("second", "Cancelled.")
        draft.fail("third", "Too dark.")
        so_far = draft.so_far()
        assert keys(draft) == ["first"] and so_far.manifest.failures == {"second": "Cancelled.", "third": "Too dark."}
        assert so_far.manifest.owner == owner_mark(draft.id, KEY)
        sizes = {path.relative_to(so_far.folder).as_posix(): path.stat().st_size for path in so_far.paths}
        assert so_far.manifest.bytes == sum(sizes.values())
        assert {name: record.bytes for name, record in so_far.manifest.files.items()}.items() <= sizes.items()
        final = draft.finish()
    assert final.whole and draft.so_far() == final
    assert final.manifest.methods == so_far.manifest.methods and final.manifest.failures == so_far.manifest.failures
