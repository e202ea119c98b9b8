"""Which columns tell the rows of a node apart. In: its plan and key. Out: what an error record shows of a row."""

from __future__ import annotations

from collections.abc import Sequence

from sqlinfer.relation import fold
from sqlinfer.spec.identity import Identity
from sqlinfer.spec.plan import Plan


def identity_of(plan: Plan, unique_key: Sequence[str] = (), tested: Sequence[str] = ()) -> Identity:
    """``tested``: columns that a data test holds to be unique."""
    names = unique_key or (*tested, *plan.result.columns)
    origins = {fold(name): of for name, of in plan.result.origins}
    return Identity(tuple((name, origins.get(fold(name), name)) for name in dict.fromkeys(names)), bool(unique_key))
