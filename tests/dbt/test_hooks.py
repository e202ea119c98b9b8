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
