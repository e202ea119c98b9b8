"""Qualify: every column gets its table, stars are spelt out, and no two sources of the query share an alias."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from sqlglot import exp
from sqlglot.dialects.dialect import DialectType
from sqlglot.errors import OptimizeError, SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.forms import form_of
from sqlinfer.compiler.names.normal_forms import after_names, before_names, unique_outputs
from sqlinfer.compiler.parse.said import in_our_words
from sqlinfer.errors import ColumnError, CompileError, UnsupportedQuery
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.catalog import Catalog, Column, Table

_LEVELS = 12
"""Derived tables with repeated columns inside each other."""
_CRASHES = (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What sqlglot raises where it meets a tree that it did not expect."""
ROW_ID = "rowid"
"""A table of DuckDB has it where no column of its own has the name."""
FUNCTION_SCHEMA = "_table_functions"
"""Table functions stand in the tree as tables of this schema while columns are resolved."""


def qualified(query: exp.Query, catalog: Catalog, source: Source) -> exp.Query:
    """The query with names resolved against the catalog.

    Raises:
        ColumnError: unknown or ambiguous column, with its span.
        CompileError: anything else that cannot be resolved.
    """
    form = form_of(catalog)
    _name_in_full(query, catalog)
    if form.names_follow_alias:
        _name_function_columns(query, catalog)
    query, functions = _shelve_table_functions(query, catalog)
    before_names(query, source, form)
    tables = list(_tables(query, catalog, functions))
    try:
        resolved = _resolved(query, catalog, tables)
    except OptimizeError as error:
        raise _column_error(str(error), tables, source) from error
    except (SqlglotError, *_CRASHES) as error:
        raise in_our_words(str(error), source) from error
    after_names(resolved)
    _restore_table_functions(resolved, functions)
    whole = resolved.find(exp.TableColumn) if not form.has_rows_as_values else None
    if whole is not None:
        raise UnsupportedQuery(
            f"{whole.name} is a whole row here, which cannot stand in a query with predict()",
            hint="name its columns",
            location=source.locate(whole),
        )
    return resolved


def _resolved(query: exp.Expr, catalog: Catalog, tables: Iterable[Table]) -> exp.Query:
    """sqlglot leaves a star over repeated columns alone: name those, then resolve again, one level at a time."""
    schema = _schema(tables, catalog, any(c.name.casefold() == ROW_ID for c in query.find_all(exp.Column)))
    known = {c.name for t in tables for c in t.columns}
    numbered = any(re.search(r"_\d+$", c.name) and c.name not in known for c in query.find_all(exp.Column))
    for level in range(_LEVELS):
        query = qualify(
            query,
            dialect=catalog.dialect,
            schema=schema,
            db=catalog.default.schema,
            catalog=catalog.default.catalog,
            allow_partial_qualification=level == 0 and numbered,
            validate_qualify_columns=level > 0 or not numbered,  # a_1 is a column once repeated ones are named
        )
        if not unique_outputs(query) and (level > 0 or not numbered):
            break
    assert isinstance(query, exp.Query)
    return query


def _name_in_full(query: exp.Query, catalog: Catalog) -> None:
    """``a.t`` may be table t of database a."""
    for table in query.find_all(exp.Table):
        if table.db and not table.catalog and not isinstance(table.this, exp.Func):
            full = catalog.full(Relation(table.name, table.db))
            if full.schema == table.db:
                continue
            table.set("db", exp.to_identifier(full.schema, quoted=True))
            table.set("catalog", exp.to_identifier(full.catalog, quoted=True))
    named: dict[str, set[str]] = {}
    for table in query.find_all(exp.Table):
        full = catalog.full(Relation(table.name, table.db or None, table.catalog or None)).folded()
        named.setdefault(full.name, set()).update((full.schema or "", full.catalog or ""))
    for column in query.find_all(exp.Column):
        _without_database(column, named)


def _without_database(column: exp.Column, named: Mapping[str, set[str]]) -> None:
    """``a.t.x`` → ``t.x`` where table t is of schema or database a; ``a.t.info.x`` → ``t.info.x``, a field."""
    parts = column.parts
    for at in range(1, len(parts) - 1):
        if {part.name.casefold() for part in parts[:at]} <= named.get(parts[at].name.casefold(), set()):
            kept = [None] * 4 + parts[at:]
            for key, part in zip(("catalog", "db", "table", "this"), kept[-4:], strict=True):
                column.set(key, part)
            return


