"""Training, with a tiny inpainter and two models: it learns, goes on where it was, and what it made is taken."""

import itertools
import json
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from PIL import Image
from safetensors.torch import load

from pipelines.core.backdrop import opaque
from pipelines.core.errors import TurnaroundError
from pipelines.invs import train as train_module
from pipelines.invs.inpainting import Sampling, composed, developed, draw, on_white, shown
from pipelines.invs.judging import GUIDANCE, STEPS, _painted, likeness
from pipelines.invs.loading import Inpainter, load_depth
from pipelines.invs.pairs import Pairs, models_in, parted
from pipelines.invs.sources import DEPTH_ANYTHING
from pipelines.invs.train import Plan, biased_times, drawn, shares, train
from pipelines.runtime import weights
from pipelines.runtime.residency import Place
from tests.invs import tiny
from tests.invs.training import begun, loaded, unet

ROOT = Path(__file__).parents[2]
CPU = Place(torch.device("cpu"), torch.float32, "CPU, float32")


def test_it_learns_and_the_method_takes_what_came_of_it(plan: Plan, whole: tuple[Plan, list[float]]):
    trained, losses = whole
    assert len(losses) == 12 and np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])
    made = loaded(trained.out / "model")
    assert made.fine_tuned and made.side_px == tiny.SIDE_PX
    assert not made.unet.state_dict()["conv_in.weight"].half().equal(begun(plan)["conv_in.weight"])
    table = (trained.out / "judged_0000012.txt").read_text().splitlines()
    assert (
        len(table) == 5
        and "LPIPS" in table[0]
        and "learned from" in table[0]
        and all(len(line.split()) == 4 for line in table[1:])
    )
    with Image.open(trained.out / "sheet_0000012.png") as sheet:
        assert sheet.size == (3 * tiny.SIDE_PX, 4 * tiny.SIDE_PX)


def test_it_learns_to_tell_the_noise_given_each_pairs_own_mask_and_picture(plan: Plan, whole: tuple[Plan, list[float]]):
    """The first loss, reckoned anew; and with anything else in their place it is another."""
    parts = loaded(plan.base or plan.out)
    batch = [Pairs(models_in(plan.models), parts.side_px, plan.seed)[number] for number in (0, 1)]
    told = shown(parts, [pair.partial for pair in batch], soft=True)
    true = torch.from_numpy(np.stack([pair.truth for pair in batch])).permute(0, 3, 1, 2) / 127.5 - 1
    clean = parts.vae.encode(true).latent_dist.mode() * parts.vae.config["scaling_factor"]
    noise, when, kept = drawn(plan, (0, 1), clean.shape[1:])
    assert kept.tolist() == [True, False], "one of them is not shown what is there"
    times = biased_times(when, plan.bias, 1000)
    left = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2, 0)[times].view(-1, 1, 1, 1)
    noisy = left.sqrt() * clean + (1 - left).sqrt() * noise

    def loss(masks: torch.Tensor, beside: torch.Tensor) -> float:
        given = torch.cat([noisy, masks, beside], dim=1)
        with torch.no_grad():
            guess = parts.unet(given, times, encoder_hidden_states=parts.told("").expand(2, -1, -1)).sample
        return float((guess - noise).square().mean())

    right = told.latents * kept.view(-1, 1, 1, 1)
    (first, *_) = whole[1]
    assert first == pytest.approx(loss(told.masks, right), rel=1e-6)
    for wrong in (told.latents, 0 * right, right.flip(0), told.latents.flip(0) * kept.view(-1, 1, 1, 1)):
        assert abs(loss(told.masks, wrong) - first) > 1e-5 * first
    for masks in (0 * told.masks, told.masks.flip(0), (told.masks > 0).float()):
        assert abs(loss(masks, right) - first) > 1e-5 * first


def test_an_inpainter_that_tells_velocities_is_taught_velocities(plan: Plan, tmp_path: Path):
    """v = sqrt(a) noise - sqrt(1 - a) clean (Salimans and Ho, 2022)."""
    shutil.copytree(plan.base or "", tmp_path / "base")
    file = tmp_path / "base" / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"prediction_type": "v_prediction"}))
    (loss,) = train(replace(plan, base=tmp_path / "base", out=tmp_path / "out", steps=1))
    noise, clean, guess, left = first_step(plan)
    velocity = left.sqrt() * noise - (1 - left).sqrt() * clean
    assert loss == pytest.approx(float((guess - velocity).square().mean()), rel=1e-5)


