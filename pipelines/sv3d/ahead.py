"""The UNet compiled ahead of time, for the machine at hand and where that pays: `python -m pipelines compile sv3d_p`.

Compiled when it is first asked, each process would wait for minutes, and on a ZeroGPU Space each visitor. Here it is
done once, of the whole network and for one size of what it is given, and kept on the disk. The file holds code alone.
The network's numbers are given with each question: so it serves both kinds, however they were trained and wherever
they lie, and keeps none of them in memory, as torch does with those that are bound to it (pytorch, pull request
194480).

Importing this loads torch.
"""

import gc
import hashlib
import inspect
import json
import logging
import platform
import statistics
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers
import torch
import torch._inductor
from torch import Tensor, nn
from torch.func import functional_call

from pipelines.core.errors import Cancelled, TurnaroundError
from pipelines.core.files import disk_sentences, whole_file
from pipelines.runtime.places import Place, empty_caches
from pipelines.runtime.report import Report
from pipelines.sv3d import network

if TYPE_CHECKING:
    from pipelines.sv3d.loading import Parts

log = logging.getLogger(__name__)
PAYS = 1.02  # times as fast at least, else it is not kept
ALIKE = 0.05  # of the largest number: half precision rounds otherwise where operations are joined
RUNS = 5
# Of the two kinds not the same, and not compiled: how cameras are told
CAMERA_NUMBERS, CAMERAS = "projection_class_embeddings_input_dim", "unet.add_embedding."
NOT_ON_A_CPU = "Compiling is for GPUs: on a processor, one step could then neither be stopped nor say that it goes on."
NO_ROOM = "Compiling needs a GPU with room for all of the model at once."

Given = tuple[Tensor, Tensor, Tensor, list[Tensor]]
"""Videos [V, T, 8, h, w], noise level, cameras [T, 1280], and what attention across answers, [V, C] each."""
Ask = Callable[[Tensor, Tensor, Tensor, list[Tensor]], Tensor]
"""Of all that, to [V, T, 4, h, w]."""

_loaded: dict[Path, Any] = {}  # for good: the library behind one cannot be unloaded
_loading = threading.Lock()


