from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from kit import Night, node, plan, prepared

from sqlinfer.errors import RunError
from sqlinfer.project import Node, NodeConfig
from sqlinfer.relation import Relation
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.node import run_node
from sqlinfer.runner.preview import preview
from sqlinfer.runner.results import RunResult
from sqlinfer.runner.seed import seed
from sqlinfer.spec.events import NodeFinished, NodeStarted, Progress
from sqlinfer.spec.plan import Plan, Result


def files(night: Night) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in night.folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("strategy", ["store", "stream"])
def test_preview_gives_rows_and_writes_nothing(night: Night, strategy: str) -> None:
    before = files(night)
    with night.environment(prepared(strategy)) as env:
        table, counts = preview(plan(strategy, where="id < 20"), night.adapter(), env, limit=5)
    assert (table.num_rows, table.column_names, counts.inputs) == (5, ["id", "score"], 20)
    assert files(night)["wh.duckdb"] == before["wh.duckdb"]


def test_preview_reads_the_store(night: Night) -> None:
    with night.environment() as env:
        run_node(plan(), node(), env)
    night.sessions.clear()
    with night.environment() as held:
        factory = held.session_factory
    env = RunEnvironment(None, "p", {"twice": prepared()}, factory)  # type: ignore[arg-type]
    table, counts = preview(plan(where="id < 20"), night.adapter(), env)
    assert (table.num_rows, counts.scored, night.scored) == (20, 0, 0)


def seed_node(folder: Path, text: str, **config: object) -> Node:
    path = folder / "codes.csv"
    path.write_text(text)
    settings = NodeConfig(materialized="seed", **config)
    return Node("seed.p.codes", "codes", "seed", path, "", Relation("codes", "main", "wh"), settings)


def test_seed_loads_a_csv_with_declared_and_inferred_types(tmp_path: Path) -> None:
    night = Night(tmp_path)
    wanted = seed_node(tmp_path, 'zip,name,n\n00123,"a, b",1\n,,\n', column_types={"zip": "varchar"})
    with night.environment() as env:
        assert seed(wanted, env).rows == 2
    assert night.sql("from codes") == [("00123", "a, b", 1), (None, None, None)]


def test_a_seed_that_is_no_csv_is_one_error(tmp_path: Path) -> None:
    with Night(tmp_path).environment() as env:
        result = seed(seed_node(tmp_path, "a,b\n1,2,3\n"), env)
    assert result.status == "error"
    assert "codes.csv" in result.message


def test_run_results_follow_dbt(night: Night) -> None:
    with night.environment() as env:
        result = run_node(plan(), node(), env)
        run = RunResult(env.run_id, env.now()).with_result(result, 1.5)
        written = json.loads(json.dumps(run.as_dbt("1", env.now())))
    assert written["metadata"]["dbt_schema_version"].endswith("run-results/v6.json")
    entry = written["results"][0]
    assert (entry["status"], entry["unique_id"]) == ("success", "model.p.scores")
    answer = entry["adapter_response"]
    assert [answer[key] for key in ("rows", "scored", "reused", "null_inputs", "errors")] == [1000, 500, 496, 2, 2]


def test_events_tell_start_progress_and_end(night: Night) -> None:
    with night.environment(store_chunk=100) as env:
        run_node(plan(), node(), env)
    kinds = [type(event) for event in night.events]
    assert kinds[0] is NodeStarted
    assert kinds[-1] is NodeFinished
    progress = [event for event in night.events if isinstance(event, Progress)]
    assert (progress[-1].rows_done, progress[-1].rows_total) == (501, 501)


def test_cancel_keeps_what_was_scored(night: Night) -> None:
    stop = threading.Event()
    with night.environment(on_batch=stop.set, cancel=stop) as env:
        result = run_node(plan(), node(), env)
    assert isinstance(result.error, RunError)
    assert "interrupted" in result.message
    with night.environment() as env:
        assert run_node(plan(), node(), env).status == "success"


def test_forgotten_errors_are_tried_again(night: Night) -> None:
    with night.environment() as env:
        run_node(plan(), node(), env)
        night.sessions.clear()
        assert env.workspace.forget_errors(prepared().contract) == 1
        run_node(plan(), node(), env)
    assert night.scored == 1


def test_external_writes_parquet(night: Night) -> None:
    import pyarrow.parquet as pq

    target = night.folder / "out" / "scores.parquet"
    with night.environment() as env:
        result = run_node(plan(), node("external", location=str(target)), env)
        plain = Plan("n", "duckdb", "q", (), Result("select id from customers"))
        assert run_node(plain, node("external", location=str(target.with_name("ids.parquet"))), env).rows == 1000
    assert result.rows == 1000
    assert pq.read_table(target).column_names == ["id", "score"]
    assert sorted(path.name for path in target.parent.iterdir()) == ["ids.parquet", "scores.parquet"]
