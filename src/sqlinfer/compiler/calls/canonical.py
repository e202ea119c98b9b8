"""Every spelling of a call → ``PredictCall(function, arguments in declared order)``.

Rewrites: predict('f', a, b) · named arguments with => and := · predict('f', t.*) and predict('f', *) · f(a, b) ·
from predict('f', (select …)) · from predict('f', t) · ML.PREDICT(MODEL f, …).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from sqlglot import exp

from sqlinfer.errors import CallError, Location, UnknownFunction, did_you_mean
from sqlinfer.spec.function import FunctionContract

_BEFORE_NAME = re.compile(r"[\s\"`]*\.[\w\s.\"`$]*")
"""Between a table and its column, where both are written."""

PREDICT = "predict"
FIELD = "field"
"""Metadata of a Dot over a call: name and canonical type of the output."""


class PredictCall(exp.Expression, exp.Func):
    """``this`` is the function's name, ``expressions`` its arguments in declared order."""

    arg_types = {"this": True, "expressions": False}  # noqa: RUF012
    is_var_len_args = True
    _sql_names = ["SQLINFER_PREDICT"]  # noqa: RUF012

    @property
    def function(self) -> str:
        return str(self.this)


@dataclass(frozen=True, slots=True)
class Source:
    """The text that was parsed, for spans in errors."""

    sql: str
    path: Path | None = None
    locator: Callable[[int, int], Location] | None = None
    """Offsets in ``sql`` → the place in the file it was rendered from."""
    names: Mapping[int, tuple[tuple[int, tuple[str | None, ...]], ...]] = field(default_factory=dict)
    """Offset of a column or function → for each SELECT list around it, innermost first, its place in the list and what
    the warehouse would call the columns of the list (None: it has an alias)."""
    written: tuple[str, Callable[[int, int], tuple[int, int]]] | None = None
    """What the user wrote, where ``sql`` was made from that, and offsets in ``sql`` → offsets in it."""

    @property
    def original(self) -> str:
        """As the user wrote it."""
        return self.sql if self.written is None else self.written[0]

    def place(self, start: int, end: int) -> Location:
        """Where ``sql[start:end]`` stands in the user's file."""
        if self.written is not None:
            start, end = self.written[1](start, end)
            return replace(self, sql=self.written[0], written=None).place(start, end)
        if self.locator is not None:
            return self.locator(start, end)
        return Location.in_source(self.sql, start, end, self.path)

    def locate(self, node: exp.Expr) -> Location:
        """The span of a node: from its first to its last token that kept a position, or the whole call."""
        spans = self._spans(node)
        if not spans:
            return Location(self.path)
        start, end = min(s for s, _ in spans), max(e for _, e in spans)
        return self.place(start, self._closing(start, end))

    def _spans(self, node: exp.Expr) -> list[tuple[int, int]]:
        """Of what is inside the node and kept a position. A column that was given its table has the place of that
        table's alias there, which may be anywhere."""
        found = []
        for part in node.walk():
            if part.meta.get("start") is None:
                continue
            start, end = part.meta["start"], part.meta["end"] + 1
            column = part.parent if isinstance(part.parent, exp.Column) and part.arg_key != "this" else None
            name = column.this.meta.get("start") if column is not None else None
            if name is None or _BEFORE_NAME.fullmatch(self.sql[end:name]):
                found.append((start, end))
        return found

    def _closing(self, start: int, end: int) -> int:
        """Past the parenthesis that closes what ``sql[start:end]`` opened."""
        depth = self.sql.count("(", start, end) - self.sql.count(")", start, end)
        rest = self.sql[end:]
        if depth <= 0 and rest.lstrip().startswith("(") and end - start < 64 and self.sql[start:end].isidentifier():
            depth, end = 1, self.sql.index("(", end) + 1
        while depth > 0 and end < len(self.sql):
            depth += {"(": 1, ")": -1}.get(self.sql[end], 0)
            end += 1
        return end

    def quote(self, node: exp.Expr, dialect: str) -> str:
        """The call as it reads in the query."""
        spans = self._spans(node)
        if spans:
            start, end = min(s for s, _ in spans), max(e for _, e in spans)
            end = self._closing(start, end)
            text = " ".join(self._written(start, end).split())
            if text.count("(") == text.count(")") and "(" in text:
                return text
        return node.sql(dialect=dialect)

    def _written(self, start: int, end: int) -> str:
        if self.written is None:
            return self.sql[start:end]
        start, end = self.written[1](start, end)
        return self.written[0][start:end]


class _Known:
    """Functions by case-insensitive name; a contract is only read when it is called."""

    def __init__(self, functions: Mapping[str, FunctionContract]) -> None:
        self._functions = functions
        self._folded = {name.casefold(): name for name in functions}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._folded.values())

    def __contains__(self, name: str) -> bool:
        return name.casefold() in self._folded

    def __getitem__(self, name: str) -> FunctionContract:
        return self._functions[self._folded[name.casefold()]]


def may_call(sql: str, functions: Mapping[str, FunctionContract]) -> bool:
    """Whether the text could hold a call at all; SQL without one is the warehouse's own business."""
    return _calling(tuple(functions)).search(sql) is not None


