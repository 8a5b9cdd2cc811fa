"""The command line's `compile`: networks made quicker for the machine at hand, once."""

import argparse
from typing import Any

from pipelines.cli_bar import Bar
from pipelines.registry import METHODS, find_method
from pipelines.runtime.method import Report
from pipelines.runtime.settings import Settings


def add_compile(commands: Any) -> None:
    command = commands.add_parser("compile", help="compile the networks of methods for this machine, where that pays")
    command.set_defaults(run=_compile)
    able = ", ".join(method.card.key for method in METHODS if method.compiles)
    command.add_argument("methods", nargs="+", metavar="METHOD", help=f"takes minutes each, once; some of: {able}")


def _compile(chosen: argparse.Namespace, settings: Settings) -> int:
    for method in [find_method(key) for key in dict.fromkeys(chosen.methods)]:
        key, bar = method.card.key, Bar(method.card.key)
        try:
            told = method.compile_ahead(Report(bar.show)) or ("It has nothing to compile.",)
        finally:
            bar.clear()
        print("\n".join(f"{key}: {line}" for line in told), flush=True)
    return 0