def _tables(query: exp.Query, catalog: Catalog, functions: dict[str, exp.Table]) -> Iterable[Table]:
    for node in query.find_all(exp.Table):
        if node.db == FUNCTION_SCHEMA:
            columns = catalog.table_functions[_function_text(functions[node.name], catalog.dialect)]
            yield Table(Relation(node.name, FUNCTION_SCHEMA, catalog.default.catalog), columns, "foreign")
        elif found := catalog.find(Relation(node.name, node.db or None, node.catalog or None)):
            yield found


class _Schema(MappingSchema):
    """Tables whose row number can be named, though a star does not stand for it."""

    def __init__(self, dialect: str) -> None:
        super().__init__(dialect=dialect)
        self.numbered: set[tuple[str, ...]] = set()

    def column_names(
        self,
        table: exp.Table | str,
        only_visible: bool = False,
        dialect: DialectType = None,
        normalize: bool | None = None,
    ) -> list[str]:
        names = super().column_names(table, only_visible, dialect, normalize)
        if only_visible and isinstance(table, exp.Table) and tuple(p.name for p in table.parts) in self.numbered:
            return [name for name in names if name != ROW_ID]
        return names


def _schema(tables: Iterable[Table], catalog: Catalog, with_row_ids: bool) -> MappingSchema:
    schema, folds = _Schema(catalog.dialect), form_of(catalog).folds_case
    for table in tables:
        parts = (table.relation.catalog or catalog.default.catalog, table.relation.schema or catalog.default.schema)
        name = ".".join(f'"{p.replace(chr(34), chr(34) * 2)}"' for p in (*parts, table.relation.name) if p)
        mapping = {_quoted(c, folds, catalog.dialect): c.data_type for c in table.columns}
        node = exp.to_table(name, dialect="duckdb")
        if with_row_ids and table.kind == "table" and all(c.name.casefold() != ROW_ID for c in table.columns):
            mapping[ROW_ID] = "BIGINT"
            schema.numbered.add(tuple(part.name for part in node.parts))
        schema.add_table(node, mapping, dialect=catalog.dialect, match_depth=False)
    return schema


def _quoted(column: Column, folds: bool, dialect: str) -> str:
    plain = re.fullmatch(r"[A-Za-z_]\w*" if folds else r"[a-z_][a-z0-9_]*", column.name)
    return column.name if plain else quote(column.name, dialect)


_POSITION = re.compile(r"Line: (\d+), Col: (\d+)")


def _column_error(message: str, tables: list[Table], source: Source) -> CompileError:
    unresolved = re.search(r"Column '\"?(?:\w+\"?\.\"?)?([^'\"]+)\"?' could not be resolved", message)
    unresolved = unresolved or re.search(r"Unknown column: \"?([^\s'\"]+)", message)
    ambiguous = re.search(r"[Aa]mbiguous column '?\"?([^'\".]+)", message)
    name = (unresolved or ambiguous).group(1) if unresolved or ambiguous else None  # type: ignore[union-attr]
    if name is None:
        return in_our_words(message, source)
    location = source.locate(_node_named(name, message, source))
    having = [t for t in tables if any(c.name.casefold() == name.casefold() for c in t.columns)]
    if len(having) > 1:
        names = " and ".join(str(t.relation.name) for t in having)
        return ColumnError(f"column '{name}' is ambiguous", hint=f"it is in {names}: qualify it", location=location)
    others = [c.name for t in tables for c in t.columns if c.name.casefold() != name.casefold()]
    return ColumnError.unknown(name, others, location)


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
    return not table.db and re.search(r"[./*:]", table.name) is not None  # a file: which, the warehouse knows


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


def _name_function_columns(query: exp.Query, catalog: Catalog) -> None:
    """``from generate_series(1, 3) as n`` has a column n; the name is written out, since the alias may change."""
    for table in query.find_all(exp.Table):
        text = _function_text(table, catalog.dialect) if _is_function(table) else ""
        known = catalog.table_functions.get(text)
        alias = table.args.get("alias") or exp.TableAlias()
        if known is None or not isinstance(table.this, exp.Func) or alias.args.get("columns"):
            continue
        own = text.partition("(")[0].rpartition(".")[2].strip().lower()
        called = alias.this or exp.to_identifier(own)
        names = [called.name if column.name == own else column.name for column in known]
        columns = [exp.to_identifier(name, quoted=True) for name in names]
        table.set("alias", exp.TableAlias(this=called, columns=columns))


def _stem(name: str) -> str:
    return re.sub(r"\W+", "_", name.rsplit("/", 1)[-1].split(".")[0]) or "file"


def _restore_table_functions(query: exp.Query, functions: dict[str, exp.Table]) -> None:
    for table in list(query.find_all(exp.Table)):
        if table.db == FUNCTION_SCHEMA:
            original = functions[table.name]
            table.set("this", original.this.copy())
            table.set("db", None)
            table.set("catalog", None)
