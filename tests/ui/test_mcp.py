"""The endpoints as an agent's tools, through the real MCP client, at the real server."""

import ast
import asyncio
import base64
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from tests.ui.hostile.server import Running, a_picture, file_object, serving
from tests.ui.test_endpoints import PUBLIC


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("mcp") / "data", "app", GRADIO_MCP_SERVER="True") as running:
        yield running


def asked(app: Running, tool: str | None = None, **arguments: Any) -> Any:
    """The tools there are, or what one of them answers."""

    async def ask() -> Any:
        async with (
            streamable_http_client(f"{app.url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await (session.call_tool(tool, arguments) if tool else session.list_tools())

    return asyncio.run(ask())


def said(answer: Any) -> str:
    return "".join(part.text for part in answer.content)


def test_the_tools_are_the_public_endpoints_and_describe_themselves(app: Running) -> None:
    tools = {tool.name: tool for tool in asked(app).tools}
    assert set(tools) == {name.lstrip("/") for name in PUBLIC}
    render = tools["render"]
    assert "Render views of a photo" in (render.description or "")
    assert "positive moves the camera to its right" in json.dumps(render.inputSchema)


def test_a_photo_becomes_a_result_that_can_be_reopened(app: Running) -> None:
    assert "inflate" in said(asked(app, "methods"))
    uploaded = app.upload(a_picture(spot=True))
    answer = asked(app, "prepare", photo=file_object(uploaded), remover="none")
    assert not answer.isError, said(answer)
    subject = ast.literal_eval(said(answer))["subject"]  # Gradio writes answers as Python does
    assert not Path(uploaded).exists()
    made = said(asked(app, "render", subject=subject, azimuth_deg=30, size_px=64))
    id = made.split("?r=")[1][:44]
    assert id in said(asked(app, "reopen", id=id))


EMBEDDED = "data:image/png;base64," + base64.b64encode(a_picture()).decode()


@pytest.mark.parametrize(
    ("photo", "sentence"),
    [
        ("{here}/cat.png", "not of type 'object'"),
        ({"path": "{here}/cat.png"}, "Upload the photo as a file"),
        ({"url": "{here}/cat.png"}, "Upload the photo as a file"),
        (file_object("{here}/cat.png"), "Upload the photo as a file"),
        (EMBEDDED, "not of type 'object'"),
        (file_object(EMBEDDED), "Upload the photo as a file"),
        (file_object("/etc/passwd"), "not uploaded here"),
        ({"path": "/etc/passwd"}, "not uploaded here"),
    ],
)
def test_66_addresses_embedded_files_and_files_of_the_server_are_refused(
    app: Running, photo: Any, sentence: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = f"http://127.0.0.1:{listener.getsockname()[1]}"
        answer = asked(app, "prepare", photo=json.loads(json.dumps(photo).replace("{here}", here)))
        assert answer.isError and sentence in said(answer)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert app.is_well()


def test_without_the_setting_there_is_no_mcp(house: Running) -> None:
    assert house.client.post("/gradio_api/mcp/", json={}).status_code in (404, 405)
