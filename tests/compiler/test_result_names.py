"""A result column without an alias has the name that DuckDB would have given it, wherever it is read by that name."""

from __future__ import annotations

import pytest
from harness import world

QUERIES = [
    "select f(x) from t",
    "select F ( X ), round(f(x) , 1), ifnull(x, 1), len(g) from t",
    "select -f(x), f(x) + 1, f(x)::int, not (f(x) > 1), f(x) is null, f(x) between 1 and 2 from t",
    "select case when f(x) > 1 then 'a' else 'b' end, [f(x)], {'p': f(x)}, coalesce(f(x), 0) from t",
    "select 'ä' || lab(s), (select max(f(x)) from t), f(x) in (select f(y) from t) from t",
    "select st(x).p, (st(x)).l from t",
    "select k, avg(f(x)), count(*), string_agg(g, ',') from t group by k",
    "select k, max(f(x)) from t group by all having max(f(x)) > 1 order by 2",
    "select row_number() over (order by f(x), id), sum(f(x)) over (partition by k) from t",
    "select f(x), f(x), id, id from t",
    "select f(x) from t union all select g(x, y) from t",
    "from t select f(x)",
    "select x + 1, id, 1 from t where f(x) > 1",
    """with c as (select id, f(x) from t) select "f(x)", id from c""",
    """with c as (select id, f(x) from t) select a."f(x)", b."f(x)" from c a join c b using (id)""",
    """select "round(f(x), 1)" as r from (select round(f(x), 1) from t)""",
    """select * from (select id, f(x), f(x) from t)""",
    """select * exclude "f(x)" from (select id, f(x), lab(s) from t)""",
]


@pytest.mark.parametrize("sql", QUERIES)
def test_columns_are_named_as_duckdb_names_them(sql: str) -> None:
    assert world().run(sql).columns == world().expected(sql).columns


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("predict('f', x)", "predict('f', x)"),
        ("PREDICT( 'f',x )", "predict('f', x)"),
        ("predict('f', *)", "predict('f', *)"),
        ("predict('f', t.*)", "predict('f', t.*)"),
        ("predict('f', x => y)", "predict('f', x := y)"),
        ("predict('st', x).p", "(predict('st', x)).p"),
    ],
)
def test_a_spelling_is_kept_as_the_warehouse_prints_it(call: str, name: str) -> None:
    assert world().run(f"select {call} from t").columns == (name,)
