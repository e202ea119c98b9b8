"""How predictions are spread is looked at in the transaction that publishes them; a failure of that costs no night."""

from __future__ import annotations

import json

import pytest

from sqlinfer.adapters.shared import queries
from tests.conftest import Shop

LATE = "    columns: [{name: score, data_tests: [not_null]}]\n"


def spread(shop: Shop) -> list[str | None]:
    found = shop.db("select distributions from sqlinfer_runs order by started_at")
    return [text for (text,) in found]


@pytest.mark.parametrize("config", ["materialized='table'", "materialized='incremental', unique_key='id'"])
def test_rows_that_cannot_be_sampled_are_published_all_the_same(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    shop.model(f"{{{{ config({config}) }}}} select id, f(x) as score from t", LATE)
    assert shop("run")[0] == 0
    shop.db("insert into t values (3, 3)")
    with monkeypatch.context() as broken:
        broken.setattr(queries, "sample", lambda *_: "select error('no rows for you')")
        code, said = shop("run")
    assert code == 0, said
    assert shop.db("select id, score from m order by id") == [(n, 2.0 * n + 1) for n in range(4)]
    before, after = spread(shop)
    assert before
    assert json.loads(before)["score"]["counts"]
    assert after is None
    results = json.loads((shop.root / "target" / "run_results.json").read_text())["results"]
    assert sorted(one["unique_id"].split(".")[0] for one in results) == ["model", "test"]
    assert shop("run")[0] == 0
    assert spread(shop)[-1]


def test_a_post_hook_runs_once_in_what_is_committed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.db("create table told (n integer)")
    shop.model("{{ config(post_hook='insert into told values (1)') }} select id, f(x) as score from t")
    monkeypatch.setattr(queries, "sample", lambda *_: "select error('no rows for you')")
    assert shop("run")[0] == 0
    assert shop.db("select count(*) from told") == [(1,)]


def test_a_sample_is_every_row_of_a_small_table_and_few_of_a_large_one(shop: Shop) -> None:
    shop.model("select id, f(x) as score from t")
    shop.db("create or replace table t as select i as id, i / 20000.0 as x from range(20000) as r(i)")
    assert shop("run")[0] == 0
    text = spread(shop)[-1]
    assert text is not None
    counts = json.loads(text)["score"]["counts"]
    assert sum(counts) == 5_000
    assert all(150 < count < 350 for count in counts[1:-1])
