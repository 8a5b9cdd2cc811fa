"""What the wall shows of a result: from an id to the result, and from there to `wall.json`.

Text is plain text here, whoever wrote it; the browser shows it as such.
"""

import datetime
import json
import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pipelines.core.cameras import View, wrap_azimuth
from pipelines.core.errors import TurnaroundError
from pipelines.core.subject import Making, Subject
from pipelines.runtime.archive import NOT_FOUND
from pipelines.runtime.compare import Failed
from pipelines.runtime.credit import CITATION, LICENCE
from pipelines.runtime.job import STOPS, Job, News
from pipelines.runtime.manifest import MANIFEST, METHOD_KEY, RESULT_ID, SUBJECT, FrameRecord, SubjectRecord
from pipelines.runtime.method import Method
from pipelines.runtime.stored import StoredResult, StoredTurnaround
from ui.cutout import maker
from ui.opened import opened
from ui.phrases import Phrase, phrase
from ui.recorded import recorded
from ui.studio import Studio

EXAMPLE = "example"
"""The recorded example's id in every address."""
ZIP = "turnaround.zip"
MOST_ENTRIES = 12
MOST_LETTERS = 6000  # twelve ids with a dozen of the longest keys each
UNSEEDED = ("inflate",)  # of results from before manifests said whether seeds matter
_LINK = re.compile(r"https?://[^\s<>\"']+")
_STATES = {"working": "working", "saved": "done", "ended": "ended"}

Entry = tuple[str, tuple[str, ...]]


