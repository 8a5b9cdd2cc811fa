"""A depth of the photo that the visitor brings along: how it comes, how it goes, and the photo framed anew with it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import gradio as gr

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.compare import sentence_of
from ui.cutout import Tried
from ui.photos import NO_PHOTO
from ui.subject_events import SubjectEvents, SubjectPanel


class DepthPanel(NamedTuple):
    """What changes when one comes or goes, before the photo is framed anew."""

    cutout: Any = gr.skip()
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
            return DepthPanel(self._events.refused(prepared_id, sentence_of(error)), [])
        return DepthPanel(unprepared=[self._events.photos.shelf.put(replace(entry, depth=read, subject=None))])

    def drop(self, prepared_id: str) -> DepthPanel:
        try:
            entry = self._events.photos.entry(prepared_id)
        except BaseException as error:
            return DepthPanel(self._events.refused(prepared_id, sentence_of(error)), [])
        return DepthPanel(unprepared=[self._events.photos.shelf.put(replace(entry, depth=None, subject=None))])

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
