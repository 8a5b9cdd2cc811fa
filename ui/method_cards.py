"""The methods as a visitor chooses them: one card each, with what it costs here, and controls for its options."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from pipelines.core.cameras import View
from pipelines.core.errors import TurnaroundError
from pipelines.core.subject import ANY_SUBJECT
from pipelines.runtime.devices import Machine
from pipelines.runtime.method import Method, Request, options_from
from ui.status import duration


@dataclasses.dataclass(frozen=True)
class MethodCards:
    """The controls on the page. `inputs` is the order in which a handler gets their values; `read` undoes it."""

    methods: tuple[Method, ...]
    inputs: list[Component]

    @property
    def switches(self) -> list[Component]:
        return self.inputs[: len(self.methods)]


def draw_method_cards(methods: tuple[Method, ...], machine: Machine) -> MethodCards:
    switches: list[Component] = []
    controls: list[Component] = []
    chosen = False
    for method in methods:
        blockers = method.blockers(machine)
        first = not blockers and not chosen
        chosen = chosen or first
        with gr.Column(min_width=0):
            switches.append(
                gr.Checkbox(
                    first,
                    label=method.card.title,
                    info=" ".join([method.card.summary, *(["Cannot run here."] if blockers else []), *blockers]),
                    interactive=not blockers,
                    container=False,
                )
            )
            if dataclasses.fields(method.Options):
                with gr.Accordion(f"{method.card.title}: options", open=False):
                    controls += [_control(spec) for spec in dataclasses.fields(method.Options)]
    return MethodCards(methods, switches + controls)


def read_method_cards(methods: tuple[Method, ...], values: Sequence[Any]) -> list[tuple[Method, Any]]:
    """The chosen methods with their options, from the values of `MethodCards.inputs`."""
    rest: Iterator[Any] = iter(values[len(methods) :])
    chosen: list[tuple[Method, Any]] = []
    for method, wanted in zip(methods, values, strict=False):
        given = {spec.name: next(rest) for spec in dataclasses.fields(method.Options)}
        if wanted:
            chosen.append((method, options_from(method.Options, given)))
    if not chosen:
        raise TurnaroundError("No method is chosen. Tick at least one under Method.")
    return chosen


def cost(chosen: Sequence[tuple[Method, Any]], views: tuple[View, ...], size_px: int, machine: Machine) -> str:
    """What pressing Generate would take here, in words; a download is said before it is begun."""
    estimates = [
        method.estimate(Request(ANY_SUBJECT, views, 0, options, size_px), machine) for method, options in chosen
    ]
    words = f"Takes {duration(sum(e.seconds for e in estimates))} here"
    if download := sum(e.download_bytes for e in estimates):
        words += f", after fetching {download / 1e9:.1f} GB once"
    return f"{words}."


def _control(spec: dataclasses.Field[Any]) -> Component:
    label, help, choices = spec.metadata["label"], spec.metadata["help"], spec.metadata["choices"]
    low, high = spec.metadata["minimum"], spec.metadata["maximum"]
    default: Any = spec.default
    if choices:
        return gr.Radio(list(choices), value=default, label=label, info=help)
    if isinstance(default, bool):
        return gr.Checkbox(default, label=label, info=help)
    if isinstance(default, (int, float)):
        if low is None or high is None:
            precision = 0 if isinstance(default, int) else None
            return gr.Number(default, label=label, info=help, minimum=low, maximum=high, precision=precision)
        step = 1 if isinstance(default, int) else 10 ** math.floor(math.log10((high - low) / 50))
        return gr.Slider(low, high, default, step=step, label=label, info=help, buttons=[])
    return gr.Textbox(default, label=label, info=help, max_lines=1)
