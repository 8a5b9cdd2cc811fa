"""The process between the page and a Ray cluster: Ray's own code runs here and in the cluster, never in the page.

Ray ends a program that has lost its cluster. Here that is this process, which the engine starts again, not the server.
What it says and hears is in `ray_engine.py`, which starts it by `main` with the number of its end of a pipe.
"""

import asyncio
import contextlib
import hashlib
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pipelines
from pipelines.core.cameras import orbit
from pipelines.core.subject import ANY_SUBJECT
from pipelines.runtime.devices import Machine, this_machine
from pipelines.runtime.engine import is_heavy
from pipelines.runtime.method import Method, Request
from pipelines.runtime.register import REGISTER
from pipelines.runtime.relay import Piece, Problem, relayed
from pipelines.runtime.settings import PREFIX, RAY_HERE

CODE = Path(pipelines.__file__).parent
TYPICAL_VIEWS = 21  # of the run that a replica's share of memory is reckoned for
MOST_REPLICAS = 64  # of one method; the cluster's size is the real limit
# A replica without work leaves after this long: until then a model need not be loaded again, but a method that finds no
# room waits for it.
IDLE_S, IDLE_LEARNED_S = 5.0, 20.0
KNOCK_AGAIN_S = 0.5
LOOK_S = 1.0  # Ray looks this often whether a replica is alive, and replaces one that is not; by default, every 10
CONNECT_S = 10.0
SHARE_STEPS = 20  # a GPU is shared in twentieths
# Of the page's variables, what means the same on every machine. A token for the Hub is not among them: what a run is
# given can be read by all who can read the cluster's state, so each machine logs in for itself.
SHARED_VARIABLES = ("HF_ENDPOINT", "HF_HUB_OFFLINE")
OWN_SETTINGS = tuple(PREFIX + name for name in ("ENGINE", "RAY_ADDRESS", "DATA"))


@dataclass(frozen=True)
class Setup:
    methods: tuple[Method, ...]
    address: str
    cpus: int | None
    """Of a cluster that is started here; None for as many as there are."""


@dataclass(frozen=True)
class Ready:
    machine: Machine
    """The ablest of the cluster's machines."""
    slots: int
    """Runs that it can work on at once."""


@dataclass(frozen=True)
class Unreachable:
    why: str


@dataclass(frozen=True)
class Begin:
    run: str
    method: str
    request: Request


@dataclass(frozen=True)
class Stop:
    run: str


@dataclass(frozen=True)
class Leave:
    """The engine needs no more."""


@dataclass(frozen=True)
class Died:
    """The process or the machine that worked on a run."""

    why: str


@dataclass(frozen=True)
class Ended:
    """The run's last word."""


class Replica:
    """One process of the cluster with one method; Serve starts as many as there is work for."""

    def __init__(self, method: Method, share: float) -> None:
        """`share`: of the GPU that it is given."""
        self._method, REGISTER.share = method, share
        self._lost_gpu = False

    def check_health(self) -> None:
        """Serve replaces a replica that does not pass."""
        if self._lost_gpu:
            raise RuntimeError("CUDA has failed in this process")

    async def run(self, request: Request) -> AsyncIterator[Piece]:
        cancelled, alone = threading.Event(), threading.Lock()
        pieces = relayed(self._method, request, cancelled)

        def following() -> Piece | None:
            with alone:
                return next(pieces, None)

        def finish() -> None:
            with alone:
                for _ in pieces:
                    pass

        try:
            while (piece := await asyncio.to_thread(following)) is not None:
                self._lost_gpu |= isinstance(piece, Problem) and piece.lost_device
                yield piece
        finally:  # Serve cancels this coroutine when whoever asked has cancelled
            cancelled.set()
            await asyncio.shield(asyncio.to_thread(finish))  # free for the next run only once this one has ended


REFUSED = (
    "something answers there, but takes us for nobody it knows: if it is a cluster with a token, set "
    "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
)


