"""What arrives over HTTP and is no honest request: too long, too slow, malformed, from elsewhere, for someone else."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.ui.hostile.page import EXITS
from tests.ui.hostile.server import Running, a_picture, as_json, file_object, serving
from ui.door import CLOSED, FOREIGN_NAME, FOREIGN_PAGE
from ui.guard import BAD_VALUES, TOO_COMPLEX
from ui.server import NOT_UNDERSTOOD
from ui.uploads import MALFORMED, TOO_MANY

BOUNDARY = "edge"
REFUSED_S = 2.0  # every refusal comes within this time; nothing here asserts less than a machine under load can do


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("http") / "data", TURNAROUND_MAX_UPLOAD_MB=2) as running:
        yield running


@pytest.fixture(autouse=True)
def still_well(server: Running, request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test did: nothing half uploaded stays, nothing broke, and the next honest visitor is served."""
    told = len(server.log.read_text())
    yield
    deadline = time.monotonic() + 30
    while (left := list(server.uploads.glob("arriving-*"))) and time.monotonic() < deadline:
        time.sleep(0.05)  # a sender that has left is noticed in a moment
    assert not left
    assert server.call("image_pil", file_object(server.upload(a_picture((11, 22, 33))))).ok
    if "test_f5" not in request.node.name:  # where bugs are made on purpose
        assert "Traceback" not in server.log.read_text()[told:]


def a_part(data: bytes, disposition: str) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode("utf-8", "surrogateescape")
    return head + data + f"\r\n--{BOUNDARY}--\r\n".encode()


def post_raw(server: Running, body: bytes, path: str = "/gradio_api/upload") -> httpx.Response:
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    return server.client.post(path, content=body, headers={"Content-Type": kind})


# --- Names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../../evil.png",
        "..\\..\\evil.png",
        "/etc/cron.d/evil.png",
        "C:\\evil.png",
        "evil\0.png",
        "evil\r\nX-Injected: 1.png",
        "gnp.\u202elive.png",
        "\U0001f408.png",
        "caf\u0065\u0301.png",
        "con.png",
        ".htaccess",
        "..",
        "%2e%2e%2fevil.png",
        "<img src=x onerror=alert(1)>.png",
        "a" * 400 + ".png",
        "evil.png/",
        "",
        " ",
    ],
)
def test_52_a_visitors_file_name_is_never_used(server: Running, name: str) -> None:
    before = set(server.uploads.rglob("*"))
    answer = server.client.post("/gradio_api/upload", files={"files": (name, a_picture((1, 2, 3)))})
    if not name:
        assert answer.status_code == 400 and answer.text == MALFORMED  # a part without a name is no file
        return
    assert answer.status_code == 200, answer.text
    stored = Path(answer.json()[0])
    assert stored.stem == "photo" and stored.parent.parent.resolve() == server.uploads.resolve()
    assert set(server.uploads.rglob("*")) - before == {stored, stored.parent}
    served = server.client.get(f"/gradio_api/file={stored}")
    assert not [
        trace for trace in ("evil", "htaccess", "con.", "img") if trace in served.headers["content-disposition"]
    ]
    assert stored.stat().st_mode & 0o077 == 0 and stored.parent.stat().st_mode & 0o077 == 0


def test_37_no_file_name_of_a_visitor_stays_on_the_server(server: Running) -> None:
    for name in ("my-secret-cat.png", "my-secret-cat.jpeg", "my-secret-cat"):
        path = server.upload(a_picture(), name, upload_id="abcdef")
        shown = server.call("show", file_object(path, orig_name=name))
        assert shown.ok and "my-secret" not in shown.text
    assert not [file for file in server.data.rglob("*") if "my-secret" in file.name]
    assert "my-secret" not in server.log.read_text()


# --- Sizes and shapes -------------------------------------------------------------------------------------------------


