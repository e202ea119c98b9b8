"""Error records of one node's run, gathered in the side file until they are published with the table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sqlinfer.adapters.duckdb.key_columns import json_of
from sqlinfer.adapters.duckdb.names import ERRORS, SIDE
from sqlinfer.adapters.shared import error_rows
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.identity import Identity
from sqlinfer.spec.outcome import Reason
from sqlinfer.spec.plan import Call, Owner, Stage
from sqlinfer.spec.records import ERRORS as RECORDS

if TYPE_CHECKING:
    import pyarrow as pa

    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace


def relation(owner: Owner) -> Relation:
    return Relation(owner.side, ERRORS, SIDE)


def add(work: DuckDBWorkspace, owner: Owner, select: str, chunk: pa.Table | None = None) -> None:
    """The table is made with the first of them.

    Args:
        select: of ``error_rows.records``.
        chunk: what it reads, where that is an Arrow table.
    """
    columns = ", ".join(f"{quote(name)} {kind}" for name, kind in RECORDS.columns.items())
    work.execute(f"CREATE TABLE IF NOT EXISTS {relation(owner).sql()} ({columns})")
    sql = f"INSERT INTO {relation(owner).sql()} {select}"
    work.execute(sql) if chunk is None else work.insert(sql, chunk)


def shown_as_json(shown: Identity, stage: Stage, call: Call, columns: Iterable[Column], alias: str) -> str:
    """SQL for what a record of ``call`` shows of a row; ``columns`` has the types of the stage's columns."""
    return json_of((name, f"{alias}.{quote(column.name)}") for name, column in shown.shown(stage, call, columns))


def classes(work: DuckDBWorkspace, owner: Owner, function: str) -> tuple[tuple[str, int], ...]:
    return tuple((name, count) for name, count in work.rows(error_rows.classes(relation(owner).sql(), function)))


def reasons(work: DuckDBWorkspace, owner: Owner) -> tuple[Reason, ...]:
    return tuple(Reason(*row) for row in work.rows(error_rows.reasons(relation(owner).sql())))
