"""For a warehouse without a parse tree: what sqlglot would write otherwise stays in the user's words."""

from __future__ import annotations

import pytest

from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.parse.as_written import keep_as_written
from sqlinfer.compiler.parse.parse import parse
from sqlinfer.compiler.parse.verbatim import Verbatim
from sqlinfer.errors import UnsupportedQuery


def kept(item: str) -> Verbatim | None:
    source = Source(f"select {item} from t")
    query = parse(source, "postgres")
    keep_as_written(query, source, "postgres", ("f",))
    return query.find(Verbatim)


def written(item: str) -> str:
    source = Source(f"select {item} from t")
    query = parse(source, "postgres")
    keep_as_written(query, source, "postgres", ("f",))
    return query.selects[0].sql(dialect="postgres")


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ('"MyFunc"(a)', '"MyFunc"(a)'),
        ("a ^ b", "a ^ b"),
        ("|/ a", "|/ a"),
        ("$$it's$$", "$$it's$$"),
        ("interval '1 day'", "interval '1 day'"),
        ("char_length(a)", "char_length(a)"),
        ("try_cast(a as int)", "try_cast(a as int)"),
        ("date_trunc('day', d)", "date_trunc('day', d)"),
    ],
)
def test_what_would_be_written_otherwise_keeps_its_text(item: str, text: str) -> None:
    assert kept(item) is not None
    assert written(item) == text


@pytest.mark.parametrize(
    "item",
    ["f(a)", "a ~* 'x'", "a::int", "a is not null", "sum(a) over (partition by b)", "doc #>> '{a}'", "now()",
     "case when a > 1 then b end", "(select max(a) from t)", "percentile_cont(0.5) within group (order by a)"],
)  # fmt: skip
def test_the_rest_is_read_by_the_planner(item: str) -> None:
    assert kept(item) is None


def test_expressions_inside_are_planned_in_their_holes() -> None:
    found = kept("mod(f(a + 1), lower(b)::int)")
    assert found is not None
    assert [hole.sql(dialect="postgres") for hole in found.expressions] == ["F(a + 1)", "CAST(LOWER(b) AS INT)"]


def test_one_expression_that_is_written_twice_is_one_text() -> None:
    first, second = kept("DATE_TRUNC('day',d)"), kept("date_trunc( 'day', d )")
    assert first is not None
    assert second is not None
    assert first.this == second.this


@pytest.mark.parametrize(("item", "aggregate", "volatile"), [
    ("mod(sum(a), 2)", False, False), ("stddev_pop(a) ^ 2", False, False), ("random() ^ 2", False, False),
])  # fmt: skip
def test_aggregates_and_what_varies_stay_visible_in_holes(item: str, aggregate: bool, volatile: bool) -> None:
    found = kept(item)
    assert found is not None
    assert (found.args["aggregate"], found.args["volatile"]) == (aggregate, volatile)
    assert found.expressions


def test_what_sqlglot_takes_for_a_parameter_is_refused_at_its_place() -> None:
    with pytest.raises(UnsupportedQuery, match="cannot be planned") as refused:
        kept("@ a")
    assert refused.value.location is not None
    assert refused.value.location.column == 8
