"""Side files of older versions: a table for each kind of note, relations called by the node's plain name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from kit import DIGEST, Night, node, plan, side

from sqlinfer.adapters.base import Materialization
from sqlinfer.errors import StoreError
from sqlinfer.relation import Relation
from sqlinfer.runner.crash_notes import blame_crash
from sqlinfer.runner.environment import now_utc
from sqlinfer.runner.node import retry_publication, run_node
from sqlinfer.runner.publication import Publication
from sqlinfer.spec.plan import Plan

PENDING, PASSES = "sqlinfer_side.meta.pending", "sqlinfer_side.meta.passes"


@pytest.fixture
def night(tmp_path: Path) -> Night:
    made = Night(tmp_path)
    made.sql("create table customers as select i as id, i::varchar as raw from range(20) r(i)")
    return made


def planned(unique_id: str = "model.p.scores") -> Plan:
    return replace(plan(), unique_id=unique_id)


def test_a_publication_that_waits_is_published(night: Night) -> None:
    with night.environment() as env:
        work, target = env.workspace, Relation("scores", "main", "wh")
        work.execute(f"CREATE TABLE {side('scores__result').sql()} AS SELECT 1 AS id, 2.5 AS score")
        how = Materialization(target, "incremental", ("id",))
        sql = f"SELECT * FROM {side('scores__result').sql()}"
        old = Publication("model.p.scores", "scores", "run0", how, sql, env.now(), side="scores").to_payload()
        del old["side"], old["version"], old["how"]["predictions"]
        work.execute(f"CREATE TABLE {PENDING} (unique_id VARCHAR, payload VARCHAR, created_at TIMESTAMPTZ)")
        work.execute(f"INSERT INTO {PENDING} VALUES ('model.p.scores', ?, now())", (json.dumps(old),))
    with night.environment() as env:
        assert not env.workspace.has(Relation("pending", "meta", "sqlinfer_side"))
        (result,) = retry_publication(env)
        assert result.status == "success", result.error
        assert not env.workspace.has(side("scores__result"))
        assert env.workspace.notes("pending") == {}
    assert night.sql("select id, score::double from scores") == [(1, 2.5)]


def test_a_publication_of_a_newer_version_is_left_alone(night: Night) -> None:
    with night.environment() as env:
        env.workspace.note("pending", "model.p.scores", {"version": 99, "node": "scores", "side": "scores"})
        with pytest.raises(StoreError, match="newer version of sqlinfer has left 'scores'"):
            retry_publication(env)
        assert run_node(planned(), node(), env).status == "success"
        assert env.workspace.notes("pending") == {}


def test_a_field_that_a_later_version_added_is_passed_over() -> None:
    how = Materialization(Relation("scores"))
    wanted = Publication("model.p.scores", "scores", "run0", how, "select 1", now_utc())
    payload = wanted.to_payload()
    payload |= {"later": 1, "how": payload["how"] | {"later": 2}}
    assert Publication.from_payload(payload) == wanted


def test_what_is_left_goes_and_keys_in_use_stay_known(night: Night) -> None:
    store = f"twice@{'a' * 16}"
    with night.environment() as env:
        work = env.workspace
        work.execute("CREATE TABLE sqlinfer_side.stage.scores__s1 AS SELECT 1 AS x")
        work.execute("CREATE VIEW sqlinfer_side.stage.scores__result AS FROM sqlinfer_side.stage.scores__s1")
        work.execute("CREATE TABLE sqlinfer_side.errors.scores AS SELECT 1 AS x")
        work.execute("CREATE TABLE sqlinfer_side.meta.refs (node VARCHAR, store VARCHAR, is_full BOOLEAN)")
        work.execute(
            "INSERT INTO sqlinfer_side.meta.refs VALUES ('scores', ?, true), ('other', ?, true)", (store, store)
        )
        for name in ("scores", "other"):
            keys = Relation(f"keys__{name}__{store}", "meta", "sqlinfer_side").sql()
            work.execute(f"CREATE TABLE {keys} AS SELECT 1::UHUGEINT AS input_key")
    with night.environment() as env:
        work = env.workspace
        result = run_node(planned(), node(), env)
        assert result.status == "success", result.error
        left = "SELECT table_name FROM duckdb_tables() WHERE schema_name IN ('stage', 'errors')"
        assert work.rows(f"{left} UNION ALL SELECT view_name FROM duckdb_views() WHERE schema_name = 'stage'") == []
        owner = planned().owner.side
        assert sorted(note["node"] for note in work.notes("reference").values()) == sorted(["other", owner])
        assert not work.has(Relation("refs", "meta", "sqlinfer_side"))


def test_what_was_being_scored_stays_known(night: Night) -> None:
    with night.environment() as env:
        env.workspace.execute(
            f"CREATE TABLE {PASSES} (digest VARCHAR, node VARCHAR, run_id VARCHAR, progress BIGINT, last_death BIGINT, "
            "isolate BOOLEAN, found BOOLEAN, cleared VARCHAR)"
        )
        env.workspace.execute(f"INSERT INTO {PASSES} VALUES ('{DIGEST}', 'n', 'run0', 7, NULL, FALSE, FALSE, NULL)")
    with night.environment() as env:
        blame_crash(env.workspace)
        (note,) = env.workspace.notes("scoring").values()
        assert (note["digest"], note["node"], note["progress"], note["isolate"]) == (DIGEST, "n", 7, True)


def test_nodes_of_one_name_keep_error_records_of_their_own(night: Night) -> None:
    night.sql("update customers set raw = 'oops' where id = 3")
    for unique_id, alias in (("model.p.scores", "a"), ("model.q.scores", "b"), ("model.p.scores", "a")):
        wanted = replace(node(max_error_rate=1), unique_id=unique_id, relation=Relation(alias, "main", "wh"))
        with night.environment() as env:
            result = run_node(planned(unique_id), wanted, env)
            assert result.status == "success", result.error
    assert night.sql("select unique_id, node from sqlinfer_errors order by 1") == [
        ("model.p.scores", "scores"), ("model.q.scores", "scores"),
    ]  # fmt: skip
