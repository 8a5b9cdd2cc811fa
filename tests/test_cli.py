"""The command line, as a person runs it."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.runtime.results import png_bytes
from tests.toy_methods import a_subject

ROOT = Path(__file__).parents[1]


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TURNAROUND_DATA": str(folder / "data"), **settings}
    command = [sys.executable, "-m", "pipelines", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def a_photo(path: Path, color: tuple[int, int, int] = (200, 60, 40)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png_bytes(a_subject(160, color).rgba))
    return path


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One batch for several tests: a good photo, a bad one, and another good one of the same name."""
    folder = tmp_path_factory.mktemp("cli")
    a_photo(folder / "disc.png")
    a_photo(folder / "other" / "disc.png", (20, 40, 220))
    (folder / "bad.png").write_text("no picture")
    photos = ("disc.png", "bad.png", "other/disc.png")
    return folder, run(
        folder, "render", *photos, "--method", "inflate", "--orbit", "3", "--photo-elevation", "10",
        "--size", "96", "--seed", "5", "--set", "back=mirror", "--out", "made", "--json",
    )  # fmt: skip


def test_a_photo_becomes_a_folder_of_files(rendered: tuple[Path, subprocess.CompletedProcess[str]]):
    made = rendered[0] / "made" / "disc" / "inflate"
    names = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}
    assert names >= {"view_000.png", "view_001.png", "view_002.png", "orbit.mp4", "model.glb"}
    assert names >= {"transforms.json", "cameras.json", "manifest.json"}
    assert "view_003.png" not in names
    with Image.open(made / "view_000.png") as view, Image.open(made.parent / "subject.png") as subject:
        assert view.size == (96, 96) and view.mode == "RGBA" and subject.mode == "RGBA"
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest["seed"] == 5 and manifest["options"]["back"] == "mirror"
    assert manifest["subject"]["elevation_deg"] == 10 and manifest["frames"][0]["view"]["elevation_deg"] == 10


def test_one_bad_photo_fails_alone_is_named_at_the_end_and_makes_the_exit_code_1(
    rendered: tuple[Path, subprocess.CompletedProcess[str]],
):
    folder, done = rendered
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["photo"], line["ok"]) for line in lines] == [
        ("disc.png", True),
        ("bad.png", False),
        ("other/disc.png", True),
    ]
    assert "bad.png" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
    assert lines[0]["seconds"] > 0 and all((folder / path).is_file() for path in lines[0]["files"])


def test_photos_of_the_same_name_do_not_overwrite_each_other(
    rendered: tuple[Path, subprocess.CompletedProcess[str]],
):
    made = rendered[0] / "made"
    colors = []
    for name in ("disc", "disc-2"):
        with Image.open(made / name / "inflate" / "view_000.png") as view:
            pixels = np.asarray(view)
        colors.append(pixels[pixels[..., 3] == 255][:, :3].mean(0))
    assert colors[0][0] > colors[0][2] and colors[1][2] > colors[1][0]


def test_no_name_of_a_photo_leads_out_of_the_folder_or_onto_another_result(tmp_path: Path):
    from pipelines.cli import _folders

    photos = ("a-2.png", "a.png", "A.jpg", "...png", "..", "sub/photo.png", ".hidden")
    folders = [folder for _, folder in _folders([Path(photo) for photo in photos], tmp_path / "out")]
    assert len({str(folder).casefold() for folder in folders}) == len(photos)
    assert all(folder.resolve().parent == (tmp_path / "out").resolve() for folder in folders)
    assert [folder.name for folder in folders[:3]] == ["a-2", "a", "A-3"]


