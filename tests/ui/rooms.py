"""The HTTP rooms of the wall behind the door, on a real socket, in this process: a test holds both ends."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from pipelines.core.cameras import View, orbit
from pipelines.runtime.job import Job
from pipelines.runtime.method import Method, Request
from pipelines.runtime.stored import StoredResult
from tests.toy_methods import a_subject
from tests.ui.hostile.server import free_port
from ui.door import Door, Rules
from ui.files import result_routes
from ui.open_graph import Preview
from ui.studio import Studio

WAIT_S = 30.0  # on a busy machine
A_PAGE = '<html><head><meta property="og:title" content="Theirs" /></head><body></body></html>'


@dataclass
class Rooms:
    studio: Studio
    url: str
    client: httpx.Client

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, **more)

    def get_exactly(self, path: str) -> httpx.Response:
        """Without a client's tidying of dots and escapes."""
        connection = http.client.HTTPConnection("127.0.0.1", int(self.url.rsplit(":", 1)[1]), timeout=WAIT_S)
        with closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())

    def wall(self, id: str) -> dict[str, Any]:
        answer = self.get(f"/r/{id}/wall.json")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def begin(self, *methods: Method, views: int = 1, options: Any = None, size_px: int = 64) -> Job:
        """A run of each method, of one subject."""
        subject = a_subject(size_px)
        cameras = orbit(views, 10.0) if views > 1 else (View(),)
        tasks = [(method, Request(subject, cameras, options=options, size_px=size_px)) for method in methods]
        return self.studio.jobs.start(subject, tasks, "anna", owner="a key of hers, long enough")

    def make(self, *methods: Method, **asked: Any) -> StoredResult:
        job = self.begin(*methods, **asked)
        job.keep()
        until(lambda: not job.working)
        return self.studio.archive.open(job.id)

    @contextmanager
    def follow(self, id: str) -> Iterator["Followed"]:
        with (
            httpx.Client(base_url=self.url, timeout=WAIT_S, trust_env=False) as client,
            client.stream("GET", f"/r/{id}/live") as answer,
        ):
            assert answer.status_code == 200, answer.read()
            yield Followed(answer, answer.iter_lines())


@dataclass
class Followed:
    """Server-sent events, as a browser takes them apart."""

    answer: httpx.Response
    lines: Iterator[str]
    comments: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        name = "message"
        for line in self.lines:
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                yield name, json.loads(line[6:], parse_constant=refuse)
            elif line.startswith(":"):
                self.comments.append(line)

    def next(self, kind: str) -> Any:
        return next(data for name, data in self if name == kind)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON that a browser reads")


@contextmanager
def serving_rooms(studio: Studio) -> Iterator[Rooms]:
    def page(request: HttpRequest) -> Response:
        return HTMLResponse(A_PAGE)

    app = Starlette(routes=[*result_routes(studio), Route("/", page, methods=["GET"])])
    port = free_port()
    door = Door(Preview(app, studio), Rules(1_000_000))
    config = uvicorn.Config(door, "127.0.0.1", port, log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="rooms", daemon=True)
    thread.start()
    until(lambda: server.started)
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, timeout=WAIT_S, trust_env=False) as client:
            yield Rooms(studio, url, client)
    finally:
        server.should_exit = True
        thread.join(WAIT_S)


def until(true: Callable[[], object], seconds: float = WAIT_S) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)
