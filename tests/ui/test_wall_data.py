"""From a link to what the wall shows: specs, however hostile, and one description of results in every state."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pipelines.core.cameras import View
from pipelines.core.errors import TurnaroundError
from pipelines.runtime.archive import NOT_FOUND
from pipelines.runtime.job import METHOD_STOPPED, STOPPED
from pipelines.runtime.manifest import DAMAGED
from pipelines.runtime.method import Card, Frame, Method, Report, Request, Turnaround
from pipelines.runtime.settings import Settings
from tests.toy_methods import Flat, Raises, Slow, SlowOptions, a_card, a_subject
from tests.ui.house import MARKUP
from tests.ui.rooms import refuse, until
from ui import recorded
from ui.opened import opened
from ui.studio import Studio, open_studio
from ui.wall_data import (
    EXAMPLE,
    MOST_ENTRIES,
    camera_used,
    link,
    moment_of,
    parse_spec,
    shown,
    spec_text,
    wall_json,
    wall_of,
)
from ui.words import words

A, B = "a" * 44, "0123456789ab" + "b" * 32


class Fixed(Flat):
    """Has one camera only, and says things that are shown and never run."""

    card: ClassVar[Card] = a_card(
        "fixed",
        title=MARKUP,
        renders=frozenset({"fixed views"}),
        citation=f"@misc{{{MARKUP}}}",
        paper="https://example.org/paper",
        code="javascript:alert(1)",
    )

    def _run(self, request: Request, report: Report) -> Turnaround:
        there = View(30.0, 20.0)
        frames = tuple(Frame(there, request.subject.rgba, asked) for asked in request.views)
        return Turnaround(frames, notes=(MARKUP, "The back is a guess."))


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    made = open_studio(Settings(data=tmp_path / "data", grace_s=0), methods=(Flat(), Slow(), Fixed()))
    yield made
    made.jobs.drain(0)


def begin(studio: Studio, *methods: Method, views: tuple[View, ...] = (View(),), **asked: Any) -> str:
    subject = a_subject(64)
    tasks = [(method, Request(subject, views, size_px=64, **asked)) for method in methods]
    return studio.jobs.start(subject, tasks, "anna").id


def finish(studio: Studio, id: str) -> str:
    job = studio.jobs.find(id)
    assert job
    until(lambda: not job.working)
    return id


def after_a_restart(studio: Studio) -> Studio:
    """The same data, and no memory of any run."""
    return open_studio(studio.settings, studio.methods)


def wall(studio: Studio, id: str) -> dict[str, Any]:
    return json.loads(wall_json(shown(studio, id), studio.methods), parse_constant=refuse)


# --- Specs and links --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("", []),
        (" , ,", []),
        (A, [(A, ())]),
        ("example", [(EXAMPLE, ())]),
        (f"{A}.flat.slow_2", [(A, ("flat", "slow_2"))]),
        (f" {A} ,{B}.flat,", [(A, ()), (B, ("flat",))]),
        (f"{A}.flat,{B},{A}.slow.flat", [(A, ("flat", "slow")), (B, ())]),
        (f"{A}.flat,{A}", [(A, ())]),
        (f"{A},{A}.flat", [(A, ())]),
    ],
)
def test_a_spec_names_results_and_some_of_their_tiles(text: str, entries: list[Any]) -> None:
    assert parse_spec(text) == entries
    assert parse_spec(spec_text(entries)) == entries


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        b"a",
        ["a"],
        "x",
        "../" + A[3:],
        "%2e%2e%2f",
        f"/{A}",
        A[:-1],
        A + "a",
        A.upper(),
        "".join(chr(0x660 + i % 10) for i in range(44)),  # digits, but not ours
        f"{A}.",
        f"{A}..flat",
        f"{A}.Flat",
        f"{A}.../x",
        f"{A}.{'k' * 41}",
        f"{A};{B}",
        f"{A}\n{B}",
        f"{A}\0",
        f"{A},<script>",
        "\ud800",
        "a" * 10_000,
        "," * 10_000,
        ",".join(f"{i:044x}" for i in range(MOST_ENTRIES * 20)),
    ],
)
def test_53_what_is_no_spec_gets_the_one_answer(text: object) -> None:
    with pytest.raises(TurnaroundError, match="no result behind this link"):
        parse_spec(text)


def test_a_wall_has_room_for_a_dozen() -> None:
    many = [f"{i:044x}" for i in range(MOST_ENTRIES + 1)]
    assert len(parse_spec(",".join(many[1:]))) == MOST_ENTRIES
    with pytest.raises(TurnaroundError, match="at most 12 results; this link names 13"):
        parse_spec(",".join(many))


@pytest.mark.parametrize("bad", ["nan", "NaN", "inf", "-inf", "1e999", "", "x", "361", "-360.1", "1,5", "٣" * 900])
def test_56_a_moment_that_is_no_angle_is_as_if_it_had_not_been_said(bad: str) -> None:
    assert moment_of({"az": bad, "el": "12.5"}) == {"el": 12.5}
    assert moment_of({"az": "270", "el": bad}) == {"az": -90.0}


def test_a_link_leads_back_to_its_wall_and_moment() -> None:
    assert link([], {}) == ""
    assert link([(A, ("flat",)), (B, ())], {"az": -12.5, "el": 90.0}) == f"?r={A}.flat,{B}&az=-12.5&el=90"


# --- From an id to a result -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", [None, 7, "", "x", "../x", A, A.upper(), "Example", "\ud800", "a" * 10_000])
def test_53_every_wrong_id_has_one_answer(studio: Studio, id: object) -> None:
    with pytest.raises(TurnaroundError) as refused:
        shown(studio, id)
    assert str(refused.value) == NOT_FOUND


def test_a_result_is_there_until_it_is_deleted_or_damaged(studio: Studio) -> None:
    id = finish(studio, begin(studio, Flat(), views=(View(), View(90.0))))
    assert wall(studio, id)["state"] == "done"
    folder = studio.archive.root / id
    (folder / "flat" / "view_001.png").unlink()
    with pytest.raises(TurnaroundError, match="damaged"):
        shown(studio, id)
    studio.archive.delete(id)
    with pytest.raises(TurnaroundError) as refused:
        shown(studio, id)
    assert str(refused.value) == NOT_FOUND


def test_54_a_manifest_changed_by_someone_is_noticed_although_it_was_read_a_moment_ago(studio: Studio) -> None:
    id = finish(studio, begin(studio, Flat()))
    assert opened(studio.archive, id) is opened(studio.archive, id)  # read once
    manifest = studio.archive.root / id / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"flat"', b'"../x"'))
    with pytest.raises(TurnaroundError) as refused:
        shown(studio, id)
    assert str(refused.value) == DAMAGED


def test_the_example_is_an_ordinary_result(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "FOLDER", tmp_path / "none")
    with pytest.raises(TurnaroundError, match="not part of this installation"):
        shown(studio, EXAMPLE)
    id = finish(studio, begin(studio, Flat()))
    monkeypatch.setattr(recorded, "FOLDER", studio.archive.root)
    described = wall(studio, EXAMPLE)
    assert (described["id"], described["recorded"], described["state"]) == (EXAMPLE, True, "done")
    assert described["tiles"][0]["frames"][0]["png"] == "r/example/flat/view_000.png"
    assert described["created_utc"] == wall(studio, id)["created_utc"] and wall(studio, id)["recorded"] is False


def test_every_file_has_a_name_in_every_language(studio: Studio) -> None:
    described = wall(studio, EXAMPLE)
    labels = [file["label"] for files in (described["files"], described["tiles"][0]["files"]) for file in files]
    assert labels and all(words()["en"][f"file.{label}"] == label for label in labels)


def test_an_example_travels_with_the_app(studio: Studio) -> None:
    (tile,) = wall(studio, EXAMPLE)["tiles"]
    assert tile["state"] == "done" and len(tile["frames"]) > 8 and tile["model"] == "r/example/inflate/model.glb"
    assert all(frame["url"].endswith(".webp") and frame["depth"] for frame in tile["frames"])
    assert len({file["url"] for file in tile["files"]}) == len(tile["files"])  # none twice


# --- wall.json --------------------------------------------------------------------------------------------------------


def test_a_finished_result_is_described_in_full(studio: Studio) -> None:
    id = finish(studio, begin(studio, Fixed(), views=(View(0.0, 10.0), View(30.0, 20.0)), seed=7))
    described = wall(after_a_restart(studio), id)
    assert described["subject"] == {
        "url": f"r/{id}/subject.png",
        "elevation_deg": 0.0,
        "fill": 0.8,
        "remover": {"say": "remover.by.alpha", "values": {}},
    }
    (tile,) = described["tiles"]
    assert (tile["key"], tile["state"], tile["sentence"], tile["seed"]) == ("fixed", "done", None, 7)
    assert (tile["size_px"], tile["fov_deg"], tile["licence"]) == (64, 33.8, "Apache-2.0")
    first, second = tile["frames"]
    assert (first["azimuth_deg"], first["elevation_deg"], first["distance"], first["exact"]) == (30, 20, 1, False)
    assert first["asked"] == {"azimuth_deg": 0, "elevation_deg": 10, "distance": 1} and second["exact"]
    at = {"say": "wall.view", "values": {"az": "30", "el": "20"}}
    assert tile["summary"] == {"say": "camera.views_nearest", "values": {"n": 2, "view": at, "inexact": 1}}
    assert tile["video"] == f"r/{id}/fixed/orbit.mp4" and tile["model"] is None
    labels = [file["label"] for file in tile["files"] + described["files"]]
    assert {"Video (MP4)", "Cameras (ZIP)", "Everything (ZIP)"} <= set(labels) and "3D model (GLB)" not in labels
    assert all(file["url"].startswith(f"r/{id}/") for file in tile["files"] + described["files"])


def test_55_markup_is_data_and_only_web_addresses_are_links(studio: Studio) -> None:
    (tile,) = wall(studio, finish(studio, begin(studio, Fixed())))["tiles"]
    assert tile["title"] == MARKUP and tile["notes"][0] == MARKUP and MARKUP in tile["citation"]
    assert tile["paper"] == "https://example.org/paper" and tile["code"] is None


def test_every_picture_named_exists(studio: Studio) -> None:
    id = finish(studio, begin(studio, Flat(), views=(View(), View(90.0))))
    for frame in wall(studio, id)["tiles"][0]["frames"]:
        for url in filter(None, (frame["url"], frame["png"], frame["depth"], frame["normals"])):
            assert (studio.archive.root / url.removeprefix("r/")).is_file(), url


def test_results_from_before_there_were_webp_files_show_their_pngs(studio: Studio) -> None:
    id = finish(studio, begin(studio, Flat()))
    found = shown(after_a_restart(studio), id)
    assert found.result
    (made,) = found.result.turnarounds
    files = {name: record for name, record in made.manifest.files.items() if not name.endswith(".webp")}
    older = replace(made, manifest=replace(made.manifest, files=files))
    (frame,) = wall_of(replace(found, result=replace(found.result, turnarounds=(older,))), ())["tiles"][0]["frames"]
    assert frame["url"] == frame["png"] == f"r/{id}/flat/view_000.png"


def test_tiles_stand_as_asked_and_fill_where_they_stand(studio: Studio) -> None:
    """Cheap methods run first, yet a tile keeps its place."""
    slow, failing = Slow(), Raises(TurnaroundError("It fell over. Try another photo."))
    id = begin(studio, slow, Flat(), failing)
    until(lambda: [tile["state"] for tile in wall(studio, id)["tiles"]] == ["working", "done", "failed"])
    described = wall(studio, id)
    assert [tile["key"] for tile in described["tiles"]] == ["slow", "flat", "raises"]
    assert (described["state"], described["files"], described["problem"]) == ("working", [], None)
    assert described["tiles"][0]["frames"] == [] and described["tiles"][0]["title"] == "Slow"
    assert len(described["tiles"][1]["frames"]) == 1
    assert described["tiles"][2]["sentence"] == "It fell over. Try another photo."
    assert described["subject"]["url"] == f"r/{id}/subject.png"
    job = studio.jobs.find(id)
    assert job
    job.cancel("slow")
    ended = wall(studio, finish(studio, id))
    assert ended["created_utc"] == described["created_utc"] and ended["state"] == "done"
    for memory in (studio, after_a_restart(studio)):
        tiles = {tile["key"]: tile for tile in wall(memory, id)["tiles"]}
        assert {key: tile["state"] for key, tile in tiles.items()} == {
            "flat": "done",
            "slow": "cancelled",
            "raises": "failed",
        }
        assert tiles["slow"]["sentence"] == METHOD_STOPPED and tiles["slow"]["title"] == "Slow"
        assert tiles["flat"]["frames"] == described["tiles"][1]["frames"]


def test_a_method_in_line_waits(studio: Studio) -> None:
    first = begin(studio, Slow())
    until(lambda: wall(studio, first)["tiles"][0]["state"] == "working")
    second = begin(studio, Slow(), Flat())
    assert [tile["state"] for tile in wall(studio, second)["tiles"]] == ["waiting", "waiting"]


def test_a_run_that_ended_with_nothing_says_why(studio: Studio) -> None:
    id = begin(studio, Slow(), options=SlowOptions(1000))
    job = studio.jobs.find(id)
    assert job
    job.cancel()
    described = wall(studio, finish(studio, id))
    assert described["state"] == "ended" and described["files"] == [] and described["subject"]["url"] is None
    (tile,) = described["tiles"]
    assert (tile["state"], tile["sentence"]) == ("cancelled", STOPPED)


def test_the_camera_is_told_in_words() -> None:
    from pipelines.runtime.manifest import FrameRecord

    exact = FrameRecord("view_000.png", View(-90, 5, 1.5), View(-90, 5, 1.5), True)
    near = FrameRecord("view_000.png", View(30, 20), View(0, 10), False)
    assert str(camera_used(())) == "A 3D model, without views."
    assert str(camera_used((exact,))) == "Exactly the camera asked for: azimuth -90°, elevation 5°, distance 1.5."
    assert str(camera_used((near,))) == (
        "The nearest camera this method has: azimuth 30°, elevation 20°. Asked for: azimuth 0°, elevation 10°."
    )
    assert str(camera_used((exact, exact))).endswith("each exactly as asked.")


def test_options_of_any_kind_stay_plain(studio: Studio) -> None:
    id = finish(studio, begin(studio, Flat()))
    found = shown(studio, id)
    assert found.result
    (made,) = found.result.turnarounds
    strange = {"depth": 0.9, "nested": {"a": [1]}, "text": MARKUP, "off": False, "infinite": math.inf}
    odd = replace(made, manifest=replace(made.manifest, options=strange, method={"key": "flat", "title": 7}))
    (tile,) = wall_of(replace(found, result=replace(found.result, turnarounds=(odd,))), ())["tiles"]
    assert tile["title"] == "flat" and tile["licence"] is None
    assert tile["options"] == strange | {"nested": '{"a": [1]}', "infinite": "Infinity"}
