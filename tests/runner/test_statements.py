"""What a node asks of DuckDB: how many statements it takes, and that what is known of record tables is forgotten in
time."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from sqlinfer.adapters.duckdb import kinds, visits
from sqlinfer.adapters.duckdb.connection import DuckDBConnection
from tests.conftest import Shop

PLAIN, SCORED = 11, 38
"""Statements of one more node, a data test included."""
NOT_NULL = "    columns: [{name: id, data_tests: [not_null]}]\n"


@pytest.fixture
def table_size() -> str:
    """What large tables take in addition is not counted."""
    return "small"


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement of the writing connections, and names that are asked for."""
    found: list[str] = []
    hear, probed = DuckDBConnection._hear, kinds.probed

    def hearing(self: DuckDBConnection, sql: str) -> None:
        found.append(sql)
        hear(self, sql)

    def probing(cursor, relation):  # type: ignore[no-untyped-def]
        found.append(f"PROBE {relation}")
        return probed(cursor, relation)

    monkeypatch.setattr(visits, "LINGER", 600.0)  # however slow the machine is, the database stays open
    monkeypatch.setattr(DuckDBConnection, "_hear", hearing)
    monkeypatch.setattr("sqlinfer.adapters.duckdb.connection.probed", probing)
    return found


def asked(shop: Shop, heard: list[str], kind: str, nodes: int) -> int:
    """Statements of a night with so many nodes of a kind, after one that has built them."""
    calls = {"plain": "select id, x from t", "scored": "select id, f(x + {}) as p from t"}
    for number in range(nodes):
        shop.model(calls[kind].format(number), NOT_NULL, name=f"{kind}_{number}")
    for _ in range(2):
        heard.clear()
        code, out = shop("run", "--select", f"{kind}_*")
        assert code == 0, out
    return len(heard)


@pytest.mark.parametrize(("kind", "most"), [("plain", PLAIN), ("scored", SCORED)])
def test_one_node_more_takes_so_many_statements(shop: Shop, heard: list[str], kind: str, most: int) -> None:
    few, many = asked(shop, heard, kind, 2), asked(shop, heard, kind, 5)
    assert many - few <= 3 * most, Counter(re.sub(r"\d+", "#", sql)[:60] for sql in heard).most_common(40)


def test_record_tables_are_described_once_while_the_database_stays_open(shop: Shop, heard: list[str]) -> None:
    asked(shop, heard, "plain", 6)
    opened = sum(sql.startswith("ATTACH IF NOT EXISTS") and "READ_ONLY" not in sql for sql in heard)
    described = sum(sql.startswith("DESCRIBE") and "sqlinfer_runs" in sql for sql in heard)
    assert (opened, described) == (1, 1)


@pytest.mark.parametrize("hook", ["drop table sqlinfer_runs", "alter table sqlinfer_runs drop column provenance"])
def test_a_hook_that_changes_the_record_table_is_noticed(shop: Shop, hook: str) -> None:
    shop.model("select id from t", name="a")
    shop.model('{{ config(post_hook="' + hook + "\") }} select id from {{ ref('a') }}", name="b")
    shop.model("select id from {{ ref('b') }}", name="c")
    for _ in range(2):
        code, out = shop("run")
        assert code == 0, out
    kept = shop.db("select node, provenance is not null from sqlinfer_runs order by started_at desc limit 1")
    assert kept == [("model.shop.c", True)]


def test_a_later_run_of_the_same_table_is_still_seen(shop: Shop) -> None:
    """Known is when the newest run has started, of whatever node; here it lies in the future."""
    shop.model("select id from t", name="a")
    shop.model("select id from t", name="b")
    assert shop("run")[0] == 0
    shop.db(
        "insert into sqlinfer_runs (run_id, node, started_at) values ('later', 'model.shop.b', now() + interval 1 day)"
    )
    code, out = shop("run")
    assert code == 1
    assert "a newer run (later) has published" in out
    assert shop.db("select count(*) from sqlinfer_runs where node = 'model.shop.a'") == [(2,)]
