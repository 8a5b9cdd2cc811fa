"""SV3D as a visitor meets it, with a small network of random numbers."""

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.core.backdrop import off_backdrop, reframed
from pipelines.core.cameras import View, angle_between, orbit
from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.core.ways import along
from pipelines.runtime import residency
from pipelines.runtime.devices import this_machine
from pipelines.runtime.method import Frame, Report, Request, Turnaround, options_from
from pipelines.sv3d import SV3DP, SV3DU
from pipelines.sv3d.cameras import Path as Cameras
from pipelines.sv3d.cameras import sine, through
from pipelines.sv3d.method import KEEPING_S, PHOTO_FILL
from pipelines.sv3d.sampling import camera_numbers
from tests.sv3d import tiny
from tests.toy_methods import a_subject

FRAMES, STEPS = tiny.TELLS["frames"], 5
SUBJECT = replace(a_subject(96), elevation_deg=10)


@pytest.fixture(scope="module", autouse=True)
def weights_are_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("weights")
    tiny.write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TURNAROUND_WEIGHTS", str(folder))
        patch.setenv("TURNAROUND_DATA", str(folder / "data"))
        patch.setenv("TURNAROUND_DEVICE", "cpu")
        yield
    residency.forget_idle()


def run(method: Any, *views: View, report: Report | None = None, seed: int = 0, **options: Any) -> Turnaround:
    """Without guidance there is one video only: half the work, and its cameras are the same."""
    chosen = options_from(method.Options, {"steps": 2 * STEPS, "quick": True, "guidance": 1.0} | options)
    return method(Request(SUBJECT, views, seed, chosen, size_px=64), report or Report())


def test_a_result_of_before_is_run_again_by_the_old_name_of_its_path():
    assert options_from(SV3DP.Options, {"path": "sine"}) == options_from(SV3DP.Options, {"camera_path": "sine"})
    with pytest.raises(TurnaroundError, match="no option 'was'"):
        options_from(SV3DP.Options, {"was": "path"})


def cameras(made: "Turnaround | Watched") -> list[tuple[float, float]]:
    return [(round(frame.view.azimuth_deg, 6), round(frame.view.elevation_deg, 6)) for frame in made.frames]


def expected(there: Cameras) -> list[tuple[float, float]]:
    return [(round(view.azimuth_deg, 6), round(view.elevation_deg, 6)) for view in there.views()]


@dataclass
class Watched:
    """A flight that climbs, and what the parts of the recipe were given and gave meanwhile."""

    frames: tuple[Frame, ...]
    fov_deg: float | None
    photo: NDArray[np.uint8]
    on_photo: Tensor
    encoded: Tensor
    noise: Tensor
    numbers: NDArray[np.float32]
    drawn: Tensor
    decoded: Tensor
    pictures: list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def watched() -> Watched:
    """Its networks have random numbers and know no white: all but the middle of what they draw is painted white."""
    from pipelines.sv3d import sampling

    caught, decoded, pictures = dict[str, Any](), list[Tensor](), list[NDArray[np.uint8]]()
    as_input, see, draw, decode = sampling.as_input, sampling.see, sampling.draw, sampling.decoded

    def seen(photo: NDArray[np.uint8], device: Any) -> Tensor:
        caught["photo"] = photo
        return as_input(photo, device)

    def encoded(parts: Any, picture: Tensor, on_photo: Tensor) -> Any:
        def hear(module: Any, inputs: tuple[Tensor]) -> None:
            caught["encoded"] = inputs[0] - picture

        hook = parts.vae.encoder.register_forward_pre_hook(hear)
        caught["on_photo"] = on_photo
        try:
            return see(parts, picture, on_photo)
        finally:
            hook.remove()

    def drawn(parts: Any, seen: Any, numbers: NDArray[np.float32], noise: Tensor, *rest: Any) -> Tensor:
        caught["numbers"], caught["noise"] = numbers, noise
        caught["drawn"] = draw(parts, seen, numbers, noise, *rest)
        return caught["drawn"]

    def on_white(parts: Any, latents: Tensor) -> NDArray[np.uint8]:
        made = decode(parts, latents)
        quarter = made.shape[1] // 4
        white = np.full_like(made, 255)
        white[:, quarter:-quarter, quarter:-quarter] = made[:, quarter:-quarter, quarter:-quarter]
        decoded.append(latents)
        pictures.extend(white)
        return white

    with pytest.MonkeyPatch.context() as patch:
        for name, watching in (("as_input", seen), ("see", encoded), ("draw", drawn), ("decoded", on_white)):
            patch.setattr(sampling, name, watching)
        made = run(SV3DP(), *orbit(FRAMES, 30))
    return Watched(made.frames, made.fov_deg, decoded=torch.cat(decoded), pictures=pictures, **caught)


