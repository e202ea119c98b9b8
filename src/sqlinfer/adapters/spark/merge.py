"""New rows and a published table → SQL of the rows that the table will hold. Nothing is updated in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.schema_change import Agreement
from sqlinfer.adapters.spark.session import SparkSqlSession, name
from sqlinfer.errors import AdapterError, PublicationError
from sqlinfer.relation import fold
from sqlinfer.spec.catalog import Column

_MOMENTS = ("timestamp", "timestamp_ntz", "date")


@dataclass(frozen=True, slots=True)
class Merge:
    how: Materialization
    found: Agreement
    there: tuple[Column, ...]
    """Of the published table."""
    given: tuple[Column, ...]
    """Of the query."""
    table: str
    rows: str
    """SQL of a relation each."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Of the table afterwards."""
        types = {fold(column.name): column.data_type for column in self.found.written}
        gone = {fold(column.name) for column in self.found.dropped}
        left = [c for c in self.there if fold(c.name) not in gone]
        return (*(Column(c.name, types.get(fold(c.name), c.data_type)) for c in left), *self.found.added)

    @property
    def replaces(self) -> bool:
        """Whether a row takes the place of the one with its key."""
        return bool(self.how.unique_key) and self.how.strategy != "append"

    @property
    def removes(self) -> bool:
        """Whether rows go that the query does not return."""
        return self.replaces and not self.how.is_slice and self.how.on_missing == "delete"

    def sql(self) -> str:
        new = f"SELECT {', '.join(map(self._new, self.columns))} FROM {self.rows} AS n{self._beside()}"
        if self.removes:
            return new
        left = f" LEFT ANTI JOIN {self.rows} AS n ON {self._same()}" if self.replaces else ""
        old = f"SELECT {', '.join(map(self._old, self.columns))} FROM {self.table} AS t{left}"
        return f"{new} UNION ALL {old}"

    def left_sql(self) -> str:
        """Published rows that the query does not replace."""
        if self.removes:
            return f"SELECT * FROM {self.table} AS t LIMIT 0"
        left = f" LEFT ANTI JOIN {self.rows} AS n ON {self._same()}" if self.replaces else ""
        return f"SELECT * FROM {self.table} AS t{left}"

    def _beside(self) -> str:
        """The row with the same key, where some of its values stay."""
        if not self.replaces or not (len(self.found.written) < len(self.columns) or self._loose()):
            return ""
        table = self.table
        if self.removes:  # a key that is there twice, from elsewhere, is taken once
            keys = ", ".join(map(name, self._keys(self.there)))
            numbered = (
                f"SELECT *, row_number() OVER (PARTITION BY {keys} ORDER BY {keys}) AS __sqlinfer_nth FROM {table}"
            )
            table = f"(SELECT * FROM ({numbered}) WHERE __sqlinfer_nth = 1)"
        return f" LEFT JOIN {table} AS t ON {self._same()}"

    def _loose(self) -> set[str]:
        """Columns that keep their value where the others are equal."""
        return {fold(c) for c in self.how.uncompared} | {fold(column.name) for column in self.found.forgotten}

    def _new(self, column: Column) -> str:
        folded, given = fold(column.name), {fold(c.name): c for c in self.given}
        written = {fold(c.name) for c in self.found.written}
        there = {fold(c.name): c for c in self.there}
        value = _as(f"n.{name(given[folded].name)}", given[folded], column) if folded in written else None
        kept = _as(f"t.{name(there[folded].name)}", there[folded], column) if folded in there else None
        if not self._beside() or kept is None:
            value = value or f"CAST(NULL AS {column.data_type})"
        elif folded in self._loose() - {fold(key) for key in self.how.unique_key}:
            nothing = f"CAST(NULL AS {column.data_type})"
            value = f"CASE WHEN {self._unchanged()} THEN {kept} ELSE {value or nothing} END"
        else:
            value = value or kept
        return f"{value} AS {name(column.name)}"

    def _old(self, column: Column) -> str:
        there = {fold(c.name): c for c in self.there}
        found = there.get(fold(column.name))
        value = _as(f"t.{name(found.name)}", found, column) if found else f"CAST(NULL AS {column.data_type})"
        return f"{value} AS {name(column.name)}"

    def _unchanged(self) -> str:
        """There is such a row, and what counts of it is the same."""
        there, given = ({fold(c.name): c for c in columns} for columns in (self.there, self.given))
        both = [fold(c.name) for c in self.found.written if fold(c.name) in there and fold(c.name) not in self._loose()]
        same = [
            f"{_as(f'n.{name(given[one].name)}', given[one], there[one])} <=> t.{name(there[one].name)}" for one in both
        ]
        return f"({' AND '.join(same) or 'FALSE'})"

    def _same(self) -> str:
        """A NULL key is a key like any other."""
        pairs = zip(self._keys(self.there), self._keys(self.given), strict=True)
        return " AND ".join(f"t.{name(old)} <=> n.{name(new)}" for old, new in pairs)

    def _keys(self, columns: Sequence[Column]) -> list[str]:
        spelt = {fold(column.name): column.name for column in columns}
        return [spelt.get(fold(key), key) for key in self.how.unique_key]


