"""What the page does with runs: begin one, begin one again, stop, keep and delete. The wall follows them by itself."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr

from pipelines.core.cameras import SWING_DEG, View, path
from pipelines.core.errors import TurnaroundError
from pipelines.core.ways import DRAWN, along, comes_back, read_way
from pipelines.runtime.camera_kind import Asked, kind_of
from pipelines.runtime.compare import Task, sentence_of
from pipelines.runtime.job import Job
from pipelines.runtime.method import Request, options_from
from pipelines.runtime.settings import SIZES_PX
from pipelines.runtime.shelf import GONE
from ui import status
from ui.camera_pad import FEWEST, MOST, ONE_VIEW, ORBIT
from ui.markup import problem
from ui.method_cards import chosen_options, estimates, facts, read_method_cards, total, values_for
from ui.photos import NO_PHOTO, NOT_CUT_OUT, Photos
from ui.phrases import phrase
from ui.visitors import address_of
from ui.wall_data import Shown, parse_spec, shown, spec_text

NO_SUCH_TILE = "This result is no longer here, so it cannot be run again. Start a new run from the photo."
NOTHING_DRAWN = "No path is drawn yet. Drag the camera on the pad: the way it goes is the path."
NO_SUCH_CAMERA = "This result has cameras that the controls cannot express. It can be run again exactly, though."
STILL_MADE = "This result is still being made. Cancel it first, or delete it once it is done."
NOT_YOURS = "Only the browser that made a result can delete it, and this one did not, or has forgotten it."


@dataclass
class LastPress:
    """Of an open page: when that press was made whose run took the place of all others, by its clock in ms."""

    at_ms: float = 0.0


class Runs:
    """One for all visitors; `visitor` is a key that each browser makes for itself and keeps."""

    def __init__(self, photos: Photos) -> None:
        self.photos, self.studio = photos, photos.studio
        self._pages: WeakKeyDictionary[Job, str] = WeakKeyDictionary()
        """Which open page began a run."""

    def generate(
        self,
        pressed_ms: float,
        last: LastPress,
        prepared_id: str,
        photo_elevation_deg: float,
        kind: str,
        azimuth_deg: float,
        elevation_deg: float,
        distance: float,
        count: float,
        pad: Any,
        seed: float,
        size_px: float,
        visitor: str,
        spec: str,
        beside: bool,
        price: str,
        request: gr.Request,
        *method_values: Any,
    ) -> tuple[Any, Any]:
        """Begin a run. The wall then shows it: beside what is there or alone; what was there is then wanted no more."""
        try:
            if pressed_ms < last.at_ms and not beside:
                return gr.skip(), gr.skip()  # the later press has taken its place already
            on_wall = ids_in(spec)
            views = chosen_views(kind, azimuth_deg, elevation_deg, distance, count, pad)
            chosen = read_method_cards(self.studio.methods, method_values)
            subject = self.photos.subject(prepared_id, photo_elevation_deg, on_wall)  # it may have to be cut out
            tasks = [(method, Request(subject, views, seed, options, size_px)) for method, options in chosen]  # type: ignore[arg-type] - Request checks
            if beside:
                return self._begin(tasks, visitor, request, spec)
            # The wall may not have heard yet of a run that this page began a moment ago.
            page = str(request.session_hash)
            begun = self._begin(
                tasks, visitor, request, replaces=lambda job: job.id in on_wall or self._pages.get(job) == page
            )
            last.at_ms = pressed_ms
            return begun
        except BaseException as error:
            said = problem(sentence_of(error))
            return gr.skip(), "" if said in str(price) else said  # it stands there already

    def again(self, event: gr.EventData, spec: str, visitor: str, request: gr.Request) -> tuple[Any, str]:
        """Run one tile again, exactly or with another seed, beside what is on the wall."""
        try:
            asked = said(event)
            tried, key = shown(self.studio, asked.get("id")), str(asked.get("key"))
            method, same = self._task(tried, key)
            if (seed := asked.get("seed")) is not None:
                same = Request(same.subject, same.views, seed, same.options, same.size_px)
            return self._begin([(method, same)], visitor, request, without_failed(spec, tried, key))
        except BaseException as error:
            return gr.skip(), problem(sentence_of(error))

    def stop(self, event: gr.EventData, visitor: str, request: gr.Request) -> None:
        """Stop a whole run or one method of it, if it is this visitor's own; its tile tells the rest."""
        asked = said(event)
        job = self.studio.jobs.find(str(asked.get("id")))
        if job and job.visitor == _visitor(visitor, request):
            key = asked.get("key")
            job.cancel(key if isinstance(key, str) else None)

    def stop_all(self, spec: str, visitor: str, request: gr.Request) -> None:
        """Stop every run of this visitor's that is on the wall."""
        for id in ids_in(spec):
            job = self.studio.jobs.find(id)
            if job and job.visitor == _visitor(visitor, request):
                job.cancel()

    def taken(self, event: gr.EventData) -> None:
        """A link was copied: its run goes on although the page be closed."""
        if job := self.studio.jobs.find(str(said(event).get("id"))):
            job.keep()

    @staticmethod
    def mended(said: str) -> Any:
        """There is another cut-out: what was wrong with the one before is no more."""
        return "" if any(sentence in str(said) for sentence in (NO_PHOTO, NOT_CUT_OUT, GONE)) else gr.skip()

    def forget(self, event: gr.EventData, spec: str, visitor: str) -> tuple[Any, str, Any]:
        """Delete a result for everyone: off the wall, off the history, and off the disk."""
        try:
            id = str(said(event).get("id"))
            if (job := self.studio.jobs.find(id)) and job.working:
                raise TurnaroundError(STILL_MADE if job.visitor == visitor else NOT_YOURS)
            if not self.studio.archive.owned_by(id, visitor):
                raise TurnaroundError(NOT_YOURS)
            self.studio.archive.delete(id)
            return self._what_is_left(spec, id), status.said(phrase("run.deleted")), {"forgotten": id}
        except BaseException as error:
            return gr.skip(), problem(sentence_of(error)), gr.skip()

    def adopt(self, event: gr.EventData, pad: Any) -> tuple[Any, ...]:
        """The settings a tile was made with, for the controls: its result's id, kind, azimuth, elevation, distance,
        count, the camera pad's value, seed, size, the methods' values, and what to say.
        """
        try:
            asked = said(event)
            source = shown(self.studio, asked.get("id"))
            method, request = self._task(source, str(asked.get("key")))
            camera = camera_of(request.views)
            azimuth_deg, elevation_deg, distance = dataclasses.astuple(camera.view)
            at = {"kind": camera.kind, "azimuth": azimuth_deg, "elevation": elevation_deg, "distance": distance}
            several = {} if camera.kind == ONE_VIEW else {"count": camera.count}
            way = [dataclasses.astuple(view) for view in request.views] if camera.kind == DRAWN else []
            pad = {**pad, **at, **several, "way": way}
            options = dataclasses.asdict(request.options or method.Options())
            values = values_for(self.studio.methods, {method.card.key: options})
            size_px = min(max(request.size_px, SIZES_PX[0]), SIZES_PX[1])
            where = *at.values(), several.get("count", gr.skip()), pad
            return source.id, *where, request.seed, size_px, *values, status.said(phrase("run.adopted"))
        except BaseException as error:
            unchanged = 9 + len(values_for(self.studio.methods, {}))
            return *(gr.skip() for _ in range(unchanged)), problem(sentence_of(error))

    def prices(
        self, kind: str, elevation_deg: float, distance: float, count: float, size_px: float, *method_values: Any
    ) -> tuple[str, ...]:
        """What each method would take here and now, for its card; and what Generate would take with the chosen ones."""
        machine = self.studio.machine()
        try:
            kind = ORBIT if kind == DRAWN else kind  # as many views, drawn yet or not
            views = chosen_views(kind, 0, elevation_deg, distance, count)
            borrowed_s = self.studio.jobs.engine.borrowed_s
            priced = estimates(self.studio.methods, method_values, views, int(size_px), machine, borrowed_s)
            options = chosen_options(self.studio.methods, method_values, priced)
            sums = total(self.studio.methods, method_values, priced)
        except BaseException as error:
            priced, options, sums = {}, {}, problem(sentence_of(error))
        by_key = {method.card.key: method for method in self.studio.methods}
        return *(facts(by_key[key], machine, priced.get(key), options.get(key)) for key in by_key), sums

    def _what_is_left(self, spec: str, id: str) -> str:
        """Of the wall without this result. Another may have been deleted a moment ago, which its page does not know."""
        left = without(spec, id)
        for other in ids_in(left):
            try:
                shown(self.studio, other)
            except TurnaroundError:
                left = without(left, other)
        return left

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _begin(
        self,
        tasks: list[Task],
        visitor: str,
        request: gr.Request,
        beside: str = "",
        replaces: Callable[[Job], bool] = lambda job: False,
    ) -> tuple[str, str]:
        subject = tasks[0][1].subject
        job = self.studio.jobs.start(subject, tasks, _visitor(visitor, request), visitor, address_of(request), replaces)
        self._pages[job] = str(request.session_hash)
        return ",".join(filter(None, (beside, job.id))), ""

    def _task(self, tried: Shown, key: str) -> Task:
        """The very request that made a tile, or failed to."""
        for method, request in tried.job.tasks if tried.job else ():
            if method.card.key == key:
                return method, request
        method = next((method for method in self.studio.methods if method.card.key == key), None)
        made = next((made for made in tried.result.turnarounds if made.key == key), None) if tried.result else None
        if made is None or method is None:
            raise TurnaroundError(NO_SUCH_TILE)
        asked = made.manifest
        subject = self.studio.archive.subject(tried.id)
        return method, Request(
            subject, asked.views, asked.seed, options_from(method.Options, asked.options), asked.size_px
        )


