"""Plan → the columns of its result that hold predictions, or values made of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from sqlinfer.compiler.parse.parse import known_tree
from sqlinfer.spec.plan import Plan

_Known = Mapping[str, frozenset[str]]
"""Folded name of a relation → its columns that hold predictions, folded."""


def predicted_columns(plan: Plan) -> tuple[str, ...]:
    """Names in the order of the query. A prediction that only filters rows is in no column."""
    known: dict[str, frozenset[str]] = {}
    for stage in plan.stages:
        passed = frozenset(name.casefold() for name in _predicted(stage.sql, plan.dialect, known))
        known[stage.relation.name.casefold()] = passed
        if stage.scored is not None:
            known[stage.scored.name.casefold()] = passed | {call.output.casefold() for call in stage.calls}
    return _predicted(plan.result.sql, plan.dialect, known)


def with_predictions(plan: Plan) -> Plan:
    """``Result.predictions``."""
    return replace(plan, result=replace(plan.result, predictions=predicted_columns(plan)))


def _predicted(sql: str, dialect: str, known: _Known) -> tuple[str, ...]:
    if not any(known.values()):  # the SQL of a first stage is long: its casts and keys are spelled out
        return ()
    tree = known_tree(sql, dialect)
    outputs = _outputs(tree, known) if tree is not None else []
    return tuple(dict.fromkeys(name for name, holds in outputs if holds))


def _outputs(query: exp.Expr, known: _Known) -> list[tuple[str, bool]]:
    """Columns of a query and whether they hold predictions; of a star only those that do."""
    for cte in query.ctes if isinstance(query, exp.Query) else ():
        known = {**known, cte.alias.casefold(): _named(cte, known)}
    if isinstance(query, exp.Subquery):
        return _outputs(query.this, known)
    if isinstance(query, exp.SetOperation):
        left, right = _outputs(query.this, known), _outputs(query.expression, known)
        others = [holds for _, holds in right] + [False] * len(left)
        return [(name, holds or other) for (name, holds), other in zip(left, others, strict=False)]
    if not isinstance(query, exp.Select):
        return []
    sources = _sources(query, known)
    found: list[tuple[str, bool]] = []
    for item in query.expressions:
        if item.is_star:
            table = item.table.casefold() if isinstance(item, exp.Column) else ""
            stars = [names for name, names in sources.items() if table in ("", name)]
            found += [(name, True) for name in dict.fromkeys(n for names in stars for n in sorted(names))]
        else:
            found.append((item.alias_or_name, _holds(item, sources, known)))
    return found


def _sources(query: exp.Select, known: _Known) -> dict[str, frozenset[str]]:
    from_, joins = query.args.get("from_"), query.args.get("joins") or ()
    tables = [part.this for part in (*((from_,) if from_ else ()), *joins)]
    tables += list(query.args.get("laterals") or ())
    return {table.alias_or_name.casefold(): _named(table, known) for table in tables}


def _named(source: exp.Expr, known: _Known) -> frozenset[str]:
    """Columns of a table, a derived table or a CTE that hold predictions, renamed as its alias says."""
    if isinstance(source, exp.Table):
        return known.get(source.name.casefold(), frozenset())
    outputs = _outputs(source.this, known) if isinstance(source.this, exp.Query) else []
    renamed = [column.name for column in source.args["alias"].columns] if source.args.get("alias") else []
    names = renamed + [name for name, _ in outputs][len(renamed) :]
    return frozenset(name.casefold() for name, (_, holds) in zip(names, outputs, strict=False) if holds)


def _holds(item: exp.Expr, sources: Mapping[str, frozenset[str]], known: _Known) -> bool:
    if any(
        _is_predicted([part.name.casefold() for part in column.parts], sources) for column in item.find_all(exp.Column)
    ):
        return True
    return any(holds for query in item.find_all(exp.Select) for _, holds in _outputs(query, known))


def _is_predicted(parts: Sequence[str], sources: Mapping[str, frozenset[str]]) -> bool:
    """``parts``: a column, perhaps behind its table and before fields of it: sqlglot reads ``t.p.field`` as a column
    ``field`` of a table ``p``."""
    for place, part in enumerate(parts[:-1]):
        if part in sources:
            return parts[place + 1] in sources[part]
    return any(parts[0] in names for names in sources.values())
