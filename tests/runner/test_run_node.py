from __future__ import annotations

import pyarrow.parquet as pq
import pytest
from kit import Night, node, plan, prepared

from sqlinfer.errors import DatabaseLocked, DataTestError, PublicationError
from sqlinfer.project import DataTest
from sqlinfer.runner.node import retry_publication, run_node
from sqlinfer.spec.plan import Counts


def run(night: Night, *, strategy: str = "store", the_plan=None, the_node=None, is_slice: bool = False, **more):
    with night.environment(more.pop("function", None) or prepared(strategy), **more) as env:
        return run_node(the_plan or plan(strategy), the_node or node(), env, is_slice=is_slice)


@pytest.mark.parametrize("strategy", ["store", "stream"])
def test_publishes_every_row_with_its_prediction(night: Night, strategy: str) -> None:
    result = run(night, strategy=strategy)
    assert result.status == "success", result.error
    assert result.rows == 1000
    expected = night.sql(
        "select count(*) from scores s join customers c using (id) "
        "where s.score is distinct from (case when try_cast(raw as double) >= 0 then raw::double * 2 end)"
    )
    assert expected == [(0,)]


def test_store_counts_reconcile_and_duplicates_are_scored_once(night: Night) -> None:
    result = run(night)
    # 500 distinct values, of which 1, 2, 3, 4 remain through their second copy; -1 is a bad input
    assert night.scored == 501
    assert result.counts == Counts(inputs=1000, scored=500, reused=1000 - 500 - 2 - 2, null_inputs=2, errors=2)


def test_stream_counts_reconcile(night: Night) -> None:
    result = run(night, strategy="stream")
    assert result.counts == Counts(inputs=1000, scored=996, reused=0, null_inputs=2, errors=2)


@pytest.mark.parametrize("strategy", ["store", "stream"])
def test_error_rows_are_published_without_values(night: Night, strategy: str) -> None:
    run(night, strategy=strategy, the_node=node(unique_key=("id",)))
    rows = night.sql("select node, function, key_columns, stage, error_class, message from sqlinfer_errors order by 3")
    assert rows == [
        ("scores", "twice", '{"id":3}', "s1", "cast_error", "argument 'x' does not fit its declared type"),
        ("scores", "twice", '{"id":4}', "s1", "runtime", "runtime: negative"),
    ]


def test_second_night_scores_only_what_changed(night: Night) -> None:
    run(night)
    night.sessions.clear()
    night.sql(
        "update customers set raw = (10000 + id)::varchar where id between 100 and 169",
        "delete from customers where id >= 900",
    )
    result = run(night)
    assert night.scored == 70
    assert (result.counts.scored, result.rows) == (70, 900)
    assert night.sql("select count(*), max(id) from scores") == [(900, 899)]
    night.sessions.clear()
    assert run(night).counts.scored == 0
    assert night.sessions == []


def test_new_digest_scores_everything_again(night: Night) -> None:
    run(night)
    night.sessions.clear()
    other = prepared(digest="b" * 64)
    result = run(night, function=other, the_plan=plan(digest="b" * 64))
    assert result.counts.scored == 500
    assert night.sql("select score from scores where id = 10") == [(30.0,)]


def test_run_record_and_error_free_rerun(night: Night) -> None:
    run(night)
    rows = night.sql("select run_id, node, rows, inputs, scored, errors, status, functions from sqlinfer_runs")
    assert rows == [("run1", "model.p.scores", 1000, 1000, 500, 2, "success", ["twice@" + "a" * 12])]


def test_struct_results_are_null_where_nothing_was_scored(night: Night) -> None:
    for strategy in ("store", "stream"):
        result = run(
            night, function=prepared(strategy, struct=True, digest="c" * 64), the_plan=plan(strategy, "c" * 64)
        )
        assert result.status == "success", result.error
        assert night.sql("select score is null from scores where id in (1, 4) group by 1") == [(True,)]
        assert night.sql("select score from scores where id = 10") == [({"a": 30.0, "error": "30"},)]


def test_empty_input_publishes_an_empty_table_with_the_right_columns(night: Night) -> None:
    for strategy in ("store", "stream"):
        result = run(night, strategy=strategy, the_plan=plan(strategy, where="false"))
        assert (result.status, result.rows) == ("success", 0)
        assert [row[:2] for row in night.sql("describe scores")] == [("id", "BIGINT"), ("score", "DOUBLE")]


def test_too_many_errors_keep_the_old_table(night: Night) -> None:
    run(night)
    night.sql("update customers set raw = '-' || id where id < 100 and id > 10")
    result = run(night)
    assert result.status == "error"
    assert "max_error_rate" in result.message
    assert night.sql("select score from scores where id = 50") == [(100.0,)]


def test_failing_data_test_keeps_the_old_table_and_the_staged_rows(night: Night) -> None:
    run(night)
    night.sql("delete from customers where id = 10")
    test = DataTest("test.p.nn", "nn", "not_null", "model.p.scores", column="score")
    result = run(night, the_node=node(tests=(test,)))
    assert isinstance(result.error, DataTestError)
    assert result.tests[0].failures == 4
    assert night.sql("select count(*) from scores") == [(1000,)]
    with night.adapter().workspace("look") as work:
        assert work.rows('select count(*) from sqlinfer_side.stage."scores__result"') == [(999,)]


