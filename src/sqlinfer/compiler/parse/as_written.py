"""Where no parse tree of the warehouse is the authority: what sqlglot would write otherwise stays as the user wrote it.

Each expression is written out by sqlglot and compared with its place in the text, token by token, with holes for the
expressions inside. Where the two differ, the user's text is kept and the expressions inside stand in its holes.
What the planner takes apart (conditions, CASE, casts, windows, queries) is read and written by sqlglot.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from sqlinfer.compiler.calls.canonical import PREDICT, Source
from sqlinfer.compiler.parse.parse import SPAN, dialect_of
from sqlinfer.compiler.parse.verbatim import HOLE, Verbatim
from sqlinfer.compiler.scopes.analyse import is_aggregate, is_volatile_function
from sqlinfer.errors import UnsupportedQuery

_READ = (
    exp.Query, exp.Column, exp.Identifier, exp.Star, exp.Alias, exp.Paren, exp.Tuple, exp.Cast, exp.DataType, exp.And,
    exp.Or, exp.Not, exp.Is, exp.In, exp.Between, exp.Like, exp.ILike, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT,
    exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Case, exp.If, exp.Coalesce, exp.Exists, exp.Window, exp.Filter,
    exp.WithinGroup, exp.Ordered, exp.Unnest, exp.Explode, exp.GenerateSeries, exp.Null, exp.Boolean, exp.Any, exp.All,
    exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime, exp.Localtime, exp.Localtimestamp, exp.Predict, exp.Kwarg,
    exp.PropertyEQ, exp.Table, exp.Values, exp.Lateral, exp.DPipe, exp.Add, exp.Sub, exp.Mul, exp.Neg, exp.Dot,
)  # fmt: skip
"""Forms that sqlglot is trusted with: it writes them with the meaning that they had."""
_SAME = {"!=": "<>"}
_MARK = "__hole_"
_TYPED_NUMBER = re.compile(r"(?i)[\d.]+(e[+-]?\d+)?(bd|[lsydf])")
"""Spark's ``1.5D`` and ``2L``."""


def keep_as_written(query: exp.Query, source: Source, dialect: str, functions: Collection[str]) -> None:
    """Put pieces of the text in the places of what sqlglot would write otherwise.

    Raises:
        UnsupportedQuery: what sqlglot takes for a parameter.
    """
    taken = query.find(exp.Parameter)
    if taken is not None:
        around = taken.meta.get(SPAN) or (0, len(source.sql))
        raise UnsupportedQuery(
            "this form of SQL cannot be planned in a query with predict()",
            hint="write abs(x) for @ x",
            location=source.place(*around),
        )
    called = {PREDICT, *(name.casefold() for name in functions)}
    changed = [node for node in _spanned(query) if _differs(node, source.sql, dialect, called)]
    for node in reversed(changed):  # inner ones first
        kept = _kept(node, source.sql, dialect)
        if kept is not None:
            node.replace(kept)


def _spanned(query: exp.Expr) -> Iterator[exp.Expr]:
    """Outer ones first."""
    return (node for node in query.walk(bfs=False) if SPAN in node.meta and node.parent is not None)


def _differs(node: exp.Expr, sql: str, dialect: str, called: Collection[str]) -> bool:
    called_in_schema = isinstance(node, exp.Dot) and isinstance(node.expression, exp.Func)
    if isinstance(node, _READ) and not called_in_schema and not isinstance(node, exp.TryCast):
        return False
    if isinstance(node, exp.Anonymous) and str(node.this).casefold() in called:
        return False
    if isinstance(node, exp.Literal) and _TYPED_NUMBER.fullmatch(sql[slice(*node.meta[SPAN])]):  # now in a Cast
        return False
    if isinstance(node.parent, exp.Table) or node.find_ancestor(exp.Interval, exp.DataType) is not None:
        return False
    found = _holes(node)
    written = _with_marks(node, found).sql(dialect=dialect, comments=False)
    return _tokens(written, dialect) != _tokens(_skeleton(node, found, sql, _marks(len(found))), dialect)


