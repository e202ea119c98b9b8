"""Qualify: every column gets its table, stars are spelt out, and no two sources of the query share an alias."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sqlglot import exp
from sqlglot.errors import OptimizeError, SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.schema import MappingSchema

from sqlinfer.compiler.calls import Source
from sqlinfer.errors import ColumnError, CompileError, UnsupportedQuery
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Catalog, Column, Table

FUNCTION_SCHEMA = "_table_functions"
"""Table functions stand in the tree as tables of this schema while columns are resolved."""


def qualified(query: exp.Query, catalog: Catalog, source: Source) -> exp.Query:
    """The query with names resolved against the catalog.

    Raises:
        ColumnError: unknown or ambiguous column, with its span.
        CompileError: anything else that cannot be resolved.
    """
    query, functions = _shelve_table_functions(query, catalog)
    _group_by_all(query)
    tables = list(_tables(query, catalog, functions))
    try:
        resolved = qualify(
            query,
            dialect=catalog.dialect,
            schema=_schema(tables, catalog),
            db=catalog.default.schema,
            catalog=catalog.default.catalog,
            validate_qualify_columns=True,
        )
    except OptimizeError as error:
        raise _column_error(str(error), tables, source) from error
    except SqlglotError as error:
        raise CompileError(f"the query cannot be resolved: {error}", location=source.locate(query)) from error
    _unique_aliases(resolved)
    _restore_table_functions(resolved, functions)
    _inline_named_windows(resolved)
    return resolved


def _tables(query: exp.Query, catalog: Catalog, functions: dict[str, exp.Table]) -> Iterable[Table]:
    for node in query.find_all(exp.Table):
        if node.db == FUNCTION_SCHEMA:
            columns = catalog.table_functions[_function_text(functions[node.name], catalog.dialect)]
            yield Table(Relation(node.name, FUNCTION_SCHEMA, catalog.default.catalog), columns, "foreign")
        elif found := catalog.find(Relation(node.name, node.db or None, node.catalog or None)):
            yield found


def _schema(tables: Iterable[Table], catalog: Catalog) -> MappingSchema:
    schema = MappingSchema(dialect=catalog.dialect)
    for table in tables:
        parts = (table.relation.catalog or catalog.default.catalog, table.relation.schema or catalog.default.schema)
        name = ".".join(f'"{p.replace(chr(34), chr(34) * 2)}"' for p in (*parts, table.relation.name) if p)
        mapping = {_quoted(c): c.data_type for c in table.columns}
        schema.add_table(exp.to_table(name, dialect="duckdb"), mapping, dialect=catalog.dialect, match_depth=False)
    return schema


def _quoted(column: Column) -> str:
    return column.name if re.fullmatch(r"[A-Za-z_]\w*", column.name) else f'"{column.name}"'


_POSITION = re.compile(r"Line: (\d+), Col: (\d+)")


def _column_error(message: str, tables: list[Table], source: Source) -> CompileError:
    unresolved = re.search(r"Column '\"?(?:\w+\"?\.\"?)?([^'\"]+)\"?' could not be resolved", message)
    ambiguous = re.search(r"[Aa]mbiguous column '?\"?([^'\".]+)", message)
    name = (unresolved or ambiguous).group(1) if unresolved or ambiguous else None  # type: ignore[union-attr]
    if name is None:
        return CompileError(message.splitlines()[0], location=source.locate(exp.Null()))
    location = source.locate(_node_named(name, message, source))
    having = [t for t in tables if any(c.name.casefold() == name.casefold() for c in t.columns)]
    if len(having) > 1:
        names = " and ".join(str(t.relation.name) for t in having)
        return ColumnError(f"column '{name}' is ambiguous", hint=f"it is in {names}: qualify it", location=location)
    return ColumnError.unknown(name, [c.name for t in tables for c in t.columns], location)


def _node_named(name: str, message: str, source: Source) -> exp.Expr:
    """A stand-in identifier at the reported position."""
    found = _POSITION.search(message)
    node = exp.to_identifier(name)
    if found:
        lines = source.sql.splitlines(keepends=True)
        end = sum(len(line) for line in lines[: int(found[1]) - 1]) + int(found[2])
        node.meta.update(start=max(0, end - len(name)), end=end - 1)
    else:
        start = source.sql.casefold().find(name.casefold())
        if start >= 0:
            node.meta.update(start=start, end=start + len(name) - 1)
    return node


# Table functions and replacement scans


def table_functions(query: exp.Query, dialect: str) -> tuple[str, ...]:
    """The SQL of the query's table functions and file scans, for the catalog to describe."""
    return tuple(dict.fromkeys(_function_text(t, dialect) for t in query.find_all(exp.Table) if _is_function(t)))


