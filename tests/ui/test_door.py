"""The door by itself: senders who never finish, and whose requests are let in."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ui.door import MAX_JSON_BYTES, TOO_SLOW, Door, Rules, impatient, rules_from

BOUNDARY = "edge"

# --- F18: slow senders, with the door alone so that its patience can be short -----------------------------------------


@pytest.fixture()
def slow_door() -> Iterator[int]:
    """A door before a program that reads every body to its end; 0.4 s of patience."""

    async def read(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    import uvicorn

    inner = Starlette(routes=[Route("/{path:path}", read, methods=["POST"])])
    door = Door(inner, Rules(max_upload_bytes=1_000_000, idle_s=0.4, total_s=1.5))
    listener = socket.create_server(("127.0.0.1", 0), backlog=200)
    config = uvicorn.Config(door, log_level="error", lifespan="off")
    config.load()
    config.http_protocol_class = impatient(config.http_protocol_class, 0.4)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(running.serve(sockets=[listener])), daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    running.should_exit = True
    thread.join(5)


def half_open(port: int, length: int = 1000) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(f"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\nab".encode())
    return connection


def until_closed(connection: socket.socket) -> bytes:
    connection.settimeout(30)
    received = b""
    while data := connection.recv(65_536):
        received += data
    return received


def test_f18_a_hundred_half_open_uploads_are_cut_and_hold_nobody_up(slow_door: int) -> None:
    connections = [half_open(slow_door) for _ in range(100)]
    honest = httpx.post(f"http://127.0.0.1:{slow_door}/gradio_api/upload", content=b"x" * 5000, trust_env=False)
    assert honest.text == "5000"
    for connection in connections:
        answer = until_closed(connection)
        assert b" 408 " in answer.splitlines()[0] and TOO_SLOW.encode() in answer
        connection.close()


def test_f18_a_connection_that_never_asks_is_cut(slow_door: int) -> None:
    connections = [socket.create_connection(("127.0.0.1", slow_door)) for _ in range(20)]
    for connection in connections[::2]:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Lo")
    for connection in connections:
        assert until_closed(connection) == b""
        connection.close()
    client = httpx.Client(base_url=f"http://127.0.0.1:{slow_door}", trust_env=False)
    for _ in range(2):  # one connection, used again after the time is over
        assert client.post("/x", content=b"abc").text == "3"
        time.sleep(0.6)


def test_f18_a_trickle_is_cut_after_its_time(slow_door: int) -> None:
    with half_open(slow_door) as connection:
        start = time.monotonic()
        answer = b""
        connection.settimeout(0.1)
        while not answer and time.monotonic() - start < 20:
            try:
                connection.sendall(b"x")
                answer = connection.recv(4096)
            except TimeoutError:
                continue
        assert b" 408 " in answer


def test_a_body_that_grows_past_its_promise_is_refused(slow_door: int) -> None:
    def pieces() -> Iterator[bytes]:
        yield from (b"x" * 65_536 for _ in range(40))

    answer = httpx.post(f"http://127.0.0.1:{slow_door}/gradio_api/upload", content=pieces(), trust_env=False)
    assert answer.status_code == 413 and "1 MB" in answer.text
    answer = httpx.post(f"http://127.0.0.1:{slow_door}/anything", content=b"x" * (MAX_JSON_BYTES + 1), trust_env=False)
    assert answer.status_code == 413


# --- Behind proxies: the rules alone ----------------------------------------------------------------------------------


def ask(rules: Rules, headers: dict[str, str], method: str = "POST") -> tuple[int, dict[str, str]]:
    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse(json.dumps(dict(request.headers)))

    door = Door(Starlette(routes=[Route("/x", echo, methods=["GET", "POST"])]), rules)

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(door)
        async with httpx.AsyncClient(transport=transport, base_url="http://inner:7860") as client:
            return await client.request(method, "/x", headers=headers)

    answer = asyncio.run(send())
    return answer.status_code, answer.json()


def test_a_space_is_reached_under_its_public_name() -> None:
    rules = rules_from({"SPACE_ID": "a/b", "SPACE_HOST": "a-b.hf.space", "GRADIO_SERVER_NAME": "0.0.0.0"}, 10**6)
    assert not rules.local_only and rules.behind_proxy
    status, seen = ask(rules, {"Origin": "https://a-b.hf.space", "X-Forwarded-Host": "a-b.hf.space"})
    assert status == 200 and seen["x-forwarded-host"] == "a-b.hf.space"
    assert ask(rules, {"Origin": "https://a-b.hf.space", "Host": "10.0.0.3:7860"})[0] == 200
    assert ask(rules, {"Origin": "https://huggingface.co", "Host": "a-b.hf.space"})[0] == 403
    assert ask(rules, {"Origin": "https://huggingface.co", "Host": "a-b.hf.space"}, "GET")[0] == 200


def test_a_root_path_tells_the_public_name() -> None:
    rules = rules_from({"GRADIO_ROOT_PATH": "https://lab.example/turnaround"}, 10**6)
    assert ask(rules, {"Origin": "https://lab.example", "Host": "127.0.0.1:7860"})[0] == 200
    assert ask(rules, {"Origin": "https://evil.example", "Host": "127.0.0.1:7860"})[0] == 403


def test_a_lab_machine_is_open_to_every_name_but_not_to_other_sites() -> None:
    rules = rules_from({"GRADIO_SERVER_NAME": "0.0.0.0"}, 10**6)
    assert ask(rules, {"Host": "lab-7:7860", "Origin": "http://lab-7:7860"})[0] == 200
    assert ask(rules, {"Host": "lab-7:7860", "Origin": "https://evil.example"})[0] == 403
    status, seen = ask(rules, {"Host": "lab-7:7860", "X-Forwarded-Host": "evil.example"})
    assert status == 200 and "x-forwarded-host" not in seen


def test_at_home_only_this_machine_is_answered() -> None:
    rules = rules_from({}, 10**6)
    assert rules.local_only and not rules.behind_proxy
    assert ask(rules, {"Host": "localhost:7860"})[0] == 200
    assert ask(rules, {"Host": "evil.example"})[0] == 403
    assert ask(rules, {"Host": "evil.example", "X-Forwarded-Host": "localhost"})[0] == 403
