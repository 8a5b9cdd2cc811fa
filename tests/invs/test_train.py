"""Training, with a tiny inpainter and two models: it learns, goes on where it was, and what it made is taken."""

import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load, load_file

from pipelines.core.errors import TurnaroundError
from pipelines.core.mesh import glb_bytes
from pipelines.invs.loading import load_inpainter
from pipelines.invs.pairs import Pairs, models_in, parted
from pipelines.invs.sources import INPAINTER
from pipelines.invs.train import Plan, biased_times, likeness, shares, train
from pipelines.runtime.residency import Place
from pipelines.runtime.weights import Fetched
from tests.core.shapes import ball, painted, together
from tests.invs import tiny

CPU = Place(torch.device("cpu"), torch.float32, "CPU, float32")


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("training")
    (folder / "models").mkdir()
    for i, colour in enumerate([(200, 60, 40), (40, 90, 200)]):
        body, head = painted(ball(0.35, rings=24), colour), painted(ball(0.15, (0.1, 0.3, 0.2), 16), (230, 200, 60))
        (folder / "models" / f"{i}.glb").write_bytes(glb_bytes(together(body, head)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        tiny.inpainter(folder / "base")
    return Plan(folder / "models", folder / "out", folder / "base", 12, 2, 6e-3, every=100, judged=0, workers=0)


def unet(out: Path) -> dict[str, torch.Tensor]:
    return torch.load(out / "state.pt", weights_only=True)["unet"]


def test_it_learns_goes_on_where_it_was_and_the_method_takes_what_came_of_it(plan: Plan):
    torch.save(tiny.lpips_state(), plan.models.parent / "lpips.pt")
    whole = replace(plan, out=plan.out / "whole", judged=1, lpips=plan.models.parent / "lpips.pt")
    losses = train(whole)
    assert len(losses) == 12 and np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])

    broken = replace(plan, out=plan.out / "broken")
    first = train(broken, end=5)
    rest = train(broken)
    assert first + rest == pytest.approx(losses, rel=1e-5)
    assert torch.load(broken.out / "state.pt", weights_only=True)["pairs"] == 24
    one, other = unet(whole.out), unet(broken.out)
    assert one.keys() == other.keys() and all(tensor.equal(other[name]) for name, tensor in one.items())

    made = load_inpainter(Fetched(whole.out / "model", INPAINTER.first, "local"), CPU)
    assert made.fine_tuned and made.side_px == tiny.SIDE_PX
    assert not made.unet.state_dict()["conv_in.weight"].half().equal(begun(plan)["conv_in.weight"])
    table = (whole.out / "judged_0000012.txt").read_text().splitlines()
    assert (
        len(table) == 5
        and "LPIPS" in table[0]
        and "learned from" in table[0]
        and all(len(line.split()) == 4 for line in table[1:])
    )
    with Image.open(whole.out / "sheet_0000012.png") as sheet:
        assert sheet.size == (3 * tiny.SIDE_PX, 4 * tiny.SIDE_PX)