def _as(value: str, given: Column, wanted: Column) -> str:
    return value if given.data_type == wanted.data_type else f"CAST({value} AS {wanted.data_type})"


def refuse_duplicates(session: SparkSqlSession, how: Materialization, rows: str) -> None:
    """``rows``: SQL of a query."""
    keys = ", ".join(map(name, how.unique_key))
    twice = f"SELECT count(*) AS n FROM ({rows}) AS q GROUP BY {keys} HAVING count(*) > 1"
    count, many = session.rows(f"SELECT count(*), sum(d.n) FROM ({twice}) AS d")[0]
    if count:
        raise PublicationError(
            f"unique_key ({', '.join(how.unique_key)}) is not unique: {count} keys occur in {many} rows",
            hint="the published table is unchanged; make the query return one row for each key",
        )


def refuse_unfit(
    session: SparkSqlSession, how: Materialization, wanted: Sequence[Column], rows: str, given: Mapping[str, Column], *,
    published: bool = False,
) -> None:  # fmt: skip
    """Values that a column cannot hold as they are: refused with the column named, never rounded or cut."""
    for column in wanted:
        found = given.get(fold(column.name))
        if found is None or found.data_type in (column.data_type, "void"):
            continue
        bad = _changed(session, rows, found, column.data_type)
        if bad:
            values = "1 value" if bad == 1 else f"{bad:,} values"
            whose = f"published, {found.data_type}, which the query does not replace," if published else (
                f"of the query, {found.data_type},")  # fmt: skip
            raise PublicationError(
                f"column '{column.name}' of {how.target} {'becomes' if published else 'is'} {column.data_type}: "
                f"{values} {whose} {'does' if bad == 1 else 'do'} not fit without being changed; the published table "
                "is unchanged",
                hint="run once with --full-refresh" if published else
                f"cast '{column.name}' in the query, set on_schema_change='sync_all_columns', or run once with "
                "--full-refresh",
            )  # fmt: skip


def _changed(session: SparkSqlSession, rows: str, given: Column, wanted: str) -> int:
    """How many values change; all of them where the types have no cast."""
    value = name(given.name)
    back = f"try_cast(try_cast({value} AS {wanted}) AS {given.data_type})"
    changes = f"NOT ({back} <=> {value})"
    if (
        wanted in _MOMENTS
        and given.data_type in _MOMENTS
        and {"timestamp", "timestamp_ntz"} <= {wanted, given.data_type}
    ):
        changes = f"{value} IS NOT NULL"  # what it becomes depends on the time zone of the session
    try:
        return int(session.value(f"SELECT count(*) FROM ({rows}) AS q WHERE {changes}"))
    except AdapterError:
        return int(session.value(f"SELECT count({value}) FROM ({rows}) AS q"))
