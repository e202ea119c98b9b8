"""Results looked up by place: nights end as they do with a join, whatever has changed in the source."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kit import KEY, Night, node, plan, prepared, rewritten

from sqlinfer.adapters.duckdb import in_place, row_order
from sqlinfer.adapters.duckdb.keyed_call import KeyedCall
from sqlinfer.adapters.duckdb.store import StoreTable
from sqlinfer.project import Node
from sqlinfer.runner.node import run_node
from sqlinfer.spec.function import PreparedFunction
from sqlinfer.spec.results import NodeResult

SOURCE = "create or replace table customers as select i as id, (i * 3)::varchar as raw from range({rows}) r(i)"
SCALAR, STRUCT = prepared(), prepared(struct=True)


@pytest.fixture(params=["large"], autouse=True)
def table_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLINFER_LARGE_ROWS", "1")
    monkeypatch.setattr(row_order, "FEWEST", 1)


def watched(monkeypatch: pytest.MonkeyPatch, name: str) -> list[bool]:
    """For each call of a function of ``in_place``, whether the rows stood where they did."""
    seen: list[bool] = []
    real = getattr(in_place, name)

    def told(*arguments: Any) -> list[KeyedCall] | None:
        found: list[KeyedCall] | None = real(*arguments)
        seen.append(found is not None)
        return found

    monkeypatch.setattr(in_place, name, told)
    return seen


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    return watched(monkeypatch, "place")


def made(folder: Path, rows: int = 2000) -> Night:
    folder.mkdir(exist_ok=True)
    night = Night(folder)
    night.sql(SOURCE.format(rows=rows))
    return night


def run(night: Night, function: PreparedFunction = SCALAR, of: Node | None = None, **more: Any) -> NodeResult:
    with night.environment(function, max_error_rate=1.0) as env:
        result = run_node(more.pop("plan", plan()), of or merged(), env)
    assert result.status == "success", result.error
    return result


def merged() -> Node:
    return node("incremental", unique_key=("id",), on_missing="delete")


@contextmanager
def workspace(night: Night) -> Iterator[Any]:
    with night.adapter().workspace("look") as work:
        yield work


def order_of(night: Night, function: PreparedFunction = SCALAR) -> list[tuple[Any, ...]] | None:
    with workspace(night) as work:
        found = row_order.relation(plan().owner.side, StoreTable(function.contract).name)
        return work.rows(f"SELECT input_key, result FROM {found.sql()}") if work.has(found) else None


def changes(rng: random.Random) -> list[str]:
    """What happens to a source over night."""
    some = f"id % {rng.randrange(40, 90)} = {rng.randrange(30)}"
    return rng.choice(
        [
            [f"update customers set raw = '{rng.randrange(9)}' where {some}"],
            [f"update customers set raw = NULL where {some}"],
            [f"update customers set raw = 'oops' where {some}"],
            [f"update customers set raw = '-1' where {some}"],
            [f"update customers set raw = (id * 3)::varchar where {some}"],
            ["insert into customers select max(id) + 1, '77' from customers"],
            [f"delete from customers where id = {rng.randrange(2000)}"],
            ["delete from customers where id > 1500"],
            ["create or replace table customers as select * from customers order by hash(id)"],
            [],
        ]
    )


@pytest.mark.parametrize(("function", "seed"), [(SCALAR, 0), (SCALAR, 1), (SCALAR, 2), (STRUCT, 3), (STRUCT, 4)])
@pytest.mark.thorough("function1", "function3")
def test_nights_end_as_with_a_join(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: list[bool], function: PreparedFunction, seed: int
) -> None:
    rng = random.Random(seed)
    ours, joined = made(tmp_path / "ours"), made(tmp_path / "joined")
    for _ in range(6):
        statements = [one for _ in range(rng.randrange(1, 3)) for one in changes(rng)]
        told = []
        for night, fewest in ((ours, 1), (joined, 10**9)):
            monkeypatch.setattr(row_order, "FEWEST", fewest)
            night.sql("select 1", *statements)
            result = run(night, function)
            errors = night.sql("select count(*) from duckdb_tables() where table_name = 'sqlinfer_errors'") != [
                (0,)
            ] and night.sql("select key_columns, error_class, message from sqlinfer_errors order by all")
            told.append((result.counts, result.rows, night.sql("select * from scores order by all"), errors))
        assert told[0] == told[1]
    assert any(taken)


def test_the_second_night_is_compared_with_the_store_itself(tmp_path: Path, taken: list[bool]) -> None:
    night = made(tmp_path)
    run(night)
    night.sql("update customers set raw = '5' where id < 30")
    assert run(night).counts.scored == 1
    assert taken == [True]
    assert order_of(night) is None
    assert night.sql("select count(*) from scores where score is distinct from if(id < 30, 10, id * 6)") == [(0,)]


def test_an_order_is_written_where_rows_without_a_key_move_the_others(tmp_path: Path, taken: list[bool]) -> None:
    night = made(tmp_path)
    night.sql("update customers set raw = NULL where id = 5")
    run(night)
    run(night)
    assert taken == [False]
    order = order_of(night)
    assert order is not None
    assert [result for _, result in order] == [None if id == 5 else id * 6.0 for id in range(2000)]
    run(night)
    assert taken == [False, True]


def test_rows_that_stand_elsewhere_every_night_are_tried_less_and_less(tmp_path: Path, taken: list[bool]) -> None:
    night, tries = made(tmp_path), []
    for number in range(16):
        night.sql(f"create or replace table customers as select * from customers order by hash(id + {number})")
        assert run(night).rows == 2000
        tries.append(len(taken))
    assert not any(taken)
    gaps = [tries.index(number + 1) - tries.index(number) for number in range(1, max(tries))]
    assert gaps == sorted(gaps)
    assert gaps[-1] > 3
    assert night.sql("select count(*) from scores where score is distinct from id * 6") == [(0,)]


def test_rows_that_stand_again_are_no_longer_put_off(tmp_path: Path, taken: list[bool]) -> None:
    night = made(tmp_path)
    run(night)
    for _ in range(3):
        night.sql("create or replace table customers as select * from customers order by hash(id + 1)")
        run(night)
    assert taken[-1]
    with workspace(night) as work:
        assert work.notes("order") == {}


def test_an_order_that_has_drifted_is_written_anew(tmp_path: Path, taken: list[bool]) -> None:
    night = made(tmp_path)
    run(night)
    night.sql("update customers set raw = (id + 0.5)::varchar where id < 150")
    run(night)
    order = order_of(night)
    assert order is not None
    assert sum(key is None for key, _ in order) == 150  # they were new: known by their place from the next time on
    night.sql("update customers set raw = '1' where id = 0")
    assert run(night).counts.scored == 1
    assert taken == [True, True]


def test_an_input_that_comes_back_needs_no_key_in_the_store(tmp_path: Path, taken: list[bool]) -> None:
    """What the order remembers is a result of the same function, whatever left the store since."""
    night = made(tmp_path)
    night.sql("update customers set raw = NULL where id = 5")
    for raw in ("'9000.5'", "'9000.5'", "'1'", "'9000.5'"):
        night.sql(f"update customers set raw = {raw} where id = 7")
        run(night)
    assert night.sql("select score from scores where id = 7") == [(18001.0,)]
    assert taken[-1]


def test_failures_are_asked_of_the_store(tmp_path: Path, taken: list[bool]) -> None:
    """``retry --errors`` forgets them there."""
    night = made(tmp_path)
    night.sql("update customers set raw = '-4' where id = 9")
    for _ in range(2):
        assert run(night).counts.errors == 1
    with night.environment(max_error_rate=1.0, retry_errors=True) as env:
        result = run_node(plan(), merged(), env)
    assert (result.counts.errors, night.sessions[-1].seen) == (1, [-4.0])
    assert taken == [True, False]  # the store that they left has its rows elsewhere


def test_a_key_that_the_store_holds_twice_is_refused(tmp_path: Path) -> None:
    night = made(tmp_path)
    night.sql("update customers set raw = '-4' where id = 9")
    run(night)
    with workspace(night) as work:
        table = StoreTable(SCALAR.contract).relation.sql()
        work.execute(f"INSERT INTO {table} SELECT * FROM {table} WHERE error IS NOT NULL")
    with night.environment(max_error_rate=1.0) as env:
        result = run_node(plan(), merged(), env)
    assert result.error is not None
    assert "holds a key twice" in result.error.message


def test_a_new_model_takes_the_order_of_the_old_one_along(tmp_path: Path) -> None:
    night = made(tmp_path)
    night.sql("update customers set raw = NULL where id = 5")
    run(night)
    run(night)
    assert order_of(night) is not None
    newer = prepared(digest="b" * 64)
    run(night, newer, plan=plan(digest="b" * 64))
    assert order_of(night) is None


def test_lineage_is_looked_up_by_key(tmp_path: Path, taken: list[bool]) -> None:
    night = made(tmp_path)
    for _ in range(2):
        run(night, of=node("incremental", unique_key=("id",), on_missing="delete", lineage=True))
    assert taken == []
    assert night.sql("select count(*) from scores where _sqlinfer_run_id = 'run1'") == [(2000,)]


def test_updates_that_moved_a_row_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: list[bool]) -> None:
    night = made(tmp_path)
    run(night)
    night.sql("update customers set raw = '5' where id = 3")
    real = in_place._look_up

    def moving(work: Any, placed: Any, *others: Any) -> None:
        real(work, placed, *others)
        work.execute(f"UPDATE {placed.found.sql()} SET place = place + 1 WHERE place = 7")

    monkeypatch.setattr(in_place, "_look_up", moving)
    assert run(night).counts.scored == 1
    assert taken == [False]
    assert night.sql("select count(*) from scores where score is distinct from if(id = 3, 10, id * 6)") == [(0,)]


def test_each_function_of_a_stage_has_an_order_of_its_own(tmp_path: Path, taken: list[bool]) -> None:
    night, newer = made(tmp_path), prepared(digest="b" * 64, name="thrice")
    (stage,) = plan().stages
    first = replace(stage.calls[0], status=None)
    second = replace(first, function="thrice", digest="b" * 64, key="k2", output="other")
    key = KEY.replace("x", "y")
    sql = (
        f"SELECT id, x, CASE WHEN x IS NOT NULL THEN {KEY} END AS k, y, CASE WHEN y IS NOT NULL THEN {key} END AS k2 "
        "FROM (SELECT id, try_cast(raw AS DOUBLE) AS x, CASE WHEN id <> 5 THEN id + 0.25 END AS y FROM customers) AS q"
    )
    stage = rewritten(replace(stage, calls=(first, replace(second, arguments=("y",)))), sql)
    two = replace(plan(columns='"id", "score", "other"'), stages=(stage,))
    for raw in ("'1'", "'2'", "'3'", "'4'"):
        night.sql(f"update customers set raw = {raw} where id in (3, 8)")
        with night.environment(newer) as env:
            env = replace(env, functions={"twice": SCALAR, "thrice": newer})
            assert run_node(two, merged(), env).status == "success"
    assert taken == [False, True, True]  # the second call's store has no row for the NULL
    score, other = "if(id in (3, 8), 12, id * 9)", "if(id <> 5, (id + 0.25) * 3, null)"
    wrong = f"score is distinct from {score} or other is distinct from {other}"
    assert night.sql(f"select * from scores where {wrong}") == []


@pytest.mark.parametrize(
    ("raw", "stands"), [("'7.5'", True), ("'-4'", True), ("'12'", False), ("NULL", False), ("'oops'", False)]
)
def test_a_first_night_needs_no_join_where_every_input_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: str, stands: bool
) -> None:
    """-4 fails; 12 is another row's input; the last two have no key."""
    seen = watched(monkeypatch, "place_scored")
    night = made(tmp_path)
    night.sql(f"update customers set raw = {raw} where id = 9")
    result = run(night)
    assert seen == [stands]
    expected = {"'7.5'": 15.0, "'12'": 24.0}.get(raw)
    assert result.counts.errors == (raw in ("'-4'", "'oops'"))
    rows = night.sql("select id, score from scores")
    assert sorted(rows) == [(id, expected if id == 9 else id * 6.0) for id in range(2000)]
    if stands:
        assert rows == sorted(rows)
