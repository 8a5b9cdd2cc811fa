"""The front door: what every request passes before Gradio sees it, and every answer before it leaves.

Pure ASGI, outside all of Gradio's own layers. It knows nothing of the page.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.core.errors import TurnaroundError

MAX_JSON_BYTES = 1_000_000  # the page's own requests have a few kB
UPLOAD_OVERHEAD_BYTES = 64_000  # boundaries and headers of the parts
IDLE_S = 20.0  # a sender silent for this long is cut off
TOTAL_S = 600.0  # and one that trickles, after this: 25 MB in that time need 0.35 Mbit/s
DRAIN_BYTES, DRAIN_S = 64_000_000, 5.0  # of a refused body, read so that the sender gets to see the answer
API = "/gradio_api"

# Gradio's routes that this page does not use: recording, proxying, other people's histories, editing the app. And
# files with a dot before their name: what the archive keeps for itself lies beside the results.
_CLOSED = re.compile(
    rf"{API}/(proxy=|file=\s*[a-z][a-z0-9+.-]+:|stream/|process_recording|deep_link|vibe-|undo-vibe|run-history|runs"
    rf"|profiling)|{API}/file=.*/\.|/monitoring",
    re.IGNORECASE,
)
_SENDS_FILES = re.compile(rf"{API}/(upload|component_server)/?")
_RUNS = re.compile(rf"{API}/(run|api)/")
_SERVES_FILES = re.compile(rf"{API}/file[=/]|/r/")
# What a visitor uploaded may be a page with scripts, whatever it calls itself: shown alone, it can do nothing.
_FILE_POLICY = "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"

TOO_LONG = "This is larger than the {mb:g} MB accepted here. Send a smaller photo, and plain values."
TOO_SLOW = "The upload stopped arriving. Check the connection and try again."
CLOSED = "There is nothing here. The app's page lists what its API offers."
FOREIGN_PAGE = (
    "Requests from other websites are not accepted. Open the app itself, or call its API from a program. "
    "If this is the app itself, behind a proxy: set GRADIO_ROOT_PATH to its public address."
)
FOREIGN_NAME = (
    "This server answers to local addresses only. To reach it under another name, start it with "
    "GRADIO_SERVER_NAME=0.0.0.0, or set GRADIO_ROOT_PATH to its public address."
)


@dataclass(frozen=True)
class Rules:
    max_upload_bytes: int
    local_only: bool = False
    """Answer only when addressed as localhost: another site's name must not be pointed at a private machine."""
    behind_proxy: bool = False
    """Believe X-Forwarded-Host."""
    names: frozenset[str] = frozenset()
    """Under which the app is known to the world, where that was told."""
    idle_s: float = IDLE_S
    total_s: float = TOTAL_S


def rules_from(environment: Mapping[str, str], max_upload_bytes: int) -> Rules:
    """Told by Gradio's and the host's own variables, so that there is nothing new to set."""
    name = environment.get("GRADIO_SERVER_NAME", "127.0.0.1")
    proxied = any(environment.get(key) for key in ("SPACE_ID", "GRADIO_ROOT_PATH", "FORWARDED_ALLOW_IPS"))
    shared = environment.get("GRADIO_SHARE", "").lower() == "true"
    told = (environment.get("SPACE_HOST", ""), urlsplit(environment.get("GRADIO_ROOT_PATH", "")).netloc)
    return Rules(
        max_upload_bytes,
        local_only=is_local(name) and not proxied and not shared,
        behind_proxy=proxied,
        names=frozenset(_name(host) for host in told if host),
    )


def port_from(environment: Mapping[str, str]) -> int | None:
    """The port that was asked for and no other; `None` when none was: Gradio then takes the first free one."""
    text = environment.get("GRADIO_SERVER_PORT", "").strip()
    if not text:
        return None
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise TurnaroundError(f"GRADIO_SERVER_PORT={text[:60]!r}: it must be a whole number between 1 and 65535.")
    return int(text)


class Door:
    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app, self.rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})  # nothing here speaks WebSocket
            return
        _forget_untrusted(scope, self.rules.behind_proxy)
        send = _with_headers(scope, send)
        if refused := self._refusal(scope):
            await _answer(scope, receive, send, *refused)
            return
        await _Body(scope, receive, send, self.rules).pass_to(self.app)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("x-forwarded-host") or headers.get("host", "")
        if self.rules.local_only and not is_local(_name(host)):
            return 403, FOREIGN_NAME
        origin = headers.get("origin")
        if scope["method"] not in ("GET", "HEAD") and origin is not None and not self._is_here(origin, headers):
            return 403, FOREIGN_PAGE
        if _CLOSED.match(_route(scope)):
            return 404, CLOSED
        return None

    def _is_here(self, origin: str, headers: Headers) -> bool:
        """Whether a page of this origin, as its browser tells, is this server's own."""
        name = _name(urlsplit(origin).netloc) if "://" in origin else ""
        told = (headers.get("host", ""), headers.get("x-forwarded-host", ""))
        return bool(name) and name in {*map(_name, told), *self.rules.names}


