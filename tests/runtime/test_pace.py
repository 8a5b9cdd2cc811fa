"""What runs really took is kept, survives anything in its file, and makes the next estimate come true."""

import dataclasses
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest

from pipelines.core.cameras import orbit
from pipelines.core.subject import ANY_SUBJECT
from pipelines.registry import METHODS
from pipelines.runtime import pace
from pipelines.runtime.archive import Archive
from pipelines.runtime.devices import Machine, this_machine
from pipelines.runtime.engine import InProcessEngine
from pipelines.runtime.jobs import Jobs
from pipelines.runtime.method import Card, Estimate, Frame, Method, Provenance, Report, Request, Turnaround
from pipelines.runtime.pace import (
    KEEP_PLACES,
    KEEP_RUNS,
    kind_of,
    load_s,
    memory_bytes,
    pace_s,
    paces,
    record,
    units_of,
)
from pipelines.runtime.settings import Settings
from tests.runtime.job_helpers import start, wait_until
from tests.toy_methods import Flat, a_card, a_subject

H100, CPU = "NVIDIA H100 80GB HBM3, bfloat16", "CPU, float32"
PROCESSOR = Machine(2, 10**10, 10**10)
GPU = Machine(2, 10**10, 10**10, "NVIDIA H100 80GB HBM3", 80 * 10**9)
LENT = dataclasses.replace(GPU, gpu="ZeroGPU")


class Steps(Flat):
    """Two seconds to begin with, then half a second a view, as long as no run has told better."""

    card: ClassVar[Card] = a_card("steps")

    def estimate(self, request: Request, machine: Machine) -> Estimate:
        seconds = 2.0 + load_s(machine, "steps", 7.0) + pace_s(machine, "steps", len(request.views), 0.5)
        return Estimate(seconds, memory_bytes(machine, "steps", 10**8 * len(request.views)))


def a_request(views: int = 4) -> Request:
    return Request(a_subject(), orbit(views), size_px=128)


def a_run(seconds: float, load: float = 0.0, place: str = CPU, memory: int = 10**9) -> Turnaround:
    """Of so many seconds, its load and the two seconds to begin with left out."""
    made = Provenance("steps", 0, {}, {}, {}, place)
    stages = {"fetch": 1000.0, "work": 2.0 + seconds} | ({"load": load} if load else {})
    return Turnaround((), seconds=2.0 + seconds + load, stage_seconds=stages, peak_memory_bytes=memory, provenance=made)


def keep(data: Path, *runs: Turnaround, views: int = 4) -> None:
    for run in runs:
        record(data, PROCESSOR, Steps(), a_request(views), run)


def known(data: Path, machine: Machine = PROCESSOR) -> Machine:
    return dataclasses.replace(machine, pace=paces(data, machine.device, machine.gpu, machine.number_bytes))


# --- Measuring --------------------------------------------------------------------------------------------------------


def test_until_a_run_has_told_better_the_default_counts() -> None:
    assert pace_s(PROCESSOR, "steps", 10, 0.5) == 5.0
    assert load_s(PROCESSOR, "steps", 7.0) == 7.0


def test_the_next_estimate_is_what_the_last_run_took(tmp_path: Path) -> None:
    keep(tmp_path, a_run(seconds=12, load=30))
    machine = known(tmp_path)
    assert Steps().estimate(a_request(4), machine).seconds == 2.0 + 30 + 12
    assert Steps().estimate(a_request(10), machine).seconds == 2.0 + 30 + 10 * 12 / 4
    assert load_s(machine, "steps", 7.0) == 30
    assert machine.pace["steps"] == pace.Pace(3.0, 30.0, 2.5, 1, CPU)


def test_a_run_that_took_its_estimate_leaves_all_estimates_as_they_are(tmp_path: Path) -> None:
    by_pace = [method for method in METHODS if units_of(method, any_request(1), GPU)[0] > 0]
    assert {"zero123", "zero123plus", "shap_e"} <= {method.card.key for method in by_pace}
    for method in by_pace:
        data = tmp_path / method.card.key
        first = took(method, method.estimate(any_request(100), GPU).seconds, load=6.0)
        record(data, GPU, method, any_request(100), first)
        before = known(data, GPU)
        estimated_s = method.estimate(any_request(100), before).seconds
        for _ in range(2):
            record(data, GPU, method, any_request(100), took(method, estimated_s, load=6.0))
        after = known(data, GPU)
        for views in (1, 100):
            expected_s = method.estimate(any_request(views), before).seconds
            assert method.estimate(any_request(views), after).seconds == pytest.approx(expected_s)


def any_request(views: int) -> Request:
    return Request(ANY_SUBJECT, orbit(views))


def took(method: Method, seconds: float, load: float) -> Turnaround:
    made = Provenance(method.card.key, 0, {}, {}, {}, H100)
    return Turnaround((), seconds=seconds, stage_seconds={"load": load}, peak_memory_bytes=10**9, provenance=made)


