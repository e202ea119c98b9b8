"""``sqlinfer lookup``: one prediction by its key, whether it still holds, and one that is made now."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

import sqlinfer
from sqlinfer.errors import UsageError
from sqlinfer.testing.onnx_builder import linear
from tests.conftest import Shop

HEAD = "{{ config(materialized='incremental', unique_key='id') }} "
EXTRA = ["_scored_at", "_function", "_stale", "_scored_now"]


@pytest.fixture(params=["", "reuse: true"], ids=["stream", "store"])
def scored(request: pytest.FixtureRequest, shop: Shop) -> Shop:
    """1,000 rows with p = 2x + 1."""
    shop.function(str(request.param))
    shop.db("create or replace table t as select i as id, i::double as x, 'n' || i as name from range(1000) r(i)")
    shop.model(HEAD + "select id, name, predict('f', x) as p from t where id < 900 or x > 2000")
    assert shop("run")[0] == 0
    return shop


def looked_up(shop: Shop, *words: str, code: int = 0) -> dict[str, Any]:
    got, out = shop("lookup", "m", "--output", "json", *words)
    assert got == code, out
    return json.loads(out[out.index("{\n") :]) if code == 0 else {}


def test_a_row_comes_with_its_columns_and_where_it_is_from(scored: Shop) -> None:
    row = looked_up(scored, "--key", "ID=42")
    assert list(row) == ["id", "name", "p", *EXTRA]
    assert (row["id"], row["name"], row["p"]) == (42, "n42", 85.0)
    assert row["_function"].startswith("f@")
    assert (row["_stale"], row["_scored_now"]) == (False, False)
    assert (datetime.now(UTC) - datetime.fromisoformat(row["_scored_at"])).total_seconds() < 300


def test_a_row_whose_inputs_changed_is_stale_and_made_anew_only_where_that_is_asked(scored: Shop) -> None:
    scored.db("update t set x = 100.5 where id = 7")
    assert looked_up(scored, "--key", "id=7")["_stale"] is True
    assert looked_up(scored, "--key", "id=8")["_stale"] is False
    row = looked_up(scored, "--key", "id=7", "--or-score")
    assert (row["p"], row["name"], row["_stale"], row["_scored_now"]) == (202.0, "n7", False, True)
    assert list(row) == ["id", "name", "p", *EXTRA]
    assert looked_up(scored, "--key", "id=8", "--or-score")["_scored_now"] is False
    assert looked_up(scored, "--key", "id=7")["p"] == 15.0, "nothing was written"


def test_a_missing_row_is_one_message_or_is_scored_where_the_query_gives_it(scored: Shop) -> None:
    scored.db("insert into t values (5000, 3000, 'new'), (5001, 10, 'never')")
    code, out = scored("lookup", "m", "--key", "id=5000")
    assert (code, "No row of 'm' has id=5000" in out) == (1, True)
    row = looked_up(scored, "--key", "id=5000", "--or-score")
    assert (row["id"], row["name"], row["p"], row["_scored_now"]) == (5000, "new", 6001.0, True)
    looked_up(scored, "--key", "id=5001", "--or-score", code=1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["m", "--key", "idd=1"], "'idd' is not part of it"),
        (["m", "--key", "id"], "COLUMN=VALUE"),
        (["m", "--key", "id=1", "--key", "id=2"], "twice"),
        (["m", "--key", "id=one"], "does not fit id"),
        (["m", "--key", "id=1", "--key", "name=n1"], "'name' is not part of it"),
        (["mm", "--key", "id=1"], "no model is named 'mm'"),
        (["plain", "--key", "id=1"], "is no prediction"),
        (["keyless", "--key", "id=1"], "no key to look them up by"),
        (["later", "--key", "id=1"], "is not built yet"),
    ],
)
def test_what_cannot_be_looked_up_is_said(shop: Shop, words: list[str], said: str) -> None:
    shop.function("")
    shop.db("create or replace table t as select i as id, i::double as x, 'n' || i as name from range(10) r(i)")
    shop.model(HEAD + "select id, name, predict('f', x) as p from t")
    for name, sql in (
        ("plain", "{{ config(materialized='table') }} select id from t"),
        ("keyless", "{{ config(materialized='table') }} select id, predict('f', x) as p from t"),
        ("later", HEAD + "select id, predict('f', x + 1) as p from t"),
    ):
        (shop.root / "models" / f"{name}.sql").write_text(sql)
    assert shop("run", "--exclude", "later")[0] == 0
    code, out = shop("lookup", *words)
    assert code in (1, 2)
    assert said in out
    assert "Traceback" not in out


@pytest.mark.parametrize(
    ("kind", "there", "asked"),
    [
        ("integer", "2", ["1.7", 1.7, 2.4]),
        ("decimal(10, 2)", "1.24", ["1.239", Decimal("1.2449")]),
        ("date", "2026-01-01", ["2026-01-01 23:00", datetime(2026, 1, 1, 23)]),
    ],
)
def test_a_value_that_a_cast_would_change_is_not_the_key_of_another_row(
    shop: Shop, kind: str, there: str, asked: list[Any]
) -> None:
    shop.function("")
    shop.db(f"create or replace table t as select cast('{there}' as {kind}) as id, 1.0::double as x "
            f"union all select cast('3' as integer)::varchar::{kind}, 2 where '{kind}' <> 'date' "
            f"union all select cast('1' as integer)::varchar::{kind}, 2 where '{kind}' <> 'date'")  # fmt: skip
    shop.model(HEAD + "select id, predict('f', x) as p from t")
    assert shop("run")[0] == 0
    assert looked_up(shop, "--key", f"id={there}")["p"] == 3.0
    with sqlinfer.lookup(shop.root, "m") as table:
        assert table.get(there) is not None
        for value in asked:
            for get in (table.get, lambda one: table.once({"id": one})):
                with pytest.raises(UsageError, match="does not fit"):
                    get(value)


def test_a_key_of_several_columns_and_one_that_rows_share(shop: Shop) -> None:
    shop.function("")
    shop.db(
        "create or replace table t as select p as place, h as hour, h::double as x from range(3) a(p), range(24) b(h)"
    )
    shop.model(
        "{{ config(materialized='incremental', unique_key=['place', 'hour']) }} "
        "select place, hour, predict('f', x) as p from t"
    )
    assert shop("run")[0] == 0
    assert looked_up(shop, "--key", "hour=8", "--key", "place=1")["p"] == 17.0
    code, out = shop("lookup", "m", "--key", "place=1")
    assert (code != 0, "'hour' is missing" in out) == (True, True)
    with sqlinfer.lookup(shop.root, "m") as table:
        row = table.get(place=2, hour=23)
        assert row is not None
        assert row["p"] == 47.0
        assert table.get(2, 23) == table.get({"PLACE": "2"}, hour="23") == row
        assert table.get(place=2, hour=24) is None
    shop.db("insert into m select * from m where place = 1 and hour = 8")
    assert "2 rows of 'm' have that key" in shop("lookup", "m", "--key", "hour=8", "--key", "place=1")[1]
    with sqlinfer.lookup(shop.root, "m") as table, pytest.raises(UsageError, match="several rows"):
        table.get(place=1, hour=8)


def test_an_open_object_follows_the_table_and_keeps_nobody_out(scored: Shop) -> None:
    with sqlinfer.lookup(scored.root, "m") as table:
        assert table.get(id=3)["p"] == 7.0  # type: ignore[index]
        assert table.get(3)["_stale"] is False  # type: ignore[index]
        scored.db("update t set x = 50 where id = 3")  # another connection may write
        table._due = time.monotonic()
        assert table.get("3")["_stale"] is True  # type: ignore[index]
        assert table.get(3, or_score=True)["p"] == 101.0  # type: ignore[index]
        assert scored("run")[0] == 0
        table._due = time.monotonic()
        row = table.get(3)
        assert row is not None
        assert (row["p"], row["_stale"], row["_scored_now"]) == (101.0, False, False)
        with pytest.raises(UsageError, match="does not fit id"):
            table.get("three")


def test_thousands_of_rows_are_looked_up_from_one_copy(scored: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlinfer.lookup(scored.root, "m", or_score=True) as table:
        assert table.get(0) is not None
        monkeypatch.setattr(type(table), "_all", None)  # read no more
        monkeypatch.setattr(type(table), "_reading", None)
        for number in range(0, 900, 1):
            row = table.get(number)
            assert row is not None
            assert row["p"] == 2.0 * number + 1


def test_a_row_scored_now_has_the_names_of_the_published_one(shop: Shop) -> None:
    shop.function("")
    shop.db('create or replace table t as select i as "B k", i::double as "X y" from range(3) r(i)')
    shop.model("""{{ config(unique_key='"B k"') }} select "B k", "X y", predict('f', "X y") as "P" from t""")
    assert shop("run")[0] == 0
    known = looked_up(shop, "--key", "B k=2")
    shop.db('update t set "X y" = 7 where "B k" = 2')
    anew = looked_up(shop, "--key", "b k=2", "--or-score")
    assert (list(anew), anew["_scored_now"]) == (list(known), True)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select id, predict('f', x) as p, rank() over (order by predict('f', x)) as r from t", "a window function"),
        ("select id, predict('f', x) as p from t order by p desc limit 3", "LIMIT"),
        (
            "select id, predict('f', x) as p from t qualify row_number() over (partition by name order by p) = 1",
            "window",
        ),
        ("select distinct on (name) id, name, predict('f', x) as p from t order by name, p", "DISTINCT ON"),
    ],
)
def test_a_row_that_depends_on_others_is_not_scored_by_itself(shop: Shop, query: str, said: str) -> None:
    shop.function("reuse: true")
    shop.db("create or replace table t as select i as id, i::double as x, 'n' || i % 5 as name from range(20) r(i)")
    shop.model("{{ config(materialized='table', unique_key='id') }} " + query)
    assert shop("run")[0] == 0
    shop.db("update t set x = x + 100")
    code, out = shop("lookup", "m", "--key", "id=19", "--or-score")
    assert code == 2, out
    assert "cannot be scored by itself: it depends on others" in out
    assert said in out
    assert "impact is not known" in shop("freshness", "m", "--impact", "5")[1]


def test_a_key_column_that_is_named_twice_is_refused(scored: Shop) -> None:
    code, out = scored("lookup", "m", "--key", "id=3", "--key", "ID=4")
    assert (code, "--key names 'ID' twice" in out) == (2, True)
    with sqlinfer.lookup(scored.root, "m") as lookup, pytest.raises(UsageError, match="named twice"):
        lookup.get({"id": 3, "ID": 4})


def test_the_hint_names_a_key_with_spaces_as_a_shell_takes_it(scored: Shop) -> None:
    scored.model(HEAD.replace("'id'", "'the id'") + """select id as "the id", predict('f', x) as p from t""")
    assert scored("run", "--full-refresh")[0] == 0
    assert "--key 'the id=…'" in scored("lookup", "m", "--key", "id=3")[1]
    assert looked_up(scored, "--key", "THE ID=3")["p"] == 7.0


def test_where_inputs_are_not_kept_the_function_is_that_of_the_run_and_not_todays(shop: Shop) -> None:
    shop.model(HEAD.replace("unique_key", "keep_inputs=false, unique_key") + "select id, predict('f', x) as p from t")
    assert shop("run")[0] == 0
    (made,) = shop.db("select functions[1] from sqlinfer_runs")[0]
    linear([5.0], 1.0, element_type="double", path=shop.root / "functions/f.onnx")
    row = looked_up(shop, "--key", "id=1")
    assert (row["p"], row["_function"], row["_stale"]) == (3.0, made, None)
    assert row["_scored_at"] is not None
    assert looked_up(shop, "--key", "id=1", "--or-score")["_function"] != made
    shop.db("delete from sqlinfer_runs")
    row = looked_up(shop, "--key", "id=1")
    assert (row["_function"], row["_scored_at"]) == (None, None), "nobody knows"
