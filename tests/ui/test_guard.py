"""Every file a handler is given was uploaded here. Each way of a file into a request is tried on each component."""

import asyncio
import html
import json
import os
import secrets
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
import pytest
from gradio.utils import get_upload_folder

from tests.ui.hostile.page import FILE_INPUTS
from tests.ui.hostile.server import Running, a_picture, file_object, serving
from ui.guard import MAX_DEPTH, NO_ADDRESSES, NOT_OURS, TOO_COMPLEX, check_files

CANARY_COLOUR = (7, 77, 177)
CANARY_TEXT = b"CANARY-0f1e2d"
File = dict[str, Any]

# The shapes in which honest pages and clients send a component's value
NATURAL: dict[str, Callable[[File], Any]] = {
    "image": lambda file: file,
    "gallery": lambda file: [{"image": file, "caption": None}],
    "slider": lambda file: [file, dict(file)],
    "editor": lambda file: {"background": file, "layers": [], "composite": dict(file)},
    "file": lambda file: file,
    "files": lambda file: [file],
    "model": lambda file: file,
    "video": lambda file: file,
    "annotated": lambda file: {"image": file, "annotations": [{"image": dict(file), "label": "x"}]},
    "button": lambda file: file,
    "download": lambda file: file,
    "chat": lambda file: [{"role": "user", "content": [{"type": "file", "file": file}]}],
    "text": lambda file: {"text": "x", "files": [file]},
    "audio": lambda file: file,
    "json": lambda file: {"anything": file},
}
# What a rude client may make of the file object itself
GUISES: dict[str, Callable[[str], Any]] = {
    "as honest clients do": file_object,
    "bare": lambda path: {"path": path},
    "with everything": lambda path: file_object(path, url=f"/gradio_api/file={path}", size=1, mime_type="image/png"),
    "renamed": lambda path: file_object(path, orig_name="cat.svg"),
    "as a stream": lambda path: file_object(path, is_stream=True),
    "with foreign meta": lambda path: {"path": path, "meta": {"_type": "other"}},
    "an address of this server": lambda path: {"path": None, "url": f"/gradio_api/file={path}"},
    "only an address": lambda path: {"url": f"/gradio_api/file={path}", "meta": {"_type": "gradio.FileData"}},
    "within a file": lambda path: {"path": None, "image": file_object(path), "video": file_object(path)},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("guard") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def canaries(server: Running, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files that are not uploads, in every place where one might think they are."""
    picture = a_picture(CANARY_COLOUR)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    hashed = server.uploads / secrets.token_hex(32)
    hashed.mkdir()
    (hashed / "deeper").mkdir()
    unhashed = server.uploads / "notahash"
    unhashed.mkdir()
    result = server.data / "results" / ("a" * 44)
    result.mkdir(parents=True)
    planted = [elsewhere / "canary.png", server.uploads / "canary.png", unhashed / "canary.png"]
    planted += [hashed / "deeper" / "canary.png", result / "subject.png", Path(tempfile.gettempdir()) / "canary-x.png"]
    for place in planted:
        place.write_bytes(picture)
    (elsewhere / "canary.txt").write_bytes(CANARY_TEXT)
    (hashed / "link.png").symlink_to(elsewhere / "canary.png")
    (server.uploads / ("b" * 64)).symlink_to(elsewhere, target_is_directory=True)
    (hashed / "loop.png").symlink_to(hashed / "loop.png")
    return {
        "elsewhere": str(elsewhere / "canary.png"),
        "text": str(elsewhere / "canary.txt"),
        "beside uploads": str(server.uploads / "canary.png"),
        "no hash": str(unhashed / "canary.png"),
        "too deep": str(hashed / "deeper" / "canary.png"),
        "a result": str(result / "subject.png"),
        "system's temporary": str(planted[-1]),
        "climbing": f"{hashed}/../../../../../..{elsewhere / 'canary.png'}",
        "relative": os.path.relpath(elsewhere / "canary.png", Path.cwd()),
        "a link": str(hashed / "link.png"),
        "a linked folder": str(server.uploads / ("b" * 64) / "canary.png"),
        "a loop": str(hashed / "loop.png"),
        "a folder": str(hashed),
        "the environment": "/proc/self/environ",
        "the program": "app.py",
        "an absent one": str(server.uploads / ("c" * 64) / "x.png"),
        "NUL": "/etc/passwd\0.png",
        "empty": "",
        "very long": "/" + "a" * 5000,
        "a lone surrogate": "/tmp/\ud800.png",
    }


def shaped(endpoint: str, file: File) -> Any:
    return NATURAL[endpoint.partition("_")[0]](file)


def leaks(text: str) -> bool:
    colour = json.dumps(list(CANARY_COLOUR))[1:-1]
    return (
        colour in text
        or CANARY_TEXT.decode() in text
        or "PATH=" in text
        or repr(a_picture(CANARY_COLOUR)[40:60]) in text
    )


def in_threads(tries: list[tuple[Any, ...]], attempt: Callable[..., str | None]) -> None:
    """Every attempt's complaint at once."""
    with ThreadPoolExecutor(4) as pool:
        complaints = [complaint for complaint in pool.map(lambda values: attempt(*values), tries) if complaint]
    assert not complaints, "\n".join(complaints[:10])


def test_honest_uploads_pass(server: Running) -> None:
    def attempt(endpoint: str) -> str | None:
        name, data = ("a.wav", b"RIFF....") if endpoint == "audio" else ("cat.png", a_picture((11, 22, 33)))
        path = server.upload(data, name)
        as_browsers_do = file_object(path, orig_name=name, url=f"{server.url}/gradio_api/file={path}", size=9)
        answers = (
            server.as_page(endpoint, shaped(endpoint, as_browsers_do)),
            server.call(endpoint, shaped(endpoint, file_object(path))),
        )
        for answer in answers:
            if not answer.ok or not any(sign in answer.text for sign in ("11, 22, 33", "PNG", "RIFF")):
                return f"{endpoint}: {answer.text[:300]}"
        return None

    in_threads([(endpoint,) for endpoint in FILE_INPUTS], attempt)


@pytest.mark.parametrize("guise", GUISES)
def test_40_to_43_no_component_takes_a_file_of_the_server(
    server: Running, canaries: dict[str, str], guise: str
) -> None:
    def attempt(endpoint: str, place: str, nested: bool) -> str | None:
        file = GUISES[guise](canaries[place])
        answer = server.call_directly(f"{endpoint}_direct", shaped(endpoint, file) if nested else file)
        if leaks(answer.text):
            return f"{endpoint} {place}: {answer.text[:300]}"
        named = guise not in ("an address of this server", "only an address")
        if named and (answer.ok or answer.sentence not in (NOT_OURS, NO_ADDRESSES)):
            return f"{endpoint} {place}: {answer.text[:300]}"
        return None

    tries = (("elsewhere", True), ("elsewhere", False), ("text", True))
    in_threads([(endpoint, *way) for endpoint in FILE_INPUTS for way in tries], attempt)


def test_40_to_43_wherever_the_file_lies(server: Running, canaries: dict[str, str]) -> None:
    def attempt(endpoint: str, place: str) -> str | None:
        answer = server.call_directly(f"{endpoint}_direct", shaped(endpoint, file_object(canaries[place])))
        refused = not answer.ok and answer.sentence in (NOT_OURS, NO_ADDRESSES) and not leaks(answer.text)
        return None if refused else f"{endpoint} {place}: {answer.text[:300]}"

    before = server.reached
    in_threads([(e, place) for e in ("image_filepath", "gallery_pil", "files", "json") for place in canaries], attempt)
    assert server.reached == before


def test_40_to_43_through_the_queue_and_as_the_page_does(server: Running, canaries: dict[str, str]) -> None:
    before = server.reached

    def attempt(endpoint: str) -> str | None:
        value = shaped(endpoint, file_object(canaries["elsewhere"]))
        for answer in (server.call(endpoint, value), server.as_page(endpoint, value)):
            if answer.ok or answer.sentence != NOT_OURS:
                return f"{endpoint}: {answer.text[:300]}"
        return None

    in_threads([(endpoint,) for endpoint in FILE_INPUTS], attempt)
    assert server.reached == before


def test_40_a_path_that_is_only_text_is_no_file(server: Running, canaries: dict[str, str]) -> None:
    for endpoint in FILE_INPUTS:
        if endpoint not in ("json", "chat", "text"):  # where a text is a fine value
            answer = server.call_directly(f"{endpoint}_direct", canaries["elsewhere"])
            assert not answer.ok and not leaks(answer.text), answer.text


def test_40_an_event_cannot_carry_a_file_either(server: Running, canaries: dict[str, str]) -> None:
    value = {"value": file_object(canaries["elsewhere"])}
    assert server.as_page("values", 1, "one").ok
    assert server.as_page("values", 1, "one", event_data=value).sentence == NOT_OURS


def test_44_an_upload_has_an_address_nobody_can_work_out(server: Running) -> None:
    """The same bytes, twice: a visitor who has another's photo still does not learn that it was here, nor where."""
    first, second = server.upload(a_picture(), "same.png"), server.upload(a_picture(), "same.png")
    assert Path(first).parent != Path(second).parent
    assert len(Path(first).parent.name) == 64 and "same" not in first
    listing = server.client.get(f"/gradio_api/file={Path(first).parent}")
    assert listing.status_code in (403, 404) and Path(first).name not in listing.text
    assert server.client.get(f"/gradio_api/file={Path(first).parent.parent}").status_code in (403, 404)


def test_45_a_link_among_the_uploads_leads_nowhere(server: Running, canaries: dict[str, str]) -> None:
    for place in ("a link", "a linked folder", "a loop"):
        assert server.call("image_filepath", file_object(canaries[place])).sentence == NOT_OURS
        assert server.call("file", file_object(canaries[place])).sentence == NOT_OURS


@pytest.mark.parametrize("embedded", ["data:image/png;base64,iVBORw0KGgo=", " DATA:text/plain,hello"])
def test_46_47_embedded_files_are_refused(server: Running, embedded: str) -> None:
    for file in (
        {"url": embedded},
        file_object(embedded),
        {"path": None, "url": embedded},
    ):
        for endpoint in FILE_INPUTS:
            answer = server.call_directly(f"{endpoint}_direct", shaped(endpoint, dict(file)))
            assert answer.sentence == NO_ADDRESSES, (endpoint, file)
    for endpoint in FILE_INPUTS:  # browsers send both of a drawing they show: the upload counts, and nothing else
        honest = server.upload(a_picture())
        answer = server.call_directly(f"{endpoint}_direct", shaped(endpoint, file_object(honest, url=embedded)))
        assert "iVBORw0KGgo=" not in answer.text and "hello" not in answer.text


def test_46_an_embedded_file_over_the_limit_is_not_even_read(server: Running) -> None:
    answer = server.call("image_pil", {"url": "data:image/png;base64," + "A" * 1_500_000})
    assert answer.status == 413 and "1 MB" in answer.sentence


def test_48_no_address_is_fetched(server: Running) -> None:
    hits = 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        port, done = listener.getsockname()[1], threading.Event()

        def count() -> None:
            nonlocal hits
            while not done.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                hits += 1
                connection.close()

        thread = threading.Thread(target=count)
        thread.start()
        hosts = ["127.0.0.1", "localhost", "0.0.0.0", "[::1]", "2130706433", "0x7f000001", "127.1", "localhost."]
        hosts += [
            "[::ffff:127.0.0.1]",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "[2002:7f00:1::]",
        ]
        forms = [f"{scheme}://{host}:{port}/x.png" for host in hosts for scheme in ("http", "HTTPS")]
        forms += [f"ftp://127.0.0.1:{port}/x", f"//127.0.0.1:{port}/x.png", f"\\\\127.0.0.1@{port}\\x.png"]
        forms += ["file:///etc/passwd", "FILE:/etc/passwd", f" http://127.0.0.1:{port}/", f"\thttp://127.0.0.1:{port}/"]

        def attempt(endpoint: str, address: str) -> str | None:
            for file in (file_object(address), {"url": address}):
                answer = server.call_directly(f"{endpoint}_direct", shaped(endpoint, file))
                if answer.ok or answer.sentence != NO_ADDRESSES:
                    return f"{endpoint} {file}: {answer.text[:200]}"
            return None

        in_threads([(e, address) for e in ("image_filepath", "file", "gallery_pil") for address in forms], attempt)
        for address in forms:
            answer = server.client.get(f"/gradio_api/file={quote(address)}")
            assert answer.status_code in (403, 404), (address, answer.status_code)
            assert server.client.get(f"/gradio_api/proxy={quote(address)}").status_code == 404
        done.set()
        thread.join()
    assert hits == 0


@pytest.mark.parametrize(
    "name",
    ["x.gif", "x.pdf", "x.eps", "x.im", "x.svg", "a" * 400 + ".png", "<img src=x onerror=alert(1)>.png", "../../x"],
)
def test_49_the_name_a_request_gives_changes_nothing(server: Running, name: str) -> None:
    path = server.upload(a_picture((11, 22, 33)))
    answer = server.call("image_pil", file_object(path, orig_name=name, mime_type="application/pdf"))
    assert answer.ok and "11, 22, 33" in answer.text
    shown = server.call("show", file_object(path, orig_name=name))
    assert shown.ok and name not in html.unescape(shown.text)
    assert not [
        file for file in server.uploads.rglob("*") if name in file.name or file.suffix in (".pdf", ".eps", ".im")
    ]


def test_51_no_photo_at_all_reaches_the_handler(server: Running) -> None:
    """What a missing photo means, the handler says."""
    assert server.call("image_filepath", None).text == '["NoneType None"]'


def test_what_the_app_showed_can_be_sent_back(server: Running) -> None:
    path = server.upload(a_picture((11, 22, 33)))
    shown = json.loads(server.call("show", file_object(path)).text)[0]
    assert server.call("show_again", shown, shown).ok
    assert server.client.get(shown["url"]).content == a_picture((11, 22, 33))


def test_examples_can_be_chosen(server: Running) -> None:
    """Gradio keeps a copy among the uploads, and the page sends that."""
    dataset = next(c for c in server.client.get("/config").json()["components"] if c["type"] == "dataset")
    (sample,) = dataset["props"]["samples"][0]
    answer = server.call("image_pil", sample)
    assert answer.ok and "10, 200, 30" in answer.text


def test_a_request_of_absurd_depth_or_width_is_refused() -> None:
    deep: Any = {}
    for _ in range(MAX_DEPTH + 1):
        deep = {"a": [deep]}
    for value in (deep, [0] * 30_000):
        with pytest.raises(gr.Error) as refused:
            check_files(value)
        assert refused.value.message == html.escape(TOO_COMPLEX, quote=False)


def test_what_the_app_answers_may_be_as_large_as_it_likes(server: Running) -> None:
    assert len(json.loads(server.call("much", 5000).text)[0]) == 5000


def test_a_file_that_is_gone_is_told_as_such(server: Running) -> None:
    path = server.upload(a_picture())
    Path(path).unlink()
    assert server.call("image_filepath", file_object(path)).sentence == NOT_OURS


def test_stock_gradio_still_needs_the_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When this fails, Gradio proves by itself that files were uploaded, and `shield` may stop doing so."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    canary = tmp_path / "canary.png"
    canary.write_bytes(a_picture(CANARY_COLOUR))
    with gr.Blocks() as page:
        picture, out = gr.Image(type="numpy"), gr.Textbox()
        picture.change(lambda pixels: str(pixels[0, 0].tolist()), picture, out)
    page.has_launched = True  # what Gradio checks, it checks only then
    (event,) = page.fns.values()
    told = asyncio.run(page.process_api(event, [{"path": str(canary)}]))
    assert told["data"] == [str(list(CANARY_COLOUR))]
    assert not canary.is_relative_to(get_upload_folder())
