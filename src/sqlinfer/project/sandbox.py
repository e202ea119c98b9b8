"""Jinja in a sandbox with limits: SandboxedEnvironment, StrictUndefined, a budget, and nothing to look into.

Templates may change their own lists (``do list.append(…)``), as in dbt. Everything that can take unbounded time or
memory passes through here: loops, calls, operators, comparisons, literals, filters, tests, slices and output. So the
budget is counted in the rendering thread itself and no other thread or process is needed.

Attributes are closed: plain values have their own methods, and objects of ours those that they name in
``template_names``. A function has none.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import BuiltinMethodType, MethodType, SimpleNamespace
from typing import Any, cast

from jinja2 import StrictUndefined, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context, LoopContext, Macro, Undefined
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace
from jinja2.visitor import NodeTransformer

from sqlinfer.project import growth
from sqlinfer.project.budget import (
    MADE_PART,
    MAX_OUTPUT,
    MAX_SECONDS,
    PART,
    Budget,
    LimitExceeded,
    bounded,
    budget,
    current,
    flat,
    measured,
    solid,
)  # fmt: skip
from sqlinfer.project.witness import seen

__all__ = ["MAX_OUTPUT", "MAX_SECONDS", "Budget", "LimitExceeded", "MacroReturn", "Sandbox", "budget", "measured"]


class MacroReturn(Exception):
    """``return(value)``: the way out of a macro, as in dbt; an error only outside of one."""

    def __init__(self, value: Any) -> None:
        super().__init__("return() outside of a macro")
        self.value = value


class _Loop:
    """An iterable whose every step is counted."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[Any]:
        limit = current()
        for item in self._inner:
            limit.tick()
            yield item

    def __len__(self) -> int:
        return len(self._inner)


def _loop(value: Any) -> Any:
    if isinstance(value, Undefined):
        return value
    return _Loop(value) if hasattr(value, "__len__") else _Loop(list(bounded(value)))


def _concatenate(parts: list[Any]) -> str:
    limit = current()
    limit.made(sum([len(part) if type(part) is str else measured(part) for part in parts]))
    texts = [part if type(part) is str else str(part) for part in parts]
    limit.text(sum(map(len, texts)))
    return "".join(texts)


def _made(value: Any) -> Any:
    """A list, tuple or dict that a template writes out."""
    limit = current()
    limit.tick()
    limit.made(MADE_PART + PART * len(value))
    return value


def _cut(value: Any) -> Any:
    if isinstance(value, _SIZED):
        current().made(growth.size_of(value))
    return value


