"""What every registered method promises. A new method is found here by itself."""

import dataclasses
import importlib
import pickle
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.cameras import View, orbit
from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.registry import METHODS, find_method
from pipelines.runtime.devices import this_machine
from pipelines.runtime.method import Method, NoOptions, Report, Request, Turnaround, describe, options_from
from tests.toy_methods import SlowOptions, a_subject

MACHINE = this_machine(Path())
ABLE = [method for method in METHODS if not method.blockers(MACHINE)]
REQUEST = Request(a_subject(192), orbit(4, 10), seed=7, size_px=96)

each_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: m.card.key)
each_able = pytest.mark.parametrize("method", ABLE, ids=lambda m: m.card.key)


def room_of(method: Method) -> str:
    """The module or folder that it lives in; a family of methods shares one."""
    return type(method).__module__.split(".")[1]


@pytest.fixture(scope="module", autouse=True)
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Random weights of the same layout, in a folder as a lab keeps its own: `tests/<room>/tiny.py` writes them."""
    folder = tmp_path_factory.mktemp("weights")
    for room in {room_of(method) for method in METHODS if method.card.weights}:
        importlib.import_module(f"tests.{room}.tiny").write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TURNAROUND_WEIGHTS", str(folder))
        patch.setenv("TURNAROUND_DEVICE", "cpu")
        yield


@cache
def rendered(key: str) -> tuple[Turnaround, list[tuple[float, str]]]:
    """What came of the shortest run, and what it told on the way."""
    told: list[tuple[float, str]] = []
    report = Report(lambda fraction, message, preview: told.append((fraction, message)))
    return find_method(key)(shortest(find_method(key)), report), told


def shortest(method: Method) -> Request:
    """With as few steps and as coarse a grid as may be asked for: what is promised depends on neither."""
    fields = {spec.name: spec.metadata for spec in dataclasses.fields(method.Options)}
    fewest = {name: fields[name]["minimum"] for name in ("steps", "grid") if name in fields}
    quick = {name: True for name in ("quick",) if name in fields}
    return dataclasses.replace(REQUEST, options=options_from(method.Options, fewest | quick))


def test_keys_are_unique_and_an_unknown_one_is_refused_with_the_known_ones():
    assert len({m.card.key for m in METHODS}) == len(METHODS)
    with pytest.raises(TurnaroundError, match="inflate"):
        find_method("sv4d<script>")
    with pytest.raises(TurnaroundError):
        find_method(["inflate"])


def test_one_method_at_least_needs_nothing():
    assert ABLE and not ABLE[0].card.weights


@each_method
def test_the_card_is_complete(method: Method):
    card = method.card
    assert importlib.import_module(f"pipelines.{room_of(method)}").__dict__[type(method).__name__] is type(method)
    for text in (card.title, card.summary, card.licence, card.needs):
        assert text.strip() == text and text
    assert card.summary.endswith(".") and card.needs.endswith(".") and "\n" not in card.summary
    assert card.renders and 5 < card.fov_deg < 120
    for source in (source for weights in card.weights for source in weights.sources):
        assert source.revision and source.licence and source.size_bytes > 0
        assert all(file.size_bytes > 0 and not file.path.startswith(("/", ".")) for file in source.files)
    assert card.citation is None or card.citation.lstrip().startswith("@")


@each_method
def test_every_option_can_be_drawn_as_a_control(method: Method):
    defaults = method.Options()
    for spec in dataclasses.fields(method.Options):
        bounds, value = spec.metadata, getattr(defaults, spec.name)
        assert bounds["label"] and bounds["help"]
        if bounds["choices"]:
            assert value in bounds["choices"]
        elif isinstance(value, str):
            for bad in (None, 3, True, [value], "a" * 1000):
                with pytest.raises(TurnaroundError):
                    options_from(method.Options, {spec.name: bad})
        elif not isinstance(value, bool):
            assert bounds["minimum"] <= value <= bounds["maximum"]
            for bad in (bounds["minimum"] - 1, bounds["maximum"] + 1, float("nan"), "much", None, True, [value]):
                with pytest.raises(TurnaroundError):
                    options_from(method.Options, {spec.name: bad})
        assert options_from(method.Options, {spec.name: str(value)}) == defaults
    with pytest.raises(TurnaroundError, match="no option"):
        options_from(method.Options, {"no_such_thing": 1})


@each_method
def test_no_option_is_called_what_gradio_and_its_client_call_a_file(method: Method):
    """They would look for it on the disk, and refuse the whole answer."""
    names = {spec.name for spec in dataclasses.fields(method.Options)}
    assert not names & {"path", "url", "meta", "orig_name", "is_stream"}


@each_method
def test_it_describes_itself_in_plain_json(method: Method):
    import json

    assert json.loads(json.dumps(describe(method, MACHINE), allow_nan=False))["key"] == method.card.key


@each_method
def test_blockers_and_estimate_are_words_and_numbers(method: Method):
    assert all(isinstance(reason, str) and reason.endswith(".") for reason in method.blockers(MACHINE))
    one, many = (method.estimate(dataclasses.replace(REQUEST, views=orbit(n)), MACHINE) for n in (1, 40))
    assert 0 < one.seconds <= many.seconds < 1e6 and 0 < one.memory_bytes < 1e12 and one.download_bytes >= 0


@each_able
def test_it_renders_what_was_asked(method: Method):
    made, _ = rendered(method.card.key)
    assert [frame.asked for frame in made.frames] == list(REQUEST.views) or "any view" not in method.card.renders
    for frame in made.frames:
        assert frame.rgba.dtype == np.uint8 and frame.rgba.shape[2] == 4
        visible = (frame.rgba[..., 3] > 127).mean()
        assert 0.05 < visible < 0.95, "the subject fills neither nothing nor everything"
        if "any view" in method.card.renders:
            assert frame.exact and frame.rgba.shape[:2] == (REQUEST.size_px, REQUEST.size_px)
    if "mesh" in method.card.renders:
        assert made.mesh is not None and len(made.mesh.faces) > 0
    assert made.provenance and made.provenance.method == method.card.key and made.provenance.seed == REQUEST.seed
    assert made.seconds > 0 and made.peak_memory_bytes > 0


@each_able
def test_the_same_request_gives_the_same_bytes(method: Method):
    made, _ = rendered(method.card.key)
    again = type(method)()(shortest(method), Report())
    for first, second in zip(made.frames, again.frames, strict=True):
        assert np.array_equal(first.rgba, second.rgba)


@pytest.mark.parametrize("method", {room_of(m): m for m in ABLE if m.card.weights}.values(), ids=room_of)
def test_in_16_bits_it_makes_the_same_bytes_each_time_and_nearly_those_of_32(
    method: Method, monkeypatch: pytest.MonkeyPatch
):
    wide, _ = rendered(method.card.key)
    monkeypatch.setenv("TURNAROUND_PRECISION", "bfloat16")
    first, again = (method(shortest(method), Report()) for _ in range(2))
    assert first.provenance and first.provenance.device == "CPU, bfloat16"
    apart = []
    for one, same, other in zip(first.frames, again.frames, wide.frames, strict=True):
        assert np.array_equal(one.rgba, same.rgba)
        apart.append(np.abs(one.rgba.astype(int) - other.rgba).mean())
    assert 0 < max(apart) < 4, apart


@pytest.mark.parametrize("method", {room_of(m): m for m in ABLE}.values(), ids=room_of)
def test_another_seed_makes_other_pictures_where_the_card_says_so_and_only_there(method: Method):
    made, _ = rendered(method.card.key)
    request = shortest(method)
    other = type(method)()(dataclasses.replace(request, seed=request.seed + 1), Report())
    same = all(np.array_equal(a.rgba, b.rgba) for a, b in zip(made.frames, other.frames, strict=True))
    assert same != method.card_for(request.options).seeded


@each_able
def test_requests_and_results_travel_between_processes(method: Method):
    made, _ = rendered(method.card.key)
    request, copy = pickle.loads(pickle.dumps((REQUEST, made)))
    assert np.array_equal(copy.frames[0].rgba, made.frames[0].rgba) and request.views == REQUEST.views


@each_able
def test_progress_only_grows_and_says_something(method: Method):
    _, told = rendered(method.card.key)
    fractions = [fraction for fraction, _ in told]
    assert len(told) >= 3 and fractions == sorted(fractions) and fractions[0] >= 0 and fractions[-1] <= 1
    assert all(message for _, message in told)


@each_able
@pytest.mark.parametrize("after_reports", [0, 1, 2, 4])
def test_cancelling_stops_it(method: Method, after_reports: int):
    cancelled, heard = threading.Event(), 0

    def sink(fraction: float, message: str, preview: object) -> None:
        nonlocal heard
        heard += 1
        if heard > after_reports:
            cancelled.set()

    with pytest.raises(Cancelled):
        method(REQUEST, Report(sink, cancelled))
    assert heard == after_reports + 1, "it went on after being told to stop"


@each_able
def test_options_of_another_method_are_refused(method: Method):
    with pytest.raises(TurnaroundError, match="options"):
        method(dataclasses.replace(REQUEST, options=SlowOptions()), Report())
    assert method.Options is NoOptions or dataclasses.is_dataclass(method.Options)


@pytest.mark.parametrize("method", [m for m in ABLE if not m.card.weights], ids=lambda m: m.card.key)
def test_positive_azimuth_shows_more_of_the_photos_right(method: Method):
    """The subject's right half is twice as bright as its left: turning to the right must brighten the picture."""
    request = dataclasses.replace(REQUEST, views=(View(-50, 0), View(50, 0)))
    left, right = (mean_color(frame.rgba) for frame in method(request, Report()).frames)
    assert right > 1.2 * left


