"""What a run leaves beside its table: the run line, sqlinfer_errors and sqlinfer_runs."""

from __future__ import annotations

import json

import pytest

MIXED = (
    "create or replace table t as select i as id, 'c-' || i as code, case when i < 4 then null when i = 5 then 'x5' "
)
MIXED += "else i::varchar end as x, i % 2 as half, i * 0.5 as part from range(10) r(i)"
RATE = "{{ config(max_error_rate=1) }} "


@pytest.mark.parametrize("reuse", ["true", "false"])
def test_the_run_line_says_what_was_null_and_what_failed(shop, reuse: str) -> None:
    shop.function(f"reuse: {reuse}")
    shop.model("select id, f(x) as p from t")
    _, out = shop("run")
    assert "[3 rows, 3 scored in " in out
    shop.db("update t set x = null where id = 1")
    _, out = shop("run", "--full-refresh")
    assert ", 1 null in " in out
    assert "error" not in out.split("created")[1].splitlines()[0]
    shop.db(MIXED)
    _, out = shop("run")
    assert "[10 rows, 5 scored, 4 null, 1 error in " in out


@pytest.mark.parametrize("reuse", ["true", "false"])
@pytest.mark.parametrize(
    ("config", "sql", "tests", "shown"),
    [
        ("unique_key='id'", "select id, f(x) as p from t", "", {"id": 5}),
        ("unique_key='the_id'", "select id as the_id, f(x) as p from t", "", {"the_id": 5}),
        ("unique_key=['code', 'half']", "select code, half, f(x) as p from t", "", {"code": "c-5", "half": 1}),
        ("", "select id, f(x) as p from t", "", {"id": 5}),
        ("", "select code, part, f(x) as p from t", "", {"code": "c-5"}),
        ("", "select id as the_id, f(x) as p from t", "", {"the_id": 5}),
        ("", "select half, code, f(x) as p from t", "[unique]", {"code": "c-5", "half": 1}),
        ("", "select part, x, f(x) as p from t", "", None),
        ("", "select f(x) as p from t", "", None),
        ("", "with q as (select code as c, f(x) as p from t) select c as d, p from q where c > 'a'", "", {"d": "c-5"}),
    ],
)
def test_a_record_tells_which_row_and_no_argument(shop, reuse: str, config: str, sql: str, tests: str, shown) -> None:
    shop.function(f"reuse: {reuse}")
    shop.db(MIXED)
    yml = f"    columns:\n      - name: code\n        data_tests: {tests}\n" if tests else ""
    shop.model(f"{RATE.replace(')', ', ' + config + ')') if config else RATE}{sql}", yml)
    code, out = shop("run")
    assert code == 0, out
    ((error, keys, message),) = shop.db("select error_class, key_columns, message from sqlinfer_errors")
    assert error == "cast_error"
    assert (json.loads(keys) if keys else None) == shown
    assert "x5" not in f"{keys}{message}"


@pytest.mark.parametrize("reuse", ["true", "false"])
def test_every_client_reads_the_types_of_the_records(shop, reuse: str) -> None:
    shop.function(f"reuse: {reuse}, on_invalid: 'null'")
    shop.db("update t set x = 'nan'::double where id = 1")
    shop.model("select id, f(x) as p from t")
    assert shop("run")[0] == 0
    types = dict(shop.db("select column_name, data_type from duckdb_columns() where table_name = 'sqlinfer_errors'"))
    assert set(types.values()) <= {"VARCHAR", "TIMESTAMP WITH TIME ZONE"}
    ((key,),) = shop.db("select input_key from sqlinfer_errors")
    assert key.isdigit() if reuse == "true" else key is None


OLD_ERRORS = """create table sqlinfer_errors as select 'other' as node, 'g' as "function", 'd' as digest,
    (2::uhugeint ** 127)::uhugeint as input_key, 'lost?' as message, 'mine' as note"""
OLD_RUNS = """create table sqlinfer_runs as select 'r1' as run_id, 'model.shop.other' as node, 'main.other' as relation,
    now() as started_at, now() as finished_at, 7::bigint as rows, 'success' as status, 'mine' as note"""


@pytest.mark.parametrize("bad", [True, False])
def test_tables_of_an_older_version_are_brought_up_to_date_by_name(shop, bad: bool) -> None:
    shop.db(OLD_ERRORS)
    shop.db(OLD_RUNS)
    if bad:
        shop.db(MIXED)
    shop.model(f"{RATE}select id, f(x) as p from t")
    for _ in range(2):
        code, out = shop("run", "--full-refresh")
        assert code == 0, out
    kept = shop.db("select node, input_key, message, note from sqlinfer_errors where node = 'other'")
    assert kept == [("other", str(2**127), "lost?", "mine")]
    assert shop.db("select count(*) from sqlinfer_errors where node = 'm'") == [(int(bad),)]
    assert shop.db("select rows, status, note, inputs from sqlinfer_runs where run_id = 'r1'") == [
        (7, "success", "mine", None)
    ]
    assert shop.db("select distinct status, inputs > 0, errors from sqlinfer_runs where node = 'model.shop.m'") == [
        ("success", True, int(bad))
    ]


def test_columns_of_a_newer_version_stay(shop) -> None:
    shop.model("select id, f(x) as p from t")
    assert shop("run")[0] == 0
    shop.db("alter table sqlinfer_runs add column cost double default 1.5")
    assert shop("run")[0] == 0
    assert shop.db("select cost from sqlinfer_runs") == [(1.5,), (1.5,)]
