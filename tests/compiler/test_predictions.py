"""Which columns of a result hold predictions, or values made of them."""

from __future__ import annotations

import pytest
from harness import world


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("select id, f(x) as p, f(x) > 2 as is_high, y from t", ("p", "is_high")),
        ("select id, st(x) as s from t", ("s",)),
        ("select id, st(x).p as p, predict('st', x).l as l from t", ("p", "l")),
        ("select q.s.p as p, q.id from (select id, st(x) as s from t) q", ("p",)),
        ("select s.p + 1 as p, id from (select id, st(x) as s from t)", ("p",)),
        ("select st.l, count(*) as n from (select st(x) as st from t) group by all", ("l",)),
        ("select main.t.id, f(main.t.x) as p from main.t", ("p",)),
        ("select p.id, p.uid, p.f from (select t.id, u.uid, f(t.x) as f from t join u using (k)) as p", ("f",)),
        ("select q.* from (select id, f(x) as p from t) q", ("p",)),
        ("select id from t where f(x) > 2", ()),
    ],
)
@pytest.mark.parametrize("strategy", ["store", "stream"])
def test_predictions_are_known_by_their_columns(sql: str, wanted: tuple[str, ...], strategy: str) -> None:
    assert world().compile(sql, strategy).result.predictions == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "call", ["f(i::double)", "f(r.i::double)", "predict('f', i + 1)", "f((select max(t.x) from main.t where t.id > i))"]
)
def test_a_call_reads_as_it_was_written(call: str) -> None:
    """A column that is given its table has the place of the table's alias there, behind the call."""
    for sql in (f"select {call} as p from range(3) r(i)", f"from range(3) r(i) select {call} as p"):
        assert world().compile(sql).calls[0].sql == call
