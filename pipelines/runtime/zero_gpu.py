"""On a ZeroGPU Space: learned methods run in a worker that borrows a GPU for the length of the call.

Whatever needs no GPU stays outside, because every second inside counts against the visitor's quota: weights are fetched
before, what methods do without a device (`Method._finish`) and the storing of results come afterwards, and methods
without weights never go there.

Of a run whose GPU is taken away before its end, the views are kept that the method had said were done (`Report.keep`).
The visitor is told the true cause, and it is never tried again by itself.

The package `spaces` decides whose quota it is by the request in the context that it is called in (`Jobs` carries it
along), forks the worker, and passes on whatever our generator there yields.
"""

import contextvars
import logging
import math
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.core.cameras import View
from pipelines.core.errors import TurnaroundError
from pipelines.core.subject import ANY_SUBJECT
from pipelines.runtime.devices import Machine, this_machine
from pipelines.runtime.engine import NOBODYS, InProcessEngine, Silence, Turn, fetch_first, in_words, is_heavy
from pipelines.runtime.method import Estimate, Method, Report, Request, Turnaround
from pipelines.runtime.places import ZERO_GPU_THRESHOLD
from pipelines.runtime.register import REGISTER
from pipelines.runtime.relay import Piece, Progress, followed, relayed
from pipelines.runtime.settings import Settings

log = logging.getLogger(__name__)

# The quota has to hold what is asked for, however little is used, so this is tight. The package multiplies it once
# more, by 1.5 on today's GPUs (`duration_factor` in its configs.json).
MARGIN = 1.1
START_S = 5.0  # a new worker's start
LEAST_S, MOST_S = 10, 3600
COMPILE_S = 1500  # as huggingface.co/blog/zerogpu-aoti has it for a Space's start
PATIENCE_STEP, MOST_PATIENCE = 1.5, 4.0  # a method that ran out of time asks for this much more the next time

ANYTHING = Request(ANY_SUBJECT, (View(180),))  # but the photo's own view, for which some methods need nothing
Stream = Generator[Piece, None, None]


class ZeroGpuEngine:
    at_once = 1

    def __init__(self, methods: Sequence[Method], settings: Settings) -> None:
        """Before the page is launched: the package reports then that there is something to run."""
        # Else, once the package has packed what was preloaded, it deletes the files that this was read from
        os.environ.setdefault("ZEROGPU_MMAP_AUTOPRUNE_PATTERN", "/none")
        try:
            import spaces  # on a ZeroGPU Space this loads torch, and must come before anything touches CUDA
        except ImportError:
            raise TurnaroundError(
                "TURNAROUND_ENGINE=zerogpu needs the package spaces, which is not installed. "
                "Run `pip install spaces`, or set TURNAROUND_ENGINE=here."
            ) from None
        self._data = settings.data
        self._here = InProcessEngine()
        self._silence = Silence()
        self._patience: dict[str, float] = {}
        self._borrow: dict[str, Callable[[Request], Stream]] = {}
        for method in filter(is_heavy, methods):
            seconds, size = self._seconds_for(method), settings.zero_gpu_size
            self._borrow[method.card.key] = spaces.GPU(duration=seconds, size=size)(_task(method))  # type: ignore[arg-type]
        self._preloaded = preload(methods, settings.preloaded)
        for method in _named(methods, settings.compiled, "COMPILE"):
            compile_on(spaces.GPU(duration=COMPILE_S, size=settings.zero_gpu_size), method)  # type: ignore[arg-type]

    def run(self, method: Method, request: Request, report: Report, turn: Turn = NOBODYS) -> Turnaround:
        if not is_heavy(method):
            return self._here.run(method, request, report, turn)
        report(0.0, f"{method.card.title} starts")
        fetch_s = fetch_first(method, request, report, self._silence)
        made = self._borrowed(method, request, report, turn)
        return replace(made, stage_seconds={**made.stage_seconds, "fetch": fetch_s})

    def machine(self, data: Path) -> Machine:
        return replace(this_machine(data), loaded=self._preloaded)

    def borrowed_s(self, method: Method, estimate: Estimate) -> int:
        if not is_heavy(method):
            return 0
        patience, on_gpu_s = self._patience.get(method.card.key, 1.0), estimate.seconds - estimate.finish_s
        return int(min(MOST_S, max(LEAST_S, math.ceil(START_S + MARGIN * patience * on_gpu_s))))

    def silent_s(self) -> float:
        return max(self._here.silent_s(), self._silence.longest_s())

    def close(self) -> None:
        pass

    def _seconds_for(self, method: Method) -> Callable[[Request], int]:
        """What `spaces` asks for each call, with the call's own arguments."""

        def seconds(request: Request) -> int:
            return self.borrowed_s(method, method.estimate(request, self.machine(self._data)))

        return seconds

    def _borrowed(self, method: Method, request: Request, report: Report, turn: Turn) -> Turnaround:
        """Waits for a GPU and runs on it. Cancelling never waits for either."""
        asked_s = self._seconds_for(method)(request)
        line, progress = _Line(self._borrow[method.card.key], request), Progress()
        try:
            made = followed(line.next, report, turn, self._silence, "a GPU", progress)
        except _Ended as ended:
            report.check()
            used_s = time.monotonic() - progress.began if progress.began else 0.0
            if used_s >= asked_s:
                patience = PATIENCE_STEP * self._patience.get(method.card.key, 1.0)
                self._patience[method.card.key] = min(MOST_PATIENCE, patience)
            # Not tried again by itself: it would cost the visitor's quota a second time.
            why = "its GPU time was over" if used_s >= asked_s else "the GPU was taken away"
            if partly := method.cut_short(request, progress.report, why, used_s):
                log.warning("%s was cut short: %s", method.card.title, why, exc_info=ended.cause)
                return partly
            effort = Effort(method.card.title, asked_s, used_s, progress.fraction)
            raise TurnaroundError(refusal(ended.cause, effort)) from ended
        finally:
            line.leave()
        return method.finish(made, request, report)