def main() -> None:
    connection = Connection(int(sys.argv[1]))
    setup = connection.recv()
    try:
        bridge = _Bridge(connection, setup)
    except BaseException as problem:
        if not isinstance(problem, OSError):  # ConnectionError among them: nobody there is no bug
            traceback.print_exc()
        connection.send(("", Unreachable(_first_line(problem))))
        os._exit(1)
    try:
        bridge.listen()
    finally:
        import psutil  # Ray brings it

        # All that was started from here, some in groups of its own: it would find out by itself, in a minute or two
        started = psutil.Process().children(recursive=True)
        bridge.close()
        for process in started:
            with contextlib.suppress(psutil.Error):
                process.kill()
        os.killpg(0, signal.SIGKILL)


class _Bridge:
    def __init__(self, connection: Connection, setup: Setup) -> None:
        import ray
        from ray import serve

        self._connection, self._setup = connection, setup
        self._here = setup.address == RAY_HERE
        self._methods = {method.card.key: method for method in setup.methods}
        self._handles: dict[str, Any] = {}
        self._deploying = threading.Lock()
        self._sending = threading.Lock()
        self._streams: dict[str, Any] = {}
        self._stopped: set[str] = set()
        self._lock = threading.Lock()
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self._here:
            ray.init("local", num_cpus=setup.cpus, include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
        else:
            _knock(setup.address)  # Ray itself tries for a minute
            try:
                ray.init(setup.address, runtime_env={"py_modules": [str(CODE)], "env_vars": _variables()}, **quiet)
            except ConnectionError as problem:  # it only logs why
                raise ConnectionError(REFUSED) from problem
        serve.start(proxy_location="Disabled")  # only this process asks; nothing is served over HTTP
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        self.machine = this_machine(Path()) if self._here else _ablest()
        self._say("", Ready(self.machine, max(1, int(ray.cluster_resources().get("CPU", 1)))))

    def listen(self) -> None:
        """Until the engine says so, or is gone."""
        with contextlib.suppress(EOFError, OSError):
            while not isinstance(asked := self._connection.recv(), Leave):
                if isinstance(asked, Begin):
                    threading.Thread(target=self._work, args=(asked,), daemon=True).start()
                elif isinstance(asked, Stop):
                    with self._lock:
                        self._stopped.add(asked.run)
                        stream = self._streams.get(asked.run)
                    if stream is not None:
                        stream.cancel()

    def close(self) -> None:
        """A cluster that was started here ends with this; another keeps its deployments, which need nothing idle."""
        import ray

        with contextlib.suppress(Exception):
            ray.shutdown()

    def _work(self, asked: Begin) -> None:
        from ray.exceptions import (
            ObjectLostError,
            OutOfMemoryError,
            RayActorError,
            TaskCancelledError,
            WorkerCrashedError,
        )

        try:
            stream = self._handle(self._methods[asked.method]).run.remote(asked.request)
            with self._lock:
                self._streams[asked.run] = stream
                if asked.run in self._stopped:
                    stream.cancel()
            for piece in stream:
                self._say(asked.run, piece)
        except TaskCancelledError:
            pass
        except (RayActorError, WorkerCrashedError, OutOfMemoryError, ObjectLostError) as death:
            self._end_with_the_head()
            self._say(asked.run, Died(_first_line(death)))
        except BaseException:
            self._say(asked.run, Problem(trace=traceback.format_exc()))
        finally:
            with self._lock:
                self._streams.pop(asked.run, None)
                self._stopped.discard(asked.run)
            self._say(asked.run, Ended())

    def _end_with_the_head(self) -> None:
        """Ray itself would notice that it is gone in 20 seconds, and hold the second try up until then."""
        if self._here or self._head_hears():
            return
        time.sleep(KNOCK_AGAIN_S)  # one knock may go unheard on a busy machine
        if not self._head_hears():
            os._exit(1)

    def _head_hears(self) -> bool:
        try:
            _knock(self._setup.address)
        except OSError:
            return False
        return True

    def _say(self, run: str, what: object) -> None:
        with self._sending, contextlib.suppress(OSError):  # nobody is there any more: `listen` ends by itself
            self._connection.send((run, what))

    def _handle(self, method: Method) -> Any:
        """The method's deployment, made when it is first wanted. One handle for all runs: it counts those that wait."""
        from ray import serve
        from ray.serve.exceptions import RayServeException

        key = method.card.key
        with self._deploying:
            if key not in self._handles:
                name = f"turnaround-{key}-{_fingerprint(self._setup.methods)}"
                try:  # another page on the same cluster may have made it, and its runs must not be disturbed
                    handle = serve.get_app_handle(name)
                except RayServeException:
                    handle = serve.run(application(method, self.machine), name=name, route_prefix=None)
                self._handles[key] = handle.options(stream=True)
            return self._handles[key]


def application(method: Method, machine: Machine) -> Any:
    """What Ray Serve is asked to run: as many replicas of the method as there is work and room for."""
    from ray import serve

    taken = resources(method, machine)
    deployment = serve.deployment(Replica).options(
        name=method.card.key,
        max_ongoing_requests=1,
        graceful_shutdown_wait_loop_s=0.2,
        health_check_period_s=LOOK_S,
        ray_actor_options=taken,
        autoscaling_config={
            "min_replicas": 0,
            "initial_replicas": 0,
            "max_replicas": MOST_REPLICAS,
            "target_ongoing_requests": 1,
            "metrics_interval_s": 0.5,
            "look_back_period_s": 1.0,
            "upscale_delay_s": 0.5,
            "downscale_delay_s": IDLE_LEARNED_S if is_heavy(method) else IDLE_S,
        },
    )
    return deployment.bind(method, taken.get("num_gpus", 1.0))


def _knock(address: str) -> None:
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()


def _first_line(problem: BaseException) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200].rstrip(".")


