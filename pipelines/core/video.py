"""Moving pictures from frames: H.264 in MP4, animated WebP, GIF.

MP4 is encoded in this process by PyAV, whose wheel carries FFmpeg with x264: no program to find, no pipe to break.
"""

import io
import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import checked_number
from pipelines.core.errors import TurnaroundError
from pipelines.core.files import disk_sentences, whole_file, write_whole

if TYPE_CHECKING:
    from PIL import Image

Frames = Sequence[NDArray[np.uint8]]
Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
FPS_RANGE = (1, 50)  # browsers slow a GIF down when a frame is shorter than 20 ms
LOSSLESS = 100

# 21 frames of 576 px: 0.1 s, 0.1 to 0.2 MB, 43 dB. "medium" takes twice the time for the same size, "superfast" twice
# the size. The same frames must make the same bytes: with mbtree x264 (build 165) differs from run to run, and with
# another number of threads from machine to machine; so do slices, against whole frames encoded side by side.
_X264 = {"preset": "veryfast", "crf": "20", "x264-params": "mbtree=0"}
_THREADS = 4
_BT709, _LIMITED = 1, 1  # numbers of ITU-T H.273, which FFmpeg uses too
_PALETTE_SAMPLES = 200_000  # pixels looked at, background and all; more only costs time
_TRANSPARENT = 255  # the palette's last entry, kept for the background


def write_mp4(frames: Frames, path: Path, fps: float, *, background: Colour = WHITE) -> None:
    """H.264 that every browser plays: yuv420p, even sides, BT.709 limited range and tagged so, index before the data.

    Odd sides get one more row or column of background. The file appears whole and checked, or not at all.
    """
    _check(frames, fps)
    with _encoding("The video"), whole_file(path) as part:
        _encode_h264(frames, part, fps, background)
        _verify_mp4(part, len(frames))


def write_webp(frames: Frames, path: Path, fps: float, *, quality: int = 85) -> None:
    """Animated WebP with its transparency; endless. `quality` is 0 to 100, where 100 is lossless."""
    _check(frames, fps)
    if not 0 <= checked_number("The quality", quality) <= 100:
        raise TurnaroundError(f"The quality must lie between 0 and 100, not {quality}.")
    from PIL import Image

    with _encoding("The WebP animation"):
        pictures = [Image.fromarray(frame) for frame in frames]
        lossless = quality >= LOSSLESS
        # method 2: a third faster than Pillow's 4, and 2 % larger (21 frames of 576 px, quality 80)
        how = {"lossless": lossless, "quality": 0 if lossless else quality, "method": 0 if lossless else 2}
        _write_animation(pictures, path, "WEBP", _durations_ms(len(frames), fps, step_ms=1), **how)


def write_gif(frames: Frames, path: Path, fps: float, *, background: Colour | None = None) -> None:
    """GIF with one palette for all frames, so that colours do not flicker; endless, undithered.

    Without a `background` it is transparent, and the silhouette is cut hard at half coverage, as GIF must.
    """
    _check(frames, fps)
    from PIL import Image

    with _encoding("The GIF"):
        if background is None:
            colours, behind = [frame[..., :3] for frame in frames], [frame[..., 3] < 128 for frame in frames]
        else:
            colours, behind = [composite(f, background) for f in frames], [f[..., 3] == 0 for f in frames]
        palette = _shared_palette(colours, behind)
        entries = (palette.getpalette() or [])[: 3 * _TRANSPARENT]
        entries += [0] * (3 * _TRANSPARENT - len(entries)) + list(background or WHITE)
        pictures = []
        for colour, empty in zip(colours, behind, strict=True):
            picture = Image.fromarray(np.ascontiguousarray(colour))
            indices = np.asarray(picture.quantize(palette=palette, dither=Image.Dither.NONE)).copy()  # [H, W]
            indices[empty] = _TRANSPARENT
            pictures.append(Image.fromarray(indices))
            pictures[-1].putpalette(entries)
        how: dict[str, object] = {"optimize": False, "disposal": 2}
        if background is None:
            how["transparency"] = _TRANSPARENT
        _write_animation(pictures, path, "GIF", _durations_ms(len(frames), fps, step_ms=10), **how)


def composite(frame: NDArray[np.uint8], background: Colour) -> NDArray[np.uint8]:
    """Straight-alpha [H, W, 4] over one colour: [H, W, 3]."""
    from PIL import Image

    picture = Image.fromarray(frame)
    under = Image.new("RGB", picture.size, background)
    under.paste(picture, mask=picture)
    return np.asarray(under)


# --- Checks -----------------------------------------------------------------------------------------------------------


def _check(frames: Frames, fps: float) -> None:
    if not len(frames):
        raise TurnaroundError("There are no frames to make a video of. Render at least one view first.")
    low, high = FPS_RANGE
    if not low <= checked_number("The frame rate", fps, "frames a second") <= high:
        raise TurnaroundError(f"The frame rate must lie between {low} and {high} frames a second, not {fps:g}.")
    for frame in frames:
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 4 or frame.shape != frames[0].shape:
            raise TurnaroundError("A video needs frames of one size, as RGBA pictures of 8 bits a channel.")


