"""What chats show of a link: our title, sentence and picture in the real page, and nothing of what a stranger says."""

import gzip
import http.client
import re
from collections.abc import Iterator

import pytest
from starlette.requests import Request as HttpRequest

from pipelines.runtime.archive import Archive
from pipelines.runtime.method import Card
from pipelines.runtime.settings import Settings
from pipelines.runtime.stored import StoredResult
from tests.runtime.archive_helpers import save
from tests.toy_methods import Flat, Raises, Slow, SlowOptions, a_card
from tests.ui.hostile.server import Running
from tests.ui.house import MARKUP
from tests.ui.rooms import Rooms, serving_rooms
from tests.ui.test_embed import Page
from ui import recorded
from ui.open_graph import NAME, PROMISE, base_of, link_card, with_head
from ui.studio import open_studio


class Rude(Flat):
    card: Card = a_card("rude", title=MARKUP)


class Flatter(Flat):
    card: Card = a_card("flatter")


class Flattest(Flat):
    card: Card = a_card("flattest")


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    settings = Settings(data=tmp_path_factory.mktemp("graph") / "data", grace_s=0)
    with serving_rooms(open_studio(settings, (Flat(), Slow()))) as running:
        yield running
        running.studio.jobs.drain(0)


# --- The real page ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(house: Running) -> StoredResult:
    """Put into the house's store by its neighbour."""
    return save(Archive(Settings(data=house.data, free_disk_mb=0)), views=3)


def test_the_page_of_a_result_is_announced_as_that_result(house: Running, stored: StoredResult) -> None:
    page = Page(house.client.get("/", params={"r": f"{stored.id}.toy", "az": "35", "el": "nan"}).text)
    assert page.meta("og:title") == ["Turnaround: Toy of one photo, 3 views"]
    assert page.meta("og:image") == [f"{house.url}/r/{stored.id}/card.jpg"]
    assert page.meta("og:url") == [f"{house.url}/?r={stored.id}.toy&az=35"]
    assert page.meta("twitter:card") == ["summary_large_image"]
    assert page.meta("og:image:width") == ["1200"] and page.meta("og:description")[0]
    picture = house.client.get(f"/r/{stored.id}/card.jpg")
    assert picture.status_code == 200 and picture.headers["content-type"] == "image/jpeg"


def test_nothing_of_gradios_own_announcement_is_left_and_the_page_works_on(house: Running) -> None:
    html = house.client.get("/").text
    page = Page(html)
    assert page.meta("og:title") == [NAME] and page.meta("og:description") == [PROMISE]
    for name in ("twitter:creator", "twitter:title", "twitter:image"):
        assert page.meta(name) == []
    assert "@Gradio" not in html and "gradio-app/gradio" not in html.split("<script")[0]
    assert "window.gradio_config = {" in html and html.rstrip().endswith("</html>")
    assert html.index("og:title") < html.index("<script")  # crawlers read the first bytes only
    assert page.all("title") and page.all("base")


