"""What is made of a result when somebody asks for it: animations, zips, a contact sheet, pictures for links and lists.

```text
/r/<id>/<key>/orbit.gif  orbit.webp  pictures.zip  cameras.zip  obj.zip     of one method
/r/<id>/thumb.webp  card.jpg                                                of a result
/sheet.png?r=<wall spec>&views=0,45,90@10&plain=1   /sheet.pdf?...   /wall.zip?r=<wall spec>     of a wall
```

Nothing of it is kept here: browsers keep it. The work is bounded in number, and in memory, as frames are read one by
one. Who comes when too many are waiting is told to come back.
"""

import asyncio
import io
import logging
import shutil
import tempfile
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from gradio.utils import get_upload_folder
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from pipelines.core import card
from pipelines.core.errors import TurnaroundError
from pipelines.core.files import StorageError, disk_sentences
from pipelines.core.paper import as_pdf, as_png
from pipelines.core.video import WHITE, write_gif, write_webp
from pipelines.runtime.compare import apology
from pipelines.runtime.credit import credit_line
from pipelines.runtime.manifest import DAMAGED
from pipelines.runtime.stored import StoredResult, StoredTurnaround, pack, packing, read_plain
from ui.open_graph import base_of
from ui.opened import forget
from ui.stored_frames import NO_SUCH_METHOD, Frames, fps_of, in_wall_order, picture_of, strips_of
from ui.studio import Studio
from ui.temp import ARRIVING
from ui.wall_data import EXAMPLE, Shown, parse_spec, shown
from ui.wall_sheet import NotASheet, page_of

log = logging.getLogger(__name__)

T = TypeVar("T")

GIF_PX = 480  # side at most: larger ones are no better in 255 colours, and too heavy for where GIFs are put
THUMB_PX = 256
CARD_QUALITY, THUMB_QUALITY = 88, 80
MOST_ZIPPED_BYTES = 10**9  # a copy of all, for as long as it takes to be sent
AT_ONCE = 2  # large things, and as many small ones
WAITING = 24  # behind those, for each of the two
WAIT_S = 20.0

BUSY = "The server is busy making files for others. Try again in a moment."
ONE_VIEW = "This turnaround has a single view, so there is nothing to play. Take its picture instead."
NO_PICTURES = "This method made a 3D model only. Take that instead."
NO_MODEL = "This method made no 3D model here. Take its pictures instead."
TOO_MUCH = "All of this together is more than 1 GB. Take the results away one by one."
NO_RESULT = "There is nothing to take away yet: this run has not finished a turnaround."
_TYPES = {
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".zip": "application/zip",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".pdf": "application/pdf",
}
_KEPT = "private, max-age=31536000, immutable"  # "private" because its address is its key
_CHANGING = "no-store"  # while the run goes on
_EXAMPLES = "public, max-age=3600"  # the example is another one after an update


class Busy(TurnaroundError):
    """Too many wait already, or this one has waited too long."""


@dataclass(frozen=True)
class Made:
    content: bytes | Path
    """A path is in a folder of its own, which goes with the answer."""
    id: str
    """Whose it is, for the file's name."""
    kept: str


class Gate:
    """At most so many at once, at most so many waiting, and none for long. For coroutines of one event loop."""

    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING, wait_s: float = WAIT_S) -> None:
        self._room, self._most_waiting, self._wait_s = asyncio.Semaphore(at_once), waiting, wait_s
        self._waiting = 0
        self._threads = anyio.CapacityLimiter(at_once)  # of our own: the page's requests never wait for these

    async def run(self, work: Callable[[], T]) -> T:
        async with self._entered():
            return await anyio.to_thread.run_sync(work, limiter=self._threads)

    @asynccontextmanager
    async def _entered(self) -> AsyncIterator[None]:
        if self._room.locked() and self._waiting >= self._most_waiting:
            raise Busy(BUSY)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await self._room.acquire()
        except TimeoutError:
            raise Busy(BUSY) from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._room.release()


