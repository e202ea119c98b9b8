"""Data tests: each is a query whose rows are failures. They run on a staged result or on a published relation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from sqlinfer.adapters.base import Workspace
from sqlinfer.audits.base import Audit, Rows, Scoring, Subject
from sqlinfer.audits.queries import (
    NOTHING,
    all_rows,
    failing_of_own,
    failures,
    holds,
    one_column,
    some_rows,
    verdict,
)
from sqlinfer.audits.registry import Problem, find, read
from sqlinfer.errors import DataTestError, RunError, SqlinferError, did_you_mean
from sqlinfer.project import DataTest
from sqlinfer.relation import Relation
from sqlinfer.spec.results import NodeResult, Status

SINGULAR = "singular"


@dataclass(frozen=True, slots=True)
class Tested:
    """What the tests of one node look at."""

    rows: Relation | str
    """A relation or a query: the rows that the relation has, or will have."""
    relation: Relation | None = None
    """Where readers find it; a test that refers to it means ``rows``."""
    published: Relation | None = None
    """As readers see it now, where it is there and differs from ``rows``."""
    tonight: Relation | None = None
    """The rows of this run alone, where ``rows`` has more."""
    scoring: Scoring | None = None
    relations: Mapping[str, Relation] = field(default_factory=dict)
    """What arguments may name."""
    described: dict[str, Mapping[str, str]] = field(default_factory=dict, compare=False)
    """Query → names and types of its columns: the tests of a node look at the same rows."""


def needs_warehouse(test: DataTest) -> bool:
    """Whether the test reads more than the rows that it is about."""
    kind = find(test.kind)
    texts = [test.column or "", str(test.config.get("fail_calc") or ""), *_texts(test.arguments)]
    return kind is None or kind.reads_warehouse or bool(test.where) or any("(" in text for text in texts)


def _texts(value: object) -> Iterator[str]:
    """Texts of arguments: each may be SQL with a subquery."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


def run_test(work: Workspace, test: DataTest, tested: Tested) -> NodeResult:
    """A failing test raises nothing: the status says it.

    Raises:
        RunError: the test cannot be run.
    """
    began = perf_counter()
    try:
        sql = test_sql(work, test, tested)
        judged = _judged(work, test, sql)
    except SqlinferError as error:
        raise RunError(
            f"data test {test.name}: {error.message}", hint=error.hint, location=test.location or error.location
        ) from error
    return NodeResult(
        test.unique_id, judged.status, message=judged.message, execution_time=perf_counter() - began,
        failures=judged.failures, compiled_code=sql,
    )  # fmt: skip


def test_sql(work: Workspace, test: DataTest, tested: Tested) -> str:
    """The failing rows of a test."""
    if test.kind == SINGULAR:
        return test.sql or NOTHING
    if test.sql is not None:
        return failing_of_own(test.sql, _rows(work, tested, tested.rows, test.where).source)
    audit = read(test.kind, test.arguments, test.column)
    if isinstance(audit, Problem):
        raise RunError(audit.message, hint=audit.hint)
    return audit.failing(_subject(work, test, audit, tested))


test_sql.__test__ = False  # type: ignore[attr-defined]


def _subject(work: Workspace, test: DataTest, audit: Audit, tested: Tested) -> Subject:
    rows = _rows(work, tested, tested.rows, test.where)
    column = rows.name(test.column) if test.column else None
    return Subject(
        rows,
        column,
        _type_of(work, rows, test.column, column),
        _published(work, test, tested) if audit.reads_warehouse else None,
        None if tested.tonight is None else _rows(work, tested, tested.tonight, test.where),
        lambda name: _other(work, name, tested),
        tested.scoring,
    )


def _rows(work: Workspace, tested: Tested, what: Relation | str, where: str | None = None) -> Rows:
    query = all_rows(what, work.dialect)
    if query not in tested.described:
        tested.described[query] = {column.name: column.data_type for column in work.describe(query)}
    return Rows(some_rows(query, where), tested.described[query], work.dialect)


def _type_of(work: Workspace, rows: Rows, name: str | None, column: str | None) -> str | None:
    if name is None or column is None:
        return None
    return rows.type_of(name) or work.describe(one_column(column, rows.source))[0].data_type


def _published(work: Workspace, test: DataTest, tested: Tested) -> Rows | None:
    """None as well where the published relation does not have the column yet."""
    if tested.published is None:
        return None
    found = _rows(work, tested, tested.published)
    try:
        if test.column is not None:
            found.name(test.column)
        return _rows(work, tested, tested.published, test.where)
    except SqlinferError:
        return None


def _other(work: Workspace, name: Any, tested: Tested) -> Rows:
    """The relation that an argument names, as ``ref('x')``, ``x`` or ``schema.x``; itself as it will be."""
    text = str(name).strip()
    if "(" in text:
        text = ".".join(part.strip(" '\"") for part in text[text.index("(") + 1 : text.rindex(")")].split(","))
    found = name if isinstance(name, Relation) else tested.relations.get(text)
    if isinstance(name, tuple):  # deferred: dbt takes the other one where the first is not there
        found = next((one for one in name if work.has(one)), name[0])
    if found is None:
        raise RunError(f"it refers to '{text}'", hint=did_you_mean(text, tested.relations))
    if tested.relation is not None and found.folded() == tested.relation.folded():
        return _rows(work, tested, tested.rows)
    return _rows(work, tested, found)


@dataclass(frozen=True, slots=True)
class _Verdict:
    failures: int
    status: Status
    message: str = ""


def _judged(work: Workspace, test: DataTest, sql: str) -> _Verdict:
    """By dbt's rules."""
    counted = test.config.get("fail_calc") or "count(*)"
    count = _number(work.rows(failures(sql, counted, test.config.get("limit"))), counted)
    known = (holds(count, test.error_if), holds(count, test.warn_if))
    is_error, is_warning = work.rows(verdict(count, test.error_if, test.warn_if))[0] if None in known else known
    got = f"got {count} result{'s' if count != 1 else ''}"
    if test.severity == "error" and is_error:
        return _Verdict(count, "fail", f"{got}, configured to fail if {test.error_if}")
    if is_warning:
        return _Verdict(count, "warn", f"{got}, configured to warn if {test.warn_if}")
    return _Verdict(count, "pass")


def _number(found: Sequence[Sequence[Any]], counted: str) -> int:
    """No row at all: a calculation without an aggregate, of no failing rows."""
    if len(found) > 1:
        raise RunError(f"fail_calc {counted} gives more than one row", hint="it aggregates: count(*), sum(n_records)")
    value = found[0][0] if found else None
    try:
        return int(value or 0)
    except (TypeError, ValueError, OverflowError):
        raise RunError(f"fail_calc {counted} gives no number", hint="for example sum(n_records)") from None


def refuse_failed(results: tuple[NodeResult, ...], staged: Relation | None = None, place: str = "") -> None:
    """Raises DataTestError where a test failed, and what was wrong with one that could not be run."""
    broken = next((result.error for result in results if result.error is not None), None)
    if broken is not None:
        raise broken
    failed = [result for result in results if result.status == "fail"]
    if not failed:
        return
    names = ", ".join(f"{result.unique_id} ({result.failures})" for result in failed)
    kept = "nothing was changed"
    if staged:
        kept = f"the rows are kept until the next run: table {staged.schema}.{staged.name} in {place}"
    raise DataTestError(f"data tests failed: {names}; the published table is unchanged", hint=kept)