def resources(method: Method, machine: Machine) -> dict[str, Any]:
    """What one replica takes of its machine, by the method's estimate for a typical run."""
    if machine.device == "cpu":  # it may come to one whose processor works in 32 bits
        machine = replace(machine, number_bytes=4)
    estimate = method.estimate(Request(ANY_SUBJECT, orbit(TYPICAL_VIEWS)), machine)
    taken: dict[str, Any] = {"num_cpus": 1, "memory": min(estimate.memory_bytes, machine.memory_bytes // 2)}
    if is_heavy(method) and machine.device == "cuda" and machine.gpu_memory_bytes:
        share = math.ceil(SHARE_STEPS * estimate.memory_bytes / machine.gpu_memory_bytes) / SHARE_STEPS
        taken["num_gpus"] = min(1.0, share)
    return taken


def _ablest() -> Machine:
    """Of the cluster's machines, the one with most GPU memory, then most memory."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0)(lambda: this_machine(Path()))
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    there = [NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
    asked = [look.options(scheduling_strategy=each).remote() for each in there]
    done, _ = ray.wait(asked, num_returns=len(asked), timeout=60)
    machines = []
    for answer in done:
        with contextlib.suppress(Exception):  # that one machine is not as it should be
            machines.append(ray.get(answer))
    return max(machines, key=lambda m: (m.gpu_memory_bytes, m.memory_bytes), default=this_machine(Path()))


def _variables() -> dict[str, str]:
    names = [name for name in os.environ if name.startswith(PREFIX) and name not in OWN_SETTINGS]
    return {name: os.environ[name] for name in (*names, *SHARED_VARIABLES) if name in os.environ}


def _fingerprint(methods: Sequence[Method]) -> str:
    """Of our code and what shapes a run: pages that agree in it share their replicas."""
    digest = hashlib.sha256(repr(sorted(_variables().items())).encode())
    for path in sorted(CODE.rglob("*.py")):
        digest.update(path.read_bytes())
    digest.update(" ".join(f"{type(method).__module__}.{type(method).__qualname__}" for method in methods).encode())
    return digest.hexdigest()[:8]