def test_64_a_json_body_of_30_mb_is_refused(server: Running) -> None:
    for headers in ({}, {"Transfer-Encoding": "chunked"}):
        body = b'{"data": ["' + b"a" * 30_000_000 + b'"]}'

        def pieces(body: bytes = body) -> Iterator[bytes]:
            yield from (body[at : at + 65_536] for at in range(0, len(body), 65_536))

        start = time.monotonic()
        content: Any = pieces() if headers else body
        answer = server.client.post(
            "/gradio_api/call/values", content=content, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 413 and "1 MB" in answer.json()["detail"]
        assert time.monotonic() - start < 10 * REFUSED_S


def test_64_a_json_body_of_any_depth_or_kind_is_answered(server: Running) -> None:
    bodies: list[tuple[bytes, str]] = [
        (b'{"data": ' + b"[" * 5000 + b"]" * 5000 + b"}", "application/json"),
        (b'{"data": ' + b"[" * 300 + b"]" * 300 + b"}", "application/json"),
        (b'{"data": [' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"]}", "application/json"),
        (b'{"data": 5}', "application/json"),
        (b'{"data": null}', "application/json"),
        (b"[]", "application/json"),
        (b"null", "application/json"),
        (b"{", "application/json"),
        (b"", "application/json"),
        (b"\xff\xfe\x00", "application/json"),
        (b'{"data": [1, "one"]}', "text/plain"),
        (b'{"data": [1, "one"]}', "multipart/form-data"),
        (b'{"data": [1, "one"]}', "application/x-www-form-urlencoded"),
        (b'{"data": [1, "one"], "fn_index": -1, "session_hash": {}}', "application/json"),
        (b'{"data": [1, "one"], "fn_index": 1e400, "session_hash": "x"}', "application/json"),
        (b'{"data": [1, "one"], "fn_index": 99999, "session_hash": "x"}', "application/json"),
        (b'{"data": [1, "one"], "session_hash": "x", "trigger_id": "x", "event_data": [1]}', "application/json"),
    ]
    routes = (
        "call/values",
        "call/v2/values",
        "run/values",
        "api/values",
        "queue/join",
        "cancel",
        "component_server",
        "reset",
    )
    for route in routes:
        for body, kind in bodies:
            answer = server.client.post(f"/gradio_api/{route}", content=body, headers={"Content-Type": kind})
            assert answer.status_code < 500, (route, body[:60], answer.status_code, answer.text[:200])
            if route == "call/values" and answer.status_code == 200:
                told = server.result("values", answer.json()["event_id"])
                assert told.ok or told.sentence in (TOO_COMPLEX, BAD_VALUES), told


def test_64_unknown_names_are_answered(server: Running) -> None:
    for name in ("nothing", "..%2Fvalues", "%2e%2e", "a" * 2000, "values/../../x", "\u202e"):
        for route in ("call", "call/v2", "run", "api"):
            answer = server.client.post(f"/gradio_api/{route}/{name}", **as_json({"data": []}))
            assert 400 <= answer.status_code < 500, (route, name, answer.status_code, answer.text[:200])
            assert "Traceback" not in answer.text and "/site-packages/" not in answer.text
    body = {"component_id": 10**6, "session_hash": "x", "fn_name": "ls", "data": []}
    assert server.client.post("/gradio_api/component_server", json=body).json()["detail"] == NOT_UNDERSTOOD


def test_64_too_few_or_odd_values_get_a_sentence(server: Running) -> None:
    for values in ([], [1], [None, "one"], ["12", "one"], [[1], "one"], [{}, "one"]):
        assert server.call("values", *values).sentence == BAD_VALUES, values
    assert server.call("values", 1, "one", "and", "more").ok  # Gradio ignores what is too much
    for values in ([181, "one"], [float("inf"), "one"], [1, "<script>"], [1, "one" * 9999]):
        said = server.call("values", *values).sentence
        assert said and "<script>" not in said and len(said) < 40_000


def test_uploads_are_limited(server: Running) -> None:
    assert server.upload(b"x" * 2_000_000)
    for size in (2_000_001, 2_100_000, 30_000_000):
        answer = server.client.post("/gradio_api/upload", files={"files": ("x.png", b"x" * size)})
        assert answer.status_code == 413 and "2 MB" in answer.text, (size, answer.text)
    both = [("files", ("x.png", b"x" * 1_200_000))] * 2
    assert server.client.post("/gradio_api/upload", files=both).status_code == 413
    many = [("files", (f"{i}.png", b"x")) for i in range(200)]
    answer = server.client.post("/gradio_api/upload", files=many)
    assert answer.status_code == 400 and answer.text == TOO_MANY


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"--edge",
        b"--edge\r\n\r\n\r\n--edge--",
        a_part(b"x", 'form-data; name="files"'),
        a_part(b"x", 'form-data; filename="x.png"'),
        a_part(b"x", 'form-data; name="other"; filename="x.png"'),
        a_part(b"x", "form-data; name=files; filename=" + "a" * 9000),
        a_part(b"x", 'form-data; name="files"; filename="x.png"')[:-20],
        (f"--{BOUNDARY}\r\n" + "X: y\r\n" * 3000).encode(),
    ],
)
def test_malformed_uploads_get_a_sentence(server: Running, body: bytes) -> None:
    answer = post_raw(server, body)
    if answer.status_code == 200:  # the parser accepts a missing end
        assert Path(answer.json()[0]).name == "photo.png"
    else:
        assert answer.status_code == 400 and answer.text == MALFORMED
    for kind in ("text/plain", "multipart/form-data", "multipart/form-data; boundary="):
        answer = server.client.post("/gradio_api/upload", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 400 and answer.text == MALFORMED
    for upload_id in ("x", "x" * 5000, "\n", "../x"):
        answer = server.client.post(
            "/gradio_api/upload",
            params={"upload_id": upload_id},
            content=body,
            headers={"Content-Type": "multipart/form-data"},
        )
        assert answer.status_code == 400


def test_an_upload_that_breaks_off_leaves_nothing(server: Running) -> None:
    before = len(list(server.uploads.iterdir()))
    head = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
    ).encode()
    port = int(server.url.rsplit(":", 1)[1])
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head + a_part(b"x" * 100_000, 'form-data; name="files"; filename="x.png"'))
    deadline = time.monotonic() + 10
    while len(list(server.uploads.iterdir())) > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(list(server.uploads.iterdir())) == before


