"""Learned methods run in a process beside the page: what kills it, out of memory say, kills neither the page nor what
others have made. It also keeps torch, and Python's one lock, away from the page.

The process starts with the first such run and stays, with its models in memory, until the engine closes or a run does
not stop when told to: for that it is given time only where models would be lost. While torch is imported and the first
of them is loaded nothing is heard for seconds, and no cancel should wait for that. It works on one run at a time. One
that has died is started anew for the next run; the run that it died of is told in words and not tried again, for it
would most likely die again.
"""

import logging
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import IO

from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.runtime.memory import give_back, keep_little
from pipelines.runtime.method import Method, Report, Request, Turnaround
from pipelines.runtime.register import REGISTER
from pipelines.runtime.relay import TICK_S, GpuLost, Piece, Problem, received, relayed

log = logging.getLogger(__name__)

STOP_S = 30.0  # a method hears of a cancel at least once a second; one that has not by then hangs
STOP_EMPTY_S = 0.75  # where no model is in memory, this is enough: all that is lost is a start
END_S = 5.0  # a process that was killed, or has said its last word, is gone by then
MAIN = "from pipelines.runtime.worker import main; main()"


@dataclass(frozen=True)
class Begin:
    run: bytes
    """Method and request, pickled by themselves: one that cannot be read there spoils nothing else."""


@dataclass(frozen=True)
class Stop:
    """The run that was begun last."""


@dataclass(frozen=True)
class Holding:
    """Told whenever it changes."""

    models: bool


@dataclass(frozen=True)
class Ended:
    """The run's last word: the worker is free."""


class Worker:
    """Used by one run at a time, which the engine's line sees to; `close` may come at any moment."""

    def __init__(self) -> None:
        self._child: _Child | None = None
        self._closed = False
        self._lock = threading.Lock()

    def run(self, method: Method, request: Request, report: Report) -> Turnaround:
        child, began = self._living(), time.monotonic()
        try:
            child.tell(Begin(pickle.dumps((method, request))))
            while True:
                report.check()
                piece = child.next(TICK_S)
                if piece and (made := received(piece, report)):
                    return made
        except _Died as death:
            if self._closed:
                raise Cancelled from None
            why = "the system ended it, as when memory runs out" if death.code == -9 else "it crashed"
            if partly := method.cut_short(request, report, why, time.monotonic() - began):
                return partly
            raise TurnaroundError(_sentence(method.card.title, death.code)) from death
        except GpuLost:  # that process can do nothing any more
            child.kill()
            if partly := method.cut_short(request, report, "the GPU failed", time.monotonic() - began):
                return partly
            raise
        except KeyboardInterrupt:  # whoever is in such a hurry does not wait for a method to hear of it
            child.kill()
            raise
        finally:
            child.stop()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._child:
                self._child.kill()

    def _living(self) -> "_Child":
        with self._lock:
            if self._closed:
                raise Cancelled
            if self._child is None or not self._child.lives:
                try:
                    self._child = _Child()
                except OSError as problem:
                    raise TurnaroundError(
                        "This machine has no room to start another process. Wait until other runs have ended, and try "
                        "again."
                    ) from problem
            return self._child


class _Died(Exception):
    def __init__(self, code: int | None) -> None:
        super().__init__(f"exit code {code}")
        self.code = code
        """None if it was ended by us."""


