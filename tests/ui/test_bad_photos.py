"""Every bad file of the corpus over HTTP: refused by /prepare with its own sentence, and the next photo is served."""

from collections.abc import Iterator

import pytest

from tests.bad_files import BAD_FILES
from tests.ui.hostile.server import Running, a_picture, file_object, serving

MAX_UPLOAD_MB = 25


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("bad") / "data", "app") as running:
        yield running


@pytest.mark.parametrize("name", BAD_FILES)
def test_1_to_39_each_bad_photo_is_refused_with_its_sentence(app: Running, name: str) -> None:
    data, says = BAD_FILES[name].make(), BAD_FILES[name].says
    if len(data) > MAX_UPLOAD_MB * 1e6:
        answer = app.client.post("/gradio_api/upload", files={"files": ("cat.png", data)})
        assert answer.status_code == 413 and "MB" in answer.json()["error"]
        return
    sentence = app.call("prepare", file_object(app.upload(data)), "none", 0, 0.8, None).sentence
    assert says in sentence and str(app.data) not in sentence and "Traceback" not in sentence


def test_after_all_of_them_an_honest_photo_is_served_and_none_of_them_is_left(app: Running) -> None:
    assert app.call("prepare", file_object(app.upload(a_picture(spot=True))), "none", 0, 0.8, None).ok
    assert not list(app.uploads.rglob("photo.*"))