class Asked(nn.Module):
    """`network.predicted`, with all that it goes by given to it: nothing of one run is left in what is compiled."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, videos: Tensor, noise_level: Tensor, cameras: Tensor, answers: list[Tensor]) -> Tensor:
        with network.attending(self.unet, answers):
            return network.predicted(self.unet, videos, noise_level, cameras)


class Questioned(nn.Module):
    """What is compiled: `Asked` of a network whose numbers are given to it like all else."""

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self._asked = [asked]  # in a list, so that nothing of it is taken for a part of this

    def forward(self, numbers: dict[str, Tensor], given: Given) -> Tensor:
        return functional_call(self._asked[0], numbers, given)


class Quick:
    """Asks what was compiled, where there is that. Of one run: a network may lie elsewhere in the next."""

    def __init__(self, parts: "Parts") -> None:
        self._parts = parts
        self._compiled: dict[int, Ask | None] = {}
        self.used = False

    def __call__(self, videos: Tensor, noise_level: Tensor, cameras: Tensor, answers: list[Tensor]) -> Tensor | None:
        count = len(videos)
        if count not in self._compiled:
            self._compiled[count] = compiled_for(self._parts, count)
        if not (compiled := self._compiled[count]):
            return None
        try:
            made = compiled(videos, noise_level, cameras, answers)
        except RuntimeError:  # it does not tell what is amiss, such as memory; the network itself does
            log.warning("What was compiled ahead of time failed, and is left alone", exc_info=True)
            self._compiled[count] = None
            return None
        self.used = True
        return made

    def place(self) -> Place:
        """Where it worked, and how: what is compiled rounds numbers otherwise, so that is said in results."""
        place = self._parts.place
        return replace(place, name=place.name.replace(",", " (compiled),", 1)) if self.used else place


def takes_turns(parts: "Parts") -> bool:
    """The device has no room for all parts together, and the network comes to it layer by layer."""
    return parts.unet.device.type != parts.place.device.type


def compiled_for(parts: "Parts", videos: int) -> Ask | None:
    """What was compiled for so many videos at once on this machine."""
    file = _file(parts, videos)
    if not file.exists() or takes_turns(parts):
        return None
    try:
        with _loading:
            if file not in _loaded:
                _loaded[file] = _load(file, parts)
            return _asking(_loaded[file], parts)
    except Exception:  # of whatever kind: the network itself is there
        log.warning("%s is not used: it could not be loaded", file, exc_info=True)
        return None


def compile_each(parts: "Parts", sizes: Sequence[int], report: Report) -> tuple[str, ...]:
    """What came of it for each number of videos at once; one that fails keeps the others from nothing."""
    told, failed = list[str](), 0
    for videos in sizes:
        try:
            told.append(compile_where_it_pays(parts, videos, report))
        except Cancelled:
            raise
        except TurnaroundError as problem:
            told.append(str(problem))  # not the problem itself, which would hold on to all that it was met with
            failed += 1
        gc.collect()
        empty_caches()
    if failed == len(told):
        raise TurnaroundError(told[0])
    return tuple(told)


def compile_where_it_pays(parts: "Parts", videos: int, report: Report) -> str:
    """Takes minutes, and a C++ compiler. Says what came of it; later runs use what is kept."""
    plain, given, file = Asked(parts.unet), _example(parts, videos), _file(parts, videos)
    what = f"{videos} {'video' if videos == 1 else 'videos'} at once"
    if file.exists():
        return f"For {what} it is compiled already: {file}."
    report(0.1, f"Compiling the network for {what}: this takes minutes")
    with torch.no_grad(), disk_sentences("The compiled network could not be kept"):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with whole_file(file) as part:
                with _in_words():
                    torch._inductor.aoti_compile_and_package(exported(plain, given), package_path=str(part))
                    compiled = _asking(_load(part, parts), parts)
                    expected = plain(*given).float()
                    apart = (compiled(*given).float() - expected).abs().max() / expected.abs().max()
                    gain = _seconds(plain, given) / _seconds(compiled, given)
                if not apart < ALIKE:
                    raise _NotKept(f"Compiled, {what} come out otherwise, by {apart:.0%} of the largest number")
                if gain < PAYS:
                    raise _NotKept(f"Compiled, {what} go {gain:.2f} times as fast here")
        except _NotKept as why:
            return f"{why}: it is not kept."
    return f"Compiled, {what} go {gain:.2f} times as fast here: it is used from the next run on."


class _NotKept(Exception):
    pass


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except OSError:  # the disk, which others have words for
        raise
    except Exception as problem:
        log.warning("The network could not be compiled", exc_info=True)
        reason = next(iter(str(problem).strip().splitlines()), type(problem).__name__)[:200].rstrip(".")
        raise TurnaroundError(
            f"The network could not be compiled here: {reason}. It works without, as before. Compiling needs a C++ "
            "compiler, such as g++, and on the GPU as much memory as a run."
        ) from problem


def exported(plain: Asked, given: Given) -> "torch.export.ExportedProgram":
    with torch.no_grad():
        return torch.export.export(Questioned(plain), (numbers_of(plain), given))


def numbers_of(plain: Asked) -> dict[str, Tensor]:
    numbers = (*plain.named_parameters(), *plain.named_buffers())
    return {name: tensor.detach() for name, tensor in numbers if not name.startswith(CAMERAS)}


def _load(file: Path, parts: "Parts") -> Any:
    with zipfile.ZipFile(file) as package:
        if damaged := package.testzip():  # loading such a library would end the process
            raise ValueError(f"{damaged} in it is damaged")
    index = parts.place.device.index
    return torch._inductor.aoti_load_package(str(file), device_index=-1 if index is None else index)


def _asking(compiled: Any, parts: "Parts") -> Ask:
    numbers = numbers_of(Asked(parts.unet))

    def ask(videos: Tensor, noise_level: Tensor, cameras: Tensor, answers: list[Tensor]) -> Tensor:
        # It takes on trust how what it is given lies in memory
        answers = [answer.contiguous() for answer in answers]
        return compiled(numbers, (videos.contiguous(), noise_level, cameras.contiguous(), answers))

    return ask


def _file(parts: "Parts", videos: int) -> Path:
    """Its name tells all that the code depends on: what it was made from, by what, and for which machine."""
    place, sizes = parts.place, parts.sizes
    shape = {name: value for name, value in sizes.unet.items() if name != CAMERA_NUMBERS}
    # It takes on trust that it is given these, in this order
    numbers = [(name, tuple(each.shape), each.stride()) for name, each in numbers_of(Asked(parts.unet)).items()]
    made_of = [inspect.getsource(network), inspect.getsource(Questioned), diffusers.__version__, torch.__version__]
    made_of += [place.name, str(place.device), str(place.dtype), _processor()]
    made_of += [json.dumps(shape), repr(numbers), str((videos, sizes.frames, sizes.latent_px))]
    return parts.kept / f"unet-{videos}-{hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]}.pt2"


def _processor() -> str:
    """What it can do: parts of the code run there, and are made for that."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return line
    return f"{platform.machine()} {platform.processor()}"


def _example(parts: "Parts", videos: int) -> Given:
    sizes, device, dtype = parts.sizes, parts.place.device, parts.place.dtype
    chance = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=chance).to(device, dtype)

    with torch.no_grad():
        cameras = parts.unet.add_embedding(drawn(sizes.frames, sizes.unet[CAMERA_NUMBERS]))
        answers = network.answers_to(parts.unet, drawn(videos, sizes.unet["cross_attention_dim"]))
    latents = drawn(videos, sizes.frames, 8, sizes.latent_px, sizes.latent_px)
    return latents, torch.tensor(0.5, device=device), cameras, answers


def _seconds(ask: Ask, given: Given) -> float:
    """The median, after one run that nobody times."""
    taken = list[float]()
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        ask(*given).cpu()  # waits for a GPU
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])
