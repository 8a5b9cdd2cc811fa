"""Floor 3: every method, in display order. To add one: an import and a line."""

from pipelines.core.errors import TurnaroundError
from pipelines.inflate import Inflate
from pipelines.invs import INVS
from pipelines.runtime.method import Method
from pipelines.shap_e import ShapE
from pipelines.sv3d import SV3DP, SV3DU
from pipelines.zero123 import StableZero123, Zero123, Zero123XL
from pipelines.zero123plus import Zero123Plus

METHODS: tuple[Method, ...] = (
    Inflate(),
    SV3DP(),
    SV3DU(),
    INVS(),
    Zero123XL(),
    StableZero123(),
    Zero123(),
    Zero123Plus(),
    ShapE(),
)


def find_method(key: object) -> Method:
    for method in METHODS:
        if method.card.key == key:
            return method
    known = ", ".join(method.card.key for method in METHODS)
    raise TurnaroundError(f"There is no method {str(key)[:40]!r}. Known methods: {known}.")
