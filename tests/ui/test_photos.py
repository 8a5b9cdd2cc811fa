"""What visitors send of a subject: photos and strokes are opened by the intake alone, and held once."""

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from pipelines.core.errors import TurnaroundError
from pipelines.core.images import Photo
from pipelines.core.mask import Repair
from pipelines.runtime.shelf import Prepared
from tests.bad_files import bomb
from tests.ui.hostile.server import file_object
from tests.ui.subject_helpers import a_studio, an_upload, is_gone, strokes
from ui.cutout import cutout, cutout_routes
from ui.photos import FIRST_EXAMPLE, NO_STROKES, NotFramed, Photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Photos]:
    studio = a_studio(tmp_path_factory.mktemp("photos"))
    yield Photos(studio)
    studio.intake.close()


@pytest.fixture(scope="module")
def photo(photos: Photos) -> Photo:
    return photos.read_upload(an_upload())


# --- Strokes ----------------------------------------------------------------------------------------------------------


def test_strokes_are_where_they_were_painted_and_their_upload_goes(photos: Photos, photo: Photo):
    upload = an_upload(strokes(removed=(20, 40, 60, 80), added=(200, 100, 240, 120)))
    repair = photos.read_strokes(upload, photo)
    assert repair is not None and is_gone(upload)
    assert repair.removed[100:140, 60:100].all() and not repair.removed[:70].any()  # the photo is twice the layer
    assert repair.added[210:230, 410:470].all() and not repair.added[:, :390].any()


def test_a_layer_whose_strokes_were_all_undone_is_no_fault(photos: Photos, photo: Photo):
    upload = an_upload(strokes())
    assert photos.read_strokes(upload, photo) is None and is_gone(upload)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (strokes(removed=(9, 9, 99, 99), size=(200, 320)), "belong to another picture"),  # input 50
        (strokes(removed=(1, 1, 9, 9), size=(32, 24)), NO_STROKES),
        (b"<html>no layer</html>", NO_STROKES),
        (b"", NO_STROKES),
        (strokes(removed=(9, 9, 99, 99))[:200], NO_STROKES),
        (bomb(30_000, 30_000), NO_STROKES),
    ],
    ids=["another shape", "tiny", "text", "empty file", "cut off", "bomb"],
)
def test_what_is_no_layer_of_this_photo_is_refused_in_words(photos: Photos, photo: Photo, data: bytes, sentence: str):
    upload = an_upload(data)
    with pytest.raises(TurnaroundError) as refusal:
        photos.read_strokes(upload, photo)
    assert sentence in str(refusal.value) and is_gone(upload)


@pytest.mark.parametrize("layer", [None, [], 7, "x", {"path": 3}, {"id": "abc"}, [[1]]], ids=str)
def test_a_layer_that_is_no_file_is_refused(photos: Photos, photo: Photo, layer: Any):
    with pytest.raises(TurnaroundError):
        photos.read_strokes(layer, photo)


def test_a_path_that_is_no_upload_is_neither_read_nor_removed(photos: Photos, photo: Photo, tmp_path: Path):
    secret = tmp_path / "photo.png"
    secret.write_bytes(strokes(removed=(9, 9, 99, 99)))
    for read in (photos.read_upload, lambda file: photos.read_strokes(file, photo)):
        with pytest.raises(TurnaroundError, match="not uploaded here"):
            read(file_object(str(secret)))
    assert secret.exists()


# --- Cutting out ------------------------------------------------------------------------------------------------------


def test_what_a_remover_found_is_kept_where_no_subject_came_of_it(photos: Photos, photo: Photo):
    everything = Repair(np.zeros((480, 640), np.bool_), np.ones((480, 640), np.bool_))
    with pytest.raises(NotFramed, match="Everything in this photo is erased") as refusal:
        photos.prepare(Prepared(photo, "outline", 0.8, repair=everything))
    kept = refusal.value.prepared
    assert kept.found is not None and kept.subject is None and kept.repair is everything
    mended = photos.prepare(replace(kept, repair=None))
    assert mended.found is kept.found and mended.subject is not None


def test_an_example_is_prepared_once_for_everyone(photos: Photos):
    assert photos.entry(FIRST_EXAMPLE) is photos.entry(FIRST_EXAMPLE)
    assert photos.subject(FIRST_EXAMPLE, 12).elevation_deg == 12
    assert photos.find("example:99") is None and photos.find(None) is None


# --- The cut-out's picture --------------------------------------------------------------------------------------------


def test_a_cut_outs_address_leads_to_its_picture_and_to_nothing_else(photos: Photos):
    entry = photos.prepare(Prepared(photos.read_upload(an_upload()), "outline", 0.8))
    prepared_id = photos.shelf.put(entry)
    assert entry.subject is not None
    with TestClient(Starlette(routes=cutout_routes())) as client:
        address = re.findall(r'src="([^"]+)"', cutout(entry.subject))[0]
        assert address == re.findall(r'src="([^"]+)"', cutout(entry.subject))[0]  # fetched once, however often drawn
        answer = client.get(f"/{address}")
        assert answer.headers["content-type"] == "image/webp" and "private" in answer.headers["cache-control"]
        shown = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA")).astype(int)
        seen = np.asarray(Image.fromarray(entry.subject.rgba).resize((768, 768), Image.Resampling.BOX)).astype(int)
        solid = (shown[..., 3] == 255) & (seen[..., 3] == 255)
        assert shown.shape == seen.shape and np.abs(shown - seen)[solid].max() <= 1
        key = address.removeprefix("cutout/").removesuffix(".webp")
        assert key not in prepared_id and photos.find(key) is None
        for wrong in (prepared_id, "x", key[:-1], "..%2F..%2Fetc", FIRST_EXAMPLE):
            assert client.get(f"/cutout/{wrong}.webp").status_code == 404
