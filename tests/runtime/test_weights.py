"""Weights come into the Hub's ordinary cache, only those a card names, whole, and are found there at once."""

import os
import pickle
import re
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.core.errors import TurnaroundError
from pipelines.runtime import hub_cache
from pipelines.runtime.report import Report
from pipelines.runtime.settings import read_settings
from pipelines.runtime.weights import WeightFile, Weights, chosen_sources, fetch, located, missing_bytes, needed, notice
from tests.hub.client import (
    COMMIT,
    CONFIG,
    FILES,
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
from tests.hub.server import Fault, Hub, git_sha1, sha256


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with a_hub(tmp_path, monkeypatch) as hub:
        yield hub


def test_they_are_fetched_once_whole_and_then_found_without_a_question(hub: Hub) -> None:
    weights = weights_of()
    assert located(weights) is None and missing_bytes(weights) == weights.first.size_bytes
    fetched = fetch(weights, Report(), QUICK)
    assert {path: (fetched.folder / path).read_bytes() for path in FILES} == FILES
    assert (fetched.source, fetched.revision) == (weights.first, COMMIT)
    asked = len(hub.asked)
    assert located(weights) == fetched == fetch(weights, Report()) and missing_bytes(weights) == 0
    assert len(hub.asked) == asked and len(hub.gets(LARGE)) == len(hub.gets(CONFIG)) == 1
    assert notice(weights, fetched) is None


def test_huggingface_hub_finds_them_in_its_own_cache(hub: Hub, tmp_path: Path) -> None:
    hub.add("lab/thing", FILES, "d" * 40)
    for revision in (COMMIT, "main"):
        fetch(weights_of(a_source(revision=revision)), Report(), QUICK)
    from huggingface_hub import scan_cache_dir, snapshot_download, try_to_load_from_cache

    cache = tmp_path / "cache"
    for revision in (COMMIT, "main"):
        folder = Path(snapshot_download("lab/thing", revision=revision, cache_dir=cache, local_files_only=True))
        found = try_to_load_from_cache("lab/thing", LARGE, cache, revision)
        assert isinstance(found, str) and Path(found) == folder / LARGE and Path(found).read_bytes() == FILES[LARGE]
    scanned = scan_cache_dir(cache)
    assert not scanned.warnings and {r.commit_hash for r in next(iter(scanned.repos)).revisions} == {COMMIT, "d" * 40}
    assert len(hub.gets(LARGE)) == 1, "the same content of another commit is not fetched again"
    assert cached_files(tmp_path) >= {f"blobs/{sha256(FILES[LARGE])}", f"blobs/{git_sha1(FILES[CONFIG])}", "refs/main"}


def test_what_huggingface_hub_fetched_is_read_once_and_not_fetched_again(hub: Hub, tmp_path: Path) -> None:
    from huggingface_hub import snapshot_download

    snapshot_download("lab/thing", revision=COMMIT, cache_dir=tmp_path / "cache")
    weights, asked = weights_of(a_source(hashes=False)), len(hub.asked)
    assert located(weights) is None and missing_bytes(weights) == 0
    report, heard = listening()
    assert fetch(weights, report).folder == located(weights).folder  # pyright: ignore[reportOptionalMemberAccess]
    assert len(hub.asked) == asked and all("Checking The Thing" in message for _, message in heard)


def test_a_disk_without_symbolic_links_holds_them_too(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS", True)
    twice = {**FILES, "vae/config.json": FILES[CONFIG]}
    hub.add("lab/thing", twice, COMMIT)
    weights = weights_of(a_source(files=twice))
    fetched = fetch(weights, Report(), QUICK)
    assert not any((fetched.folder / path).is_symlink() for path in twice)
    assert located(weights) == fetched and len(hub.gets(".json")) == 1


def test_a_setting_moves_a_source_to_a_mirror_or_another_revision(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = {path: content + b" " for path, content in FILES.items()}
    hub.add("mirror/thing", FILES, COMMIT)
    hub.add("lab/thing", newer, "d" * 40)
    monkeypatch.setenv("TURNAROUND_SOURCES", "lab/thing=mirror/thing other/x=lab/y@main")
    moved = fetch(weights_of(), Report(), QUICK)
    assert moved.source.repository == "mirror/thing" and moved.source.files[0].sha256, "a mirror has the same bytes"
    monkeypatch.setenv("TURNAROUND_SOURCES", f"lab/thing=lab/thing@{'d' * 40}")
    fetched = fetch(weights_of(), Report(), QUICK)
    assert (fetched.folder / LARGE).read_bytes() == newer[LARGE] and fetched.revision == "d" * 40
    (source,) = chosen_sources(weights_of(), read_settings())
    assert source.files[0].sha256 is None and not source.files[0].exact


def test_a_setting_says_nothing_of_a_licence_so_it_is_told_as_the_cards(hub: Hub, monkeypatch) -> None:
    hub.add("my/mirror", FILES, COMMIT)
    monkeypatch.setenv("TURNAROUND_SOURCES", "lab/thing=my/mirror")
    words = notice(weights_of(), fetch(weights_of(), Report(), QUICK))
    assert words == "The weights of The Thing are from my/mirror; their licence: MIT, as its card says of lab/thing."


def test_progress_counts_bytes_says_so_and_never_goes_back(hub: Hub) -> None:
    hub.faults += [Fault("trickle", path=LARGE, pause_s=0.12)]
    report, heard = listening()
    fetch(weights_of(), report, QUICK)
    fractions = [fraction for fraction, _ in heard]
    assert fractions == sorted(fractions) and 0 < fractions[-1] <= 1
    assert "Asking 127.0.0.1 about The Thing" in heard[0][1]
    counted = [(fraction, re.match(r"Fetching The Thing: (\d+) of 384 kB", message)) for fraction, message in heard]
    assert all(abs(int(said[1]) - fraction * 384) <= 1 for fraction, said in counted if said)
    assert re.search(r": [1-9]\d+ of 384 kB, 0\.\d MB/s, about \d+ s left$", heard[-1][1]), heard[-1][1]


def test_f26_only_the_named_files_are_fetched_and_no_code_of_a_repository_runs(hub: Hub, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    poison = pickle.dumps(_Touches(str(canary)))
    code = f"open({str(canary)!r}, 'w')".encode()
    config = b'{"auto_map": {"AutoModel": "modeling.Model"}}'
    hub.add("lab/thing", {"config.json": config, "modeling.py": code, "pytorch_model.bin": poison, LARGE: FILES[LARGE]})
    fetch(weights_of(a_source(files={"config.json": config, LARGE: FILES[LARGE]})), Report(), QUICK)
    assert {asked.path for asked in hub.asked} == {"config.json", LARGE} and not canary.exists()
    with pytest.raises(TurnaroundError, match=r"it has no vae/model.safetensors"):
        fetch(weights_of(a_source(files={"vae/model.safetensors": b"x" * 20_000})), Report(), QUICK)
    assert not canary.exists()


class _Touches:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("path", ["modeling.py", "../up.json", "/etc/passwd.json", "run.sh", "unet"])
def test_a_card_cannot_name_code_or_a_way_out(path: str) -> None:
    with pytest.raises(ValueError, match="not a file of weights"):
        WeightFile(path, 1)


def test_f15_two_visitors_of_the_same_method_fetch_it_once(hub: Hub) -> None:
    hub.faults += [Fault("trickle", path=LARGE)]
    weights = weights_of()
    reports = [listening() for _ in range(3)]
    visitors = [threading.Thread(target=fetch, args=(weights, report, QUICK)) for report, _ in reports]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert located(weights) and len(hub.gets(LARGE)) == 1
    assert sum(any("by another run" in message for _, message in heard) for _, heard in reports) == 2


def test_f15_two_visitors_of_different_methods_are_served_side_by_side_and_each_sees_its_own_bar(hub: Hub) -> None:
    hub.add("lab/other", {LARGE: FILES[LARGE][::-1]}, COMMIT)
    other = Weights("The Other", (a_source("lab/other", files={LARGE: FILES[LARGE][::-1]}),))
    hub.faults += [Fault("trickle", path=LARGE)]
    (report, heard), (others_report, others_heard) = listening(), listening()
    visitors = [
        threading.Thread(target=fetch, args=(weights, told, QUICK))
        for weights, told in ((weights_of(), report), (other, others_report))
    ]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert located(weights_of()) and located(other) and len(hub.gets(LARGE)) == 2
    for name, other_name, said in (("The Thing", "The Other", heard), ("The Other", "The Thing", others_heard)):
        part_way = [message for fraction, message in said if 0 < fraction < 1 and f"Fetching {name}: " in message]
        assert part_way and not any(other_name in message or "another run" in message for _, message in said)


def test_environment_variables_alone_point_at_a_hub(hub: Hub, tmp_path: Path) -> None:
    """As a person sets them, before anything is imported; huggingface_hub agrees afterwards, offline."""
    code = """
from pipelines.runtime.report import Report
from pipelines.runtime.weights import fetch, located
from tests.hub.client import weights_of
import os, sys
fetched = fetch(weights_of(), Report())
from huggingface_hub import constants, snapshot_download
assert constants.HF_HUB_DISABLE_TELEMETRY and os.environ["DISABLE_SAFETENSORS_CONVERSION"] == "1"
print(fetched.folder == type(fetched.folder)(snapshot_download("lab/thing", revision="c" * 40, local_files_only=True)))
"""
    done = subprocess.run([PYTHON, "-c", code], env=other_process(hub, tmp_path), capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr
    assert set(os.listdir(tmp_path / "cache")) == {".locks", "models--lab--thing"} and len(hub.gets(LARGE)) == 1


def test_asking_for_what_is_here_loads_no_client(hub: Hub, tmp_path: Path) -> None:
    code = """
from pipelines.runtime.weights import located, missing_bytes
from tests.hub.client import weights_of
import sys
print(located(weights_of()), missing_bytes(weights_of()), "huggingface_hub.file_download" in sys.modules)
"""
    done = subprocess.run([PYTHON, "-c", code], env=other_process(hub, tmp_path), capture_output=True, text=True)
    assert done.stdout.split() == ["None", str(weights_of().first.size_bytes), "False"], done.stderr


def test_a_file_changed_after_it_was_verified_is_not_located(hub: Hub) -> None:
    weights = weights_of()
    fetched = fetch(weights, Report(), QUICK)
    blob = (fetched.folder / LARGE).resolve()
    blob.write_bytes(FILES[LARGE][:-1] + b"?")
    assert located(weights) is None
    fetch(weights, Report(), QUICK)
    assert located(weights) and (fetched.folder / LARGE).read_bytes() == FILES[LARGE]


def test_a_content_that_is_not_the_cards_is_left_alone_and_never_located(hub: Hub) -> None:
    """A card may be wrong about a checksum: the cache is other programs', too. It is read once, not at each try."""
    fetched = fetch(weights_of(a_source(hashes=False)), Report(), QUICK)
    hub_cache._remembered.clear()
    shutil.rmtree(read_settings().data)
    source = a_source()
    wrong = weights_of(replace(source, files=(replace(source.files[0], sha256="0" * 64), source.files[1])))
    assert located(wrong) is None
    for read in (True, False):
        report, heard = listening()
        with pytest.raises(TurnaroundError, match="is not the published one"):
            fetch(wrong, report, QUICK)
        assert any("Checking The Thing" in message for _, message in heard) == read
    assert (fetched.folder / LARGE).read_bytes() == FILES[LARGE] and located(wrong) is None


@pytest.mark.parametrize("hashes", [True, False])
def test_where_links_are_forbidden_what_others_fetched_counts_once_somebody_vouches_for_it(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashes: bool
) -> None:
    """There a file's name says nothing of its content: the card has to, or else the Hub is asked."""
    snapshot = tmp_path / "cache" / "models--lab--thing" / "snapshots" / COMMIT
    for path, content in FILES.items():
        (snapshot / path).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / path).write_bytes(content)
    weights = weights_of(a_source(hashes=hashes))
    assert fetch(weights, Report(), QUICK).folder == snapshot and located(weights)
    assert bool(hub.asked) != hashes and hub.gets() == []
    (snapshot / CONFIG).unlink()
    (snapshot / CONFIG).write_bytes(b'{"sample_size": 64}')
    assert located(weights) is None
    fetch(weights, Report(), QUICK)
    assert (snapshot / CONFIG).read_bytes() == FILES[CONFIG] and hub.gets(LARGE) == []


def test_a_run_whose_weights_were_removed_says_so(hub: Hub) -> None:
    with pytest.raises(TurnaroundError, match="The weights of The Thing are not here any more"):
        needed(weights_of())
    fetch(weights_of(), Report(), QUICK)
    assert needed(weights_of()) == located(weights_of())
