"""Plans are remembered: compile says the same as without a memory, whatever has changed since."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sqlinfer.catalog import ProjectCompiler
from sqlinfer.testing.onnx_builder import linear
from tests.conftest import Shop

SCORES = """{{ config(materialized='incremental', unique_key='id') }}
select id, label, {{ twice('x') }} as x2, f(x) as s, '{{ var("day", "monday") }}' as day,
  '{{ env_var("REGION", "eu") }}' as region
from {{ ref('base') }} {% if is_incremental() %} where id > 1 {% endif %}
"""


@pytest.fixture
def rich(shop: Shop) -> Shop:
    shop.put("macros/m.sql", "{% macro twice(x) %}({{ x }}) * 2{% endmacro %}")
    shop.put("macros/other.sql", "{% macro unused(x) %}1{% endmacro %}")
    shop.put("models/small.sql", "{{ config(materialized='ephemeral') }} select 1 as one")
    shop.put("models/sources.yml", "sources: [{name: main, tables: [{name: t}]}]\n")
    shop.model("select id, x, 'a' as label from {{ source('main', 't') }}", name="base")
    shop.model(SCORES, name="scores")
    shop.model("select s.*, one from {{ ref('scores') }} as s, {{ ref('small') }}", name="above")
    shop.model("select 1 as n", name="alone")
    return shop


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the nodes that are compiled, not remembered."""
    names: list[str] = []
    real = ProjectCompiler._anew

    def counted(self: ProjectCompiler, node: Any, *rest: Any) -> Any:
        names.append(node.name)
        return real(self, node, *rest)

    monkeypatch.setattr(ProjectCompiler, "_anew", counted)
    return names


def compiled(shop: Shop, *words: str) -> tuple[int, str, dict[str, str]]:
    """Exit code, what was said, and the files that were written."""
    shutil.rmtree(shop.root / "target" / "compiled", ignore_errors=True)
    code, out = shop("compile", "--quiet", "--sql", *words)
    files = (shop.root / "target" / "compiled").rglob("*.sql")
    return code, out, {path.name: path.read_text() for path in sorted(files)}


