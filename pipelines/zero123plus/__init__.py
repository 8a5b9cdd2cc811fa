"""Zero123++ (Shi et al., 2023, arXiv 2310.15110): six fixed views of the object in one picture. See `method.py`."""

from pipelines.zero123plus.method import Zero123Plus

__all__ = ["Zero123Plus"]