class _Guards(NodeTransformer):
    """Routes loops, ``~``, literals, slices and comparisons through the budget."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.iter = _through(cast(nodes.Expr, node.iter), "_sqlinfer_loop")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _through(nodes.List(node.nodes, lineno=node.lineno), "_sqlinfer_concat")

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        first = node.ops[0]
        constant = isinstance(node.expr, nodes.Const) or isinstance(first.expr, nodes.Const)
        if constant and len(node.ops) == 1 and first.op not in ("in", "notin"):
            return node  # takes no longer than the constant is
        node.expr = _looked_at(node.expr)
        for operand in node.ops:
            operand.expr = _looked_at(operand.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        """A slice is a copy, and Jinja does not ask the environment for it."""
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _through(node.node, "_sqlinfer_cut")
        return node

    def visit_List(self, node: nodes.List) -> nodes.Node:
        return self._literal(node, node.items)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        return self._literal(node, node.items) if node.ctx == "load" else node

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        literal = self._literal(node, node.items)
        for pair in node.items:
            pair.key = _looked_at(pair.key)
        return literal

    def _literal(self, node: nodes.Expr, items: Sequence[nodes.Node]) -> nodes.Node:
        """Small ones need no counting: making many of them takes steps that are counted."""
        self.generic_visit(node)
        return _through(node, "_sqlinfer_made") if len(items) >= _LARGE or any(map(_nested, items)) else node


_LARGE = 8


def _nested(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Pair):
        return _nested(node.value) or _nested(node.key)
    return isinstance(node, nodes.List | nodes.Tuple | nodes.Dict | nodes.Filter)


def _through(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _looked_at(node: nodes.Expr) -> nodes.Expr:
    return node if isinstance(node, nodes.Const) else _through(node, "_sqlinfer_flat")


_PASSED = (SandboxedEnvironment, nodes.EvalContext, Context)
"""What Jinja itself hands to a filter in front of its values."""


def _filter(inner: Callable[..., Any], bound: growth.Bound) -> Callable[..., Any]:
    """A filter whose result is bounded before it is made."""

    @functools.wraps(inner)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        current().tick()
        ahead = next((i for i, one in enumerate(args) if not isinstance(one, _PASSED)), len(args))
        values = tuple(map(solid, args[ahead:]))
        kwargs = {key: solid(one) for key, one in kwargs.items()}
        if values and not isinstance(values[0], Undefined):
            bound(*values, **kwargs)
        return inner(*args[:ahead], *values, **kwargs)

    return guarded


def _test(inner: Callable[..., Any]) -> Callable[..., Any]:
    """A test: ``x is in large`` takes time by the size of both."""

    @functools.wraps(inner)
    def guarded(*args: Any) -> Any:
        current().tick()
        return inner(*(one if isinstance(one, (*_PASSED, Undefined)) else flat(one) for one in args))

    return guarded


_DATES = (datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo)


class Package(SimpleNamespace):
    """The macros of one dbt package by name; some begin with an underscore."""


_PLAIN = (str, bytes, bool, int, float, list, tuple, dict, set, frozenset, *_DATES)
_CLASSES = frozenset({datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone})
_CLOCK = frozenset({"today", "now", "utcnow", "fromtimestamp", "timestamp", "astimezone", "strftime", "__format__"})
"""Methods of dates that ask the clock, or the machine for its zone and language."""
_JINJA = (LoopContext, Macro, Namespace, Cycler, Joiner, SimpleNamespace)


@functools.lru_cache(maxsize=256)
def _names(kind: type) -> frozenset[str] | None:
    """Attributes that templates may use of values of a type; None: all public ones."""
    own = getattr(kind, "template_names", None)
    if own is not None:
        return frozenset(own)
    if issubclass(kind, _JINJA):
        return None
    base = next((plain for plain in _PLAIN if issubclass(kind, plain)), None)
    if base is None:
        return frozenset()
    return frozenset(dir(kind if issubclass(kind, _DATES) else base))


class GenericTests(Extension):
    """``{% test name(model, column_name) %} … {% endtest %}``: a macro called ``test_name``, as in dbt."""

    tags = {"test", "data_test"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        macro = nodes.Macro(lineno=next(parser.stream).lineno)
        macro.name = f"test_{parser.parse_assign_target(name_only=True).name}"
        parser.parse_signature(macro)
        macro.body = parser.parse_statements(("name:endtest", "name:enddata_test"), drop_needle=True)
        return macro


class Sandbox(SandboxedEnvironment):
    """The environment of every template. Values of StrictUndefined: using an unknown name is an error."""

    intercepted_binops = frozenset({"*", "**", "%", "+", "-"})

    def __init__(self, filters: Mapping[str, Callable[..., Any]] | None = None) -> None:
        super().__init__(
            undefined=StrictUndefined, extensions=["jinja2.ext.do", GenericTests], autoescape=False, cache_size=0
        )
        known = {**self.filters, **(filters or {})}
        self.filters = {name: inner for name, inner in known.items() if name in growth.LAZY}
        self.filters |= {name: _filter(known[name], bound) for name, bound in growth.FILTERS.items() if name in known}
        self.filters |= {
            "_sqlinfer_loop": _loop, "_sqlinfer_concat": _concatenate, "_sqlinfer_made": _made, "_sqlinfer_flat": flat,
            "_sqlinfer_cut": _cut,
        }  # fmt: skip
        self.tests = {name: _test(cast(Any, inner)) for name, inner in self.tests.items()}
        self.globals.pop("lipsum", None)
        self.finalize = self._finalize
        self.concat = _join  # type: ignore[method-assign]

    @staticmethod
    def _finalize(value: Any) -> Any:
        if type(value) not in _QUICK and not isinstance(value, str):
            current().made(measured(value))
        return value

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        return self.rewrite(tree)

    def rewrite(self, tree: nodes.Template) -> nodes.Template:
        visited: nodes.Template = _Guards().visit(tree)
        return visited

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, type):
            if obj not in _CLASSES:
                return False
        elif isinstance(obj, Package):
            return attr in vars(obj) and not attr.startswith("__")
        else:
            names = _names(cast(Any, type(obj)))
            if names is not None:
                return attr in names and not attr.startswith("_")
        return super().is_safe_attribute(obj, attr, value)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if not isinstance(argument, str | int):
            flat(argument)
        return super().getitem(obj, argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        growth.binary(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        limit = current()
        limit.tick()
        kind = type(__obj)
        if kind is Macro:
            try:
                return __context.call(__obj, *args, **kwargs)
            except MacroReturn as returned:
                return returned.value
        if not _QUICK.issuperset(map(type, args)) or kwargs:
            args = tuple(flat(solid(one)) for one in args)
            kwargs = {name: flat(solid(one)) for name, one in kwargs.items()}
        if kind in _METHODS or hasattr(__obj, "__wrapped__"):
            owner = _owner(__obj)
            name = getattr(__obj, "__name__", "")
            if name in _CLOCK and (isinstance(owner, _DATES) or owner in _CLASSES):
                for witness in seen():
                    witness.fleeting = True
            if isinstance(owner, _PLAIN):
                growth.method(owner, name, args, kwargs)
        result = __context.call(__obj, *args, **kwargs)
        if isinstance(result, _SIZED):
            limit.made(growth.size_of(result))
        return result


_METHODS = frozenset({MethodType, BuiltinMethodType})
_QUICK = frozenset({str, int, float, bool, type(None)})
_SIZED = (str, bytes, list, tuple)


def _owner(method: Any) -> Any:
    """What a method belongs to; Jinja wraps ``str.format`` into a function of its own."""
    owner = getattr(method, "__self__", None)
    return owner if owner is not None else getattr(getattr(method, "__wrapped__", None), "__self__", None)


def _join(parts: Iterable[str]) -> str:
    limit, size, kept = current(), 0, []
    for part in parts:
        size += len(part)
        limit.text(size)
        kept.append(part)
    limit.made(size)
    return "".join(kept)