def preload(methods: Sequence[Method], keys: Sequence[str]) -> tuple[str, ...]:
    """The models of these methods, fetched where they are absent, are in memory before the page is launched.

    The package packs then what is on its GPU of pretence, and each worker begins with it on the real one. On the main
    thread, because only there it pretends. Returns the names of the weights that stayed.
    """
    loaded, chosen = dict[str, list[str]](), _named(methods, keys, "PRELOAD")
    for method in chosen:
        key, before = method.card.key, REGISTER.models()
        try:
            method.fetch(ANYTHING, Report())
            method.warm(Report())
        except Exception as problem:  # its runs say so; the page opens all the same
            is_bug = not isinstance(problem, TurnaroundError)
            log.warning("%s could not be preloaded: %s", key, problem, exc_info=is_bug)
            continue
        loaded[key] = [model.key for model in REGISTER.models() if model not in before]
    learned, in_memory = {method.card.key: method for method in chosen}, {model.key for model in REGISTER.models()}
    staying = list[str]()
    for key, models in loaded.items():
        if not in_memory.issuperset(models):
            log.warning(
                "%s was preloaded and left again: all together do not stay under %.0f GB, and with more each run costs "
                "a visitor twice. Let TURNAROUND_PRELOAD name fewer.", key, ZERO_GPU_THRESHOLD / 1e9,
            )  # fmt: skip
        elif models:
            staying += [needed.name for needed in learned[key].weights_for(learned[key].Options())]
    return tuple(staying)


def compile_on(borrowed: Callable[[Callable[[], tuple[str, ...]]], Any], method: Method) -> None:
    """The networks of this method, compiled on a GPU that is borrowed for it; what is kept, later workers find."""
    if not method.compiles:
        log.warning("TURNAROUND_COMPILE names %s, which has nothing to compile", method.card.key)
        return
    try:
        method.fetch(ANYTHING, Report())  # while nobody pays for a GPU
        for told in borrowed(lambda: method.compile_ahead(Report()))():
            log.info("%s: %s", method.card.key, told)
    except Exception as problem:  # runs go without
        is_bug = not isinstance(problem, TurnaroundError)
        log.warning("%s could not be compiled: %s", method.card.key, problem, exc_info=is_bug)


def _named(methods: Sequence[Method], keys: Sequence[str], setting: str) -> list[Method]:
    learned = {method.card.key: method for method in filter(is_heavy, methods)}
    if unknown := [key for key in keys if key not in learned]:
        raise TurnaroundError(
            f"TURNAROUND_{setting} names {unknown[0]!r}, which is no learned method here. "
            f"Name some of: {', '.join(learned) or 'none'}."
        )
    return [learned[key] for key in keys]


def _task(method: Method) -> Callable[[Request], Iterator[Piece]]:
    """What runs in the worker: a generator function, and nothing of it is pickled but what goes in and out."""

    def on_gpu(request: Request) -> Iterator[Piece]:
        yield from relayed(method.begin, request, threading.Event())

    return on_gpu


