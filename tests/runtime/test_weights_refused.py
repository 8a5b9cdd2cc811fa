"""F20, F21, F22, F25, F27: the Hub says no, or nothing. Each cause has its own sentence, before a byte is fetched."""

import subprocess
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from pipelines.core.cameras import View
from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.runtime.hub import Patience
from pipelines.runtime.method import Request
from pipelines.runtime.report import Report
from pipelines.runtime.weights import Weights, fetch, located, notice
from tests.hub.certificate import CERTIFICATE, as_server
from tests.hub.client import (
    COMMIT,
    CONFIG,
    FILES,
    IMPATIENT,
    LARGE,
    PYTHON,
    QUICK,
    a_hub,
    a_source,
    cached_files,
    listening,
    other_process,
    weights_of,
)
from tests.hub.server import TOKEN, Fault, Hub
from tests.toy_methods import Flat, a_card, a_subject


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with a_hub(tmp_path, monkeypatch) as hub:
        yield hub


def refusal(weights: Weights | None = None, patience=QUICK) -> str:
    weights = weights or weights_of()
    with pytest.raises(TurnaroundError) as refused:
        fetch(weights, Report(), patience)
    assert located(weights) is None
    words = str(refused.value)
    assert words.endswith((".", ".)")) and "Traceback" not in words and TOKEN not in words and "/tmp" not in words
    return words


# --- 401 and 403 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, TOKEN])
def test_f20_gated_names_the_page_and_how_to_log_in(hub: Hub, monkeypatch: pytest.MonkeyPatch, token) -> None:
    """401 to the anonymous, 403 to a known person who has not accepted."""
    hub.gated.add("lab/thing")
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    words = refusal()
    assert "licence that must be accepted" in words and f"{hub.url}/lab/thing" in words and "`hf auth login`" in words
    assert "The licence: MIT." in words and hub.gets() == []


def test_f20_whoever_has_accepted_gets_it_and_the_token_stays_with_the_hub(hub: Hub, monkeypatch) -> None:
    hub.gated.add("lab/thing")
    hub.members.add("hf_member")
    monkeypatch.setenv("HF_TOKEN", "hf_member")
    assert fetch(weights_of(), Report(), QUICK).revision == COMMIT
    assert {asked.token for asked in hub.asked if not asked.other_origin} == {"hf_member"}
    assert {asked.token for asked in hub.asked if asked.other_origin} == {None}


def test_f20_a_gate_stops_and_an_ungated_copy_is_a_choice_that_only_a_setting_makes(hub: Hub, monkeypatch) -> None:
    hub.gated |= {"lab/thing", "gated/too"}
    for repository in ("gated/too", "open/copy"):
        hub.add(repository, FILES, "d" * 40)
    sources = (a_source(gated=True), a_source("gated/too", "d" * 40, gated=True))
    assert "/lab/thing" in (words := refusal(weights_of(*sources))) and "TURNAROUND_SOURCES" not in words
    weights = weights_of(*sources, a_source("open/copy", "d" * 40, licence="CC BY-NC 4.0"))
    words = refusal(weights)
    assert "`hf auth login`" in words and "(The licence: MIT.) If you have the right to use it, " in words
    assert "TURNAROUND_SOURCES=lab/thing=open/copy picks an ungated copy (its licence: CC BY-NC 4.0)." in words
    assert {asked.repository for asked in hub.asked} == {"lab/thing"}
    monkeypatch.setenv("TURNAROUND_SOURCES", "lab/thing=open/copy")
    fetched = fetch(weights, Report(), QUICK)
    assert (fetched.source, fetched.revision) == (weights.sources[2], "d" * 40), "with its own pin and checksums"
    assert {asked.repository for asked in hub.asked} == {"lab/thing", "open/copy"}


