"""Fine-tune an inpainter for iNVS, from 3D models: `python -m pipelines.invs.train MODELS --out FOLDER`.

MODELS is a folder of GLB, OBJ or PLY files. What comes out is `FOLDER/model`, laid out as any inpainter, which the
method takes by its path (TURNAROUND_SOURCES) or out of the folder of weights. Ended or killed, the same command goes on
where it was. On several GPUs or machines: `accelerate launch -m pipelines.invs.train ...`.

The recipe is ours (specs/invs.md, section 8), after what the paper's authors say in their talk: the whole UNet learns,
masks are soft, and noise is drawn with a bias towards much of it, where the object's boundary appears.
"""

import argparse
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.core.errors import TurnaroundError
from pipelines.invs.inpainting import nine_channels, shown
from pipelines.invs.judging import judge, table_file
from pipelines.invs.keeping import MODEL, is_published, keep, restored, save_model, sweep
from pipelines.invs.loading import DepthNetwork, Inpainter, load_depth, load_inpainter
from pipelines.invs.pairs import HELD_OUT, Pair, Pairs, models_in, parted
from pipelines.invs.perceptual import HOW, load_perceptual
from pipelines.invs.sources import DEPTH_ANYTHING, INPAINTER, ZOEDEPTH
from pipelines.runtime import by_hand, weights
from pipelines.runtime.devices import usable_cores
from pipelines.runtime.engine import in_words
from pipelines.runtime.report import Report
from pipelines.runtime.residency import Place
from pipelines.runtime.weights import Fetched, Weights

if TYPE_CHECKING:
    from torch import Tensor

BINS_DEG = ((5.0, 30.0), (30.0, 60.0), (60.0, 90.0), (90.0, 180.0))
PRECISIONS = ("no", "bf16")
RENDERED, ZOE = "rendered", "zoedepth"
NETWORKS = {ZOE: ZOEDEPTH, "depth-anything": DEPTH_ANYTHING}
LONGEST_GRADIENT = 1.0
MOST_ASTRAY = 10  # steps in a row whose numbers are none
TOLD_S = 30.0  # between two lines
MUCH_WAITING = 0.2  # of the time
MOST_WORKERS = 16
PATIENCE = timedelta(hours=6)  # of processes for the one that judges


