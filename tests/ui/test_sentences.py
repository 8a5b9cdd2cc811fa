"""Whatever a visitor may be told from below the page is in the table of other languages, and nothing else is."""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator
from importlib import import_module

import pytest

from pipelines.registry import METHODS
from pipelines.runtime.removers import REMOVERS
from pipelines.runtime.settings import SENSES
from tests.ui.said import ROOT, plain, reads_like_words, spoken_modules, templates
from ui.words import words
from ui.words.sentences import _PARTS, sentences

# Names, which are the same in every language, and what only looks like something said.
NAMES = {
    *(method.card.title for method in METHODS),
    *(remover.title for remover in REMOVERS.values() if remover.model),
    *("Apple GPU", "Apple GPU, float16", "CPU, bfloat16", "CPU, float32", "Depth Anything", "ZoeDepth"),
    *("threestudio", "105000", "165000", "v1.1", "v1.2"),
}
NOT_SAID = {
    **{remover.summary: "for programs" for remover in REMOVERS.values()},
    "Its model ({}) is fetched when it is first used.": "for programs",
    "TURNAROUND_{} names {}, which is no learned method here. Name some of: {}.": "at the server's start",
    "TURNAROUND_SOURCES replaces {}, which no method here goes by. {}": "at the server's start",
    "Did you mean {}?": "at the server's start",
    "Name some of: {}.": "at the server's start",
    "TURNAROUND_ENGINE=ray needs Ray, which is not installed. "
    "Run `pip install -r requirements-ray.txt`, or set TURNAROUND_ENGINE=here.": "at the server's start",
    "TURNAROUND_ENGINE=zerogpu needs the package spaces, which is not installed. "
    "Run `pip install spaces`, or set TURNAROUND_ENGINE=here.": "at the server's start",
    "one view": "a kind of path",
    "File size": "a library's",
    "cut out": "a queue's name",
    "exit code {}": "for the log",
    "invs {}": "a model's key",
    "photo of {} on white background": "to a network, in English",
    "an object": "to a network, in English",
    "from pipelines.runtime.worker import main; main()": "a program",
    "from pipelines.runtime.ray_bridge import main; main()": "a program",
}


def cards() -> Iterator[str]:
    """What the page shows of the methods themselves."""
    for method in METHODS:
        yield method.card.summary
        for option in dataclasses.fields(method.Options):
            yield from (option.metadata["label"], option.metadata["help"], *option.metadata["choices"])


def pairs() -> list[tuple[str, str]]:
    return [pair for part in _PARTS for pair in import_module(f"ui.words.sentences.{part}").SENTENCES]


KNOWN = {plain(english) for english, _ in pairs()}
SAID = {path.relative_to(ROOT).as_posix(): templates(path) for path in spoken_modules()}


def test_whatever_may_be_said_is_in_the_table():
    elsewhere = {plain(text) for text in words()["en"].values()} | NAMES | NOT_SAID.keys()
    for module, said in SAID.items():
        assert {text for text in said if reads_like_words(text)} - KNOWN - elsewhere == set(), module


def test_whatever_a_method_says_on_its_card_is_in_the_table():
    assert set(cards()) - KNOWN - NAMES == set()


def test_whatever_is_in_the_table_may_be_said():
    said = {plain(text) for text in (*cards(), *SENSES.split(", "))}
    assert KNOWN - said.union(*SAID.values()) == set()


def test_nothing_is_in_the_table_twice():
    assert [text for text, times in Counter(english for english, _ in pairs()).items() if times > 1] == []


@pytest.mark.parametrize("language", sentences())
def test_what_is_filled_in_is_the_same_in_every_language(language):
    for english, other in sentences()[language].items():
        assert not re.search(r"[{}]", re.sub(r"\{\w+\}", "", english + other)), english
        assert not re.search(r"(\{\w+\} ?){3}", english), f"{english}: no more than two side by side can be told apart"
        there, here = (Counter(re.findall(r"\{\w+\}", text)) for text in (english, other))
        assert here <= there and max(there.values(), default=1) == 1, english
        assert all(name.startswith("{_") for name in there - here), english


def test_the_source_is_read_for_what_it_says(tmp_path):
    (module := tmp_path / "module.py").write_text(
        '''"""Not this."""
HERE = "The picture is small."
def say(n, name, there):
    """Nor this."""
    log.info("Nor %s this", n)
    if name == "nor even this":
        raise ValueError("Nor a bug's words.")
    text = f"Fetching {name}: {n:.0f} of {f'{n} MB' if n else 'all'}" + (f", {there}" if there else ".")
    text += " and more"
    raise TurnaroundError(f"{HERE} It has {n} view{'s' if n > 1 else ''}, {{kept}}. " "Try {mb:g} again.")
'''
    )
    assert {template for template in templates(module) if reads_like_words(template)} == {
        "The picture is small.",
        *(f"Fetching {{}}: {{}} of {rest}" for rest in ("{} MB, {}", "{} MB.", "all, {}", "all.")),
        "{} and more",
        *(f"{{}} It has {{}} view{s}, {{}}. Try {{}} again." for s in ("", "s")),
    }