def test_a_run_quicker_than_its_fixed_parts_were_thought_still_counts(tmp_path: Path) -> None:
    keep(tmp_path, a_run(-1.0))
    assert 0 < known(tmp_path).pace["steps"].unit_s < 0.01


def test_memory_is_estimated_as_earlier_runs_bore_the_methods_own_figures_out(tmp_path: Path) -> None:
    assert Steps().estimate(a_request(4), PROCESSOR).memory_bytes == 4 * 10**8
    keep(tmp_path, a_run(4, memory=6 * 10**8), views=4)
    assert Steps().estimate(a_request(4), known(tmp_path)).memory_bytes == 6 * 10**8
    assert Steps().estimate(a_request(10), known(tmp_path)).memory_bytes == 15 * 10**8
    assert Steps().estimate(a_request(4), known(tmp_path, GPU)).memory_bytes == 4 * 10**8


def test_a_run_in_this_precision_tells_more_than_a_later_one_in_another(tmp_path: Path) -> None:
    keep(tmp_path, a_run(4, place="CPU, bfloat16"), a_run(8, place="CPU, float32"))
    assert known(tmp_path).pace["steps"].unit_s == 2.0
    assert known(tmp_path, dataclasses.replace(PROCESSOR, number_bytes=2)).pace["steps"].unit_s == 1.0
    keep(tmp_path / "new", a_run(4, place="CPU, bfloat16"))
    assert known(tmp_path / "new").pace["steps"].unit_s == 1.0
    keep(tmp_path / "gpus", a_run(4, place=H100), a_run(8, place="NVIDIA A100, float32"))
    wide = dataclasses.replace(GPU, number_bytes=4)
    assert known(tmp_path / "gpus", wide).pace["steps"].place == H100, "the same GPU tells more than the same precision"


def test_units_are_those_of_the_methods_own_estimate() -> None:
    assert units_of(Steps(), a_request(7), known(Path())) == pytest.approx((7, 2.0))
    assert units_of(Flat(), a_request(7), PROCESSOR)[0] == 0


def test_a_median_forgives_a_run_that_was_disturbed(tmp_path: Path) -> None:
    keep(tmp_path, a_run(4), a_run(400), a_run(4.4), a_run(8, load=20), a_run(4.8))
    assert known(tmp_path).pace["steps"].unit_s == pytest.approx(1.2)
    assert load_s(known(tmp_path), "steps", 7.0) == 20, "only runs that loaded tell how long that takes"


def test_a_machine_that_became_faster_is_believed(tmp_path: Path) -> None:
    keep(tmp_path, *[a_run(40)] * 20, *[a_run(4)] * 8)
    machine = known(tmp_path)
    assert machine.pace["steps"].unit_s == 1.0 and machine.pace["steps"].runs == KEEP_RUNS


def test_each_device_and_precision_has_its_own_pace(tmp_path: Path) -> None:
    keep(tmp_path, a_run(400), a_run(4, place=H100), a_run(8, place="NVIDIA A100-SXM4-40GB, bfloat16"))
    assert known(tmp_path).pace["steps"].unit_s == 100
    assert known(tmp_path, GPU).pace["steps"].place == H100
    assert known(tmp_path, LENT).pace["steps"].unit_s == 2, "the newest of its kind, where no name agrees"
    assert "steps" not in known(tmp_path, dataclasses.replace(GPU, device="mps")).pace


def test_runs_on_another_kind_of_device_tell_nothing(tmp_path: Path) -> None:
    keep(tmp_path, a_run(4, place=H100), a_run(8, place="Apple GPU, float16"))
    assert "steps" not in known(tmp_path).pace
    (tmp_path / pace.FILE).unlink()
    keep(tmp_path, a_run(400))
    assert "steps" not in known(tmp_path, GPU).pace


def test_kinds_of_devices_are_told_by_their_names() -> None:
    names = {"cpu": "cpu", CPU: "cpu", "Apple GPU, float16": "mps", H100: "cuda", "": "cuda"}
    assert {name: kind_of(name) for name in names} == names


# --- Keeping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b'{"schema": 2, "paces": []}',
        b'{"schema": 1}',
        b'{"schema": 1, "paces": {"a": 1}}',
        b'{"schema": 1, "paces": [1, null, {}]}',
        b'{"schema": 1, "paces": [{"method": "steps", "place": "CPU, float32", "at": 1, "unit_s": [NaN],'
        b' "load_s": [], "memory_share": []}]}',
        b'{"schema": 1, "paces": [{"method": "steps", "place": "CPU, float32", "at": 1, "unit_s": [-1],'
        b' "load_s": [], "memory_share": []}]}',
        b'{"schema": 1, "paces": [{"method": "steps", "place": "CPU, float32", "at": true, "unit_s": ["1"],'
        b' "load_s": [], "memory_share": []}]}',
        b"[" * 100_000,
        b" " * (pace.MOST_BYTES + 1) + b'{"schema": 1, "paces": []}',
    ],
    ids=range(14),
)
def test_a_bad_file_is_as_none_and_gives_way_to_a_good_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / pace.FILE).write_bytes(content)
    assert paces(tmp_path, "cpu", None, 4) == {}
    keep(tmp_path, a_run(4))
    assert known(tmp_path).pace["steps"].unit_s == 1


