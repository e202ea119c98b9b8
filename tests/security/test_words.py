"""A secret that is an ordinary word: it is masked where it can be meant, and what is read again stays whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import house as houses
import pytest
from house import House

from sqlinfer import scrub

WORDS = [
    "customers",
    "core",
    "customer",
    "id",
    "select",
    "scores",
    "SCORES",
    "shop",
    "main",
    "default",
    "score",
    "c1",
    "100",
]


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    known = set(scrub._KNOWN)
    scrub._KNOWN.clear()
    scrub.forget_patterns()
    yield
    scrub._KNOWN.clear()
    scrub._KNOWN.update(known)
    scrub.forget_patterns()


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> House:
    return houses.build(tmp_path_factory.mktemp("house"))


@pytest.fixture
def shop(morning: House, tmp_path: Path) -> House:
    return houses.copy(morning, tmp_path / "shop")


def profile(password: str) -> str:
    far = {"type": "postgres", "host": "db", "password": password}
    outputs = {"dev": {"type": "duckdb", "path": "wh.duckdb"}, "far": far}
    return json.dumps({"shop": {"target": "dev", "outputs": outputs}})


@pytest.mark.parametrize("password", WORDS)
def test_compiled_sql_runs_by_hand(password: str, shop: House) -> None:
    houses.write(shop.root, {houses.PROFILES: profile(password), "models/plain.sql": "select id, id * 100 as c1, 'core' as t from customers where id < 100\n",
                             houses.SCORES: "select id, predict('score', x, y) as s from customers limit 100\n"})  # fmt: skip
    assert shop.sqlinfer("run").code == 0
    for name in ("scores", "plain"):
        text = (shop.root / f"target/compiled/shop/models/{name}.sql").read_text()
        with duckdb.connect(str(shop.root / "wh.duckdb")) as connection:
            found = connection.execute(text).fetchall()
        assert len(found) == 3


@pytest.mark.parametrize("password", ["scores", "score", "shop", "core", "main"])
def test_a_run_can_be_continued(password: str, shop: House) -> None:
    houses.write(shop.root, {houses.PROFILES: profile(password), houses.SCORES: "select nosuch from customers"})
    assert shop.sqlinfer("run").code == 1
    houses.write(shop.root, {houses.SCORES: "select id, predict('score', x, y) as s from customers"})
    done = shop.sqlinfer("retry")
    assert done.code == 0, done.text
    assert "OK created" in done.text


def test_texts_and_comments_of_sql_are_masked_and_names_are_not() -> None:
    scrub.learn(["customers_eu", "tok9!xQ2z_77"])
    sql = "select 'customers_eu' as a, customers_eu -- customers_eu\n, 'a tok9!xQ2z_77' from \"customers_eu\" /* customers_eu */"
    assert scrub.scrub_sql(sql) == (
        "select '*****' as a, customers_eu -- *****\n, 'a *****' from \"customers_eu\" /* ***** */"
    )


def test_what_is_no_word_is_masked_in_names_too() -> None:
    scrub.learn(["Zq1x-CANARY.7f"])
    assert "CANARY" not in scrub.scrub_sql('select 1 as "Zq1x-CANARY.7f", Zq1x-CANARY.7f')


def test_a_word_is_masked_where_it_stands_alone() -> None:
    scrub.learn(["hunter"])
    assert scrub.scrub("ada:hunter@db, hunters, 'hunter'") == "ada:*****@db, hunters, '*****'"
