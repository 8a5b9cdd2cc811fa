"""The methods as cards: what they say, and what their controls give."""

import dataclasses
from pathlib import Path

import pytest

from pipelines.core.cameras import orbit
from pipelines.core.errors import TurnaroundError
from pipelines.runtime.devices import Machine, this_machine
from pipelines.runtime.method import Estimate, Request
from pipelines.runtime.weights import Source, WeightFile, Weights
from tests.toy_methods import Blocked, Flat, Slow, SlowOptions, a_card
from tests.ui.house import MARKUP
from ui.endpoints import _is_ready
from ui.method_cards import chosen_options, estimates, facts, read_method_cards, total, values_for

METHODS = (Flat(), Slow())


class Fetches(Flat):
    """Costs a download, and has a licence that must be shown as text."""

    card = dataclasses.replace(a_card("fetches"), licence=MARKUP)

    def estimate(self, request: Request, machine: Machine) -> Estimate:
        return Estimate(2.0 * len(request.views), 10**9, download_bytes=4_200_000_000)


@pytest.fixture
def machine(tmp_path) -> Machine:
    return this_machine(tmp_path)


def test_options_come_back_from_the_controls_in_order():
    chosen = read_method_cards(METHODS, [True, True, 7])
    assert [(method.card.key, getattr(options, "steps", None)) for method, options in chosen] == [
        ("flat", None),
        ("slow", 7),
    ]
    with pytest.raises(TurnaroundError, match="Steps"):
        read_method_cards(METHODS, [True, True, 10**9])
    with pytest.raises(TurnaroundError, match="No method is chosen"):
        read_method_cards(METHODS, [False, False, 7])


def test_values_for_and_reading_undo_each_other():
    values = values_for(METHODS, {"slow": {"steps": 9}, "gone": {"x": 1}})
    ((method, options),) = read_method_cards(METHODS, values)
    assert method.card.key == "slow" and options.steps == 9


def test_a_card_says_what_it_costs_here_for_the_cameras_chosen(machine: Machine):
    fetches = Fetches()
    few = estimates((fetches,), [True], orbit(4), 576, machine)["fetches"]
    many = estimates((fetches,), [True], orbit(20), 576, machine)["fetches"]
    assert "about 8 seconds here" in facts(fetches, machine, few)
    assert "about 40 seconds here" in facts(fetches, machine, many)
    assert "4.2 GB once" in facts(fetches, machine, few)
    assert "4.2 GB once" in total((fetches,), [True], {"fetches": few})


def test_a_card_says_what_it_asks_of_a_quota_where_there_is_one(machine: Machine):
    fetches = Fetches()
    kept = estimates((fetches,), [True], orbit(4), 576, machine, lambda method, estimate: round(5 * estimate.seconds))
    assert "asks for 40 s of your GPU quota" in facts(fetches, machine, kept["fetches"])
    assert "quota" not in facts(fetches, machine, estimates((fetches,), [True], orbit(4), 576, machine)["fetches"])


def test_the_total_counts_only_what_is_chosen(machine: Machine):
    methods = (Flat(), Fetches())
    priced = estimates(methods, [True, True], orbit(30), 576, machine)
    assert "about a second" in total(methods, [True, False], priced)
    assert "about 60 seconds" in total(methods, [False, True], priced)
    assert "That is long" not in total(methods, [True, True], priced)
    many = estimates(methods, [True, True], orbit(360), 96, machine)
    assert "about 12 minutes" in (long := total(methods, [True, True], many)) and "That is long" in long


def test_a_card_says_why_it_cannot_run_here(machine: Machine):
    assert "needs a machine that is not this one" in facts(Blocked(), machine)
    assert estimates((Blocked(),), [False], orbit(4), 576, machine) == {}


def test_what_a_card_says_is_text(machine: Machine):
    shown = facts(Fetches(), machine)
    assert "<img" not in shown and "<script" not in shown and "{{" not in shown and "${" not in shown


