"""F27: a card names a commit. While the Hub has it nothing else will do, and only the Hub can say that it is gone."""

from pathlib import Path

import pytest

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.hub import Patience
from pipelines.runtime.report import Report
from pipelines.runtime.weights import Weights, fetch, located, missing_bytes, notice
from tests.hub.client import COMMIT, CONFIG, FILES, LARGE, QUICK, a_hub, a_source, listening, weights_of
from tests.hub.server import Fault, Hub

GONE = "a" * 40
SAME_SIZE = {LARGE: FILES[LARGE][::-1], CONFIG: FILES[CONFIG]}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with a_hub(tmp_path, monkeypatch) as hub:
        yield hub


def refusal(weights: Weights, patience: Patience = QUICK) -> str:
    with pytest.raises(TurnaroundError) as refused:
        fetch(weights, Report(), patience)
    assert located(weights) is None
    return str(refused.value)


def fetched_by_others(revision: str = "main") -> None:
    from huggingface_hub import snapshot_download

    snapshot_download("lab/thing", revision=revision)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch):
    from huggingface_hub import constants

    return lambda: monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_f27_a_pin_gets_its_own_bytes_whatever_became_of_the_repository(hub: Hub) -> None:
    hub.add("lab/thing", {path: content[::-1] for path, content in FILES.items()}, "d" * 40)
    assert (fetch(weights_of(), Report(), QUICK).folder / LARGE).read_bytes() == FILES[LARGE]


def test_f27_where_the_pin_is_gone_the_newest_will_do_only_if_it_has_the_same_bytes(hub: Hub) -> None:
    pinned = weights_of(a_source(revision="a" * 40))
    report, heard = listening()
    fetched = fetch(pinned, report, QUICK)
    assert fetched.revision == COMMIT and located(pinned) == fetched
    assert any("whose pinned revision is gone" in message for _, message in heard)
    assert "another revision" in str(notice(pinned, fetched))


@pytest.mark.parametrize("hashes", [True, False])
def test_f27_other_bytes_are_refused(hub: Hub, hashes: bool) -> None:
    """By their checksum; where the card has none, a large file of another size gives itself away."""
    other = FILES[LARGE][::-1] if hashes else FILES[LARGE] * 2
    hub.add("lab/thing", {**FILES, LARGE: other}, "d" * 40)
    words = refusal(weights_of(a_source(revision="a" * 40, hashes=hashes)))
    assert "the revision is gone" in words and f"its {LARGE} is not the published one" in words
    assert hub.gets() == []


