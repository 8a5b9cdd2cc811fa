"""Methods for a real cluster: their replicas say who they are in a folder, and wait there to be let go."""

import dataclasses
import os
import time
from pathlib import Path
from typing import ClassVar

import numpy as np

from pipelines.runtime.devices import Machine
from pipelines.runtime.method import Card, Estimate, Frame, Report, Request, Turnaround
from tests.toy_methods import Flat, a_card, some_weights


class Marking(Flat):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def pids(self, seed: int) -> list[int]:
        """Of the processes that began the run of this seed, the newest last."""
        marks = sorted(self.folder.glob(f"{self.card.key}-{seed}-*"), key=lambda mark: mark.stat().st_mtime_ns)
        return [int(mark.name.rsplit("-", 1)[1]) for mark in marks]

    def mark(self, seed: int) -> None:
        (self.folder / f"{self.card.key}-{seed}-{os.getpid()}").touch()


class Awaiting(Marking):
    """Works until the folder holds `go-<seed>`; says when it was stopped."""

    card: ClassVar[Card] = a_card("awaiting")

    def go(self, seed: int) -> None:
        (self.folder / f"go-{seed}").touch()

    def _run(self, request: Request, report: Report) -> Turnaround:
        self.mark(request.seed)
        try:
            while not (self.folder / f"go-{request.seed}").exists():
                report(0.4, f"Working in {os.getpid()}", request.subject.rgba)
                time.sleep(0.05)
        except BaseException:
            (self.folder / f"stopped-{request.seed}").touch()
            raise
        return dataclasses.replace(super()._run(request, report), notes=(f"Worked in {os.getpid()}.",))


class Meeting(Marking):
    """Ends only when two processes are at work."""

    card: ClassVar[Card] = a_card("meeting")

    def _run(self, request: Request, report: Report) -> Turnaround:
        self.mark(request.seed)
        while len({mark.name.rsplit("-", 1)[1] for mark in self.folder.glob("meeting-*")}) < 2:
            report(0.5, "Waiting for the other")
            time.sleep(0.05)
        return super()._run(request, report)


class TinyLearned(Flat):
    """A small convolution with torch, its weights drawn from a seed of its own."""

    card: ClassVar[Card] = a_card("learned", weights=(some_weights(),))

    def estimate(self, request: Request, machine: Machine) -> Estimate:
        return Estimate(1.0, 10**8)

    def fetch(self, request: Request, report: Report) -> None:
        """Its weights are drawn, not fetched."""

    def _run(self, request: Request, report: Report) -> Turnaround:
        import torch

        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            torch.manual_seed(5)
            layer = torch.nn.Conv2d(3, 3, 3, padding=1)
            noise = torch.randn(1, 3, 1, 1, generator=torch.Generator("cpu").manual_seed(request.seed))
            pixels = torch.from_numpy(request.subject.rgba[None, ..., :3].copy()).movedim(-1, 1) / 255  # [1, 3, S, S]
            frames = []
            for i, view in enumerate(request.views):
                report(i / len(request.views), f"View {i + 1}")
                made = torch.sigmoid(layer(pixels + noise * view.azimuth_deg / 180))[0].movedim(0, -1)  # [S, S, 3]
                rgba = np.dstack([(made * 255).to(torch.uint8).numpy(), request.subject.rgba[..., 3]])
                frames.append(Frame(view, rgba, view))
        return Turnaround(tuple(frames))


class Bug(Flat):
    card: ClassVar[Card] = a_card("bug")

    def _run(self, request: Request, report: Report) -> Turnaround:
        raise ValueError("somebody's mistake")
