"""Bringing models into memory: from a file, again, and switching between two.

    python -m bench.models [--mb 400] [--rounds 5]

Two models of random weights in safetensors files, loaded through the register as a method loads its own. "Reading the
file" is one pass over it with nothing done: choosing a method that is already fetched should take no longer than that.
On a GPU one more row shows a model that had stepped aside into the machine's memory.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.runtime.places import Place, chosen_place
from pipelines.runtime.register import Register
from pipelines.runtime.report import Report

if TYPE_CHECKING:
    import torch

LAYER = 2048  # inputs and outputs of each layer: 8 MB in 16 bits


def a_model(layers: int, device: str) -> "torch.nn.Module":
    import torch

    with torch.device(device):
        return torch.nn.Sequential(*(torch.nn.Linear(LAYER, LAYER, bias=False) for _ in range(layers)))


def write(path: Path, layers: int, place: Place) -> int:
    """A file of random weights in the place's precision; its size."""
    from safetensors.torch import save_file

    save_file({name: t.to(place.dtype) for name, t in a_model(layers, "cpu").state_dict().items()}, path)
    return path.stat().st_size


class Loader:
    """Loads a model from its file, straight to its place, and counts the files it opened."""

    def __init__(self, path: Path, layers: int) -> None:
        self.path, self.layers, self.opened = path, layers, 0

    def __call__(self, place: Place) -> "torch.nn.Module":
        from safetensors.torch import load_file

        self.opened += 1
        model = a_model(self.layers, "meta")
        model.load_state_dict(load_file(self.path, device=str(place.device)), assign=True)
        return model


def touch(model: "torch.nn.Module", place: Place) -> None:
    """Have every weight really there: a file only mapped has not been read yet, a copy only begun is not done."""
    import torch

    if place.device.type == "cuda":
        torch.cuda.synchronize(place.device)
    else:
        for weight in model.parameters():
            weight.detach().view(-1)[:: 4096 // weight.element_size()].sum().item()


def median_s(work: Callable[[], object], rounds: int, before: Callable[[], object] = lambda: None) -> float:
    taken = []
    for _ in range(rounds):
        before()
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=400, help="size of each model")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(arguments)
    place = chosen_place()
    layers = max(1, chosen.mb * 10**6 // (LAYER * LAYER * place.dtype.itemsize))
    with tempfile.TemporaryDirectory() as folder:
        print(f"On {place.name}; two models of {layers * LAYER * LAYER * place.dtype.itemsize / 1e6:.0f} MB each:")
        for name, seconds in measured(Path(folder), layers, place, chosen.rounds):
            print(f"  {name:62} {1000 * seconds:9.2f} ms")


def measured(folder: Path, layers: int, place: Place, rounds: int) -> Iterator[tuple[str, float]]:
    loaders = {key: Loader(folder / f"{key}.safetensors", layers) for key in "ab"}
    size_bytes = max(write(loader.path, layers, place) for loader in loaders.values())
    register = Register()

    def use(key: str) -> None:
        report = Report()
        model = register.borrow(key, place, loaders[key], size_bytes, report)
        touch(model.value, place)
        register.give_back(model, report)

    def drop() -> None:
        for _ in range(2):
            register.make_idle_leave(also_from_host=True)

    def switch() -> None:
        use("a")
        use("b")

    loaders["a"].path.read_bytes()  # so that no round waits for the disk itself
    yield "reading the file once", median_s(loaders["a"].path.read_bytes, rounds)
    yield (
        "plain safetensors load_file, and every page touched",
        median_s(lambda: touch(loaders["a"](place), place), rounds),
    )
    yield "first use: loaded from its file", median_s(lambda: use("a"), rounds, drop)
    yield "next use: already there", median_s(lambda: use("a"), rounds)
    use("b")
    opened = loaders["a"].opened + loaders["b"].opened
    yield "switching between the two, both in memory, each switch", median_s(switch, rounds) / 2
    if register._steps_aside(place):
        yield "returning after having stepped aside", median_s(lambda: use("a"), rounds, register.make_idle_leave)
    if loaders["a"].opened + loaders["b"].opened != opened:
        raise SystemExit("A switch between two loaded models opened a file.")


if __name__ == "__main__":
    main()