def first_step(plan: Plan) -> tuple[torch.Tensor, ...]:
    """Noise and clean latents of its pairs, what the network says, and how much of the clean ones is left."""
    parts = loaded(plan.base or plan.out)
    batch = [Pairs(models_in(plan.models), parts.side_px, plan.seed)[number] for number in (0, 1)]
    told = shown(parts, [pair.partial for pair in batch], soft=True)
    true = torch.from_numpy(np.stack([pair.truth for pair in batch])).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        clean = parts.vae.encode(true).latent_dist.mode() * parts.vae.config["scaling_factor"]
    noise, when, kept = drawn(plan, (0, 1), clean.shape[1:])
    times = biased_times(when, plan.bias, 1000)
    left = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2, 0)[times].view(-1, 1, 1, 1)
    noisy = left.sqrt() * clean + (1 - left).sqrt() * noise
    given = torch.cat([noisy, told.masks, told.latents * kept.view(-1, 1, 1, 1)], dim=1)
    with torch.no_grad():
        guess = parts.unet(given, times, encoder_hidden_states=parts.told("").expand(2, -1, -1)).sample
    return noise, clean, guess, left


def test_in_bfloat16_it_learns_nearly_the_same(plan: Plan, whole: tuple[Plan, list[float]]):
    AcceleratorState._reset_state(reset_partial_state=True)  # accelerate has one precision a process
    coarse = train(replace(plan, out=plan.out / "coarse", steps=2, precision="bf16"))
    AcceleratorState._reset_state(reset_partial_state=True)
    assert coarse == pytest.approx(whole[1][:2], rel=0.03) and coarse != whole[1][:2]


