"""The whole of Shap-E, from photo to views, with tiny real networks."""

import re
import shutil
import threading
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.cameras import View, orbit
from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.core.mesh import glb_bytes, load_mesh
from pipelines.runtime.devices import Machine, this_machine
from pipelines.runtime.method import Report, Request, Turnaround, options_from
from pipelines.runtime.pace import units_of
from pipelines.shap_e import ShapE, sampling
from pipelines.shap_e.method import PHOTO_FILL, Options
from tests.toy_methods import a_subject

QUICK = Options(steps=4, grid=40)
REQUEST = Request(a_subject(192), orbit(4, 10), seed=7, options=QUICK, size_px=96)
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
GPU = Machine(16, 64 * 10**9, 10**12, "NVIDIA H100 80GB HBM3", 80 * 10**9)


@pytest.fixture(scope="module")
def made(here: None) -> Turnaround:
    return ShapE()(REQUEST, Report())


@pytest.fixture(scope="module")
def another(here: None) -> Turnaround:
    return ShapE()(replace(REQUEST, seed=8), Report())


def same_frames(a: Turnaround, b: Turnaround) -> bool:
    return all(np.array_equal(one.rgba, other.rgba) for one, other in zip(a.frames, b.frames, strict=True))


def test_it_renders_the_views_and_gives_the_mesh(made: Turnaround):
    assert [frame.view for frame in made.frames] == list(REQUEST.views) and all(frame.exact for frame in made.frames)
    assert made.mesh is not None and made.mesh.colors is not None and len(made.mesh.faces) > 1000
    for frame in made.frames:
        assert frame.rgba.shape == (96, 96, 4) and frame.depth is not None and frame.normals is not None
        rows, columns = (np.flatnonzero((frame.rgba[..., 3] > 127).any(axis)) for axis in (1, 0))
        assert max(np.ptp(rows), np.ptp(columns)) / 96 == pytest.approx(0.8, abs=0.06), "not as large as the photo's"
    assert made.provenance and made.provenance.weights == {"openai/shap-e-img2img": "local"}
    assert {"load", "encode", "denoise", "mesh", "face", "render"} - set(made.stage_seconds) <= {"load"}


