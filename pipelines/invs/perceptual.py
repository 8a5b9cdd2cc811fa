"""LPIPS, how unlike two pictures look: by what AlexNet sees in them (Zhang et al. 2018, arXiv:1801.03924, section 3).

Its weights are not ours to carry. Who has the package `lpips` writes them into a file once, as `HOW` says.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.residency import Place
from pipelines.runtime.tensors import filled, stored_in

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

HOW = """python -c "import lpips, torch; torch.save(lpips.LPIPS(net='alex').state_dict(), 'lpips.pt')\""""
# AlexNet's convolutions as torchvision numbers them: slice, place, channels in and out, side, stride, padding
LAYERS = (
    ("slice1", "0", 3, 64, 11, 4, 2),
    ("slice2", "3", 64, 192, 5, 1, 2),
    ("slice3", "6", 192, 384, 3, 1, 1),
    ("slice4", "8", 384, 256, 3, 1, 1),
    ("slice5", "10", 256, 256, 3, 1, 1),
)
POOLED = ("slice2", "slice3")  # over 3 x 3, every second, before their convolution
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours, 0 to 1


class Perceptual:
    def __init__(self, network: Any, place: Place) -> None:
        self._network, self._place = network, place

    def __call__(self, one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
        """0 for the same picture; both [H, W, 3]."""
        import torch

        both = torch.from_numpy(np.stack([one, other])).to(self._place.device, torch.float32)
        mean, spread = (torch.tensor(each, device=both.device)[:, None, None] for each in (MEAN, SPREAD))
        seen, unlike = (both.permute(0, 3, 1, 2) / 255 - mean) / spread, 0.0
        for i, (slice_, at, *_) in enumerate(LAYERS):
            # 1. What this layer sees, [2, C, h, w]
            if slice_ in POOLED:
                seen = torch.nn.functional.max_pool2d(seen, 3, 2)
            seen = self._network["net"][slice_][at](seen).relu()
            # 2. Each place's own direction, and how far the two are apart there, by what each channel matters
            towards = seen / (seen.square().sum(1, keepdim=True).sqrt() + 1e-10)
            apart: Tensor = (towards[0] - towards[1]).square()
            unlike += float(self._network[f"lin{i}"]["model"]["1"](apart).mean())
        return unlike


def load_perceptual(file: Path, place: Place) -> Perceptual:
    import torch

    try:
        return Perceptual(filled(_network, stored_in(file), file, place.device, torch.float32), place)
    except TurnaroundError as problem:
        what_is_wrong = str(problem).partition(". ")[0]
        raise TurnaroundError(f"{what_is_wrong}. It should hold the weights of LPIPS. To make it: {HOW}") from problem


def _network() -> "Module":
    """With the names that the file has."""
    from torch.nn import Conv2d, ModuleDict

    convolutions = {
        slice_: ModuleDict({at: Conv2d(taken, given, side, stride, padding)})
        for slice_, at, taken, given, side, stride, padding in LAYERS
    }
    matters = {
        f"lin{i}": ModuleDict({"model": ModuleDict({"1": Conv2d(given, 1, 1, bias=False)})})
        for i, (_, _, _, given, *_) in enumerate(LAYERS)
    }
    return ModuleDict({"net": ModuleDict(convolutions), **matters})
