"""Values for placeholders: typed literals in the text, errors at the user's own place."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import duckdb
import numpy as np
import pytest

from sqlinfer.compiler.template.parameters import with_parameters
from sqlinfer.compiler.template.render import RenderedNode
from sqlinfer.errors import ParameterError


def bound(sql: str, parameters: Any) -> RenderedNode:
    return with_parameters(RenderedNode(sql, sql), parameters, "duckdb")


def rows(sql: str, parameters: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(bound(sql, parameters).sql).fetchall()


VALUES = [
    None, True, -5, 2**40, 2**70, 1e-5, float("-inf"), "it's", "a\0b", "é🙂\\", "", decimal.Decimal("-1.50"),
    decimal.Decimal("1E+3"), datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2, 3, 4, 5, 6),
    datetime.time(1, 2, 3), datetime.timedelta(days=-1, microseconds=5), uuid.UUID(int=5), b"\x00\xff'", [1, 2],
    [0.5, float("inf")], ["a", None], {"a": 1, "b c": [True]},
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    with duckdb.connect() as connection:
        (bound_by_duckdb,) = connection.execute("select typeof(?)", [value]).fetchall()
    ((found, kind),) = rows("select ?, typeof($1)".replace("$1", "?"), [value, value])
    assert (type(found), found) == (type(value), value)
    if not isinstance(value, list | dict) and value is not None:
        assert kind.split("(")[0] == bound_by_duckdb[0].split("(")[0]


def test_values_of_numpy_are_those_of_python() -> None:
    values = [np.float32(0.5), np.int64(7), np.array([1.5, 2.5]), np.bool_(True)]
    assert rows("select ?, ?, ?, ?", values) == [(0.5, 7, [1.5, 2.5], True)]


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("select ? - ?, 3-?", [5, -2, -1]),
        ("select $1 - $2, 3-$3", (5, -2, -1)),
        ("select $a - $b, 3-$C", {"a": 5, "B": -2, "c": -1}),
        ("select ?1 - ?2, 3-?3", [5, -2, -1]),
    ],
)
def test_places_are_by_position_or_by_name(sql: str, parameters: Any) -> None:
    assert rows(sql, parameters) == [(7, 4)]


def test_texts_names_and_comments_hold_no_placeholder() -> None:
    sql = "select '?', \"?\", $$ ? $1 $$, $t$ ? $t$, e'\\'?' /* ? $a */ from (select 1 as \"?\") -- ?\nwhere 2 = ?"
    assert rows(sql, [2]) == [("?", 1, " ? $1 ", " ? ", "'?")]


def test_a_value_is_never_sql() -> None:
    assert rows("select ?, ?", ["'; drop table t; --", "?"]) == [("'; drop table t; --", "?")]


@pytest.mark.parametrize(
    ("sql", "parameters", "message", "column"),
    [
        ("select ?, ?", [1], "the query has 2 parameters, 1 value given", None),
        ("select 1", [1], "the query has 0 parameters, 1 value given", None),
        ("select $2", [1, 2], "the query has 1 parameter, 2 values given", None),
        ("select $limit", {"limt": 1}, "there is no value for $limit", 8),
        ("select $a", {"a": 1, "b": 2}, "the query has no parameter '$b'", None),
        ("select $a", [1], "$a needs a value by name", 8),
        ("select ?", {"a": 1}, "a dict of values cannot fill a '?'", 8),
        ("select ?, $1", [1, 2], "'?' and numbers are mixed", 11),
        ("select 1, ?", None, "the query has parameters and no values are given", 11),
        ("select ?", "x", "parameters are a list or a dict, found str", None),
        ("select ?", [object()], "a value of type object cannot be a parameter", 8),
        ("select ?", ["\ud800"], "surrogates not allowed", 8),
    ],
)
def test_what_does_not_fit_is_said(sql: str, parameters: Any, message: str, column: int | None) -> None:
    with pytest.raises(ParameterError) as caught:
        bound(sql, parameters)
    assert message in caught.value.message
    assert (caught.value.location.column if caught.value.location else None) == column


def test_places_behind_a_value_are_those_of_the_users_text() -> None:
    sql = "select ?, 'x',\n  wrong + ?, late"
    done = bound(sql, ["a long text with a\nline", 7])
    start = done.sql.index("wrong")
    assert str(done.locate(start, start + 5)) == "<inline>:2:3"
    start = done.sql.index("late")
    assert str(done.locate(start, start + 4)) == "<inline>:2:14"
    value = done.sql.index("long")
    assert str(done.locate(value, value + 4)) == "<inline>:1:8"
