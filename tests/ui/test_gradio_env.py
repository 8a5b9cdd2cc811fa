"""Gradio leaves out what takes time and serves nobody here."""

import importlib
from pathlib import Path

import gradio as gr
import pytest


def test_no_stub_is_written_beside_a_component(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a_knob.py").write_text("import gradio as gr\n\n\nclass Knob(gr.HTML):\n    EVENTS = ['turned']\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.import_module("a_knob").Knob.EVENTS == ["turned"]
    assert not list(tmp_path.glob("*.pyi"))


def test_no_table_of_earlier_calls_is_made_after_a_call():
    with gr.Blocks() as page:
        gr.Button()
    queue = page._queue
    queue.events_recorded = 1
    made = queue.compute_analytics_summary([{"function": "render", "status": "success", "process_time": 1.0}])
    assert made == {"functions": {}}