def test_what_happened_to_the_photo_is_said_and_geometry_comes_when_asked_for(tmp_path: Path):
    with Image.fromarray(a_subject(160).rgba) as first:
        first.save(tmp_path / "moving.png", save_all=True, append_images=[first.rotate(9), first.rotate(20)])
    done = run(tmp_path, "render", "moving.png", "--azimuth", "0", "--size", "64", "--depth", "--normals", "--json")
    (line,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert any("first of 3 frames" in note for note in line["notes"])
    names = {Path(path).name for path in line["files"]}
    assert names >= {"subject.png", "view_000.png", "depth_000.png", "normals_000.png"}


def test_a_depth_of_ones_own_goes_with_each_photo(tmp_path: Path):
    a_photo(tmp_path / "disc.png")
    a_photo(tmp_path / "other.png")
    np.save(tmp_path / "depth.npy", np.linspace(1, 2, 160 * 160, dtype=np.float32).reshape(160, 160))
    own = ("--method", "invs", "--set", "fill=warp only", "--set", "depth=your own depth", "--azimuth", "20")
    asked = ("--size", "64", "--json", "--photo-depth")
    done = run(tmp_path, "render", "disc.png", *own, *asked, "depth.npy")
    (line,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert line["ok"] and any("came with the photo" in note for note in line["notes"])
    assert {Path(path).name for path in line["files"]} >= {"subject.png", "subject_depth.png"}

    (tmp_path / "depths").mkdir()
    (tmp_path / "depth.npy").rename(tmp_path / "depths" / "disc.npy")
    done = run(tmp_path, "render", "disc.png", "other.png", *own, *asked, "depths")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["ok"] for line in lines] == [True, False] and "No depth of it" in lines[1]["error"]


@pytest.mark.parametrize(
    ("photos", "depth", "said"),
    [
        (("disc.png",), "nowhere.npy", "there is no nowhere.npy"),
        (("disc.png", "other/disc.png"), "depths/disc.npy", "is of one photo"),
        (("disc.png", "other/disc.png"), "depths", "cannot be told apart"),
    ],
)
def test_a_depth_that_fits_no_photo_is_said_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photos: tuple[str, ...], depth: str, said: str, capsys
):
    from pipelines.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "depths").mkdir()
    (tmp_path / "depths" / "disc.npy").write_bytes(b"not looked at")
    assert main(["render", *photos, "--photo-depth", depth]) == 2 and said in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_person_at_a_terminal_sees_a_bar_and_a_file_sees_none():
    from pipelines.cli_bar import Bar

    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        bar = Bar("cup.jpg", stream)
        bar.show(0.5, "Rendering", None, 12.0)
        bar.clear()
    assert "cup.jpg" in terminal.getvalue() and "50%" in terminal.getvalue() and "12 s left" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K"), "nothing of it stays on the screen"
    assert file.getvalue() == ""


def test_one_view_looks_from_where_it_was_asked(tmp_path: Path):
    a_photo(tmp_path / "disc.png")
    done = run(tmp_path, "render", "disc.png", "--azimuth", "35", "--elevation", "-5", "--size", "64")
    assert done.returncode == 0, done.stderr
    made = tmp_path / "turnarounds" / "disc" / "inflate"
    cameras = json.loads((made / "cameras.json").read_text())
    (frame,) = json.loads((made / "manifest.json").read_text())["frames"]
    assert (frame["view"]["azimuth_deg"], frame["view"]["elevation_deg"]) == (35, -5)
    assert len(cameras["frames"]) == 1 and not (made / "orbit.mp4").exists()
    assert "turnarounds/disc/inflate" in done.stdout and "guess" in done.stdout


def views_of(*arguments: str) -> list[tuple[float, float, float]]:
    from pipelines.cli import _parser, _views

    views = _views(_parser().parse_args(["render", "photo.png", *arguments]))
    return [(view.azimuth_deg, view.elevation_deg, view.distance) for view in views]


def test_paths_and_distance_are_those_of_the_page():
    assert views_of() == views_of("--path", "orbit") == views_of("--orbit", "21")
    assert len(views_of()) == 21 and views_of("--path", "orbit", "--views", "4") == views_of("--orbit", "4")
    assert views_of("--azimuth", "35", "--distance", "1.5") == [(35, 0, 1.5)]
    swing = views_of("--path", "swing", "--views", "4", "--azimuth", "10", "--elevation", "5", "--distance", "2")
    assert np.allclose(swing, [(10, 5, 2), (40, 5, 2), (10, 5, 2), (-20, 5, 2)])
    spiral = views_of("--path", "spiral", "--views", "4", "--photo-elevation", "10")
    assert np.allclose(spiral, [(0, -15, 1), (90, 10, 1), (180, 35, 1), (-90, 10, 1)])


def test_what_has_nothing_to_compile_says_so(capsys: pytest.CaptureFixture[str]):
    from pipelines.cli import main

    assert main(["compile", "inflate"]) == 0 and capsys.readouterr().out == "inflate: It has nothing to compile.\n"
    assert main(["compile", "sv9d"]) == 2 and "no method 'sv9d'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["compile", "--help"])
    assert "some of: sv3d_p, sv3d_u" in " ".join(capsys.readouterr().out.split())


