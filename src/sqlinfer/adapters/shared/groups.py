"""Which calls of a stage are scored together.

A statement that looks up hundreds of calls holds hundreds of hash tables, and hundreds of sessions hold as many models
in memory, and threads where they cannot share them. So a stage of many calls is scored in parts: each makes a table of
results in the stage's order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final

from sqlinfer.spec.function import Strategy
from sqlinfer.spec.plan import Call, Stage

AT_ONCE: Final[Mapping[Strategy, int]] = {"store": 8, "stream": 16}
"""Calls of a part."""


def is_in_parts(stage: Stage) -> bool:
    counts = Counter(call.strategy for call in stage.calls)
    return any(count > AT_ONCE[strategy] for strategy, count in counts.items())


def parts_of(calls: Sequence[Call]) -> tuple[tuple[Call, ...], ...]:
    """Calls of one strategy each, those of a function beside each other."""
    ordered = sorted(calls, key=lambda call: (call.strategy, call.digest))
    found: list[tuple[Call, ...]] = []
    for strategy, same in groupby(ordered, key=lambda call: call.strategy):
        listed, size = tuple(same), AT_ONCE[strategy]
        found += [listed[i : i + size] for i in range(0, len(listed), size)]
    return tuple(found)


def groups_of(stage: Stage) -> tuple[tuple[Call, ...], ...]:
    """For ``Pinned.groups``: inputs that calls of one function share are scored once."""
    if is_in_parts(stage):
        return tuple(group for part in parts_of(stage.calls) for group in _by_function(part))
    stored = tuple((call,) for call in stage.calls if call.strategy == "store")
    streamed = tuple(call for call in stage.calls if call.strategy == "stream")
    return (*stored, streamed) if streamed else stored


def _by_function(part: Sequence[Call]) -> tuple[tuple[Call, ...], ...]:
    if part[0].strategy == "stream":
        return (tuple(part),)
    return tuple(tuple(same) for _, same in groupby(part, key=lambda call: call.digest))
