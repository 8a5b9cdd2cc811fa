"""Receiving uploads, in the place of Gradio's own route: same answer, but whole or not at all, and without names.

A stored upload is called `<64 random digits>/photo.<ending>`: the visitor's file name stays with the visitor, and
nobody can name another's upload. What fails on the way, for whatever reason, leaves nothing on the disk.
"""

import errno
import logging
import re
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from gradio.route_utils import GradioMultiPartParser, GradioUploadFile
from gradio.routes import file_upload_statuses
from gradio.utils import get_upload_folder
from starlette.concurrency import run_in_threadpool
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from pipelines.runtime.devices import free_disk_bytes
from pipelines.runtime.settings import Settings
from ui.temp import ARRIVING, UPLOAD

log = logging.getLogger(__name__)

MAX_FILES = 8
_ENDING = re.compile(r"\.[a-z0-9]{1,5}")
_UPLOAD_ID = re.compile(r"[\w-]{1,64}", re.ASCII)  # what the page draws up to be told the progress

NO_ROOM = "The server's disk is full, so nothing can be uploaded at the moment. Try again in a few minutes."
NOT_STORED = "The server could not store this file. Try again; if it stays, its owner has to look at the data folder."
TOO_LARGE = "This file is larger than the {mb:g} MB accepted here. Send a smaller one."
TOO_MANY = f"At most {MAX_FILES} files can be sent at once. Send fewer."
MALFORMED = 'This is not an upload. Send multipart/form-data with the file in a part named "files".'


class Uploads:
    def __init__(self, settings: Settings) -> None:
        self._max_mb = settings.max_upload_mb
        self._free_bytes = settings.free_disk_mb * 1e6

    async def receive(self, request: Request) -> Response:
        """Gradio's answer, the list of paths; or a sentence."""
        folder = Path(get_upload_folder())
        upload_id = request.query_params.get("upload_id", "")
        upload_id = upload_id if _UPLOAD_ID.fullmatch(upload_id) else None
        stored = None
        try:
            if await run_in_threadpool(free_disk_bytes, folder) < self._free_bytes:
                return PlainTextResponse(NO_ROOM, 507)
            stored = await self._store(request, folder, upload_id)
            return JSONResponse(stored)
        except MultiPartException as problem:
            if problem.message.startswith("File size"):
                return PlainTextResponse(TOO_LARGE.format(mb=self._max_mb), 413)
            return PlainTextResponse(TOO_MANY if "Too many files" in problem.message else MALFORMED, 400)
        except OSError as problem:
            log.warning("An upload could not be stored: %s", problem.strerror)
            full = problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            return PlainTextResponse(NO_ROOM if full else NOT_STORED, 507 if full else 500)
        except (KeyError, ValueError, TypeError, AttributeError) as problem:  # what the parser makes of nonsense
            log.info("An upload was malformed: %s", type(problem).__name__)
            return PlainTextResponse(MALFORMED, 400)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        finally:
            if upload_id and not stored:
                file_upload_statuses.stop_tracking(upload_id)

    async def _store(self, request: Request, folder: Path, upload_id: str | None) -> list[str]:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        arriving = tempfile.mkdtemp(prefix=ARRIVING, dir=folder)
        parser = GradioMultiPartParser(
            request.headers,
            request.stream(),
            max_files=MAX_FILES,
            max_fields=10,
            upload_dir=arriving,
            max_file_size=int(self._max_mb * 1e6),
            upload_id=upload_id,
            upload_progress=file_upload_statuses if upload_id else None,
        )
        try:
            form = await parser.parse()
            files = [part for part in form.getlist("files") if isinstance(part, GradioUploadFile)]
            if not files:
                raise ValueError("no files")
            for file in files:
                file.file.close()
            return [_settle(Path(str(file.file.name)), file.filename or "", folder) for file in files]
        finally:
            for temporary in parser._files_to_close_on_error:
                with suppress(OSError):  # on a full disk even closing writes
                    temporary.close()
            await run_in_threadpool(shutil.rmtree, arriving, ignore_errors=True)


def _settle(file: Path, visitors_name: str, folder: Path) -> str:
    ending = Path(visitors_name).suffix.lower()
    place = folder / secrets.token_hex(32)
    place.mkdir(mode=0o700)
    return str(file.rename(place / f"{UPLOAD}{ending if _ENDING.fullmatch(ending) else ''}"))
