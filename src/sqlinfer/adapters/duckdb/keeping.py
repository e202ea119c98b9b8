"""What is kept in the side file between scoring and publishing: a node's result, a seed's rows, what runs left."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import Held
from sqlinfer.adapters.duckdb.names import ERRORS, SIDE
from sqlinfer.adapters.duckdb.scratch import reads_scratch, scratch_result
from sqlinfer.adapters.duckdb.statements import Statements
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.names import result_name
from sqlinfer.spec.plan import Owner, Plan

if TYPE_CHECKING:
    import pyarrow as pa

    from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace

_KINDS = re.compile(r"__(s\d+(_scored|__part\d+)?|result(_kept)?|todo|seed)")
"""How names of an owner's relations end (``spec.names``)."""


def hold(work: DuckDBWorkspace, plan: Plan, sql: str, *, again: bool, tested: bool) -> Held:
    target = replace(work.namespace, name=result_name(plan.owner.side))
    if not reads_scratch(work, plan):
        with work.warehouse() if plan.result.reads.warehouse else nullcontext():
            _make(work, target, sql, is_table=again)
        return Held(target, lasts=True)
    if again and not tested:  # what holds the rows is in memory itself: a table there costs no disk
        rows = scratch_result(plan)
        _make(work, rows, sql, is_table=True)
        sql, again = rows.query(), False
    _make(work, target, sql, is_table=again)
    return Held(target, lasts=again)


def _make(work: DuckDBWorkspace, target: Relation, sql: str, *, is_table: bool) -> None:
    work.execute(f"CREATE OR REPLACE {'TABLE' if is_table else 'VIEW'} {target.sql()} AS {sql}")


def keep(work: DuckDBWorkspace, held: Held) -> Held:
    copy = replace(held.relation, name=f"{held.relation.name}_kept")
    with work.transaction():
        _make(work, copy, held.relation.query(), is_table=True)
        work.execute(f"DROP {(work.kind(held.relation) or 'view').upper()} {held.relation.sql()}")
        work.execute(f"ALTER TABLE {copy.sql()} RENAME TO {quote(held.relation.name)}")
    work.staged[held.relation] = work.staged.pop(copy)
    return Held(held.relation, lasts=True)


def load(work: DuckDBWorkspace, name: str, table: pa.Table, types: Mapping[str, str]) -> Relation:
    target = replace(work.namespace, name=name)
    items = ", ".join(
        f"CAST({quote(column)} AS {types[column]}) AS {quote(column)}" if column in types else quote(column)
        for column in table.column_names
    )
    work.insert(f"CREATE OR REPLACE TABLE {target.sql()} AS SELECT {items} FROM chunk", table)
    return target


def clear(work: DuckDBWorkspace, owner: Owner) -> None:
    """Relations are found by their names: another version of the node's query may have made more of them."""
    _clear(work, owner.side)
    waiting = {payload.get("side", payload.get("node")) for payload in work.notes("pending").values()}
    if owner.side != owner.name and owner.name not in waiting:  # an earlier version used the node's plain name
        _clear(work, owner.name)


def _clear(work: DuckDBWorkspace, side: str) -> None:
    found = [one for one in work.staged if one == Relation(side, ERRORS, SIDE) or _is_staged(work, one, side)]
    if not found:
        return
    with nullcontext() if work.in_transaction else work.transaction():
        for one in sorted(found, key=lambda one: work.staged[one] != "VIEW"):  # views read the tables
            work.execute(f"DROP {work.staged[one]} IF EXISTS {one.sql()}")
    for one in found:
        del work.staged[one]


def _is_staged(work: DuckDBWorkspace, one: Relation, side: str) -> bool:
    ours = one.schema == work.namespace.schema and one.name.startswith(side)
    return ours and _KINDS.fullmatch(one.name, len(side)) is not None


class Staged(dict[Relation, str]):
    """What may be there between scoring and publishing: relations and their kinds as SQL spells them, left by earlier
    runs or made by this one.

    Looked for once: a list of all tables takes longer than most nodes where the warehouse holds thousands.
    """

    def __init__(self, namespace: Relation) -> None:
        super().__init__()
        self._schemas = (str(namespace.schema), ERRORS)
        place = f"{quote(SIDE)}.({'|'.join(map(quote, self._schemas))})"
        self._made = re.compile(rf'CREATE (?:OR REPLACE )?(TABLE|VIEW) (?:IF NOT EXISTS )?{place}\."((?:[^"]|"")+)"')

    def find(self, work: Statements) -> None:
        inside = "database_name = ? AND schema_name IN (?, ?)"
        found = work.rows(
            f"SELECT 'VIEW', schema_name, view_name FROM duckdb_views() WHERE {inside} "
            f"UNION ALL SELECT 'TABLE', schema_name, table_name FROM duckdb_tables() WHERE {inside}",
            (SIDE, *self._schemas) * 2,
        )
        self.update((Relation(name, schema, SIDE), kind) for kind, schema, name in found)

    def hear(self, sql: str) -> None:
        made = self._made.match(sql)
        if made:
            kind, schema, name = made.groups()
            self[Relation(name.replace('""', '"'), schema.strip('"'), SIDE)] = kind
