"""Who asks, and that nobody takes all there is."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.ui.hostile.server import Running, a_picture, as_json, file_object, serving
from ui.visitors import address_of

HERE, THERE = "8.8.4.4", "9.9.9.9"


def asked_by(client: str, *forwarded: str) -> Any:
    headers = {"x-forwarded-for": ", ".join(forwarded)} if forwarded else {}
    return SimpleNamespace(headers=headers, client=SimpleNamespace(host=client))


@pytest.mark.parametrize(
    ("request_", "address"),
    [
        (asked_by("127.0.0.1"), ""),
        (asked_by("192.168.1.7"), ""),
        (asked_by(HERE), HERE),
        (asked_by("10.0.0.2", THERE, HERE), HERE),  # the client wrote the first one itself
        (asked_by("10.0.0.2", THERE, "10.0.0.9"), THERE),
        (asked_by("10.0.0.2", "<b>", ""), ""),
        (asked_by("not an address"), ""),
        (asked_by("2a00:1450:4001:1::7"), "2a00:1450:4001:1::/64"),
        (asked_by("2a00:1450:4001:1:ffff::8"), "2a00:1450:4001:1::/64"),
    ],
)
def test_the_address_is_what_the_nearest_proxy_saw(request_: Any, address: str) -> None:
    assert address_of(request_) == address


def ask(app: Running, subject: str, address: str) -> str:
    """A run of somebody there, followed by nobody yet; its event."""
    values = {"subject": subject, "methods": ["slow"], "azimuth_deg": 0, "size_px": 64}
    headers = {"X-Forwarded-For": address}
    body = as_json(values)
    body["headers"] |= headers
    answer = app.client.post("/gradio_api/call/v2/render", **body)
    assert answer.status_code == 200, answer.text
    return answer.json()["event_id"]


def test_f17_one_address_gets_its_share_of_runs_and_another_still_gets_its_own(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "tests.ui.house", TURNAROUND_MAX_QUEUE=6) as app:
        prepared = app.call("prepare", file_object(app.upload(a_picture(spot=True))), "none", 0, 0.8, None)
        subject = json.loads(prepared.text)[0]["subject"]
        flood = [ask(app, subject, HERE) for _ in range(8)]
        refused = 0
        for event in flood:  # the first three are at work; a refusal comes at once
            with app.client.stream("GET", f"/gradio_api/call/render/{event}") as stream:
                for line in stream.iter_lines():
                    if line.startswith("data:"):
                        refused += "3 runs going already" in line
                        break
        assert refused == 5
        other = ask(app, subject, THERE)
        with app.client.stream("GET", f"/gradio_api/call/render/{other}") as stream:
            first = next(line for line in stream.iter_lines() if line.startswith("data:"))
        assert '"working"' in first
