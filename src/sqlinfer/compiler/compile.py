"""Rendered SQL + catalog → Plan. Pure: no I/O, no clock, no environment."""

from __future__ import annotations

import re

from sqlglot import exp

from sqlinfer.compiler.calls.canonical import (
    PredictCall,
    Source,
    calls_in,
    canonicalise,
    expand_table_forms,
    has_calls,
    may_call,
)
from sqlinfer.compiler.calls.struct_fields import mark_fields
from sqlinfer.compiler.calls.table_arguments import settle_table_arguments
from sqlinfer.compiler.forms import Form, form_of
from sqlinfer.compiler.forms.base import is_null
from sqlinfer.compiler.names.order_names import resolve_order
from sqlinfer.compiler.names.qualify import qualified, table_functions
from sqlinfer.compiler.names.result_names import name_results
from sqlinfer.compiler.parse.as_written import keep_as_written
from sqlinfer.compiler.parse.deep import deep
from sqlinfer.compiler.parse.parse import PLACED, parse
from sqlinfer.compiler.parse.said import mentioned
from sqlinfer.compiler.parse.verbatim import with_pieces
from sqlinfer.compiler.plan.builder import Builder
from sqlinfer.compiler.plan.inputs import with_identities
from sqlinfer.compiler.plan.planner import Planner
from sqlinfer.compiler.plan.predictions import with_predictions
from sqlinfer.compiler.rules import RULES
from sqlinfer.compiler.scopes.analyse import text
from sqlinfer.compiler.scopes.volatile import keywords_as_functions, refuse_sequences
from sqlinfer.errors import ColumnError, CompileError, UnsupportedQuery, did_you_mean
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Catalog, Column
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.plan import Plan, Result


def compile_query(
    source: Source,
    catalog: Catalog,
    *,
    node: str,
    output: tuple[Column, ...] = (),
    limit: int | None = None,
    side: str = "",
) -> Plan:
    """The plan of one rendered query.

    ``output`` are the names of the result's columns as the warehouse would name them; ``limit`` keeps that many rows
    of the result (preview). ``side``: what the node's stages are called in the side catalog, if not as the node.

    Raises:
        CompileError: with file, line and span.
    """
    try:
        return deep(lambda: _compile(catalog, node, source, output, limit, side or node), source)
    except CompileError as error:
        raise error.at(mentioned(error.message, source)) from error.__cause__


def _compile(
    catalog: Catalog, node: str, source: Source, output: tuple[Column, ...], limit: int | None, side: str
) -> Plan:
    sql = source.original
    names = tuple(c.name for c in output)
    query = _parsed(catalog, source) if may_call(sql, catalog.functions) else None
    if query is None or not has_calls(query):
        bare = sql.strip().rstrip(";")
        bare = f"select * from (\n{bare}\n) as _preview limit {limit}" if limit is not None else bare
        return Plan(node, catalog.dialect, sql, (), Result(bare, names))
    refuse_sequences(query, source)
    _check_relations(query, catalog, source)
    if limit is not None:
        query = _limited(query, limit)
    query = resolve_order(qualified(query, catalog, source), catalog)
    applied = []
    before = text(query)
    for rule in RULES:
        query = rule(query)
        before, after = text(query), before
        if before != after:
            applied.append(rule.__name__)
    if not has_calls(query):  # all of them were unused
        _name_output(query, names)
        emitted = form_of(catalog).sql(query, pretty=True)
        return Plan(node, catalog.dialect, sql, (), Result(emitted, names or _names(query)), tuple(applied))
    builder = Builder(catalog, side, source)
    result = Planner(builder, catalog.functions).result(query)
    left = next(calls_in(result), None)
    if left is not None:
        raise UnsupportedQuery("predict() cannot be planned in this position", location=source.locate(left))
    _name_output(result, names)
    rest = builder.result(result, names or _names(result))
    plan = Plan(node, catalog.dialect, sql, tuple(builder.stages), rest, tuple(applied))
    return with_predictions(with_identities(plan, catalog.functions))


def _limited(query: exp.Query, limit: int) -> exp.Query:
    """The first rows of the query in its own order: a LIMIT around it, or in it where ORDER BY has none yet."""
    if any(query.args.get(k) for k in ("limit", "offset", "with_")):
        return exp.select("*", copy=False).from_(query.subquery("_preview", copy=False)).limit(limit, copy=False)
    return query.limit(limit, copy=False)


def _names(query: exp.Expr) -> tuple[str, ...]:
    return tuple(e.alias_or_name for e in query.selects)  # type: ignore[attr-defined]


def _parsed(catalog: Catalog, source: Source, *, relations: bool = True) -> exp.Query:
    query = parse(source, catalog.dialect)
    with_pieces(query, catalog.pieces, relations=relations)
    query = name_results(query, source, catalog.functions, form_of(catalog))
    if catalog.dialect in PLACED:
        keep_as_written(query, source, catalog.dialect, catalog.functions)
    form_of(catalog).name_fields(query)
    query = keywords_as_functions(query, catalog) if catalog.dialect == "duckdb" else query
    settle_table_arguments(query, catalog.functions, source)
    query = canonicalise(query, catalog.functions, source)
    if form_of(catalog).flat_structs:
        mark_fields(query, catalog.functions, source)
    return query


