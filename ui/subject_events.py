"""What the subject panel's controls do. Every outcome, good or bad, is something to show."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from PIL import Image

from pipelines.core.cameras import DEFAULT_FILL
from pipelines.core.errors import Cancelled
from pipelines.core.images import Photo
from pipelines.core.mask import Repair, check_feather
from pipelines.core.subject import NONE, check_fill
from pipelines.runtime.compare import sentence_of
from pipelines.runtime.prepare import AUTO
from pipelines.runtime.removers import OUTLINE, REMOVERS
from pipelines.runtime.shelf import Prepared
from ui import cutout
from ui.background import Background
from ui.cutout import Tried
from ui.mask_editor import Canvas, canvas
from ui.photos import EXAMPLE_IDS, NotFramed, Photos
from ui.temp import UPLOAD
from ui.uploads import TOO_LARGE

SHOWN_PX = 1024  # the photo on the page is never shown larger


class PhotoPanel(NamedTuple):
    """What changes on the page when another photo comes, in the order of the outputs.

    Apart from `SubjectPanel`, because Gradio spoils an image that a stream sets once and then skips.
    """

    photo: Any = gr.skip()
    photo_elevation: Any = gr.skip()
    cutout: Any = gr.skip()
    prepared: Any = gr.skip()
    stop: Any = gr.skip()
    offer: Any = gr.skip()
    remover: Any = gr.skip()
    fill: Any = gr.skip()
    feather: Any = gr.skip()
    unprepared: Any = gr.skip()
    """What `prepare_next` is to cut out: a list with its id, which it takes out."""


class SubjectPanel(NamedTuple):
    """What may change on the page while a photo is cut out, in the order of the outputs."""

    cutout: Any = gr.skip()
    prepared: Any = gr.skip()
    stop: Any = gr.skip()
    offer: Any = gr.skip()
    compared: Any = gr.skip()
    tried: Any = gr.skip()
    picture: Any = gr.skip()
    remover: Any = gr.skip()


class _Preparing(NamedTuple):
    """What is being cut out for a page."""

    wish: tuple[object, ...]
    cancelled: threading.Event


class SubjectEvents:
    """One for all visitors. What belongs to one of them is in their page, or under an id only they know."""

    def __init__(self, photos: Photos) -> None:
        self.photos = photos
        self._preparing: dict[str, _Preparing] = {}

    # --- Another photo ------------------------------------------------------------------------------------------------

    def take_photo(self, photo: Any, prepared_id: str) -> PhotoPanel:
        """A photo was uploaded, pasted or taken: a file object, not opened yet. It goes once its pixels are known."""
        if photo is None or Path(str(photo.get("path"))).stem != UPLOAD:  # taken away, or what we show ourselves
            return PhotoPanel()
        try:
            taken = self.photos.read_upload(photo)
        except BaseException as error:
            return self._still(prepared_id, sentence_of(error))
        bare = self.photos.shelf.put(Prepared(taken, AUTO, DEFAULT_FILL))
        return PhotoPanel(
            _shown(taken), 0, cutout.nothing("cutout.awaited"), bare, _hidden(), _hidden(), unprepared=[bare]
        )

    def refuse_large(self, prepared_id: str) -> str:
        """The browser held a photo back that the server would not take; what is there stays."""
        return self._refused(prepared_id, TOO_LARGE.format(mb=self.photos.studio.settings.max_upload_mb))

    def clear_photo(self, request: gr.Request) -> SubjectPanel:
        self._supersede(request)
        return SubjectPanel(cutout.nothing(), "", _hidden(), _hidden(), "", (), "")

    def adopt(self, result_id: str, prepared_id: str) -> PhotoPanel:
        """The subject of a result, ready for other views; without one, what the page has anyway."""
        try:
            entry = self.photos.of_result(result_id) if result_id else None
        except BaseException:  # whoever opens the result says why
            entry = None
        if entry is None or (subject := entry.subject) is None:
            return PhotoPanel(unprepared=[prepared_id])
        kept = self.photos.shelf.put(entry)
        return PhotoPanel(
            photo=_shown(entry.photo),
            photo_elevation=subject.elevation_deg,
            remover=AUTO,
            fill=round(100 * subject.fill),
            feather=0,  # it is in the pixels by now
            unprepared=[kept],
        )

    def tapped(self, example_id: str) -> Callable[[], PhotoPanel]:
        """What a tap on an example does."""
        example = EXAMPLE_IDS[example_id]
        return lambda: PhotoPanel(
            str(example.path), example.elevation_deg, prepared=example_id, unprepared=[example_id]
        )

    def _still(self, prepared_id: str, sentence: str) -> PhotoPanel:
        """A photo was refused: the one before it, if any, is still the subject."""
        kept = self.photos.find(prepared_id)
        return PhotoPanel(
            photo=_shown(kept.photo) if kept else None,
            cutout=cutout.refused(sentence, kept.subject if kept else None),
            prepared=prepared_id if kept else "",
            stop=_hidden(),
            offer=_hidden(),
            unprepared=[],
        )

    # --- The same photo, cut out otherwise ----------------------------------------------------------------------------

    def prepare_next(
        self,
        unprepared: list[str],
        remover: str,
        fill_percent: float,
        feather_percent: float,
        tried: tuple[Tried, ...],
        request: gr.Request,
    ) -> Iterator[SubjectPanel]:
        """After whatever may have brought another photo: cut it out, once. The page's own pictures count, too."""
        try:
            prepared_id = unprepared.pop()
        except IndexError:
            yield SubjectPanel()
            return
        yield from self.prepare_again(prepared_id, remover, fill_percent, feather_percent, tried, request)

    def prepare_again(
        self,
        prepared_id: str,
        remover: str,
        fill_percent: float,
        feather_percent: float,
        tried: tuple[Tried, ...],
        request: gr.Request,
    ) -> Iterator[SubjectPanel]:
        """There is another photo, or the remover, the share of the frame or the soft edge was changed."""
        if not prepared_id:
            yield SubjectPanel()
            return
        try:
            entry = self.photos.entry(prepared_id)
        except BaseException as error:
            yield SubjectPanel(cutout.refused(sentence_of(error)), stop=_hidden(), picture="")
            return
        try:
            fill, feather = check_fill(fill_percent / 100), check_feather(feather_percent / 100)
        except BaseException as error:
            yield SubjectPanel(cutout.refused(sentence_of(error), entry.subject))
            return
        known = entry if entry.remover == remover else self._known(entry, remover, tried)
        if known and _as_good_as(known, fill, feather):
            fill, feather = known.fill, known.feather
        wanted = replace(
            known or Prepared(entry.photo, remover, fill),
            remover=remover,
            fill=fill,
            feather=feather,
            depth=entry.depth,
        )
        yield from self._arrive(prepared_id, wanted, known, tried, request)

    def return_to(
        self,
        prepared_id: str,
        fill_percent: float,
        feather_percent: float,
        tried: tuple[Tried, ...],
        request: gr.Request,
        tap: gr.EventData,
    ) -> Iterator[SubjectPanel]:
        """One of the removers tried before was tapped: what it found is not looked for again."""
        used = str((tap._data or {}).get("used"))
        known = next((one for one in tried if one.used == used), None)
        entry = self.photos.find(known.prepared_id) if known else None
        remover = entry.remover if entry else used if used in (NONE, *REMOVERS) else AUTO
        for panel in self.prepare_again(prepared_id, remover, fill_percent, feather_percent, tried, request):
            yield panel._replace(remover=remover)

    def paint(
        self, prepared_id: str, tried: tuple[Tried, ...], request: gr.Request, painted: gr.EventData
    ) -> SubjectPanel:
        """A stroke was added, undone or rubbed out: all strokes on this photo, as an upload.

        No stream: the guard would look for the upload at each of its steps, and it is gone once it is read.
        """
        layer = (painted._data or {}).get("strokes")
        try:
            with self.photos.forgetting(layer):
                entry = self.photos.entry(prepared_id)
                repair = self.photos.read_strokes(layer, entry.photo)
        except BaseException as error:
            return SubjectPanel(cutout=self._refused(prepared_id, sentence_of(error)))
        return self._repaired(prepared_id, entry, repair, tried, request)

    def start_over(self, prepared_id: str, tried: tuple[Tried, ...], request: gr.Request) -> SubjectPanel:
        """Every stroke goes."""
        if not prepared_id:
            return SubjectPanel()
        try:
            entry = self.photos.entry(prepared_id)
        except BaseException as error:
            return SubjectPanel(cutout=self._refused(prepared_id, sentence_of(error)))
        return self._repaired(prepared_id, entry, None, tried, request)

    def show_mask(self, prepared_id: str, unfolded: bool) -> tuple[Any, bool]:
        """There is another mask: into the editor if that is in sight. And whether it still has to be shown."""
        return (self._canvas(prepared_id), False) if unfolded else (gr.skip(), True)

    def unfold(self, prepared_id: str, stale: bool) -> tuple[Any, bool, bool]:
        """The editor comes into sight. What was painted there before stays, and can still be undone."""
        return self._canvas(prepared_id) if stale else gr.skip(), False, True

    def stop_preparing(self, request: gr.Request) -> None:
        if running := self._preparing.get(_session(request)):
            running.cancelled.set()

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _supersede(self, request: gr.Request) -> None:
        """What is being cut out for this page is not wanted any more, finished or not."""
        if running := self._preparing.pop(_session(request), None):
            running.cancelled.set()

    def _canvas(self, prepared_id: str) -> Canvas | None:
        """What this photo's remover found, and what was painted over it."""
        entry = self.photos.find(prepared_id)
        return canvas(entry.photo, entry.found.alpha, entry.repair) if entry and entry.found else None

    def _known(self, entry: Prepared, remover: str, tried: tuple[Tried, ...]) -> Prepared | None:
        """What this remover made of the same photo before, if that is still held."""
        for one in tried:
            known = self.photos.find(one.prepared_id) if one.photo_sha256 == entry.photo.sha256 else None
            if known and remover in (known.remover, one.used):
                return known
        return None

    def _repaired(
        self, prepared_id: str, entry: Prepared, repair: Repair | None, tried: tuple[Tried, ...], request: gr.Request
    ) -> SubjectPanel:
        if _same(repair, entry.repair):
            return SubjectPanel()
        return list(self._arrive(prepared_id, replace(entry, repair=repair), entry, tried, request))[-1]

    def _arrive(
        self,
        prepared_id: str,
        wanted: Prepared,
        known: Prepared | None,
        tried: tuple[Tried, ...],
        request: gr.Request,
    ) -> Iterator[SubjectPanel]:
        """At what is wanted: at once if it is known just like that, else by cutting out."""
        now = self._preparing.get(_session(request))
        if now and now.wish == _whole_wish(wanted) and not now.cancelled.is_set():
            yield SubjectPanel()  # it is under way: Gradio's dropdown tells of one choice twice
            return
        self._supersede(request)
        tried = tuple(one for one in tried if one.photo_sha256 == wanted.photo.sha256)
        its_id = next((one.prepared_id for one in tried if known and one.used == _used(known)), prepared_id)
        if known and known.subject and _wish(known) == _wish(wanted):
            yield self._settled(its_id if self.photos.find(its_id) is known else prepared_id, known, tried)
            return
        yield from self._prepare(its_id if known else "", prepared_id, wanted, tried, request)

    def _prepare(
        self, replaced_id: str, now_id: str, wanted: Prepared, tried: tuple[Tried, ...], request: gr.Request
    ) -> Iterator[SubjectPanel]:
        """Cut out, telling how far it is; a newer wish of the same page replaces an older one."""
        session = _session(request)
        with Background(lambda report: self.photos.prepare(wanted, report)) as running:
            self._supersede(request)
            mine = self._preparing[session] = _Preparing(_whole_wish(wanted), running.cancelled)

            def at_it() -> bool:
                """Otherwise a newer one has the page, and the last word is to be an empty one: Gradio says it twice."""
                return self._preparing.get(session) is mine

            try:
                yield SubjectPanel()  # a generator that yields nothing would empty the page
                for step in running:
                    if wanted.found:  # framing is quick: what is there stays in sight meanwhile
                        continue
                    yield SubjectPanel(cutout=cutout.at_work(step), stop=gr.Button(visible=True), offer=_hidden())
                done = running.result()
                kept = self.photos.shelf.put(done, replaced_id) if at_it() else None
                yield self._settled(kept, done, tried) if kept else SubjectPanel()
            except GeneratorExit:
                raise
            except BaseException as error:
                yield self._failed(error, now_id, wanted, tried) if at_it() else SubjectPanel()
            finally:
                if at_it():
                    del self._preparing[session]

    def _failed(self, error: BaseException, now_id: str, wanted: Prepared, tried: tuple[Tried, ...]) -> SubjectPanel:
        stopped = isinstance(error, Cancelled)  # asked for, no alarm
        if stopped and (before := self.photos.find(now_id)) and before.subject:
            return self._settled(now_id, before, tried)._replace(remover=before.remover)
        needs_model = wanted.remover in REMOVERS and REMOVERS[wanted.remover].model is not None
        kept = error.prepared if isinstance(error, NotFramed) else replace(wanted, subject=None)
        return SubjectPanel(
            cutout=cutout.nothing("cutout.stopped") if stopped else cutout.refused(sentence_of(error)),
            prepared=self.photos.shelf.put(kept),
            stop=_hidden(),
            offer=gr.Button(visible=needs_model),
            compared=cutout.compared(tried, ""),  # none of them is the one that was wanted
            picture="",
        )

    def _settled(self, prepared_id: str, entry: Prepared, tried: tuple[Tried, ...]) -> SubjectPanel:
        """This is the subject now."""
        assert entry.subject is not None and entry.found is not None
        thumbnail = cutout.data_url(entry.subject.rgba, cutout.THUMBNAIL_PX)
        now = Tried(entry.found.remover, prepared_id, entry.photo.sha256, thumbnail)
        if now.used in (one.used for one in tried):
            tried = tuple(now if one.used == now.used else one for one in tried)
        else:
            tried = (*tried, now)
        return SubjectPanel(
            cutout=cutout.cutout(entry.subject),
            prepared=prepared_id,
            stop=_hidden(),
            offer=_hidden(),
            compared=cutout.compared(tried, prepared_id),
            tried=tried,
            picture=cutout.data_url(entry.subject.rgba, cutout.PAD_PX),
        )

    def _refused(self, prepared_id: str, sentence: str) -> str:
        kept = self.photos.find(prepared_id)
        return cutout.refused(sentence, kept.subject if kept else None)


def offered_remover() -> str:
    return OUTLINE


def _used(entry: Prepared) -> str | None:
    return entry.found.remover if entry.found else None


def _wish(entry: Prepared) -> tuple[float, float, int, int]:
    return entry.fill, entry.feather, id(entry.repair), id(entry.depth)


def _whole_wish(entry: Prepared) -> tuple[object, ...]:
    return (entry.photo.sha256, entry.remover, *_wish(entry))


def _as_good_as(entry: Prepared, fill: float, feather: float) -> bool:
    """Within a step of the sliders: a stored subject may have been framed between two."""
    return abs(entry.fill - fill) < 0.005 and abs(entry.feather - feather) < 0.0005


def _same(one: Repair | None, other: Repair | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool((one.added == other.added).all() and (one.removed == other.removed).all())


def _hidden() -> Any:
    return gr.Button(visible=False)


def _session(request: gr.Request) -> str:
    return str(request.session_hash or "")


def _shown(photo: Photo) -> Image.Image:
    """The photo as the page shows it from now on: upright, without metadata."""
    image = Image.fromarray(photo.rgba)
    image.thumbnail((SHOWN_PX, SHOWN_PX))
    return image
