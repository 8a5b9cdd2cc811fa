"""Whose work a result stands on is said inside its files."""

import io
import json
import struct
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pipelines.core.mesh import glb_bytes
from pipelines.core.video import write_gif, write_webp
from pipelines.registry import METHODS
from pipelines.runtime.credit import credit_files, credit_line, glb_about
from pipelines.runtime.method import Method
from pipelines.runtime.results import write_turnaround
from pipelines.runtime.stored import pack
from pipelines.runtime.weights import OWN
from tests.runtime.archive_helpers import a_run, a_subject, an_archive
from tests.runtime.test_results import CARD, MESH, a_request, a_turnaround
from tests.toy_methods import a_card, some_weights

CITED = a_card(
    "cited",
    title="Novelty",
    licence="CC BY-NC 4.0",
    paper="https://example.org/paper",
    code="https://example.org/code",
    citation="@misc{novelty,\n  title = {Über Neues}\n}\n\n",
    weights=(some_weights("some/weights", "0123abc", "OpenRAIL++-M"), some_weights("other/base", "456def")),
)


def asset_of(glb: bytes) -> dict:
    (length,) = struct.unpack_from("<I", glb, 12)
    return json.loads(glb[20 : 20 + length])["asset"]


def test_licence_and_citation_name_everything_the_card_names():
    files = credit_files(CITED)
    assert set(files) == {"LICENCE.txt", "CITATION.bib"}
    for said in ("Novelty", "CC BY-NC 4.0", "https://example.org/paper", "https://example.org/code"):
        assert said in files["LICENCE.txt"]
    for line in ("some/weights, revision 0123abc: OpenRAIL++-M", "other/base, revision 456def: MIT"):
        assert line in files["LICENCE.txt"]
    assert files["CITATION.bib"] == "@misc{novelty,\n  title = {Über Neues}\n}\n"


def test_a_folder_of_ones_own_has_the_licence_that_its_owner_says():
    (line,) = [line for line in credit_files(CITED, {"other/base": OWN})["LICENCE.txt"].splitlines() if "- " in line]
    assert line == "- a folder of the server's own in place of other/base: its licence is as its owner says"


def weight_lines(used: dict[str, str]) -> list[str]:
    return [line for line in credit_files(CITED, used)["LICENCE.txt"].splitlines() if line.startswith("- ")]


def test_a_mirror_that_was_used_is_named_with_what_the_card_says_of_the_original(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TURNAROUND_SOURCES", "some/weights=my/mirror")
    mirror = "- my/mirror, revision abc: OpenRAIL++-M, as its card says of some/weights"
    assert weight_lines({"my/mirror": "abc"}) == [mirror]
    both = weight_lines({"my/mirror": "abc", "other/base": "456def"})
    assert both == [mirror, "- other/base, revision 456def: MIT"], "one beside it is not left out, nor is the mirror"


def test_a_mirror_whose_setting_is_gone_is_still_named():
    (line,) = weight_lines({"my/mirror": "abc"})
    assert line == "- my/mirror, revision abc: a place that its card does not name; its licence is as its owner says"


def test_a_method_that_asks_for_no_citation_has_a_licence_alone():
    files = credit_files(a_card("plain"))
    assert (
        set(files) == {"LICENCE.txt"} and "Weights" not in files["LICENCE.txt"] and "None" not in files["LICENCE.txt"]
    )


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.card.key)
def test_every_method_is_credited(method: Method):
    assert method.card.licence in credit_files(method.card)["LICENCE.txt"]
    assert glb_about(method.card)["extras"]["licence"] == method.card.licence


def test_they_lie_in_the_methods_folder_and_in_the_zip(tmp_path: Path):
    archive, subject = an_archive(tmp_path), a_subject()
    with archive.begin(subject) as draft:
        draft.add(*a_run(subject), CITED)
        draft.add(*a_run(subject), a_card("plain"))
        result = draft.finish()
    (cited, plain) = result.turnarounds
    assert (cited.folder / "CITATION.bib").read_text("utf-8") == credit_files(CITED)["CITATION.bib"]
    assert "CITATION.bib" not in plain.manifest.files
    with zipfile.ZipFile(io.BytesIO(), "w") as packed:
        pack(packed, result, "turnaround")
        names = set(packed.namelist())
        assert {
            "turnaround/cited/LICENCE.txt",
            "turnaround/cited/CITATION.bib",
            "turnaround/plain/LICENCE.txt",
        } <= names
        assert packed.read("turnaround/cited/LICENCE.txt").decode() == credit_files(CITED)["LICENCE.txt"]


def test_a_3d_model_says_it_of_itself(tmp_path: Path):
    request = a_request(1)
    write_turnaround(tmp_path, a_turnaround(request), request, CARD)
    asset = asset_of((tmp_path / "model.glb").read_bytes())
    assert asset["copyright"] == "Made with Toy (licence: Apache-2.0)"
    assert asset["extras"] == {
        "method": "Toy",
        "licence": "Apache-2.0",
        "paper": "https://example.org/paper",
        "citation": "@misc{toy}",
    }
    assert asset["generator"] == "Turnaround" and asset["version"] == "2.0"


def test_a_citation_with_any_letters_goes_into_a_3d_model():
    assert asset_of(glb_bytes(MESH, glb_about(CITED)))["extras"]["citation"] == CITED.citation.strip()  # type: ignore[union-attr]


def test_pictures_and_videos_say_it_of_themselves(tmp_path: Path):
    request = a_request(3)
    made = a_turnaround(request)
    write_turnaround(tmp_path, made, request, CITED)
    about = credit_line(CITED)
    assert "Novelty (licence: CC BY-NC 4.0)" in about and "https://example.org/paper" in about and "Über Neues" in about
    with Image.open(tmp_path / "view_000.png") as png:
        assert png.text == {"Copyright": about}  # type: ignore[attr-defined]
        assert np.array_equal(np.asarray(png), made.frames[0].rgba)
    with av.open(str(tmp_path / "orbit.mp4")) as video:
        assert video.metadata["comment"] == about
    frames = [frame.rgba for frame in made.frames]
    write_gif(frames, tmp_path / "orbit.gif", 10, about=about)
    write_webp(frames, tmp_path / "orbit.webp", 10, about=about)
    with Image.open(tmp_path / "orbit.gif") as gif, Image.open(tmp_path / "orbit.webp") as webp:
        assert gif.info["comment"].decode() == about
        assert "Novelty (licence: CC BY-NC 4.0)" in webp.info["xmp"].decode() and webp.n_frames == 3  # type: ignore


def test_a_manifest_credits_as_its_card_does():
    said = {"title": "Novelty", "licence": "CC BY-NC 4.0", "paper": "https://example.org/paper", "weights": []}
    said |= {"code": "https://example.org/code", "citation": CITED.citation}
    assert credit_line(said) == credit_line(CITED)
    assert credit_line({"title": "Old", "licence": "MIT"}) == "Made with Old (licence: MIT)."
