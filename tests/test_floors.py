"""The house stands: imports only go down, files stay small, and starting the page loads and contacts nothing heavy."""

import ast
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.registry import METHODS

ROOT = Path(__file__).resolve().parents[1]
OURS = ("app.py", "ui", "pipelines")
MOST_LINES = 420
HEAVY = (
    "torch",
    "diffusers",
    "transformers",
    "ray",
    "rembg",
    "onnxruntime",
    "scipy",
    "skimage",
    "trimesh",
    "av",
)

# Floor and room of a module. A module may import from lower floors, and from its own room.
COMMAND_LINE = {"__main__", "cli", "cli_compile", "cli_weights"}


def place(module: str) -> tuple[int, str] | None:
    """Where one of our modules lives; `None` for other people's."""
    match module.split("."):
        case ["app"]:
            return 6, "app"
        case ["ui", *_]:
            return 5, "ui"
        case ["pipelines"]:
            return 0, "pipelines"
        case ["pipelines", name, *_] if name in COMMAND_LINE:
            return 4, "command line"
        case ["pipelines", "registry"]:
            return 3, "registry"
        case ["pipelines", "runtime", *_]:
            return 1, "runtime"
        case ["pipelines", "core", *_]:
            return 0, "core"
        case ["pipelines", name, *_]:
            return 2, name
    return None


def python_files(*names: str) -> Iterator[Path]:
    for name in names:
        path = ROOT / name
        yield from [path] if path.is_file() else sorted(path.rglob("*.py"))


def module_of(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(source: str, module: str, is_package: bool = False) -> Iterator[str]:
    """Every module that `source` imports, wherever in the file: inside functions too."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *(node.module.split(".") if node.module else [])])
            # `from pipelines import inflate` names a module only in its second half.
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def breaches(source: str, module: str, is_package: bool = False) -> list[str]:
    """What in `source` breaks the house's rules, in words."""
    here = place(module)
    assert here, module
    found = []
    for name in imported(source, module, is_package):
        there = place(name)
        if there and there != here and there[0] >= here[0]:
            found.append(f"{module} imports {name}: not below it")
        if here[0] < 5 and name.split(".")[0] in ("gradio", "gradio_client"):
            found.append(f"{module} imports {name}: only ui/ and app.py know Gradio")
    return found


def test_imports_only_go_down() -> None:
    files = list(python_files(*OURS))
    assert len(files) > 10
    found = [b for f in files for b in breaches(f.read_text("utf-8"), module_of(f), f.name == "__init__.py")]
    assert found == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pipelines.core.mesh", "from pipelines.runtime.method import Card"),
        ("pipelines.core.mesh", "def late():\n    import pipelines.runtime.engine"),
        ("pipelines.core.mesh", "from ..runtime import engine"),
        ("pipelines.runtime.engine", "from pipelines import registry"),
        ("pipelines.runtime.engine", "from pipelines import inflate"),
        ("pipelines.inflate.texture", "from pipelines import shap_e"),
        ("pipelines.inflate", "from pipelines.shap_e import ShapE"),
        ("pipelines.inflate", "import gradio as gr"),
        ("pipelines.registry", "import ui.page"),
        ("pipelines.cli", "from ui import page"),
        ("ui.page", "import app"),
    ],
)
def test_the_rule_catches_a_module_that_breaks_it(module: str, source: str) -> None:
    assert breaches(source, module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "pipelines.inflate.model",
            "from pipelines.inflate.texture import bleed\nfrom . import texture\nimport numpy",
        ),
        ("pipelines.runtime.engine", "from pipelines.core.errors import TurnaroundError"),
        ("pipelines.registry", "from pipelines.inflate import Inflate"),
        ("ui.page", "import gradio as gr\nfrom pipelines.registry import METHODS"),
    ],
)
def test_the_rule_lets_honest_modules_pass(module: str, source: str) -> None:
    assert breaches(source, module) == []


def test_no_file_is_a_drawer_for_everything() -> None:
    names = [p.name for p in python_files(*OURS, "tests", "bench", "tools")]
    assert not {"utils.py", "util.py", "helpers.py", "misc.py", "common.py"} & set(names)