# --- Where requests come from, and what answers carry -----------------------------------------------------------------


def test_other_websites_can_neither_ask_nor_read(server: Running) -> None:
    for origin in ("https://evil.example", "null", "http://127.0.0.1.evil.example", "https://evil.example:7860"):
        headers = {"Origin": origin}
        for route in ("call/values", "queue/join", "upload", "cancel", "run/values", "component_server"):
            answer = server.client.post(f"/gradio_api/{route}", json={"data": [1, "one"]}, headers=headers)
            assert answer.status_code == 403 and answer.json()["detail"] == FOREIGN_PAGE
        for method, path in (
            ("GET", "/config"),
            ("GET", "/healthz"),
            ("OPTIONS", "/gradio_api/call/values"),
            ("GET", "/"),
        ):
            answer = server.client.request(method, path, headers={**headers, "Access-Control-Request-Method": "POST"})
            assert not [name for name in answer.headers if name.startswith("access-control")], answer.headers
    own = server.client.post("/gradio_api/call/values", json={"data": [1, "one"]}, headers={"Origin": server.url})
    assert own.status_code == 200


def test_a_server_for_this_machine_answers_to_its_names_only(server: Running) -> None:
    """Another site's name can be pointed at this machine; its pages would then count as ours."""
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "169.254.1.1", ""):
        answer = server.client.get("/config", headers={"Host": host})
        assert answer.status_code == 403 and answer.json()["detail"] == FOREIGN_NAME, host
    port = server.url.rsplit(":", 1)[1]
    for host in ("localhost", f"localhost:{port}", "127.0.0.1", f"[::1]:{port}"):
        assert server.client.get("/config", headers={"Host": host}).status_code == 200


def test_links_are_not_built_from_what_a_stranger_says(server: Running) -> None:
    strange = {"X-Forwarded-Host": "evil.example", "X-Gradio-Server": "https://evil.example"}
    assert "evil.example" not in server.client.get("/config", headers=strange).text
    assert "evil.example" not in server.client.get("/", headers=strange).text


def test_answers_carry_safe_headers(server: Running) -> None:
    picture = server.upload(a_picture())
    page = server.upload(b"<html><script>alert(1)</script>", "cat.jpg")
    drawing = server.upload(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "x.svg")
    for path in ("/", "/config", "/healthz", "/nothing", f"/gradio_api/file={picture}", "/theme.css"):
        answer = server.client.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "x-frame-options" not in answer.headers  # a Space lives in a frame of another site
    for file in (picture, page, drawing):
        answer = server.client.get(f"/gradio_api/file={file}")
        assert answer.status_code == 200 and answer.headers["content-security-policy"].startswith("sandbox;")
        assert answer.headers["cache-control"].startswith("private")
    assert server.client.get(f"/gradio_api/file={drawing}").headers["content-disposition"].startswith("attachment")
    assert "content-security-policy" not in server.client.get("/").headers


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=https://example.hf.space/",
        "/gradio_api/file=https://example.com/x.png",
        "/gradio_api/FILE=https://example.com/x.png",
        "/gradio_api/deep_link?session_hash=x",
        "/gradio_api/run-history/records",
        "/gradio_api/run-history/buckets",
        "/gradio_api/runs",
        "/gradio_api/vibe-code",
        "/gradio_api/process_recording",
        "/gradio_api/stream/x",
        "/monitoring",
        "/monitoring/summary",
        "/monitoring/x",
    ],
)
def test_65_what_the_page_does_not_use_is_closed(server: Running, path: str) -> None:
    for method in ("GET", "POST"):
        answer = server.client.request(method, path)
        assert answer.status_code in (404, 405), (method, answer.status_code, answer.text[:200])
    if not path.startswith("/gradio_api/FILE"):
        assert server.client.get(path).json()["detail"] == CLOSED


