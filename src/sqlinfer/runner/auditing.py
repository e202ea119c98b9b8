"""The data tests of a node, before it is published: on its staged rows, or on its table inside the transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from sqlinfer.adapters.base import Materialization
from sqlinfer.audits.base import Scoring
from sqlinfer.audits.queries import at_most
from sqlinfer.errors import SqlinferError
from sqlinfer.project import DataTest, Node
from sqlinfer.relation import Relation
from sqlinfer.runner.datatests import Tested, needs_warehouse, refuse_failed, run_test
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.spec.events import Audited, Warned
from sqlinfer.spec.plan import Counts
from sqlinfer.spec.results import NodeResult


def audit_staged(
    env: RunEnvironment, node: Node, how: Materialization, staged: Relation, counts: Counts
) -> tuple[NodeResult, ...]:
    """Tests on what the published table will be: the staged rows, and those that stay beside them."""
    if not node.tests:
        return ()
    work = env.workspace
    reads = any(needs_warehouse(test) for test in node.tests)
    with work.warehouse() if how.adds or reads else nullcontext():
        whole = work.outcome(how, staged.query(work.dialect)) if how.adds else None
        tested = Tested(
            whole or staged,
            node.relation,
            node.relation if reads and work.has(node.relation) else None,
            staged if whole else None,
            Scoring(counts.errors, counts.inputs),
            env.relations,
        )
        return _run(env, node, tested)


def audit_query(env: RunEnvironment, node: Node, sql: str) -> tuple[NodeResult, ...]:
    """Tests on the rows of a query that is to be written to files."""
    with env.workspace.warehouse():
        return _run(env, node, Tested(sql, node.read_as, relations=env.relations))


def named_by(env: RunEnvironment, tests: Sequence[DataTest]) -> str:
    """What tests say, and the relations whose rows are files that they may read, as SQL."""
    said = " ".join(f"{test.sql or ''} {test.arguments}" for test in tests)
    found = {one for name, one in env.filed.items() if name in said or one.name in said}
    return " ".join((said, *(one.sql(env.workspace.dialect) for one in sorted(found, key=str))))


def audit_written(
    env: RunEnvironment, node: Node, target: Relation, counts: Counts | None = None
) -> tuple[NodeResult, ...]:
    """Tests on a table which the open transaction has written."""
    scoring = Scoring(counts.errors, counts.inputs) if counts else Scoring()
    tested = Tested(target, target, scoring=scoring, relations=env.relations)
    return _run(env, node, tested, in_transaction=True)


@dataclass(frozen=True, slots=True)
class SplitTests:
    staged: tuple[DataTest, ...]
    """Run on the rows before they are published."""
    written: tuple[DataTest, ...] = ()
    """Run on the table inside the transaction."""


def split_tests(tests: tuple[DataTest, ...], *, hooked: bool) -> SplitTests:
    """``hooked``: hooks inside the transaction change the table, so that it is the table which is tested.

    Tests that compare with what readers see now stay with the staged rows.
    """
    if not hooked:
        return SplitTests(tests)
    early = tuple(test for test in tests if test.kind == "distribution_shift")
    return SplitTests(early, tuple(test for test in tests if test not in early))


def audit_again(env: RunEnvironment, node: Node, how: Materialization, sql: str) -> None:
    """Keep the failing rows of a table that was rolled back: ``sql`` is its query."""
    work = env.workspace
    with work.warehouse():
        tested = Tested(work.outcome(how, sql) or sql, node.relation, scoring=Scoring(), relations=env.relations)
        again = [test for test in node.tests if test.stored]
        results = [run_test(work, test, tested) for test in again]
    store_failures(env, again, results)


def unique_columns(node: Node) -> tuple[str, ...]:
    """Columns that a test holds to be unique."""
    tests = [test for test in node.tests if test.kind == "unique"]
    return tuple(name for test in tests for name in (test.column, *_listed(test.arguments.get("columns"))) if name)


def _listed(names: object) -> list[str]:
    return [names] if isinstance(names, str) else list(names) if isinstance(names, list) else []


def _run(env: RunEnvironment, node: Node, tested: Tested, *, in_transaction: bool = False) -> tuple[NodeResult, ...]:
    """A test that cannot be run has a result too; it may have ended the transaction for those after it."""
    results: list[NodeResult] = []
    for test in node.tests:
        try:
            found = run_test(env.workspace, test, tested)
        except SqlinferError as error:
            found = NodeResult(test.unique_id, "error", message=error.message, error=error)
        results.append(found)
        env.emit(Audited(node.unique_id, found))
        if found.error is not None and in_transaction:
            break
    return tuple(results)


def store_failures(env: RunEnvironment, tests: Iterable[DataTest], results: Sequence[NodeResult]) -> None:
    """The failing rows of tests with ``store_failures`` become tables, as dbt makes them. It stops no night."""
    by_id = {result.unique_id: result for result in results}
    kept = [(test, by_id[test.unique_id]) for test in tests if test.stored and test.unique_id in by_id]
    kept = [(test, result) for test, result in kept if result.compiled_code and result.status != "error"]
    if not kept:
        return
    work = env.workspace
    try:
        for database in dict.fromkeys(test.stored.catalog for test, _ in kept if test.stored):
            inside = [(test, one) for test, one in kept if test.stored and test.stored.catalog == database]
            with work.publishing(env.publish_timeout, inside[0][0].stored):
                for test, result in inside:
                    _store(env, test, str(result.compiled_code))
    except SqlinferError as error:
        env.emit(Warned(kept[0][0].unique_id, f"failing rows are not stored: {error.message}"))


def _store(env: RunEnvironment, test: DataTest, sql: str) -> None:
    assert test.stored is not None
    env.workspace.make_place(test.stored)
    env.workspace.materialize(Materialization(test.stored), at_most(sql, test.config.get("limit")))


def gate(env: RunEnvironment, node: Node, results: tuple[NodeResult, ...], staged: Relation) -> None:
    """Raise where a test failed or could not be run, after the failing rows are stored."""
    store_failures(env, node.tests, results)
    refuse_failed(results, staged, env.workspace.place)
