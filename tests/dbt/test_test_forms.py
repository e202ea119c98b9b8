"""Data tests of prediction nodes in every form that dbt takes: ours where we know them, else dbt's afterwards."""

from __future__ import annotations

import json

RANGE = "sqlinfer.prediction_in_range: {min_value: 0, max_value: 1}"


def test_every_form_runs_once_and_none_kills_the_node(shop):
    shop.write("macros/below.sql", "{% test below(model, column_name, most) %}\n"
               "select * from {{ model }} where {{ column_name }} > {{ most }}{% endtest %}")  # fmt: skip
    shop.edit(
        "models/marts/marts.yml", f"          - {RANGE}",
        """          - below: {most: 1}
          - accepted_values: {values: [7], severity: warn, where: customer_id < 4, limit: 2}
          - accepted_values: {name: thrice, values: [7], config: {error_if: '> 200', warn_if: '> 150'}}
          - not_null: {config: {fail_calc: 'count(*) + 0', error_if: '> 0'}}
          - unique: {column_name: "customer_id || '-'", name: by_expression}
          - sqlinfer.prediction_in_range: {min_value: 0.9, config: {enabled: false}}""",
    )  # fmt: skip
    shop.edit("models/marts/churn_scores.sql", "select customer_id,", 'select customer_id, customer_id as "Given Id",')
    shop.edit("models/marts/marts.yml", "      - name: churn_probability",
              "      - {name: Given Id, quote: true, data_tests: [unique, not_null]}\n"
              "      - name: churn_probability")  # fmt: skip
    done = shop.sqlinfer("dbt", "build", "--select", "churn_scores")
    assert done.code == 0, done.text
    assert "configured to error" not in done.text
    status = {name: one["status"] for name, one in shop.results().items()}
    assert status.pop("churn_scores") == "success"
    warned = [name for name, one in status.items() if one == "warn"]
    assert len(warned) == 1
    assert warned[0].startswith("accepted_values")
    assert "got 2 results, configured to warn if != 0" in shop.results()[warned[0]]["message"].lower()
    assert status["by_expression"] == status["thrice"] == "pass"
    assert {"below_churn_scores_churn_probability__1", "unique_churn_scores__Given_Id_"} <= set(status)


def test_a_test_that_dbt_runs_afterwards_fails_the_build_and_not_the_table(shop):
    shop.write("macros/below.sql", "{% test below(model, column_name, most) %}\n"
               "select * from {{ model }} where {{ column_name }} > {{ most }}{% endtest %}")  # fmt: skip
    shop.edit("models/marts/marts.yml", RANGE, "below: {most: 0}")
    done = shop.sqlinfer("dbt", "build", "--select", "churn_scores+")
    assert done.code == 1
    results = shop.results()
    assert results["churn_scores"]["status"] == "success"
    assert results["below_churn_scores_churn_probability__0"]["status"] == "fail"
    assert results["campaign_list"]["status"] == "skipped"
    assert shop.rows("select count(*) from churn_scores") == [(100,)]


def test_store_failures_of_the_command_counts_where_the_test_says_nothing(shop):
    shop.edit(
        "models/marts/marts.yml",
        RANGE,
        "sqlinfer.prediction_in_range: {name: high, min_value: 0.9}\n"
        "          - sqlinfer.prediction_in_range: {name: kept, min_value: 0.9, config: {store_failures: false}}",
    )
    done = shop.sqlinfer("dbt", "build", "--select", "churn_scores", "--store-failures")
    assert done.code == 1
    stored = shop.rows("select table_name from duckdb_tables() where schema_name = 'main_dbt_test__audit'")
    assert ("high",) in stored
    assert ("kept",) not in stored
    assert not shop.rows("select 1 from duckdb_tables() where table_name = 'churn_scores'")


def test_a_relationship_looks_where_the_favored_state_says(shop):
    assert shop.dbt("parse").code == 0
    manifest = json.loads((shop.root / "target/manifest.json").read_text())
    customers = manifest["nodes"]["model.sqlinfer_shop.customers"]
    customers |= {"schema": "prod", "relation_name": '"shop"."prod"."customers"'}
    shop.write("state/manifest.json", json.dumps(manifest))
    shop.change("create schema prod")
    shop.change("create table prod.customers as select * replace (customer_id + 500 as customer_id) from customers")
    flags = ("--select", "churn_scores", "--defer", "--state", "state")
    done = shop.sqlinfer("dbt", "build", *flags, "--favor-state")
    assert done.code == 0, done.text
    assert shop.rows("select min(customer_id) from churn_scores") == [(501,)]
    here = shop.sqlinfer("dbt", "build", *flags, "--full-refresh")
    assert here.code == 0, here.text
    assert shop.rows("select min(customer_id) from churn_scores") == [(1,)]
    alone = shop.sqlinfer("run", "--dbt", *flags, "--favor-state", "--full-refresh")
    assert alone.code == 0, alone.text
    assert shop.rows("select min(customer_id) from churn_scores") == [(501,)]
