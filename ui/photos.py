"""From an upload to a subject, for the page and the endpoints alike: what is held in memory, and under which ids."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.core.cameras import DEFAULT_FILL
from pipelines.core.errors import TurnaroundError
from pipelines.core.images import Photo
from pipelines.core.subject import Subject, check_elevation
from pipelines.runtime.method import Report
from pipelines.runtime.prepare import AUTO, prepare
from pipelines.runtime.shelf import Prepared, Shelf
from ui.examples import EXAMPLES
from ui.guard import NOT_OURS, is_ours
from ui.studio import Studio
from ui.temp import forget_upload

EXAMPLE_IDS = {f"example:{index}": example for index, example in enumerate(EXAMPLES)}
"""What stands for an example in the place of an id of the shelf's; it is prepared when it is first needed."""
FIRST_EXAMPLE = next(iter(EXAMPLE_IDS), "")

NO_PHOTO = "There is no photo yet. Upload one, or choose an example."
NOT_CUT_OUT = "The photo is not cut out yet. See the message beside it, then press Generate again."


class Photos:
    """One for all visitors. What belongs to one of them is under an id only they know."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.shelf = Shelf(keep_s=studio.settings.temp_hours * 3600)
        self._examples: dict[str, str] = {}

    def read_upload(self, photo: Any) -> Photo:
        """The photo in an upload, a file object of Gradio's; the file itself is removed, readable or not.

        The guard has already refused every file that is no upload; this holds it once more, right before reading.
        """
        path = photo.get("path") if isinstance(photo, dict) else None
        if not isinstance(path, str):
            raise TurnaroundError("A photo is missing. Upload one as a file.")
        if not is_ours(path):
            raise TurnaroundError(NOT_OURS)
        with self.forgetting(photo):
            return self.studio.intake.read(Path(path))

    @contextmanager
    def forgetting(self, photo: Any) -> Iterator[None]:
        """However the block ends, the raw upload is gone then."""
        try:
            yield
        finally:
            path = photo.get("path") if isinstance(photo, dict) else None
            if isinstance(path, str) and is_ours(path):
                forget_upload(Path(path))

    def cut_out(self, wanted: Prepared, report: Report | None = None) -> Subject:
        settings = self.studio.settings
        return prepare(wanted.photo, remover=wanted.remover, fill=wanted.fill, settings=settings, report=report)

    def entry(self, prepared_id: object) -> Prepared:
        """What the id stands for. An example is prepared once for everyone."""
        if not isinstance(prepared_id, str) or prepared_id not in EXAMPLE_IDS:
            return self.shelf.get(prepared_id)
        known = self.shelf.find(self._examples.get(prepared_id))
        if known is None:
            photo = self.studio.intake.read(EXAMPLE_IDS[prepared_id].path)
            bare = Prepared(photo, AUTO, DEFAULT_FILL)
            known = replace(bare, subject=self.cut_out(bare))
            self._examples[prepared_id] = self.shelf.put(known)
        return known

    def subject(self, prepared_id: str, photo_elevation_deg: float) -> Subject:
        if not prepared_id:
            raise TurnaroundError(NO_PHOTO)
        subject = self.entry(prepared_id).subject
        if subject is None:
            raise TurnaroundError(NOT_CUT_OUT)
        return replace(subject, elevation_deg=check_elevation(photo_elevation_deg))
