"""Rendering a node: its SQL, what it refers to, and the way back to the file."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "project"))
from project_files import loaded

from sqlinfer.compiler.template.render import parse_pass, render, render_inline
from sqlinfer.errors import RenderError

SCORES = """{{ config(
    materialized='incremental',
    unique_key='id') }}
{% set columns = ['a', 'b'] %}
select id,
{%- for c in columns %}
  {{ c }} as {{ c }}_x,
{%- endfor %}
  {{ cents('tenure') }} as t, broken
from {{ ref('customers') }}
{% if is_incremental() %}
where id not in (select id from {{ this }})
{% endif %}
order by last_one
"""
MACROS = """{% macro cents(c) %}
({{ c }} / {{ hundred() }})
{% endmacro %}
{% macro hundred() %}{% do return(100) %}{% endmacro %}"""


@pytest.fixture
def project(tmp_path):
    return loaded(tmp_path, {"models/scores.sql": SCORES, "macros/m.sql": MACROS})


def line_of(rendered, needle):
    at = rendered.sql.index(needle)
    return rendered.locate(at, at + len(needle))


def test_the_sql_of_a_node(project):
    sql = " ".join(render(project.node("scores"), project).sql.split())
    assert sql == (
        'select id, a as a_x, b as b_x, (tenure / 100) as t, broken from "shop"."main"."customers" order by last_one'
    )


def test_is_incremental_and_this(project):
    rendered = render(project.node("scores"), project, is_incremental=True)
    assert 'where id not in (select id from "shop"."main"."scores")' in rendered.sql


def test_refs_and_config_are_reported(project):
    parsed = parse_pass(project.node("scores"), project)
    assert parsed.refs == ("model.shop.customers",)
    assert parsed.config == {"materialized": "incremental", "unique_key": "id"}
    assert render(project.node("scores"), project).refs == ("model.shop.customers",)


@pytest.mark.parametrize("incremental", [False, True])
def test_places_in_the_sql_lead_back_to_the_file(project, incremental):
    rendered = render(project.node("scores"), project, is_incremental=incremental)
    for needle in ("broken", "last_one", "select id,", "order by"):
        place = line_of(rendered, needle)
        offset = SCORES.index(needle)
        assert place.line == SCORES.count("\n", 0, offset) + 1
        assert place.text[place.column - 1 :].startswith(needle.split(",")[0])
        assert place.length == len(needle)


def test_text_that_jinja_made_is_placed_at_its_expression(project):
    place = line_of(render(project.node("scores"), project), '"customers"')
    assert (place.line, place.text[place.column - 1 :]) == (10, "{{ ref('customers') }}")
    assert line_of(render(project.node("scores"), project), "tenure").line == 9


def test_text_in_a_loop_is_placed_at_its_line(project):
    assert line_of(render(project.node("scores"), project), "_x,").line == 7


def test_plain_sql_maps_letter_by_letter(project):
    sql = "select a,\n  b\nfrom t\n"
    rendered = render_inline(sql, project)
    for offset, letter in enumerate(sql.rstrip("\n")):
        if letter.isalpha():
            place = rendered.locate(offset, offset + 1)
            assert (place.line, place.text[place.column - 1]) == (sql.count("\n", 0, offset) + 1, letter)


def test_marks_do_not_reach_set_blocks_filters_or_macros(project):
    sql = (
        "{% set x %}ab{{ 1 }}{% endset %}{{ x|length }}"
        "{% filter upper %}q{{ 2 }}{% endfilter %}{{ cents('z')|trim|length }}"
    )
    assert render_inline(sql, project).sql == "3Q29"


def test_ephemeral_models_become_ctes(tmp_path):
    files = {
        "models/staging/customers.sql": "{{ config(materialized='ephemeral') }}select * from {{ ref('base') }}",
        "models/base.sql": "{{ config(materialized='ephemeral') }}\nselect * from {{ ref('raw') }}",
        "models/scores.sql": "-- scores\nwith a as (select 1)\nselect * from {{ ref('customers') }}, a where bad",
    }
    project = loaded(tmp_path, files)
    rendered = render(project.node("scores"), project)
    assert " ".join(rendered.sql.split()) == (
        '-- scores with __sqlinfer__cte__base as ( select * from "shop"."main"."raw" ), '
        "__sqlinfer__cte__customers as ( select * from __sqlinfer__cte__base ), a as (select 1) "
        "select * from __sqlinfer__cte__customers, a where bad"
    )
    assert line_of(rendered, "bad").line == 3
    assert line_of(rendered, "a as (select 1)").line == 2


def test_an_empty_node_is_refused(tmp_path):
    project = loaded(tmp_path, {"models/scores.sql": "{# nothing #}\n"})
    with pytest.raises(RenderError, match="the SQL is empty"):
        render(project.node("scores"), project)


def test_macros_answer_to_the_name_of_the_project(project):
    assert render_inline("{{ shop.hundred() }}", project).sql == "100"
    assert "(q / 100)" in render_inline("{{ shop.cents('q') }}", project).sql


def test_rendering_is_repeatable(project):
    node = project.node("scores")
    assert render(node, project) == render(node, project)
