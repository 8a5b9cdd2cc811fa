"""Moving pictures from frames: H.264 in MP4, animated WebP, GIF.

MP4 is encoded in this process by PyAV, whose wheel carries FFmpeg with x264: no program to find, no pipe to break.
"""

import html
import io
import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import checked_number
from pipelines.core.errors import TurnaroundError
from pipelines.core.files import disk_sentences, whole_file

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
_PALETTE_FRAMES = 48  # and frames: of 360, every eighth is seen from another side by a few degrees only
_TRANSPARENT = 255  # the palette's last entry, kept for the background
# WebP has no plain comment; this is the least of XMP (ISO 16684-1) that readers of a picture's rights look for.
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:rights><rdf:Alt><rdf:li xml:lang="x-default">'
    "{}</rdf:li></rdf:Alt></dc:rights></rdf:Description></rdf:RDF></x:xmpmeta>"
)
_WEBP_REPLACES = 0b11  # a frame leaves nothing behind, and is not laid over what was there


def write_mp4(frames: Frames, path: Path, fps: float, *, background: Colour = WHITE, about: str = "") -> None:
    """H.264 that every browser plays: yuv420p, even sides, BT.709 limited range and tagged so, index before the data.

    Odd sides get one more row or column of background. `about` becomes the file's comment, as in the two below. The
    file appears whole and checked, or not at all.
    """
    _check(frames, fps)
    with _encoding("The video"), whole_file(path) as part:
        _encode_h264(frames, part, fps, background, about)
        _verify_mp4(part, len(frames))


def write_webp(frames: Frames, path: Path, fps: float, *, quality: int = 85, about: str = "") -> None:
    """Animated WebP with its transparency; endless. `quality` is 0 to 100, where 100 is lossless.

    Each frame is encoded by itself, cut to what can be seen, and written at once: half the time of libwebp's own
    animations for the same size (24 frames of 384 px of three objects), and only one frame in memory.
    """
    _check(frames, fps)
    if not 0 <= checked_number("The quality", quality) <= 100:
        raise TurnaroundError(f"The quality must lie between 0 and 100, not {quality}.")

    with _encoding("The WebP animation"), whole_file(path) as part:
        durations_ms = _durations_ms(len(frames), fps, step_ms=1)
        _write_webp_chunks(frames, part, durations_ms, quality, about)
        _verify_animation(part, "WEBP", sum(durations_ms))


def write_gif(frames: Frames, path: Path, fps: float, *, background: Colour | None = None, about: str = "") -> None:
    """GIF with one palette for all frames, so that colours do not flicker; endless, undithered.

    Without a `background` it is transparent, and the silhouette is cut hard at half coverage, as GIF must.
    `frames` may be read from files as they are needed: of each, only a byte a pixel stays in memory.
    """
    _check(frames, fps)
    from PIL import Image

    with _encoding("The GIF"), whole_file(path) as part:
        palette = _shared_palette(frames, background)
        entries = (palette.getpalette() or [])[: 3 * _TRANSPARENT]
        entries += [0] * (3 * _TRANSPARENT - len(entries)) + list(background or WHITE)
        pictures = []
        for frame in _checked(frames):
            colour, empty = _coloured(frame, background)
            picture = Image.fromarray(np.ascontiguousarray(colour))
            indices = np.asarray(picture.quantize(palette=palette, dither=Image.Dither.NONE)).copy()  # [H, W]
            indices[empty] = _TRANSPARENT
            pictures.append(Image.fromarray(indices))
            pictures[-1].putpalette(entries)
        how: dict[str, Any] = {"optimize": False, "disposal": 2, "loop": 0}
        if background is None:
            how["transparency"] = _TRANSPARENT
        if about:
            how["comment"] = about.encode()
        durations_ms = _durations_ms(len(frames), fps, step_ms=10)
        first, *rest = pictures
        first.save(part, "GIF", save_all=True, append_images=rest, duration=durations_ms, **how)
        _verify_animation(part, "GIF", sum(durations_ms))


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


def _checked(frames: Frames) -> Iterator[NDArray[np.uint8]]:
    """One after the other: they may be read from files, so they are gone through as seldom as can be."""
    shape = None
    for frame in frames:
        shape = shape or frame.shape
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 4 or frame.shape != shape:
            raise TurnaroundError("A video needs frames of one size, as RGBA pictures of 8 bits a channel.")
        yield frame


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


