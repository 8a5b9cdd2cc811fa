"""iNVS (Kant et al., 2023): warp what is seen, inpaint what is not. See `method.py`."""

from pipelines.invs.method import INVS

__all__ = ["INVS"]
