"""The HTTP interface, with Gradio's own client and by hand: what it gives, to whom, and what it refuses."""

import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from tests.ui.hostile.server import Running, file_object
from tests.ui.house import CAMERA_NAME, ORANGE, a_photo

PUBLIC = {"/methods", "/prepare", "/render", "/compare", "/reopen", "/delete"}
RENDER = (  # in the order of the endpoint's parameters
    *("photo", "subject", "methods", "azimuth_deg", "elevation_deg", "distance", "path", "count", "seed", "size_px"),
    *("options", "remover", "photo_elevation_deg", "fill", "depth", "cameras"),
)


@pytest.fixture(scope="module")
def client(house: Running) -> Client:
    return Client(house.url, verbose=False, analytics_enabled=False)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "holiday-canary.jpg"
    path.write_bytes(a_photo())
    return path


@pytest.fixture(scope="module")
def prepared(client: Client, photo: Path) -> dict[str, Any]:
    return client.predict(photo=handle_file(photo), api_name="/prepare")


def refusal(house: Running, endpoint: str, *values: Any) -> str:
    answer = house.call(endpoint, *values)
    return answer.sentence


def render(house: Running, **given: Any) -> tuple[Any, ...]:
    defaults = {"distance": 1.0, "seed": 0, "size_px": 64, "remover": "auto", "photo_elevation_deg": 0.0, "fill": 0.8}
    return tuple((defaults | given).get(name) for name in RENDER)


def test_65_only_these_are_public(house: Running):
    config = house.client.get("/config").json()
    public = {f"/{d['api_name']}" for d in config["dependencies"] if d["api_visibility"] != "private"}
    assert public == PUBLIC
    info = house.client.get("/gradio_api/info").json()
    assert set(info["named_endpoints"]) == PUBLIC and not info["unnamed_endpoints"]
    for described in info["named_endpoints"].values():
        assert len(described["description"]) > 40


def test_methods_tells_options_blockers_and_licences(client: Client):
    told = client.predict(api_name="/methods")
    methods = {method["key"]: method for method in told["methods"]}
    assert "mirror" in methods["inflate"]["options"]["back"]["choices"]
    assert methods["inflate"]["licence"] and methods["blocked"]["blockers"]
    assert {r["key"] for r in told["removers"]} >= {"outline", "u2netp"}
    assert all(r["licence"] for r in told["removers"])


def test_prepare_gives_the_cut_out_and_keeps_nothing_else(prepared: dict[str, Any], house: Running):
    cut = Image.open(prepared["cutout"])
    pixels = np.asarray(cut)
    assert cut.size == (1024, 1024) and cut.mode == "RGBA"
    assert pixels[512, 512, 3] == 255 and pixels[5, 5, 3] == 0
    assert np.abs(pixels[300, 512, :3].astype(int) - ORANGE).max() < 25
    assert prepared["remover"] == "outline" and prepared["photo_size_px"] == [640, 480]
    for file in house.data.rglob("*"):
        assert "canary" not in file.name
        assert not file.is_file() or CAMERA_NAME.encode() not in file.read_bytes()


def test_a_depth_comes_with_its_photo_is_kept_with_the_result_and_forgotten_here(
    client: Client, house: Running, photo: Path, tmp_path: Path
):
    depth = tmp_path / "canary.npy"
    np.save(depth, np.linspace(1, 2, 640 * 480, dtype=np.float32).reshape(480, 640))
    ready = client.predict(photo=handle_file(photo), depth=handle_file(depth), api_name="/prepare")
    made = client.predict(subject=ready["subject"], azimuth_deg=0, size_px=64, methods=["inflate"], api_name="/render")
    kept = Image.open(io.BytesIO(file_of(house, made, "subject_depth.png")))
    assert kept.size == (1024, 1024) and kept.mode == "I;16"
    assert made["manifest"]["subject"]["depth_sha256"]
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"photo": handle_file(photo), "depth": handle_file(photo)}, "neither a PNG nor an NPY"),
        ({"subject": ready["subject"], "depth": handle_file(depth)}, "comes with its photo"),
    )
    for sent, said in wrong:
        with pytest.raises(AppError, match=said):
            client.predict(**sent, azimuth_deg=0, size_px=64, methods=["inflate"], api_name="/render")
    assert not [path for path in house.data.rglob("*") if path.suffix == ".npy" or "canary" in path.name]


def file_of(house: Running, result: dict[str, Any], name: str) -> bytes:
    answer = house.client.get(f"/{result['files'][name]}")
    assert answer.status_code == 200
    return answer.content


