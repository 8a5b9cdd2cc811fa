"""A depth of the photo that the visitor brings along: how it comes, how it goes, and the photo framed anew with it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import gradio as gr

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.compare import sentence_of
from pipelines.runtime.shelf import Prepared
from ui.cutout import Tried
from ui.markup import problem
from ui.photos import NO_PHOTO
from ui.phrases import phrase
from ui.subject_events import SubjectEvents, SubjectPanel
from ui.uploads import TOO_LARGE

READING = f'<p class="wait" role="status">{phrase("subject.depth_reading").html}</p>'


class Brought(NamedTuple):
    """What became of a depth that was brought or is to go. Who reads it does not know yet what the page shows then."""

    asked: str
    """The id of what the page showed before."""
    said: str = ""
    """Why it was not taken."""
    made: str = ""
    """The id of the photo with it, to be framed."""


class OwnDepth:
    def __init__(self, events: SubjectEvents) -> None:
        self._events, self._photos = events, events.photos

    def take(self, depth: Any, prepared_id: str) -> list[Brought]:
        """A depth of the photo was uploaded."""

        def read(entry: Prepared) -> Prepared:
            return replace(entry, depth=self._photos.read_depth(depth, entry.photo), subject=None)

        with self._photos.forgetting(depth):
            return self._brought(prepared_id, read)

    def drop(self, prepared_id: str) -> list[Brought]:
        return self._brought(prepared_id, lambda entry: replace(entry, depth=None, subject=None))

    def refuse_large(self) -> str:
        """The browser held one back that the server would not take."""
        return problem(TOO_LARGE.format(mb=self._photos.studio.settings.max_upload_mb))

    def frame_with(
        self,
        brought: list[Brought],
        prepared_id: str,
        remover: str,
        fill_percent: float,
        feather_percent: float,
        tried: tuple[Tried, ...],
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:
        """With another depth or without one, or why not; unless there is another photo by now."""
        news = brought.pop() if brought else None
        if news is None or not self._same_photo(news.asked, prepared_id):
            yield "", *SubjectPanel()
        elif news.said:
            yield news.said, *SubjectPanel()
        else:
            wish = remover, fill_percent, feather_percent, tried, request
            for panel in self._events.prepare_again(news.made, *wish):
                yield "", *panel

    def _brought(self, prepared_id: str, change: Callable[[Prepared], Prepared]) -> list[Brought]:
        try:
            if not prepared_id:
                raise TurnaroundError(NO_PHOTO)
            return [Brought(prepared_id, made=self._photos.shelf.put(change(self._photos.entry(prepared_id))))]
        except BaseException as error:
            return [Brought(prepared_id, problem(sentence_of(error)))]

    def _same_photo(self, one_id: str, other_id: str) -> bool:
        one, other = self._photos.find(one_id), self._photos.find(other_id)
        return one_id == other_id or (one is not None and other is not None and one.photo is other.photo)
