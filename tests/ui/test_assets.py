"""Our scripts and style sheets: found under an address that changes with them, kept for good, and small on the way."""

import gzip
import json
import re
from collections.abc import Iterator

import brotli
import pytest

from pipelines.runtime.settings import Settings
from tests.toy_methods import Flat
from tests.ui.hostile.server import Running
from tests.ui.rooms import Rooms, serving_rooms
from ui.assets import _files, asset, version
from ui.look import ASSETS
from ui.studio import open_studio


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    settings = Settings(data=tmp_path_factory.mktemp("assets") / "data")
    with serving_rooms(open_studio(settings, (Flat(),))) as running:
        yield running


@pytest.mark.parametrize(("accepted", "unpack"), [("br, gzip", brotli.decompress), ("gzip", gzip.decompress)])
def test_every_file_comes_packed_and_whole(rooms: Rooms, accepted: str, unpack: object) -> None:
    for name, data in _files().items():
        answer = rooms.get("/" + asset(name), headers={"Accept-Encoding": accepted})
        assert answer.status_code == 200 and answer.content == data, name  # the client has unpacked it
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["vary"] == "Accept-Encoding" and answer.headers["x-content-type-options"] == "nosniff"
        if len(data) > 10_000:
            assert answer.headers["content-encoding"] == accepted.split(",")[0]
            assert int(answer.headers["content-length"]) < len(data) / 2
    kinds = {name: rooms.get("/" + asset(name)).headers["content-type"] for name in ("words.js", "style.css")}
    assert kinds == {"words.js": "text/javascript; charset=utf-8", "style.css": "text/css; charset=utf-8"}
    plain = rooms.get("/" + asset("style.css"), headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers and plain.content == (ASSETS / "style.css").read_bytes()


def test_behind_gradios_own_packing_nothing_is_packed_twice(house: Running) -> None:
    for accepted in ("br, gzip", "gzip", "identity"):
        answer = house.client.get("/" + asset("style.css"), headers={"Accept-Encoding": accepted})
        assert answer.content == (ASSETS / "style.css").read_bytes()


def test_a_page_from_before_an_update_finds_the_newest_but_does_not_keep_it(rooms: Rooms) -> None:
    answer = rooms.get("/ui/0123456789abcdef/style.css")
    assert answer.content == (ASSETS / "style.css").read_bytes() and answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "name",
    [
        "x.js",
        "embed.html",
        "head.html",
        "favicon.svg",
        "..%2fexamples%2fSOURCES.md",
        "%2e%2e",
        "%00",
        "<b>",
        "a" * 999,
    ],
)
def test_nothing_but_scripts_and_sheets_is_there(rooms: Rooms, name: str) -> None:
    answer = rooms.get_exactly(f"/ui/{version()}/{name}")
    assert answer.status_code == 404 and len(answer.content) < 100


def test_only_the_head_or_the_file_can_be_asked_for(rooms: Rooms) -> None:
    place = "/" + asset("style.css")
    assert rooms.client.head(place).content == b"" and rooms.client.post(place).status_code == 405


def test_the_texts_come_in_every_language(rooms: Rooms) -> None:
    table = json.loads(rooms.get("/" + asset("words.json")).content)
    assert set(table) == {"en", "de"} and set(table["en"]) == set(table["de"])


def test_what_our_scripts_import_is_there() -> None:
    for name, data in _files().items():
        if name.endswith(".js") and name != "three.js":
            imported = re.findall(r"""(?:from|import)\s*\(?\s*["']([^"'\n]+)["']\)?;""", data.decode())
            for other in imported:
                assert other.startswith("./") and other.removeprefix("./") in _files(), f"{name} imports {other}"


def test_naming_a_file_that_is_not_there_is_a_mistake() -> None:
    with pytest.raises(KeyError, match=r"no x\.js"):
        asset("x.js")
