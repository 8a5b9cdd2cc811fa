"""From an upload to a subject, for the page and the endpoints alike: what is held in memory, and under which ids."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core.cameras import DEFAULT_FILL
from pipelines.core.depth_map import DepthMap, check_fits
from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.core.images import Photo
from pipelines.core.mask import Repair, strokes_of
from pipelines.core.subject import ALPHA, Subject, check_elevation
from pipelines.runtime.method import Report
from pipelines.runtime.prepare import AUTO, Found, find_alpha, frame
from pipelines.runtime.shelf import Prepared, Shelf, mark_of, subject_mark
from ui.examples import EXAMPLES
from ui.guard import NOT_OURS, is_ours
from ui.opened import opened
from ui.studio import Studio
from ui.temp import forget_upload

EXAMPLE_IDS = {f"example:{index}": example for index, example in enumerate(EXAMPLES)}
"""What stands for an example in the place of an id of the shelf's; it is prepared when it is first needed."""
FIRST_EXAMPLE = next(iter(EXAMPLE_IDS), "")

NO_PHOTO = "There is no photo yet. Upload one, or choose an example."
NOT_CUT_OUT = "The photo is not cut out yet. See the message beside it, then press Generate again."
ALL_PAINTED = "The strokes cover all of the photo, so the mask is as it was. Undo the last one, or press Start over."
NO_STROKES = "The strokes could not be read, so the mask is as it was. Press Start over and paint again."


class NotFramed(TurnaroundError):
    """No subject came of it, but what the remover found is known, and can be repaired."""

    def __init__(self, sentence: str, prepared: Prepared) -> None:
        super().__init__(sentence)
        self.prepared = prepared


class Photos:
    """One for all visitors. What belongs to one of them is under an id only they know."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.shelf = Shelf(keep_s=studio.settings.temp_hours * 3600)
        self._examples: dict[str, str] = {}

    # --- What visitors send -------------------------------------------------------------------------------------------

    def read_upload(self, photo: Any) -> Photo:
        """The photo in an upload, a file object of Gradio's; the file itself is removed, readable or not.

        The guard has already refused every file that is no upload; this holds it once more, right before reading.
        """
        with self.forgetting(photo):
            return self.studio.intake.read(_path_of(photo, "photo"))

    def read_depth(self, depth: Any, photo: Photo) -> DepthMap:
        """The depth of this photo in an upload, likewise."""
        with self.forgetting(depth):
            read = self.studio.intake.read_depth(_path_of(depth, "depth"))
        check_fits(read, photo.rgba.shape[1::-1])
        return read

    def read_strokes(self, layer: Any, photo: Photo) -> Repair | None:
        """What was painted over this photo, from the mask editor's layer in an upload, likewise."""
        try:
            painted = self.read_upload(layer).rgba
        except Cancelled:
            raise
        except TurnaroundError as refusal:
            if "fully transparent" in str(refusal):  # a photo cannot be; a layer without strokes is
                return None
            if "one even colour" in str(refusal):
                raise TurnaroundError(ALL_PAINTED) from refusal
            raise TurnaroundError(NOT_OURS if str(refusal) == NOT_OURS else NO_STROKES) from refusal
        height, width = photo.rgba.shape[:2]
        return strokes_of(painted, (width, height))

    @contextmanager
    def forgetting(self, photo: Any) -> Iterator[None]:
        """However the block ends, the raw upload is gone then."""
        try:
            yield
        finally:
            path = photo.get("path") if isinstance(photo, dict) else None
            if isinstance(path, str) and is_ours(path):
                forget_upload(Path(path))

    # --- Cutting out --------------------------------------------------------------------------------------------------

    def cut_out(self, wanted: Prepared, report: Report | None = None) -> Subject:
        subject = self.prepare(wanted, report).subject
        assert subject is not None
        return subject

    def prepare(self, wanted: Prepared, report: Report | None = None) -> Prepared:
        """The same with its subject. What a remover has found is kept, so that it does not look again."""
        found = wanted.found or find_alpha(wanted.photo, wanted.remover, self.studio.settings, report)
        kept = replace(wanted, found=found, subject=None)
        try:
            edges = {"fill": kept.fill, "feather": kept.feather, "repair": kept.repair, "depth": kept.depth}
            subject = frame(kept.photo, *found, **edges, report=report)
        except Cancelled:
            raise
        except TurnaroundError as refusal:
            raise NotFramed(str(refusal), kept) from refusal
        return replace(kept, subject=subject)

    def entry(self, prepared_id: object) -> Prepared:
        """What the id stands for. An example is prepared once for everyone."""
        if not isinstance(prepared_id, str) or prepared_id not in EXAMPLE_IDS:
            return self.shelf.get(prepared_id)
        known = self.shelf.find(self._examples.get(prepared_id))
        if known is None:
            photo = self.studio.intake.read(EXAMPLE_IDS[prepared_id].path)
            known = self.prepare(Prepared(photo, AUTO, DEFAULT_FILL))
            self._examples[prepared_id] = self.shelf.put(known)
        return known

    def find(self, prepared_id: object) -> Prepared | None:
        try:
            return self.entry(prepared_id)
        except TurnaroundError:
            return None

    def subject(self, prepared_id: str, photo_elevation_deg: float, wall: Iterable[str] = ()) -> Subject:
        """Of the photo that the page shows, never of another; `wall`: the results it shows beside it."""
        if not prepared_id:
            raise TurnaroundError(NO_PHOTO)
        self._take_back(prepared_id, wall)
        subject = self.entry(prepared_id).subject
        if subject is None:
            raise TurnaroundError(NOT_CUT_OUT)
        return replace(subject, elevation_deg=check_elevation(photo_elevation_deg))

    # --- Results ------------------------------------------------------------------------------------------------------

    def of_result(self, result_id: str) -> Prepared:
        """The subject of a result, stored or being made, or of a run that came to nothing: to go on from there."""
        job = self.studio.jobs.find(result_id)
        if job and job.tasks and job.state != "saved":
            subject = job.tasks[0][1].subject
        else:
            subject = self.studio.archive.subject(result_id)
        photo = Photo.of(subject.rgba, subject.made.photo_size_px)
        depth = None if subject.depth is None else DepthMap(subject.depth.astype(np.float32))
        # Its own alpha is its mask.
        return Prepared(photo, AUTO, subject.fill, subject, Found(subject.rgba[..., 3], ALPHA), depth=depth)

    def _take_back(self, prepared_id: str, wall: Iterable[str]) -> None:
        """What a restart has taken from the shelf: a result that was made of the very same pixels has them still."""
        wanted = mark_of(prepared_id)
        if wanted is None or self.shelf.find(prepared_id):
            return
        for result_id in wall:
            with suppress(TurnaroundError):
                if subject_mark(opened(self.studio.archive, result_id).manifest.subject) == wanted:
                    self.shelf.put_back(prepared_id, self.of_result(result_id))
                    return


def _path_of(upload: Any, thing: str) -> Path:
    path = upload.get("path") if isinstance(upload, dict) else None
    if not isinstance(path, str):
        raise TurnaroundError(f"A {thing} is missing. Upload one as a file.")
    if not is_ours(path):
        raise TurnaroundError(NOT_OURS)
    return Path(path)
