"""The methods as a visitor chooses them: one card each, with what it costs here and now, and its options."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from pipelines.core.cameras import View
from pipelines.core.errors import TurnaroundError
from pipelines.core.subject import ANY_SUBJECT
from pipelines.runtime.devices import Machine
from pipelines.runtime.method import Card, Estimate, Method, Request, options_from
from pipelines.runtime.settings import read_settings
from pipelines.runtime.weights import Source, Weights, chosen_sources, missing_bytes, why_unusable
from ui import status
from ui.markup import SENTENCE, text
from ui.phrases import duration, phrase
from ui.sliders import Slider
from ui.words import T

LONG_S = 600  # nobody waits for more without having been told
SHORT = 40  # letters of a licence that still look well in a pill
RENDERS = {
    "any view": "method.any_view",
    "orbit": "method.orbit",
    "fixed views": "method.fixed_views",
    "mesh": "method.mesh",
}


@dataclasses.dataclass(frozen=True)
class MethodCards:
    """The controls on the page. `inputs` is the order in which a handler gets their values; `read` undoes it."""

    inputs: list[Component]
    facts: list[gr.HTML]
    """One a method: what it renders, its licence, its cost or what stands in its way."""


def draw_method_cards(methods: tuple[Method, ...], machine: Machine) -> MethodCards:
    switches: list[Component] = []
    controls: list[Component] = []
    said: list[gr.HTML] = []
    first = next((method for method in methods if not _obstacles(method, machine, method.Options())), None)
    for method in methods:
        with gr.Column(min_width=0, elem_id=f"method-{method.card.key}"):
            switches.append(
                gr.Checkbox(
                    method is first,
                    label=method.card.title,
                    info=method.card.summary,
                    interactive=not method.blockers(machine),
                    container=False,
                )
            )
            said.append(gr.HTML(facts(method, machine)))
            if dataclasses.fields(method.Options):
                with gr.Accordion(T("page.options"), open=False):
                    controls += [_control(spec) for spec in dataclasses.fields(method.Options)]
    return MethodCards(switches + controls, said)


def read_method_cards(methods: tuple[Method, ...], values: Sequence[Any]) -> list[tuple[Method, Any]]:
    """The chosen methods with their options, from the values of `MethodCards.inputs`."""
    chosen = [(method, options) for method, options, wanted in _read(methods, values) if wanted]
    if not chosen:
        raise TurnaroundError("No method is chosen. Tick at least one under Methods.")
    return [(method, options_from(method.Options, options)) for method, options in chosen]


def values_for(methods: tuple[Method, ...], chosen: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    """The values of `MethodCards.inputs` that stand for these methods with these options; gone ones are left out."""
    switches = [method.card.key in chosen for method in methods]
    options = [
        chosen.get(method.card.key, {}).get(spec.name, spec.default)
        for method in methods
        for spec in dataclasses.fields(method.Options)
    ]
    return switches + options


def estimates(
    methods: tuple[Method, ...],
    values: Sequence[Any],
    views: tuple[View, ...],
    size_px: int,
    machine: Machine,
    borrowed_s: Callable[[Method, Estimate], int] = lambda method, estimate: 0,
) -> dict[str, Estimate]:
    """What every method that can run here would take, chosen or not. `borrowed_s` is the engine's."""
    priced = dict[str, Estimate]()
    for method, options, _ in _read(methods, values):
        if not method.blockers(machine):
            request = Request(ANY_SUBJECT, views, 0, options_from(method.Options, options), size_px)
            estimate = method.estimate(request, machine)
            priced[method.card.key] = dataclasses.replace(estimate, quota_s=borrowed_s(method, estimate))
    return priced


def chosen_options(
    methods: tuple[Method, ...], values: Sequence[Any], priced: Mapping[str, Estimate]
) -> dict[str, Any]:
    """The options of every method that can run here, chosen or not, for `facts`."""
    return {
        method.card.key: options_from(method.Options, options)
        for method, options, _ in _read(methods, values)
        if method.card.key in priced
    }


