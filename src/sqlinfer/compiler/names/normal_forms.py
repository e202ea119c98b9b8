"""Small normal forms around name resolution: what sqlglot's qualify does not do, or needs done first."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.forms import Form
from sqlinfer.compiler.names.subquery_keys import keys_below, mark_keys
from sqlinfer.compiler.names.using import columns_of_using, mark_using
from sqlinfer.compiler.scopes.analyse import is_aggregate, walk_own
from sqlinfer.errors import UnsupportedQuery


def before_names(query: exp.Query, source: Source, form: Form) -> None:
    """What must be spelt out before columns are resolved."""
    _columns_function(query, source)
    _group_by_all(query)
    _positions_in_sets(query)
    _values_columns(query, form)
    mark_using(query)
    for join in query.find_all(exp.Join):
        join.meta["inequality"] = join.method == "ASOF" and bool(join.args.get("using"))
    for select in query.find_all(exp.Select):
        _comma_groups(select)


def after_names(query: exp.Query) -> None:
    """What reads better once they are."""
    columns_of_using(query)
    mark_keys(query)
    _unique_ctes(query, {}, set())
    _pivoted_ctes(query)
    _unique_aliases(query)
    _joins_in_parentheses(query)
    keys_below(query)
    _asof_using(query)
    _inline_named_windows(query)


def unique_outputs(query: exp.Expr) -> bool:
    """Name repeated columns of derived tables as DuckDB does (a, a_1); whether a star still waits for that."""
    for derived in query.find_all(exp.Subquery, exp.CTE):
        inner = derived.this.unnest() if isinstance(derived.this, exp.Subquery) else derived.this
        while isinstance(inner, exp.SetOperation):
            inner = inner.this.unnest()
        if isinstance(inner, exp.Select) and isinstance(derived.parent, (exp.From, exp.Join, exp.With)):
            _number_repeats(inner)
    return any(e.is_star for s in query.find_all(exp.Select) for e in s.expressions if not isinstance(e, exp.Func))


def _number_repeats(select: exp.Select) -> None:
    taken: set[str] = set()
    for projection in select.expressions:
        name, number = projection.alias_or_name, 0
        if projection.is_star or not name:
            return
        while (name if not number else f"{name}_{number}").casefold() in taken:
            number += 1
        final = name if not number else f"{name}_{number}"
        taken.add(final.casefold())
        if number:
            projection.replace(exp.alias_(projection.unalias().copy(), final, quoted=True))


def _columns_function(query: exp.Query, source: Source) -> None:
    """COLUMNS(*) as a projection is a star; any other COLUMNS stands for names that only the warehouse knows."""
    for node in list(query.find_all(exp.Columns)):
        if isinstance(node.this, exp.Star) and isinstance(node.parent, exp.Select) and node.arg_key == "expressions":
            node.replace(node.this)
        else:
            raise UnsupportedQuery(
                "COLUMNS(…) cannot stand in a query with predict()",
                hint="name the columns, or use * in a CTE",
                location=source.locate(node),
            )


def _asof_using(query: exp.Query) -> None:
    """``asof join … using (k, at)`` is equal on k and finds the last ``at`` that is not later."""
    for join in query.find_all(exp.Join):
        condition = join.args.get("on")
        if join.meta.get("inequality") and isinstance(condition, exp.Expr):
            part = list(condition.find_all(exp.EQ))[-1]
            new = exp.GTE(this=part.this, expression=part.expression)
            part.replace(new) if part is not condition else join.set("on", new)


def _comma_groups(select: exp.Select) -> None:
    """``a, b full join c`` is a × (b full join c), while sqlglot's list of joins reads from left to right."""
    joins = list(select.args.get("joins") or [])
    commas = [i for i, j in enumerate(joins) if {k for k, v in j.args.items() if v} == {"this"}]
    if not commas or not any(j.side in ("RIGHT", "FULL") or j.method for j in joins[commas[0] :]):
        return
    kept = joins[: commas[0]]
    for start, stop in zip(commas, [*commas[1:], len(joins)], strict=True):
        comma, group = joins[start], joins[start + 1 : stop]
        if group and isinstance(comma.this, (exp.Table, exp.Subquery)):
            comma.this.set("joins", [*(comma.this.args.get("joins") or []), *group])
            comma.set("this", exp.Subquery(this=comma.this))
            comma.set("kind", "CROSS")
            group = []
        kept += [comma, *group]
    select.set("joins", kept)


