"""Fields of struct outputs, for warehouses that keep structs otherwise: ``(r).lo`` of a column of a CTE or a derived
table is told what it is, and ``(r).*`` becomes its fields. The tree is changed in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

from sqlinfer.compiler.calls.canonical import FIELD, PredictCall, Source
from sqlinfer.errors import CallError, did_you_mean
from sqlinfer.relation import fold
from sqlinfer.spec.function import FunctionContract

_KEEPS = (exp.Coalesce, exp.Case, exp.If, exp.Nullif, exp.Window, exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue,
          exp.NthValue, exp.IgnoreNulls, exp.RespectNulls)  # fmt: skip
"""What gives one of its operands as it is."""


def mark_fields(query: exp.Query, functions: Mapping[str, FunctionContract], source: Source) -> None:
    """Raises CallError: the function has no such field."""
    dots = [dot for dot in query.find_all(exp.Dot) if FIELD not in dot.meta]
    if not dots or not any(contract.is_struct for contract in _called(query, functions)):
        return
    try:
        tracer = _Tracer({id(scope.expression): scope for scope in traverse_scope(query)}, functions)
    except (SqlglotError, RecursionError):
        return  # the warehouse says what it is
    for dot in dots:
        contract = tracer.contract_of(dot.this, tracer.scope_of(dot))
        if contract is None:
            continue
        if isinstance(dot.expression, exp.Star):
            _spread(dot, contract)
        else:
            _mark(dot, contract, source)


def _called(query: exp.Query, functions: Mapping[str, FunctionContract]) -> Iterator[FunctionContract]:
    for call in query.find_all(PredictCall):
        yield functions[call.function]


def _mark(dot: exp.Dot, contract: FunctionContract, source: Source) -> None:
    wanted = dot.expression.name
    found = next((o for o in contract.outputs if fold(o.name) == fold(wanted)), None)
    if found is None:
        hint = did_you_mean(wanted, [o.name for o in contract.outputs])
        raise CallError(f"{contract.name} has no field '{wanted}'", hint=hint, location=source.locate(dot))
    dot.meta[FIELD] = (found.name, found.data_type)


def _spread(dot: exp.Dot, contract: FunctionContract) -> None:
    select = dot.parent
    if not isinstance(select, exp.Select) or dot.arg_key != "expressions":
        return
    items = []
    for output in contract.outputs:
        one = exp.Dot(this=dot.this.copy(), expression=exp.to_identifier(output.name, quoted=True))
        one.meta[FIELD] = (output.name, output.data_type)
        items.append(exp.alias_(one, output.name, quoted=True, copy=False))
    position = dot.index or 0
    before, after = select.expressions[:position], select.expressions[position + 1 :]
    select.set("expressions", [*before, *items, *after])


@dataclass(slots=True)
class _Tracer:
    scopes: Mapping[int, Scope]
    """By the identity of their query."""
    functions: Mapping[str, FunctionContract]
    _open: set[tuple[int, str]] = field(default_factory=set)
    """Columns that are being traced: a recursive CTE reads itself."""

    def scope_of(self, node: exp.Expr) -> Scope | None:
        above = node.parent
        while above is not None and id(above) not in self.scopes:
            above = above.parent
        return self.scopes.get(id(above))

    def contract_of(self, node: exp.Expr, scope: Scope | None) -> FunctionContract | None:
        """Of the function whose struct the expression is."""
        node = node.unalias().unnest()
        if isinstance(node, PredictCall):
            contract = self.functions[node.function]
            return contract if contract.is_struct else None
        if isinstance(node, exp.Column):
            return self._of_column(node, scope)
        if isinstance(node, (exp.Subquery, exp.Select)):
            inner = self.scopes.get(id(node.unnest()))
            names = _names(inner) if inner is not None else []
            return self._of_output(inner, names[0]) if inner is not None and len(names) == 1 else None
        if isinstance(node, _KEEPS):
            parts = (one for one in node.iter_expressions() if not isinstance(one, (exp.Order, exp.WindowSpec)))
            return next(filter(None, (self.contract_of(one, scope) for one in parts)), None)
        return None

    def _of_column(self, column: exp.Column, scope: Scope | None) -> FunctionContract | None:
        while scope is not None:
            for alias, (node, source) in scope.selected_sources.items():
                if column.table and fold(alias) != fold(column.table):
                    continue
                if isinstance(source, Scope) and (found := self._of_output(source, self._inner(node, source, column))):
                    return found
            scope = scope.parent  # a lateral join or a correlated subquery
        return None

    def _inner(self, node: exp.Expr, source: Scope, column: exp.Column) -> str:
        """What the column is called inside: an alias may rename columns."""
        alias = node.args.get("alias")
        renamed = [one.name for one in alias.args.get("columns") or []] if isinstance(alias, exp.TableAlias) else []
        above = source.expression.parent
        if not renamed and isinstance(above, (exp.CTE, exp.Subquery)):
            renamed = above.alias_column_names
        names = _names(source)
        folded = [fold(name) for name in renamed]
        at = folded.index(fold(column.name)) if fold(column.name) in folded else -1
        return str(names[at]) if 0 <= at < len(names) else column.name

    def _of_output(self, scope: Scope, name: str) -> FunctionContract | None:
        key = id(scope), fold(name)
        if key in self._open:
            return None
        self._open.add(key)
        try:
            return self._traced(scope, name)
        finally:
            self._open.discard(key)

    def _traced(self, scope: Scope, name: str) -> FunctionContract | None:
        query = scope.expression
        if scope.set_operation_scopes:
            names = [fold(one) for one in _names(scope)]
            position = names.index(fold(name)) if fold(name) in names else -1
            for inner in scope.set_operation_scopes:
                there = _names(inner)
                if 0 <= position < len(there) and (found := self._of_output(inner, there[position])):
                    return found
        for item in query.selects if isinstance(query, exp.Select) else ():
            if item.is_star:
                column = exp.column(name, table=item.table if isinstance(item, exp.Column) else None)
                if found := self._of_column(column, scope):
                    return found
            elif fold(item.alias_or_name) == fold(name):
                return self.contract_of(item, scope)
        return None


def _names(scope: Scope) -> list[str]:
    query = scope.expression
    return list(query.named_selects) if isinstance(query, exp.Query) else []
