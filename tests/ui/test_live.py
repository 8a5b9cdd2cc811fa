"""`/r/<id>/live`: what followers of a run are told, what they cost, and what their coming and going means."""

import base64
import io
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.archive import NOT_FOUND
from pipelines.runtime.job import ABANDONED, METHOD_STOPPED, STOPPED
from pipelines.runtime.method import Report, Request, Turnaround
from pipelines.runtime.settings import Settings
from tests.toy_methods import Flat, Held, Raises, Slow, SlowOptions, a_card
from tests.ui.house import MARKUP
from tests.ui.rooms import Rooms, serving_rooms, until
from ui import live
from ui.live import CROWDED, PREVIEW_PX, PROGRESS_S
from ui.studio import open_studio

LONG = SlowOptions(1000)


class Chatty(Flat):
    """Reports far more often than anyone can look, and hands over pictures larger than anyone wants to load."""

    card = a_card("chatty")

    def _run(self, request: Request, report: Report) -> Turnaround:
        preview = np.zeros((600, 300, 4), np.uint8)
        preview[200:400] = (200, 60, 40, 255)
        for step in range(600):
            report((step + 1) / 601, MARKUP, preview)
            time.sleep(0.001)
        return super()._run(request, report)


def quick() -> Slow:
    slow = Slow()
    slow.step_s = 0.02
    return slow


class Odd(Flat):
    """Its previews are no pictures."""

    card = a_card("odd")

    def _run(self, request: Request, report: Report) -> Turnaround:
        for step in range(20):
            report(step / 20, "On", np.zeros((0, 3, 9), np.uint8))
            time.sleep(0.02)
        return super()._run(request, report)


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    settings = Settings(data=tmp_path_factory.mktemp("live") / "data", grace_s=0)
    with serving_rooms(open_studio(settings, (Flat(), Slow()))) as running:
        yield running
        running.studio.jobs.drain(0)


@pytest.fixture(autouse=True)
def nothing_goes_on(rooms: Rooms) -> Iterator[None]:
    yield
    for job in rooms.studio.jobs._all():
        job.cancel()
    until(lambda: not rooms.studio.jobs._busy())


# --- What is told -----------------------------------------------------------------------------------------------------


def test_a_run_is_told_from_its_state_to_its_end(rooms: Rooms) -> None:
    """The cheap methods are done first, yet stand where they were asked for."""
    held, failing = Held(), Raises(TurnaroundError("It fell over. Try another photo."))
    held.seconds = 60.0
    job = rooms.begin(held, Flat(), failing)
    with rooms.follow(job.id) as followed:
        assert followed.answer.headers["content-type"].startswith("text/event-stream")
        assert followed.answer.headers["x-accel-buffering"] == "no"
        assert "no-store" in followed.answer.headers["cache-control"]
        first, wall = next(iter(followed))
        assert first == "wall"
        while [tile["state"] for tile in wall["tiles"]][1:] != ["done", "failed"]:
            wall = followed.next("wall")
        assert [tile["key"] for tile in wall["tiles"]] == ["held", "flat", "raises"]
        assert wall["state"] == "working" and wall["tiles"][0]["state"] in ("waiting", "working")
        assert wall["tiles"][2]["sentence"] == "It fell over. Try another photo."
        assert rooms.get("/" + wall["tiles"][1]["frames"][0]["url"]).status_code == 200
        step = followed.next("progress")
        while step["message"] != "Held":
            step = followed.next("progress")
        assert (step["key"], step["fraction"], step["waiting"], step["preview"]) == ("held", 0.5, False, None)
        assert step["remaining_s"] > 0
        held.released.set()
        rest = list(followed)
    assert rest[-1][0] == "end" and {kind for kind, _ in rest[:-1]} <= {"wall", "progress"}
    end = rest[-1][1]
    assert end == rooms.wall(job.id) and end["state"] == "done"
    assert [tile["state"] for tile in end["tiles"]] == ["done", "done", "failed"]


