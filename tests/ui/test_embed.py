"""`/embed/<spec>`: a page of our own, with nothing in it but the wall, that any other page may frame."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import ClassVar
from urllib.parse import quote, urljoin

import pytest

from pipelines.runtime.archive import NOT_FOUND
from pipelines.runtime.manifest import DAMAGED
from pipelines.runtime.method import Card
from pipelines.runtime.settings import Settings
from pipelines.runtime.stored import StoredResult
from tests.toy_methods import Flat, Slow, SlowOptions, a_card
from tests.ui.house import MARKUP
from tests.ui.rooms import Rooms, serving_rooms
from tests.ui.test_files import WRONG_IDS
from ui.assets import _files, asset
from ui.look import _theme
from ui.studio import open_studio


class Rude(Flat):
    card: ClassVar[Card] = a_card("rude", title=MARKUP)


class Page(HTMLParser):
    """Its elements with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def meta(self, name: str) -> list[str | None]:
        return [each.get("content") for each in self.all("meta") if name in (each.get("property"), each.get("name"))]


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    settings = Settings(data=tmp_path_factory.mktemp("embed") / "data", grace_s=0)
    with serving_rooms(open_studio(settings, (Flat(), Slow(), Rude()))) as running:
        yield running
        running.studio.jobs.drain(0)


@pytest.fixture(scope="module")
def result(rooms: Rooms) -> StoredResult:
    return rooms.make(Flat(), Rude(), views=3)


def test_it_holds_the_wall_and_nothing_of_anyone_else(rooms: Rooms, result: StoredResult) -> None:
    answer = rooms.get(f"/embed/{result.id}.flat?az=270&el=12.5")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    page = Page(answer.text)
    assert page.all("main") == [{"id": "wall", "data-spec": f"{result.id}.flat", "data-az": "-90.0", "data-el": "12.5"}]
    assert page.all("base") == [{"href": "../"}]
    names = [name for name, _ in page.elements]
    assert not {"iframe", "form", "style", "object"} & set(names)
    assert not [each for _, attributes in page.elements for each in attributes if each.startswith("on")]
    (script,) = page.all("script")
    assert script == {"type": "module", "src": asset("embed.js")}
    for address in (script["src"], *(sheet["href"] for sheet in page.all("link"))):
        assert rooms.get(urljoin("/embed/../", str(address))).status_code == 200
    assert page.all("a")[0]["href"] == f"./?r={result.id}.flat&az=-90&el=12.5"


def test_any_page_may_frame_it_and_no_script_from_elsewhere_runs_in_it(rooms: Rooms, result: StoredResult) -> None:
    for place in (f"/embed/{result.id}", "/embed/x"):
        answer = rooms.get(place)
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert policy["frame-ancestors"] == "*" and policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert "http" not in answer.headers["content-security-policy"] and "unsafe" not in str(policy)
        assert "x-frame-options" not in answer.headers and answer.headers["x-content-type-options"] == "nosniff"


def test_it_carries_a_title_and_a_picture_for_chats(rooms: Rooms, result: StoredResult) -> None:
    page = Page(rooms.get(f"/embed/{result.id}.flat").text)
    assert page.meta("og:title") == ["Turnaround: Flat of one photo, 3 views"]
    assert page.meta("og:image") == [f"{rooms.url}/r/{result.id}/card.jpg"]
    assert page.meta("og:url") == [f"{rooms.url}/?r={result.id}.flat"]


def test_55_markup_in_a_title_is_text(rooms: Rooms, result: StoredResult) -> None:
    page = Page(rooms.get(f"/embed/{result.id}.rude").text)
    assert page.meta("og:title") == [f"Turnaround: {MARKUP} of one photo, 3 views"] and MARKUP in page.text
    assert len(page.all("script")) == 1 and not page.all("img")


@pytest.mark.parametrize("moment", ["az=nan&el=NaN", "az=inf&el=-1e999", "az=361&el=90.5", "az=&el=", "az=<b>&el=1,2"])
def test_56_angles_that_are_none_are_left_out(rooms: Rooms, result: StoredResult, moment: str) -> None:
    answer = rooms.get(f"/embed/{result.id}?{moment}")
    assert answer.status_code == 200
    assert Page(answer.text).all("main") == [{"id": "wall", "data-spec": result.id}]