def test_a_card_names_where_its_weights_come_from(machine: Machine):
    class Learned(Flat):
        card = dataclasses.replace(
            a_card("learned"),
            weights=(
                Weights(
                    MARKUP,
                    (
                        Source("lab/good", "0" * 40, (WeightFile("a.safetensors", 2_500_000_000),), "MIT"),
                        Source("lab/closed", "main", (WeightFile("a.bin", 10),), "NC", gated=True),
                    ),
                ),
            ),
        )

    shown = facts(Learned(), machine)
    pinned, mirror = shown.split("<li>lab/closed")
    assert "lab/good @ 000000000000, 2.5 GB" in pinned and "unpinned" not in pinned
    assert "@ main" in mirror and "NC" in mirror and "unpinned" in mirror and "accepted there first" in mirror
    assert "<img" not in shown
    assert "<details" not in facts(Flat(), machine)


GATED = Source("lab/closed", "0" * 40, (WeightFile("a.txt", 3),), "NC", gated=True)
OPEN = Source("lab/open", "0" * 40, (WeightFile("a.txt", 3),), "MIT")


def test_a_card_shows_the_gate_while_the_first_place_has_one_and_the_weights_are_not_here(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TURNAROUND_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TURNAROUND_DATA", str(tmp_path / "data"))

    def gate(*sources: Source) -> bool:
        class Learned(Flat):
            card = dataclasses.replace(a_card("learned"), weights=(Weights("Learned", sources),))

        shown = facts(Learned(), machine, Estimate(1.0, 10**6, download_bytes=1))
        before, _, folded = shown.partition("<details")
        assert "accepted there first" in folded
        return "licence must be accepted first" in before

    assert gate(GATED) and gate(GATED, OPEN) and not gate(OPEN, GATED)
    monkeypatch.setenv("TURNAROUND_SOURCES", "lab/closed=lab/open")
    assert not gate(GATED, OPEN), "whoever runs it chose the copy"
    monkeypatch.setenv("TURNAROUND_SOURCES", "lab/closed=my/mirror")
    assert not gate(GATED), "what is asked of a mirror the card does not know"
    monkeypatch.setenv("TURNAROUND_SOURCES", "lab/closed=lab/closed@v1")
    assert gate(GATED), "another revision of the same"
    monkeypatch.delenv("TURNAROUND_SOURCES")
    (tmp_path / "lab" / "closed").mkdir(parents=True)
    (tmp_path / "lab" / "closed" / "a.txt").write_bytes(b"abc")
    assert not gate(GATED), "they are here"


class ByOption(Slow):
    """Needs weights only for more than ten steps."""

    card = dataclasses.replace(a_card("by_option"), weights=(Weights("Learned", (OPEN,)), Weights("Closed", (GATED,))))

    def weights_for(self, options: SlowOptions) -> tuple[Weights, ...]:
        return self.card.weights if options.steps > 10 else self.card.weights[:0]


def shown_at(steps: int, machine: Machine) -> str:
    """Above what is folded away."""
    method = ByOption()
    options = chosen_options((method,), [False, steps], {"by_option": Estimate(1.0, 1)})["by_option"]
    return facts(method, machine, Estimate(1.0, 1, download_bytes=1), options).partition("<details")[0]


def test_a_card_says_why_a_folder_of_ones_own_cannot_be_used_with_the_options_that_need_it(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "own").mkdir()
    monkeypatch.setenv("TURNAROUND_SOURCES", f"lab/open={tmp_path / 'own'} lab/closed={tmp_path / 'own'}")
    shown = shown_at(50, machine)
    assert "Learned cannot be used. The folder that TURNAROUND_SOURCES names for lab/open is not used: a.txt" in shown
    assert str(tmp_path) not in shown and "cannot be used" in facts(ByOption(), machine)
    assert "cannot be used" not in shown_at(10, machine) and not _is_ready(ByOption(), machine)
    (tmp_path / "own" / "a.txt").write_bytes(b"abc")
    assert "cannot be used" not in shown_at(50, machine) and _is_ready(ByOption(), machine)


def test_a_card_shows_the_gate_only_for_options_that_lead_through_it(machine: Machine, monkeypatch, tmp_path: Path):
    monkeypatch.setenv("TURNAROUND_DATA", str(tmp_path))
    assert "licence must be accepted first" in shown_at(50, machine)
    assert "licence must be accepted first" not in shown_at(10, machine)
