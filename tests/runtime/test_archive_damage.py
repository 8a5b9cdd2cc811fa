"""Input 54: manifests and files that were cut, tampered with, or written by a newer version."""

import hashlib
import json
from pathlib import Path

import pytest

from pipelines.runtime.archive import NOT_FOUND
from pipelines.runtime.manifest import DAMAGED, NEWER, SCHEMA
from tests.runtime.archive_helpers import an_archive, assert_whole, said, save


def change(**values):
    def apply(document: dict) -> None:
        document.update(values)

    return apply


def escape(document: dict) -> None:
    document["files"]["../../escape"] = document["files"].pop("subject.png")


def rename_frame(document: dict) -> None:
    document["frames"][0]["file"] = "../../../secret.png"


def extra_file(document: dict) -> None:
    document["files"]["/etc/hostname"] = {"bytes": 5, "sha256": "0" * 64}


BAD_RESULTS = {
    "another id": change(id="0" * 44),
    "id as a path": change(id="../" + "0" * 41),
    "schema 0": change(schema=0),
    "schema as text": change(schema="1"),
    "schema true": change(schema=True),
    "methods as a path": change(methods=["../toy"]),
    "a method that is not there": change(methods=["toy", "other"]),
    "methods missing": lambda document: document.pop("methods"),
    "files as a list": change(files=[]),
    "escaping file": escape,
    "bytes as text": change(bytes="many"),
    "failures as a number": change(failures=3),
}
BAD_TURNAROUNDS = {
    "another method": lambda document: document["method"].update(key="other"),
    "frame outside": rename_frame,
    "file outside": extra_file,
    "elevation 1000": lambda document: document["frames"][0]["view"].update(elevation_deg=1000),
    "seed as text": change(seed="seven"),
}
BAD_BYTES = {
    "empty": b"",
    "no JSON": b"\xff\xfe not json",
    "a list": b"[]",
    "null": b"null",
    "nested": b"[" * 100_000,
    "huge": b" " * 5_000_000,
    "NaN": b'{"schema": NaN}',
    "Infinity": b'{"schema": 1e999}',
    "lone surrogate": b'{"schema": 1, "id": "\\ud800"}',
}


@pytest.fixture
def two(tmp_path: Path):
    """A store with a result to damage and one to leave in peace."""
    archive = an_archive(tmp_path)
    return archive, save(archive, seed=1), save(archive, seed=2)


def assert_only_this_one_is_lost(two, sentence: str = DAMAGED) -> None:
    archive, hurt, fine = two
    assert said(lambda: archive.open(hurt.id)) == sentence
    assert said(lambda: archive.subject(hurt.id)) == sentence
    assert_whole(archive.open(fine.id))
    assert fine.id in [entry.id for entry in archive.list()]
    archive.sweep()
    assert hurt.folder.is_dir()  # sweeping keeps what it cannot read: a newer version may
    archive.delete(hurt.id)
    assert said(lambda: archive.open(hurt.id)) == NOT_FOUND


@pytest.mark.parametrize("case", BAD_RESULTS)
def test_input_54_a_tampered_manifest_is_refused_politely(two, case: str):
    path = two[1].folder / "manifest.json"
    document = json.loads(path.read_text())
    BAD_RESULTS[case](document)
    path.write_text(json.dumps(document))
    assert_only_this_one_is_lost(two)


@pytest.mark.parametrize("case", BAD_TURNAROUNDS)
def test_input_54_a_tampered_manifest_of_a_method_is_refused_even_if_vouched_for(two, case: str):
    path = two[1].folder / "toy" / "manifest.json"
    document = json.loads(path.read_text())
    BAD_TURNAROUNDS[case](document)
    data = json.dumps(document).encode()
    path.write_bytes(data)
    outer = json.loads((two[1].folder / "manifest.json").read_text())
    outer["files"]["toy/manifest.json"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (two[1].folder / "manifest.json").write_text(json.dumps(outer))
    assert_only_this_one_is_lost(two)


@pytest.mark.parametrize("case", BAD_BYTES)
@pytest.mark.parametrize("name", ["manifest.json", "toy/manifest.json"])
def test_input_54_a_manifest_of_nonsense_is_refused_politely(two, name: str, case: str):
    (two[1].folder / name).write_bytes(BAD_BYTES[case])
    assert_only_this_one_is_lost(two)


@pytest.mark.parametrize("name", ["manifest.json", "toy/manifest.json"])
def test_input_54_a_manifest_cut_anywhere_is_refused_politely(two, name: str):
    path = two[1].folder / name
    data = path.read_bytes()
    for length in range(0, len(data) - 1, 97):
        path.write_bytes(data[:length])
        assert said(lambda: two[0].open(two[1].id)) == DAMAGED, length
    assert_only_this_one_is_lost(two)


def test_input_54_a_newer_versions_result_says_so(two):
    path = two[1].folder / "manifest.json"
    path.write_text(json.dumps({"schema": SCHEMA + 1, "whatever": {"comes": "next"}}))
    assert_only_this_one_is_lost(two, NEWER)


def test_f39_a_manifest_with_fields_of_a_later_version_is_still_read(two):
    archive, result, _ = two
    path = result.folder / "manifest.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "rating": 5}))
    assert archive.open(result.id).manifest == result.manifest


@pytest.mark.parametrize(
    "name", ["subject.png", "toy/view_000.png", "toy/cameras.json", "toy/colmap/images.txt", "toy"]
)
@pytest.mark.parametrize("how", ["missing", "cut", "folder"])
def test_files_that_are_missing_cut_or_replaced_are_noticed(two, name: str, how: str):
    path = two[1].folder / name
    path.rename(two[0].root.parent / "aside")
    if how == "cut" and name != "toy":
        path.write_bytes((two[0].root.parent / "aside").read_bytes()[:-1])
    if how == "folder":
        path.mkdir()
    assert_only_this_one_is_lost(two)


def test_a_changed_cut_out_is_not_rerun_as_if_it_were_the_same(two):
    archive, hurt, _ = two
    data = bytearray((hurt.folder / "subject.png").read_bytes())
    data[len(data) // 2] ^= 1
    (hurt.folder / "subject.png").write_bytes(data)
    assert said(lambda: archive.subject(hurt.id)) == DAMAGED
