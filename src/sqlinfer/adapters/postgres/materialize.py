"""Staged rows → published relation. Every statement runs inside the caller's one transaction."""

from __future__ import annotations

from sqlinfer.adapters.base import Materialization, Written
from sqlinfer.adapters.postgres.constraints import broken, create
from sqlinfer.adapters.postgres.extras import make_grants, make_indexes
from sqlinfer.adapters.postgres.merge import merge, refuse_duplicates
from sqlinfer.adapters.postgres.replace import replace_table
from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.adapters.postgres.settings import PostgresSettings
from sqlinfer.adapters.postgres.tables import Standing, drop_sql, standing
from sqlinfer.errors import AdapterError, DatabaseLocked, PublicationError
from sqlinfer.relation import Relation, literal, quote


def materialize(session: PostgresSession, settings: PostgresSettings, how: Materialization, sql: str) -> Written:
    target = placed(settings, how.target)
    there = standing(session, target)
    if how.kind == "view":
        _view(session, target, there, sql)
        make_grants(session, target, how)
        _comment(session, target, how, "VIEW")
        return Written(0)
    try:
        written = _table(session, target, there, how, sql)
        make_indexes(session, target, how)
        make_grants(session, target, how)
    except DatabaseLocked:
        raise
    except AdapterError as error:
        raise broken(how, error) from error.__cause__
    _comment(session, target, how, "TABLE")
    return written


def placed(settings: PostgresSettings, target: Relation) -> Relation:
    """With its schema, without its database."""
    return Relation(target.name, target.schema or settings.schema)


def _table(
    session: PostgresSession, target: Relation, there: Standing | None, how: Materialization, sql: str
) -> Written:
    if there is not None and there.is_table and how.merges:
        return merge(session, target, there, how, sql)
    if how.unique_key:
        refuse_duplicates(session, how, sql)
    if there is not None and there.is_table:
        return Written(replace_table(session, target, there, how, sql))
    if there is not None:
        _drop(session, target, there)
    return Written(create(session, target, how, sql))


def _view(session: PostgresSession, target: Relation, there: Standing | None, sql: str) -> None:
    name = target.sql()
    if there is not None and there.is_view:
        try:
            with session.attempt():
                session.execute(f"CREATE OR REPLACE VIEW {name} AS {sql}", f"CREATE OR REPLACE VIEW {name} AS ")
            return
        except DatabaseLocked:
            raise
        except AdapterError:  # its columns are others now
            pass
    if there is not None:
        _drop(session, target, there)
    session.execute(f"CREATE VIEW {name} AS {sql}", f"CREATE VIEW {name} AS ")


def _drop(session: PostgresSession, target: Relation, there: Standing) -> None:
    """Raises PublicationError: others depend on it."""
    if there.dependents:
        raise PublicationError(
            f"{target} has to be dropped, and others depend on it: {', '.join(there.dependents)}; nothing was changed",
            hint="drop them first, or give the node another name",
        )
    session.execute(drop_sql(there, target))


def _comment(session: PostgresSession, target: Relation, how: Materialization, kind: str) -> None:
    name = target.sql()
    if how.description:
        session.execute(f"COMMENT ON {kind} {name} IS {literal(how.description)}")
    if not how.column_descriptions:
        return
    there = standing(session, target)
    present = {column.name.casefold(): column.name for column in there.columns} if there else {}
    for column, text in how.column_descriptions:
        found = present.get(column.casefold())
        if found and text:
            session.execute(f"COMMENT ON COLUMN {name}.{quote(found)} IS {literal(text)}")