@pytest.mark.parametrize("accepted", ["", "gzip", "gzip, deflate, br, zstd"])
def test_the_page_is_whole_packed_or_not(house: Running, stored: StoredResult, accepted: str) -> None:
    port = int(house.url.rsplit(":", 1)[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", f"/?r={stored.id}", headers={"Accept-Encoding": accepted})
    answer = connection.getresponse()
    body = answer.read()
    assert int(answer.headers["content-length"]) == len(body)
    assert answer.headers["content-encoding"] == ("gzip" if accepted else None)
    assert "accept-encoding" in answer.headers["vary"].lower()
    html = (gzip.decompress(body) if accepted else body).decode()
    assert Page(html).meta("og:title") == ["Turnaround: Toy of one photo, 3 views"] and html.rstrip().endswith(
        "</html>"
    )
    connection.request("HEAD", f"/?r={stored.id}", headers={"Accept-Encoding": accepted})
    head = connection.getresponse()
    assert head.status == 200 and head.read() == b""
    connection.close()


def test_everything_else_passes_untouched(house: Running) -> None:
    assert house.client.get("/config").json()["title"] == "Turnaround"
    assert house.is_well()
    assert NAME not in house.client.get("/theme.css").text
    answer = house.client.post("/")
    assert answer.status_code == 405 and "og:title" not in answer.text


def test_53_a_link_to_nothing_shows_the_apps_own_card(house: Running, stored: StoredResult) -> None:
    usual = Page(house.client.get("/").text)
    for spec in ("x", "../x", "f" * 44, f"{stored.id}.../x", "<script>", "\0", "a" * 10_000, f"{stored.id};x"):
        answer = house.client.get("/", params={"r": spec})
        assert answer.status_code == 200
        page = Page(answer.text)
        assert page.meta("og:title") == [NAME] and page.meta("og:image") == usual.meta("og:image"), spec[:50]
        assert "<script>" not in str(page.meta("og:url"))


def test_a_strangers_host_is_text(house: Running) -> None:
    port = int(house.url.rsplit(":", 1)[1])
    for host in (f'localhost:{port}"><script>alert(1)</script>', "localhost<b>", "localhost:99999999", "[::1"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.putrequest("GET", "/", skip_host=True)
        connection.putheader("Host", host)
        connection.endheaders()
        answer = connection.getresponse()
        html = answer.read().decode()
        assert "alert(1)" not in html.split("window.gradio_config")[0].replace("&lt;script&gt;alert(1)", "")
        connection.close()


# --- In words ---------------------------------------------------------------------------------------------------------


def test_a_wall_is_named_after_what_hangs_there(rooms: Rooms) -> None:
    def title(spec: str) -> str:
        return link_card(rooms.studio, spec).title

    one = rooms.make(Flat())
    four = rooms.make(Flat(), Flatter(), Flattest(), Rude(), Raises(ValueError("x")), views=3)
    assert title(one.id) == "Turnaround: Flat of one photo, 1 view"
    assert title(f"{four.id}.flat.flatter") == "Turnaround: Flat and Flatter of one photo, 3 views"
    assert title(f"{four.id}.flat.flatter.flattest") == "Turnaround: Flat, Flatter and Flattest of one photo, 3 views"
    assert title(four.id).endswith(" and 2 more of one photo, 3 views")
    assert title(f"{one.id},{four.id}.flatter") == "Turnaround: Flat and Flatter of one photo, 3 views"
    assert title(f"{'f' * 44},{one.id}") == title(one.id)  # the others are shown all the same
    assert title(f"{one.id}.absent") == "Turnaround: A turnaround of one photo, 3D model"
    other = rooms.make(Flat(), size_px=96)
    assert title(f"{one.id},{other.id}") == "Turnaround: Flat of one photo, 1 view"
    working = rooms.begin(Slow(), options=SlowOptions(1000))
    assert title(working.id) == "Turnaround: Slow of one photo, being made"
    working.cancel()


def test_without_a_link_the_example_is_shown(
    rooms: Rooms, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "FOLDER", tmp_path_factory.mktemp("none"))
    assert link_card(rooms.studio, "").picture is None
    store = Archive(Settings(data=tmp_path_factory.mktemp("recorded"), free_disk_mb=0))
    save(store)
    monkeypatch.setattr(recorded, "FOLDER", store.root)
    assert Page(rooms.get("/").text).meta("og:image") == [f"{rooms.url}/r/example/card.jpg"]
    assert link_card(rooms.studio, "").title == NAME
    assert link_card(rooms.studio, "example").picture == "r/example/card.jpg"


def test_55_markup_in_a_title_is_text(rooms: Rooms) -> None:
    id = rooms.make(Rude()).id
    page = Page(rooms.get(f"/?r={id}").text)
    assert page.meta("og:title") == [f"Turnaround: {MARKUP} of one photo, 1 view"]
    assert not page.all("script") and not page.all("img") and MARKUP not in page.text


def request(path: str = "/", root_path: str = "", **headers: str) -> HttpRequest:
    named = {"host": "photos.example:8080", **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode()) for name, value in named.items()]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"r=x", "headers": raw}
    return HttpRequest(scope | {"root_path": root_path, "scheme": "http", "server": ("127.0.0.1", 80)})


def test_addresses_are_those_of_the_app_as_its_visitors_know_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert base_of(request(), "/") == "http://photos.example:8080/"
    assert base_of(request("/embed/abc.d"), "/embed/abc.d") == "http://photos.example:8080/"
    assert base_of(request(x_forwarded_proto="https"), "/") == "https://photos.example:8080/"
    assert base_of(request(x_forwarded_host="pub.example"), "/") == "http://pub.example/"  # the door lets it through
    assert base_of(request(root_path="/app"), "/") == "http://photos.example:8080/app/"
    assert base_of(request("/embed/abc", root_path="/app"), "/embed/abc") == "http://photos.example:8080/app/"
    monkeypatch.setenv("GRADIO_ROOT_PATH", "https://pub.example/turn")
    assert base_of(request("/embed/abc"), "/embed/abc") == "https://pub.example/turn/"
    monkeypatch.setenv("GRADIO_ROOT_PATH", "/turn")
    assert base_of(request(), "/") == "http://photos.example:8080/turn/"
    assert base_of(request(x_forwarded_host="pub.example:x"), "/") == ""


def test_only_what_stands_before_the_first_script_is_replaced() -> None:
    theirs = b'<meta property="og:title" content="x" />'
    page = b"<head>" + theirs + b"<style></style><script>'" + theirs + b"'</script></head>"
    assert with_head(page, b"<t>") == b"<head><style></style>\n<t>\n<script>'" + theirs + b"'</script></head>"
    assert re.sub(rb"\s", b"", with_head(b"<head></head>", b"<t>")) == b"<head><t></head>"
    assert with_head(b"plain", b"<t>").strip() == b"<t>\nplain"