def test_a_commit_of_which_only_the_first_digits_are_known_is_found(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub itself wants all forty, so its list of commits is looked through."""
    hub.add("lab/thing", {path: content[::-1] for path, content in FILES.items()}, "d" * 40)
    weights = weights_of(a_source(revision="c" * 7))
    fetched = fetch(weights, Report(), QUICK)
    assert fetched.revision == COMMIT and (fetched.folder / LARGE).read_bytes() == FILES[LARGE]
    assert located(weights) == fetched and notice(weights, fetched) is None and not weights.first.pinned
    assert "the revision is gone" in refusal(weights_of(a_source(revision="abcdef0")))


def test_an_unpinned_revision_takes_what_it_is_today_and_says_which(hub: Hub) -> None:
    hub.add("lab/thing", FILES, "d" * 40)
    weights = weights_of(a_source(revision="main", hashes=False))
    assert not weights.first.pinned and fetch(weights, Report(), QUICK).revision == "d" * 40
    hub.add("lab/thing", {**FILES, LARGE: FILES[LARGE][::-1]}, "e" * 40)
    assert fetch(weights, Report(), QUICK).revision == "d" * 40, "what is here stays until it is asked anew"


@pytest.mark.parametrize("revision", [COMMIT, COMMIT[:7]])
def test_a_pin_that_is_alive_does_not_lose_to_what_main_was_for_others(hub: Hub, revision: str) -> None:
    hub.add("lab/thing", SAME_SIZE, "d" * 40)
    fetched_by_others()
    weights = weights_of(a_source(revision=revision, hashes=False))
    assert located(weights) is None and missing_bytes(weights) == weights.first.size_bytes
    fetched = fetch(weights, Report(), QUICK)
    assert fetched.revision == COMMIT and (fetched.folder / LARGE).read_bytes() == FILES[LARGE]


def test_what_stands_in_for_a_pin_is_remembered_and_is_not_what_main_becomes(hub: Hub) -> None:
    weights = weights_of(a_source(revision=GONE, hashes=False))
    fetched = fetch(weights, Report(), QUICK)
    hub.add("lab/thing", SAME_SIZE, "d" * 40)
    fetched_by_others()
    asked = len(hub.asked)
    assert fetch(weights, Report()) == located(weights) == fetched and len(hub.asked) == asked
    assert fetched.revision == COMMIT and missing_bytes(weights) == 0


@pytest.mark.parametrize("hashes", [True, False])
def test_offline_what_main_was_stands_in_if_it_fits_the_card(hub: Hub, offline, hashes: bool) -> None:
    """Nobody can be asked whether the pin is gone."""
    fetched_by_others()
    weights = weights_of(a_source(revision=GONE, hashes=hashes))
    offline()
    fetched = fetch(weights, Report())
    assert located(weights) == fetched and fetched.revision == COMMIT
    assert "another revision" in str(notice(weights, fetched))


@pytest.mark.parametrize("hashes", [True, False])
def test_offline_what_main_was_does_not_stand_in_if_it_does_not_fit(hub: Hub, offline, hashes: bool) -> None:
    """By its checksum or, where the card has none, by the size of a large file."""
    hub.add("lab/thing", {**FILES, LARGE: SAME_SIZE[LARGE] if hashes else FILES[LARGE] * 2}, "d" * 40)
    fetched_by_others()
    offline()
    assert "HF_HUB_OFFLINE forbids" in refusal(weights_of(a_source(revision=GONE, hashes=hashes)))


@pytest.mark.parametrize("revision", ["main", "v2"])
def test_a_branch_or_tag_is_what_its_card_says_whatever_commit_it_is(hub: Hub, monkeypatch, revision: str) -> None:
    hub.branches["lab/thing"]["v2"] = COMMIT
    weights = weights_of(a_source(revision=revision))
    assert notice(weights, fetch(weights, Report(), QUICK)) is None
    monkeypatch.setenv("TURNAROUND_SOURCES", f"lab/thing=lab/thing@{hub.add('lab/thing', FILES, 'd' * 40)}")
    assert "another revision than its card names" in str(notice(weights, fetch(weights, Report(), QUICK)))


# --- The first digits of a commit -------------------------------------------------------------------------------------


def test_a_long_list_of_commits_is_read_page_by_page(hub: Hub) -> None:
    for digit in "0123":
        hub.add("lab/thing", SAME_SIZE, digit * 40)
    hub.commits_per_page = 2
    assert fetch(weights_of(a_source(revision="c" * 8)), Report(), QUICK).revision == COMMIT
    assert "the revision is gone" in refusal(weights_of(a_source(revision="abcdef0")))


def test_a_list_that_goes_on_elsewhere_is_not_followed_with_the_token(hub: Hub, monkeypatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_member")
    hub.members.add("hf_member")
    hub.add("lab/thing", SAME_SIZE, "0" * 40)
    link = f'<{hub.other_url}/api/models/lab/thing/commits/main?p=1>; rel="next"'
    hub.faults += [Fault("200", path="commits", headers={"Link": link}, body=b"[]")]
    assert "the revision is gone" in refusal(weights_of(a_source(revision="c" * 8)))
    assert [asked.repository for asked in hub.asked if not asked.path] == ["lab/thing"]


def test_a_list_of_commits_that_is_none_is_told_as_a_login_page(hub: Hub) -> None:
    hub.faults += [Fault("html", path="commits")]
    assert "answered in its place" in refusal(weights_of(a_source(revision="c" * 8)))


@pytest.mark.parametrize("status", ["429", "500", "503"])
def test_trouble_with_the_list_of_commits_that_passes_is_waited_for(hub: Hub, status: str) -> None:
    hub.faults += [Fault(status, path="commits", times=2)]
    assert fetch(weights_of(a_source(revision="c" * 8)), Report(), QUICK).revision == COMMIT


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("429", path="commits", headers={"Retry-After": "3600"}), "Try again in 60 minutes, as it asks"),
        (Fault("503", path="commits"), "is in trouble itself and could not send The Thing (HTTP 503)"),
        (Fault("403", path="commits"), "refused to send The Thing (HTTP 403)"),
        (Fault("silent", path="commits"), "nothing came from 127.0.0.1 for 3 seconds"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_trouble_with_the_list_of_commits_is_told_by_its_cause(hub: Hub, fault: Fault, words: str) -> None:
    """huggingface_hub's own way to read the list would sleep for an hour, or retry by itself and hide why."""
    hub.faults += [fault]
    told = refusal(weights_of(a_source(revision="c" * 8)), Patience(3.0, (0.01,) * 4))
    assert words in told and "is kept" not in told
    assert len(hub.asked) <= 5


def test_no_network_is_said_of_the_list_of_commits_too(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    hub.server_close()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "127.0.0.1 cannot be reached from here" in refusal(weights_of(a_source(revision="c" * 8)))
