"""Many calls of one stage are scored some at a time: each group makes a table of results in the stage's order.

One statement that looks up hundreds of calls holds hundreds of hash tables, and hundreds of sessions in a chain hold as
many threads; a group holds few. The scored relation puts the tables side by side, row by row, without a join.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from sqlinfer.relation import Relation
from sqlinfer.spec.plan import Call, Stage

AT_ONCE = 8
"""Calls of a group."""


def is_in_parts(stage: Stage) -> bool:
    return len(stage.calls) > AT_ONCE


def groups(calls: Sequence[Call]) -> tuple[tuple[Call, ...], ...]:
    """Calls of one strategy each, those of a function beside each other."""
    ordered = sorted(calls, key=lambda call: (call.strategy, call.digest))
    found: list[tuple[Call, ...]] = []
    for _, same in groupby(ordered, key=lambda call: call.strategy):
        listed = tuple(same)
        found += [listed[i : i + AT_ONCE] for i in range(0, len(listed), AT_ONCE)]
    return tuple(found)


def relation(stage: Stage, number: int) -> Relation:
    return Relation(f"{stage.relation.name}__part{number}", stage.relation.schema, stage.relation.catalog)


def relations(stage: Stage) -> tuple[Relation, ...]:
    """The tables that scoring the stage leaves behind."""
    return tuple(relation(stage, n) for n in range(len(groups(stage.calls)))) if is_in_parts(stage) else ()