def takeaway_routes(studio: Studio, large: Gate | None = None, small: Gate | None = None) -> list[BaseRoute]:
    large, small = large or Gate(), small or Gate()
    of_method = {
        "orbit.gif": _orbit_gif,
        "orbit.webp": _orbit_webp,
        "pictures.zip": _pictures_zip,
        "cameras.zip": _cameras_zip,
        "obj.zip": _obj_zip,
    }
    of_result = {"thumb.webp": _thumb, "card.jpg": _card}
    return [
        *(
            Route(
                f"/r/{{id}}/{{key}}/{name}", _answering(studio, large, name, _of_method(studio, make)), methods=["GET"]
            )
            for name, make in of_method.items()
        ),
        *(
            Route(f"/r/{{id}}/{name}", _answering(studio, small, name, _of_result(studio, make)), methods=["GET"])
            for name, make in of_result.items()
        ),
        *(
            Route(f"/{name}", _answering(studio, large, name, _of_wall(studio, draw)), methods=["GET"])
            for name, draw in {"sheet.png": as_png, "sheet.pdf": lambda page: as_pdf(page, "Turnaround")}.items()
        ),
        Route("/wall.zip", _answering(studio, large, "wall.zip", _wall_zip(studio)), methods=["GET"]),
    ]


# --- Answering --------------------------------------------------------------------------------------------------------

Work = Callable[[Request], Made]


def _answering(studio: Studio, gate: Gate, name: str, work: Work) -> Callable[[Request], Awaitable[Response]]:
    def outcome(request: Request) -> Made | Response:
        try:
            return work(request)
        except TurnaroundError as error:
            return _refused(_status_of(error), str(error))
        except OSError as problem:  # its run ended just now and the files moved; or somebody deleted it
            log.info("%s could not be made: %s", name, problem)
            forget(studio.archive, str(request.path_params.get("id")))
            return _refused(404, DAMAGED)
        except BaseException as bug:  # nothing a request does may take the server along
            return _refused(500, apology(bug))

    async def answer(request: Request) -> Response:
        try:
            made = await gate.run(lambda: outcome(request))
        except Busy as error:
            return _refused(503, str(error))
        if isinstance(made, Response):
            return made
        return _answer(made, "-".join(filter(None, (request.path_params.get("key"), name))), request)

    return answer


def _answer(made: Made, name: str, request: Request) -> Response:
    headers = {"Cache-Control": made.kept}
    filename = f"turnaround-{made.id[-8:]}-{name}" if "download" in request.query_params else None
    media_type = _TYPES[Path(name).suffix]
    if isinstance(made.content, Path):
        gone = BackgroundTask(shutil.rmtree, made.content.parent, ignore_errors=True)
        return FileResponse(made.content, headers=headers, media_type=media_type, filename=filename, background=gone)
    if filename:
        headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    return Response(made.content, headers=headers, media_type=media_type)


def _refused(status: int, sentence: str) -> Response:
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": "10"} if status == 503 else {})
    return PlainTextResponse(sentence, status, headers)


def _status_of(error: TurnaroundError) -> int:
    if isinstance(error, StorageError):
        return 503
    return 400 if isinstance(error, NotASheet) else 404


def _kept(*results: Shown) -> str:
    if any(result.working for result in results):
        return _CHANGING
    return _EXAMPLES if any(result.id == EXAMPLE for result in results) else _KEPT


def _of_method(studio: Studio, make: Callable[[StoredTurnaround, Path], None]) -> Work:
    """`make` writes a file to the path it is given."""

    def work(request: Request) -> Made:
        found = shown(studio, request.path_params["id"])
        made = next((t for t in in_wall_order(studio, found) if t.key == request.path_params["key"]), None)
        if made is None:
            raise TurnaroundError(NO_SUCH_METHOD)
        path = written(lambda path: make(made, path))
        return Made(path, found.id, _EXAMPLES if found.id == EXAMPLE else _KEPT)

    return work


def written(write: Callable[[Path], None]) -> Path:
    """A file that is written now, in a folder of its own."""
    with disk_sentences("The download could not be made"):
        folder = Path(get_upload_folder())
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=ARRIVING, dir=folder))
    try:
        write(place / "file")
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return place / "file"


def _of_result(studio: Studio, make: Callable[[Studio, Shown], bytes]) -> Work:
    def work(request: Request) -> Made:
        found = shown(studio, request.path_params["id"])
        if found.result is None:
            raise TurnaroundError(NO_RESULT)
        return Made(make(studio, found), found.id, _kept(found))

    return work


def _of_wall(studio: Studio, draw: Callable[[Any], bytes]) -> Work:
    def work(request: Request) -> Made:
        asked, wall = request.query_params, _wall(studio, request)
        base, plain = base_of(request, request.url.path), asked.get("plain") not in (None, "", "0")
        page = page_of(studio, wall, asked.get("views", ""), base=base, plain=plain)
        return Made(draw(page), wall[0][0].id, _kept(*(found for found, _ in wall)))

    return work


