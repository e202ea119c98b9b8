"""What the catalog builder asks: relations, columns, types. Reads the system catalogs, never the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.adapters.postgres.settings import PostgresSettings
from sqlinfer.relation import Relation, literal
from sqlinfer.spec.catalog import Column, Table, TableKind

_KINDS: Mapping[str, TableKind] = {
    "r": "table", "p": "table", "m": "table", "v": "view", "f": "foreign",
}  # fmt: skip
"""pg_class.relkind. Of a materialized view the rows stay as they are until somebody refreshes it."""
_OURS = (
    "n.nspname <> {side} AND n.nspname !~ '^pg_(toast|temp)' AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
)
_VISIBLE = (
    f"FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') "
    f"AND {_OURS} AND has_schema_privilege(n.oid, 'USAGE')"
)


def list_relations(session: PostgresSession, settings: PostgresSettings) -> tuple[Table, ...]:
    """Of the schemas that the role may use."""
    found = session.rows(f"SELECT n.nspname, c.relname, c.relkind::text {_of(settings)} ORDER BY 1, 2")
    return tuple(Table(Relation(name, schema, settings.database), (), _KINDS[kind]) for schema, name, kind in found)


def columns_of(
    session: PostgresSession, settings: PostgresSettings, relations: Iterable[Relation]
) -> Mapping[Relation, tuple[Column, ...]]:
    """One query. A name that is there in several spellings is the one that is spelt alike."""
    wanted = tuple(dict.fromkeys(relations))
    names = sorted({relation.name.casefold() for relation in wanted})
    if not names:
        return {}
    listed = ", ".join(map(literal, names))
    some = f" AND lower(c.relname) IN ({listed})" if len(names) <= 1000 and all(map(str.isascii, names)) else ""
    rows = session.rows(
        "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod) "
        f"{_of(settings).replace('WHERE', 'JOIN pg_attribute AS a ON a.attrelid = c.oid WHERE', 1)}{some} "
        "AND a.attnum > 0 AND NOT a.attisdropped ORDER BY n.nspname, c.relname, a.attnum"
    )
    found: dict[Relation, list[Column]] = {}
    for schema, table, column, kind in rows:
        found.setdefault(Relation(table, schema), []).append(Column(column, kind))
    by_fold: dict[Relation, Relation] = {}
    for relation in found:
        by_fold.setdefault(relation.folded(), relation)
    answer = {}
    for relation in wanted:
        place = Relation(relation.name, relation.schema or settings.schema)
        there = place if place in found else by_fold.get(place.folded())
        if there is not None and (relation.catalog or settings.database) == settings.database:
            answer[relation] = tuple(found[there])
    return answer


def kind_of(session: PostgresSession, settings: PostgresSettings, relation: Relation) -> str | None:
    """``table``, ``view`` or ``foreign``; None: there is none."""
    place = session.there(Relation(relation.name, relation.schema or settings.schema))
    kind = session.value(
        f"SELECT relkind::text FROM pg_class WHERE oid = to_regclass({literal(place.sql())}) "
        "AND relkind IN ('r', 'p', 'm', 'v', 'f')"
    )
    return _KINDS[kind] if kind else None


def _of(settings: PostgresSettings) -> str:
    return _VISIBLE.replace("{side}", literal(settings.side_schema))
