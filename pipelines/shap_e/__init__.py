"""Shap-E: a whole object, as a mesh, from one photo. See `method.py`."""

from pipelines.shap_e.method import ShapE

__all__ = ["ShapE"]