def test_cameras_of_ones_own_are_those_or_a_way_through_them():
    assert views_of("--through=-30,10 0,20,1.5") == [(-30, 10, 1), (0, 20, 1.5)]
    assert views_of("--through=10,0 20,0 10,0") == [(10, 0, 1), (20, 0, 1), (10, 0, 1)]
    assert np.allclose(views_of("--through", "0,10 60,10", "--views", "4"), [(20 * i, 10, 1) for i in range(4)])


def test_a_swing_from_farther_away_with_a_soft_edge_is_rendered_and_recorded(tmp_path: Path):
    from pipelines.cli import main

    arguments = ("--path", "swing", "--views", "4", "--distance", "1.4", "--feather", "0.02", "--size", "64")
    photo, made = str(a_photo(tmp_path / "disc.png")), tmp_path / "made"
    assert main(["render", photo, *arguments, "--out", str(made)]) == 0
    manifest = json.loads((made / "disc" / "inflate" / "manifest.json").read_text())
    views = [(frame["view"]["azimuth_deg"], frame["view"]["distance"]) for frame in manifest["frames"]]
    assert np.allclose(views, [(0, 1.4), (30, 1.4), (0, 1.4), (-30, 1.4)])
    assert manifest["subject"]["feather"] == 0.02


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--method", "sv9d"), "no method 'sv9d'"),
        (("--orbit", "0"), "between 1 and"),
        (("--azimuth", "nan"), "finite"),
        (("--azimuth", "10", "--orbit", "4"), "not both"),
        (("--path", "swing", "--orbit", "4"), "not both"),
        (("--views", "4", "--orbit", "4"), "not both"),
        (("--azimuth", "10", "--views", "4"), "one view"),
        (("--path", "spiral", "--azimuth", "10"), "all the way round"),
        (("--through=0,10 x",), "such as 30,10 or 30,10,1.5, not 'x'"),
        (("--through=0,95",), "the elevation must lie"),
        (("--through=",), "between 1 and 360 cameras"),
        (("--through=0,10", "--elevation", "5"), "says all of a camera"),
        (("--through=0,10", "--distance", "2"), "says all of a camera"),
        (("--path", "spiral", "--views", "0"), "a spiral has between 1 and"),
        (("--distance", "0.1"), "the distance must"),
        (("--distance", "nan"), "finite"),
        (("--feather", "0.5"), "the feather must"),
        (("--elevation", "91"), "between -90 and 90"),
        (("--photo-elevation", "inf"), "finite"),
        (("--size", "9999"), "The size"),
        (("--seed", "-1"), "The seed"),
        (("--set", "back"), "OPTION=VALUE"),
        (("--set", "back=sideways"), "one of"),
        (("--set", "wings=2"), "no chosen method has an option 'wings'"),
        (("--remover", "bria-rmbg"), "no background remover"),
        (("--fill", "2"), "share"),
    ],
)
def test_a_wrong_command_line_is_refused_once_in_words(
    arguments: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    from pipelines.cli import main

    code = main(["render", str(a_photo(tmp_path / "disc.png")), "--out", str(tmp_path / "made"), *arguments])
    told = capsys.readouterr()
    assert code == 2 and sentence.lower() in told.err.lower() and "Traceback" not in told.err
    assert not (tmp_path / "made").exists()


def test_methods_and_doctor_speak_to_people_and_to_programs(tmp_path: Path):
    listed = run(tmp_path, "methods").stdout
    assert "inflate" in listed and re.search(r"--set prompt= .*\(text\)$", listed, re.MULTILINE)
    (inflate, *_) = json.loads(run(tmp_path, "methods", "--json").stdout)
    assert inflate["key"] == "inflate" and inflate["options"]["back"]["choices"]
    doctor = run(tmp_path, "doctor")
    assert doctor.returncode == 0 and "ready" in doctor.stdout and "is fetched when" in doctor.stdout
    report = json.loads(run(tmp_path, "doctor", "--json").stdout)
    assert report["methods"]["inflate"] == [] and report["machine"]["cores"] >= 1


def test_f29_the_doctor_finds_a_data_folder_that_cannot_be_used(tmp_path: Path):
    (tmp_path / "data").write_text("a file")
    done = run(tmp_path, "doctor")
    assert done.returncode != 0 and "folder" in done.stdout + done.stderr


def test_a_bad_setting_is_refused_with_its_name(tmp_path: Path):
    done = run(tmp_path, "doctor", TURNAROUND_KEEP_DAYS="soon")
    assert done.returncode == 2 and "TURNAROUND_KEEP_DAYS" in done.stderr and "Traceback" not in done.stderr