def _kept(node: exp.Expr, sql: str, dialect: str) -> Verbatim | None:
    """None where a column would be left inside the text, whose name could not be changed."""
    found = _holes(node)
    inside = {id(n) for hole in found for n in hole.walk()}
    own = [n for n in node.walk() if id(n) not in inside]
    if any(isinstance(n, (exp.Column, exp.Query)) for n in own):
        return None
    text = _even(_skeleton(node, found, sql, _marks(len(found))), dialect)
    for mark in _marks(len(found)):
        text = text.replace(mark, HOLE)
    kept = Verbatim(this=text, expressions=[hole.copy() for hole in found])
    kept.set("aggregate", any(is_aggregate(n) for n in own))
    kept.set("volatile", any(is_volatile_function(n) for n in own))
    kept.meta.update({key: value for key, value in node.meta.items() if key in (SPAN, "start", "end", "line", "col")})
    return kept


def _holes(node: exp.Expr) -> list[exp.Expr]:
    """The outermost expressions inside whose place in the text is known, from left to right."""
    found: list[exp.Expr] = []
    start, end = node.meta[SPAN]
    stack = list(node.iter_expressions())
    while stack:
        current = stack.pop()
        span = current.meta.get(SPAN)
        inside = span is not None and start <= span[0] and span[1] <= end and span != (start, end)
        if inside and not isinstance(current, (exp.Literal, exp.Identifier, exp.DataType, exp.Var)):
            found.append(current)
        else:
            stack += list(current.iter_expressions())
    return sorted(found, key=lambda hole: hole.meta[SPAN][0])


def _skeleton(node: exp.Expr, found: Sequence[exp.Expr], sql: str, names: Sequence[str]) -> str:
    """The text of the expression with other texts in its holes."""
    (last, end), parts = node.meta[SPAN], []
    for hole, name in zip(found, names, strict=True):
        first, stop = hole.meta[SPAN]
        parts += [sql[last:first], name]
        last = max(stop, last)
    return "".join([*parts, sql[last:end]])


def _marks(count: int) -> list[str]:
    return [f"{_MARK}{number}_" for number in range(count)]


def _even(sql: str, dialect: str) -> str:
    """Words without their case and even spaces, so that one expression that is written twice is one text."""
    try:
        stream = _stream(sql, dialect)
    except SqlglotError:
        return sql
    parts: list[str] = []
    for before, token in zip((None, *stream), stream, strict=False):
        text = _text(token, sql)
        spaced = before is not None and ((before.end + 1 < token.start and parts[-1] not in "([") or parts[-1] == ",")
        parts += [" ", text] if spaced and text not in "),]" else [text]
    return "".join(parts)


def _with_marks(node: exp.Expr, found: Sequence[exp.Expr]) -> exp.Expr:
    """A copy with columns of our own in the holes."""
    places = {id(hole): name for hole, name in zip(found, _marks(len(found)), strict=True)}
    originals, whole = list(node.walk(bfs=False)), node.copy()
    pairs = list(zip(originals, list(whole.walk(bfs=False)), strict=True))
    for original, copied in pairs:
        if id(original) in places:
            copied.replace(exp.column(places[id(original)]))
    return whole


def _tokens(sql: str, dialect: str) -> list[str]:
    """Unquoted words without their case, everything else as it is."""
    try:
        stream = _stream(sql, dialect)
    except SqlglotError:
        return [sql]
    return [_SAME.get(text, text) for token in stream for text in (_text(token, sql),)]


def _stream(sql: str, dialect: str) -> list[Token]:
    """Each place of the text once: ``1.5D`` is a number, an operator and a type to sqlglot."""
    places = {(token.start, token.end): token for token in reversed(dialect_of(dialect).tokenize(sql)) if token.text}
    return list(reversed(places.values()))


def _text(token: Token, sql: str) -> str:
    text = sql[token.start : token.end + 1]
    return text if token.token_type in (TokenType.STRING, TokenType.IDENTIFIER) else text.casefold()
