"""What has to be settled before Gradio is imported: its own settings, over which it stumbles without a word of help,
and what it does for nobody here."""

import inspect
import os
import re
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from pipelines.core.errors import TurnaroundError
from ui.door import port_from

_SUMMARY_EVERY = "GRADIO_ANALYTICS_CACHE_FREQUENCY"
_COUNT = re.compile(r"[0-9]{1,6}")
_COUNTS = ("GRADIO_NUM_PORTS", "GRADIO_NUM_WORKERS", "GRADIO_ANALYTICS_MAX_EVENTS", _SUMMARY_EVERY)
_LIMIT = "GRADIO_DEFAULT_CONCURRENCY_LIMIT"


def lighten_gradio() -> None:
    """A third of its import is writing a stub for editors beside each component's source, ours included; and after
    each call it makes a table of up to 10,000 earlier ones, in up to 15 ms, for a page that nobody is shown."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # nothing is sent anywhere
    os.environ.setdefault(_SUMMARY_EVERY, "999999")  # calls: the most that is allowed below
    find = inspect.getfile

    def getfile(object: Any) -> str:
        if type(object).__name__ == "ComponentMeta":
            raise OSError("No stub is wanted.")  # as for a class that was made at a prompt
        return find(object)

    inspect.getfile = getfile


def check_gradio_settings(environment: MutableMapping[str, str] = os.environ) -> None:
    """One sentence for each value that makes no sense. What would change how this server runs is taken away."""
    problems = []
    try:
        port_from(environment)
    except TurnaroundError as problem:
        problems.append(str(problem))
    for name in (*_COUNTS, _LIMIT):
        text = environment.get(name, "").strip()
        allowed = _COUNT.fullmatch(text) or (name == _LIMIT and text.lower() in ("none", "not_set"))
        if name in environment and not allowed:
            problems.append(f"{name}={environment[name][:60]!r}: it must be a whole number.")
    root = environment.get("GRADIO_ROOT_PATH", "")
    if root and not root.startswith("/") and not (re.match(r"https?://", root) and urlsplit(root).hostname):
        problems.append(
            f"GRADIO_ROOT_PATH={root[:60]!r}: it must be the app's public address, as https://lab.example/turnaround, "
            "or a path that starts with /."
        )
    if problems:
        raise TurnaroundError("\n".join(problems))
    environment.pop("GRADIO_DEBUG", None)  # with it, Gradio would never hand the server back to us, who have to stop it
