"""A plan as SQL that can be run by hand. In: ``Plan`` and the contracts. Out: one script. Pure.

A query without predict() is itself. Else the script makes each stage in a database in memory, under the names that a
run gives it; where a run scores, the script puts NULL of the function's type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlinfer.relation import Relation, quote
from sqlinfer.shown import one_line
from sqlinfer.spec.function import FILE_STAMP, FunctionContract
from sqlinfer.spec.plan import Call, Plan, Stage
from sqlinfer.types import type_sql


def of_plan(plan: Plan, contracts: Mapping[str, FunctionContract]) -> str:
    return "\n\n".join(_statements(plan, contracts)) if plan.stages else plan.result.sql.strip()


def _statements(plan: Plan, contracts: Mapping[str, FunctionContract]) -> Iterator[str]:
    where = "a database in memory" if plan.dialect == "duckdb" else "the schema where a run makes them"
    yield f"-- To be run by hand in the warehouse: stages go to {where}, predictions are NULL."
    yield "\n".join(dict.fromkeys(line for stage in plan.stages for line in _place(stage.relation, plan.dialect)))
    if any(FILE_STAMP in stage.sql for stage in plan.stages):
        yield f"CREATE OR REPLACE TEMP MACRO {FILE_STAMP}(path) AS path;"
    for stage in plan.stages:
        made = _create("TABLE", stage.relation, plan.dialect)
        yield f"-- stage {stage.relation}\n{made}\n{stage.sql.strip()}\n;"
        if stage.scored is not None:
            yield _scored(stage, stage.scored, contracts, plan.dialect)
    yield f"-- result\n{plan.result.sql.strip()}\n;"


def _place(relation: Relation, dialect: str) -> Iterator[str]:
    if relation.catalog and dialect == "duckdb":
        yield f"ATTACH IF NOT EXISTS ':memory:' AS {quote(relation.catalog)} (READ_WRITE);"
    if relation.schema:
        yield f"CREATE SCHEMA IF NOT EXISTS {Relation(relation.schema, relation.catalog).sql(dialect)};"


def _create(kind: str, relation: Relation, dialect: str) -> str:
    name = relation.sql(dialect)
    if dialect == "duckdb":
        return f"CREATE OR REPLACE {kind} {name} AS"
    return f"DROP {kind} IF EXISTS {name} CASCADE;\nCREATE {kind} {name} AS"


def _scored(stage: Stage, scored: Relation, contracts: Mapping[str, FunctionContract], dialect: str) -> str:
    said = "\n".join(f"-- a run scores {one_line(' '.join(call.sql.split()))} as {call.output}" for call in stage.calls)
    nulls = [
        f"{_null(kind, dialect)} AS {quote(name, dialect)}"
        for call in stage.calls
        for name, kind in _outputs(call, contracts[call.function])
    ]
    columns = ",\n  ".join([*(quote(name, dialect) for name in stage.columns), *nulls])
    made, source = _create("VIEW", scored, dialect), stage.relation.sql(dialect)
    return f"{said}\n{made} SELECT\n  {columns}\nFROM {source}\n;"


def _outputs(call: Call, contract: FunctionContract) -> list[tuple[str, str]]:
    """Columns of the scored relation, and their types."""
    if not call.columns:
        return [(call.output, contract.return_type)]
    return [(name, output.data_type) for name, output in zip(call.columns, contract.outputs, strict=True)]


def _null(data_type: str, dialect: str) -> str:
    return f"CAST(NULL AS {data_type if dialect == 'duckdb' else type_sql(data_type, dialect)})"
