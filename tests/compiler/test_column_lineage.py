"""The manifest says which columns each argument of a prediction is made of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Shop


def _predicted(shop: Shop, sql: str) -> dict[str, Any]:
    """Column → the relation.column of each argument, one list for each call."""
    shop.db("create table u as select i as uid, i::double as y from range(3) r(i)")
    shop.model(sql)
    code, out = shop("compile")
    assert code == 0, out
    node = json.loads((shop.root / "target/manifest.json").read_text())["nodes"]["model.shop.m"]
    found = {}
    for name, column in node["columns"].items():
        calls = column["meta"]["sqlinfer"]["predicted_by"]
        assert {call["function"] for call in calls} == {"function.shop.f"}
        found[name] = [[f"{one['relation'].rpartition('.')[2]}.{one['column']}" for one in call["arguments"]["x"]]
                       for call in calls]  # fmt: skip
    return found


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("select id, predict('f', x) as y from t", {"y": [["t.x"]]}),
        ("select id, f(x + id) * 2 as y from t", {"y": [["t.x", "t.id"]]}),
        (
            "with a as (select id, x * 2 as xx, y from t join u on id = uid) "
            "select *, predict('f', xx + y) as s, case when xx > 1 then f(y) end as g from a",
            {"s": [["t.x", "u.y"]], "g": [["u.y", "t.x"]]},
        ),
        ("select a.id, f(f(x)) as y from t as a", {"y": [["t.x"]]}),
        ("select id, f(x) + f(id) as y from t", {"y": [["t.x"], ["t.id"]]}),
        ("select id, f(x) as y from t union all select uid, f(y) from u", {"y": [["t.x"], ["u.y"]]}),
        ("select uid, f((select max(x) from t)) as z from u", {"z": [["t.x"]]}),
        ("select max(f(x)) as top from t", {"top": [["t.x"]]}),
        ("select id from t where f(x) > 1", {}),
    ],
)
def test_arguments_are_followed_to_the_tables(shop: Shop, sql: str, wanted: dict[str, Any]) -> None:
    assert _predicted(shop, sql) == wanted


def test_a_column_of_a_node_is_named_by_the_node(shop: Shop) -> None:
    shop.model("select id, x * 2 as x from t", name="above")
    shop.model("select id, predict('f', x) as y from {{ ref('above') }}")
    assert shop("compile")[0] == 0
    for _ in range(2):  # the second time from memory
        assert shop("compile")[0] == 0
        node = json.loads((shop.root / "target/manifest.json").read_text())["nodes"]["model.shop.m"]
        (call,) = node["columns"]["y"]["meta"]["sqlinfer"]["predicted_by"]
        assert call["arguments"] == {
            "x": [{"unique_id": "model.shop.above", "relation": "w.main.above", "column": "x"}]
        }
