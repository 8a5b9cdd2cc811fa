"""One turnaround's folder: complete, exact, strict, and nothing of it left when it fails."""

import dataclasses
import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import trimesh
from PIL import Image

from pipelines.core.cameras import View, orbit, photo_distance, project
from pipelines.core.errors import TurnaroundError
from pipelines.core.files import StorageError
from pipelines.core.mesh import Mesh
from pipelines.core.subject import Making, Subject
from pipelines.runtime.manifest import TurnaroundManifest, parse_manifest
from pipelines.runtime.method import Card, Frame, Provenance, Request, Turnaround
from pipelines.runtime.results import png_bytes, read_depth_png, read_png, write_subject, write_turnaround
from tests.toy_methods import some_weights

CARD = Card(
    key="toy",
    title="Toy",
    summary="For tests.",
    renders=frozenset({"any view", "mesh"}),
    licence="Apache-2.0",
    needs="Nothing.",
    paper="https://example.org/paper",
    citation="@misc{toy}",
    weights=(some_weights("some/weights", "0123abc"),),
    fov_deg=40.0,
)
MESH = Mesh(
    vertices=np.array([[0, 0.5, 0], [-0.5, -0.5, 0], [0.5, -0.5, 0]], np.float32),
    faces=np.array([[0, 1, 2]], np.int32),
    colors=np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8),
)
IMAGES = ("view_000.png", "view_001.png", "view_002.png")
FILES = {
    *IMAGES,
    "orbit.mp4",
    "model.glb",
    "cameras.json",
    "transforms.json",
    "colmap/cameras.txt",
    "colmap/images.txt",
    "colmap/points3D.txt",
    "LICENCE.txt",
    "CITATION.bib",
    "manifest.json",
}


def a_subject(size_px: int = 64) -> Subject:
    """Every pixel different, hidden colours under the transparency too."""
    rgba = np.random.default_rng(1).integers(0, 256, (size_px, size_px, 4), np.uint8)
    made = Making("ab" * 32, (640, 480), "alpha", (-3.5, 10.25, 500.0, 513.75), ("The first of 3 frames was used.",))
    return Subject(rgba, made, elevation_deg=12.5, fill=0.75)


def a_request(count: int = 3, **changes) -> Request:
    return Request(a_subject(), orbit(count, 10), seed=7, size_px=64, **changes)


def a_turnaround(request: Request, size_px: int = 64, **changes) -> Turnaround:
    random = np.random.default_rng(2)
    frames = tuple(
        Frame(view, random.integers(0, 256, (size_px, size_px, 4), np.uint8), view) for view in request.views
    )
    made = Turnaround(
        frames,
        MESH,
        notes=("The back is a guess.",),
        seconds=1.25,
        stage_seconds={"inflate": 0.5, "render": 0.75},
        peak_memory_bytes=123_456_789,
        provenance=Provenance("toy", 7, {"back": "mirror"}, {"some/weights": "0123abc"}, {"numpy": "2"}, "cpu"),
    )
    return dataclasses.replace(made, **changes)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def decoded(png: bytes) -> np.ndarray:
    """8 or 16 bits; Pillow has no 16-bit colour."""
    import cv2

    picture = np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED))
    if picture.ndim == 3:
        return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    return picture


# --- What is written --------------------------------------------------------------------------------------------------


def test_a_turnaround_becomes_the_files_that_the_layout_names(tmp_path: Path):
    request = a_request()
    made = a_turnaround(request)
    written = write_turnaround(tmp_path / "toy", made, request, CARD)
    assert files_in(tmp_path / "toy") == FILES == {p.relative_to(tmp_path / "toy").as_posix() for p in written}
    for name, frame in zip(IMAGES, made.frames, strict=True):
        np.testing.assert_array_equal(np.array(Image.open(tmp_path / "toy" / name)), frame.rgba)
    with av.open(str(tmp_path / "toy" / "orbit.mp4")) as container:
        assert len(list(container.decode(video=0))) == 3
    scene = trimesh.load_scene(tmp_path / "toy" / "model.glb")
    assert sum(len(shape.faces) for shape in scene.geometry.values()) == 1


def test_one_view_makes_no_video_and_no_mesh_no_model(tmp_path: Path):
    request = a_request(1)
    write_turnaround(tmp_path, a_turnaround(request, mesh=None), request, CARD)
    assert files_in(tmp_path) == FILES - {"orbit.mp4", "model.glb", *IMAGES[1:]}


def test_a_mesh_alone_is_a_result_too(tmp_path: Path):
    request = a_request(1)
    write_turnaround(tmp_path, a_turnaround(request, frames=()), request, CARD)
    assert files_in(tmp_path) == FILES - {"orbit.mp4", *IMAGES}