def test_progress_is_told_a_few_times_a_second_with_a_small_picture(rooms: Rooms) -> None:
    start = time.monotonic()
    job = rooms.begin(Chatty())
    with rooms.follow(job.id) as followed:
        steps = [data for kind, data in followed if kind == "progress"]
    assert 1 <= len(steps) <= (time.monotonic() - start) / PROGRESS_S + 2  # of 600
    fractions = [step["fraction"] for step in steps]
    assert fractions == sorted(fractions) and steps[-1]["message"] == MARKUP
    data = steps[0]["preview"].removeprefix("data:image/webp;base64,")
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert picture.format == "WEBP" and picture.size == (PREVIEW_PX // 2, PREVIEW_PX)
    pixels = np.asarray(picture.convert("RGBA"), np.int16)
    assert pixels[20, 96, 3] == 0 and abs(pixels[192, 96] - (200, 60, 40, 255)).max() < 12


def test_a_preview_that_cannot_be_drawn_is_only_not_shown(rooms: Rooms) -> None:
    with rooms.follow(rooms.begin(Odd()).id) as followed:
        events = list(followed)
    assert events[-1][1]["state"] == "done"
    assert all(data["preview"] is None for kind, data in events if kind == "progress")


def test_who_comes_late_learns_how_things_stand(rooms: Rooms) -> None:
    job = rooms.begin(Slow(), options=LONG)
    with rooms.follow(job.id) as first:
        first.next("progress")
        with rooms.follow(job.id) as late:
            kinds = [kind for kind, _ in (next(iter(late)), next(iter(late)))]
            assert kinds == ["wall", "progress"]


def test_a_method_cancelled_alone_is_told_at_once_and_the_others_go_on(rooms: Rooms) -> None:
    waits = type("Waits", (Slow,), {"card": a_card("waits"), "seconds": 60.0})()
    job = rooms.begin(Slow(), waits, options=LONG)
    with rooms.follow(job.id) as followed:
        followed.next("progress")
        job.cancel("waits")
        told = followed.next("wall")
        assert [tile["state"] for tile in told["tiles"]][1] == "cancelled"
        assert told["tiles"][1]["sentence"] == METHOD_STOPPED and told["state"] == "working"
        job.cancel()
        end = followed.next("end")
    assert end["state"] == "ended" and end["files"] == []
    assert [tile["state"] for tile in end["tiles"]] == ["cancelled", "cancelled"]
    assert end["tiles"][0]["sentence"] == STOPPED


def test_what_has_ended_is_told_at_once(rooms: Rooms) -> None:
    stored = rooms.make(Flat())
    ended = rooms.begin(Slow(), options=LONG)
    ended.cancel()
    until(lambda: not ended.working)
    for id, state in ((stored.id, "done"), (ended.id, "ended")):
        with rooms.follow(id) as followed:
            (first, wall), (last, end) = list(followed)
        assert (first, last) == ("wall", "end") and wall == end == rooms.wall(id) and end["state"] == state


def test_what_is_not_there_gets_a_sentence_instead_of_a_stream(rooms: Rooms) -> None:
    answer = rooms.get(f"/r/{'f' * 44}/live")
    assert (answer.status_code, answer.text) == (404, NOT_FOUND)
    assert answer.headers["content-type"].startswith("text/plain")


def test_a_silent_run_keeps_its_connection(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "BEAT_S", 0.05)
    mute = type("Mute", (Slow,), {"card": a_card("mute"), "step_s": 0.7})()
    with rooms.follow(rooms.begin(mute, options=SlowOptions(1)).id) as followed:
        assert [kind for kind, _ in followed][-1] == "end"
    assert followed.comments


# --- What followers cost ----------------------------------------------------------------------------------------------


def raw_follower(rooms: Rooms, id: str, method: str = "GET") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(rooms.url.rsplit(":", 1)[1])), timeout=30)
    connection.sendall(f"{method} /r/{id}/live HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


def heard_by(connection: socket.socket, until: bytes) -> bytes:
    heard = b""
    while until not in heard and (more := connection.recv(1 << 16)):
        heard += more
    return heard


def test_fifty_followers_hear_the_same_and_hold_no_threads(rooms: Rooms) -> None:
    job = rooms.begin(Slow(), options=LONG)
    with rooms.follow(job.id) as first:
        first.next("progress")  # whatever threads one follower needs are there now
        before = threading.active_count()
        crowd = [raw_follower(rooms, job.id) for _ in range(50)]
        for follower in crowd:
            heard_by(follower, b"event: progress")
        assert threading.active_count() <= before + 3
        assert len(job._listeners) == 1
        job.cancel()
        ends = {heard_by(follower, b"\r\n0\r\n\r\n").split(b"event: end\ndata: ")[1] for follower in crowd}
        assert len(ends) == 1
        for follower in crowd:
            follower.close()


def test_a_run_has_room_for_so_many_followers(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_FOLLOWERS", 1)
    job = rooms.begin(Slow(), options=LONG)
    with rooms.follow(job.id) as followed:
        followed.next("wall")
        answer = rooms.get(f"/r/{job.id}/live")
        assert (answer.status_code, answer.text) == (503, CROWDED)


# --- Coming and going -------------------------------------------------------------------------------------------------


@pytest.fixture
def fleeting(tmp_path: Path) -> Iterator[Rooms]:
    """Where a run that nobody follows ends after a moment."""
    settings = Settings(data=tmp_path / "data", grace_s=0.2)
    with serving_rooms(open_studio(settings, (Flat(), Slow()))) as running:
        yield running
        running.studio.jobs.drain(0)


def test_a_run_goes_on_while_it_is_followed_and_ends_when_all_have_left(fleeting: Rooms) -> None:
    job = fleeting.begin(Slow(), options=LONG)
    stop = job.listen(lambda: None)  # someone is there until the first follower is
    with fleeting.follow(job.id) as first:
        first.next("progress")
        with fleeting.follow(job.id) as second:
            second.next("progress")
            stop()
        began = time.monotonic()
        while time.monotonic() < began + 4 * fleeting.studio.settings.grace_s:
            first.next("progress")
        assert not job.cancelled.is_set()
    until(lambda: not job.working)
    assert job.why("slow") == ABANDONED and not job._listeners


@pytest.mark.parametrize("way", ["reset", "half closed", "only the head", "before the answer"])
def test_however_a_follower_leaves_it_is_noticed(fleeting: Rooms, way: str) -> None:
    job = fleeting.begin(Slow(), options=LONG)
    stop = job.listen(lambda: None)
    follower = raw_follower(fleeting, job.id, "HEAD" if way == "only the head" else "GET")
    if way != "before the answer":
        heard_by(follower, b"\r\n\r\n" if way == "only the head" else b"event: wall")
    if way == "reset":
        follower.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    if way == "half closed":
        follower.shutdown(socket.SHUT_WR)
    if way != "only the head":
        follower.close()
    stop()
    until(lambda: not job.working)
    assert job.why("slow") == ABANDONED and not job._listeners
    follower.close()


def test_a_follower_that_takes_nothing_has_left(fleeting: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "STALLED_S", 0.3)
    monkeypatch.setattr(live, "PREVIEW_PX", 2000)
    job = fleeting.begin(Noisy())
    stop = job.listen(lambda: None)
    with socket.socket() as follower:
        follower.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        follower.connect(("127.0.0.1", int(fleeting.url.rsplit(":", 1)[1])))
        follower.sendall(f"GET /r/{job.id}/live HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        heard_by(follower, b"event: wall")
        stop()
        until(lambda: not job.working)
    assert job.why("noisy") == ABANDONED


class Noisy(Flat):
    """Its previews are as large as pictures get."""

    card = a_card("noisy")

    def _run(self, request: Request, report: Report) -> Turnaround:
        noise = np.random.default_rng(0).integers(0, 256, (2, 1200, 1200, 4), np.uint8)
        for step in range(10_000):
            report((step + 1) / 10_001, "Noise", noise[step % 2])
            time.sleep(0.02)
        return super()._run(request, report)


def test_a_stream_ends_with_its_server_and_its_run_is_left_to_the_next(tmp_path: Path) -> None:
    studio = open_studio(Settings(data=tmp_path / "data", grace_s=0), (Slow(),))
    with serving_rooms(studio) as first:
        job = first.begin(Slow(), options=LONG)
        heard: list[Any] = []

        def listen() -> None:
            with first.follow(job.id) as followed:
                heard.extend(kind for kind, _ in followed)

        follower = threading.Thread(target=listen)
        follower.start()
        until(lambda: "progress" in heard or heard.count("wall"))
    follower.join(30)
    assert not follower.is_alive() and "end" not in heard and not job._listeners
    with serving_rooms(studio) as second, second.follow(job.id) as followed:
        assert followed.next("wall")["state"] == "working"
        job.cancel()
        assert followed.next("end")["state"] == "ended"


def test_a_result_deleted_the_moment_it_is_saved_ends_with_a_sentence(rooms: Rooms) -> None:
    job = rooms.begin(quick(), Flat())
    job.listen(lambda: rooms.studio.archive.delete(job.id) if job.state == "saved" else None)  # told before the others
    with rooms.follow(job.id) as followed:
        end = followed.next("end")
    assert (end["state"], end["problem"], end["files"]) == ("ended", NOT_FOUND, [])
    assert rooms.get(f"/r/{job.id}/wall.json").text == NOT_FOUND