def _wall_zip(studio: Studio) -> Work:
    """Everything of every result there, each in a folder of its own."""

    def work(request: Request) -> Made:
        wall = _wall(studio, request)
        sizes = [size for found, keys in wall if found.result for size in _sizes(found.result, keys)]
        if not sizes:
            raise TurnaroundError(NO_RESULT)
        if sum(sizes) > MOST_ZIPPED_BYTES:
            raise TurnaroundError(TOO_MUCH)

        def write(path: Path) -> None:
            with packing(path) as packed:
                for found, keys in wall:
                    if found.result:
                        pack(packed, found.result, f"turnaround-{found.id[-8:]}", keys)

        try:
            path = written(write)
        except StorageError:  # a run may have ended meanwhile, and its files moved
            wall = _wall(studio, request)
            path = written(write)
        return Made(path, wall[0][0].id, _kept(*(found for found, _ in wall)))

    return work


def _sizes(result: StoredResult, keys: tuple[str, ...]) -> list[int]:
    made = [turnaround for turnaround in result.turnarounds if not keys or turnaround.key in keys]
    return [record.bytes for turnaround in made for record in turnaround.manifest.files.values()]


def _wall(studio: Studio, request: Request) -> list[tuple[Shown, tuple[str, ...]]]:
    return [(shown(studio, id), keys) for id, keys in parse_spec(request.query_params.get("r", ""))]


# --- Of one method ----------------------------------------------------------------------------------------------------


def _orbit_gif(made: StoredTurnaround, path: Path) -> None:
    write_gif(_to_play(made, GIF_PX), path, fps_of(made), background=WHITE, about=credit_line(made.manifest.method))


def _orbit_webp(made: StoredTurnaround, path: Path) -> None:
    write_webp(_to_play(made), path, fps_of(made), about=credit_line(made.manifest.method))


def _to_play(made: StoredTurnaround, most_px: int | None = None) -> Frames:
    if len(made.frames) < 2:
        raise TurnaroundError(ONE_VIEW)
    return Frames(made.frames, most_px)


def _pictures_zip(made: StoredTurnaround, path: Path) -> None:
    if not made.frames:
        raise TurnaroundError(NO_PICTURES)
    _pack(made, path, [name for name in made.manifest.files if name.endswith(".png")])


def _cameras_zip(made: StoredTurnaround, path: Path) -> None:
    files = made.manifest.files
    _pack(made, path, [n for n in files if n in ("cameras.json", "transforms.json") or n.startswith("colmap/")])


def _obj_zip(made: StoredTurnaround, path: Path) -> None:
    from pipelines.core.mesh import load_mesh, obj_zip_bytes

    if made.model is None:
        raise TurnaroundError(NO_MODEL)
    with disk_sentences("The download could not be made"):
        path.write_bytes(obj_zip_bytes(load_mesh(read_plain(made.model))))
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as packed:
            for name in _papers(made):
                packed.writestr(zipfile.ZipInfo(name), read_plain(made.folder / name))


def _pack(made: StoredTurnaround, path: Path, names: list[str]) -> None:
    """Into the folder that "everything" has them in, so that cameras find their pictures if both are unpacked."""
    with packing(path) as packed:
        for name in [*names, *_papers(made)]:
            entry = zipfile.ZipInfo(f"turnaround/{made.key}/{name}")
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED
            packed.writestr(entry, read_plain(made.folder / name))


def _papers(made: StoredTurnaround) -> list[str]:
    """Licence and citation, which belong to everything that is taken away."""
    return [name for name in made.manifest.files if "/" not in name and name.endswith((".txt", ".bib"))]


# --- Of a result ------------------------------------------------------------------------------------------------------


def _thumb(studio: Studio, found: Shown) -> bytes:
    """The first frame of the first method that has any; else the cut-out."""
    from PIL import Image

    assert found.result is not None
    path = next((made.frames[0] for made in in_wall_order(studio, found) if made.frames), found.result.subject)
    file = io.BytesIO()
    Image.fromarray(picture_of(path, THUMB_PX)).save(file, "WEBP", quality=THUMB_QUALITY)
    return file.getvalue()


def _card(studio: Studio, found: Shown) -> bytes:
    assert found.result is not None
    made = in_wall_order(studio, found)
    titles = [str(turnaround.manifest.method.get("title") or turnaround.key) for turnaround in made]
    strips = strips_of([turnaround for turnaround in made if turnaround.frames][: card.MAX_STRIPS])
    file = io.BytesIO()
    picture = card.drawn(picture_of(found.result.subject), strips, "Turnaround", titles)
    picture.save(file, "JPEG", quality=CARD_QUALITY, optimize=True, progressive=True)
    return file.getvalue()
