"""profiles.yml output of ``type: spark``, in the spelling of dbt-spark → SparkSettings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlinfer import numerals
from sqlinfer.errors import ProfileError, did_you_mean
from sqlinfer.relation import Relation

_KNOWN = (
    "type", "method", "schema", "database", "remote", "threads", "server_side_parameters", "connect_timeout",
    "sqlinfer_schema",
)  # fmt: skip
_OTHERS = (
    "host", "port", "user", "token", "driver", "cluster", "endpoint", "auth", "kerberos_service_name", "organization",
    "connection_string_suffix", "use_ssl", "connect_retries", "retry_all", "poll_interval", "query_timeout",
    "query_retries",
)  # fmt: skip
"""Keys of dbt-spark that a session has no use for."""
_SUFFIX = "_sqlinfer"
_EXAMPLE = "method: session, or remote: sc://host:15002"
_ENABLED = "spark.sql.catalogImplementation"
_DERBY = "spark.hadoop.javax.jdo.option.ConnectionURL"


@dataclass(frozen=True, slots=True)
class SparkSettings:
    schema: str
    side_schema: str
    """Where stages, stores and notes live."""
    root: Path
    """Relative places of a session of ours are taken from here."""
    remote: str = field(default="", repr=False)
    """Address of a Connect server, which may hold a token; empty: a session in this process."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """``server_side_parameters``: settings of the session."""
    patience: int = 60
    """Seconds in which the first executor has to answer."""

    @property
    def default(self) -> Relation:
        return Relation("", self.schema)

    @property
    def namespace(self) -> Relation:
        return Relation("", self.side_schema)

    @property
    def place(self) -> str:
        """For people: without the token."""
        if self.remote:
            return self.remote.split(";")[0].rstrip("/")
        return f"Spark ({self.parameters.get('spark.master', 'local[*]')})"

    @classmethod
    def parse(cls, raw: Mapping[str, object], root: Path) -> SparkSettings:
        """Raises ProfileError for an unknown key, a missing one, or a value that does not fit."""
        _refuse_others(raw)
        remote, schema = str(raw.get("remote") or ""), str(raw.get("schema") or "")
        if not schema:
            raise ProfileError("a spark profile needs 'schema'", hint="schema: ml")
        if raw.get("database") not in (None, "", schema):
            raise ProfileError("database of a spark profile differs from schema", hint="leave database out")
        if remote and not remote.startswith("sc://"):
            raise ProfileError("remote of a spark profile begins with sc://", hint="remote: sc://host:15002")
        side = str(raw.get("sqlinfer_schema") or f"{schema}{_SUFFIX}")
        if side.casefold() == schema.casefold():
            raise ProfileError("sqlinfer_schema is the schema that tables are published in", hint="name another one")
        given = _parameters(raw.get("server_side_parameters"))
        return cls(
            schema, side, root, remote, given,
            patience=_number(raw, "connect_timeout", 60)
        )  # fmt: skip

    def of_session(self) -> dict[str, str]:
        """Settings of a session that this process starts: those of the profile, and ours where it has none."""
        found = dict(self.parameters)
        master = found.setdefault("spark.master", "local[*]")
        found.setdefault("spark.app.name", "sqlinfer")
        found.setdefault(_ENABLED, "hive")
        found.setdefault("spark.ui.showConsoleProgress", "false")
        if master.startswith("local"):
            found.setdefault("spark.ui.enabled", "false")
            found.setdefault("spark.driver.host", "localhost")
        found["spark.sql.warehouse.dir"] = self._rooted(found.get("spark.sql.warehouse.dir", "spark-warehouse"))
        if found[_ENABLED] == "hive" and "spark.hadoop.hive.metastore.uris" not in found:
            derby = found.get(_DERBY, "jdbc:derby:;databaseName=metastore_db;create=true")
            found[_DERBY] = re.sub(r"(?<=databaseName=)[^;]+", lambda place: self._rooted(place[0]), derby)
        return found

    def _rooted(self, place: str) -> str:
        return place if "://" in place or place.startswith(("file:", "/")) else str((self.root / place).absolute())


def _refuse_others(raw: Mapping[str, object]) -> None:
    method = str(raw.get("method") or "session")
    if method in ("thrift", "http", "odbc"):
        raise ProfileError(
            f"method '{method}' of a spark profile sends SQL alone: scoring needs a session that runs Python",
            hint=_EXAMPLE,
        )
    if method not in ("session", "connect"):
        raise ProfileError(f"unknown method '{method}' of a spark profile", hint=_EXAMPLE)
    if method == "connect" and not raw.get("remote"):
        raise ProfileError("method: connect of a spark profile needs 'remote'", hint="remote: sc://host:15002")
    for key in raw:
        if key not in _KNOWN and key not in _OTHERS:
            raise ProfileError(f"unknown key '{key}' in a spark profile", hint=did_you_mean(key, _KNOWN))


def _parameters(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ProfileError("server_side_parameters of a spark profile is a mapping",
                           hint='server_side_parameters: {"spark.sql.shuffle.partitions": 16}')  # fmt: skip
    return {str(key): _text(one) for key, one in value.items()}


def _text(value: Any) -> str:
    """As Spark reads it: true, not True."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(raw: Mapping[str, object], key: str, default: int) -> int:
    value = raw.get(key)
    if value is None or value == "":
        return default
    found = None if isinstance(value, bool) else numerals.whole(str(value))
    if found is None or found < 0:
        raise ProfileError(f"{key} of a spark profile is a whole number", hint=f"{key}: {default}")
    return found