def usual_workers() -> int:
    """A pair of 512 px takes a core 0.3 s (EPYC, over four models)."""
    processes = os.environ.get("LOCAL_WORLD_SIZE", "")  # of this machine, as accelerate starts them
    return max(1, min(MOST_WORKERS, usable_cores() // max(1, int(processes) if processes.isdigit() else 1)))


@dataclass(frozen=True)
class Plan:
    models: Path
    out: Path
    base: Path | None = None
    """An inpainter's folder; the method's own, fetched if need be, when none is named."""
    steps: int = 100_000
    batch: int = 16
    """Pairs a step and process."""
    rate: float = 2e-5
    decay: float = 0.9999
    """Of the average that is kept."""
    bias: float = 1.0
    """How much more often the most noise is drawn than the least: 1 is twice as often, 0 alike."""
    drop: float = 0.1
    """Of the pairs are learned without being shown what is there, for guidance."""
    depth: str = RENDERED
    """Of the source views: how it is, at times with noise, or at times as a network tells it."""
    every: int = 1000
    """Steps after which the state is kept and the model judged."""
    judged: int = 2
    """Pairs of each range of turns."""
    lpips: Path | None = None
    """The weights of LPIPS, for a column of it."""
    seed: int = 0
    workers: int = usual_workers()
    precision: str = "no"
    """"bf16" on GPUs that have it."""


def train(plan: Plan) -> list[float]:
    """Each step's loss, over all processes; of those whose numbers were any."""
    import torch
    from accelerate import Accelerator, InitProcessGroupKwargs
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    from diffusers.training_utils import EMAModel

    # What cannot be is told before anything is fetched or loaded
    _check(plan)
    learn_from, judge_by = parted(models_in(plan.models), plan.models)
    helper = Accelerator(mixed_precision=plan.precision, kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)])
    rank, ranks = helper.process_index, helper.num_processes
    device = torch.device("cpu") if helper.device.type == "cpu" else helper.device  # safetensors knows no "cpu:1"
    place = Place(device, torch.float32, "training")
    if helper.is_main_process:
        sweep(plan.out)
    base = _base(plan)
    parts = load_inpainter(base, place)
    unet = parts.unet.requires_grad_(True).train()
    if place.device.type == "cuda":
        unet.enable_gradient_checkpointing()
    average = EMAModel(unet.parameters(), decay=plan.decay)  # less at first: (1 + step) / (10 + step)
    optimizer: Any = torch.optim.AdamW(unet.parameters(), lr=plan.rate)
    begun, learned = restored(plan.out, unet, optimizer, average, place, ranks * plan.batch)
    average.decay = plan.decay  # as it is asked for now
    for group in optimizer.param_groups:
        group["lr"] = plan.rate
    others = helper.gather(torch.tensor([begun], device=place.device))
    if int(others.min()) != int(others.max()):  # pyright: ignore[reportAttributeAccessIssue]
        raise TurnaroundError(f"{plan.out} is not the same folder on all machines: some have its state, some not.")
    learning, optimizer = helper.prepare(unet, optimizer)
    judges = plan.lpips if helper.is_main_process else None
    perceptual = load_perceptual(judges, place) if judges else None  # a wrong file is told now
    scheduler: Any = DDPMScheduler.from_config(parts.scheduler)
    nothing = parts.told("").clone()  # of no inference: gradients pass it by
    network = _network(plan, place)
    pairs = Pairs(learn_from, parts.side_px, plan.seed, network=network)
    ranges = [Pairs(judge_by, parts.side_px, plan.seed + 1, turns_deg, network) for turns_deg in BINS_DEG]
    # That there is none is told here, not by a worker or after many steps
    pairs.some_model(np.random.default_rng(plan.seed))
    try:
        ranges[0].some_model(np.random.default_rng(plan.seed))
    except TurnaroundError as problem:
        raise TurnaroundError(f"One model in {HELD_OUT} is held out, to judge by. {problem}") from None
    whose = "models it learned from" if set(judge_by) <= set(learn_from) else "held-out models"

    def publish(step: int) -> None:
        """The model as it is on average, and how good that is."""
        average.store(unet.parameters())
        average.copy_to(unet.parameters())
        unet.eval()
        table_file(plan.out, step).unlink(missing_ok=True)  # an earlier training's
        save_model(parts, base, plan.out, step)
        if plan.judged:
            judge(replace(parts, fine_tuned=True), ranges, plan.judged, whose, plan.out, step, perceptual)
        unet.train()
        average.restore(unet.parameters())

    tell = print if helper.is_main_process else _silent
    tell(
        f"{ranks} x {plan.batch} pairs a step, from step {begun} to {plan.steps}; "
        f"{len(learn_from)} models to learn from, judged by {len(judge_by)} {whose}",
        flush=True,
    )
    if helper.is_main_process and begun:
        judged = not plan.judged or table_file(plan.out, begun).exists()
        if not (judged and is_published(plan.out, base, begun)):
            publish(begun)  # it was ended between keeping its state and this
    losses, astray, waited_s = list[float](), 0, 0.0
    start = told_at = ready_at = time.monotonic()
    batches = _batches(pairs, shares(learned, plan.steps - begun, plan.batch, rank, ranks), plan)
    for done, (numbers, batch) in enumerate(batches, begun + 1):
        waited_s += time.monotonic() - ready_at
        # 1. A step towards the truth
        loss = _loss(learning, parts, scheduler, nothing, plan, numbers, batch)
        helper.backward(loss)
        length: Any = helper.clip_grad_norm_(learning.parameters(), LONGEST_GRADIENT)
        mean = float(helper.gather(loss.detach()).mean())  # pyright: ignore[reportAttributeAccessIssue]
        if math.isfinite(mean) and math.isfinite(float(length)):
            optimizer.step()
            average.step(unet.parameters())
            losses.append(mean)
            astray = 0
        else:  # left out by all processes alike
            astray += 1
            tell(f"step {done} is left out: its numbers are not finite", flush=True)
        optimizer.zero_grad(set_to_none=True)
        if astray == MOST_ASTRAY:
            raise TurnaroundError(
                f"The numbers of {MOST_ASTRAY} steps in a row were not finite, and nothing was learned of these. Start "
                "it again with a lower --rate; if that does not help, its state or what it began with is damaged."
            )
        # 2. From time to time it is told, kept and judged
        at_rest, now = done % plan.every == 0 or done == plan.steps, time.monotonic()
        if losses and (at_rest or now - told_at >= TOLD_S):
            left_s = (now - start) / (done - begun) * (plan.steps - done)
            waited = waited_s / (now - start)
            hint = (
                f", {waited:.0%} of the time it waits for pairs, which --workers make" if waited > MUCH_WAITING else ""
            )
            told = f" ({in_words(left_s)} left{hint})" if left_s else ""
            tell(f"step {done}: loss {np.mean(losses[-plan.every :]):.4f}{told}", flush=True)
            told_at = now
        if helper.is_main_process and at_rest:
            keep(plan.out, done, learned + (done - begun) * ranks * plan.batch, unet, optimizer, average)
            publish(done)
        ready_at = time.monotonic()
    helper.wait_for_everyone()
    if begun >= plan.steps:
        tell(f"It was at step {begun} already: a greater --steps lets it learn more.", flush=True)
    named = f"{INPAINTER.first.repository}={(plan.out / MODEL).resolve()}"
    tell(f'The page and the command line take it with TURNAROUND_SOURCES="{named}".', flush=True)
    return losses


