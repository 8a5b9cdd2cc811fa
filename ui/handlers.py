"""Between the page and pipelines/: what each control does. Every outcome, good or bad, is something to show."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from PIL import Image

from pipelines.core.cameras import DEFAULT_FILL, View, orbit
from pipelines.core.errors import TurnaroundError
from pipelines.core.images import Photo
from pipelines.core.subject import Subject, check_elevation
from pipelines.runtime.compare import Failed, Progressed, sentence_of
from pipelines.runtime.devices import this_machine
from pipelines.runtime.jobs import Job, Saved
from pipelines.runtime.method import Report, Request
from pipelines.runtime.prepare import AUTO, prepare
from pipelines.runtime.removers import REMOVERS
from pipelines.runtime.shelf import Prepared, Shelf
from ui import cutout, result, status
from ui.background import Background
from ui.examples import EXAMPLES
from ui.guard import NOT_OURS, is_ours
from ui.markup import picture
from ui.method_cards import cost, read_method_cards
from ui.studio import Studio
from ui.temp import UPLOAD, forget_upload

EXAMPLE_IDS = {f"example:{index}": example for index, example in enumerate(EXAMPLES)}
"""What stands for an example in the place of an id of the shelf's; it is prepared when it is first needed."""
FIRST_EXAMPLE = next(iter(EXAMPLE_IDS), "")
ORBIT, ONE_VIEW = "Orbit", "One view"
SHOWN_PX = 1024  # the photo on the page is never shown larger
CANCEL_S = 2.0  # a page waits no longer than this for a cancelled run to end

NO_PHOTO = "There is no photo yet. Upload one, or choose an example."
NOT_CUT_OUT = "The photo is not cut out yet. See the message beside it, then press Generate again."


class PhotoPanel(NamedTuple):
    """What changes on the page when another photo comes, in the order of the outputs.

    Apart from `SubjectPanel`, because Gradio spoils an image that a stream sets once and then skips.
    """

    photo: Any = gr.skip()
    elevation: Any = gr.skip()
    cutout: Any = gr.skip()
    prepared: Any = gr.skip()
    stop: Any = gr.skip()
    offer: Any = gr.skip()
    unprepared: Any = ""
    """What is to be cut out next, by `prepare_again`; nothing, mostly."""


class SubjectPanel(NamedTuple):
    """What may change on the page while a photo is cut out, in the order of the outputs."""

    cutout: Any = gr.skip()
    prepared: Any = gr.skip()
    stop: Any = gr.skip()
    offer: Any = gr.skip()


class RunPanel(NamedTuple):
    """What may change on the page during a run, in the order of the outputs."""

    go: Any = gr.skip()
    cancel: Any = gr.skip()
    status: Any = gr.skip()
    run_id: Any = gr.skip()
    shown: Any = gr.skip()
    stage: Any = gr.skip()
    sheet: Any = gr.skip()
    model: Any = gr.skip()


