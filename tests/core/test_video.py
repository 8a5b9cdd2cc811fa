"""Videos are read back with an independent decoder: what a browser would show must be what the frames show."""

import resource
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pipelines.core.errors import TurnaroundError
from pipelines.core.files import StorageError
from pipelines.core.video import composite, write_gif, write_mp4, write_webp

WRITERS = ((write_mp4, "mp4"), (write_webp, "webp"), (write_gif, "gif"))
PALETTE = ((230, 40, 40), (40, 200, 60), (50, 70, 220), (240, 220, 30), (128, 128, 128), (16, 16, 16))


def frames(count: int = 5, height: int = 96, width: int = 128) -> list[np.ndarray]:
    """Six large patches of colour in a row, cut out by a moving disc with a soft rim."""
    y, x = np.mgrid[:height, :width] + 0.5
    made = []
    for i in range(count):
        rgba = np.zeros((height, width, 4), np.uint8)
        for k, colour in enumerate(PALETTE):
            rgba[:, k * width // 6 : (k + 1) * width // 6, :3] = colour
        away = np.hypot(x - width / 2 - 2 * i, (y - height / 2) * width / height) - width * 0.45
        rgba[..., 3] = np.clip((2 - away) / 4, 0, 1) * 255
        made.append(rgba)
    return made


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def boxes(path: Path) -> list[bytes]:
    data, at, names = path.read_bytes(), 0, []
    while at < len(data):
        names.append(data[at + 4 : at + 8])
        at += int.from_bytes(data[at : at + 4], "big")
    return names


# --- MP4 --------------------------------------------------------------------------------------------------------------


def test_the_same_frames_make_the_same_bytes_in_every_process(tmp_path: Path):
    """What x264 leaves to chance shows in one encode of three on a small noisy orbit: 30 equal ones are no accident."""
    program = """
import hashlib, sys
from pathlib import Path
import numpy as np
from pipelines.core.video import write_mp4
y, x = np.mgrid[:64, :64] + 0.5
frames = []
for i in range(8):
    blue = np.random.default_rng(i).integers(0, 255, (64, 64))
    planes = [128 + 120 * np.sin(x / 9 + i / 3), 128 + 120 * np.cos(y / 7 - i / 5), blue]
    frames.append(np.dstack([*planes, 255 * (np.hypot(x - 32 - i / 3, y - 32) < 27)]).astype(np.uint8))
for _ in range(15):
    write_mp4(frames, Path(sys.argv[1]), 8.4)
    print(hashlib.sha256(Path(sys.argv[1]).read_bytes()).hexdigest())
"""
    commands = [[sys.executable, "-c", program, str(tmp_path / f"{i}.mp4")] for i in range(2)]
    said = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for command in commands]
    assert [len(hashes) for hashes in said] == [15, 15] and len({*said[0], *said[1]}) == 1