def test_a_bad_entry_spoils_no_other(tmp_path: Path) -> None:
    keep(tmp_path, a_run(4))
    document = json.loads((tmp_path / pace.FILE).read_text())
    document["paces"].append({"method": "other"})
    (tmp_path / pace.FILE).write_text(json.dumps(document))
    assert list(known(tmp_path).pace) == ["steps"]


def test_where_nothing_can_be_written_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    keep(tmp_path / "data", a_run(4))
    assert paces(tmp_path / "data", "cpu", None, 4) == {} and this_machine(tmp_path / "data").pace == {}


def test_runs_that_tell_nothing_are_not_kept(tmp_path: Path) -> None:
    nowhere = dataclasses.replace(a_run(4), provenance=None)
    keep(tmp_path, a_run(-2.0), a_run(float("nan")), nowhere)
    record(tmp_path, PROCESSOR, Flat(), a_request(), a_run(4))
    assert paces(tmp_path, "cpu", None, 4) == {}


def test_a_run_that_was_cut_short_teaches_nothing(tmp_path: Path) -> None:
    """Its few views would count as all that were asked for, and the next run be given too little time."""
    request, told = a_request(21), Report()
    for view in request.views[:2]:
        told.keep(Frame(view, request.subject.rgba, view), None)
    cut = Steps().cut_short(request, told, "the GPU was taken away", seconds=6.0)
    assert cut and len(cut.frames) == 2
    keep(tmp_path, *[a_run(60, place=H100)] * 3, views=21)
    before = Steps().estimate(request, known(tmp_path, LENT)).seconds
    record(tmp_path, LENT, Steps(), request, cut)
    assert Steps().estimate(request, known(tmp_path, LENT)).seconds == before


def test_what_runs_cut_short_taught_in_earlier_versions_is_forgotten(tmp_path: Path) -> None:
    keep(tmp_path, a_run(60, place=H100))
    document = json.loads((tmp_path / pace.FILE).read_text())
    document["paces"].append(document["paces"][0] | {"place": "elsewhere", "at": time.time() + 1, "unit_s": [0.1]})
    (tmp_path / pace.FILE).write_text(json.dumps(document))
    assert known(tmp_path, LENT).pace["steps"].place == H100


def test_the_file_stays_small(tmp_path: Path) -> None:
    for number in range(KEEP_PLACES + 10):
        keep(tmp_path, a_run(4, place=f"GPU number {number}, float16"))
    document = json.loads((tmp_path / pace.FILE).read_text())
    assert len(document["paces"]) == KEEP_PLACES
    assert document["paces"][-1]["place"] == f"GPU number {KEEP_PLACES + 9}, float16"
    assert (tmp_path / pace.FILE).stat().st_size < pace.MOST_BYTES / 10
    assert [path.name for path in tmp_path.iterdir()] == [pace.FILE]


def test_threads_that_keep_at_once_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(keep, tmp_path, a_run(4, place=f"GPU {i}, float16")) for i in range(12)]:
            done.result(20)
    assert len(json.loads((tmp_path / pace.FILE).read_text())["paces"]) == 12


def test_what_another_process_wrote_is_seen(tmp_path: Path) -> None:
    keep(tmp_path, a_run(4))
    assert known(tmp_path).pace["steps"].unit_s == 1
    document = json.loads((tmp_path / pace.FILE).read_text())
    document["paces"][0]["unit_s"] = [2.0]
    (tmp_path / "new").write_text(json.dumps(document, indent=1))
    os.replace(tmp_path / "new", tmp_path / pace.FILE)
    assert known(tmp_path).pace["steps"].unit_s == 2


# --- With runs of a server --------------------------------------------------------------------------------------------


def test_a_finished_run_teaches_the_next_estimate(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    jobs = Jobs(InProcessEngine(), Archive(settings), settings)
    job = start(jobs, Steps(), views=3)
    wait_until(lambda: not job.working)
    machine = this_machine(tmp_path)
    took = machine.pace["steps"]
    (stored,) = jobs.open(job.id).turnarounds
    assert took.place == "cpu" and took.runs == 1
    estimate = Steps().estimate(a_request(3), machine)
    assert estimate.memory_bytes == pytest.approx(stored.manifest.peak_memory_bytes)


def test_a_cancelled_run_teaches_nothing(tmp_path: Path) -> None:
    class Waits(Steps):
        begun: ClassVar[threading.Event] = threading.Event()

        def _run(self, request: Request, report: Report) -> Turnaround:
            self.begun.set()
            while True:
                report.check()

    settings = Settings(data=tmp_path)
    jobs = Jobs(InProcessEngine(), Archive(settings), settings)
    job = start(jobs, Waits())
    assert Waits.begun.wait(20)
    job.cancel()
    wait_until(lambda: not job.working)
    assert this_machine(tmp_path).pace == {}
