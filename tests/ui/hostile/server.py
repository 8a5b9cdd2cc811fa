"""A real server of its own process and data folder, and a client that speaks to it as rudely as a test likes."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

HOUSE = Path(__file__).resolve().parents[3]
START_S = 90.0  # on a busy machine
ANSWER_S = 30.0


@dataclass
class Running:
    url: str
    data: Path
    process: subprocess.Popen[str]
    log: Path
    client: httpx.Client

    @property
    def uploads(self) -> Path:
        (own,) = (self.data / "tmp").glob("turnaround-*")
        return own

    @property
    def reached(self) -> int:
        """How often a handler was given something to open."""
        file = self.data / "reached"
        return len(file.read_text()) if file.exists() else 0

    def upload(self, data: bytes, name: str = "cat.png", **params: str) -> str:
        answer = self.client.post("/gradio_api/upload", files={"files": (name, data)}, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()[0]

    def call(self, endpoint: str, *values: Any) -> "Answer":
        """Through the queue, as gradio_client does."""
        answer = self.client.post(f"/gradio_api/call/{endpoint}", **as_json({"data": list(values)}))
        if answer.status_code != 200:
            return Answer(False, answer.text, answer.status_code)
        return self.result(endpoint, answer.json()["event_id"])

    def result(self, endpoint: str, event: str) -> "Answer":
        ok, text = False, ""
        with self.client.stream("GET", f"/gradio_api/call/{endpoint}/{event}") as stream:
            for line in stream.iter_lines():
                if line.startswith("event:"):
                    ok = line.split()[1] in ("complete", "generating")
                elif line.startswith("data:"):
                    text = line[5:].strip()
        return Answer(ok, text, 200)

    def call_directly(self, endpoint: str, *values: Any) -> "Answer":
        """Not through the queue."""
        answer = self.client.post(f"/gradio_api/run/{endpoint}", **as_json({"data": list(values)}))
        return Answer(answer.status_code == 200, answer.text, answer.status_code)

    def as_page(self, endpoint: str, *values: Any, event_data: Any = None) -> "Answer":
        """As the page in a browser does: by function index, with an event's data beside the values."""
        config = self.client.get("/config").json()
        index = next(d["id"] for d in config["dependencies"] if d["api_name"] == endpoint)
        session = os.urandom(6).hex()
        body = {"data": list(values), "fn_index": index, "session_hash": session, "event_data": event_data}
        joined = self.client.post("/gradio_api/queue/join", **as_json(body))
        if joined.status_code != 200:
            return Answer(False, joined.text, joined.status_code)
        with self.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line[5:]) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    return Answer(bool(message["success"]), json.dumps(message["output"]), 200)
        return Answer(False, "the stream ended", 200)

    def is_well(self) -> bool:
        """At least soon: on a busy machine one look may take longer than health allows."""
        deadline = time.monotonic() + ANSWER_S
        while (status := self.client.get("/healthz").status_code) != 200 and time.monotonic() < deadline:
            time.sleep(0.5)
        return status == 200

    def stop(self, number: int = signal.SIGTERM, within_s: float = 30.0) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(within_s)
        finally:
            self.process.kill()
            self.client.close()


@dataclass(frozen=True)
class Answer:
    ok: bool
    text: str
    status: int

    @property
    def sentence(self) -> str:
        """Of a refusal, what a visitor reads."""
        assert not self.ok, self.text
        body = json.loads(self.text)
        said = body.get("error") or body.get("detail")
        assert isinstance(said, str), self.text
        return said


@contextmanager
def serving(data: Path, module: str = "tests.ui.hostile.page", **settings: object) -> Iterator[Running]:
    running = start(data, module, **settings)
    try:
        yield running
    finally:
        running.stop(signal.SIGKILL)


def start(data: Path, module: str = "tests.ui.hostile.page", **settings: object) -> Running:
    data.mkdir(parents=True, exist_ok=True)
    (data / "example.png").write_bytes(a_picture(colour=(10, 200, 30)))
    told = {"TURNAROUND_DATA": data, "GRADIO_SERVER_PORT": free_port(), "GRADIO_ANALYTICS_ENABLED": False, **settings}
    log = data.parent / f"{data.name}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=HOUSE,
            env=clean_environment() | {name: str(value) for name, value in told.items()},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    url = f"http://127.0.0.1:{told['GRADIO_SERVER_PORT']}"
    running = Running(url, data, process, log, httpx.Client(base_url=url, timeout=ANSWER_S, trust_env=False))
    deadline = time.monotonic() + START_S
    while "is ready" not in log.read_text():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return running


def clean_environment() -> dict[str, str]:
    ours = ("TURNAROUND_", "GRADIO_", "SPACE_", "FORWARDED_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def file_object(path: object, **more: Any) -> dict[str, Any]:
    """As honest clients send it."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


def as_json(body: Any) -> dict[str, Any]:
    """httpx refuses to send NaN by itself; strangers do not."""
    return {"content": json.dumps(body).encode(), "headers": {"Content-Type": "application/json"}}


def a_picture(
    colour: tuple[int, int, int] = (200, 60, 40), format: str = "PNG", spot: bool = False, **save: Any
) -> bytes:
    """One even colour, so that a test can tell whose picture it is; with a spot, it shows something to cut out."""
    pixels = np.full((80, 100, 3), colour, np.uint8)
    if spot:
        pixels[20:60, 30:70] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **save)
    return file.getvalue()
