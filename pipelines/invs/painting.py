"""Painting the views of a run, one after the other outwards from the photo, so that neighbours agree.

Each view is shown to the inpainter as the photo's own pixels and, where those are missing, those that were painted for
the views before it on the same side; behind the object, where both sides meet, also for those on the other. What counts
as the photo's own stays the photo's own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.core.cameras import View, angle_between, photo_distance
from pipelines.invs.method import WARPED_SHARE
from pipelines.invs.partial import Partial, partials, photo_sheet, resized
from pipelines.invs.relief import fitted_to
from pipelines.runtime.method import Frame, Report, Request
from pipelines.runtime.residency import Thrift
from pipelines.runtime.telling import Telling

if TYPE_CHECKING:
    import torch

    from pipelines.core.warp import Sheet
    from pipelines.invs.inpainting import Sampling
    from pipelines.invs.loading import Inpainter

WHITE = 255
HALF_TURN_DEG = 180
REMEMBERED = 4  # views on either side; those further back show little that these do not

Measure = Callable[[View, NDArray[np.uint8]], NDArray[np.float32]]
"""The depth of a view [S, S], given its picture on white [S, S, 3]."""


@dataclass
class Painting:
    """Views in the making: what of them is done, however often memory runs out in between."""

    parts: "Inpainter"
    request: Request
    depth: NDArray[np.float32]
    """[D, D], of the photo."""
    seen: list[Partial]
    """What the photo shows of each view, at the size that was asked for."""
    measure: Measure | None
    """None where each view is painted by itself."""
    tell: Telling
    report: Report
    done: dict[int, Frame] = field(default_factory=dict)
    _painted: "list[tuple[View, Sheet]]" = field(default_factory=list)
    """What was painted for views, and no one before had shown."""

    @property
    def frames(self) -> tuple[Frame, ...]:
        return tuple(self.done[i] for i in range(len(self.seen)))

    @property
    def sampling(self) -> "Sampling":
        from pipelines.invs.inpainting import Sampling, asked_for

        options, fine_tuned = self.request.options, self.parts.fine_tuned
        return Sampling(
            options.steps, options.guidance, asked_for(options.prompt, fine_tuned), fine_tuned, options.hold
        )

    def go_on(self, thrift: Thrift) -> None:
        while left := self._left():
            self._paint(self._next(left, thrift.at_once))

    def _left(self) -> list[int]:
        return [i for i in range(len(self.seen)) if i not in self.done]

    def _next(self, left: list[int], at_once: int) -> list[int]:
        """In an order that does not depend on how many go at once."""
        if not self.measure:
            return left[:at_once]
        views, photo = self.request.views, View(0, self.request.subject.elevation_deg)
        outwards = sorted(left, key=lambda i: (round(angle_between(views[i], photo), 3), not _is_right(views[i])))
        first, *others = outwards
        # Painted one after the other, the first may push out what the second meets on that side
        over_there = [view for view, _ in self._painted if _is_right(view) == _is_right(views[first])]
        alone = [i for i in others[:1] if not any(_meet(views[i], view) for view in (views[first], *over_there))]
        return [first, *alone][:at_once]

    def _paint(self, which: Sequence[int]) -> None:
        from pipelines.core.backdrop import off_backdrop, reframed
        from pipelines.core.side_by_side import side_by_side
        from pipelines.invs.inpainting import composed, developed, draw, shown

        request, parts, chosen = self.request, self.parts, self.sampling
        views = [request.views[i] for i in which]
        with self.report.stage("encode"):
            given = [self.given(i) for i in which]
            told = shown(parts, given, chosen.soft)
        before, total = len(self.done), len(self.seen)
        count = f"view {before + 1}" if len(which) == 1 else f"views {before + 1} to {before + len(which)}"

        def each_step(step: int, clean: "torch.Tensor") -> None:
            glimpse = told.colours.of(
                clean[step * len(which) // (chosen.steps + 1)].float().cpu().numpy(), parts.side_px
            )
            share = (before + len(which) * step / chosen.steps) / total
            self._say(share, f"Painting {count} of {total}: step {step} of {chosen.steps}", glimpse)

        with self.report.stage("denoise"):
            latents = draw(parts, told, chosen, [_seed(request.seed, view) for view in views], each_step)
        with self.report.stage("decode"):
            pictures = developed(parts, latents)
        cutouts = side_by_side(lambda rgb: off_backdrop(rgb, WHITE), list(pictures))
        for i, view, partial in zip(which, views, given, strict=True):
            with self.report.stage("cut out"):
                drawn = next(cutouts)
                rgba, own = composed(self.seen[i], reframed(drawn, 1.0, request.size_px))
            if self.measure and any(j != i and _meet(view, request.views[j]) for j in self._left()):
                with self.report.stage("depth"):
                    self._remember(i, drawn, partial)
            # Not before it is remembered: without it, should memory run out, the next view would be another
            self.done[i] = Frame(view, rgba, view, confidence=np.rint(255 * own).astype(np.uint8))
            self.report.keep(self.done[i], None)
            self._say(len(self.done) / total, f"View {len(self.done)} of {total} is done", rgba)

    def given(self, i: int) -> Partial:
        """At the inpainter's size: the photo's pixels, and the painted ones of the views before it that it meets."""
        view, side, device = self.request.views[i], self.parts.side_px, self.parts.place.device
        others = [sheet for other, sheet in self._painted if _meet(view, other)]
        if side == self.request.size_px and not self.measure:
            return self.seen[i]
        (partial,) = partials([self._photo, *others], self.request.subject, self.depth, [view], side, device)
        return partial

    @cached_property
    def _photo(self) -> "Sheet":
        return photo_sheet(self.request.subject, self.depth, self.parts.side_px, self.parts.place.device)

    def _remember(self, i: int, drawn: NDArray[np.uint8], given: Partial) -> None:
        """Of a painted view what nobody had shown before."""
        import torch

        from pipelines.core.warp import lifted, pinhole
        from pipelines.invs.inpainting import composed, on_white

        assert self.measure and given.depth is not None
        view, side = self.request.views[i], self.parts.side_px
        rgba, _ = composed(given, drawn)
        solid = rgba[..., 3] > 127
        there = resized(self.measure(view, on_white(rgba)), side)
        fitted = fitted_to(there, given.depth, given.seen & solid & (there > 0))
        new = np.where(solid & ~given.seen & (there > 0), fitted, 0).astype(np.float32)
        camera = pinhole(view, photo_distance(self.request.subject.fill), side)
        values, planes = (torch.from_numpy(each).to(self.parts.place.device) for each in (rgba / np.float32(255), new))
        self._painted.append((view, lifted(values, planes, camera)))
        on_its_side = [each for each in self._painted if _is_right(each[0]) == _is_right(view)]
        if len(on_its_side) > REMEMBERED:
            self._painted.remove(on_its_side[0])

    def _say(self, share: float, message: str, preview: NDArray[np.uint8]) -> None:
        self.tell(WARPED_SHARE + (1 - WARPED_SHARE) * share, message, preview)


def _is_right(view: View) -> bool:
    return view.azimuth_deg >= 0


def _meet(view: View, other: View) -> bool:
    """Whether both may show a place that the photo does not: on one side of it, or nearer round the back than round the
    front.
    """
    on_one_side = view.azimuth_deg * other.azimuth_deg >= 0
    return on_one_side or abs(view.azimuth_deg) + abs(other.azimuth_deg) > HALF_TURN_DEG


def shown_whole(views: Sequence[View], seen: Sequence[Partial]) -> dict[int, Frame]:
    """The views that leave nothing to be painted, by their place: the photo's own, mostly."""
    return {
        i: Frame(view, partial.rgba, view, confidence=255 * partial.seen.astype(np.uint8))
        for i, (view, partial) in enumerate(zip(views, seen, strict=True))
        if not (partial.hidden[~partial.seen] > 0).any()
    }


def _seed(seed: int, view: View) -> int:
    """Of this view, whatever else is asked for."""
    about = (round(1000 * number) % 2**32 for number in (view.azimuth_deg, view.elevation_deg, view.distance))
    return int(np.random.SeedSequence((seed, *about)).generate_state(1)[0])
