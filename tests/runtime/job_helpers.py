"""Runs for tests, and waiting for what they do."""

import time
from collections.abc import Callable

from pipelines.core.cameras import orbit
from pipelines.runtime.compare import Failed
from pipelines.runtime.jobs import Job, Jobs, Saved
from pipelines.runtime.method import Method, Request
from tests.toy_methods import Slow, SlowOptions, a_subject

SUBJECT = a_subject()


def start(jobs: Jobs, *methods: Method, visitor: str = "anna", steps: int = 50, views: int = 2) -> Job:
    def request(method: Method) -> Request:
        options = SlowOptions(steps) if isinstance(method, Slow) else None
        return Request(SUBJECT, orbit(views), options=options, size_px=128)

    return jobs.start(SUBJECT, [(method, request(method)) for method in methods], visitor)


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def end_of(job: Job) -> list[Saved | Failed]:
    return [event for event in job.follow() if isinstance(event, Saved | Failed)]
