"""SV3D: orbits from a video diffusion model."""

from pipelines.sv3d.method import SV3DP, SV3DU

__all__ = ["SV3DP", "SV3DU"]
