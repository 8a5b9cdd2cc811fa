"""One turnaround as a folder of files. The command line and the archive share it.

```text
subject.png                    what every method saw (write_subject; beside the methods' folders)
subject_depth.png              and the depth that came with the photo, if one did: 16 bits, see `core/depth_map.py`
<method>/view_000.png ...      the frames, straight alpha
<method>/orbit.mp4             with more than one frame
<method>/model.glb             with a mesh
<method>/cameras.json  transforms.json  colmap/{cameras,images,points3D}.txt
<method>/depth_000.png ...  normals_000.png ...   when asked for: 16 bits, their scale in cameras.json
<method>/confidence_000.png ...   of a method that tells which pixels are the photo's own
<method>/LICENCE.txt  CITATION.bib   whose work it is
<method>/view_000.webp ...  depth_000.webp ...  normals_000.webp ...   for the wall, when asked for: see `shown.py`
<method>/manifest.json         written last: a folder that has one is whole
```

No metadata of the photo and no name a visitor chose gets into any of them.
"""

import dataclasses
import hashlib
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import View, photo_distance
from pipelines.core.errors import TurnaroundError
from pipelines.core.export import Lens, Shot, cameras_json, colmap_text, transforms_json
from pipelines.core.files import StorageError, disk_sentences, whole_file, write_whole
from pipelines.core.mesh import glb_bytes
from pipelines.core.subject import Subject
from pipelines.core.video import FPS_RANGE, write_mp4
from pipelines.runtime.credit import credit_files, credit_line, glb_about, sources_of
from pipelines.runtime.manifest import (
    DAMAGED,
    MANIFEST,
    MODEL,
    PLAIN_SCHEMA,
    SUBJECT,
    SUBJECT_DEPTH,
    TURNAROUND_FILE,
    VIDEO,
    FileRecord,
    FrameRecord,
    SubjectRecord,
    TurnaroundManifest,
    frame_file,
    json_bytes,
)
from pipelines.runtime.method import Card, Request, Turnaround
from pipelines.runtime.shown import wall_pictures

ORBIT_S, SLOWEST_FPS = 2.5, 4.0  # in the video: seconds an orbit lasts, where its pace allows
DEPTH_UNIT = 1e-4  # of the world; 16 bits then reach 6.5, and the camera of distance 1 stands at about 2
_DEPTH_STEPS = 65535


@dataclass(frozen=True)
class Written:
    """What was written; iterates over the paths."""

    folder: Path
    manifest: TurnaroundManifest

    @property
    def paths(self) -> tuple[Path, ...]:
        return (*(self.folder / name for name in self.manifest.files), self.folder / MANIFEST)

    def __iter__(self) -> Iterator[Path]:
        return iter(self.paths)


# --- Writing ----------------------------------------------------------------------------------------------------------


def write_subject(folder: Path, subject: Subject) -> dict[str, FileRecord]:
    """The cut-out exactly as the methods see it, hidden colours included, and its depth, if it came with one."""
    with disk_sentences("The cut-out could not be saved"):
        folder.mkdir(parents=True, exist_ok=True)
        files = _Folder(folder)
        files.put(SUBJECT, png_bytes(subject.rgba))
        if subject.depth is None:
            (folder / SUBJECT_DEPTH).unlink(missing_ok=True)  # of an earlier run
        else:
            files.put(SUBJECT_DEPTH, png_bytes(subject.depth))
        return files.records