def _loss(
    learning: Any, parts: Inpainter, scheduler: Any, nothing: "Tensor", plan: Plan, numbers: range, batch: list[Pair]
) -> "Tensor":
    """How far the network is from telling the noise of these pairs, or what its kind tells instead."""
    import torch

    # 1. What is there, and what should be
    told, latents = shown(parts, [pair.partial for pair in batch], soft=True), _truths(parts, batch)
    # 2. How much noise, and who learns without being shown anything
    noise, when, kept = (each.to(latents.device) for each in drawn(plan, numbers, latents.shape[1:]))
    times = biased_times(when, plan.bias, scheduler.config.num_train_timesteps)
    # 3. What it says, and what is right
    beside = told.latents * kept[:, None, None, None]
    given = nine_channels(scheduler.add_noise(latents, noise, times), told.masks, beside)
    guess = learning(given, times, encoder_hidden_states=nothing.expand(len(batch), -1, -1)).sample
    by_velocity = scheduler.config.prediction_type == "v_prediction"
    right = scheduler.get_velocity(latents, noise, times) if by_velocity else noise
    return torch.nn.functional.mse_loss(guess.float(), right)


def _silent(*_: object, flush: bool) -> None:
    """One process speaks for all."""


def drawn(plan: Plan, numbers: Sequence[int], shape: Sequence[int]) -> "tuple[Tensor, Tensor, Tensor]":
    """Of each pair its own, whoever learns it: noise [N, *shape], from 0 to 1 how much of it [N], and whether what is
    there is shown [N].
    """
    import torch

    chances = [torch.Generator().manual_seed(_seed(plan.seed, number)) for number in numbers]
    noise = torch.stack([torch.randn(tuple(shape), generator=chance) for chance in chances])
    when, whether = torch.stack([torch.rand(2, generator=chance) for chance in chances]).T
    return noise, when, whether >= plan.drop


def biased_times(uniform: "Tensor", bias: float, count: int) -> "Tensor":
    """Of `count` times, 0 the least noise, so that density grows with the time as 1 + bias x time / count."""
    share = uniform if bias == 0 else (-1 + (1 + uniform * ((1 + bias) ** 2 - 1)).sqrt()) / bias
    return (share * count).long().clamp(0, count - 1)


def _check(plan: Plan) -> None:
    """What cannot be is told in a sentence, and at once."""
    least = {"steps": 1, "batch": 1, "every": 1, "judged": 0, "seed": 0, "workers": 0, "bias": 0.0, "drop": 0.0}
    for name, bound in least.items():
        if not bound <= getattr(plan, name) < math.inf:
            raise TurnaroundError(f"--{name} is {getattr(plan, name)}; it must be {bound:g} or more.")
    if not 0 < plan.rate < math.inf:
        raise TurnaroundError(f"--rate is {plan.rate}; it must be more than 0.")
    for name in ("drop", "decay"):
        if not 0 <= getattr(plan, name) <= 1:
            raise TurnaroundError(f"--{name} is {getattr(plan, name)}; it must be between 0 and 1.")
    for name, known in (("precision", PRECISIONS), ("depth", (RENDERED, *NETWORKS))):
        if getattr(plan, name) not in known:
            raise TurnaroundError(f"--{name} is {getattr(plan, name)}; it must be one of: {', '.join(known)}.")
    if plan.lpips and not plan.lpips.is_file():
        raise TurnaroundError(f"There is no file {plan.lpips} with the weights of LPIPS.")
    for folder in filter(None, (plan.models, plan.base)):
        if not folder.is_dir():
            raise TurnaroundError(f"There is no folder {folder}.")
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise TurnaroundError(f"{plan.out} cannot be made ({problem.strerror}). Name another folder.") from None
    if not os.access(plan.out, os.W_OK):
        raise TurnaroundError(f"Nothing can be written into {plan.out}. Name another folder.")


