"""Numbers as people write them in flags, yml, profiles and the environment: ASCII digits, and not thousands of them.

Python's ``int`` takes the digits of every script, underscores and spaces; what is beside sqlinfer takes none of them.
"""

from __future__ import annotations

import math
import os
import re

from sqlinfer.errors import UsageError

_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,18}\s*")
_DECIMAL = re.compile(r"\s*[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?\s*")


def whole(text: str) -> int | None:
    """
    >>> whole("12"), whole("٣"), whole("1_0"), whole("1.5")
    (12, None, None, None)
    """
    return int(text) if _WHOLE.fullmatch(text) else None


def decimal(text: str) -> float | None:
    """
    >>> decimal("1.5"), decimal("2e3"), decimal("inf"), decimal("٣")
    (1.5, 2000.0, None, None)
    """
    value = float(text) if _DECIMAL.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


def of_environment(variable: str) -> float | None:
    """What the environment says, None where it is silent.

    Raises:
        UsageError: it is no number above 0.
    """
    text = os.environ.get(variable)
    value = decimal(text) if text else None
    if text and (value is None or not 0 < value < 1e15):
        raise UsageError(f"{variable}={text} is not a positive number", hint="bytes or seconds, without a unit")
    return value