def test_killed_before_its_last_model_was_written_it_writes_it_when_started_again(plan: Plan):
    killed = replace(plan, out=plan.out / "killed", steps=2, judged=1)
    train(killed, end=1)
    unet_file = killed.out / "model" / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    of_step_1 = unet_file.read_bytes()
    train(killed)
    others = [killed.out / name for name in ("judged_0000002.txt", "sheet_0000002.png")]
    tensors, made = load(unet_file.read_bytes()), [file.read_bytes() for file in others]
    for left in (of_step_1, of_step_1[:100]):  # the latter by a machine that lost its power
        unet_file.write_bytes(left)
        assert train(killed) == []
        assert all(tensor.equal(tensors[name]) for name, tensor in load(unet_file.read_bytes()).items())
        for file in others:
            file.unlink()
        assert train(killed) == []
        assert [file.read_bytes() for file in others] == made
    (killed.out / "state.pt").write_bytes((killed.out / "state.pt").read_bytes()[:5000])
    with pytest.raises(TurnaroundError, match=r"(?s)state\.pt (is damaged.*begins anew|cannot be read)"):
        train(killed)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"batch": 0}, "--batch is 0; it must be 1 or more"),
        ({"every": 0}, "--every is 0"),
        ({"workers": -1}, "--workers is -1"),
        ({"seed": -1}, "--seed is -1"),
        ({"rate": math.nan}, "--rate is nan; it must be more than 0"),
        ({"bias": math.nan}, "--bias is nan"),
        ({"drop": 1.5}, "--drop is 1.5; it must be between 0 and 1"),
        ({"precision": "fp8"}, "--precision is fp8; it must be one of: no, bf16"),
        ({"models": Path("nowhere")}, "There is no folder nowhere"),
        ({"base": Path("nowhere")}, "There is no folder nowhere"),
        ({"out": Path("/proc/x")}, "/proc/x cannot be made .*Name another"),
        ({"models": Path(__file__).parent}, "There are no 3D models in .*invs: none of .glb, .obj, .ply was found"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_is_told_in_a_sentence_before_anything_is_loaded(plan: Plan, wrong: dict[str, Any], said: str):
    nothing_there = replace(plan, base=plan.models)  # no inpainter: loading would fail
    with pytest.raises(TurnaroundError, match=said):
        train(replace(nothing_there, **wrong))


def test_a_folder_of_damaged_models_is_told_in_a_sentence_though_others_make_the_pairs(plan: Plan, tmp_path: Path):
    (tmp_path / "cut.glb").write_bytes((plan.models / "0.glb").read_bytes()[:300])
    with pytest.raises(TurnaroundError, match=r"^None of the 3D models can be read\.$"):
        train(replace(plan, models=tmp_path, out=tmp_path / "out", workers=1))


def test_two_processes_learn_what_one_does(plan: Plan):
    """Each makes half of every step's pairs; as on two GPUs, but for what they talk through."""
    alone = replace(plan, out=plan.out / "by-1", steps=3)
    losses, one = train(alone), unet(alone.out)
    both, told = learned_by_two(plan, steps=3)
    (loss,) = re.findall(r"step 3: loss (\S+)", told)
    assert float(loss) == pytest.approx(np.mean(losses), abs=2e-4)
    moved = torch.cat([(one[name] - tensor).abs().flatten() for name, tensor in begun(plan).items()])
    apart = torch.cat([(one[name] - tensor).abs().flatten() for name, tensor in both.items()])
    assert apart.mean() < 1e-3 * moved.mean()


def learned_by_two(plan: Plan, steps: int) -> tuple[dict[str, torch.Tensor], str]:
    """What came of as many steps of two pairs each, by processes of one pair each; and what was told."""
    out = plan.out / "by-2"
    asked = {"out": out, "base": plan.base, "steps": steps, "batch": 1, "rate": plan.rate, "judged": 0, "workers": 0}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.invs.two_processes", str(plan.models), *(f"--{n}={v}" for n, v in asked.items())],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"ACCELERATE_USE_CPU": "true"},
    )
    assert ran.returncode == 0, ran.stderr
    return unet(out), ran.stdout


def begun(plan: Plan) -> dict[str, torch.Tensor]:
    assert plan.base
    return load_file(plan.base / "unet" / "diffusion_pytorch_model.fp16.safetensors")


def test_processes_share_out_the_pairs_and_go_on_where_others_were():
    alone = shares(0, steps=5, batch=2, rank=0, ranks=1)
    first, second = (shares(10, steps=2, batch=2, rank=rank, ranks=2) for rank in (0, 1))
    together = [number for each in zip(first, second, strict=True) for share in each for number in share]
    assert [number for share in alone for number in share] + together == [*range(18)]


def test_a_number_is_always_the_same_pair_and_others_are_others(plan: Plan):
    pairs, again = (Pairs(models_in(plan.models), 64, seed=0) for _ in range(2))
    one, same, other = pairs[5], again[5], pairs[6]
    assert np.array_equal(one.truth, same.truth) and np.array_equal(one.partial.rgba, same.partial.rgba)
    assert not np.array_equal(one.truth, other.truth)
    assert 5 <= one.turn_deg <= 180 and one.inside.any()
    small = Pairs(models_in(plan.models), 64, 0, (5.0, 10.0))[1]
    seen = small.partial.seen & small.inside
    assert seen.sum() > 0.7 * small.inside.sum(), "a small turn shows most of it"
    assert np.abs(small.partial.rgba[seen][:, :3].astype(int) - small.truth[seen]).mean() < 12


def test_models_are_held_out_where_there_are_enough(tmp_path: Path):
    files = [tmp_path / f"{i:02d}.glb" for i in range(20)]
    learn, judge = parted(files)
    assert len(learn) == 18 and len(judge) == 2 and not set(learn) & set(judge)
    assert parted(files[:2]) == (files[:2], files[:2])
    with pytest.raises(TurnaroundError, match="no 3D models"):
        models_in(tmp_path)


def test_the_most_noise_is_drawn_more_often_by_the_bias():
    """specs/invs.md, 11.8: the density at the end is 1 + bias times that at the beginning."""
    uniform = (torch.arange(200_000) + 0.5) / 200_000
    for bias in (0.0, 1.0, 3.0):
        counts = torch.bincount(biased_times(uniform, bias, 1000), minlength=1000).double()
        expected = 1 + bias * (torch.arange(1000) + 0.5) / 1000
        expected *= 200_000 / expected.sum()
        assert (counts - expected).abs().max() <= 2  # each a bin's own share, to the rounding


def test_likeness_is_of_the_object_and_not_of_the_white_around_it(plan: Plan):
    pair = Pairs(models_in(plan.models), 64, seed=0)[0]
    assert likeness(pair.truth, pair)[1] == pytest.approx(1)
    spoilt = pair.truth.copy()
    spoilt[pair.inside] = 255 - spoilt[pair.inside]
    far = pair.truth.copy()
    far[:2, :2] = 0
    assert likeness(spoilt, pair)[0] < 15 < 60 < likeness(far, pair)[0]
