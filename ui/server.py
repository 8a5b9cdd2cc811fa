"""Serving the page: Gradio's server behind our door, with our uploads, a health endpoint and an orderly end."""

import importlib.util
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import gradio as gr
from fastapi import FastAPI
from gradio.route_utils import FnIndexInferError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from pipelines.core.errors import TurnaroundError
from pipelines.runtime import hub_cache
from pipelines.runtime.memory import started
from ui.door import API, Door, impatient, port_from, rules_from
from ui.guard import shield, shield_tools
from ui.health import Health
from ui.open_graph import Preview
from ui.studio import Studio
from ui.temp import Sweeper
from ui.uploads import Uploads

log = logging.getLogger(__name__)

THREADS = 40  # for handlers, beside one for each run that a program may follow: it waits in it
CLOSE_S = 2  # connections that do not end by themselves are cut after this
SAME_S = 1.0  # two signals within this are one: `make` hands its own on, and a service manager signals every process
SWEEP_S = 600.0  # between two looks at which results are to go
DELIVER_S = 1.0  # for results to reach their pages before the connections close
NO_MCP = (
    "GRADIO_MCP_SERVER asks for MCP, and the package for it is not installed. "
    "Install it (.venv/bin/pip install -r requirements-mcp.txt), or unset GRADIO_MCP_SERVER."
)
NOT_UNDERSTOOD = "This request could not be understood. The API page at the foot of the app says what can be sent."


class Server:
    def __init__(self, page: gr.Blocks, studio: Studio, folder: Path, routes: list[BaseRoute] | None = None) -> None:
        """`folder` is what `claim_folder` gave; `routes` come before Gradio's own."""
        self.page, self.studio = shield(page), studio
        self.health = Health(studio)
        self.sweeper = Sweeper(folder, studio.settings.temp_hours * 3600)
        self._stopped = threading.Event()
        uploads = Uploads(studio.settings)
        self._routes = [
            Route("/healthz", self.health.answer, methods=["GET"]),
            *(Route(f"{API}/upload{slash}", uploads.receive, methods=["POST"]) for slash in ("", "/")),
            *(routes or []),
        ]

    def start(self, **look: Any) -> str:
        """Serve, and say where. `look` is the page's part of Gradio's launch arguments."""
        settings = self.studio.settings
        try:
            _, url, _ = self.page.launch(
                **look,
                server_port=port_from(os.environ),
                max_file_size=int(settings.max_upload_mb * 1e6),
                max_threads=THREADS + settings.max_queue,
                app_kwargs={
                    "routes": self._routes,
                    "lifespan": self._lifespan,
                    "exception_handlers": dict.fromkeys(_MALFORMED, _not_understood),
                },
                prevent_thread_lock=True,
                quiet=True,
                inline=False,
                show_error=False,  # only sentences reach a visitor
                ssr_mode=False,  # a Node server would stand before our door
                num_workers=0,  # so would these
                mcp_server=_wants_mcp(),
                enable_monitoring=False,
                run_history=False,  # what visitors made is nobody else's to read
            )
        except OSError as problem:
            raise TurnaroundError(_address_sentence()) from problem
        uvicorn = self.page.server.config  # read anew for each connection
        uvicorn.timeout_graceful_shutdown = CLOSE_S
        uvicorn.http_protocol_class = impatient(uvicorn.http_protocol_class)
        self.sweeper.start()
        threading.Thread(target=self._sweep_results, name="sweep-results", daemon=True).start()
        threading.Thread(target=hub_cache.sweep, name="sweep-downloads", daemon=True).start()
        threading.Thread(target=self.studio.intake.warm, name="warm-intake", daemon=True).start()
        return url

    def stop(self) -> None:
        """Take no new work, let what runs finish as long as the settings allow, and leave nothing behind."""
        self.health.stopping = True
        self._stopped.set()
        self.studio.jobs.drain(self.studio.settings.drain_s)
        deadline = time.monotonic() + DELIVER_S
        while any(self.page._queue.active_jobs) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.page.close(verbose=False)
        self.studio.intake.close()
        self.studio.jobs.engine.close()
        self.sweeper.close()

    def _sweep_results(self) -> None:
        """Results too old or too many leave, and what a crash left half-made."""
        while not self._stopped.is_set():
            try:
                self.studio.archive.sweep()
            except TurnaroundError as problem:
                log.warning("Results could not be swept: %s", problem)
            except Exception:
                log.exception("Results could not be swept")
            self._stopped.wait(SWEEP_S)

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Gradio adds its layers around ours, so the outermost is only put on when all are there."""
        shield_tools(self.page)
        self.page.app.iterators = _Streams(self.page.app.iterators)
        max_upload_bytes = int(self.studio.settings.max_upload_mb * 1e6)
        assert app.middleware_stack is not None  # it is what called this
        page = Preview(app.middleware_stack, self.studio)
        app.middleware_stack = Door(page, rules_from(os.environ, max_upload_bytes))
        yield


class _Streams(dict[str, Any]):
    """Gradio's running streams. A cancel, a second one and the run's own end may each take the same one out."""

    def __delitem__(self, event: str) -> None:
        self.pop(event, None)


def serve_until_told(server: Server, **look: Any) -> NoReturn:
    """Serve until SIGTERM or Ctrl-C, then drain and leave with 0; the second signal ends everything at once."""
    told = list[float]()

    def on_signal(number: int, _frame: object) -> None:
        if told and time.monotonic() - told[0] > SAME_S:
            leave(128 + number)
        told.append(time.monotonic())

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    url = server.start(**look)
    started()
    print(f"Turnaround is ready: {url}", flush=True)
    # Not a lock's wait: a signal that another thread receives would not wake it, nor its handler run.
    while not told:
        time.sleep(0.2)
    print("Stopping once running work is done. The same again stops at once.", flush=True)
    server.stop()
    leave(0)


def leave(code: int) -> NoReturn:
    """End the process here and now: work that heeds no cancel would crash in an interpreter that is shut down."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _wants_mcp() -> bool:
    """Whether the endpoints are to be tools of agents, too: Gradio's own setting, heeded with words."""
    wanted = os.environ.get("GRADIO_MCP_SERVER", "").lower() == "true"
    if wanted and not importlib.util.find_spec("mcp"):
        raise TurnaroundError(NO_MCP)
    return wanted


def _address_sentence() -> str:
    name, port = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"), port_from(os.environ)
    taken = f"Port {port} of {name} cannot be used" if port else f"No port of {name} can be used"
    return (
        f"{taken}: another program has it, or the address is not this machine's. "
        "Stop that program, or set GRADIO_SERVER_PORT or GRADIO_SERVER_NAME to something else."
    )


# What Gradio's own routes raise when a request names what is not there, or has another shape than they expect.
_MALFORMED = (FnIndexInferError, LookupError, TypeError, ValueError, AttributeError, RecursionError)


async def _not_understood(request: Request, problem: Exception) -> Response:
    log.warning("%s %s was not understood: %s", request.method, request.url.path[:80], type(problem).__name__)
    return JSONResponse({"detail": NOT_UNDERSTOOD, "error": NOT_UNDERSTOOD}, 400)