class _Ended(Exception):
    """The stream from the worker ended without a result, or never began."""

    def __init__(self, cause: BaseException | None) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _Line:
    """What the worker yields, on a thread of its own: the package gives no way to stop waiting for a GPU."""

    def __init__(self, borrow: Callable[[Request], Stream], request: Request) -> None:
        self._pieces = queue.SimpleQueue[Piece | _Ended]()
        self._left = threading.Event()
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._pump, borrow, request), name="zero-gpu", daemon=True).start()

    def next(self, wait_s: float) -> Piece | None:
        try:
            piece = self._pieces.get(timeout=wait_s)
        except queue.Empty:
            return None
        if isinstance(piece, _Ended):
            raise piece
        return piece

    def leave(self) -> None:
        """A GPU that comes now is given back at once; a worker that works stops at its next report."""
        self._left.set()

    def _pump(self, borrow: Callable[[Request], Stream], request: Request) -> None:
        try:
            stream = borrow(request)
            for piece in stream:
                if self._left.is_set():
                    stream.close()  # the worker is told, and heard out
                    return
                self._pieces.put(piece)
        except BaseException as problem:
            self._pieces.put(_Ended(problem))
        else:
            self._pieces.put(_Ended(None))


# --- Refusals in our words --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Effort:
    """What a run had asked for and got."""

    title: str
    asked_s: int
    used_s: float
    fraction: float


SMALLER = "Ask for fewer or smaller views"


def refusal(cause: BaseException | None, effort: Effort) -> str:
    """A sentence for what `spaces` 0.51 raises: Gradio's error, with a title of its own and figures in its message."""
    title, message = (str(getattr(cause, name, "") or "") for name in ("title", "message"))
    match title:
        case "ZeroGPU quota exceeded":
            return _over_quota(message)
        case "ZeroGPU pending credits exceeded":
            return (
                "Your other runs here hold all the GPU time you have left. "
                "Wait until one of them has ended, or cancel one, and try again."
            )
        case "ZeroGPU illegal duration":
            asked = re.search(r"\((\d+)s\)", message)
            seconds = int(asked[1]) if asked else effort.asked_s
            return (
                f"{effort.title} would need up to {_seconds(seconds)} of GPU time for this, more than one run may have "
                f"here. {SMALLER}."
            )
        case "ZeroGPU queue timeout":
            return "No GPU became free within a minute: many people want one now. Try again in a few minutes."
        case "ZeroGPU client error" if "token" in message.lower():
            return "The page has been open so long that its pass for a GPU has expired. Reload the page and try again."
        case "ZeroGPU client error":
            return "No GPU is free at the moment. Try again in a few minutes."
    if effort.used_s >= effort.asked_s:
        return (
            f"{effort.title} was {effort.fraction:.0%} done when its GPU time was over: it had asked for "
            f"{_seconds(effort.asked_s)} and needed more. Nothing of it was kept. {SMALLER}, or try "
            "again: it asks for more the next time."
        )
    log.error("The GPU worker of %s ended without a result", effort.title, exc_info=cause)
    if effort.used_s:
        return (
            f"The GPU was taken away when {effort.title} was {effort.fraction:.0%} done. It is not the photo's fault, "
            "and nothing was kept. Try again."
        )
    return "The service that lends GPUs did not answer as it should. Try again in a minute."


def _over_quota(message: str) -> str:
    figures = re.search(r"\((\d+)s requested vs\. (-?\d+)s left\)", message)
    wait = re.search(r"Try again in (?:(\d+) days?, )?(\d+):(\d+):(\d+)", message)
    if figures:
        asked, left = int(figures[1]), max(0, int(figures[2]))
        what = f"It needs up to {_seconds(asked)} of GPU time, and of your quota {_seconds(left)} are left."
    elif "runs limit" in message:
        what = "You have had as many GPU runs as you may for now."
    else:  # whoever asked could not be told apart, so it was the Space's own quota
        return (
            "The GPU time for visitors who are not logged in is used up for now. "
            "Log in to Hugging Face and open this page there, or try again in a few hours."
        )
    if wait:
        days, hours, minutes, seconds = (int(part or 0) for part in wait.groups())
        when = f"in {in_words(((24 * days + hours) * 60 + minutes) * 60 + seconds)}"
    else:
        when = "later"
    return f"{what} {SMALLER}, log in to Hugging Face for a larger quota, or try again {when}."


def _seconds(number: int) -> str:
    return "1 second" if number == 1 else f"{number} seconds"
