"""The subject panel as it is drawn: what the browser is told of it, and what is closed to a stranger's bytes."""

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from gradio.components.image_editor import EditorData
from gradio.utils import get_upload_folder
from PIL import Image

from pipelines.core.cameras import View
from pipelines.core.images import Photo
from pipelines.core.mask import ADD, REMOVE, Repair
from pipelines.core.subject import Making, Subject
from pipelines.runtime.removers import REMOVERS
from tests.toy_methods import a_subject
from tests.ui.house import MARKUP
from tests.ui.subject_helpers import a_studio
from ui import cutout
from ui.cutout import Tried
from ui.elevation import ElevationPicture
from ui.guard import is_ours
from ui.mask_editor import CANVAS_PX, Canvas, MaskEditor, canvas
from ui.photos import Photos
from ui.subject_panel import SubjectParts, draw_subject_panel
from ui.words import words


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SubjectParts, dict[str, Any], list[Any]]]:
    """The panel on a page of its own, and what the browser is told of it."""
    studio = a_studio(tmp_path_factory.mktemp("panel"))
    with gr.Blocks() as page:
        parts = draw_subject_panel(Photos(studio))
        parts.bind()
        link = gr.Textbox()
        parts.adopt(page.load(None, None, link, js="() => ''"), link)
    yield parts, page.get_config_file(), list(page.fns.values())  # type: ignore[misc]
    studio.intake.close()


def config_of(config: dict[str, Any], component: Any) -> dict[str, Any]:
    return next(c["props"] for c in config["components"] if c["id"] == component._id)


def test_no_event_of_the_panel_is_an_endpoint(drawn: Any):
    _, config, _ = drawn
    assert len(config["dependencies"]) > 20
    assert {one["api_visibility"] for one in config["dependencies"]} == {"private"}


def test_no_event_reads_the_editors_value_and_the_photo_is_never_opened_by_gradio(drawn: Any):
    parts, config, functions = drawn
    assert parts.editor._id not in [input for one in config["dependencies"] for input in one["inputs"]]
    assert [f.preprocess for f in functions if parts.photo in f.inputs] == [False]


def test_the_editor_only_paints_in_the_two_colours(drawn: Any):
    parts, config, _ = drawn
    editor = config_of(config, parts.editor)
    assert list(editor["sources"]) == list(editor["transforms"]) == list(editor["buttons"]) == []
    assert editor["layers"]["disabled"] and editor["interactive"]
    assert editor["brush"]["color_mode"] == "fixed"
    assert editor["brush"]["colors"] == [f"rgb{REMOVE}", f"rgb{ADD}"]
    style = (Path(__file__).parents[2] / "assets/ui/subject.css").read_text()
    assert all(f"--paint: rgb{colour};" in style for colour in (ADD, REMOVE))  # by which mask.js knows them


def test_the_editors_own_way_for_strokes_keeps_and_opens_nothing(drawn: Any):
    editor = drawn[0].editor
    for data in (SimpleNamespace(data={"type": "layer", "index": "0", "id": "x"}, files=[("a", b"bytes")]), {}, None):
        with pytest.raises(ValueError):
            editor.accept_blobs(data)
    assert editor.blob_storage == {}
    with pytest.raises(TypeError):
        editor.preprocess(EditorData(id="x"))


def test_every_remover_says_what_it_fetches_and_under_which_licence(drawn: Any):
    parts, config, _ = drawn
    labels = {key: label for label, key in config_of(config, parts.remover)["choices"]}
    assert list(labels) == ["auto", *(r.key for r in REMOVERS.values()), "none"]
    for remover in REMOVERS.values():
        if remover.model:
            size = f"{remover.model.size_bytes / 1e6:.0f} MB"
            assert all(part in labels[remover.key] for part in (size, remover.licence))


def test_every_text_is_in_the_table_in_both_languages(drawn: Any):
    _, config, _ = drawn
    told = set(re.findall(r"translation_metadata\W+key\W+([\w.]+)", json.dumps(config, default=str)))
    assert {"subject.photo", "subject.remover", "subject.fold", "example.robot"} <= told
    scripts = "".join(
        (Path(__file__).parents[2] / "assets/ui" / f"{name}.js").read_text() for name in ("mask", "elevation")
    )
    told |= set(re.findall(r'say\("([\w.]+)"', scripts))
    told |= {f"mask.{tool}{more}" for tool in ("add", "remove", "erase") for more in ("", "_title")}
    told |= {f"elevation.{where}" for where in ("level", "above", "below")}
    assert all(told <= set(table) for table in words().values())


