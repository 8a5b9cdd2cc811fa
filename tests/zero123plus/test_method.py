"""The method as a visitor meets it: six fixed views, whatever was asked."""

import dataclasses
import json
import math
import pickle
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.cameras import View, orbit, photo_distance
from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.core.mask import contour_box, longest_side
from pipelines.runtime.devices import Machine, this_machine
from pipelines.runtime.method import Report, Request, Turnaround, options_from
from pipelines.runtime.pace import Pace
from pipelines.runtime.results import write_turnaround
from pipelines.zero123plus import Zero123Plus
from pipelines.zero123plus.cameras import fixed_views
from pipelines.zero123plus.method import Options
from pipelines.zero123plus.sources import WEIGHTS
from tests.toy_methods import a_subject

SUBJECT = a_subject(192)
STEPS = 5  # fewer than anyone may ask for
GB = 10**9
ON_GPU = Machine(16, 128 * GB, 100 * GB, "NVIDIA H100", 80 * GB)
ON_CPU = Machine(16, 128 * GB, 100 * GB)


def asked(*views: View, size_px: int = 96, seed: int = 7, subject: Any = SUBJECT, **options: Any) -> Request:
    chosen = Options(**{"steps": STEPS, **options})
    return Request(subject, views or (View(0, 0),), seed, chosen, size_px)


def run(*views: View, report: Report | None = None, **told: Any) -> Turnaround:
    return Zero123Plus()(asked(*views, **told), report or Report())


def pictures(made: Turnaround) -> list[bytes]:
    return [frame.rgba.tobytes() for frame in made.frames]


@pytest.fixture(scope="module")
def usual(weights_folder: Path) -> Turnaround:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TURNAROUND_WEIGHTS", str(weights_folder))
        patched.setenv("TURNAROUND_DEVICE", "cpu")
        return run()


def test_six_views_come_with_their_true_angles(usual: Turnaround) -> None:
    assert tuple(frame.view for frame in usual.frames) == fixed_views("v1.2")
    for frame in usual.frames:
        assert frame.rgba.shape == (96, 96, 4) and frame.asked == View(0, 0) and not frame.exact
        assert 0.05 < (frame.rgba[..., 3] > 127).mean() < 0.95
    assert len(set(pictures(usual))) == 6
    assert usual.provenance and usual.provenance.weights == {"sudo-ai/zero123plus-v1.2": "local"}
    assert {"encode", "denoise", "decode", "cut out"} <= usual.stage_seconds.keys()


def test_a_lent_gpu_is_given_back_before_anything_is_cut_out(usual: Turnaround) -> None:
    drawn = Zero123Plus().begin(asked(), Report())
    assert all((frame.rgba[..., 3] == 255).all() for frame in drawn.frames) and "cut out" not in drawn.stage_seconds
    assert pictures(Zero123Plus().finish(drawn, asked(), Report())) == pictures(usual)


def test_whatever_was_asked_the_pictures_are_the_same_and_the_nearest_is_named(usual: Turnaround) -> None:
    views = orbit(8, 10)
    made = run(*views)
    assert pictures(made) == pictures(usual)
    assert [frame.asked.azimuth_deg for frame in made.frames] == [45, 90, 135, -135, -90, -45]
    assert all(frame.exact for frame in run(*fixed_views("v1.2")).frames)


def test_the_notes_say_what_was_done(usual: Turnaround) -> None:
    told = " ".join(usual.notes)
    assert "grey parts at its outline may have been cut off" in told
    for words in ("30, 90, 150, -150, -90, -30", "20 and -10", "guess", "scaled by 0.8", "320 px and resampled to 96"):
        assert words in told
    older = run(version="v1.1", size_px=320)
    told = " ".join(older.notes)
    assert "30 and -20" in told and "49 degrees" in told and "resampled" not in told and "scaled" not in told
    assert tuple(frame.view for frame in older.frames) == fixed_views("v1.1")
    assert older.provenance and older.provenance.weights == {"sudo-ai/zero123plus-v1.1": "local"}


