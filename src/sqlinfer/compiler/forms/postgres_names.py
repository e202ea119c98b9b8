"""What PostgreSQL calls a result column that has no alias (``FigureColname`` of its parser).

>>> from sqlglot import parse_one
>>> queries = ("f(x)", "f(x) + 1", "cast(1 as int)", "coalesce(a, b)")
>>> [figured_name(parse_one(sql, dialect="postgres")) for sql in queries]
['f', '?column?', 'int4', 'coalesce']
"""

from __future__ import annotations

from sqlglot import exp

from sqlinfer.compiler.calls.canonical import PREDICT

_TYPES = {
    "INT": "int4", "BIGINT": "int8", "SMALLINT": "int2", "DOUBLE PRECISION": "float8", "REAL": "float4",
    "BOOLEAN": "bool", "DECIMAL": "numeric", "CHAR": "bpchar", "TIMESTAMPTZ": "timestamptz",
}  # fmt: skip


def figured_name(projection: exp.Expr) -> str:
    return _figured(projection)[0] or "?column?"


def _figured(node: exp.Expr) -> tuple[str, int]:
    """The name and how strong it is: a cast or CASE around a weak one gives its own."""
    match node:
        case exp.Paren():
            return _figured(node.this)
        case exp.Column() | exp.Dot():
            return node.name or node.expression.name, 2
        case exp.Cast():
            name, strength = _figured(node.this)
            kind = node.to.sql(dialect="postgres").split("(")[0].split("[")[0]
            return (name, strength) if strength > 1 else (_TYPES.get(kind, kind.lower()), 1)
        case exp.Case():
            name, strength = _figured(node.args["default"]) if node.args.get("default") else ("", 0)
            return (name, strength) if strength > 1 else ("case", 1)
        case exp.Exists():
            return "exists", 2
        case exp.Array():
            return "array", 2
        case exp.Subquery() if isinstance(node.this, exp.Select) and node.this.selects:
            first = node.this.selects[0]
            return (first.alias, 2) if isinstance(first, exp.Alias) else _figured(first)
        case exp.Window() | exp.Filter() | exp.WithinGroup() | exp.Collate():
            return _figured(node.this)
        case exp.Anonymous():
            named = str(node.this).casefold()
            return (_called(node) if named == PREDICT else node.name.lower()), 2
        case exp.Binary() | exp.Unary() | exp.Literal() | exp.Null():
            return "", 0
        case exp.Func():
            return node.sql_name().lower(), 2
        case _:
            return "", 0


def _called(node: exp.Expr) -> str:
    """The function of ``predict('f', …)``."""
    return node.expressions[0].name if node.expressions else PREDICT