def test_the_cameras_files_use_the_methods_lens_and_the_subjects_fill(tmp_path: Path):
    request = a_request()
    write_turnaround(tmp_path, a_turnaround(request), request, CARD)
    cameras = json.loads((tmp_path / "cameras.json").read_text())
    point = np.array([[0.2, 0.3, -0.1]])
    for frame, view in zip(cameras["frames"], request.views, strict=True):
        pixels, _ = project(point, view, photo_distance(0.75, 40.0), 64, 40.0)
        camera_from_world = np.linalg.inv(np.array(frame["world_from_camera"]))
        x, y, w = np.array(cameras["intrinsics"]) @ (camera_from_world @ [0.2, 0.3, -0.1, 1])[:3]
        np.testing.assert_allclose([x / w, y / w], pixels[0])
    assert cameras["photo"]["elevation_deg"] == 12.5


def test_the_manifest_holds_everything_that_made_it_and_the_hash_of_every_file(tmp_path: Path):
    request = a_request()
    made = a_turnaround(request)
    nearest = dataclasses.replace(made.frames[1], view=View(100, 0), asked=request.views[1])
    made = dataclasses.replace(made, frames=(made.frames[0], nearest, made.frames[2]))
    written = write_turnaround(tmp_path, made, request, CARD)
    document = json.loads((tmp_path / "manifest.json").read_text(), parse_constant=pytest.fail)
    assert document["method"]["licence"] == "Apache-2.0" and document["method"]["citation"] == "@misc{toy}"
    assert document["method"]["weights"][0]["revision"] == "0123abc"
    assert (document["seed"], document["size_px"], document["options"]) == (7, 64, {"back": "mirror"})
    assert document["subject"]["photo_sha256"] == "ab" * 32 and document["subject"]["elevation_deg"] == 12.5
    assert document["seconds"] == 1.25 and document["stage_seconds"] == {"inflate": 0.5, "render": 0.75}
    assert (document["peak_memory_bytes"], document["device"]) == (123_456_789, "cpu")
    assert document["notes"] == ["The back is a guess."]
    assert [frame["exact"] for frame in document["frames"]] == [True, False, True]
    assert document["frames"][1]["view"]["azimuth_deg"] == 100
    assert document["frames"][1]["asked"] == dataclasses.asdict(request.views[1])
    assert set(document["files"]) == FILES - {"manifest.json"}
    for name, record in document["files"].items():
        data = (tmp_path / name).read_bytes()
        assert record == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert parse_manifest((tmp_path / "manifest.json").read_bytes(), TurnaroundManifest) == written.manifest


def test_the_same_turnaround_makes_the_same_bytes(tmp_path: Path):
    request = a_request()
    for name in "ab":
        write_turnaround(tmp_path / name, a_turnaround(request), request, CARD)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_the_cut_out_comes_back_exactly(tmp_path: Path):
    subject = a_subject(333)
    (record,) = write_subject(tmp_path / "new", subject).values()
    data = (tmp_path / "new" / "subject.png").read_bytes()
    assert record.sha256 == hashlib.sha256(data).hexdigest()
    np.testing.assert_array_equal(read_png(data), subject.rgba)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "new" / "subject.png")), subject.rgba)


def test_a_depth_lies_beside_the_cut_out_as_long_as_there_is_one(tmp_path: Path):
    levels = np.arange(256 * 256, dtype=np.uint16).reshape(256, 256)
    subject = dataclasses.replace(a_subject(256), depth=levels)
    records = write_subject(tmp_path, subject)
    data = (tmp_path / "subject_depth.png").read_bytes()
    assert records["subject_depth.png"].sha256 == hashlib.sha256(data).hexdigest()
    np.testing.assert_array_equal(read_depth_png(data), levels)
    assert set(write_subject(tmp_path, a_subject(256))) == {path.name for path in tmp_path.iterdir()} == {"subject.png"}


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_pngs_are_exact_and_carry_no_metadata(shape: tuple[int, ...], kind: type):
    picture = np.random.default_rng(0).integers(0, np.iinfo(kind).max, shape, kind)
    data = png_bytes(picture)
    np.testing.assert_array_equal(decoded(data), picture)
    at, kinds = 8, set()
    while at < len(data):
        kinds.add(data[at + 4 : at + 8])
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    assert kinds == {b"IHDR", b"IDAT", b"IEND"}


def test_depth_and_normals_come_back_from_their_files(tmp_path: Path):
    request = a_request(2)
    random = np.random.default_rng(3)
    depth = random.uniform(1.5, 2.5, (64, 64)).astype(np.float32)
    normals = random.normal(size=(64, 64, 3))
    normals = (normals / np.linalg.norm(normals, axis=2, keepdims=True)).astype(np.float32)
    depth[:8], normals[:8] = 0, 0
    made = a_turnaround(request)
    frames = tuple(dataclasses.replace(frame, depth=depth, normals=normals) for frame in made.frames)
    written = write_turnaround(
        tmp_path, dataclasses.replace(made, frames=frames), request, CARD, depth=True, normals=True
    )
    cameras = json.loads((tmp_path / "cameras.json").read_text())
    assert {"depth_001.png", "normals_001.png"} <= set(written.manifest.files)
    stored = decoded((tmp_path / cameras["frames"][1]["depth"]).read_bytes())
    np.testing.assert_allclose(stored * cameras["depth"]["unit"], depth, atol=cameras["depth"]["unit"])
    assert (stored[:8] == 0).all()
    stored = decoded((tmp_path / cameras["frames"][1]["normals"]).read_bytes())
    np.testing.assert_allclose(stored[8:] / 65535 * 2 - 1, normals[8:], atol=1e-4)
    assert (stored[:8] == 0).all()