def facts(method: Method, machine: Machine, estimate: Estimate | None = None, options: Any = None) -> str:
    """Of these options, or the default ones."""
    card, options = method.card, method.Options() if options is None else options
    renders = ", ".join(phrase(RENDERS[kind]).html for kind in RENDERS if kind in card.renders)
    words = [renders] if len(card.licence) > SHORT else [renders, text(card.licence)]
    licence = f'<p class="licence">{text(card.licence)}</p>' if len(card.licence) > SHORT else ""
    if estimate:
        words.append(phrase("method.time_here", time=duration(estimate.seconds)).html)
        if estimate.download_bytes:
            words.append(phrase("method.fetches", gb=f"{estimate.download_bytes / 1e9:.1f}").html)
            if any(map(_is_behind_a_gate, method.weights_for(options))):
                words.append(phrase("method.gate").html)
        if estimate.quota_s:
            words.append(phrase("method.quota", n=estimate.quota_s).html)
    listed = "".join(f"<li>{word}</li>" for word in words)
    blocked = "".join(f"<li {SENTENCE}>{text(reason)}</li>" for reason in _obstacles(method, machine, options))
    why = f'<div class="blocked"><p>{phrase("method.blocked").html}</p><ul>{blocked}</ul></div>' if blocked else ""
    return f'<ul class="facts">{listed}</ul>{licence}{why}{_weights(card)}'


def _obstacles(method: Method, machine: Machine, options: Any) -> list[str]:
    """Why a run with these options would fail here, as far as it is known before: with others it may not."""
    unusable = map(why_unusable, method.weights_for(options))
    return [*method.blockers(machine), *(reason for reason in unusable if reason)]


def _is_behind_a_gate(weights: Weights) -> bool:
    """Whether they are not here yet and the repository that is tried first asks for its licence to be accepted."""
    return chosen_sources(weights, read_settings())[0].gated and missing_bytes(weights) > 0


def _weights(card: Card) -> str:
    """Which repositories, at which revision, under which licence; folded away."""
    if not card.weights:
        return ""
    listed = ""
    for weights in card.weights:
        sources = "".join(_source(source, weights.first.licence) for source in weights.sources)
        listed += f"<li>{text(weights.name)}<ol>{sources}</ol></li>"
    name = f'{phrase("method.weights").html}<span class="for-ears">: {text(card.title)}</span>'
    return f'<details class="weights"><summary>{name}</summary><ul>{listed}</ul></details>'


def _source(source: Source, usual_licence: str) -> str:
    """In the order in which they are tried."""
    words = [text(f"{source.repository} @ {source.revision[:12]}, {source.size_bytes / 1e9:.1f} GB")]
    words += [] if source.licence == usual_licence else [text(source.licence)]
    words += [] if source.pinned else [phrase("method.unpinned").html]
    words += [phrase("method.gated").html] if source.gated else []
    return f"<li>{', '.join(words)}</li>"


def total(methods: tuple[Method, ...], values: Sequence[Any], priced: Mapping[str, Estimate]) -> str:
    """What pressing Generate would take here, in words; a download is said before it is begun."""
    chosen = [priced[method.card.key] for method, _ in read_method_cards(methods, values) if method.card.key in priced]
    seconds = sum(estimate.seconds for estimate in chosen)
    warned = status.warned(phrase("method.long")) if seconds > LONG_S else ""
    if download := sum(estimate.download_bytes for estimate in chosen):
        told = phrase("method.takes_and_fetches", time=duration(seconds), gb=f"{download / 1e9:.1f}")
    else:
        told = phrase("method.takes", time=duration(seconds))
    return status.said(told) + warned


def _read(methods: tuple[Method, ...], values: Sequence[Any]) -> Iterator[tuple[Method, dict[str, Any], bool]]:
    rest: Iterator[Any] = iter(values[len(methods) :])
    for method, wanted in zip(methods, values, strict=False):
        yield method, {spec.name: next(rest) for spec in dataclasses.fields(method.Options)}, bool(wanted)


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
        return Slider(low, high, default, step=step, label=label, info=help, buttons=[])
    return gr.Textbox(default, label=label, info=help, max_lines=1)
