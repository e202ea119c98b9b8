"""What is kept in the schema of ours between scoring and publishing: a node's result, a seed's rows, what runs left."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import Held
from sqlinfer.adapters.postgres import error_log, side
from sqlinfer.adapters.postgres.pin import drop_any
from sqlinfer.adapters.postgres.types import spelled
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.spec.names import result_name
from sqlinfer.spec.plan import Owner, Plan

if TYPE_CHECKING:
    import pyarrow as pa

    from sqlinfer.adapters.postgres.workspace import PostgresWorkspace

_KINDS = r"(s\d+(_scored|__r\d+|__todo)?|result(_kept)?|todo|seed(_read)?)"
"""How names of an owner's relations end (``spec.names``, ``pinned``)."""


def hold(work: PostgresWorkspace, plan: Plan, sql: str, *, again: bool, tested: bool) -> Held:
    """A view reads stages, which a crash of the server empties: it does not last. A table is logged."""
    target = replace(work.namespace, name=result_name(plan.owner.side))
    with work.session.transaction("ISOLATION LEVEL REPEATABLE READ"):
        work.session.prepare_heavy()
        drop_any(work, target)
        lead = f"CREATE {'TABLE' if again else 'VIEW'} {target.sql()} AS "
        work.session.execute(f"{lead}{sql}", lead)
    return Held(target, lasts=again)


def keep(work: PostgresWorkspace, held: Held) -> Held:
    copy = replace(held.relation, name=side.fitted(f"{held.relation.name}_kept"))
    with work.session.transaction():
        drop_any(work, copy)
        work.session.execute(f"CREATE TABLE {copy.sql()} AS SELECT * FROM {held.relation.sql()}")
        drop_any(work, held.relation)
        work.session.execute(f"ALTER TABLE {copy.sql()} RENAME TO {quote(held.relation.name)}")
    return Held(held.relation, lasts=True)


def load(work: PostgresWorkspace, name: str, table: pa.Table, types: Mapping[str, str]) -> Relation:
    """Columns with a declared type are cast by the server: it reads what its own types read."""
    from sqlinfer.adapters.postgres.store import fitting

    target = replace(work.namespace, name=name)
    read = replace(target, name=side.fitted(f"{name}_read"))
    with work.session.transaction():
        for relation in (target, read):
            drop_any(work, relation)
        work.session.create(read, fitting(table))
        items = ", ".join(
            f"CAST({quote(column)} AS {spelled(types[column])}) AS {quote(column)}"
            if column in types
            else quote(column)
            for column in table.column_names
        )
        work.session.execute(f"CREATE TABLE {target.sql()} AS SELECT {items} FROM {read.sql()}")
        drop_any(work, read)
    return target


def clear(work: PostgresWorkspace, owner: Owner) -> None:
    """Relations are found by their names: another version of the node's query may have made more of them."""
    ours = re.compile(rf"{re.escape(owner.side)}__{_KINDS}")
    found = [name for name in _staged(work, owner.side) if ours.fullmatch(name)]
    for name in found:
        drop_any(work, replace(work.namespace, name=name))
    drop_any(work, error_log.relation(work.settings, owner))


def _staged(work: PostgresWorkspace, name: str) -> list[str]:
    """Those whose name begins so; views first, since they read the tables."""
    place = literal(work.session.there(work.namespace).schema or "")
    found = work.session.rows(
        "SELECT c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        f"WHERE n.nspname = {place} AND c.relkind IN ('r', 'v') AND starts_with(c.relname, {literal(f'{name}__')}) "
        "ORDER BY c.relkind DESC"
    )
    return [str(one) for (one,) in found]
