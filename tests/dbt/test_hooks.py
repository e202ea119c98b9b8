"""Hooks of prediction nodes, scored by sqlinfer and accepted by plain dbt."""

from __future__ import annotations

HOOKS = """{{ config(materialized='prediction', unique_key='customer_id',
    pre_hook=[before_begin("create table if not exists log (w varchar)"), "insert into log values ('pre')"],
    post_hook=["{{ note(this, 'post') }}", after_commit("{{ note(this, 'after') }}")]) }}"""


def test_hooks_run_under_sqlinfer_and_are_kept_under_plain_dbt(shop):
    shop.write(
        "macros/note.sql",
        "{% macro note(of, w) %}insert into log select '{{ w }} ' || count(*) from {{ of }}{% endmacro %}",
    )
    file = shop.root / "models/marts/churn_scores.sql"
    file.write_text(HOOKS + file.read_text().partition("}}")[2])
    done = shop.sqlinfer("run", "--dbt")
    assert done.code == 0, done.text
    assert [row[0] for row in shop.rows("select w from log")] == ["pre", "post 100", "after 100"]
    plain = shop.dbt("run", "--select", "churn_scores")
    assert "UP TO DATE" in plain.text, plain.text
    assert [row[0] for row in shop.rows("select w from log")] == ["pre", "post 100", "after 100"] * 2


def test_a_hook_that_only_dbt_can_render_is_named(shop):
    shop.edit("models/marts/churn_scores.sql", "tags=", "post_hook='{{ run_query(this) }}', tags=")
    done = shop.sqlinfer("run", "--dbt")
    assert done.code == 1
    assert "post_hook of 'churn_scores'" in done.text
    assert "'run_query'" in done.text


def test_hooks_call_macros_of_packages_and_know_their_node(shop):
    macro = "{% macro kept(w) %}insert into log values ('{{ w }} {{ model.schema }} {{ config.get('materialized') }}')"
    shop.write("dbt_packages/noted/dbt_project.yml", "name: noted\nversion: 1.0.0\n")
    shop.write("dbt_packages/noted/macros/kept.sql", macro + "{% endmacro %}")
    shop.change("create table log (w varchar)")
    hook = "{{ noted.kept(sqlinfer.is_incremental()) }}"
    shop.edit("models/marts/churn_scores.sql", "tags=", f'post_hook="{hook}", tags=')
    for _ in range(2):
        done = shop.sqlinfer("dbt", "build", "--select", "churn_scores")
        assert done.code == 0, done.text
    assert [row[0] for row in shop.rows("select w from log")] == ["False main prediction", "True main prediction"]


def test_what_is_wrong_with_a_hook_stands_on_lines_of_its_own(shop):
    shop.edit("models/marts/churn_scores.sql", "tags=", "post_hook='commit', tags=")
    done = shop.sqlinfer("dbt", "build", "--select", "churn_scores")
    assert done.code == 1
    assert "\\n" not in done.text
    assert [line for line in done.text.splitlines() if line[10:].startswith("  hint: leave the word out")]
