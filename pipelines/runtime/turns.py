"""The torch modules in a loaded model: finding, measuring and moving them, and letting them take turns on a device."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from pipelines.runtime.places import Place

if TYPE_CHECKING:
    import torch


def parts_of(value: object) -> "list[torch.nn.Module]":
    """Every module in a module, dataclass, tuple, list or dict, however deep; none that is inside another one."""
    import torch

    found: list[torch.nn.Module] = []
    seen: set[int] = set()

    def look(inside: Any) -> None:
        if id(inside) in seen:
            return
        seen.add(id(inside))
        if isinstance(inside, torch.nn.Module):
            found.append(inside)
        elif dataclasses.is_dataclass(inside) and not isinstance(inside, type):
            for field in dataclasses.fields(inside):
                look(getattr(inside, field.name))
        elif isinstance(inside, Mapping):
            for each in inside.values():
                look(each)
        elif isinstance(inside, tuple | list):
            for each in inside:
                look(each)

    look(value)
    nested = {id(module) for part in found for module in part.modules() if module is not part}
    return [part for part in found if id(part) not in nested]


def size_of(parts: "list[torch.nn.Module]") -> int:
    """Bytes of all their weights; shared ones once."""
    tensors = {id(t): t for part in parts for t in (*part.parameters(), *part.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def move(parts: "list[torch.nn.Module]", device: "torch.device | str") -> None:
    for part in parts:
        part.to(device)


def settled(value: Any, place: Place) -> Any:
    """`value`, loaded elsewhere, as if it had been loaded to `place`: what it says of its place and its loose tensors
    are set right, its modules left where they are.
    """
    import torch

    if isinstance(value, Place):
        return dataclasses.replace(value, device=place.device)  # a method may have chosen another precision
    if isinstance(value, torch.Tensor) and not isinstance(value, torch.nn.Parameter):
        return value.to(place.device)
    if type(value) is dict:
        return {key: settled(each, place) for key, each in value.items()}
    if type(value) is list:
        return [settled(each, place) for each in value]
    if type(value) is tuple:
        return tuple(settled(each, place) for each in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, torch.nn.Module | type):
        inside = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
        changed = {name: after for name, each in inside.items() if (after := settled(each, place)) is not each}
        return dataclasses.replace(value, **changed) if changed else value
    return value


class Turns:
    """Lets several parts work on a device that has room for one: each comes when it is called, and the one before
    leaves to the machine's memory.

    Every module inside a part calls it, so that `vae.decode`, which is not the VAE's `forward`, does so too.
    """

    def __init__(self, parts: "list[torch.nn.Module]", device: "torch.device") -> None:
        self._device = device
        self._working: torch.nn.Module | None = None
        move(parts, "cpu")
        self._hooks = [
            module.register_forward_pre_hook(partial(self._call, part)) for part in parts for module in part.modules()
        ]

    def _call(self, part: "torch.nn.Module", module: object, inputs: object) -> None:
        if self._working is not part:
            self.rest()
            part.to(self._device)
            self._working = part

    def rest(self) -> None:
        """None of them on the device."""
        if self._working is not None:
            self._working.to("cpu")
            self._working = None

    def end(self) -> None:
        """Modules as any others, all in the machine's memory."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self.rest()
