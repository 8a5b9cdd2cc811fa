"""What the page works with: everything a server holds, put together once at the start."""

from dataclasses import dataclass

from pipelines.registry import METHODS
from pipelines.runtime.archive import Archive
from pipelines.runtime.engine import InProcessEngine
from pipelines.runtime.intake import Intake
from pipelines.runtime.jobs import Jobs
from pipelines.runtime.method import Method
from pipelines.runtime.settings import Settings


@dataclass(frozen=True)
class Studio:
    settings: Settings
    methods: tuple[Method, ...]
    intake: Intake
    archive: Archive
    jobs: Jobs


def open_studio(settings: Settings, methods: tuple[Method, ...] = METHODS) -> Studio:
    archive = Archive(settings)
    return Studio(
        settings, methods, Intake(settings.limits, workers=2), archive, Jobs(InProcessEngine(), archive, settings)
    )
