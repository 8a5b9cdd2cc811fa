"""Set-up that just works: the environment, what is required, the front door's papers, the example photos."""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from PIL import Image

from tools import browser, set_up

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "assets" / "examples"
PHOTOS = sorted(p for p in EXAMPLES.iterdir() if p.suffix in (".jpg", ".png", ".webp"))
SOURCES = (EXAMPLES / "SOURCES.md").read_text("utf-8")


def requirements(name: str) -> list[Requirement]:
    lines = [line.split("  #")[0].strip() for line in (ROOT / name).read_text("utf-8").splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-r "))]


def closure(roots: list[Requirement]) -> set[str]:
    """Every installed distribution that `roots` bring along, here."""
    found: set[str] = set()
    waiting = [(canonicalize_name(r.name), frozenset(r.extras)) for r in roots]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        found.add(name)
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # another system's, or an extra's
        for text in lines:
            wanted = Requirement(text)
            if wanted.marker and not any(wanted.marker.evaluate({"extra": e}) for e in (extras or {""}) | {""}):
                continue
            step = (canonicalize_name(wanted.name), frozenset(wanted.extras))
            if step not in seen:
                seen.add(step)
                waiting.append(step)
    return found


# --- The environment --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 6), (3, 10, 13)])
def test_an_old_python_is_told_so_in_a_sentence(version: tuple[int, ...]) -> None:
    words = set_up.complaint(version, True)
    assert words
    assert "3.11 or newer" in words
    assert ".".join(map(str, version[:2])) in words


def test_a_python_without_venv_is_told_what_to_install() -> None:
    words = set_up.complaint((3, 12, 1), False)
    assert words
    assert "python3-venv" in words


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 1), (3, 14, 0), (4, 0, 0)])
def test_a_recent_python_is_taken(version: tuple[int, ...]) -> None:
    assert set_up.complaint(version, True) is None


def test_the_set_up_is_read_by_pythons_that_are_too_old() -> None:
    """Else they would show a syntax error instead of the sentence."""
    ast.parse((ROOT / "tools" / "set_up.py").read_text("utf-8"), feature_version=(3, 6))


def test_a_second_set_up_has_nothing_to_do_until_a_requirement_changes(tmp_path: Path) -> None:
    wanted, included = tmp_path / "wanted.txt", tmp_path / "included.txt"
    wanted.write_text("-r included.txt\n")
    included.write_text("# nothing\n")
    command = [sys.executable, "tools/set_up.py", "--venv", str(tmp_path / "venv"), str(wanted)]
    # The index is nowhere: a run that asks it for anything fails.
    environment = os.environ | {
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": os.devnull,
    }

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)

    first = run()
    assert first.returncode == 0, first.stderr
    assert "Making a Python" in first.stdout
    assert "Installed" in first.stdout
    second = run()
    assert (second.returncode, second.stdout.count("\n")) == (0, 1)
    assert "up to date" in second.stdout
    included.write_text("no-such-package-of-anyone==1\n")
    third = run()
    assert third.returncode != 0
    assert "Installing" in third.stdout
    assert "Setting up stopped" in third.stderr
    assert "Traceback" not in third.stderr


def test_a_folder_that_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    treasure = tmp_path / "treasure.txt"
    treasure.write_text("mine")
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    command = [sys.executable, "tools/set_up.py", "--venv", str(tmp_path), str(empty)]
    tried = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert tried.returncode != 0
    assert "is left alone" in tried.stderr
    assert treasure.read_text() == "mine"


@pytest.mark.parametrize("target", ["run", "test", "bench", "format", "clean", "help"])
def test_make_knows_the_target(target: str) -> None:
    shown = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr


