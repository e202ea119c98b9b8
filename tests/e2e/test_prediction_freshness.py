"""``sqlinfer freshness``: exactly the rows that changed are stale, and exactly the decisions that flip are counted."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

import sqlinfer
from sqlinfer.errors import UsageError
from sqlinfer.testing.onnx_builder import classifier_zipmap, linear
from tests.conftest import Shop

HEAD = "{{ config(materialized='incremental', unique_key='id'%s) }} "
MODEL = HEAD + "select id, predict('f', x) as p from t"
KEYS = ["table", "rows", "stale_rows", "stale_share", "older_function_rows", "oldest", "newest"]
MORE = ["sampled", "flips", "flip_share", "flip_low", "flip_high", "mean_shift"]


@pytest.fixture(params=["", "reuse: true"], ids=["stream", "store"])
def config(request: pytest.FixtureRequest) -> str:
    """Inputs of a stream and those of a store."""
    return str(request.param)


@pytest.fixture
def both(config: str, shop: Shop) -> Shop:
    return nightly(shop, config)


@pytest.fixture
def scored(shop: Shop) -> Shop:
    return nightly(shop, "reuse: true")


def nightly(shop: Shop, config: str) -> Shop:
    """1,000 rows with p = 2x + 1."""
    shop.function(config)
    shop.db("create or replace table t as select i as id, i::double as x from range(1000) r(i)")
    shop.model(MODEL % "")
    assert shop("run")[0] == 0
    return shop


def asked(shop: Shop, *words: str) -> list[dict[str, Any]]:
    code, out = shop("freshness", "--output", "json", *words)
    assert code == 0, out
    found: list[dict[str, Any]] = json.loads(out[out.index("[\n") if "[\n" in out else out.index("[]") :])
    return found


def test_what_was_just_scored_is_fresh(both: Shop) -> None:
    (found,) = asked(both)
    assert list(found) == KEYS
    assert (found["table"], found["rows"], found["stale_rows"], found["stale_share"]) == ("m", 1000, 0, 0.0)
    assert found["older_function_rows"] == 0
    age = datetime.now(UTC) - datetime.fromisoformat(found["oldest"])
    assert 0 <= age.total_seconds() < 120
    assert found["oldest"] <= found["newest"]


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ("update t set x = x + 0.5 where id < 37", 37),
        ("update t set x = x + 1 where id < 37", 37),  # inputs that other rows had: they are in the store
        ("update t set x = null where id in (3, 4, 5)", 3),
        ("update t set x = x where id < 500", 0),
        ("insert into t select i, i from range(1000, 1100) r(i)", 0),  # not in the table yet
        ("delete from t where id < 10", 0),  # published, and not in the query any more
        ("update t set x = 999 - x", 1000),
    ],
)
def test_exactly_the_rows_that_changed_are_stale(both: Shop, change: str, stale: int) -> None:
    both.db(change)
    (found,) = asked(both)
    assert (found["rows"], found["stale_rows"]) == (1000, stale)
    assert found["stale_share"] == pytest.approx(stale / 1000)


def test_the_next_night_makes_them_fresh(scored: Shop) -> None:
    scored.db("update t set x = -x where id between 1 and 20")
    assert asked(scored)[0]["stale_rows"] == 20
    assert scored("run")[0] == 0
    assert asked(scored)[0]["stale_rows"] == 0


def test_rows_with_equal_predictions_of_other_inputs_are_stale(shop: Shop) -> None:
    linear([0.0], 1.0, element_type="double", path=shop.root / "functions/f.onnx")
    shop.db("create or replace table t as select i as id, i::double as x from range(100) r(i)")
    shop.model(MODEL % "")
    shop("run")
    shop.db("update t set x = x + 1 where id < 7")
    assert asked(shop)[0]["stale_rows"] == 7


def test_a_slice_keeps_what_is_known_of_other_rows(both: Shop) -> None:
    both.model(MODEL % "" + " {% if is_incremental() %} where id >= 900 {% endif %}")
    both.db("update t set x = x + 0.5 where id < 5 or id >= 990")
    assert asked(both)[0]["stale_rows"] == 15
    assert both("run")[0] == 0
    assert asked(both)[0]["stale_rows"] == 5
    assert both("run", "--full-refresh")[0] == 0
    assert asked(both)[0]["stale_rows"] == 0


def test_rows_of_an_older_function_are_counted(both: Shop) -> None:
    linear([3.0], 0.0, element_type="double", path=both.root / "functions/f.onnx")
    found = asked(both)[0]
    assert (found["older_function_rows"], found["stale_rows"]) == (1000, 0)
    both.model(MODEL % "" + " {% if is_incremental() %} where id < 100 {% endif %}")
    assert both("run")[0] == 0
    assert asked(both)[0]["older_function_rows"] == 900


def test_the_oldest_prediction_stays_old(scored: Shop) -> None:
    first = asked(scored)[0]
    scored.model(MODEL % "" + " {% if is_incremental() %} where id < 10 {% endif %}")
    scored.db("update t set x = x + 0.25 where id < 10")
    scored("run")
    found = asked(scored)[0]
    assert found["oldest"] == first["oldest"]
    assert found["newest"] > first["newest"]


def test_keys_of_several_columns_and_two_calls(both: Shop) -> None:
    both.db("create or replace table u as select i // 24 as place, i % 24 as hour, i::double as x, 0.5 as y "
              "from range(480) r(i)")  # fmt: skip
    both.model("{{ config(unique_key=['place', 'hour']) }} select place, hour, predict('f', x) as p, "
                 "predict('f', y) as q from u", name="n")  # fmt: skip
    assert both("run", "-s", "n")[0] == 0
    both.db("update u set y = y + 1 where place = 3")
    both.db("update u set x = x + 1 where place = 4 and hour < 6")
    (found,) = asked(both, "n")
    assert (found["table"], found["rows"], found["stale_rows"]) == ("n", 480, 30)


def test_rows_that_a_prediction_has_filtered_do_not_count(scored: Shop) -> None:
    scored.model((HEAD % "") + "select id, predict('f', x) as p from t where predict('f', x) > 1001", name="n")
    assert scored("run", "-s", "n")[0] == 0
    scored.db("update t set x = x + 0.25 where id < 10 or id > 997")
    (found,) = asked(scored, "n")
    assert (found["rows"], found["stale_rows"]) == (499, 2)


def test_predictions_that_depend_on_others_are_not_guessed_at(scored: Shop) -> None:
    scored.model((HEAD % "") + "select id, predict('f', predict('f', x)) as p from t", name="n")
    assert scored("run", "-s", "n")[0] == 0
    code, out = scored("freshness", "n")
    assert (code, "some of its predictions are made from others" in out) == (2, True)


def test_a_table_is_said_to_be_made_from_one_that_is_stale(both: Shop) -> None:
    """Its own inputs are those that it was scored from: the next night changes them first."""
    both.model((HEAD % "") + "select id, predict('f', p) as q from {{ ref('m') }}", name="n")
    assert both("run")[0] == 0
    assert "made from" not in both("freshness")[1]
    both.db("update t set x = -x where id between 1 and 7")
    assert [one["stale_rows"] for one in asked(both)] == [7, 0]
    assert "n: 1,000 rows" in (said := both("freshness")[1])
    assert said.count("made from m, which is stale") == 1


def test_a_column_that_is_tested_to_be_unique_is_a_key(scored: Shop) -> None:
    scored.model(
        "select id, predict('f', x) as p from t", "    columns: [{name: id, data_tests: [unique]}]\n", name="n"
    )
    assert scored("run", "-s", "n")[0] == 0
    scored.db("update t set x = -1 where id = 8")
    assert asked(scored, "n")[0]["stale_rows"] == 1


# impact


def test_decisions_that_flip_are_counted_exactly_where_all_rows_are_looked_at(both: Shop) -> None:
    both.model(MODEL % ", decision='p > 1001'")
    # 40 rows change; 2x + 1 > 1001 for x > 500: 15 come above, 10 go below
    both.db("update t set x = 600 where id < 15")
    both.db("update t set x = 1 where id between 700 and 709")
    both.db("update t set x = x + 0.25 where id between 100 and 114")
    (found,) = asked(both, "--impact", "100")
    assert list(found) == KEYS + MORE
    assert (found["stale_rows"], found["sampled"], found["flips"]) == (40, 40, 25)
    assert found["flip_share"] == found["flip_low"] == found["flip_high"] == 25 / 40
    moved = sum(abs(600 - i) for i in range(15)) + sum(abs(1 - i) for i in range(700, 710)) + 15 * 0.25
    assert found["mean_shift"] == pytest.approx(2 * moved / 40)


def test_a_sample_has_an_interval_around_its_share(scored: Shop) -> None:
    scored.model(MODEL % ", meta={'decision': 'p > 10000'}")
    scored.db("update t set x = x + (case when id % 4 = 0 then 10000 else 0.5 end) where id < 800")
    shares = set()
    for seed in range(5):
        (found,) = asked(scored, "--impact", "100", "--seed", str(seed))
        assert (found["stale_rows"], found["sampled"]) == (800, 100)
        assert found["flip_low"] < 0.25 < found["flip_high"]
        assert found["flip_low"] < found["flip_share"] < found["flip_high"]
        shares.add(found["flip_share"])
    assert len(shares) > 1


def test_labels_flip_without_a_declared_decision(scored: Shop) -> None:
    scored.model((HEAD % "") + "select id, case when predict('f', x) > 1001 then 'high' else 'low' end as label from t")
    scored("run", "--full-refresh")
    scored.db("update t set x = 800 where id < 3")
    scored.db("update t set x = x + 0.25 where id between 10 and 13")
    (found,) = asked(scored, "--impact", "50")
    assert (found["sampled"], found["flips"], found["mean_shift"]) == (7, 3, None)


@pytest.mark.parametrize("decision", ["top 10 by p", "row_number() over (order by p desc) <= 10"])
def test_membership_of_the_best_flips(scored: Shop, decision: str) -> None:
    scored.model(MODEL % f", decision='{decision}'")
    scored.db("update t set x = 5000 where id < 4")  # they come into the first ten
    scored.db("update t set x = 0 where id = 999")  # and one of those leaves
    scored.db("update t set x = x + 0.25 where id between 100 and 120")
    (found,) = asked(scored, "--impact", "1000")
    assert (found["sampled"], found["flips"]) == (26, 5)


def test_numbers_alone_move_and_decide_nothing(scored: Shop) -> None:
    scored.db("update t set x = x + 1 where id < 10")
    (found,) = asked(scored, "--impact", "10")
    assert (found["flips"], found["flip_share"], found["flip_low"]) == (None, None, None)
    assert found["mean_shift"] == pytest.approx(2.0)
    assert "declare decision:" in scored("freshness", "--impact", "10")[1]


def test_nothing_stale_has_no_impact(scored: Shop) -> None:
    scored.model(MODEL % ", decision='p > 5'")
    (found,) = asked(scored, "--impact", "10")
    assert [found[name] for name in MORE[:-1]] == [0, 0, 0.0, 0.0, 0.0]


def test_the_text_says_whether_it_matters(scored: Shop) -> None:
    scored.model(MODEL % ", decision='p > 1001'")
    scored.db("update t set x = 600 where id < 15")
    code, out = scored("freshness", "--impact", "2000")
    assert code == 0
    assert "m: 1,000 rows, newest " in out
    assert "15 stale (1.5 %), 0 by an older function" in out
    assert "of 15 stale rows 15 (100.0–100.0 %) would change decision" in out
    assert "yesterday's table is wrong for about 1.5 % of its rows" in out


def test_looking_changes_nothing(scored: Shop) -> None:
    scored.db("update t set x = 600 where id < 15")
    before = scored.db("select * from m order by id")
    scored("freshness", "--impact", "10")
    assert scored.db("select * from m order by id") == before
    assert scored.db("select count(*) from sqlinfer_runs") == [(1,)]
    assert asked(scored)[0]["stale_rows"] == 15


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        ("p >", "does not parse"),
        ("score > 1", "needs column 'score', which is not there"),
        ("p > 1; drop table m", "does not parse"),
        ("(select 1)", "is no expression over a row"),
        ("sum(p) > 1", "is no expression over a row"),
        ("p + interval 1 day > 3", "is refused"),
    ],
)
def test_a_decision_that_is_none_is_said(scored: Shop, decision: str, message: str) -> None:
    scored.model(MODEL % f', decision="{decision}"')
    scored.db("update t set x = 600 where id < 15")
    code, out = scored("freshness", "--impact", "10")
    assert code != 0
    assert message in out
    assert "m.sql" in out
    assert "Traceback" not in out


# what cannot be known


def test_a_table_that_is_no_prediction_is_said(scored: Shop) -> None:
    scored.model("select * from t", name="plain")
    scored("run", "-s", "plain")
    code, out = scored("freshness", "plain")
    assert (code, "'plain' is no prediction: its query calls no function" in out) == (2, True)
    assert [one["table"] for one in asked(scored)] == ["m"]
    assert "no model is named 'mm'" in scored("freshness", "mm")[1]


def test_a_node_without_a_key_is_said(scored: Shop) -> None:
    scored.model("select id, predict('f', x) as p from t", name="keyless")
    scored("run", "-s", "keyless")
    code, out = scored("freshness", "keyless")
    assert code == 2
    assert "it has no unique_key" in out
    code, out = scored("freshness")
    assert code == 0
    assert "keyless: its freshness is not known: it has no unique_key" in out
    found = {one["table"]: one for one in asked(scored)}
    assert found["keyless"]["rows"] == 1000
    assert found["keyless"]["stale_rows"] is None
    assert found["keyless"]["newest"] is not None


def test_a_table_that_is_not_built_is_said(scored: Shop) -> None:
    scored.model(MODEL % "", name="later")
    code, out = scored("freshness", "later")
    assert code == 2
    assert "it is not built yet" in out


def test_rows_of_an_older_version_are_not_guessed_at(scored: Shop) -> None:
    import duckdb

    side = str(scored.root / "w.sqlinfer.duckdb")
    with duckdb.connect(side) as connection:
        tables = "select table_name from duckdb_tables() where table_name like 'inputs_%'"
        for (name,) in connection.execute(tables).fetchall():
            connection.execute(f'drop table meta."{name}"')
    assert "is not kept; the next run keeps it" in scored("freshness", "m")[1]
    scored("run")
    assert asked(scored)[0]["stale_rows"] == 0


def test_a_clock_that_was_set_back_is_said(both: Shop) -> None:
    import duckdb

    with duckdb.connect(str(both.root / "w.sqlinfer.duckdb")) as connection:
        tables = "select schema_name, table_name from duckdb_tables() where table_name like 'inputs_%runs'"
        for schema, name in connection.execute(f"{tables} or schema_name = 'store'").fetchall():
            column = "run_at" if name.startswith("inputs") else "scored_at"
            connection.execute(f'update "{schema}"."{name}" set {column} = {column} + interval 3 hour')
    code, out = both("freshness")
    assert code == 0
    assert "ahead of this machine's clock: was the clock set back?" in out


def test_a_run_at_work_is_waited_for_and_then_said(scored: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlinfer.adapters.duckdb import inputs

    patient = inputs.SideFile
    monkeypatch.setattr(inputs, "SideFile", lambda path, _: patient(path, 0.3))
    path = str(scored.root / "w.sqlinfer.duckdb")
    holding = f"import duckdb; c = duckdb.connect({path!r}); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", holding], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as held:
        assert held.stdout is not None
        held.stdout.readline()
        code, out = scored("freshness")
        held.communicate(b"\n")
    assert code == 1, out
    assert "ask again when it is done" in out


def test_a_night_that_starts_waits_for_a_reader_of_the_side_file(scored: Shop) -> None:
    path = str(scored.root / "w.sqlinfer.duckdb")
    reading = f"import duckdb, time; c = duckdb.connect({path!r}, read_only=True); print(1, flush=True); time.sleep(1)"
    with subprocess.Popen([sys.executable, "-c", reading], stdout=subprocess.PIPE) as held:
        assert held.stdout is not None
        held.stdout.readline()
        code, out = scored("run")
    assert code == 0, out


# sources


def test_the_sources_of_a_table_are_looked_at_and_one_that_is_too_old_is_an_error(scored: Shop) -> None:
    scored.put("models/sources.yml", "sources: [{name: raw, schema: main, tables: [{name: t, loaded_at_field: loaded, "
               "freshness: {error_after: {count: 1, period: hour}}}]}]\n")  # fmt: skip
    scored.db("alter table t add column loaded timestamp")
    scored.db("update t set loaded = (now() at time zone 'utc') - interval 2 hour")
    scored.model((HEAD % "") + "select id, predict('f', x) as p from {{ source('raw', 't') }}")
    scored("run")
    code, out = scored("freshness", "m")
    assert code == 1
    assert "ERROR STALE freshness of raw.t" in out
    assert "m: 1,000 rows" in out
    assert not (scored.root / "target/sources.json").exists()
    assert scored("freshness")[0] == 1
    assert (scored.root / "target/sources.json").exists()


def test_a_large_stream_keeps_its_inputs_where_the_model_says_so(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLINFER_LARGE_ROWS", "1")
    shop.model(MODEL % "")
    shop("run")
    code, out = shop("freshness", "m")
    assert code == 2
    assert "keep_inputs: true" in out
    shop.model(MODEL % ", keep_inputs=true")
    shop("run")
    shop.db("update t set x = 9 where id = 2")
    assert asked(shop)[0]["stale_rows"] == 1
    shop.model(MODEL % ", keep_inputs=false")
    shop("run")
    assert "its config says keep_inputs: false" in shop("freshness", "m")[1]


def test_large_tables_that_are_staged_by_key_keep_theirs(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLINFER_LARGE_ROWS", "1")
    shop.function("reuse: true")
    shop.db("create or replace table t as select i as id, i::double as x from range(1000) r(i)")
    shop.model(MODEL % "")
    for night in range(3):
        shop("run")
        shop.db(f"update t set x = x + 0.5 where id < {night + 5}")
        assert asked(shop)[0]["stale_rows"] == night + 5


@pytest.mark.parametrize(
    ("call", "files"),
    [
        ("predict(f, x) as p from t", {}),
        ("f(x) as p from t", {}),
        ("{{ scored('x') }} as p from t", {"macros/s.sql": "{% macro scored(x) %}predict('f', {{ x }}){% endmacro %}"}),
        ("predict('{{ var('which') }}', x) as p from t", {}),
        ("p from {{ ref('outer') }}", {
            "models/inner.sql": "{{ config(materialized='ephemeral') }} select id, predict('f', x) as p from t",
            "models/outer.sql": "{{ config(materialized='ephemeral') }} select * from {{ ref('inner') }}",
        }),
    ],
    ids=["bare", "direct", "macro", "variable", "ephemeral"],
)  # fmt: skip
def test_every_prediction_table_is_looked_at_however_its_query_says_predict(
    shop: Shop, call: str, files: dict[str, str]
) -> None:
    shop.put("sqlinfer_project.yml", "name: shop\nprofile: shop\nvars: {which: f}\n")
    for name, text in files.items():
        shop.put(name, text)
    shop.model(HEAD % "" + f"select id, {call}")
    shop.model("select id, 'f' as kind from {{ ref('m') }}", name="plain")
    assert shop("run")[0] == 0
    shop.db("update t set x = 9 where id = 2")
    assert [(one["table"], one["stale_rows"]) for one in asked(shop)] == [("m", 1)]
    assert shop("report")[0] == 0
    page = (shop.root / "target/report.html").read_text()
    assert 'class="box prediction"' in page
    assert 'class="box model"' in page, "plain is none"


def test_a_table_that_lost_its_key_is_told_with_the_way_out(scored: Shop) -> None:
    scored.db("alter table m rename column id to other")
    for words in (("m",), ("m", "--impact", "5")):
        code, out = scored("freshness", *words)
        assert code == 2
        assert "the table has no column 'id' any more; `sqlinfer run` makes it anew" in out
    with pytest.raises(UsageError, match="no column 'id' any more"), sqlinfer.lookup(scored.root, "m") as lookup:
        lookup.get(id=1)


@pytest.mark.parametrize("decision", ["s.label", 's.label = "Yes"', "top 3 by s.probabilities[2]"])
def test_a_decision_may_look_into_a_struct(shop: Shop, decision: str) -> None:
    classifier_zipmap(((4.0, -4.0), (0.0, 0.0)), zipmap=False, path=shop.root / "functions/c.onnx")
    shop.put("functions/c.yml", "functions: [{name: c, model: {path: c.onnx}}]\n")
    shop.db("create or replace table t as select i as id, 0.1 as f0, 0.0 as f1 from range(50) r(i)")
    decision = decision.replace('"', "''")
    shop.put("models/m.yml", f"models: [{{name: m, config: {{decision: '{decision}'}}}}]\n")
    shop.model(HEAD % "" + "select id, predict('c', f0, f1) as s from t")
    assert shop("run")[0] == 0
    shop.db("update t set f0 = -f0 where id >= 47")
    (found,) = asked(shop, "--impact", "100")
    assert (found["stale_rows"], found["flips"]) == (3, 3)
