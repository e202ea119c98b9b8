"""``freshness``, ``lookup`` and ``report`` in a dbt project."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def scored(shop):
    shop.edit("models/marts/churn_scores.sql", "materialized='prediction'",
              "materialized='prediction', meta={'sqlinfer': {'decision': 'churn_probability > 0.5'}}")  # fmt: skip
    done = shop.sqlinfer("run", "--dbt")
    assert done.code == 0, done.text
    return shop


def asked(shop, *words: str):
    done = shop.sqlinfer(*words, "--output", "json")
    assert done.code == 0, done.text
    return json.loads(done.out)


def test_freshness_counts_the_rows_whose_inputs_changed(scored):
    scored.change("update customers set orders = orders + 50 where customer_id <= 7")
    (found,) = asked(scored, "freshness", "--dbt")
    assert (found["table"], found["rows"], found["stale_rows"]) == ("churn_scores", 100, 7)
    (found,) = asked(scored, "freshness", "churn_scores", "--dbt", "--impact", "100")
    assert found["sampled"] == 7
    assert found["flips"] is not None


def test_a_given_manifest_needs_no_dbt(scored):
    assert scored.dbt("compile").code == 0
    words = ("--manifest", "target/manifest.json", "--output", "json")
    done = scored.sqlinfer("lookup", "churn_scores", "--key", "customer_id=7", *words, SQLINFER_DBT="/none")
    assert done.code == 0, done.text
    row = json.loads(done.out)
    assert (row["customer_id"], row["_stale"], row["_scored_now"]) == (7, False, False)
    assert [(row["churn_probability"],)] == scored.rows(
        "select churn_probability from churn_scores where customer_id = 7"
    )


def test_a_stale_row_is_scored_by_its_lookup(scored):
    scored.change("update customers set orders = orders + 50 where customer_id = 7")
    row = asked(scored, "lookup", "churn_scores", "--key", "customer_id=7", "--dbt")
    again = asked(scored, "lookup", "churn_scores", "--key", "customer_id=7", "--dbt", "--or-score")
    assert (row["_stale"], row["_scored_now"], again["_stale"], again["_scored_now"]) == (True, False, False, True)
    assert row["churn_probability"] != again["churn_probability"]


def test_keep_inputs_in_meta_is_heeded(shop):
    shop.edit("models/marts/churn_scores.sql", "materialized='prediction'",
              "materialized='prediction', meta={'sqlinfer': {'keep_inputs': false}}")  # fmt: skip
    assert shop.sqlinfer("run", "--dbt").code == 0
    done = shop.sqlinfer("freshness", "churn_scores", "--dbt")
    assert done.code == 2
    assert "its config says keep_inputs: false" in done.text


def test_a_report_shows_the_models_of_the_dbt_project(scored):
    done = scored.sqlinfer("report", "--dbt", "--freshness", "--output", "target/night.html")
    assert done.code == 0, done.text
    page = (scored.root / "target/night.html").read_text()
    assert "churn_scores" in page
    assert "stg_customers" in page