def test_the_photo_is_shown_to_the_network_on_white(here: None, monkeypatch: pytest.MonkeyPatch):
    shown, see = list[Any](), sampling.see
    monkeypatch.setattr(sampling, "see", lambda parts, picture: shown.append(picture) or see(parts, picture))
    ShapE()(REQUEST, Report())
    assert (shown[0][[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    rows, _ = np.nonzero(shown[0].min(axis=-1) < 128)
    assert np.ptp(rows) + 1 == pytest.approx(PHOTO_FILL * len(shown[0]), abs=1.5)


def test_the_bright_side_is_where_the_photo_has_it(made: Turnaround):
    """The photo is brighter on its right; the tiny network's ball, somewhere."""
    front = made.frames[0].rgba.astype(float)
    inside = front[..., 3] > 200
    left, right = (front[:, half][inside[:, half]][:, :3].mean() for half in (np.s_[:48], np.s_[48:]))
    assert right > 1.5 * left


def test_its_notes_say_how_it_was_turned_and_how_sure_that_is(made: Turnaround):
    assert re.search(r"to match the photo; the silhouettes agree to 0\.[89]\d \(\w+ confidence\)", made.notes[0])
    assert any("differ" in note for note in made.notes) and all(note.endswith(".") for note in made.notes)


def test_a_seed_is_an_object_from_wherever_it_is_shown(made: Turnaround, another: Turnaround):
    again = ShapE()(replace(REQUEST, views=(View(33, -5), REQUEST.views[0])), Report())
    assert np.array_equal(again.frames[1].rgba, made.frames[0].rgba)
    assert made.mesh and again.mesh and another.mesh
    assert np.array_equal(made.mesh.vertices, again.mesh.vertices)
    assert made.mesh.vertices.shape != another.mesh.vertices.shape or not np.allclose(
        made.mesh.vertices, another.mesh.vertices
    )


def test_what_no_frame_can_hold_is_said(made: Turnaround):
    assert not any("cut off" in note for note in made.notes)
    near = ShapE()(replace(REQUEST, views=(View(0, 10), View(90, 10, 0.6))), Report())
    assert any(re.match(r"One view of 2 cannot hold .* cut off there.*further away", note) for note in near.notes)


def test_the_exported_model_has_the_colours_that_the_views_show(made: Turnaround):
    assert made.mesh is not None
    again = load_mesh(glb_bytes(made.mesh))
    assert again.colors is not None and made.mesh.colors is not None
    assert np.array_equal(again.colors, made.mesh.colors)
    assert np.ptp(again.colors, axis=0).max() > 150


def test_two_at_once_do_not_disturb_each_other(made: Turnaround, another: Turnaround):
    start, results = threading.Barrier(2), dict[int, Turnaround]()

    def work(seed: int) -> None:
        start.wait()
        results[seed] = ShapE()(replace(REQUEST, seed=seed), Report())

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (7, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for alone, seed in ((made, 7), (another, 8)):
        assert same_frames(alone, results[seed])


def test_progress_grows_step_by_step_with_glimpses():
    told: list[tuple[float, str, Any]] = []
    ShapE()(replace(REQUEST, options=replace(QUICK, steps=12)), Report(lambda *each: told.append(each)))
    shares = [share for share, _, _ in told]
    assert shares == sorted(shares) and shares[-1] == 1
    thinking = [entry for entry in told if "step" in entry[1]]
    assert len({share for share, _, _ in thinking}) == 23 and thinking[-1][1].endswith("step 12 of 12")
    glimpses = [preview for _, _, preview in thinking if preview is not None]
    assert len(glimpses) == 8
    for glimpse in glimpses:
        assert glimpse.dtype == np.uint8 and glimpse.shape == (160, 160, 4) and (glimpse[..., 3] > 127).any()


@pytest.mark.parametrize("part", ["Looking", "step 1", "step 3", "surface", "match", "Rendering", "View 1"])
def test_it_stops_wherever_it_is(part: str):
    cancelled, heard = threading.Event(), [""]

    def sink(share: float, message: str, preview: Any) -> None:
        assert not cancelled.is_set(), "it went on after being told to stop"
        heard[0] = message
        if part in message:
            cancelled.set()

    with pytest.raises(Cancelled):
        ShapE()(REQUEST, Report(sink, cancelled))
    assert part in heard[0]


def test_options_work_at_their_bounds_and_a_finer_grid_makes_a_finer_mesh():
    coarse, fine = (
        ShapE()(replace(REQUEST, views=(View(),), options=options), Report()).mesh
        for options in (Options(4, 1.0, 32), Options(128, 10.0, 96))
    )
    assert coarse and fine and len(fine.faces) > 7 * len(coarse.faces)
    assert np.isfinite(coarse.vertices).all() and np.isfinite(fine.vertices).all()


def test_options_beyond_their_bounds_are_refused():
    for spec in fields(Options):
        for value in (spec.metadata["minimum"] - 1, spec.metadata["maximum"] + 1):
            with pytest.raises(TurnaroundError, match="between"):
                options_from(Options, {spec.name: value})


def test_mains_pickled_renderer_makes_the_same_object(
    made: Turnaround, repositories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The very numbers of the pickle-free file, in a pickle."""
    import torch
    from safetensors.torch import load_file

    copy = shutil.copytree(repositories, tmp_path / "weights") / "openai/shap-e-img2img/shap_e_renderer"
    safe = copy / "diffusion_pytorch_model.fp16.safetensors"
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in load_file(safe).items()}
    torch.save(tensors, copy / "diffusion_pytorch_model.bin")
    safe.unlink()
    monkeypatch.setenv("TURNAROUND_WEIGHTS", str(tmp_path / "weights"))
    assert same_frames(made, ShapE()(REQUEST, Report()))


def test_a_network_gone_wrong_is_a_sentence(repositories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Not-a-number in the transformer, as half precision may come to."""
    from safetensors.torch import load_file, save_file

    weights = shutil.copytree(repositories, tmp_path / "weights")
    prior = weights / "openai/shap-e-img2img/prior/diffusion_pytorch_model.fp16.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(prior).items()}
    tensors["proj_to_clip_embeddings.bias"].fill_(float("nan"))
    save_file(tensors, prior)
    monkeypatch.setenv("TURNAROUND_WEIGHTS", str(weights))
    with pytest.raises(TurnaroundError, match=r"finite.*another seed"):
        ShapE()(REQUEST, Report())


def test_estimates_grow_with_the_work_and_know_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    method, plain = ShapE(), replace(REQUEST, options=None)
    here = method.estimate(plain, GPU)
    assert here.download_bytes == 0 and 2e9 < here.memory_bytes < 4e9 and 1 < here.seconds < 60
    for more in ({"steps": 128}, {"grid": 192}):
        assert method.estimate(replace(plain, options=Options(**more)), GPU).seconds > here.seconds
    assert method.estimate(replace(plain, views=orbit(40)), GPU).seconds > here.seconds
    cpu = Machine(4, 16 * 10**9, 10**12)
    assert 300 < method.estimate(plain, cpu).seconds < 3000
    quick = method.estimate(replace(plain, options=Options(steps=16)), cpu).seconds
    assert quick < 0.3 * method.estimate(plain, cpu).seconds
    assert units_of(method, plain, GPU)[0] == pytest.approx(127 * 2 + 3)
    monkeypatch.setenv("TURNAROUND_WEIGHTS", str(tmp_path))
    assert 1.6e9 < method.estimate(plain, GPU).download_bytes < 1.8e9


def test_it_says_why_a_small_machine_will_not_do():
    assert not ShapE().blockers(GPU) and not ShapE().blockers(this_machine(Path()))
    (reason,) = ShapE().blockers(Machine(2, 2 * 10**9, 10**12))
    assert "GB" in reason and reason.endswith(".")


def test_importing_it_loads_no_torch():
    import subprocess
    import sys

    code = "import sys, pipelines.shap_e; print({'torch', 'diffusers', 'transformers', 'skimage'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == "set()", done.stderr


def test_where_memory_is_short_it_works_in_smaller_pieces_and_says_so(made: Turnaround):
    """torch's own error, from within the real networks, whenever they are given more than so much at once."""
    import torch
    from diffusers.models.transformers.prior_transformer import PriorTransformer
    from torch.nn.modules.module import register_module_forward_pre_hook

    refused: list[str] = []

    def short_of_memory(module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        points = isinstance(module, torch.nn.Linear) and module.in_features == 93 and inputs[0].shape[1]
        if isinstance(module, PriorTransformer) and inputs[0].shape[0] > 1:
            refused.append("halves")
        elif points and points > 5000:
            refused.append("points")
        else:
            return
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    hook, shares = register_module_forward_pre_hook(short_of_memory), list[float]()
    try:
        thrifty = ShapE()(REQUEST, Report(lambda share, *_: shares.append(share)))
    finally:
        hook.remove()
    assert {"halves", "points"} <= set(refused) and shares == sorted(shares)
    assert "Memory was short, so the object was made in smaller pieces: slower, but the same." in thrifty.notes
    assert not any("views were" in note for note in thrifty.notes)
    # The same object; a rounding may turn this one, which is nearly a ball, to another side that fits as well.
    assert made.mesh and thrifty.mesh and made.mesh.colors is not None and thrifty.mesh.colors is not None
    assert len(thrifty.mesh.faces) == pytest.approx(len(made.mesh.faces), rel=0.01)
    assert np.allclose(np.quantile(thrifty.mesh.colors, SHARES, 0), np.quantile(made.mesh.colors, SHARES, 0), atol=2)
