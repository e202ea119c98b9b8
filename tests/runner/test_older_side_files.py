"""Side files of versions that called what belongs to a node by its plain name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from kit import Night, node, plan, side

from sqlinfer.adapters.base import Materialization
from sqlinfer.relation import Relation
from sqlinfer.runner.node import retry_publication, run_node
from sqlinfer.runner.publication import Publication, remember
from sqlinfer.spec.plan import Plan


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
        wanted = Publication("model.p.scores", "scores", "run0", how, sql, env.now(), side="scores")
        remember(work, wanted)
        old = json.loads(wanted.to_json())
        del old["side"], old["how"]["predictions"]
        work.execute("UPDATE sqlinfer_side.meta.pending SET payload = ?", (json.dumps(old),))
        (result,) = retry_publication(env)
        assert result.status == "success", result.error
        assert not work.has(side("scores__result"))
    assert night.sql("select id, score::double from scores") == [(1, 2.5)]


def test_what_is_left_goes_and_keys_in_use_stay_known(night: Night) -> None:
    with night.environment() as env:
        work = env.workspace
        work.execute("CREATE TABLE sqlinfer_side.stage.scores__s1 AS SELECT 1 AS x")
        work.execute("CREATE VIEW sqlinfer_side.stage.scores__result AS FROM sqlinfer_side.stage.scores__s1")
        work.execute("CREATE TABLE sqlinfer_side.errors.scores AS SELECT 1 AS x")
        work.execute("CREATE TABLE sqlinfer_side.meta.refs (node VARCHAR, store VARCHAR, is_full BOOLEAN)")
        store = f"twice@{'a' * 16}"
        work.execute(
            "INSERT INTO sqlinfer_side.meta.refs VALUES ('scores', ?, true), ('other', ?, true)", (store, store)
        )
        for name in ("scores", "other"):
            keys = Relation(f"keys__{name}__{store}", "meta", "sqlinfer_side").sql()
            work.execute(f"CREATE TABLE {keys} AS SELECT 1::UHUGEINT AS input_key")
        result = run_node(planned(), node(), env)
        assert result.status == "success", result.error
        left = "SELECT table_name FROM duckdb_tables() WHERE schema_name IN ('stage', 'errors')"
        assert work.rows(f"{left} UNION ALL SELECT view_name FROM duckdb_views() WHERE schema_name = 'stage'") == []
        owner = planned().owner.side
        assert work.rows("SELECT node FROM sqlinfer_side.meta.refs ORDER BY node") == sorted([("other",), (owner,)])


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