def test_a_second_turnaround_replaces_the_first_and_leaves_other_peoples_files(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "view_of_my_house.png").write_text("mine")
    request = a_request(3)
    write_turnaround(tmp_path, a_turnaround(request), request, CARD)
    single = a_request(1)
    write_turnaround(tmp_path, a_turnaround(single, mesh=None), single, CARD)
    assert files_in(tmp_path) == FILES - {"orbit.mp4", "model.glb", *IMAGES[1:]} | {"notes.txt", "view_of_my_house.png"}


# --- Faults -----------------------------------------------------------------------------------------------------------


def nan_mesh() -> Mesh:
    vertices = MESH.vertices.copy()
    vertices[0, 0] = np.nan
    return dataclasses.replace(MESH, vertices=vertices)


def broken(case: str) -> tuple[Turnaround, Request]:
    request = a_request()
    made = a_turnaround(request)
    first = made.frames[0]
    holes = np.ones((64, 64), np.float32)
    holes[3, 3] = np.nan
    frames = {
        "no views and no mesh": (),
        "all views transparent": tuple(
            dataclasses.replace(frame, rgba=frame.rgba * np.array([1, 1, 1, 0], np.uint8)) for frame in made.frames
        ),
        "views of two sizes": (dataclasses.replace(first, rgba=np.ones((32, 32, 4), np.uint8)), *made.frames[1:]),
        "views of floats": tuple(dataclasses.replace(f, rgba=f.rgba / 255) for f in made.frames),
        "NaN in the depth": (dataclasses.replace(first, depth=holes), *made.frames[1:]),
        "NaN in the normals": (dataclasses.replace(first, normals=np.dstack([holes] * 3)), *made.frames[1:]),
    }
    meshes = {
        "no views and no mesh": None,
        "NaN in the mesh": nan_mesh(),
        "empty mesh": dataclasses.replace(MESH, faces=np.zeros((0, 3), np.int32)),
    }
    made = dataclasses.replace(made, frames=frames.get(case, made.frames), mesh=meshes.get(case, MESH))
    if case == "NaN in a number of the manifest":
        made = dataclasses.replace(made, stage_seconds={"render": math.nan})
    return made, request


@pytest.mark.parametrize(
    "case",
    [
        "no views and no mesh",
        "all views transparent",
        "views of two sizes",
        "views of floats",
        "NaN in the depth",
        "NaN in the normals",
        "NaN in the mesh",
        "empty mesh",
        "NaN in a number of the manifest",
    ],
)
def test_f36_a_broken_result_is_refused_with_a_remedy_and_leaves_nothing(tmp_path: Path, case: str):
    made, request = broken(case)
    with pytest.raises(TurnaroundError, match=r"[Tt]ry another seed"):
        write_turnaround(tmp_path / "toy", made, request, CARD, depth=True, normals=True)
    assert not files_in(tmp_path)


def test_f35_without_an_encoder_the_images_are_delivered_and_the_video_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "av", None)
    request = a_request()
    written = write_turnaround(tmp_path, a_turnaround(request), request, CARD)
    assert files_in(tmp_path) == FILES - {"orbit.mp4"}
    assert written.manifest.notes[0] == "The back is a guess."
    assert written.manifest.notes[1].startswith("The video could not be made, because its encoder is missing")


def test_f28_a_full_disk_leaves_no_partial_turnaround(tmp_path: Path):
    """Files may hold 16, 8, ... kB: the disk fills up at the video, the model, or a picture."""
    program = """
import resource, sys
from pathlib import Path
from pipelines.core.files import StorageError
from pipelines.runtime.results import write_turnaround
from tests.runtime.test_results import CARD, a_request, a_turnaround, files_in
folder, request = Path(sys.argv[1]), a_request()
made = a_turnaround(request)
for limit in (16000, 8000, 2500, 1000, 100):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write_turnaround(folder, made, request, CARD, wall=True)
        raise SystemExit(f"{limit} bytes were enough")
    except StorageError as error:
        assert "the disk is full" in str(error), error
    assert not files_in(folder), files_in(folder)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
write_turnaround(folder, made, request, CARD)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    assert files_in(tmp_path) == FILES


def test_f29_a_folder_that_is_a_file_is_said(tmp_path: Path):
    (tmp_path / "results").write_text("not a folder")
    request = a_request()
    for folder in (tmp_path / "results", tmp_path / "results" / "toy"):
        with pytest.raises(StorageError, match="cannot be written to"):
            write_turnaround(folder, a_turnaround(request), request, CARD)


def test_nothing_written_holds_a_path_of_this_machine(tmp_path: Path):
    request = a_request()
    write_turnaround(tmp_path / "secret-name", a_turnaround(request), request, CARD)
    for path in (tmp_path / "secret-name").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"secret-name" not in data and str(Path(__file__).parents[2]).encode() not in data, path.name