def test_f20_a_gated_mirror_of_what_is_gone_stops_too(hub: Hub) -> None:
    hub.gated.add("lab/thing")
    hub.add("open/copy", FILES, COMMIT)
    words = refusal(weights_of(a_source("lab/removed"), a_source(gated=True), a_source("open/copy")))
    assert f"{hub.url}/lab/thing" in words and "TURNAROUND_SOURCES=lab/thing=open/copy picks" in words
    assert hub.gets() == [] and "open/copy" not in {asked.repository for asked in hub.asked}


def test_f20_a_gate_before_one_of_several_is_told_before_a_byte_of_the_others_comes(hub: Hub, monkeypatch) -> None:
    hub.add("gated/too", FILES, "d" * 40)
    hub.gated.add("gated/too")
    open_, gated = weights_of(), weights_of(a_source("gated/too", "d" * 40, gated=True))

    class Both(Flat):
        card = a_card("both", weights=(open_, gated))

    with pytest.raises(TurnaroundError, match=r"licence that must be accepted once, at .*gated/too"):
        Both().fetch(Request(a_subject(), (View(),)), Report())
    assert hub.gets() == []
    hub.gated.clear()
    Both().fetch(Request(a_subject(), (View(),)), Report())
    assert located(open_) and located(gated)


def test_f20_a_token_that_is_none_is_told_apart_from_a_gate(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    words = refusal()
    assert "does not accept this machine's token" in words and "`hf auth login`" in words and "HF_TOKEN" in words


def test_a_token_that_cannot_be_read_is_said(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "token").mkdir()
    assert "could not be asked for" in (words := refusal()) and "HF_TOKEN_PATH" in words


def test_f21_a_plain_403_is_a_refusal_and_not_a_lost_connection(hub: Hub) -> None:
    hub.faults += [Fault("403", "HEAD")]
    assert "refused to send The Thing (HTTP 403)" in refusal() and len(hub.asked) <= 4


# --- Gone, moved, renamed ---------------------------------------------------------------------------------------------


def test_f21_404_names_each_place_and_what_is_gone(hub: Hub) -> None:
    hub.add("lab/bare", {CONFIG: FILES[CONFIG]}, COMMIT)
    hub.add("lab/thing", {CONFIG: FILES[CONFIG]}, "d" * 40)
    words = refusal(weights_of(a_source("lab/removed"), a_source(revision="a" * 40), a_source("lab/bare")))
    assert "lab/removed (the repository was removed, renamed or made private)" in words
    assert "lab/thing (the revision is gone)" in words and f"lab/bare (it has no {LARGE})" in words
    assert "TURNAROUND_SOURCES" in words and "TURNAROUND_WEIGHTS" in words


def test_mirrors_are_tried_in_order_and_the_one_used_is_named(hub: Hub) -> None:
    hub.add("second/copy", FILES, COMMIT)
    hub.add("third/copy", FILES, COMMIT)
    report, heard = listening()
    weights = weights_of(a_source("lab/removed"), a_source("second/copy"), a_source("third/copy"))
    fetched = fetch(weights, report, QUICK)
    assert fetched.source.repository == "second/copy" and fetched == located(weights)
    assert any("from second/copy instead (licence: MIT)" in message for _, message in heard)
    assert "second/copy" in str(notice(weights, fetched))
    assert not any(asked.repository == "third/copy" for asked in hub.asked)


def test_f21_a_renamed_repository_is_followed(hub: Hub) -> None:
    hub.renamed["old/name"] = "lab/thing"
    fetched = fetch(weights_of(a_source("old/name")), Report(), QUICK)
    assert (fetched.folder / LARGE).read_bytes() == FILES[LARGE] and located(weights_of(a_source("old/name")))


# --- Busy, in trouble, silent -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["429", "500", "502", "503", "504", "408"])
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_f21_trouble_that_passes_is_waited_for(hub: Hub, status: str, method: str) -> None:
    hub.faults += [Fault(status, method, LARGE, times=2)]
    assert fetch(weights_of(), Report(), QUICK).revision == COMMIT
    assert sum(asked.method == method and asked.path == LARGE for asked in hub.asked) >= 3


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("status", ["500", "503"])
def test_f21_trouble_that_stays_is_told_with_its_number(hub: Hub, status: str, method: str) -> None:
    hub.faults += [Fault(status, method, LARGE)]
    assert f"is in trouble itself and could not send The Thing (HTTP {status})" in refusal()
    assert sum(asked.method == method and asked.path == LARGE for asked in hub.asked) <= 10


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_f21_429_without_a_wait_is_told_after_some_tries(hub: Hub, method: str) -> None:
    hub.faults += [Fault("429", method)]
    assert "too many requests" in (words := refusal()) and "Try again in some minutes" in words


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize(
    "headers", [{"Retry-After": "3600"}, {"RateLimit": '"resolvers";r=0;t=3600'}], ids=["Retry-After", "RateLimit"]
)
def test_f21_429_with_a_huge_wait_is_told_at_once_and_not_slept_through(hub: Hub, method: str, headers) -> None:
    hub.faults += [Fault("429", method, LARGE, headers=headers)]
    assert "Try again in 60 minutes, as it asks" in refusal()
    assert sum(asked.method == method and asked.path == LARGE for asked in hub.asked) <= 2


def test_f21_429_with_a_time_of_day_to_wait_for_is_told_at_once(hub: Hub) -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    hub.faults += [Fault("429", "GET", LARGE, headers={"Retry-After": in_an_hour})]
    assert "Try again in 60 minutes, as it asks" in refusal()
    hub.faults[:] = [Fault("429", "GET", LARGE, times=1, headers={"Retry-After": "Tue, 01 Dec 2020 00:00:00 GMT"})]
    assert fetch(weights_of(), Report(), QUICK).revision == COMMIT, "that is past"


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_f21_429_with_a_short_wait_is_waited_for(hub: Hub, method: str) -> None:
    hub.faults += [Fault("429", method, LARGE, times=1, headers={"Retry-After": "1"})]
    assert fetch(weights_of(), Report(), QUICK).revision == COMMIT


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize(
    ("fault", "patience"),
    [
        (Fault("429", headers={"Retry-After": "1"}), Patience(2.5, (0.01,) * 9, 1.5)),
        (Fault("503", delay_s=1.0), Patience(2.4, (0.01,) * 9)),
    ],
    ids=["asks for a second, again and again", "answers after a second, again and again"],
)
def test_f21_all_the_waiting_together_has_an_end(hub: Hub, method: str, fault: Fault, patience: Patience) -> None:
    """Not each wait by itself: five of fifteen seconds are a minute and more."""
    hub.faults += [replace(fault, method=method, path=LARGE)]
    assert f"(HTTP {fault.kind})" in refusal(patience=patience)
    asked = [a for a in hub.asked if a.method == method and a.path == LARGE and (a.other_origin or method == "HEAD")]
    assert 1 < len(asked) <= 3


def test_f22_a_stalled_question_is_given_up(hub: Hub) -> None:
    hub.faults += [Fault("silent", "HEAD")]
    assert "nothing came from 127.0.0.1 for 0.8 seconds" in (words := refusal(patience=IMPATIENT))
    assert "is kept" not in words, "nothing had arrived"


def test_f22_cancel_is_heard_while_the_hub_is_silent(hub: Hub) -> None:
    hub.faults += [Fault("silent", "HEAD")]
    cancelled = threading.Event()
    with pytest.raises(Cancelled):
        fetch(weights_of(), Report(lambda *told: cancelled.set(), cancelled), QUICK)


def test_f23_a_login_page_in_the_hubs_place_is_recognised(hub: Hub) -> None:
    hub.faults += [Fault("html", "HEAD")]
    assert "answered in its place" in (words := refusal()) and "login page" in words


# --- Answers that cannot be trusted -----------------------------------------------------------------------------------


@pytest.mark.parametrize("etag", ["../../../escaped", "..", "a/b", ""])
def test_a_name_that_leads_out_of_the_cache_is_no_answer(hub: Hub, tmp_path: Path, etag: str) -> None:
    hub.says[CONFIG] = {"ETag": f'"{etag}"'}
    assert "answered in its place" in refusal() and hub.gets() == []
    assert not list(tmp_path.rglob("escaped*"))


@pytest.mark.parametrize("commit", ["../../escaped", "main", "c" * 39])
def test_a_commit_that_is_none_is_no_answer(hub: Hub, tmp_path: Path, commit: str) -> None:
    hub.says |= {path: {"X-Repo-Commit": commit} for path in FILES}
    assert "answered in its place" in refusal(weights_of(a_source(revision="main")))
    assert hub.gets() == [] and not list(tmp_path.rglob("escaped*"))


def test_a_content_for_which_nobody_vouches_is_not_fetched(hub: Hub) -> None:
    """A mirror that names contents in a way of its own will do only where the card knows their checksums."""
    hub.says |= {LARGE: {"X-Linked-Etag": '"weird-1"'}, CONFIG: {"ETag": '"weird-2"'}}
    words = refusal(weights_of(a_source(hashes=False)))
    assert f"neither the card nor 127.0.0.1 has a checksum for its {LARGE}" in words and hub.gets() == []
    assert fetch(weights_of(), Report(), QUICK).revision == COMMIT


# --- No network -------------------------------------------------------------------------------------------------------


def test_no_network_is_said_as_such(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    hub.server_close()
    for name in ("ENDPOINT", "HUGGINGFACE_CO_URL_TEMPLATE"):
        monkeypatch.setattr(constants, name, getattr(constants, name).replace(hub.url, "http://127.0.0.1:9"))
    assert "127.0.0.1 cannot be reached from here" in refusal()


def test_a_certificate_that_cannot_be_verified_is_not_told_as_a_lost_network(tmp_path: Path, monkeypatch) -> None:
    with a_hub(tmp_path, monkeypatch, as_server(tmp_path)) as hub:
        assert "127.0.0.1's certificate could not be verified (self" in (words := refusal())
        assert "SSL_CERT_FILE" in words and "cannot be reached" not in words and hub.asked == []


def test_with_the_certificate_that_a_setting_names_all_of_it_arrives(tmp_path: Path, monkeypatch) -> None:
    """Both the questions and the files: two libraries make the connections."""
    code = """
from pipelines.runtime.report import Report
from pipelines.runtime.weights import fetch
from tests.hub.client import weights_of
print(fetch(weights_of(), Report()).revision)
"""
    (tmp_path / "company.pem").write_text(CERTIFICATE)
    with a_hub(tmp_path, monkeypatch, as_server(tmp_path)) as hub:
        environment = {**other_process(hub, tmp_path), "SSL_CERT_FILE": str(tmp_path / "company.pem")}
        done = subprocess.run([PYTHON, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == COMMIT, done.stderr


def test_f25_offline_with_nothing_here_says_what_is_missing_and_how_much(hub: Hub, monkeypatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    words = refusal()
    assert "The Thing is not on this machine (384 kB missing)" in words and "HF_HUB_OFFLINE" in words
    assert hub.asked == []


def test_f25_offline_with_half_a_model_says_how_much_of_it(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    from huggingface_hub import constants

    fetch(weights_of(a_source(files={LARGE: FILES[LARGE]})), Report(), QUICK)
    more = {**FILES, "vae/model.safetensors": FILES[LARGE][::-1]}
    hub.add("lab/thing", more, COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "(384 kB of 768 kB missing)" in refusal(weights_of(a_source(files=more)))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    fetch(weights_of(a_source(files=more)), Report(), QUICK)
    assert len(hub.gets(LARGE)) == 1, "the half that was here is not fetched again"
    assert any("vae/model.safetensors" in name for name in cached_files(tmp_path))


def test_f25_offline_with_all_of_it_works(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    fetched, asked = fetch(weights_of(), Report(), QUICK), len(hub.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch(weights_of(), Report()) == fetched and len(hub.asked) == asked
