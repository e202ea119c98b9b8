"""SQL read by the warehouse's own parse tree: what stays as written, what is written out, what is refused."""

from __future__ import annotations

import pytest
from harness import world

from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.parse.lower import lowered
from sqlinfer.compiler.parse.verbatim import Text
from sqlinfer.errors import CompileError, Location
from sqlinfer.spec.plan import Plan
from sqlinfer.testing.differential import World


class _Silent:
    """A warehouse that must not be asked."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} was asked")


def _text(plan: Plan) -> str:
    return "\n".join([*(stage.sql for stage in plan.stages), plan.result.sql])


def _marked(place: Location | None) -> str:
    assert place is not None
    assert place.text is not None
    assert place.column is not None
    return place.text[place.column - 1 : place.column - 1 + place.length]


def test_a_query_without_calls_asks_nothing() -> None:
    source, catalog = Source("select #1, * like 'x%' from t"), world().catalog("store")
    assert lowered(source, catalog, _Silent())[0] is source  # type: ignore[arg-type]


def test_a_query_that_sqlglot_reads_as_the_warehouse_does_stays_as_it_is() -> None:
    plan = world().compile("select id, f(x) as p from t where k > 1")
    assert plan.sql == "select id, f(x) as p from t where k > 1"
    assert "__sqlinfer" not in _text(plan)


@pytest.mark.parametrize("kept", ["x'FF'", "5!", "@ 2", "[1, 2] <=> [2, 1]"])
def test_an_expression_that_sqlglot_would_write_otherwise_keeps_its_text(kept: str) -> None:
    plan = world().compile(f"select f(x) as p, {kept} as c from t")
    operator = kept.replace("[1, 2]", "").replace("[2, 1]", "").strip()
    assert operator in _text(plan)
    assert plan.sql == f"select f(x) as p, {kept} as c from t"


def test_names_inside_kept_text_are_resolved_and_staged() -> None:
    plan = world().compile("select f(x) as p, [y, 1.0] <=> [f(x), 2.0] as c from t")
    assert '"_s1"."y"' in plan.result.sql
    assert '"_s1"."_p1"' in plan.result.sql


def test_the_plan_shows_the_query_as_the_user_wrote_it() -> None:
    plan = world().compile("select * like 'x%', #2 + 1, f(s.length()) as p from t")
    assert plan.sql == "select * like 'x%', #2 + 1, f(s.length()) as p from t"
    assert [call.sql for call in plan.calls] == ["f(s.length())"]


@pytest.mark.parametrize("sql", [
    "select * like 'x%', s.upper(), f(nope) from t",
    "select #1, #2 + #3, f(nope) from t",
    "select x'FF', [v for v in l], f(nope) from t",
    "with c as (pivot t on k using sum(x) group by g) select f(nope) from c",
    "select 'naïve é', t, columns('x|y'), f(nope) from t",
])  # fmt: skip
def test_places_are_those_of_the_text_that_the_user_wrote(sql: str) -> None:
    with pytest.raises(CompileError) as caught:
        _compiled(world(), sql)
    assert _marked(caught.value.location) == "nope"
    assert caught.value.location is not None
    assert caught.value.location.text == sql


def _compiled(made: World, sql: str) -> None:
    from sqlinfer.compiler.compile import compile_query
    from sqlinfer.testing.differential import _Asked

    source, catalog = lowered(Source(sql), made.catalog("store"), _Asked(made.planned))
    compile_query(source, catalog, node="n")


REFUSED = {
    "select [f(v) for v in l] from t": ("lambda or list comprehension", "f(v)"),
    "select list_transform(l, lambda v: f(v)) from t": ("lambda or list comprehension", "f(v)"),
    "with recursive r as (select 1.0 i union all select f(i) from r where i < 9) select * from r": (
        "recursive CTE", "f(i)"),
    "select t.id from t asof join u on t.k = u.k and f(t.id) >= u.uid": ("ASOF", "f(t.id)"),
    "select g, (select max(f(u.z + max(t.k))) from u) from t group by g": ("correlated", "f(u.z + max(t.k))"),
    "pivot (select k, f(x) p from t) on k using sum(p)": (
        "columns of this PIVOT", "pivot (select k, f(x) p from t) on k using sum(p)"),
    "select * from (pivot (select k, f(x) p from t) on k using sum(p))": (
        "columns of this PIVOT", "pivot (select k, f(x) p from t) on k using sum(p)"),
    "select f(x), nextval('s') from t": ("cannot stand", "nextval('s')"),
    "select f(x), columns('zzz') from t": ("No matching columns", "columns('zzz')"),
    "select f(x), #99 from t": ("out of range", "#99"),
    "select f(t.x) from t join u using (nope)": ("is not on both sides", "nope"),
    "select f(a.x) from t a, u a": ("two relations are called a", "a"),
    "select f(x) from t union select 1, 2": (
        "different numbers of columns|Set operations", "select f(x) from t union select 1, 2"),
    "summarize select f(x) from t": ("one SELECT", "s"),
    "describe select f(x) from t": ("one SELECT", "d"),
    "select f(x), list(x order by id) filter (where k = 1) over () from t": (
        "cannot be planned", "list(x order by id) filter (where k = 1) over ()"),
    "select f(x), string_agg(distinct g, ',' order by g) over () from t": (
        "cannot be planned", "string_agg(distinct g, ',' order by g) over ()"),
    "select f(x) from t; select 1": ("several statements", ""),
}  # fmt: skip
"""The rows of the table in docs/planning.md, and a few of the user's own errors."""


@pytest.mark.parametrize("sql", REFUSED)
def test_what_cannot_be_planned_is_refused_with_its_place(sql: str) -> None:
    import re

    words, marked = REFUSED[sql]
    with pytest.raises(CompileError) as caught:
        _compiled(world(), sql)
    assert re.search(words, caught.value.message), caught.value.message
    if marked:
        assert _marked(caught.value.location) == marked
    assert not re.search(r"sqlinfer_|_s\d|SQLINFER|__|reachability", caught.value.message)


def test_an_edit_remembers_where_its_text_came_from() -> None:
    text = Text.of("select abc, d").edited([(7, 10, "x, yy")])
    assert text.sql == "select x, yy, d"
    assert text.origin(10, 11) == (7, 10)
    assert text.origin(14, 15) == (12, 13)


def test_columns_are_named_as_the_warehouse_names_them() -> None:
    for sql in (
        "select #2 + 1, s.upper(), l[1:2], 5!, f(x) + 1 from t",
        "select columns('(x|y)') + 1, min(id) over (), t, f(x) from t",
        "select greatest(*columns('^(x|y)$')), coalesce(x, y), [y, 1.0] <-> [2.0, 2.0], f(s.length()) from t",
    ):
        assert world().run(sql).columns == world().expected(sql).columns
