"""Learned methods that die, hang, run out of memory or chatter, in a process where they may."""

import os
import signal
import time
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from pipelines.runtime.method import Card, Frame, Report, Request, Turnaround
from pipelines.runtime.residency import resident
from tests.toy_methods import Flat, a_card, some_weights


class Learned(Flat):
    card: ClassVar[Card] = a_card("learned", weights=(some_weights(),))

    def fetch(self, request: Request, report: Report) -> None:
        """It needs nothing from anywhere."""

    def _run(self, request: Request, report: Report) -> Turnaround:
        print("Loading 100%")  # as libraries do
        return replace(super()._run(request, report), notes=(f"Made in {os.getpid()}.",))


class Killed(Learned):
    """As by the system, when memory runs out."""

    card: ClassVar[Card] = a_card("killed", weights=(some_weights(),))
    sign: signal.Signals = signal.SIGKILL

    def _run(self, request: Request, report: Report) -> Turnaround:
        report(0.5, "Half done")
        os.kill(os.getpid(), self.sign)
        return super()._run(request, report)


class KilledLater(Killed):
    """With two views finished."""

    card: ClassVar[Card] = a_card("killed_later", weights=(some_weights(),))

    def _run(self, request: Request, report: Report) -> Turnaround:
        for view in request.views[:2]:
            report.keep(Frame(view, request.subject.rgba, view), 48.0)
        report(0.6, "Two are done")
        time.sleep(1)  # until they are on their way
        return super()._run(request, report)


class Crashed(Killed):
    sign = signal.SIGSEGV


class LosesItsGpu(Learned):
    """As after a standby; with as many views finished as its seed says."""

    card: ClassVar[Card] = a_card("loses_its_gpu", weights=(some_weights(),))

    def _run(self, request: Request, report: Report) -> Turnaround:
        for view in request.views[: request.seed]:
            report.keep(Frame(view, request.subject.rgba, view), 48.0)
        report(0.6, "Some are done")
        time.sleep(1)  # until they are on their way
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


class Hungry(Learned):
    """Its process may have 2 GB more than it has, and it wants 20."""

    card: ClassVar[Card] = a_card("hungry", weights=(some_weights(),))

    def _run(self, request: Request, report: Report) -> Turnaround:
        import resource

        unlimited = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_address_space_bytes() + 2 * 10**9, unlimited[1]))
        try:
            np.ones(20 * 10**9, np.uint8)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, unlimited)
        return super()._run(request, report)


class Working(Learned):
    """Works until it is stopped, and says where."""

    card: ClassVar[Card] = a_card("working", weights=(some_weights(),))

    def _run(self, request: Request, report: Report) -> Turnaround:
        while True:
            report(0.5, f"Working in {os.getpid()}", request.subject.rgba)
            time.sleep(0.02)


class Deaf(Learned):
    """Hears of no cancel."""

    card: ClassVar[Card] = a_card("deaf", weights=(some_weights(),))

    def _run(self, request: Request, report: Report) -> Turnaround:
        report(0.5, f"Working in {os.getpid()}")
        time.sleep(1e6)
        return super()._run(request, report)


class Seized(Learned):
    """Lets nobody else speak, as libraries while they are imported or read weights."""

    card: ClassVar[Card] = a_card("seized", weights=(some_weights(),))

    def _run(self, request: Request, report: Report) -> Turnaround:
        report(0.0, f"Working in {os.getpid()}")
        time.sleep(2)  # until that is on its way
        sum(range(10**15))  # a day, with Python's one lock held
        return super()._run(request, report)


class Holding(Learned):
    """Has a model in memory, and then hears nothing for a while."""

    card: ClassVar[Card] = a_card("holding", weights=(some_weights(),))

    def __init__(self, deaf_s: float) -> None:
        self.deaf_s = deaf_s

    def _run(self, request: Request, report: Report) -> Turnaround:
        from torch import nn

        with resident("tiny", lambda place: nn.Linear(1, 1).to(place.device), 100, report):
            report(0.5, f"Working in {os.getpid()}")
            time.sleep(self.deaf_s)
            report(0.6, "Hears again")
        return super()._run(request, report)


class Unsendable(Learned):
    """What it makes cannot travel."""

    card: ClassVar[Card] = a_card("unsendable", weights=(some_weights(),))

    def _run(self, request: Request, report: Report) -> Turnaround:
        return replace(super()._run(request, report), notes=(Untold(),))  # type: ignore[arg-type]


class Untold(str):
    __slots__ = ()

    def __reduce__(self) -> Any:
        raise TypeError("this cannot be sent")


class LeavesSomeone(Killed):
    """Something that it started outlives it, and holds on to all that it was given."""

    card: ClassVar[Card] = a_card("leaves_someone", weights=(some_weights(),))

    def _run(self, request: Request, report: Report) -> Turnaround:
        left = os.fork()
        if left == 0:
            time.sleep(60)
            os._exit(0)
        report(0.4, f"Working beside {left}")
        time.sleep(2)  # until that is on its way
        return super()._run(request, report)


class Unreadable(Learned):
    """Cannot be had in another process."""

    card: ClassVar[Card] = a_card("unreadable", weights=(some_weights(),))

    def __setstate__(self, state: Any) -> None:
        raise ImportError("no such module there")

    def __getstate__(self) -> Any:
        return {"some": "state"}


def _address_space_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
