"""Random queries over three related tables, as Hypothesis strategies: valid for DuckDB, with one right answer each.

Nothing here depends on the order of rows: limits follow a total order, windows rank with ties, sums are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

SETUP = """
create table t as select i as id, case when i % 5 = 0 then null else (i * 13 % 7)::double / 2 end as x,
    (i % 3)::double as y, ['a', 'b', null][i % 3 + 1] as g, (i % 4)::integer as k from range(11) r(i);
create table u as select i as id, (i % 3)::integer as k, (i * 7 % 5)::double as z,
    ['a', 'b', 'd'][i % 3 + 1] as g from range(7) r(i);
create table w as select (i % 2)::integer as k, case when i % 4 = 0 then null else 0.5 end as z,
    case when i % 3 = 0 then null else (i % 2)::double + 0.5 end as v from range(5) r(i);
create table e as select * from u limit 0;
"""
_TABLES = {
    "t": {"id": "n", "x": "n", "y": "n", "g": "s", "k": "n"},
    "u": {"id": "n", "k": "n", "z": "n", "g": "s"},
    "w": {"k": "n", "z": "n", "v": "n"},
    "e": {"id": "n", "k": "n", "z": "n", "g": "s"},
}


@dataclass(frozen=True, slots=True)
class Column:
    sql: str
    kind: str
    """n: number, s: text."""


@dataclass(frozen=True, slots=True)
class Query:
    sql: str
    columns: tuple[tuple[str, str], ...]
    """Name and kind."""
    ordered: bool = False


class Writer:
    """Draws one query; ``depth`` bounds nesting."""

    def __init__(self, draw: Any) -> None:
        self._draw = draw
        self._aliases = 0
        self._ctes: list[tuple[str, tuple[tuple[str, str], ...]]] = []

    def chance(self, percent: int) -> bool:
        return bool(self._draw(st.integers(0, 99)) >= 100 - percent)

    def pick(self, options: Sequence[Any]) -> Any:
        return options[self._draw(st.integers(0, len(options) - 1))]

    def alias(self) -> str:
        self._aliases += 1
        return f"q{self._aliases}"

    # expressions

    def number(self, scope: list[Column], depth: int) -> str:
        columns = [c.sql for c in scope if c.kind == "n"]
        if depth <= 0 or self.chance(20):
            return self.pick(columns) if columns and not self.chance(10) else self.pick(["1", "2.5", "0", "null"])
        a = self.number(scope, depth - 1)
        kind = self.pick(
            [
                "f",
                "f",
                "f",
                "g",
                "d",
                "st",
                "vec",
                "plus",
                "case",
                "coalesce",
                "if",
                "nullif",
                "neg",
                "scalar",
                "simple",
            ]
        )
        if kind in ("f", "d"):
            return f"{kind}({a})"
        if kind == "g":
            return f"g({a}, {self.number(scope, depth - 1)})"
        if kind == "st":
            return f"st({a}).p"
        if kind == "vec":
            return f"vec({a})[1]"
        if kind == "plus":
            return f"({a} {self.pick(['+', '-', '*'])} {self.number(scope, depth - 2)})"
        if kind in ("case", "if", "simple"):
            return self._conditional(kind, a, scope, depth)
        if kind in ("coalesce", "nullif"):
            return f"{kind}({a}, {self.number(scope, depth - 1)})"
        if kind == "scalar":
            return self.scalar(scope, depth - 1)
        return f"(- {a})"

    def _conditional(self, kind: str, a: str, scope: list[Column], depth: int) -> str:
        b = self.number(scope, depth - 1)
        if kind == "simple":
            return f"case {self.number(scope, depth - 2)} when 1 then {a} when 2.5 then {b} end"
        condition = self.boolean(scope, depth - 1)
        if kind == "if":
            return f"if({condition}, {a}, {b})"
        return f"case when {condition} then {a}{f' else {b}' if self.chance(60) else ''} end"

    def text(self, scope: list[Column], depth: int) -> str:
        columns = [c.sql for c in scope if c.kind == "s"]
        if depth <= 0 or self.chance(40):
            return self.pick(columns) if columns and not self.chance(10) else self.pick(["'a'", "'b'", "null::varchar"])
        kind = self.pick(["lab", "lab", "st", "concat", "case"])
        if kind == "lab":
            return f"lab({self.text(scope, depth - 1)})"
        if kind == "st":
            return f"st({self.number(scope, depth - 1)}).l"
        if kind == "concat":
            return f"({self.text(scope, depth - 1)} || {self.text(scope, depth - 1)})"
        condition = self.boolean(scope, depth - 1)
        return f"case when {condition} then {self.text(scope, depth - 1)} else {self.text(scope, depth - 1)} end"

    def boolean(self, scope: list[Column], depth: int) -> str:
        kind = self.pick(["cmp", "cmp", "cmp", "text", "null", "not", "and", "or", "in", "exists", "between", "list"])
        if depth <= 0:
            kind = self.pick(["cmp", "text", "null"])
        if kind == "cmp":
            operator = self.pick([">", "<", "=", "<>", ">=", "is distinct from"])
            return f"{self.number(scope, depth - 1)} {operator} {self.number(scope, depth - 2)}"
        if kind == "text":
            return f"{self.text(scope, depth - 1)} {self.pick(['=', '>', '<>'])} {self.text(scope, depth - 2)}"
        if kind == "null":
            return f"{self.number(scope, depth - 1)} is {self.pick(['', 'not '])}null"
        if kind == "not":
            return f"not ({self.boolean(scope, depth - 1)})"
        if kind in ("and", "or"):
            return f"({self.boolean(scope, depth - 1)} {kind} {self.boolean(scope, depth - 1)})"
        if kind == "between":
            return f"{self.number(scope, depth - 1)} between 1 and {self.number(scope, depth - 2)}"
        if kind == "list":
            return f"{self.number(scope, depth - 1)} in (1, 2.5, {self.number(scope, depth - 2)})"
        return self._subquery_test(kind, scope, depth)

    def _subquery_test(self, kind: str, scope: list[Column], depth: int) -> str:
        source, inner = self.source(depth - 2)
        visible = inner + (scope if self.chance(40) else [])
        where = f" where {self.boolean(visible, depth - 2)}" if self.chance(70) else ""
        if kind == "exists":
            return f"{self.pick(['', 'not '])}exists (select 1 from {source}{where})"
        value = self.number(inner if self.chance(80) else visible, depth - 2)
        return f"{self.number(scope, depth - 1)} {self.pick(['', 'not '])}in (select {value} from {source}{where})"

    def scalar(self, scope: list[Column], depth: int) -> str:
        source, inner = self.source(depth - 1)
        visible = inner + (scope if self.chance(40) else [])
        where = f" where {self.boolean(visible, depth - 1)}" if self.chance(60) else ""
        value = self.number(inner if self.chance(70) else visible, depth - 1)
        aggregate = f"{self.pick(['max', 'min', 'count', 'sum'])}({value})"
        if self.chance(25):
            aggregate = f"f({aggregate})"
        return f"(select {aggregate} from {source}{where})"

    # sources

    def source(self, depth: int) -> tuple[str, list[Column]]:
        alias = self.alias()
        if depth > 0 and self.chance(30):
            query = self.query(depth - 1)
            return f"({query.sql}) {alias}", [Column(f"{alias}.{n}", k) for n, k in query.columns]
        if self._ctes and self.chance(40):
            name, columns = self.pick(self._ctes)
            return f"{name} {alias}", [Column(f"{alias}.{n}", k) for n, k in columns]
        table = self.pick(["t", "u", "t", "w", "t", "u", "w", "e"])
        return f"{table} {alias}", [Column(f"{alias}.{n}", k) for n, k in _TABLES[table].items()]

    def sources(self, depth: int) -> tuple[str, list[Column]]:
        text, scope = self.source(depth)
        for _ in range(self.pick([0, 0, 0, 1, 1, 2])):
            right, columns = self.source(depth - 1)
            kind = self.pick(
                ["join", "join", "left join", "right join", "full join", "semi join", "anti join", "cross"]
            )
            if kind == "cross":
                comma = self.chance(50)
                text, scope = f"{text}{', ' if comma else ' cross join '}{right}", scope + columns
                if comma:  # a join after it would not see what stands before it
                    break
                continue
            both = scope + columns
            condition = self.boolean(both, depth)
            if self.chance(50) or kind == "full join":
                left_key = self.pick([c.sql for c in scope if c.kind == "n"] or ["1"])
                right_key = self.pick([c.sql for c in columns if c.kind == "n"] or ["1"])
                condition = f"{left_key} = {right_key} and {condition}"
            text = f"{text} {kind} {right} on {condition}"
            scope = scope if kind in ("semi join", "anti join") else both
        return text, scope

    # queries

    def query(self, depth: int) -> Query:
        kind = self.pick(["plain", "plain", "plain", "grouped", "window", "union"])
        if kind == "union" and depth > 0:
            return self.union(depth)
        if kind == "grouped":
            return self.grouped(depth)
        return self.window(depth) if kind == "window" else self.plain(depth)

    def outputs(self, scope: list[Column], depth: int) -> list[tuple[str, str, str]]:
        outputs = []
        for i in range(self.pick([1, 2, 2, 3])):
            kind = self.pick(["n", "n", "n", "s"])
            value = self.number(scope, depth) if kind == "n" else self.text(scope, depth)
            outputs.append((value, f"c{i}", kind))
        return outputs

    def plain(self, depth: int) -> Query:
        source, scope = self.sources(depth)
        outputs = self.outputs(scope, depth)
        where = ""
        if self.chance(60):
            where = " where " + " and ".join(self.boolean(scope, depth) for _ in range(self.pick([1, 1, 2])))
        distinct = "distinct " if self.chance(15) else ""
        select = ", ".join(f"{v} as {n}" for v, n, _ in outputs)
        tail, ordered = self._tail(outputs, scope, depth, distinct=bool(distinct))
        columns = tuple((n, k) for _, n, k in outputs)
        return Query(f"select {distinct}{select} from {source}{where}{tail}", columns, ordered)

    def _tail(
        self, outputs: list[tuple[str, str, str]], scope: list[Column], depth: int, *, distinct: bool
    ) -> tuple[str, bool]:
        """ORDER BY over all outputs, so that ties are equal rows; or over sources for a limit below."""
        if not self.chance(30):
            return "", False
        spelled = self.pick(["name", "ordinal"])
        keys = [
            f"{n if spelled == 'name' else i} {self.pick(['asc', 'desc'])} nulls {self.pick(['first', 'last'])}"
            for i, (_, n, _) in enumerate(outputs, 1)
        ]
        if not distinct and self.chance(25):
            keys.insert(0, f"{self.number(scope, depth - 1)} nulls first")
            if "select" in keys[0] or not any(c.sql in keys[0] for c in scope):
                keys.pop(0)
        ordered = len(keys) == len(outputs)
        limit = self.pick(["", " limit 3", " limit 2 offset 1"]) if ordered else ""
        return f" order by {', '.join(keys)}{limit}", ordered

    def grouped(self, depth: int) -> Query:
        source, scope = self.sources(depth)
        where = f" where {self.boolean(scope, depth)}" if self.chance(40) else ""
        keys = [self.number(scope, self.pick([0, 0, depth])) for _ in range(self.pick([0, 1, 1, 2]))]
        keys = [k for k in keys if "select" not in k and any(c.sql in k for c in scope)]
        aggregates = [self.aggregate(scope, depth) for _ in range(self.pick([1, 1, 2]))]
        over = [Column(v, "n") for v in (*keys, *aggregates)]
        outputs = [(k, f"c{i}", "n") for i, k in enumerate(keys)]
        for value in aggregates:
            wrapped = self.number(over, 1) if self.chance(40) else value
            outputs.append((value if "select" in wrapped else wrapped, f"c{len(outputs)}", "n"))
        select = ", ".join(f"{v} as {n}" for v, n, _ in outputs)
        group = ""
        if keys:
            spelled = [self.pick([k, f"c{i}", str(i + 1)]) for i, k in enumerate(keys)]
            group = f" group by {', '.join(spelled)}"
        having = f" having {self._simple_test(over)}" if self.chance(30) else ""
        columns = tuple((n, k) for _, n, k in outputs)
        return Query(f"select {select} from {source}{where}{group}{having}", columns)

    def _simple_test(self, over: list[Column]) -> str:
        value = self.pick([c.sql for c in over])
        if self.chance(50):
            value = f"f({value})"
        return f"{value} {self.pick(['>', '<=', '<>'])} {self.pick(['1', '2.5', '4'])}"

    def aggregate(self, scope: list[Column], depth: int) -> str:
        name = self.pick(["sum", "max", "min", "count", "count(distinct"])
        closing = "))" if "(" in name else ")"
        value = self.number(scope, depth)
        if "select" in value:
            value = self.number(scope, 0)
        condition = f" filter (where {self.boolean(scope, 0)})" if self.chance(20) else ""
        if self.chance(10):
            condition = f" filter (where f({self.number(scope, 0)}) > 2)"
        return f"{name}{'(' if '(' not in name else ''}{value}{closing}{condition}".replace("distinct(", "distinct ") \
            if "(" not in name else f"count(distinct {value}){condition}"  # fmt: skip

    def window(self, depth: int) -> Query:
        source, scope = self.sources(depth)
        where = f" where {self.boolean(scope, depth)}" if self.chance(40) else ""
        outputs = self.outputs(scope, depth)
        order, partition = self.number(scope, depth), self.number(scope, depth - 1)
        order, partition = (v if "select" not in v else self.number(scope, 0) for v in (order, partition))
        value = self.pick(["rank()", "dense_rank()", "count(*)", f"sum({self.number(scope, 0)})", "max(1)"])
        by = f"partition by {partition} " if self.chance(50) else ""
        over = f"{value} over ({by}order by {order} nulls first)"
        if self.chance(30):
            over = f"f({over})"
        outputs.append((over, f"c{len(outputs)}", "n"))
        qualify = f" qualify {outputs[-1][1]} {self.pick(['> 1', '<= 2', '= 1'])}" if self.chance(30) else ""
        select = ", ".join(f"{v} as {n}" for v, n, _ in outputs)
        return Query(f"select {select} from {source}{where}{qualify}", tuple((n, k) for _, n, k in outputs))

    def union(self, depth: int) -> Query:
        left = self._unary(depth - 1)
        right = self._unary(depth - 1)
        operator = self.pick(["union all", "union all", "union", "except", "intersect"])
        return Query(f"{left} {operator} {right}", (("c0", "n"), ("c1", "s")))

    def _unary(self, depth: int) -> str:
        source, scope = self.sources(depth)
        where = f" where {self.boolean(scope, depth)}" if self.chance(50) else ""
        number, text = self.number(scope, depth), self.text(scope, depth)
        return f"select {number}::double as c0, {text} as c1 from {source}{where}"

    def whole(self) -> Query:
        depth = self.pick([1, 2, 2, 3])
        clauses = []
        for i in range(self.pick([0, 0, 0, 1, 2])):
            query = self.query(depth - 1)
            name = f"cte{i}"
            clauses.append(f"{name} as ({query.sql})")
            self._ctes.append((name, query.columns))
        main = self.query(depth)
        head = f"with {', '.join(clauses)} " if clauses else ""
        return Query(head + main.sql, main.columns, main.ordered)


@st.composite
def queries(draw: Any) -> Query:
    return Writer(draw).whole()
