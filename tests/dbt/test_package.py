"""The dbt package in plain dbt: what the materialisation says, and the generic tests."""

from __future__ import annotations

import pytest


def test_plain_dbt_refuses_what_was_never_scored(shop):
    done = shop.dbt("build", "--select", "churn_scores+")
    assert done.code == 1
    assert "has never been scored" in done.text
    assert "sqlinfer run --dbt --select churn_scores" in done.text
    assert not shop.rows("select 1 from duckdb_tables() where table_name in ('churn_scores', 'campaign_list')")


def test_plain_dbt_goes_on_from_fresh_predictions_and_stops_at_old_ones(shop):
    assert shop.sqlinfer("run", "--dbt").code == 0
    fresh = shop.dbt("build", "--select", "churn_scores+")
    assert fresh.code == 0, fresh.text
    assert "UP TO DATE" in fresh.text
    assert shop.rows("select count(*) from campaign_list where churn_probability > 0.5") != [(0,)]

    together = shop.dbt("build", "--select", "customers+")
    assert together.code == 1
    assert "is rebuilt by this very dbt run" in together.text

    old = shop.dbt("build", "--select", "churn_scores")
    assert old.code == 1
    assert "customers was built after it was scored" in old.text

    shop.edit("models/marts/churn_scores.sql", "tags=['nightly']", "meta={'sqlinfer': {'allow_stale': true}}")
    allowed = shop.dbt("build", "--select", "churn_scores")
    assert allowed.code == 0, allowed.text
    assert "STALE" in allowed.text


def test_generic_tests_find_what_they_look_for(shop):
    assert shop.sqlinfer("run", "--dbt").code == 0
    shop.change("update churn_scores set churn_probability = null where customer_id <= 5")
    shop.change("update churn_scores set churn_probability = 'nan' where customer_id = 6")
    shop.change("update sqlinfer_runs set finished_at = finished_at - interval 2 day")
    done = shop.dbt("test", "--select", "churn_scores")
    assert done.code == 1
    failures = {name: result["failures"] for name, result in shop.results().items() if result["status"] == "fail"}
    assert {name.removeprefix("sqlinfer_").split("_churn")[0]: count for name, count in failures.items()} == {
        "prediction_not_null": 5, "prediction_in_range": 1, "error_rate_below": 1, "prediction_fresh": 1,
    }  # fmt: skip


def test_dbt_show_points_to_preview(shop):
    done = shop.dbt("show", "--select", "churn_scores")
    assert done.code != 0
    assert "sqlinfer dbt preview churn_scores" in done.text


def test_docs_show_the_node_with_its_columns(shop):
    assert shop.sqlinfer("run", "--dbt").code == 0
    assert shop.dbt("docs", "generate").code == 0
    catalog = (shop.root / "target" / "catalog.json").read_text()
    assert "churn_probability" in catalog
    assert "Probability that the customer leaves" in (shop.root / "target" / "manifest.json").read_text()


@pytest.mark.parametrize(
    ("ask", "left"),
    [("{{ only_new() }}", 100), ("where customer_id <= 90 -- {# is_incremental() #} is_incremental()", 90)],
)
@pytest.mark.thorough("only_new")
def test_a_slice_is_known_by_the_macros_that_dbt_saw_called(shop, ask, left):
    shop.write(
        "macros/only_new.sql",
        "{% macro only_new() %}{% if sqlinfer.is_incremental() %}where customer_id > 90{% endif %}{% endmacro %}",
    )
    query = """{{ config(materialized='prediction', unique_key='customer_id',
          meta={'sqlinfer': {'on_missing': 'delete'}}) }}
select customer_id, predict('churn_score', orders, returns, spent, failed_payments, days_since_order) as p
from {{ ref('customers') }} """
    for text in (query, query + ask):
        shop.write("models/marts/slices.sql", text)
        done = shop.sqlinfer("run", "--dbt", "--select", "slices")
        assert done.code == 0, done.text
    assert shop.rows("select count(*) from slices") == [(left,)]


def test_an_incremental_prediction_scores_a_slice(shop):
    shop.write(
        "models/marts/slices.sql",
        """{{ config(materialized='prediction', incremental_strategy='append') }}
select customer_id, predict('churn_score', orders, returns, spent, failed_payments, days_since_order) as p
from {{ ref('customers') }}
{% if sqlinfer.is_incremental() %} where customer_id > (select max(customer_id) from {{ this }}){% endif %}""",
    )
    first = shop.sqlinfer("run", "--dbt", "--select", "slices")
    assert first.code == 0, first.text
    shop.change("delete from slices where customer_id > 90")
    second = shop.sqlinfer("run", "--dbt", "--select", "slices")
    assert "10 rows" in second.text
    assert shop.rows("select count(*), count(distinct customer_id) from slices") == [(100, 100)]
    again = shop.sqlinfer("run", "--dbt", "--select", "slices", "--full-refresh")
    assert "100 rows" in again.text