def test_no_file_outgrows_its_reader() -> None:
    lengths = {p: len(p.read_text("utf-8").splitlines()) for p in python_files(*OURS, "tests", "bench", "tools")}
    assert {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > MOST_LINES} == {}
    assert len((ROOT / "app.py").read_text("utf-8").splitlines()) < 100


def test_no_source_lets_a_model_bring_code_of_its_own() -> None:
    allowing = "trust_remote_code", "custom_pipeline"
    sources = {path: path.read_text("utf-8") for path in python_files(*OURS, "bench", "tools")}
    assert [str(path) for path, source in sources.items() if any(word in source for word in allowing)] == []


def test_every_method_is_registered_under_the_name_of_its_module() -> None:
    assert METHODS
    keys = [method.card.key for method in METHODS]
    rooms = {type(method).__module__.split(".")[1] for method in METHODS}
    assert all(any(key == room or key.startswith(f"{room}_") for key in keys) for room in rooms)  # families share one
    assert len(set(keys)) == len(keys)


def in_fresh_interpreter(code: str) -> str:
    """What `code` prints, in a Python that has imported nothing of ours yet."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", ["app", "ui.page", "pipelines.registry", "pipelines.cli"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    printed = in_fresh_interpreter(f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))")
    loaded = set(json.loads(printed.splitlines()[-1]))
    assert module in loaded
    assert loaded.isdisjoint(HEAVY)


# Writes down each address that anything in the process resolves or talks to, and each heavy package that it looks for.
WATCH = """
import sys

seen = open({log!r}, "a", buffering=1)

def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto"):
        seen.write(f"contact {{arguments[1]!r}}\\n")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        seen.write(f"contact {{arguments[0]!r}}\\n")
    elif event == "import" and arguments[0] in {heavy!r}:
        seen.write(f"import {{arguments[0]}}\\n")

sys.addaudithook(watch)
"""
AS_A_PROGRAM = """
import runpy
sys.argv = ["app.py"]
runpy.run_path("app.py", run_name="__main__")
"""


def watched(log: Path) -> str:
    return WATCH.format(log=str(log), heavy=HEAVY)


def remarkable(log: Path) -> list[str]:
    """What was seen, without this machine talking to itself."""
    here = ("'127.0.0.1'", "'localhost'", "'::1'", "'0.0.0.0'", "'::'", "None", "b''")
    return [line for line in log.read_text().splitlines() if not any(name in line for name in here)]


def test_starting_the_page_contacts_nobody_and_loads_nothing_heavy(tmp_path: Path) -> None:
    log, output = tmp_path / "seen.txt", tmp_path / "output.txt"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Neither Gradio's nor the Hub's opt-outs are set here: the app itself has to keep quiet.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GRADIO_", "HF_", "TURNAROUND_"))}
    environment |= {"GRADIO_SERVER_PORT": str(port), "TURNAROUND_DATA": str(tmp_path / "data")}
    with output.open("w") as written:
        command = [sys.executable, "-c", watched(log) + AS_A_PROGRAM]
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=written, stderr=subprocess.STDOUT)
    try:
        wait_until_served(server, port, output)
        time.sleep(1.5)  # a version check in a background thread would have begun by now
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    assert remarkable(log) == []


def wait_until_served(server: subprocess.Popen[bytes], port: int, output: Path) -> None:
    for _ in range(600):
        assert server.poll() is None, output.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                assert answer.status == 200
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("It did not serve within a minute:\n" + output.read_text())


def test_the_watch_sees_a_contact_and_a_heavy_import(tmp_path: Path) -> None:
    log = tmp_path / "seen.txt"
    # 192.0.2.1 belongs to documentation (RFC 5737): nobody is there.
    call = "import socket; s = socket.socket(); s.settimeout(0.01); s.connect_ex(('192.0.2.1', 9)); s.close()"
    in_fresh_interpreter(watched(log) + call + "\nimport scipy")
    assert remarkable(log) == ["contact ('192.0.2.1', 9)", "import scipy"]
