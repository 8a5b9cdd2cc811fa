"""Models in memory: loaded once, kept while there is room, the one used longest ago leaves, never one in use."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.runtime import devices
from pipelines.runtime.devices import memory_bytes
from pipelines.runtime.places import Place, chosen_place
from pipelines.runtime.register import REGISTER, Model, Register
from pipelines.runtime.report import Report
from pipelines.runtime.residency import forget_idle, resident
from pipelines.runtime.turns import Turns, move, parts_of, settled, size_of
from tests.runtime.job_helpers import wait_until

LAYER_BYTES = 4 * (100 * 100 + 100)


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    forget_idle()
    yield
    forget_idle()
    assert REGISTER.models() == []


@pytest.fixture
def room_for(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the budget, in layers."""
    return lambda layers: monkeypatch.setenv("TURNAROUND_MODEL_GB", f"{layers * LAYER_BYTES / 1e9:.9f}")


def a_layer(place: Place) -> torch.nn.Linear:
    return torch.nn.Linear(100, 100, device=place.device, dtype=place.dtype)


class Loads:
    """Loads layers and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, place: Place) -> torch.nn.Linear:
        self.times += 1
        return a_layer(place)


def use(key: str, load: Callable[[Place], Any], report: Report | None = None) -> Any:
    with resident(key, load, LAYER_BYTES, report or Report()) as value:
        return value


def keys() -> list[str]:
    return [each.key for each in REGISTER.models()]


# --- Loading and staying ----------------------------------------------------------------------------------------------


def test_it_is_loaded_once_and_only_loading_is_timed_as_such() -> None:
    load, first, second = Loads(), Report(), Report()
    assert use("a", load, first) is use("a", load, second)
    assert load.times == 1
    assert first.stage_seconds["load"] > 0 and "load" not in second.stage_seconds
    assert first.place == second.place == chosen_place()


def test_what_is_in_memory_is_known_with_its_true_size() -> None:
    with resident("a", a_layer, 1, Report()):
        (known,) = REGISTER.models()
        assert (known.key, known.where, len(known.users)) == ("a", "device", 1)
        assert known.size_bytes == LAYER_BYTES and known.place == chosen_place()
    assert REGISTER.models()[0].idle


def test_the_one_used_longest_ago_leaves(room_for: Callable[[float], None]) -> None:
    room_for(2.5)
    loads = {key: Loads() for key in "abc"}
    for key in "aba":
        use(key, loads[key])
    use("c", loads["c"])
    assert keys() == ["a", "c"]
    use("a", loads["a"])
    use("b", loads["b"])
    assert keys() == ["a", "b"]
    assert {key: load.times for key, load in loads.items()} == {"a": 1, "b": 2, "c": 1}


def test_what_left_takes_no_memory(room_for: Callable[[float], None]) -> None:
    room_for(1.5)
    gone = weakref.ref(use("a", a_layer))
    use("b", a_layer)
    gc.collect()
    assert gone() is None


def test_one_in_use_never_leaves_even_where_there_is_no_room(room_for: Callable[[float], None]) -> None:
    room_for(1.5)
    with resident("a", a_layer, LAYER_BYTES, Report()) as a:
        with resident("b", a_layer, LAYER_BYTES, Report()):
            assert keys() == ["a", "b"]
            assert a.weight.device == torch.device("cpu")
        assert keys() == ["a", "b"], "the other stays in use, and this one was used last"
    assert keys() == ["a"], "once both are idle only as much stays as there is room for"


def test_a_model_larger_than_the_budget_comes_and_stays_alone(room_for: Callable[[float], None]) -> None:
    room_for(0.5)
    load = Loads()
    for key in ("a", "b", "b"):
        use(key, load)
    assert keys() == ["b"] and load.times == 2


def test_a_wrong_guess_of_the_size_is_set_right_after_loading(room_for: Callable[[float], None]) -> None:
    room_for(2.5)
    use("a", a_layer)
    with resident("b", lambda place: (a_layer(place), a_layer(place)), LAYER_BYTES, Report()):
        assert keys() == ["b"]


def test_another_device_or_precision_is_another_model() -> None:
    register, load = Register(), Loads()
    here = chosen_place()
    halved = Place(here.device, torch.float16, "CPU, float16")
    models = [register.borrow("a", place, load, 0, Report()) for place in (here, halved, here)]
    assert models[0] is models[2] and load.times == 2
    assert models[1].value.weight.dtype == torch.float16


# --- Many at once -----------------------------------------------------------------------------------------------------


def test_borrowers_at_the_same_time_share_one_load() -> None:
    begun, go_on, load = threading.Event(), threading.Event(), Loads()

    def slowly(place: Place) -> torch.nn.Linear:
        begun.set()
        assert go_on.wait(20)
        return load(place)

    with ThreadPoolExecutor(4) as pool:
        values = [pool.submit(use, "a", slowly) for _ in range(4)]
        assert begun.wait(20)
        go_on.set()
        assert len({id(value.result(20)) for value in values}) == 1
    assert load.times == 1


def test_many_threads_with_too_little_room_always_get_whole_models(room_for: Callable[[float], None]) -> None:
    room_for(2.2)
    picture = torch.ones(1, 100)

    def work(number: int) -> bool:
        with resident(f"model {number % 4}", a_layer, LAYER_BYTES, Report()) as layer:
            return layer(picture).shape == (1, 100)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(60)))
    assert sum(each.size_bytes for each in REGISTER.models()) <= 2.2 * LAYER_BYTES


def test_a_load_that_fails_leaves_nothing_and_who_waits_tries_again() -> None:
    begun, go_on, kept = threading.Event(), threading.Event(), []

    def fails(place: Place) -> torch.nn.Linear:
        begun.set()
        layer = a_layer(place)
        kept.append(weakref.ref(layer))
        assert go_on.wait(20)
        raise ValueError("a file is broken")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(use, "a", fails)
        assert begun.wait(20)
        second = pool.submit(use, "a", a_layer)
        go_on.set()
        with pytest.raises(ValueError, match="broken"):
            first.result(20)
        assert isinstance(second.result(20), torch.nn.Linear)
    del first
    gc.collect()
    assert kept[0]() is None and keys() == ["a"]


def test_waiting_for_anothers_loading_can_be_cancelled() -> None:
    begun, go_on, report = threading.Event(), threading.Event(), Report()

    def slowly(place: Place) -> torch.nn.Linear:
        begun.set()
        assert go_on.wait(20)
        return a_layer(place)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(use, "a", slowly)
        assert begun.wait(20)
        second = pool.submit(use, "a", a_layer, report)
        report.cancelled.set()
        with pytest.raises(Cancelled):
            second.result(20)
        go_on.set()
        first.result(20)


def test_a_cancelled_load_leaves_nothing() -> None:
    report = Report()

    def load(place: Place) -> torch.nn.Linear:
        report.cancelled.set()
        report.check()
        return a_layer(place)

    with pytest.raises(Cancelled):
        use("a", load, report)
    assert REGISTER.models() == []


# --- Stepping aside ---------------------------------------------------------------------------------------------------


def test_who_stepped_aside_returns_without_being_loaded_again(room_for: Callable[[float], None]) -> None:
    room_for(1.5)
    register, load, place = Register(steps_aside=lambda place: True), Loads(), chosen_place()

    def borrow(key: str) -> Model:
        report = Report()
        model = register.borrow(key, place, load, LAYER_BYTES, report)
        register.give_back(model, report)
        return model

    first = borrow("a")
    value = first.value
    borrow("b")
    assert {each.key: each.where for each in register.models()} == {"a": "host", "b": "device"}
    assert borrow("a").value is value and load.times == 2
    assert {each.key: each.where for each in register.models()} == {"a": "device", "b": "host"}
    register.make_idle_leave(also_from_host=True)
    register.make_idle_leave(also_from_host=True)
    assert register.models() == []


def test_in_a_child_process_nothing_is_held_by_threads_that_are_not_there() -> None:
    register, place, begun = Register(), chosen_place(), threading.Event()
    held = register.borrow("held", place, a_layer, 0, Report())
    go_on = threading.Event()

    def slowly(place: Place) -> torch.nn.Linear:
        begun.set()
        assert go_on.wait(20)
        return a_layer(place)

    thread = threading.Thread(target=register.borrow, args=("coming", place, slowly, 0, Report()))
    thread.start()
    assert begun.wait(20)
    register.after_fork()
    go_on.set()
    thread.join(20)
    assert held.users == [] and [each.key for each in register.models()] == ["held"]


def test_a_model_given_back_to_step_aside_holds_nobody_up_meanwhile() -> None:
    register, begun, go_on = Register(), threading.Event(), threading.Event()

    class Slowly(Turns):
        def end(self) -> None:
            begun.set()
            assert go_on.wait(20)
            super().end()

    report = Report()
    model = register.borrow("a", chosen_place(), a_layer, 0, report)
    model.turns = Slowly(parts_of(model.value), model.place.device)
    with ThreadPoolExecutor(3) as pool:
        giving = pool.submit(register.give_back, model, report)
        assert begun.wait(20)
        other = pool.submit(register.borrow, "b", chosen_place(), a_layer, 0, Report())
        again = pool.submit(register.borrow, "a", chosen_place(), a_layer, 0, Report())
        try:
            assert other.result(20).key == "b"
            assert not again.done(), "nobody has it while it moves"
        finally:
            go_on.set()
        giving.result(20)
        assert again.result(20) is model and model.turns is None


# --- Out of memory ----------------------------------------------------------------------------------------------------


def test_idle_models_leave_when_memory_runs_out_while_loading() -> None:
    use("idle", a_layer)
    tries = 0

    def load(place: Place) -> torch.nn.Linear:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return a_layer(place)

    use("a", load)
    assert tries == 2 and keys() == ["a"]


def test_a_model_too_large_to_load_is_a_sentence_with_figures_and_the_next_loads() -> None:
    kept = []

    def load(place: Place) -> torch.nn.Linear:
        layer = a_layer(place)
        kept.append(weakref.ref(layer))
        torch.empty(10**15)
        return layer

    with pytest.raises(TurnaroundError) as refused:
        use("a", load)
    words = str(refused.value)
    assert "takes about 0.0 MB" in words and "4000000.0 GB more were needed" in words and "has " in words
    gc.collect()
    assert kept[0]() is None and REGISTER.models() == []
    use("a", a_layer)


def test_what_the_machine_has_no_room_for_is_refused_before_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a container would end the process without a word."""

    def leave_free(size_bytes: int) -> None:
        (tmp_path / "memory.current").write_text(str(6 * 10**9 - size_bytes))

    (tmp_path / "memory.max").write_text(str(6 * 10**9))
    (tmp_path / "memory.stat").write_text("inactive_file 0\n")
    monkeypatch.setattr(devices, "_CONTAINERS", ((tmp_path, "memory.max", "memory.current", "inactive_file"),))
    memory_bytes.cache_clear()
    try:
        load, size_bytes = Loads(), 3 * 10**9
        leave_free(3_500_000_000)
        with pytest.raises(TurnaroundError, match=r"takes about 3\.0 GB, and 1\.0 GB to work in .*of which 3\.5 GB"):
            REGISTER.borrow("a", chosen_place(), load, size_bytes, Report())
        assert load.times == 0 and REGISTER.models() == []
        leave_free(4_500_000_000)
        with resident("a", load, size_bytes, Report()):
            leave_free(100_000_000)
        use("a", load)
        assert load.times == 1, "what is there already needs no more room"
    finally:
        memory_bytes.cache_clear()


