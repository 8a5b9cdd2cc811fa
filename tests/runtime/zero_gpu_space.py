"""A process that takes itself for a ZeroGPU Space, by the own switches of the package `spaces`.

All of the package is real: it forks workers, sends them pickles and asks a service for GPUs over HTTP. The service is a
small one here, and torch is said to be missing, for then the package leaves out the one thing there is none of: CUDA.
`test_zero_gpu.py` starts it. It writes what came of each scenario to the file it is told, as JSON.
"""

import dataclasses
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlparse

from pipelines.core.cameras import orbit
from pipelines.core.errors import TurnaroundError
from pipelines.runtime import zero_gpu
from pipelines.runtime.archive import Archive
from pipelines.runtime.engine import Turn, open_engine
from pipelines.runtime.jobs import Jobs
from pipelines.runtime.method import Card, Estimate, Frame, Method, Report, Request, Turnaround
from pipelines.runtime.settings import read_settings
from tests.runtime.job_helpers import end_of, wait_until
from tests.toy_methods import Flat, Raises, a_card, a_subject, some_weights

REQUEST = Request(a_subject(64), orbit(3))


class Lender(BaseHTTPRequestHandler):
    """Lends GPUs that do not exist, in the way `spaces/zero/api.py` expects; but `answers` come first."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[tuple[str, dict[str, str]]]] = []
    answers: ClassVar[list[tuple[int, dict[str, Any], str]]] = []
    """Status, body, what became of the quota."""
    lent: ClassVar[set[str]] = set()
    queue_until: ClassVar[threading.Event | None] = None

    def do_POST(self) -> None:
        url = urlparse(self.path)
        self.asked.append((url.path, {name: values[0] for name, values in parse_qs(url.query).items()}))
        lent = {"idle": True, "nvidiaIndex": 0, "nvidiaUUID": "GPU-none", "allowToken": f"token {len(self.asked)}"}
        if url.path == "/release":
            self.lent.discard(self.asked[-1][1]["allowToken"])
        elif url.path == "/schedule" and not self.answers:
            self.lent.add(lent["allowToken"])
        if url.path != "/schedule":
            self._say(200, "application/json", b"{}")
        elif self.answers:
            status, body, result = self.answers.pop(0)
            self._say(status, "application/json", json.dumps(body).encode(), result)
        elif self.queue_until:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            # No pings meanwhile: with one in the same packet the package reads no further, and the GPU stays lent
            self.queue_until.wait(20)
            self.wfile.write(f"event: succeeded\ndata: {json.dumps(lent)}\n\n".encode())
            self.close_connection = True
        else:
            self._say(200, "application/json", json.dumps(lent).encode())

    def _say(self, status: int, kind: str, body: bytes, result: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if result:
            self.send_header("X-Approve-Result", result)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Learned(Flat):
    """Wants a GPU, but not for all of its work, and says which processes it was in."""

    card: ClassVar[Card] = a_card("learned", weights=(some_weights(),))
    fetched_in: int = 0

    def estimate(self, request: Request, machine: Any) -> Estimate:
        return Estimate(float(len(request.views)) + 100, 10**9, finish_s=100.0)

    def fetch(self, request: Request, report: Report) -> None:
        self.fetched_in = os.getpid()

    def _run(self, request: Request, report: Report) -> Turnaround:
        report(0.01, "Thinking")
        return dataclasses.replace(super()._run(request, report), notes=(str(os.getpid()),))

    def _finish(self, made: Turnaround, request: Request, report: Report) -> Turnaround:
        report(0.9, "Finishing")
        return dataclasses.replace(made, notes=(*made.notes, str(os.getpid())))


class Long(Learned):
    """Works until it is stopped."""

    card: ClassVar[Card] = a_card("long", weights=(some_weights(),))

    def estimate(self, request: Request, machine: Any) -> Estimate:
        return Estimate(2.0, 10**9)

    def _run(self, request: Request, report: Report) -> Turnaround:
        while True:
            report(0.5, f"Working in {os.getpid()}")
            time.sleep(0.02)


class Keeps(Long):
    """Has finished two views, and works on the third."""

    card: ClassVar[Card] = a_card("keeps", weights=(some_weights(),))

    def _run(self, request: Request, report: Report) -> Turnaround:
        for view in request.views[:2]:
            report.keep(Frame(view, request.subject.rgba, view), 48.0)
        return super()._run(request, report)


class RaisesThere(Learned):
    card: ClassVar[Card] = a_card("raises", weights=(some_weights(),))

    def _run(self, request: Request, report: Report) -> Turnaround:
        problems = TurnaroundError("No subject. Try another photo."), ValueError("a bug"), MemoryError(), SystemExit(3)
        raise problems[request.seed]


LEARNED, LONG, KEEPS, RAISES, LIGHT = Learned(), Long(), Keeps(), RaisesThere(), Flat()
METHODS: tuple[Method, ...] = (LEARNED, LONG, KEEPS, RAISES, LIGHT, Raises(ValueError()))


class Space:
    def __init__(self) -> None:
        self.settings = read_settings()
        self.engine = open_engine(self.settings, METHODS)
        self.told: list[tuple[float, str, Any]] = []
        self.waits: list[str] = []
        self.cancelled = threading.Event()

    def run(self, method: Method, seed: int = 0) -> Turnaround:
        if self.told:
            self.forget()
        report = Report(lambda *step: self.told.append(step), self.cancelled)
        return self.engine.run(method, dataclasses.replace(REQUEST, seed=seed), report, Turn(1.0, self.waits.append))

    def forget(self) -> None:
        settle()
        self.told, self.waits, self.cancelled = [], [], threading.Event()
        Lender.asked.clear()

    def refused(self, method: Method, seed: int = 0) -> list[str]:
        try:
            self.run(method, seed)
        except BaseException as error:
            return [type(error).__name__, str(error)]
        return []

    def meanwhile(self, method: Method, when: Callable[[], object], act: Callable[[], object]) -> list[str]:
        ends: list[str] = []
        self.forget()
        runner = threading.Thread(target=lambda: ends.extend(self.refused(method)))
        runner.start()
        wait_until(when)
        act()
        runner.join(20)
        return ends

    def stop(self) -> None:
        self.cancelled.set()

    def working_pid(self) -> int:
        return int(next((message for _, message, _ in reversed(self.told) if " in " in message), "in 0").split()[-1])

    # --- Scenarios ----------------------------------------------------------------------------------------------------

    def launching(self) -> Any:
        import gradio as gr

        with gr.Blocks() as page:
            gr.Markdown("A page.")
        page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
        page.close(verbose=False)
        asked = [path for path, _ in Lender.asked]
        Lender.asked.clear()
        return asked

    def a_run(self) -> Any:
        machine = self.engine.machine(self.settings.data)
        quota = [self.engine.borrowed_s(each, each.estimate(REQUEST, machine)) for each in (LEARNED, LIGHT)]
        made = self.run(LEARNED)
        settle()
        return {
            "asked": Lender.asked[:],
            "quota": quota,
            "elsewhere": made.notes[0] != str(os.getpid()),
            "finished_here": made.notes[1:] == (str(os.getpid()),),
            "fetched_here": LEARNED.fetched_in == os.getpid(),
            "frames": len(made.frames),
            "stages": list(made.stage_seconds),
            "told": [message for _, message, _ in self.told],
            "waits": self.waits,
        }

    def two_runs_share_a_worker(self) -> Any:
        return self.run(LEARNED).notes == self.run(LEARNED).notes

    def a_light_run(self) -> Any:
        self.run(LIGHT)
        settle()
        return Lender.asked[:]

    def problems(self) -> Any:
        return [self.refused(RAISES, seed) for seed in range(4)]

    def cancelled_while_running(self) -> Any:
        end = self.meanwhile(LONG, self.working_pid, self.stop)
        worker = self.working_pid()
        settle()
        released = Lender.asked[-1][1]["fail"]
        again = self.meanwhile(LONG, self.working_pid, self.stop)
        return {"ends": [end, again], "released_well": released == "false", "same": worker == self.working_pid()}

    def cancelled_while_queueing(self) -> Any:
        Lender.queue_until = threading.Event()
        end = self.meanwhile(LEARNED, lambda: self.waits, self.stop)
        before = [path for path, _ in Lender.asked]
        Lender.queue_until.set()
        settle()
        Lender.queue_until = None
        return {"end": end, "before": before, "frames": len(self.run(LEARNED).frames)}

    def refusals(self) -> Any:
        wait_90 = {"left": 46, "wait": 11575}
        replies = {
            "quota": (429, wait_90, "quota-exceeded"),
            "runs": (429, {"left": 0, "wait": 0}, "runs-exceeded"),
            "pending": (429, {"left": 10, "wait": 0}, "pending-overquota-exceeded"),
            "illegal": (429, {"left": 10, "wait": -1}, "illegal-duration"),
            "none free": (503, {}, ""),
            "expired": (401, {}, ""),
            "nonsense": (418, {}, ""),
        }
        ends = {}
        for name, reply in replies.items():
            Lender.answers.append(reply)
            ends[name] = [*self.refused(LEARNED), str(len(Lender.asked))]
        return ends

    def without_a_token(self) -> Any:
        from gradio.context import LocalContext

        LocalContext.request.set(None)
        Lender.answers.append((429, {"left": 0, "wait": 10}, "quota-exceeded"))
        try:
            return self.refused(LEARNED)
        finally:
            log_in("visitor's token")

    def killed_in_the_middle(self) -> Any:
        end = self.meanwhile(LONG, self.working_pid, lambda: os.kill(self.working_pid(), signal.SIGKILL))
        settle()
        return [*end, str(sum(path == "/schedule" for path, _ in Lender.asked))]

    def killed_with_views_done(self) -> Any:
        made: list[Turnaround] = []
        self.forget()
        runner = threading.Thread(target=lambda: made.append(self.run(KEEPS)))
        runner.start()
        wait_until(self.working_pid)
        os.kill(self.working_pid(), signal.SIGKILL)
        runner.join(20)
        settle()
        requests = sum(path == "/schedule" for path, _ in Lender.asked)
        (partly,) = made
        return {"frames": len(partly.frames), "lens": partly.fov_deg, "notes": partly.notes, "requests": requests}

    def out_of_time(self) -> Any:
        zero_gpu.START_S, zero_gpu.LEAST_S = 0.0, 1  # of GPU time: nobody wants to wait ten seconds here
        asked = []
        for _ in range(2):
            began: list[float] = []

            def is_over(began: list[float] = began) -> bool:
                if self.working_pid() and not began:
                    began.append(time.monotonic())
                    asked.append(int(dict(Lender.asked)["/schedule"]["durationSeconds"]))
                return bool(began) and time.monotonic() > began[0] + asked[-1] + 0.2

            end = self.meanwhile(LONG, is_over, lambda: os.kill(self.working_pid(), signal.SIGKILL))
        return {"end": end, "asked": asked}

    def a_job(self) -> Any:
        settle()
        jobs = Jobs(self.engine, Archive(self.settings), self.settings)
        Lender.asked.clear()
        ends = end_of(jobs.start(REQUEST.subject, [(LEARNED, REQUEST)], "anna"))
        return {"end": type(ends[0]).__name__, "token": dict(Lender.asked)["/schedule"].get("token")}


def settle() -> None:
    """Every GPU has been given back."""
    wait_until(lambda: not Lender.lent)


def log_in(token: str) -> None:
    """As Gradio does around each handler."""
    import gradio as gr
    from gradio.context import LocalContext
    from starlette.requests import Request as Asked

    asked = Asked({"type": "http", "headers": [(b"x-ip-token", token.encode()), (b"x-gradio-user", b"app")]})
    LocalContext.request.set(gr.Request(asked))


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Lender)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ |= {
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": f"http://127.0.0.1:{server.server_address[1]}",
        "ZEROGPU_PROC_SELF_CGROUP_PATH": str(Path(os.environ["TURNAROUND_DATA"]) / "cgroup"),
    }
    Path(os.environ["ZEROGPU_PROC_SELF_CGROUP_PATH"]).write_text("0::/devices\n")
    sys.modules["torch"] = None  # type: ignore[assignment] - to the package it is not installed
    space = Space()
    log_in("visitor's token")
    ends: dict[str, Any] = {}
    for scenario in (
        space.launching, space.a_run, space.two_runs_share_a_worker, space.a_light_run, space.problems,
        space.cancelled_while_running, space.cancelled_while_queueing, space.refusals, space.without_a_token,
        space.killed_in_the_middle, space.killed_with_views_done, space.out_of_time, space.a_job,
    ):  # fmt: skip
        try:
            ends[scenario.__name__] = scenario()
        except BaseException as problem:
            ends[scenario.__name__] = repr(problem)
        Path(sys.argv[1]).write_text(json.dumps(ends, indent=1))
    for worker in multiprocessing.active_children():
        worker.kill()


if __name__ == "__main__":
    main()
