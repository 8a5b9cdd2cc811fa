"""What a chat or a search engine shows of a link: title, sentence and picture, in the words of Open Graph."""

import asyncio
import gzip
import os
import re
from dataclasses import dataclass

from gradio.route_utils import get_root_url
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.core.card import HEIGHT_PX, WIDTH_PX
from pipelines.core.errors import TurnaroundError
from pipelines.runtime.compare import apology
from ui.markup import text
from ui.studio import Studio
from ui.wall_data import EXAMPLE, Shown, address, link, moment_of, parse_spec, shown

NAME = "Turnaround"
PROMISE = "One photo in; the object from every side out."
INVITE = "The object of one photo, seen from every side. Open it to turn the camera and to take the files."
CARD = "card.jpg"
NAMED = 2  # methods that a title names when there are more
_PACK_BYTES = 2000  # shorter pages gain nothing
_THEIRS = re.compile(rb"""\s*<meta\s+(?:property|name)=["'](?:og|twitter):[^>]*>""")


@dataclass(frozen=True)
class LinkCard:
    title: str
    sentence: str
    picture: str | None
    """Relative to the page."""


def link_card(studio: Studio, spec: str) -> LinkCard:
    """Of a wall; of a link to nothing, or to no result, the app's own."""
    results: list[tuple[Shown, tuple[str, ...]]] = []
    try:
        for id, keys in parse_spec(spec):
            try:
                results.append((shown(studio, id), keys))
            except TurnaroundError:  # the others are shown all the same
                continue
    except TurnaroundError:
        pass
    if not results:
        return LinkCard(NAME, PROMISE, _example_card(studio))
    first = results[0][0]
    title = f"{NAME}: {_what(studio, results)}"
    return LinkCard(title, INVITE, address(first.id, CARD) if first.result else None)


def _example_card(studio: Studio) -> str | None:
    try:
        shown(studio, EXAMPLE)
    except TurnaroundError:
        return None
    return address(EXAMPLE, CARD)


def _what(studio: Studio, results: list[tuple[Shown, tuple[str, ...]]]) -> str:
    """ "Inflate and Flat of one photo, 21 views"."""
    titles: dict[str, None] = {}
    photos: set[str] = set()
    counts: set[int] = set()
    working = False
    for result, keys in results:
        made = {turnaround.key: turnaround for turnaround in result.result.turnarounds} if result.result else {}
        asked = {method.card.key: method.card.title for method in result.job.methods} if result.job else {}
        for key in keys or (asked if result.working else made):
            if key in made:
                counts.add(len(made[key].frames))
            working = working or (result.working and key not in made)
            title = str(made[key].manifest.method.get("title")) if key in made else asked.get(key)
            if title:
                titles[title] = None
        if result.made:
            photos.add(result.made.photo_sha256)
    names, number = list(titles) or ["A turnaround"], len(photos) or 1
    if len(names) > NAMED + 1:
        names = [*names[:NAMED], f"{len(names) - NAMED} more"]
    named = ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
    views = max(counts, default=0)
    much = "being made" if working else "3D model" if not views else "1 view" if views == 1 else f"{views} views"
    return f"{named} of {'one photo' if number == 1 else f'{number} photos'}, {much}"


def tags(card: LinkCard, base: str, page: str) -> str:
    """As HTML. `base` is the app's own address with a slash at its end, `page` the link below it."""
    said = [("property", "og:site_name", NAME), ("property", "og:type", "website")]
    said += [("property", "og:title", card.title), ("property", "og:description", card.sentence)]
    said += [("property", "og:url", base + page), ("name", "twitter:card", "summary_large_image")]
    if card.picture:
        said += [
            ("property", "og:image", base + card.picture),
            ("property", "og:image:type", "image/jpeg"),
            ("property", "og:image:width", str(WIDTH_PX)),
            ("property", "og:image:height", str(HEIGHT_PX)),
            ("property", "og:image:alt", card.title),
        ]
    return "\n".join(f'<meta {kind}="{name}" content="{text(value)}" />' for kind, name, value in said)


def base_of(request: Request, route: str) -> str:
    """The app's address as this request's sender knows it, by the rules that Gradio makes its own links with.

    What only a proxy may say has been taken out of the request by door.py, unless there is one.
    """
    root_path = os.environ.get("GRADIO_ROOT_PATH") or request.scope.get("root_path")
    try:
        return get_root_url(request, route, root_path).rstrip("/") + "/"  # type: ignore[arg-type] - fastapi's is this one
    except Exception:  # a host that is none
        return ""


class Preview:
    """Puts our tags in the place of Gradio's on the page itself, and packs it. Nothing else is touched or held."""

    def __init__(self, app: ASGIApp, studio: Studio) -> None:
        self.app, self.studio = app, studio

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or not _is_page(scope):
            await self.app(scope, receive, send)
            return
        head = await asyncio.to_thread(self._head, Request(scope))
        packed = "gzip" in Headers(scope=scope).get("accept-encoding", "")
        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        await self.app({**scope, "headers": plain}, receive, _Page(send, head.encode(), packed).send)

    def _head(self, request: Request) -> str:
        try:
            asked = request.query_params
            card = link_card(self.studio, asked.get("r", ""))
            try:
                page = link(parse_spec(asked.get("r", "")), moment_of(asked))
            except TurnaroundError:
                page = ""
            return f"<title>{NAME}</title>\n" + tags(card, base_of(request, "/"), page)
        except Exception as bug:  # the page itself is worth more than its picture in a chat
            apology(bug)
            return f"<title>{NAME}</title>"


class _Page:
    """One answer, held until it is whole if it is the page, and passed on at once if it is anything else."""

    def __init__(self, send: Send, head: bytes, packed: bool) -> None:
        self._send, self._head, self._packed = send, head, packed
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = Headers(scope=message)
            is_page = message["status"] == 200 and headers.get("content-type", "").startswith("text/html")
            if is_page and "content-encoding" not in headers:
                self._start = message
                return
        if self._start is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if not message.get("more_body", False):
            await self._send_page(self._start)

    async def _send_page(self, start: Message) -> None:
        body, headers = with_head(self._body, self._head), MutableHeaders(scope=start)
        headers.add_vary_header("Accept-Encoding")
        if self._packed and len(body) > _PACK_BYTES:
            body = await asyncio.to_thread(gzip.compress, body, 5, mtime=0)
            headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def with_head(page: bytes, head: bytes) -> bytes:
    """Before the first script: beyond it lies the page's configuration, where nothing may be replaced."""
    place = min((found for tag in (b"<script", b"</head") if (found := page.find(tag)) >= 0), default=0)
    before, after = page[:place], page[place:]
    return _THEIRS.sub(b"", before).rstrip() + b"\n" + head + b"\n" + after


def _is_page(scope: Scope) -> bool:
    return scope["path"].removeprefix(scope.get("root_path", "")) in ("", "/")
