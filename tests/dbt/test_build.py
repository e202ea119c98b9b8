"""``sqlinfer dbt build`` over the real dbt: layers, skips, retry, one summary."""

from __future__ import annotations

import json


def test_one_command_for_the_mixed_graph(shop):
    done = shop.sqlinfer("dbt", "build")
    assert done.code == 0, done.text
    assert "ERROR=0 SKIP=0" in done.text.splitlines()[-1]
    assert shop.rows("select count(*) from campaign_list c join churn_scores s using (customer_id)") != [(0,)]
    results = shop.results()
    assert results["churn_scores"]["status"] == "success"
    assert results["campaign_list"]["status"] == "success"
    ids = [one["unique_id"] for one in json.loads((shop.root / "target/run_results.json").read_text())["results"]]
    assert len(ids) == len(set(ids))
    assert sum(one.startswith("test.") for one in ids) == 17


def test_dbts_own_selection_flags_work(shop):
    done = shop.sqlinfer("dbt", "build", "--select", "churn_scores+", "--exclude", "test_type:data", "--threads", "1")
    assert done.code == 0, done.text
    assert set(shop.results()) == {"churn_scores", "campaign_list", "sqlinfer-on-run-end-0"}


def test_a_selection_without_predictions_is_dbts(shop):
    done = shop.sqlinfer("dbt", "build", "-s", "stg_customers")
    assert done.code == 0, done.text
    assert "Layer 1 of 1: dbt" in done.text


def test_what_follows_a_failure_is_skipped_and_retry_goes_on(shop):
    shop.edit("models/marts/customers.sql", "select c.customer_id,", "select nonsense, c.customer_id,")
    done = shop.sqlinfer("dbt", "build")
    assert done.code == 1
    results = shop.results()
    assert results["customers"]["status"] == "error"
    assert results["churn_scores"]["status"] == results["campaign_list"]["status"] == "skipped"
    assert not shop.rows("select 1 from duckdb_tables() where table_name = 'churn_scores'")

    shop.edit("models/marts/customers.sql", "select nonsense, c.customer_id,", "select c.customer_id,")
    again = shop.sqlinfer("dbt", "retry")
    assert again.code == 0, again.text
    assert "raw_customers" not in shop.results()
    assert shop.results()["churn_scores"]["status"] == shop.results()["campaign_list"]["status"] == "success"


def test_a_failed_test_above_keeps_the_prediction_from_being_scored(shop):
    plain = "- {name: customer_id, data_tests: [unique, not_null]}"
    failing = "- {name: spent, data_tests: [accepted_values: {values: [1]}]}"
    shop.edit("models/marts/marts.yml", plain, f"{plain}\n      {failing}")
    done = shop.sqlinfer("dbt", "build")
    assert done.code == 1
    assert shop.results()["churn_scores"]["status"] == "skipped"


def test_a_failed_prediction_skips_what_reads_it(shop):
    shop.edit("models/marts/marts.yml", "{min_value: 0, max_value: 1}", "{min_value: 0.9, max_value: 1}")
    done = shop.sqlinfer("dbt", "build")
    assert done.code == 1
    results = shop.results()
    assert results["churn_scores"]["status"] == "error"
    assert results["campaign_list"]["status"] == "skipped"
    assert "data tests failed" in done.text


def test_predictions_above_predictions(shop):
    shop.write(
        "models/marts/second.sql",
        """{{ config(materialized='prediction') }}
select customer_id, predict('churn_score', 1, 0, m.p, 0, 30) as q from {{ ref('middle') }} as m""",
    )
    middle = "select customer_id, churn_probability * 100 as p from {{ ref('churn_scores') }}"
    shop.write("models/marts/middle.sql", middle)
    done = shop.sqlinfer("dbt", "build", "--select", "+second", "--indirect-selection", "empty")
    assert done.code == 0, done.text
    assert "Layer 4 of 4: sqlinfer" in done.text
    assert shop.rows("select count(q) from second") == [(100,)]


def test_a_dbt_that_cannot_list_changes_nothing(shop):
    shop.write("models/broken.sql", "select {{ nonsense( }}")
    done = shop.sqlinfer("dbt", "build")
    assert done.code == 1
    assert "`dbt ls` failed" in done.text
    assert "Traceback" not in done.text


def test_retry_without_a_build(shop):
    done = shop.sqlinfer("dbt", "retry")
    assert done.code == 2
    assert "nothing to retry" in done.text


def test_flags_that_change_the_layers_are_refused(shop):
    done = shop.sqlinfer("dbt", "build", "--target-path", "x")
    assert done.code == 2
    assert "does not take --target-path" in done.text


def test_a_test_that_stores_its_failures_stays_a_gate(shop):
    range_ = "{min_value: 0, max_value: 1}"
    shop.edit("models/marts/marts.yml", range_, "{min_value: 0.9, max_value: 1, config: {store_failures: true}}")
    done = shop.sqlinfer("dbt", "build")
    assert done.code == 1, done.text
    assert shop.results()["churn_scores"]["status"] == "error"
    assert not shop.rows("select 1 from duckdb_tables() where table_name = 'churn_scores'")
    stored = shop.rows("select table_name from duckdb_tables() where schema_name like '%dbt_test__audit'")
    assert len(stored) == 1
    assert "prediction_in_range" in stored[0][0]


def test_forms_of_tests_that_dbt_takes_run_before_publication(shop):
    plain = "      - sqlinfer.prediction_fresh: {hours: 24}"
    tests = """
      - unique: {column_name: "upper(cast(customer_id as varchar))", config: {where: "customer_id is not null"}}
      - unique: {column_name: customer_id, name: counted, config: {fail_calc: sum(n_records), error_if: "> 1000"}}"""
    shop.edit("models/marts/marts.yml", plain, plain + tests)
    shop.edit("models/marts/marts.yml", "description: The customer.", "description: The customer.\n        quote: true")
    done = shop.sqlinfer("dbt", "build", "--select", "+churn_scores")
    assert done.code == 0, done.text
    assert "PASS test counted" in done.text
    assert "PASS test unique_churn_scores_upper" in done.text
    assert "PASS test not_null_churn_scores_" in done.text
    again = shop.sqlinfer("dbt", "build", "--select", "churn_scores")
    assert again.code == 0, again.text


def test_a_renamed_prediction_fails_with_the_way_out(shop):
    assert shop.sqlinfer("dbt", "build", "--select", "churn_scores").code == 0
    shop.edit("models/marts/churn_scores.sql", " as churn_probability", " as prob")
    shop.write("models/marts/marts.yml", "")
    done = shop.sqlinfer("dbt", "build", "--select", "churn_scores")
    assert done.code == 1
    assert "no column 'prob'" in done.text
    assert "append_new_columns" in done.text
    assert "append_new_columns" in shop.results()["churn_scores"]["message"]
