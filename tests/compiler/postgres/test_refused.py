"""What PostgreSQL has no form for is refused with its place, before anything is read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from world import PostgresWorld

from sqlinfer.errors import UnsupportedQuery
from sqlinfer.testing.differential import compare


@pytest.mark.parametrize(
    ("sql", "message", "column"),
    [
        ("select id, t, f(x) from t", "t is a whole row here", 12),
        ("select id, @ x as a, f(x) as p from t", "cannot be planned", 12),
        ("select id, (select case when t.s ~ '^[0-9]+$' then f(t.s::float8) end) as p from t",
         "may fail for them", 52),
    ],
)  # fmt: skip
def test_a_form_is_refused_at_its_place(sql: str, message: str, column: int, world: PostgresWorld) -> None:
    with pytest.raises(UnsupportedQuery, match=message) as refused:
        world.compile(sql)
    assert refused.value.location is not None
    assert refused.value.location.column == column


def test_a_division_that_may_be_evaluated_for_other_rows_is_guarded(world: PostgresWorld) -> None:
    sql = "select id, (select case when t.y > 0 then f(t.x / t.y) end) as p from t"
    assert any("NULLIF" in stage.sql for stage in world.compile(sql).stages)
    assert compare(world.outcome(sql), world.expected(sql), ordered=False) is None


def test_files_cannot_be_remembered(world: PostgresWorld) -> None:
    model = world.models["lab"]
    world.models["lab"] = replace(model, contract=replace(model.contract, file_argument="s"))
    try:
        with pytest.raises(UnsupportedQuery, match="cannot see when a file changes"):
            world.compile("select lab(s) as p from t")
        assert world.compile("select lab(s) as p from t", "stream").calls
    finally:
        world.models["lab"] = model