@pytest.mark.parametrize("method", [m for m in METHODS if m.card.weights], ids=lambda m: m.card.key)
def test_a_method_whose_network_is_untrained_here_proves_its_cameras_by_a_table(method: Method):
    proofs = list((Path(__file__).parent / room_of(method)).glob("test_*.py"))
    assert any("azimuth" in proof.read_text("utf-8") for proof in proofs)


def mean_color(rgba: np.ndarray) -> float:
    return float(rgba[rgba[..., 3] > 200][:, :3].mean())


@pytest.mark.parametrize(
    "changes",
    [
        {"views": ()},
        {"views": None},
        {"views": (View(), "front")},
        {"views": (View(),) * 10_000},
        {"views": orbit(200), "size_px": 1024},
        {"seed": -1},
        {"seed": 2**31},
        {"seed": 1.7},
        {"seed": float("nan")},
        {"seed": "12"},
        {"seed": True},
        {"size_px": 10**9},
        {"size_px": 8},
        {"size_px": 10**400},
    ],
    ids=lambda changes: " ".join(f"{name} {str(value)[:12]}" for name, value in changes.items()),
)
def test_59_62_63_requests_out_of_bounds_are_refused_with_words(changes: dict[str, Any]):
    with pytest.raises(TurnaroundError, match=r"\w{3,} .*\."):
        dataclasses.replace(REQUEST, **changes)