def write_turnaround(
    folder: Path,
    turnaround: Turnaround,
    request: Request,
    card: Card,
    *,
    depth: bool = False,
    normals: bool = False,
    wall: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Written:
    """All files of one turnaround; those of an earlier one in the same folder leave first.

    `depth` and `normals` are the exact ones, for measuring; `wall` adds the small pictures that the page turns.
    `check` is called between files; what it raises, `Cancelled` for instance, stops the writing.
    Any failure leaves none of them, except that of the video alone: then a note in the manifest names it.
    """
    _check(turnaround)
    with disk_sentences("The result could not be saved"):
        folder.mkdir(parents=True, exist_ok=True)
        clear_turnaround(folder)
        try:
            return _write(folder, turnaround, request, card, depth, normals, wall, check)
        except BaseException:
            clear_turnaround(folder)
            raise


def video_fps(frames: int) -> float:
    return min(float(FPS_RANGE[1]), max(SLOWEST_FPS, frames / ORBIT_S))


def clear_turnaround(folder: Path) -> None:
    """Remove what `write_turnaround` writes and nothing else: the folder may be a person's own."""
    (folder / MANIFEST).unlink(missing_ok=True)
    for path in [*folder.glob("*"), *folder.glob("colmap/*")]:
        if TURNAROUND_FILE.fullmatch(path.relative_to(folder).as_posix()):
            path.unlink(missing_ok=True)
    if (folder / "colmap").is_dir() and not any((folder / "colmap").iterdir()):
        (folder / "colmap").rmdir()


def _write(
    folder: Path,
    turnaround: Turnaround,
    request: Request,
    card: Card,
    depth: bool,
    normals: bool,
    wall: bool,
    check: Callable[[], None],
) -> Written:
    # 1. Pictures, in threads: zlib and the disk leave Python free to encode the video meanwhile
    files, frames, about = _Folder(folder), turnaround.frames, credit_line(card)
    unit = _depth_unit(turnaround) if depth else None
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="png") as pool:
        pictures: dict[str, Callable[[], bytes]] = {}
        shots = []
        for i, frame in enumerate(frames):
            shot = Shot(frame_file(i), frame.view, frame.asked, frame.exact)
            pictures[shot.file] = lambda frame=frame: png_bytes(frame.rgba, about)
            if unit and frame.depth is not None:
                shot = dataclasses.replace(shot, depth_file=f"depth_{i:03d}.png")
                pictures[f"depth_{i:03d}.png"] = lambda values=frame.depth: png_bytes(_as_16_bits(values / unit))
            if normals and frame.normals is not None:
                shot = dataclasses.replace(shot, normals_file=f"normals_{i:03d}.png")
                pictures[f"normals_{i:03d}.png"] = lambda values=frame.normals: png_bytes(_normals_as_16_bits(values))
            if frame.confidence is not None:
                pictures[f"confidence_{i:03d}.png"] = lambda values=frame.confidence: png_bytes(values)
            shots.append(shot)
        if wall:
            pictures |= wall_pictures(frames)

        def put_picture(name: str, make: Callable[[], bytes]) -> None:
            check()
            files.put(name, make())

        written = [pool.submit(put_picture, name, make) for name, make in pictures.items()]

        # 2. Video and model; the pictures are delivered even if the video cannot be
        notes = list(turnaround.notes)
        if len(frames) > 1:
            try:
                rgba = [frame.rgba for frame in frames]
                files.make(VIDEO, lambda path: write_mp4(rgba, path, video_fps(len(frames)), about=about))
            except StorageError:
                raise
            except TurnaroundError as problem:
                notes.append(str(problem))
        if turnaround.mesh is not None:
            files.put(MODEL, glb_bytes(turnaround.mesh, glb_about(card)))
        for task in written:
            task.result()
    check()

    # 3. Cameras, and whose work it is
    fov_deg = turnaround.fov_deg or card.fov_deg
    unit_distance = photo_distance(request.subject.fill, fov_deg)
    height, width = frames[0].rgba.shape[:2] if frames else (request.size_px, request.size_px)
    lens = Lens(width, height, fov_deg, unit_distance)
    photo = View(0.0, request.subject.elevation_deg)
    files.put("cameras.json", json_bytes(cameras_json(shots, lens, photo, unit)))
    files.put("transforms.json", json_bytes(transforms_json(shots, lens)))
    (folder / "colmap").mkdir(exist_ok=True)
    for name, text in colmap_text(shots, lens).items():
        files.put(f"colmap/{name}", text.encode())
    used = turnaround.provenance.weights if turnaround.provenance else {}
    for name, text in credit_files(card, used).items():
        files.put(name, text.encode())

    # 4. The manifest, last
    manifest = _manifest(turnaround, request, card, tuple(shots), tuple(notes), files.sorted_records())
    write_whole(folder / MANIFEST, json_bytes(dataclasses.asdict(manifest)))
    return Written(folder, manifest)


def _manifest(
    turnaround: Turnaround,
    request: Request,
    card: Card,
    shots: tuple[Shot, ...],
    notes: tuple[str, ...],
    files: dict[str, FileRecord],
) -> TurnaroundManifest:
    made = turnaround.provenance
    return TurnaroundManifest(
        schema=PLAIN_SCHEMA,
        method={
            "key": card.key,
            "title": card.title,
            "licence": card.licence,
            "paper": card.paper,
            "code": card.code,
            "citation": card.citation,
            "seeded": card.seeded,
            "weights": [
                {"repository": source.repository, "revision": revision, "licence": source.licence}
                for source, revision in sources_of(card, made.weights if made else {})
            ],
        },
        subject=subject_record(request.subject),
        views=request.views,
        seed=made.seed if made else request.seed,
        size_px=request.size_px,
        options=made.options if made else {},
        weights=made.weights if made else {},
        versions=made.versions if made else {},
        device=made.device if made else "unknown",
        fov_deg=turnaround.fov_deg or card.fov_deg,
        frames=tuple(FrameRecord(shot.file, shot.view, shot.asked, shot.exact) for shot in shots),
        notes=notes,
        seconds=turnaround.seconds,
        stage_seconds=turnaround.stage_seconds,
        peak_memory_bytes=int(turnaround.peak_memory_bytes),
        files=files,
    )


def subject_record(subject: Subject) -> SubjectRecord:
    made = subject.made
    return SubjectRecord(
        photo_sha256=made.photo_sha256,
        photo_size_px=made.photo_size_px,
        remover=made.remover,
        crop_px=made.crop_px,
        notes=made.notes,
        elevation_deg=subject.elevation_deg,
        fill=subject.fill,
        size_px=subject.rgba.shape[0],
        rgba_sha256=hashlib.sha256(subject.rgba.tobytes()).hexdigest(),
        depth_sha256="" if subject.depth is None else hashlib.sha256(subject.depth.tobytes()).hexdigest(),
        feather=made.feather,
        added_px=made.added_px,
        removed_px=made.removed_px,
    )


