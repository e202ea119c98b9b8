"""Nights of ``sqlinfer run --manifest``: dbt has compiled the SQL, no dbt is needed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sqlinfer.cli.main import invoke
from sqlinfer.testing.onnx_builder import linear

SCHEMA = "https://schemas.getdbt.com/dbt/manifest/v12.json"
FUNCTION = """functions:
  - name: f
    model: {path: f.onnx}
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
    config: {reuse: true}
"""


def predicted(
    sql: str,
    name: str = "m",
    package: str = "shop",
    macros: Sequence[str] = (),
    alias: str | None = None,
    **config: Any,
) -> dict[str, Any]:
    return {
        "unique_id": f"model.{package}.{name}", "name": name, "resource_type": "model", "package_name": package,
        "fqn": [package, name], "original_file_path": f"models/{name}.sql", "schema": "main", "database": "w",
        "alias": alias or name, "config": {"materialized": "prediction", **config}, "compiled_code": sql,
        "raw_code": f"{{{{ config({', '.join(config)}=…) }}}} {sql}",
        "depends_on": {"nodes": [], "macros": list(macros)},
    }  # fmt: skip


@dataclass
class House:
    """f(x) = 2x + 1 over table t: id 0 to 3, x = id."""

    root: Path
    capfd: pytest.CaptureFixture[str]
    macros: dict[str, Any] = field(default_factory=dict)

    def run(self, *nodes: dict[str, Any], more: Sequence[str] = ()) -> tuple[int, str]:
        self.manifest(*nodes)
        return self.asks("run", *more)

    def manifest(self, *nodes: dict[str, Any]) -> None:
        content = {
            "metadata": {"dbt_schema_version": SCHEMA, "invocation_id": "one"},
            "nodes": {node["unique_id"]: node for node in nodes},
            "macros": self.macros,
        }  # fmt: skip
        (self.root / "manifest.json").write_text(json.dumps(content))

    def asks(self, *words: str) -> tuple[int, str]:
        code = invoke([*words, "--project-dir", str(self.root), "--manifest", str(self.root / "manifest.json")])
        return code, "".join(self.capfd.readouterr())

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.root / "w.duckdb")) as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return rows


@pytest.fixture
def house(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> House:
    (tmp_path / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    outputs = f"{{dev: {{type: duckdb, path: {tmp_path}/w.duckdb, threads: 1}}}}"
    (tmp_path / "profiles.yml").write_text(f"shop: {{target: dev, outputs: {outputs}}}\n")
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "f.yml").write_text(FUNCTION)
    linear([2.0], 1.0, element_type="double", path=tmp_path / "ml" / "f.onnx")
    made = House(tmp_path, capfd)
    made.sql("create table t as select i as id, i::double as x from range(4) r(i)")
    return made


WHOLE = "select id, predict('f', x) as p from t"
SLICE = f"{WHOLE} where id > 2"
CALLS = {
    "macro.shop.only_new": {"depends_on": {"macros": ["macro.shop.between"]}},
    "macro.shop.between": {"depends_on": {"macros": ["macro.shop.only_new", "macro.sqlinfer.is_incremental"]}},
    "macro.sqlinfer.is_incremental": {"depends_on": {"macros": []}},
    "macro.dbt.is_incremental": {"depends_on": {"macros": []}},
}


@pytest.mark.parametrize("macro", ["macro.sqlinfer.is_incremental", "macro.shop.only_new"])
def test_a_node_whose_macros_ask_is_a_slice(house: House, macro: str) -> None:
    house.macros = CALLS
    node = {"unique_key": "id", "on_missing": "delete", "macros": [macro]}
    assert house.run(predicted(WHOLE, **node))[0] == 0
    assert house.run(predicted(SLICE, **node))[0] == 0
    assert house.sql("select count(*) from m") == [(4,)]
    assert house.run(predicted(SLICE, **node), more=["--full-refresh"])[0] == 0
    assert house.sql("select count(*) from m") == [(1,)]


@pytest.mark.parametrize("sql", [f"{SLICE} -- is_incremental()", f"{SLICE} and 'is_incremental()' <> ''"])
@pytest.mark.parametrize("macros", [[], ["macro.dbt.is_incremental"]])
def test_a_word_in_a_text_is_no_slice(house: House, sql: str, macros: list[str]) -> None:
    house.macros = CALLS
    for query in (WHOLE, sql):
        assert house.run(predicted(query, unique_key="id", on_missing="delete", macros=macros))[0] == 0
    assert house.sql("select id from m") == [(3,)]


def test_rows_that_left_stay_unless_the_node_says_delete(house: House) -> None:
    house.run(predicted(WHOLE, unique_key="id"))
    code, text = house.run(predicted(SLICE, unique_key="id"))
    assert (code, "3 kept that the query did not return" in text) == (0, True), text
    house.run(predicted(SLICE, unique_key="id", meta={"sqlinfer": {"on_missing": "delete"}}))
    assert house.sql("select id from m") == [(3,)]


def test_a_renamed_prediction_is_an_error_with_the_way_out(house: House) -> None:
    house.run(predicted(WHOLE, unique_key="id"))
    house.sql("update t set x = 9")
    code, text = house.run(predicted(WHOLE.replace("as p", "as prob"), unique_key="id"))
    assert (code, "'prob'" in text, "--full-refresh" in text) == (1, True, True), text
    assert house.sql("select max(p) from m") == [(7.0,)]


@pytest.mark.parametrize("key", ["ID", '"id"', ["Id"]])
def test_a_key_is_found_however_it_is_written(house: House, key: object) -> None:
    for _ in range(2):
        assert house.run(predicted(WHOLE, unique_key=key))[0] == 0
    assert house.sql("select count(*) from m") == [(4,)]


def test_a_key_that_is_no_column_is_named_with_its_place(house: House) -> None:
    code, text = house.run(predicted(WHOLE, unique_key="nope"))
    assert (code, "unique_key 'nope' is no column of the query" in text, "models/m.sql:1:" in text) == (1, True, True)


@pytest.mark.parametrize("setting", [{"on_missing": "drop"}, {"on_schema_change": "append"}])
def test_a_setting_that_means_nothing_is_refused(house: House, setting: dict[str, str]) -> None:
    code, text = house.run(predicted(WHOLE, unique_key="id", **setting))
    assert code != 0
    assert f"{next(iter(setting))} '{next(iter(setting.values()))}' is not allowed" in text


def test_two_nodes_of_one_name_do_not_meet(house: House) -> None:
    """In the side file, and among error records."""
    house.sql("create table bad as select 7 as id, 'oops' as x union all select 8, '3'")
    ours = predicted("select id, predict('f', try_cast(x as varchar)) as p from t", alias="ours", max_error_rate=1)
    theirs = predicted("select id, predict('f', x) as p from bad", package="other", alias="theirs", max_error_rate=1)
    assert house.run(ours, theirs)[0] == 0
    assert house.sql("from ours order by id") == [(0, 1.0), (1, 3.0), (2, 5.0), (3, 7.0)]
    assert house.sql("from theirs order by id") == [(7, None), (8, 7.0)]
    assert house.run(ours)[0] == 0
    assert house.sql("select node, unique_id, error_class from sqlinfer_errors") == [
        ("m", "model.other.m", "cast_error")
    ]


OWN = "dbt's is_incremental() is always false in a prediction node; call sqlinfer.is_incremental()"


@pytest.mark.parametrize(
    ("raw", "warned"),
    [("{% if is_incremental() %} where x > 1 {% endif %}", True), ("{%if not is_incremental ()%}{%endif%}", True),
     ("{% if sqlinfer.is_incremental() %}{% endif %}", False), ("{# is_incremental() #}", False), ("", False)],
)  # fmt: skip
def test_dbts_own_is_incremental_is_warned_of(house: House, raw: str, warned: bool) -> None:
    node = predicted("select id, predict('f', x) as y from t")
    node["raw_code"] += raw
    code, out = house.run(node)
    assert code == 0, out
    assert (OWN in out) == warned


@pytest.mark.parametrize("words", [("freshness",), ("freshness", "m"), ("lookup", "m", "--key", "id=1")])
def test_a_prediction_that_is_not_compiled_is_no_table_without_predictions(
    house: House, words: tuple[str, ...]
) -> None:
    """A dbt command on other nodes writes such a manifest."""
    node = predicted("select id, predict('f', x) as p from t", unique_key="id")
    assert house.run(node)[0] == 0
    house.manifest({**node, "compiled_code": None, "raw_code": "select id, {{ scored() }} as p from t"})
    code, out = house.asks(*words)
    assert code != 0
    assert "the manifest has no compiled SQL of 'm'" in out
    assert "run `dbt compile`" in out


def test_a_plain_model_of_dbts_is_no_prediction(house: House) -> None:
    plain = predicted("select 1 as id", "plain")
    plain |= {"config": {"materialized": "table"}, "raw_code": "{{ nothing_known() }}"}
    house.run(predicted("select id, predict('f', x) as p from t", unique_key="id"), plain)
    for words in (("freshness", "plain"), ("lookup", "plain", "--key", "id=1")):
        code, out = house.asks(*words)
        assert (code, "'plain' is no prediction" in out) == (2, True), out


def test_a_name_that_two_models_have_asks_for_more(house: House) -> None:
    """The name of a model goes before that of another's table."""
    query = "select id, predict('f', x) as p from t"
    first, second = (predicted(query, package=one, alias=f"m_{one}", unique_key="id") for one in ("shop", "other"))
    third = predicted("select id, predict('f', x + 1) as p from t", "m_shop", alias="third", unique_key="id")
    code, out = house.run(first, second, third)
    assert code == 0, out
    code, out = house.asks("lookup", "m", "--key", "id=1")
    assert code == 2
    assert "2 models are named 'm'" in out
    assert "model.shop.m or model.other.m" in out
    assert house.asks("lookup", "model.other.m", "--key", "id=1")[0] == 0
    assert '"p": 5.0' in house.asks("lookup", "m_shop", "--key", "id=1", "--output", "json")[1]


