"""What is made of a result when somebody asks, over a real socket: right pixels, times and files, a bounded load."""

import asyncio
import io
import re
import shutil
import threading
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio.utils import get_upload_folder
from starlette.applications import Starlette

from pipelines.core.cameras import orbit
from pipelines.core.mesh import load_mesh
from pipelines.core.video import write_gif, write_webp
from pipelines.inflate.method import Inflate
from pipelines.runtime.archive import NOT_FOUND
from pipelines.runtime.stored import StoredResult
from tests.toy_methods import Slow, a_subject
from tests.ui.painted import COUNT, Fixed, Painted, colour_of, got, painted_rooms, picture, refused
from tests.ui.rooms import Rooms, until
from ui import recorded, takeaway
from ui.stored_frames import Frames
from ui.takeaway import BUSY, NO_MODEL, ONE_VIEW, Busy, Gate, takeaway_routes
from ui.temp import ARRIVING


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    with painted_rooms(tmp_path_factory.mktemp("takeaway") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def result(rooms: Rooms) -> StoredResult:
    return rooms.make(Fixed(), Painted(), views=COUNT)


def left_behind() -> list[Path]:
    return list(Path(get_upload_folder()).glob(f"{ARRIVING}*"))


# --- Animations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind", "off"), [("orbit.gif", "image/gif", 6), ("orbit.webp", "image/webp", 12)])
def test_an_animation_has_every_frame_in_order_at_the_videos_pace(
    rooms: Rooms, result: StoredResult, name: str, kind: str, off: int
):
    answer = got(rooms, f"/r/{result.id}/painted/{name}", kind)
    image = picture(answer.content)
    assert image.size == (64, 64) and image.n_frames == COUNT and image.info["loop"] == 0  # type: ignore[attr-defined]
    lasted_ms = 0
    for i, view in enumerate(orbit(COUNT, 10)):
        image.seek(i)
        image.load()
        lasted_ms += image.info["duration"]
        pixels = np.asarray(image.convert("RGBA")).astype(int)
        assert np.abs(pixels[32, 32, :3] - colour_of(view.azimuth_deg)).max() <= off
        corner = (255, 255, 255, 255) if name.endswith("gif") else (0, 0, 0, 0)
        assert tuple(pixels[2, 2]) == corner
    assert lasted_ms == 2500  # as the mp4


def test_a_gif_is_480_px_at_most_and_a_webp_as_large_as_its_frames(rooms: Rooms):
    large = rooms.make(Painted(), views=3, size_px=512)
    assert picture(rooms.get(f"/r/{large.id}/painted/orbit.gif").content).size == (480, 480)
    webp = picture(rooms.get(f"/r/{large.id}/painted/orbit.webp").content)
    assert webp.size == (512, 512) and webp.n_frames == 3  # type: ignore[attr-defined]


def test_one_view_is_no_animation(rooms: Rooms):
    single = rooms.make(Painted())
    for name in ("orbit.gif", "orbit.webp"):
        assert refused(rooms, f"/r/{single.id}/painted/{name}", 404) == ONE_VIEW


@pytest.mark.parametrize(("writer", "share"), [(write_webp, 0.1), (write_gif, 0.6)], ids=["webp", "gif"])
def test_an_orbit_of_360_frames_is_never_in_memory_as_a_whole(
    result: StoredResult, tmp_path: Path, writer: Any, share: float
):
    """A GIF holds a byte a pixel, not four."""
    made = next(made for made in result.turnarounds if made.key == "painted")
    frames = Frames(made.frames * 36)
    assert len(frames) == 360 and (frames[4:8][1] == frames[5]).all()
    tracemalloc.start()
    try:
        writer(frames, tmp_path / "orbit", 50)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < share * 360 * frames[0].nbytes


# --- Files ------------------------------------------------------------------------------------------------------------


def names_in(answer: httpx.Response) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert packed.testzip() is None
        return {name: packed.read(name) for name in packed.namelist()}


def test_the_pictures_and_the_cameras_unpack_into_one_folder(rooms: Rooms, result: StoredResult):
    pictures = names_in(got(rooms, f"/r/{result.id}/painted/pictures.zip", "application/zip"))
    cameras = names_in(got(rooms, f"/r/{result.id}/painted/cameras.zip", "application/zip"))
    home, papers = "turnaround/painted/", {"LICENCE.txt", "CITATION.bib"}
    frames = {f"view_{i:03d}.png" for i in range(COUNT)}
    assert set(pictures) == {home + name for name in frames | papers}
    colmap = {f"colmap/{name}.txt" for name in ("cameras", "images", "points3D")}
    assert set(cameras) == {home + name for name in colmap | papers | {"cameras.json", "transforms.json"}}
    for name, data in (pictures | cameras).items():
        assert data == (result.folder / name.removeprefix("turnaround/")).read_bytes()


def test_the_obj_is_the_model(rooms: Rooms):
    made = rooms.make(Inflate(), Painted(), views=2)
    files = names_in(got(rooms, f"/r/{made.id}/inflate/obj.zip", "application/zip"))
    assert {"model.obj", "model.mtl", "LICENCE.txt"} <= set(files)
    answer = rooms.get(f"/r/{made.id}/inflate/obj.zip")
    wanted = load_mesh(next(t.model for t in made.turnarounds if t.model))  # type: ignore[arg-type]
    found = load_mesh(answer.content, "zip")
    assert len(found.faces) == len(wanted.faces) and found.texture is not None
    np.testing.assert_allclose(found.vertices.max(axis=0), wanted.vertices.max(axis=0), atol=1e-4)
    assert refused(rooms, f"/r/{made.id}/painted/obj.zip", 404) == NO_MODEL


def test_a_download_has_a_name_and_nothing_stays_behind(rooms: Rooms, result: StoredResult):
    tail = result.id[-8:]
    for path, name in {
        f"/r/{result.id}/painted/orbit.gif?download": f"turnaround-{tail}-painted-orbit.gif",
        f"/r/{result.id}/painted/cameras.zip?download": f"turnaround-{tail}-painted-cameras.zip",
        f"/r/{result.id}/card.jpg?download": f"turnaround-{tail}-card.jpg",
        f"/sheet.pdf?r={result.id}&download": f"turnaround-{tail}-sheet.pdf",
    }.items():
        answer = rooms.get(path)
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
        plain = rooms.get(path.removesuffix("download").rstrip("?&"))
        assert "content-disposition" not in plain.headers and plain.content == answer.content
    until(lambda: not left_behind())


# --- Pictures of a result ---------------------------------------------------------------------------------------------


def test_the_thumbnail_is_the_first_tiles_first_view(rooms: Rooms, result: StoredResult):
    """The tiles stand in the order in which they were asked for: Fixed first."""
    image = picture(got(rooms, f"/r/{result.id}/thumb.webp", "image/webp").content)
    assert image.size == (64, 64) and image.mode == "RGBA"
    pixels = np.asarray(image).astype(int)
    assert np.abs(pixels[32, 32, :3] - colour_of(20, Fixed.blue)).max() <= 14 and pixels[1, 1, 3] == 0
    large = rooms.make(Painted(), size_px=512)
    assert picture(rooms.get(f"/r/{large.id}/thumb.webp").content).size == (256, 256)


def test_the_card_shows_the_photo_and_the_turn(rooms: Rooms):
    made = rooms.make(Painted(), views=12, size_px=256)
    answer = got(rooms, f"/r/{made.id}/card.jpg", "image/jpeg")
    image = picture(answer.content)
    assert image.size == (1200, 630) and len(answer.content) < 300_000
    pixels = np.asarray(image).astype(int)
    assert pixels[5, 5].min() > 235 and np.ptp(pixels[620, 20]) < 12  # calm
    photo = pixels[234, 234]
    assert np.abs(photo - a_subject().rgba[64, 70, :3]).max() < 110 and photo[0] > photo[2]
    wanted = [colour_of(azimuth) for azimuth in (60, 120, 180, -120, -60)]
    for x, colour in zip(np.linspace(452 + 59, 1144 - 59, 5), wanted, strict=True):
        assert np.abs(pixels[234, round(x)] - colour).max() < 12, (x, colour)
    assert (pixels[470:535, 64:380].max(axis=2) < 90).sum() > 1500  # the word


def test_a_card_of_several_methods_has_a_strip_each(rooms: Rooms, result: StoredResult):
    pixels = np.asarray(picture(rooms.get(f"/r/{result.id}/card.jpg").content)).astype(int)
    turning = pixels[64:440, 452:1144]
    for blue in (Painted.blue, Fixed.blue):
        rows = np.flatnonzero((np.abs(turning[..., 2] - blue) < 14).sum(axis=1) > 100)
        assert len(rows) > 60, blue


# --- Trouble ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", ["x", "..", "%2e%2e%2fx", "f" * 44, "F" * 44, "f" * 43, "١" * 44, "<script>", "0" * 44])
def test_a_wrong_id_or_key_gets_one_answer(rooms: Rooms, result: StoredResult, id: str):
    names = (
        "painted/orbit.gif",
        "painted/orbit.webp",
        "painted/pictures.zip",
        "painted/cameras.zip",
        "painted/obj.zip",
    )
    for name in (*names, "thumb.webp", "card.jpg"):
        answer = rooms.get(f"/r/{id}/{name}")
        assert answer.status_code == 404 and (answer.text == NOT_FOUND or id == "..")
    for key in ("nobody", "Painted", "%2e%2e", "painted%00", "<b>"):
        assert refused(rooms, f"/r/{result.id}/{key}/orbit.gif", 404)


def test_only_getting_is_answered(rooms: Rooms, result: StoredResult):
    for path in (f"/r/{result.id}/painted/orbit.gif", f"/r/{result.id}/card.jpg", f"/sheet.png?r={result.id}"):
        assert rooms.client.post(path).status_code == 405


@pytest.mark.parametrize("damage", ["gone", "empty", "nonsense", "link"])
def test_damage_is_a_sentence_and_leaves_nothing_behind(rooms: Rooms, damage: str, tmp_path: Path):
    made = rooms.make(Painted(), views=3)
    assert rooms.get(f"/r/{made.id}/wall.json").status_code == 200
    frame = made.turnarounds[0].frames[1]
    if damage == "nonsense":
        frame.write_bytes(b"x" * frame.stat().st_size)
    elif damage == "empty":
        frame.write_bytes(b"")
    else:
        frame.unlink()
        if damage == "link":
            (tmp_path / "secret.png").write_bytes(b"secret")
            frame.symlink_to(tmp_path / "secret.png")
    for name in ("painted/orbit.gif", "painted/orbit.webp"):
        assert "damaged" in refused(rooms, f"/r/{made.id}/{name}", 404)
    assert "damaged" in refused(rooms, f"/sheet.png?r={made.id}", 404)
    until(lambda: not left_behind())


def test_a_run_still_going_gives_what_is_finished_and_lets_nobody_keep_it(rooms: Rooms):
    job = rooms.begin(Painted(), Slow(), views=4, options=None)
    try:
        until(lambda: (stored := rooms.studio.jobs.stored(job.id)) and stored.turnarounds)
        card = rooms.get(f"/r/{job.id}/card.jpg")
        assert card.status_code == 200 and card.headers["cache-control"] == "no-store"
        assert rooms.get(f"/sheet.png?r={job.id}").headers["cache-control"] == "no-store"
        whole = rooms.get(f"/wall.zip?r={job.id}")
        assert whole.headers["cache-control"] == "no-store" and folders(whole.content) == {f"{job.id[-8:]}/painted"}
        got(rooms, f"/r/{job.id}/painted/orbit.gif", "image/gif")
        assert refused(rooms, f"/r/{job.id}/slow/orbit.gif", 404)
    finally:
        job.cancel()
        until(lambda: not job.working)


def test_the_recorded_example_is_taken_away_like_any_result(
    rooms: Rooms, result: StoredResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(result.folder, tmp_path / result.id)
    monkeypatch.setattr(recorded, "FOLDER", tmp_path)
    for path in (
        *("/r/example/thumb.webp", "/r/example/card.jpg", "/r/example/painted/orbit.gif?download"),
        "/sheet.pdf?r=example.painted&download",
    ):
        answer = rooms.get(path)
        assert answer.status_code == 200 and answer.headers["cache-control"] == "public, max-age=3600"
        if "download" in path:
            assert "turnaround-example-" in answer.headers["content-disposition"]


def folders(packed: bytes) -> set[str]:
    """Which methods of which results are in it."""
    names = (name.split("/") for name in zipfile.ZipFile(io.BytesIO(packed)).namelist())
    return {f"{name[0].removeprefix('turnaround-')}/{name[1]}" for name in names if len(name) > 2}


def test_a_wall_of_several_results_is_taken_away_as_one_file(
    rooms: Rooms, result: StoredResult, monkeypatch: pytest.MonkeyPatch
):
    other = rooms.make(Painted(), views=2)
    answer = got(rooms, f"/wall.zip?r={result.id}.painted,{other.id}&download", "application/zip")
    assert f"turnaround-{result.id[-8:]}-wall.zip" in answer.headers["content-disposition"]
    assert folders(answer.content) == {f"{result.id[-8:]}/painted", f"{other.id[-8:]}/painted"}
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert packed.testzip() is None
        for made, count in ((result, COUNT), (other, 2)):
            place = f"turnaround-{made.id[-8:]}"
            assert packed.read(f"{place}/subject.png") == made.subject.read_bytes()
            views = [name for name in packed.namelist() if re.fullmatch(rf"{place}/painted/view_\d+\.png", name)]
            assert len(views) == count
            assert {f"{place}/painted/cameras.json", f"{place}/manifest.json"} <= set(packed.namelist())
    for nothing in ("/wall.zip", f"/wall.zip?r={'0' * 44}", "/wall.zip?r=x", f"/wall.zip?r={other.id}.fixed"):
        assert refused(rooms, nothing, 404)
    monkeypatch.setattr(takeaway, "MOST_ZIPPED_BYTES", 1000)
    assert refused(rooms, f"/wall.zip?r={result.id},{other.id}", 404) == takeaway.TOO_MUCH
    until(lambda: not left_behind())


# --- A bounded load ---------------------------------------------------------------------------------------------------


def test_no_more_than_two_work_at_once_and_the_others_wait_their_turn():
    running, most, lock, two = 0, 0, threading.Lock(), threading.Barrier(2, timeout=30)

    def work() -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        two.wait()
        with lock:
            running -= 1
        return 1

    async def all_of_them() -> list[int]:
        gate = Gate(at_once=2, waiting=20, wait_s=30)
        return await asyncio.gather(*(gate.run(work) for _ in range(12)))

    assert asyncio.run(all_of_them()) == [1] * 12 and most == 2


def test_who_waits_too_long_or_in_too_long_a_line_is_told_to_come_back():
    async def scene() -> None:
        gate, free = Gate(at_once=1, waiting=1, wait_s=0.3), threading.Event()
        first = asyncio.create_task(gate.run(free.wait))
        await asyncio.sleep(0)
        second = asyncio.create_task(gate.run(lambda: None))
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="Try again"):  # at once
            await gate.run(lambda: None)
        with pytest.raises(Busy, match="Try again"):  # after its time
            await second
        free.set()
        assert await first is True
        assert await gate.run(lambda: "served") == "served"

    asyncio.run(scene())


def test_a_busy_server_answers_503_and_recovers(rooms: Rooms, result: StoredResult):
    async def scene() -> None:
        large, small, free = Gate(1, 0, 1), Gate(1, 0, 1), threading.Event()
        app = Starlette(routes=takeaway_routes(rooms.studio, large, small))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            holding = asyncio.create_task(large.run(free.wait))
            await asyncio.sleep(0)
            busy = await client.get(f"/r/{result.id}/painted/cameras.zip")
            assert (busy.status_code, busy.text, busy.headers["retry-after"]) == (503, BUSY, "10")
            assert (await client.get(f"/r/{result.id}/thumb.webp")).status_code == 200  # small things do not wait
            free.set()
            await holding
            assert (await client.get(f"/r/{result.id}/painted/cameras.zip")).status_code == 200

    asyncio.run(scene())


def test_a_bug_is_an_apology_and_takes_nothing_along(rooms: Rooms, result: StoredResult, monkeypatch: Any):
    from pipelines.core import card

    for problem in (RuntimeError("secret /etc/path"), SystemExit("out"), StopIteration(), MemoryError()):

        def fails(*_: Any, problem: BaseException = problem) -> None:
            raise problem

        monkeypatch.setattr(card, "drawn", fails)
        sentence = refused(rooms, f"/r/{result.id}/card.jpg", 500)
        assert "reference" in sentence and "secret" not in sentence
    monkeypatch.undo()
    got(rooms, f"/r/{result.id}/card.jpg", "image/jpeg")
