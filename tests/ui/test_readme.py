"""What the README says of HTTP, typed as it stands there: only the address, the photo and the ids are the reader's."""

import itertools
import json
import re
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ui.hostile.server import HOUSE, Running, clean_environment, serving
from tests.ui.house import a_photo

WRITTEN = "http://127.0.0.1:7860/"
PATIENCE_S = 240
SECTION = (HOUSE / "README.md").read_text().partition("\n## Over HTTP\n")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("readme") / "data", "app") as running:
        yield running


@pytest.fixture
def reader(tmp_path: Path) -> dict[str, Any]:
    """Where and how a reader types: in a folder with a photo."""
    (tmp_path / "photo.jpg").write_bytes(a_photo())
    own = {"TMPDIR": str(tmp_path), "GRADIO_TEMP_DIR": str(tmp_path / "client"), "NO_PROXY": "127.0.0.1"}
    return {"cwd": tmp_path, "env": clean_environment() | own, "text": True, "stdout": subprocess.PIPE}


def block(first: str, app: Running) -> str:
    """The indented lines that begin with this one, with the test's server for the one that is written there."""
    blocks = re.findall(r"(?:^(?:    .*)?\n)+", SECTION + "\n", re.MULTILINE)
    (lines,) = (dedented for each in blocks if (dedented := textwrap.dedent(each).strip()).startswith(first))
    assert lines.count(WRITTEN) == 1
    return lines.replace(WRITTEN, app.url + "/")


def test_the_readmes_python_does_what_it_says(app: Running, reader: dict[str, Any]) -> None:
    lines = block("from gradio_client", app) + '\nprint(one["id"], len(made["turnarounds"]["inflate"]["frames"]))'
    typed = subprocess.run([sys.executable, "-c", lines], timeout=PATIENCE_S, check=True, **reader)
    link, video, deleted, views = typed.stdout.split()[-4:]
    assert views == "21"
    assert app.client.get(link).status_code == 200 and "?r=" in link
    assert app.client.get(video).content[4:8] == b"ftyp"
    assert is_gone(app, deleted) and not is_gone(app, link.partition("?r=")[2])


def test_the_readmes_curl_does_what_it_says(app: Running, reader: dict[str, Any]) -> None:
    assert shutil.which("curl") and shutil.which("bash"), "The README's lines need curl and bash. Install them."
    first, *asked = re.split(r"^(?=ask \w)", block("at=", app), flags=re.MULTILINE)
    made: dict[str, dict[str, Any]] = {}
    gaps: dict[str, str] = {}

    def filled(gap: re.Match[str]) -> str:
        return gaps[gap[0]]

    with typing(reader) as type_in:
        assert not type_in(first)
        for line in asked:
            last = type_in(re.sub("<[a-z ]+>", filled, line)).splitlines()[-1]
            assert last.startswith("data: "), last
            name, (answer,) = line.split()[1], json.loads(last.removeprefix("data: "))
            made[name] = answer
            if name == "prepare":
                gaps["<of prepare>"] = answer["subject"]
            if name == "render":
                gaps |= {"<id>": answer["id"], "<of render>": answer["delete_key"]}
    assert list(made) == ["methods", "prepare", "render", "compare", "reopen", "delete"]
    assert "inflate" in {method["key"] for method in made["methods"]["methods"]}
    views = {name: len(made[name]["turnarounds"]["inflate"]["frames"]) for name in ("render", "compare")}
    assert views == {"render": 9, "compare": 21}
    assert made["reopen"] == {key: value for key, value in made["render"].items() if key != "delete_key"}
    assert made["delete"]["state"] == "deleted" and is_gone(app, made["render"]["id"])

    id = made["compare"]["id"]
    addresses = [path.replace("<id>", id) for path in re.findall(r"`(?:GET )?(/[^`]*<id>[^`]*)`", SECTION)]
    assert len(addresses) == 3
    for path in addresses:
        assert app.client.get(path).status_code == 200, path


def is_gone(app: Running, id: str) -> bool:
    return app.client.get(f"/r/{id}/wall.json").status_code == 404


@contextmanager
def typing(reader: dict[str, Any]) -> Iterator[Callable[[str], str]]:
    """A shell that is typed into; each time, what it prints."""
    bash = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stderr=subprocess.STDOUT, **reader)
    late = threading.Timer(PATIENCE_S, bash.kill)
    late.start()

    def type_in(lines: str) -> str:
        assert bash.stdin and bash.stdout
        bash.stdin.write(f"{lines}\necho; echo that was all\n")
        bash.stdin.flush()
        return "".join(itertools.takewhile(lambda line: line != "that was all\n", bash.stdout)).strip()

    try:
        yield type_in
    finally:
        late.cancel()
        bash.communicate()
