"""Small facts of the runner in the side file: kind and name → JSON. Older side files have a table for each kind."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlinfer.adapters.duckdb.names import META, SIDE
from sqlinfer.adapters.duckdb.statements import Statements
from sqlinfer.relation import Relation
from sqlinfer.spec.names import NoteKind

_NOTES = Relation("notes", META, SIDE)
_PENDING, _PASSES, _REFS = (Relation(name, META, SIDE) for name in ("pending", "passes", "refs"))


def create(work: Statements) -> None:
    columns = "kind VARCHAR, name VARCHAR, payload VARCHAR, written_at TIMESTAMPTZ"
    work.execute(f"CREATE TABLE IF NOT EXISTS {_NOTES.sql()} ({columns})")


def older_tables(work: Statements) -> tuple[Relation, ...]:
    """Tables of the first format that are there."""
    found = work.rows(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = ? AND schema_name = ?", (SIDE, META)
    )
    return tuple(table for table in (_PENDING, _PASSES, _REFS) if (table.name,) in found)


def move(work: Statements, tables: Iterable[Relation]) -> None:
    """Inside a transaction: notes of the first format become notes."""
    for table in tables:
        for kind, name, payload in _older(work, table):
            write(work, kind, name, payload)
        work.execute(f"DROP TABLE {table.sql()}")


def write(work: Statements, kind: NoteKind, name: str, payload: Mapping[str, Any] | None) -> None:
    """Inside a transaction."""
    work.execute(f"DELETE FROM {_NOTES.sql()} WHERE kind = ? AND name = ?", (kind, name))
    if payload is not None:
        work.execute(f"INSERT INTO {_NOTES.sql()} SELECT ?, ?, ?, now()", (kind, name, json.dumps(payload)))


def read(work: Statements, kind: NoteKind) -> Mapping[str, dict[str, Any]]:
    return Noted().of(work, kind)


class Noted:
    """The notes of each kind as this process knows them, which alone writes them: each node asks several times."""

    def __init__(self) -> None:
        self._known: dict[NoteKind, dict[str, dict[str, Any]]] = {}

    def of(self, work: Statements, kind: NoteKind) -> dict[str, dict[str, Any]]:
        """Name → payload, oldest first; not to be changed."""
        if kind not in self._known:
            sql = f"SELECT name, payload FROM {_NOTES.sql()} WHERE kind = ? ORDER BY written_at, rowid"
            self._known[kind] = {name: json.loads(text) for name, text in work.rows(sql, (kind,))}
        return self._known[kind]

    def write(self, work: Statements, kind: NoteKind, name: str, payload: Mapping[str, Any] | None) -> None:
        """One statement, which may be a transaction of its own; ``forget`` where the one around it fails."""
        known = self.of(work, kind)
        if payload is None:
            work.execute(f"DELETE FROM {_NOTES.sql()} WHERE kind = ? AND name = ?", (kind, name))
            known.pop(name, None)
            return
        text = json.dumps(payload)
        if name in known:
            changed = "payload = ?, written_at = now()"
            work.execute(f"UPDATE {_NOTES.sql()} SET {changed} WHERE kind = ? AND name = ?", (text, kind, name))
        else:
            work.execute(f"INSERT INTO {_NOTES.sql()} SELECT ?, ?, ?, now()", (kind, name, text))
        known.pop(name, None)  # the newest is the last
        known[name] = json.loads(text)

    def forget(self) -> None:
        self._known.clear()


def _older(work: Statements, table: Relation) -> Iterator[tuple[NoteKind, str, dict[str, Any]]]:
    """Notes of a table of the first format, oldest first."""
    if table == _PENDING:
        for name, payload in work.rows(f"SELECT unique_id, payload FROM {table.sql()} ORDER BY created_at"):
            yield "pending", name, json.loads(payload)
    elif table == _PASSES:
        columns = ("digest", "node", "run_id", "progress", "last_death", "isolate", "found", "cleared")
        for row in work.rows(f"SELECT {', '.join(columns)} FROM {table.sql()}"):
            yield "scoring", f"{row[0]} {row[1]}", dict(zip(columns, row, strict=True))
    else:
        for node, store, is_full in work.rows(f"SELECT node, store, is_full FROM {table.sql()}"):
            yield "reference", f"{store} {node}", {"node": node, "store": store, "is_full": is_full}
