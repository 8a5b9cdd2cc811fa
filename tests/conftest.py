"""What every test may use."""

import gc
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
