"""On a Ray cluster: each method is a deployment of Ray Serve, with as many replicas as there is work and room for.

Ray itself is spoken to by another process, `ray_bridge.py`. When a replica, its machine, the cluster's head or the
bridge dies, the runs it had are tried once more, and only once: a request that kills whatever works on it must not go
round for ever. A run is its request, and the same request makes the same frames, so it does not matter how far the
first try had come; only what the try that is waited for sends is ever taken.
"""

import importlib.util
import logging
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from pipelines.core.errors import TurnaroundError
from pipelines.runtime import pace
from pipelines.runtime.devices import Machine, this_machine
from pipelines.runtime.engine import NOBODYS, Silence, Turn
from pipelines.runtime.method import Estimate, Method, Report, Request, Turnaround
from pipelines.runtime.ray_bridge import Begin, Died, Ended, Leave, Ready, Setup, Stop, Unreachable
from pipelines.runtime.relay import TICK_S, Piece, Progress, followed
from pipelines.runtime.settings import RAY_HERE

log = logging.getLogger(__name__)
START_S = 120.0  # a cluster that has not answered by then will not
CLOSE_S = 15.0
RETRY_S = 30.0  # a page that asks what the cluster is tries to reach it again no sooner than this
BRIDGE = "from pipelines.runtime.ray_bridge import main; main()"
GONE = "the connection to the cluster broke"


class RayEngine:
    def __init__(self, methods: Sequence[Method], address: str = RAY_HERE, cpus: int | None = None) -> None:
        """`cpus` is for a cluster that is started here: how many runs it works on at once."""
        if importlib.util.find_spec("ray") is None:
            raise TurnaroundError(
                "TURNAROUND_ENGINE=ray needs Ray, which is not installed. "
                "Run `pip install -r requirements-ray.txt`, or set TURNAROUND_ENGINE=here."
            )
        self._setup = Setup(tuple(methods), address, cpus)
        self._silence = Silence()
        self._lock = threading.Lock()
        self._closed = False
        self._last_known: Machine | None = None
        self._bridge = _Bridge(self._setup)

    @property
    def at_once(self) -> int:
        return self._connected(Report()).slots

    def run(self, method: Method, request: Request, report: Report, turn: Turn = NOBODYS) -> Turnaround:
        try:
            return self._attempt(method, request, report, turn)
        except _Lost as first:
            log.warning("A run of %s is tried once more: %s", method.card.key, first)
            report(0.0, "What worked on it died. It starts once more, elsewhere")
        try:
            return self._attempt(method, request, report, turn)
        except _Lost as second:
            log.error("A run of %s was lost twice: %s", method.card.key, second)
            raise TurnaroundError(
                f"{method.card.title} was tried twice, and both times what worked on it died ({second}). "
                "Ask for fewer or smaller views; if that does not help, tell whoever runs this cluster."
            ) from second

    def machine(self, data: Path) -> Machine:
        """The ablest of the cluster as it was last heard of; this one until the cluster has first answered, so that
        the page can be shown at once.
        """
        here = this_machine(data)
        answer = self._living(RETRY_S).answer
        if isinstance(answer, Ready):
            self._last_known = answer.machine
        if self._last_known is None:
            # Nobody is refused for want of memory on a machine that was never heard of
            return here if self._setup.address == RAY_HERE else replace(here, memory_bytes=0)
        there = self._last_known
        paces = pace.paces(data, there.device, there.gpu, there.number_bytes)
        return replace(there, free_disk_bytes=here.free_disk_bytes, pace=paces)

    def borrowed_s(self, method: Method, estimate: Estimate) -> int:
        return 0

    def silent_s(self) -> float:
        return self._silence.longest_s()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._bridge.close()

    def _living(self, retry_s: float = 0.0) -> "_Bridge":
        """The bridge, built anew if it is gone and the last try is long enough ago."""
        with self._lock:
            bridge = self._bridge
            if bridge.gone and not self._closed and time.monotonic() - bridge.built >= retry_s:
                bridge.close()
                self._bridge = bridge = _Bridge(self._setup)
            return bridge

    def _connected(self, report: Report, turn: Turn = NOBODYS) -> Ready:
        """Waits for the cluster."""
        bridge = self._living()
        deadline = time.monotonic() + START_S
        while not bridge.answered.wait(TICK_S):
            report.check()
            turn.waiting("Waiting for the cluster")
            if time.monotonic() > deadline:
                bridge.close()
        if isinstance(bridge.answer, Ready):
            return bridge.answer
        where = "could not be started" if self._setup.address == RAY_HERE else "cannot be reached"
        name = "A Ray cluster" if self._setup.address == RAY_HERE else f"The Ray cluster {self._setup.address}"
        why = bridge.answer.why if bridge.answer else "it does not answer"
        raise TurnaroundError(f"{name} {where} ({why}). Try again in a few minutes, or tell whoever runs this page.")

    def _attempt(self, method: Method, request: Request, report: Report, turn: Turn) -> Turnaround:
        self._connected(report, turn)
        line = self._bridge.begin(method.card.key, request)
        try:
            return followed(line.next, report, turn, self._silence, "a free worker of the cluster", Progress())
        finally:
            line.leave()