def test_what_dbt_compiled_for_a_slice_says_nothing_of_the_other_rows(house: House) -> None:
    asks = ["macro.sqlinfer.is_incremental"]
    whole, part = (predicted(f"select id, predict('f', x) as p from t{where}", unique_key="id", macros=asks)
                   for where in ("", " where id > 2"))  # fmt: skip
    assert house.run(whole)[0] == 0
    house.manifest(part)
    code, out = house.asks("freshness", "m")
    assert (code, "dbt may have compiled its query for a slice" in out) == (2, True)
    assert '"_stale": null' in house.asks("lookup", "m", "--key", "id=1", "--output", "json")[1]
    assert house.asks("lookup", "m", "--key", "id=1", "--or-score")[0] == 2
    for written, code in (("another", 2), ("one", 0)):
        results = {"metadata": {"invocation_id": written}, "args": {"full_refresh": True}}
        (house.root / "run_results.json").write_text(json.dumps(results))
        house.manifest(whole)
        assert house.asks("freshness", "m")[0] == code
    assert '"_stale": false' in house.asks("lookup", "m", "--key", "id=1", "--output", "json")[1]


def test_prices_of_a_dbt_project_stand_in_its_vars(house: House) -> None:
    node = predicted("select id, predict('f', x) as p from t")
    code, out = house.run(node, more=["--max-cost", "1"])
    assert (code, "in dbt_project.yml under vars: {sqlinfer: {prices: …}}" in out) == (2, True)
    file = house.root / "dbt_project.yml"
    plain = file.read_text()
    file.write_text(plain + "vars: {sqlinfer: {prices: {currency: USD, device_hour: {on_demand: 1.2}}}}\n")
    code, out = house.run(node, more=["--max-cost", "1"])
    assert code == 0, out
    assert " USD; a million predictions " in out
    file.write_text(plain + "vars: {sqlinfer: {prices: {device_hour: {on_demand: 1.2}}}}\n")
    code, out = house.run(node)
    assert code == 2
    assert "the price 1.2 of on_demand has no unit" in out
    assert "dbt_project.yml:" in out


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"decison": "p > 1"}, "did you mean 'decision'?"),
        ({"unique_key": "id"}, "unknown key 'unique_key' in meta.sqlinfer"),
        ("lineages", "unknown key 'lineages' in meta.sqlinfer"),
        ({"lineage": "perhaps"}, "lineage"),
        ({"max_error_rate": 5}, "max_error_rate"),
        ({"keep_inputs": [1]}, "keep_inputs"),
    ],
)
def test_keys_of_ours_in_meta_are_read_as_in_a_project_of_ours(house: House, own: Any, said: str) -> None:
    code, out = house.run(predicted("select id, predict('f', x) as p from t", meta={"sqlinfer": own}))
    assert code == 2, out
    assert said in out
    assert "m.sql" in out


@pytest.mark.parametrize("settings", ["{price: {currency: USD}}", "{'': 1}", "scoring"])
def test_a_setting_of_ours_in_vars_that_means_nothing_is_refused(house: House, settings: str) -> None:
    file = house.root / "dbt_project.yml"
    file.write_text(file.read_text() + f"vars: {{sqlinfer: {settings}}}\n")
    code, out = house.run(predicted("select id, predict('f', x) as p from t"))
    assert (code, "in vars.sqlinfer" in out, "dbt_project.yml:" in out) == (2, True, True), out