def impatient(protocol: type[Any], idle_s: float = IDLE_S) -> type[Any]:
    """Uvicorn's protocol, which by itself waits for ever for the first request of a connection."""

    class Impatient(protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.loop.call_later(idle_s, self._cut_if_silent)

        def _cut_if_silent(self) -> None:
            if self.cycle is None:  # no request has come whole
                self.transport.close()

    return Impatient


class _Body:
    """One request whose body is counted and timed as it is read, whatever its headers promise.

    Once it is refused, the app behind sees a client that left, and nothing it then says goes out.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, rules: Rules) -> None:
        self._scope, self._receive, self._send, self._rules = scope, receive, send, rules
        files = bool(_SENDS_FILES.fullmatch(_route(scope)))
        self._limit = rules.max_upload_bytes + UPLOAD_OVERHEAD_BYTES if files else MAX_JSON_BYTES
        self._too_long = TOO_LONG.format(mb=(rules.max_upload_bytes if files else MAX_JSON_BYTES) / 1e6)
        self._read, self._complete, self._answered = 0, False, False
        self._problem: tuple[int, str] | None = None
        self._deadline = time.monotonic() + rules.total_s

    async def pass_to(self, app: ASGIApp) -> None:
        promised = Headers(scope=self._scope).get("content-length", "")
        if promised.isdigit() and int(promised) > self._limit:
            self._problem = 413, self._too_long
        else:
            try:
                await app(self._scope, self._receive_some, self._send_unless_refused)
            except Exception:
                if not self._problem:  # else it is only what the app makes of a client that left
                    raise
        if self._problem and not self._answered:
            if self._problem[0] == 413 and not self._complete:
                await _drain(self._receive)
            await _answer(self._scope, self._receive, self._send, *self._problem)

    async def _receive_some(self) -> Message:
        if self._problem:
            return {"type": "http.disconnect"}
        if self._complete:
            return await self._receive()  # waits for the client to leave
        patience = min(self._rules.idle_s, self._deadline - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, patience))
        except TimeoutError:
            return self._refuse(408, TOO_SLOW)
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._read > self._limit:
                return self._refuse(413, self._too_long)
        return message

    def _refuse(self, status: int, sentence: str) -> Message:
        self._problem = status, sentence
        return {"type": "http.disconnect"}

    async def _send_unless_refused(self, message: Message) -> None:
        if self._answered or not self._problem:
            self._answered = True
            await self._send(message)


async def _drain(receive: Receive) -> None:
    """A connection closed on unread bytes is reset, and its answer lost: read on for a while, keeping nothing."""
    left, deadline = DRAIN_BYTES, time.monotonic() + DRAIN_S
    more = True
    while more and left > 0:
        try:
            message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            return
        left -= len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)


async def _answer(scope: Scope, receive: Receive, send: Send, status: int, sentence: str) -> None:
    headers = {"Connection": "close"} if status in (408, 413) else None
    await JSONResponse({"detail": sentence, "error": sentence}, status, headers)(scope, receive, send)


def _with_headers(scope: Scope, send: Send) -> Send:
    serves_files, runs = bool(_SERVES_FILES.match(_route(scope))), bool(_RUNS.match(_route(scope)))

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            if runs and message["status"] == 500:
                message["status"] = 422  # a handler's refusal, in words; guard.py lets nothing else through
            headers = MutableHeaders(scope=message)
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "same-origin"  # a result's address is its only key
            if serves_files:
                headers["Content-Security-Policy"] = _FILE_POLICY
                headers.setdefault("Cache-Control", "private, max-age=3600")
            # No other site may read anything here. No X-Frame-Options: a Space lives in a frame of huggingface.co.
            for name in [name for name in headers if name.lower().startswith("access-control-")]:
                del headers[name]
        await send(message)

    return send_with_headers


def _forget_untrusted(scope: Scope, behind_proxy: bool) -> None:
    """What only a proxy may say of the app's own address: Gradio builds its links from it."""
    distrusted = {b"x-gradio-server"} if behind_proxy else {b"x-gradio-server", b"x-forwarded-host"}
    scope["headers"] = [(name, value) for name, value in scope["headers"] if name not in distrusted]


def _route(scope: Scope) -> str:
    """The path as Gradio's routes see it: a proxy may have left its own prefix on it."""
    path = scope["path"]
    return path[max(0, path.find(API + "/")) :]


def is_local(name: str) -> bool:
    return name in {"localhost", "::1", "[::1]"} or bool(re.fullmatch(r"127(\.\d{1,3}){3}", name))


def _name(host: str) -> str:
    """Of "Name:port" and "[::1]:port", the name alone."""
    host = host.split(",")[0].strip().lower()
    return host[: host.rfind("]") + 1] if host.startswith("[") else host.split(":")[0]
