"""The HTTP interface: /methods, /prepare, /render and /reopen, for gradio_client and curl.

Nothing a request says is trusted: every value is checked here or by what it is handed to, and refused with a sentence.
"""

import dataclasses
import secrets
from collections.abc import Iterator, Mapping, Sequence
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
from pipelines.runtime.compare import Failed, Progressed
from pipelines.runtime.devices import this_machine
from pipelines.runtime.jobs import Job
from pipelines.runtime.manifest import SUBJECT
from pipelines.runtime.method import Method, Report, Request, describe, options_from
from pipelines.runtime.prepare import AUTO, check_remover
from pipelines.runtime.removers import REMOVERS
from pipelines.runtime.results import png_bytes
from pipelines.runtime.shelf import Prepared
from ui.background import Background
from ui.files import stored_files
from ui.handlers import Handlers
from ui.safe import safe

DEFAULT_ORBIT = 21


def add_endpoints(handlers: Handlers) -> None:
    """Inside a `gr.Blocks`: the four public endpoints."""
    endpoints = Endpoints(handlers)
    for function in (endpoints.methods, endpoints.prepare, endpoints.render, endpoints.reopen):
        api(safe(function), api_name=function.__name__, concurrency_limit=4 if function == endpoints.prepare else None)


class Endpoints:
    def __init__(self, handlers: Handlers) -> None:
        self._handlers, self._studio = handlers, handlers.studio

    def methods(self) -> dict[str, Any]:
        """What can be asked for here: every method with its options, licence and what stands in its way, and removers.

        Returns:
            "methods", a list as `python -m pipelines methods --json` prints it, and "removers"
        """
        machine = this_machine(self._studio.settings.data)
        removers = [
            {"key": r.key, "title": r.title, "summary": r.summary, "licence": r.licence,
             "download_bytes": r.model.size_bytes if r.missing(self._studio.settings) and r.model else 0,
             "blockers": r.blockers(machine)}
            for r in REMOVERS.values()
        ]  # fmt: skip
        return {"methods": [describe(method, machine) for method in self._studio.methods], "removers": removers}

    def prepare(
        self, photo: dict, remover: str = AUTO, elevation_deg: float = 0.0, fill: float = DEFAULT_FILL
    ) -> dict[str, Any]:
        """Cut the subject out of an uploaded photo. The uploaded file is deleted; nothing of its metadata is kept.

        Parameters:
            photo: the uploaded file, with gradio_client `handle_file(path)`
            remover: "auto" (the photo's own transparency, else no download), "none", or a key of /methods
            elevation_deg: from how high the photo was taken; 0 is level, positive from above
            fill: the share of the frame that the subject's longest side takes, 0.2 to 0.98
        Returns:
            "subject", an id for /render, held for about an hour; "cutout", the picture every method sees; "notes"
        """
        with self._handlers.forgetting(photo):
            subject = self._prepared(photo, remover, elevation_deg, fill)
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
        orbit: int | None = None,
        seed: int = 0,
        size_px: int = 576,
        options: dict | None = None,
        remover: str = AUTO,
        photo_elevation_deg: float = 0.0,
        fill: float = DEFAULT_FILL,
    ) -> Iterator[dict[str, Any]]:
        """Render views of a photo, or of a subject from /prepare. Streams progress; the last answer is the result.

        Closing the stream cancels the run. Parameters:
            photo: an uploaded file, or
            subject: an id from /prepare; then remover, photo_elevation_deg and fill are as they were there
            methods: keys of /methods; all see the same subject and cameras. The first that can run, if not given
            azimuth_deg: for one view: 0 is the photo's side, positive moves the camera to its right; -360 to 360
            elevation_deg: 0 is level, positive looks down from above; the photo's own, if not given
            orbit: for that many views all round instead; 21 if neither this nor azimuth_deg is given
            seed: 0 to 2147483647; the same seed gives the same result
            size_px: side of the square views, 64 to 1024
            options: {"<method>": {"<option>": value}}, as /methods lists them
            remover: as for /prepare
            photo_elevation_deg: as elevation_deg of /prepare
            fill: as for /prepare
        Returns:
            "state" "working" with "id", "method", "fraction", "message", "remaining_s"; at last what /reopen gives
        """
        with self._handlers.forgetting(photo):
            # 1. Whatever can be refused is refused before anything is computed
            visitor = f"api {request.session_hash or ''}"
            chosen = self._chosen(methods, options)
            photo_elevation = check_elevation(photo_elevation_deg)
            Request(ANY_SUBJECT, _views(azimuth_deg, elevation_deg, orbit, photo_elevation), seed, None, size_px)
            self._studio.jobs.check_room(visitor)

            # 2. The subject
            with Background(
                lambda report: self._subject(photo, subject, remover, photo_elevation, fill, report)
            ) as ready:
                for step in ready:
                    yield _working(None, None, step.fraction, step.message, None)
                seen = ready.result()

        # 3. The run
        views = _views(azimuth_deg, elevation_deg, orbit, seen.elevation_deg)
        tasks = [(method, Request(seen, views, seed, given, size_px)) for method, given in chosen]
        job = self._studio.jobs.start(seen, tasks, visitor)
        try:
            yield from self._follow(job)
        finally:
            job.cancel()  # of no effect once it has ended
        yield self.reopen(job.id)

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
            "manifest": _plain(stored.manifest),
            "turnarounds": {made.key: _plain(made.manifest) for made in stored.turnarounds},
            "files": {name: _file(path) for name, path in stored_files(stored).items()},
            "failures": stored.manifest.failures,
        }

    # --- Inside -------------------------------------------------------------------------------------------------------

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

    def _prepared(
        self, photo: object, remover: object, elevation_deg: object, fill: object, report: Report | None = None
    ) -> "_Ready":
        key, elevation, share = check_remover(remover), check_elevation(elevation_deg), check_fill(fill)
        wanted = Prepared(self._handlers.read_upload(photo), key, share)
        subject = dataclasses.replace(self._handlers.cut_out(wanted, report), elevation_deg=elevation)
        return _Ready(self._handlers.shelf.put(dataclasses.replace(wanted, subject=subject)), subject)

    def _subject(
        self, photo: object, id: object, remover: object, elevation_deg: object, fill: object, report: Report
    ) -> Subject:
        if (photo is None) == (id is None):
            raise TurnaroundError('Give either "photo", an uploaded file, or "subject", an id from /prepare.')
        if photo is not None:
            return self._prepared(photo, remover, elevation_deg, fill, report).subject
        subject = self._handlers.shelf.get(id).subject
        if subject is None:
            raise TurnaroundError("This photo is not cut out yet. Call /prepare with another remover.")
        return subject

    def _chosen(self, keys: object, options: object) -> list[tuple[Method, Any]]:
        known = {method.card.key: method for method in self._studio.methods}
        if keys is None:
            machine = this_machine(self._studio.settings.data)
            keys = [next((key for key, method in known.items() if not method.blockers(machine)), next(iter(known)))]
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


def _views(azimuth_deg: Any, elevation_deg: Any, orbit: Any, photo_elevation_deg: float) -> tuple[View, ...]:
    elevation = photo_elevation_deg if elevation_deg is None else elevation_deg
    if azimuth_deg is None:
        return cameras.orbit(DEFAULT_ORBIT if orbit is None else orbit, elevation)
    if orbit is not None:
        raise TurnaroundError('Give "azimuth_deg" for one view or "orbit" for several, not both.')
    return (View(azimuth_deg, elevation),)


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


def _plain(manifest: Any) -> dict[str, Any]:
    return dataclasses.asdict(manifest)
