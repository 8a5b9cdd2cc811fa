"""What iNVS's training keeps: its state, with which it goes on, and the model as it is now."""

import filecmp
import json
import pickle
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.core.errors import TurnaroundError
from pipelines.core.files import disk_sentences, sync_to_disk, whole_file, write_whole
from pipelines.invs.loading import Inpainter, weight_file
from pipelines.invs.sources import FINE_TUNED, TASK
from pipelines.runtime.residency import Place
from pipelines.runtime.tensors import save_tensors
from pipelines.runtime.thrift import is_out_of_memory
from pipelines.runtime.weights import Fetched

STATE, MODEL = "state.pt", "model"
HALF_WRITTEN = re.compile(r"\.[0-9a-f]{16}\.part(\..*)?")


def sweep(out: Path) -> None:
    """What a killed process left of files that it was writing: a state may be 14 GB."""
    for file in [*out.glob(".*"), *(out / MODEL).rglob(".*")]:
        if HALF_WRITTEN.fullmatch(file.name):
            file.unlink(missing_ok=True)


def keep(out: Path, step: int, learned: int, unet: Any, optimizer: Any, average: Any) -> None:
    import torch

    state = {
        "step": step,
        "pairs": learned,
        "unet": unet.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": average.state_dict(),
    }
    with disk_sentences("The state of the training could not be kept"), whole_file(out / STATE) as part:
        try:
            with part.open("wb") as file:
                torch.save(state, file)
        except RuntimeError as problem:  # what the disk said is behind what torch makes of it
            raise (problem.__context__ if isinstance(problem.__context__, OSError) else problem) from None
        sync_to_disk(part)


def restored(out: Path, unet: Any, optimizer: Any, average: Any, place: Place, pairs_a_step: int) -> tuple[int, int]:
    """How many steps were done before, and how many pairs were learned: by other numbers of processes, perhaps."""
    import torch

    file = out / STATE
    if not file.exists():
        average.to(place.device)
        return 0, 0
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)  # each takes what is its own to its device
    except OSError as problem:
        raise TurnaroundError(f"{file} cannot be read ({problem.strerror or problem}).") from problem
    except (EOFError, RuntimeError, pickle.UnpicklingError) as problem:
        raise TurnaroundError(f"{file} is damaged ({problem}). Without it, training begins anew.") from problem
    try:
        unet.load_state_dict(state["unet"])
        optimizer.load_state_dict(state["optimizer"])
        average.load_state_dict(state["average"] | {"use_ema_warmup": False})  # as older ones had it
        step = int(state["step"])
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as problem:
        if is_out_of_memory(problem):
            raise
        raise TurnaroundError(
            f"{file} is of another training, which began with another inpainter. Name another --out, or its --base."
        ) from problem
    average.to(place.device)
    return step, int(state.get("pairs", step * pairs_a_step))


def is_published(out: Path, base: Fetched, step: int) -> bool:
    from safetensors import SafetensorError, safe_open

    file = weight_file(replace(base, folder=out / MODEL), "unet")
    if not file.exists():
        return False
    try:
        with safe_open(file, "pt") as kept:
            return (kept.metadata() or {}).get("step") == str(step)
    except (OSError, SafetensorError):  # damaged: it is written anew
        return False


def save_model(parts: Inpainter, base: Fetched, out: Path, step: int) -> None:
    """The UNet in half precision, and beside it what it was begun with, which stays as it is for whoever reads it."""
    import torch

    folder = out / MODEL
    with disk_sentences("The model could not be kept"):
        for named in base.source.files:
            theirs, ours = base.folder / named.path, folder / named.path
            if named.path.startswith("unet/") or (ours.exists() and filecmp.cmp(theirs, ours, shallow=False)):
                continue
            ours.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(ours) as part:
                shutil.copyfile(theirs, part)
        config = json.loads((base.folder / "unet" / "config.json").read_text("utf-8")) | {FINE_TUNED: TASK}
        (folder / "unet").mkdir(parents=True, exist_ok=True)
        write_whole(folder / "unet" / "config.json", json.dumps(config, indent=2).encode())
        tensors = {
            name: each.detach().to("cpu", torch.float16).contiguous() for name, each in parts.unet.state_dict().items()
        }
        with whole_file(weight_file(replace(base, folder=folder), "unet")) as part:
            save_tensors(tensors, part, {"format": "pt", "step": str(step)})
