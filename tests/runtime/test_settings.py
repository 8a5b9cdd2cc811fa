"""Every setting: read, refused with a sentence when it is bad, and documented."""

import re
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.settings import PREFIX, Settings, read_settings, settings_table

ROOT = Path(__file__).resolve().parents[2]
SPECS: dict[str, Any] = {PREFIX + f.name.upper(): f for f in fields(Settings)}
NUMBERS = {name: f for name, f in SPECS.items() if isinstance(f.default, (int, float))}


def refusal(**environment: str) -> str:
    with pytest.raises(TurnaroundError) as refused:
        read_settings(environment)
    return str(refused.value)


def test_nothing_set_gives_the_defaults() -> None:
    assert read_settings({}) == Settings()
    assert read_settings({"PATH": "/bin", "GRADIO_SERVER_PORT": "7861", "TURNAROUNDS": "1"}) == Settings()


def test_methods_to_preload_are_told_apart_by_spaces_or_commas() -> None:
    assert Settings().preloaded == Settings().compiled == ()
    assert read_settings({"TURNAROUND_COMPILE": "sv3d_p, sv3d_u"}).compiled == ("sv3d_p", "sv3d_u")
    for text in ("zero123 shap_e", "zero123,shap_e", " zero123,  shap_e, zero123 "):
        assert read_settings({"TURNAROUND_PRELOAD": text}).preloaded == ("zero123", "shap_e")
    for text in ("zero123;shap_e", ",", "a/b", "--all"):
        assert refusal(TURNAROUND_PRELOAD=text).startswith(f"TURNAROUND_PRELOAD={text!r}: it must be none, or methods'")


@pytest.mark.parametrize("name", NUMBERS)
def test_each_number_is_read_at_both_ends_of_its_range(name: str) -> None:
    spec = NUMBERS[name]
    for bound in (spec.metadata["minimum"], spec.metadata["maximum"]):
        value = getattr(read_settings({name: f" {type(spec.default)(bound)} "}), spec.name)
        assert value == bound
        assert type(value) is type(spec.default)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "text", ["nan", "inf", "-inf", "1e999", "-1e9", "1e9", "ten", "5 GB", "0x10", "true", "[1]", "1,5"]
)
def test_each_number_that_is_none_or_out_of_range_is_refused_by_name(name: str, text: str) -> None:
    words = refusal(**{name: text})
    assert words.startswith(f"{name}={text!r}: it must be a ")
    assert words.endswith(".")
    assert "Error" not in words


def test_a_folder_of_someone_who_is_not_here_is_refused() -> None:
    words = refusal(TURNAROUND_DATA="~nobody-of-this-name/data")
    assert words == "TURNAROUND_DATA='~nobody-of-this-name/data': there is no such user on this machine."


@pytest.mark.parametrize("name", [name for name, f in NUMBERS.items() if isinstance(f.default, int)])
def test_what_is_counted_is_whole(name: str) -> None:
    assert "whole number" in refusal(**{name: "2.5"})


@pytest.mark.parametrize("name", NUMBERS)
def test_each_refusal_of_a_range_names_the_range(name: str) -> None:
    spec = NUMBERS[name]
    words = refusal(**{name: str(type(spec.default)(spec.metadata["maximum"]) + 1)})
    row = next(row for row in settings_table().splitlines() if f"`{name}`" in row)
    assert f"between {row.split(' | ')[2].replace(' to ', ' and ')}." in words


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("text", ["", "   "])
def test_each_empty_value_is_refused(name: str, text: str) -> None:
    assert "empty" in refusal(**{name: text})


def test_the_data_folder_may_begin_with_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    settings = read_settings({"TURNAROUND_DATA": "~/things"})
    assert settings.data == tmp_path / "things"
    assert tmp_path in settings.results.parents


def test_a_data_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    occupied = tmp_path / "data"
    occupied.write_text("")
    assert "there is a file of that name" in refusal(TURNAROUND_DATA=str(occupied))


@pytest.mark.parametrize("text", ["mirror", "ftp://mirror/", "https://", "file:///etc/", "//mirror/", "https://a b/"])
def test_a_mirror_that_is_no_address_is_refused(text: str) -> None:
    assert "starts with https://" in refusal(TURNAROUND_REMBG_URL=text)


def test_weights_come_from_other_repositories_or_from_folders_of_ones_own(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    read = read_settings({"TURNAROUND_SOURCES": "a/b=c/d e/f=g/h@main i/j=/k/l m/n=~/o"})
    assert read.moves == {"a/b": ("c/d", None), "e/f": ("g/h", "main")}
    assert read.folders == {"i/j": Path("/k/l"), "m/n": tmp_path / "o"}
    for text in ("a/b=./c", "a/b=c", "a/b=../c/d", "a/b", "/c/d", "a/b=c/d e/f=g"):
        assert "like owner/name=other/name@revision or owner/name=/path/to/fo" in refusal(TURNAROUND_SOURCES=text)
    assert "no such user" in refusal(TURNAROUND_SOURCES="a/b=~nobody-of-this-name/c")


@pytest.mark.parametrize("text", ["http://mirror:8080/rembg", "http://mirror:8080/rembg/"])
def test_a_mirror_ends_with_one_slash_so_that_a_name_can_follow(text: str) -> None:
    assert read_settings({"TURNAROUND_REMBG_URL": text}).rembg_url == "http://mirror:8080/rembg/"


def test_a_misspelt_setting_is_refused_and_the_known_ones_are_listed() -> None:
    words = refusal(TURNAROUND_KEEPDAYS="3")
    assert words.startswith("TURNAROUND_KEEPDAYS is not a setting.")
    assert all(name in words for name in SPECS)


def test_every_bad_value_is_told_at_once() -> None:
    words = refusal(TURNAROUND_KEEP_DAYS="soon", TURNAROUND_MAX_QUEUE="0", TURNAROUND_PORT="80")
    assert len(words.splitlines()) == 3


def test_a_long_bad_value_is_not_repeated_whole() -> None:
    assert len(refusal(TURNAROUND_DRAIN_S="9" * 10_000)) < 300


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().max_queue = 3  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("name", SPECS)
def test_each_default_is_itself_allowed_and_each_setting_says_what_it_is_for(name: str) -> None:
    spec = SPECS[name]
    assert getattr(read_settings({name: str(spec.default)}), spec.name) == spec.default
    assert len(spec.metadata["help"]) > 20


def test_the_readmes_table_is_what_the_code_declares() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert settings_table() in readme, "Put this into README.md:\n" + settings_table()
    assert set(re.findall(r"TURNAROUND_\w+", readme)) <= set(SPECS)


def test_gradios_own_variables_are_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in ("GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "GRADIO_ROOT_PATH", "GRADIO_TEMP_DIR"):
        assert name in readme


def test_nothing_else_in_the_house_reads_our_variables() -> None:
    """One place reads settings: elsewhere neither their names nor the environment's turn up with them."""
    files = [ROOT / "app.py", *(ROOT / "ui").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")]
    reading = re.compile(r"(environ|getenv)[^\n]*TURNAROUND_")
    found = [str(f) for f in files if f.name != "settings.py" and reading.search(f.read_text("utf-8"))]
    assert found == []


def test_the_command_line_says_what_is_wrong_with_a_setting_without_a_trace() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "methods"],
        cwd=ROOT,
        env={"PATH": "", "TURNAROUND_MAX_QUEUE": "many"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == "TURNAROUND_MAX_QUEUE='many': it must be a whole number between 1 and 1000."
