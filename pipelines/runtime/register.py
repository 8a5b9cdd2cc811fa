"""The models of this process that are in memory: who has borrowed them, who leaves when another needs the room."""

import gc
import itertools
import logging
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pipelines.runtime.devices import free_memory_bytes
from pipelines.runtime.places import Place, empty_caches, model_budget_bytes
from pipelines.runtime.report import Report
from pipelines.runtime.thrift import in_bytes, is_of_host, is_out_of_memory, let_go, too_little
from pipelines.runtime.turns import Turns, move, parts_of, settled, size_of

log = logging.getLogger(__name__)
WAIT_STEP_S = 0.25  # how often a run that waits for another's loading looks whether it was cancelled
HOST_RESERVE = 2 * 10**9  # of the machine's memory, left free by models that step aside into it
HOST_WORK = 10**9  # of the machine's memory, what a run takes beside its model where that is in it, at the least
Where = Literal["device", "host"]


@dataclass(eq=False)
class Model:
    """One model in memory, or on its way there."""

    key: str
    place: Place
    size_bytes: int
    value: Any = None
    where: Where | None = None
    busy: bool = True
    """Some thread loads or moves it; nobody else touches it meanwhile."""
    users: list[threading.Event] = field(default_factory=list)
    """The `cancelled` of each run that has borrowed it, which is the same in all reports of one run."""
    used: int = 0
    """Grows with every use."""
    turns: Turns | None = None
    too_large: bool = False
    """All its parts together do not fit the device, so they always take turns."""
    spoilt: bool = False
    """It could not be moved whole, and is dropped as soon as it is given back."""

    @property
    def name(self) -> tuple[str, str, str]:
        """Which model where: the place's own name may differ, on ZeroGPU, between the page and its workers."""
        return _name(self.key, self.place)

    @property
    def can_take_turns(self) -> bool:
        return self.place.device.type == "cuda" and len(self.users) == 1

    @property
    def idle(self) -> bool:
        return self.where == "device" and not self.busy and not self.users