def test_make_test_runs_every_check() -> None:
    shown = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, timeout=60).stdout
    for part in ("tools/browser.py", "ruff check", "ruff format --check", "pyright", "-m pytest"):
        assert part in shown
    assert "make test" in (ROOT / ".ci" / "run").read_text("utf-8")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_make_says_in_a_sentence_that_a_python_is_missing() -> None:
    tried = subprocess.run(
        ["make", "run", "PYTHON=no-such-python"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert tried.returncode != 0
    assert "Turnaround needs Python 3.11 or newer, and none was found as no-such-python." in tried.stdout


# --- The browser for the tests ----------------------------------------------------------------------------------------


def test_the_browser_that_was_found_starts(chromium: str) -> None:
    assert browser.starts(chromium)


@pytest.mark.parametrize("script", ["exit 1", "echo 'Please install the snap'", "exit 0"])
def test_a_stand_in_that_is_no_browser_is_not_taken(tmp_path: Path, script: str) -> None:
    stand_in = tmp_path / "chromium"
    stand_in.write_text(f"#!/bin/sh\n{script}\n")
    stand_in.chmod(0o755)
    assert not browser.starts(str(stand_in))
    assert not browser.starts(str(tmp_path / "absent"))


def test_a_named_browser_that_does_not_start_is_refused_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", sys.executable)
    with pytest.raises(SystemExit, match="CHROMIUM names"):
        browser.find()


# --- What is required -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_each_requirement_has_a_floor_and_a_ceiling_that_the_installed_version_meets(name: str) -> None:
    for each in requirements(name):
        assert {spec.operator for spec in each.specifier} == {">=", "<"}, each
        assert each.specifier.contains(importlib.metadata.version(each.name)), each


def test_the_app_brings_a_torch_that_suits_zerogpu_and_nothing_that_is_compiled_or_needs_a_gpu() -> None:
    wanted = requirements("requirements.txt")
    brought = closure(wanted)
    assert {"gradio", "rembg", "onnxruntime", "numpy", "torch", "diffusers", "transformers"} <= brought
    torch = next(r for r in wanted if r.name == "torch").specifier
    assert all(torch.contains(version) for version in ("2.8.0", "2.9.1", "2.10.0", "2.11.0", "2.13.0"))
    assert not torch.contains("2.14.0")
    foreign = re.compile(r"flash.attn|xformers|torchvision|tensorflow|jax|bitsandbytes|deepspeed")
    assert [name for name in brought if foreign.search(name)] == []


def imported_by(*places: str) -> set[str]:
    """The distributions that the Python files there import, wherever in a file."""
    owners = importlib.metadata.packages_distributions()
    ours = {"app", "bench", "pipelines", "tests", "tools", "ui"}
    found: set[str] = set()
    for path in (
        p for place in places for p in ([ROOT / place] if place == "app.py" else (ROOT / place).rglob("*.py"))
    ):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
            for top in {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - ours:
                assert top in owners, f"{path} imports {top}, which no requirement brings"
                found |= {canonicalize_name(owner) for owner in owners[top]}
    return found


def test_each_requirement_is_imported_and_each_import_is_required() -> None:
    wanted = requirements("requirements.txt")
    used = imported_by("app.py", "ui", "pipelines")
    # What Gradio itself stands on comes with Gradio, in the version that it wants.
    assert used - closure([*wanted, *requirements("requirements-ray.txt")]) == set()
    assert {canonicalize_name(r.name) for r in wanted} - used == set()


def test_the_tests_and_measurements_import_only_what_is_required() -> None:
    wanted = [r for name in ("", "-dev", "-mcp", "-ray") for r in requirements(f"requirements{name}.txt")]
    assert imported_by("tests", "bench") - closure(wanted) == set()


# --- Papers -----------------------------------------------------------------------------------------------------------


def front_matter() -> dict[str, str]:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert readme.startswith("---\n")
    return yaml.safe_load(readme.split("---\n")[1])


def test_the_space_finds_what_it_needs_in_the_readme() -> None:
    told = front_matter()
    assert told["sdk"] == "gradio"
    assert (ROOT / told["app_file"]).is_file()
    assert told["license"] == "apache-2.0"
    gradio = next(r for r in requirements("requirements.txt") if r.name == "gradio")
    assert gradio.specifier.contains(told["sdk_version"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert Requirement("python" + project["requires-python"]).specifier.contains(told["python_version"])
    assert Version(told["python_version"]) >= Version(".".join(map(str, set_up.OLDEST)))
    # What ZeroGPU has (huggingface.co/docs/hub/spaces-zerogpu): specs/peers.md, 4
    assert told["python_version"] in ("3.10.13", "3.12.12")
    (before,) = requirements("pre-requirements.txt")
    (torch,) = (r for r in requirements("requirements.txt") if r.name == "torch")
    offered = [f"2.{minor}.0" for minor in range(8, 14)]
    assert before.name == "torch" and [v for v in offered if before.specifier.contains(v)] == offered[:4]
    assert all(torch.specifier.contains(version) for version in offered)
    assert len(told["short_description"]) <= 60  # a longer one is refused by the Hub
    assert project["license"] == "Apache-2.0"


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "9. Accepting Warranty or Additional Liability." in text


def test_the_readme_names_what_exists() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert sum(not line.startswith("|") for line in readme.splitlines()) < 150  # rows come with methods and settings
    for line in ("python3 -m venv .venv", ".venv/bin/pip install -r requirements.txt", ".venv/bin/python app.py"):
        assert f"    {line}\n" in readme
    paths = re.findall(r"(?:assets|tests|pipelines|tools|ui)/[\w./-]*\w(?:\.\w+)?/?", readme)
    assert len(paths) > 4
    assert [path for path in paths if not (ROOT / path).exists()] == []
    targets = set(re.findall(r"\bmake (run|test|bench|format|clean)\b", readme))
    assert {"run", "test", "bench"} <= targets


def test_the_readme_lists_exactly_the_methods_that_exist() -> None:
    from pipelines.registry import METHODS

    table = (ROOT / "README.md").read_text("utf-8").split("## Methods")[1].split("\n## ")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE) == [method.card.key for method in METHODS]


# --- The example photos -----------------------------------------------------------------------------------------------


def test_there_are_examples_with_and_without_a_background() -> None:
    assert len(PHOTOS) >= 5
    cut_out = [p for p in PHOTOS if Image.open(p).mode == "RGBA"]
    assert 2 <= len(cut_out) < len(PHOTOS)


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda p: p.name)
def test_each_example_has_its_author_and_licence_in_sources(photo: Path) -> None:
    row = next(line for line in SOURCES.splitlines() if f"`{photo.name}`" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == 5
    assert all(cells)
    assert "CC0" in cells[3] or "public domain" in cells[3].lower()


def test_sources_names_no_file_that_is_gone() -> None:
    assert set(re.findall(r"^\| `([^`]+)`", SOURCES, re.MULTILINE)) == {p.name for p in PHOTOS}


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda p: p.name)
def test_each_example_is_light_large_enough_and_carries_no_metadata(photo: Path) -> None:
    assert photo.stat().st_size <= 250_000
    assert re.fullmatch(r"\d-[a-z]+(-[a-z]+)*\.(jpg|png|webp)", photo.name)  # its stem is read as a title
    with Image.open(photo) as opened:
        opened.load()
        assert min(opened.size) >= 400
        assert not set(opened.info) & {"exif", "xmp", "icc_profile", "comment", "Software", "date:create"}
        if opened.mode == "RGBA":
            low, high = opened.getchannel("A").getextrema()
            assert (low, high) == (0, 255)
