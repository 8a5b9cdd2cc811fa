"""What a stored result says of itself: two kinds of `manifest.json`, written strictly and read with suspicion."""

import functools
import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any, TypeVar

from pipelines.core.cameras import View
from pipelines.core.errors import TurnaroundError

SCHEMA = 2  # raised when older code could not read a manifest any more; extra fields alone do not raise it
PLAIN_SCHEMA = 1  # of all but a result whose subject has a depth
MANIFEST, SUBJECT, VIDEO, MODEL = "manifest.json", "subject.png", "orbit.mp4", "model.glb"
SUBJECT_DEPTH = "subject_depth.png"  # only where a visitor brought one along
MAX_BYTES = 4_000_000  # 360 views with all their files make about 0.3 MB
DAMAGED = "This result is damaged and cannot be shown. The others are not affected; make it again from the photo."
NEWER = "This result was made by a newer version of the app. Update the app to open it."

METHOD_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
RESULT_ID = re.compile(r"[0-9a-f]{44}")
TURNAROUND_FILE = re.compile(
    r"(view|depth|normals|confidence)_[0-9]{3}\.(png|webp)|orbit\.mp4|model\.glb|cameras\.json|transforms\.json"
    r"|colmap/(cameras|images|points3D)\.txt|LICENCE\.txt|CITATION\.bib"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FileRecord:
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        _require(self.bytes >= 0 and _SHA256.fullmatch(self.sha256))


@dataclass(frozen=True)
class SubjectRecord:
    """With subject.png, and subject_depth.png if there is one, it is the subject again, exactly."""

    photo_sha256: str
    photo_size_px: tuple[int, int]
    remover: str
    crop_px: tuple[float, float, float, float]
    notes: tuple[str, ...]
    elevation_deg: float
    fill: float
    size_px: int
    rgba_sha256: str
    feather: float = 0.0  # as in `Making`; older results have neither this nor the next three
    added_px: int = 0
    removed_px: int = 0
    depth_sha256: str = ""
    """Of the depth that the visitor brought along."""

    @property
    def files(self) -> tuple[str, ...]:
        return (SUBJECT, SUBJECT_DEPTH) if self.depth_sha256 else (SUBJECT,)


@dataclass(frozen=True)
class FrameRecord:
    file: str
    view: View
    """The camera really used."""
    asked: View
    exact: bool


@dataclass(frozen=True)
class TurnaroundManifest:
    """Everything that made one method's turnaround, and the files it consists of."""

    schema: int
    method: dict[str, Any]
    """Key, title, paper, code, licence, citation, whether seeds matter, weights: the card as it was."""
    subject: SubjectRecord
    views: tuple[View, ...]
    """The cameras asked for; a method with cameras of its own may have rendered others."""
    seed: int
    size_px: int
    options: dict[str, Any]
    weights: dict[str, str]
    """Repository to revision."""
    versions: dict[str, str]
    device: str
    fov_deg: float
    frames: tuple[FrameRecord, ...]
    notes: tuple[str, ...]
    seconds: float
    stage_seconds: dict[str, float]
    peak_memory_bytes: int
    files: dict[str, FileRecord]

    def __post_init__(self) -> None:
        _require(METHOD_KEY.fullmatch(str(self.method.get("key"))))
        _require(all(TURNAROUND_FILE.fullmatch(name) for name in self.files))
        _require([f.file for f in self.frames] == [frame_file(i) for i in range(len(self.frames))])
        _require(all(frame.file in self.files for frame in self.frames))


@dataclass(frozen=True)
class ResultManifest:
    """One run: a subject, and what one or several methods made of it."""

    schema: int
    id: str
    created_utc: str
    subject: SubjectRecord
    methods: tuple[str, ...]
    """Keys, in the order in which they finished."""
    failures: dict[str, str]
    """Key to the sentence the visitor was shown."""
    bytes: int
    """Of all files together."""
    files: dict[str, FileRecord]
    """The cut-out, and each method's own manifest, which vouches for the rest."""
    owner: str = ""
    """`owner_mark` of the key that may delete it; empty where nobody has one, and in results of older versions."""

    def __post_init__(self) -> None:
        _require(RESULT_ID.fullmatch(self.id) and self.bytes >= 0)
        _require(not self.owner or _SHA256.fullmatch(self.owner))
        _require(all(METHOD_KEY.fullmatch(key) for key in (*self.methods, *self.failures)))
        _require(set(self.files) == {*self.subject.files, *(f"{key}/{MANIFEST}" for key in self.methods)})
        _require(len(set(self.methods)) == len(self.methods) and not set(self.methods) & set(self.failures))


def owner_mark(id: str, key: str) -> str:
    """What a result tells of its owner's key: enough to know it again, different in each result of the same owner."""
    return hashlib.sha256(f"{id}:{key}".encode("utf-8", "surrogatepass")).hexdigest()  # of any string


def frame_file(index: int) -> str:
    return f"view_{index:03d}.png"


def json_bytes(document: Any) -> bytes:
    """Strict JSON: a NaN anywhere is refused, since browsers refuse it too."""
    try:
        return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError) as problem:  # a lone surrogate's UnicodeEncodeError is a ValueError
        raise TurnaroundError(
            "The result could not be described: one of its values is not a finite number or plain text. "
            "It was not saved; try another seed or other options."
        ) from problem


def parse_manifest(data: bytes, kind: type[T]) -> T:
    """The manifest as a value of the dataclass `kind`, or a sentence. Nothing in it is trusted."""
    try:
        _require(len(data) <= MAX_BYTES)
        document = json.loads(data, parse_constant=_finite, parse_float=_finite)
        schema = document["schema"]
        _require(isinstance(schema, int) and not isinstance(schema, bool) and schema >= 1)
    except (ValueError, TypeError, KeyError, RecursionError) as problem:
        raise TurnaroundError(DAMAGED) from problem
    if schema > SCHEMA:
        raise TurnaroundError(NEWER)
    try:
        return _adapter(kind).validate_json(data, strict=True)
    except (ValueError, TurnaroundError) as problem:  # pydantic's ValidationError is a ValueError
        raise TurnaroundError(DAMAGED) from problem


@functools.cache
def _adapter(kind: type[Any]) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _finite(text: str) -> float:
    number = float(text)
    _require(math.isfinite(number))
    return number


def _require(true: object) -> None:
    if not true:
        raise ValueError("a manifest breaks its own rules")
