"""Out of memory: the ladder, what visitors are told, and that nothing of a failed try stays in memory."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
import torch

from pipelines.core.cameras import orbit
from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.runtime import register, thrift
from pipelines.runtime.compare import Failed, Finished, compare
from pipelines.runtime.devices import this_machine
from pipelines.runtime.engine import InProcessEngine
from pipelines.runtime.method import Card, Method, Report, Request, Turnaround
from pipelines.runtime.places import Place, chosen_place
from pipelines.runtime.register import REGISTER
from pipelines.runtime.residency import Thrift, forget_idle, resident, thriftily
from pipelines.runtime.thrift import is_out_of_memory, ladder, notes_of, too_little
from tests.toy_methods import Flat, a_card, a_subject

CUDA_WORDS = "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 7.79 GiB."


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    forget_idle()
    yield
    forget_idle()


class Work:
    """Succeeds once it is sparing enough, and knows whether what it held before is still in memory."""

    def __init__(self, enough: Callable[[Thrift], bool], problem: Callable[[], BaseException]) -> None:
        self.enough, self.problem = enough, problem
        self.tried: list[Thrift] = []
        self.held: list[weakref.ref[torch.Tensor]] = []

    def __call__(self, thrift: Thrift) -> str:
        assert not self.left_behind(), "what an earlier try held is still there"
        self.tried.append(thrift)
        if self.enough(thrift):
            return "made"
        self._deeper(torch.zeros(1000, 1000))
        raise AssertionError

    def _deeper(self, large: torch.Tensor) -> None:
        self.held.append(weakref.ref(large))
        try:
            raise KeyError("another error first")
        except KeyError:
            larger = large + 1
            self.held.append(weakref.ref(larger))
            raise self.problem() from None

    def left_behind(self) -> int:
        return sum(held() is not None for held in self.held)


def oom() -> BaseException:
    return torch.OutOfMemoryError(CUDA_WORDS)


def never(thrift: Thrift) -> bool:
    return False


# --- The rungs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at_once", "decode", "expected"),
    [
        (1, 1, [(1, 1)]),
        (8, 8, [(8, 8), (4, 4), (2, 2), (1, 1)]),
        (6, 2, [(6, 2), (3, 2), (1, 1)]),
        (1, 5, [(1, 5), (1, 2), (1, 1)]),  # a video
        (0, 0, [(1, 1)]),
    ],
)
def test_the_ladder_halves_then_tiles_then_takes_turns(
    at_once: int, decode: int, expected: list[tuple[int, int]]
) -> None:
    rungs = ladder(at_once, decode, offloading=True)
    assert [(rung.at_once, rung.decode_at_once) for rung in rungs[:-2]] == expected
    assert not any(rung.tiles or rung.offload for rung in rungs[:-2])
    assert rungs[-2:] == (Thrift(1, 1, tiles=True), Thrift(1, 1, tiles=True, offload=True))
    assert ladder(at_once, decode, offloading=False) == rungs[:-1]
    assert all(rung.offload for rung in ladder(at_once, decode, offloading=True, offloaded=True))


def test_every_rung_has_words_and_the_first_none() -> None:
    first, *others = ladder(8, 8, offloading=True)
    assert notes_of(first, first) == ()
    for rung in others:
        notes = notes_of(first, rung)
        assert notes and all(note.startswith("Memory was short, so ") and note.endswith(".") for note in notes)
    assert len({notes_of(first, rung) for rung in others}) == len(others)


# --- Climbing down ----------------------------------------------------------------------------------------------------


def test_with_enough_memory_nothing_is_said() -> None:
    work = Work(lambda thrift: True, oom)
    assert thriftily(work, 8, Report()) == ("made", ())
    assert work.tried == [Thrift(8, 8)]


def test_it_works_with_less_at_a_time_until_it_fits_and_says_so() -> None:
    work = Work(lambda thrift: thrift.at_once <= 2, oom)
    made, notes = thriftily(work, 8, Report())
    assert made == "made" and [thrift.at_once for thrift in work.tried] == [8, 4, 2]
    assert notes == ("Memory was short, so views were made 2 at a time: slower, but the same.",)


def test_then_in_tiles() -> None:
    work = Work(lambda thrift: thrift.tiles, oom)
    _, notes = thriftily(work, 1, Report(), decode_at_once=2)
    assert work.tried == [Thrift(1, 2), Thrift(1, 1), Thrift(1, 1, tiles=True)]
    assert [("decoded one at a time" in note, "in tiles" in note) for note in notes] == [(True, False), (False, True)]


def real_cpu_error() -> BaseException:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    return RuntimeError(str(caught.value))


def real_memory_error() -> BaseException:
    with pytest.raises(MemoryError) as caught:
        bytearray(2**62)
    return MemoryError(*caught.value.args)


@pytest.mark.parametrize("problem", [oom, real_cpu_error, real_memory_error])
def test_when_nothing_helps_it_is_a_sentence_with_figures_and_the_next_run_works(
    problem: Callable[[], BaseException],
) -> None:
    work = Work(never, problem)
    with pytest.raises(TurnaroundError) as refused:
        thriftily(work, 4, Report())
    words = str(refused.value)
    assert words.startswith("There is not enough memory for this") and words.endswith("larger machine.")
    assert "fewer or smaller views" in words and " GB" in words
    assert refused.value.__context__ is None and work.left_behind() == 0
    assert thriftily(lambda thrift: "made", 4, Report()) == ("made", ())


def test_the_figures_are_those_of_the_error_and_of_the_machine() -> None:
    place = chosen_place()
    assert "2.7 GB more were needed at one point; this machine has" in str(too_little("for this", CUDA_WORDS, place))
    assert "0.5 MB more" in str(too_little("for this", "you tried to allocate 524288 bytes", None))
    assert "needed" not in str(too_little("for this", "no figures", None))


def test_where_the_system_does_not_tell_what_is_free_models_step_aside_all_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(register, "free_memory_bytes", lambda: 0)
    monkeypatch.setenv("TURNAROUND_MODEL_GB", "0.00006")  # one layer takes 40 kB
    models, place = register.Register(steps_aside=lambda place: True), chosen_place()
    for key in ("a", "b"):
        report = Report()
        models.give_back(models.borrow(key, place, lambda place: torch.nn.Linear(100, 100), 40_400, report), report)
    assert {each.key: each.where for each in models.models()} == {"a": "host", "b": "device"}


def test_what_is_free_is_not_told_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(thrift, "free_memory_bytes", lambda: 0)
    assert "free now" not in (said := str(too_little("for this", "", None))) and "this machine has" in said


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("anything"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"), True),
        (RuntimeError("Invalid buffer size: 20.25 GB"), True),
        (RuntimeError("cuBLAS error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), True),
        (RuntimeError("GET was unable to find an engine to execute this computation"), True),
        (RuntimeError("FIND was unable to find an engine to execute this computation"), True),
        (RuntimeError("NVML_SUCCESS == r INTERNAL ASSERT FAILED at CUDACachingAllocator.cpp"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes."), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
        (TurnaroundError("There is not enough memory."), False),
    ],
)
def test_what_counts_as_out_of_memory(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


@pytest.mark.parametrize(
    "problem", [Cancelled(), ValueError("a bug"), RuntimeError("shapes differ"), KeyboardInterrupt()]
)
def test_every_other_error_passes_at_once(problem: BaseException) -> None:
    work = Work(never, lambda: problem)
    with pytest.raises(type(problem)) as caught:
        thriftily(work, 8, Report())
    assert caught.value is problem and len(work.tried) == 1


def test_a_cancel_between_two_tries_is_heard() -> None:
    report = Report()

    def problem() -> BaseException:
        report.cancelled.set()
        return oom()

    work = Work(never, problem)
    with pytest.raises(Cancelled):
        thriftily(work, 8, report)
    assert len(work.tried) == 1


def test_an_error_that_was_being_handled_keeps_its_trace() -> None:
    try:
        raise ValueError("outer")
    except ValueError as outer:
        thriftily(Work(lambda thrift: thrift.at_once == 1, oom), 2, Report())
        assert outer.__traceback__ is not None


def test_twenty_failures_in_a_row_leave_no_memory_behind() -> None:
    def large(thrift: Thrift) -> None:
        pictures = torch.ones(15_000_000)  # 60 MB, which the C library hands back to the system once freed
        raise torch.OutOfMemoryError(f"CUDA out of memory with {len(pictures)} numbers")

    def fail() -> None:
        with resident("model", lambda place: torch.nn.Linear(10, 10), 0, Report()), pytest.raises(TurnaroundError):
            thriftily(large, 1, Report())

    fail()
    gc.collect()
    before = psutil.Process().memory_info().rss
    for _ in range(20):
        fail()
    assert psutil.Process().memory_info().rss - before < 60_000_000


# --- With models in memory --------------------------------------------------------------------------------------------


def a_layer(place: Place) -> torch.nn.Linear:
    return torch.nn.Linear(10, 10, device=place.device, dtype=place.dtype)


def test_idle_models_leave_first_and_the_same_is_tried_once_more() -> None:
    with resident("idle", a_layer, 0, Report()):
        pass
    report = Report()
    with resident("mine", a_layer, 0, report):
        work = Work(lambda thrift: len(REGISTER.models()) == 1, oom)
        assert thriftily(work, 8, report) == ("made", ())
        assert work.tried == [Thrift(8, 8)] * 2
    assert [each.key for each in REGISTER.models()] == ["mine"]


def test_once_memory_is_free_again_the_next_run_works_as_if_it_had_never_been_short() -> None:
    work, tried = Work(lambda thrift: free or thrift.at_once <= 2, oom), []
    for free in (False, True, True):  # noqa: B007  # `work` reads it
        with resident("mine", a_layer, 0, (report := Report())):
            _, notes = thriftily(work, 8, report)
        tried.append(([thrift.at_once for thrift in work.tried], len(notes)))
        work.tried.clear()
    assert tried == [([8, 4, 2], 1), ([8], 0), ([8], 0)]


# --- Through the contract ---------------------------------------------------------------------------------------------


class Learned(Flat):
    """Works with a model in memory."""

    card: ClassVar[Card] = a_card("learned")

    def __init__(self, problem: BaseException | None = None, thrifty: bool = True) -> None:
        self.problem, self.thrifty = problem, thrifty

    def _run(self, request: Request, report: Report) -> Turnaround:
        with resident("learned", a_layer, 0, report) as layer:

            def work(thrift: Thrift) -> torch.Tensor:
                if self.problem:
                    raise self.problem
                return layer(torch.ones(1, 10))

            _ = thriftily(work, 2, report) if self.thrifty else work(Thrift(1, 1))
        return super()._run(request, report)


def run_all(*methods: Method) -> list[Failed | Finished]:
    ends: list[Failed | Finished] = []
    request = Request(a_subject(), orbit(2), size_px=128)

    def listen(event: Any) -> None:
        if isinstance(event, Failed | Finished):
            ends.append(event)

    tasks = [(method, request) for method in methods]
    compare(tasks, InProcessEngine(), this_machine(Path()), listen, threading.Event())
    return ends


def test_the_manifest_says_where_it_ran_and_how_long_it_loaded() -> None:
    (end,) = run_all(Learned())
    assert isinstance(end, Finished)
    made = end.turnaround
    assert made.provenance and made.provenance.device == "CPU, float32"
    assert made.stage_seconds["load"] >= 0 and made.peak_memory_bytes > 10**6
    assert {"torch", "diffusers", "transformers", "huggingface_hub"} <= set(made.provenance.versions)


@pytest.mark.parametrize("thrifty", [True, False])
def test_out_of_memory_is_that_methods_own_failure_with_words(thrifty: bool) -> None:
    failed, finished = run_all(Learned(torch.OutOfMemoryError(CUDA_WORDS), thrifty), Flat())
    assert isinstance(failed, Failed) and "memory" in failed.sentence and "reference" not in failed.sentence
    assert isinstance(finished, Finished)
    assert isinstance(run_all(Learned())[0], Finished)
