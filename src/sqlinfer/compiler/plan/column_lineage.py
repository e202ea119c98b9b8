"""Plan → where the columns of its result come from: columns of relations, and calls with their arguments. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, build_scope

from sqlinfer.relation import fold
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.lineage import CallOrigin, ColumnLineage, ColumnOrigin
from sqlinfer.spec.plan import Call, Plan, Stage

_Found = tuple[tuple[ColumnOrigin, ...], tuple[Call, ...]]
_NOTHING: _Found = ((), ())


def column_lineage(plan: Plan, contracts: Mapping[str, FunctionContract]) -> tuple[ColumnLineage, ...]:
    """Of the columns whose origin the parser can tell; conditions that rows are chosen by do not count.

    What a call stands behind (``case when … then``) counts: it is a part of the argument.
    """
    tracer = _Tracer(plan, contracts)
    scope = tracer.scope_of(plan.result.sql)
    if scope is None:
        return ()
    found = []
    for name in _names(scope):
        columns, calls = tracer.trace(scope, name)
        if columns or calls:
            origins = tuple(tracer.call(call) for call in calls)
            found.append(ColumnLineage(name, columns, origins))
    return tuple(found)


@dataclass(slots=True)
class _Selected:
    """What a query selects, by folded name: a wide query is asked for each of its columns."""

    places: dict[str, int]
    """Name → the first column that has the name."""
    _items: dict[str, list[tuple[int, exp.Expr]]] = field(default_factory=dict)
    _stars: list[tuple[int, exp.Expr]] = field(default_factory=list)

    @classmethod
    def of(cls, scope: Scope) -> Self:
        names = [fold(one) for one in _names(scope)]
        found = cls({name: place for place, name in reversed(list(enumerate(names)))})
        query = scope.expression
        for place, one in enumerate(query.selects if isinstance(query, exp.Select) else ()):
            listed = found._stars if one.is_star else found._items.setdefault(fold(one.alias_or_name), [])
            listed.append((place, one))
        return found

    def items(self, name: str) -> list[exp.Expr]:
        """Stars and the items of that name, in the order of the query."""
        both = [*self._stars, *self._items.get(name, ())]
        return [one for _, one in sorted(both, key=lambda found: found[0])]


@dataclass(slots=True)
class _Tracer:
    plan: Plan
    contracts: Mapping[str, FunctionContract]
    stages: dict[str, Stage] = field(init=False)
    """Folded names of stages and of scored relations."""
    _scopes: dict[str, Scope | None] = field(default_factory=dict)
    _selected: dict[int, _Selected] = field(default_factory=dict)
    """By the identity of a scope, all of which are kept in ``_scopes``."""
    _calls: dict[str, dict[str, list[Call]]] = field(default_factory=dict)
    """Name of a stage → folded name of an output → the calls that it is of."""
    _done: dict[tuple[int, str], _Found] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stages = {fold(one.relation.name): one for one in self.plan.stages}
        self.stages |= {fold(one.scored.name): one for one in self.plan.stages if one.scored is not None}

    def scope_of(self, sql: str) -> Scope | None:
        if sql not in self._scopes:
            try:
                self._scopes[sql] = build_scope(sqlglot.parse_one(sql, dialect=self.plan.dialect))
            except (SqlglotError, RecursionError):
                self._scopes[sql] = None
        return self._scopes[sql]

    def call(self, call: Call) -> CallOrigin:
        stage = next(one for one in self.plan.stages if call in one.calls)
        scope = self.scope_of(stage.sql)
        arguments = []
        for argument, column in zip(self.contracts[call.function].arguments, call.arguments, strict=True):
            columns, inner = self.trace(scope, column) if scope is not None else _NOTHING
            under = (origin for one in inner for _, origins in self.call(one).arguments for origin in origins)
            arguments.append((argument.name, tuple(dict.fromkeys((*columns, *under)))))
        return CallOrigin(call.function, call.digest, tuple(arguments))

    def trace(self, scope: Scope, name: str) -> _Found:
        key = id(scope), fold(name)
        if key not in self._done:
            self._done[key] = _NOTHING  # a recursive CTE
            self._done[key] = _joined(self._traced(scope, fold(name)))
        return self._done[key]

    def _traced(self, scope: Scope, name: str) -> Iterator[_Found]:
        selected = self._selected_by(scope)
        if scope.set_operation_scopes:
            for inner in scope.set_operation_scopes:
                there = _names(inner)
                if selected.places.get(name, len(there)) < len(there):
                    yield self.trace(inner, there[selected.places[name]])
            return
        for one in selected.items(name):
            if one.is_star:
                yield from self._passed(scope, one, name)
            else:
                yield from self._of_expression(scope, one)

    def _selected_by(self, scope: Scope) -> _Selected:
        if id(scope) not in self._selected:
            self._selected[id(scope)] = _Selected.of(scope)
        return self._selected[id(scope)]

    def _of_expression(self, scope: Scope, item: exp.Expr) -> Iterator[_Found]:
        for column in item.find_all(exp.Column):
            if column.find_ancestor(exp.Select) is scope.expression:
                yield self._of_column(scope, column.table, column.name)
        inside = {id(one) for one in item.find_all(exp.Query)}
        for inner in scope.subquery_scopes:
            if id(inner.expression) in inside:
                yield from (self.trace(inner, name) for name in _names(inner))

    def _passed(self, scope: Scope, star: exp.Expr, name: str) -> Iterator[_Found]:
        table = star.table if isinstance(star, exp.Column) else ""
        for alias, (_, source) in scope.selected_sources.items():
            if table and fold(alias) != fold(table):
                continue
            if isinstance(source, Scope) and name in self._selected_by(source).places:
                yield self.trace(source, name)

    def _of_column(self, scope: Scope, table: str, name: str) -> _Found:
        sources = {fold(alias): source for alias, (_, source) in scope.selected_sources.items()}
        only = next(iter(sources.values())) if len(sources) == 1 else None
        source = sources.get(fold(table)) if table else only
        if isinstance(source, Scope):
            return self.trace(source, name)
        if not isinstance(source, exp.Table):
            return _NOTHING
        stage = self.stages.get(fold(source.name))
        if stage is None:
            parts = (source.catalog, source.db, source.name)
            return (ColumnOrigin(".".join(part for part in parts if part), name),), ()
        made = self._made(stage).get(fold(name))
        inner = self.scope_of(stage.sql)
        return ((), tuple(made)) if made else self.trace(inner, name) if inner is not None else _NOTHING

    def _made(self, stage: Stage) -> dict[str, list[Call]]:
        named = stage.relation.name
        if named not in self._calls:
            self._calls[named] = {}
            for call in stage.calls:
                for output in dict.fromkeys(map(fold, (call.output, *call.columns))):
                    self._calls[named].setdefault(output, []).append(call)
        return self._calls[named]


def _joined(found: Iterator[_Found]) -> _Found:
    every = list(found)
    columns = dict.fromkeys(one for columns, _ in every for one in columns)
    calls = dict.fromkeys(one for _, calls in every for one in calls)
    return tuple(columns), tuple(calls)


def _names(scope: Scope) -> Sequence[str]:
    query = scope.expression
    return query.named_selects if isinstance(query, exp.Query) else ()
