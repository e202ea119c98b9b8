"""Run and error records beside the published tables. Each change is a version of its table, shown by its view."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.shared.records import last_run_sql, past_run
from sqlinfer.adapters.spark import side
from sqlinfer.adapters.spark.catalog import placed
from sqlinfer.adapters.spark.publication import Pending, recorded
from sqlinfer.adapters.spark.published import Standing, standing
from sqlinfer.adapters.spark.session import SparkSqlSession, name, table_name, text
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.adapters.spark.spelling import spelled
from sqlinfer.adapters.spark.tables import create, insert
from sqlinfer.relation import Relation, fold
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.plan import Owner
from sqlinfer.spec.records import ERRORS, RUNS, PastRun, RecordKind

NO_KEY = "CAST(NULL AS STRING)"


def record(pending: Pending, kind: RecordKind, target: Relation, rows: Sequence[Mapping[str, object]]) -> None:
    """Written when all else is shown; a record of a run lies with its rows until then."""
    place = placed(pending.settings, target)
    pending.records += [(kind.table, place, row) for row in rows]
    if kind is RUNS:
        for row in rows:
            pending.keep_record(place, row)
    pending.late.append(lambda: _append(pending, kind, beside(pending.settings, target, kind), rows))


def _append(pending: Pending, kind: RecordKind, table: Relation, rows: Sequence[Mapping[str, object]]) -> None:
    selects = [f"SELECT {', '.join(_item(row, *one) for one in kind.columns.items())}" for row in rows]
    _rewrite(pending, kind, table, " UNION ALL ".join(selects), "")


def _item(row: Mapping[str, object], column: str, kind: str) -> str:
    return f"CAST({value(row.get(column))} AS {spelled(kind)}) AS {name(column)}"


def _rewrite(pending: Pending, kind: RecordKind, table: Relation, new: str, stays: str) -> None:
    """``new``: SQL of rows in the columns of the kind, or nothing. ``stays``: what follows the table, called ``e``."""
    session = pending.session
    there = pending.standing(table)
    writer = Pending(session, pending.settings, pending.run_id, names=pending.names)
    writer.vacuum(table, there)
    columns = _columns(kind, there)
    version = writer.new_name(table)
    create(session, version, columns)
    writer.made.append(("TABLE", version))
    try:
        insert(session, version, " UNION ALL ".join(_parts(kind, columns, there, table, new, stays)))
        writer.show(table, there, f"SELECT * FROM {table_name(version)}", {})
        for done in writer.late:
            done()
    except BaseException:
        writer.undo()
        raise
    pending.changed(table)


def _columns(kind: RecordKind, there: Standing | None) -> tuple[Column, ...]:
    """What is there stays, columns of others too; what an older version did not write is added."""
    old = there.columns if there is not None else ()
    known = {fold(column.name) for column in old}
    return (*old, *(Column(one, spelled(of)) for one, of in kind.columns.items() if fold(one) not in known))


def _parts(
    kind: RecordKind, columns: Sequence[Column], there: Standing | None, table: Relation, new: str, stays: str
) -> Iterable[str]:
    if there is not None:
        known = {fold(column.name) for column in there.columns}
        items = ", ".join(_value(c, f"e.{name(c.name)}" if fold(c.name) in known else None) for c in columns)
        yield f"SELECT {items} FROM {table_name(table)} AS e{stays}"
    if new:
        ours = {fold(one) for one in kind.columns}
        items = ", ".join(_value(c, f"n.{name(c.name)}" if fold(c.name) in ours else None) for c in columns)
        yield f"SELECT {items} FROM ({new}) AS n"


def _value(column: Column, source: str | None) -> str:
    return f"CAST({source or 'NULL'} AS {column.data_type}) AS {name(column.name)}"


def value(one: object) -> str:
    """A Python value in SQL.

    >>> value(None), value(True), value(2.5), value("it's"), value(["a", "b"])
    ('NULL', 'TRUE', '2.5D', "'it\\\\'s'", "array('a', 'b')")
    """
    match one:
        case None:
            return "NULL"
        case bool():
            return str(one).upper()
        case int():
            return repr(one)
        case float():
            return f"{one!r}D" if one == one and abs(one) != float("inf") else f"double('{one}')"
        case datetime():
            moment = one.astimezone(UTC).isoformat(" ") if one.tzinfo else one.isoformat(" ")
            return text(moment)
        case list() | tuple():
            return f"array({', '.join(map(value, one))})"
        case _:
            return text(str(one).replace("\0", ""))


def last_run(
    session: SparkSqlSession, settings: SparkSettings, target: Relation, node: str, since: datetime | None,
    pending: Pending | None,
) -> PastRun | None:  # fmt: skip
    runs = beside(settings, target, RUNS)
    there = pending.standing(runs) if pending is not None else standing(session, settings, runs)
    waiting = _waiting(pending, node, since)
    if waiting is not None:
        return waiting
    if there is None:
        return None
    latest = _latest(session, pending, runs, node, there)
    if latest is None or since is None:
        return latest
    if pending is not None and latest.run_id in pending.started:
        return latest if datetime.fromisoformat(pending.started[latest.run_id]) >= since else None
    found = session.rows(last_run_sql(runs, node, since, {column.name for column in there.columns}, "spark"))
    return past_run(found[0]) if found else None


def _latest(
    session: SparkSqlSession, pending: Pending | None, runs: Relation, node: str, there: Standing
) -> PastRun | None:
    """Asked once in a publication."""
    if pending is not None and (runs, node) in pending.latest:
        return pending.latest[runs, node]
    found = session.rows(last_run_sql(runs, node, None, {column.name for column in there.columns}, "spark"))
    latest = past_run(found[0]) if found else None
    if pending is not None:
        pending.latest[runs, node] = latest
    return latest


def _waiting(pending: Pending | None, node: str, since: datetime | None) -> PastRun | None:
    rows = [row for table, _, row in (pending.records if pending else []) if table == RUNS.table
            and row.get("node") == node and (since is None or _moment(row) >= since)]  # fmt: skip
    if not rows:
        return None
    last = max(rows, key=_moment)
    return past_run(tuple(last.get(one) for one in ("run_id", "rows", "inputs", "errors", "distributions")))


def _moment(row: Mapping[str, object]) -> datetime:
    found = row.get("started_at")
    return found if isinstance(found, datetime) else datetime.min.replace(tzinfo=UTC)


def redo(pending: Pending, target: Relation) -> None:
    """Write the record of the run whose rows are shown, where a kill came between."""
    session, place = pending.session, placed(pending.settings, target)
    if place in pending.redone:
        return
    pending.redone.add(place)
    there = pending.standing(place)
    row = recorded(session, there.version) if there is not None and there.version is not None else None
    if row is None:
        return
    runs = beside(pending.settings, target, RUNS)
    there = pending.standing(runs)
    if there is not None:
        latest = _latest(session, pending, runs, str(row["node"]), there)
        if latest is not None and latest.run_id == row["run_id"]:
            pending.started[latest.run_id] = str(row["started_at"])
            return
        same = f"run_id = {value(row['run_id'])} AND node = {value(row['node'])}"
        if session.value(f"SELECT count(*) FROM {table_name(runs)} WHERE {same}"):
            return
    _append(pending, RUNS, runs, (row,))


# errors


def record_errors(pending: Pending, how: Materialization, sql: str, owner: Owner, *, failed: bool) -> None:
    """Records of rows that are replaced go, those of this run come."""
    table = beside(pending.settings, how.target, ERRORS)
    if not failed and pending.standing(table) is None:
        return
    new = ""
    if failed:
        gathered = side.relation(pending.settings, f"errors__{owner.side}")
        new = f"SELECT {', '.join(map(name, ERRORS.columns))} FROM {table_name(gathered)}"
    pending.early.append(lambda: _rewrite(pending, ERRORS, table, new, _staying(how, sql, owner)))


def _staying(how: Materialization, sql: str, owner: Owner) -> str:
    """What follows the table of records, ``e``, so that those of replaced rows are left out."""
    named = f"nullif(e.unique_id, '') IS NULL AND e.node = {text(owner.name)}"  # older records have the name alone
    own = f"coalesce(e.unique_id = {text(owner.unique_id)} OR ({named}), FALSE)"
    if not how.adds:
        return f" WHERE NOT {own}"
    if how.strategy == "append" or not how.unique_key:
        return ""
    shown = json_of((column, f"q.{name(column)}") for column in how.unique_key)
    return f" LEFT ANTI JOIN (SELECT DISTINCT {shown} AS k FROM ({sql}) AS q) AS r ON {own} AND e.key_columns = r.k"


def json_of(values: Iterable[tuple[str, str]]) -> str:
    """SQL for the text of what a record shows: name and SQL of each value, as DuckDB writes it."""
    fields = [part for label, one in values for part in (text(label), one)]
    return f"to_json(named_struct({', '.join(fields)}), map('ignoreNullFields', 'false'))" if fields else NO_KEY


def beside(settings: SparkSettings, target: Relation, kind: RecordKind) -> Relation:
    return replace(placed(settings, target), name=kind.table)