@pytest.mark.parametrize(("version", "fov_deg"), [("v1.2", 30), ("v1.1", 49.13)])
@pytest.mark.parametrize("fill", [0.8, 0.5])
def test_the_files_tell_the_lens_of_the_pictures(version: str, fov_deg: float, fill: float, tmp_path: Path) -> None:
    """That of the network, but for what the pictures are scaled by."""
    request = asked(version=version, subject=dataclasses.replace(SUBJECT, fill=fill))
    made = Zero123Plus()(request, Report())
    write_turnaround(tmp_path, made, request, Zero123Plus.card)
    cameras = json.loads((tmp_path / "cameras.json").read_text())
    told = next((note for note in made.notes if "scaled by" in note), "")
    zoom = float(told[-5:-1]) if told else fill / 0.8
    lens = math.tan(math.radians(cameras["fov_y_deg"]) / 2)
    assert lens == pytest.approx(math.tan(math.radians(fov_deg) / 2) / zoom, rel=0.01)
    if version == "v1.1":
        assert cameras["fov_y_deg"] == pytest.approx(49.13) or fill != 0.8
        assert cameras["unit_distance"] == pytest.approx(photo_distance(0.8, 49.13)), "where the network's stands"


@pytest.mark.parametrize("fill", [0.4, 0.9])
def test_the_object_is_as_large_as_in_the_photo(fill: float) -> None:
    made = run(subject=dataclasses.replace(SUBJECT, fill=fill))
    longest = max(longest_side(contour_box(frame.rgba[..., 3] / 255, 0.5)) / 96 for frame in made.frames)
    assert longest == pytest.approx(fill, abs=0.02)


def test_a_seed_means_the_same_each_time_and_leaves_torchs_own_chance_alone(usual: Turnaround) -> None:
    import torch

    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    again = run()
    assert torch.equal(before, torch.random.get_rng_state())
    assert pictures(again) == pictures(usual) != pictures(run(seed=8))
    assert pictures(pickle.loads(pickle.dumps(again))) == pictures(usual)


