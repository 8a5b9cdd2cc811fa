"""The method as a visitor meets it: views of any camera, faithful to the photo from the photo's own."""

import threading

import numpy as np
import pytest
from PIL import Image

from pipelines.core.cameras import View, orbit
from pipelines.core.errors import Cancelled
from pipelines.core.images import Photo
from pipelines.core.subject import Subject, make_subject
from pipelines.inflate import Inflate
from pipelines.runtime.method import Machine, Report, Request, Turnaround, options_from
from tests.inflate import shapes

SIZE_PX = 288


def run(subject: Subject, *views: View, size_px: int = SIZE_PX, report: Report | None = None, **options) -> Turnaround:
    chosen = options_from(Inflate.Options, options)
    return Inflate()(Request(subject, views, options=chosen, size_px=size_px), report or Report())


def resized(rgba: np.ndarray, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Colours and alpha, averaged as colours with alpha must be."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    planes = np.dstack([rgba[..., :3] * alpha, alpha])
    filtered = (Image.fromarray(plane).resize((size_px, size_px), Image.Resampling.HAMMING) for plane in planes.T)
    small = np.stack([np.asarray(plane) for plane in filtered], -1).swapaxes(0, 1)
    return small[..., :3] / np.maximum(small[..., 3:], 1e-6), small[..., 3]


def agreement(photo: np.ndarray, view: np.ndarray) -> tuple[float, float]:
    """IoU of the silhouettes; and PSNR in dB against white, of the colours where both are solid, the photo averaged
    over the view's pixels first: what one pixel of the view covers is all that it can show.
    """
    colours, alpha = resized(photo, len(view))
    there, seen = alpha > 0.5, view[..., 3] > 127
    both = (alpha > 0.99) & (view[..., 3] == 255)
    error = (colours - view[..., :3])[both] / 255
    return (there & seen).sum() / (there | seen).sum(), float(-10 * np.log10((error**2).mean()))


@pytest.mark.parametrize("elevation_deg", [-90, -20, 0, 15, 30, 60, 90])
@pytest.mark.parametrize("shape", ["animal", "letter_b", "ring"])
def test_the_photos_own_camera_sees_the_photo(shape: str, elevation_deg: float):
    rgba = shapes.painted(getattr(shapes, shape)())
    frame = run(shapes.subject(rgba, elevation_deg), View(0, elevation_deg, 1.0)).frames[0]
    clean = rgba.copy()
    clean[..., :3] = shapes.painted(np.full_like(rgba[..., 3], 255))[..., :3]  # without the green behind soft edges
    iou, psnr_db = agreement(clean, frame.rgba)
    assert iou >= 0.985 and psnr_db >= 30


def stork() -> np.ndarray:
    """A body on two legs of 4 px, as far as they carry: most of its height is legs."""
    body = shapes.disc(70, (0, -130))
    return np.maximum(body, np.maximum(shapes.upright(130, 2, (-30, 70)), shapes.upright(130, 2, (25, 70))))


@pytest.mark.parametrize("fill", [0.2, 0.98])
@pytest.mark.parametrize("shape", [shapes.animal, stork], ids=["animal", "stork"])
def test_the_photos_own_camera_sees_the_photo_at_any_fill_and_at_full_size(shape, fill: float):
    """The subject as `make_subject` frames it: `fill` is what its longest side takes of the frame."""
    rgba = shapes.painted(shape())
    made = make_subject(Photo.of(rgba, rgba.shape[1::-1]), rgba[..., 3] / np.float32(255), "alpha", fill=fill)
    frame = run(made, View(0, 0, 1.0), size_px=576).frames[0]
    iou, psnr_db = agreement(made.rgba, frame.rgba)
    assert iou >= 0.985 and psnr_db >= 30


def test_right_is_right():
    rgba = shapes.plain(shapes.disc())
    rgba[:, : shapes.SIZE // 2, :3] = (0, 0, 255)  # blue on the photo's left, red on its right
    rgba[:, shapes.SIZE // 2 :, :3] = (255, 0, 0)
    right, left, above, back = run(
        shapes.subject(rgba), View(90), View(-90), View(0, 90), View(180), back="mirror"
    ).frames  # fmt: skip
    for frame, colour in ((right, 0), (left, 2)):
        solid = frame.rgba[..., 3] == 255
        assert (frame.rgba[solid][:, colour] > 200).mean() > 0.98
    # From above, the photo's right is still at the right; from behind, at the left.
    half = SIZE_PX // 2
    assert above.rgba[half, half + 40, 0] > 200 and above.rgba[half, half - 40, 2] > 200
    assert back.rgba[half, half - 40, 0] > 200 and back.rgba[half, half + 40, 2] > 200


def test_up_is_up_from_every_side():
    rgba = shapes.plain(shapes.disc())
    rgba[: shapes.SIZE // 2, :, :3] = (255, 255, 255)
    for frame in run(shapes.subject(rgba), *orbit(6), back="mirror").frames:
        column = frame.rgba[:, SIZE_PX // 2, :3].min(axis=1)
        assert column[60] > 200 and column[SIZE_PX - 60] < 100


def test_frames_carry_the_depth_and_normals_of_exactly_the_views_asked_for():
    views = (View(0), View(37.5, 20, 1.3), View(-170, -45, 0.8))
    made = run(shapes.subject(shapes.plain(shapes.disc())), *views)
    assert [frame.view for frame in made.frames] == list(views) and all(frame.exact for frame in made.frames)
    for frame in made.frames:
        assert frame.depth is not None and frame.normals is not None
        half = SIZE_PX // 2
        nearest = frame.view.distance * 0.5 / (np.tan(np.radians(33.8 / 2)) * 0.8) - 0.49
        assert frame.depth[half, half] == pytest.approx(nearest, abs=0.02)
        assert (frame.depth > 0)[frame.rgba[..., 3] == 255].all()
        azimuth, elevation = np.radians(frame.view.azimuth_deg), np.radians(frame.view.elevation_deg)
        towards = [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
        assert frame.normals[half, half] == pytest.approx(towards, abs=0.05)


def test_a_leg_of_three_pixels_is_there_from_the_side_too():
    mask = np.maximum(shapes.disc(100, (0, -100)), shapes.upright(100, 1.5, (0, 100)))
    for frame in run(shapes.subject(shapes.plain(mask)), View(0), View(90), View(135, 10), size_px=512).frames:
        below = frame.rgba[290:430, :, 3].astype(int).sum(axis=1) / 255
        assert below.min() > 1.5 and below.max() < 5


def test_the_same_request_gives_the_same_bytes_and_the_seed_changes_nothing():
    subject = shapes.subject(shapes.painted(shapes.animal()))
    first, second = (run(subject, *orbit(3, 10)) for _ in range(2))
    other = Inflate()(Request(subject, orbit(3, 10), seed=5, size_px=SIZE_PX), Report())
    for made in (second, other):
        assert all(np.array_equal(a.rgba, b.rgba) for a, b in zip(first.frames, made.frames, strict=True))
        assert first.mesh is not None and made.mesh is not None
        assert np.array_equal(first.mesh.vertices, made.mesh.vertices)
        assert first.mesh.texture is not None and made.mesh.texture is not None
        assert np.array_equal(first.mesh.texture, made.mesh.texture)


def test_progress_grows_shows_previews_and_names_its_stages():
    heard: list[tuple[float, str, bool]] = []
    report = Report(lambda fraction, message, preview: heard.append((fraction, message, preview is not None)))
    made = run(shapes.subject(shapes.painted(shapes.animal())), *orbit(5), report=report)
    fractions = [fraction for fraction, _, _ in heard]
    assert fractions == sorted(fractions) and fractions[-1] == 1 and len(heard) >= 8
    assert sum(preview for _, _, preview in heard) >= 5
    assert {"outline", "inflate", "paint", "render"} <= set(made.stage_seconds)


@pytest.mark.parametrize("steps", range(1, 7))
def test_cancelling_stops_it_at_every_step(steps: int):
    cancelled = threading.Event()
    heard: list[float] = []

    def sink(fraction: float, *_: object) -> None:
        heard.append(fraction)
        if len(heard) == steps:
            cancelled.set()

    with pytest.raises(Cancelled):
        run(shapes.subject(shapes.painted(shapes.disc())), *orbit(12), report=Report(sink, cancelled))
    assert len(heard) == steps


@pytest.mark.parametrize("back", ["auto", "mirror", "smooth"])
def test_the_back_is_said_to_be_a_guess(back: str):
    made = run(shapes.subject(shapes.plain(shapes.disc())), View(180), size_px=64, back=back)
    assert len(made.notes) == 1 and made.notes[0].startswith("The back is a guess: ")
    assert ("mirror" in made.notes[0]) == (back == "mirror")


def test_the_estimate_grows_with_the_work():
    subject = shapes.subject(shapes.plain(shapes.disc()))
    machine = Machine(cores=2, memory_bytes=8 * 2**30, free_disk_bytes=2**30)
    one, many, large = (
        Inflate().estimate(Request(subject, views, size_px=size), machine)
        for views, size in ((orbit(1), 256), (orbit(21), 256), (orbit(21), 576))
    )
    assert 0 < one.seconds < many.seconds < large.seconds < 10
    assert one.memory_bytes < many.memory_bytes < large.memory_bytes < 10**9
    assert one.download_bytes == 0
