"""Notes of a target as properties of one table: each is written by one change of the catalog, without a file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from sqlinfer.adapters.spark import side
from sqlinfer.adapters.spark.session import SparkSqlSession, properties_sql, table_name, text
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.spec.names import NoteKind

_PIECE = 3000
"""Characters of a value; catalogs keep 4,000."""
_NOTES = "notes"


def write(
    session: SparkSqlSession, settings: SparkSettings, kind: NoteKind, named: str, payload: Mapping[str, Any] | None
) -> None:
    """The pieces of the note that was there are dropped where the new one has fewer: the count tells how many are."""
    table, key = table_name(side.relation(settings, _NOTES)), _key(kind, named)
    known = _known(session, settings)
    if payload is None:
        gone = [one for one in known if one.startswith(key)]
        if gone:
            session.execute(f"ALTER TABLE {table} UNSET TBLPROPERTIES IF EXISTS ({', '.join(map(text, gone))})")
            _heard(session, dict.fromkeys(gone))
        return
    number = 1 + max((int(value.split()[0]) for one, value in known.items() if one.endswith(".head")), default=0)
    said = json.dumps({"name": named, "payload": payload})
    pieces = [said[at : at + _PIECE] for at in range(0, len(said), _PIECE)]
    given = {f"{key}.head": f"{number} {len(pieces)}"} | {f"{key}.{n}": piece for n, piece in enumerate(pieces)}
    session.execute(f"ALTER TABLE {table} SET TBLPROPERTIES ({properties_sql(given)})")
    _heard(session, given)


def read(session: SparkSqlSession, settings: SparkSettings, kind: NoteKind) -> dict[str, dict[str, Any]]:
    """The one that was written last at the end."""
    known = _known(session, settings)
    heads = [one for one in known if re.fullmatch(rf"sqlinfer\.{kind}\.\w+\.head", one)]
    found = {}
    for head in sorted(heads, key=lambda one: int(known[one].split()[0])):
        key, count = head.removesuffix(".head"), int(known[head].split()[1])
        whole = json.loads("".join(known[f"{key}.{n}"] for n in range(count)))
        found[whole["name"]] = whole["payload"]
    return found


def _known(session: SparkSqlSession, settings: SparkSettings) -> Mapping[str, str]:
    """Asked once by a session that holds the lock."""
    if session.notes is not None:
        return session.notes
    return session.properties(side.relation(settings, _NOTES))


def _heard(session: SparkSqlSession, changes: Mapping[str, str | None]) -> None:
    if session.notes is not None:
        kept = {key: value for key, value in session.notes.items() if key not in changes}
        session.notes = kept | {key: value for key, value in changes.items() if value is not None}


def _key(kind: NoteKind, named: str) -> str:
    return f"sqlinfer.{kind}.{hashlib.blake2b(named.encode(), digest_size=12).hexdigest()}"