def picture_of(house: Running, result: dict[str, Any], name: str) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(file_of(house, result, name))))


def test_render_streams_progress_and_ends_with_all_files(client: Client, prepared: dict[str, Any], house: Running):
    job = client.submit(subject=prepared["subject"], count=8, elevation_deg=10, size_px=96, api_name="/render")
    result = job.result(timeout=120)
    told: list[Any] = job.outputs()
    assert told[0]["state"] == "working" and told[0]["id"] == result["id"]
    assert any(0 < step.get("fraction", 0) < 1 for step in told)
    assert result["state"] == "done" and result["link"] == f"?r={result['id']}"

    made = result["turnarounds"]["inflate"]
    assert [round(frame["view"]["azimuth_deg"]) for frame in made["frames"]] == [0, 45, 90, 135, 180, -135, -90, -45]
    assert all(frame["exact"] and frame["view"]["elevation_deg"] == 10 for frame in made["frames"])
    front = picture_of(house, result, "inflate/view_000.png")
    assert front.shape == (96, 96, 4) and np.abs(front[28, 48, :3].astype(int) - ORANGE).max() < 40
    assert b"ftyp" in file_of(house, result, "inflate/orbit.mp4")[:12]
    mesh: Any = trimesh.load(io.BytesIO(file_of(house, result, "inflate/model.glb")), file_type="glb", force="mesh")
    assert len(mesh.faces) > 100
    assert json.loads(file_of(house, result, "manifest.json"))["id"] == result["id"]
    assert str(house.data) not in json.dumps(result)

    again = client.predict(id=result["id"], api_name="/reopen")
    assert again["manifest"] == result["manifest"] and again["files"] == result["files"]
    assert "delete_key" in result and "delete_key" not in again


def test_one_call_goes_from_photo_to_view(client: Client, photo: Path):
    result = client.predict(
        photo=handle_file(photo), azimuth_deg=20, elevation_deg=5, size_px=96, seed=3, api_name="/render"
    )
    (frame,) = result["turnarounds"]["inflate"]["frames"]
    assert (frame["view"]["azimuth_deg"], frame["view"]["elevation_deg"]) == (20, 5)
    assert "inflate/orbit.mp4" not in result["files"]


def test_several_methods_at_once_and_one_that_fails_alone(client: Client, prepared: dict[str, Any]):
    result = client.predict(
        subject=prepared["subject"],
        methods=["raises", "inflate", "blocked", "rude"],
        azimuth_deg=0,
        size_px=64,
        options={"inflate": {"back": "mirror"}},
        api_name="/render",
    )
    assert set(result["turnarounds"]) == {"inflate", "rude"}
    assert "reference" in result["failures"]["raises"] and "not this one" in result["failures"]["blocked"]
    assert result["turnarounds"]["inflate"]["options"]["back"] == "mirror"


def test_compare_tells_of_all_methods_at_once(client: Client, prepared: dict[str, Any]):
    job = client.submit(
        subject=prepared["subject"], methods=["raises", "inflate"], count=3, size_px=64, api_name="/compare"
    )
    result = job.result(timeout=120)
    outputs: list[Any] = job.outputs()
    told = [answer for answer in outputs if answer["state"] == "working"]
    assert {key: each["state"] for key, each in told[0]["methods"].items()} == {
        "raises": "waiting",
        "inflate": "waiting",
    }
    last = told[-1]["methods"]
    assert last["inflate"]["state"] == "done" and last["raises"]["state"] == "failed"
    assert "reference" in last["raises"]["message"] and set(result["turnarounds"]) == {"inflate"}


def test_compare_takes_every_method_that_can_run_here(client: Client, prepared: dict[str, Any]):
    job = client.submit(subject=prepared["subject"], count=2, size_px=64, api_name="/compare")
    first: Any = next(iter(job))
    job.cancel()
    assert set(first["methods"]) == {"inflate", "slow", "rude", "raises"}


def test_cameras_of_ones_own_are_rendered_as_they_are_or_evenly_along_them(client: Client, prepared: dict[str, Any]):
    def asked(**camera: Any) -> list[tuple[float, ...]]:
        made = client.predict(subject=prepared["subject"], size_px=64, api_name="/render", **camera)
        return [tuple(frame["view"].values()) for frame in made["turnarounds"]["inflate"]["frames"]]

    own = [[20, 10], [-40, 5, 1.5], [20, 10]]
    assert asked(cameras=own) == [(20, 10, 1), (-40, 5, 1.5), (20, 10, 1)]
    assert np.allclose(asked(cameras=[[0, 0], [60, 30]], count=3), [(0, 0, 1), (30, 15, 1), (60, 30, 1)])
    with pytest.raises(AppError, match="say all"):
        asked(cameras=own, path="orbit")
    with pytest.raises(AppError, match="list of cameras"):
        asked(cameras=[20, 10])


