"""``sqlinfer test``: data tests on published relations."""

from __future__ import annotations

from collections.abc import Iterable

from sqlinfer.errors import SqlinferError
from sqlinfer.project import DataTest
from sqlinfer.relation import Relation
from sqlinfer.runner.datatests import Audit, run_test
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.results import NodeResult

_NOTHING = Relation("none")


def run_tests(env: RunEnvironment, tests: Iterable[tuple[DataTest, Relation | None]]) -> tuple[NodeResult, ...]:
    """Each test with the relation that it tests (None for singular ones). One snapshot for all of them."""
    results = []
    with env.workspace.warehouse(), env.workspace.transaction():
        for test, relation in tests:
            try:
                audit = Audit(test, relation or _NOTHING, None, env.relations)
                results.append(run_test(env.workspace, audit))
            except SqlinferError as error:
                results.append(NodeResult(test.unique_id, "error", message=error.message, error=error))
    return tuple(results)
