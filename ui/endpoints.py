"""The HTTP interface: /methods, /prepare, /render, /compare, /reopen and /delete, for gradio_client, curl and MCP.

Nothing a request says is trusted: every value is checked here or by what it is handed to, and refused with a sentence.
"""

import dataclasses
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api
from gradio.utils import get_upload_folder

from pipelines.core import cameras
from pipelines.core.cameras import DEFAULT_FILL, View
from pipelines.core.errors import TurnaroundError
from pipelines.core.files import disk_sentences, write_whole
from pipelines.core.subject import ANY_SUBJECT, Subject, check_elevation, check_fill
from pipelines.core.ways import along, read_way
from pipelines.runtime.compare import Failed, Progressed
from pipelines.runtime.devices import Machine
from pipelines.runtime.jobs import Job
from pipelines.runtime.manifest import SUBJECT
from pipelines.runtime.method import Method, Report, Request, describe, options_from
from pipelines.runtime.prepare import AUTO, check_remover
from pipelines.runtime.removers import REMOVERS
from pipelines.runtime.results import png_bytes
from pipelines.runtime.shelf import Prepared
from pipelines.runtime.weights import missing_bytes, why_unusable
from ui.background import Background
from ui.files import stored_files
from ui.photos import Photos
from ui.safe import safe
from ui.visitors import address_of

DEFAULT_COUNT = 21


def add_endpoints(photos: Photos) -> None:
    """Inside a `gr.Blocks`: the public endpoints."""
    e = Endpoints(photos)
    for function in (e.methods, e.prepare, e.render, e.compare, e.reopen, e.delete):
        api(safe(function), api_name=function.__name__, concurrency_limit=4 if function == e.prepare else None)


