"""What stands where a table is to be published, as the system catalogs tell it, and what hangs on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.spec.catalog import Column

_DEPENDENTS = """
SELECT 'view ' || v.oid::regclass::text FROM pg_depend AS d JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass
AND r.oid = d.objid JOIN pg_class AS v ON v.oid = r.ev_class
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = {oid} AND v.oid <> {oid}
UNION SELECT 'foreign key ' || quote_ident(conname) || ' of ' || conrelid::regclass::text
FROM pg_constraint WHERE contype = 'f' AND confrelid = {oid} AND conrelid <> {oid}
UNION SELECT 'trigger ' || quote_ident(tgname) FROM pg_trigger WHERE tgrelid = {oid} AND NOT tgisinternal
UNION SELECT 'policy ' || quote_ident(polname) FROM pg_policy WHERE polrelid = {oid}
UNION SELECT 'publication ' || quote_ident(p.pubname) FROM pg_publication_rel AS r JOIN pg_publication AS p
ON p.oid = r.prpubid WHERE r.prrelid = {oid}
UNION SELECT 'table ' || inhrelid::regclass::text FROM pg_inherits WHERE inhparent = {oid}
UNION SELECT 'table ' || inhparent::regclass::text FROM pg_inherits WHERE inhrelid = {oid}
UNION SELECT 'function ' || p.oid::regprocedure::text FROM pg_depend AS d JOIN pg_proc AS p
ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
WHERE d.refclassid IN ('pg_class'::regclass, 'pg_type'::regclass) AND d.refobjid IN ({oid}, {type_oid})
UNION SELECT 'column of ' || a.attrelid::regclass::text FROM pg_attribute AS a
WHERE a.atttypid = {type_oid} AND a.attrelid <> {oid} AND NOT a.attisdropped AND {type_oid} <> 0
ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A relation that is there."""

    oid: int
    kind: str
    """pg_class.relkind."""
    columns: tuple[Column, ...]
    dependents: tuple[str, ...]
    """What would be lost, or would follow the old rows, if another table took its name."""
    type_oid: int = 0

    @property
    def is_table(self) -> bool:
        return self.kind in ("r", "p")

    @property
    def is_view(self) -> bool:
        return self.kind == "v"


def standing(session: PostgresSession, target: Relation) -> Standing | None:
    found = session.rows(
        "SELECT oid::bigint, relkind::text, reltype::bigint FROM pg_class "
        f"WHERE oid = to_regclass({literal(session.there(target).sql())})"
    )
    if not found:
        return None
    oid, kind, type_oid = found[0]
    columns = session.rows(
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute "
        f"WHERE attrelid = {oid} AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    hanging = session.rows(_DEPENDENTS.format(oid=oid, type_oid=type_oid))
    dependents = tuple(str(name) for (name,) in hanging)
    return Standing(oid, kind, tuple(Column(*one) for one in columns), dependents, type_oid)


def drop_sql(there: Standing, target: Relation) -> str:
    kinds = {"v": "VIEW", "m": "MATERIALIZED VIEW", "f": "FOREIGN TABLE"}
    return f"DROP {kinds.get(there.kind, 'TABLE')} {target.sql()}"


def listed(names: Sequence[str]) -> str:
    return ", ".join(quote(name) for name in names)