def test_an_mp4_has_the_frames_in_order_and_the_colours_of_the_pictures(tmp_path: Path):
    path, made = tmp_path / "orbit.mp4", frames(7)
    write_mp4(made, path, 12, background=(250, 245, 240))
    shown = decoded(path)
    assert len(shown) == 7
    assert sum((f[48, :, 3] == 255).sum() for f in made) > 7 * 70
    for frame, picture in zip(made, shown, strict=True):
        wanted = composite(frame, (250, 245, 240)).astype(float)
        assert np.abs(wanted.mean((0, 1)) - picture.mean((0, 1))).max() < 2
        for k, colour in enumerate(PALETTE):  # well inside each patch, where chroma subsampling blurs nothing
            inside = slice(40, 56), slice(k * 128 // 6 + 6, (k + 1) * 128 // 6 - 6)
            if (frame[inside][..., 3] == 255).all():
                assert np.abs(picture[inside].mean((0, 1)) - colour).max() < 4, colour


def test_an_mp4_says_what_browsers_need_to_know(tmp_path: Path):
    path = tmp_path / "orbit.mp4"
    write_mp4(frames(5), path, 12)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
        assert (codec.color_range, codec.colorspace, codec.color_primaries, codec.color_trc) == (1, 1, 1, 1)
        assert float(stream.average_rate or 0) == pytest.approx(12)
        assert float((stream.duration or 0) * (stream.time_base or 0)) == pytest.approx(5 / 12, rel=0.01)
    names = boxes(path)
    assert names.index(b"moov") < names.index(b"mdat")


@pytest.mark.parametrize(("height", "width"), [(95, 127), (64, 65), (3, 5), (1, 1)])
def test_odd_sides_grow_by_one_line_of_background_and_move_nothing(tmp_path: Path, height: int, width: int):
    path = tmp_path / "odd.mp4"
    frame = np.full((height, width, 4), (200, 30, 30, 255), np.uint8)
    write_mp4([frame, frame], path, 10, background=(20, 200, 20))
    picture = decoded(path)[0]
    assert picture.shape == (height + height % 2, width + width % 2, 3)
    if height > 8:
        assert np.abs(picture[: height - 2, : width - 2].mean((0, 1)) - (200, 30, 30)).max() < 4


def test_the_same_frames_make_the_same_bytes(tmp_path: Path):
    for writer, kind in WRITERS:
        made = []
        for i in range(4):
            writer(frames(12, 160, 160), tmp_path / f"{i}.{kind}", 12)
            made.append((tmp_path / f"{i}.{kind}").read_bytes())
        assert len(set(made)) == 1, kind


def test_compositing_is_exact():
    alpha = np.arange(256, dtype=np.uint8)
    frame = np.stack([np.full(256, 200, np.uint8), np.full(256, 0, np.uint8), alpha, alpha], axis=1)[None]
    share = alpha[:, None] / 255
    wanted = frame[0, :, :3] * share + np.array((10, 120, 255)) * (1 - share)
    assert np.abs(composite(frame, (10, 120, 255))[0] - wanted).max() <= 0.51
    assert (composite(frame, (10, 120, 255))[0, 0] == (10, 120, 255)).all()


# --- WebP and GIF -----------------------------------------------------------------------------------------------------


def pictures_of(path: Path) -> tuple[list[np.ndarray], list[int]]:
    shown, durations = [], []
    with Image.open(path) as image:
        assert image.info["loop"] == 0
        for i in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(i)
            image.load()
            durations.append(image.info["duration"])
            shown.append(np.array(image.convert("RGBA")))
    return shown, durations


def test_a_lossless_webp_keeps_every_visible_pixel_and_all_transparency(tmp_path: Path):
    made = frames(5)
    write_webp(made, tmp_path / "a.webp", 12, quality=100)
    shown, durations = pictures_of(tmp_path / "a.webp")
    assert durations == [83, 84, 83, 83, 84]
    for frame, picture in zip(made, shown, strict=True):
        np.testing.assert_array_equal(picture[..., 3], frame[..., 3])
        np.testing.assert_array_equal(picture[frame[..., 3] > 0], frame[frame[..., 3] > 0])


def test_webp_quality_trades_size_for_closeness(tmp_path: Path):
    noise = np.random.default_rng(0).integers(-20, 20, (5, 96, 128, 3))
    made = frames(5)
    for frame, grain in zip(made, noise, strict=True):
        frame[..., :3] = np.clip(frame[..., :3].astype(int) + grain, 0, 255)
    sizes, errors = [], []
    for quality in (30, 85, 100):
        write_webp(made, tmp_path / "a.webp", 12, quality=quality)
        shown, _ = pictures_of(tmp_path / "a.webp")
        sizes.append((tmp_path / "a.webp").stat().st_size)
        solid = [f[..., 3] == 255 for f in made]
        off = [np.abs(a[m].astype(int) - b[m]).mean() for a, b, m in zip(made, shown, solid, strict=True)]
        errors.append(np.mean(off))
    assert sizes[0] < sizes[1] < sizes[2]
    assert errors[0] > errors[1] > errors[2] == 0


def test_a_gif_is_transparent_or_on_a_clean_background(tmp_path: Path):
    made = frames(5)
    write_gif(made, tmp_path / "a.gif", 12)
    shown, durations = pictures_of(tmp_path / "a.gif")
    assert sum(durations) == 420 and len(shown) == 5
    for frame, picture in zip(made, shown, strict=True):
        np.testing.assert_array_equal(picture[..., 3] == 255, frame[..., 3] >= 128)
        solid = frame[..., 3] == 255
        assert np.abs(picture[solid][:, :3].astype(int) - frame[solid][:, :3]).max() <= 3
    write_gif(made, tmp_path / "b.gif", 12, background=(241, 237, 229))
    shown, _ = pictures_of(tmp_path / "b.gif")
    for frame, picture in zip(made, shown, strict=True):
        assert (picture[frame[..., 3] == 0] == (241, 237, 229, 255)).all()  # not one stray dot


def test_a_gif_spends_its_palette_on_the_object(tmp_path: Path):
    """A smooth ball of one hue keeps its shading: 255 colours for it, none wasted on the backdrop."""
    y, x = (np.mgrid[:128, :128] - 63.5) / 60
    z = np.sqrt(np.clip(1 - x**2 - y**2, 0, 1))
    made = []
    for i in range(6):
        light = np.clip(x * np.sin(i) * 0.5 + z * 0.8 + 0.2, 0, 1)[..., None]
        rgb = light * (230, 150, 60)
        made.append(np.dstack([rgb, (z > 0) * 255]).astype(np.uint8))
    write_gif(made, tmp_path / "ball.gif", 10)
    shown, _ = pictures_of(tmp_path / "ball.gif")
    ball = z > 0
    errors = [np.abs(f[ball][:, :3].astype(int) - p[ball][:, :3]).mean() for f, p in zip(made, shown, strict=True)]
    assert np.mean(errors) < 1.6  # Pillow looks colours up in steps of 4; 16 grey levels in the palette would give 4


def test_equal_frames_keep_their_time(tmp_path: Path):
    """A sphere turns without changing: encoders join the frames, and the animation must last as long anyway."""
    made = [frames(1)[0]] * 10
    for writer, kind in WRITERS[1:]:
        writer(made, tmp_path / f"a.{kind}", 10)
        assert sum(pictures_of(tmp_path / f"a.{kind}")[1]) == 1000, kind
    write_mp4(made, tmp_path / "a.mp4", 10)
    assert len(decoded(tmp_path / "a.mp4")) == 10


# --- Faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("writer", "kind"), WRITERS)
@pytest.mark.parametrize(
    ("made", "fps"),
    [
        ([], 12),
        (frames(2), 0),
        (frames(2), float("nan")),
        (frames(2), 1e9),
        ([*frames(1), *frames(1, 64, 64)], 12),
        ([frame[..., :3] for frame in frames(2)], 12),
        ([frame.astype(np.float32) for frame in frames(2)], 12),
    ],
    ids=["no frames", "fps 0", "fps nan", "fps 1e9", "two sizes", "rgb", "floats"],
)
def test_f35_what_is_no_video_gets_a_sentence_and_no_file(tmp_path: Path, writer, kind: str, made, fps: float):
    with pytest.raises(TurnaroundError, match=r"\w+ .*\.$"):
        writer(made, tmp_path / f"a.{kind}", fps)
    assert not list(tmp_path.iterdir())


def test_f35_an_encoder_that_refuses_leaves_a_sentence_and_the_old_file(tmp_path: Path):
    path = tmp_path / "orbit.mp4"
    write_mp4(frames(2), path, 10)
    before = path.read_bytes()
    too_wide = np.zeros((2, 16_400, 4), np.uint8)  # x264 ends at 16,384 px
    with pytest.raises(TurnaroundError, match=r"^The video could not be made.*not affected\.$"):
        write_mp4([too_wide], path, 10)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_f35_an_absent_encoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "av", None)  # importing it now fails, as where it is not installed
    with pytest.raises(TurnaroundError, match=r"its encoder is missing here: the package 'av'"):
        write_mp4(frames(2), tmp_path / "a.mp4", 10)
    assert not list(tmp_path.iterdir())


def test_f28_a_disk_that_is_full_leaves_no_part_of_a_video(tmp_path: Path):
    """In a process of its own, whose files may hold 4 kB: the same errors from the same places as a full disk's."""
    program = """
import resource, sys
from pathlib import Path
import numpy as np
from pipelines.core import video
from pipelines.core.files import StorageError
grain = np.random.default_rng(0).integers(0, 255, (6, 96, 96, 4), np.uint8)
grain[..., 3] |= 128
folder = Path(sys.argv[1])
for writer in (video.write_mp4, video.write_webp, video.write_gif):
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    try:
        writer(list(grain), folder / "a.bin", 10)
    except StorageError as error:
        print(error)
    assert not list(folder.iterdir()), list(folder.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    writer(list(grain), folder / "a.bin", 10)
    (folder / "a.bin").unlink()
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 3 and all("the disk is full" in line for line in said), said


def test_f28_a_folder_that_is_gone_or_no_folder_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    for path in (tmp_path / "gone" / "a.mp4", tmp_path / "file" / "a.mp4"):
        with pytest.raises(StorageError, match="could not be saved"):
            write_mp4(frames(2), path, 10)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
