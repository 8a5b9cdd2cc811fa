"""Inflate: a geometric method that needs no weights. See `method.py`."""

from pipelines.inflate.method import Inflate

__all__ = ["Inflate"]
