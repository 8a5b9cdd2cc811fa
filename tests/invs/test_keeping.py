"""What a training keeps, goes on with and says."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.core.errors import TurnaroundError
from pipelines.invs import train as train_module
from pipelines.invs.keeping import keep, restored
from pipelines.invs.sources import INPAINTER
from pipelines.invs.train import Plan, train, usual_workers
from tests.invs.training import CPU, begun


def test_gone_on_with_it_learns_as_it_is_asked_to_now(plan: Plan):
    first = replace(plan, out=plan.out / "asked", steps=1)
    train(first)
    state = torch.load(first.out / "state.pt", weights_only=True)
    moved = max(float((state["unet"][name] - tensor).abs().max()) for name, tensor in begun(plan).items())
    assert moved == pytest.approx(plan.rate, rel=0.02), "as AdamW's first step is"
    gradients = [each["exp_avg"] / 0.1 for each in state["optimizer"]["state"].values()]
    assert torch.cat([each.flatten() for each in gradients]).norm() <= 1 + 1e-4
    train(replace(first, steps=2, rate=1e-9, decay=0.5))
    later = torch.load(first.out / "state.pt", weights_only=True)
    assert later["optimizer"]["param_groups"][0]["lr"] == 1e-9 and later["average"]["decay"] == 0.5
    for name, tensor in state["unet"].items():
        assert torch.allclose(later["unet"][name], tensor, atol=1e-6)


def test_the_average_is_quick_at_first_and_as_slow_as_asked_for_at_last(plan: Plan):
    """After two steps a tenth of what it began with, 1/10 and 2/11 weighed, is left as diffusers averages."""
    two = replace(plan, out=plan.out / "average", steps=2, every=1)
    train(two)
    state = torch.load(two.out / "state.pt", weights_only=True)["average"]
    assert (state["decay"], state["use_ema_warmup"], state["optimization_step"]) == (0.9999, False, 2)


def test_the_state_of_another_training_is_told(plan: Plan, tmp_path: Path):
    for other in ({"hello": 1}, {"step": 1, "unet": {"conv_in.weight": torch.zeros(3)}}):
        torch.save(other, tmp_path / "state.pt")
        with pytest.raises(TurnaroundError, match=r"state\.pt is of another training.* Name another --out"):
            train(replace(plan, out=tmp_path))


def test_a_folder_that_is_no_inpainters_and_a_file_that_is_not_lpips_are_told(plan: Plan, tmp_path: Path):
    with pytest.raises(TurnaroundError, match=r"is not an inpainter's folder: .* is missing.* Name another --base"):
        train(replace(plan, base=plan.models, out=tmp_path / "out"))
    (tmp_path / "lpips.pt").write_bytes(b"none")
    with pytest.raises(TurnaroundError, match=r"lpips\.pt .*It should hold the weights of LPIPS\. To make it: python"):
        train(replace(plan, lpips=tmp_path / "lpips.pt", out=tmp_path / "out"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot limit how long files become")
@pytest.mark.parametrize(("share", "what"), [(0.5, "The state of the training"), (0.0, "The model")])
def test_a_full_disk_is_told_and_the_state_before_stays(
    plan: Plan, share: float, what: str, monkeypatch: pytest.MonkeyPatch
):
    """Files may not become longer than half of the state; or, once that is kept, than nearly nothing."""
    import resource

    full = replace(plan, out=plan.out / f"full {share}", steps=1)
    train(full)
    before, limits = (full.out / "state.pt").read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)

    def keep_within(*given: Any) -> None:
        if share:
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * len(before)), limits[1]))
        keep(*given)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))

    monkeypatch.setattr("pipelines.invs.train.keep", keep_within)
    try:
        with pytest.raises(TurnaroundError, match=f"{what} could not be kept: the disk is full"):
            train(replace(full, steps=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert ((full.out / "state.pt").read_bytes() == before) == bool(share)
    assert not [*full.out.rglob(".*")]


def test_a_gpu_without_room_for_the_state_is_not_taken_for_another_training(plan: Plan, tmp_path: Path):
    class Small(torch.nn.Module):
        def load_state_dict(self, *_: Any, **__: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

    torch.save({"unet": {}}, tmp_path / "state.pt")
    with pytest.raises(torch.OutOfMemoryError):
        restored(tmp_path, Small(), None, None, CPU, 1)


def test_what_a_killed_process_left_half_written_goes_and_nothing_else(plan: Plan, tmp_path: Path):
    for folder in (tmp_path, tmp_path / "model" / "unet"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".0123456789abcdef.part.pt").write_bytes(b"half")
        (folder / ".mine").write_bytes(b"whole")
    train(replace(plan, out=tmp_path, steps=1))
    assert sorted(path.name for path in tmp_path.rglob(".*")) == [".mine", ".mine"]


def test_what_it_was_begun_with_is_written_once(plan: Plan):
    short = replace(plan, out=plan.out / "once", steps=1)
    train(short)
    files = [path for path in (short.out / "model").rglob("*") if path.is_file() and path.parent.name != "unet"]
    before = {path: path.stat().st_mtime_ns for path in files}
    files[0].write_bytes(b"damaged")
    train(replace(short, steps=2))
    assert files[0].read_bytes() == (plan.base / files[0].relative_to(short.out / "model")).read_bytes()  # type: ignore[operator]
    assert all(path.stat().st_mtime_ns == before[path] for path in files[1:])


def test_it_says_how_far_it_is_and_where_what_it_made_is_taken(
    plan: Plan, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    short = replace(plan, out=plan.out / "told", steps=2, every=1)
    monkeypatch.setattr(train_module, "MUCH_WAITING", 1.0)
    train(short)
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("1 x 2 pairs a step, from step 0 to 2; 2 models to learn from")
    assert re.fullmatch(r"step 1: loss \d\.\d{4} \(a few seconds left\)", told[1])
    assert re.fullmatch(r"step 2: loss \d\.\d{4}", told[2])
    named = f'TURNAROUND_SOURCES="{INPAINTER.first.repository}={(short.out / "model").resolve()}"'
    assert told[-1].endswith(f"{named}.")
    assert train(short) == [] and "It was at step 2 already" in capsys.readouterr().out


def test_where_much_of_the_time_goes_by_waiting_for_pairs_it_says_what_helps(
    plan: Plan, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(train_module, "MUCH_WAITING", 0.0)
    train(replace(plan, out=plan.out / "waits", steps=2, every=1, judged=0))
    told = capsys.readouterr().out
    assert re.search(
        r"step 1: loss \S+ \(a few seconds left, \d+% of the time it waits for pairs, which --workers", told
    )


@pytest.mark.parametrize(("processes", "workers"), [("", 8), ("2", 4), ("64", 1), ("0", 8), ("many", 8)])
def test_a_machines_cores_are_shared_among_its_processes(processes: str, workers: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    monkeypatch.setattr(train_module, "usable_cores", lambda: 8)
    assert usual_workers() == workers
