"""What Spark calls a result column that has no alias: the expression as its ``toPrettySQL`` writes it.

>>> from sqlglot import parse_one
>>> queries = ("f(t.x)", "f(x) + 1", "cast(f(x) as int)", "coalesce(f(x), 0) > 1", "st(x).p")
>>> [pretty_name(parse_one(sql, dialect="spark")) for sql in queries]
['f(x)', '(f(x) + 1)', 'CAST(f(x) AS INT)', '(coalesce(f(x), 0) > 1)', 'st(x).p']
"""

from __future__ import annotations

from sqlglot import exp

from sqlinfer.compiler.calls.canonical import PREDICT

_OPERATORS: dict[type[exp.Expr], str] = {
    exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%", exp.EQ: "=", exp.NullSafeEQ: "<=>",
    exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=", exp.And: "AND", exp.Or: "OR", exp.BitwiseAnd: "&",
    exp.BitwiseOr: "|", exp.BitwiseXor: "^",
}  # fmt: skip


def pretty_name(node: exp.Expr) -> str:
    match node:
        case exp.Paren():
            return pretty_name(node.this)
        case exp.Column():
            return node.name
        case exp.Dot():
            return f"{pretty_name(node.this)}.{node.expression.name}"
        case exp.Star():
            return "1"
        case exp.Literal() | exp.Boolean():
            return str(node.this).lower() if isinstance(node, exp.Boolean) else str(node.this)
        case exp.Null():
            return "NULL"
        case exp.Cast():
            word = "TRY_CAST" if node.args.get("safe") else "CAST"
            return f"{word}({pretty_name(node.this)} AS {node.to.sql(dialect='spark')})"
        case exp.Not():
            return _negated(node)
        case exp.NEQ():
            return f"(NOT ({pretty_name(node.this)} = {pretty_name(node.expression)}))"
        case exp.Neg():
            return f"(- {pretty_name(node.this)})" if not isinstance(node.this, exp.Literal) else f"-{node.this.this}"
        case exp.Is() if isinstance(node.expression, exp.Null):
            return f"({pretty_name(node.this)} IS NULL)"
        case exp.DPipe():
            return f"concat({pretty_name(node.this)}, {pretty_name(node.expression)})"
        case exp.Binary() if type(node) in _OPERATORS:
            return f"({pretty_name(node.this)} {_OPERATORS[type(node)]} {pretty_name(node.expression)})"
        case exp.Case():
            return _case(node)
        case exp.Bracket() if len(node.expressions) == 1:
            return f"{pretty_name(node.this)}[{pretty_name(node.expressions[0])}]"
        case exp.Anonymous():
            return _called(node)
        case exp.Func():
            return _function(node)
        case _:
            return node.sql(dialect="spark", comments=False, normalize_functions="lower")


def _negated(node: exp.Not) -> str:
    inner = node.this.unnest()
    if isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null):
        return f"({pretty_name(inner.this)} IS NOT NULL)"
    return f"(NOT {pretty_name(inner)})"


def _case(node: exp.Case) -> str:
    subject = pretty_name(node.this) if node.this else ""
    parts = ["CASE"]
    for branch in node.args["ifs"]:
        condition = pretty_name(branch.this)
        parts.append(
            f"WHEN {f'({subject} = {condition})' if subject else condition} THEN {pretty_name(branch.args['true'])}"
        )
    if node.args.get("default") is not None:
        parts.append(f"ELSE {pretty_name(node.args['default'])}")
    return " ".join([*parts, "END"])


def _called(node: exp.Anonymous) -> str:
    """``predict('f', x)`` is called as ``f(x)`` is."""
    name, arguments = str(node.this), list(node.expressions)
    if name.casefold() == PREDICT and arguments:
        name, arguments = arguments[0].name, arguments[1:]
    values = (a.args["expression"] if isinstance(a, (exp.Kwarg, exp.PropertyEQ)) else a for a in arguments)
    return f"{name}({', '.join(map(pretty_name, values))})"


def _function(node: exp.Func) -> str:
    arguments = [item for value in node.args.values() for item in (value if isinstance(value, list) else [value])]
    plain = all(isinstance(item, exp.Expr) for item in arguments if item not in (None, False, True))
    if not plain or node.find(exp.Distinct, exp.Lambda, exp.Order) is not None:
        return node.sql(dialect="spark", comments=False, normalize_functions="lower")
    listed = ", ".join(pretty_name(item) for item in arguments if isinstance(item, exp.Expr))
    return f"{node.sql_name().lower()}({listed})"