def test_incremental_merge_touches_only_changed_rows_and_removes_missing(night: Night) -> None:
    wanted = node("incremental", unique_key=("id",), lineage=True, on_missing="delete")
    run(night, the_node=wanted)
    night.sql("update customers set raw = '7777' where id = 20", "delete from customers where id = 21")
    result = run(night, the_node=wanted)
    assert result.status == "success", result.error
    assert night.sql("select count(*) from scores") == [(999,)]
    assert night.sql("select id, score from scores where _sqlinfer_run_id = 'run2'") == [(20, 15554.0)]


def test_slice_appends_and_removes_nothing(night: Night) -> None:
    wanted = node("incremental", unique_key=("id",))
    run(night, the_node=wanted)
    night.sql("insert into customers values (5000, '12'), (5001, '13')")
    result = run(night, the_plan=plan(where="id >= 990"), the_node=wanted, is_slice=True)
    assert result.rows == 12
    assert night.sql("select count(*) from scores") == [(1002,)]


def test_duplicate_keys_are_found_before_publication(night: Night) -> None:
    run(night, the_node=node("incremental", unique_key=("id",)))
    night.sql("insert into customers values (5, '12')")
    result = run(night, the_node=node("incremental", unique_key=("id",)))
    assert isinstance(result.error, PublicationError)
    assert "not unique" in result.message
    assert night.sql("select count(*) from scores") == [(1000,)]


@pytest.mark.parametrize(
    ("policy", "columns", "status"),
    [
        ("ignore", ["id", "score"], "success"),
        ("fail", ["id", "score"], "error"),
        ("append_new_columns", ["id", "score", "extra"], "success"),
        ("sync_all_columns", ["id", "extra"], "success"),
    ],
)
def test_schema_change_policies(night: Night, policy: str, columns: list[str], status: str) -> None:
    wanted = node("incremental", unique_key=("id",), on_schema_change=policy)
    run(night, the_node=wanted)
    before = night.sql("select id, score from scores order by id")
    result = run(night, the_plan=plan(columns='"id", 1 as extra'), the_node=wanted)
    assert result.status == status, result.error
    assert [row[0] for row in night.sql("describe scores")] == columns
    if "score" in columns:
        assert night.sql("select id, score from scores order by id") == before
    if "extra" in columns:
        assert night.sql("select count(*), min(extra), max(extra) from scores") == [(1000, 1, 1)]


def test_compaction_drops_keys_that_left_but_not_those_of_slices(night: Night) -> None:
    run(night)
    night.sql("delete from customers where id >= 100")
    run(night)
    with night.adapter().workspace("look") as work:
        assert work.rows(f'select count(*) from sqlinfer_side.store."twice@{"a" * 16}"') == [(97,)]


def test_plain_nodes_are_built_in_the_warehouse(night: Night) -> None:
    from sqlinfer.spec.plan import Plan, Result

    plain = Plan("n", "duckdb", "q", (), Result("select id from customers where id < 10"))
    assert run(night, the_plan=plain, the_node=node("view", name="v")).status == "success"
    assert run(night, the_plan=plain, the_node=node("table", name="t")).rows == 10
    assert night.sql("select count(*) from v union all select count(*) from t") == [(10,), (10,)]


def test_an_external_file_is_recorded_and_waits_for_a_held_database(night: Night, tmp_path, monkeypatch) -> None:
    target = tmp_path / "exports" / "scores.parquet"
    wanted = node("external", location=str(target))
    with night.environment() as env:
        result = run_node(plan(), wanted, env)
    assert (result.status, result.rows) == ("success", 1000)
    assert night.sql("select rows from sqlinfer_runs") == [(1000,)]
    before = target.read_bytes()
    night.sql("delete from customers where id >= 500")

    def held(*_: object) -> None:
        raise DatabaseLocked("database wh.duckdb is held by process 1", holder="process 1")

    with night.environment() as env:
        monkeypatch.setattr(env.workspace, "publishing", held)
        result = run_node(plan(), wanted, env)
        assert result.pending
        assert target.read_bytes() == before
        monkeypatch.undo()
        (result,) = retry_publication(env)
    assert (result.status, result.rows) == ("success", 500)
    assert pq.read_metadata(target).num_rows == 500
    assert [path.name for path in target.parent.iterdir()] == ["scores.parquet"]


def test_keys_that_left_are_forgotten_though_others_repeat(night: Night) -> None:
    with night.environment() as env:
        run_node(plan(), node(), env)
        stored = env.workspace.rows('SELECT count(*) FROM sqlinfer_side.store."twice@aaaaaaaaaaaaaaaa"')
    night.sql("update customers set raw = '7' where id % 500 between 10 and 400")
    with night.environment() as env:
        run_node(plan(), node(), env)
        left = env.workspace.rows('SELECT count(*) FROM sqlinfer_side.store."twice@aaaaaaaaaaaaaaaa"')
    assert (stored, left) == ([(501,)], [(110,)])
