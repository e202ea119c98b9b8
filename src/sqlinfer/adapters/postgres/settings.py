"""profiles.yml output of ``type: postgres``, in the spelling of dbt-postgres → PostgresSettings with a libpq string."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlinfer import numerals
from sqlinfer.errors import ProfileError, did_you_mean
from sqlinfer.relation import Relation

_SYNONYMS = {"pass": "password", "dbname": "database", "username": "user"}
_LIBPQ = ("host", "user", "password", "sslmode", "sslcert", "sslkey", "sslrootcert")
"""Keys that libpq knows by the same name."""
_KNOWN = (
    *_LIBPQ, *_SYNONYMS, "type", "port", "database", "schema", "threads", "connect_timeout", "role", "search_path",
    "keepalives_idle", "application_name", "retries", "sqlinfer_schema", "storage", "external_root",
)  # fmt: skip
LONGEST_NAME = 63
"""Bytes of a name; PostgreSQL cuts longer ones without a word."""
_SUFFIX = "_sqlinfer"


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    database: str
    schema: str
    side_schema: str
    """Where stages, stores and error records live."""
    conninfo: str = field(repr=False)
    """For libpq; holds the password."""
    place: str = ""
    """Host and port, for people."""
    role: str = ""
    search_path: str = ""
    """As the profile spells it; empty: the schema, then the server's own."""
    retries: int = 1
    """Times that a failed connection is tried again."""

    @property
    def default(self) -> Relation:
        return Relation("", self.schema, self.database)

    @property
    def namespace(self) -> Relation:
        return Relation("", self.side_schema)

    @classmethod
    def parse(cls, raw: Mapping[str, object]) -> PostgresSettings:
        """Raises ProfileError for an unknown key, a missing one, or a value that does not fit."""
        given = _canonical(raw)
        for key in ("host", "user", "database", "schema"):
            if not given.get(key):
                named = "dbname" if key == "database" else key
                raise ProfileError(f"a postgres profile needs '{named}'", hint=_EXAMPLES[key])
        schema, side = str(given["schema"]), given.get("sqlinfer_schema")
        side_schema = str(side) if side else f"{schema}{_SUFFIX}"
        _check_name("schema", schema)
        _check_name("sqlinfer_schema" if side else f"schema, with '{_SUFFIX}' behind it,", side_schema)
        if side_schema == schema:
            raise ProfileError("sqlinfer_schema is the schema that tables are published in", hint="name another one")
        port = _number(given, "port", 5432)
        return cls(
            database=str(given["database"]),
            schema=schema,
            side_schema=side_schema,
            conninfo=_conninfo(given, port),
            place=f"{given['host']}:{port}",
            role=str(given.get("role") or ""),
            search_path=_search_path(given.get("search_path")),
            retries=_number(given, "retries", 1),
        )


_EXAMPLES = {
    "host": "host: db.example.com", "user": "user: analytics", "database": "dbname: warehouse", "schema": "schema: ml",
}  # fmt: skip


def _canonical(raw: Mapping[str, object]) -> dict[str, object]:
    """Each key by one name. Values are asked for one by one: secrets are put in then."""
    given: dict[str, object] = {}
    for key in raw:
        if key not in _KNOWN:
            raise ProfileError(f"unknown key '{key}' in a postgres profile", hint=did_you_mean(key, _KNOWN))
        name = _SYNONYMS.get(key, key)
        if name in given and raw[key] is not None and given[name] not in (None, raw[key]):
            both = " and ".join(f"'{one}'" for one in raw if _SYNONYMS.get(one, one) == name)
            raise ProfileError(f"{both} of a postgres profile differ", hint="give one of them")
        if raw[key] is not None or name not in given:
            given[name] = raw[key]
    return given


def _check_name(what: str, name: str) -> None:
    if len(name.encode()) > LONGEST_NAME:
        raise ProfileError(f"{what} is longer than {LONGEST_NAME} bytes: {name}",
                           hint="PostgreSQL would cut it; name a shorter sqlinfer_schema")  # fmt: skip


def _number(given: Mapping[str, object], key: str, default: int) -> int:
    value = given.get(key)
    if value is None or value == "":
        return default
    found = None if isinstance(value, bool) else numerals.whole(str(value))
    if found is None or found < 0:
        raise ProfileError(f"{key} of a postgres profile is a whole number", hint=f"{key}: {default}")
    return found


def _search_path(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value or "")


def _conninfo(given: Mapping[str, object], port: int) -> str:
    parts: dict[str, object] = {key: given[key] for key in _LIBPQ if given.get(key) not in (None, "")}
    parts |= {"port": port, "dbname": given["database"]}
    parts["connect_timeout"] = _number(given, "connect_timeout", 10)
    parts["application_name"] = given.get("application_name") or "sqlinfer"
    parts["client_encoding"] = "UTF8"
    # A machine that is gone says nothing: its lock is free after idle + interval * count seconds.
    idle = _number(given, "keepalives_idle", 0)
    parts |= {"keepalives": 1, "keepalives_idle": idle or 30, "keepalives_interval": 10, "keepalives_count": 3}
    return " ".join(f"{key}={_quoted(str(value))}" for key, value in parts.items())


def _quoted(value: str) -> str:
    r"""As libpq reads it: ``it's`` becomes ``'it\'s'``."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