def _check_relations(query: exp.Query, catalog: Catalog, source: Source) -> None:
    ctes = {cte.alias.casefold() for cte in query.find_all(exp.CTE)}
    for table in query.find_all(exp.Table):
        if isinstance(table.this, exp.Func) or (not table.db and table.name.casefold() in ctes):
            continue
        relation = Relation(table.name, table.db or None, table.catalog or None)
        if catalog.find(relation) is None and table.sql(dialect=catalog.dialect) not in catalog.table_functions:
            bare = re.sub(r"(?i)\s+as\s+.*$", "", table.sql(dialect=catalog.dialect, comments=False))
            if bare in catalog.table_functions:
                continue
            known = [str(t.relation.name) for t in catalog.tables.values()]
            raise CompileError(
                f"relation '{relation}' does not exist",
                hint=did_you_mean(table.name, known),
                location=source.locate(table),
            )


def _name_output(query: exp.Expr, names: tuple[str, ...]) -> None:
    """Give the projections the names that the warehouse would give them."""
    target = query
    while isinstance(target, (exp.SetOperation, exp.Subquery)):
        target = target.this
    if not isinstance(target, exp.Select) or len(target.expressions) != len(names):
        return
    if isinstance(query, exp.SetOperation) and query.args.get("by_name"):
        return
    renamed = []
    for projection, name in zip(target.expressions, names, strict=True):
        bare = projection.unalias()
        renamed.append(projection if projection.alias_or_name == name else exp.alias_(bare.copy(), name, quoted=True))
    if all(a is b for a, b in zip(renamed, target.expressions, strict=True)):
        return
    old = {p.alias_or_name: n for p, n in zip(target.expressions, names, strict=True)}
    target.set("expressions", renamed)
    for key in ("order", "distinct"):
        clause = query.args.get(key)
        for column in list(clause.find_all(exp.Column)) if isinstance(clause, exp.Expr) else []:
            if not column.table and column.name in old:
                column.set("this", exp.to_identifier(old[column.name], quoted=True))


# For the catalog: what a query reads, and the same query without predictions


def reads(source: Source, catalog: Catalog) -> tuple[tuple[Relation, ...], tuple[str, ...]]:
    """The relations and table functions that a query with calls names, for the catalog to look up."""

    def look() -> tuple[tuple[Relation, ...], tuple[str, ...]]:
        query = parse(source, catalog.dialect)
        with_pieces(query, catalog.pieces)
        settle_table_arguments(query, catalog.functions, source)
        query = expand_table_forms(query, catalog.functions, source)
        tables = [t for t in query.find_all(exp.Table) if isinstance(t.this, exp.Identifier)]
        relations = dict.fromkeys(Relation(t.name, t.db or None, t.catalog or None) for t in tables)
        return tuple(relations), table_functions(query, catalog.dialect)

    return deep(look, source)


def without_predictions(source: Source, catalog: Catalog) -> str:
    """The query with each call replaced by a typed NULL: same columns and types, nothing to score.

    The call's arguments stay in it, so that the warehouse's own binder checks them. Relations that keep the user's
    text stand in it by their name, which the catalog step has made known.
    """

    def replaced() -> str:
        if not may_call(source.sql, catalog.functions):
            return source.sql.strip().rstrip(";")
        query, form = _parsed(catalog, source, relations=False), form_of(catalog)
        for call in reversed(list(query.find_all(PredictCall))):
            contract = catalog.functions[call.function]
            typed = exp.Cast(this=exp.null(), to=_result_type(contract, form))
            mixed = not form.sees_outer_levels and _is_aggregated_below(call)
            known = [a for a in call.expressions if not (mixed or (form.sets and a.find(*form.sets)))]
            checks = exp.or_(*[is_null(exp.paren(a.copy())) for a in known]) if known else exp.false()
            parent, whole = _outer_dot(call, contract, form, typed)
            value = exp.case().when(checks, typed.copy()).else_(typed)
            if parent is None:
                raise ColumnError("a query cannot be a bare call")
            whole.replace(exp.paren(value) if isinstance(parent, (exp.Dot, exp.Binary, exp.Unary)) else value)
        return form.sql(query, identify=False)

    return deep(replaced, source)


def _is_aggregated_below(call: PredictCall) -> bool:
    """Whether an aggregate of a subquery would hold the arguments, which may be columns of both queries."""
    home = call.find_ancestor(exp.Select)
    return (
        home is not None and home.find_ancestor(exp.Select) is not None and call.find_ancestor(exp.AggFunc) is not None
    )


def _result_type(contract: FunctionContract, form: Form) -> exp.DataType:
    if not contract.is_struct:
        return form.data_type(contract.return_type)
    return form.struct_type({output.name: output.data_type for output in contract.outputs}, contract.return_type)


def _outer_dot(
    call: PredictCall, contract: FunctionContract, form: Form, typed: exp.Cast
) -> tuple[exp.Expr | None, exp.Expr]:
    """What is exchanged for a typed NULL, and what stands around it: a field of a struct that is kept flat is one."""
    whole: exp.Expr = call
    while isinstance(whole.parent, exp.Paren):
        whole = whole.parent
    dot = whole.parent
    if not (form.flat_structs and contract.is_struct and isinstance(dot, exp.Dot) and dot.this is whole):
        return call.parent, call
    output = next((o for o in contract.outputs if o.name.casefold() == dot.expression.name.casefold()), None)
    if output is not None:
        typed.set("to", form.data_type(output.data_type))
        return dot.parent, dot
    return call.parent, call