# --- The mask's picture -----------------------------------------------------------------------------------------------


def test_a_large_photo_is_painted_on_at_a_size_for_screens():
    photo = Photo.of(np.full((1500, 2000, 4), 255, np.uint8), (2000, 1500))
    alpha = np.zeros((1500, 2000), np.uint8)
    repair = Repair(np.zeros((1500, 2000), np.bool_), np.zeros((1500, 2000), np.bool_))
    shown = canvas(photo, alpha, repair)
    assert shown.picture.shape == (576, CANVAS_PX, 4)
    assert shown.strokes is not None and shown.strokes.shape == (576, CANVAS_PX, 4) and not shown.strokes.any()


def test_strokes_come_back_as_they_were_painted():
    photo = Photo.of(np.full((300, 400, 4), 200, np.uint8), (400, 300))
    added, removed = np.zeros((2, 300, 400), np.bool_)
    added[10:50, 10:90], removed[100:200, 200:300] = True, True
    shown = canvas(photo, np.full((300, 400), 255, np.uint8), Repair(added, removed)).strokes
    assert shown is not None
    for painted, colour in ((added, ADD), (removed, REMOVE)):
        assert np.array_equal((shown == (*colour, 255)).all(axis=-1), painted)


def test_what_the_editor_shows_is_a_file_of_ours_that_nobody_can_name():
    picture = np.full((90, 120, 4), 128, np.uint8)
    editor = MaskEditor()
    first, second = (editor.postprocess(Canvas(picture, picture)) for _ in range(2))
    assert first is not None and second is not None and first.background and second.background
    assert first.background.path != second.background.path and is_ours(first.background.path)
    assert Path(first.background.path).is_relative_to(get_upload_folder())
    assert Image.open(first.background.path).size == (120, 90) and len(first.layers) == 1
    assert editor.postprocess(None) is None


# --- The cut-out ------------------------------------------------------------------------------------------------------


def test_the_cut_out_says_by_what_and_what_was_done_to_it():
    def said(**made: Any) -> str:
        whole = {"photo_sha256": "", "photo_size_px": (9, 9), "remover": "outline", "crop_px": (0, 0, 9, 9)} | made
        return cutout.cutout(Subject(a_subject(64).rgba, Making(**whole)))

    assert "Cut out by Outline<" in said()
    assert "repaired by hand, edge softened by 2.5 %" in said(added_px=3, feather=0.025)
    assert "own transparency" in said(remover="alpha") and "nothing removed" in said(remover="none")
    for shown in (said(notes=(MARKUP,)), said(remover=MARKUP)):
        assert "<img src=x" not in shown and "<script" not in shown and "{{" not in shown and "${" not in shown


def test_thumbnails_cannot_carry_markup():
    shown = cutout.compared([Tried(MARKUP, "a", "", "data:,"), Tried("none", "b", "", "data:,")], "b")
    assert "<script" not in shown and "<img src=x" not in shown and "{{" not in shown
    assert shown.count("aria-pressed") == 2 and shown.count('aria-pressed="true"') == 1


def test_a_small_picture_has_no_dark_rim():
    rgba = np.zeros((512, 512, 4), np.uint8)
    rgba[100:401, 100:401] = (240, 200, 60, 255)
    url = cutout.data_url(rgba, 128)
    small = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGBA")).astype(int)
    assert small.shape == (128, 128, 4)
    rim = (small[..., 3] > 40) & (small[..., 3] < 200)
    assert rim.any() and small[rim][:, 0].min() > 200


def test_the_side_view_has_every_part_its_script_moves():
    drawn = ElevationPicture(10).html_template
    assert all(part in drawn for part in ('class="camera"', 'class="wedge"', "<text", 'role="img"'))
    assert "${" not in drawn and "{{" not in drawn
    assert View(0, 10).elevation_deg == ElevationPicture(10).value
