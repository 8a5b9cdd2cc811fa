"""`/r/<id>/live`: a run while it goes on, as server-sent events.

Each run is looked at, described and drawn once for all who follow it; what a follower costs is sending it the same
bytes. Nothing here holds a thread while it waits. Following is being present: a run that nobody follows ends.
"""

import asyncio
import base64
import io
import json
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from pipelines.core.errors import TurnaroundError
from pipelines.core.images import resize_rgba
from pipelines.runtime.compare import Progressed, apology
from pipelines.runtime.job import Job, News
from ui.studio import Studio
from ui.wall_data import Shown, shown, wall_json

log = logging.getLogger(__name__)

PROGRESS_S = 0.25  # between two words about progress
LOOK_S = 0.05  # between two looks at the news: an outcome is told this late at most
BEAT_S = 10.0  # a silent connection is closed by proxies after 30 s to 60 s
STALLED_S = 30.0  # a follower that takes nothing for this long has left
RETRY_MS = 2000  # after which a page that lost its connection asks again
MOST_FOLLOWERS = 500  # of one run
PREVIEW_PX = 384

CROWDED = "Too many people are following this run. Open its link again when it is done."
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx would keep events back
}


def live_routes(studio: Studio) -> list[BaseRoute]:
    return [Route("/r/{id}/live", Live(studio).answer, methods=["GET"])]


class Live:
    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.followed: dict[str, Broadcast] = {}
        """The runs that somebody follows."""

    async def answer(self, request: Request) -> Response:
        id = request.path_params["id"]
        try:
            job = self.studio.jobs.find(id)
            if job is None or not job.working:
                wall = await asyncio.to_thread(lambda: wall_json(shown(self.studio, id), self.studio.methods))
                return Response(event("wall", wall) + event("end", wall), headers=_HEADERS)
            if id in self.followed and len(self.followed[id].woken) >= MOST_FOLLOWERS:
                return PlainTextResponse(CROWDED, 503, {"Cache-Control": "no-store"})
            return _Stream(lambda: self._broadcast(job))
        except TurnaroundError as error:
            return PlainTextResponse(str(error), 404, {"Cache-Control": "no-store"})
        except Exception as bug:
            return PlainTextResponse(apology(bug), 500, {"Cache-Control": "no-store"})

    def _broadcast(self, job: Job) -> "Broadcast":
        known = self.followed.get(job.id)
        if known is None or known.over:
            known = self.followed[job.id] = Broadcast(self.studio, job, self._leave)
        return known

    def _leave(self, broadcast: "Broadcast") -> None:
        if self.followed.get(broadcast.job.id) is broadcast:
            del self.followed[broadcast.job.id]


class Broadcast:
    """One run on its way to any number of followers. Lives on the server's event loop, from the first to the last."""

    def __init__(self, studio: Studio, job: Job, leave: Callable[["Broadcast"], None]) -> None:
        self.studio, self.job = studio, job
        self.wall = self.end = b""
        self.progress: dict[str, bytes] = {}
        """By method. Of every event the newest alone: what a follower has not sent by then, it skips."""
        self.over = False
        self.woken: set[asyncio.Event] = set()
        """One a follower."""
        self._leave = leave
        self._told: dict[str, Progressed] = {}
        self._work = asyncio.create_task(self._follow())

    def join(self) -> asyncio.Event:
        woken = asyncio.Event()
        woken.set()  # there may be something already
        self.woken.add(woken)
        return woken

    def part(self, woken: asyncio.Event) -> None:
        self.woken.discard(woken)
        if not self.woken:
            self._close()
            self._work.cancel()

    async def _follow(self) -> None:
        heard = asyncio.Event()
        loop = asyncio.get_running_loop()

        def hear() -> None:  # from the run's own thread, perhaps a hundred times a second
            if not heard.is_set():
                loop.call_soon_threadsafe(heard.set)

        stop = self.job.listen(hear)
        try:
            outcomes, next_progress_s = -1, 0.0
            while True:
                heard.clear()
                news = self.job.news()
                if news.state != "working":
                    break
                if len(news.outcomes) != outcomes:
                    outcomes = len(news.outcomes)
                    self.wall = event("wall", await self._wall(news))
                    self._wake()
                patience_s = next_progress_s - loop.time()
                if patience_s <= 0 and await self._tell_progress(news):
                    patience_s = PROGRESS_S
                    next_progress_s = loop.time() + PROGRESS_S
                await asyncio.sleep(LOOK_S)
                with suppress(TimeoutError):
                    async with asyncio.timeout(patience_s if patience_s > 0 else None):
                        await heard.wait()
            wall = await self._wall(news)
            self.progress = {}
            self.wall, self.end = event("wall", wall), event("end", wall)
        except Exception as bug:  # the pages ask again by themselves
            apology(bug)
        finally:
            stop()
            self._close()

    def _close(self) -> None:
        """Whoever comes now begins another one."""
        self.over = True
        self._leave(self)
        self._wake()

    def _wake(self) -> None:
        for woken in self.woken:
            woken.set()

    async def _wall(self, news: News) -> bytes:
        return await asyncio.to_thread(self._describe, news)

    def _describe(self, news: News) -> bytes:
        try:
            found = shown(self.studio, self.job.id)
        except TurnaroundError as problem:  # saved, and gone already
            found = Shown(self.job.id, None, self.job, replace(news, state="ended", problem=str(problem)))
        return wall_json(found, self.studio.methods)

    async def _tell_progress(self, news: News) -> bool:
        """Whether there was anything new."""
        new = {key: step for key, step in news.progress.items() if self._told.get(key) is not step}
        if not new:
            return False
        drawn = await asyncio.to_thread(lambda: {key: _progress(key, step) for key, step in new.items()})
        self._told = dict(news.progress)
        self.progress = {key: told for key, told in (self.progress | drawn).items() if key in news.progress}
        self._wake()
        return True