class _Child:
    """The process, and the two pipes to it, each with a thread of its own: a run never waits for a pipe."""

    def __init__(self) -> None:
        self.lives = True
        self._greeted = self._killed = self._holds_models = False
        self._tells = queue.SimpleQueue[Begin | Stop]()
        self._told = queue.SimpleQueue[Piece | Ended | _Died]()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", MAIN],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is the page's to hear
        )
        threading.Thread(target=self._listen, name="worker-hears", daemon=True).start()
        threading.Thread(target=self._speak, name="worker-tells", daemon=True).start()

    def tell(self, what: Begin | Stop) -> None:
        self._tells.put(what)

    def next(self, wait_s: float) -> Piece | None:
        """What it has told, if anything by then."""
        try:
            told = self._told.get(timeout=wait_s)
        except queue.Empty:
            # A process of its own may hold the pipe open
            told = None if self._process.poll() is None else _Died(self._process.returncode)
        if isinstance(told, Ended):  # without a result, though nobody has stopped it
            self.kill()
            told = _Died(None)
        if isinstance(told, _Died):
            self.lives = False
            raise told
        return told

    def stop(self) -> None:
        """What it still does of the run. One that does not end is ended, with its models."""
        if not self._greeted:  # it is still starting, and has nothing to lose
            self.kill()
        self.tell(Stop())
        began = time.monotonic()
        while self.lives:
            patience_s = STOP_S if self._holds_models else STOP_EMPTY_S
            if time.monotonic() > began + patience_s:
                if self._holds_models:
                    log.warning("A run did not stop within %.0f s, so its worker was ended", patience_s)
                self.kill()
            with suppress(queue.Empty):
                if isinstance(self._told.get(timeout=TICK_S), Ended):
                    return

    def kill(self) -> None:
        """And whatever it started."""
        self.lives, self._killed = False, True
        if self._process.poll() is None:
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL) if os.name == "posix" else self._process.kill()
        with suppress(subprocess.TimeoutExpired):  # a driver may hold it for longer; then it goes when it can
            self._process.wait(END_S)

    def _speak(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):  # it has died; `next` says so
            while True:
                pickle.dump(self._tells.get(), self._process.stdin)
                self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        try:
            while True:
                told = pickle.load(self._process.stdout)  # from our own code
                self._greeted = True
                if isinstance(told, Holding):
                    self._holds_models = told.models
                else:
                    self._told.put(told)
        except EOFError:
            pass
        except Exception:
            log.exception("What the worker tells is not understood")
            self.kill()
        self.lives = False
        try:
            code = self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.kill()
            code = None
        self._told.put(_Died(None if self._killed else code))


def _sentence(title: str, code: int | None) -> str:
    if code == -9:
        return (
            f"{title} was ended by the system, as happens when this machine's memory runs out. Ask for fewer or "
            "smaller views, or choose a smaller method. Nothing else is touched."
        )
    how = "stopped answering" if code is None else f"crashed (exit code {code})"
    return (
        f"{title} {how} in the middle of its work. Try again with other settings; if it happens again, tell whoever "
        "runs this page. Nothing else is touched."
    )


# --- In the process ---------------------------------------------------------------------------------------------------


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    keep_little()
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # what Apple's GPUs cannot do, the processor does
    # The pipes are ours alone: what a library prints is no answer, and what it starts must not hold them open
    asked, tells = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    begun = queue.SimpleQueue[tuple[bytes, threading.Event]]()
    threading.Thread(target=_hear, args=(asked, begun), daemon=True).start()
    holding = Holding(models=False)
    while True:
        for piece in chain(_pieces(*begun.get()), (Ended(),)):
            if (now := Holding(models=bool(REGISTER.models()))) != holding:
                holding = now
                tells.write(pickle.dumps(holding))
            try:
                data = pickle.dumps(piece)
            except Exception:  # some result cannot travel
                data = pickle.dumps(Problem(trace=traceback.format_exc()))
            tells.write(data)
            tells.flush()
        give_back()


def _hear(asked: IO[bytes], begun: "queue.SimpleQueue[tuple[bytes, threading.Event]]") -> None:
    cancelled = threading.Event()
    try:
        while True:
            what = pickle.load(asked)  # from our own page
            if isinstance(what, Stop):
                cancelled.set()
            else:
                cancelled = threading.Event()
                begun.put((what.run, cancelled))
    except EOFError:
        os._exit(0)  # the page has gone
    except BaseException:  # it went in the middle of a word, or there is no memory: nobody is heard any more
        traceback.print_exc()
        os._exit(1)


def _pieces(run: bytes, cancelled: threading.Event) -> Iterable[Piece]:
    try:
        method, request = pickle.loads(run)
        return relayed(method, request, cancelled)
    except Exception:
        return [Problem(trace=traceback.format_exc())]
