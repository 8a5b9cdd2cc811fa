"""`/r/<id>/<file>`: a result's files for whoever has its link, straight from the archive, copied nowhere.

`app.py` hands `result_routes(studio)` to the server. The id is the only key, and nothing but the files that the
result's manifests list can be had.
"""

import shutil
import tempfile
from pathlib import Path

from gradio.utils import get_upload_folder
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.archive import Archive
from pipelines.runtime.compare import apology
from pipelines.runtime.stored import StoredResult
from ui.studio import Studio
from ui.temp import ARRIVING

ZIP = "turnaround.zip"
_TYPES = {
    ".png": "image/png",
    ".mp4": "video/mp4",
    ".glb": "model/gltf-binary",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".zip": "application/zip",
}
# A finished result never changes; "private" because its address is its key.
_HEADERS = {"Cache-Control": "private, max-age=31536000, immutable"}


def result_routes(studio: Studio) -> list[BaseRoute]:
    def answer(request: Request) -> Response:
        try:
            asked = request.path_params
            return _file(studio.archive, asked["id"], asked["file"], download="download" in request.query_params)
        except TurnaroundError as error:
            return PlainTextResponse(str(error), 404)
        except BaseException as bug:  # nothing a request does may take the server along
            return PlainTextResponse(apology(bug), 500)

    return [Route("/r/{id}/{file:path}", answer, methods=["GET"])]


def address(result: StoredResult, path: Path | str, *, download: bool = False) -> str:
    """Relative to the page, so that it holds behind any proxy and under any root path."""
    file = path if isinstance(path, str) else path.relative_to(result.folder).as_posix()
    return f"r/{result.id}/{file}{'?download' if download else ''}"


def _file(archive: Archive, id: str, file: str, *, download: bool) -> Response:
    result = archive.open(id)
    if file == ZIP:
        return _zip(archive, result)
    path = stored_files(result).get(file)
    if path is None:
        raise TurnaroundError("This result has no such file.")
    name = f"turnaround-{id[-8:]}-{file.replace('/', '-')}" if download else None
    return FileResponse(path, headers=_HEADERS, media_type=_TYPES[path.suffix], filename=name)


def stored_files(result: StoredResult) -> dict[str, Path]:
    """Every file the manifests vouch for, by its name inside the result."""
    return {path.relative_to(result.folder).as_posix(): path for path in result.paths}


def _zip(archive: Archive, result: StoredResult) -> Response:
    """Made for this one answer, and removed with it; what a crash leaves, the sweeper takes."""
    folder = Path(get_upload_folder())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=ARRIVING, dir=folder))
    try:
        packed = archive.zip(result.id, place)
        forget = BackgroundTask(shutil.rmtree, place, ignore_errors=True)
        return FileResponse(
            packed, headers=_HEADERS, media_type=_TYPES[".zip"], filename=packed.name, background=forget
        )
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
