"""Jinja in a sandbox with limits: SandboxedEnvironment, StrictUndefined, and a budget of time, loops and text.

Templates may change their own lists (``do list.append(…)``), as in dbt. Everything that can take unbounded time or
memory passes through here: loops, calls, ``* ** % + ~``, the growing filters, and output. So the budget is checked in
the rendering thread itself and no other thread or process is needed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, Macro, Undefined
from jinja2.sandbox import SandboxedEnvironment
from jinja2.visitor import NodeTransformer

MAX_OUTPUT = 10_000_000
MAX_SECONDS = 10.0
MAX_STEPS = 5_000_000
MAX_ITEMS = 1_000_000
MAX_BITS = 20_000


class MacroReturn(Exception):
    """``return(value)``: the way out of a macro, as in dbt; an error only outside of one."""

    def __init__(self, value: Any) -> None:
        super().__init__("return() outside of a macro")
        self.value = value


class LimitExceeded(SecurityError):
    """A template used more time, text or steps than it may."""


@dataclass(slots=True)
class Budget:
    deadline: float
    seconds: float
    output: int
    steps: int = 0

    def tick(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise LimitExceeded(f"the template takes more than {MAX_STEPS:,} steps")
        if self.steps % 256 == 0 and time.monotonic() > self.deadline:
            raise LimitExceeded(f"the template takes longer than {self.seconds:g} s")

    def text(self, size: int) -> None:
        if size > self.output:
            raise LimitExceeded(f"the template makes more than {self.output:,} characters")


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


def _budget() -> Budget:
    return _BUDGET.get() or Budget(float("inf"), MAX_SECONDS, MAX_OUTPUT)


def measured(value: Any) -> int:
    """About the characters of ``str(value)``, counted with a limit so that self-made giants are found before."""
    limit, total, count = _budget(), 0, 0
    stack = [value]
    while stack:
        item = stack.pop()
        count += 1
        total += len(item) if isinstance(item, str | bytes) else 8
        if count > MAX_ITEMS:
            raise LimitExceeded(f"a value has more than {MAX_ITEMS:,} parts")
        limit.text(total)
        if isinstance(item, dict):
            stack.extend(item.keys())
            stack.extend(item.values())
        elif isinstance(item, list | tuple | set | frozenset):
            stack.extend(item)
    return total


def _width(text: str) -> None:
    """Refuses ``%0999999999d`` and ``{:>999999999}``."""
    if re.search(r"\d{6,}", text):
        raise LimitExceeded("a format width is too large")


def _binary(operator: str, left: Any, right: Any) -> None:
    limit = _budget()
    limit.tick()
    sized = (str, bytes, list, tuple)
    if operator == "*":
        for one, other in ((left, right), (right, left)):
            if isinstance(one, sized) and isinstance(other, int):
                limit.text(len(one) * max(other, 0) * (1 if isinstance(one, str | bytes) else 8))
        if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > MAX_BITS:
            raise LimitExceeded("a number is too large")
    elif operator == "**" and isinstance(left, int) and isinstance(right, int):
        if abs(left) > 1 and left.bit_length() * abs(right) > MAX_BITS:
            raise LimitExceeded("a number is too large")
    elif operator == "+" and isinstance(left, sized) and isinstance(right, sized):
        limit.text((len(left) + len(right)) * (1 if isinstance(left, str | bytes) else 8))
    elif operator == "%" and isinstance(left, str):
        _width(left)
        if "*" in left:
            raise LimitExceeded("'*' widths are not allowed in formats")
        limit.text(len(left) + left.count("%") * measured(right))


def _growth(owner: Any, name: str, args: tuple[Any, ...]) -> None:
    """Bounds the methods of str and list that make something large out of something small."""
    limit = _budget()
    first = args[0] if args else None
    if isinstance(owner, str):
        if name in ("center", "ljust", "rjust", "zfill", "expandtabs") and isinstance(first, int):
            limit.text(max(first, 0) * (1 + (owner.count("\t") if name == "expandtabs" else 0)))
        elif name == "replace" and len(args) >= 2 and isinstance(first, str) and isinstance(args[1], str):
            limit.text(len(owner) + (owner.count(first) if first else len(owner) + 1) * len(args[1]))
        elif name == "join" and isinstance(first, list | tuple | dict | set):
            limit.text(measured(first) + len(owner) * len(first))
        elif name in ("format", "format_map"):
            _width(owner)
            limit.text(len(owner) + owner.count("{") * measured(args))
        elif name == "translate":
            limit.text(len(owner) * 100)
    elif isinstance(owner, list) and name in ("extend", "append", "insert"):
        limit.text(8 * (len(owner) + (len(first) if isinstance(first, list | tuple | str | dict | set) else 1)))


class _Loop:
    """An iterable whose every step is counted."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[Any]:
        limit = _budget()
        for item in self._inner:
            limit.tick()
            yield item

    def __len__(self) -> int:
        return len(self._inner)


