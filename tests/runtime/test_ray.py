"""A real Ray on this machine: several workers, some of which die."""

import asyncio
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from pipelines import cli
from pipelines.cli import _made, _Outcome
from pipelines.core.cameras import orbit
from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.inflate import Inflate
from pipelines.runtime import ray_engine
from pipelines.runtime.devices import Machine, this_machine
from pipelines.runtime.engine import Turn, open_engine
from pipelines.runtime.method import Estimate, Method, Report, Request
from pipelines.runtime.places import chosen_place
from pipelines.runtime.ray_bridge import Ready, Replica, application, resources
from pipelines.runtime.ray_engine import RayEngine
from pipelines.runtime.register import REGISTER
from pipelines.runtime.relay import WorkerBug
from pipelines.runtime.settings import Settings
from tests.runtime.job_helpers import wait_until
from tests.runtime.ray_methods import Awaiting, Bug, Meeting, TinyLearned
from tests.runtime.worker_methods import LosesItsGpu
from tests.toy_methods import Flat, a_card, a_subject, some_weights

REQUEST = Request(a_subject(96), orbit(2), size_px=96)


@dataclasses.dataclass
class Cluster:
    engine: RayEngine
    awaiting: Awaiting
    meeting: Meeting


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("ray")
    awaiting, meeting = Awaiting(folder), Meeting(folder)
    before = {process.pid for process in psutil.process_iter()}
    engine = RayEngine((Inflate(), TinyLearned(), awaiting, meeting, Bug()), cpus=6)
    try:
        yield Cluster(engine, awaiting, meeting)
    finally:
        engine.close()
    started = [each for each in psutil.process_iter(["pid", "name"]) if each.pid not in before]
    _, left = psutil.wait_procs([each for each in started if "ray" in each.info["name"]], timeout=20)
    assert [each.info for each in left] == []


TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}