class Handlers:
    """One for all visitors. What belongs to one of them is in their page, or under an id only they know."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.shelf = Shelf(keep_s=studio.settings.temp_hours * 3600)
        self._examples: dict[str, str] = {}
        self._preparing: dict[str, threading.Event] = {}

    # --- The subject --------------------------------------------------------------------------------------------------

    def take_photo(self, photo: Any, prepared_id: str) -> PhotoPanel:
        """A photo was uploaded, pasted or taken: a file object, not opened yet. It goes once its pixels are known."""
        if photo is None or Path(str(photo.get("path"))).stem != UPLOAD:  # taken away, or what we show ourselves
            return PhotoPanel()
        try:
            taken = self.read_upload(photo)
        except BaseException as error:
            return self._still(prepared_id, sentence_of(error))
        bare = self.shelf.put(Prepared(taken, AUTO, DEFAULT_FILL))
        return PhotoPanel(_shown(taken), 0, cutout.nothing("Cutting out …"), bare, _hidden(), _hidden(), bare)

    def clear_photo(self, request: gr.Request) -> SubjectPanel:
        if running := self._preparing.pop(_session(request), None):  # the page is not its own any more
            running.set()
        return SubjectPanel(cutout=cutout.nothing(), prepared="", stop=_hidden(), offer=_hidden())

    def first_subject(self, link: str, prepared_id: str) -> PhotoPanel:
        """A page is opened, perhaps with a result's link: then with that result's subject, ready for other views."""
        try:
            subject = self.studio.archive.subject(link) if link else None
        except BaseException:  # `arrive` says why
            subject = None
        if subject is None:
            return PhotoPanel(unprepared=prepared_id)
        photo = Photo.of(subject.rgba, subject.made.photo_size_px)
        return PhotoPanel(
            photo=_shown(photo),
            elevation=subject.elevation_deg,
            cutout=cutout.cutout(subject),
            prepared=self.shelf.put(Prepared(photo, AUTO, subject.fill, subject)),
        )

    def tapped(self, example_id: str) -> Callable[[], PhotoPanel]:
        """What a tap on an example does."""
        example = EXAMPLE_IDS[example_id]
        return lambda: PhotoPanel(str(example.path), example.elevation_deg, prepared=example_id, unprepared=example_id)

    def prepare_again(self, prepared_id: str, remover: str, fill: float, request: gr.Request) -> Iterator[SubjectPanel]:
        """There is another photo, or the remover or the share of the frame was changed."""
        if not prepared_id:
            yield SubjectPanel()
            return
        try:
            entry = self.entry(prepared_id)
        except BaseException as error:
            yield SubjectPanel(cutout=cutout.refused(sentence_of(error)), prepared="", stop=_hidden())
            return
        if entry.subject and (entry.remover, entry.fill) == (remover, fill):
            self.stop_preparing(request)
            yield SubjectPanel(
                cutout=cutout.cutout(entry.subject), prepared=prepared_id, stop=_hidden(), offer=_hidden()
            )
            return
        yield from self._prepare(replace(entry, remover=remover, fill=fill, subject=None), request)

    def stop_preparing(self, request: gr.Request) -> None:
        if running := self._preparing.get(_session(request)):
            running.set()

    def _prepare(self, wanted: Prepared, request: gr.Request) -> Iterator[SubjectPanel]:
        """Cut out, telling how far it is; a newer wish of the same page replaces an older one."""
        yield SubjectPanel()  # a generator that yields nothing would empty the page
        session = _session(request)
        with Background(lambda report: self.cut_out(wanted, report)) as running:
            self.stop_preparing(request)
            self._preparing[session] = running.cancelled
            try:
                for step in running:
                    yield SubjectPanel(cutout=cutout.at_work(step), stop=gr.Button(visible=True), offer=_hidden())
                done = replace(wanted, subject=running.result())
                yield SubjectPanel(
                    cutout=cutout.cutout(done.subject),  # type: ignore[arg-type] - just made
                    prepared=self.shelf.put(done),
                    stop=_hidden(),
                    offer=_hidden(),
                )
            except GeneratorExit:
                raise
            except BaseException as error:
                if self._preparing.get(session) is running.cancelled:  # else a newer one has the page now
                    needs_model = wanted.remover in REMOVERS and REMOVERS[wanted.remover].model is not None
                    yield SubjectPanel(
                        cutout=cutout.refused(sentence_of(error)),
                        prepared=self.shelf.put(wanted),
                        stop=_hidden(),
                        offer=gr.Button(visible=needs_model),
                    )
            finally:
                if self._preparing.get(session) is running.cancelled:
                    del self._preparing[session]

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

    def _still(self, prepared_id: str, sentence: str) -> PhotoPanel:
        """A photo was refused: the one before it, if any, is still the subject."""
        try:
            kept = self.entry(prepared_id)
        except BaseException:  # there is none
            kept = None
        return PhotoPanel(
            photo=_shown(kept.photo) if kept else None,
            cutout=cutout.refused(sentence, kept.subject if kept else None),
            prepared=prepared_id if kept else "",
            stop=_hidden(),
            offer=_hidden(),
        )

    # --- Runs ---------------------------------------------------------------------------------------------------------

    def generate(
        self,
        prepared_id: str,
        photo_elevation_deg: float,
        camera: str,
        azimuth_deg: float,
        elevation_deg: float,
        count: float,
        seed: float,
        size_px: float,
        visitor: str,
        before: str,
        request: gr.Request,
        *method_values: Any,
    ) -> Iterator[RunPanel]:
        """Start a run and follow it. `before` is the result on the page, which comes back if this run is cancelled."""
        try:
            # Cancel can be pressed once there is a run to cancel, not before
            yield RunPanel(_hidden(), gr.Button("Cancel", visible=True, interactive=False), status.starting())
            subject = self.subject(prepared_id, photo_elevation_deg)
            views = chosen_views(camera, azimuth_deg, elevation_deg, count)
            chosen = read_method_cards(self.studio.methods, method_values)
            tasks = [(method, Request(subject, views, seed, options, size_px)) for method, options in chosen]  # type: ignore[arg-type] - Request checks
            job = self.studio.jobs.start(subject, tasks, visitor or _session(request))
        except GeneratorExit:
            raise
        except BaseException as error:
            yield _at_rest(sentence_of(error))
            return
        yield from self._follow(job, before)

    def arrive(self, link: str) -> Iterator[RunPanel]:
        """Someone opens the page with a result's link, or reloads it: show the result, or find the run again."""
        if not link:
            yield RunPanel()
            return
        job = self.studio.jobs.find(link)
        if job and job.working:
            yield from self._follow(job, "")
        elif job and job.state == "ended":
            yield _at_rest("That run ended without a result. Press Generate to start another one.")._replace(run_id="")
        else:
            yield self._open(link)

    def show_method(self, run_id: str, key: str) -> RunPanel:
        """One of several methods of a result was chosen."""
        return self._open(run_id, key)

    def show_model(self, run_id: str, key: str) -> Any:
        """The 3D viewer's content, for an event of its own.

        Gradio sends a generator's last word twice, and a viewer told its file twice while it loads stays empty.
        """
        try:
            stored = self.studio.archive.open(run_id)
            model = next(made.model for made in stored.turnarounds if made.key == key)
        except (TurnaroundError, StopIteration):
            model = None
        return gr.Model3D(str(model) if model else None, visible=True if model else "hidden")

    def cancel(self, run_id: str, visitor: str, request: gr.Request) -> Any:
        """Stop the run if it is this visitor's own; the page that follows it comes to rest by itself."""
        job = self.studio.jobs.find(run_id)
        # The page may have been given its visitor's key only after the run began, which then goes by the session
        if job and job.working and job.visitor in (visitor, _session(request)):
            job.cancel()
            return gr.Button("Stopping …", interactive=False)
        return gr.skip()

    def price(self, camera: str, elevation_deg: float, count: float, size_px: float, *method_values: Any) -> str:
        """What Generate would take, in words; why it cannot be pressed, otherwise."""
        try:
            chosen = read_method_cards(self.studio.methods, method_values)
            views = chosen_views(camera, 0, elevation_deg, count)
            return status.said(cost(chosen, views, size_px, this_machine(self.studio.settings.data)))  # type: ignore[arg-type]
        except BaseException as error:
            return status.outcome([sentence_of(error)])

    def subject(self, prepared_id: str, photo_elevation_deg: float) -> Subject:
        if not prepared_id:
            raise TurnaroundError(NO_PHOTO)
        subject = self.entry(prepared_id).subject
        if subject is None:
            raise TurnaroundError(NOT_CUT_OUT)
        return replace(subject, elevation_deg=check_elevation(photo_elevation_deg))

    def _follow(self, job: Job, before: str) -> Iterator[RunPanel]:
        titles = {method.card.key: method.card.title for method in self.studio.methods}
        yield RunPanel(
            _hidden(),
            _ready("Cancel"),
            status.starting(),
            run_id=job.id,
            shown=gr.Radio(visible=False),
            stage=result.WORKING,
            sheet="",
            model=gr.Model3D(None, visible="hidden"),
        )
        problems: list[str] = []
        cancelled_at = None
        try:
            for event in job.follow():
                if isinstance(event, Progressed):
                    shown = gr.skip() if event.preview is None else result.preview(picture(event.preview, "Preview"))
                    yield RunPanel(status=status.progress(event, titles[event.method]), stage=shown)
                elif isinstance(event, Saved) and event.first_view is not None:
                    done = picture(event.first_view, "The first view")
                    yield RunPanel(stage=result.preview(done))
                elif isinstance(event, Failed):
                    problems.append(event.sentence)
                if job.cancelled.is_set():
                    cancelled_at = cancelled_at or time.monotonic()
                    if time.monotonic() - cancelled_at > CANCEL_S:
                        problems = ["Cancelled. The run stops at its next step; you can start another one now."]
                        break
            if job.state == "saved":
                yield self._open(job.id)
                return
            problems = [job.problem] if job.problem else problems
        except GeneratorExit:
            raise
        except BaseException as error:
            problems.append(sentence_of(error))
        yield (self._open(before) if before else _at_rest()._replace(run_id="", stage=result.EMPTY))._replace(
            status=status.outcome(problems)
        )

    def _open(self, result_id: str, key: str | None = None) -> RunPanel:
        try:
            stored = self.studio.archive.open(result_id)
            made = next((t for t in stored.turnarounds if t.key == key), stored.turnarounds[0])
            choices = [(str(t.manifest.method.get("title")), t.key) for t in stored.turnarounds]
            return _at_rest()._replace(
                status=result.failures(stored),
                run_id=stored.id,
                shown=gr.Radio(choices, value=made.key, visible=len(choices) > 1),
                stage=result.stage(stored, made),
                sheet=result.sheet(stored, made),
            )
        except BaseException as error:
            return _at_rest(sentence_of(error))._replace(run_id="", stage=result.EMPTY)


def chosen_views(camera: str, azimuth_deg: float, elevation_deg: float, count: float) -> tuple[View, ...]:
    if camera == ORBIT:
        return orbit(int(count) if count == count and abs(count) < 1e6 else 0, elevation_deg)
    return (View(azimuth_deg, elevation_deg),)


def new_visitor(known: str) -> str:
    """A key of this browser's own, so that a reloaded page may still cancel its run."""
    return known if isinstance(known, str) and 16 <= len(known) <= 64 else secrets.token_urlsafe(16)


def _at_rest(sentence: str | None = None) -> RunPanel:
    return RunPanel(gr.Button(visible=True), _hidden(), status.outcome([sentence]) if sentence else "")


def _ready(label: str) -> Any:
    return gr.Button(label, visible=True, interactive=True)


def _hidden() -> Any:
    return gr.Button(visible=False)


def _session(request: gr.Request) -> str:
    return str(request.session_hash or "")


def _shown(photo: Photo) -> Image.Image:
    """The photo as the page shows it from now on: upright, without metadata."""
    image = Image.fromarray(photo.rgba)
    image.thumbnail((SHOWN_PX, SHOWN_PX))
    return image
