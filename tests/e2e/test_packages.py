"""packages.yml: the macros of dbt packages, where they are local or installed."""

from __future__ import annotations

import pytest

from tests.conftest import Shop

MACROS = """{% macro key(columns) %}{{ return(adapter.dispatch('key', 'tools')(columns)) }}{% endmacro %}
{% macro default__key(columns) %}{{ dbt.hash(dbt.concat(_texts(columns))) }}{% endmacro %}
{% macro _texts(columns) %}
  {% set found = [] %}
  {% for one in columns %}{% do found.append('cast(' ~ one ~ ' as ' ~ dbt.type_string() ~ ')') %}{% endfor %}
  {{ return(found) }}
{% endmacro %}
{% macro hidden() %}{{ tools._texts(['id']) | join }}{% endmacro %}
"""
TEST = "{% test positive(model, column_name) %}select * from {{ model }} where {{ column_name }} < 0{% endtest %}\n"


@pytest.fixture
def tools(shop: Shop) -> Shop:
    """A local package named tools, and a model that calls it."""
    shop.put("shared/dbt_project.yml", "name: tools\n")
    shop.put("shared/macros/key.sql", MACROS)
    shop.put("shared/macros/tests/positive.sql", TEST)
    shop.put("shared/macros/odd.sql", "{% materialization odd, default %}{% endmaterialization %}\n")
    shop.put("packages.yml", "packages:\n  - local: shared\n")
    shop.model("select id, x, {{ tools.key(['id', 'x']) }} as k, f(x) as s from t")
    return shop


def test_a_macro_of_a_local_package_is_called(tools: Shop) -> None:
    code, out = tools("run")
    assert code == 0, out
    assert tools.db("select count(*) from m where k = md5(id::varchar || x::varchar)") == [(3,)]


def test_the_projects_own_macro_wins_over_that_of_the_package(tools: Shop) -> None:
    tools.put("macros/own.sql", "{% macro duckdb__key(columns) %}'mine'{% endmacro %}\n")
    assert tools("run")[0] == 0
    assert tools.db("select distinct k from m") == [("mine",)]


def test_macros_with_an_underscore_are_called_by_their_package(tools: Shop) -> None:
    tools.model("select {{ tools.hidden() }} as s from t")
    code, out = tools("run")
    assert code == 0, out


def test_an_installed_package_is_read_from_dbt_packages(tools: Shop) -> None:
    (tools.root / "dbt_packages").mkdir()
    (tools.root / "shared").rename(tools.root / "dbt_packages/tools")
    tools.put("packages.yml", "packages:\n  - package: some/tools\n    version: 1.0.0\n")
    code, out = tools("run")
    assert code == 0, out


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select {{ tools.kye(['id']) }} as k", "the package has no macro 'kye'"),
        ("select {{ dbt_utils.star(1) }} as k", "no package 'dbt_utils' is there"),
        ("select {{ adapter.get_relation(1) }} as k", "needs a warehouse while rendering"),
        (
            "select {{ adapter.dispatch('nothing', 'tools')() }} as k",
            "no macro 'duckdb__nothing' or 'default__nothing'",
        ),
        ("select {{ tools.__class__ }} as k", "unsafe"),
    ],
)
def test_what_no_package_has_is_named(tools: Shop, sql: str, said: str) -> None:
    tools.model(sql)
    code, out = tools("compile")
    assert code != 0
    assert said in out
    assert "m.sql" in out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("packages:\n  - local: nowhere\n", "is no dbt package: it has no dbt_project.yml"),
        ("packages: tools\n", "'packages' is a list"),
        ("packages:\n  - local: shared\n  - local: ./shared\n", "two packages are named 'tools'"),
    ],
)
def test_a_list_that_is_none_is_an_error_at_its_place(tools: Shop, text: str, said: str) -> None:
    tools.put("packages.yml", text)
    code, out = tools("ls")
    assert code != 0
    assert said in out
    assert "packages.yml" in out


def test_a_changed_macro_of_a_package_modifies_its_callers(tools: Shop) -> None:
    tools.model("select 1 as one", name="other")
    assert tools("run")[0] == 0
    (tools.root / "target").rename(tools.root / "before")
    words = ("ls", "-s", "state:modified", "--state", str(tools.root / "before"), "--output", "name", "--quiet")
    assert "m" not in tools(*words)[1].split()
    tools.put("shared/macros/key.sql", MACROS.replace("dbt.hash(", "dbt.hash('x' ~ "))
    assert tools(*words)[1].split() == ["m"]
