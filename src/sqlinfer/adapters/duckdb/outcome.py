"""What a table will hold once new rows are added to it, as SQL: for audits, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.duckdb.materialize import existing_kind
from sqlinfer.adapters.duckdb.statements import Statements
from sqlinfer.relation import quote


def outcome(work: Statements, how: Materialization, sql: str) -> str | None:
    """Rows of the target after ``sql`` is added to it; None where they are the rows of ``sql`` alone."""
    if not how.adds or existing_kind(work, how.target) != "table":
        return None
    new = {column.name.casefold(): column.data_type for column in work.describe(sql)}
    old = {column.name: column.data_type for column in work.describe(f"SELECT * FROM {how.target.sql()}")}
    if any(key.casefold() not in new for key in how.unique_key):
        return None  # the publication says so
    columns = _columns(how, old, {column.name: column.data_type for column in work.describe(sql)})
    target, by_key = how.target.sql(), bool(how.unique_key) and how.strategy != "append"
    same = " AND ".join(
        f"t.{quote(key)} IS NOT DISTINCT FROM TRY_CAST(n.{quote(key)} AS {_type(columns, key)})"
        for key in how.unique_key
    )
    added = [_added(name, kind, new, old, by_key) for name, kind in columns.items()]
    stay = [_staying(name, kind, old) for name, kind in columns.items()]
    beside = f" LEFT JOIN {target} AS t ON {same}" if by_key and any("t." in item for item in added) else ""
    left = f" WHERE NOT EXISTS (SELECT 1 FROM ({sql}) AS n WHERE {same})" if by_key else ""
    return (
        f"SELECT {', '.join(added)} FROM ({sql}) AS n{beside} "
        f"UNION ALL SELECT {', '.join(stay)} FROM {target} AS t{left}"
    )


def _columns(how: Materialization, old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Columns of the table once ``on_schema_change`` has been applied."""
    if how.on_schema_change in ("ignore", "fail"):
        return dict(old)
    folded, types = {name.casefold() for name in old}, {name.casefold(): kind for name, kind in new.items()}
    kept = dict(old)
    if how.on_schema_change == "sync_all_columns":
        kept = {name: types[name.casefold()] for name in old if name.casefold() in types}
    return kept | {name: kind for name, kind in new.items() if name.casefold() not in folded}


def _type(columns: Mapping[str, str], key: str) -> str:
    return next((kind for name, kind in columns.items() if name.casefold() == key.casefold()), "VARCHAR")


def _added(name: str, kind: str, new: Mapping[str, str], old: Mapping[str, str], by_key: bool) -> str:
    """A column of a new row. What the query lacks stays as it is where the row replaces another."""
    if name.casefold() in new:
        return f"TRY_CAST(n.{quote(name)} AS {kind}) AS {quote(name)}"
    return f"t.{quote(name)} AS {quote(name)}" if by_key and name in old else f"CAST(NULL AS {kind}) AS {quote(name)}"


def _staying(name: str, kind: str, old: Mapping[str, str]) -> str:
    value = f"t.{quote(name)}" if name in old else "NULL"
    return f"TRY_CAST({value} AS {kind}) AS {quote(name)}"
