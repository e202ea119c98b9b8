"""Stages by key: which pass brings the arguments of new inputs, and that they are the right ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from kit import KEY, Night, node, plan, prepared, rewritten

from sqlinfer.adapters.duckdb import keyed
from sqlinfer.adapters.duckdb.keyed_call import KeyedCall
from sqlinfer.adapters.duckdb.lookups import LookUp
from sqlinfer.adapters.duckdb.reconcile import reconcile
from sqlinfer.adapters.duckdb.scratch import FRESH, scratch
from sqlinfer.adapters.duckdb.store import StoreTable
from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace
from sqlinfer.errors import RunError
from sqlinfer.jobs.tuning import parse_size
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.node import run_node
from sqlinfer.spec.function import Argument, FunctionContract, Output
from sqlinfer.spec.identity import Identity
from sqlinfer.spec.plan import Call, Counts, Owner, Stage


@pytest.fixture(params=["large"], autouse=True)
def table_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLINFER_LARGE_ROWS", "1")


@pytest.fixture
def distinct(night: Night) -> Night:
    """1,000 rows, every input once, all scored."""
    night.sql("update customers set raw = id::varchar")
    with night.environment() as env:
        run_node(plan(), node(), env)
    night.sessions.clear()
    return night


@contextmanager
def watched(night: Night, **more: object) -> Iterator[tuple[RunEnvironment, list[str]]]:
    """An environment, and the statements that write something made from the customers."""
    with night.environment(**more) as env:
        said: list[str] = []
        execute = env.workspace.execute

        def spy(sql: str, parameters: tuple[object, ...] = ()) -> None:
            if "customers" in sql and sql.startswith("CREATE"):
                said.append(sql)
            execute(sql, parameters)

        env.workspace.execute = spy  # type: ignore[method-assign]
        yield env, said


def test_a_table_that_the_store_knows_is_read_once(distinct: Night) -> None:
    distinct.sql("update customers set raw = (5000 + id)::varchar where id < 10")
    with watched(distinct) as (env, said):
        result = run_node(plan(), node(), env)
    assert (result.status, result.counts.scored, distinct.scored) == ("success", 10, 10)
    assert len(said) == 1
    wrong = "select count(*) from scores join customers using (id) where score is distinct from raw::double * 2"
    assert distinct.sql(wrong) == [(0,)]


def test_a_table_that_it_does_not_know_is_read_again_for_each_input_once(distinct: Night) -> None:
    distinct.sql(
        "create or replace table customers as select i as id, (i % 50 + 0.5)::varchar as raw from range(9000) r(i)"
    )
    with watched(distinct) as (env, said):
        result = run_node(plan(), node(), env)
    assert (result.status, result.counts.scored, distinct.scored) == ("success", 50, 50)
    assert len(said) == 2


def test_new_inputs_that_repeat_are_scored_once_and_failures_count_by_row(distinct: Night) -> None:
    distinct.sql(
        "update customers set raw = '7000' where id < 30",
        "update customers set raw = '-5' where id between 30 and 39",
        "update customers set raw = NULL where id = 40",
    )
    with distinct.environment() as env:
        result = run_node(plan(), node(unique_key=("id",)), env)
    assert sorted(distinct.sessions[0].seen) == [-5.0, 7000.0]
    assert result.counts == Counts(inputs=1000, scored=1, reused=1000 - 1 - 10 - 1, null_inputs=1, errors=10)
    assert distinct.sql("select count(*), count(distinct key_columns) from sqlinfer_errors") == [(10, 10)]
    assert distinct.sql("select count(*) from scores where score = 14000") == [(30,)]
    assert distinct.sql("select count(*) from scores where score is null") == [(11,)]


@pytest.mark.parametrize("known", [0, 400])
def test_a_second_call_scores_what_the_first_one_has_not(night: Night, known: int) -> None:
    """Two calls of one function in a stage: ``known`` inputs are remembered, the rest is shared half."""
    columns = "i as id, i::double as x, (i + 200)::double as y"
    night.sql(f"create or replace table customers as select {columns} from range(400) r(i)")
    if known:
        night.sql("create table before as select i as id, i::varchar as raw from range(400) r(i)")
        with night.environment() as env:
            run_node(plan(source="before", node="earlier"), node(name="earlier"), env)
        night.sessions.clear()
    two = plan()
    (stage,) = two.stages
    keys = ", ".join(f"CASE WHEN {c} IS NOT NULL THEN {KEY.replace('x', c)} END AS k{c}" for c in "xy")
    calls = tuple(replace(stage.calls[0], arguments=(c,), key=f"k{c}", status=None, output=f"score_{c}") for c in "xy")
    sql = f"SELECT id, x, y, {keys} FROM customers"
    stage = rewritten(replace(stage, calls=calls), sql)
    scored = stage.scored
    assert scored is not None
    two = replace(two, stages=(stage,), result=replace(two.result, sql=f"SELECT * FROM {scored.sql()}"))
    with night.environment() as env:
        result = run_node(two, node(), env)
    assert result.status == "success", result.error
    expected = sorted(set(range(600)) - set(range(known)))
    assert sorted(value for session in night.sessions for value in session.seen) == expected
    assert night.sql(
        "select count(*), count(*) filter (score_x = id * 2 and score_y = (id + 200) * 2) from scores"
    ) == [(400, 400)]


@contextmanager
def ten_new(night: Night) -> Iterator[tuple[RunEnvironment, Stage, StoreTable, KeyedCall]]:
    """An environment in which the stage is made, ten of its inputs are new, and nothing is scored yet."""
    night.sql("update customers set raw = (5000 + id)::varchar where id < 10")
    store = StoreTable(prepared().contract)
    (stage,) = plan().stages
    with night.environment() as env:
        with env.workspace.warehouse():
            one = _pinned(env, stage, store.contract)
        yield env, stage, store, one


def test_results_of_another_run_are_found(distinct: Night) -> None:
    """What was to be scored has been scored by another run in the meantime."""
    with ten_new(distinct) as (env, stage, store, one):
        work = env.workspace
        assert (one.wanted, bool(one.carried)) == (10, True)
        assert one.inputs is not None
        work.execute(f"INSERT INTO {store.relation.sql()} SELECT k, x, NULL, now(), 'another' FROM {one.inputs.sql()}")
        fresh = keyed.gather_fresh(work, stage, 0, one, store, "this run")
        assert fresh == scratch(stage, FRESH)
        assert work.rows(f"SELECT count(*), min(value) FROM {fresh.sql()}") == [(10, 5000.0)]


_ROW = """i as id, i::double / 3 as number, i::int as whole, (i % 2 = 0) as yes, ('text ' || i)::varchar as word,
(i / 7)::decimal(18, 4) as price, date '2026-01-01' + i::int as day, [i::float, -i::float, 0.5]::float[3] as point,
[i, i + 1] as parts, ('\\xAA' || i::varchar)::blob as raw, timestamp '2026-01-01' + interval (i) second as moment"""
_ARGUMENTS = ("number", "whole", "yes", "word", "price", "day", "point", "parts", "raw", "moment")


def test_arguments_of_every_type_are_carried_as_they_are(night: Night) -> None:
    night.sql(f"create or replace table customers as select {_ROW} from range(3000) r(i)")
    outputs = (Output("value", "DOUBLE"),)
    arguments = tuple(Argument(name, "VARCHAR") for name in _ARGUMENTS)
    contract = FunctionContract("many", "c" * 64, arguments, outputs, strategy="store")
    key = "hash(id)::UHUGEINT + 1"
    call = Call("many", "c" * 64, "store", _ARGUMENTS, "score", "k", None, "many()")
    stage = rewritten(
        replace(plan().stages[0], calls=(call,)), f"SELECT id, {', '.join(_ARGUMENTS)}, {key} AS k FROM customers"
    )
    store = StoreTable(contract)
    with night.environment() as env:
        work = env.workspace
        work.execute(store.create())
        with work.warehouse():
            known = f"SELECT {key}, 1, NULL, now(), 'x' FROM customers WHERE id % 100 > 2"
            work.execute(f"INSERT INTO {store.relation.sql()} {known}")
            one = _pinned(env, stage, contract)
            assert one.inputs is not None
            assert one.wanted == 90
            assert sorted(name for column in one.carried for name in column.arguments) == sorted(_ARGUMENTS)
            columns = ", ".join(("k", *_ARGUMENTS))
            wanted = f"SELECT {columns} FROM ({stage.sql}) WHERE id % 100 <= 2"
            given = f"SELECT {columns} FROM {one.inputs.sql()}"
            assert work.describe(wanted) == work.describe(given)
            assert work.rows(f"SELECT count(*) FROM ({wanted} EXCEPT ALL {given})") == [(0,)]
            assert work.rows(f"SELECT count(*) FROM ({given})") == [(90,)]


def _pinned(env: RunEnvironment, stage: Stage, contract: FunctionContract) -> KeyedCall:
    source = keyed.by_row(env.workspace, stage, 1)
    assert source is not None
    (one,) = keyed.pin_by_key(env.workspace, Owner("scores"), stage, source, [contract], keep_results=True)
    return one


def test_a_failure_among_new_results_is_told_from_a_missing_one(distinct: Night) -> None:
    """Digests of keys stand for a join only where both sides have the same."""
    with ten_new(distinct) as (env, stage, store, one):
        work = env.workspace
        assert one.inputs is not None
        rows = f"SELECT k, x, CASE WHEN x = 5003 THEN 'bad' END, now(), 'run' FROM {one.inputs.sql()}"
        table = replace(store.relation, name=f"{store.name}_new")
        work.execute(f"CREATE OR REPLACE TABLE {table.sql()} AS FROM {store.relation.sql()} LIMIT 0")
        work.execute(f"INSERT INTO {table.sql()} {rows} WHERE x <> 5005")
        found = LookUp(stage.calls[0], store, table, one)
        with pytest.raises(RunError, match="1 inputs of twice"):
            reconcile(work, Owner("scores"), stage, found, Identity((("id", "id"),), True))
        work.execute(f"INSERT INTO {table.sql()} {rows} WHERE x = 5005")
        assert reconcile(work, Owner("scores"), stage, found, Identity((("id", "id"),), True)).errors == 1


@pytest.mark.parametrize("items", ["id, unnest([x, y]) AS x", "id, x FROM (SELECT id, unnest([x, y]) AS x"])
def test_rows_that_become_several_are_not_told_by_their_row_id(distinct: Night, items: str) -> None:
    distinct.sql(
        "create or replace table customers as select i as id, i::double as x, i + 0.5 as y from range(90) r(i)"
    )
    closed = ")" if "(SELECT" in items else ""
    (stage,) = plan().stages
    stage = rewritten(stage, f"SELECT {items} FROM customers{closed}")
    with distinct.environment() as env, env.workspace.warehouse():
        assert keyed.by_row(env.workspace, stage, 1) is None
        plain = rewritten(stage, stage.sql.replace("unnest([x, y])", "x"))
        assert keyed.by_row(env.workspace, plain, 1) is not None


def test_a_low_memory_scan_has_room_for_a_block_of_each_column_and_thread(night: Night) -> None:
    def limit(work: DuckDBWorkspace) -> float:
        return parse_size(work.rows("SELECT current_setting('memory_limit')")[0][0].replace(" ", "")) / (1 << 20)

    for settings, columns, expected in (
        ({"threads": 2}, 20, 128 + 20),
        ({"threads": 2}, 300, 128 + 300),
        ({"threads": 2}, 600, 512),
        ({"threads": 16}, 20, 128 + 160),
        ({"threads": 16}, 600, 2048),
        ({"Max_Memory": "300MiB"}, 20, 300),
    ):
        with night.adapter(settings=settings).workspace("run") as work:
            before = limit(work)
            with work.low_memory_scan(columns):
                assert limit(work) == pytest.approx(expected, abs=1)
            assert limit(work) == before
