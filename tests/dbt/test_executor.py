"""``sqlinfer run --dbt`` over real manifests, and everything that may be wrong with them."""

from __future__ import annotations

import json

import duckdb
import pytest


def test_scores_audits_and_publishes(shop):
    done = shop.sqlinfer("run", "--dbt")
    assert done.code == 0, done.text
    assert "100 rows, 100 scored" in done.text
    assert shop.rows("select count(*), count(churn_probability) from churn_scores") == [(100, 100)]
    results = shop.results("target/sqlinfer/run_results.json")
    assert results["churn_scores"]["adapter_response"]["scored"] == 100
    assert results["unique_churn_scores_customer_id"]["status"] == "pass"


def test_the_second_night_scores_nothing(shop):
    assert shop.sqlinfer("run", "--dbt").code == 0
    assert "100 rows, 0 scored" in shop.sqlinfer("run", "--dbt").text


def test_works_from_another_folder(shop, tmp_path, monkeypatch):
    from sqlinfer.dbt import executor
    from sqlinfer.jobs.options import RunOptions

    monkeypatch.setenv("SQLINFER_DBT", shop.program)
    monkeypatch.chdir(tmp_path)
    assert executor.run(RunOptions(project_dir=shop.root)).ok
    assert shop.rows("select count(*) from churn_scores") == [(100,)]


def test_a_given_manifest_needs_no_dbt(shop):
    assert shop.dbt("compile").code == 0
    done = shop.sqlinfer("run", "--manifest", "target/manifest.json", "--select", "tag:nightly", SQLINFER_DBT="/none")
    assert done.code == 0, done.text
    assert shop.rows("select count(*) from churn_scores") == [(100,)]


def test_a_failing_test_keeps_yesterdays_table(shop):
    assert shop.sqlinfer("run", "--dbt").code == 0
    before = shop.rows("select * from churn_scores order by customer_id")
    shop.edit("models/marts/marts.yml", "{min_value: 0, max_value: 1}", "{min_value: 0, max_value: 0.3}")
    shop.change("update customers set orders = orders + 1")
    done = shop.sqlinfer("run", "--dbt")
    assert done.code == 1
    assert "data tests failed" in done.text
    assert shop.rows("select * from churn_scores order by customer_id") == before


def contract(shop, data_type: str) -> None:
    described = "    columns:\n      - name: customer_id\n        description: The customer.\n"
    enforced = "    config: {contract: {enforced: true}}\n"
    shop.edit("models/marts/marts.yml", described, f"{enforced}{described}        data_type: integer\n")
    column = "- name: churn_probability\n"
    shop.edit("models/marts/marts.yml", column, f"{column}        data_type: {data_type}\n")


def test_a_kept_contract_passes(shop):
    assert shop.sqlinfer("run", "--dbt").code == 0
    before = shop.rows("select * from churn_scores order by customer_id")
    contract(shop, "double")
    done = shop.sqlinfer("run", "--dbt")
    assert done.code == 0, done.text
    assert "1 of 1" in done.text
    assert before == shop.rows("select * from churn_scores order by customer_id") != []
    assert shop.rows("select typeof(churn_probability) from churn_scores limit 1") == [("DOUBLE",)]


def test_a_broken_contract_is_found_before_scoring(shop):
    contract(shop, "integer")
    done = shop.sqlinfer("run", "--dbt")
    assert done.code == 1
    assert "breaks its contract: churn_probability is DOUBLE, declared integer" in done.text
    assert not shop.rows("select 1 from duckdb_tables() where table_name = 'churn_scores'")


WRONG = {
    "no_predict": ("select customer_id from {{ ref('customers') }}", "has no predict()"),
    "no_function": (
        "select predict('churn_scor', 1) as p",
        "did you mean 'churn_score'",
    ),
    "arguments": ("select predict('churn_score', orders) as p from {{ ref('customers') }}", "returns"),
    "relation": ("select predict('churn_score', 1, 2, 3, 4, 5) as p from {{ target.schema }}.nowhere", "nowhere"),
}


