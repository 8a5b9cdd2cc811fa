"""Small results for the archive's tests, and what "whole" means."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.cameras import orbit
from pipelines.core.errors import TurnaroundError
from pipelines.core.subject import Making, Subject
from pipelines.runtime.archive import Archive
from pipelines.runtime.method import Card, Frame, Provenance, Request, Turnaround
from pipelines.runtime.settings import Settings
from pipelines.runtime.stored import StoredResult


class Clock:
    """Set by hand."""

    def __init__(self, now_s: float = 1_800_000_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def an_archive(data: Path, clock: Callable[[], float] | None = None, **settings: Any) -> Archive:
    chosen = Settings(data=data, **{"free_disk_mb": 0.0, **settings})
    return Archive(chosen, clock) if clock else Archive(chosen)


def a_subject(seed: int = 0, depth: bool = False) -> Subject:
    chance = np.random.default_rng(seed)
    rgba = chance.integers(0, 256, (64, 64, 4), np.uint8)
    made = Making(f"{seed:064x}", (640, 480), "u2netp", (-3.5, 10.25, 500.0, 513.75), ("Said to the visitor.",))
    levels = chance.integers(0, 65536, (64, 64), np.uint16) if depth else None
    return Subject(rgba, made, elevation_deg=12.5, fill=0.75, depth=levels)


def a_card(key: str = "toy") -> Card:
    return Card(key, key.capitalize(), "For tests.", frozenset({"any view"}), "Apache-2.0", "Nothing.")


def a_run(subject: Subject, views: int = 1) -> tuple[Turnaround, Request]:
    request = Request(subject, orbit(views, 10), size_px=64)
    made = Provenance("toy", 0, {}, {}, {}, "cpu")
    return Turnaround(tuple(Frame(v, subject.rgba, v) for v in request.views), seconds=1.0, provenance=made), request


def save(
    archive: Archive, seed: int = 0, views: int = 1, keys: tuple[str, ...] = ("toy",), depth: bool = False
) -> StoredResult:
    subject = a_subject(seed, depth)
    with archive.begin(subject) as draft:
        for key in keys:
            draft.add(*a_run(subject, views), a_card(key))
        return draft.finish()


def copies(archive: Archive, template: StoredResult, count: int) -> list[str]:
    """More results without the work: as saved in a row, a second apart, before the template."""
    first = int(template.id[:12], 16) - 1000 * count
    ids = [f"{first + 1000 * i:012x}{i:032x}" for i in range(count)]
    for id in ids:
        shutil.copytree(template.folder, archive.root / id)
        manifest = archive.root / id / "manifest.json"
        manifest.write_text(manifest.read_text().replace(template.id, id))
        os.utime(archive.root / id, (0, 0))
    return ids


def assert_whole(result: StoredResult) -> None:
    """Every file is there, parses if it is JSON, and has the hash that the manifests vouch for."""
    document = json.loads((result.folder / "manifest.json").read_text())
    assert document["id"] == result.id == result.folder.name
    records = dict(document["files"])
    for key in document["methods"]:
        inner = json.loads((result.folder / key / "manifest.json").read_text())
        records |= {f"{key}/{name}": record for name, record in inner["files"].items()}
    for name, record in records.items():
        data = (result.folder / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (record["bytes"], record["sha256"]), name
    found = {p.relative_to(result.folder).as_posix() for p in result.folder.rglob("*") if p.is_file()}
    assert found == {*records, "manifest.json"}


def said(action: Callable[[], object]) -> str:
    """The sentence it refuses with."""
    with pytest.raises(TurnaroundError) as caught:
        action()
    return str(caught.value)
