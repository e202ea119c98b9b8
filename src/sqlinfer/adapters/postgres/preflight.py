"""What is sure to make a publication fail, before anything is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.postgres.constraints import check_constraints
from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.adapters.postgres.settings import LONGEST_NAME, PostgresSettings
from sqlinfer.adapters.postgres.tables import Standing, standing
from sqlinfer.adapters.postgres.types import spelled
from sqlinfer.adapters.schema_change import agree, refuse_twins
from sqlinfer.errors import PublicationError
from sqlinfer.relation import Relation, literal
from sqlinfer.spec.catalog import Column


def check_place(settings: PostgresSettings, how: Materialization) -> None:
    """Raises PublicationError where the target cannot be written."""
    target = how.target
    if target.catalog and target.catalog != settings.database:
        raise PublicationError(
            f"{target} cannot be written: PostgreSQL writes one database, and the profile's is {settings.database}",
            hint="remove 'database' from the node's config",
        )
    schema = target.schema or settings.schema
    if schema == "information_schema" or schema.startswith("pg_") or schema == settings.side_schema:
        whose = "sqlinfer's own" if schema == settings.side_schema else "the server's own"
        raise PublicationError(f"{target} cannot be written: schema {schema} is {whose}", hint="name another schema")
    for name in (target.name, target.schema or ""):
        if len(name.encode()) > LONGEST_NAME:
            raise PublicationError(f"'{name}' is longer than the {LONGEST_NAME} bytes that PostgreSQL keeps of a name",
                                   hint="set an alias")  # fmt: skip


def check_target(
    session: PostgresSession,
    settings: PostgresSettings,
    how: Materialization,
    columns: Sequence[Column],
    names: Sequence[str],
) -> None:
    """Inside ``warehouse()``. Raises PublicationError.

    Args:
        columns: of the query, lineage included.
        names: our own tables beside the target.
    """
    target = Relation(how.target.name, how.target.schema or settings.schema)
    columns = tuple(Column(column.name, spelled(column.data_type)) for column in columns)
    for name in names:
        place = replace(target, name=name)
        found = standing(session, place)
        if found is not None and not found.is_table:
            said = f"{place} is a view, and the run is recorded there"
            raise PublicationError(said, hint="give the view another name")
    there = standing(session, target)
    _check_rights(session, target, there, how)
    check_constraints(session, how, columns, there)
    if how.merges:
        refuse_twins(how, columns)  # on the first night, too
    if how.merges and there is not None and there.is_table:
        agree(how, columns, there.columns)


def _check_rights(session: PostgresSession, target: Relation, there: Standing | None, how: Materialization) -> None:
    schema = literal(target.schema or "")
    may_create = session.value(f"SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = {schema}")
    if may_create is False and (there is None or not how.merges):
        raise PublicationError(f"the role may create no table in schema {target.schema}",
                               hint=f"GRANT CREATE ON SCHEMA {target.schema} TO the role")  # fmt: skip
    if there is None or how.merges:
        return
    if not session.value(f"SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = {there.oid}"):
        raise PublicationError(f"{target} belongs to another role, and only its owner may replace it",
                               hint=f"ALTER TABLE {target} OWNER TO the role")  # fmt: skip