@dataclass(slots=True)
class _Folder:
    """Writes files by name and remembers their size and hash."""

    path: Path
    records: dict[str, FileRecord] = field(default_factory=dict)

    def put(self, name: str, data: bytes) -> FileRecord:
        write_whole(self.path / name, data)
        return self._remember(name, data)

    def make(self, name: str, write: Callable[[Path], object]) -> FileRecord:
        with whole_file(self.path / name) as part:
            write(part)
        return self._remember(name, (self.path / name).read_bytes())

    def sorted_records(self) -> dict[str, FileRecord]:
        return dict(sorted(self.records.items()))

    def _remember(self, name: str, data: bytes) -> FileRecord:
        record = self.records[name] = FileRecord(len(data), hashlib.sha256(data).hexdigest())
        return record


# --- What goes into the files -----------------------------------------------------------------------------------------


def png_bytes(picture: NDArray[Any], about: str = "") -> bytes:
    """8 or 16 bits, [H, W], [H, W, 3] RGB or [H, W, 4] RGBA. No metadata but `about`, as its copyright.

    The "up" filter at level 2 takes half the time of zlib's and Pillow's level 1, and makes files of the same size
    (21 frames of 576 px of three objects; level 6 saves 10 % in four times the time).
    """
    import cv2

    channels = picture.shape[2] if picture.ndim == 3 else 1
    if channels > 1:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA if channels == 4 else cv2.COLOR_RGB2BGR)
    how = [cv2.IMWRITE_PNG_COMPRESSION, 2, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    encoded, data = cv2.imencode(".png", picture, how)
    if not encoded:
        raise TurnaroundError("A picture could not be encoded as PNG. Try another size.")
    return _with_copyright(data.tobytes(), about) if about else data.tobytes()


def _with_copyright(png: bytes, about: str) -> bytes:
    """With an iTXt chunk, uncompressed and of no language (PNG, section 11.3.3.4), right behind the header."""
    name_and_text = b"iTXt" + b"Copyright\0\0\0\0\0" + about.encode()
    chunk = struct.pack(">I", len(name_and_text) - 4) + name_and_text + struct.pack(">I", zlib.crc32(name_and_text))
    header_end = 8 + 12 + 13  # signature; length, name and checksum of the header, and what it holds
    return png[:header_end] + chunk + png[header_end:]


def read_png(data: bytes) -> NDArray[np.uint8]:
    """RGBA [H, W, 4], as `png_bytes` wrote it."""
    import cv2

    return np.asarray(cv2.cvtColor(_unpacked(data, np.uint8, (4,)), cv2.COLOR_BGRA2RGBA), np.uint8)


def read_depth_png(data: bytes) -> NDArray[np.uint16]:
    """[H, W], likewise."""
    return _unpacked(data, np.uint16, ())


def _unpacked(data: bytes, kind: type[Any], channels: tuple[int, ...]) -> NDArray[Any]:
    import cv2

    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if picture is None or picture.shape[2:] != channels or picture.dtype != kind:
        raise TurnaroundError(DAMAGED)
    return picture


def _depth_unit(turnaround: Turnaround) -> float | None:
    deepest = max((float(f.depth.max()) for f in turnaround.frames if f.depth is not None), default=None)
    return None if deepest is None else max(DEPTH_UNIT, deepest / _DEPTH_STEPS)


def _as_16_bits(values: NDArray[np.floating]) -> NDArray[np.uint16]:
    return np.clip(np.rint(values), 0, _DEPTH_STEPS).astype(np.uint16)


def _normals_as_16_bits(normals: NDArray[np.float32]) -> NDArray[np.uint16]:
    there = normals.any(axis=2, keepdims=True)
    return np.where(there, _as_16_bits((normals + 1) / 2 * _DEPTH_STEPS), np.uint16(0))


def _check(turnaround: Turnaround) -> None:
    """A result nobody can look at is refused before anything touches the disk."""
    again = "It was not saved. Try another seed or another photo."
    frames = turnaround.frames
    if not frames and turnaround.mesh is None:
        raise TurnaroundError(f"The result is empty: it has neither views nor a 3D model. {again}")
    for frame in frames:
        rgba = frame.rgba
        if rgba.ndim != 3 or rgba.shape[2] != 4 or rgba.dtype != np.uint8 or rgba.shape != frames[0].rgba.shape:
            raise TurnaroundError(f"The result is damaged: its views are not pictures of one size. {again}")
        for values in (frame.depth, frame.normals):
            if values is not None and not np.isfinite(values).all():
                raise TurnaroundError(f"The result is damaged: some of its numbers are not finite. {again}")
    if frames and not any(frame.rgba[..., 3].any() for frame in frames):
        raise TurnaroundError(f"The result is empty: nothing can be seen in any view. {again}")
