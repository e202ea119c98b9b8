"""What one rendering of a template may use: time, steps, text, and everything that is made on the way.

Each operation says beforehand how large its result can be (``made``) and afterwards how much it looked at
(``looked_at``), so that a bomb is stopped before it takes memory, and a long night of comparisons by its time.
"""

from __future__ import annotations

import time
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Sized, ValuesView
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.utils import Namespace

MAX_OUTPUT = 10_000_000
MAX_SECONDS = 10.0
MAX_STEPS = 5_000_000
MAX_ITEMS = 1_000_000
MAX_BITS = 20_000
MAX_MADE = 256_000_000
"""Characters and parts of all values that a rendering makes: its memory cannot be more."""
PART = 8
"""What one part of a list counts as, in characters."""
MADE_PART = 64
"""What a part counts as where it is a new object."""
_TICKS = 256
"""Steps between two looks at the clock."""
_SOLID = (str, bytes, list, tuple, dict, set, frozenset, int, float, type(None))
_TEXT = (str, bytes)
_SCALARS = frozenset({int, float, bool, type(None)})
CONTAINERS = frozenset({list, tuple, dict, set, frozenset})
_NESTED = CONTAINERS | {Namespace, type({}.keys()), type({}.values()), type({}.items())}


class LimitExceeded(SecurityError):
    """A template used more time, text or steps than it may."""


@dataclass(slots=True)
class Budget:
    deadline: float
    seconds: float
    output: int
    steps: int = 0
    total: int = 0
    next_look: int = _TICKS

    def tick(self, weight: int = 1) -> None:
        self.steps += weight
        if self.steps >= self.next_look:
            self.next_look = self.steps + _TICKS
            if self.steps > MAX_STEPS:
                raise LimitExceeded(f"the template takes more than {MAX_STEPS:,} steps")
            self.on_time()

    def on_time(self) -> None:
        if time.monotonic() > self.deadline:
            raise LimitExceeded(f"the template takes longer than {self.seconds:g} s")

    def text(self, size: int) -> None:
        if size > self.output:
            raise LimitExceeded(f"the template makes more than {self.output:,} characters")

    def made(self, size: int) -> None:
        """A value of this size is about to be made."""
        if size > self.output:
            self.text(size)
        self.total += size
        if self.total > MAX_MADE:
            raise LimitExceeded(f"the template makes values of more than {MAX_MADE:,} characters")
        if size > 1_000:
            self.looked_at(size)

    def looked_at(self, size: int) -> None:
        """Work in C that takes time by the size of a value, about a nanosecond a character."""
        self.tick(1 + size // 1_000)


_BUDGET: ContextVar[Budget | None] = ContextVar("sqlinfer_jinja_budget", default=None)


@contextmanager
def budget(seconds: float = MAX_SECONDS, output: int = MAX_OUTPUT) -> Iterator[Budget]:
    """The limits of one rendering."""
    one = Budget(time.monotonic() + seconds, seconds, output)
    token = _BUDGET.set(one)
    try:
        yield one
    finally:
        _BUDGET.reset(token)


def current() -> Budget:
    return _BUDGET.get() or Budget(float("inf"), MAX_SECONDS, MAX_OUTPUT)


def parts_of(value: Any) -> Iterable[Any] | None:
    """What stands inside a value where that is printed, compared and hashed with it."""
    if isinstance(value, dict):
        return (*value.keys(), *value.values())
    if isinstance(value, list | tuple | set | frozenset | KeysView | ValuesView | ItemsView):
        return value
    if type(value) is Namespace:
        return parts_of(value._Namespace__attrs)
    return None


def measured(value: Any) -> int:
    """About the characters of ``str(value)``, counted with a limit so that self-made giants are found before."""
    if isinstance(value, str | bytes):
        return len(value)
    limit, total, count = current(), PART, 1
    stack = [value]
    while stack:
        for item in parts_of(stack.pop()) or ():
            count += 1
            if isinstance(item, _TEXT):
                total += len(item)
                continue
            total += PART
            if type(item) not in _SCALARS:
                stack.append(item)
            if count % 4096 == 0:
                _within(limit, count, total)
        _within(limit, count, total)
    limit.tick(1 + count // 20)
    return total


def _within(limit: Budget, count: int, total: int) -> None:
    limit.text(total)
    limit.on_time()
    if count > MAX_ITEMS:
        raise LimitExceeded(f"a value has more than {MAX_ITEMS:,} parts")


def flat(value: Any) -> Any:
    """The value itself, once it is sure that comparing or hashing it ends: lists may hold themselves many times."""
    kind = type(value)
    if kind in CONTAINERS:
        inner = map(type, value.values() if kind is dict else value)
        if _NESTED.isdisjoint(inner):
            current().looked_at(PART * len(value))
        else:
            measured(value)
    elif isinstance(value, _TEXT):
        if len(value) > 1_000:
            current().looked_at(len(value))
    elif parts_of(value) is not None:
        measured(value)
    return value


def bounded(values: Iterable[Any]) -> Iterator[Any]:
    limit = current()
    for count, item in enumerate(values):
        if count > MAX_ITEMS:
            raise LimitExceeded(f"more than {MAX_ITEMS:,} items")
        limit.tick()
        yield item


def solid(value: Any) -> Any:
    """Iterators, ranges and views as lists, whose sizes are known; anything else as it is."""
    if isinstance(value, _SOLID):
        return value
    if isinstance(value, Iterator | range | KeysView | ValuesView | ItemsView):
        if isinstance(value, Sized):
            current().made(PART * len(value))
        return list(bounded(value))
    return value
