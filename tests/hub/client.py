"""This machine as a client of the hub in `server.py`: huggingface_hub itself, told where the hub and its cache are."""

import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines.runtime.hub import Patience
from pipelines.runtime.report import Report
from pipelines.runtime.weights import Source, WeightFile, Weights
from tests.hub.server import Hub, serving, sha256

ROOT = Path(__file__).resolve().parents[2]
LARGE, CONFIG = "unet/model.safetensors", "unet/config.json"
FILES = {LARGE: bytes(range(256)) * 1500, CONFIG: b'{"sample_size": 32}'}
COMMIT = "c" * 40
QUICK = Patience(pauses_s=(0.01,) * 4, asked_s=1.5)
IMPATIENT = Patience(silent_s=0.8, pauses_s=(0.01,) * 4, asked_s=1.5)


@contextmanager
def a_hub(folder: Path, patch: pytest.MonkeyPatch, tls: ssl.SSLContext | None = None) -> Iterator[Hub]:
    """A hub with one repository, "lab/thing", and this process as its client, with an empty cache."""
    from huggingface_hub import constants

    with serving(folder / "hub", tls) as hub:
        hub.add("lab/thing", FILES, COMMIT)
        for name, value in environment(hub, folder).items():
            patch.setenv(name, value)
        for name in ("HF_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            patch.delenv(name, raising=False)
            patch.delenv(name.lower(), raising=False)
        # huggingface_hub reads its variables once, when it is imported, which Gradio did long ago in this process.
        patch.setattr(constants, "ENDPOINT", hub.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
        patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield hub


def environment(hub: Hub, folder: Path) -> dict[str, str]:
    """What another process needs to be a client of this hub."""
    return {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_CACHE": str(folder / "cache"),
        "HF_HOME": str(folder / "home"),
        "HF_HUB_OFFLINE": "0",
        "TURNAROUND_DATA": str(folder / "data"),
        "TURNAROUND_WEIGHTS": str(folder / "by hand"),
    }


def other_process(hub: Hub, folder: Path) -> dict[str, str]:
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TURNAROUND_")) and "proxy" not in k.lower()
    }
    return kept | environment(hub, folder) | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def a_source(
    repository: str = "lab/thing",
    revision: str = COMMIT,
    files: dict[str, bytes] | None = None,
    *,
    hashes: bool = True,
    gated: bool = False,
    licence: str = "MIT",
) -> Source:
    """A source of these files; with their checksums or, as most cards have to, without."""
    listed = tuple(
        WeightFile(path, len(content), sha256(content) if hashes else None, exact=hashes)
        for path, content in (FILES if files is None else files).items()
    )
    return Source(repository, revision, listed, licence, gated)


def weights_of(*sources: Source) -> Weights:
    return Weights("The Thing", sources or (a_source(),))


def listening() -> tuple[Report, list[tuple[float, str]]]:
    """A report, and the list of what it hears."""
    heard: list[tuple[float, str]] = []
    return Report(lambda fraction, message, preview: heard.append((fraction, message))), heard


def cached_files(folder: Path) -> set[str]:
    """What lies in the cache of "lab/thing", without its locks."""
    inside = folder / "cache" / "models--lab--thing"
    return {path.relative_to(inside).as_posix() for path in inside.rglob("*") if path.is_file()}


PYTHON = sys.executable
