"""`fetch`, `fetch --check` and what `doctor` says of weights, for methods registered here, against a hub of our own."""

import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines import cli, cli_weights, registry
from pipelines.core.errors import TurnaroundError
from pipelines.runtime.engine import open_engine
from pipelines.runtime.hub_cache import PART
from pipelines.runtime.results import png_bytes
from pipelines.runtime.settings import read_settings
from pipelines.runtime.weights import Weights, located
from tests.hub.client import COMMIT, CONFIG, FILES, LARGE, PYTHON, a_hub, a_source, other_process, weights_of
from tests.hub.server import Fault, Hub, sha256
from tests.runtime.job_helpers import wait_until
from tests.toy_methods import Flat, a_card, a_subject

OTHER = {LARGE: FILES[LARGE][::-1]}
WEIGHTS = {
    "first": weights_of(),
    "second": Weights("The Other", (a_source("lab/other", "cccccccc", OTHER, hashes=False, licence="CC BY-NC 4.0"),)),
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class First(Flat):
        card = a_card("first", weights=(WEIGHTS["first"],))

    class Second(Flat):
        card = a_card("second", weights=(WEIGHTS["second"],))

    class Free(Flat):
        card = a_card("free")

    methods = (First(), Second(), Free())
    for module in (registry, cli, cli_weights):
        monkeypatch.setattr(module, "METHODS", methods)
    with a_hub(tmp_path, monkeypatch) as hub:
        hub.add("lab/other", OTHER, COMMIT)
        yield hub


def test_methods_are_fetched_by_name_and_then_here(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fetch", "first", "second", "free"]) == 0
    out = capsys.readouterr().out
    assert f"first: The Thing: here, 384 kB of lab/thing {COMMIT[:12]} (MIT)" in out
    assert f"second: The Other: here, 384 kB of lab/other {COMMIT[:12]} (CC BY-NC 4.0)" in out
    assert "free: needs no weights" in out
    assert all(located(weights) for weights in WEIGHTS.values())


def test_only_what_the_default_options_need_is_fetched_unless_all_is_asked_for(hub: Hub, capsys, monkeypatch) -> None:
    monkeypatch.setattr(registry.METHODS[0], "card", a_card("first", weights=tuple(WEIGHTS.values())))
    monkeypatch.setattr(registry.METHODS[0], "weights_for", lambda options: (WEIGHTS["first"],))
    assert cli.main(["fetch", "first"]) == 0
    assert located(WEIGHTS["first"]) and not located(WEIGHTS["second"])
    assert cli.main(["fetch", "first", "--all"]) == 0 and located(WEIGHTS["second"])


def test_what_fails_is_named_and_the_rest_is_fetched(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.gated.add("lab/thing")
    assert cli.main(["fetch", "first", "second", "--json"]) == 1
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert not first["ok"] and "hf auth login" in first["error"] and second["ok"] and second["bytes"] == 384_000


def test_room_for_all_of_a_method_is_asked_for_before_the_first_byte(hub: Hub, capsys, monkeypatch) -> None:
    monkeypatch.setattr(registry.METHODS[0], "card", a_card("first", weights=tuple(WEIGHTS.values())))
    usage = shutil.disk_usage("/")._replace(free=500_000)  # for either of the two
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setenv("TURNAROUND_FREE_DISK_MB", "0")
    assert cli.main(["fetch", "first", "free", "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["ok"] for line in lines] == [False, False] and hub.gets() == []
    assert all("no room for The Thing + The Other: 768 kB are to come" in line["error"] for line in lines)
    assert cli.main(["fetch", "second"]) == 0, "another method has room"
    monkeypatch.setattr(registry.METHODS[0], "card", a_card("first", weights=(WEIGHTS["second"], WEIGHTS["first"])))
    assert cli.main(["fetch", "first"]) == 0, "what is here takes no more"


@pytest.mark.parametrize(("arguments", "words"), [([], "first, second"), (["sv9d"], "no method 'sv9d'")])
def test_a_fetch_of_nothing_or_of_no_method_is_refused(hub: Hub, capsys, arguments: list[str], words: str) -> None:
    assert cli.main(["fetch", *arguments]) == 2
    assert words in capsys.readouterr().err and hub.asked == []


def test_what_keeps_a_method_from_running_here_is_said_before_its_weights_are_fetched(hub: Hub, capsys, monkeypatch):
    monkeypatch.setattr(registry.METHODS[0], "blockers", lambda machine: ("It needs a GPU.",))
    assert cli.main(["fetch", "first"]) == 0
    said, here = capsys.readouterr().out.splitlines()
    assert said == "first: cannot run here: It needs a GPU." and "first: The Thing: here" in here
    assert cli.main(["fetch", "first", "second", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["blockers"] for line in lines] == [["It needs a GPU."], []]


COMMAND_LINE = """
import signal, sys
from pipelines import cli, registry
from tests.hub.client import weights_of
from tests.toy_methods import Flat, a_card

class First(Flat):
    card = a_card("first", weights=(weights_of(),))

registry.METHODS = (First(),)
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs tests in the background would hand on deafness
sys.exit(cli.main(sys.argv[1:]))
"""


def stopped(hub: Hub, folder: Path, arguments: list[str], once: Callable[[], object]) -> str:
    """What a command says that is stopped with Ctrl-C as soon as `once` is true."""
    running = subprocess.Popen(
        [PYTHON, "-c", COMMAND_LINE, *arguments], env=other_process(hub, folder), stderr=subprocess.PIPE, text=True
    )
    wait_until(once)
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    return said


def test_a_fetch_stopped_with_ctrl_c_says_that_it_can_go_on_and_does(hub: Hub, tmp_path: Path) -> None:
    hub.faults += [Fault("stall", path=LARGE, times=1, after_bytes=100_000)]
    part = tmp_path / "cache" / "models--lab--thing" / "blobs" / (sha256(FILES[LARGE]) + PART)
    said = stopped(hub, tmp_path, ["fetch", "first"], lambda: part.exists() and part.stat().st_size)
    assert said == "Stopped. What has arrived is kept, and the same command goes on from there.\n"
    kept = part.stat().st_size
    assert cli.main(["fetch", "first"]) == 0 and hub.gets(LARGE)[-1].range == f"bytes={kept}-"


def test_a_check_stopped_with_ctrl_c_says_so(hub: Hub, tmp_path: Path) -> None:
    hub.faults += [Fault("silent", path="revision")]
    assert stopped(hub, tmp_path, ["fetch", "first", "--check"], lambda: hub.asked) == "Stopped.\n"


def test_a_rendering_stopped_with_ctrl_c_says_where_the_finished_results_are(hub, tmp_path, capsys, monkeypatch):
    def interrupted(*about: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(registry.METHODS[1], "card", a_card("second"))
    monkeypatch.setattr(registry.METHODS[1], "_run", interrupted)
    (tmp_path / "disc.png").write_bytes(png_bytes(a_subject(96).rgba))
    photo, made = str(tmp_path / "disc.png"), tmp_path / "made"
    assert cli.main(["render", photo, "--method", "free", "second", "--size", "64", "--out", str(made)]) == 130
    assert capsys.readouterr().err == f"Stopped. What was finished by then is in {made}.\n"
    assert (made / "disc" / "free" / "manifest.json").is_file()


def test_a_folder_by_hand_that_is_half_copied_is_said(hub: Hub, tmp_path: Path, capsys) -> None:
    (tmp_path / "by hand" / "lab" / "thing").mkdir(parents=True)
    words = f"lab/thing in the folder of TURNAROUND_WEIGHTS is not used: {LARGE} is missing"
    assert cli.main(["doctor"]) == 0 and words in capsys.readouterr().out
    assert cli.main(["fetch", "first"]) == 0 and f"first: {words}" in capsys.readouterr().out
    assert cli.main(["fetch", "first", "--json"]) == 0
    assert words in json.loads(capsys.readouterr().out)["unused"][0]


def test_a_folder_by_hand_is_as_large_as_it_is_and_nothing_is_said_against_it_for_another_revisions_files(
    hub: Hub, tmp_path: Path, capsys, monkeypatch
) -> None:
    only = {CONFIG: FILES[CONFIG] * 100}
    thing = Weights("The Thing", (a_source("lab/thing", files=only), a_source("lab/thing", "main", FILES)))
    monkeypatch.setattr(registry.METHODS[0], "card", a_card("first", weights=(thing,)))
    folder = tmp_path / "by hand" / "lab" / "thing"
    folder.mkdir(parents=True)
    (folder / "unet").mkdir()
    (folder / CONFIG).write_bytes(b" " * 4_000)
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert f"first: The Thing: here, 4 kB in {folder}" in out and "is not used" not in out


def test_check_asks_without_a_token_and_prints_what_to_paste(hub: Hub, capsys, monkeypatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.gated.add("lab/thing")
    assert cli.main(["fetch", "--check"]) == 1
    out = capsys.readouterr().out
    assert f"lab/thing {COMMIT[:12]}: differs" in out and "gated, which its card does not say" in out
    assert "lab/other cccccccc: as on its card" in out and f"unpinned: cccccccc is {COMMIT} today" in out
    assert f'WeightFile("{LARGE}", 384_000, "{sha256(OTHER[LARGE])}", exact=True),' in out
    assert hub.gets() == []
    about_pin_and_main = [asked.token for asked in hub.asked if asked.repository == "lab/thing"]
    assert about_pin_and_main == [None, None]


def test_check_asks_about_each_revision_of_a_repository_once(hub: Hub, capsys, monkeypatch) -> None:
    for commit in ("d" * 40, "e" * 40):
        hub.add("lab/thing", FILES, commit)
    pins = [a_source(revision=revision) for revision in (COMMIT, "d" * 40, "eeeeeeee")]
    gone = [a_source("lab/removed", licence=licence) for licence in ("MIT", "CC BY 4.0", "CC0")]
    sets = tuple(Weights(f"Set {number}", both) for number, both in enumerate(zip(pins, gone, strict=True)))
    monkeypatch.setattr(registry.METHODS[0], "card", a_card("first", weights=sets))
    assert cli.main(["fetch", "first", "--check", "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["ok"] for line in lines] == [True, False] * 3
    moved_on = f"`main` has moved on, to {'e' * 40}; the pin is still there"
    assert [moved_on in line["notes"] for line in lines] == [True, False, True, False, False, False]
    asked = [asked.repository for asked in hub.asked]
    assert asked.count("lab/thing") == 5, "three pins, main, and the list in which the short pin is looked up"
    assert asked.count("lab/removed") == 1


def test_check_tells_what_moved_differs_or_is_gone(hub: Hub, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    source = a_source()
    wrong = replace(source, files=(replace(source.files[0], sha256="0" * 64), replace(source.files[1], size_bytes=7)))
    sources = (wrong, a_source(revision="a" * 40), a_source("lab/removed"), a_source("old/name"), a_source("lab/other"))
    hub.renamed["old/name"] = "lab/thing"
    monkeypatch.setattr(registry.METHODS[0], "card", a_card("first", weights=(Weights("All", sources),)))
    assert cli.main(["fetch", "first", "--check", "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    problems = [" | ".join(line["problems"]) for line in lines]
    assert f"{LARGE}: sha256 {'0' * 64} on its card, {sha256(FILES[LARGE])} there" in problems[0]
    assert f"{CONFIG}: 7 bytes on its card, {len(FILES[CONFIG])} there" in problems[0]
    assert "the revision is gone" in problems[1] and "removed, renamed or made private" in problems[2]
    assert "renamed: it is lab/thing now" in problems[3] and f"{CONFIG}: not there" in problems[4]


def test_check_tells_trouble_from_difference(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.faults += [Fault("403", path="revision")]
    assert cli.main(["fetch", "--check"]) == 1
    out = capsys.readouterr().out
    assert f"lab/thing {COMMIT[:12]}: could not be asked\n" in out and "(HTTP 403)" in out and "differs" not in out
    assert "lab/other cccccccc: could not be asked\n" in out


def test_check_does_not_ask_a_hub_again_that_cannot_be_asked(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.faults += [Fault("429", path="revision", headers={"Retry-After": "3600"})]
    assert cli.main(["fetch", "--check", "--json"]) == 1
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert len(hub.asked) == 1 and not first["ok"] and first["problems"] == second["problems"] == []
    assert "Try again in 60 minutes, as it asks" in first["unasked"]
    assert second["unasked"] == "not asked, because 127.0.0.1 could not be asked just before"


def test_check_without_a_network_says_so_of_each(hub: Hub, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    hub.server_close()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert cli.main(["fetch", "--check"]) == 1
    out = capsys.readouterr().out
    assert out.count("could not be asked\n") == 2 and "differs" not in out
    assert out.count("127.0.0.1 cannot be reached from here") == 1


@pytest.mark.parametrize("revision", [COMMIT, COMMIT[:8]])
def test_check_says_that_main_has_moved_past_a_pin_that_is_still_there(hub: Hub, capsys, monkeypatch, revision) -> None:
    weights = Weights("The Thing", (a_source(revision=revision),))
    monkeypatch.setattr(registry.METHODS[0], "card", a_card("first", weights=(weights,)))
    assert cli.main(["fetch", "first", "--check", "--json"]) == 0
    assert not any("moved on" in note for note in json.loads(capsys.readouterr().out)["notes"])
    hub.add("lab/thing", OTHER, "d" * 40)
    assert cli.main(["fetch", "first", "--check", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert f"`main` has moved on, to {'d' * 40}; the pin is still there" in told["notes"] and told["ok"]


def test_doctor_lists_what_is_here_missing_and_gated_and_how_big(hub: Hub, capsys, monkeypatch) -> None:
    gated = Weights("The Gated", (a_source("lab/other", files=OTHER, gated=True),))
    monkeypatch.setattr(registry.METHODS[1], "card", a_card("second", weights=(gated,)))
    assert cli.main(["fetch", "first"]) == 0
    asked = len(hub.asked)
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    folder = located(WEIGHTS["first"]).folder  # pyright: ignore[reportOptionalMemberAccess]
    assert f"first: The Thing: here, 384 kB in {folder} (MIT)" in out
    page = f"accepted at {hub.url}/lab/other"
    assert f"second: The Gated: missing; 384 kB are fetched when first used, once its licence is {page}" in out
    assert cli.main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["weights"]
    assert told["first"][0]["here"] and told["second"][0]["missing_bytes"] == 384_000 and len(hub.asked) == asked


def test_doctor_names_the_place_that_a_setting_named_and_what_is_unpinned(hub: Hub, capsys, monkeypatch) -> None:
    monkeypatch.setenv("TURNAROUND_SOURCES", "lab/thing=my/mirror@main")
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "unpinned: my/mirror main (MIT, as its card says of lab/thing)" in out
    assert "unpinned: lab/other cccccccc (CC BY-NC 4.0)" in out
    assert cli.main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["weights"]["first"][0]["repository"] == "my/mirror"


def test_a_setting_that_replaces_what_no_method_has_is_refused_with_what_was_meant(hub, capsys, monkeypatch) -> None:
    for named, meant in (("lab/thin=my/mirror", "Did you mean lab/thing?"), ("else/x=/folder", "Name some of: lab/")):
        monkeypatch.setenv("TURNAROUND_SOURCES", f"lab/thing=my/mirror {named}")
        for command in (["doctor"], ["fetch", "first"], ["render", "photo.png"]):
            assert cli.main(command) == 2
            said = capsys.readouterr().err
            assert "which no method here goes by" in said and meant in said
        with pytest.raises(TurnaroundError, match="no method here goes by"):
            open_engine(read_settings(), registry.METHODS)


def test_doctor_asks_for_no_licence_at_a_mirror_of_ones_own(hub: Hub, capsys, monkeypatch) -> None:
    monkeypatch.setattr(registry.METHODS[0], "card", a_card("first", weights=(Weights("A", (a_source(gated=True),)),)))
    monkeypatch.setenv("TURNAROUND_SOURCES", "lab/thing=my/mirror")
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "A: missing; 384 kB are fetched when first used (MIT, as its card says of lab/thing)" in out


def test_doctor_says_of_a_broken_folder_of_ones_own_that_it_cannot_be_used(hub, capsys, monkeypatch, tmp_path) -> None:
    (tmp_path / "own").mkdir()
    monkeypatch.setenv("TURNAROUND_SOURCES", f"lab/thing={tmp_path / 'own'}")
    monkeypatch.setattr(registry.METHODS[0], "card", a_card("first", weights=(Weights("A", (a_source(gated=True),)),)))
    part = tmp_path / "cache" / "models--lab--thing" / "blobs" / (sha256(FILES[LARGE]) + PART)
    part.parent.mkdir(parents=True)
    part.write_bytes(FILES[LARGE][:100_000])
    assert cli.main(["doctor"]) == 0
    why = f"The folder that TURNAROUND_SOURCES names for lab/thing is not used: {LARGE} is missing or cannot be read."
    assert f"first: A: cannot be used (MIT) {why}\n" in capsys.readouterr().out
    assert cli.main(["doctor", "--json"]) == 0
    state = json.loads(capsys.readouterr().out)["weights"]["first"][0]
    assert state["unusable"] and not state["here"] and state["kept_bytes"] == 0 and not state["gated"]


def test_doctor_says_what_an_earlier_try_has_left(hub: Hub, capsys, tmp_path: Path) -> None:
    part = tmp_path / "cache" / "models--lab--thing" / "blobs" / (sha256(FILES[LARGE]) + PART)
    part.parent.mkdir(parents=True)
    part.write_bytes(FILES[LARGE][:100_000])
    assert cli.main(["doctor"]) == 0
    assert "284 kB of 384 kB missing; fetched when first used, going on from 100 kB" in capsys.readouterr().out
    assert cli.main(["doctor", "--json"]) == 0
    state = json.loads(capsys.readouterr().out)["weights"]["first"][0]
    assert state["kept_bytes"] == 100_000 and state["missing_bytes"] == state["bytes"] - 100_000
