"""LPIPS with AlexNet's sizes and numbers of nobody's: the sums are right, and a file is taken whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.core.errors import TurnaroundError
from pipelines.invs.perceptual import Perceptual, load_perceptual
from pipelines.runtime.residency import Place
from tests.invs.tiny import lpips_state

CPU = Place(torch.device("cpu"), torch.float32, "CPU, float32")


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return lpips_state()


@pytest.fixture(scope="module")
def perceptual(state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Perceptual:
    file = tmp_path_factory.mktemp("lpips") / "lpips.pt"
    torch.save(state, file)
    return load_perceptual(file, CPU)


def pictures() -> list[np.ndarray]:
    """The same noise, more and more of it changed."""
    chance = np.random.default_rng(4)
    first, other = chance.integers(0, 256, (2, 80, 72, 3), np.uint8)
    some = first.copy()
    some[:, :24] = other[:, :24]
    return [first, some, other]


def test_it_is_what_the_paper_says(state: dict[str, torch.Tensor], perceptual: Perceptual):
    """As its authors count: pictures from -1 to 1, their own colours' mean, AlexNet as one row of layers."""
    nn = torch.nn
    convolutions = [nn.Conv2d(3, 64, 11, 4, 2), nn.Conv2d(64, 192, 5, 1, 2), nn.Conv2d(192, 384, 3, 1, 1)]
    convolutions += [nn.Conv2d(384, 256, 3, 1, 1), nn.Conv2d(256, 256, 3, 1, 1)]
    a, b, c, d, e = convolutions
    row = [a, nn.ReLU(), nn.MaxPool2d(3, 2), b, nn.ReLU(), nn.MaxPool2d(3, 2), c, nn.ReLU(), d, nn.ReLU(), e, nn.ReLU()]
    for name, convolution in zip(("1.0", "2.3", "3.6", "4.8", "5.10"), convolutions, strict=True):
        convolution.load_state_dict({part: state[f"net.slice{name}.{part}"] for part in ("weight", "bias")})
    one, _, other = pictures()
    scaled = torch.from_numpy(np.stack([one, other])).permute(0, 3, 1, 2).float() / 127.5 - 1
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    seen, unlike, layer = (scaled - shift[:, None, None]) / scale[:, None, None], 0.0, 0
    with torch.no_grad():
        for i, step in enumerate(row):
            seen = step(seen)
            if i in (1, 4, 7, 9, 11):
                unit = torch.nn.functional.normalize(seen, dim=1)
                matters = state[f"lin{layer}.model.1.weight"].flatten()
                unlike += float(torch.einsum("chw,c->hw", (unit[0] - unit[1]) ** 2, matters).mean())
                layer += 1
    assert layer == 5 and perceptual(one, other) == pytest.approx(unlike, rel=1e-5)


def test_the_same_is_nothing_apart_and_more_change_is_more_unlike(perceptual: Perceptual):
    same, some, other = pictures()
    assert perceptual(same, same) == 0
    assert 0 < perceptual(same, some) < perceptual(same, other) == pytest.approx(perceptual(other, same))


@pytest.mark.parametrize("spoil", ["lacks", "size", "text", "nothing"])
def test_weights_of_something_else_are_refused(state: dict[str, torch.Tensor], tmp_path: Path, spoil: str):
    spoilt: dict[str, torch.Tensor | str] = dict(state)
    lacks = "lacks the tensor lin4.model.1"
    said = {"lacks": lacks, "size": "in the size", "text": lacks, "nothing": "read"}
    if spoil == "lacks":
        del spoilt["lin4.model.1.weight"]
    elif spoil == "text":
        spoilt["lin4.model.1.weight"] = "no tensor"
    elif spoil == "size":
        spoilt["lin4.model.1.weight"] = torch.ones(1, 512, 1, 1)
    torch.save(spoilt, tmp_path / "lpips.pt")
    if spoil == "nothing":
        (tmp_path / "lpips.pt").write_bytes(b"not weights")
    with pytest.raises(TurnaroundError, match=said[spoil]):
        load_perceptual(tmp_path / "lpips.pt", CPU)
