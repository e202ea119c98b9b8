"""Rows that stand where they stood: a merge of the others alone.

Most nights change few rows and no order. So the query's rows and the published ones are laid side by side by position,
in one pass without a join, and those that are equal there, in key and values, are as a merge would leave them. What is
left goes through the merge. Nothing depends on the order: rows that moved are only left for the merge, and where those
are many, or where the published table holds a key twice, all rows go through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.duckdb.statements import Statements
from sqlinfer.relation import fold, quote
from sqlinfer.spec.catalog import Column

FEWEST = 10_000
"""Rows from which a pass more is cheaper than joining all."""
_SHARE = 16
"""One row in so many may be left."""
_LEFT = "temp.main.sqlinfer_left"


@dataclass(frozen=True, slots=True)
class Left:
    """Rows that are not equal in place."""

    source: str
    """The query's, with its columns."""
    gone: str
    """Keys of published ones that the query does not have, named k0, k1, …"""

    def is_gone(self, how: Materialization, old: str, gone: str) -> str:
        """SQL: the key of a published row is one of ``gone``."""
        return _same_key(how, old, gone)


def differ(old: str, new: str, data_type: str) -> str:
    """SQL: two values are not one. A collation takes some texts for equal."""
    exact = ' COLLATE "C"' if data_type == "VARCHAR" else ""
    return f"{old}{exact} IS DISTINCT FROM {new}{exact}"


def left(work: Statements, how: Materialization, source: str, columns: Sequence[Column], rows: int) -> Left | None:
    """Rows of ``source`` and of the published table that a merge has to look at; None where it has to look at all.

    ``columns``: those of ``source``.
    """
    if rows < FEWEST or how.is_slice:
        return None
    names = [column.name for column in columns]
    as_many = rows == int(work.rows(f"SELECT count(*) FROM {how.target.sql()}")[0][0])
    unequal = _unequal(how, source, columns, as_many=as_many)
    work.execute(f"CREATE OR REPLACE TEMP TABLE {_LEFT} AS {unequal} LIMIT {rows // _SHARE + 1}")
    found = int(work.rows(f"SELECT count(*) FROM {_LEFT}")[0][0])
    keys = [f"k{number}" for number in range(len(how.unique_key))]
    own = [f"n{_place(names, key)}" for key in how.unique_key]
    listed = ", ".join(f"n{number} AS {quote(name)}" for number, name in enumerate(names))
    matched = " AND ".join(f"o.{key} IS NOT DISTINCT FROM n.{name}" for key, name in zip(keys, own, strict=True))
    gone = (
        f"SELECT {', '.join(f'o.{key}' for key in keys)} FROM {_LEFT} AS o WHERE o.is_old "
        f"AND NOT EXISTS (SELECT 1 FROM {_LEFT} AS n WHERE n.is_new AND {matched})"
    )
    if found > rows // _SHARE or _is_elsewhere(work, how, source, gone):
        work.execute(f"DROP TABLE {_LEFT}")
        return None
    return Left(f"SELECT {listed} FROM {_LEFT} WHERE is_new", gone)


def drop(work: Statements) -> None:
    work.execute(f"DROP TABLE {_LEFT}")


def _unequal(how: Materialization, source: str, columns: Sequence[Column], *, as_many: bool) -> str:
    """Positions at which the two rows differ or one is missing. Our names are told apart from the table's by place.

    ``as_many``: none is missing. DuckDB reads two tables side by side then, and holds neither.
    """
    names = [column.name for column in columns]
    numbered = ", ".join(f"{quote(name)} AS n{number}" for number, name in enumerate(names))
    keys = {fold(key) for key in how.unique_key}
    compared = [number for number, name in enumerate(names) if fold(name) not in {*how.uncompared} - keys]
    old = [f"{quote(names[number])} AS c{number}" for number in compared]
    published = [f"o.c{_place(names, key)} AS k{number}" for number, key in enumerate(how.unique_key)]
    differs = " OR ".join(differ(f"o.c{number}", f"n.n{number}", columns[number].data_type) for number in compared)
    shown = [f"n.n{number}" for number in range(len(names))] + published
    is_new, is_old, missing = "true", "true", ""
    if not as_many:
        numbered += ", true AS is_new"
        old.append("true AS is_old")
        is_new, is_old = "n.is_new IS NOT NULL", "o.is_old IS NOT NULL"
        missing = "n.is_new IS NULL OR o.is_old IS NULL OR "
    return (
        f"SELECT {', '.join(shown)}, {is_new} AS is_new, {is_old} AS is_old "
        f"FROM (SELECT {numbered} FROM ({source}) AS q) AS n "
        f"POSITIONAL JOIN (SELECT {', '.join(old)} FROM {how.target.sql()}) AS o "
        f"WHERE {missing}{differs}"
    )


def _is_elsewhere(work: Statements, how: Materialization, source: str, gone: str) -> bool:
    """Whether the query has one of the keys in a row that is equal in place: the published table holds that twice."""
    if not work.rows(f"SELECT 1 FROM ({gone}) AS g LIMIT 1"):
        return False
    found = f"SELECT 1 FROM ({source}) AS q SEMI JOIN ({gone}) AS g ON {_same_key(how, 'q', 'g')} LIMIT 1"
    return bool(work.rows(found))


def _same_key(how: Materialization, row: str, numbered: str) -> str:
    """SQL: the key of ``row`` is k0, k1, … of the other."""
    pairs = enumerate(how.unique_key)
    return " AND ".join(f"{row}.{quote(key)} IS NOT DISTINCT FROM {numbered}.k{number}" for number, key in pairs)


def _place(names: Sequence[str], key: str) -> int:
    return next(number for number, name in enumerate(names) if fold(name) == fold(key))