class Register:
    """All models of this process. Any thread may borrow; moving and loading happens outside the lock."""

    def __init__(self, steps_aside: Callable[[Place], bool] | None = None) -> None:
        self._models: dict[tuple[str, str, str], Model] = {}
        self._changed = threading.Condition()
        self._uses = itertools.count(1)
        self._steps_aside = steps_aside or _has_memory_of_its_own
        self.share = 1.0
        """Of the device, what this process has; others work on the rest."""

    # --- Borrowing

    def borrow(self, key: str, place: Place, load: Callable[[Place], Any], size_bytes: int, report: Report) -> Model:
        with self._changed:
            if ready := self._ready(key, place, report):
                return ready
        with report.stage("load"):
            model = self._mine(key, place, size_bytes, report)
            if not model.busy:
                return model  # another run has brought it meanwhile
            try:
                self._bring(model, load, report)
            except BaseException:  # a load that fails leaves nothing behind; who waits for it tries by themselves
                with self._changed:
                    self._forget(model)
                raise
            with self._changed:
                model.where, model.busy = "device", False
                self._use(model, report)
            return model

    def _ready(self, key: str, place: Place, report: Report) -> Model | None:
        model = self._models.get(_name(key, place))
        if model is None or model.busy or model.where != "device" or model.spoilt:
            return None
        if model.turns and any(user is not report.cancelled for user in model.users):
            return None  # parts that take turns serve one run at a time
        self._use(model, report)
        return model

    def _use(self, model: Model, report: Report) -> None:
        model.users.append(report.cancelled)
        model.used = next(self._uses)
        self._changed.notify_all()

    def _mine(self, key: str, place: Place, size_bytes: int, report: Report) -> Model:
        """The model, borrowed; or still busy, and then it is the caller's to bring."""
        with self._changed:
            while True:
                report.check()
                if ready := self._ready(key, place, report):
                    return ready
                model = self._models.get(_name(key, place))
                if model is None:
                    model = Model(key, place, size_bytes)
                    self._models[model.name] = model
                    return model
                if not model.busy and model.where == "host":
                    model.busy = True
                    return model
                self._changed.wait(WAIT_STEP_S)

    def give_back(self, model: Model, report: Report) -> None:
        with self._changed:
            model.users.remove(report.cancelled)
            ending = None
            if model.spoilt and not model.users:
                self._forget(model)
            elif model.turns and not model.users and not model.too_large:
                ending, model.busy = model.turns, True
            self._changed.notify_all()
        if ending:
            self._end(ending, model)
        if model.where is None:
            _free()
        self._make_room(model)  # it may have come although there was none

    def _end(self, turns: Turns, model: Model) -> None:
        """The model, which is busy, is as any other that stepped aside."""
        ended = False
        try:
            turns.end()
            ended = True
        except Exception as error:
            log.warning("%s could not step aside and is dropped: %s", model.key, error)
        finally:
            with self._changed:
                if ended:
                    model.turns, model.where, model.busy = None, "host", False
                    self._changed.notify_all()
                else:
                    self._forget(model)

    def borrowed_by(self, report: Report) -> list[Model]:
        with self._changed:
            return [model for model in self._models.values() if report.cancelled in model.users]

    # --- Bringing

    def _bring(self, model: Model, load: Callable[[Place], Any], report: Report) -> None:
        outer, said = sys.exception(), ""
        self._make_room(model)
        ways = [self._onto_device, self._onto_device]
        if model.place.device.type == "cuda":
            ways.append(self._in_turns)
        while ways:
            report.check()
            bring = ways.pop(0)
            try:
                bring(model, load)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                said = str(error)
                log.info("Out of memory while %s was loaded: %s", model.key, said)
                let_go(error, outer)
            else:
                self._make_room(model)  # now that its size is known
                return
            if not self.make_idle_leave(also_from_host=is_of_host(said)):
                ways = [way for way in ways if way != bring]  # the same again would end the same
        raise too_little(f"to load this model, which takes about {in_bytes(model.size_bytes)}", said, model.place)

    def _onto_device(self, model: Model, load: Callable[[Place], Any]) -> None:
        if model.value is None:
            if model.place.device.type != "cuda":
                self._check_host(model)
            model.value = load(model.place)
        parts = parts_of(model.value)
        model.size_bytes = size_of(parts) or model.size_bytes
        if not model.turns:
            move(parts, model.place.device)

    def _in_turns(self, model: Model, load: Callable[[Place], Any]) -> None:
        """Its parts do not fit the device together: they stay in the machine's memory and come when called."""
        import torch

        if model.value is None:
            self._check_host(model)
            model.value = settled(load(replace(model.place, device=torch.device("cpu"))), model.place)
        parts = parts_of(model.value)
        model.size_bytes = size_of(parts) or model.size_bytes
        model.turns, model.too_large = Turns(parts, model.place.device), True

    def _check_host(self, model: Model) -> None:
        """Refuse what the machine's memory has no room for, with words: the system would end the process without."""

        def fits() -> bool:
            free = free_memory_bytes()
            return free == 0 or free >= model.size_bytes + HOST_WORK  # 0: it does not tell

        if not fits() and not (self.make_idle_leave(also_from_host=True) and fits()):
            sizes = f"{in_bytes(model.size_bytes)}, and {in_bytes(HOST_WORK)} to work in"
            raise too_little(f"to load this model, which takes about {sizes}", "", None)

    def let_take_turns(self, models: list[Model]) -> None:
        """Until they are given back, only one part of each is on the device at a time."""
        for model in models:
            with self._changed:
                if model.turns or not model.can_take_turns:
                    continue
                model.busy = True
            try:
                model.turns = Turns(parts_of(model.value), model.place.device)
            except BaseException:
                model.spoilt = True  # some parts here, some there
                raise
            finally:
                with self._changed:
                    model.busy = False
                    self._changed.notify_all()

    # --- Leaving

    def make_idle_leave(self, also_from_host: bool = False) -> bool:
        """Every model that nobody uses leaves the device; whether one did. Frees what torch keeps for later, too."""
        with self._changed:
            leaving = [model for model in self._models.values() if model.idle]
            aside = [model for model in self._models.values() if model.where == "host" and not model.busy]
            for model in leaving:
                model.busy = True
            for model in aside if also_from_host else []:
                self._forget(model)
        for model in leaving:
            self._leave(model)
        _free()
        return bool(leaving) or (also_from_host and bool(aside))

    def budget_bytes(self, place: Place) -> int:
        return model_budget_bytes(place, self.share)

    def _make_room(self, wanted: Model) -> None:
        """Those used longest ago leave until what is on the device, `wanted` included, keeps to the budget.

        A model that is larger than the budget by itself comes nevertheless, and alone.
        """
        budget = self.budget_bytes(wanted.place)
        while True:
            with self._changed:
                here = [
                    model
                    for model in self._models.values()
                    if model.place.device == wanted.place.device and (model.where == "device" or model.busy)
                ]
                leaving = min((model for model in here if model.idle and model is not wanted), key=_used, default=None)
                if leaving is None or sum(model.size_bytes for model in here) <= budget:
                    return
                leaving.busy = True
            self._leave(leaving)
            _free()

    def _leave(self, model: Model) -> None:
        """Off the device, aside or altogether. The caller has marked it as busy."""
        aside = False
        try:
            if self._steps_aside(model.place) and self._make_room_on_host(model.size_bytes):
                if model.turns:
                    model.turns.rest()
                else:
                    move(parts_of(model.value), "cpu")
                aside = True
        except Exception as error:
            log.warning("%s could not step aside and is dropped: %s", model.key, error)
        with self._changed:
            if aside:
                model.where, model.busy = "host", False
                self._changed.notify_all()
            else:
                self._forget(model)

    def _make_room_on_host(self, size_bytes: int) -> bool:
        while 0 < free_memory_bytes() < size_bytes + HOST_RESERVE:  # 0 where the system does not tell
            with self._changed:
                aside = [model for model in self._models.values() if model.where == "host" and not model.busy]
                if not aside:
                    return False
                self._forget(min(aside, key=_used))
            gc.collect()
        return True

    def _forget(self, model: Model) -> None:
        self._models.pop(model.name, None)
        model.value = model.turns = model.where = None
        model.busy = False
        self._changed.notify_all()

    # --- Looking

    def models(self) -> list[Model]:
        """Those in memory, the one used longest ago first."""
        with self._changed:
            return [model for model in sorted(self._models.values(), key=_used) if model.where]

    def after_fork(self) -> None:
        """In a child process, where only the forking thread goes on: what others held or would have brought is void."""
        self._changed = threading.Condition()
        self._models = {name: model for name, model in self._models.items() if not model.busy}
        for model in self._models.values():
            model.users = []


def _name(key: str, place: Place) -> tuple[str, str, str]:
    return key, str(place.device), str(place.dtype)


def _free() -> None:
    gc.collect()
    empty_caches()


def _used(model: Model) -> int:
    return model.used


def _has_memory_of_its_own(place: Place) -> bool:
    """Whether stepping aside frees anything: not from the processor, nor from Apple's GPU, which shares its memory, nor
    in a ZeroGPU Space's main process, whose GPU is pretence.
    """
    torch = sys.modules.get("torch")
    return torch is not None and place.device.type == "cuda" and torch.cuda.is_initialized()


REGISTER = Register()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=REGISTER.after_fork)  # ZeroGPU's workers are forks