@contextmanager
def a_head() -> Iterator[tuple[str, Callable[[], None]]]:
    """A cluster that somebody else started on this machine: its address, and how all of it is killed. It knows nothing
    of our code, none of its ports is one that another would take, and it asks for a token.
    """
    with tempfile.TemporaryDirectory(prefix="ray") as folder:  # sockets' names must be short
        port, *others = free_ports(3)
        places = zip(("--ray-client-server-port", "--dashboard-agent-listen-port"), others, strict=True)
        command = [sys.executable, "-P", "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2"]
        head = subprocess.Popen(
            [
                *command,
                f"--port={port}",
                *(f"{name}={number}" for name, number in places),
                "--min-worker-port=0",
                "--max-worker-port=0",
                "--node-ip-address=127.0.0.1",
                "--include-dashboard=false",
                "--disable-usage-stats",
                f"--temp-dir={folder}",
            ],
            cwd=folder,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | TOKEN,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

        def end() -> None:
            with suppress(ProcessLookupError):
                os.killpg(head.pid, signal.SIGKILL)

        try:
            wait_until(lambda: answers(port))
            yield f"127.0.0.1:{port}", end
        finally:
            end()
            head.wait()


def free_ports(count: int) -> list[int]:
    with ExitStack() as taken:
        sockets = [taken.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Running:
    """A run on a thread of its own."""

    def __init__(self, engine: RayEngine, method: Method, seed: int) -> None:
        self.told: list[tuple[float, str, Any]] = []
        self.waits: list[str] = []
        self.cancelled = threading.Event()
        report = Report(lambda *step: self.told.append(step), self.cancelled)
        request = dataclasses.replace(REQUEST, seed=seed)
        self.pool = ThreadPoolExecutor(1)
        self.end = self.pool.submit(engine.run, method, request, report, Turn(1.0, self.waits.append))

    def says(self, text: str) -> bool:
        return any(text in message for _, message, _ in self.told)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_f38_a_cluster_elsewhere_works_by_its_address_and_when_its_head_is_killed_that_is_told(
    monkeypatch: pytest.MonkeyPatch,
):
    many = dataclasses.replace(REQUEST, views=orbit(100), size_px=256)
    with a_head() as (address, kill_head), ThreadPoolExecutor(1) as pool:
        engine = open_engine(Settings(engine="ray", ray_address=address), (Inflate(),))
        with pytest.raises(TurnaroundError, match=r"takes us for nobody it knows.* RAY_AUTH_MODE=token"):
            pool.submit(engine.run, Inflate(), REQUEST, Report()).result(120)
        engine.close()
        for name, value in TOKEN.items():
            monkeypatch.setenv(name, value)
        engine = open_engine(Settings(engine="ray", ray_address=address), (Inflate(),))
        try:
            there = pool.submit(engine.run, Inflate(), REQUEST, Report()).result(120)
            here = Inflate()(REQUEST, Report())
            assert all(np.array_equal(a.rgba, b.rgba) for a, b in zip(there.frames, here.frames, strict=True))
            assert engine.at_once == 2, "it is that cluster, and not one of our own"
            told: list[str] = []

            def listen(fraction: float, message: str, preview: object) -> None:
                told.append(message)
                if fraction > 0:  # it is at work
                    kill_head()

            # The second if a worker's end is noticed before the head's
            sentences = rf"The Ray cluster {address} cannot be reached .*\. Try again in|tried twice.*died.*\. Ask for"
            with pytest.raises(TurnaroundError, match=sentences):
                pool.submit(engine.run, Inflate(), many, Report(listen)).result(120)
            assert sum("died" in message for message in told) == 1, "it was tried once more"
            assert engine.silent_s() == 0
        finally:
            engine.close()


@pytest.mark.parametrize("method", [Inflate(), TinyLearned()], ids=["inflate", "learned"])
def test_the_cluster_makes_the_very_frames_that_this_process_makes(cluster: Cluster, method: Method):
    told: list[float] = []
    there = cluster.engine.run(method, REQUEST, Report(lambda fraction, message, preview: told.append(fraction)))
    here = method(REQUEST, Report())
    for mine, theirs in zip(here.frames, there.frames, strict=True):
        assert np.array_equal(mine.rgba, theirs.rgba)
    assert told == sorted(told)
    assert cluster.engine.silent_s() == 0


def test_a_run_whose_worker_dies_is_made_by_another_and_told_so(cluster: Cluster):
    running = Running(cluster.engine, cluster.awaiting, seed=1)
    wait_until(lambda: running.says("Working"))
    assert running.told[-1][2].shape == REQUEST.subject.rgba.shape, "the preview came through"
    kill(cluster.awaiting.pids(1)[0])
    wait_until(lambda: len(cluster.awaiting.pids(1)) == 2)
    assert running.says("died")
    cluster.awaiting.go(1)
    made = running.end.result(30)
    assert made.notes == (f"Worked in {cluster.awaiting.pids(1)[1]}.",) and len(made.frames) == 2


def test_of_many_runs_of_several_methods_none_is_lost_when_a_worker_is_killed_in_their_middle(cluster: Cluster):
    methods = (Inflate(), TinyLearned(), cluster.awaiting)
    here = {seed: methods[seed % 2](dataclasses.replace(REQUEST, seed=seed), Report()) for seed in range(50, 58)}
    held = Running(cluster.engine, cluster.awaiting, seed=49)
    wait_until(lambda: held.says("Working"))
    running = {seed: Running(cluster.engine, methods[seed % 2], seed) for seed in here}
    kill(cluster.awaiting.pids(49)[0])
    wait_until(lambda: len(cluster.awaiting.pids(49)) == 2)
    cluster.awaiting.go(49)
    assert len(held.end.result(60).frames) == 2 and held.says("died")
    for seed, each in running.items():
        there = each.end.result(60)
        for one, other in zip(there.frames, here[seed].frames, strict=True):
            assert np.array_equal(one.rgba, other.rgba)


def test_a_run_that_kills_its_worker_twice_is_not_tried_a_third_time_and_the_queue_goes_on(cluster: Cluster):
    running = Running(cluster.engine, cluster.awaiting, seed=2)
    for death in (1, 2):
        wait_until(lambda death=death: len(cluster.awaiting.pids(2)) == death)
        kill(cluster.awaiting.pids(2)[-1])
    with pytest.raises(TurnaroundError, match=r"tried twice.*died.*\. Ask for"):
        running.end.result(30)
    assert len(cluster.awaiting.pids(2)) == 2
    cluster.awaiting.go(3)
    assert Running(cluster.engine, cluster.awaiting, seed=3).end.result(30).frames


def test_cancelling_stops_the_work_in_the_cluster_and_frees_its_worker(cluster: Cluster):
    running = Running(cluster.engine, cluster.awaiting, seed=4)
    wait_until(lambda: running.says("Working"))
    running.cancelled.set()
    with pytest.raises(Cancelled):
        running.end.result(5)
    wait_until((cluster.awaiting.folder / "stopped-4").exists)
    cluster.awaiting.go(5)
    assert Running(cluster.engine, cluster.awaiting, seed=5).end.result(30).frames


def test_a_bug_there_is_a_bug_here_with_its_trace(cluster: Cluster):
    with pytest.raises(WorkerBug, match="somebody's mistake"):
        cluster.engine.run(Bug(), REQUEST, Report())


def test_several_runs_are_spread_over_several_workers(cluster: Cluster):
    assert cluster.engine.at_once == 6
    runs = [Running(cluster.engine, cluster.meeting, seed) for seed in range(10, 13)]
    assert all(run.end.result(60).frames for run in runs)


def test_what_the_cluster_is_decides_what_can_run(cluster: Cluster, tmp_path: Path):
    assert cluster.engine.at_once == 6, "it has answered"
    assert cluster.engine.machine(tmp_path).memory_bytes == this_machine(tmp_path).memory_bytes


def test_a_bridge_that_dies_is_built_again_and_nothing_is_lost(cluster: Cluster):
    running = Running(cluster.engine, cluster.awaiting, seed=6)
    wait_until(lambda: running.says("Working"))
    kill(cluster.engine._bridge._process.pid)
    cluster.awaiting.go(6)
    assert running.end.result(60).frames
    assert running.says("died")


def test_a_cluster_that_is_not_there_is_told_and_the_page_can_still_be_shown(tmp_path: Path):
    engine = open_engine(Settings(engine="ray", ray_address="127.0.0.1:1"), (Flat(),))
    try:
        assert engine.machine(tmp_path).cores == this_machine(tmp_path).cores
        with pytest.raises(TurnaroundError, match=r"127\.0\.0\.1:1 cannot be reached"):
            engine.run(Flat(), REQUEST, Report())
    finally:
        engine.close()


def test_what_a_cluster_that_does_not_answer_is_is_not_waited_for(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections, and says nothing
        engine = open_engine(Settings(engine="ray", ray_address=f"127.0.0.1:{silent.getsockname()[1]}"), (Flat(),))
        try:
            asked = engine.machine(tmp_path)
            assert (asked.cores, asked.memory_bytes) == (this_machine(tmp_path).cores, 0), "nobody is refused for that"
            assert not engine._bridge.answered.is_set(), "that was said without its answer"  # type: ignore[attr-defined]
        finally:
            engine.close()


def test_what_was_last_known_of_the_cluster_stays_known_and_nobody_keeps_knocking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    engine = RayEngine((Flat(),), "127.0.0.1:1")
    try:
        bridge = engine._bridge
        wait_until(lambda: bridge.gone)
        there = dataclasses.replace(this_machine(tmp_path), cores=99)
        bridge.answer = Ready(there, 4)
        assert engine.machine(tmp_path).cores == 99
        bridge.answer = None
        assert engine.machine(tmp_path).cores == 99 and engine._bridge is bridge
        monkeypatch.setattr(ray_engine, "RETRY_S", 0.0)
        assert engine.machine(tmp_path).cores == 99 and engine._bridge is not bridge, "it is tried again in time"
    finally:
        engine.close()
    assert engine.machine(tmp_path).cores == 99 and engine._bridge.gone, "but not once it was closed"


class Hungry(Flat):
    card = a_card("hungry", weights=(some_weights(),))

    def estimate(self, request: Request, machine: Machine) -> Estimate:
        return dataclasses.replace(super().estimate(request, machine), memory_bytes=17 * 10**9)


def test_a_replica_takes_the_memory_and_the_share_of_the_gpu_that_the_method_needs():
    here = dataclasses.replace(this_machine(Path()), memory_bytes=64 * 10**9)
    gpu = dataclasses.replace(here, gpu="NVIDIA H100", gpu_memory_bytes=80 * 10**9, device="cuda")
    assert resources(Hungry(), gpu)["memory"] == 17 * 10**9
    assert resources(Hungry(), dataclasses.replace(gpu, memory_bytes=20 * 10**9))["memory"] == 10 * 10**9
    assert resources(Hungry(), gpu)["num_gpus"] == 0.25
    assert resources(Hungry(), dataclasses.replace(gpu, gpu_memory_bytes=16 * 10**9))["num_gpus"] == 1
    assert "num_gpus" not in resources(Inflate(), gpu)
    assert "num_gpus" not in resources(Hungry(), dataclasses.replace(here, gpu=None, device="cpu"))


def test_a_replica_whose_gpu_has_failed_asks_to_be_replaced(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(REGISTER, "share", 1.0)
    replica = Replica(LosesItsGpu(), share=1.0)
    replica.check_health()

    async def pieces() -> list[Any]:
        return [piece async for piece in replica.run(REQUEST)]

    assert asyncio.run(pieces())[-1].lost_device
    with pytest.raises(RuntimeError, match="CUDA has failed"):
        replica.check_health()


def test_a_replica_with_a_share_of_a_gpu_keeps_models_within_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(REGISTER, "share", 1.0)  # so that it is whole again after this
    monkeypatch.setenv("TURNAROUND_MODEL_GB", "40")
    Replica(TinyLearned(), share=0.25)
    assert REGISTER.budget_bytes(chosen_place()) == 10 * 10**9


def test_a_replica_is_told_the_share_that_it_is_given():
    gpu = dataclasses.replace(this_machine(Path()), gpu="NVIDIA H100", gpu_memory_bytes=80 * 10**9, device="cuda")
    for method, share in ((Hungry(), 0.25), (Inflate(), 1.0)):
        deployment = application(method, gpu)._bound_deployment
        assert deployment.init_args == (method, share)
        assert deployment.ray_actor_options.get("num_gpus", 1.0) == share


def test_the_command_line_sends_many_photos_at_once():
    together = threading.Barrier(3)

    def run() -> _Outcome:
        together.wait(20)  # breaks unless three are under way
        return _Outcome("photo.png")

    stop = threading.Event()
    assert len(list(_made(iter([run] * 3), 3, stop))) == 3 and not stop.is_set()


def test_a_batch_from_the_command_line_comes_back_whole_and_the_same_as_from_this_process(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("TURNAROUND_DATA", str(tmp_path))
    photos = []
    for number, color in enumerate([(200, 60, 40), (40, 200, 60), (60, 40, 200)]):
        photos.append(tmp_path / f"{number}.png")
        Image.fromarray(a_subject(96, color).rgba).save(photos[-1])
    ends = {}
    for place in ("here", "ray"):
        if place == "ray":  # the cluster that runs already, and goes on running
            monkeypatch.setattr(cli, "open_engine", lambda *_: cluster.engine)
            monkeypatch.setattr(cluster.engine, "close", lambda: None)
        command = ["render", *map(str, photos), "--azimuth", "30", "--size", "96", "--out", str(tmp_path / place)]
        assert cli.main([*command, "--json"]) == 0
        told = capsys.readouterr().out.splitlines()
        assert sorted(json.loads(line)["photo"] for line in told) == [str(p) for p in photos]
        pictures = sorted((tmp_path / place).rglob("*.png"))
        ends[place] = [(path.relative_to(tmp_path / place), path.read_bytes()) for path in pictures]
    assert ends["here"] == ends["ray"] and len(ends["here"]) >= 6
