"""`/r/<id>/<file>`: a result's files for whoever has its link, straight from where they lie, copied nowhere.

The id is the only key, and nothing but the files that the result's manifests list can be had. `app.py` hands
`result_routes(studio)` to the server: every address that is ours and not Gradio's.
"""

import os
import shutil
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO

import anyio
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from pipelines.core.errors import TurnaroundError
from pipelines.core.files import StorageError
from pipelines.runtime.archive import NOT_FOUND, RUNNING
from pipelines.runtime.compare import apology
from pipelines.runtime.manifest import DAMAGED, MANIFEST
from pipelines.runtime.stored import StoredResult, pack, packing
from ui.assets import asset_routes
from ui.cutout import cutout_routes
from ui.embed import embed_routes
from ui.live import live_routes
from ui.opened import forget, opened
from ui.recorded import recorded
from ui.studio import Studio
from ui.takeaway import takeaway_routes, written
from ui.wall_data import EXAMPLE, ZIP, Shown, shown, wall_json

NO_SUCH_FILE = "This result has no such file."
_TYPES = {
    ".png": "image/png",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
    ".glb": "model/gltf-binary",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".bib": "text/plain; charset=utf-8",  # a browser shows it
    ".zip": "application/zip",
}


def result_routes(studio: Studio) -> list[BaseRoute]:
    def wall(request: Request) -> Response:
        result = shown(studio, request.path_params["id"])
        return Response(
            wall_json(result, studio.methods), headers={"Cache-Control": "no-store"}, media_type="application/json"
        )

    def file(request: Request) -> Response:
        asked = request.path_params
        return _file(studio, asked["id"], asked["file"], download="download" in request.query_params)

    def nothing(request: Request) -> Response:
        raise TurnaroundError(NOT_FOUND)

    return [
        *asset_routes(),
        *cutout_routes(),
        *live_routes(studio),
        Route("/r/{id}/wall.json", with_sentences(wall), methods=["GET"]),
        *takeaway_routes(studio),
        Route("/r/{id}/{file:path}", with_sentences(file), methods=["GET"]),
        Route("/r/{rest:path}", with_sentences(nothing), methods=["GET"]),
        *embed_routes(studio),
    ]


def with_sentences(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Whatever goes wrong is told as a sentence, and by nobody remembered."""

    def told(request: Request) -> Response:
        try:
            return answer(request)
        except TurnaroundError as error:
            status, sentence = 503 if isinstance(error, StorageError) else 404, str(error)
        except BaseException as bug:  # nothing a request does may take the server along
            status, sentence = 500, apology(bug)
        return PlainTextResponse(sentence, status, {"Cache-Control": "no-store"})

    return told


def stored_files(result: StoredResult) -> dict[str, Path]:
    """Every file the manifests vouch for, by its name inside the result."""
    return {path.relative_to(result.folder).as_posix(): path for path in result.paths}


def _file(studio: Studio, id: str, file: str, *, download: bool) -> Response:
    result = shown(studio, id)
    if file == ZIP:
        return _zip(studio, result)
    try:
        file_there = _open(result.result, file)
    except FileNotFoundError:  # its run ended just now and the files moved into the archive; or someone removed it
        forget(studio.archive, id)
        try:
            file_there = _open(recorded() if id == EXAMPLE else opened(studio.archive, id), file)
        except FileNotFoundError:
            raise TurnaroundError(DAMAGED) from None
    name = f"turnaround-{id[-8:]}-{file.replace('/', '-')}" if download else None
    return _Opened(file_there, headers=_kept(id), media_type=_TYPES.get(Path(file).suffix), filename=name)


def _open(result: StoredResult | None, file: str) -> BinaryIO:
    """Only a plain file of the size that the manifest states: what else lies there was put there by someone else."""
    if result is None:
        raise TurnaroundError(NO_SUCH_FILE)
    path, size = _listed(result, file)
    try:
        there = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)), "rb")
    except FileNotFoundError:
        raise
    except OSError as problem:  # a link, a folder
        raise TurnaroundError(DAMAGED) from problem
    found = os.fstat(there.fileno())
    if not stat.S_ISREG(found.st_mode) or size not in (None, found.st_size):
        there.close()
        raise TurnaroundError(DAMAGED)
    return there


def _kept(id: str) -> dict[str, str]:
    """A file once listed never changes; "private" because its address is its key."""
    how = "public, max-age=3600" if id == EXAMPLE else "private, max-age=31536000, immutable"
    return {"Cache-Control": how}  # the example is another one after an update


def _listed(result: StoredResult, file: str) -> tuple[Path, int | None]:
    """Where a file lies, and how long it has to be."""
    if file == MANIFEST and result.whole:
        return result.folder / MANIFEST, None
    if record := result.manifest.files.get(file):
        return result.folder / file, record.bytes
    key, _, name = file.partition("/")
    for made in result.turnarounds:
        if made.key == key and (record := made.manifest.files.get(name)):
            return made.folder / name, record.bytes
    raise TurnaroundError(NO_SUCH_FILE)


class _Opened(FileResponse):
    """A file that is open before the answer begins: it may be renamed or deleted while it is sent."""

    def __init__(self, file: BinaryIO, **kwargs: Any) -> None:
        super().__init__(file.name, stat_result=os.fstat(file.fileno()), **kwargs)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[anyio.AsyncFile[bytes]]:
        yield anyio.wrap_file(self._file)


def _zip(studio: Studio, shown: Shown) -> Response:
    """Made for this one answer, and removed with it; what a crash leaves, the sweeper takes."""
    if shown.result is None or shown.working:
        raise TurnaroundError(RUNNING if shown.working else NO_SUCH_FILE)
    result = recorded() if shown.id == EXAMPLE else studio.archive.open(shown.id)

    def write(path: Path) -> None:
        with packing(path) as packed:
            pack(packed, result, "turnaround")

    path = written(write)
    forgotten = BackgroundTask(shutil.rmtree, path.parent, ignore_errors=True)
    name = f"turnaround-{result.id[-8:]}.zip"
    return FileResponse(path, headers=_kept(shown.id), media_type=_TYPES[".zip"], filename=name, background=forgotten)
