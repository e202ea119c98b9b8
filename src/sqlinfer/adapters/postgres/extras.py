"""Indexes and rights of a node's configuration, on a table that has its rows. What is there already is left alone."""

from __future__ import annotations

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.adapters.postgres.tables import listed
from sqlinfer.relation import Relation, fold, literal, quote

_INDEXES = """
SELECT i.indisunique, m.amname::text, array(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k(number, n)
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number ORDER BY k.n)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS m ON m.oid = c.relam
WHERE i.indrelid = to_regclass({table}) AND i.indexprs IS NULL AND i.indpred IS NULL
"""
_RIGHTS = """
SELECT a.privilege_type, CASE a.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(a.grantee)::text END
FROM pg_class AS c, aclexplode(c.relacl) AS a WHERE c.oid = to_regclass({table}) AND a.grantee <> c.relowner
"""


def make_indexes(session: PostgresSession, table: Relation, how: Materialization) -> None:
    if not how.indexes:
        return
    found = session.rows(_INDEXES.format(table=literal(table.sql())))
    held = {(bool(unique), method, tuple(map(fold, columns))) for unique, method, columns in found}
    names = {fold(column.name): column.name for column in session.describe(f"SELECT * FROM {table.sql()}")}
    for one in how.indexes:
        if (one.unique, one.method, tuple(map(fold, one.columns))) not in held:
            columns = listed([names.get(fold(name), name) for name in one.columns])
            kind = "UNIQUE INDEX" if one.unique else "INDEX"
            session.execute(f"CREATE {kind} ON {table.sql()} USING {one.method} ({columns})")


def make_grants(session: PostgresSession, relation: Relation, how: Materialization) -> None:
    """The rights that the node names, and no others: dbt's meaning."""
    if not how.grants:
        return
    name = relation.sql()
    wanted = {(right.upper(), role) for right, roles in how.grants for role in roles}
    held = {(right, role) for right, role in session.rows(_RIGHTS.format(table=literal(name)))}
    for right, role in sorted(held - wanted):
        session.execute(f"REVOKE {right} ON {name} FROM {_role(role)}")
    for right, role in sorted(wanted - held):
        session.execute(f"GRANT {right} ON {name} TO {_role(role)}")


def _role(name: str) -> str:
    return "PUBLIC" if name.lower() == "public" else quote(name)