def without_memory(shop: Shop, *words: str) -> tuple[int, str, dict[str, str]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SQLINFER_PARTIAL_PARSE", "0")
        return compiled(shop, *words)


def test_an_unchanged_project_is_planned_once(rich: Shop, anew: list[str]) -> None:
    first = compiled(rich)
    assert sorted(anew) == ["above", "alone", "base", "scores", "small"]
    anew.clear()
    assert compiled(rich) == first
    assert anew == []
    assert without_memory(rich) == first


def test_one_changed_file_plans_itself_and_what_reads_other_columns_of_it(rich: Shop, anew: list[str]) -> None:
    compiled(rich)
    anew.clear()
    rich.model("select id, x, 'b' as label from {{ source('main', 't') }} where x > 0", name="base")
    compiled(rich)
    assert anew == ["base"]
    anew.clear()
    rich.model("select id, x::integer as x, 'b' as label from {{ source('main', 't') }}", name="base")
    assert compiled(rich) == without_memory(rich)
    assert anew[:2] == ["base", "scores"]


def test_a_macro_plans_what_calls_it(rich: Shop, anew: list[str]) -> None:
    compiled(rich)
    anew.clear()
    rich.put("macros/other.sql", "{% macro unused(x) %}2{% endmacro %}")
    compiled(rich)
    assert anew == []
    rich.put("macros/m.sql", "{% macro twice(x) %}({{ x }}) + ({{ x }}){% endmacro %}")
    compiled(rich)
    assert anew == ["scores"]


def _database(sql: str) -> Callable[[Shop, pytest.MonkeyPatch], None]:
    return lambda shop, _: shop.db(sql) and None


def _put(name: str, text: str) -> Callable[[Shop, pytest.MonkeyPatch], None]:
    return lambda shop, _: shop.put(name, text)


def _artifact(shop: Shop, _: pytest.MonkeyPatch) -> None:
    linear([3.0], 1.0, path=shop.root / "functions" / "f.onnx")


def _run(shop: Shop, _: pytest.MonkeyPatch) -> None:
    """From then on ``is_incremental()`` is true."""
    code, out = shop("run", "--quiet")
    assert code == 0, out


CHANGES: dict[str, Callable[[Shop, pytest.MonkeyPatch], None]] = {
    "type of a column": _database("alter table t alter x type decimal(9, 2)"),
    "a new column": _database("alter table t add column label varchar"),
    "the artifact of a function": _artifact,
    "the table is there": _run,
    "a variable of the environment": lambda _, patch: patch.setenv("REGION", "us"),
    "a variable of the project": _put("sqlinfer_project.yml", "name: shop\nprofile: shop\nvars: {day: friday}\n"),
    "the configuration of a folder": _put(
        "sqlinfer_project.yml", "name: shop\nprofile: shop\nmodels: {shop: {+schema: other}}\n"
    ),
    "the profile's schema": _put(
        "profiles.yml", "shop: {target: dev, outputs: {dev: {type: duckdb, path: w.duckdb, schema: other}}}\n"
    ),
    "the text of an ephemeral node": _put("models/small.sql", "{{ config(materialized='ephemeral') }} select .5 as n"),
    "a macro": _put("macros/m.sql", "{% macro twice(x) %}{{ x }}::bigint{% endmacro %}"),
    "a macro hides a name": _put("macros/n.sql", "{% macro env_var(a, b) %}hidden{% endmacro %}"),
    "a seed becomes a source of columns": _put("seeds/one.csv", "a,b\n1,2\n"),
    "a parent": _put("models/base.sql", "select id, x, 7 as label from t"),
    "a parent is a view": _put("models/base.yml", "models: [{name: base, config: {materialized: view}}]"),
    "a new function": _put("functions/g.yml", "functions: [{name: twice_of, model: {path: f.onnx}}]"),
    "another declaration": lambda shop, _: shop.function("config: {reuse: true}"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_anything_is_seen(rich: Shop, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled(rich)
    CHANGES[change](rich, monkeypatch)
    after = compiled(rich)
    assert after == without_memory(rich)
    assert compiled(rich) == after


@pytest.mark.parametrize("flags", [("--full-refresh",), ("--vars", "{day: friday}"), ("--select", "above")])
def test_another_question_has_another_answer(rich: Shop, flags: tuple[str, ...]) -> None:
    _run(rich, pytest.MonkeyPatch())
    before = compiled(rich)
    assert compiled(rich, *flags) == without_memory(rich, *flags)
    assert compiled(rich) == before


@pytest.mark.parametrize(
    "sql",
    [
        "select '{{ modules.datetime.datetime.now() }}' as at",
        "select * from 'data.csv'",
        "select * from read_csv('data.csv')",
        "from (pivot t on id using sum(x) group by x)",
    ],
)
def test_what_rests_on_the_clock_files_or_rows_is_planned_each_time(rich: Shop, anew: list[str], sql: str) -> None:
    (rich.root / "data.csv").write_text("a\n1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(rich.root)
        rich.model(sql, name="alone")
        compiled(rich)
        anew.clear()
        assert compiled(rich)[0] == 0
    assert anew == ["alone"]


def test_a_file_with_other_columns_is_seen(rich: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(rich.root)
    (rich.root / "data.csv").write_text("a\n1\n")
    rich.model("select *, f(a) as p from read_csv('data.csv')", name="alone")
    compiled(rich)
    (rich.root / "data.csv").write_text("a,b\n1,2\n")
    assert '"b"' in compiled(rich)[2]["alone.sql"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("create macro one(a) as a + 1", "create or replace macro one(a) as a || 'x'"),
        ("create type mood as enum ('a', 'b')", "drop type mood; create type mood as enum ('a', 'b', 'c')"),
    ],
)
def test_macros_and_types_of_the_warehouse_count(rich: Shop, before: str, after: str) -> None:
    rich.db(before)
    use = "one(id)" if "macro" in before else "'a'::mood"
    rich.model(f"select {use} as n, f(x) as p from t", name="alone")
    compiled(rich)
    rich.db(after)
    assert compiled(rich) == without_memory(rich)


def test_errors_are_the_same_each_time(rich: Shop) -> None:
    compiled(rich)
    rich.model("select nothing from t", name="alone")
    first = compiled(rich)
    assert first[0] == 2
    assert compiled(rich) == first
    assert without_memory(rich) == first


def test_a_function_that_is_broken_now_is_an_error_all_the_same(rich: Shop) -> None:
    compiled(rich)
    (rich.root / "functions" / "f.onnx").write_bytes(b"no model")
    first = compiled(rich)
    assert first[0] == 2
    assert without_memory(rich)[1] == first[1]


def test_a_run_uses_what_compile_has_planned(rich: Shop, anew: list[str]) -> None:
    compiled(rich)
    anew.clear()
    code, out = rich("run", "--quiet")
    assert code == 0, out
    assert anew == []
    with duckdb.connect(str(rich.root / "w.duckdb")) as connection:
        assert connection.execute("select count(*), max(s) from above").fetchall() == [(3, 5.0)]


@pytest.mark.parametrize("harm", ["truncated", "tampered", "other"])
def test_a_hostile_file_is_not_believed(rich: Shop, harm: str) -> None:
    first = compiled(rich)
    (path,) = (rich.root / "target" / "cache").glob("plans-*.json")
    text = path.read_text()
    bad = {"truncated": text[:-50], "tampered": text.replace("select 1 as n", "select 6 as n"), "other": "{}"}
    assert bad[harm] != text
    path.write_text(bad[harm])
    assert compiled(rich) == first


def test_clean_removes_what_is_remembered(rich: Shop) -> None:
    compiled(rich)
    cache = rich.root / "target" / "cache"
    (cache / "mine.txt").write_text("kept")
    code, out = rich("clean")
    assert code == 0, out
    assert [path.name for path in cache.iterdir()] == ["mine.txt"]


def test_a_secret_is_not_in_the_plans(rich: Shop, tmp_path: Path) -> None:
    compiled(rich, "--vars", "{day: hunter2-of-the-day, api_token: hunter2-of-the-day}")
    cache = rich.root / "target" / "cache"
    assert all("hunter2" not in path.read_text() for path in cache.glob("*.json"))
