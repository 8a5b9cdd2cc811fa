"""Zero-1-to-3 (Liu et al., 2023, arXiv 2303.11328), Zero123-XL and Stable Zero123: any view. See `method.py`."""

from pipelines.zero123.method import StableZero123, Zero123, Zero123XL

__all__ = ["StableZero123", "Zero123", "Zero123XL"]