def _pivoted_ctes(query: exp.Query) -> None:
    """``from c pivot (…)`` over a CTE → over a derived table of its columns: pushing projections down would take a CTE
    that only PIVOTs read for one that nothing reads."""
    columns = {cte.alias: cte.alias_column_names or cte.this.named_selects for cte in query.find_all(exp.CTE)}
    for table in list(query.find_all(exp.Table)):
        if table.db or not table.args.get("pivots") or table.name not in columns:
            continue
        bare = exp.alias_(exp.Table(this=table.this.copy()), table.name, table=True, quoted=True)
        read = [exp.alias_(exp.column(n, table=table.name, quoted=True), n, quoted=True) for n in columns[table.name]]
        derived = exp.select(*read, copy=False).from_(bare).subquery(table.alias_or_name, copy=False)
        for key in ("pivots", "joins", "sample"):
            derived.set(key, table.args.get(key))
        table.replace(derived)


def _joins_in_parentheses(query: exp.Query) -> None:
    """``a join (b join c on …)`` → a join with a derived table of the columns that are read of b and c."""
    nested = [n for n in query.find_all(exp.Subquery) if isinstance(n.this, (exp.Table, exp.Subquery))]
    for number, node in enumerate(reversed(nested), 1):
        owner = node.find_ancestor(exp.Select)
        if owner is None or not isinstance(node.parent, (exp.From, exp.Join)) or node.alias:
            continue
        first = node.this
        joins = first.args.get("joins") or []
        first.set("joins", None)
        names = {first.alias_or_name, *(j.this.alias_or_name for j in joins)}
        inner = exp.Select()
        inner.set("from_", exp.From(this=first))
        inner.set("joins", joins)
        alias = f"_nested{number}"
        node.set("this", None)
        outside = [c for c in owner.find_all(exp.Column) if c.table in names]
        columns = {key: f"c{i}" for i, key in enumerate(dict.fromkeys((c.table, c.name) for c in outside), 1)}
        for column in outside:
            column.replace(exp.column(columns[column.table, column.name], table=alias, quoted=True))
        read = [exp.alias_(exp.column(n, table=t, quoted=True), c, quoted=True) for (t, n), c in columns.items()]
        inner.set("expressions", read or [exp.alias_(exp.Literal.number(1), "_", quoted=True)])
        node.replace(inner.subquery(alias, copy=False))


def _values_columns(query: exp.Query, form: Form) -> None:
    """VALUES without column names gets the warehouse's: col0, col1, …"""
    for values in query.find_all(exp.Values):
        alias = values.args.get("alias")
        if not isinstance(values.parent, (exp.From, exp.Join)) or (alias is not None and alias.args.get("columns")):
            continue
        first = values.expressions[0]
        width = len(first.expressions) if isinstance(first, exp.Tuple) else 1
        name = alias.this if alias is not None else exp.to_identifier("valueslist")
        columns = [exp.to_identifier(form.values_column(i)) for i in range(width)]
        values.set("alias", exp.TableAlias(this=name, columns=columns))


def _unique_ctes(node: exp.Expr, known: Mapping[str, str], taken: set[str]) -> None:
    """Rename CTEs so that a name means one CTE in the whole query; an inner WITH shadows an outer one."""
    clause = node.args.get("with_")
    inside = dict(known)
    recursive = isinstance(clause, exp.With) and bool(clause.args.get("recursive"))
    for cte in clause.expressions if isinstance(clause, exp.With) else []:
        new = _free(cte.alias, taken) if cte.alias in taken else cte.alias
        taken.add(new)
        _unique_ctes(cte.this, inside | {cte.alias: new} if recursive else inside, taken)
        inside[cte.alias] = new
        cte.args["alias"].set("this", exp.to_identifier(new, quoted=True))
    stack = [c for c in node.iter_expressions() if c is not clause]
    while stack:
        current = stack.pop()
        if current.args.get("with_"):
            _unique_ctes(current, inside, taken)
            continue
        if isinstance(current, exp.Table) and not current.db and inside.get(current.name, current.name) != current.name:
            alias = current.args.get("alias") or exp.TableAlias(this=exp.to_identifier(current.name, quoted=True))
            current.set("alias", alias)
            current.set("this", exp.to_identifier(inside[current.name], quoted=True))
        stack.extend(current.iter_expressions())


