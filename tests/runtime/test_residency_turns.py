"""Models whose parts take turns on a GPU too small for all of them. The GPU is a name here: modules write down when
they would have moved to it.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from pipelines.runtime.places import Place
from pipelines.runtime.register import REGISTER, Model, Register
from pipelines.runtime.report import Report
from pipelines.runtime.residency import Thrift, forget_idle, thriftily
from pipelines.runtime.turns import Turns

GPU = Place(torch.device("cuda:0"), torch.float32, "A small GPU, float32")
TURNS_NOTE = "Memory was short, so the model's parts took turns on the GPU: slower, but the same."


@pytest.fixture(autouse=True)
def nothing_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TURNAROUND_MODEL_GB", "1")
    forget_idle()
    yield
    forget_idle()


class Moving(torch.nn.Module):
    """Writes down where it is sent, and stays."""

    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__()
        self.name, self.log = name, log
        self.inner = torch.nn.Linear(4, 4)

    def to(self, device: Any) -> "Moving":
        self.log.append(f"{self.name} {'out' if device == 'cpu' else 'in'}")
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


def test_parts_take_turns_by_being_called_anywhere_inside() -> None:
    log: list[str] = []
    a, b = Moving("a", log), Moving("b", log)
    x = torch.ones(1, 4)
    before = a(x)
    turns = Turns([a, b], torch.device("cpu"))
    assert log == ["a out", "b out"]
    log.clear()
    assert torch.equal(a(x), before)
    a(x)
    b.inner(x)  # as `vae.decode` does, which is not its `forward`
    assert log[-1] == "b in"
    b(x)
    a(x)
    assert log == ["a in", "a out", "b in", "b out", "a in"]
    turns.end()
    log.clear()
    a(b(x))
    assert log == []


@dataclass(frozen=True)
class Pair:
    a: Moving
    b: Moving
    place: Place

    def __call__(self) -> torch.Tensor:
        return self.b(self.a(torch.ones(1, 4)))


class Loads:
    """Loads a pair, to the GPU only if it is large enough."""

    def __init__(self, fits: bool = True) -> None:
        self.fits, self.log, self.places = fits, list[str](), list[str]()

    def __call__(self, place: Place) -> Pair:
        self.places.append(place.device.type)
        if place.device.type == "cuda" and not self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return Pair(Moving("a", self.log), Moving("b", self.log), place)


def borrowed(register: Register, load: Callable[[Place], Any], report: Report) -> Model:
    return register.borrow("pair", GPU, load, 0, report)


def test_on_the_last_rung_the_parts_of_a_model_take_turns_until_it_is_given_back() -> None:
    load, report = Loads(), Report()
    model = borrowed(REGISTER, load, report)
    tried: list[Thrift] = []

    def work(thrift: Thrift) -> torch.Tensor:
        tried.append(thrift)
        if not thrift.offload:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return model.value()

    load.log.clear()
    _, notes = thriftily(work, 1, report)
    assert tried == [Thrift(1, 1), Thrift(1, 1, tiles=True), Thrift(1, 1, tiles=True, offload=True)]
    assert notes[-1] == TURNS_NOTE
    assert load.log == ["a out", "b out", "a in", "a out", "b in"]

    tried.clear()
    thriftily(work, 1, report)  # a second step of the same run
    assert [thrift.offload for thrift in tried] == [True]

    REGISTER.give_back(model, report)
    assert [each.where for each in REGISTER.models()] == ["host"]
    report = Report()
    again = borrowed(REGISTER, load, report)
    assert again.value is model.value and load.places == ["cuda"], "no file is read"
    load.log.clear()
    again.value()
    assert load.log == [], "all parts are on the GPU together, as any other model's"
    tried.clear()
    thriftily(work, 1, report)
    assert tried[0] == Thrift(1, 1), "there may be more room by now"
    REGISTER.give_back(again, report)


def test_a_model_that_two_runs_use_is_not_moved_under_either() -> None:
    load, mine, other = Loads(), Report(), Report()
    models = [borrowed(REGISTER, load, report) for report in (mine, other)]
    load.log.clear()

    def work(thrift: Thrift) -> str:
        if not thrift.tiles:
            raise torch.OutOfMemoryError("CUDA out of memory")
        assert not thrift.offload
        return "made"

    assert thriftily(work, 1, mine)[0] == "made" and load.log == []
    for model, report in zip(models, (mine, other), strict=True):
        REGISTER.give_back(model, report)


def test_a_model_larger_than_the_gpu_takes_turns_from_the_start() -> None:
    load = Loads(fits=False)

    def run() -> None:
        report = Report()
        model = borrowed(REGISTER, load, report)
        assert model.value.place == GPU, "what goes into it belongs on the GPU"
        load.log.clear()
        made, notes = thriftily(lambda thrift: (model.value(), thrift.offload), 4, report)
        assert made[1] is True and notes == (TURNS_NOTE,)
        assert load.log[-3:] == ["a in", "a out", "b in"]
        REGISTER.give_back(model, report)

    run()
    run()
    assert load.places == ["cuda", "cpu"], "the second run found it in memory"


def test_it_steps_aside_and_returns_still_taking_turns() -> None:
    register, load = Register(steps_aside=lambda place: True), Loads(fits=False)

    def run() -> None:
        report = Report()
        model = borrowed(register, load, report)
        model.value()
        register.give_back(model, report)

    run()
    assert register.make_idle_leave()
    assert load.log[-1] == "b out" and [each.where for each in register.models()] == ["host"]
    load.log.clear()
    run()
    assert load.log == ["a in", "a out", "b in"] and load.places == ["cuda", "cpu"]


def test_parts_that_take_turns_serve_one_run_at_a_time() -> None:
    load, mine, other = Loads(fits=False), Report(), Report()
    model = borrowed(REGISTER, load, mine)
    assert borrowed(REGISTER, load, mine) is model, "the same run may borrow it twice"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(borrowed, REGISTER, load, other)
        assert not wait([waiting], timeout=0.1).done
        REGISTER.give_back(model, mine)
        REGISTER.give_back(model, mine)
        assert waiting.result(20) is model
    REGISTER.give_back(model, other)
