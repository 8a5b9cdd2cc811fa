"""Never silent, never going back, and stopped at once: whatever a network is busy with."""

import threading
from typing import Any

import pytest
import torch
from torch import nn

from pipelines.core.errors import Cancelled
from pipelines.runtime import telling
from pipelines.runtime.report import Report
from pipelines.runtime.telling import Telling, audible, listening


@pytest.fixture
def network() -> nn.Sequential:
    return audible(nn.Sequential(nn.Conv2d(1, 2, 3), nn.SiLU(), nn.Flatten(), nn.Linear(2, 2), nn.Linear(2, 1)))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that is set by hand."""
    now = [100.0]
    monkeypatch.setattr(telling.time, "monotonic", lambda: now[0])
    return now


def test_a_step_that_takes_long_is_not_silent(network: nn.Sequential, clock: list[float]):
    told: list[tuple[float, str, Any]] = []
    tell = Telling(Report(lambda *each: told.append(each)), "Loading")

    def slowly(*_: object) -> None:
        clock[0] += 0.5  # a layer

    network.register_forward_pre_hook(slowly)
    for layer in network:
        layer.register_forward_hook(slowly)
    with listening(tell.still):
        tell(0.3, "Drawing: step 3 of 10")
        network(torch.zeros(1, 1, 3, 3))
    assert told == [(0.3, "Drawing: step 3 of 10", None)] * 2, "once, and again two seconds later"
    network(torch.zeros(1, 1, 3, 3))
    assert len(told) == 2, "nobody listens any more"


def test_progress_never_goes_back():
    told: list[float] = []
    tell = Telling(Report(lambda share, *_: told.append(share)), "Loading")
    for share in (0.1, 0.5, 0.2, 0.6):
        tell(share, "again, with less memory")
    assert told == [0.1, 0.5, 0.5, 0.6]


def test_who_cancels_is_heard_at_the_next_layer(network: nn.Sequential):
    report, reached = Report(), list[str]()
    network[1].register_forward_hook(lambda *_: report.cancelled.set())
    network[3].register_forward_hook(lambda *_: reached.append("past the next layer"))
    with pytest.raises(Cancelled), listening(Telling(report, "").still):
        network(torch.zeros(1, 1, 3, 3))
    assert not reached
    network(torch.zeros(1, 1, 3, 3))
    assert reached, "and what was cancelled stays behind"


def test_listening_within_listening_ends_where_it_began(network: nn.Sequential):
    heard: list[str] = []
    with listening(lambda: heard.append("outer")):
        with listening(lambda: heard.append("inner")):
            network(torch.zeros(1, 1, 3, 3))
        network(torch.zeros(1, 1, 3, 3))
    assert heard == ["inner"] * 3 + ["outer"] * 3


def test_one_runs_cancelling_is_not_anothers(network: nn.Sequential):
    both, failed = threading.Barrier(2), []

    def quiet_run() -> None:
        both.wait()
        try:
            for _ in range(200):
                network(torch.zeros(1, 1, 3, 3))
        except BaseException as problem:
            failed.append(problem)

    def stop() -> None:
        raise Cancelled

    thread = threading.Thread(target=quiet_run)
    thread.start()
    both.wait()
    with listening(stop):
        for _ in range(200):
            with pytest.raises(Cancelled):
                network(torch.zeros(1, 1, 3, 3))
    thread.join()
    assert not failed