def test_a_swing_looks_to_both_sides_and_from_afar(client: Client, prepared: dict[str, Any]):
    made = client.predict(
        subject=prepared["subject"], path="swing", azimuth_deg=10, distance=2, count=4, size_px=64, api_name="/render"
    )["turnarounds"]["inflate"]
    views = [frame["view"] for frame in made["frames"]]
    assert [round(view["azimuth_deg"]) for view in views] == [10, 40, 10, -20]
    assert {view["distance"] for view in views} == {2}


def test_delete_takes_the_key_that_came_with_the_result(client: Client, prepared: dict[str, Any], house: Running):
    made = client.predict(subject=prepared["subject"], azimuth_deg=0, size_px=64, api_name="/render")
    for wrong in ("", "x", made["id"], None, 7, [made["delete_key"]]):
        assert "no result of this id that this key" in refusal(house, "delete", made["id"], wrong)
    assert client.predict(made["id"], made["delete_key"], api_name="/delete")["state"] == "deleted"
    with pytest.raises(AppError):
        client.predict(id=made["id"], api_name="/reopen")
    assert house.client.get(f"/r/{made['id']}/wall.json").status_code == 404
    assert "no result of this id that this key" in refusal(house, "delete", made["id"], made["delete_key"])


def test_two_at_once_with_the_same_file_name_get_their_own(house: Running, tmp_path: Path):
    def from_photo_to_pixel(colour: tuple[int, int, int], folder: str) -> tuple[str, Any]:
        path = tmp_path / folder / "photo.jpg"
        path.parent.mkdir()
        path.write_bytes(a_photo(colour))
        own = Client(house.url, verbose=False, analytics_enabled=False)
        made = own.predict(photo=handle_file(path), azimuth_deg=0, size_px=64, api_name="/render")
        return made["id"], picture_of(house, made, "inflate/view_000.png")[18, 32, :3].astype(int)

    colours = [ORANGE, (40, 160, 60), (150, 40, 160)]
    with ThreadPoolExecutor(3) as pool:
        seen = list(pool.map(from_photo_to_pixel, colours, "abc"))
    assert len({id for id, _ in seen}) == 3
    for colour, (_, pixel) in zip(colours, seen, strict=True):
        assert np.abs(pixel - colour).max() < 40


def test_closing_the_stream_cancels_the_run(client: Client, prepared: dict[str, Any], house: Running):
    job = client.submit(subject=prepared["subject"], methods=["slow"], azimuth_deg=0, size_px=64, api_name="/render")
    while not job.outputs():
        pass
    first: Any = job.outputs()[0]
    started = first["id"]
    job.cancel()
    result = client.predict(subject=prepared["subject"], azimuth_deg=0, size_px=64, api_name="/render")
    assert result["state"] == "done"  # the machine is free again: nothing waits for the cancelled one's 5 seconds
    with pytest.raises(AppError):
        client.predict(id=started, api_name="/reopen")