@lru_cache(maxsize=8)
def _calling(functions: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, (PREDICT, *functions)))})\s*\(", re.IGNORECASE)


def calls_in(node: exp.Expr | None) -> Iterator[PredictCall]:
    if node is not None:
        yield from node.find_all(PredictCall)


def has_calls(node: exp.Expr | None) -> bool:
    return node is not None and node.find(PredictCall) is not None


def canonicalise(query: exp.Query, functions: Mapping[str, FunctionContract], source: Source) -> exp.Query:
    """The query with every call spelt one way.

    Raises:
        UnknownFunction, CallError: with the span of the call.
    """
    known = _Known(functions)
    query = expand_table_forms(query, functions, source)
    for ml in list(query.find_all(exp.Predict)):
        ml.replace(exp.Anonymous(this=PREDICT, expressions=[ml.this, ml.expression]))
    # Inner calls first: an argument may be a call itself.
    for node in reversed(list(query.find_all(exp.Anonymous))):
        name = str(node.this)
        if name.casefold() == PREDICT:
            node.replace(_scalar_form(node, node.expressions, known, source))
        elif name in known and node.parent is not None:
            node.replace(_bound(node, known[name], node.expressions, source))
    return query


def _scalar_form(node: exp.Expr, arguments: list[exp.Expr], known: _Known, source: Source) -> exp.Expr:
    if not arguments:
        raise CallError(
            "predict() needs the name of a function", hint="predict('f', a, b)", location=source.locate(node)
        )
    return _bound(node, _contract(arguments[0], known, source), arguments[1:], source)


def _contract(name: exp.Expr, known: _Known, source: Source) -> FunctionContract:
    if (isinstance(name, exp.Literal) and name.is_string) or (
        isinstance(name, exp.Column) and not name.table and name.this.quoted is False
    ):
        text = name.name
    else:
        raise CallError(
            "the first argument of predict() is the function's name as a string",
            hint="predict('f', a, b)",
            location=source.locate(name.parent or name),
        )
    if text not in known:
        raise UnknownFunction.for_call(text, known.names, source.locate(name.parent or name))
    return known[text]


def _bound(node: exp.Expr, contract: FunctionContract, arguments: list[exp.Expr], source: Source) -> PredictCall:
    """Arguments in declared order, whatever the spelling."""
    names = [a.name for a in contract.arguments]
    values: dict[str, exp.Expr] = {}
    position = 0
    for argument in arguments:
        if isinstance(argument, exp.Star) or (isinstance(argument, exp.Column) and isinstance(argument.this, exp.Star)):
            table = argument.args.get("table") if isinstance(argument, exp.Column) else None
            for name in names:
                if name not in values:
                    values[name] = _column(name, table, node)
            continue
        key, value = _named(argument)
        if key is None:
            if position >= len(names):
                raise _wrong_count(contract, len(arguments), source.locate(node))
            key, position = names[position], position + 1
        declared = next((n for n in names if n.casefold() == key.casefold()), None)
        if declared is None:
            hint = did_you_mean(key, names)
            raise CallError(f"{contract.name} has no argument '{key}'", hint=hint, location=source.locate(node))
        if declared in values:
            raise CallError(f"argument '{declared}' of {contract.name} is given twice", location=source.locate(node))
        values[declared] = value
    missing = [n for n in names if n not in values]
    if missing:
        raise _wrong_count(contract, len(values), source.locate(node), missing)
    _check_field(node, contract, source)
    _mark_field(node, contract)
    call = PredictCall(this=contract.name, expressions=[values[n].copy() for n in names])
    call.meta.update(node.meta)
    return call


def _check_field(node: exp.Expr, contract: FunctionContract, source: Source) -> None:
    """``predict('f', …).field`` names an output of a function that has several."""
    dot = node.parent
    if not isinstance(dot, exp.Dot) or dot.this is not node:
        return
    fields = [output.name for output in contract.outputs] if contract.is_struct else []
    if dot.expression.name.casefold() not in {name.casefold() for name in fields}:
        hint = did_you_mean(dot.expression.name, fields) or f"it returns one {contract.return_type.lower()}"
        raise CallError(f"{contract.name} has no field '{dot.expression.name}'", hint=hint,
                        location=source.locate(dot))  # fmt: skip


def _mark_field(node: exp.Expr, contract: FunctionContract) -> None:
    """What the field is, for warehouses that keep structs otherwise."""
    whole = node
    while isinstance(whole.parent, exp.Paren):
        whole = whole.parent
    dot = whole.parent
    if not contract.is_struct or not isinstance(dot, exp.Dot) or dot.this is not whole:
        return
    found = next((o for o in contract.outputs if o.name.casefold() == dot.expression.name.casefold()), None)
    if found is not None:
        dot.meta[FIELD] = (found.name, found.data_type)


def _column(name: str, table: exp.Expr | None, node: exp.Expr) -> exp.Column:
    column = exp.Column(this=exp.to_identifier(name), table=table.copy() if table is not None else None)
    column.this.meta.update(node.meta)
    return column


def _named(argument: exp.Expr) -> tuple[str | None, exp.Expr]:
    if isinstance(argument, (exp.Kwarg, exp.PropertyEQ)):
        return argument.this.name, argument.expression
    return None, argument


def _wrong_count(
    contract: FunctionContract, given: int, location: Location, missing: list[str] | None = None
) -> CallError:
    wanted = ", ".join(f"{a.name} {a.data_type.lower()}" for a in contract.arguments)
    count = len(contract.arguments)
    message = f"{contract.name} takes {count} argument{'s' * (count != 1)}, {given} given"
    if missing:
        message += f" (missing: {', '.join(missing)})"
    return CallError(message, hint=f"{contract.name}({wanted})", location=location)


def expand_table_forms(query: exp.Query, functions: Mapping[str, FunctionContract], source: Source) -> exp.Query:
    """``from predict('f', input)`` → a derived table with every input column and the function's outputs.

    Raises:
        UnknownFunction, CallError: with the span of the call.
    """
    known = _Known(functions)
    for table in list(query.find_all(exp.Table)):
        _table_form(table, known, source)
    return query


def _table_form(table: exp.Table, known: _Known, source: Source) -> None:
    arguments = _table_arguments(table.this, known)
    if arguments is None:
        return
    if len(arguments) != 2 or any(argument is None for argument in arguments):
        raise CallError(
            "predict() in FROM takes a function and its input, nothing else",
            hint="from predict('f', (select …)) or from predict('f', t)",
            location=source.locate(table),
        )
    contract = _table_contract(arguments[0], known, source)
    derived = exp.Subquery(this=_scored_input(contract, _input(arguments[1], known, source), table.this))
    derived.set("alias", table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(contract.name, quoted=True)))
    for key in ("joins", "laterals", "pivots", "sample"):
        derived.set(key, table.args.get(key))
    table.replace(derived)


