"""A plan as SQL that can be run by hand. In: ``Plan`` and the contracts. Out: one script. Pure.

A query without predict() is itself. Else the script makes each stage in a database in memory, under the names that a
run gives it; where a run scores, the script puts NULL of the function's type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlinfer.relation import Relation, quote
from sqlinfer.shown import one_line
from sqlinfer.spec.function import FILE_STAMP, FunctionContract
from sqlinfer.spec.plan import Plan, Stage


def of_plan(plan: Plan, contracts: Mapping[str, FunctionContract]) -> str:
    return "\n\n".join(_statements(plan, contracts)) if plan.stages else plan.result.sql.strip()


def _statements(plan: Plan, contracts: Mapping[str, FunctionContract]) -> Iterator[str]:
    yield "-- To be run by hand in the warehouse: stages go to a database in memory, predictions are NULL."
    yield "\n".join(dict.fromkeys(line for stage in plan.stages for line in _place(stage.relation)))
    if any(FILE_STAMP in stage.sql for stage in plan.stages):
        yield f"CREATE OR REPLACE TEMP MACRO {FILE_STAMP}(path) AS path;"
    for stage in plan.stages:
        yield f"-- stage {stage.relation}\nCREATE OR REPLACE TABLE {stage.relation.sql()} AS\n{stage.sql.strip()}\n;"
        if stage.scored is not None:
            yield _scored(stage, stage.scored, contracts)
    yield f"-- result\n{plan.result.sql.strip()}\n;"


def _place(relation: Relation) -> Iterator[str]:
    if relation.catalog:
        yield f"ATTACH IF NOT EXISTS ':memory:' AS {quote(relation.catalog)} (READ_WRITE);"
    if relation.schema:
        yield f"CREATE SCHEMA IF NOT EXISTS {Relation(relation.schema, relation.catalog).sql()};"


def _scored(stage: Stage, scored: Relation, contracts: Mapping[str, FunctionContract]) -> str:
    said = "\n".join(f"-- a run scores {one_line(' '.join(call.sql.split()))} as {call.output}" for call in stage.calls)
    nulls = [f"CAST(NULL AS {contracts[call.function].return_type}) AS {quote(call.output)}" for call in stage.calls]
    columns = ",\n  ".join([*(quote(name) for name in stage.columns), *nulls])
    return f"{said}\nCREATE OR REPLACE VIEW {scored.sql()} AS SELECT\n  {columns}\nFROM {stage.relation.sql()}\n;"