def test_each_wrong_node_says_so_and_the_others_go_on(shop):
    for name, (sql, _) in WRONG.items():
        shop.write(f"models/marts/{name}.sql", "{{ config(materialized='prediction') }}\n" + sql)
    done = shop.sqlinfer("run", "--dbt")
    assert done.code == 1
    assert "Traceback" not in done.text
    results = shop.results("target/sqlinfer/run_results.json")
    for name, (_, message) in WRONG.items():
        assert results[name]["status"] == "error"
        assert message in results[name]["message"]
    listed = ", ".join(f"'{name}'" for name in (*WRONG, "churn_scores"))
    assert shop.rows(f"select table_name from duckdb_tables() where table_name in ({listed})") == [("churn_scores",)]


def test_a_missing_manifest(shop):
    done = shop.sqlinfer("run", "--dbt", "--manifest", "nowhere.json")
    assert done.code == 2
    assert "there is no manifest" in done.text
    assert "dbt compile" in done.text


def test_a_manifest_without_compiled_sql(shop):
    assert shop.dbt("parse", "--no-partial-parse").code == 0
    done = shop.sqlinfer("run", "--manifest", "target/manifest.json")
    assert done.code == 1
    assert "no compiled SQL of 'churn_scores'" in done.text


@pytest.mark.parametrize("path", ["models/marts/churn_scores.sql", "models/marts/marts.yml", "dbt_project.yml"])
@pytest.mark.thorough("marts.yml", "dbt_project")
def test_a_stale_manifest(shop, path):
    assert shop.dbt("compile").code == 0
    file = shop.root / path
    file.write_text(file.read_text() + "\n# changed\n" if path.endswith("yml") else file.read_text() + "\n-- changed")
    done = shop.sqlinfer("run", "--manifest", "target/manifest.json")
    assert done.code == 2
    assert "is older than the project" in done.text
    assert file.name in done.text


def test_a_manifest_of_another_kind(shop):
    file = shop.root / "other.json"
    for text, message in (("{", "is not a manifest"), ("[]", "is not a manifest"), ("{}", "is not a manifest")):
        file.write_text(text)
        assert message in shop.sqlinfer("run", "--manifest", "other.json").text
    file.write_text(json.dumps({"metadata": {"dbt_schema_version": "https://x/dbt/manifest/v10.json"}, "nodes": {}}))
    assert "manifest schema v10" in shop.sqlinfer("run", "--manifest", "other.json").text


def test_dbt_is_not_installed(shop):
    done = shop.sqlinfer("run", "--dbt", SQLINFER_DBT="/nowhere/dbt")
    assert done.code == 2
    assert "cannot be run" in done.text


def test_dbt_fails_while_compiling(shop):
    shop.write("models/broken.sql", "select {{ nonsense( }}")
    done = shop.sqlinfer("run", "--dbt")
    assert done.code == 1
    assert "`dbt compile` failed" in done.text
    assert "broken.sql" in done.text
    assert not shop.rows("select 1 from duckdb_tables() where table_name = 'churn_scores'")


def test_a_warehouse_that_sqlinfer_cannot_write(shop):
    assert shop.dbt("compile").code == 0
    shop.edit("profiles.yml", "type: duckdb", "type: snowflake")
    done = shop.sqlinfer("run", "--manifest", "target/manifest.json")
    assert done.code == 2
    assert "snowflake" in done.text
    assert "Traceback" not in done.text


def test_no_functions_folder(shop):
    import shutil

    shutil.rmtree(shop.root / "ml")
    done = shop.sqlinfer("run", "--dbt")
    assert done.code == 1
    assert "unknown function 'churn_score'" in done.text


def test_preview_scores_only_what_it_shows(shop):
    done = shop.sqlinfer("dbt", "preview", "churn_scores", "--limit", "3", "--output", "json")
    assert done.code == 0, done.text
    assert len(json.loads(done.out)) == 3
    assert not shop.rows("select 1 from duckdb_tables() where table_name = 'churn_scores'")


def test_what_was_scored_and_not_published_is_published_by_retry(shop):
    shop.edit("models/marts/churn_scores.sql", "tags=['nightly']", "meta={'sqlinfer': {'publish_timeout': 0}}")
    assert shop.dbt("compile").code == 0
    with duckdb.connect(str(shop.root / "shop.duckdb"), read_only=True):  # a reader keeps every writer out
        done = shop.sqlinfer("run", "--manifest", "target/manifest.json")
    assert done.code == 1
    assert "scored, not published" in done.text
    again = shop.sqlinfer("dbt", "retry")
    assert again.code == 0, again.text
    assert shop.rows("select count(*) from churn_scores") == [(100,)]
    assert shop.rows("select scored from sqlinfer_runs") == [(100,)]