def _table_arguments(call: exp.Expr, known: _Known) -> list[exp.Expr] | None:
    """The function and its input, where this is a call: ``predict('f', t)``, ``ML.PREDICT(MODEL f, …)``, ``f(t)``."""
    if isinstance(call, exp.Predict):
        return [call.this, call.expression, *filter(None, [call.args.get("params_struct")])]
    if not isinstance(call, exp.Anonymous):
        return None
    if str(call.name).casefold() == PREDICT:
        return call.expressions
    if call.name in known and len(call.expressions) == 1 and not isinstance(call.expressions[0], exp.Literal):
        return [exp.Literal.string(call.name), *call.expressions]
    return None


def _table_contract(name: exp.Expr, known: _Known, source: Source) -> FunctionContract:
    if isinstance(name, exp.Table):  # ML.PREDICT(MODEL `f`, …)
        text = name.name
        if text not in known:
            raise UnknownFunction.for_call(text, known.names, source.locate(name))
        return known[text]
    return _contract(name, known, source)


def _input(argument: exp.Expr, known: _Known, source: Source) -> exp.Expr:
    """What stands in FROM of the derived table, under the alias ``_input``."""
    inner = argument
    while isinstance(inner, (exp.Paren, exp.Subquery, exp.Alias)):
        inner = inner.this
    alias = exp.TableAlias(this=exp.to_identifier("_input"))
    if isinstance(inner, exp.Values):
        inner.set("alias", alias)
        return inner
    if isinstance(inner, exp.Query):
        return inner.subquery("_input", copy=False)
    if isinstance(inner, exp.Column) and not isinstance(inner.this, exp.Star):
        parts = [inner.args.get(k) for k in ("this", "table", "db")]
        inner = exp.Table(this=parts[0], db=parts[1], catalog=parts[2])
    elif isinstance(inner, exp.Func):
        inner = exp.Table(this=inner)
    elif isinstance(inner, exp.Literal) and inner.is_string:  # a file, as in FROM 'rows.parquet'
        inner = exp.Table(this=exp.to_identifier(inner.name, quoted=True))
    if not isinstance(inner, exp.Table):
        raise CallError(
            "the input of predict() in FROM is a subquery or a table",
            hint="from predict('f', (select …)) or from predict('f', t)",
            location=source.locate(argument),
        )
    inner.set("alias", alias)
    holder = exp.From(this=inner)
    _table_form(inner, known, source)
    result: exp.Expr = holder.this
    result.pop()
    return result


def _scored_input(contract: FunctionContract, relation: exp.Expr, node: exp.Expr) -> exp.Select:
    arguments = [_column(a.name, exp.to_identifier("_input"), node) for a in contract.arguments]
    call = PredictCall(this=contract.name, expressions=arguments)
    call.meta.update(node.meta)
    outputs: list[exp.Expr] = []
    for output in contract.outputs:
        value: exp.Expr = call.copy()
        if contract.is_struct:
            value = exp.Dot(this=value, expression=exp.to_identifier(output.name))
            value.meta[FIELD] = (output.name, output.data_type)
        outputs.append(exp.alias_(value, output.name if contract.is_struct else contract.name, copy=False))
    star = exp.Column(this=exp.Star(), table=exp.to_identifier("_input"))
    return exp.select(star, *outputs, copy=False).from_(relation, copy=False)
