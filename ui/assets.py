"""`/ui/<version>/<file>`: our scripts and style sheets, kept by browsers for good because the version is their hash."""

import gzip
import hashlib
import json
from functools import cache

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from ui.look import ASSETS
from ui.words import words
from ui.words.sentences import sentences

WORDS = "words.json"
SENTENCES = "sentences-{language}.json"  # fetched by those alone who read that language
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".json": "application/json"}
_KEPT = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
_ASKED_ANEW = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
_LARGE_BYTES = 1_000  # smaller files gain nothing from being packed
# Of 0 to 11, and packed once: 0.1 s for the largest file, where 11 takes 2 s for 5 % less.
_BROTLI_QUALITY = 9


@cache
def version() -> str:
    content = hashlib.sha256()
    for name, data in sorted(_files().items()):
        content.update(name.encode() + b"\0" + data)
    return content.hexdigest()[:16]


def asset(name: str) -> str:
    """The address of a file, relative to the page."""
    if name not in _files():
        raise KeyError(f"assets/ui has no {name}")
    return f"ui/{version()}/{name}"


def asset_routes() -> list[BaseRoute]:
    return [Route("/ui/{version}/{file}", _answer, methods=["GET"])]


def _answer(request: Request) -> Response:
    """Any version is answered with the newest: a page from before an update still finds its scripts."""
    name = request.path_params["file"]
    data = _files().get(name)
    if data is None:
        return PlainTextResponse("There is no such file.", 404, {"Cache-Control": "no-store"})
    headers = dict(_KEPT if request.path_params["version"] == version() else _ASKED_ANEW)
    if len(data) > _LARGE_BYTES and (how := _packing(request.headers)):
        data, headers["Content-Encoding"] = _packed(name, how), how
    return Response(data, headers=headers, media_type=_TYPES["." + name.rpartition(".")[2]])


def _packing(headers: Headers) -> str | None:
    accepted = headers.get("accept-encoding", "")
    return next((how for how in ("br", "gzip") if how in accepted.replace(" ", "").split(",")), None)


@cache
def _files() -> dict[str, bytes]:
    """Read once: the page that is open and the scripts it fetches later belong together."""
    files = {path.name: path.read_bytes() for path in ASSETS.iterdir() if path.suffix in (".js", ".css")}
    tables = {WORDS: words()} | {SENTENCES.format(language=name): table for name, table in sentences().items()}
    return files | {name: json.dumps(table, ensure_ascii=False).encode() for name, table in tables.items()}


@cache
def _packed(name: str, how: str) -> bytes:
    if how == "gzip":
        return gzip.compress(_files()[name], 9, mtime=0)
    import brotli

    return brotli.compress(_files()[name], quality=_BROTLI_QUALITY)
