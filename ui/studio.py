"""What the page works with: everything a server holds, put together once at the start."""

from dataclasses import dataclass

from pipelines.registry import METHODS
from pipelines.runtime.archive import Archive
from pipelines.runtime.devices import Machine
from pipelines.runtime.engine import open_engine
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

    def machine(self) -> Machine:
        """The one that methods run on."""
        return self.jobs.engine.machine(self.settings.data)


def open_studio(settings: Settings, methods: tuple[Method, ...] = METHODS) -> Studio:
    archive, engine = Archive(settings), open_engine(settings, methods)
    return Studio(settings, methods, Intake(settings.limits, workers=2), archive, Jobs(engine, archive, settings))