class _Lost(Exception):
    """What worked on the run is gone."""


class _Line:
    """What is told of one run."""

    def __init__(self, bridge: "_Bridge", run: str) -> None:
        self._bridge, self.run = bridge, run
        self.told = queue.SimpleQueue[Piece | Died | Ended]()

    def next(self, wait_s: float) -> Piece | None:
        try:
            piece = self.told.get(timeout=wait_s)
        except queue.Empty:
            return None
        if isinstance(piece, Died):
            raise _Lost(piece.why)
        if isinstance(piece, Ended):
            raise _Lost("it ended without a result")
        return piece

    def leave(self) -> None:
        """Whatever still works on it is told to stop, and is not waited for."""
        self._bridge.end(self.run)


class _Bridge:
    """The other process, and the pipe to it."""

    def __init__(self, setup: Setup) -> None:
        self.answered = threading.Event()
        self.answer: Ready | Unreachable | None = None
        self.gone = False
        self.built = time.monotonic()
        self._lines: dict[str, _Line] = {}
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._pipe, theirs = Pipe()
        command = [sys.executable, "-P", "-c", BRIDGE, str(theirs.fileno())]
        self._process = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            env=_environment(setup),
            stdin=subprocess.DEVNULL,
            stdout=2,  # standard output is for results
            start_new_session=True,  # Ctrl-C is the engine's to hear
        )
        theirs.close()
        self._send(setup)
        self._listener = threading.Thread(target=self._listen, name="ray-bridge", daemon=True)
        self._listener.start()

    def begin(self, method: str, request: Request) -> _Line:
        line = _Line(self, secrets.token_hex(8))
        with self._lock:
            self._lines[line.run] = line
        if self.gone or not self._send(Begin(line.run, method, request)):
            line.told.put(Died(GONE))
        return line

    def end(self, run: str) -> None:
        with self._lock:
            going_on = self._lines.pop(run, None)
        if going_on and not self.gone:
            self._send(Stop(run))

    def close(self) -> None:
        """The cluster that the bridge started ends with it."""
        self.gone = True
        self._send(Leave())
        self._listener.join(CLOSE_S if self.answered.is_set() else 0)
        if self._process.returncode is None:  # so the number is still its own, also when it has ended
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.answered.set()

    def _send(self, what: Any) -> bool:
        try:
            with self._sending:
                self._pipe.send(what)
        except (OSError, ValueError):
            return False
        return True

    def _listen(self) -> None:
        try:
            while True:
                run, what = self._pipe.recv()
                if isinstance(what, Ready | Unreachable):
                    if isinstance(what, Unreachable):
                        log.warning("The Ray cluster cannot be reached: %s", what.why)
                    self.answer = what
                    self.answered.set()
                    continue
                with self._lock:
                    line = self._lines.pop(run, None) if isinstance(what, Ended) else self._lines.get(run)
                if line:
                    line.told.put(what)
        except (EOFError, OSError):  # it has ended
            pass
        finally:
            self.gone = True
            with self._sending:  # who is in the middle of it must not find it closed: Python says `TypeError` then
                self._pipe.close()
            self.answered.set()
            with self._lock:
                lines = list(self._lines.values())
            for line in lines:
                line.told.put(Died(GONE))


def _environment(setup: Setup) -> dict[str, str]:
    ours = os.environ | {
        # Workers on this machine import what we can
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent anywhere
        "RAY_SERVE_LOG_TO_STDERR": "0",
        "RAY_gcs_rpc_server_reconnect_timeout_s": "20",
    }
    if setup.address == RAY_HERE:  # its ports are open to the network, so what connects has to know a secret
        ours |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return ours
