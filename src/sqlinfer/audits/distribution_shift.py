"""``distribution_shift``: tonight's values are spread as the published ones are (population stability index).

Numbers are counted in ``buckets`` of equally many published rows, other values one by one; NULL is a bucket of its own,
and so is a value that fills several buckets. Nothing published: nothing to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from sqlinfer.audits.arguments import Number, Whole
from sqlinfer.audits.base import Audit, Problem, Subject, is_number
from sqlinfer.types import type_sql

_FLOOR = "0.0001"
"""Share of a bucket that is empty on one side."""


@dataclass(frozen=True, slots=True)
class _Buckets:
    value: str
    """SQL of what is counted."""
    bucket: str
    """SQL of the bucket of ``d.v``."""
    marks: str = ""
    """A CTE that ``bucket`` reads."""

    def of(self, source: str) -> str:
        """SQL: the bucket of each row."""
        also = ", marks" if self.marks else ""
        return f"SELECT {self.bucket} AS b FROM (SELECT {self.value} AS v FROM {source} AS q) AS d{also}"


@dataclass(frozen=True)
class DistributionShift(Audit):
    kind: ClassVar = "distribution_shift"
    aliases: ClassVar[Mapping[str, str]] = {"max_psi": "max", "threshold": "max", "bins": "buckets"}
    reads_warehouse: ClassVar = True

    max: Number = 0.2
    """Above 0.2 a distribution counts as shifted, the usual rule of thumb."""
    buckets: Whole = 10

    def problem(self) -> Problem | None:
        if self.max < 0:
            return Problem(f"max is not below 0, found {self.max:g}", "max")
        if not 2 <= self.buckets <= 1000:
            return Problem(f"buckets is a number from 2 to 1000, found {self.buckets}", "buckets")
        return None

    def failing(self, on: Subject) -> str:
        if on.published is None:
            return "SELECT 0.0 AS psi WHERE 1 = 0"
        new, old = (on.tonight or on.rows).source, on.published.source
        if is_number(on.column_type):
            buckets = self._of_numbers(f"CAST({on.needed} AS {type_sql('DOUBLE', on.dialect)})", old)
        else:
            buckets = _Buckets(on.needed, f"CAST(d.v AS {type_sql('TEXT', on.dialect)})")

        def shares(source: str) -> str:
            counted = f"SELECT b, count(*) AS n FROM ({buckets.of(source)}) AS r GROUP BY b"
            return f"SELECT b, n * 1.0 / sum(n) OVER () AS share FROM ({counted}) AS c"

        return (
            f"WITH {buckets.marks}old AS ({shares(old)}), new AS ({shares(new)}), either AS ("
            "SELECT b, share AS a, 0 AS e FROM new UNION ALL SELECT b, 0 AS a, share AS e FROM old), both_sides AS ("
            f"SELECT greatest(sum(a), {_FLOOR}) AS a, greatest(sum(e), {_FLOOR}) AS e FROM either GROUP BY b) "
            "SELECT psi FROM (SELECT sum((a - e) * ln(a / e)) AS psi FROM both_sides) AS s "
            f"WHERE psi > {self.max} AND EXISTS (SELECT 1 FROM old)"
        )

    def _of_numbers(self, value: str, old: str) -> _Buckets:
        """The CTE holds the upper ends of all buckets but the last, in one row."""
        ends = [f"max(CASE WHEN b = {n} THEN v END) AS m{n}" for n in range(1, self.buckets)]
        tiles = (
            f"SELECT v, ntile({self.buckets}) OVER (ORDER BY v) AS b FROM "
            f"(SELECT {value} AS v FROM {old} AS q) AS p WHERE v IS NOT NULL"
        )
        below = " + ".join(f"CASE WHEN d.v > m{n} THEN 1 ELSE 0 END" for n in range(1, self.buckets))
        equal = " + ".join(f"CASE WHEN d.v = m{n} THEN 1 ELSE 0 END" for n in range(1, self.buckets))
        bucket = f"CASE WHEN d.v IS NULL THEN -1 ELSE {below} + CASE WHEN {equal} > 1 THEN 0.5 ELSE 0 END END"
        marks = f"marks AS (SELECT {', '.join(ends)} FROM ({tiles}) AS t), "
        return _Buckets(value, bucket, marks)
