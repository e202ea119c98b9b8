"""The real command on PostgreSQL: every kind of node, errors, retries, previews."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sqlinfer.testing import onnx_builder
from sqlinfer.testing.postgres_server import Database
from tests.conftest import Shop

FUNCTIONS = """functions:
  - name: f
    model: {path: f.onnx}
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
    config: {reuse: true, max_error_rate: 0.9}
  - name: streamed
    model: {path: f.onnx}
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
    config: {reuse: false}
"""


@pytest.fixture
def house(tmp_path: Path, postgres_database: Database) -> Shop:
    """f(x) = 2x + 1; a table t with id, x, a text that is a number but for id 1, and types of the server's own."""
    shop = Shop(tmp_path)
    shop.put("sqlinfer_project.yml", "name: shop\nprofile: shop\n")
    output = {"dev": postgres_database.output(), "ml": postgres_database.output(schema="ml")}
    shop.put("profiles.yml", json.dumps({"shop": {"target": "dev", "outputs": output}}))
    shop.put("functions/f.yml", FUNCTIONS)
    onnx_builder.linear([2.0], 1.0, element_type="double", path=tmp_path / "functions/f.onnx")
    postgres_database.run(
        "create type mood as enum ('sad', 'ok')",
        "create table t as select i as id, i::float8 as x, case i when 1 then 'bad' else i::text end as said, "
        "1.25::numeric(10, 2) as price, '{\"a\": 1}'::jsonb as js, 'ok'::mood as mood, '{1.5}'::real[] as arr, "
        "'2024-01-02'::timestamptz as at from generate_series(0, 4) as i",
    )
    return shop


def run(shop: Shop, *words: str, code: int = 0) -> str:
    found, text = shop(*words)
    assert found == code, text
    return text


def test_columns_of_the_servers_own_types_come_through(house: Shop, postgres_database: Database) -> None:
    house.model("select id, price, js, mood, arr, at, predict('f', x) as y, predict('streamed', x) as z from t")
    run(house, "run")
    types = "select attname::text, format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'm'::regclass "
    assert dict(postgres_database.run(f"{types} and attnum > 0")) == {
        "id": "integer", "price": "numeric(10,2)", "js": "jsonb", "mood": "mood", "arr": "real[]",
        "at": "timestamp with time zone", "y": "double precision", "z": "double precision",
    }  # fmt: skip
    assert postgres_database.run("select sum(y), sum(z), count(*) from m where mood = 'ok'") == [(25.0, 25.0, 5)]


def test_the_second_night_scores_what_is_new(house: Shop, postgres_database: Database) -> None:
    house.model("{{ config(materialized='incremental', unique_key='id', lineage=true) }} "
                "select id, predict('f', x) as y from t")  # fmt: skip
    run(house, "run")
    postgres_database.run("insert into t (id, x) values (9, 9)", "delete from t where id = 0")
    assert "[5 rows, 1 scored" in run(house, "run")
    assert postgres_database.run("select id, y from m order by id") == [(i, 2.0 * i + 1) for i in (0, 1, 2, 3, 4, 9)]
    assert postgres_database.run("select count(distinct _sqlinfer_run_id) from m") == [(2,)]


def test_an_incremental_table_has_no_columns_that_differ_only_in_case(house: Shop) -> None:
    house.model("{{ config(materialized='incremental', unique_key='id') }} "
                "select id, x as \"ID\", predict('f', x) as y from t")  # fmt: skip
    text = run(house, "run", code=1)
    assert "columns 'id' and 'ID' of " in text
    assert "differ only in case" in text


def test_a_row_that_does_not_fit_costs_itself_alone(house: Shop, postgres_database: Database) -> None:
    house.model("{{ config(unique_key='id') }} select id, predict('f', said) as y from t")
    text = run(house, "run")
    assert "bad" not in text
    assert postgres_database.run("select id, y from m where y is null") == [(1, None)]
    assert postgres_database.run("select key_columns, error_class from sqlinfer_errors") == [('{"id":1}', "cast_error")]
    postgres_database.run("update t set said = '1'")
    run(house, "run")
    assert postgres_database.run("select count(*) from sqlinfer_errors") == [(0,)]


