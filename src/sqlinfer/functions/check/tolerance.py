"""How far a prepared function may be from its original. Read on every run, so nothing heavy is imported here."""

from __future__ import annotations

import math
from typing import Final

from sqlinfer.errors import FunctionError
from sqlinfer.project.values import FunctionConfig
from sqlinfer.spec.function import Verified

_DEFAULT: Final = 1e-6
_OF_SOURCE: Final = {"huggingface": 1e-4, "torch": 1e-4}
_HALF: Final = 1e-2
"""Of ``precision: fp16``, which has three digits."""


def tolerance_of(config: FunctionConfig) -> float:
    """Largest relative difference: declared, or the source's own."""
    if config.tolerance is not None:
        return config.tolerance
    return _HALF if config.precision == "fp16" else _OF_SOURCE.get(config.source, _DEFAULT)


def is_close(config: FunctionConfig, found: Verified | None) -> bool:
    """Whether nothing was seen that is not allowed."""
    tolerance = tolerance_of(config)
    if found is None or tolerance == math.inf:
        return True
    return not found.labels and found.relative <= tolerance and found.allowed <= tolerance


def forgiven(tolerance: float) -> float:
    """How near to another class a label may have changed: not at all, where no tolerance was asked for."""
    return tolerance if _DEFAULT < tolerance < math.inf else 0.0


def check_verified(config: FunctionConfig, found: Verified | None) -> None:
    """Raises FunctionError where a function was seen to be another one than its original."""
    tolerance = tolerance_of(config)
    if found is None or is_close(config, found):
        return
    parts = [f"largest difference {found.absolute:.3g}, {found.relative:.3g} relative, {tolerance:g} is allowed"]
    if found.labels:
        parts.append(f"{_rows(found.labels)} with another label")
    raise FunctionError(
        f"function '{config.name}': its results are not those of {found.against}: "
        f"{_rows(found.over)} of {found.rows:,} differ ({'; '.join(parts)})",
        hint=_way_out(config, found, tolerance),
    )


def _way_out(config: FunctionConfig, found: Verified, tolerance: float) -> str:
    ways = []
    if config.source not in ("onnx", "torch"):
        ways.append("'runtime: native' lets the library itself predict")
    if not found.labels and found.relative < float("inf"):
        ways.append(f"'config: {{tolerance: {_above(found.relative)}}}' allows it")
    if config.precision == "fp16":
        ways.append("'precision: fp32' has more digits")
    return "; ".join(ways) or "export the model again"


def _above(difference: float) -> str:
    """One digit, and not below the difference."""
    power = f"{difference:.0e}"
    return power if float(power) >= difference else f"{float(power) + 10.0 ** int(power.split('e')[1]):.0e}"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