@pytest.fixture(scope="module")
def orbit_of_p() -> tuple[Turnaround, list[tuple[float, str, Any]]]:
    """What came of it, and what was told meanwhile."""
    told: list[tuple[float, str, Any]] = []
    return run(SV3DP(), *orbit(FRAMES, 10), report=Report(lambda *step: told.append(step))), told


@pytest.mark.parametrize("kind", ["p", "u"])
def test_an_orbit_has_its_true_cameras_and_ends_with_the_photo_itself(kind: str, orbit_of_p: tuple[Turnaround, Any]):
    made = orbit_of_p[0] if kind == "p" else run(SV3DU(), *orbit(FRAMES, 10))
    assert cameras(made) == [(72, 10), (144, 10), (-144, 10), (-72, 10), (0, 10)]
    assert all(frame.exact and frame.rgba.shape == (64, 64, 4) for frame in made.frames)
    photo = made.frames[-1].rgba
    centre = SUBJECT.rgba[48, 60]  # within the disc's lighter half
    assert photo[0, 0, 3] == 0 and np.abs(photo[32, 40].astype(int) - centre).max() <= 2
    assert not any(np.array_equal(frame.rgba, photo) for frame in made.frames[:-1])


def test_chance_comes_in_the_authors_order_and_a_trace_of_it_is_on_the_photo(watched: Watched):
    """specs/sv3d.md, 1.3: one seed; first the photo's noise, then that of all latents."""
    dice = torch.Generator().manual_seed(0)
    assert watched.on_photo.equal(torch.randn(watched.on_photo.shape, generator=dice))
    assert watched.noise.equal(torch.randn(FRAMES, 4, *watched.noise.shape[2:], generator=dice))
    assert torch.allclose(watched.encoded, 1e-5 * watched.on_photo, atol=1.2e-7)  # float32, near 1


def test_unless_told_otherwise_it_draws_as_its_authors_do():
    for method in (SV3DP(), SV3DU()):
        usual = method.Options()
        assert (usual.steps, usual.guidance, usual.quick, usual.low_memory) == (50, 2.5, False, False)


def test_the_network_is_told_the_cameras_that_the_frames_are_labelled_with(watched: Watched):
    views = [frame.view for frame in watched.frames]
    flown = Cameras(tuple(view.azimuth_deg % 360 for view in views), tuple(view.elevation_deg for view in views))
    assert len({view.elevation_deg for view in views}) == 3 and views[-1] == View(0, 10)
    assert np.abs(watched.numbers - camera_numbers(flown, FRAMES)).max() < 1e-5


def test_each_camera_has_the_picture_that_was_drawn_for_it_cut_out_at_the_photos_scale(watched: Watched):
    assert watched.decoded.equal(watched.drawn)
    zoom = SUBJECT.fill / PHOTO_FILL
    for frame, picture in zip(watched.frames[:-1], watched.pictures, strict=False):
        assert np.array_equal(frame.rgba, reframed(off_backdrop(picture, 255), zoom, 64))
        corners = frame.rgba[[0, 0, -1, -1], [0, -1, 0, -1], 3]
        assert not corners.any() and frame.rgba[32, 32, 3] == 255
    assert not any(np.array_equal(a.rgba, b.rgba) for a, b in combinations(watched.frames, 2))
    assert watched.fov_deg == pytest.approx(2 * math.degrees(math.atan(math.tan(math.radians(33.8) / 2) / zoom)))


def test_a_lent_gpu_is_given_back_before_anything_is_cut_out(orbit_of_p: tuple[Turnaround, Any]):
    chosen = options_from(SV3DP.Options, {"steps": 2 * STEPS, "quick": True, "guidance": 1.0})
    request = Request(SUBJECT, orbit(FRAMES, 10), 0, chosen, size_px=64)
    drawn = SV3DP().begin(request, Report())
    assert all((frame.rgba[..., 3] == 255).all() for frame in drawn.frames) and "cut out" not in drawn.stage_seconds
    done = SV3DP().finish(drawn, request, Report())
    for frame, whole in zip(done.frames, orbit_of_p[0].frames, strict=True):
        assert np.array_equal(frame.rgba, whole.rgba)


