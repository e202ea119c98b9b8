"""Predictions as they are published beside those of a sample that was scored again, for any dialect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlinfer.adapters.shared.words import kind
from sqlinfer.relation import Relation, quote


@dataclass(frozen=True, slots=True)
class Rescored:
    published: Relation
    keys: tuple[str, ...]
    sample: Relation
    """``k0 …`` of the rows."""
    fresh: str
    """SQL of their rows as they are now, with the names of the published columns."""
    columns: tuple[str, ...]
    """Those that both have."""
    dialect: str = "duckdb"

    def _quoted(self, name: str) -> str:
        return quote(name, self.dialect)

    def before_sql(self) -> str:
        return f"SELECT {self._listed('q')} FROM {self.published.sql(self.dialect)} AS q"

    def sql(self, decision: str | None, shifted: Sequence[str], *, whole: bool) -> str:
        """One row: rows of the sample, flips, and the mean of how far the columns ``shifted`` have moved.

        Args:
            decision: SQL over a row; None: nothing is decided.
            whole: the decision looks at other rows, too.
        """
        before, after = self.before_sql(), f"SELECT {self._listed('r')} FROM ({self.fresh}) AS r"
        if whole:
            after = f"{before} WHERE NOT {self._sampled('q')} UNION ALL {after}"
        else:
            before = f"{before} WHERE {self._sampled('q')}"
        told = f"({decision})" if decision is not None else "NULL"
        wanted = ", ".join(dict.fromkeys((*map(self._quoted, self.keys), *map(self._quoted, shifted))))
        wide = kind("DOUBLE PRECISION", self.dialect)
        moved = [f"abs(CAST(a.{self._quoted(name)} AS {wide}) - b.{self._quoted(name)})" for name in shifted]
        mean = " + ".join(f"coalesce(avg({one}), 0)" for one in moved)
        flips = "count(*) FILTER (WHERE b.decision IS DISTINCT FROM a.decision)" if decision is not None else "NULL"
        shift = f"({mean}) / {len(moved)}" if moved else "NULL"
        return (
            f"SELECT count(*), {flips}, {shift} FROM {self.sample.sql(self.dialect)} AS x "
            f"LEFT JOIN (SELECT {wanted}, {told} AS decision FROM ({before}) AS v) AS b ON {self._same('b')} "
            f"LEFT JOIN (SELECT {wanted}, {told} AS decision FROM ({after}) AS v) AS a ON {self._same('a')}"
        )

    def _listed(self, alias: str) -> str:
        return ", ".join(f"{alias}.{self._quoted(name)}" for name in self.columns)

    def _same(self, alias: str) -> str:
        return " AND ".join(f"{alias}.{self._quoted(name)} = x.k{n}" for n, name in enumerate(self.keys))

    def _sampled(self, alias: str) -> str:
        return f"EXISTS (SELECT 1 FROM {self.sample.sql(self.dialect)} AS x WHERE {self._same(alias)})"


def decided_sql(decision: str, published: Relation, dialect: str) -> str:
    """To find out whether the warehouse takes a decision."""
    return f"SELECT ({decision}) AS decision FROM {published.sql(dialect)} AS q"


def fresh_sql(result: str, columns: Sequence[str], dialect: str) -> str:
    """Columns of a query."""
    return f"SELECT {', '.join(quote(name, dialect) for name in columns)} FROM ({result}) AS f"


def only_sampled(stage: str, keys: Sequence[str], sample: Relation, dialect: str) -> str:
    """Rows of a stage that are in the sample. ``keys``: its columns."""
    same = " AND ".join(f"s.{quote(name, dialect)} = x.k{n}" for n, name in enumerate(keys))
    return f"SELECT s.* FROM ({stage}) AS s WHERE EXISTS (SELECT 1 FROM {sample.sql(dialect)} AS x WHERE {same})"
