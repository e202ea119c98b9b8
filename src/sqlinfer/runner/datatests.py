"""Data tests: each is a query whose rows are failures. They run on a staged result or on a published relation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

from sqlinfer.adapters.base import Workspace
from sqlinfer.errors import DataTestError, RunError, did_you_mean
from sqlinfer.project import DataTest
from sqlinfer.relation import Relation, quote
from sqlinfer.runner.results import NodeResult, Status

Builder = Callable[["Audit"], str]
MAX_PSI = 0.2
"""Above it a distribution counts as shifted, the usual rule of thumb."""


class Audit:
    """One test on one relation: what a builder reads its arguments from."""

    def __init__(
        self, test: DataTest, relation: Relation, published: Relation | None, relations: Mapping[str, Relation]
    ) -> None:
        self.test = test
        self.published = published
        self._relations = relations
        where = f" WHERE {test.where}" if test.where else ""
        self.source = f"(SELECT * FROM {relation.sql()}{where})"
        self.errors: str | None = None
        self.inputs: int = 0

    @property
    def column(self) -> str:
        name = self.test.column or self.test.arguments.get("column_name") or self.test.arguments.get("column")
        if not name:
            raise RunError(f"test {self.test.name} needs a column")
        return quote(str(name))

    def argument(self, *names: str, default: Any = None) -> Any:
        for name in names:
            if name in self.test.arguments:
                return self.test.arguments[name]
        return default

    def other(self, name: object) -> Relation:
        text = str(name).strip()
        if "(" in text:
            text = ".".join(part.strip(" '\"") for part in text[text.index("(") + 1 : text.rindex(")")].split(","))
        found = self._relations.get(text)
        if found is None:
            raise RunError(f"test {self.test.name} refers to '{text}'", hint=did_you_mean(text, self._relations))
        return found


def literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def _unique(audit: Audit) -> str:
    return (
        f"SELECT {audit.column} FROM {audit.source} WHERE {audit.column} IS NOT NULL "
        f"GROUP BY {audit.column} HAVING count(*) > 1"
    )


def _not_null(audit: Audit) -> str:
    return f"SELECT 1 FROM {audit.source} WHERE {audit.column} IS NULL"


def _accepted_values(audit: Audit) -> str:
    values = audit.argument("values", default=())
    listed = ", ".join(literal(value) for value in values)
    return f"SELECT {audit.column} FROM {audit.source} WHERE {audit.column} NOT IN ({listed}) GROUP BY ALL"


def _accepted_range(audit: Audit) -> str:
    low, high = audit.argument("min_value", "min"), audit.argument("max_value", "max")
    strict = "" if audit.argument("inclusive", default=True) else "="
    bad = [f"{audit.column} <{strict} {low}"] if low is not None else []
    bad += [f"{audit.column} >{strict} {high}"] if high is not None else []
    bad.append(f"isnan(try_cast({audit.column} AS DOUBLE))")
    return f"SELECT 1 FROM {audit.source} WHERE {' OR '.join(bad)}"


def _relationships(audit: Audit) -> str:
    parent = audit.other(audit.argument("to")).sql()
    field = quote(str(audit.argument("field")))
    return (
        f"SELECT 1 FROM {audit.source} AS c WHERE c.{audit.column} IS NOT NULL "
        f"AND NOT EXISTS (SELECT 1 FROM {parent} AS p WHERE p.{field} = c.{audit.column})"
    )


def _row_count(audit: Audit) -> str:
    low, high = audit.argument("min_value", "min", default=0), audit.argument("max_value", "max")
    upper = f" OR n > {int(high)}" if high is not None else ""
    return f"SELECT n FROM (SELECT count(*) AS n FROM {audit.source}) WHERE n < {int(low)}{upper}"


def _error_rate(audit: Audit) -> str:
    limit = float(audit.argument("max_rate", "max", "max_value", "rate", default=0.01))
    if audit.errors is None:
        missing = f"avg(CAST({audit.column} IS NULL AS INTEGER))"
        return f"SELECT 1 FROM (SELECT {missing} AS r FROM {audit.source}) WHERE r > {limit}"
    return f"SELECT n FROM (SELECT count(*) AS n FROM {audit.errors}) WHERE n > {limit} * {audit.inputs}"


def _distribution_shift(audit: Audit) -> str:
    """PSI over the deciles of the published table, NULL being a bin of its own. Nothing published: nothing to say."""
    if audit.published is None:
        return "SELECT 1 WHERE FALSE"
    limit = float(audit.argument("max_psi", "threshold", default=MAX_PSI))
    column, old = audit.column, audit.published.sql()
    bins = int(audit.argument("bins", default=10))
    marks = ", ".join(f"{step / bins:.6f}" for step in range(1, bins))

    def share(source: str) -> str:
        number = f"CASE WHEN {column} IS NULL THEN -1 ELSE len(list_filter(q.m, lambda x: x < {column})) END"
        return f"SELECT {number} AS b, count(*) AS n, sum(count(*)) OVER () AS total FROM {source} AS d, q GROUP BY 1"

    return (
        f"WITH q AS (SELECT quantile_cont(CAST({column} AS DOUBLE), [{marks}]) AS m FROM {old}), "
        f"e AS ({share(old)}), a AS ({share(audit.source)}), "
        "f AS (SELECT greatest(coalesce(a.n / a.total, 0), 1e-4) AS pa, "
        "greatest(coalesce(e.n / e.total, 0), 1e-4) AS pe FROM a FULL JOIN e ON a.b = e.b) "
        f"SELECT psi FROM (SELECT sum((pa - pe) * ln(pa / pe)) AS psi FROM f) WHERE psi > {limit}"
    )


def _singular(audit: Audit) -> str:
    return audit.test.sql or "SELECT 1 WHERE FALSE"


TESTS: dict[str, Builder] = {
    "unique": _unique,
    "not_null": _not_null,
    "accepted_values": _accepted_values,
    "accepted_range": _accepted_range,
    "relationships": _relationships,
    "row_count": _row_count,
    "error_rate": _error_rate,
    "distribution_shift": _distribution_shift,
    "singular": _singular,
}


def needs_warehouse(test: DataTest) -> bool:
    return test.kind in ("relationships", "distribution_shift", "singular") or bool(test.where)


def test_sql(audit: Audit) -> str:
    kind = audit.test.kind.rpartition(".")[2]
    builder = TESTS.get(kind)
    if builder is None:
        raise RunError(
            f"unknown data test '{audit.test.kind}'", hint=did_you_mean(kind, TESTS), location=audit.test.location
        )
    return builder(audit)


test_sql.__test__ = False  # type: ignore[attr-defined]


def run_test(work: Workspace, audit: Audit) -> NodeResult:
    """Raises nothing for a failing test: the status says it."""
    began = perf_counter()
    test, sql = audit.test, test_sql(audit)
    limit = test.config.get("limit") if test.config else None
    failures = int(
        work.rows(f"SELECT count(*) FROM (SELECT 1 FROM ({sql}){f' LIMIT {int(limit)}' if limit else ''})")[0][0]
    )
    is_error, is_warning = work.rows(f"SELECT {failures} {test.error_if}, {failures} {test.warn_if}")[0]
    status: Status = "pass"
    if test.severity == "error" and is_error:
        status = "fail"
    elif is_warning:
        status = "warn"
    message = (
        ""
        if status == "pass"
        else f"got {failures} result{'s' if failures != 1 else ''}, configured to {test.severity}"
    )
    return NodeResult(
        test.unique_id, status, message=message, execution_time=perf_counter() - began, failures=failures,
        compiled_code=sql,
    )  # fmt: skip


def refuse_failed(results: tuple[NodeResult, ...], staged: Relation | None = None, place: str = "") -> None:
    failed = [result for result in results if result.status == "fail"]
    if not failed:
        return
    names = ", ".join(f"{result.unique_id} ({result.failures})" for result in failed)
    kept = "nothing was changed"
    if staged:
        kept = f"the rows are kept until the next run: table {staged.schema}.{staged.name} in {place}"
    raise DataTestError(f"data tests failed: {names}; the published table is unchanged", hint=kept)