def test_files_of_the_server_are_not_served(server: Running) -> None:
    places = ("/etc/passwd", "app.py", "/proc/self/environ", str(server.data / "example.png"), str(server.log), "/")
    for place in (*places, str(server.uploads), f"{server.uploads}/../../../{server.log.name}", "/etc/passwd%00.png"):
        for route in ("file=", "file/"):
            answer = server.client.get(f"/gradio_api/{route}{place}")
            assert answer.status_code in (403, 404), (place, answer.status_code)


# --- F5: exceptions of every kind -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EXITS)
def test_f5_nothing_raised_in_a_handler_stops_the_server(server: Running, kind: str) -> None:
    for endpoint in ("raise_in_handler", "raise_in_stream"):
        for answer in (server.call(endpoint, kind), server.as_page(endpoint, kind)):
            assert not answer.ok and "on purpose" not in answer.text
            assert "reference" in answer.sentence and "Try again" in answer.sentence
        start = time.monotonic()
        assert server.is_well()
        assert time.monotonic() - start < REFUSED_S


@pytest.mark.parametrize("kind", EXITS)
def test_f5_nothing_raised_in_a_method_stops_the_server(server: Running, kind: str) -> None:
    answer = server.call("run", kind)
    assert answer.ok and "ended" in answer.text and "Failed" in answer.text
    assert ("ran out of memory" if kind == "MemoryError" else "reference") in answer.text
    assert "saved" in server.call("run", "1").text


def test_f7_a_killed_worker_leaves_the_server_and_the_next_run_alone(server: Running) -> None:
    answer = server.call("run", "killed")
    assert answer.ok and "ended" in answer.text and "memory runs out. Ask for fewer" in answer.text
    assert server.is_well()
    assert "saved" in server.call("run", "learned").text


def test_errors_are_text_not_markup(server: Running) -> None:
    assert server.call("refuse", "<img src=x onerror=alert(1)>").sentence.startswith("There is no &lt;img")


# --- F14, F11: many visitors ------------------------------------------------------------------------------------------


def test_f14_two_visitors_with_the_same_photo_get_their_own(server: Running) -> None:
    """In the same second, fifty times."""
    together, photo = threading.Barrier(2), a_picture((11, 22, 33))

    def visit(_: int) -> set[str]:
        paths = set[str]()
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
            visitor = replace(server, client=client)
            for _ in range(50):
                together.wait(60)
                path = visitor.upload(photo, "same.png")
                assert "11, 22, 33" in visitor.call("image_pil", file_object(path)).text
                paths.add(path)
        return paths

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(visit, range(2))
    assert len(first) == len(second) == 50 and not first & second


def started(server: Running, tenths_s: int) -> str:
    return server.client.post("/gradio_api/call/run", **as_json({"data": [str(tenths_s)]})).json()["event_id"]


def cancelled(server: Running, event: str) -> int:
    body = {"session_hash": "x", "fn_index": 0, "event_id": event}
    return server.client.post("/gradio_api/cancel", json=body).status_code


def test_f11_cancelling_what_is_not_ones_own_or_has_ended_does_nothing(server: Running) -> None:
    """An event's id is the only key to it: who has another's id is told apart from its owner by nothing."""
    event = started(server, 8)
    assert cancelled(server, "nothing") == 200
    assert cancelled(server, event[::-1]) == 200
    told = server.client.get(f"/gradio_api/call/run/{event}").text  # until it ends
    assert "Saved" in told and "event: complete" in told
    assert cancelled(server, event) == 200


def test_f11_a_cancel_sent_twice_at_once_is_one(server: Running) -> None:
    event = started(server, 30)
    with server.client.stream("GET", f"/gradio_api/call/run/{event}") as stream:
        assert any("started" in line for line in stream.iter_lines())
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(lambda _: cancelled(server, event), range(2))) == [200, 200]