def test_a_step_whose_numbers_are_none_is_left_out_and_many_end_it(
    plan: Plan, whole: tuple[Plan, list[float]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    bad, truths, count = {3}, train_module._truths, itertools.count(1)

    def spoilt(parts: Inpainter, batch: Any) -> torch.Tensor:
        return truths(parts, batch) * (math.nan if next(count) in bad else 1)

    monkeypatch.setattr(train_module, "_truths", spoilt)
    once = replace(plan, out=plan.out / "astray", steps=6)
    losses = train(once)
    assert len(losses) == 5 and losses[:2] == pytest.approx(whole[1][:2], rel=1e-6) and np.isfinite(losses).all()
    assert "step 3 is left out" in capsys.readouterr().out
    assert all(tensor.isfinite().all() for tensor in unet(once.out).values())
    bad |= set(range(7, 60))
    with pytest.raises(TurnaroundError, match=r"10 steps in a row were not finite.*lower --rate"):
        train(replace(once, steps=40))
    assert torch.load(once.out / "state.pt", weights_only=True)["step"] == 6, "what was good is still there"


def test_gradients_that_overflow_are_left_out_too_and_only_many_in_a_row_end_it(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
):
    load, count = train_module.load_inpainter, itertools.count(1)
    bad = {*range(2, 11), *range(12, 21)}  # nine, a good one, and nine more

    def overflowing(*given: Any) -> Inpainter:
        parts = load(*given)
        weight = parts.unet.conv_in.weight.requires_grad_(True)
        weight.register_hook(lambda gradient: gradient * (math.inf if next(count) in bad else 1))
        return parts

    monkeypatch.setattr(train_module, "load_inpainter", overflowing)
    over = replace(plan, out=plan.out / "overflowing", steps=21)
    losses = train(over)
    assert len(losses) == 3 and np.isfinite(losses).all()
    assert all(tensor.isfinite().all() for tensor in unet(over.out).values())


def test_as_many_pairs_as_asked_for_are_learned_without_being_shown_what_is_there(plan: Plan):
    for share in (0.0, 0.1, 1.0):
        kept = drawn(replace(plan, drop=share), range(2000), (1,))[2]
        assert (~kept).float().mean() == pytest.approx(share, abs=0.02)


def test_the_average_of_the_steps_becomes_the_model(whole: tuple[Plan, list[float]]):
    state = torch.load(whole[0].out / "state.pt", weights_only=True)
    made = loaded(whole[0].out / "model").unet
    for (name, tensor), average in zip(made.named_parameters(), state["average"]["shadow_params"], strict=True):
        assert tensor.equal(average.half().float()), name
    assert not made.state_dict()["conv_in.weight"].equal(state["unet"]["conv_in.weight"].half().float())


def test_killed_while_it_learns_it_comes_to_the_same_weights(plan: Plan, whole: tuple[Plan, list[float]]):
    """From a base as diffusers saves it today, whose files have other names."""
    base = plan.models.parent / "as saved today"
    shutil.copytree(plan.base or "", base)
    tiny.as_saved_today(base)
    killed = replace(plan, out=plan.out / "killed", base=base, every=2)
    with learning(killed) as process:
        assert process.stdout and any(line.startswith("step 4:") for line in process.stdout)
        process.kill()
    step = torch.load(killed.out / "state.pt", weights_only=True)["step"]
    assert 2 <= step < 12
    assert train(killed) == pytest.approx(whole[1][step:], rel=1e-5)
    assert torch.load(killed.out / "state.pt", weights_only=True)["pairs"] == 24
    one, other = unet(whole[0].out), unet(killed.out)
    assert one.keys() == other.keys() and all(tensor.equal(other[name]) for name, tensor in one.items())
    assert loaded(killed.out / "model").fine_tuned


def learning(plan: Plan) -> "subprocess.Popen[str]":
    asked = {each.name: getattr(plan, each.name) for each in fields(Plan) if each.name not in ("models", "lpips")}
    command = [sys.executable, "-m", "pipelines.invs.train", str(plan.models)]
    return subprocess.Popen(
        [*command, *(f"--{name}={value}" for name, value in asked.items())],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )


def test_a_network_may_tell_the_depth_of_half_of_the_views(
    plan: Plan, whole: tuple[Plan, list[float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tiny.depth_anything(tmp_path / DEPTH_ANYTHING.first.repository)
    monkeypatch.setenv("TURNAROUND_WEIGHTS", str(tmp_path))
    network = load_depth(weights.needed(DEPTH_ANYTHING), False, CPU)
    true, told = (Pairs(models_in(plan.models), 64, 0, network=each) for each in (None, network))
    both = [(true[i], told[i]) for i in range(5)]
    same = [np.array_equal(one.partial.rgba, other.partial.rgba) for one, other in both]
    assert any(same) and not all(same) and all(np.array_equal(one.truth, other.truth) for one, other in both)
    (loss,) = train(replace(plan, out=tmp_path / "out", depth="depth-anything", steps=1))
    assert math.isfinite(loss) and loss != pytest.approx(whole[1][0], rel=1e-6)


def test_killed_before_its_last_model_was_written_it_writes_it_when_started_again(plan: Plan):
    killed = replace(plan, out=plan.out / "unpublished", steps=2, judged=1)
    train(replace(killed, steps=1))
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
        ({"depth": "guessed"}, "--depth is guessed; it must be one of: rendered, zoedepth, depth-anything"),
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
    with pytest.raises(TurnaroundError, match=r"^None of these 3D models can be read: cut\.glb\. "):
        train(replace(plan, models=tmp_path, out=tmp_path / "out", workers=1))


def test_damaged_models_to_judge_by_are_told_before_anything_is_learned(plan: Plan, tmp_path: Path):
    whole = (plan.models / "0.glb").read_bytes()
    for i in range(12):
        (tmp_path / f"{i}.glb").write_bytes(whole)
    _, judge_by = parted(models_in(tmp_path), tmp_path)
    assert 0 < len(judge_by) < 12
    for file in judge_by:
        file.write_bytes(whole[:300])
    with pytest.raises(TurnaroundError, match=r"in 10 is held out, to judge by\. None of these .* read: \d+\.glb"):
        train(replace(plan, models=tmp_path, out=tmp_path / "out"))
    assert not (tmp_path / "out" / "state.pt").exists()


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
    asked = {"out": out, "base": plan.base, "steps": steps, "batch": 1, "rate": plan.rate, "drop": plan.drop}
    asked |= {"judged": 0, "workers": 0}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.invs.two_processes", str(plan.models), *(f"--{n}={v}" for n, v in asked.items())],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env=os.environ | {"ACCELERATE_USE_CPU": "true"},
    )
    assert ran.returncode == 0, ran.stderr
    return unet(out), ran.stdout


def test_processes_share_out_the_pairs_and_go_on_where_others_were():
    alone = shares(0, steps=5, batch=2, rank=0, ranks=1)
    first, second = (shares(10, steps=2, batch=2, rank=rank, ranks=2) for rank in (0, 1))
    together = [number for each in zip(first, second, strict=True) for share in each for number in share]
    assert [number for share in alone for number in share] + together == [*range(18)]


def test_the_most_noise_is_drawn_more_often_by_the_bias():
    """specs/invs.md, 11.8: the density at the end is 1 + bias times that at the beginning."""
    uniform = (torch.arange(200_000) + 0.5) / 200_000
    for bias in (0.0, 1.0, 3.0):
        counts = torch.bincount(biased_times(uniform, bias, 1000), minlength=1000).double()
        expected = 1 + bias * (torch.arange(1000) + 0.5) / 1000
        expected *= 200_000 / expected.sum()
        assert (counts - expected).abs().max() <= 2  # each a bin's own share, to the rounding


def test_it_is_judged_by_what_it_makes_of_soft_masks_as_it_learned_from_them(plan: Plan):
    assert plan.base
    parts, pair = replace(loaded(plan.base), fine_tuned=True), Pairs(models_in(plan.models), tiny.SIDE_PX, seed=0)[0]
    made = [
        on_white(composed(pair.partial, opaque(developed(parts, latents)[0]))[0])
        for soft in (True, False)
        for latents in [draw(parts, shown(parts, [pair.partial], soft), Sampling(STEPS, GUIDANCE, "", soft), [3])]
    ]
    assert np.array_equal(_painted(parts, pair, 3), made[0]) and not np.array_equal(made[0], made[1])


def test_likeness_is_of_the_object_and_not_of_the_white_around_it(plan: Plan):
    pair = Pairs(models_in(plan.models), 64, seed=0)[0]
    assert likeness(pair.truth, pair)[1] == pytest.approx(1)
    spoilt = pair.truth.copy()
    spoilt[pair.inside] = 255 - spoilt[pair.inside]
    far = pair.truth.copy()
    far[:2, :2] = 0
    assert likeness(spoilt, pair)[0] < 15 < 60 < likeness(far, pair)[0]
