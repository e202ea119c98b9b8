"""Which inputs the rows of a published table were scored from, beside what they would be scored from now: SELECTs for
any dialect.

A table of kept inputs has the columns ``k0 …`` (the unique key), ``i0 …`` (for each call what tells its inputs apart)
and ``run``, a number in a second small table: ``run``, ``functions`` (name@digest of each, as one text), ``run_at``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlinfer.adapters.shared.words import epoch, kind, listed
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.spec.names import ROW_ALIAS


@dataclass(frozen=True, slots=True)
class RowInputs:
    """How rows are read from a stage: SQL over its alias ``s``."""

    source: str
    """FROM clause."""
    keys: tuple[str, ...]
    inputs: tuple[str, ...]
    grouped: bool = False
    """Several rows of the stage may make one of the result."""
    dialect: str = "duckdb"

    def sql(self) -> str:
        """``k0 …, i0 …`` of every row."""
        keys = [f"{key} AS k{n}" for n, key in enumerate(self.keys)]
        inputs = [f"{value} AS i{n}" for n, value in enumerate(self.inputs)]
        plain = f"SELECT {', '.join([*keys, *inputs])} FROM {self.source} AS {ROW_ALIAS}"
        if not self.grouped:
            return plain
        names = [f"g.k{n}" for n in range(len(self.keys))]
        folded = [
            _folded(f"CAST(g.i{n} AS {kind('VARCHAR', self.dialect)})", n, self.dialect)
            for n in range(len(self.inputs))
        ]
        return f"SELECT {', '.join([*names, *folded])} FROM ({plain}) AS g GROUP BY {', '.join(names)}"


def _folded(value: str, number: int, dialect: str) -> str:
    return f"md5({listed(value, dialect)}) AS i{number}"


def kept_sql(rows: RowInputs, run: int, base: Relation | None) -> str:
    """What to keep of a run. ``base``: what is kept of published rows that the run did not see."""
    names = [*(f"k{n}" for n in range(len(rows.keys))), *(f"i{n}" for n in range(len(rows.inputs)))]
    mine = f"SELECT {', '.join(f'n.{name}' for name in names)}, CAST({run} AS INTEGER) AS run FROM ({rows.sql()}) AS n"
    if base is None:
        return mine
    same = " AND ".join(f"n.k{n} = b.k{n}" for n in range(len(rows.keys)))
    return (
        f"{mine} UNION ALL SELECT {', '.join(f'b.{name}' for name in names)}, b.run FROM {base.sql(rows.dialect)} AS b "
        f"WHERE NOT EXISTS (SELECT 1 FROM ({rows.sql()}) AS n WHERE {same})"
    )


def run_sql(run: int, functions: Sequence[str], at: datetime, base: Relation | None, dialect: str) -> str:
    """The second table. ``base``: that of the run before."""
    told = f"CAST({literal(shown_functions(functions), dialect)} AS {kind('VARCHAR', dialect)}) AS functions"
    moment = f"CAST({literal(at.isoformat(), dialect)} AS {kind('TIMESTAMPTZ', dialect)})"
    mine = f"SELECT CAST({run} AS INTEGER) AS run, {told}, {moment} AS run_at"
    return (
        mine if base is None else f"{mine} UNION ALL SELECT b.run, b.functions, b.run_at FROM {base.sql(dialect)} AS b"
    )


def last_run_sql(runs: Relation, dialect: str) -> str:
    """The highest number in the second table."""
    return f"SELECT max(run) FROM {runs.sql(dialect)}"


def count_sql(relation: Relation, dialect: str) -> str:
    return f"SELECT count(*) FROM {relation.sql(dialect)}"


def shown_functions(functions: Sequence[str]) -> str:
    return ", ".join(functions)


def short(key: str, dialect: str) -> str:
    """Half of a key: what is kept of a row tells two inputs apart, not all that there are."""
    return f"CASE WHEN {key} IS NOT NULL THEN hash({key}) END" if dialect == "duckdb" else key


@dataclass(frozen=True, slots=True)
class Comparison:
    """Published rows beside what was kept of them and what they would be scored from now."""

    published: Relation
    keys: tuple[str, ...]
    """Columns of the published table."""
    kept: Relation
    runs: Relation
    now: RowInputs
    functions: tuple[str, ...]
    """Those of today."""
    all_kept: bool = False
    """Whether the published rows are those that inputs are kept of, no more and no less."""
    same_calls: bool = True
    """Whether the query has the key and as many calls as when its rows were scored; else all of them are stale."""
    times: tuple[Relation | None, ...] = ()
    """For each call where the time is at which an input was scored (``input``, ``scored_at``)."""

    @property
    def dialect(self) -> str:
        return self.now.dialect

    @property
    def _row(self) -> str:
        return "m" if self.all_kept else "p"

    @property
    def changed(self) -> str:
        """SQL over ``m``, what was kept of a row, and ``t``, what it would be scored from now."""
        differ = [f"t.i{n} IS DISTINCT FROM m.i{n}" for n in range(len(self.now.inputs))]
        return f"({' OR '.join(differ)})" if self.same_calls else "TRUE"

    @property
    def _stale(self) -> str:
        return f"(m.run IS NOT NULL AND t.here AND {self.changed})"

    @property
    def _source(self) -> str:
        on = " AND ".join(f"{{0}}.k{n} = {self._row}.k{n}" for n in range(len(self.keys)))
        source = f"{self.kept.sql(self.dialect)} AS m"
        if not self.all_kept:
            published = ", ".join(f"q.{quote(name, self.dialect)} AS k{n}" for n, name in enumerate(self.keys))
            table = self.published.sql(self.dialect)
            source = f"(SELECT {published} FROM {table} AS q) AS p LEFT JOIN {source} ON {on.format('m')}"
        return f"{source} LEFT JOIN (SELECT r.*, TRUE AS here FROM ({self.now.sql()}) AS r) AS t ON {on.format('t')}"

    def counts_sql(self) -> str:
        """One row: rows, stale, not kept, gone from the query, scored by other functions, oldest, newest.

        The last two are seconds since 1970.
        """
        at, source = self.scored_at(f"{self._source} LEFT JOIN {self.runs.sql(self.dialect)} AS u ON u.run = m.run")
        return (
            f"SELECT count(*), count(*) FILTER (WHERE {self._stale}), count(*) FILTER (WHERE m.run IS NULL), "
            "count(*) FILTER (WHERE m.run IS NOT NULL AND t.here IS NULL), "
            f"count(*) FILTER (WHERE u.functions <> {literal(shown_functions(self.functions), self.dialect)}), "
            f"{epoch(f'min({at})', self.dialect)}, {epoch(f'max({at})', self.dialect)} FROM {source}"
        )

    def scored_at(self, source: str) -> tuple[str, str]:
        """When a row was scored, as SQL, and the FROM clause with what that needs beside ``m`` and ``u``."""
        known = []
        for n, table in enumerate(self.times):
            if table is not None:
                known.append(f"s{n}.scored_at")
                source += f" LEFT JOIN {table.sql(self.dialect)} AS s{n} ON s{n}.input = m.i{n}"
        return f"coalesce({_latest(known)}, u.run_at)" if known else "u.run_at", source

    def sample_sql(self, rows: int, seed: int) -> str:
        """Keys ``k0 …`` of so many stale rows, by a hash that depends on the seed."""
        names = [f"{self._row}.k{n}" for n in range(len(self.keys))]
        text = " || '|' || ".join(f"coalesce(CAST({name} AS {kind('VARCHAR', self.dialect)}), '')" for name in names)
        order = f"md5({text} || {literal(f'|{seed}', self.dialect)})"
        listed = ", ".join(f"{name} AS k{n}" for n, name in enumerate(names))
        return f"SELECT {listed} FROM {self._source} WHERE {self._stale} ORDER BY {order}, {text} LIMIT {rows}"


def _latest(times: Sequence[str]) -> str:
    return times[0] if len(times) == 1 else f"greatest({', '.join(times)})"