def test_what_could_not_be_published_is_published_by_retry(house: Shop, postgres_database: Database) -> None:
    sql = "select id, predict('f', x) as y{} from t"
    house.model("{{ config(publish_timeout=1) }} " + sql.format(""))
    run(house, "run")
    house.model("{{ config(publish_timeout=1) }} " + sql.format(", 1 as more"))
    with postgres_database.connected() as connection:
        for statement in ("begin", "select * from m"):
            with closing(connection.cursor()) as cursor:
                cursor.execute(statement)
                _ = cursor.fetchall() if cursor.description else None
        text = run(house, "run", code=1)
        assert "scored, not published: table public.m is held by process" in text
        assert postgres_database.run("select * from m where id = 4") == [(4, 9.0)]
    assert "OK" in run(house, "retry")
    assert postgres_database.run("select * from m where id = 4") == [(4, 9.0, 1)]


def test_nodes_of_every_kind(house: Shop, postgres_database: Database) -> None:
    house.put("seeds/s.csv", "id,on_day\n1,2020-01-01\n2,\n")
    house.model("{{ config(materialized='ephemeral') }} select * from t where id < 3", name="few")
    house.model("select id, predict('f', x) as y from {{ ref('few') }} where predict('f', x) > 1", name="scored")
    house.model("{{ config(materialized='view') }} select * from {{ ref('scored') }}", name="seen")
    house.model("{{ config(materialized='external', location='out.parquet') }} "
                "select id, mood, price, predict('f', x) as y from t", name="file")  # fmt: skip
    hooks = "pre_hook='create table if not exists log (x int)', post_hook='insert into log values (1)'"
    house.model(f"{{{{ config({hooks}) }}}} "
                "select s.id, s.on_day, (select max(predict('f', t.x)) from t where t.id <= s.id) as y "
                "from {{ ref('s') }} as s", name="hooked")  # fmt: skip
    run(house, "build")
    assert postgres_database.run("select * from seen order by id") == [(1, 3.0), (2, 5.0)]
    assert postgres_database.run("select id, y from hooked order by id") == [(1, 3.0), (2, 5.0)]
    assert postgres_database.run("select * from log") == [(1,)]
    rows = pq.read_table(house.root / "out.parquet").to_pylist()
    assert sorted((row["id"], row["mood"], str(row["price"]), row["y"]) for row in rows)[1] == (1, "ok", "1.25", 3.0)


def test_previews_leave_nothing_and_read_what_is_remembered(house: Shop, postgres_database: Database) -> None:
    house.model("select id, predict('f', x) as y from t")
    ours = "select count(*) from pg_namespace where nspname = 'public_sqlinfer'"
    assert "| 4" in run(house, "preview", "m").replace("|  4", "| 4")
    assert postgres_database.run(ours) == [(0,)]
    run(house, "run")
    assert "5 remembered, 0 to" in " ".join(run(house, "compile", "m", "--estimate").replace("│", "").split())
    assert "11" in run(house, "preview", "--inline", "select predict('f', 5.0) as y")


def test_tests_hold_a_bad_night_back(house: Shop, postgres_database: Database) -> None:
    check = "    columns: [{name: y, data_tests: [{accepted_range: {max_value: 9}}]}]\n"
    house.model("select id, predict('f', x) as y from t", check)
    run(house, "run")
    postgres_database.run("update t set x = 50 where id = 4")
    assert "data tests failed" in run(house, "run", code=1)
    assert postgres_database.run("select max(y) from m") == [(9.0,)]
    run(house, "test")


