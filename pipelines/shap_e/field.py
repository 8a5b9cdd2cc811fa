"""The object that a latent stands for: at every point of the box [-1, 1]^3 a signed distance and a colour.

A latent is the weights of a small network. diffusers writes them into the one renderer that all requests share; here
every object has its own copy (1.7 MB), so that requests cannot draw one another's objects.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.shap_e.loading import Parts

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]
POINTS_AT_ONCE = 16_384  # at 256 hidden units about 100 MB of activations; a third of a second on one CPU core


class Field:
    """Points in, numbers out, `points_at_once` at a time; `step(share)` is called after each time and may raise."""

    def __init__(self, parts: Parts, latent: "torch.Tensor", points_at_once: int = POINTS_AT_ONCE) -> None:
        import torch
        from diffusers.pipelines.shap_e.renderer import MLPNeRSTFModel

        make: Any = MLPNeRSTFModel  # its types promise less than it does
        with torch.device("meta"):  # no random weights
            self._mlp = make(**parts.mlp_shape)
        self._device, self._at_once = parts.place.device, points_at_once
        with torch.no_grad():
            projected = parts.projector(latent.float())  # "nerstf.mlp.0.weight": [1, 256, 93], and so on
        own = {name.removeprefix("nerstf."): weights[0] for name, weights in projected.items()}
        weights = {name: tensor.to(self._device) for name, tensor in {**parts.mlp, **own}.items()}
        self._mlp.load_state_dict(weights, assign=True)

    def distances(self, grid: int, step: Callable[[float], Any] | None = None) -> Floats:
        """[grid, grid, grid] over x, y, z, from -1 to 1 with both ends; positive inside."""
        axis = np.linspace(-1, 1, grid, dtype=np.float32)
        values = np.empty(grid**3, np.float32)
        for start in range(0, len(values), self._at_once):
            index = np.arange(start, min(start + self._at_once, len(values)))
            points = np.stack([axis[index // grid**2], axis[index // grid % grid], axis[index % grid]], 1)
            values[index] = self._at(points).signed_distance[0, :, 0].cpu().numpy()
            if step:
                step(index[-1] / len(values))
        return values.reshape(grid, grid, grid)

    def colours(self, points: Floats, step: Callable[[float], Any] | None = None) -> NDArray[np.uint8]:
        """sRGB [N, 3] at points [N, 3].

        The network speaks sRGB. diffusers makes it linear for its meshes, which then look dark everywhere.
        """
        colours = np.empty((len(points), 3), np.uint8)
        for start in range(0, len(points), self._at_once):
            some = points[start : start + self._at_once]
            share = self._at(some).channels[0].cpu().numpy()
            colours[start : start + len(some)] = np.rint(255 * np.nan_to_num(share))
            if step:
                step((start + len(some)) / len(points))
        return colours

    def _at(self, points: Floats) -> Any:
        import torch

        with torch.no_grad():
            where = torch.from_numpy(points).to(self._device)[None]  # [1, N, 3]
            return self._mlp(position=where, direction=None, ts=None, nerf_level="fine", rendering_mode="stf")
