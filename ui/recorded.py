"""The recorded example: a result like any other that travels with the app, so that the first thing shown is a wall.

It lies in assets/recorded/<id>/, as the archive would have stored it.
"""

from functools import cache
from pathlib import Path

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.manifest import RESULT_ID
from pipelines.runtime.stored import StoredResult, load_result

FOLDER = Path(__file__).parent.parent / "assets" / "recorded"
ABSENT = "The recorded example is not part of this installation. Make a turnaround of your own from a photo."


def recorded() -> StoredResult:
    return _recorded(FOLDER)


@cache
def _recorded(folder: Path) -> StoredResult:
    ids = sorted(entry.name for entry in folder.iterdir() if RESULT_ID.fullmatch(entry.name)) if folder.is_dir() else []
    if not ids:
        raise TurnaroundError(ABSENT)
    return load_result(folder / ids[-1], ids[-1])