# --- The modules inside -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parts:
    unet: torch.nn.Module
    others: dict[str, object]
    scheduler: object = None


def test_every_module_inside_is_found_measured_and_moved() -> None:
    layers = [torch.nn.Linear(10, 10) for _ in range(5)]
    value = (Parts(layers[0], {"vae": layers[1], "list": [layers[2], 3, "text"]}, object()), layers[3], layers[0])
    found = parts_of([value, {"nested": (None, layers[4])}])
    assert len(found) == 5 and {id(part) for part in found} == {id(layer) for layer in layers}
    assert size_of(found) == 5 * 4 * 110
    move(found, "meta")
    assert all(tensor.device.type == "meta" for layer in layers for tensor in layer.parameters())


def test_a_module_inside_another_is_not_a_part_of_its_own_and_shared_weights_count_once() -> None:
    outer = torch.nn.Sequential(torch.nn.Linear(10, 10), torch.nn.Linear(10, 10))
    assert parts_of((outer[0], outer)) == [outer]
    outer[1].weight = outer[0].weight
    assert size_of([outer]) == 4 * (100 + 2 * 10)


def test_forgetting_what_is_idle_spares_what_is_in_use() -> None:
    leave, inside = threading.Event(), threading.Event()

    def hold() -> None:
        with resident("a", a_layer, LAYER_BYTES, Report()):
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(20)
    forget_idle()
    assert keys() == ["a"]
    leave.set()
    wait_until(lambda: REGISTER.models()[0].idle)
    thread.join(20)


def test_what_was_loaded_elsewhere_is_set_right_for_its_place() -> None:
    here, there = chosen_place(), Place(torch.device("meta"), torch.float32, "elsewhere")
    layer, scheduler = torch.nn.Linear(2, 2), object()
    value = (Parts(layer, {"prompt": torch.ones(2), "place": here, "rest": [1, "text"]}, scheduler), here)
    parts, place = settled(value, there)
    assert place.device == parts.others["place"].device == there.device and parts.others["rest"] == [1, "text"]
    assert place.dtype == here.dtype, "that of the numbers it was loaded in"
    assert parts.others["prompt"].device == there.device
    assert parts.unet is layer and layer.weight.device == here.device and parts.scheduler is scheduler
    assert settled(parts.unet, here) is layer
