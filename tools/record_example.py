"""Record the example that the page opens with: one of the example photos, turned, stored as the archive stores a run.

    python tools/record_example.py      replaces assets/recorded/<id>/

What was measured and when stays that of the recording before, as long as there is one: recording again on the same
machine changes nothing, and otherwise only what differs.
"""

import argparse
import dataclasses
import datetime
import hashlib
import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipelines.core.cameras import orbit  # noqa: E402
from pipelines.core.images import resize_rgba  # noqa: E402
from pipelines.core.subject import Subject  # noqa: E402
from pipelines.inflate.method import Inflate, Options  # noqa: E402
from pipelines.runtime.archive import Archive  # noqa: E402
from pipelines.runtime.intake import Intake  # noqa: E402
from pipelines.runtime.manifest import MANIFEST, RESULT_ID, SUBJECT, json_bytes  # noqa: E402
from pipelines.runtime.method import Report, Request  # noqa: E402
from pipelines.runtime.prepare import prepare  # noqa: E402
from pipelines.runtime.settings import Settings  # noqa: E402
from pipelines.runtime.stored import StoredResult, load_result, record_of  # noqa: E402
from ui.examples import EXAMPLES  # noqa: E402

OUT = ROOT / "assets" / "recorded"
EXAMPLE = "Rocket"
VIEWS, ELEVATION_DEG, SIZE_PX = 24, 12.0, 384
SUBJECT_PX = 768  # three quarters of a run's: as smooth in views of this size, in two thirds of the bytes
OPTIONS = Options(back="mirror")  # a rocket looks the same from behind


def record(out: Path, views: int = VIEWS, size_px: int = SIZE_PX) -> StoredResult:
    """Replaces what is in `out` once the new one is whole."""
    before = recorded_in(out)
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    created = datetime.datetime.fromisoformat(before.manifest.created_utc) if before else now
    with tempfile.TemporaryDirectory() as work:
        archive = Archive(Settings(data=Path(work), free_disk_mb=0.0), clock=created.timestamp)
        request = the_request(Path(work), views, size_px)
        made = Inflate()(request, Report())
        if before:
            measured = before.turnarounds[0].manifest
            made = dataclasses.replace(
                made,
                seconds=measured.seconds,
                stage_seconds=measured.stage_seconds,
                peak_memory_bytes=measured.peak_memory_bytes,
            )
        with archive.begin(request.subject) as draft:
            draft.add(made, request, Inflate.card)
            stored = draft.finish()
        stored = squeezed(stored, int(created.timestamp() * 1000))
        if before:
            shutil.rmtree(before.folder)
        out.mkdir(parents=True, exist_ok=True)
        shutil.move(stored.folder, out / stored.id)
    return load_result(out / stored.id, stored.id)


def recorded_in(out: Path) -> StoredResult | None:
    ids = sorted(entry.name for entry in out.iterdir() if RESULT_ID.fullmatch(entry.name)) if out.is_dir() else []
    return load_result(out / ids[-1], ids[-1]) if ids else None


def the_request(data: Path, views: int = VIEWS, size_px: int = SIZE_PX) -> Request:
    return Request(the_subject(data), orbit(views, ELEVATION_DEG), 0, OPTIONS, size_px)


def the_subject(data: Path) -> Subject:
    settings = Settings(data=data)
    example = next(example for example in EXAMPLES if example.title == EXAMPLE)
    intake = Intake(settings.limits, workers=1)
    try:
        subject = prepare(intake.read(example.path), elevation_deg=example.elevation_deg, settings=settings)
    finally:
        intake.close()
    return dataclasses.replace(subject, rgba=resize_rgba(subject.rgba, (SUBJECT_PX, SUBJECT_PX)))


def squeezed(stored: StoredResult, created_ms: int) -> StoredResult:
    """The same pixels in smaller PNGs, which take too long to make for a run, and an id that follows from them."""
    for path in stored.folder.rglob("*.png"):
        file = io.BytesIO()
        with Image.open(path) as image:
            image.save(file, "PNG", optimize=True)
        path.write_bytes(min(file.getvalue(), path.read_bytes(), key=len))
    (turnaround,) = stored.turnarounds
    inner = dataclasses.replace(
        turnaround.manifest, files={name: record_of(turnaround.folder / name) for name in turnaround.manifest.files}
    )
    (turnaround.folder / MANIFEST).write_bytes(json_bytes(dataclasses.asdict(inner)))
    vouched = {name: record_of(stored.folder / name) for name in (SUBJECT, f"{turnaround.key}/{MANIFEST}")}
    content = "".join(record.sha256 for record in vouched.values())
    outer = dataclasses.replace(
        stored.manifest,
        id=f"{created_ms:012x}{hashlib.sha256(content.encode()).hexdigest()[:32]}",
        bytes=sum(record.bytes for records in (vouched, inner.files) for record in records.values()),
        files=vouched,
    )
    (stored.folder / MANIFEST).write_bytes(json_bytes(dataclasses.asdict(outer)))
    folder = stored.folder.rename(stored.folder.with_name(outer.id))
    return load_result(folder, outer.id)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    stored = record(parser.parse_args().out)
    total = sum(path.stat().st_size for path in stored.paths)
    print(f"{stored.folder}: {len(list(stored.paths))} files, {total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
