"""Generic tests that a project writes itself: `{% test %}` blocks, in every form that dbt takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sqlinfer.cli.main import invoke
from sqlinfer.testing.onnx_builder import linear

FUNCTION = """functions:
  - name: f
    model: {path: f.onnx}
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
"""
BELOW = """{% test below(model, column_name, most=100) %}
with found as (select {{ column_name }} as v from {{ model }})
select * from found where v > {{ most }}
{% endtest %}
"""


@dataclass
class Shop:
    """f(x) = 2x + 1 over table t: id 0 to 3, x = id; model m publishes id and p."""

    root: Path
    capfd: pytest.CaptureFixture[str]

    def put(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def tests(self, *of_p: str, of_m: str = "[]") -> None:
        self.put(
            "models/m.yml",
            f"models:\n  - name: m\n    data_tests: {of_m}\n    columns:\n      - name: p\n        data_tests:\n"
            + "".join(f"          - {one}\n" for one in of_p),
        )

    def tried(self, command: str = "run") -> tuple[int, str]:
        code = invoke([command, "--project-dir", str(self.root)])
        out = self.capfd.readouterr()
        return code, out.out + out.err

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.root / "w.duckdb")) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture
def shop(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Shop:
    made = Shop(tmp_path, capfd)
    made.put("sqlinfer_project.yml", "name: shop\nprofile: shop\n")
    made.put("profiles.yml", "shop: {target: dev, outputs: {dev: {type: duckdb, path: w.duckdb}}}\n")
    made.put("functions/f.yml", FUNCTION)
    made.put("tests/generic/below.sql", BELOW)
    made.put("models/m.sql", "select id, predict('f', x) as p from t")
    linear([2.0], 1.0, element_type="double", path=tmp_path / "functions/f.onnx")
    made.sql("create table t as select i as id, i::double as x from range(4) r(i)")
    return made


def test_it_gates_the_publication(shop):
    shop.tests("below: {most: 7}")
    code, text = shop.tried()
    assert code == 0, text
    assert "PASS test below_m_p" in text
    shop.tests("below: {most: 6}")
    shop.put("models/m.sql", "select id, predict('f', x) as p from t where id > 1")
    code, text = shop.tried()
    assert code == 1
    assert "below_m_p (1)" in text
    assert shop.sql("select count(*) from m") == [(4,)]


@pytest.mark.parametrize(
    ("test", "word"),
    [
        ("below: {most: 6, severity: warn}", "WARN"),
        ("below: {most: 6, config: {severity: warn}}", "WARN"),
        ("below: {arguments: {most: 6}, where: id < 3}", "PASS"),
        ("below: {most: 0, error_if: '> 4', warn_if: '> 3'}", "WARN"),
        ("below: {most: 0, limit: 2, error_if: '> 2'}", "WARN"),
        ("below: {most: 6, config: {error_if: '> 1', warn_if: '> 1'}}", "PASS"),
        ("{name: mine, test_name: below, most: 7}", "PASS"),
        ("shop.below: {most: 7}", "PASS"),
        ("below: {most: 0, fail_calc: 'max(v) - 7'}", "PASS"),
        ("below: {most: 6, enabled: false}", ""),
    ],
)
@pytest.mark.parametrize("query", ["predict('f', x)", "2 * x + 1"], ids=["scored", "plain"])
def test_dbts_configuration_holds(shop, test, word, query):
    shop.put("models/m.sql", f"select id, {query} as p from t")
    shop.tests(test)
    code, text = shop.tried("build")
    assert code == 0, text
    assert (f"{word} test" in text) if word else ("test " not in text.lower().replace("data test", ""))
    assert "configured to error" not in text


def test_it_may_stand_in_macros_and_refer_to_other_nodes(shop):
    shop.put("models/ids.sql", "select id from t where id < 3")
    shop.put(
        "macros/own.sql",
        "{% macro other() %}1{% endmacro %}\n{% data_test known(model, to, also=none) %}\n"
        "select {{ model }}.id from {{ model }} where id not in (select id from {{ to }}) and {{ other() }} = 1\n"
        "  and exists (select 1 from {{ ref('m') }} as mine where mine.id = {{ model }}.id)\n{% enddata_test %}\n",
    )
    shop.tests(of_m="[{known: {to: ref('ids')}}]")
    shop.put("models/m.yml", "models: [{name: m, data_tests: [{known: {to: ref('ids')}}]}]\n")
    code, text = shop.tried()
    assert code == 1
    assert "known_m (1)" in text  # ids is built before m, m itself is read as it will be


def test_it_sees_the_table_that_rows_are_added_to(shop):
    shop.put(
        "tests/generic/once.sql",
        "{% test once(model, column_name) %}select {{ column_name }} from {{ model }} group by 1 having count(*) > 1"
        "{% endtest %}",
    )
    shop.put("models/m.sql", "{{ config(materialized='incremental', incremental_strategy='append') }} "
             "select id, predict('f', x) as p from t")  # fmt: skip
    shop.tests("once")
    assert shop.tried()[0] == 0
    code, text = shop.tried()
    assert code == 1
    assert "once_m_p (4)" in text


def test_it_runs_on_published_tables_sources_and_seeds(shop):
    shop.put("seeds/s.csv", "v\n1\n200\n")
    shop.put("seeds/s.yml", "seeds: [{name: s, columns: [{name: v, data_tests: [below]}]}]\n")
    shop.put(
        "models/src.yml", "sources: [{name: main, tables: [{name: t, columns: [{name: x, data_tests: [below]}]}]}]\n"
    )
    shop.tests("below: {most: 7}")
    assert shop.tried("seed")[0] == 0
    assert shop.tried("run")[0] == 0
    code, text = shop.tried("test")
    assert code == 1
    assert "FAIL test below_s_v" in text.replace("1 ", " ").replace("FAIL  test", "FAIL test")
    assert text.count("PASS test") == 2


def test_a_test_of_the_project_goes_before_ours_of_its_name(shop):
    shop.put("macros/not_null.sql", "{% test not_null(model, column_name) %}select 1 as mine{% endtest %}")
    shop.tests("not_null")
    code, text = shop.tried()
    assert code == 1
    assert "not_null_m_p (1)" in text


def test_a_quoted_column_is_passed_in_quotes(shop):
    shop.put("models/m.sql", "select id, predict('f', x) as \"my p\" from t")
    shop.put(
        "models/m.yml",
        "models: [{name: m, columns: [{name: my p, quote: true, "
        "data_tests: [{below: {most: 6}}, not_null, unique]}]}]\n",
    )
    code, text = shop.tried()
    assert code == 1
    assert "below_m_my_p (1)" in text.replace("_my_p_", "_my_p")


@pytest.mark.parametrize(
    ("test", "said"),
    [("below: {mots: 7}", "'mots'"), ("belov", "did you mean 'below'"), ("below: {most: ref('nobody')}", "nobody"),
     ("below: {most: 7, severity: loud}", "severity: 'loud'")],
)  # fmt: skip
def test_a_mistake_is_named_at_its_place(shop, test, said):
    shop.tests(test)
    code, text = shop.tried()
    assert code == 2
    assert said in text
    assert "m.yml:7" in text
    assert "Traceback" not in text


def test_failing_rows_are_stored(shop):
    shop.tests("below: {most: 4, store_failures: true}")
    assert shop.tried()[0] == 1
    assert shop.sql("select v from main_dbt_test__audit.below_m_p order by 1") == [(5.0,), (7.0,)]
