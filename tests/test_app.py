"""`python app.py`: it starts lean, says where it is or why not, and takes no file of the server's from anyone."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.ui.hostile.server import HOUSE, Running, a_picture, clean_environment, file_object, serving

# What a started server did, written when it ends: connections it opened, heavy modules it loaded.
WATCH = """
import atexit, os, sys
def heard(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        with open(os.environ["WATCHED"], "a") as log:
            log.write(f"{event} {arguments[1:] if event.endswith('connect') else arguments}\\n")
sys.addaudithook(heard)
leave = os._exit
def told(code):
    heavy = [name for name in ("torch", "diffusers", "transformers", "rembg", "onnxruntime") if name in sys.modules]
    with open(os.environ["WATCHED"], "a") as log:
        log.write(f"heavy {heavy}\\n")
    leave(code)
os._exit = told
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("watch") / "log"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, watched: Path) -> Iterator[Running]:
    (watched.parent / "sitecustomize.py").write_text(WATCH)
    data = tmp_path_factory.mktemp("app") / "data"
    with serving(data, "app", PYTHONPATH=watched.parent, WATCHED=watched) as running:
        yield running


def start_and_fail(**environment: object) -> subprocess.CompletedProcess[str]:
    told = clean_environment() | {name: str(value) for name, value in environment.items()}
    return subprocess.run([sys.executable, "app.py"], cwd=HOUSE, env=told, capture_output=True, text=True, timeout=120)


def test_it_says_where_it_is(app: Running) -> None:
    assert f"Turnaround is ready: {app.url}/" in app.log.read_text()
    page = app.client.get("/")
    assert page.status_code == 200 and "gradio" in page.text
    assert app.is_well()


def test_65_every_endpoint_that_has_a_name_is_meant_to(app: Running) -> None:
    named = {d["api_name"] for d in app.client.get("/config").json()["dependencies"] if d["api_visibility"] == "public"}
    assert named == {"prepare", "render", "compare", "methods", "reopen", "delete"}


def test_the_steps_of_all_private_events_are_told_to_one_that_is_not_drawn(app: Running) -> None:
    config = app.client.get("/config").json()
    ((told,),) = {tuple(e["show_progress_on"]) for e in config["dependencies"] if e["api_visibility"] == "private"}
    assert [component["type"] for component in config["components"] if component["id"] == told] == ["state"]


def test_40_to_43_no_event_of_the_page_takes_a_file_of_the_server(app: Running, tmp_path: Path) -> None:
    """Named or not, meant for programs or not: every event, with a foreign file in each kind of place that it has.

    The same function between the same components is the same event, however often it is bound. A kind is a component:
    what is done with a value depends on that alone. Each file comes in by one of the two ways, turn and turn about:
    both lead through the one guard.
    """
    colour = (7, 77, 177)
    canary = tmp_path / "canary.png"
    canary.write_bytes(a_picture(colour))
    before = [file for file in app.data.rglob("*") if file.is_file()]
    config = app.client.get("/config").json()
    different = {
        (re.sub(r"_\d+$", "", str(event["api_name"])), *map(str, (event["inputs"], event["outputs"]))): event
        for event in config["dependencies"]
    }
    events = list(different.values())
    kinds = {component["id"]: component["type"] for component in config["components"]}
    assert len(events) >= 30 and {"image", "imageeditor", "html", "textbox"} <= set(kinds.values())

    def attempt(event: dict[str, Any]) -> None:
        first_of_kind = {kinds[id]: place for place, id in reversed([*enumerate(event["inputs"])])}
        for place in first_of_kind.values():
            files = (file_object(str(canary)), {"path": str(canary)}, str(canary), {"url": f"file://{canary}"})
            for shape, file in enumerate(files):
                values: list[Any] = [None] * len(event["inputs"])
                values[place] = file
                body = {"data": values, "fn_index": event["id"], "session_hash": os.urandom(6).hex()}
                way = ("run/predict", "queue/join")[(place + shape + event["id"]) % 2]
                app.client.post(f"/gradio_api/{way}", json=body)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(attempt, events))
    content = canary.read_bytes()
    made = [file for file in app.data.rglob("*") if file.is_file() and file not in before]
    assert not [file for file in made if content[40:] in file.read_bytes()]
    assert app.is_well()


def test_a_photo_sent_to_the_page_is_gone_once_it_was_read(app: Running) -> None:
    """4 of the targets: the raw upload, with all that its file says of the visitor, does not outlive its reading."""
    said = Image.Exif()
    said[0x010F] = "SECRET-CAMERA-7"  # Make
    photo = a_picture((200, 60, 40), "JPEG", spot=True, exif=said)
    assert b"SECRET-CAMERA" in photo
    path = app.upload(photo, "secret-name.jpg")
    answer = app.call("prepare", file_object(path), "none", 0, 0.8, None)
    assert answer.ok, answer.text
    assert not Path(path).exists()
    kept = [file for file in app.data.rglob("*") if file.is_file()]
    assert not [file for file in kept if b"SECRET-CAMERA" in file.read_bytes() or "secret-name" in file.name]


def test_it_ends_with_0_having_asked_nobody_and_loaded_nothing_heavy(app: Running, watched: Path) -> None:
    assert app.stop() == 0
    told = watched.read_text().splitlines()
    assert "heavy []" in told
    foreign = [
        line for line in told if line.startswith("socket.") and "127.0.0.1" not in line and "localhost" not in line
    ]
    assert not foreign


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"TURNAROUND_MAX_UPLOAD_MB": "a lot"},
            "TURNAROUND_MAX_UPLOAD_MB='a lot': it must be a number between 0.1 and 500.",
        ),
        ({"TURNAROUND_MAX_UPLAOD_MB": "1"}, "TURNAROUND_MAX_UPLAOD_MB is not a setting."),
        ({"GRADIO_SERVER_PORT": "abc"}, "GRADIO_SERVER_PORT='abc': it must be a whole number"),
        ({"GRADIO_NUM_PORTS": "abc"}, "GRADIO_NUM_PORTS='abc': it must be a whole number."),
        ({"GRADIO_ANALYTICS_CACHE_FREQUENCY": "x"}, "GRADIO_ANALYTICS_CACHE_FREQUENCY='x': it must be a whole number."),
        ({"GRADIO_DEFAULT_CONCURRENCY_LIMIT": "all"}, "GRADIO_DEFAULT_CONCURRENCY_LIMIT='all': it must be a whole"),
        ({"GRADIO_ROOT_PATH": "not a url"}, "GRADIO_ROOT_PATH='not a url': it must be the app's public address"),
    ],
)
def test_a_bad_setting_is_refused_with_a_sentence(settings: dict[str, str], sentence: str, tmp_path: Path) -> None:
    done = start_and_fail(**{"TURNAROUND_DATA": tmp_path, **settings})
    assert done.returncode == 2 and done.stderr.startswith(sentence) and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("tmp/*"))


def test_gradios_debugging_does_not_keep_it_from_stopping(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "app", GRADIO_DEBUG=1) as running:
        assert running.stop() == 0
        assert "Stopping once running work is done" in running.log.read_text()


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = start_and_fail(TURNAROUND_DATA=tmp_path, GRADIO_SERVER_PORT=port)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"Port {port} of 127.0.0.1 cannot be used" in done.stderr
    assert not list(tmp_path.glob("tmp/*"))
