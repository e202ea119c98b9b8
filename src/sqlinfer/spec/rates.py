"""How fast a function is: measured on this machine, else estimated from its graph."""

from __future__ import annotations

from sqlinfer.spec.function import FunctionContract

_PER_ROW, _FLOPS = 3e-7, 5e10
"""Seconds a row for reading and writing; operations a second of two cores (measured: 1.3e11 for a matrix product)."""


def estimated_seconds(operations: float) -> float:
    """For a row that takes so many operations."""
    return _PER_ROW + operations / _FLOPS


def seconds_per_row(contract: FunctionContract, measured: float | None) -> float:
    """In the session, all workers together. ``measured``: rows in a second, where that is known."""
    return 1 / measured if measured else estimated_seconds(contract.cost_per_row)
