"""The latent's field: what diffusers' renderer says of it, for several objects at once, in bounded memory."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from pipelines.core.errors import Cancelled
from pipelines.runtime.devices import PeakMemory
from pipelines.shap_e.field import Field
from pipelines.shap_e.loading import Parts
from tests.shap_e import tiny


def a_latent(seed: int) -> torch.Tensor:
    return torch.rand((1, 64, 16), generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module")
def theirs(repository: Path) -> Any:
    """diffusers' renderer with the same weights."""
    renderer = tiny.a_renderer()
    tensors = load_file(repository / "shap_e_renderer/diffusion_pytorch_model.fp16.safetensors")
    renderer.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in tensors.items()})
    return renderer


def said_by(renderer: Any, latent: torch.Tensor, points: torch.Tensor) -> tuple[NDArray[Any], NDArray[Any]]:
    """As its `decode_to_mesh` asks it."""
    with torch.no_grad():
        for name, weights in renderer.params_proj(latent).items():
            renderer.mlp.state_dict()[name.removeprefix("nerstf.")].copy_(weights.squeeze(0))
        out = renderer.mlp(position=points[None], direction=None, ts=None, nerf_level="fine", rendering_mode="stf")
    return out.signed_distance[0, :, 0].numpy(), out.channels[0].numpy()


def test_distances_lie_on_the_grid_as_diffusers_has_it(parts: Parts, theirs: Any):
    from diffusers.pipelines.shap_e.renderer import volume_query_points

    points = volume_query_points(theirs.volume, 12)
    expected, _ = said_by(theirs, a_latent(1), points)
    got = Field(parts, a_latent(1)).distances(12)
    assert got.shape == (12, 12, 12) and np.allclose(got.ravel(), expected, atol=1e-5)
    assert expected.min() < 0 < expected.max()


def test_colours_are_the_linear_ones_of_diffusers_meshes_in_srgb(parts: Parts, theirs: Any):
    """diffusers makes them linear; back in sRGB they are ours."""
    from diffusers.pipelines.shap_e.renderer import _convert_srgb_to_linear

    points = torch.rand((500, 3), generator=torch.Generator().manual_seed(2)) * 2 - 1
    _, channels = said_by(theirs, a_latent(1), points)
    light = _convert_srgb_to_linear(torch.from_numpy(channels)).numpy()
    srgb = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    got = Field(parts, a_latent(1)).colours(points.numpy())
    assert np.abs(got - 255 * srgb).max() < 0.51
    assert np.ptp(got[:, 0]) > 150, "the colours to compare are all alike"
    # The numbers themselves: half of the light is 188, not 128, which is what a dark viewer would show.
    assert round(255 * float(1.055 * 0.5 ** (1 / 2.4) - 0.055)) == 188
    assert float(_convert_srgb_to_linear(torch.tensor(128 / 255))) == pytest.approx(0.2158605, abs=1e-6)


@pytest.mark.parametrize("at_once", [1000, 1728, 10**6])
def test_pieces_of_any_size_give_the_same(parts: Parts, at_once: int):
    whole, piecewise = Field(parts, a_latent(3)), Field(parts, a_latent(3), at_once)
    assert np.allclose(whole.distances(12), piecewise.distances(12), atol=1e-6)
    points = np.random.default_rng(0).uniform(-1, 1, (2500, 3)).astype(np.float32)
    assert np.abs(whole.colours(points).astype(int) - piecewise.colours(points)).max() <= 1


def test_progress_is_told_and_cancelling_heard_at_every_piece(parts: Parts):
    told: list[float] = []
    field = Field(parts, a_latent(3), 400)
    field.distances(12, told.append)
    assert len(told) == 5 and told == sorted(told) and told[-1] > 0.99

    def stop(share: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        field.distances(12, stop)
    with pytest.raises(Cancelled):
        field.colours(np.zeros((3, 3), np.float32), stop)


def test_two_objects_at_once_stay_apart(parts: Parts):
    """With one renderer for all, as diffusers has it, each would show pieces of the other."""
    alone = [Field(parts, a_latent(seed), 500).distances(24) for seed in (1, 2)]
    assert np.abs(alone[0] - alone[1]).max() > 0.02
    start = threading.Barrier(2)
    together: dict[int, NDArray[np.float32]] = {}

    def work(number: int) -> None:
        start.wait()
        field = Field(parts, a_latent(number + 1), 500)  # 28 pieces, in turns with the other thread's
        together[number] = field.distances(24)

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in (0, 1):
        assert np.array_equal(together[number], alone[number])


def test_making_an_object_changes_nothing_that_others_use(parts: Parts):
    before = {name: tensor.clone() for name, tensor in parts.mlp.items()}
    Field(parts, a_latent(4)).distances(8)
    assert all(torch.equal(tensor, before[name]) for name, tensor in parts.mlp.items())


def test_memory_grows_with_the_pieces_and_not_with_the_grid(parts: Parts):
    def grown(grid: int, at_once: int) -> int:
        field = Field(parts, a_latent(1), at_once)
        before, peak = resident_bytes(), PeakMemory()
        field.distances(grid)
        return peak.bytes() - before

    grown(16, 4096)
    small, whole = grown(80, 4096), grown(80, 80**3)
    assert whole > 200e6, "the measurement does not see what a grid in one piece takes"
    assert small < 0.1 * whole


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
