"""A depth of the photo that the visitor brings along: how it comes, how it goes, and the photo framed anew with it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import gradio as gr

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.compare import sentence_of
from ui.cutout import Tried
from ui.markup import problem
from ui.photos import NO_PHOTO
from ui.phrases import phrase
from ui.subject_events import SubjectEvents, SubjectPanel
from ui.uploads import TOO_LARGE

READING = f'<p class="wait" role="status">{phrase("subject.depth_reading").html}</p>'


class DepthPanel(NamedTuple):
    """What changes when one comes or goes, before the photo is framed anew."""

    said: str
    """Where it is brought: why it was not taken, or nothing."""
    unprepared: Any = gr.skip()


class OwnDepth:
    def __init__(self, events: SubjectEvents) -> None:
        self._events = events

    def take(self, depth: Any, prepared_id: str) -> DepthPanel:
        """A depth of the photo was uploaded. Read at first: `frame_with` then knows what the page shows by then."""
        try:
            with self._events.photos.forgetting(depth):
                if not prepared_id:
                    raise TurnaroundError(NO_PHOTO)
                entry = self._events.photos.entry(prepared_id)
                read = self._events.photos.read_depth(depth, entry.photo)
        except BaseException as error:
            return DepthPanel(problem(sentence_of(error)), [])
        return DepthPanel("", [self._events.photos.shelf.put(replace(entry, depth=read, subject=None))])

    def refuse_large(self) -> str:
        """The browser held one back that the server would not take."""
        return problem(TOO_LARGE.format(mb=self._events.photos.studio.settings.max_upload_mb))

    def drop(self, prepared_id: str) -> DepthPanel:
        try:
            entry = self._events.photos.entry(prepared_id)
        except BaseException as error:
            return DepthPanel(problem(sentence_of(error)), [])
        return DepthPanel("", [self._events.photos.shelf.put(replace(entry, depth=None, subject=None))])

    def frame_with(
        self,
        unprepared: list[str],
        prepared_id: str,
        remover: str,
        fill_percent: float,
        feather_percent: float,
        tried: tuple[Tried, ...],
        request: gr.Request,
    ) -> Iterator[SubjectPanel]:
        """With another depth or without one, unless there is another photo by now."""
        wanted, now = (self._events.photos.find(id) for id in (unprepared[-1] if unprepared else "", prepared_id))
        if wanted is None or now is None or wanted.photo is not now.photo:
            unprepared.clear()
            yield SubjectPanel()
            return
        yield from self._events.prepare_next(unprepared, remover, fill_percent, feather_percent, tried, request)