@pytest.mark.parametrize(
    "change",
    [
        {"subject": a_subject(192, color=(30, 90, 220))},
        {"guidance": 10.0},
        {"steps": 75, "guidance": 1.0},
        {"version": "v1.1"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_chosen_makes_a_difference_up_to_its_bounds(usual: Turnaround, change: dict[str, Any]) -> None:
    assert pictures(run(**change)) != pictures(usual)


def test_every_step_is_told_with_a_preview(usual: Turnaround) -> None:
    told: list[tuple[float, str, Any]] = []
    run(report=Report(lambda *step: told.append(step)))
    fractions = [fraction for fraction, _, _ in told]
    assert fractions == sorted(fractions) and fractions[0] >= 0 and 0.9 < fractions[-1] <= 1
    steps = [(message, preview) for _, message, preview in told if preview is not None and "step" in message]
    assert [message for message, _ in steps] == [f"Denoising, step {i} of {STEPS}" for i in range(1, STEPS + 1)]
    for _, preview in steps:
        assert preview.dtype == np.uint8 and preview.shape == (30, 20, 4)
    assert sum(message.startswith("Cutting out") and preview is not None for _, message, preview in told) == 6


@pytest.mark.parametrize("after_reports", [0, 1, 2, 3, STEPS + 2, STEPS + 6])
def test_cancelling_stops_it(after_reports: int) -> None:
    cancelled, heard = threading.Event(), 0

    def sink(fraction: float, message: str, preview: object) -> None:
        nonlocal heard
        heard += 1
        if heard > after_reports:
            cancelled.set()

    with pytest.raises(Cancelled):
        run(report=Report(sink, cancelled))
    assert heard == after_reports + 1


def test_after_a_failure_the_next_run_works(usual: Turnaround) -> None:
    class Short(Report):
        def check(self) -> None:
            super().check()
            if self.stage_seconds.get("encode"):
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(report=Short())
    assert pictures(run()) == pictures(usual)


def test_when_memory_is_short_it_decodes_in_tiles_and_says_so(
    usual: Turnaround, weights_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from torch.nn.modules.module import register_module_forward_pre_hook

    shutil.copytree(weights_folder, tmp_path / "copy")  # a model of its own: others are not to remember this
    monkeypatch.setenv("TURNAROUND_WEIGHTS", str(tmp_path / "copy"))

    def no_room(module: torch.nn.Module, inputs: Any) -> None:
        if type(module).__name__ == "Decoder" and inputs[0].shape[-2:] == (30, 20):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    hook, told = register_module_forward_pre_hook(no_room), list[tuple[float, str, Any]]()
    try:
        made = run(report=Report(lambda *step: told.append(step)))
    finally:
        hook.remove()
    shares, firsts = [share for share, _, _ in told], [p for _, message, p in told if "step 1 of" in message]
    assert shares == sorted(shares) and sum(p is not None for p in firsts) == 1, "drawn only once"
    assert len(made.frames) == 6 and any("in tiles" in note for note in made.notes)
    assert pictures(made) != pictures(usual)
    assert len(run().frames) == 6, "and the next run works"


def test_weights_that_went_away_are_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TURNAROUND_WEIGHTS", str(tmp_path / "nothing"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(TurnaroundError, match=r"Zero123\+\+ v1\.2 are not here"):
        Zero123Plus()._run(asked(), Report())
    assert Zero123Plus().estimate(asked(), ON_GPU).download_bytes == WEIGHTS["v1.2"].first.size_bytes


def test_the_version_chooses_the_weights() -> None:
    method = Zero123Plus()
    for version in WEIGHTS:
        chosen = options_from(method.Options, {"version": version})
        assert method.weights_for(chosen) == (WEIGHTS[version],)
    assert method.card.weights == (WEIGHTS["v1.2"], WEIGHTS["v1.1"])


def test_the_card_says_where_the_weights_are_pinned_and_what_they_may_be_used_for() -> None:
    card = Zero123Plus.card
    newer, older = card.weights
    assert newer.first.pinned and older.first.pinned
    assert newer.first.size_bytes == pytest.approx(5.58e9, rel=0.002)  # specs/hub.md
    assert older.first.size_bytes == pytest.approx(3.85e9, rel=0.002)
    assert {Path(file.path).suffix for file in newer.first.files} == {".json", ".txt", ".safetensors"}
    assert {Path(file.path).suffix for file in older.first.files} == {".json", ".txt", ".bin"}
    for source in (*newer.sources, *older.sources):
        assert "CC BY-NC 4.0" in source.licence and not source.gated
    assert all("tagged openrail" in source.licence for source in older.sources)
    assert all("states no licence" in source.licence for source in newer.sources)
    assert older.sources[1].revision == "6480bcb" and "tagged openrail" in card.licence
    assert "NC" in card.licence and "2310.15110" in str(card.paper) and "shi2023" in str(card.citation)
    assert card.renders == {"fixed views"} and card.fov_deg == 30


@pytest.mark.parametrize(
    "bad", [{"steps": 27}, {"steps": 76}, {"guidance": 0.9}, {"guidance": 11}, {"version": "v1.3"}, {"version": 1}]
)
def test_options_out_of_bounds_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(TurnaroundError):
        options_from(Zero123Plus.Options, bad)


def test_estimates_know_the_machine_the_steps_and_what_runs_took() -> None:
    method = Zero123Plus()
    on_gpu, on_cpu = (method.estimate(asked(steps=40), machine) for machine in (ON_GPU, ON_CPU))
    assert 10 < on_gpu.seconds < 60 < 300 < on_cpu.seconds
    assert method.estimate(asked(steps=40), dataclasses.replace(ON_CPU, cores=2)).seconds > 4 * on_cpu.seconds
    assert on_gpu.memory_bytes < 8 * GB < on_cpu.memory_bytes < 16 * GB
    assert on_gpu.download_bytes == 0, "they are here"
    known = dataclasses.replace(ON_GPU, pace={"zero123plus": Pace(0.1, 4.0, 6 * GB, 3, "NVIDIA H100, bfloat16")})
    assert method.estimate(asked(steps=40), known).seconds == pytest.approx(4 + 4.13)
    more = method.estimate(asked(*orbit(40), steps=40), known)
    assert more.seconds == pytest.approx(4 + 4.13), "six views come, whatever was asked"


def test_where_it_cannot_run_it_says_why(tmp_path: Path) -> None:
    method = Zero123Plus()
    assert method.blockers(ON_CPU) == ()
    small = method.blockers(Machine(4, 4 * GB, 100 * GB))
    assert len(small) == 1 and "GB" in small[0] and small[0].endswith(".")
    assert all(reason.endswith(".") for reason in method.blockers(this_machine(tmp_path)))
