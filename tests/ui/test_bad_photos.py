"""Every bad file of the corpus over HTTP: refused by /prepare with its own sentence, and the next photo is served."""

from pathlib import Path

import pytest

from tests.bad_files import BAD_FILES
from tests.ui.hostile.server import Running, a_picture, file_object

MAX_UPLOAD_MB = 25


@pytest.fixture(scope="module", autouse=True)
def others(house: Running) -> set[Path]:
    """What tests before these left unread."""
    return photos(house)


def photos(house: Running) -> set[Path]:
    return set(house.uploads.rglob("photo.*"))


@pytest.mark.parametrize("name", BAD_FILES)
def test_1_to_39_each_bad_photo_is_refused_with_its_sentence(house: Running, name: str) -> None:
    data, says = BAD_FILES[name].make(), BAD_FILES[name].says
    if len(data) > MAX_UPLOAD_MB * 1e6:
        answer = house.client.post("/gradio_api/upload", files={"files": ("cat.png", data)})
        assert answer.status_code == 413 and "MB" in answer.json()["error"]
        return
    sentence = house.call("prepare", file_object(house.upload(data)), "none", 0, 0.8, None).sentence
    assert says in sentence and str(house.data) not in sentence and "Traceback" not in sentence


def test_after_all_of_them_an_honest_photo_is_served_and_none_of_them_is_left(
    house: Running, others: set[Path]
) -> None:
    assert house.call("prepare", file_object(house.upload(a_picture(spot=True))), "none", 0, 0.8, None).ok
    assert photos(house) <= others