def test_what_is_not_a_photo_gets_a_sentence(client: Client, tmp_path: Path):
    for name, data in (("cat.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>"), ("cat.jpg", a_photo()[:3000])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(AppError) as refused:
            client.predict(photo=handle_file(tmp_path / name), api_name="/prepare")
        assert str(refused.value).count(".") >= 1 and "Traceback" not in str(refused.value)


NOT_NUMBERS = [True, "12", [1], {}, float("nan"), float("inf")]
BAD: list[tuple[dict[str, Any], str]] = [
    *(({"azimuth_deg": value}, "azimuth must be") for value in NOT_NUMBERS),
    *(({"azimuth_deg": 0, "elevation_deg": value}, "elevation must be") for value in NOT_NUMBERS),
    *(({"azimuth_deg": 0, "size_px": value}, "size must be") for value in [*NOT_NUMBERS, None, 63, 1025, 64.5]),
    *(({"azimuth_deg": 0, "seed": value}, "seed must be") for value in [*NOT_NUMBERS, None, -1, 2**31, 2**64, 1.7]),
    *(({"count": value}, "orbit has between") for value in [*NOT_NUMBERS, 0, -1, 361, 1000, 10**9, 21.0]),
    *(({"distance": value}, "distance must") for value in [*NOT_NUMBERS, None, 0, 0.29, 5.1]),
    *(({"path": value}, "no camera path") for value in ["", "../x", ["orbit"], 7, {}]),
    ({"path": "spiral", "count": 1000}, "spiral has between"),
    ({"azimuth_deg": 360.000001}, "between -360 and 360"),
    ({"azimuth_deg": 1e9}, "between -360 and 360"),
    ({"azimuth_deg": 0, "elevation_deg": 90.000001}, "between -90 and 90"),
    ({"azimuth_deg": 0, "count": 8}, "One view has no"),
    ({"count": 360, "size_px": 1024}, "more than one run may make"),
    *(({"methods": value}, "methods must be") for value in [[], {}, 7, True, ["inflate", "inflate"], ["inflate"] * 99]),
    *(({"methods": value}, "no method") for value in ["sv4d", ["../inflate"], [["inflate"]], [None]]),
    *(({"options": value}, "options must have the form") for value in [[], "x", 7, {"inflate": 7}]),
    ({"options": {"nothing": {}}}, "no method"),
    ({"options": {"inflate": {"nothing": 1}}}, "no option"),
    ({"options": {"inflate": {"depth": float("nan")}}}, "finite"),
    ({"options": {"inflate": {"depth": 99}}}, "must lie between"),
    ({"options": {"inflate": {"back": ["mirror"]}}}, "must be one of"),
    ({"subject": None}, "Give either"),
    *(({"subject": value}, "no longer held") for value in ["", "example:0", "x" * 10_000, 7, {}, "é\ud800"]),
]


@pytest.mark.parametrize(("given", "sentence"), BAD, ids=lambda value: str(value)[:48])
def test_56_to_64_a_bad_value_is_refused_with_its_own_sentence(
    house: Running, prepared: dict[str, Any], given: dict[str, Any], sentence: str
):
    values = render(house, **{"subject": prepared["subject"]} | given)
    assert sentence in refusal(house, "render", *values)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"remover": "../evil"}, "no background remover"),
        ({"remover": ["auto"]}, "no background remover"),
        ({"remover": None}, "no background remover"),
        ({"elevation_deg": float("nan")}, "finite"),
        ({"elevation_deg": "0"}, "number"),
        ({"elevation_deg": 91}, "between"),
        ({"fill": 0}, "between"),
        ({"fill": True}, "number"),
    ],
    ids=str,
)
def test_prepare_refuses_bad_values_with_their_own_sentence(house: Running, given: dict[str, Any], sentence: str):
    file = file_object(house.upload(a_photo()))
    values = {"remover": "auto", "elevation_deg": 0, "fill": 0.8, "depth": None} | given
    assert sentence in refusal(house, "prepare", file, *values.values())


@pytest.mark.parametrize("photo", [None, "", 7, [], {}, "/etc/hostname", {"path": "/etc/hostname"}], ids=str)
def test_prepare_takes_uploads_only(house: Running, photo: Any):
    assert house.call("prepare", photo, "auto", 0.0, 0.8, None).sentence


@pytest.mark.parametrize("id", ["", "0" * 44, "../x", "%2e%2e%2f", "x" * 10_000, "０" * 44, None, 7, ["a"]], ids=str)
def test_53_reopen_answers_every_wrong_id_alike(house: Running, id: Any):
    assert refusal(house, "reopen", id) == refusal(house, "reopen", "f" * 44)


def test_a_results_files_are_had_by_its_id_and_nothing_else(client: Client, prepared: dict[str, Any], house: Running):
    made = client.predict(subject=prepared["subject"], azimuth_deg=0, size_px=64, api_name="/render")
    base = f"/r/{made['id']}"
    picture = house.client.get(f"{base}/inflate/view_000.png")
    assert picture.status_code == 200 and picture.headers["content-type"] == "image/png"
    assert picture.headers["x-content-type-options"] == "nosniff" and "immutable" in picture.headers["cache-control"]
    part = house.client.get(f"{base}/inflate/model.glb", headers={"Range": "bytes=0-3"})
    assert part.status_code == 206 and part.content == b"glTF"
    packed = house.client.get(f"{base}/turnaround.zip")
    assert packed.status_code == 200 and packed.content[:2] == b"PK"
    deadline = time.monotonic() + 10
    while list(house.uploads.glob("arriving-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not list(house.uploads.glob("arriving-*"))  # the zip was made for this one answer
    (house.data / "results" / made["id"] / "planted.txt").write_text("not listed")
    for wrong in ("planted.txt", "../.clock", "..%2f.clock", "inflate", "", "%00", "inflate/../../.lock"):
        assert house.client.get(f"{base}/{wrong}").status_code in (307, 400, 404), wrong
    assert house.client.get(f"/r/{'0' * 44}/subject.png").status_code == 404
