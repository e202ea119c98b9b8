"""A store on PostgreSQL holds each key once: what others did to it is found before anything is published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sqlinfer.testing import onnx_builder
from sqlinfer.testing.postgres_server import Database
from tests.conftest import Shop

FUNCTION = """functions:
  - name: f
    model: {path: f.onnx}
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
    config: {reuse: true}
"""


@pytest.fixture
def house(tmp_path: Path, postgres_database: Database) -> Shop:
    """f(x) = 2x + 1 of a table t with x from 0 to 4, once published."""
    shop = Shop(tmp_path)
    shop.put("sqlinfer_project.yml", "name: shop\nprofile: shop\n")
    shop.put("profiles.yml", json.dumps({"shop": {"target": "dev", "outputs": {"dev": postgres_database.output()}}}))
    shop.put("functions/f.yml", FUNCTION)
    onnx_builder.linear([2.0], 1.0, element_type="double", path=tmp_path / "functions/f.onnx")
    postgres_database.run("create table t as select i as id, i::float8 as x from generate_series(0, 4) as i")
    shop.model("select id, predict('f', x) as y from t")
    code, text = shop("run")
    assert code == 0, text
    return shop


def store_of(database: Database) -> str:
    ((name,),) = database.run("select relname::text from pg_class where relname like 'f@%' and relkind = 'r'")
    return f'public_sqlinfer."{name}"'


def noted(database: Database) -> str | None:
    ((text,),) = database.run(f"select obj_description('{store_of(database)}'::regclass)")
    return text


def test_a_planted_twin_of_a_key_is_no_row_twice(house: Shop, postgres_database: Database) -> None:
    store = store_of(postgres_database)
    postgres_database.run(f"insert into {store} select * from {store} limit 1", "insert into t values (5, 5)")
    code, text = house("run")
    assert code == 1
    assert "the store of 'f' holds a key twice: 5 rows became 6" in text
    assert postgres_database.run("select count(*) from m") == [(5,)]


def test_a_twin_in_the_place_of_another_key_is_found_too(house: Shop, postgres_database: Database) -> None:
    store = store_of(postgres_database)
    postgres_database.run(
        f"delete from {store} where value = 1",
        f"insert into {store} select * from {store} where value = 3",
    )
    code, text = house("run")
    assert code == 1
    assert "holds a key twice" in text


def test_a_row_that_left_the_store_is_scored_again(house: Shop, postgres_database: Database) -> None:
    postgres_database.run(f"delete from {store_of(postgres_database)} where value = 1")
    code, text = house("run")
    assert code == 0
    assert "[5 rows, 1 scored" in text
    assert postgres_database.run("select count(y), sum(y) from m") == [(5, 25.0)]


def test_the_store_of_an_earlier_version_is_looked_at_once_and_kept(house: Shop, postgres_database: Database) -> None:
    before = noted(postgres_database)
    assert before is not None
    postgres_database.run(f"comment on table {store_of(postgres_database)} is null")
    code, text = house("run")
    assert code == 0
    assert "[5 rows, 0 scored" in text
    assert noted(postgres_database) == before


def test_remembered_errors_are_counted_without_a_join_of_all_rows(house: Shop, postgres_database: Database) -> None:
    failed = f"update {store_of(postgres_database)} set error = 'model: no', value = null where value = 5"
    postgres_database.run("insert into t values (6, 2)", failed)
    code, text = house("run")
    assert code == 0, text
    assert postgres_database.run("select count(*), count(y) from m") == [(6, 4)]
    assert postgres_database.run("select count(*) from sqlinfer_errors") == [(2,)]
