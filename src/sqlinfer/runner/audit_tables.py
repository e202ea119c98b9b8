"""``sqlinfer test``: data tests on published relations."""

from __future__ import annotations

from collections.abc import Iterable

from sqlinfer.audits.base import Scoring
from sqlinfer.audits.queries import NOTHING
from sqlinfer.errors import SqlinferError
from sqlinfer.project import DataTest
from sqlinfer.relation import Relation
from sqlinfer.runner.auditing import store_failures
from sqlinfer.runner.datatests import Tested, run_test
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.spec.results import NodeResult


def run_tests(env: RunEnvironment, tests: Iterable[tuple[DataTest, Relation | None]]) -> tuple[NodeResult, ...]:
    """Each test with the relation that it tests (None for singular ones). One snapshot for all of them."""
    wanted, results = tuple(tests), []
    with env.workspace.warehouse():
        for test, relation in wanted:
            try:
                results.append(run_test(env.workspace, test, _tested(env, test, relation)))
            except SqlinferError as error:
                results.append(NodeResult(test.unique_id, "error", message=error.message, error=error))
    store_failures(env, (test for test, _ in wanted), results)
    return tuple(results)


def _tested(env: RunEnvironment, test: DataTest, relation: Relation | None) -> Tested:
    if relation is None:
        return Tested(NOTHING, relations=env.relations)
    scoring = _last_scoring(env, test, relation) if test.kind == "error_rate" and test.column is None else None
    return Tested(relation, relation, scoring=scoring, relations=env.relations)


def _last_scoring(env: RunEnvironment, test: DataTest, relation: Relation) -> Scoring | None:
    """Of the run that published the relation last."""
    last = env.workspace.last_run(relation, test.node or "")
    return None if last is None else Scoring(last.errors, last.inputs)