def test_the_photo_is_shown_to_the_network_on_white_and_fills_nine_tenths_of_it(watched: Watched):
    side = len(watched.photo)
    assert (watched.photo[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    rows, columns = np.nonzero(watched.photo.min(axis=-1) < 128)
    for places in (rows, columns):
        assert np.ptp(places) + 1 == pytest.approx(0.9 * side, abs=1.5)


def test_a_path_with_another_elevation_is_flown_by_p_and_labelled_as_it_is_by_u(watched: Watched):
    asked = orbit(FRAMES, 30)
    assert cameras(watched) == expected(through(asked, 10, count=FRAMES))
    level = run(SV3DU(), *asked)
    assert {elevation for _, elevation in cameras(level)} == {10} and not level.frames[0].exact
    assert level.frames[0].asked == min(asked, key=lambda view: angle_between(view, level.frames[0].view))


def test_a_single_view_is_met_by_p_and_nearly_by_u():
    asked = View(50, 25)
    (met,) = run(SV3DP(), asked).frames
    assert met.exact
    (near,) = run(SV3DU(), asked).frames
    assert near.view == View(72, 10) and near.asked == asked


def test_a_path_drawn_round_the_object_and_back_to_the_photo_is_flown_by_p_as_it_is():
    drawn = [View(0, 10), View(90, 18), View(180, 5), View(-90, 2), View(0, 10)]
    made = run(SV3DP(), *along(drawn, FRAMES))
    assert all(frame.exact for frame in made.frames) and len({frame.asked for frame in made.frames}) == FRAMES
    assert not any("as near to the cameras" in note for note in made.notes)


def test_the_photos_own_view_is_the_photo_and_nothing_is_drawn_for_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TURNAROUND_WEIGHTS")
    made = run(SV3DP(), View(0, 10))
    centre = SUBJECT.rgba[48, 60]
    assert made.frames[0].exact and np.abs(made.frames[0].rgba[32, 40].astype(int) - centre).max() <= 2
    estimate = SV3DP().estimate(Request(SUBJECT, (View(0, 10),)), this_machine(Path()))
    assert estimate.download_bytes == 0 and estimate.seconds < 5, "nor fetched"
    assert "photo itself" in made.notes[0] and made.provenance and not made.provenance.weights


def test_the_photos_own_view_does_not_stand_in_for_a_path_that_was_chosen():
    made = run(SV3DP(), View(0, 10), camera_path="sine")
    assert cameras(made) == expected(sine(10, FRAMES)) and not any("nothing had to be drawn" in n for n in made.notes)


def test_straight_above_another_azimuth_is_another_picture():
    asked, above = orbit(4, 90), replace(SUBJECT, elevation_deg=90)
    chosen = options_from(SV3DP.Options, {"steps": 2 * STEPS, "quick": True, "guidance": 1.0})
    made = SV3DP()(Request(above, asked, 0, chosen, size_px=64), Report())
    assert len({frame.rgba.tobytes() for frame in made.frames}) == FRAMES
    assert [frame.asked.azimuth_deg for frame in made.frames] == [90, 180, 180, -90, 0]
    (one,) = SV3DP()(Request(above, (View(90, 90),), 0, chosen, size_px=64), Report()).frames
    assert one.view == View(90, 90) and one.exact and not np.array_equal(one.rgba, made.frames[-1].rgba)


def test_paths_of_its_own():
    made = run(SV3DP(), *orbit(4, 10), camera_path="sine")
    assert cameras(made) == expected(sine(10, FRAMES))
    assert any("not the cameras above" in note for note in made.notes)
    level = run(SV3DP(), *orbit(4, 50), camera_path="level orbit")
    assert {elevation for _, elevation in cameras(level)} == {10}
    assert cameras(run(SV3DP(), *orbit(4), camera_path="dynamic", seed=1)) != cameras(
        run(SV3DP(), *orbit(4), camera_path="dynamic", seed=2)
    )


def test_the_sense_can_be_turned_round_and_the_pictures_stay(
    orbit_of_p: tuple[Turnaround, Any], monkeypatch: pytest.MonkeyPatch
):
    one, _ = orbit_of_p
    monkeypatch.setenv("TURNAROUND_SV3D_SENSE", "clockwise")
    other = run(SV3DP(), *orbit(FRAMES, 10))
    assert [azimuth for azimuth, _ in cameras(other)] == [-72, -144, 144, 72, 0]
    assert all(np.array_equal(a.rgba, b.rgba) for a, b in zip(one.frames, other.frames, strict=True))


def test_all_that_can_be_chosen_makes_a_difference():
    chosen: tuple[dict[str, Any], ...] = (
        {},
        {"seed": 1},
        {"guidance": 1.0},
        {"guidance": 4.0},
        {"steps": 12},
        {"quick": False},
    )
    usual: dict[str, Any] = {"guidance": 2.5}
    made = [run(SV3DU(), *orbit(FRAMES, 10), **usual | each).frames for each in chosen]
    for (one, a), (other, b) in combinations(zip(chosen, made, strict=True), 2):
        assert not all(np.array_equal(x.rgba, y.rgba) for x, y in zip(a, b, strict=True)), (one, other)


def test_progress_shows_the_orbit_becoming_clear_and_each_view_as_it_is_done(
    orbit_of_p: tuple[Turnaround, list[tuple[float, str, Any]]],
):
    _, told = orbit_of_p
    steps = [preview for _, message, preview in told if "step" in message and preview is not None]
    assert len(steps) == STEPS and steps[0].shape == (32, 32, 4)
    assert not np.array_equal(steps[0], steps[-1])
    assert any(message == f"View {FRAMES} of {FRAMES} is done" for _, message, _ in told)


@pytest.mark.parametrize("when", ["Looking", "step 1 ", f"step {STEPS} ", "is done", "Cutting out view 2"])
def test_it_stops_wherever_it_is(when: str):
    cancelled = threading.Event()

    def listen(fraction: float, message: str, preview: Any) -> None:
        if when in message:
            cancelled.set()

    with pytest.raises(Cancelled):
        run(SV3DP(), *orbit(FRAMES, 10), report=Report(listen, cancelled))


def test_where_memory_is_short_the_videos_go_one_after_the_other_and_look_the_same(monkeypatch: pytest.MonkeyPatch):
    from pipelines.sv3d import method, sampling

    monkeypatch.setattr(method, "_at_once", lambda sparing, guided: (2, 4))  # as on a GPU
    usual, predicted, tried = run(SV3DP(), *orbit(FRAMES, 10), guidance=2.5), sampling.predicted, list[int]()

    def narrow(unet: Any, videos: Any, *rest: Any) -> Any:
        tried.append(len(videos))
        if len(videos) > 1:
            raise MemoryError("of this test")
        return predicted(unet, videos, *rest)

    monkeypatch.setattr(sampling, "predicted", narrow)
    made = run(SV3DP(), *orbit(FRAMES, 10), guidance=2.5)
    assert tried[0] == 2 and tried[-1] == 1
    assert len(made.notes) > len(usual.notes)
    for a, b in zip(usual.frames, made.frames, strict=True):
        assert np.abs(a.rgba.astype(int) - b.rgba).max() <= 2


def test_the_estimate_grows_with_steps_and_counts_the_unguided_video_only_where_there_is_one(tmp_path: Path):
    machine = this_machine(tmp_path)

    def seconds(**options: Any) -> float:
        request = Request(SUBJECT, orbit(21), options=options_from(SV3DU.Options, options))
        return SV3DU().estimate(request, machine).seconds

    assert seconds(steps=100) > seconds() > seconds(steps=25) and seconds(guidance=1.0) < seconds()
    assert seconds(quick=True) < seconds()


def test_the_first_run_is_told_to_take_longer_since_it_keeps_the_model_in_half_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    machine, request = this_machine(tmp_path), Request(SUBJECT, orbit(21))
    run(SV3DU(), *orbit(FRAMES, 10))
    later_s = SV3DU().estimate(request, machine).seconds
    monkeypatch.setenv("TURNAROUND_DATA", str(tmp_path))
    assert SV3DU().estimate(request, machine).seconds == later_s + KEEPING_S


def test_numbers_that_become_no_picture_are_told_before_they_are_decoded():
    def hear(fraction: float, message: str, preview: Any) -> None:
        assert "View 1 of" not in message

    with SV3DP()._model(lambda: None, Report()) as parts:
        bias = parts.unet.conv_out.bias
        before = bias.clone()
        bias.fill_(torch.nan)
        try:
            with pytest.raises(TurnaroundError, match="came to no picture"):
                run(SV3DP(), *orbit(FRAMES, 10), report=Report(hear))
        finally:
            bias.copy_(before)


def test_low_memory_is_said_to_take_less_of_a_gpu(tmp_path: Path):
    machine = replace(this_machine(tmp_path), device="cuda", number_bytes=2)

    def needed(low_memory: bool) -> int:
        options = options_from(SV3DU.Options, {"low_memory": low_memory})
        return SV3DU().estimate(Request(SUBJECT, orbit(21), options=options), machine).memory_bytes

    assert needed(True) < 8e9 < needed(False) < 12e9


def test_for_a_borrowed_gpu_it_is_kept_in_half_precision_before_that_begins_to_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    method, asked, told = SV3DU(), Request(SUBJECT, (View(180),)), list[str]()
    report = Report(lambda fraction, message, preview: told.append(message))
    monkeypatch.setenv("TURNAROUND_DATA", str(tmp_path))
    method.fetch(asked, report)
    assert not any(tmp_path.rglob("unet.safetensors")), "elsewhere the first run does it"
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    method.fetch(replace(asked, views=(View(0, SUBJECT.elevation_deg),)), report)
    assert not any(tmp_path.rglob("unet.safetensors")), "the photo itself needs no model"
    method.fetch(asked, report)
    assert any(tmp_path.rglob("unet.safetensors")) and "in half precision" in told[-1]
    cancelled = threading.Event()
    cancelled.set()
    monkeypatch.setenv("TURNAROUND_DATA", str(tmp_path / "other"))
    with pytest.raises(Cancelled):
        method.fetch(asked, Report(lambda *_: None, cancelled))