def parse_spec(text: object) -> list[Entry]:
    """A wall spec, `<id>[.<key>...],...`, as ids and the keys wanted of each; no keys means all of them.

    Anything else gets the sentence that a link to nothing gets. An empty spec is an empty wall.
    """
    if not isinstance(text, str) or len(text) > MOST_LETTERS:
        raise TurnaroundError(NOT_FOUND)
    entries: dict[str, tuple[str, ...]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        id, *keys = part.split(".")
        if not (id == EXAMPLE or RESULT_ID.fullmatch(id)) or not all(METHOD_KEY.fullmatch(key) for key in keys):
            raise TurnaroundError(NOT_FOUND)
        known = entries.get(id, tuple(keys))
        entries[id] = tuple(dict.fromkeys((*known, *keys))) if known and keys else ()  # named twice: all that was named
    if len(entries) > MOST_ENTRIES:
        raise TurnaroundError(f"A wall shows at most {MOST_ENTRIES} results; this link names {len(entries)}.")
    return list(entries.items())


def spec_text(entries: Iterable[Entry]) -> str:
    """What `parse_spec` reads."""
    return ",".join(".".join((id, *keys)) for id, keys in entries)


def moment_of(asked: Mapping[str, str]) -> dict[str, float]:
    """Where a link looks from, `az` and `el` in degrees; what is no angle is as if it had not been said."""
    moment = {}
    for name, most in (("az", 360.0), ("el", 90.0)):
        try:
            degrees = float(asked.get(name, ""))
        except ValueError:
            continue
        if abs(degrees) <= most:  # never of NaN
            moment[name] = wrap_azimuth(degrees) if name == "az" else degrees
    return moment


def link(entries: Sequence[Entry], moment: Mapping[str, float]) -> str:
    """The page that shows this wall from there, relative to the app."""
    asked = ({"r": spec_text(entries)} if entries else {}) | {name: f"{degrees:g}" for name, degrees in moment.items()}
    return f"?{urlencode(asked, safe=',')}" if asked else ""


@dataclass(frozen=True)
class Shown:
    id: str
    """As in its addresses: the result's own, or `EXAMPLE`."""
    result: StoredResult | None
    """What lies on the disk of it; None while nothing does, and of a run that ended with nothing."""
    job: Job | None = None
    """Its run, as long as the server remembers it."""
    news: News | None = None
    """How that stood when `result` was read."""

    @property
    def working(self) -> bool:
        return self.news is not None and self.news.state == "working"

    @property
    def subject(self) -> SubjectRecord | Subject | None:
        if self.result:
            return self.result.manifest.subject
        return self.job.tasks[0][1].subject if self.job and self.job.tasks else None

    @property
    def made(self) -> SubjectRecord | Making | None:
        """How the subject came to be."""
        return self.subject.made if isinstance(self.subject, Subject) else self.subject


def shown(studio: Studio, id: object) -> Shown:
    """The one way from an id to a result, stored, recorded, or being made. Every wrong id has one answer."""
    if id == EXAMPLE:
        return Shown(EXAMPLE, recorded())
    if not isinstance(id, str) or not RESULT_ID.fullmatch(id):
        raise TurnaroundError(NOT_FOUND)
    job = studio.jobs.find(id)
    if job is None:
        return Shown(id, opened(studio.archive, id))
    for _ in range(1000):
        news = job.news()
        if news.state == "saved":
            return Shown(id, opened(studio.archive, id), job, news)
        result = studio.jobs.stored(id) if news.state == "working" else None
        if result or job.news().state == news.state == "ended":
            return Shown(id, result, job, news)
        time.sleep(0.001)  # it ends right now: its files are moving into the archive
    return Shown(id, None, job, news)


# --- wall.json --------------------------------------------------------------------------------------------------------


def wall_json(shown: Shown, methods: Iterable[Method]) -> bytes:
    """ASCII, so that no character of any kind can break it anywhere; without NaN, which browsers refuse."""
    return json.dumps(wall_of(shown, methods), allow_nan=False, separators=(",", ":")).encode()


def wall_of(shown: Shown, methods: Iterable[Method]) -> dict[str, Any]:
    """Everything the browser needs to show a result. `methods` are the studio's: they name and order the tiles."""
    titles = {method.card.key: method.card.title for method in (shown.job.methods if shown.job else methods)}
    news, result = shown.news, shown.result
    state = _STATES[news.state] if news else "done"
    return {
        "id": shown.id,
        "state": state,
        "problem": news.problem if news else None,
        "created_utc": _created_utc(shown),
        "recorded": shown.id == EXAMPLE,
        "subject": _subject(shown),
        "tiles": _tiles(shown, titles),
        "files": _result_files(shown.id) if result and state == "done" else [],
    }


def address(id: str, file: str, *, download: bool = False) -> str:
    """Relative to the page, so that it holds behind any proxy and under any root path."""
    return f"r/{id}/{file}{'?download' if download else ''}"


def angles(view: View) -> Phrase:
    at = {"az": f"{view.azimuth_deg:g}", "el": f"{view.elevation_deg:g}"}
    return phrase("wall.view", **at) if view.distance == 1 else phrase("wall.view_from", **at, far=f"{view.distance:g}")


def camera_used(frames: tuple[FrameRecord, ...]) -> Phrase:
    """The camera that was really rendered, in words, and whether it is the one asked for."""
    if not frames:
        return phrase("camera.none")
    first = frames[0]
    if len(frames) == 1:
        if first.exact:
            return phrase("camera.exact", view=angles(first.view))
        return phrase("camera.nearest", view=angles(first.view), asked=angles(first.asked))
    inexact = sum(not frame.exact for frame in frames)
    if inexact:
        return phrase("camera.views_nearest", n=len(frames), view=angles(first.view), inexact=inexact)
    return phrase("camera.views_exact", n=len(frames), view=angles(first.view))


def _subject(shown: Shown) -> dict[str, Any]:
    subject, made = shown.subject, shown.made
    if subject is None or made is None:
        return {"url": None, "elevation_deg": 0.0, "fill": None, "remover": None}
    url = address(shown.id, SUBJECT) if shown.result else None
    return {
        "url": url,
        "elevation_deg": subject.elevation_deg,
        "fill": subject.fill,
        "remover": maker(made.remover).data,
    }


def _created_utc(shown: Shown) -> str:
    if shown.result:
        return shown.result.manifest.created_utc
    began_s = int(shown.id[:12], 16) / 1000  # an id begins with the store's time
    return datetime.datetime.fromtimestamp(began_s, datetime.UTC).isoformat(timespec="seconds")


def _tiles(shown: Shown, titles: dict[str, str]) -> list[dict[str, Any]]:
    made = {turnaround.key: turnaround for turnaround in shown.result.turnarounds} if shown.result else {}
    failed = _failures(shown)
    if shown.job:  # as asked: a tile keeps its place when it fills
        keys = [method.card.key for method in shown.job.methods]
    else:
        order = {key: place for place, key in enumerate(titles)}
        keys = sorted((*made, *failed), key=lambda key: order.get(key, len(order)))
    tiles = []
    for key in keys:
        if key in made:
            tiles.append(_done(shown.id, made[key]))
        elif key in failed:
            sentence, cancelled = failed[key]
            tiles.append(_empty(key, titles.get(key, key), "cancelled" if cancelled else "failed", sentence))
        else:
            progress = shown.news.progress.get(key) if shown.news else None
            begun = progress is not None and not progress.waiting
            tiles.append(_empty(key, titles.get(key, key), "working" if begun else "waiting"))
    return tiles


def _failures(shown: Shown) -> dict[str, tuple[str, bool]]:
    """Key to the sentence, and whether somebody wanted it so."""
    if shown.news:
        failed = (outcome for outcome in shown.news.outcomes if isinstance(outcome, Failed))
        return {outcome.method: (outcome.sentence, outcome.cancelled) for outcome in failed}
    told = shown.result.manifest.failures if shown.result else {}
    return {key: (sentence, sentence in STOPS) for key, sentence in told.items()}


def _empty(key: str, title: str, state: str, sentence: str | None = None) -> dict[str, Any]:
    return {
        "key": key,
        "title": title,
        "state": state,
        "sentence": sentence,
        "frames": [],
        "size_px": None,
        "fov_deg": None,
        "video": None,
        "model": None,
        "summary": None,
        "notes": [],
        "seconds": None,
        "seed": None,
        "options": {},
        "licence": None,
        "paper": None,
        "code": None,
        "citation": None,
        "weights": {},
        "device": None,
        "versions": {},
        "files": [],
    }


def _done(id: str, made: StoredTurnaround) -> dict[str, Any]:
    manifest, method, key = made.manifest, made.manifest.method, made.key

    def place(path: Path | None) -> str | None:
        return address(id, f"{key}/{path.relative_to(made.folder).as_posix()}") if path else None

    return _empty(key, _said(method.get("title")) or key, "done") | {
        "frames": [_frame(id, made, index) for index in range(len(made.frames))],
        "size_px": manifest.size_px,
        "fov_deg": manifest.fov_deg,
        "video": place(made.video),
        "model": place(made.model),
        "summary": camera_used(manifest.frames).data,
        "notes": list(dict.fromkeys((*manifest.notes, *manifest.subject.notes))),
        "seconds": manifest.seconds,
        "seed": manifest.seed if method.get("seeded", key not in UNSEEDED) else None,
        "options": {name: _plain(value) for name, value in manifest.options.items()},
        "licence": _said(method.get("licence")),
        "paper": _link(method.get("paper")),
        "code": _link(method.get("code")),
        "citation": _said(method.get("citation")),
        "weights": manifest.weights,
        "device": manifest.device,
        "versions": manifest.versions,
        "files": _tile_files(id, made),
    }


def _frame(id: str, made: StoredTurnaround, index: int) -> dict[str, Any]:
    record, folder = made.manifest.frames[index], f"{made.key}/"

    def small(kind: str) -> str | None:
        name = f"{kind}_{index:03d}.webp"
        return address(id, folder + name) if name in made.manifest.files else None

    png = address(id, folder + record.file)
    return {
        "url": small("view") or png,  # results from before there were WebP files have the PNG alone
        "png": png,
        **_camera(record.view),
        "asked": _camera(record.asked),
        "exact": record.exact,
        "depth": small("depth"),
        "normals": small("normals"),
        "confidence": small("confidence"),
    }


def _camera(view: View) -> dict[str, float]:
    return {"azimuth_deg": view.azimuth_deg, "elevation_deg": view.elevation_deg, "distance": view.distance}


def _tile_files(id: str, made: StoredTurnaround) -> list[dict[str, str]]:
    count = len(made.frames)
    files = [
        ("Picture (PNG)", made.manifest.frames[0].file if count == 1 else None),
        ("Pictures (ZIP of PNG)", "pictures.zip" if count > 1 else None),
        ("Video (MP4)", made.video and made.video.name),
        ("Orbit (WebP)", "orbit.webp" if count > 1 else None),
        ("Orbit (GIF)", "orbit.gif" if count > 1 else None),
        ("3D model (GLB)", made.model and made.model.name),
        ("3D model (OBJ in a ZIP)", "obj.zip" if made.model else None),
        ("Cameras (ZIP)", "cameras.zip"),
        ("Manifest (JSON)", MANIFEST),
        ("Licence (TXT)", LICENCE if LICENCE in made.manifest.files else None),
        ("Citation (BibTeX)", CITATION if CITATION in made.manifest.files else None),
    ]
    return [{"label": label, "url": address(id, f"{made.key}/{name}", download=True)} for label, name in files if name]


def _result_files(id: str) -> list[dict[str, str]]:
    files = [("Everything (ZIP)", ZIP), ("Cut-out (PNG)", SUBJECT), ("Manifest (JSON)", MANIFEST)]
    return [{"label": label, "url": address(id, name, download=True)} for label, name in files]


# --- What a manifest may say ------------------------------------------------------------------------------------------


def _said(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _link(value: object) -> str | None:
    """Only what is safe to follow: a manifest may come from anywhere."""
    return value if isinstance(value, str) and _LINK.fullmatch(value) else None


def _plain(value: object) -> str | float | bool | None:
    if value is None or isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return json.dumps(value)
