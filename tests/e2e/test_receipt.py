"""What a run says that it did, took and cost, and the bounds that stop it before it spends more."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import sqlinfer.api as api
from sqlinfer.testing.onnx_builder import mlp
from tests.conftest import Shop

PRICES = "prices: {currency: USD, device_hour: {on_demand: 1.20, spot: 0.36}, endpoint_month: 730}\n"
MODEL = "{{ config(materialized='incremental', unique_key='id') }} select id, predict('f', x) as p from t"


@pytest.fixture
def priced(shop: Shop) -> Shop:
    """1,000 rows of a function that remembers."""
    shop.put("sqlinfer_project.yml", "name: shop\nprofile: shop\n" + PRICES)
    shop.function("reuse: true")
    shop.db("create or replace table t as select i as id, i::double as x from range(1000) r(i)")
    shop.model(MODEL)
    return shop


def receipt_of(shop: Shop, node: str = "model.shop.m") -> dict[str, Any]:
    content = json.loads((shop.root / "target/run_results.json").read_text())
    (found,) = [one for one in content["results"] if one["unique_id"] == node]
    answer: dict[str, Any] = found["adapter_response"]["receipt"]
    return answer


def test_a_night_ends_with_what_it_did(priced: Shop) -> None:
    code, out = priced("run")
    assert code == 0, out
    assert "Receipt m: 1,000 rows in, 1,000 scored, 0 reused, 0 null, 0 errors" in out
    assert "Receipt in total: 1,000 rows in" in out
    assert "(bound)" in out
    assert "rows/s" in out
    assert "cpu busy" in out
    assert "peak memory" in out


def test_what_was_remembered_is_reused_and_needs_no_device(priced: Shop) -> None:
    priced("run")
    priced.db("update t set x = x + 0.5 where id < 10")
    priced("run")
    receipt = receipt_of(priced)
    assert (receipt["rows_in"], receipt["scored"], receipt["reused"]) == (1000, 10, 990)
    assert receipt["device"] == "cpu"
    priced("run")
    assert (receipt_of(priced)["scored"], receipt_of(priced)["device"]) == (0, None)


def test_costs_are_those_of_the_seconds_and_the_prices(priced: Shop) -> None:
    priced("run")
    receipt = receipt_of(priced)
    cost, hours = receipt["cost"], receipt["elapsed_seconds"] / 3600
    assert cost["currency"] == "USD"
    assert cost["on_demand"] == pytest.approx(hours * 1.20, rel=1e-6)
    assert cost["spot"] == pytest.approx(hours * 0.36, rel=1e-6)
    assert cost["per_million_on_demand"] == pytest.approx(hours * 1.20 / 1000 * 1e6, rel=1e-6)
    assert cost["rescoring_on_demand"] == cost["on_demand"]  # it did score everything
    assert (cost["endpoint"], cost["endpoint_per_million"]) == (24.0, 24_000.0)  # a day of 730 a month of 730 hours


def test_scoring_everything_again_would_have_cost_more(priced: Shop) -> None:
    priced("run")
    priced("run")
    cost = receipt_of(priced)["cost"]
    assert cost["rescoring_on_demand"] > cost["on_demand"]
    assert cost["rescoring_spot"] / cost["rescoring_on_demand"] == pytest.approx(0.3)


def test_the_record_in_the_warehouse_says_the_same(priced: Shop) -> None:
    priced("run")
    receipt = receipt_of(priced)
    columns = "elapsed_seconds, bound_by, peak_memory_bytes, device, device_busy, rows_per_second, cost_currency, " \
        "cost_on_demand, cost_spot, cost_per_million_on_demand, cost_rescoring_on_demand, cost_endpoint"  # fmt: skip
    (row,) = priced.db(f"select {columns} from sqlinfer_runs where node = 'model.shop.m'")
    names = [name.strip() for name in columns.split(",")]
    cost = {f"cost_{name}": value for name, value in receipt["cost"].items()}
    assert dict(zip(names, row, strict=True)) == {name: {**receipt, **cost}[name] for name in names}


def test_records_of_an_older_version_get_the_new_columns(priced: Shop) -> None:
    priced.db(
        "create table sqlinfer_runs as select 'old' as run_id, 'model.shop.m' as node, now() - interval 1 day as "
        "started_at, 7::bigint as rows"
    )
    assert priced("run")[0] == 0
    found = priced.db("select run_id = 'old', rows, cost_on_demand is null from sqlinfer_runs order by started_at")
    assert found == [(True, 7, True), (False, 1000, False)]


def test_without_prices_there_is_a_receipt_without_a_cost(priced: Shop) -> None:
    priced.put("sqlinfer_project.yml", "name: shop\nprofile: shop\n")
    _, out = priced("run")
    assert receipt_of(priced)["cost"] is None
    assert "Receipt m: 1,000 rows in" in out
    assert "cost" not in out
    assert priced.db("select cost_on_demand, cost_currency from sqlinfer_runs") == [(None, None)]


def test_a_node_without_functions_has_none(priced: Shop) -> None:
    priced.model("select * from t", name="plain")
    _, out = priced("run", "-s", "plain")
    assert "Receipt" not in out


def test_errors_and_nulls_are_counted(priced: Shop) -> None:
    priced.db("create or replace table t as select i as id, case when i = 1 then null when i = 2 then 'x' else "
              "i::varchar end as x from range(1000) r(i)")  # fmt: skip
    priced("run")
    receipt = receipt_of(priced)
    assert [receipt[name] for name in ("rows_in", "scored", "reused", "null", "errors")] == [1000, 998, 0, 1, 1]


def test_quiet_is_quiet_and_json_is_json(priced: Shop) -> None:
    assert priced("run", "--quiet") == (0, "")
    _, out = priced("run", "--log-format", "json")
    found = [json.loads(line) for line in out.splitlines()]
    told = [one for one in found if one["info"]["name"] == "Receipt" and one["data"]]
    assert [one["data"]["unique_id"] for one in told] == ["model.shop.m", None]
    assert told[0]["data"]["receipt"]["reused"] == 1000


def test_a_publication_that_waited_is_recorded_with_what_was_spent_on_it(priced: Shop) -> None:
    """Each attempt in vain counts."""
    priced.model(MODEL.replace("unique_key='id'", "unique_key='id', publish_timeout=0"))
    priced.model("select 1 as one", name="other")
    with read(priced):
        code, out = priced("run", "-s", "m")
    assert code == 1
    assert "SCORED, NOT PUBLISHED" in out, out
    first = receipt_of(priced)
    assert priced("run", "-s", "other")[0] == 0
    with read(priced):
        code, out = priced("retry")
    assert code == 1, out
    again = receipt_of(priced)
    assert priced("retry")[0] == 0
    ((elapsed, seconds),) = priced.db("select elapsed_seconds, seconds from sqlinfer_runs where node = 'model.shop.m'")
    stages = [first["seconds"], again["seconds"], json.loads(seconds)]
    assert len({one["kernel"] for one in stages}) == 1
    assert 0 < stages[0]["publish"] < stages[1]["publish"] < stages[2]["publish"]
    assert first["elapsed_seconds"] < again["elapsed_seconds"] < elapsed


@contextmanager
def read(shop: Shop) -> Iterator[None]:
    """While another process reads the warehouse."""
    path = str(shop.root / "w.duckdb")
    code = f"import duckdb; c = duckdb.connect({path!r}, read_only=True); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        yield
        reader.communicate(b"\n")


def test_python_gets_the_receipts(priced: Shop) -> None:
    result = api.run(api.RunOptions(project_dir=priced.root))
    assert result.receipt is not None
    assert result.results[0].receipt is not None
    assert result.receipt.counts == result.results[0].receipt.counts
    assert result.receipt.elapsed > result.results[0].receipt.elapsed


# bounds


def test_a_model_that_would_pass_max_rows_is_not_scored(priced: Shop) -> None:
    code, out = priced("run", "--max-rows", "999")
    assert code == 1
    assert "1,000 inputs to score, --max-rows allows 999; nothing of them was scored" in out
    assert "Left undone: m" in out
    assert priced("run", "--max-rows", "1000")[0] == 0
    assert priced("run", "--max-rows", "0")[0] == 0  # everything is remembered


def test_max_rows_counts_all_models_of_a_run_and_goes_on_with_those_that_fit(priced: Shop) -> None:
    for name, rows in (("a", 600), ("b", 500), ("c", 400)):
        priced.model(f"select id, predict('f', x + {rows * 10}) as p from t where id < {rows}", name=name)
    code, out = priced("run", "--max-rows", "1000", "-s", "a b c")
    assert code == 1
    assert "500 inputs to score, --max-rows allows 1,000, 600 of them are used" in out
    assert "Left undone: b" in out
    assert priced.db("select count(*) from c") == [(400,)]


def test_what_reads_a_model_that_was_left_is_left_too(priced: Shop) -> None:
    priced.model("select * from {{ ref('m') }}", name="after")
    code, out = priced("run", "--max-rows", "1")
    assert (code, "SKIP=1" in out, "Left undone: m" in out) == (1, True, True)


@pytest.mark.parametrize("config", ["", "reuse: true"])
def test_bounds_hold_for_streams_and_two_calls(priced: Shop, config: str) -> None:
    priced.function(config)
    priced.model("select id, predict('f', x) as p, predict('f', x + 1) as q from t")
    wanted = 1001 if config else 2000  # of two remembered calls equal inputs are scored once
    assert priced("run", "--max-rows", str(wanted - 1))[0] == 1
    assert priced("run", "--max-rows", str(wanted))[0] == 0


def test_a_retry_keeps_to_the_bounds_that_it_is_given(priced: Shop) -> None:
    """What the bounded run has spent counts, too; without bounds a retry does all that is left."""
    for name, rows in (("a", 600), ("b", 500)):
        priced.model(f"select id, predict('f', x + {rows * 10}) as p from t where id < {rows}", name=name)
    assert priced("run", "--max-rows", "1000", "-s", "a b")[0] == 1
    code, out = priced("retry", "--max-rows", "1000")
    assert code == 1
    assert "500 inputs to score, --max-rows allows 1,000, 600 of them are used" in out
    assert "Left undone: b" in out
    assert priced("retry", "--max-cost", "0")[0] == 1
    assert priced("retry")[0] == 0
    assert priced.db("select count(*) from b") == [(500,)]


def test_a_retry_of_a_run_without_bounds_counts_for_itself(priced: Shop) -> None:
    priced.model("select id, predict('f', x + 1.5) as p, broken from t where id < 10")
    priced.model("select id, predict('f', x) as p from t", name="a")
    assert priced("run")[0] == 1
    priced.model("select id, predict('f', x + 1.5) as p from t where id < 10")
    assert priced("retry", "--max-rows", "9")[0] == 1
    assert priced("retry", "--max-rows", "10")[0] == 0


def test_max_cost_needs_prices(shop: Shop) -> None:
    shop.model(MODEL)
    code, out = shop("run", "--max-cost", "1")
    assert (code, "--max-cost needs to know what an hour of the device costs" in out) == (2, True)


def test_a_model_that_would_cost_more_is_not_scored(priced: Shop) -> None:
    code, out = priced("run", "--max-cost", "0")
    assert code == 1
    assert "Left undone: m" in out
    assert priced("run", "--max-cost", "5")[0] == 0


@pytest.mark.parametrize("words", [["--max-rows", "-1"], ["--max-seconds", "x"], ["--max-cost", "nan"]])
def test_a_bound_that_is_no_number_is_refused(priced: Shop, words: list[str]) -> None:
    assert priced("run", *words)[0] == 2


def test_an_estimate_scores_nothing(priced: Shop) -> None:
    code, out = priced("run", "--estimate")
    assert code == 0, out
    assert "Estimate m: 1,000 rows, 0 remembered, 1,000 to score" in out
    assert "USD" in out
    assert "nothing was scored" in out
    assert not priced.db("select 1 from duckdb_tables() where table_name = 'm'")
    priced("run")
    priced.db("update t set x = -x where id in (1, 2)")
    assert "998 remembered, 2 to score" in priced("build", "--estimate")[1]


def test_an_estimate_says_which_bound_would_stop_the_run(priced: Shop) -> None:
    code, out = priced("run", "--estimate", "--max-rows", "10")
    assert code == 1
    assert "Left undone: m: 1,000 inputs to score, --max-rows allows 10" in out


def test_time_that_is_up_stops_after_the_chunk_in_hand_and_keeps_it(
    priced: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlp([1, 1024, 1024, 1], path=priced.root / "functions/f.onnx")
    priced.put(
        "functions/f.yml",
        "functions:\n  - name: f\n    model: {path: f.onnx}\n    arguments: [{name: x, data_type: real}]\n"
        "    returns: {data_type: real}\n    config: {reuse: true, batch_size: 64, cost: 0}\n",
    )
    priced.db("create or replace table t as select i as id, i::float as x from range(400000) r(i)")
    monkeypatch.setenv("SQLINFER_CHUNK_ROWS", "2000")
    monkeypatch.setattr("sqlinfer.runner.admission.seconds_per_row", lambda *_: 0.0)  # it is slower than is thought
    code, out = priced("run", "--max-seconds", "6")
    assert code == 1, out
    assert "--max-seconds 6 is used up" in out, out
    assert "of 400,000 inputs of f came back before" in out
    assert "Left undone: m" in out
    estimate = priced("run", "--estimate")[1]
    remembered = int(estimate.split(" remembered")[0].split()[-1].replace(",", ""))
    assert 0 < remembered < 400_000
