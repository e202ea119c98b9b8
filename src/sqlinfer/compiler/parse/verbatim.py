"""SQL that stays as the user wrote it while the query around it is rewritten.

``Verbatim`` is an expression or a relation whose text has holes for the expressions inside it, so that names are
resolved, renamed and staged in the holes, while the operators and functions around them are the user's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.dialects.postgres import Postgres
from sqlglot.dialects.spark import Spark
from sqlglot.generator import _DISPATCH_CACHE

from sqlinfer.compiler.parse.tree import closing
from sqlinfer.spec.catalog import Piece
from sqlinfer.spec.names import OURS

HOLE = "\0"
EXPRESSION, RELATION = f"{OURS}_expression_", f"{OURS}_relation_"
"""How a piece is spelt in the text that sqlglot parses: as a function of its holes, as a table."""


class Verbatim(exp.Anonymous):
    """``this`` is the text, each hole a ``HOLE``; ``expressions`` stand in the holes."""

    arg_types = {"this": True, "expressions": False, "aggregate": False, "volatile": False}  # noqa: RUF012


def with_pieces(query: exp.Expr, pieces: Mapping[str, Piece], *, relations: bool = True) -> None:
    """Put the user's text in the place of its spelling; without ``relations`` that of expressions alone."""
    if not relations:
        pieces = {name: piece for name, piece in pieces.items() if name.startswith(EXPRESSION)}
    if not pieces:
        return
    for node in reversed(list(query.find_all(exp.Anonymous))):
        piece = pieces.get(str(node.this).casefold())
        if piece is not None:
            verbatim = Verbatim(this=piece.text, expressions=[e.copy() for e in node.expressions])
            verbatim.set("aggregate", piece.aggregate)
            verbatim.set("volatile", piece.volatile)
            verbatim.meta.update(node.meta)
            node.replace(verbatim)
    for table in list(query.find_all(exp.Table)):
        piece = pieces.get(table.name.casefold())
        if piece is not None:
            verbatim = Verbatim(this=piece.text)
            verbatim.meta.update(table.this.meta)
            table.set("this", verbatim)


def _generated(generator: Any, node: Verbatim) -> str:
    pieces = node.this.split(HOLE)
    parts = [pieces[0]]
    for value, after in zip(node.expressions, pieces[1:], strict=True):
        sql = generator.sql(value)
        parts += [sql if isinstance(value, _SIMPLE) or _is_call(sql) else f"({sql})", after]
    return "".join(parts)


_SIMPLE = (exp.Column, exp.Literal, exp.Paren, exp.Anonymous, exp.Identifier, exp.Array)


def _is_call(sql: str) -> bool:
    """``name(…)`` as a whole: ``x in list_sort(l)`` means another thing than ``x in (list_sort(l))``."""
    opened = re.match(r"[A-Za-z_]\w*\(", sql)
    return opened is not None and closing(sql, opened.end()) == len(sql) - 1


for _dialect in (DuckDB, Postgres, Spark):
    _dialect.Generator.TRANSFORMS[Verbatim] = _generated
    _DISPATCH_CACHE.pop(_dialect.Generator, None)  # made before, where a type of a function was spelled by sqlglot


@dataclass(frozen=True, slots=True)
class Text:
    """SQL that was made from the user's, and where each character of it comes from."""

    sql: str
    starts: Sequence[int] = field(repr=False, default=())
    ends: Sequence[int] = field(repr=False, default=())

    @classmethod
    def of(cls, sql: str) -> Text:
        return cls(sql, range(len(sql)), range(1, len(sql) + 1))

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The span in the user's text that ``sql[start:end]`` was made from."""
        if not self.sql:
            return 0, 0
        start, end = min(start, len(self.sql) - 1), min(max(end, start + 1), len(self.sql))
        return min(self.starts[start:end]), max(self.ends[start:end])

    def edited(self, edits: Sequence[tuple[int, int, str]]) -> Text:
        """With each ``sql[start:end]`` exchanged; the edits do not overlap."""
        sql: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        last = 0
        for start, end, new in [*sorted(edits), (len(self.sql), len(self.sql), "")]:
            sql += [self.sql[last:start], new]
            starts += self.starts[last:start]
            ends += self.ends[last:start]
            first, final = self.origin(start, end) if end > start else self.origin(max(0, start - 1), start)
            starts += [first] * len(new)
            ends += [final] * len(new)
            last = end
        return Text("".join(sql), starts, ends)
