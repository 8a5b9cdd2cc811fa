"""`GET /healthz`: 200 when the event loop answers and the work gets done, 503 when a restart or a hand is needed."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from pipelines.runtime.devices import VERSION, free_disk_bytes
from ui.studio import Studio

ANSWER_S = 0.8  # what takes longer counts as failed
FRESH_S = 2.0  # checks run at most this often, however many ask
SILENT_S = 300.0  # methods report every second; five minutes without a word are no slow step


class Health:
    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._checks: dict[str, Callable[[], bool]] = {
            "intake": studio.intake.alive,
            "engine": lambda: studio.jobs.engine.silent_s() < SILENT_S,
            "disk": lambda: free_disk_bytes(studio.settings.data) >= studio.settings.free_disk_mb * 1e6,
            "data": self._can_write,
        }
        self._running: dict[str, asyncio.Future[bool]] = {}
        self._known: dict[str, bool] = {}
        self._known_at = float("-inf")
        self.stopping = False

    async def answer(self, _request: Request) -> JSONResponse:
        if time.monotonic() - self._known_at > FRESH_S:
            await self._look()
        healthy = all(self._known.values()) and not self.stopping
        body: dict[str, Any] = {
            "status": "stopping" if self.stopping else "ok" if healthy else "unwell",
            "checks": self._known,
            "version": VERSION,
        }
        return JSONResponse(body, 200 if healthy else 503, {"Cache-Control": "no-store"})

    async def _look(self) -> None:
        """Each check on its own thread; one that hangs is asked no second time, and fails until it ends."""
        for name, check in self._checks.items():
            if name not in self._running:
                self._running[name] = asyncio.get_running_loop().run_in_executor(None, _whether, check)
        await asyncio.wait(self._running.values(), timeout=ANSWER_S)
        self._known = {name: running.done() and running.result() for name, running in self._running.items()}
        self._running = {name: running for name, running in self._running.items() if not running.done()}
        self._known_at = time.monotonic()

    def _can_write(self) -> bool:
        self._studio.settings.data.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._studio.settings.data) as file:
            file.write(b"well")
        return True


def _whether(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Exception:
        return False
