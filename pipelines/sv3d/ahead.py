"""The UNet compiled ahead of time, for the machine at hand and where that pays: `python -m pipelines compile sv3d_p`.

Compiled when it is first asked, each process would wait for minutes, and on a ZeroGPU Space each visitor. Here it is
done once, of the whole network and for one size of what it is given, and kept on the disk. The file holds code alone:
it works with the numbers of the network in memory, whichever of the two kinds, and however they were trained.

Importing this loads torch.
"""

import hashlib
import inspect
import json
import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import diffusers
import torch
import torch._inductor
from torch import Tensor, nn

from pipelines.core.errors import TurnaroundError
from pipelines.core.files import disk_sentences, whole_file
from pipelines.runtime.places import Place
from pipelines.runtime.report import Report
from pipelines.sv3d import network

if TYPE_CHECKING:
    from pipelines.sv3d.loading import Parts

log = logging.getLogger(__name__)
CODE_ALONE = {
    "aot_inductor.package_constants_in_so": False,
    "always_keep_tensor_constants": True,
    "joint_graph_constant_folding": False,  # else what follows from numbers alone is worked out now, and kept
}
PAYS = 1.02  # times as fast at least, else it is not kept
ALIKE = 0.05  # of the largest number: half precision rounds otherwise where operations are joined
RUNS = 5

Given = tuple[Tensor, Tensor, Tensor, list[Tensor]]
"""Videos [V, T, 8, h, w], noise level, cameras [T, 1280], and what attention across answers, [V, C] each."""
Ask = Callable[[Tensor, Tensor, Tensor, list[Tensor]], Tensor]
"""Of all that, to [V, T, 4, h, w]."""
NOT_ON_A_CPU = "Compiling is for GPUs: on a processor, one step could then neither be stopped nor say that it goes on."
NO_ROOM = "Compiling needs a GPU with room for all of the model at once."


class Asked(nn.Module):
    """`network.predicted`, with all that it goes by given to it: nothing of one run is left in what is compiled."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, videos: Tensor, noise_level: Tensor, cameras: Tensor, answers: list[Tensor]) -> Tensor:
        with network.attending(self.unet, answers):
            return network.predicted(self.unet, videos, noise_level, cameras)


def takes_turns(parts: "Parts") -> bool:
    """The device has no room for all parts together, and the network comes to it layer by layer."""
    return parts.unet.device.type != parts.place.device.type


def compiled_for(parts: "Parts", videos: int) -> Ask | None:
    """What was compiled for so many videos at once on this machine, bound to the network where it lies now.

    Not to be kept beyond a run: a network that steps aside for another one's sake moves to other places.
    """
    file = _file(parts, videos)
    if not file.exists() or takes_turns(parts):
        return None
    try:
        return _loaded(file, parts)
    except Exception:  # of whatever kind: the network itself is there
        log.warning("%s is not used: it could not be loaded", file, exc_info=True)
        return None


def place_of(parts: "Parts") -> Place:
    """Where it works, and whether with what was compiled, which rounds numbers otherwise: so it is said in results."""
    if not any(_file(parts, videos).exists() for videos in (1, 2)):
        return parts.place
    return replace(parts.place, name=parts.place.name.replace(",", " (compiled),", 1))


def compile_where_it_pays(parts: "Parts", videos: int, report: Report) -> str:
    """Takes minutes, and a C++ compiler. Says what came of it; later runs use what is kept."""
    plain, given, file = Asked(parts.unet), _example(parts, videos), _file(parts, videos)
    what = f"{videos} {'video' if videos == 1 else 'videos'} at once"
    report(0.1, f"Compiling the network for {what}: this takes minutes")
    with torch.no_grad(), disk_sentences("The compiled network could not be kept"):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with whole_file(file) as part:
                _compile(plain, given, part)
                compiled = _loaded(part, parts)
                expected = plain(*given).float()
                apart = (compiled(*given).float() - expected).abs().max() / expected.abs().max()
                if not apart < ALIKE:
                    raise _NotKept(f"Compiled, {what} come out otherwise, by {apart:.0%} of the largest number")
                gain = _seconds(plain, given) / _seconds(compiled, given)
                if gain < PAYS:
                    raise _NotKept(f"Compiled, {what} go {gain:.2f} times as fast here")
        except _NotKept as why:
            return f"{why}: it is not kept."
    return f"Compiled, {what} go {gain:.2f} times as fast here: it is used from the next run on."


class _NotKept(Exception):
    pass


def _compile(plain: "Asked", given: Given, file: Path) -> None:
    try:
        torch._inductor.aoti_compile_and_package(
            exported(plain, given), package_path=str(file), inductor_configs=CODE_ALONE
        )
    except OSError:
        raise
    except Exception as problem:
        log.warning("The network could not be compiled", exc_info=True)
        reason = next(iter(str(problem).strip().splitlines()), type(problem).__name__)[:200]
        raise TurnaroundError(
            f"The network could not be compiled here: {reason}. It works without, as before. Compiling needs a C++ "
            "compiler, such as g++."
        ) from problem


def exported(plain: Asked, given: Given) -> "torch.export.ExportedProgram":
    with torch.no_grad():
        return torch.export.export(plain, given)


def _loaded(file: Path, parts: "Parts") -> Ask:
    index = parts.place.device.index
    compiled = torch._inductor.aoti_load_package(str(file), device_index=-1 if index is None else index)
    tensors = Asked(parts.unet).state_dict()
    # Not copied, and gone when `compiled` is
    theirs = {name: tensors[name] for name in compiled.get_constant_fqns()}
    compiled.load_constants(theirs, check_full_update=True, user_managed=True)
    return compiled


def _file(parts: "Parts", videos: int) -> Path:
    """Its name tells all that the code depends on: what it was made from, by what, and for which machine."""
    place, sizes = parts.place, parts.sizes
    made_of = [inspect.getsource(network), diffusers.__version__, torch.__version__, place.name, str(place.dtype)]
    made_of += [json.dumps(sizes.unet), str((videos, sizes.frames, sizes.latent_px))]
    return parts.kept / f"unet-{videos}-{hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]}.pt2"


def _example(parts: "Parts", videos: int) -> Given:
    sizes, device, dtype = parts.sizes, parts.place.device, parts.place.dtype
    chance = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=chance).to(device, dtype)

    with torch.no_grad():
        cameras = parts.unet.add_embedding(drawn(sizes.frames, sizes.unet["projection_class_embeddings_input_dim"]))
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