class Endpoints:
    def __init__(self, photos: Photos) -> None:
        self._photos, self._studio = photos, photos.studio

    def methods(self) -> dict[str, Any]:
        """What can be asked for here: every method with its options, licence and what stands in its way, and removers.

        Returns:
            "methods", a list as `python -m pipelines methods --json` prints it, and "removers"
        """
        machine = self._studio.machine()
        removers = [
            {"key": r.key, "title": r.title, "summary": r.summary, "licence": r.licence,
             "download_bytes": r.model.size_bytes if r.missing(self._studio.settings) and r.model else 0,
             "blockers": r.blockers(machine)}
            for r in REMOVERS.values()
        ]  # fmt: skip
        return {"methods": [describe(method, machine) for method in self._studio.methods], "removers": removers}

    def prepare(
        self,
        photo: dict,
        remover: str = AUTO,
        elevation_deg: float = 0.0,
        fill: float = DEFAULT_FILL,
        depth: dict | None = None,
    ) -> dict[str, Any]:
        """Cut the subject out of an uploaded photo. The uploaded file is deleted; nothing of its metadata is kept.

        Parameters:
            photo: the uploaded file, with gradio_client `handle_file(path)`
            remover: "auto" (the photo's own transparency, else no download), "none", or a key of /methods
            elevation_deg: from how high the photo was taken; 0 is level, positive from above
            fill: the share of the frame that the subject's longest side takes, 0.2 to 0.98
            depth: an uploaded depth of the photo, 16-bit PNG or NPY, for options {"invs": {"depth": "your own depth"}}
        Returns:
            "subject", an id for /render, held for about an hour; "cutout", the picture every method sees; "notes"
        """
        with self._photos.forgetting(photo), self._photos.forgetting(depth):
            subject = self._prepared(photo, depth, remover, elevation_deg, fill)
        path = Path(get_upload_folder()) / secrets.token_hex(32) / SUBJECT
        with disk_sentences("The cut-out could not be saved"):
            path.parent.mkdir(mode=0o700, parents=True)
            write_whole(path, png_bytes(subject.subject.rgba))
        made = subject.subject.made
        return {
            "subject": subject.id,
            "cutout": _file(path),
            "remover": made.remover,
            "notes": list(made.notes),
            "photo_sha256": made.photo_sha256,
            "photo_size_px": list(made.photo_size_px),
            "elevation_deg": subject.subject.elevation_deg,
            "fill": subject.subject.fill,
        }

    def render(
        self,
        request: gr.Request,
        photo: dict | None = None,
        subject: str | None = None,
        methods: list[str] | None = None,
        azimuth_deg: float | None = None,
        elevation_deg: float | None = None,
        distance: float = 1.0,
        path: str | None = None,
        count: int | None = None,
        seed: int = 0,
        size_px: int = 576,
        options: dict | None = None,
        remover: str = AUTO,
        photo_elevation_deg: float = 0.0,
        fill: float = DEFAULT_FILL,
        depth: dict | None = None,
        cameras: list[list[float]] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Render views of a photo, or of a subject from /prepare. Streams progress; the last answer is the result.

        Closing the stream cancels the run.

        Parameters:
            photo: an uploaded file; or give "subject"
            subject: an id from /prepare; then remover, photo_elevation_deg and fill are as they were there
            methods: keys of /methods; all see the same subject and cameras. The first that is ready, if not given
            azimuth_deg: of one view or a swing's middle; 0 is the photo's side, positive moves the camera to its right
            elevation_deg: 0 is level, positive looks down from above; the photo's own, if not given
            distance: times the photo's own, 0.3 to 5
            path: "one view", "orbit", "spiral" or "swing"; one view if azimuth_deg is given, else an orbit
            count: how many views a path has, 1 to 360; 21 if not given
            seed: 0 to 2147483647; the same seed gives the same result
            size_px: side of the square views, 64 to 1024
            options: {"<method>": {"<option>": value}}, as /methods lists them
            remover: as for /prepare
            photo_elevation_deg: as elevation_deg of /prepare
            fill: as for /prepare
            depth: as for /prepare
            cameras: instead of azimuth_deg to path: [[azimuth, elevation], [azimuth, elevation, distance], ...]. Just
                those; or, with "count", as many evenly along the way through them
        Returns:
            "state" "working" with "id", "method", "fraction", "message", "remaining_s"; at last what /reopen gives, and
            "delete_key" for /delete
        """
        camera = _Camera(azimuth_deg, elevation_deg, distance, path, count, cameras)
        asked = _Asked(photo, depth, subject, remover, photo_elevation_deg, fill, camera, seed, size_px)
        yield from self._run(asked, lambda: self._chosen(methods, options), request, self._follow)

    def compare(
        self,
        request: gr.Request,
        photo: dict | None = None,
        subject: str | None = None,
        methods: list[str] | None = None,
        azimuth_deg: float | None = None,
        elevation_deg: float | None = None,
        distance: float = 1.0,
        path: str | None = None,
        count: int | None = None,
        seed: int = 0,
        size_px: int = 576,
        options: dict | None = None,
        remover: str = AUTO,
        photo_elevation_deg: float = 0.0,
        fill: float = DEFAULT_FILL,
        depth: dict | None = None,
        cameras: list[list[float]] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Several methods, one subject, the same cameras: every method that is ready here, unless some are named.

        Like /render, but each answer tells of all methods at once. A method that fails leaves the others running.

        Parameters:
            photo: as for /render; so are all others but
            subject: as for /render
            methods: keys of /methods; if not given, all that can run here with nothing to be fetched first
            azimuth_deg: as for /render
            elevation_deg: as for /render
            distance: as for /render
            path: as for /render
            count: as for /render
            seed: as for /render
            size_px: as for /render
            options: as for /render
            remover: as for /prepare
            photo_elevation_deg: as elevation_deg of /prepare
            fill: as for /prepare
            depth: as for /prepare
            cameras: as for /render
        Returns:
            "state" "working" with "id" and "methods", for each of them its "state" (waiting, working, done or failed),
            "fraction", "message", "remaining_s"; at last what /reopen gives, and "delete_key"
        """
        camera = _Camera(azimuth_deg, elevation_deg, distance, path, count, cameras)
        asked = _Asked(photo, depth, subject, remover, photo_elevation_deg, fill, camera, seed, size_px)
        yield from self._run(asked, lambda: self._chosen(methods, options, everything=True), request, self._follow_all)

    def reopen(self, id: str) -> dict[str, Any]:
        """A result by its id, with nothing computed anew: in this session or next year.

        Parameters:
            id: of /render's answer; also what follows "?r=" in a link
        Returns:
            "state", "id", "link", "manifest", each method's manifest in "turnarounds", all "files", and "failures"
        """
        stored = self._studio.archive.open(id)
        return {
            "state": "done",
            "id": stored.id,
            "link": f"?r={stored.id}",
            "manifest": dataclasses.asdict(stored.manifest),
            "turnarounds": {made.key: dataclasses.asdict(made.manifest) for made in stored.turnarounds},
            "files": {name: f"r/{stored.id}/{name}" for name in stored_files(stored)},
            "failures": stored.manifest.failures,
        }

    def delete(self, id: str, delete_key: str) -> dict[str, Any]:
        """Delete a result for everyone. Its link leads nowhere afterwards.

        Parameters:
            id: of the result
            delete_key: what /render or /compare gave with it
        Returns:
            "state": "deleted", and the id
        """
        if not self._studio.archive.owned_by(id, delete_key):
            raise TurnaroundError("There is no result of this id that this key may delete.")
        self._studio.archive.delete(id)
        return {"state": "deleted", "id": id}

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _run(
        self,
        asked: "_Asked",
        choose: Callable[[], list[tuple[Method, Any]]],
        request: gr.Request,
        follow: Callable[[Job], Iterator[dict[str, Any]]],
    ) -> Iterator[dict[str, Any]]:
        with self._photos.forgetting(asked.photo), self._photos.forgetting(asked.depth):
            # 1. Whatever can be refused is refused before anything is computed
            chosen = choose()
            address = address_of(request)
            visitor = f"api {address or request.session_hash or ''}"
            photo_elevation = check_elevation(asked.photo_elevation_deg)
            Request(ANY_SUBJECT, asked.camera.views(photo_elevation), asked.seed, None, asked.size_px)
            self._studio.jobs.check_room(visitor, address)

            # 2. The subject
            with Background(lambda report: self._subject(asked, photo_elevation, report)) as ready:
                for step in ready:
                    yield _working(None, None, step.fraction, step.message, None)
                seen = ready.result()

        # 3. The run
        views = asked.camera.views(seen.elevation_deg)
        tasks = [(method, Request(seen, views, asked.seed, given, asked.size_px)) for method, given in chosen]
        delete_key = secrets.token_urlsafe(16)
        job = self._studio.jobs.start(seen, tasks, visitor, owner=delete_key, address=address)
        try:
            yield from follow(job)
        finally:
            job.cancel()  # of no effect once it has ended
        yield self.reopen(job.id) | {"delete_key": delete_key}

    def _follow(self, job: Job) -> Iterator[dict[str, Any]]:
        yield _working(job.id, None, 0.0, "Starting", None)
        problems: list[str] = []
        for event in job.follow():
            if isinstance(event, Progressed):
                yield _working(job.id, event.method, event.fraction, event.message, event.remaining_s)
            elif isinstance(event, Failed):
                problems.append(event.sentence)
        if job.state != "saved":
            raise TurnaroundError(job.problem or " ".join(problems))

    def _follow_all(self, job: Job) -> Iterator[dict[str, Any]]:
        told = {method.card.key: _told("waiting") for method in job.methods}
        yield {"state": "working", "id": job.id, "methods": told}
        for event in job.follow():
            if isinstance(event, Progressed):
                told[event.method] = _told("working", event.fraction, event.message, event.remaining_s)
            elif isinstance(event, Failed):
                told[event.method] = _told("failed", 1.0, event.sentence)
            elif event:
                told[event.method] = _told("done", 1.0, "Done")
            if event:
                yield {"state": "working", "id": job.id, "methods": dict(told)}
        if job.state != "saved":
            failed = " ".join(each["message"] for each in told.values() if each["state"] == "failed")
            raise TurnaroundError(job.problem or failed)

    def _prepared(
        self,
        photo: object,
        depth: object,
        remover: object,
        elevation_deg: object,
        fill: object,
        report: Report | None = None,
    ) -> "_Ready":
        key, elevation, share = check_remover(remover), check_elevation(elevation_deg), check_fill(fill)
        wanted = Prepared(self._photos.read_upload(photo), key, share)
        if depth is not None:
            wanted = dataclasses.replace(wanted, depth=self._photos.read_depth(depth, wanted.photo))
        subject = dataclasses.replace(self._photos.cut_out(wanted, report), elevation_deg=elevation)
        return _Ready(self._photos.shelf.put(dataclasses.replace(wanted, subject=subject)), subject)

    def _subject(self, asked: "_Asked", elevation_deg: float, report: Report) -> Subject:
        if (asked.photo is None) == (asked.subject is None):
            raise TurnaroundError('Give either "photo", an uploaded file, or "subject", an id from /prepare.')
        if asked.photo is not None:
            return self._prepared(asked.photo, asked.depth, asked.remover, elevation_deg, asked.fill, report).subject
        if asked.depth is not None:
            raise TurnaroundError('A "depth" comes with its photo. Hand both to /prepare, or both here.')
        subject = self._photos.shelf.get(asked.subject).subject
        if subject is None:
            raise TurnaroundError("This photo is not cut out yet. Call /prepare with another remover.")
        return subject

    def _chosen(self, keys: object, options: object, *, everything: bool = False) -> list[tuple[Method, Any]]:
        known = {method.card.key: method for method in self._studio.methods}
        if keys is None:
            machine = self._studio.machine()
            ready = [key for key, method in known.items() if _is_ready(method, machine)] or [next(iter(known))]
            keys = ready if everything else ready[:1]
        if isinstance(keys, str):
            keys = [keys]
        if not isinstance(keys, Sequence) or not keys or len(keys) > len(known) or len(set(map(str, keys))) < len(keys):
            raise TurnaroundError(f"The methods must be a list of different keys out of: {', '.join(known)}.")
        given = {} if options is None else options
        if not isinstance(given, Mapping) or not all(isinstance(value, Mapping) for value in given.values()):
            raise TurnaroundError('The options must have the form {"<method>": {"<option>": value}}.')
        for key in (*keys, *given):
            if not isinstance(key, str) or key not in known:
                raise TurnaroundError(f"There is no method {str(key)[:40]!r}. Known methods: {', '.join(known)}.")
        return [(known[key], options_from(known[key].Options, given.get(key, {}))) for key in keys]


@dataclasses.dataclass(frozen=True, eq=False)
class _Ready:
    id: str
    subject: Subject


@dataclasses.dataclass(frozen=True)
class _Camera:
    azimuth_deg: Any
    elevation_deg: Any
    distance: Any
    path: Any
    count: Any
    cameras: Any

    def views(self, photo_elevation_deg: float) -> tuple[View, ...]:
        if self.cameras is not None:
            if (self.azimuth_deg, self.elevation_deg, self.distance, self.path) != (None, None, 1, None):
                raise TurnaroundError('"cameras" say all: give no azimuth_deg, elevation_deg, distance or path.')
            way = read_way(self.cameras)
            return way if self.count is None else along(way, self.count)
        elevation = photo_elevation_deg if self.elevation_deg is None else self.elevation_deg
        kind = self.path if self.path is not None else "orbit" if self.azimuth_deg is None else "one view"
        if kind == "one view" and self.count not in (None, 1):
            raise TurnaroundError('One view has no "count". Give a "path": "orbit", "spiral" or "swing".')
        azimuth = 0 if self.azimuth_deg is None else self.azimuth_deg
        return cameras.path(
            kind, DEFAULT_COUNT if self.count is None else self.count, View(azimuth, elevation, self.distance)
        )


@dataclasses.dataclass(frozen=True, eq=False)
class _Asked:
    photo: Any
    depth: Any
    subject: Any
    remover: Any
    photo_elevation_deg: Any
    fill: Any
    camera: _Camera
    seed: Any
    size_px: Any


def _is_ready(method: Method, machine: Machine) -> bool:
    """It can run here and now: nobody asked for gigabytes to be fetched."""
    needed = method.weights_for(method.Options())
    here = not any(map(missing_bytes, needed)) and not any(map(why_unusable, needed))
    return here and not method.blockers(machine)


def _told(state: str, fraction: float = 0.0, message: str = "", remaining_s: float | None = None) -> dict[str, Any]:
    return {"state": state, "fraction": fraction, "message": message, "remaining_s": remaining_s}


def _working(
    id: str | None, method: str | None, fraction: float, message: str, remaining_s: float | None
) -> dict[str, Any]:
    return {
        "state": "working",
        "id": id,
        "method": method,
        "fraction": fraction,
        "message": message,
        "remaining_s": remaining_s,
    }


def _file(path: Path) -> dict[str, Any]:
    """As gradio_client knows a file: it fetches it by itself."""
    return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}
