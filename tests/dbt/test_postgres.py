"""The dbt package on Postgres: its macros, freshness rule and tests are not DuckDB's alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from sqlinfer.testing.postgres_server import Database


@dataclass(frozen=True)
class Server:
    env: dict[str, str]
    run: Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def server(postgres_database: Database) -> Server:
    """An empty database, and the shop's way to it."""
    at = postgres_database
    env = {
        "SQLINFER_SHOP_HOST": at.host, "SQLINFER_SHOP_PORT": str(at.port), "SQLINFER_SHOP_USER": at.user,
        "SQLINFER_SHOP_DATABASE": at.name, "DBT_ENV_SECRET_SHOP_PASSWORD": at.password or "unused",
    }  # fmt: skip
    return Server(env, at.run)


@pytest.mark.thorough
def test_the_freshness_rule_holds_on_postgres(shop, server):
    def build(*words: str):
        return shop.dbt("build", "--target", "postgres", *words, **server.env)

    built = build("--exclude", "churn_scores+")
    assert built.code == 0, built.text
    assert server.run("select count(*) from shop.sqlinfer_builds") == [(7,)]
    never = build("--select", "churn_scores")
    assert "has never been scored" in never.text

    server.run("create table shop.churn_scores as select customer_id, 0.5 as churn_probability from shop.customers")
    server.run("create table shop.sqlinfer_runs (node text, relation text, started_at timestamptz, "
               "finished_at timestamptz, status text, provenance text)")  # fmt: skip
    node = json.loads((shop.root / "target/manifest.json").read_text())["nodes"]["model.sqlinfer_shop.churn_scores"]
    scored = f"'{server.env['SQLINFER_SHOP_DATABASE']}.shop.churn_scores', now(), now(), 'success'"
    made = {"sql": hashlib.md5(node["compiled_code"].encode()).hexdigest(), "is_slice": None, "files": {}}
    server.run("insert into shop.sqlinfer_runs values ('model.sqlinfer_shop.churn_scores', "
               f"{scored}, '{json.dumps(made)}')")  # fmt: skip
    fresh = build("--select", "churn_scores+")
    assert fresh.code == 0, fresh.text
    assert "UP TO DATE" in fresh.text

    assert build("--select", "customers").code == 0
    old = build("--select", "churn_scores")
    assert old.code == 1
    assert "customers was built after it was scored" in old.text


def test_a_prediction_node_is_scored_with_its_indexes_and_rights(shop, server):
    role = server.env["SQLINFER_SHOP_DATABASE"]
    server.run(f"create role {role}")
    try:
        asked = "indexes=[{'columns': ['customer_id'], 'unique': true}], unlogged=true, "
        shop.edit("models/marts/churn_scores.sql", "tags=", asked + f"grants={{'select': ['{role}']}}, tags=")
        built = shop.sqlinfer("dbt", "build", "--target", "postgres", **server.env)
        assert built.code == 0, built.text
        assert server.run("select count(*) from shop.churn_scores where churn_probability is not null") == [(100,)]
        assert server.run(f"select relpersistence::text, has_table_privilege('{role}', oid, 'select') "
                          "from pg_class where relname = 'churn_scores'") == [("u", True)]  # fmt: skip
        again = shop.sqlinfer("run", "--dbt", "--target", "postgres", **server.env)
        assert again.code == 0, again.text
        ((index,),) = server.run("select indexdef from pg_indexes where tablename = 'churn_scores'")
        assert "CREATE UNIQUE INDEX" in index
        shown = shop.sqlinfer("dbt", "preview", "churn_scores", "--target", "postgres", **server.env)
        assert "churn_probability" in shown.out, shown.text
    finally:
        server.run(f"drop owned by {role}", f"drop role {role}")