# --- What it learns from ----------------------------------------------------------------------------------------------


def _base(plan: Plan) -> Fetched:
    if not plan.base:
        return _fetched(INPAINTER)
    base = weights.in_folder(INPAINTER.first, plan.base)
    if flaw := by_hand.flaw(base.folder, base.source.files):
        raise TurnaroundError(f"{plan.base} is not an inpainter's folder: {flaw}. Name another --base, or none.")
    return base


def _fetched(needed: Weights) -> Fetched:
    return weights.fetch(needed, Report(lambda share, message, preview: print(f"\r{message}", end="", flush=True)))


def _network(plan: Plan, place: Place) -> DepthNetwork | None:
    import torch

    if plan.depth == RENDERED:
        return None
    # Workers are forks of this process, in which its GPU does not work
    where = replace(place, device=torch.device("cpu")) if plan.workers else place
    return load_depth(_fetched(NETWORKS[plan.depth]), plan.depth == ZOE, where)


def shares(learned: int, steps: int, batch: int, rank: int, ranks: int) -> list[range]:
    """The numbers of each step's pairs that are this process's: those of a step follow one another, then the next's."""
    first = (learned + (step * ranks + rank) * batch for step in range(steps))
    return [range(number, number + batch) for number in first]


def _batches(pairs: Pairs, numbers: list[range], plan: Plan) -> Iterator[tuple[range, list[Pair]]]:
    from torch.utils.data import DataLoader

    loader: Any = DataLoader(
        pairs,  # pyright: ignore[reportArgumentType] - whatever has numbers will do
        batch_sampler=numbers,  # pyright: ignore[reportArgumentType] - a range is as good as a list
        num_workers=plan.workers,
        collate_fn=list,
    )
    yield from zip(numbers, loader, strict=True)


def _truths(parts: Inpainter, batch: list[Pair]) -> "Tensor":
    import torch

    pictures = torch.from_numpy(np.stack([pair.truth for pair in batch])).to(parts.place.device)
    with torch.no_grad():
        encoded = parts.vae.encode(pictures.permute(0, 3, 1, 2).float() / 127.5 - 1).latent_dist.mode()
    return encoded * parts.vae.config["scaling_factor"]


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


# --- The command line -------------------------------------------------------------------------------------------------


HELP = {
    "out": "the folder for what comes of it; named again, it goes on there",
    "base": "the folder of the inpainter it begins with; if none, the method's own, fetched if need be",
    "lpips": "the weights of LPIPS, for a column of it in the tables; " + HOW,
    "steps": "of training",
    "batch": "pairs of views a step and process",
    "rate": "of learning",
    "decay": "of the average that becomes the model",
    "bias": "how much more often the most noise is drawn than the least: 1 is twice as often, 0 alike",
    "drop": "share of the pairs that are learned without being shown what is there, for guidance",
    "depth": f"of the source views: {RENDERED} is how it is, with noise in half of them; with {' or '.join(NETWORKS)}, "
    "that network tells it in that half, on the processor where there are workers",
    "every": "steps after which the state is kept and the model judged",
    "judged": "pairs of each range of turns that it is judged by",
    "seed": "of the pairs and the noise",
    "workers": "processes that make pairs; if none is named, as many as there are cores for each process of training, "
    "up to 16",
    "precision": f"{' or '.join(PRECISIONS)}; bf16 on GPUs that have it",
}


def main() -> None:
    described = (__doc__ or "").partition("\n\nThe recipe")[0]
    parser = argparse.ArgumentParser(prog="python -m pipelines.invs.train", description=described)
    parser.add_argument("models", type=Path, help="a folder of 3D models")
    kinds = {"out": Path, "base": Path, "lpips": Path}
    for each in fields(Plan):
        if each.name in HELP:
            kind, default = kinds.get(each.name, type(each.default)), each.default
            asked: dict[str, Any] = {"required": True} if each.name == "out" else {"default": default}
            usual = "" if kind is Path else f" (default: {default})"
            parser.add_argument(f"--{each.name}", type=kind, help=HELP[each.name] + usual, **asked)
    try:
        train(Plan(**vars(parser.parse_args())))
    except TurnaroundError as problem:
        raise SystemExit(str(problem)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # as shells say it; the same command goes on


if __name__ == "__main__":
    main()
