"""What every test may use."""

import gc
import itertools
import os
import sys

import hypothesis
import pytest

import ui  # noqa: F401 - before a test imports Gradio
from pipelines.runtime.memory import started, starting
from tools import browser

# Tests start a hundred processes: what one has compiled the others read, whatever the environment says about keeping it
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # tests open no connection to anyone
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers share two cores
os.environ["TURNAROUND_PRECISION"] = "float32"  # whatever the processor is good at
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")  # as the app does before it imports rembg

starting()  # what test files import stays: looking through it again and again was a sixth of what the tests took

# No deadline: how long an example takes says what else the machine does
hypothesis.settings.register_profile("no clock", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("no clock")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a browser come among the others: three browsers at once keep each other waiting on two cores."""
    files = [list(of_one) for _, of_one in itertools.groupby(items, lambda item: item.path)]
    with_browser = [file for file in files if file[0].get_closest_marker("browser")]
    without = [file for file in files if file not in with_browser]
    placed = [(i / len(kind), file) for kind in (with_browser, without) for i, file in enumerate(kind)]
    items[:] = itertools.chain.from_iterable(file for _, file in sorted(placed, key=lambda one: one[0]))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    started()


@pytest.fixture(scope="module", autouse=True)
def what_came_before_stays() -> None:
    """Or each look for garbage that a file of tests asks for goes through what all files before it have loaded."""
    gc.collect()
    started()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium that starts. `make test` installs one; without it the browser tests fail, never skip."""
    path = browser.find()
    if path is None:
        pytest.fail("No Chromium that starts was found. Run `make test`, or `python tools/browser.py`.")
    return path