def _encode_h264(frames: Frames, path: Path, fps: float, background: Colour, about: str) -> None:
    import av
    from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

    pictures = _checked(frames)
    first = next(pictures)
    height, width = (side + side % 2 for side in first.shape[:2])
    canvas = np.full((height, width, 3), background, np.uint8)
    to_yuv = VideoReformatter()
    with av.open(str(path.absolute()), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        if about:
            container.metadata["comment"] = about
        stream = container.add_stream("libx264", rate=_as_rate(fps), options=_X264)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        codec = stream.codec_context
        codec.thread_type, codec.thread_count = "FRAME", _THREADS
        codec.color_range, codec.colorspace, codec.color_primaries, codec.color_trc = _LIMITED, _BT709, _BT709, _BT709
        for frame in chain([first], pictures):
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


def _verify_animation(path: Path, kind: str, total_ms: int) -> None:
    """Read back as a browser would. Encoders join equal neighbours, so the time is what must agree."""
    from PIL import Image

    found_ms = count = 0
    with Image.open(path, formats=[kind]) as back:
        count = getattr(back, "n_frames", 1)
        for i in range(count):
            back.seek(i)
            back.load()
            found_ms += int(back.info.get("duration", 0))
    if found_ms != total_ms and count > 1:
        raise ValueError(f"{found_ms} ms in the file, {total_ms} were encoded")


def _write_webp_chunks(frames: Frames, path: Path, durations_ms: list[int], quality: int, about: str) -> None:
    """The container of an animation: RIFF, VP8X, ANIM, and one ANMF a frame (RFC 9649, section 2.7)."""
    pictures = _checked(frames)
    first = next(pictures)
    height, width = first.shape[:2]
    with path.open("wb") as file:
        file.write(b"RIFF\0\0\0\0WEBP")
        has_alpha_and_motion, has_xmp = 0x10 | 0x02, 0x04 if about else 0
        flags = struct.pack("<B3x", has_alpha_and_motion | has_xmp)
        file.write(_chunk(b"VP8X", flags + _24_bits(width - 1, height - 1)))
        file.write(_chunk(b"ANIM", struct.pack("<4sH", b"\0\0\0\0", 0)))  # clear behind, endless
        for frame, duration_ms in zip(chain([first], pictures), durations_ms, strict=True):
            top, bottom, left, right = _seen_box(frame[..., 3])
            still = _webp_still(frame[top:bottom, left:right], quality)
            place = _24_bits(left // 2, top // 2, right - left - 1, bottom - top - 1, duration_ms)
            file.write(_chunk(b"ANMF", place + bytes([_WEBP_REPLACES]) + still))
        if about:
            file.write(_chunk(b"XMP ", _XMP.format(html.escape(about)).encode()))
        size = file.tell()
        file.seek(4)
        file.write(struct.pack("<I", size - 8))


def _webp_still(rgba: NDArray[np.uint8], quality: int) -> bytes:
    """The chunks of one picture, without their container."""
    from PIL import Image

    lossless = quality >= LOSSLESS
    file = io.BytesIO()
    # method 2: half the time of Pillow's 4, and 6 % larger
    how = {"lossless": lossless, "quality": 0 if lossless else quality, "method": 0 if lossless else 2}
    Image.fromarray(np.ascontiguousarray(rgba)).save(file, "WEBP", **how)
    data, at, chunks = file.getvalue(), 12, []
    while at < len(data):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        end += end % 2
        if data[at : at + 4] in (b"ALPH", b"VP8 ", b"VP8L"):
            chunks.append(data[at:end])
        at = end
    return b"".join(chunks)


def _seen_box(alpha: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of what is not empty; the first of each even, as WebP's places are."""
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    if not len(rows):
        return 0, 1, 0, 1
    return int(rows[0]) // 2 * 2, int(rows[-1]) + 1, int(columns[0]) // 2 * 2, int(columns[-1]) + 1


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _24_bits(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(3, "little") for number in numbers)


def _coloured(frame: NDArray[np.uint8], background: Colour | None) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A GIF frame's colours [H, W, 3], and where it shows what is behind [H, W]."""
    if background is None:
        return frame[..., :3], frame[..., 3] < 128
    return composite(frame, background), frame[..., 3] == 0


def _shared_palette(frames: Frames, background: Colour | None) -> "Image.Image":
    """At most 255 colours that suit all frames, from an even sample of what is not background."""
    from PIL import Image

    looked_at = frames[:: math.ceil(len(frames) / _PALETTE_FRAMES)]
    samples = []
    for frame in _checked(looked_at):
        step = max(1, math.isqrt(len(looked_at) * frame.shape[0] * frame.shape[1] // _PALETTE_SAMPLES))
        colour, empty = _coloured(frame, background)
        samples.append(colour[::step, ::step][~empty[::step, ::step]])
    seen = np.concatenate(samples)  # [N, 3]
    if not len(seen):
        seen = np.zeros((1, 3), np.uint8)
    return Image.fromarray(seen[None]).quantize(_TRANSPARENT, method=Image.Quantize.MEDIANCUT, kmeans=1)
