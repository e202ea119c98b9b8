"""As little as possible: each rule of the closed list, shown by the exact number of distinct inputs that are scored."""

from __future__ import annotations

import pytest
from harness import world

# x of t: 11 distinct non-null values in 30 rows; z of u: 12 distinct in 12 rows; k: 0 to 5; id: 30 distinct
RULES = {
    "each distinct input once": ("select f(x) from t", {"f": 11}),
    "equal calls once": ("select f(id), f(id) + 1 from t where f(id) > 2 order by f(id)", {"f": 30}),
    "a filter without predict is below": ("select f(id) from t where k = 1", {"f": 5}),
    "a filter after predict is below too": ("select f(id) from t where f(id) > 2 and k = 1", {"f": 5}),
    "a filter around a derived table": ("select p from (select k, f(id) p from t) q where k = 1", {"f": 5}),
    "a filter around a CTE": ("with c as (select k, f(id) p from t) select p from c where k = 1", {"f": 5}),
    "a filter around two levels": (
        "select p from (select * from (select k, id, f(id) p from t) a where k < 3) b where id < 6", {"f": 3}),
    "a filter around a union": (
        "select * from (select k, f(id) p from t union all select k, f(uid + 100) from u) q where k = 1", {"f": 7}),
    "a filter on a group's key": ("select p from (select k, f(sum(id)) p from t group by k) q where k = 1", {"f": 1}),
    "a filter on a window's partition": (
        "select p from (select k, f(sum(id) over (partition by k order by id)) p from t) q where k = 1", {"f": 5}),
    "a join that reduces": ("select f(t.id) from t join u on t.id = u.uid", {"f": 12}),
    "a join around a derived table": (
        "select q.p from (select id, f(id) p from t) q join u on q.id = u.uid where u.k = 1", {"f": 2}),
    "a join around a CTE": (
        "with c as (select id, f(id) p from t) select c.p from c join u on c.id = u.uid", {"f": 12}),
    "a semi-join": ("select f(id) from t semi join u on t.id = u.uid", {"f": 12}),
    "an anti-join": ("select f(id) from t anti join u on t.id = u.uid", {"f": 18}),
    "in (select …)": ("select f(id) from t where id in (select uid from u)", {"f": 12}),
    "exists": ("select f(id) from t where exists (select 1 from u where u.uid = t.id)", {"f": 12}),
    "equality before the predicted part of a join": (
        "select 1 from t join u on t.id = u.uid and f(t.id) > f(u.uid + 100)", {"f": 24}),
    "equality before the predicted part of an outer join": (
        "select 1 from t left join u on t.id = u.uid and f(t.id) > 2", {"f": 12}),
    "one side of an equality with a prediction": (
        # 5 rows of t have k = 1, and 12 rows of u
        "select 1 from t, u where f(t.id) = u.z and t.k = 1", {"f": 5}),
    "both sides of an equality of predictions": ("select 1 from t join u on f(t.id) = n(u.k) and u.uid < 3",
                                                 {"f": 30, "n": 3}),
    "the island of several sources": ("select 1 from t, u, w where t.id = u.uid and f(t.id) = w.z", {"f": 12}),
    "the cheaper of two join conditions first": (
        # lab is cheaper: 3 texts; of the rows that join no one has another g than d
        "select 1 from t, w, u where g(t.id, t.y) = w.z and lab(t.g) = u.g", {"lab": 3}),
    "outputs of rows that a prediction joins": (
        "select n(t.k) from t, u where f(t.k) = u.z", {"f": 6, "n": 2}),
    "a source where the rest of the join has rows": (
        "select 1 from t, u where t.id = u.uid and f(t.id) = u.z and u.g = 'b'", {"f": 4}),
    "both sides where the other has rows": (
        "select 1 from t, u where t.id = u.uid and f(t.id) = n(u.uid) and u.g = 'b' and t.b", {"f": 2, "n": 2}),
    "a source where each of several has rows": (
        "select 1 from t, u, w where t.id = u.uid and t.k = w.k and f(t.id) = w.z", {"f": 6}),
    "a join by order": ("select 1 from t, u where t.id between u.uid and u.uid + 0 and f(t.id) > 100", {"f": 12}),
    "an outer join by order": ("select 1 from t left join u on t.id >= u.uid + 20 and f(t.id) > 2", {"f": 10}),
    "one side of an outer join": ("select 1 from t left join u on f(u.z) = t.id and u.k = 1", {"f": 2}),
    "common factors of an OR": (
        "select 1 from t where (k = 1 and b) or (k = 1 and f(id) > 100)", {"f": 5}),
    "a join under OR": (
        "select 1 from t, u where (t.id = u.uid and t.b) or (t.id = u.uid and f(t.id) > 100)", {"f": 6}),
    "branches of an OR that each restrict one side": (
        "select 1 from t, u where (t.id = 1 and u.uid = 2) or (t.id = 3 and f(u.uid) > 100 and u.uid < 4)", {"f": 4}),
    "an OR in HAVING": ("select 1 from t group by k having (k = 1 and sum(x) > 0) or (k < 3 and f(k) > 100)",
                        {"f": 2}),
    "an OR around a derived table's group": (
        "select p from (select k, f(sum(id)) p from t group by k) q where (k = 1 and p > 0) or k = 3", {"f": 2}),
    "not both": ("select 1 from t where not (k <> 1 or f(id) > 100)", {"f": 5}),
    "limit": ("select f(id) from t limit 5", {"f": 5}),
    "limit and offset": ("select f(id) from t order by id limit 5 offset 3", {"f": 5}),
    "top-N by something else": ("select f(id) from t order by k, id limit 4", {"f": 4}),
    "limit around a derived table": ("select p from (select id, f(id) p from t) q order by id limit 5", {"f": 5}),
    "limit does not pass a predicted filter": ("select f(id) from t where f(id) > 2 limit 5", {"f": 30}),
    "limit does not pass a predicted order": ("select id from t order by f(id) limit 5", {"f": 30}),
    "distinct": ("select f(k) from (select distinct k from t) q", {"f": 6}),
    "group by": ("select k, f(k) from t group by k", {"f": 6}),
    "having without predict": ("select f(k) from t group by k having k > 3", {"f": 2}),
    "case": ("select case when k < 3 then null else f(id) end from t", {"f": 15}),
    "case with several branches": (
        "select case when k = 0 then f(id) when k = 1 then g(id, 0) else 0 end from t", {"f": 5, "g": 5}),
    "simple case": ("select case k when 1 then f(id) else 0 end from t", {"f": 5}),
    "if": ("select if(k = 1, f(id), 0) from t", {"f": 5}),
    "coalesce": ("select coalesce(x, f(id)) from t", {"f": 5}),
    "and": ("select k = 1 and f(id) > 2 from t", {"f": 5}),
    "or": ("select id from t where k > 0 or f(id) > 2", {"f": 5}),
    "filter of an aggregate": ("select sum(f(id)) filter (where k = 1) from t", {"f": 5}),
    "a guard around a derived table's column": (
        "select case when k = 1 then p end from (select k, f(id) p from t) q", {"f": 5}),
    "a guard of two places": (
        "select case when k = 1 then f(id) end, case when k = 2 then f(id) end from t", {"f": 10}),
    "unused outputs": ("select id from (select id, f(id) p from t) q", {}),
    "unused columns of a CTE": ("with c as (select id, f(id) p, g(id, y) q from t) select p from c", {"f": 30}),
    "an unused CTE": ("with c as (select f(id) p from t) select id from t where lab(g) = 'a1'", {"lab": 3}),
    "exists reads no column": ("select id from t where exists (select f(z) from u where u.k = t.k)", {}),
    "count(*) reads no column": ("select count(*) from (select f(id) p from t) q", {}),
    "the cheaper function first": (
        # lab costs 10, g 1000: one value of g, 8 rows, passes
        "select id from t where g(id, y) > -1 and lab(g) = 'a1'", {"lab": 3, "g": 8}),
    "three waves": (
        "select id from t where g(id, y) > -1 and f(id) > -1 and lab(g) = 'a1'", {"lab": 3, "f": 8, "g": 8}),
    "outputs see survivors only": ("select g(id, y) from t where lab(g) = 'a1'", {"lab": 3, "g": 8}),
    "a predicted guard": ("select case when lab(g) = 'a1' then g(id, y) end from t", {"lab": 3, "g": 8}),
    "or of two functions": ("select id from t where lab(g) <> 'a1' or g(id, y) > 2", {"lab": 3, "g": 15}),
    "null inputs are not scored": ("select f(x) from t where x is null", {}),
    "a CTE that is read twice is scored once": (
        "with c as (select id, f(id) p from t) select a.p from c a join c b on a.id = b.id + 1", {"f": 30}),
    "two nested calls": ("select f(n(k)) from t", {"n": 6, "f": 5}),
    "qualify without predict": (
        "select f(id) from t qualify row_number() over (partition by k order by id) = 1", {"f": 6}),
}  # fmt: skip


@pytest.mark.parametrize("strategy", ["store", "stream"])
@pytest.mark.parametrize("rule", RULES)
def test_as_few_inputs_as_possible_are_scored(rule: str, strategy: str) -> None:
    sql, scored = RULES[rule]
    outcome = world().run(sql, strategy)  # type: ignore[arg-type]
    assert {name: count for name, count in outcome.scored.items() if count} == scored
