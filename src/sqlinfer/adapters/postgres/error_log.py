"""Error records of one node's run, gathered in the schema of ours until they are published with the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlinfer.adapters.postgres import side
from sqlinfer.adapters.postgres.pinned import PostgresPinned
from sqlinfer.adapters.postgres.records import json_of
from sqlinfer.adapters.postgres.settings import PostgresSettings
from sqlinfer.adapters.postgres.types import spelled
from sqlinfer.adapters.shared import error_rows
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.outcome import Reason
from sqlinfer.spec.plan import Call, Owner
from sqlinfer.spec.records import ERRORS
from sqlinfer.types import of_column

if TYPE_CHECKING:
    from sqlinfer.adapters.postgres.workspace import PostgresWorkspace

NO_KEY = "NULL::text"


def relation(settings: PostgresSettings, owner: Owner) -> Relation:
    return side.relation(settings, f"errors__{owner.side}")


def make(work: PostgresWorkspace, owner: Owner) -> None:
    """The table, unless it is there."""
    columns = ", ".join(f"{quote(name)} {spelled(kind)}" for name, kind in ERRORS.columns.items())
    work.session.execute(f"CREATE TABLE IF NOT EXISTS {relation(work.settings, owner).sql()} ({columns})")


def write(
    work: PostgresWorkspace, pinned: PostgresPinned, call: Call, key: str, said: tuple[str, str], source: str
) -> None:
    """Records of the rows of ``source``, in which the stage is ``s``.

    Args:
        key: SQL for the input key, as text.
        said: SQL of class and message.
    """
    types = _canonical(work.session.describe(f"SELECT * FROM {pinned.stage.relation.sql()}"))
    named = pinned.options.shown.shown(pinned.stage, call, types)
    shown = json_of((name, f"s.{quote(column.name)}") for name, column in named)
    select = error_rows.records(pinned.owner, call, pinned.stage, work.run_id, key, shown, said, source)
    work.session.execute(f"INSERT INTO {relation(work.settings, pinned.owner).sql()} {select}")


def _canonical(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    return tuple(Column(column.name, of_column(column.data_type, "postgres")) for column in columns)


def classes(work: PostgresWorkspace, owner: Owner, function: str) -> tuple[tuple[str, int], ...]:
    found = work.session.rows(error_rows.classes(relation(work.settings, owner).sql(), function))
    return tuple((name, count) for name, count in found)


def reasons(work: PostgresWorkspace, owner: Owner) -> tuple[Reason, ...]:
    return tuple(Reason(*row) for row in work.session.rows(error_rows.reasons(relation(work.settings, owner).sql())))
