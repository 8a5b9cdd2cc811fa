"""The example that the page opens with is a true recording: whole, small, and what the method makes today."""

import dataclasses
import hashlib
import shutil
from pathlib import Path

import numpy as np

from pipelines.core.cameras import orbit
from pipelines.inflate.method import Inflate
from pipelines.runtime.archive import Archive
from pipelines.runtime.method import Report
from pipelines.runtime.results import read_png
from pipelines.runtime.settings import Settings
from tools import record_example
from tools.record_example import OPTIONS, OUT, SIZE_PX, VIEWS, record, recorded_in, the_request
from ui.recorded import recorded

MAX_BYTES = 2_000_000


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_example_is_one_whole_result_of_an_orbit():
    result = recorded()
    assert result == recorded_in(OUT) and result.manifest.owner == ""
    assert {entry.name for entry in OUT.iterdir()} == {result.id, "SOURCES.md"}
    assert sum(path.stat().st_size for path in OUT.rglob("*") if path.is_file()) <= MAX_BYTES
    (made,) = result.turnarounds
    assert [frame.view for frame in made.manifest.frames] == list(orbit(VIEWS, 12.0)) and made.video and made.model
    vouched = dict(result.manifest.files) | {f"{made.key}/{n}": r for n, r in made.manifest.files.items()}
    found = contents(result.folder)
    assert set(found) == {*vouched, "manifest.json"}
    for name, record_of_it in vouched.items():
        assert found[name] == record_of_it.sha256, name
    assert result.manifest.bytes == sum(record_of_it.bytes for record_of_it in vouched.values())


def test_its_subject_can_be_run_again(tmp_path: Path):
    archive = Archive(Settings(data=tmp_path, free_disk_mb=0.0))
    archive.root.mkdir(parents=True)
    shutil.copytree(recorded().folder, archive.root / recorded().id)
    subject = archive.subject(recorded().id)
    assert subject.elevation_deg == 8 and subject.rgba.shape == (768, 768, 4)


def test_it_is_what_the_method_makes_today(tmp_path: Path):
    """Otherwise it is to be recorded again: `python tools/record_example.py`."""
    request, stored = the_request(tmp_path, views=3), recorded().turnarounds[0]
    assert recorded().manifest.subject.photo_sha256 == request.subject.made.photo_sha256
    assert stored.manifest.options == dataclasses.asdict(OPTIONS) and stored.manifest.seed == 0
    made = Inflate()(request, Report())
    for path, frame in zip(stored.frames[:: VIEWS // 3], made.frames, strict=True):
        shown = read_png(path.read_bytes()).astype(int)
        assert shown.shape == (SIZE_PX, SIZE_PX, 4)
        assert np.abs(shown - frame.rgba).mean() < 1  # other machines round otherwise


def test_recording_again_changes_nothing(tmp_path: Path):
    first = record(tmp_path, views=3, size_px=96)
    before = contents(tmp_path)
    assert record(tmp_path, views=3, size_px=96) == first and contents(tmp_path) == before
    assert record(tmp_path, views=2, size_px=96).id != first.id and not first.folder.exists()


def test_the_example_photo_has_its_source():
    photo = next(example.path for example in record_example.EXAMPLES if example.title == record_example.EXAMPLE)
    assert f"assets/examples/{photo.name}" in (OUT / "SOURCES.md").read_text("utf-8")