def test_53_every_link_to_nothing_has_one_page(rooms: Rooms) -> None:
    deleted = rooms.make(Flat())
    rooms.studio.archive.delete(deleted.id)
    answers = set()
    for id in (*WRONG_IDS, deleted.id, f"{deleted.id}.flat", "f" * 44 + ".<script>", ",", "a," * 5000):
        if "/" not in id and id not in ("..", "\0"):
            answer = rooms.get(f"/embed/{quote(id, safe='')}")
            answers.add((answer.status_code, answer.text))
    ((status, html),) = answers
    assert status == 404 and NOT_FOUND in Page(html).text
    (script,) = Page(html).all("script")
    assert str(script["src"]).endswith(asset("phrases.js"))  # in the visitor's language
    assert len(Page(html).all("main")) == len(Page(html).all("h1")) == 1
    for path in ("/embed/%2e%2e", "/embed/..%2f..%2fx", "/embed/%00", "/embed/"):
        assert rooms.get_exactly(path).status_code == 404


def test_a_damaged_result_says_so_and_one_of_several_that_is_gone_leaves_the_others(rooms: Rooms) -> None:
    damaged, whole = rooms.make(Flat()), rooms.make(Flat())
    (damaged.folder / "flat/view_000.png").unlink()
    answer = rooms.get(f"/embed/{damaged.id}")
    assert answer.status_code == 404 and DAMAGED in Page(answer.text).text
    answer = rooms.get(f"/embed/{damaged.id},{whole.id}")
    assert answer.status_code == 200 and Page(answer.text).all("main")[0]["data-spec"] == f"{damaged.id},{whole.id}"


def test_a_run_that_goes_on_can_be_embedded(rooms: Rooms) -> None:
    job = rooms.begin(Slow(), options=SlowOptions(1000))
    page = Page(rooms.get(f"/embed/{job.id}").text)
    job.cancel()
    assert page.meta("og:title") == ["Turnaround: Slow of one photo, being made"]


def test_only_the_page_can_be_asked_for(rooms: Rooms, result: StoredResult) -> None:
    place = f"/embed/{result.id}"
    assert rooms.client.head(place).status_code == 200 and rooms.client.head(place).content == b""
    for method in ("POST", "PUT", "DELETE"):
        assert rooms.client.request(method, place).status_code == 405


# --- The look ---------------------------------------------------------------------------------------------------------


def variables(css: str, begin: str, end: str = "}") -> dict[str, str]:
    start = css.index(begin)
    return dict(re.findall(r"(--[\w-]+):\s*([^;]+);", css[start : css.index(end, start)]))


def resolved(value: str, known: dict[str, str]) -> str:
    while names := re.findall(r"var\((--[\w-]+)\)", value):
        for name in names:
            value = value.replace(f"var({name})", known[name])
    return value


@pytest.mark.parametrize("dark", [False, True])
def test_the_embed_has_the_colours_of_the_page(dark: bool) -> None:
    page, style = _theme()._get_theme_css(), _files()["style.css"].decode()
    tokens = _files()["tokens.css"].decode()
    theirs = variables(page, ":root {") | variables(style, ".gradio-container {")
    ours = variables(tokens, ":root {")
    if dark:
        theirs |= variables(page, ":root.dark") | variables(style, ".dark .gradio-container")
        ours |= variables(tokens, "@media (prefers-color-scheme: dark)")
    assert {name: resolved(value, ours) for name, value in ours.items()} == {
        name: resolved(theirs[name], theirs) for name in ours
    }


def test_every_colour_that_the_wall_uses_is_there() -> None:
    wall, tokens = _files()["wall.css"].decode(), _files()["tokens.css"].decode()
    used = set(re.findall(r"var\((--[\w-]+)\)", wall))  # with another value to fall back on, it may be absent
    set_by_script = set(re.findall(r'"(--[\w-]+)"', "".join(_files()[n].decode() for n in _files() if n != "three.js")))
    assert used - set(re.findall(r"(--[\w-]+):", wall + tokens)) - set_by_script == set()