@contextmanager
def _encoding(what: str) -> Iterator[None]:
    """Every failure of an encoder as a sentence; the pictures themselves are not affected, and it says so."""
    with disk_sentences(f"{what} could not be saved"):
        try:
            yield
        except (TurnaroundError, OSError, MemoryError):
            raise
        except ImportError as problem:
            raise TurnaroundError(
                f"{what} could not be made, because its encoder is missing here: the package {problem.name!r}. "
                "Install what requirements.txt lists. The pictures are not affected."
            ) from problem
        except Exception as problem:  # av.FFmpegError and ValueError from the encoder, struct.error from a broken file
            raise TurnaroundError(
                f"{what} could not be made, because the encoder refused: {type(problem).__name__}. "
                "Try another size or number of views. The pictures are not affected."
            ) from problem


# --- MP4 --------------------------------------------------------------------------------------------------------------


def _encode_h264(frames: Frames, path: Path, fps: float, background: Colour) -> None:
    import av
    from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

    height, width = (side + side % 2 for side in frames[0].shape[:2])
    canvas = np.full((height, width, 3), background, np.uint8)
    to_yuv = VideoReformatter()
    with av.open(str(path.absolute()), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=_as_rate(fps), options=_X264)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        codec = stream.codec_context
        codec.thread_type, codec.thread_count = "FRAME", _THREADS
        codec.color_range, codec.colorspace, codec.color_primaries, codec.color_trc = _LIMITED, _BT709, _BT709, _BT709
        for frame in frames:
            canvas[: frame.shape[0], : frame.shape[1]] = composite(frame, background)
            picture = to_yuv.reformat(
                av.VideoFrame.from_ndarray(canvas, "rgb24"),
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
            )
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _as_rate(fps: float):
    from fractions import Fraction

    return Fraction(fps).limit_denominator(1001)


def _verify_mp4(path: Path, count: int) -> None:
    """FFmpeg can end well and leave an empty or unplayable file, so it is read back before anyone gets it."""
    import av

    boxes = list(_boxes(path))
    if "moov" not in boxes or "mdat" not in boxes or boxes.index("moov") > boxes.index("mdat"):
        raise ValueError(f"boxes in the order {boxes}")
    with av.open(str(path.absolute())) as container:
        found = sum(1 for packet in container.demux(video=0) if packet.size)
    if found != count:
        raise ValueError(f"{found} frames in the file, {count} were encoded")


def _boxes(path: Path) -> Iterator[str]:
    """The names of an MP4's outermost boxes, in the order of the file."""
    with path.open("rb") as file:
        while header := file.read(8):
            size, name = struct.unpack(">I4s", header)
            if size == 1:  # the size follows in 64 bits
                size = struct.unpack(">Q", file.read(8))[0] - 8
            if size < 8:
                raise ValueError("an MP4 box without a length")
            yield name.decode("latin-1")
            file.seek(size - 8, io.SEEK_CUR)


# --- WebP and GIF -----------------------------------------------------------------------------------------------------


def _durations_ms(count: int, fps: float, step_ms: int) -> list[int]:
    """Each frame's time in whole steps (GIF counts in 10 ms), so that their sum drifts by no more than half a step."""
    ends = [step_ms * math.floor(1000 / fps * (i + 1) / step_ms + 0.5) for i in range(count)]
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _write_animation(
    pictures: list["Image.Image"], path: Path, kind: str, durations_ms: list[int], **how: object
) -> None:
    from PIL import Image

    file = io.BytesIO()
    first, *rest = pictures
    first.save(file, kind, save_all=True, append_images=rest, duration=durations_ms, loop=0, **how)
    with Image.open(file, formats=[kind]) as back:  # encoders join equal neighbours, so the time is what must agree
        total_ms = 0
        for i in range(getattr(back, "n_frames", 1)):
            back.seek(i)
            back.load()
            total_ms += int(back.info.get("duration", 0))
    if total_ms != sum(durations_ms) and len(pictures) > 1:
        raise ValueError(f"{total_ms} ms in the file, {sum(durations_ms)} were encoded")
    write_whole(path, file.getvalue())


def _shared_palette(colours: list[NDArray[np.uint8]], behind: list[NDArray[np.bool_]]) -> "Image.Image":
    """At most 255 colours that suit all frames, from an even sample of what is not background."""
    from PIL import Image

    step = max(1, math.isqrt(sum(empty.size for empty in behind) // _PALETTE_SAMPLES))
    thinned = zip((c[::step, ::step] for c in colours), (e[::step, ::step] for e in behind), strict=True)
    seen = np.concatenate([colour[~empty] for colour, empty in thinned])  # [N, 3]
    if not len(seen):
        seen = np.zeros((1, 3), np.uint8)
    return Image.fromarray(seen[None]).quantize(_TRANSPARENT, method=Image.Quantize.MEDIANCUT, kmeans=1)