def test_another_schema_has_stores_of_its_own(house: Shop, postgres_database: Database) -> None:
    house.model("select id, predict('f', x) as y from public.t")
    for target in ("dev", "ml"):
        assert "5 scored" in run(house, "run", "--target", target)
    assert postgres_database.run("select count(*) from ml.m") == [(5,)]


def test_debug_says_what_the_role_lacks(house: Shop, postgres_database: Database) -> None:
    name = f"{postgres_database.name}_poor"
    postgres_database.run(
        f"create role {name} login", f"revoke temporary on database {postgres_database.name} from public"
    )
    try:
        profile = json.loads((house.root / "profiles.yml").read_text())
        profile["shop"]["outputs"]["dev"] |= {"role": name}
        house.put("profiles.yml", json.dumps(profile))
        text = run(house, "debug", code=1)
        assert "GRANT TEMPORARY ON DATABASE" in text
        assert "CREATE SCHEMA public_sqlinfer AUTHORIZATION" in text
    finally:
        postgres_database.run(f"drop role {name}")


@pytest.mark.parametrize("function", ["f", "streamed"])
def test_rows_whose_inputs_changed_are_stale_and_decisions_that_flip_are_counted(
    house: Shop, postgres_database: Database, function: str
) -> None:
    house.model("{{ config(materialized='incremental', unique_key='id', decision='top 2 by y') }} "
                f"select id, predict('{function}', x) as y from t")  # fmt: skip
    run(house, "run")
    run(house, "run")
    postgres_database.run("update t set x = 100 where id = 0", "update t set x = x + 0.25 where id = 1")
    text = run(house, "freshness", "--output", "json", "--impact", "10")
    (found,) = json.loads(text[text.index("[\n") :])
    assert [found[name] for name in ("table", "rows", "stale_rows", "older_function_rows")] == ["m", 5, 2, 0]
    assert [found[name] for name in ("sampled", "flips", "flip_low", "flip_high")] == [2, 1, 0.5, 0.5]
    assert found["mean_shift"] == pytest.approx((200 + 0.5) / 2)
    run(house, "run")
    assert "0 stale (0.0 %)" in run(house, "freshness")


def test_the_receipt_is_in_the_record(house: Shop, postgres_database: Database) -> None:
    house.put("sqlinfer_project.yml", "name: shop\nprofile: shop\nprices: {currency: USD, device_hour: 3.6}\n")
    house.model("select id, predict('f', x) as y from t")
    run(house, "run")
    ((seconds, cost, currency),) = postgres_database.run(
        "select elapsed_seconds, cost_on_demand, cost_currency from sqlinfer_runs"
    )
    assert (float(cost), currency) == (pytest.approx(float(seconds) / 1000, rel=1e-6), "USD")


def test_a_challenger_is_compared_there_too(house: Shop, postgres_database: Database) -> None:
    onnx_builder.linear([3.0], 0.0, element_type="double", path=house.root / "functions/g.onnx")
    head = FUNCTIONS.replace("max_error_rate: 0.9", "challenger: g")
    house.put("functions/f.yml", head.replace("streamed", "g").replace("f.onnx}\n", "f.onnx}\n", 1)
              .replace("name: g\n    model: {path: f.onnx}", "name: g\n    model: {path: g.onnx}"))  # fmt: skip
    house.model("{{ config(unique_key='id', decision='y > 4') }} select id, predict('f', x) as y from t")
    for _ in range(2):
        run(house, "run")
    assert postgres_database.run("select id, champion, challenger, shift, flipped from m__challenger order by id") == [
        (0, 1.0, 0.0, -1.0, False), (1, 3.0, 3.0, 0.0, False), (2, 5.0, 6.0, 1.0, False), (3, 7.0, 9.0, 2.0, False),
        (4, 9.0, 12.0, 3.0, False),
    ]  # fmt: skip
    said = "select rows, flips, largest_shift, psi > 0, status, message from sqlinfer_challenges"
    assert postgres_database.run(said) == [(5, 0, 3.0, True, "success", None)] * 2