def _is_function(table: exp.Table) -> bool:
    if isinstance(table.this, exp.Func) and not isinstance(table.this, exp.Unnest):
        return True
    name = table.name.casefold()
    return not table.db and name.endswith((".parquet", ".csv", ".json", ".csv.gz", ".ndjson", ".tsv"))


def _function_text(table: exp.Table, dialect: str) -> str:
    bare = table.copy()
    for key in ("alias", "joins", "pivots", "sample"):
        bare.set(key, None)
    return bare.sql(dialect=dialect, comments=False)


def _shelve_table_functions(query: exp.Query, catalog: Catalog) -> tuple[exp.Query, dict[str, exp.Table]]:
    shelved: dict[str, exp.Table] = {}
    for table in list(query.find_all(exp.Table)):
        if not _is_function(table) or _function_text(table, catalog.dialect) not in catalog.table_functions:
            continue
        alias = table.args.get("alias")
        if alias is not None and alias.args.get("columns"):
            continue
        name = f"_tf{len(shelved)}"
        shelved[name] = table.copy()
        default = table.this.name if not isinstance(table.this, exp.Func) else table.this.sql_name().lower()
        if isinstance(table.this, exp.Anonymous):
            default = str(table.this.this)
        stand_in = exp.table_(name, db=FUNCTION_SCHEMA, quoted=True)
        stand_in.set("alias", alias or exp.TableAlias(this=exp.to_identifier(_stem(default))))
        for key in ("joins", "pivots", "sample"):
            stand_in.set(key, table.args.get(key))
        table.replace(stand_in)
    return query, shelved


def _stem(name: str) -> str:
    return re.sub(r"\W+", "_", name.rsplit("/", 1)[-1].split(".")[0]) or "file"


def _restore_table_functions(query: exp.Query, functions: dict[str, exp.Table]) -> None:
    for table in list(query.find_all(exp.Table)):
        if table.db == FUNCTION_SCHEMA:
            original = functions[table.name]
            table.set("this", original.this.copy())
            table.set("db", None)
            table.set("catalog", None)


# Small normal forms


def _group_by_all(query: exp.Query) -> None:
    """GROUP BY ALL → the projections without aggregates, by position."""
    from sqlinfer.compiler.analyse import is_aggregate, walk_own

    for select in query.find_all(exp.Select):
        group = select.args.get("group")
        if group is None or not group.args.get("all"):
            continue
        keys = [e for e in select.expressions if not any(is_aggregate(n) for n in walk_own(e))]
        if any(isinstance(n, exp.Star) for e in keys for n in walk_own(e)):
            raise UnsupportedQuery("GROUP BY ALL with * and predict()", hint="name the columns")
        select.set("group", exp.Group(expressions=[k.unalias().copy() for k in keys]) if keys else None)


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
    target = node
    pivots = node.args.get("pivots") or []
    if pivots and pivots[-1].alias == alias:
        target = pivots[-1]
    columns = target.args["alias"].args.get("columns") if target.args.get("alias") else None
    target.set("alias", exp.TableAlias(this=exp.to_identifier(new, quoted=True), columns=columns))