def _group_by_all(query: exp.Query) -> None:
    """GROUP BY ALL → the projections over columns without aggregates, by position."""
    for select in query.find_all(exp.Select):
        group = select.args.get("group")
        if group is None or not group.args.get("all"):
            continue
        keys = [e for e in select.expressions if not any(is_aggregate(n) for n in walk_own(e))]
        over_columns = [e for e in keys if any(isinstance(n, (exp.Column, exp.Star, exp.Query)) for n in walk_own(e))]
        keys = over_columns if len(keys) < len(select.expressions) else keys  # constants are no keys in DuckDB
        if any(isinstance(n, exp.Star) for e in keys for n in walk_own(e)):
            raise UnsupportedQuery("GROUP BY ALL with * and predict()", hint="name the columns")
        select.set("group", exp.Group(expressions=[k.unalias().copy() for k in keys]) if keys else None)


def _positions_in_sets(query: exp.Query) -> None:
    """``group by grouping sets ((1), (2))``: sqlglot knows numbers of plain keys."""
    for select in query.find_all(exp.Select):
        for sets in (
            select.args["group"].find_all(exp.GroupingSets, exp.Cube, exp.Rollup) if select.args.get("group") else ()
        ):
            for number in [
                n for n in sets.find_all(exp.Literal) if isinstance(n.parent, (exp.Tuple, exp.Paren, type(sets)))
            ]:
                if not number.is_string and number.name.isdigit() and 0 < int(number.name) <= len(select.expressions):
                    number.replace(select.expressions[int(number.name) - 1].unalias().copy())


def _inline_named_windows(query: exp.Query) -> None:
    for select in query.find_all(exp.Select):
        named = {w.name.casefold(): w for w in select.args.get("windows") or []}
        for window in list(select.find_all(exp.Window)) if named else []:
            spec = named.get(str(window.alias or "").casefold())
            if spec is None or window in named.values():
                continue
            window.set("alias", None)
            for key in ("partition_by", "order", "spec"):
                value = spec.args.get(key)
                if value and not window.args.get(key):
                    window.set(key, [v.copy() for v in value] if isinstance(value, list) else value.copy())
        if named:
            select.set("windows", None)


def _unique_aliases(query: exp.Query) -> None:
    """Rename sources so that an alias names one source in the whole query; inner scopes come first."""
    scopes = list(traverse_scope(query))
    taken: set[str] = set()
    for scope in reversed(scopes):
        for alias in list(scope.references_aliases if hasattr(scope, "references_aliases") else scope.selected_sources):
            if alias in taken:
                _rename(scope, alias, _free(alias, taken))
            else:
                taken.add(alias)


def _free(alias: str, taken: set[str]) -> str:
    number = 2
    while f"{alias}_{number}" in taken:
        number += 1
    taken.add(f"{alias}_{number}")
    return f"{alias}_{number}"


def _rename(scope: Scope, alias: str, new: str) -> None:
    node, _ = scope.selected_sources[alias]
    inner = [s for s in scope.traverse() if s is not scope and alias in s.selected_sources]
    shadowed = {id(c) for s in inner for c in s.expression.find_all(exp.Column) if c.table == alias}
    for column in scope.expression.find_all(exp.Column):
        if column.table == alias and id(column) not in shadowed:
            column.set("table", exp.to_identifier(new, quoted=True))
    while isinstance(node, exp.Query) and not node.args.get("alias") and isinstance(node.parent, exp.Subquery):
        node = node.parent  # sqlglot gives the query of a derived table, the alias is the table's
    target = node
    pivots = node.args.get("pivots") or []
    if pivots and pivots[-1].alias == alias:
        target = pivots[-1]
    columns = target.args["alias"].args.get("columns") if target.args.get("alias") else None
    target.set("alias", exp.TableAlias(this=exp.to_identifier(new, quoted=True), columns=columns))