class _Stream(Response):
    """The connection of one follower."""

    def __init__(self, broadcast: Callable[[], Broadcast]) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._broadcast = broadcast

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            left = asyncio.create_task(_until_gone(receive))
            broadcast = self._broadcast()
            woken = broadcast.join()
            left.add_done_callback(lambda _: woken.set())
            try:
                await self._tell(broadcast, woken, left, send)
            except TimeoutError:
                log.info("A follower of run %s took nothing any more", broadcast.job.id[:12])
                return
            except asyncio.CancelledError:
                pass  # the server stops; the page asks again, and finds the next one
            finally:
                left.cancel()
                broadcast.part(woken)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell(self, broadcast: Broadcast, woken: asyncio.Event, left: asyncio.Task[None], send: Send) -> None:
        wall, progress = b"", dict[str, bytes]()
        await _send(send, f"retry: {RETRY_MS}\n\n".encode())
        while not left.done():
            woken.clear()
            over, news = broadcast.over, list[bytes]()
            if broadcast.wall is not wall and not (over and wall):  # who knows a wall learns the last one from the end
                news.append(broadcast.wall)
            news += [told for key, told in broadcast.progress.items() if progress.get(key) is not told]
            wall, progress = broadcast.wall, broadcast.progress
            if over:
                news.append(broadcast.end)
            if any(news):
                await _send(send, b"".join(news))
            if over:
                return
            try:
                async with asyncio.timeout(BEAT_S):
                    await woken.wait()
            except TimeoutError:
                await _send(send, b":\n\n")


async def _send(send: Send, data: bytes) -> None:
    async with asyncio.timeout(STALLED_S):
        await send({"type": "http.response.body", "body": data, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def event(name: str, data: bytes) -> bytes:
    """`data` is JSON, so it has no line breaks."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


def _progress(key: str, step: Progressed) -> bytes:
    remaining = step.remaining_s
    told: dict[str, Any] = {
        "key": key,
        "fraction": step.fraction,
        "message": step.message,
        "remaining_s": remaining if remaining is not None and math.isfinite(remaining) else None,
        "waiting": step.waiting,
        "preview": _preview(step.preview) if step.preview is not None else None,
    }
    return event("progress", json.dumps(told, allow_nan=False).encode())


def _preview(rgba: NDArray[np.uint8]) -> str | None:
    """The picture so far, small; one that cannot be drawn is only not shown."""
    from PIL import Image

    try:
        height, width = rgba.shape[:2]
        scale = PREVIEW_PX / max(height, width)
        if scale < 1:
            rgba = resize_rgba(rgba, (max(1, round(width * scale)), max(1, round(height * scale))))
        file = io.BytesIO()
        Image.fromarray(rgba).save(file, "WEBP", quality=70, method=0)
    except Exception:
        log.exception("A preview could not be drawn")
        return None
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
