"""`/r/<id>/...` over a real socket: the right bytes to whoever has the link, one sentence to everyone else."""

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from pipelines.runtime.archive import NOT_FOUND, RUNNING
from pipelines.runtime.manifest import DAMAGED
from pipelines.runtime.method import Report, Request, Turnaround
from pipelines.runtime.settings import Settings
from pipelines.runtime.stored import StoredResult
from tests.toy_methods import Flat, Slow, SlowOptions, a_card
from tests.ui.rooms import Rooms, serving_rooms, until
from ui import recorded
from ui.files import NO_SUCH_FILE
from ui.studio import open_studio
from ui.temp import claim_folder

ROUTES = ("wall.json", "live", "manifest.json", "subject.png", "flat/view_000.png", "turnaround.zip")
WRONG_IDS = (
    "x",
    "..",
    "../x",
    "%2e%2e%2fx",
    "%252e",
    "/etc",
    "f" * 44,
    "F" * 44,
    "f" * 43,
    "f" * 45,
    "f" * 10_000,
    "١" * 44,
    ".drafts",
    "<script>",
    "example2",
    "\0",
)


class Grain(Flat):
    """Its pictures are as large as pictures get."""

    card = a_card("grain")

    def _run(self, request: Request, report: Report) -> Turnaround:
        made = super()._run(request, report)
        noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 4), np.uint8)
        noise[..., 3] = 255
        return Turnaround(tuple(type(frame)(frame.view, noise, frame.asked) for frame in made.frames))


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    settings = Settings(data=tmp_path_factory.mktemp("rooms") / "data", grace_s=0)
    before = os.environ.get("GRADIO_TEMP_DIR")
    folder = claim_folder(settings)
    try:
        with serving_rooms(open_studio(settings, (Flat(), Slow()))) as running:
            yield running
            running.studio.jobs.drain(0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop("GRADIO_TEMP_DIR")
        if before is not None:
            os.environ["GRADIO_TEMP_DIR"] = before


@pytest.fixture
def result(rooms: Rooms) -> StoredResult:
    return rooms.make(Flat(), views=2)


# --- The right bytes --------------------------------------------------------------------------------------------------


def test_every_file_of_a_result_comes_as_it_lies_there(rooms: Rooms, result: StoredResult) -> None:
    for path in result.paths:
        name = path.relative_to(result.folder).as_posix()
        answer = rooms.get(f"/r/{result.id}/{name}")
        assert answer.status_code == 200 and answer.content == path.read_bytes(), name
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("sandbox;")
        assert "content-disposition" not in answer.headers
    for name, kind in (("flat/view_000.webp", "image/webp"), ("flat/orbit.mp4", "video/mp4")):
        assert rooms.get(f"/r/{result.id}/{name}").headers["content-type"] == kind


def test_a_download_has_a_name_that_no_visitor_chose(rooms: Rooms, result: StoredResult) -> None:
    answer = rooms.get(f"/r/{result.id}/flat/view_000.png?download")
    assert answer.headers["content-disposition"] == (
        f'attachment; filename="turnaround-{result.id[-8:]}-flat-view_000.png"'
    )
    packed = rooms.get(f"/r/{result.id}/turnaround.zip")
    assert packed.status_code == 200 and packed.content[:2] == b"PK"


def test_a_player_asks_for_parts(rooms: Rooms, result: StoredResult) -> None:
    whole = (result.folder / "flat/orbit.mp4").read_bytes()
    place = f"/r/{result.id}/flat/orbit.mp4"
    part = rooms.get(place, headers={"Range": "bytes=10-99"})
    assert part.status_code == 206 and part.content == whole[10:100]
    assert part.headers["content-range"] == f"bytes 10-99/{len(whole)}"
    several = rooms.get(place, headers={"Range": "bytes=0-4,10-14"})
    assert several.status_code == 206 and whole[10:15] in several.content
    assert rooms.get(place, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416


def test_what_is_described_can_be_fetched(rooms: Rooms, result: StoredResult) -> None:
    wall = rooms.wall(result.id)
    places = [wall["subject"]["url"], *(file["url"] for file in wall["files"])]
    for tile in wall["tiles"]:
        places += [tile["video"], *(file["url"] for file in tile["files"])]
        places += [frame[kind] for frame in tile["frames"] for kind in ("url", "png")]
    for place in places:
        answer = rooms.get("/" + place)
        assert answer.status_code == 200 and answer.content, place


def test_asking_only_for_the_head_costs_nothing_and_nothing_can_be_sent(rooms: Rooms, result: StoredResult) -> None:
    for name in (*ROUTES, "flat/orbit.mp4"):
        place = f"/r/{result.id}/{name}"
        answer = rooms.client.head(place)
        assert answer.status_code == 200 and answer.content == b"", name
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert rooms.client.request(method, place).status_code == 405, (method, name)


def test_the_example_is_kept_for_an_hour_only(
    rooms: Rooms, result: StoredResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(result.folder, tmp_path / result.id)
    monkeypatch.setattr(recorded, "FOLDER", tmp_path)
    answer = rooms.get("/r/example/flat/view_000.png")
    assert answer.content == (result.folder / "flat/view_000.png").read_bytes()
    assert answer.headers["cache-control"] == "public, max-age=3600"
    assert rooms.wall("example")["recorded"] is True
    assert rooms.get("/r/example/turnaround.zip").content[:2] == b"PK"


# --- One sentence -----------------------------------------------------------------------------------------------------


def test_53_every_wrong_link_gets_the_same_answer_everywhere(rooms: Rooms, result: StoredResult) -> None:
    rooms.studio.archive.delete(result.id)
    answers = set()
    for id in (*WRONG_IDS, result.id):
        for name in ROUTES:
            answer = rooms.get_exactly(f"/r/{quote(id, safe='%./')}/{name}")
            answers.add((answer.status_code, answer.text, answer.headers["cache-control"]))
    assert answers == {(404, NOT_FOUND, "no-store")}


def test_53_no_path_leads_out_of_a_result(rooms: Rooms, result: StoredResult) -> None:
    (result.folder.parent / "secret.txt").write_text("canary")
    (result.folder / "flat" / "secret.txt").write_text("canary")
    for name in (
        "../../secret.txt",
        "flat/../subject.png",
        "..%2f..%2fsecret.txt",
        "%2e%2e/%2e%2e/secret.txt",
        "flat/..%2fsubject.png",
        "flat/secret.txt",
        "flat%5cview_000.png",
        "flat//view_000.png",
        "%2fetc%2fpasswd",
        "flat/view_000.png%00",
        "flat/VIEW_000.png",
        "FLAT/view_000.png",
        "flat",
        "flat/",
        "%20",
        "x" * 10_000,
        "<script>",
    ):
        answer = rooms.get_exactly(f"/r/{result.id}/{name}")
        assert (answer.status_code, answer.text) == (404, NO_SUCH_FILE), name


@pytest.mark.parametrize("name", ["flat/view_001.png", "flat/manifest.json", "subject.png", "manifest.json", "flat"])
def test_a_half_deleted_result_says_so_and_the_others_live(rooms: Rooms, result: StoredResult, name: str) -> None:
    other = rooms.make(Flat())
    assert rooms.get(f"/r/{result.id}/flat/view_000.png").status_code == 200
    gone = result.folder / name
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    for asked in ("wall.json", "live", "flat/view_001.png"):
        answer = rooms.get(f"/r/{result.id}/{asked}")
        assert (answer.status_code, answer.text) == (404, DAMAGED), asked
    assert rooms.wall(other.id)["state"] == "done"


def test_54_a_file_put_in_the_place_of_one_is_not_served(rooms: Rooms, result: StoredResult, tmp_path: Path) -> None:
    target, place = result.folder / "flat/view_000.png", f"/r/{result.id}/flat/view_000.png"
    data = target.read_bytes()
    canary = tmp_path / "canary"
    canary.write_bytes(b"x" * len(data))

    def as_link() -> None:
        target.symlink_to(canary)

    def as_longer_file() -> None:
        target.write_bytes(data + b"canary")

    def as_folder() -> None:
        target.mkdir()

    for put in (as_link, as_longer_file, as_folder):
        assert rooms.get(place).content == data
        target.unlink()
        put()
        answer = rooms.get(place)
        assert (answer.status_code, answer.text) == (404, DAMAGED), put.__name__
        target.rmdir() if target.is_dir() and not target.is_symlink() else target.unlink()
        target.write_bytes(data)
    target.write_bytes(data + b"grown after it was read")  # noticed although the folder looks the same
    assert rooms.get(place).text == DAMAGED


def test_a_file_on_its_way_arrives_although_its_result_is_deleted(rooms: Rooms) -> None:
    result = rooms.make(Grain(), size_px=64)
    whole = (result.folder / "grain/view_000.png").read_bytes()
    assert len(whole) > 3_000_000  # more than the sockets hold
    port = int(rooms.url.rsplit(":", 1)[1])
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        slow.connect(("127.0.0.1", port))
        slow.sendall(f"GET /r/{result.id}/grain/view_000.png HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        got = slow.recv(4096)
        rooms.studio.archive.delete(result.id)
        body_length = len(whole) + got.index(b"\r\n\r\n") + 4
        while len(got) < body_length and (more := slow.recv(1 << 16)):
            got += more
    assert got.endswith(whole[-1000:]) and len(got) == body_length
    assert rooms.get(f"/r/{result.id}/grain/view_000.png").text == NOT_FOUND


# --- While it is being made -------------------------------------------------------------------------------------------


def test_what_is_finished_can_be_had_before_the_run_ends(rooms: Rooms) -> None:
    job = rooms.begin(Slow(), Flat(), options=None)
    place = f"/r/{job.id}/flat/view_000.png"
    until(lambda: rooms.get(place).status_code == 200)
    early = rooms.get(place)
    assert job.working and early.headers["cache-control"].endswith("immutable")
    assert rooms.get(f"/r/{job.id}/subject.png").status_code == 200
    assert rooms.get(f"/r/{job.id}/slow/view_000.png").text == NO_SUCH_FILE
    assert rooms.get(f"/r/{job.id}/manifest.json").text == NO_SUCH_FILE
    assert rooms.get(f"/r/{job.id}/turnaround.zip").text == RUNNING

    wrong: list[str] = []

    def ask_all_the_while() -> None:
        while job.working:
            answer = rooms.get(place)
            if answer.content != early.content:
                wrong.append(answer.text)

    askers = [threading.Thread(target=ask_all_the_while) for _ in range(3)]
    for asker in askers:
        asker.start()
    until(lambda: len(job.news().progress) == 1)
    job.cancel("slow")  # the run ends: its files move into the archive under the askers' hands
    for asker in askers:
        asker.join()
    assert wrong == [] and rooms.get(place).content == early.content
    assert rooms.get(f"/r/{job.id}/manifest.json").status_code == 200


def test_a_run_that_ends_with_nothing_takes_its_files_along(rooms: Rooms) -> None:
    job = rooms.begin(Slow(), options=SlowOptions(1000))
    assert rooms.get(f"/r/{job.id}/subject.png").status_code == 200
    job.cancel()
    until(lambda: not job.working)
    assert rooms.get(f"/r/{job.id}/subject.png").text == NO_SUCH_FILE
    assert rooms.wall(job.id)["state"] == "ended"