def _loop(value: Any) -> Any:
    if isinstance(value, Undefined):
        return value
    return _Loop(value) if hasattr(value, "__len__") else _Loop(list(_bounded(value)))


def _bounded(values: Iterable[Any]) -> Iterator[Any]:
    for count, item in enumerate(values):
        if count > MAX_ITEMS:
            raise LimitExceeded(f"more than {MAX_ITEMS:,} items")
        _budget().tick()
        yield item


def _concatenate(parts: list[Any]) -> str:
    for part in parts:
        measured(part)
    texts = [str(part) for part in parts]
    _budget().text(sum(map(len, texts)))
    return "".join(texts)


class _Guards(NodeTransformer):
    """Routes loops and ``~`` through the budget."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, "_sqlinfer_loop", [], [], None, None, lineno=node.iter.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(parts, "_sqlinfer_concat", [], [], None, None, lineno=node.lineno)


_PASSED = (SandboxedEnvironment, nodes.EvalContext, Context)
"""What Jinja itself hands to a filter in front of its values."""


def _guarded(name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose text and number arguments are bounded before it runs, and its result after."""

    import functools

    @functools.wraps(inner)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        limit = _budget()
        limit.tick()
        values = [a for a in (*args, *kwargs.values()) if not isinstance(a, _PASSED)]
        numbers = [abs(v) for v in values if isinstance(v, int) and not isinstance(v, bool)]
        if name in ("center", "indent", "batch", "slice", "tojson", "toyaml", "wordwrap", "truncate", "round"):
            texts = [v for v in values if isinstance(v, str)]
            lines = 1 + (max((t.count("\n") for t in texts), default=0) if name == "indent" else 0)
            limit.text(sum(map(len, texts)) + max((n for n in numbers[-2:]), default=0) * lines)
        if name == "format":
            _binary("%", values[0], tuple(values[1:]))
        if name == "replace":
            _growth(values[0], "replace", tuple(values[1:]))
        for value in values:
            if isinstance(value, str | list | tuple | dict | set):
                measured(value)
        if name == "join" and values and isinstance(values[0], list | tuple | set | dict):
            glue = values[1] if len(values) > 1 and isinstance(values[1], str) else ""
            limit.text(measured(values[0]) + len(values[0]) * len(glue))
        return inner(*args, **kwargs)

    return guarded


_DROPPED_FILTERS = ("xmlattr", "urlize", "striptags", "filesizeformat", "pprint", "random")
_UNGUARDED = ("attr", "default", "d", "map", "select", "reject", "selectattr", "rejectattr")


class Sandbox(SandboxedEnvironment):
    """The environment of every template. Values of StrictUndefined: using an unknown name is an error."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, extensions=["jinja2.ext.do"], autoescape=False, cache_size=0)
        for name in _DROPPED_FILTERS:
            self.filters.pop(name, None)
        for name, inner in tuple(self.filters.items()):
            if name not in _UNGUARDED:
                self.filters[name] = _guarded(name, inner)
        self.filters |= {"_sqlinfer_loop": _loop, "_sqlinfer_concat": _concatenate}
        self.globals.pop("lipsum", None)
        self.finalize = self._finalize
        self.concat = _join  # type: ignore[method-assign]

    @staticmethod
    def _finalize(value: Any) -> Any:
        if isinstance(value, list | tuple | dict | set):
            measured(value)
        return value

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        return self.rewrite(tree)

    def rewrite(self, tree: nodes.Template) -> nodes.Template:
        visited: nodes.Template = _Guards().visit(tree)
        return visited

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        _binary(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        _budget().tick()
        owner, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if isinstance(owner, str | list):
            _growth(owner, name, args or tuple(kwargs.values()))
        try:
            return super().call(__context, __obj, *args, **kwargs)
        except MacroReturn as returned:
            if isinstance(__obj, Macro):
                return returned.value
            raise


def _join(parts: Iterable[str]) -> str:
    limit, size, kept = _budget(), 0, []
    for part in parts:
        size += len(part)
        limit.text(size)
        kept.append(part)
    return "".join(kept)
