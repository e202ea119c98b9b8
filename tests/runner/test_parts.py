"""A stage with more calls than are scored at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlglot
from kit import DIGEST, Night, node, prepared, side

from sqlinfer.adapters.duckdb.pinned import part_relation
from sqlinfer.adapters.shared.groups import groups_of, parts_of
from sqlinfer.compiler.plan.scans import Emitted, passed_rows
from sqlinfer.runner.node import run_node
from sqlinfer.spec.plan import Call, Counts, Plan, Result, Stage

CALLS = 20
ROWS = 1000


def plan(*strategies: str) -> Plan:
    """Call number i over x + i, so that neighbours share most of their inputs; its strategy is the i-th, in turn."""
    stage, scored = side("scores__s1"), side("scores__s1_scored")
    columns, calls = ["id"], []
    for i in range(CALLS):
        strategy = strategies[i % len(strategies)]
        key = f"hash(x + {i})::UHUGEINT * 18446744073709551616::UHUGEINT + hash(x + {i + 1})::UHUGEINT"
        columns.append(f"x + {i} AS x{i}")
        if strategy == "store":
            columns.append(f"CASE WHEN x IS NOT NULL THEN {key} END AS k{i}")
        name = "k" + str(i) if strategy == "store" else None
        calls.append(Call("twice", DIGEST, strategy, (f"x{i}",), f"p{i}", name, "st", f"twice(x + {i})"))
    bad = "CASE WHEN raw IS NULL THEN 'null_input' WHEN raw = 'oops' THEN 'cast_error:x' END AS st"
    sql = (
        f"SELECT {', '.join(columns)}, {bad} "
        "FROM (SELECT id, raw, CASE WHEN id = 4 THEN -1000 ELSE try_cast(raw AS DOUBLE) END AS x FROM customers)"
    )
    outputs = ", ".join(f"p{i}" for i in range(CALLS))
    written = sqlglot.parse_one(f"SELECT id, {outputs} FROM {scored.sql()}", dialect="duckdb")
    read = written.sql(dialect="duckdb")
    known = (scored.name,) if set(strategies) == {"store"} else ()
    names = ("id", *(f"p{i}" for i in range(CALLS)))
    result = Result(read, names, passes_rows_of=passed_rows(Emitted(written, read, "duckdb"), names, known))
    return Plan("scores", "duckdb", "", (Stage("s1", stage, scored, sql, ("id",), tuple(calls)),), result)


def run(night: Night, *strategies: str, **config: object):
    with night.environment(prepared(strategies[0])) as env:
        return run_node(plan(*strategies), node(**config), env)  # type: ignore[arg-type]


WRONG = " or ".join(
    f"s.p{i} is distinct from (case when try_cast(c.raw as double) >= 0 then 2 * (c.raw::double + {i}) end)"
    for i in range(CALLS)
)


@pytest.mark.parametrize("strategies", [("store",), ("stream",), ("store", "stream")])
def test_every_result_stands_in_its_row(night: Night, strategies: tuple[str, ...]) -> None:
    result = run(night, *strategies)
    assert (result.status, result.rows) == ("success", ROWS), result.error
    assert night.sql(f"select count(*) from scores s join customers c using (id) where {WRONG}") == [(0,)]
    assert night.sql("select p0, p19 from scores where id = 10") == [(20.0, 58.0)]


def test_inputs_that_calls_share_are_scored_once(night: Night) -> None:
    result = run(night, "store")
    # 0 to 499 and 19 more: the last call adds 19; and -1000 to -981
    assert night.scored == 519 + CALLS
    assert result.counts == Counts(
        inputs=ROWS * CALLS, scored=519, reused=996 * CALLS - 519, null_inputs=2 * CALLS, errors=2 * CALLS
    )
    night.sessions.clear()
    assert run(night, "store").counts.scored == 0
    assert night.sessions == []


def test_streams_count_each_row(night: Night) -> None:
    result = run(night, "stream")
    assert result.counts == Counts(
        inputs=ROWS * CALLS, scored=996 * CALLS, null_inputs=2 * CALLS, errors=2 * CALLS
    )  # fmt: skip


@pytest.mark.parametrize("strategy", ["store", "stream"])
def test_error_records_name_the_row(night: Night, strategy: str) -> None:
    run(night, strategy, unique_key=("id",))
    rows = night.sql("select key_columns, error_class, count(*) from sqlinfer_errors group by 1, 2 order by 1")
    assert rows == [('{"id":3}', "cast_error", CALLS), ('{"id":4}', "runtime", CALLS)]


def test_lineage_tells_which_run_scored_a_row(night: Night) -> None:
    run(night, "store", lineage=True)
    night.sql("update customers set raw = '7777' where id = 20")
    run(night, "store", lineage=True)
    assert night.sql("select id, p0 from scores where _sqlinfer_run_id = 'run2' and p0 is not null") == [(20, 15554.0)]


@pytest.mark.parametrize("strategy", ["store", "stream"])
def test_nothing_is_left_in_the_side_file(night: Night, strategy: str) -> None:
    run(night, strategy)
    with night.adapter().workspace("look") as work:
        stage = plan(strategy).stages[0]
        assert not any(work.has(part_relation(stage, number)) for number in range(len(parts_of(stage.calls))))


def test_a_part_holds_one_strategy_and_few_calls() -> None:
    found = parts_of(plan("store", "stream").stages[0].calls)
    assert [len(part) for part in found] == [8, 2, 10]
    assert all(len({call.strategy for call in part}) == 1 for part in found)


def test_calls_of_one_function_go_together_where_a_stage_has_many() -> None:
    (stage,) = plan("store", "stream").stages
    assert [len(group) for group in groups_of(stage)] == [8, 2, 10]
    other = tuple(replace(call, digest=DIGEST[::-1] if n % 2 else "b" * 64) for n, call in enumerate(stage.calls))
    mixed = groups_of(replace(stage, calls=tuple(replace(call, strategy="store") for call in other)))
    assert [len(group) for group in mixed] == [8, 2, 6, 4]
    assert all(len({call.digest for call in group}) == 1 for group in mixed)


def test_few_calls_are_scored_one_by_one_and_streams_in_one_pass() -> None:
    (stage,) = plan("store", "stream").stages
    few = replace(stage, calls=stage.calls[:5])
    assert [[call.output for call in group] for group in groups_of(few)] == [["p0"], ["p2"], ["p4"], ["p1", "p3"]]