def chosen_views(
    kind: str, azimuth_deg: float, elevation_deg: float, distance: float, count: float, pad: Any = None
) -> tuple[View, ...]:
    whole = math.floor(count + 0.5) if count == count and abs(count) < 1e6 else 0  # as the browser rounds
    if kind == DRAWN:
        way = pad.get("way") if isinstance(pad, Mapping) else None
        if not way:
            raise TurnaroundError(NOTHING_DRAWN)
        return along(read_way(way), whole)
    return path(kind, whole, View(azimuth_deg, elevation_deg, distance))


def camera_of(views: Sequence[View]) -> Asked:
    """What the controls say for these views: a path that is drawn, where they have no other."""
    asked = kind_of(views)
    if asked is None or not math.isclose(asked.swing_deg, SWING_DEG):
        asked = Asked(DRAWN, len(views), views[-1])
    as_many = asked.kind == ONE_VIEW or FEWEST <= asked.count <= MOST
    if not as_many or (asked.kind == DRAWN and comes_back(views)):
        raise TurnaroundError(NO_SUCH_CAMERA)
    return asked


def said(event: gr.EventData) -> Mapping[str, Any]:
    """What the wall said with its event; a request may say anything."""
    data = event._data
    if not isinstance(data, Mapping):
        raise TurnaroundError("This request could not be understood.")
    return data


def ids_in(spec: object) -> list[str]:
    """Of the results on the wall; of what is no wall, none."""
    try:
        return [id for id, _ in parse_spec(spec)]
    except TurnaroundError:
        return []


def without(spec: str, id: str) -> str:
    return spec_text(entry for entry in parse_spec(spec) if entry[0] != id)


def without_failed(spec: str, tried: Shown, key: str) -> str:
    """The wall without the tile that is tried again, if that one failed: the new one takes its place."""
    made = {turnaround.key for turnaround in tried.result.turnarounds} if tried.result else set()
    if key in made:
        return spec
    keys = [method.card.key for method in tried.job.methods] if tried.job else list(made)
    entries = []
    for id, wanted in parse_spec(spec):
        if id != tried.id:
            entries.append((id, wanted))
        elif others := tuple(each for each in wanted or keys if each != key):
            entries.append((id, others))
    return spec_text(entries)


def _visitor(visitor: str, request: gr.Request) -> str:
    return visitor or str(request.session_hash or "")
