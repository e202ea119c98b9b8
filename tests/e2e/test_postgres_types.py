"""Types of the server's own: they feed functions, and come through to what is published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sqlinfer.testing import onnx_builder
from sqlinfer.testing.postgres_server import Database
from tests.conftest import FUNCTION, Shop

TYPES = {
    "id": "int", "n": "numeric", "p": "numeric(8,3)", "words": "text[]", "reals": "real[]", "js": "jsonb",
    "at": "timestamptz", "mood": "mood", "positive": "positive", "u": "uuid", "raw": "bytea", "flag": "boolean",
}  # fmt: skip
VALUES = (
    "(1, 1.5, 2.125, '{a,NULL}', '{1,2,3,4}', '{\"a\": [1]}', '2024-01-02 03:04:05.678901+02', 'ok', 7, "
    "'00000000-0000-0000-0000-000000000001', '\\x00ff', true), "
    "(2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
)
SUM = """functions:
  - name: total
    model: {path: total.onnx}
    arguments: [{name: v, data_type: 'float[4]'}]
    returns: {data_type: float}
"""


@pytest.fixture
def house(tmp_path: Path, postgres_database: Database) -> Shop:
    """f(x) = 2x + 1, and the sum of four values."""
    shop = Shop(tmp_path)
    shop.put("sqlinfer_project.yml", "name: shop\nprofile: shop\n")
    shop.put("profiles.yml", json.dumps({"shop": {"target": "dev", "outputs": {"dev": postgres_database.output()}}}))
    shop.put("functions/f.yml", FUNCTION.format(config=""))
    shop.put("functions/total.yml", SUM)
    onnx_builder.linear([2.0], 1.0, element_type="double", path=tmp_path / "functions/f.onnx")
    onnx_builder.array_sum(4, path=tmp_path / "functions/total.onnx")
    return shop


def test_every_type_comes_through_and_numbers_feed_functions(house: Shop, postgres_database: Database) -> None:
    at = postgres_database
    columns = ", ".join(f"{name} {kind}" for name, kind in TYPES.items())
    at.run("create type mood as enum ('sad', 'ok')", "create domain positive as int check (value > 0)",
           f"create table t ({columns})", f"insert into t values {VALUES}")  # fmt: skip
    house.model("select t.*, predict('f', n) as by_n, predict('f', p) as by_p, predict('f', positive) as by_domain, "
                "predict('f', flag::int) as by_flag, predict('total', reals) as by_reals from t")  # fmt: skip
    code, text = house("run")
    assert code == 0, text
    told = "select array_agg(format_type(atttypid, atttypmod) order by attnum) from pg_attribute where attnum "
    ((before, after),) = at.run(f"select ({told} between 1 and 12 and attrelid = 't'::regclass), "
                                f"({told} between 1 and 12 and attrelid = 'm'::regclass)")  # fmt: skip
    assert before == after
    named = ", ".join(TYPES)
    assert at.run(f"select count(*) from (select {named} from t except select {named} from m) as q") == [(0,)]
    found = at.run("select by_n, by_p, by_domain, by_flag, by_reals from m order by id")
    assert found == [(4.0, 5.25, 15.0, 3.0, 10.0), (None,) * 5]


def test_vectors_feed_arguments_that_are_arrays(house: Shop, postgres_database: Database) -> None:
    at = postgres_database
    if not at.run("select 1 from pg_available_extensions where name = 'vector'"):
        at.run("create domain vector as real[]")
    else:
        at.run("create extension vector")
    at.run("create table t (id int, v vector)", "insert into t values (1, '{1,2,3,4}'::real[]::vector), (2, null)")
    house.model("select id, v, predict('total', v) as y, predict('total', v::real[]) as z from t")
    code, text = house("run")
    assert code == 0, text
    assert at.run("select y, z from m order by id") == [(10.0, 10.0), (None, None)]


def test_a_value_that_a_cast_would_cut_is_not_the_key_of_another_row(house: Shop, postgres_database: Database) -> None:
    kinds = {"v": ("varchar(3)", "abc", "abcd"), "n": ("numeric(10,2)", "1.24", "1.239"),
             "at": ("timestamp(0)", "2026-01-01 10:00:01", "2026-01-01 10:00:00.7")}  # fmt: skip
    columns = ", ".join(f"cast('{value}' as {kind}) as {name}" for name, (kind, value, _) in kinds.items())
    postgres_database.run(f"create table t as select {columns}, 1::float8 as x")
    for name in kinds:
        sql = f"{{{{ config(materialized='table', unique_key='{name}') }}}} select {name}, predict('f', x) as p from t"
        house.model(sql, name=f"by_{name}")
    code, text = house("run")
    assert code == 0, text
    for name, (_, value, other) in kinds.items():
        assert house("lookup", f"by_{name}", "--key", f"{name}={value}")[0] == 0
        code, text = house("lookup", f"by_{name}", "--key", f"{name}={other}")
        assert (code, "does not fit" in text) == (2, True), text
